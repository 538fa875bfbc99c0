"""The pages that show the benchmarks: `make bench-page`, or `python -m benchmarks.page [--bench bench]`.

What was measured last is `benchmarks/measured.json`: lines measured anew (`bench.json` and `how_long.json` in `--bench`) take the place of
theirs there. From it come `nbs/performance.md`, for those who ask how long it will take, `nbs/speed.md`, with every line, and
`benchmarks/README.md`, with the bounds.
"""

import argparse
import json
from pathlib import Path

from .how_long import AVE_CLIPS
from .rounds import ROOT
from .table import cells_of

MEASURED = ROOT / "benchmarks" / "measured.json"
PAGE, SPEED, BOUNDS = ROOT / "nbs" / "performance.md", ROOT / "nbs" / "speed.md", ROOT / "benchmarks" / "README.md"
ORIGIN = "<!-- Made by `make bench-page` from benchmarks/measured.json: edit benchmarks/page.py. -->"
CORES = (1, 8)
SENSES = {("video", "audio"): "", ("video",): " (picture)", ("audio",): " (sound)"}
LIMITS = ROOT / "benchmarks" / "limits.md"
WHY = {  # a bound is missed, where it is
    "decode": "pictures of which others are made have to be decoded, whoever looks at them; a file without others gains nothing",
    "memory of a tower": "much of it is PyTorch and torchvision before the first clip",
    "video tower": "multiplications that are saved make what the line “multiplications” counts; a prototype with another torch reached it",
    "log-mel": "windows of 0.25 s begin half a row beside the others, so 25 s of sound are computed instead of 350: 14 × at most",
    "resize": "the clip is made of noise as fine as pixels; the quicker way changes no bit of it",
    "similarities before": "reading and checksums alone are the floor below, and files, settings and spacing of each clip are checked now",
    "evaluation before": "of 4 s reading and curves take 1.4, wrong sounds 0.9, tables and files 0.8, numpy and pandas 0.5",
}
TESTS = (
    "`make test` was to take 5 minutes on two cores, and says itself how long it takes: 17 to 32, by the machine. Missed: there are 3,800 "
    "tests with 2,300 s of processor time or more, and no part of them that is large."
)
KEPT = ("what", "bound", "unit", "status", "median", "min", "max", "note", "skipped", "error", "fault")


def main(argv: list[str] | None = None) -> None:
    from avesound.files import atomic_write

    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bench", type=Path, default=Path("bench"), help="where bench.json and how_long.json are (default: %(default)s)")
    options = parser.parse_args(argv)
    measured = read(MEASURED)
    if (path := options.bench / "bench.json").is_file():
        measured["bench"] = with_new_lines(measured["bench"], read(path))
    if (path := options.bench / "how_long.json").is_file():
        measured["how_long"] = read(path)
    written = {
        MEASURED: json.dumps(measured, indent=1, ensure_ascii=False) + "\n",
        PAGE: page(measured),
        SPEED: speed(measured),
        BOUNDS: bounds(measured),
    }
    for path, text in written.items():
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def with_new_lines(kept: dict, new: dict) -> dict:
    """The lines of the last page, those measured anew in place of theirs; a look (`--quick`) is no measurement and is refused.

    Each line says on which machine it was measured, since a few of them may have been measured on another one.
    """
    if new["quick"]:
        raise SystemExit("bench.json is of --quick, a look and no measurement: run make bench")
    fresh = {
        line["line"]: line | {"machine": new["machine"], "rounds": new["rounds"], "rows": [_slim(row) for row in line["rows"]]}
        for line in new["lines"]
    }
    lines = [fresh.pop(line["line"], line) for line in kept["lines"]]
    return {"lines": lines + list(fresh.values())}


def _slim(row: dict) -> dict:
    "A row without the values of each round."
    return {name: row[name] for name in KEPT if name in row}


def _machine(about: dict) -> str:
    libraries = ", ".join(f"{name} {about[name]}" for name in ("avesound", "torch", "av") if name in about)
    return f"{about['cpu']}, {about['cores']} cores, {about['memory_gb']} GB; {libraries}"


# ---- the pages of the documentation


def page(measured: dict) -> str:
    "`nbs/performance.md`."
    head = _head("How long will it take?", "Time, memory and disk for AVE with each encoder, and how to ask for your own clips.")
    return "\n".join([*head, *_ave(measured), *_own(), *_after(measured)])


def _head(title: str, description: str) -> list[str]:
    return ["---", f"title: {title}", f"description: {description}", "---", "", ORIGIN, ""]


