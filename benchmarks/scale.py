"""Evaluations larger than AVE: `python -m benchmarks.scale --clips 100000 --form packed --folder /somewhere/with/room`.

Clips are made up, 40 vectors of 512 numbers for picture and for sound: 100,000 of them take 16.5 GB. No part of `make bench`, because it
takes minutes; what is there already is used again.
"""

import argparse
from pathlib import Path

from .cache import write_cache, write_packed
from .evaluation import evaluation_times
from .rounds import fresh, spent

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
            times = fresh(evaluation_times, str(cache), n)
            spoken = (
                f"{times['cpu_s']:.1f} s of processor time, {times['wall_s']:.1f} s, at most {times['peak_mb'] / 1000:.2f} GB of memory"
            )
            print(f"{form:>6}, {n:,} clips: evaluated in {spoken}", flush=True)


if __name__ == "__main__":
    main()
