"What `extract` holds does not grow with the number of clips; a tower's batch is bounded."

import statistics

from .clips import Bench
from .rounds import CORES, Row, fresh, resident_bytes
from .table import line


@line("memory", "peak memory of a fresh process after 12 clips against 6 (encoder signal, two threads)")
def memory(bench: Bench):
    resident_bytes()
    n_runs = 0

    def extract_some(n):
        nonlocal n_runs
        n_runs += 1
        return fresh(extract_and_peak, str(bench.copies(n)), str(bench.folder / f"cache-{n_runs}"))

    peaks: dict[int, list[int]] = {6: [], 12: []}
    for k in range(bench.rounds):
        for n in (6, 12) if k % 2 else (12, 6):
            peaks[n].append(extract_some(n))
    mb = ", ".join(f"{statistics.median(values) / 1e6:.0f} MB after {n}" for n, values in peaks.items())
    yield Row("clips of 720 lines", [b / a for a, b in zip(*peaks.values(), strict=True)], at_most=1.05, note=mb)


@line("memory of a tower", "the same with mc3_18 in its exact mode")
def memory_of_a_tower(bench: Bench):
    resident_bytes()

    def extract_some(n, run, of=None):
        return fresh(extract_and_peak, str(bench.copies(n, of)), str(bench.folder / f"tower-{run}"), "mc3_18", threads=CORES)

    rounds = min(bench.rounds, 2)  # memory hardly varies, and this takes minutes
    peaks = {n: [extract_some(n, f"{n}-{k}", bench.short) for k in range(rounds)] for n in (6, 12)}
    yield Row("12 clips of 3 s against 6", [b / a for a, b in zip(*peaks.values(), strict=True)], at_most=1.05)
    yield Row("peak, a clip of 10 s and 720 lines", [extract_some(1, "whole") / 1e9], "GB", at_most=1.2)


def extract_and_peak(clips: str, out_dir: str, encoder: str = "signal") -> int:
    from avesound.embeddings.extract import RunSettings, extract
    from avesound.encoders import create_encoder

    towers = {"encoder": "signal"}
    if encoder != "signal":
        import torch

        torch.set_num_threads(CORES)
        towers = {"encoder": create_encoder(encoder, weights="random", device="cpu"), "kinds": ("video",)}
    report = extract(clips, out_dir, **towers, run=RunSettings(workers=2), progress=False)
    if set(report.counts) != {"ok"}:
        raise RuntimeError(str(report))
    return resident_bytes(peak=True)
