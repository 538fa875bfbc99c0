"What evaluate counts beside its means is in the report where it is there; what the report calls missing is missing."

import json
import re

import numpy as np
import pandas as pd
import pytest
from test_analyze import Page
from test_evaluate import annotate as annotate_plain
from test_evaluate import towers as plain_towers
from test_presence import annotate, towers

from avesound.data.senses import write_senses
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.plan import Scoring
from avesound.report.analyze import analyze
from avesound.report.breakdown import read_metrics
from avesound.report.findings import sections
from avesound.report.html import Table, Text, method_tables, number
from avesound.report.summary import read_summary

SPLITS = ["train"] * 15 + ["val"] * 30 + ["test"] * 45
RECORDS = {"presence": "Clips with nothing to find", "pointing": "Ear and eye", "events": "Events one by one", "also": "A second file of"}
QUICK = {"n_boot": 50, "n_shuffles": 3}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    "Clips without an event, with one and with two, of which another file says other times; and what is heard and what is seen."
    folder, rng = tmp_path_factory.mktemp("further"), np.random.default_rng(5)
    ids = [f"clip{i:03}" for i in range(90)]
    first = [None if k % 3 == 0 else (int(s), int(s + n)) for k, (s, n) in enumerate(zip(rng.integers(0, 4, 90), rng.integers(2, 4, 90)))]
    towers(folder, ids, 2.0, first)
    second = [f"{i},bell,8,9,{split}" for i, event, split in zip(ids, first, SPLITS) if event]
    table = annotate(folder / "a.csv", ids, first, SPLITS)
    table.write_text(table.read_text() + "\n".join(second) + "\n")
    annotate(folder / "b.csv", ids, [event and (event[0] + 1, event[1] + 1) for event in first], SPLITS)
    heard = pd.DataFrame([(i, *event) for i, event in zip(ids, first) if event], columns=["video_id", "start_s", "end_s"])
    heard = heard.assign(event_label="x", sense="heard")
    write_senses(pd.concat([heard, heard.assign(sense="seen", end_s=heard["end_s"] + 1)]), folder / "senses.csv")
    scoring = Scoring(**QUICK, also=folder / "b.csv", senses_csv=folder / "senses.csv")
    result = evaluate((folder / "v", folder / "a"), table, split="test", scoring=scoring).save(folder / "summary.csv", folder / "curves")
    return folder, result, analyze(folder / "summary.csv", folder / "reports", "whole", n_examples=0)


def tables_of(report, summary) -> dict[str, list]:
    "Blocks by section, made anew from the files of the report."
    overall = read_metrics(report.folder / "metrics_overall.json")
    nothing = {name: pd.DataFrame() for name in ("per_class", "per_duration", "per_position")} | {"calibration": None, "coverage": None}
    return {section.id: list(section.blocks) for section in sections(read_summary(summary), overall, nothing, {}, [])}


def test_each_record_has_a_section_with_a_sentence_a_table_and_its_numbers(run):
    folder, result, report = run
    page = Page(report.html.read_text(encoding="utf-8"))
    assert set(RECORDS) <= set(page.ids) and all(title in "".join(page.text) for title in RECORDS.values())
    blocks = tables_of(report, folder / "summary.csv")
    tables = {name: [block for block in blocks[name] if isinstance(block, Table)] for name in RECORDS}
    assert {name: len(of) for name, of in tables.items()} == {"presence": 2, "pointing": 1, "events": 1, "also": 2}
    rows = {name: {row[0]: row[1:] for row in of[0].rows} for name, of in tables.items()}
    presence = result.presence.tables["maximum"]
    assert list(rows["presence"])[:4] == ["towers", "loudest", "motion", "shuffled: wrong sound"]
    assert rows["presence"]["towers"][0][0] == number(presence.means["encoder"]["auroc"].mean)
    assert rows["presence"]["minus the best baseline"][0][0] == number(presence.differences["auroc"].to_best.mean, sign=True)
    assert rows["pointing"]["towers"][0][0] == number(result.pointing.gains["encoder"]["both"].mean, sign=True)
    assert rows["events"]["motion"][1][0] == number(result.events.means["motion"]["recall_0.5"].mean)
    change = result.difference.differences["partial"]["encoder"]["dist"]
    assert rows["also"]["difference of towers"][0][0] == number(change.mean, sign=True)
    words = {name: " ".join(str(line) for block in blocks[name] if isinstance(block, Text) for line in block.lines) for name in RECORDS}
    assert "Nothing is to be found in 15 of 45 clips." in words["presence"] and "chance is 0.50" in words["presence"]
    assert f"each of the {result.events.n_events} events in 30 partial clips" in words["events"]
    assert "30 clips are scored by both a.csv and b.csv, 30 of them with other events." in words["also"]
    notes = [note for part in (result.presence, result.pointing, result.events, result.difference) for note in part.notes]
    said = "".join(page.text)
    assert notes and all(note[1:] in said for note in notes), "the notes of the printed tables"


def test_the_best_row_is_bold_be_it_the_encoders_or_not(run):
    folder, result, report = run
    blocks = tables_of(report, folder / "summary.csv")
    for name, metric, means in [
        ("presence", "auroc", result.presence.tables["maximum"].means),
        ("events", "recall_0.5", result.events.means),
        ("pointing", "both", result.pointing.gains),
    ]:
        table = next(block for block in blocks[name] if isinstance(block, Table))
        shown = {method: round(cells[metric].mean, 2) for method, cells in means.items() if metric in cells}
        best = [method for method, mean in shown.items() if mean == max(shown.values())]
        assert [table.rows[i][0].split(":")[0] for i in table.strong] == ["towers" if method == "encoder" else method for method in best]


