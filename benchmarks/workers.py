"Threads that decode at once: FFmpeg lets go of Python's lock."

import statistics

from .clips import Bench
from .rounds import CORES, Row, Skipped, as_seconds, in_turns, ratios
from .table import line


@line("workers", "two decoding threads against one, wall time")
def workers(bench: Bench):
    from concurrent.futures import ThreadPoolExecutor

    from avesound.media.decode import decode_clip

    if CORES < 2:
        raise Skipped("there is one core only")

    def decode_all(n_threads):
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(lambda clip: decode_clip(clip.path, fps=16, size=(112, 112)), bench.synthetic * 3))

    times = in_turns({"one thread": lambda: decode_all(1), "two threads": lambda: decode_all(2)}, bench.rounds)
    busy = statistics.median(s.cpu_s / s.wall_s for s in times["two threads"])
    extra = statistics.median(ratios(times, "two threads", "one thread"))
    note = f"the two threads were given {busy:.2f} cores and used {extra:.2f}× the processor time of one; wall time needs the cores free"
    faster = ratios(times, "one thread", "two threads", "wall_s")
    yield Row("3 clips of 360 lines and 3 of 720", faster, at_least=1.5, note=note, seconds=as_seconds(times))
