"The frame of `make bench`: what it writes, what it calls reached, and when it fails. Speed itself is asserted nowhere."

import json
import platform
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import how_long, long_clip, page, table
from benchmarks.__main__ import MODULES, main
from benchmarks.before import before, imported, unpack
from benchmarks.cache import write_cache
from benchmarks.clips import write_bench_clip
from benchmarks.evaluation import evaluation_times
from benchmarks.rounds import Row, Skipped, Spent, cpu_seconds, fresh, in_turns, ratios, resident_bytes, spent
from benchmarks.table import line, machine
from benchmarks.video_tower import Stock, multiplications

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def lines(monkeypatch):
    "The registry, empty."
    lines = {}
    for module in (table, sys.modules["benchmarks.__main__"]):
        monkeypatch.setattr(module, "LINES", lines)
    return lines


def run(tmp_path, *arguments: str) -> tuple[int, dict]:
    "The exit status, and the rows by line."
    status = main(["--out_dir", str(tmp_path / "bench"), "--quick", *arguments])
    report = json.loads((tmp_path / "bench/bench.json").read_text(encoding="utf-8"))
    return status, {line["line"]: line["rows"] for line in report["lines"]}


def test_the_script_writes_a_table_and_names_no_machine(tmp_path):
    out = tmp_path / "bench"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--out_dir", out, "--quick", "--only", "start"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["bench.json", "bench.md"]
    report = json.loads((out / "bench.json").read_text(encoding="utf-8"))
    assert [line["line"] for line in report["lines"]] == ["start"] and report["quick"]
    assert {"cpu", "cores", "python", "torch", "av", "ffmpeg"} <= report["machine"].keys()
    for row in report["lines"][0]["rows"]:
        assert row["status"] in ("reached", "missed") and "fault" not in row  # no torch, torchvision or pandas
        assert 0 < row["min"] <= row["median"] <= row["max"] and len(row["values"]) == 4
        assert row["what"] in done.stdout and f"{row['median']:.3f}" in done.stdout
    written = (out / "bench.json").read_text(encoding="utf-8") + (out / "bench.md").read_text(encoding="utf-8") + done.stdout
    assert str(ROOT) not in written and str(tmp_path) not in written


def test_the_machine_is_described_not_named(monkeypatch):
    for module, name in [(platform, "node"), (socket, "gethostname"), (socket, "getfqdn")]:
        monkeypatch.setattr(module, name, lambda *_: "name-of-the-host")
    described = machine()
    assert described["cores"] >= 1 and described["memory_gb"] >= 1 and described["torch"][0].isdigit() and described["ffmpeg"]
    assert "name-of-the-host" not in json.dumps(described)


def test_a_slow_line_is_no_failure_and_a_broken_one_is(lines, tmp_path, capsys):
    @line("slow", "what is slow")
    def slow(b):
        yield Row("too slow", [3.0, 1.0, 2.0], at_most=1.5)
        yield Row("fast enough", [3.0, 1.0, 2.0], at_least=1.5)

    @line("lacking", "what this processor cannot do", needs=("no_such_instruction",))
    def lacking(b):
        raise AssertionError("must not run")

    status, rows = run(tmp_path)
    assert status == 0
    assert [row["status"] for row in rows["slow"]] == ["missed", "reached"] and rows["slow"][0]["median"] == 2.0
    assert rows["lacking"][0]["status"] == "skipped" and "no_such_instruction" in rows["lacking"][0]["skipped"]

    @line("broken", "what breaks half-way")
    def broken(b):
        yield Row("before", [1.0])
        raise OSError(f"cannot read {b.folder}/x")

    status, rows = run(tmp_path)
    assert status == 1
    assert rows["slow"][0]["status"] == "missed" and [row["status"] for row in rows["broken"]] == ["no bound", "error"]
    errors = capsys.readouterr().err
    assert "cannot read" in errors and "not measured: broken" in errors
    assert "cannot read" not in (tmp_path / "bench/bench.json").read_text(encoding="utf-8")  # messages may hold paths

    assert list(run(tmp_path, "--only", "slow")[1]) == ["slow"]
    assert list(run(tmp_path, "--only", "slow, lacking", "--only", "slow")[1]) == ["slow", "lacking"]
    with pytest.raises(SystemExit):
        run(tmp_path, "--only", "slow, no such line")
    assert "no line 'no such line'" in capsys.readouterr().err


