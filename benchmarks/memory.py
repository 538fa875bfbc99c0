"What a worker holds does not grow with the number of clips, nor does what `extract` holds beside it; a tower's batch is bounded."

import statistics

from .clips import Bench
from .rounds import CORES, Row, fresh, resident_bytes
from .table import line


@line("memory", "peak memory of a worker, and of the run beside it, after 12 clips against 6 (encoder signal, two workers)")
def memory(bench: Bench):
    resident_bytes()
    n_runs = 0

    def extract_some(n):
        nonlocal n_runs
        n_runs += 1
        return fresh(extract_and_peaks, str(bench.copies(n)), str(bench.folder / f"cache-{n_runs}"))

    peaks: dict[int, list[dict]] = {6: [], 12: []}
    for k in range(bench.rounds):
        for n in (6, 12) if k % 2 else (12, 6):
            peaks[n].append(extract_some(n))
    for who, what in (("worker", "clips of 720 lines, the larger worker"), ("run", "the process of the run")):
        yield Row(what, _growth(peaks, who), at_most=1.05, note=_spoken(peaks, who))


@line("memory of a tower", "the same of a worker with mc3_18 in its exact mode")
def memory_of_a_tower(bench: Bench):
    resident_bytes()

    def extract_some(n, run, of=None):
        return fresh(extract_and_peaks, str(bench.copies(n, of)), str(bench.folder / f"tower-{run}"), "mc3_18", threads=CORES)

    rounds = min(bench.rounds, 2)  # memory hardly varies, and this takes minutes
    peaks = {n: [extract_some(n, f"{n}-{k}", bench.short) for k in range(rounds)] for n in (6, 12)}
    yield Row("12 clips of 3 s against 6", _growth(peaks, "worker"), at_most=1.05, note=_spoken(peaks, "worker"))
    whole = extract_some(1, "whole")
    note = f"the process of the run {whole['run'] / 1e6:.0f} MB"
    yield Row("peak, a clip of 10 s and 720 lines", [whole["worker"] / 1e9], "GB", at_most=1.0, note=note)
    yield Row("of which PyTorch and torchvision are, before the first clip", [fresh(libraries_alone) / 1e9], "GB")


def libraries_alone() -> int:
    import torch  # noqa: F401
    import torchvision  # noqa: F401

    return resident_bytes()


def _growth(peaks: dict[int, list[dict]], who: str) -> list[float]:
    return [b[who] / a[who] for a, b in zip(*peaks.values(), strict=True)]


def _spoken(peaks: dict[int, list[dict]], who: str) -> str:
    return ", ".join(f"{statistics.median(run[who] for run in of) / 1e6:.0f} MB after {n}" for n, of in peaks.items())


def extract_and_peaks(clips: str, out_dir: str, encoder: str = "signal") -> dict[str, int]:
    "The most bytes that a worker has held, and this process."
    from avesound.embeddings import extract as room
    from avesound.encoders import create_encoder

    towers = {"encoder": "signal"}
    if encoder != "signal":
        towers = {"encoder": create_encoder(encoder, weights="random", device="cpu"), "kinds": ("video",)}
    room.do_clip = do_clip_and_peak  # whatever else is in a line of the journal is for those who read it
    report = room.extract(clips, out_dir, **towers, run=room.RunSettings(workers=2), progress=False)
    if set(report.counts) != {"ok"}:
        raise RuntimeError(str(report))
    return {"worker": max(record["peak"] for record in report.records), "run": resident_bytes(peak=True)}


def do_clip_and_peak(job, towers) -> dict:
    "As `do_clip`, in the worker; and what that has held so far."
    from avesound.embeddings.job import do_clip

    return do_clip(job, towers) | {"peak": resident_bytes(peak=True)}