def _ave(measured: dict) -> list[str]:
    from avesound.embeddings.status import duration_text

    report = measured["how_long"]
    seconds = {name: of["decode_s"] + of["encode_s"] for name, of in report["encoders"].items()}
    text = lambda name, cores: duration_text(AVE_CLIPS * seconds[name] / cores)  # noqa: E731
    rows, space = [], []
    for name, of in report["encoders"].items():
        encoder = f"`{name}`{SENSES[tuple(of['kinds'])]}"
        times = " | ".join(text(name, cores) for cores in CORES)
        rows.append(f"| {encoder} | {_two_digits(seconds[name])} s | {times} |")
        space.append(f"| {encoder} | {of['bytes'] * AVE_CLIPS / 1e9:.2g} GB | {of['peak'] / 1e9:.1f} GB |")
    scaled = [f"`{name}` from one of {of['seconds']} s" for name, of in report["encoders"].items() if of["seconds"] != 10]
    return [
        "## How long does AVE take?",
        "",
        f"With `signal`, the default, {text('signal', 1)} on one core and {text('signal', 8)} on eight, for all {AVE_CLIPS:,} clips of AVE "
        f"(4,143 annotated events). With a network and no GPU it is hours or days: {text('mc3_18', 8)} for the picture with "
        f"`mc3_18` on eight cores, "
        f"{text('mc3', 8)} for picture and sound with `mc3`.",
        "",
        "| encoder | a clip | AVE, 1 core | 8 cores |",
        "|:--|--:|--:|--:|",
        *rows,
        "",
        "*A clip* is the processor time of 10 s of video of 640 × 360 pixels with one vector each quarter of a second and one "
        "length of sound, in one thread. Two towers, say `mc3_18` and `ast`, take the sum of their times. A clip of 1280 × 720 "
        "takes `signal` two to three times as long "
        "([On a large scale](scale.md)).",
        "",
        '**With a GPU:** nobody has measured it yet; there was none. `make bench LINES="on a GPU"` measures it where there is one.',
        "**`pe_av`:** not measured; its weights could not be had here.",
        "",
        f"Measured by `python -m benchmarks.how_long` on {_machine(report['machine'])}. The clips are made up, with bit rates like "
        f"AVE's; networks are in float32 with random weights, "
        f"which take as long as trained ones. Other processes kept {report['others_cores']:.1f} cores busy meanwhile, so these are "
        f"rather too long than too short. "
        "The columns for AVE are multiplication: nobody waited for them"
        + (f", and the time of a clip was measured on a shorter one, {' and '.join(scaled)}." if scaled else "."),
        "",
        "## How much disk and memory does AVE need?",
        "",
        "| encoder | disk | memory |",
        "|:--|--:|--:|",
        *space,
        "",
        "*Disk* is the cache of all clips with one length of sound; *memory* is that of one worker.",
        "",
    ]


def _own() -> list[str]:
    return [
        "## How long will my own clips take?",
        "",
        "```bash",
        "avesound extract --vid_dir my_videos --out_dir cache --estimate",
        "```",
        "",
        "embeds 20 of them with your encoder on your machine, throws the vectors away, and prints time, disk and memory, also for shards "
        "([how](565_embeddings_estimate.ipynb)). If it is too long: [Out of memory, or too slow](howto/out_of_memory.md).",
        "",
    ]


def _after(measured: dict) -> list[str]:
    lines = {line["line"]: line["rows"] for line in measured["bench"]["lines"]}
    evaluation, sweep = lines["evaluation"][0]["median"], lines["sweep"][0]["median"]
    return [
        "## How long does everything after extraction take?",
        "",
        f"Seconds. An evaluation of 4,097 clips with all metrics, baselines, 49 wrong sounds and intervals takes {evaluation:.0f} "
        f"s, and a sweep over 1,200 settings "
        f"{sweep:.1f} s once the similarities are kept (two cores, numba installed). Each part, against what a careful script does: "
        "[How fast is each part?](speed.md)",
        "",
    ]


def speed(measured: dict) -> str:
    "`nbs/speed.md`."
    lines = measured["bench"]["lines"]
    machines = list(dict.fromkeys(_machine(line["machine"]) for line in lines))
    rows = []
    for line in lines:
        title = _capital(line["title"])
        rows += [f"## {_capital(line['line'])}", "", f"{title}.", "", "| what | median [min, max] |", "|:--|:--|"]
        for row in line["rows"]:
            what, _, value, _ = cells_of(row)
            why = row.get("skipped") or row.get("error")
            rows.append(f"| {what.strip() or 'all of it'}{_note(row)} | {value or 'not measured: ' + str(why)} |")
        rows.append("")
    text = [
        *_head("How fast is each part?", "Every line of the benchmark, what it compares and what was measured."),
        "× is a ratio within one run: so many times as much of what the heading names, for the first thing as for the second. "
        f"The variants of a line take turns, five rounds or more; a ratio is taken per round. {'; '.join(machines)}.",
        "",
        *rows,
        LIMITS.read_text(encoding="utf-8"),
        "Measured by `make bench-page`. What each line does is text beside it in "
        "[benchmarks](https://github.com/avesound/avesound/tree/main/benchmarks), with the bounds that development holds itself to, "
        "and which of them are missed.",
        "",
    ]
    return "\n".join(text)


def _two_digits(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"


def _note(row: dict) -> str:
    return f" ({row['note']})" if row.get("note") else ""


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


# ---- the page for those who work on avesound


def bounds(measured: dict) -> str:
    "`benchmarks/README.md`."
    lines = measured["bench"]["lines"]
    rows = []
    for line in lines:
        for row in line["rows"]:
            what, bound, value, status = cells_of(row)
            if bound or row.get("skipped") or row.get("error"):
                why = f": {WHY[line['line']]}" if status == "missed" and line["line"] in WHY else ""
                rows.append(f"| {line['line']} | {what.strip()}{_note(row)} | {bound} | {value} | {status}{why} |")
    missed = sum(row["status"] == "missed" for line in lines for row in line["rows"])
    reached = sum(row["status"] == "reached" for line in lines for row in line["rows"])
    return "\n".join(
        [
            ORIGIN,
            "",
            "# Benchmarks",
            "",
            '`make bench` measures (`LINES="decode, start"` for some lines), `make bench-page` measures and writes '
            "[the](../nbs/performance.md) [pages](../nbs/speed.md) of the documentation and this one, `python -m benchmarks.page` "
            "writes them from what was measured last.",
            "Each file here is a line of the table; what a line means, and where its bound comes from, is said beside it. Nothing "
            "fails for being slow.",
            "",
            "## Bounds",
            "",
            f"{reached} are reached, {missed} missed.",
            "",
            "| line | what | bound | median [min, max] | |",
            "|:--|:--|:--|:--|:--|",
            *rows,
            "",
            TESTS,
            "",
        ]
    )


if __name__ == "__main__":
    main()