def test_every_file_of_lines_is_in_the_table():
    others = {
        "__init__",
        "__main__",
        "rounds",
        "table",
        "clips",
        "cache",
        "scale",
        "scale_page",
        "how_long",
        "page",
        "before",
        "cards",
        "offline_pair",
    }
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - others == set(MODULES)
    assert len(table.LINES) >= len(MODULES) and all(callable(of.measure) and of.title for of in table.LINES.values())


def test_no_line_leaves_the_reader_to_guess():
    "A title says what is compared with what, and what has no name in it is on no page."
    titles = [of.title for of in table.LINES.values()] + [line["title"] for line in page.read(page.MEASURED)["bench"]["lines"]]
    assert [title for title in titles if "…" in title or title.rstrip(". ").endswith("against")] == []


def test_frames_that_windows_share_save_multiplications():
    import numpy as np

    alone, twice = np.arange(32).reshape(2, 16), np.arange(16)[None].repeat(2, axis=0)
    network = Stock().network
    assert multiplications(network, alone) == {"exact": 1.0, "dense": 1.0}
    saved = multiplications(network, twice)
    # After the first layer a window has a frame of its own at each end: 14 that are shared and 4 are computed; from the fifth on 6 and 20.
    assert saved["dense"] == 2.0 and 32 / 26 < saved["exact"] < 32 / 18


def test_the_pages_are_made_of_what_was_measured():
    measured = page.read(page.MEASURED)
    assert page.PAGE.read_text(encoding="utf-8") == page.page(measured), "python -m benchmarks.page"
    assert page.SPEED.read_text(encoding="utf-8") == page.speed(measured), "python -m benchmarks.page"
    assert page.BOUNDS.read_text(encoding="utf-8") == page.bounds(measured), "python -m benchmarks.page"


def test_the_page_answers_and_every_line_has_a_table_on_a_page_of_its_own():
    measured = page.read(page.MEASURED)
    text, lines = page.page(measured), page.speed(measured)
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert headings[0] == "How long does AVE take?" and text.index(headings[0]) < 500
    assert "| what |" not in text and lines.count("| what |") == lines.count("\n## ") - 1 == len(measured["bench"]["lines"])
    assert lines.count("\n## What limits each part?\n") == 1
    assert not [mark for mark in ("| missed |", "≥", "≤") if mark in text + lines], "bounds are for those who work on avesound"
    answer = text.partition(headings[1])[0]
    assert all(f"| `{timed.encoder}`" in answer for timed in how_long.ENCODERS) and "GPU" in answer and "benchmarks.how_long" in answer


def test_what_ave_takes_is_multiplied_right():
    one = {
        "decode_s": 4.0,
        "encode_s": 6.0,
        "bytes": 1e6,
        "files": 2.0,
        "peak": 3e9,
        "clips": 2,
        "seconds": 10,
        "kinds": ["video", "audio"],
    }
    measured = page.read(page.MEASURED)
    measured["how_long"]["encoders"] = dict.fromkeys(("signal", "mc3_18", "mc3"), one)
    rows = [line for line in page.page(measured).splitlines() if line.startswith("| `signal`")]
    time, space = ([cell.strip() for cell in row.strip("|").split("|")] for row in rows)
    assert space == ["`signal`", "4.1 GB", "3.0 GB"]
    assert time == ["`signal`", "10 s", "11.4 h", "85 min"]  # 4,097 × 10 s = 11.38 h


