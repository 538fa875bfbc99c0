"Ids and labels are text from the first file to the last, whatever they look like."

import ast
import csv
import json
from html import escape
from pathlib import Path

import numpy as np
import pytest

from avesound.data.annotations import read_annotations
from avesound.data.marks import mark_event, read_marks
from avesound.embeddings.store import audio_file, video_file, write_embeddings
from avesound.evaluation.compare import compare
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.plan import Scoring
from avesound.files import read_table
from avesound.localization.align import AlignSettings
from avesound.report.analyze import analyze
from avesound.timeline import sliding_windows
from avesound.tuning.grid import Grid
from avesound.tuning.sweep import GridScoring, sweep
from avesound.viewer.inspector import Inspector
from avesound.viewer.run import Run, open_run
from avesound.viewer.still import still

ROOT = Path(__file__).resolve().parent.parent
IDS = ["NA", "nan", "None", "null", "N_A", "007", "1e5", "-1.5", "True", "inf", "1_000", "<NA>"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    "A run whose ids, and labels, are words that readers of tables take for something else."
    folder, rng, windows = tmp_path_factory.mktemp("ids"), np.random.default_rng(0), sliding_windows(4, 1.0, 0.25)
    rows = []
    for k, name in enumerate(IDS):
        write_embeddings(video_file(folder / "cache/vid_emb", name), rng.normal(size=(16, 4)), windows, {})
        write_embeddings(audio_file(folder / "cache/aud_emb", name, 1.0), rng.normal(size=(16, 4)), windows, {})
        rows.append([name, IDS[::-1][k], k / 8, k / 8 + 1, "NA", "val" if k % 2 else "test"])
    with open(folder / "annotations.csv", "w", newline="") as file:
        csv.writer(file).writerows([["video_id", "event_label", "start_s", "end_s", "quality", "split"], *rows])
    data = folder / "cache", folder / "annotations.csv"
    evaluate(*data).save(folder / "results/summary.csv", folder / "results/curves").plot_clips(folder / "results/curves", 2)
    evaluate(*data, settings=AlignSettings(tau=0.1)).save(folder / "other.csv")
    return folder


def test_every_clip_comes_out_as_it_went_in(run):
    labels = dict(zip(IDS, IDS[::-1]))
    table = read_table(run / "results/summary.csv")
    assert table["video_id"].tolist() == IDS and dict(zip(table["video_id"], table["event_label"])) == labels
    assert read_annotations(run / "annotations.csv")["quality"].tolist() == ["NA"] * len(IDS)
    assert (
        set(read_table(run / "results/curves/curves.csv")["video_id"])
        == set(IDS)
        == set(read_table(run / "results/summary_baselines.csv")["video_id"])
    )
    report = analyze(run / "results/summary.csv", run / "reports", "one")
    canonical = read_table(report.folder / "summary_canonical.csv")
    assert canonical["video_id"].tolist() == IDS and report.overall.counts.clips == len(IDS)
    assert set(read_table(report.folder / "per_class_metrics.csv")["event_label"]) == set(IDS)
    summaries = [run / "results/summary.csv", run / "other.csv"]
    found = compare(summaries, names=["NA", "nan"], metrics=("dist",), min_clips=1, n_perm=9)
    found.save(run / "side")
    assert (
        found.n_clips == len(IDS)
        and set(IDS) <= set(found.table["stratum"])
        and set(read_table(run / "side/comparison.csv")["method"]) == {"NA", "nan", "centre"}
    )


def test_the_viewer_knows_every_clip(run):
    opened = open_run(
        Run(
            vid_emb_dir=run / "cache/vid_emb",
            aud_emb_dir=run / "cache/aud_emb",
            annotations_csv=run / "annotations.csv",
            summary_csv=run / "results/summary.csv",
            curves_csv=run / "results/curves/curves.csv",
        )
    )
    rows = {row["video_id"]: row for row in opened.rows}
    assert list(rows) == IDS and all(
        row["status"] == "ok" and isinstance(row["dist"], float) and isinstance(row["partial"], bool) for row in rows.values()
    )
    assert rows["NA"]["label"] == IDS[-1] and rows["NA"]["split"] == "test"
    inspector = Inspector(run=opened.run, save_csv=run / "marked.csv")
    for name in IDS:
        inspector.video_id = name
        assert inspector.clip["video_id"] == name and inspector.reading["problem"] == "" and escape(name) in still(opened, name)
    json.dumps(inspector.rows, allow_nan=False)  # NaN is not JSON: the page would show nothing
    mark_event(run / "marked.csv", "null", "None", 0, 1)
    assert read_marks(run / "marked.csv")[["video_id", "event_label"]].to_numpy().tolist() == [["null", "None"]]


def test_a_sweep_chooses_on_all_of_them(run):
    found = sweep(
        [run / "cache"],
        run / "annotations.csv",
        out_dir=run / "grid",
        grid=Grid(taus=(0.5,), smooth_sigmas=(0.0,), zscores=(True,)),
        test_split="Test",
        split="Validation",
        progress=False,
        scoring=GridScoring(n_boot=20),
    )
    assert found.selection["video_ids"] == IDS[1::2] and set(
        read_table(next((run / "grid/runs").glob("*_test")) / "summary.csv")["video_id"]
    ) == set(IDS[::2])
    for split in ("Testing", "TEST"):
        with pytest.raises(ValueError, match="settings are chosen on train or val clips"):
            sweep([run / "cache"], run / "annotations.csv", out_dir=run / "leak", split=split, test_split="test", progress=False)


def test_a_split_is_found_whatever_it_is_called(run):
    data = run / "cache", run / "annotations.csv"
    assert len(evaluate(*data, split="Dev", scoring=Scoring(n_boot=20)).summary) == len(IDS) // 2
    with pytest.raises(ValueError, match="write which of them is meant"):
        evaluate(*data, split="eval")


def test_no_other_reader_of_tables_is_used():
    "pandas' reader guesses; the one of avesound.files does not. Tests may check with it, the package and what pages show may not."
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / "avesound").rglob("*.py")}
    for path in (ROOT / "nbs").rglob("*.ipynb"):
        if ".ipynb_checkpoints" not in path.parts:
            cells = [
                "".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"
            ]
            sources[path] = "\n".join(line for cell in cells for line in cell.splitlines() if not line.lstrip().startswith(("!", "%")))
    readers = {"read_csv", "read_table", "read_excel", "genfromtxt", "loadtxt"}
    found = {
        (path.name, node.attr)
        for path, source in sources.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in readers
    }
    assert found == set()
