"Processes that work on clips: what a second one gains, what they cost against threads, and what it takes to start them."

import statistics
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from .clips import Bench
from .rounds import CORES, Row, Skipped, Spent, as_seconds, cpu_seconds, fresh, fresh_rows, in_turns, ratios
from .table import line

N = 24  # clips of a round
N_TOWER = 10


@line("workers", "clips to cached vectors: one worker process against two, while they work (encoder signal)")
def workers(bench: Bench):
    _needs_two_cores()
    yield from fresh_rows(two_against_one, str(bench.copies(N, bench.synthetic[0].path)), str(bench.folder), bench.rounds)


@line(
    "workers and threads",
    "throughput of two worker processes against two threads that decode while this process encodes, as before; while they work",
)
def workers_and_threads(bench: Bench):
    _needs_two_cores()
    clips, short = str(bench.copies(N, bench.synthetic[0].path)), str(bench.copies(N_TOWER, bench.short))
    yield from fresh_rows(against_threads, clips, str(bench.folder), "signal", bench.rounds)
    yield from fresh_rows(against_threads, short, str(bench.folder), "mc3_18", min(bench.rounds, 3), threads=CORES)  # minutes


@line("start of workers", "from nothing to the first clip done by each of two workers, in a fresh process; the clip takes no time")
def start_of_workers(bench: Bench):
    clips = str(bench.copies(2, bench.short))
    for encoder in ("signal", "mc3_18"):
        runs = [fresh(start_times, clips, str(bench.folder), encoder) for _ in range(bench.rounds)]
        note = f"{statistics.median(run['cpu_s'] for run in runs):.2f} s of processor time"
        yield Row(encoder, [run["wall_s"] for run in runs], "s", note=note)


def _needs_two_cores() -> None:
    if CORES < 2:
        raise Skipped("there is one core only")


def two_against_one(clips: str, folder: str, rounds: int) -> list[Row]:
    jobs, towers = planned_jobs(clips, f"{folder}/workers", "signal")
    times = steady_in_turns({"one": partial(in_workers, jobs, towers, 1), "two": partial(in_workers, jobs, towers, 2)}, rounds, len(jobs))
    busy = statistics.median(s.cpu_s / s.wall_s for s in times["two"])
    note = f"the two were given {busy:.2f} cores; wall time needs the cores free"
    seconds = as_seconds(times)
    return [
        Row("wall time", ratios(times, "one", "two", "wall_s"), at_least=1.5, note=note, seconds=seconds),
        Row("processor time of two against one", ratios(times, "two", "one"), seconds=seconds),
    ]


def against_threads(clips: str, folder: str, encoder: str, rounds: int) -> list[Row]:
    jobs, towers = planned_jobs(clips, f"{folder}/threads-{encoder}", encoder)
    if encoder != "signal":
        import torch

        torch.set_num_threads(CORES)  # of this process, beside the threads
    work = {"threads": partial(in_threads, jobs, towers, 2), "workers": partial(in_workers, jobs, towers, 2)}
    times = steady_in_turns(work, rounds, len(jobs))
    rate = {name: statistics.median((len(jobs) - FIRST) / s.cpu_s for s in of) for name, of in times.items()}
    note = "clips for each processor second: " + ", ".join(f"{name} {value:.2f}" for name, value in rate.items())
    seconds = as_seconds(times)
    return [
        Row(f"{encoder}, processor time", ratios(times, "threads", "workers"), at_least=0.95, note=note, seconds=seconds),
        Row(f"{encoder}, wall time", ratios(times, "threads", "workers", "wall_s"), at_least=0.95, seconds=seconds),
    ]


def start_times(clips: str, folder: str, encoder: str) -> dict[str, float]:
    from avesound.embeddings.workers import map_workers

    jobs, towers = planned_jobs(clips, f"{folder}/start", encoder)
    cpu_s, wall_s, ends = cpu_seconds(), time.perf_counter(), []
    for _ in map_workers(partial(nothing, towers=towers), jobs, 2):
        ends.append(Spent(cpu_seconds() - cpu_s, time.perf_counter() - wall_s))
    return vars(ends[-1])


def nothing(job, towers) -> None:
    "What takes no time and needs the encoders. Long enough that one worker does not take both jobs."
    assert towers.seeing is not None
    time.sleep(0.2)


def planned_jobs(clips: str, cache: str, encoder: str):
    "A job for each clip of a folder, and the encoders; what is written before is replaced."
    from avesound.embeddings.extract import clip_jobs, planned
    from avesound.embeddings.job import WindowSettings
    from avesound.encoders.base import create_encoder

    more = {"weights": "random", "device": "cpu"} if encoder == "mc3_18" else {}
    kinds = {"signal": ("video", "audio"), "logmel": ("audio",), "mc3_18": ("video",)}[encoder]
    plan, towers = planned(cache, create_encoder(encoder, **more), None, WindowSettings(), kinds)
    for folder in plan.folders.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    return list(clip_jobs(clips, plan).values()), towers


def in_workers(jobs: list, towers, n: int) -> Iterator[str]:
    "The status of each clip, as `extract` goes about it."
    from avesound.embeddings.extract import RunSettings
    from avesound.embeddings.job import do_clip
    from avesound.embeddings.workers import map_workers

    for _, record in map_workers(partial(do_clip, towers=towers), jobs, n, RunSettings(workers=n).limits):
        yield record["status"]


def in_threads(jobs: list, towers, n: int) -> Iterator[str]:
    "The same as it was done before there were workers: threads decode, and this one encodes and writes."
    from avesound.embeddings.job import finish_clip, load_clip

    with ThreadPoolExecutor(n) as pool:
        for job, loaded in zip(jobs, pool.map(load_clip, jobs), strict=True):
            yield finish_clip(job, loaded, towers)["status"]


FIRST = 4  # clips that do not count: workers start, libraries are loaded


def steady(statuses: Iterable[str], n: int) -> Spent:
    "What all but the first of `n` clips took."
    at: dict[int, Spent] = {}
    for i, status in enumerate(statuses, start=1):
        if status != "ok":
            raise RuntimeError(f"a clip is {status}")
        if i in (FIRST, n):
            at[i] = Spent(cpu_seconds(), time.perf_counter())
    return Spent(at[n].cpu_s - at[FIRST].cpu_s, at[n].wall_s - at[FIRST].wall_s)


def steady_in_turns(variants: dict, rounds: int, n: int) -> dict[str, list[Spent]]:
    "As `in_turns`, of the part that `steady` counts."
    times: dict[str, list[Spent]] = {name: [] for name in variants}
    in_turns({name: lambda name=name, run=run: times[name].append(steady(run(), n)) for name, run in variants.items()}, rounds)
    return {name: of[1:] for name, of in times.items()}  # the first does not count
