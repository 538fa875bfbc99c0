"Resampling as matrix products: a thousand resamples of thousands of columns while one waits."

import statistics

import numpy as np

from .clips import Bench
from .rounds import CORES, Row, fresh, in_turns
from .table import line

KINDS = {"every clip has a value": 0.0, "5 % of the clips have none": 0.05}


@line("bootstrap", "1,000 bootstraps of 4,097 clips × 6,000 columns, wall time")
def bootstrap(bench: Bench):
    kinds = fresh(bootstrap_times, bench.rounds, list(KINDS.values()), threads=CORES)
    for (what, share), times in zip(KINDS.items(), kinds, strict=True):
        note = f"{CORES} BLAS threads, {statistics.median(t['cpu_s'] for t in times):.2f} s of processor time"
        values = [t["wall_s"] for t in times]
        yield Row(what, values, "s", at_most=None if share else 0.5, note=note + ("; no bound" if share else ""))


def bootstrap_times(rounds: int, shares: list[float]) -> list[list[dict]]:
    from avesound.metrics.bootstrap import bootstrap_interval

    rng = np.random.default_rng(0)
    tables = []
    for share in shares:
        tables.append(rng.random((4097, 6000)))
        tables[-1][rng.random(4097) < share] = np.nan
    times = in_turns({str(i): lambda table=table: bootstrap_interval(table, n_boot=1000) for i, table in enumerate(tables)}, rounds)
    return [[vars(s) for s in values] for values in times.values()]
