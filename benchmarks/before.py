"""An older avesound beside this one, for lines that say how much faster or smaller something has become: `make bench-before`.

The commit is pinned, so that ratios of different days have one denominator. Lines run it in processes of their own
(`rounds.fresh(…, package=…)`), where `import avesound` finds the older package.
"""

import io
import os
import shutil
import statistics
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

from .rounds import ROOT, Skipped, fresh

COMMIT = "c88ac2011c93ef014ada7a0a642d5bee1ce42191"
FOLDER = ROOT / "bench" / "before"


def before() -> Path:
    "The folder in which the older package lies; it is put there if it is not."
    if not (FOLDER / COMMIT / "avesound" / "__init__.py").is_file():
        unpack(FOLDER / COMMIT)
    return FOLDER / COMMIT


def unpack(folder: Path) -> None:
    "The package of the pinned commit, written whole or not at all. Raises `Skipped` where the history does not have it."
    try:
        done = subprocess.run(["git", "archive", COMMIT, "avesound"], cwd=ROOT, capture_output=True, check=False)
    except OSError as error:
        raise Skipped("git is not installed, which knows the older code") from error
    if done.returncode:
        raise Skipped(f"this checkout does not have commit {COMMIT[:7]} in its history (git fetch --unshallow)")
    unfinished = folder.with_name(f"{folder.name}.unfinished-{os.getpid()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tar.extractall(unfinished, filter="data")
    try:
        unfinished.replace(folder)
    except OSError:  # another process was faster
        shutil.rmtree(unfinished)


def alternated(cost: Callable, rounds: int, *arguments, threads: int = 1) -> dict[str, list[dict]]:
    """What a function costs in the older package and in this one, in fresh processes that take turns.

    It is given the arguments, `{}` in them replaced by "before" or "now", and that word; what it returns has `cpu_s`.
    """
    packages = {"before": before(), "now": None}
    runs: dict[str, list[dict]] = {name: [] for name in packages}
    for k in range(rounds):
        for name in list(packages)[:: 1 if k % 2 else -1]:
            given = [a.replace("{}", name) if isinstance(a, str) else a for a in arguments]
            runs[name].append(fresh(cost, *given, name, threads=threads, package=packages[name]))
    return runs


def ratio(runs: dict[str, list[dict]], of: str = "cpu_s") -> list[float]:
    "How many times as much the older package took, in each round."
    return [a[of] / b[of] for a, b in zip(runs["before"], runs["now"], strict=True)]


def spoken(runs: dict[str, list[dict]]) -> str:
    return ", ".join(f"{name} {statistics.median(run['cpu_s'] for run in of):.3g} s" for name, of in runs.items())


def imported() -> str:
    "Which avesound this process imports."
    import avesound

    return str(avesound.__file__)


if __name__ == "__main__":
    print(before().relative_to(ROOT))
