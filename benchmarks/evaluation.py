"An evaluation as large as AVE's, from the cache to its tables."

import statistics
from pathlib import Path

import numpy as np

from .cache import clip_id, write_cache
from .clips import Bench
from .rounds import CORES, Row, forget_peak, fresh, resident_bytes, spent
from .table import line


@line(
    "evaluation",
    "evaluation of 4,097 clips from such a cache: all metrics, baselines, 49 wrong sounds, calibration, intervals from 1,000 resamples, "
    "in a fresh process",
)
def evaluation(bench: Bench):
    cache = bench.folder / "evaluation"
    write_cache(cache, 4097)
    runs = [fresh(evaluation_times, str(cache), 4097, threads=CORES) for _ in range(bench.rounds)]
    note = f"{statistics.median(run['cpu_s'] for run in runs):.1f} s of processor time, {CORES} BLAS threads"
    yield Row("wall time", [run["wall_s"] for run in runs], "s", at_most=15, note=note)


def evaluation_times(cache: str, n: int) -> dict[str, float]:
    from avesound.evaluation.evaluate import evaluate

    annotations = write_annotations(Path(cache), n)
    results: list = []
    forget_peak()
    times = spent(lambda: results.append(evaluate(cache, annotations, split="test")))
    overall = results[0].overall
    means = overall.means["partial"]
    if overall.status != {"ok": n} or not {"shuffled", "train_prior", "class_prior"} <= set(means):
        raise RuntimeError(f"not all was evaluated: {overall.status}, {', '.join(means)}")
    return vars(times) | {"peak_mb": resident_bytes(peak=True) / 1e6}


def write_annotations(cache: Path, n: int) -> Path:
    "Two of three events fill their clip, as in AVE; 2,000 more clips are for training."
    rng = np.random.default_rng(0)
    rows = ["video_id,event_label,start_s,end_s,split"]
    for i in range(n + 2000):
        start, end = sorted(rng.choice(11, 2, replace=False)) if rng.random() < 0.34 else (0, 10)
        rows.append(f"{clip_id(i)},class {i % 28},{start},{end},{'test' if i < n else 'train'}")
    annotations = cache / "annotations.csv"
    annotations.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return annotations
