"From thousands of small files to one array, holding no more than that array."

import statistics

from .cache import clip_id, write_cache
from .clips import Bench
from .rounds import Row, forget_peak, fresh, resident_bytes, spent
from .table import line


@line("similarities", "similarities from 4,097 pairs of npz files of 40 vectors of 512 numbers, in a fresh process")
def similarities(bench: Bench):
    cache = bench.folder / "similarities"
    write_cache(cache, 4097)
    runs = [fresh(similarity_times, str(cache), 4097) for _ in range(bench.rounds)]
    note = f"{statistics.median(run['cpu_s'] for run in runs):.2f} s of processor time; one BLAS thread, the files in the system's cache"
    yield Row("wall time", [run["wall_s"] for run in runs], "s", at_most=2.5, note=note)
    note = f"the result itself is {runs[0]['result_mb']:.1f} MB"
    yield Row("peak memory above the result", [run["growth_mb"] for run in runs], "MB", at_most=10, note=note)


def similarity_times(cache: str, n: int) -> dict[str, float]:
    from avesound.data.annotations import ClipAnnotation
    from avesound.embeddings.similarity import similarity_set
    from avesound.timeline import Interval

    clips = [ClipAnnotation(clip_id(i), "bench", (Interval(2.0, 6.0),)) for i in range(n)]
    similarity_set(cache, clips[:16])  # what the first call loads does not count
    results: list = []
    forget_peak()
    before = resident_bytes()
    times = spent(lambda: results.append(similarity_set(cache, clips)))
    similar = results[0]
    arrays = [*similar.curves, similar.cells, similar.duration_s, similar.loudness_db, similar.motion]
    result = sum(array.nbytes for array in arrays)
    if len(similar.video_ids) != n:
        raise RuntimeError(f"{n - len(similar.video_ids)} of {n} clips could not be read")
    return vars(times) | {"growth_mb": (resident_bytes(peak=True) - before - result) / 1e6, "result_mb": result / 1e6}
