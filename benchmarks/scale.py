"""Evaluations and sweeps larger than AVE: `python -m benchmarks.scale --clips 100000 --form packed --folder /somewhere/with/room`.

Clips are made up, 40 vectors of 512 numbers for picture and for sound: 100,000 of them take 16.5 GB. No part of `make bench`, because it
takes minutes; what is there already is used again.
"""

import argparse
import tempfile
from pathlib import Path

from .cache import write_cache, write_packed
from .evaluation import evaluation_times, write_annotations
from .rounds import forget_peak, fresh, resident_bytes, spent

FORMS = {"packed": write_packed, "npz": write_cache}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, nargs="+", default=[4097, 20000], help="how many; several numbers: one after the other")
    parser.add_argument("--form", choices=FORMS, nargs="+", default=list(FORMS), help="as one array, or as small files")
    parser.add_argument("--folder", type=Path, required=True, help="gets <form>-<clips>/")
    options = parser.parse_args()
    for n in options.clips:
        for form in options.form:
            cache = options.folder / f"{form}-{n}"
            if not cache.is_dir():
                written = spent(lambda form=form, cache=cache, n=n: FORMS[form](cache, n))
                print(f"{form:>6}, {n:,} clips: written in {written.wall_s:.0f} s", flush=True)
            for done, work in (("evaluated", evaluation_times), ("swept over 48 settings", sweep_times)):
                times = fresh(work, str(cache), n)
                print(f"{form:>6}, {n:,} clips: {done} in {spoken(times)}", flush=True)


def spoken(times: dict[str, float]) -> str:
    return f"{times['cpu_s']:.1f} s of processor time, {times['wall_s']:.1f} s, at most {times['peak_mb'] / 1000:.2f} GB of memory"


def sweep_times(cache: str, n: int) -> dict[str, float]:
    "A sweep from the cache on: similarities, grid, and which setting is best."
    from avesound.tuning.grid import Grid
    from avesound.tuning.sweep import sweep

    annotations = write_annotations(Path(cache), n)
    annotations.write_text(annotations.read_text(encoding="utf-8").replace(",test\n", ",val\n"), encoding="utf-8")
    forget_peak()
    with tempfile.TemporaryDirectory() as out:
        grid = Grid(lengths=((1.0,),))
        reports: list = []
        times = spent(lambda: reports.append(sweep([cache], annotations, out_dir=out, grid=grid, test_split=None, progress=False)))
    if len(reports[0].table) != 48:
        raise RuntimeError(f"{len(reports[0].table)} settings")
    return vars(times) | {"peak_mb": resident_bytes(peak=True) / 1e6}


if __name__ == "__main__":
    main()
