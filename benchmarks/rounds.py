"""Variants that take turns, and the ratios of their seconds: what `pyperf`, `asv` and `pytest-benchmark` do not do.

All three time one benchmark after the other (`asv` can interleave whole processes) and compare summaries afterwards. On a machine that
others use too, only variants that alternate within every round, a ratio for each round and the median of the ratios can be believed;
and none of the three counts processor seconds of child processes and of theirs, which our workers are.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
CHILD = "import importlib, json, sys; name, function, arguments, package = sys.argv[1:]; module = importlib.import_module(name); \
sys.path[:0] = [package] if package else []; \
print(json.dumps(getattr(module, function)(*json.loads(arguments)), default=vars))"


class Skipped(Exception):
    "This line says nothing here; the message says why."


@dataclass(frozen=True)
class Row:
    "One figure: a value for each round, or a single one, and the bound on their median."

    what: str
    values: list[float] = field(default_factory=list)
    unit: str = "×"
    at_most: float | None = None
    at_least: float | None = None
    fault: str = ""  # what is wrong besides speed; then the line is missed
    note: str = ""  # what helps to read the figure
    seconds: dict[str, dict] = field(default_factory=dict)  # variant -> processor and wall seconds of each round
    skipped: str = ""  # why there is no figure
    error: str = ""

    @property
    def bound(self) -> str:
        if self.at_most is None and self.at_least is None:
            return ""
        return f"≤ {self.at_most:g} {self.unit}" if self.at_least is None else f"≥ {self.at_least:g} {self.unit}"

    @property
    def status(self) -> str:
        if self.error or self.skipped:
            return "error" if self.error else "skipped"
        if not self.bound and not self.fault:
            return "no bound"
        median = statistics.median(self.values)
        missed = (self.at_most is not None and median > self.at_most) or (self.at_least is not None and median < self.at_least)
        return "missed" if missed or self.fault else "reached"

    def as_dict(self) -> dict:
        "JSON values."
        row = {"what": self.what, "bound": self.bound, "unit": self.unit, "status": self.status}
        if v := self.values:
            row |= {"median": statistics.median(v), "min": min(v), "max": max(v), "values": list(v)}
        more = {"fault": self.fault, "note": self.note, "skipped": self.skipped, "error": self.error, "seconds": self.seconds}
        return row | {name: value for name, value in more.items() if value}


@dataclass(frozen=True)
class Spent:
    "Processor seconds of this process and those below it, and seconds of the clock on the wall."

    cpu_s: float
    wall_s: float


def cpu_seconds() -> float:
    """Of this process and all below it so far.

    Workers are children of a server that lives as long as this process, so the system has not added their seconds to ours yet: what it
    knows of living processes, and of the dead ones that these have had, is looked up.
    """
    import psutil

    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def spent(work: Callable[[], object]) -> Spent:
    cpu_s, wall_s = cpu_seconds(), time.perf_counter()
    work()
    return Spent(cpu_seconds() - cpu_s, time.perf_counter() - wall_s)


def in_turns(variants: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[Spent]]:
    "Every variant once in each round, another one first each time, after one run that does not count."
    names = list(variants)
    for name in names:
        variants[name]()
    times: dict[str, list[Spent]] = {name: [] for name in names}
    for k in range(rounds):
        first = k % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(spent(variants[name]))
    return times


def ratios(times: dict[str, list[Spent]], above: str, below: str, of: str = "cpu_s") -> list[float]:
    return [getattr(a, of) / getattr(b, of) for a, b in zip(times[above], times[below], strict=True)]


def as_seconds(times: dict[str, list[Spent]], *names: str) -> dict[str, dict]:
    "The seconds of the named variants, of all if none is named."
    return {name: {"cpu_s": [s.cpu_s for s in times[name]], "wall_s": [s.wall_s for s in times[name]]} for name in names or times}


def fresh(function: Callable, *arguments, threads: int = 1, package: Path | None = None):
    """What a function of a line's module returns, as JSON, in a process of its own with `threads` threads for matrix products.

    There `import avesound` finds the package in the folder `package` instead of this one, where a folder is given.
    """
    spec = sys.modules[function.__module__].__spec__  # of a module that is run with -m: its real name
    call = [
        sys.executable,
        "-c",
        CHILD,
        spec.name if spec else function.__module__,
        function.__name__,
        json.dumps(arguments),
        str(package or ""),
    ]
    done = subprocess.run(call, cwd=ROOT, env=environment(threads), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{function.__name__} failed in a fresh process:\n{done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def fresh_rows(function: Callable, *arguments, threads: int = 1) -> list[Row]:
    "The rows that a function returns in a process of its own."
    return [Row(**row) for row in fresh(function, *arguments, threads=threads)]


def environment(threads: int) -> dict[str, str]:
    "Of a fresh process, which finds what Python has compiled before: whoever works with a package has started it before."
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    kept["PYTHONPYCACHEPREFIX"] = str(ROOT / "bench" / "compiled")
    return kept | {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL")}


def resident_bytes(peak: bool = False) -> int:
    "Memory of this process now, or the most it had so far."
    try:
        # Not ru_maxrss: a new process inherits it from the one that started it.
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:" if peak else "VmRSS:"))
    except (OSError, StopIteration) as error:
        raise Skipped("memory is read from /proc, which this system does not have") from error


def forget_peak() -> None:
    "Let the peak begin anew here. Where the system refuses, an earlier peak counts too: never too little is reported."
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
