"The run: `python -m benchmarks --help`."

import argparse
import importlib
import json
import sys
import tempfile
from pathlib import Path

from .clips import Bench
from .rounds import CORES
from .table import LINES, as_markdown, as_text, machine, measured

MODULES = (  # in the order of the table
    "decode",
    "naive",
    "resize",
    "workers",
    "memory",
    "long_clip",
    "since",
    "video_tower",
    "log_mel",
    "audio_tower",
    "frames",
    "end_to_end",
    "gpu",
    "start",
    "bootstrap",
    "similarities",
    "evaluation",
    "packed",
    "sweep",
)
for module in MODULES:  # each puts its lines into LINES
    importlib.import_module(f"{__package__}.{module}")


def parsed(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Speed as ratios inside one run. The lines: " + ", ".join(LINES)
    )
    parser.add_argument("--out_dir", type=Path, default=Path("bench"), help="gets bench.json and bench.md (default: %(default)s)")
    parser.add_argument(
        "--only",
        action="append",
        metavar="LINE",
        help="this line alone; may be given several times, or as several names with commas between",
    )
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="two rounds: a look, not a measurement")
    options = parser.parse_args(argv)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    options.lines = [name.strip() for names in options.only or LINES for name in names.split(",")]
    unknown = [name for name in options.lines if name not in LINES]
    if unknown:
        parser.error(f"no line {', '.join(map(repr, unknown))}; there are {', '.join(LINES)}")
    return options


def main(argv: list[str] | None = None) -> int:
    from avesound.files import atomic_write

    options = parsed(argv)
    report = {"machine": machine(), "rounds": 2 if options.quick else options.rounds, "quick": options.quick, "lines": []}
    print(f"{report['machine']['cpu']}, {CORES} cores; {report['rounds']} rounds; median [min, max]", flush=True)
    with tempfile.TemporaryDirectory(prefix="avesound-bench-") as folder:
        bench = Bench(report["rounds"], Path(folder))
        for name in options.lines:
            report["lines"].append(measured(name, bench))
            print("\n" + as_text(report["lines"][-1]), flush=True)
    with atomic_write(options.out_dir / "bench.json") as temporary:
        temporary.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with atomic_write(options.out_dir / "bench.md") as temporary:
        temporary.write_text(as_markdown(report), encoding="utf-8")
    failed = [line["line"] for line in report["lines"] if any(row["status"] == "error" for row in line["rows"])]
    if failed:
        print(f"\nnot measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
