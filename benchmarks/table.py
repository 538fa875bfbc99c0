"The lines by name, the run of one, and the table in the terminal and in Markdown."

import importlib.metadata
import platform
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .clips import Bench
from .rounds import CORES, Row, Skipped, cpu_seconds

COLUMNS = ("line", "bound", "median [min, max]", "")


@dataclass(frozen=True)
class Line:
    title: str
    measure: Callable[[Bench], Iterable[Row]]
    needs: tuple[str, ...]


LINES: dict[str, Line] = {}


def line(name: str, title: str, needs: tuple[str, ...] = ()):
    "Put a function among the lines. `needs` are processor flags, as Linux names them, without which the line says nothing."

    def put(measure: Callable[[Bench], Iterable[Row]]):
        LINES[name] = Line(title, measure, needs)
        return measure

    return put


def cpu_flags() -> set[str]:
    "What this processor can do, as Linux names it; empty where that is not to be known."
    return set(_cpuinfo("flags", "Features").split())


def _cpuinfo(*names: str) -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for row in path.read_text().splitlines():
            name, _, value = row.partition(":")
            if name.strip() in names:
                return value.strip()
    return ""


def machine() -> dict:
    "The machine in words; nothing that names it."
    import av
    import psutil

    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")
    versions = {
        name: importlib.metadata.version(name)
        for name in ("avesound", "numpy", "scipy", "av", "torch", "torchvision", "torchaudio", "transformers")
    }
    return {
        "cpu": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "cores": CORES,
        "flags": sorted(cpu_flags() & set(wanted)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions,
        "ffmpeg": av.ffmpeg_version_info,
    }


class Load:
    "How many cores other processes have kept busy since it was made."

    def __init__(self):
        self._start = self._now()

    def _now(self):
        import psutil

        times = psutil.cpu_times()
        busy = sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))
        return busy, cpu_seconds(), time.perf_counter()

    def others(self) -> float:
        busy, mine, wall = (now - then for now, then in zip(self._now(), self._start, strict=True))
        return max(0.0, (busy - mine) / max(wall, 1e-3))


def measured(name: str, bench: Bench) -> dict:
    "Everything about one line."
    selected, load, began = LINES[name], Load(), time.perf_counter()
    rows: list[Row] = []
    try:
        lacking = set(selected.needs) - cpu_flags()
        if lacking:
            raise Skipped(f"this processor has no {', '.join(sorted(lacking))}")
        rows.extend(selected.measure(bench))
    except Skipped as reason:
        rows.append(Row("", skipped=str(reason)))
    except Exception as error:  # one line's failure is not the others'; its message may hold paths, so it goes to the terminal alone
        traceback.print_exc()
        rows.append(Row("", error=type(error).__name__))
    return {
        "line": name,
        "title": selected.title,
        "others_cores": round(load.others(), 2),
        "took_s": round(time.perf_counter() - began, 1),
        "rows": [row.as_dict() for row in rows],
    }


def cells_of(row: dict) -> tuple[str, str, str, str]:
    "A row as it is read."
    digits = 3 if row["unit"] == "s" else 1 if row["unit"] in ("dB", "MB") else 2
    value = ""
    if "median" in row:
        value = f"{row['median']:.{digits}f}"
        if row["min"] != row["max"]:
            value += f" [{row['min']:.{digits}f}, {row['max']:.{digits}f}]"
        value += f" {row['unit']}"
    why = row.get("skipped") or row.get("error") or row.get("fault")
    return row["what"], row["bound"], value, row["status"] + (f": {why}" if why else "")


def as_text(line: dict) -> str:
    "A line of the table for the terminal."
    lines = [f"{line['line']}: {line['title']}  (others kept {line['others_cores']:.1f} of {CORES} cores busy)"]
    for row in line["rows"]:
        what, bound, value, status = cells_of(row)
        lines.append(f"  {what:<58} {bound:>8}  {value:<24} {status}".rstrip())
        if row.get("note"):
            lines.append(f"  {'':<4}{row['note']}")
    return "\n".join(lines)


def as_markdown(report: dict) -> str:
    machine = report["machine"]
    versions = ", ".join(
        f"{name} {machine[name]}" for name in ("avesound", "python", "numpy", "scipy", "torch", "torchvision", "av", "ffmpeg")
    )
    flags = f" ({', '.join(machine['flags'])})" if machine["flags"] else ""
    text = [
        "# Speed",
        "",
        f"{machine['cpu']}{flags}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}; {versions}.",
        f"{report['rounds']} rounds or more; the variants of a line take turns, ratios are taken per round: median [min, max].",
        "Wall times suffer where other processes keep cores busy; ratios of processor time do so less, but do.",
    ]
    for line in report["lines"]:
        heading, title = (words[0].upper() + words[1:] for words in (line["line"], line["title"]))
        text += ["", f"## {heading}", "", f"{title}. Other processes kept {line['others_cores']:.1f} cores busy.", ""]
        text += [
            "| " + " | ".join(COLUMNS) + " |",
            "|" + "|".join("-" * width for width in (50, 12, 22, 16)) + "|",
        ]  # widths of the page's columns
        for row in line["rows"]:
            what, *rest = cells_of(row)
            text.append("| " + " | ".join([what + (f" ({row['note']})" if row.get("note") else ""), *rest]) + " |")
    return "\n".join(text) + "\n"
