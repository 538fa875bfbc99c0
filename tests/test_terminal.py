"Tables for the eye fit the terminal, whatever is in them; elsewhere they are as wide everywhere."

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import numpy as np
import pytest
from test_evaluate import annotate, towers

from avesound.embeddings.cache import EmbeddingCache
from avesound.evaluation.card import read_card
from avesound.evaluation.compare import compare
from avesound.evaluation.crossmodal import evaluate_crossmodal, queries_of_clips
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.plan import Scoring, choose_clips
from avesound.lettering import text_width
from avesound.refiner.network import RefinerSettings
from avesound.refiner.train import train_refiner
from avesound.report.leaderboard import leaderboard
from avesound.terminal import WIDTH
from avesound.tuning.ablate import ablate
from avesound.tuning.grid import Grid
from avesound.tuning.sweep import sweep
from conftest import ROOT

KINDS = {  # what a command prints -> a column of its table, and where all of them are
    "evaluate": ("distance (s) ↓", ".json beside"),
    "evaluate, second file": ("distance (s) ↓", ".json beside"),
    "evaluate-refiner": ("distance (s) ↓", ".json beside"),
    "evaluate-crossmodal": ("A2V", ""),
    "sweep": ("log score (nats) ↑", ".json beside"),  # of the table of its winner; its own has room
    "ablate": ("distance (s) ↓", "ablation.csv"),
    "compare": ("distance (s) ↓", "comparison.csv"),
    "benchmark": ("distance (s) ↓", "card.json"),
    "leaderboard": ("distance (s) ↓", "leaderboard.md"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    "What prints a table: its results, and the folder in which two evaluations lie."
    folder = tmp_path_factory.mktemp("tables")
    ids = [f"clip{i:02d}" for i in range(48)]
    start = np.random.default_rng(5).integers(0, 7, len(ids))
    events = [(int(s), int(s) + 2) for s in start]
    splits = ["train"] * 16 + ["val"] * 16 + ["test"] * 16
    towers(folder, ids, 1.5, events=events)
    table = annotate(folder / "a.csv", ids, events, splits)
    moved = annotate(folder / "b.csv", ids, [(s + 1, e + 1) for s, e in events], splits)
    cache = EmbeddingCache(folder / "v", folder / "a")
    one = evaluate(cache, table, split="test", scoring=Scoring(also=moved)).save(folder / "one.csv")
    evaluate(cache, table, split="test", L_sec=(1.0,)).save(folder / "two.csv")
    quick = RefinerSettings(epochs=2, seeds=(0, 1))
    refiner = train_refiner(cache, table, training=quick, progress=False)
    queries = queries_of_clips(choose_clips(table, "test").clips)
    grid = Grid(taus=(0.2, 1.0), smooth_sigmas=(0.0, 0.5), zscores=(True,))
    cards = [read_card(path) for path in sorted((ROOT / "benchmarks" / "cards").glob("*.json"))]
    return folder, {
        "evaluate": one,
        "evaluate, second file": one.difference,
        "evaluate-refiner": evaluate(cache, table, split="test", refiner=refiner),
        "evaluate-crossmodal": evaluate_crossmodal(queries, cache),
        "sweep": sweep([cache], table, out_dir=folder / "grid", grid=grid, progress=False),
        "ablate": ablate([cache], table, out_dir=folder / "ablation", progress=False),
        "compare": compare([folder / "one.csv", folder / "two.csv"], min_clips=3),
        "benchmark": cards[0],
        "leaderboard": leaderboard(cards),
    }


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def seen(result, width: int, monkeypatch) -> str:
    "A result as it is printed on a terminal."
    monkeypatch.setenv("COLUMNS", str(width))
    with contextlib.redirect_stdout(Terminal()):
        return str(result)


def tables_of(text: str) -> list[list[str]]:
    "The tables in a text: lines that begin with a head of metrics, up to an empty one or one of prose."
    tables, table = [], None
    for line in text.splitlines():
        if re.search(r"[↓↑]|A2V|^rank ", line) and "(no room" not in line and "  " in line:
            tables.append(table := [])
        elif table is not None and (not line or not re.search(r" {2}|^\(no room|^difference of|^refined minus|^\S+$", line)):
            table = None
        if table is not None:
            table.append(line)
    return tables


@pytest.mark.parametrize("width", (80, 100, 160))
@pytest.mark.parametrize("kind", KINDS)
def test_a_table_fits(results, kind, width, monkeypatch):
    column, where = KINDS[kind]
    text = seen(results[1][kind], width, monkeypatch)
    tables = tables_of(text)
    assert tables, text
    assert max(map(text_width, text.splitlines())) <= width, "sentences, too"
    for table in tables:
        assert max(map(text_width, table)) <= width, text
        assert "…" not in "".join(table)
    assert any(column.split()[0] in line for table in tables for line in table), text
    numbers = re.findall(r"\[[^\]\n]*\]", text)
    assert numbers and all(re.fullmatch(r"\[[^\[]*, [^\[]*\]|\[95 % interval\]", part) for part in numbers), (
        "an interval stays in one piece"
    )
    left_out = re.findall(r"\(no room for[^)]*\([^)]*\)[^)]*\)|\(no room for[^)]*\)", text)
    assert not left_out or where in " ".join(text.split()), text
    if width == 160:
        assert not left_out, text


@pytest.mark.parametrize("kind", KINDS)
def test_no_number_of_a_wide_table_is_lost_in_a_narrow_one(results, kind, monkeypatch):
    "At 80 columns there are the same means as at 160, but those of columns that are said to be left out."
    wide, narrow = (seen(results[1][kind], width, monkeypatch) for width in (160, 80))
    if "(no room" not in narrow:
        assert sorted(re.findall(r"[+-]?\d+\.\d+", wide)) == sorted(re.findall(r"[+-]?\d+\.\d+", narrow))
    first = {line.split()[0] for table in tables_of(wide) for line in table[1:] if line.strip()}
    assert first <= set(narrow.split()), "every row is there"


def test_where_nobody_looks_it_is_always_as_wide(results, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    for kind, result in results[1].items():
        assert all(text_width(line) <= WIDTH for table in tables_of(str(result)) for line in table), kind
    monkeypatch.delenv("COLUMNS")
    before = str(results[1]["evaluate"])
    monkeypatch.setenv("COLUMNS", "200")
    assert str(results[1]["evaluate"]) == before


def on_terminal(command: list[str], columns: int) -> str:
    "What a command writes on a real terminal of a width."
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    done = subprocess.Popen(command, stdin=writing, stdout=writing, stderr=subprocess.DEVNULL, env=environment)
    os.close(writing)
    parts = []
    with contextlib.suppress(OSError):  # its other end is closed
        while part := os.read(reading, 65536):
            parts.append(part)
    os.close(reading)
    assert done.wait() == 0
    return b"".join(parts).decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", (80, 100))
def test_a_command_follows_the_terminal_and_writes_markdown_into_its_file(results, columns, tmp_path):
    folder = results[0]
    command = ["compare", str(folder / "one.csv"), str(folder / "two.csv"), "--out_dir", str(tmp_path), "--names", "one,two"]
    text = on_terminal([sys.executable, "-m", "avesound.cli", *command], columns)
    (first, *_) = tables_of(text)
    assert max(map(len, first)) <= columns and "|" not in text and "distance (s) ↓" in first[0]
    assert ("no room" in text) == (columns == 80)
    page = (tmp_path / "comparison.md").read_text()
    assert "| distance (s) ↓ |" in page and "AUROC ↑" in page
