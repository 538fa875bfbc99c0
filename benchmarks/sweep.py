"A grid of settings over all clips at once, against a loop as one would write it down."

import itertools
import statistics
import sys
from functools import partial

import numpy as np

from .clips import Bench
from .rounds import CORES, Row, as_seconds, fresh_rows, in_turns, ratios
from .table import line

N_CLIPS, N_CELLS, N_SLICE = 4097, 40, 16  # the loop goes over a slice of the clips
LENGTHS = (0.25, 0.5, 1.0, 2.0, 5.0)


@line(
    "sweep",
    "1,200 settings × 4,097 clips × 40 windows, from the file that keeps the similarities to 11 metrics "
    "of every clip and setting, in float64",
)
def sweep(bench: Bench):
    yield from fresh_rows(sweep_times, str(bench.folder / "grid.npz"), bench.rounds)


def sweep_times(path: str, rounds: int) -> list[Row]:
    from avesound.localization.align import FUSIONS
    from avesound.tuning.grid import Grid

    rng = np.random.default_rng(0)
    edges = np.arange(N_CELLS + 1) * 0.25
    cells = np.tile(np.stack([edges[:-1], edges[1:]], axis=-1), (N_CLIPS, 1, 1))
    start = rng.integers(0, 9, N_CLIPS)
    events = np.stack([start, np.minimum(start + rng.integers(1, 11, N_CLIPS), 10)], axis=-1)[:, None].astype(float)
    common = {"taus": tuple(np.geomspace(0.05, 5, 10)), "smooth_sigmas": (0.0, 0.25, 0.5, 1.0)}
    alone = Grid(LENGTHS, audio_queries=("multi",), scale_fusions=("mean",), multi_reduces=FUSIONS, **common)
    fused = Grid((*itertools.pairwise(LENGTHS), LENGTHS), scale_fusions=FUSIONS, **common)
    rows = []
    for what, n_queries, grid in [
        ("5 lengths alone, 3 audio queries fused in 3 ways", 3, alone),
        ("5 sets of 2 or 5 lengths, fused in 3 ways", 1, fused),
    ]:
        np.savez(path, **{str(length): 0.5 + 0.05 * rng.normal(size=(N_CLIPS, n_queries, N_CELLS)).cumsum(axis=-1) for length in LENGTHS})
        rows += grid_rows(what, path, grid.settings(), cells, events, rounds)
    return rows


def grid_rows(what: str, path: str, settings: list, cells: np.ndarray, events: np.ndarray, rounds: int) -> list[Row]:
    "The grid and the loop in turns, and whether they say the same."
    from avesound.tuning.caches import kept_npz

    whole: dict = {}
    looped: dict = {}
    curves = {float(length): curve[:N_SLICE] for length, curve in kept_npz(path).items()}
    work = {
        "grid": partial(run_grid, path, settings, cells, events, whole),
        "loop": lambda: looped.update(plain_loop(settings, curves, cells[0], events[:N_SLICE, 0])),
    }
    times = in_turns(work, rounds)
    furthest = max(np.abs(np.array([whole[metric][s] for s in settings]) - looped[metric]).max() for metric in looped)
    fault = "" if furthest <= 1e-5 and len(settings) == 1200 else f"{len(settings)} settings, differs by {furthest:.0e}"
    cpu_s = statistics.median(s.cpu_s for s in times["grid"])
    way = kernel_or_numpy(bool(sys.modules.get("numba")))
    note = f"{cpu_s:.2f} s of processor time, {CORES} threads, {way}; largest difference to the loop {furthest:.0e}"
    rows = [Row(what, [s.wall_s for s in times["grid"]], "s", at_most=1.5, fault=fault, note=note, seconds=as_seconds(times))]
    for of, bound in [("wall_s", 300), ("cpu_s", None)]:
        scaled = [ratio * N_CLIPS / N_SLICE for ratio in ratios(times, "loop", "grid", of)]
        against = f"  a numpy loop over clips and settings against it, {'wall' if bound else 'processor'} time"
        rows.append(Row(against, scaled, at_least=bound, note=f"the loop over {N_SLICE} clips, scaled"))
    return rows


