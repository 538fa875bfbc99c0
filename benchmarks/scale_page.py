"""The numbers of the page on scale: `make scale`, or `python -m benchmarks.scale_page [--page nbs/scale.md] [--clips 2000]`.

What is measured is processor time: of a clip in one process, of an evaluation and a sweep in fresh ones. From that follow the hours of
more clips, by multiplication; the page says so. No part of `make bench`, because it takes minutes.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

from .cache import write_cache, write_packed
from .clips import Bench
from .evaluation import evaluation_times, write_annotations
from .how_long import clip_seconds
from .rounds import CORES, forget_peak, fresh, resident_bytes, spent
from .table import Load, machine

BEGIN, END = "<!-- measured: `make scale` writes what follows -->\n", "<!-- measured: end -->\n"
ENCODERS = {360: {"signal": 8, "logmel": 8, "mc3_18": 1}, 720: {"signal": 8}}  # by lines; and how many clips of 10 s are measured
SIZES = (4097, 100_000, 1_000_000)


def main() -> None:
    from avesound.files import atomic_write

    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale_page", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--page", type=Path, help="gets the tables, between its two marks; else they are printed alone")
    parser.add_argument("--clips", type=int, default=2000, help="of evaluation and sweep (default: %(default)s)")
    options = parser.parse_args()
    load = Load()
    with tempfile.TemporaryDirectory(prefix="avesound-scale-") as folder:
        bench = Bench(1, Path(folder))
        extraction = extraction_rates(bench)
        reading = reading_times(bench.folder, options.clips)
    text = "\n".join(
        [
            _machine(load),
            "",
            *_extraction(extraction),
            "",
            *_reading(reading, options.clips),
            "",
            *_arithmetic(extraction, reading, options.clips),
        ]
    )
    print(text)
    if options.page:
        before, _, rest = options.page.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        with atomic_write(options.page) as temporary:
            temporary.write_text(f"{before}{BEGIN}\n{text}\n\n{END}{after}", encoding="utf-8")


def extraction_rates(bench: Bench) -> dict[tuple[int, str], dict]:
    "By lines of the picture and encoder."
    rates = {}
    for clip in bench.synthetic:
        for encoder, n in ENCODERS[clip.height].items():
            copies, folder = bench.copies(n + 1, clip.path), bench.folder / f"{clip.height}"
            rates[clip.height, encoder] = fresh(clip_seconds, str(copies), str(folder), encoder)
            print(f"{clip.height} lines, {encoder}: {rates[clip.height, encoder]}", flush=True)
    return rates


def reading_times(folder: Path, n: int) -> dict[tuple[str, str], dict]:
    "By what is done and the form of the cache."
    times = {}
    for form, write in (("npz", write_cache), ("packed", write_packed)):
        write(folder / form, n)
        for what, measure in (("evaluate", evaluation_times), ("sweep", sweep_times)):
            times[what, form] = fresh(measure, str(folder / form), n)
            print(f"{what}, {form}: {times[what, form]}", flush=True)
    return times


def sweep_times(cache: str, n: int) -> dict[str, float]:
    from avesound.tuning.sweep import sweep

    annotations, reports = write_annotations(Path(cache), n), []
    annotations.write_text(
        annotations.read_text(encoding="utf-8").replace(",test\n", ",val\n"), encoding="utf-8"
    )  # where settings are chosen
    forget_peak()
    work = partial(sweep, cache, annotations, out_dir=Path(cache) / "grid", split="val", test_split=None, progress=False)
    times = spent(lambda: reports.append(work()))
    return vars(times) | {"peak_mb": resident_bytes(peak=True) / 1e6, "settings": len(reports[0].table)}


def _machine(load: Load) -> str:
    about = machine()
    return (
        f"{about['cpu']}, {about['cores']} cores, {about['memory_gb']} GB; avesound {about['avesound']}, torch {about['torch']}. Others "
        f"kept {load.others():.1f} of {CORES} cores busy, so what counts is processor time."
    )


def _extraction(rates: dict) -> list[str]:
    rows = [
        "| 10-s clip, encoder | decode, s | encode and write, s | clips/s of a core | a worker's memory | vectors of a clip |",
        "|:--|--:|--:|--:|--:|--:|",
    ]
    for (height, encoder), rate in rates.items():
        both = rate["decode_s"] + rate["encode_s"]
        rows.append(
            f"| {height} lines, {encoder} | {rate['decode_s']:.3f} | {rate['encode_s']:.3f} | {1 / both:.2f} "
            f"| {rate['peak'] / 1e6:.0f} MB | {rate['bytes'] / 1e3:.0f} kB in {rate['files']:.0f} |"
        )
    return rows


def _reading(times: dict, n: int) -> list[str]:
    rows = [f"| {n:,} clips | form | processor time, s | clips/s of it | memory |", "|:--|:--|--:|--:|--:|"]
    for (what, form), time_ in times.items():
        what += f" of {time_['settings']} settings, and the best evaluated" if "settings" in time_ else ""
        rows.append(f"| {what} | {form} | {time_['cpu_s']:.1f} | {n / time_['cpu_s']:.0f} | {time_['peak_mb'] / 1e3:.2f} GB |")
    return rows


def _arithmetic(rates: dict, times: dict, n: int) -> list[str]:
    "Multiplication of what was measured."
    rows = ["| by multiplication | " + " | ".join(f"{size:,} clips" for size in SIZES) + " |", "|:--|" + "--:|" * len(SIZES)]

    def row(what: str, of) -> None:
        rows.append(f"| {what} | " + " | ".join(of(size) for size in SIZES) + " |")

    for (height, encoder), rate in rates.items():
        if encoder != "logmel":
            clip_s = rate["decode_s"] + rate["encode_s"]
            row(f"extract, {encoder}, {height} lines, two cores", lambda size, clip_s=clip_s: hours(size * clip_s / 2))
    signal, tower = rates[min(rates)[0], "signal"], rates[min(rates)[0], "mc3_18"]
    tower_s = tower["decode_s"] + tower["encode_s"]
    row("tasks of two cores for mc3_18 in 4 h", lambda size: f"{-(-size * tower_s // (2 * 4 * 3600)):.0f}")
    row("disk, signal / mc3_18", lambda size: f"{size * signal['bytes'] / 1e9:.3g} / {size * tower['bytes'] / 1e9:.3g} GB")
    row("files, signal / mc3_18, before `pack`", lambda size: f"{size * signal['files']:,.0f} / {size * tower['files']:,.0f}")
    for form in ("npz", "packed"):
        row(f"evaluate, {form}, processor time", lambda size, form=form: hours(size * times["evaluate", form]["cpu_s"] / n))
    return rows


def hours(seconds: float) -> str:
    from avesound.embeddings.status import duration_text

    return duration_text(seconds)


if __name__ == "__main__":
    main()