def test_lines_measured_anew_take_their_place(tmp_path):
    row = {"what": "a", "bound": "", "unit": "×", "status": "no bound", "median": 2.0, "min": 1.0, "max": 3.0, "values": [1.0, 2.0, 3.0]}
    old = {"lines": [{"line": name, "title": name, "machine": {"cpu": "old"}, "rows": []} for name in ("first", "second")]}
    new = {
        "machine": {"cpu": "new"},
        "rounds": 5,
        "quick": False,
        "lines": [{"line": n, "title": n, "rows": [row]} for n in ("second", "third")],
    }
    lines = page.with_new_lines(old, new)["lines"]
    assert [(line["line"], line["machine"]["cpu"]) for line in lines] == [("first", "old"), ("second", "new"), ("third", "new")]
    assert lines[1]["rows"] == [{name: value for name, value in row.items() if name != "values"}]
    with pytest.raises(SystemExit, match="quick"):
        page.with_new_lines(old, new | {"quick": True})


def test_how_long_measures_an_encoder(tmp_path, monkeypatch):
    monkeypatch.setattr(how_long, "ENCODERS", (how_long.Timed("signal", ("video", "audio"), clips=1, seconds=2),))
    write_bench_clip(tmp_path / "made.mp4", 90, 160, 100_000, seconds=2)
    bench = how_long.Bench(1, tmp_path)
    of = how_long.clip_seconds(str(bench.copies(2, tmp_path / "made.mp4")), str(tmp_path / "caches"), "signal")
    assert of["decode_s"] > 0 and of["encode_s"] > 0 and of["files"] == 2 and of["bytes"] > 1000 and of["peak"] > 1e7
    with pytest.raises(SystemExit):
        how_long.main(["--only", "no_such_encoder"])