def kernel_or_numpy(compiled: bool) -> str:
    "Which way a grid went."
    return "compiled by numba" if compiled else "by numpy: numba is not installed"


def run_grid(path: str, settings: list, cells: np.ndarray, events: np.ndarray, firsts: dict) -> None:
    "As `sweep` does: a part for each z-score and smoothing, whose means are kept and whose values are let go, but for those of a slice."
    from avesound.tuning.caches import kept_npz
    from avesound.tuning.grid import grid_metrics

    parts: dict[tuple, list] = {}
    for setting in settings:
        parts.setdefault((setting.settings.score_zscore, setting.settings.score_smooth_sigma), []).append(setting)
    kept = {float(length): curve for length, curve in kept_npz(path).items()}
    for part in parts.values():
        for metric, value in grid_metrics(part, kept, cells, 0.25, events).items():
            value.mean(axis=1)
            firsts.setdefault(metric, {}).update(zip(part, value[:, :N_SLICE].copy(), strict=True))


def plain_loop(rows, curves, cells, events) -> dict[str, np.ndarray]:
    "Metrics [shape=(S, N)] of one clip and one setting after the other, as one would write it down; kernels, the same for all, come first."
    centers, width = cells.mean(axis=1), cells[0, 1] - cells[0, 0]
    lags = (np.arange(len(centers))[:, None] - np.arange(len(centers))) * width
    kernels = {}
    for sigma in {row.settings.score_smooth_sigma for row in rows} - {0.0}:
        weights = np.exp(-0.5 * (lags / sigma) ** 2)
        kernels[sigma] = weights / weights.sum(axis=0)
    metrics: dict[str, list] = {}
    for row in rows:
        s = row.settings
        for i, event in enumerate(events):
            scales = []
            for length in row.L_sec:
                scores = curves[length][i]
                if s.score_zscore:
                    scores = (scores - scores.mean(axis=1, keepdims=True)) / scores.std(axis=1, keepdims=True)
                if s.score_smooth_sigma:
                    scores = scores @ kernels[s.score_smooth_sigma]
                mass = np.exp((scores - scores.max(axis=1, keepdims=True)) / s.tau)
                scales.append(pooled(mass / mass.sum(axis=1, keepdims=True), s.multi_reduce))
            for name, value in metrics_of(pooled(np.array(scales), s.scale_fusion), centers, cells, *event).items():
                metrics.setdefault(name, []).append(value)
    return {name: np.array(values).reshape(len(rows), len(events)) for name, values in metrics.items()}


def pooled(pdfs: np.ndarray, how: str) -> np.ndarray:
    if len(pdfs) == 1:
        return pdfs[0]
    fused = {"mean": np.mean, "max": np.max, "product": np.prod}[how](pdfs, axis=0)
    return fused / fused.sum()


def metrics_of(pdf: np.ndarray, centers: np.ndarray, cells: np.ndarray, start: float, end: float) -> dict[str, float]:
    tied = np.flatnonzero(pdf >= pdf.max() * (1 - 1e-9))
    t = centers[tied[(len(tied) - 1) // 2]]
    overlap = np.clip(np.minimum(cells[:, 1], end) - np.maximum(cells[:, 0], start), 0, None) / (cells[0, 1] - cells[0, 0])
    mass = float(pdf @ overlap)
    mae, dist = abs(t - (start + end) / 2), max(start - t, t - end, 0.0)
    metrics = {"mae": mae, "dist": dist, "inside": float(start <= t < end), "mass_inside": mass, "log_score": np.log(max(mass, 1e-6))}
    for delta in (0.25, 0.5, 1.0):
        metrics[f"hit_{delta}"], metrics[f"hit_event_{delta}"] = float(mae <= delta + 1e-9), float(dist <= delta + 1e-9)
    return metrics
