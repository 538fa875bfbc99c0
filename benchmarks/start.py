"What one waits for before anything happens."

import statistics
import subprocess
import sys

from .clips import Bench
from .rounds import Row, as_seconds, in_turns
from .table import line

HEAVY = ("torch", "torchvision", "pandas")


@line("start", "fresh process to its end, wall time; no torch, torchvision or pandas is loaded")
def start(bench: Bench):
    print_heavy = f"print([name for name in {HEAVY!r} if name in sys.modules])"
    programs = {
        "import avesound": f"import sys, avesound; {print_heavy}",
        "avesound --help": f"import sys\nfrom avesound.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n{print_heavy}",
        "Python alone": f"import sys; {print_heavy}",
    }
    loaded: dict[str, str] = {}

    def run(name):
        done = subprocess.run([sys.executable, "-c", programs[name]], capture_output=True, text=True, check=True)
        loaded[name] = done.stdout.splitlines()[-1]

    times = in_turns({name: lambda name=name: run(name) for name in programs}, 2 * bench.rounds)
    for name in list(programs)[:2]:
        values, alone = ([s.wall_s for s in times[n]] for n in (name, "Python alone"))
        fault = "" if loaded[name] == "[]" else f"loads {loaded[name]}"
        note = f"Python alone {statistics.median(alone):.2f} s"
        yield Row(name, values, "s", at_most=0.3, fault=fault, note=note, seconds=as_seconds(times, name))