def test_make_bench_takes_lines():
    shown = subprocess.run(
        ["make", "-n", "bench", "LINES=decode, video tower"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert '-m benchmarks --out_dir bench --only "decode, video tower"' in shown


@pytest.mark.parametrize(
    ("row", "status", "bound"),
    [
        (Row("", [1.5], at_most=1.5), "reached", "≤ 1.5 ×"),
        (Row("", [1.6, 1.6, 0.1], at_most=1.5), "missed", "≤ 1.5 ×"),
        (Row("", [44.0], "dB", at_least=44), "reached", "≥ 44 dB"),
        (Row("", [43.9], "dB", at_least=44), "missed", "≥ 44 dB"),
        (Row("", [0.1], "s", at_most=0.3, fault="loads torch"), "missed", "≤ 0.3 s"),
        (Row("", [9.0]), "no bound", ""),
        (Row("", skipped="why", at_most=1.0), "skipped", "≤ 1 ×"),
        (Row("", error="OSError"), "error", ""),
    ],
)
def test_the_median_is_judged(row, status, bound):
    assert (row.status, row.bound) == (status, bound)
    assert json.loads(json.dumps(row.as_dict()))["status"] == status


@pytest.mark.parametrize("n_variants", [1, 2, 3])
def test_variants_take_turns(n_variants):
    names = "abc"[:n_variants]
    order = []
    times = in_turns({name: lambda name=name: order.append(name) for name in names}, rounds=12)
    rounds = ["".join(order[i : i + n_variants]) for i in range(0, len(order), n_variants)][1:]  # the first does not count
    assert all(sorted(r) == sorted(names) for r in rounds) and len(rounds) == 12
    for place in range(n_variants):  # each variant is as often first, second, …
        assert all([r[place] for r in rounds].count(name) == 12 / n_variants for name in names)
    assert all(len(seconds) == 12 for seconds in times.values())


def test_a_ratio_is_taken_within_its_round():
    times = {"a": [Spent(2, 9), Spent(30, 8)], "b": [Spent(1, 3), Spent(10, 2)]}
    assert ratios(times, "a", "b") == [2, 3] and ratios(times, "a", "b", "wall_s") == [3, 4]


def test_processor_time_of_children_counts():
    work = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    assert spent(lambda: subprocess.run([sys.executable, "-c", work], check=True)).cpu_s > 0.29


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_processor_time_of_workers_counts():
    "They are no children of this process; alive or gone, their seconds count once."
    from avesound.embeddings.workers import JobLimits, map_workers

    idle = spent(lambda: list(map_workers(busy, [0.0], 1, JobLimits())))
    assert spent(lambda: list(map_workers(busy, [0.5, 0.5], 2, JobLimits()))).cpu_s > 0.99
    alive: list[float] = []
    results = map_workers(busy, [0.5, 0.5], 1, JobLimits())
    before = cpu_seconds()
    for _ in results:
        alive.append(cpu_seconds() - before)
    assert alive[0] > 0.49 and 0.99 < alive[1] <= cpu_seconds() - before < 1 + 2 * idle.cpu_s + 1


def test_the_peak_of_a_fresh_process_is_its_own():
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is read from /proc")
    held = bytearray(300_000_000)  # more than a fresh process needs
    assert fresh(resident_bytes, True) < len(held)


def test_a_bench_clip_is_like_one_of_ave(tmp_path):
    from avesound.media.container import probe
    from avesound.media.decode import decode_clip

    write_bench_clip(tmp_path / "clip.mp4", 180, 320, 400_000, seconds=2)
    info = probe(tmp_path / "clip.mp4")
    assert (info.video_codec, info.audio_codec, info.width, info.height, info.fps) == ("h264", "aac", 320, 180, 30)
    assert 300_000 < info.size_bytes * 8 / info.duration_s < 800_000
    frames = decode_clip(tmp_path / "clip.mp4", audio=False).frames.astype(float)
    assert len(frames) == 60 and frames.std() > 20 and abs(frames[1:] - frames[:-1]).mean() > 1  # textured, and it moves


def test_all_of_the_cache_can_be_evaluated(tmp_path):
    "Where picture and sound were the same vectors, a clip's curve would be flat, and the line would stop."
    write_cache(tmp_path, 60)
    assert evaluation_times(str(tmp_path), 60)["cpu_s"] > 0


def has_before() -> bool:
    try:
        return before().is_dir()
    except Skipped:
        return False


@pytest.mark.skipif(not has_before(), reason="the history of this checkout does not have the pinned commit")
def test_the_older_package_is_beside_this_one(tmp_path, monkeypatch):
    assert Path(fresh(imported, package=before())).is_relative_to(before()) and Path(fresh(imported)).is_relative_to(ROOT / "avesound")
    for _ in range(2):  # what is there is left as it is
        unpack(tmp_path / "before")
    assert [path.name for path in tmp_path.iterdir()] == ["before"] and (tmp_path / "before/avesound/activity.py").is_file()
    monkeypatch.setattr("benchmarks.before.COMMIT", "0" * 40)
    with pytest.raises(Skipped, match="0000000"):
        unpack(tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(not has_before(), reason="the history of this checkout does not have the pinned commit")
@pytest.mark.parametrize(("cost", "most"), [(long_clip.loudness_cost, 1e-9), (long_clip.signal_cost, 1e-6)])
def test_the_older_package_and_this_one_compute_the_same(cost, most, tmp_path):
    for name, package in (("before", before()), ("now", None)):
        assert fresh(cost, str(tmp_path / f"{cost.__name__}-{name}.npz"), 320, name, package=package)["cpu_s"] > 0
    assert long_clip.difference(tmp_path / cost.__name__) <= most


def test_half_an_hour_with_signal_takes_less_than_half_a_gigabyte(tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is read from /proc")
    assert fresh(long_clip.signal_cost, str(tmp_path / "vectors.npz"), 1800, "now")["peak"] < 0.5e9  # as a whole 16 GB
