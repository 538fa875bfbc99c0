"An evaluation as large as AVE's, from the cache to its tables."

import json
import statistics
from pathlib import Path

import numpy as np

from .before import before
from .cache import clip_id, write_cache, write_packed
from .clips import Bench
from .rounds import CORES, Row, cpu_seconds, forget_peak, fresh, resident_bytes, spent
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


@line(
    "evaluation before",
    "the same evaluation with its tables written, everything from the start of the process on, processor time of the code before "
    "(commit c88ac20, from npz files) against that of now",
)
def evaluation_before(bench: Bench):
    caches = {"before": bench.folder / "npz", "npz": bench.folder / "npz", "packed": bench.folder / "packed"}
    write_cache(caches["npz"], 4097)
    write_packed(caches["packed"], 4097)
    packages = {"before": before(), "npz": None, "packed": None}
    runs: dict[str, list[dict]] = {name: [] for name in caches}
    for k in range(bench.rounds):
        for name in list(caches)[:: 1 if k % 2 else -1]:
            runs[name].append(fresh(whole_evaluation, str(caches[name]), 4097, name, package=packages[name]))
    off = max(furthest(runs["before"][0]["means"], runs[name][0]["means"]) for name in ("npz", "packed"))
    fault = "" if off <= 1e-9 else f"means differ by {off:.0e}"
    seconds = ", ".join(f"{name} {statistics.median(run['cpu_s'] for run in of):.1f} s" for name, of in runs.items())
    for name, at_least in (("packed", 4), ("npz", 2)):
        ratios = [a["cpu_s"] / b["cpu_s"] for a, b in zip(runs["before"], runs[name], strict=True)]
        yield Row(f"from {name}", ratios, at_least=at_least, fault=fault, note=f"{seconds}; means differ by at most {off:.0e}")


def whole_evaluation(cache: str, n: int, name: str) -> dict:
    "Processor time of this process, from its start to the tables on the disk, and the means of the encoder on partial clips."
    annotations, out = write_annotations(Path(cache), n), Path(cache) / f"results-{name}" / "summary.csv"
    if name == "before":
        from avesound.evaluate import evaluate

        where = (f"{cache}/vid_emb", f"{cache}/aud_emb", annotations)
        means = evaluate(*where, split="test", summary_csv=out, curve_dir=out.parent).overall["means"]
    else:
        from avesound.evaluation.evaluate import evaluate

        means = evaluate(cache, annotations, split="test").save(out, out.parent).overall.as_json()["means"]
    return {"cpu_s": cpu_seconds(), "means": json.loads(json.dumps(means["partial"]["encoder"]))}


def furthest(a: dict, b: dict) -> float:
    "The largest difference of the means and bounds of the same metrics."
    return max(abs(a[metric][part] - b[metric][part]) for metric in a if metric in b for part in ("mean", "low", "high"))


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