def test_where_there_is_no_record_nothing_is_said(tmp_path):
    ids = [f"clip{i:02}" for i in range(12)]
    plain_towers(tmp_path, ids, 1.5, events=[(2, 4)] * 12)
    table = annotate_plain(tmp_path / "a.csv", ids, [(2, 4)] * 12, ["test"] * 12)
    evaluate((tmp_path / "v", tmp_path / "a"), table, scoring=Scoring(**QUICK)).save(tmp_path / "s.csv")
    report = analyze(tmp_path / "s.csv", tmp_path / "reports", "none", n_examples=0)
    page = Page(report.html.read_text(encoding="utf-8"))
    assert not set(RECORDS) & set(page.ids) and report.overall.further == {}


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("damage", ({}, {"means": 3, "gains": 3}, {"differences": []}))
def test_a_damaged_record_is_a_note_and_the_others_stay(name, damage, run, tmp_path):
    folder, _, _ = run
    for kind in (".csv", "_baselines.csv"):
        (tmp_path / f"summary{kind}").write_bytes((folder / f"summary{kind}").read_bytes())
    record = json.loads((folder / "summary.json").read_text())
    record[name] = record[name] | damage if damage else {}
    (tmp_path / "summary.json").write_text(json.dumps(record))
    report = analyze(tmp_path / "summary.csv", tmp_path / "reports", "damaged", n_examples=0)
    notes = [note for note in report.overall.notes if f"the record {name} beside the summary is not shown" in note]
    ids = Page(report.html.read_text(encoding="utf-8")).ids
    assert len(notes) == 1 and set(RECORDS) & set(ids) == set(RECORDS) - {name}
    assert report.overall.means["all"]["encoder"]["dist"].n == 30


def test_records_of_another_run_are_not_of_this_one(run, tmp_path):
    folder, _, _ = run
    (tmp_path / "summary.csv").write_bytes((folder / "summary.csv").read_bytes())
    record = json.loads((folder / "summary.json").read_text())
    record["means"]["all"]["encoder"]["dist"]["mean"] += 3
    (tmp_path / "summary.json").write_text(json.dumps(record))
    report = analyze(tmp_path / "summary.csv", tmp_path / "reports", "other", n_examples=0)
    assert report.overall.further == {} and any("of another run" in note for note in report.overall.notes)
    assert report.overall.in_short[0].endswith("; no wrong sound."), "how that run was set up says nothing of this one"


# ---- what is missing


def test_a_threshold_that_val_gave_is_not_nothing(run):
    _, result, report = run
    said = "Missing or small: nothing but the cell nowhere was chosen or fitted on a val split."
    assert result.presence.fitted_on == "val" and str(result.overall).splitlines()[0] == report.overall.in_short[0] == said


def test_a_baseline_without_an_answer_is_said_to_have_none_and_has_no_map(tmp_path):
    "Neither loudness nor motion is in these caches."
    ids = [f"clip{i:02}" for i in range(24)]
    events = [(k % 7, k % 7 + 2) for k in range(24)]
    plain_towers(tmp_path, ids, 1.5, events=events)
    table = annotate_plain(tmp_path / "a.csv", ids, events, ["train"] * 12 + ["test"] * 12)
    result = evaluate((tmp_path / "v", tmp_path / "a"), table, split="test", scoring=Scoring(**QUICK)).save(tmp_path / "s.csv")
    assert "map" not in result.overall.means["all"]["loudest"] and result.overall.means["all"]["centre"]["map"].n == 12
    assert "loudest" not in result.overall.differences["all"]["map"].to
    for tag in ("with", "without"):
        report = analyze(tmp_path / "s.csv", tmp_path / "reports", tag, n_examples=0)
        text = re.sub(r"<[^>]*>", " ", report.html.read_text(encoding="utf-8"))
        assert "Without an answer in these clips, hence not compared with: loudest, motion." in text
        assert "because evaluate did not" not in text and "A star is for what is told the category (class_prior)" in text
        rows = [row[0] for table in method_tables(report.overall) for row in table.rows]
        assert rows.count("class_prior*") == 2 and "class_prior" not in rows and "centre" in rows, "as the sentence above them says"
        assert report.overall.best_baseline not in ("class_prior", None), "nobody has to beat it"
        (tmp_path / "s.json").unlink(missing_ok=True)


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize("split, splits", [("train", ["train"] * 12), ("val", ["train"] * 6 + ["val"] * 6), (None, ["test"] * 12)])
def test_no_row_is_called_missing_that_is_there(split, splits, tmp_path):
    ids = [f"clip{i:02}" for i in range(12)]
    events = [(k % 7, k % 7 + 2) for k in range(12)]
    towers(tmp_path, ids, 1.5, events)
    table = annotate(tmp_path / "a.csv", ids, events, splits)
    evaluate((tmp_path / "v", tmp_path / "a"), table, split=split, scoring=Scoring(**QUICK)).save(tmp_path / "s.csv")
    report = analyze(tmp_path / "s.csv", tmp_path / "reports", "rows", n_examples=0)
    page = report.html.read_text(encoding="utf-8")
    assert "ot compared with" not in page and "no wrong sound" not in page and "shuffled" in report.overall.means["partial"]
