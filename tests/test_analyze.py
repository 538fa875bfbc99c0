"An analysis from end to end: summaries of several origins, numbers against an obvious version, failures in mid-write."

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from avesound.cli import main
from avesound.metrics.bootstrap import MeanInterval
from avesound.metrics.calibration import drawn_moments
from avesound.report.analyze import analyze
from avesound.report.breakdown import calibration_tables, group_tables, read_metrics
from avesound.report.columns import ALIASES
from avesound.report.findings import facts, in_short, sections, tiles
from avesound.report.html import Table, Text, method_tables, metric_tables
from avesound.report.summary import read_summary

SCRIPT = Path(sys.executable).with_name("avesound")
LABELS = ["Bark", "Church bell", "Male speech, man speaking", "<script>alert(1)</script>", "Flöte & Ukulele"]


def write_run(folder: Path, n: int = 48, seed: int = 0, **columns) -> Path:
    "A summary with baselines and curves beside it, of n clips of which every eighth failed."
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows, curves, pdfs = [], [], []
    centers = 0.25 + 0.5 * np.arange(20)
    for i in range(n):
        row = {
            "video_id": f"-{i:03d}_x",
            "event_label": LABELS[i % len(LABELS) if i % 11 else 0],
            "split": "test",
            "status": "ok",
            "detail": "",
        }
        if i % 8 == 7:
            rows.append(row | {"status": "no_audio" if i % 16 == 7 else "missing_video", "detail": "no sound"})
            continue
        start = rng.integers(0, 9) if i % 3 else 0
        end = int(rng.integers(start + 1, 11)) if i % 3 else 10
        pdf = rng.dirichlet(np.full(20, 0.3)).round(6)
        pdf[0] += 1 - pdf.sum()
        t = centers[pdf.argmax()]
        mid = (start + end) / 2
        near = max(start - t, t - end, 0)
        row |= {
            "t_pred_sec": t, "gt_start_sec": start, "gt_end_sec": end, "gt_mid_sec": mid, "n_events": 1,
            "interval_start_sec": max(t - 1, 0), "interval_end_sec": t + 1,
            "confidence": pdf[np.abs(centers - t) <= 0.5].sum(), "entropy": 1.0, "mae": abs(t - mid), "dist": near,
            "inside": float(start <= t < end), "hit_0.5": float(abs(t - mid) <= 0.5),
            "hit_event_0.5": float(near <= 0.5), "mass_inside": pdf[(centers > start) & (centers < end)].sum(), "crps": rng.random(),
            "partial": end - start < 9.5, "duration_s": 10.0, "tau": 0.5,
            "L_sec": "1", "audio_query": "sync", "encoder": "toy", "weights": "none", "flawed": False,
        }  # fmt: skip
        rows.append(row | columns)
        curves += [{"video_id": row["video_id"], "t_sec": c, "similarity": p, "pdf": p} for c, p in zip(centers, pdf)]
        for method, guess in [("centre", 5.0), ("first", 0.0)]:
            d = max(start - guess, guess - end, 0)
            pdfs.append(
                {
                    "video_id": row["video_id"],
                    "method": method,
                    "partial": row["partial"],
                    "mae": abs(guess - mid),
                    "dist": d,
                    "inside": float(start <= guess < end),
                    "future_metric": 1.0,
                }
            )
    pd.DataFrame(rows).to_csv(folder / "summary.csv", index=False)
    pd.DataFrame(pdfs).to_csv(folder / "summary_baselines.csv", index=False)
    pd.DataFrame(curves).to_csv(folder / "curves.csv", index=False)
    return folder / "summary.csv"


class Page(HTMLParser):
    "A page as a browser finds it: tags, ids, links, images, tables, text."

    def __init__(self, html: str):
        super().__init__()
        self.tags, self.ids, self.links, self.sources, self.images, self.cells, self.text = [], [], [], [], [], [], []
        self._in = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self._in.append(tag)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if "href" in attrs else []
        self.sources += [attrs[name] for name in ("src", "srcset", "data", "poster") if name in attrs]
        self.images += [attrs] if tag == "img" else []
        self.cells += [""] if tag in ("td", "th") else []

    def handle_endtag(self, tag):
        while self._in and self._in.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" in self._in:
            return
        if self._in and {"td", "th"} & set(self._in[-2:]):
            self.cells[-1] += data
        self.text.append(data)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    "An analysis of a whole run."
    folder = tmp_path_factory.mktemp("run")
    summary = write_run(folder)
    return summary, analyze(summary, folder / "reports", "whole")


def test_a_report_loads_and_runs_nothing_and_each_image_has_words(run):
    _, report = run
    html = report.html.read_text(encoding="utf-8")
    page = Page(html)
    assert set(page.tags) & {"script", "iframe", "object", "embed", "link", "base", "form", "audio", "video"} == set()
    assert page.images and all(source.startswith("data:image/") for source in page.sources)
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links) and len(page.links) >= 10
    assert not re.search(r"url\(|@import|https?://", re.sub(r'src="[^"]*"', "", html))
    assert "default-src 'none'" in html and "prefers-color-scheme:dark" in html and "@media print" in html
    assert all(len(image["alt"]) > 20 for image in page.images) and len({image["alt"] for image in page.images}) == len(page.images)
    assert page.tags.count("h1") == 1 and len(page.ids) == len(set(page.ids))
    assert "<script>alert(1)</script>" in "".join(page.text)  # the label, as text


def test_the_page_can_be_told_from_the_files_beside_it(run):
    "Every table and sentence of the page, made anew from the files alone, is the one in the page."
    _, report = run
    overall = read_metrics(report.folder / "metrics_overall.json")
    tables = {name: pd.read_csv(report.folder / f"{name}_metrics.csv") for name in ("per_class", "per_duration", "per_position")}
    tables |= {
        name: json.loads((report.folder / f"{file}.json").read_text())
        for name, file in [("calibration", "calibration_bins"), ("coverage", "coverage")]
    }
    overall = replace(overall, in_short=in_short(overall, tables))
    parts = sections(read_summary(report.folder / "summary_canonical.csv"), overall, tables, {}, [])
    blocks = [block for section in parts for block in section.blocks]
    page = Page(report.html.read_text(encoding="utf-8"))
    cells = [
        " ".join(cell) if isinstance(cell, tuple) else cell
        for block in blocks
        if isinstance(block, Table)
        for row in (block.header, *block.rows)
        for cell in row
    ]
    assert len(cells) > 350 and sum(bool(re.search(r"\d\.\d\d", cell)) for cell in cells) > 150
    assert [cell.strip() for cell in page.cells] == [cell.strip() for cell in cells]
    text = "".join(page.text)
    words = [line for block in blocks if isinstance(block, Text) for line in block.lines]
    words += [part for tile in tiles(overall) for part in tile] + [value for _, value in facts(overall)]
    assert [line for line in words if (line if isinstance(line, str) else line[1]) not in text] == []


def test_failed_clips_are_counted_and_named_and_in_no_mean(run):
    summary, report = run
    table = pd.read_csv(summary)
    assert report.overall.counts.status == table["status"].value_counts().to_dict()
    assert report.overall.means["all"]["encoder"]["dist"].n == (table["status"] == "ok").sum()
    canonical = pd.read_csv(report.folder / "summary_canonical.csv")
    assert canonical["video_id"].tolist() == table["video_id"].tolist()
    text = "".join(Page(report.html.read_text(encoding="utf-8")).text)
    assert all(name in text for name in table.loc[table["status"] == "no_audio", "video_id"])


def test_what_the_file_calls_failed_is_in_no_mean_whatever_else_it_says(tmp_path):
    (tmp_path / "s.csv").write_text(
        "video_id,status,t_pred_sec,gt_start,gt_end\na,ok,1,0,2\nb,low_confidence,9,0,2\nc,no_event,9,0,2\nd,ok,3,0,2\n"
    )
    report = analyze(tmp_path / "s.csv", tmp_path / "out", "t", n_examples=0)
    assert (
        report.overall.means["all"]["encoder"]["dist"]
        == report.overall.means["partial"]["encoder"]["dist"]
        == MeanInterval(mean=0.5, low=0.0, high=1.0, n=2)
        and report.overall.counts.all == 2
    )
    assert pd.read_csv(report.folder / "summary_canonical.csv")["mae"].isna().tolist() == [False, True, True, False]


def test_means_and_groups_are_those_of_a_plain_groupby(run):
    summary, report = run
    table = pd.read_csv(summary)
    table = table[table["status"] == "ok"]
    centre = pd.read_csv(summary.with_name("summary_baselines.csv")).query("method == 'centre'").set_index("video_id")["dist"]
    for subset, part in [("all", table), ("partial", table[table["partial"] == True]), ("full", table[table["partial"] == False])]:  # noqa: E712
        for metric in ("mae", "dist", "inside", "hit_0.5", "hit_event_0.5", "mass_inside", "crps"):
            assert np.isclose(report.overall.means[subset]["encoder"][metric].mean, part[metric].mean())
        classes = pd.read_csv(report.folder / "per_class_metrics.csv").query("subset == @subset").set_index("event_label")
        assert classes["n"].sum() == len(part)
        for label, group in part.groupby("event_label"):
            assert classes.loc[label, "n"] == len(group) and classes.loc[label, "few"] == (len(group) < 10)
            assert np.isclose(classes.loc[label, "mae_mean"], group["mae"].mean(), rtol=1e-4)
            if report.overall.best_baseline == "centre":
                assert np.isclose(
                    classes.loc[label, "dist_difference_mean"], (group["dist"] - group["video_id"].map(centre)).mean(), atol=1e-4
                )
    assert "crps" in report.overall.means["all"]["encoder"] and "future_metric" not in report.overall.means["all"]["encoder"]


def test_a_clip_of_several_classes_counts_in_each(tmp_path):
    write_run(tmp_path / "run", n=16)
    summary = tmp_path / "run/summary.csv"
    table = pd.read_csv(summary)
    table["event_label"] = ["Bark|Bell", "Bark", "Bell", "rock | metal"] * 4
    table.to_csv(summary, index=False)
    report = analyze(summary, tmp_path / "reports", "joined")
    scored = table[table["status"] == "ok"]
    classes = pd.read_csv(report.folder / "per_class_metrics.csv").query("subset == 'all'").set_index("event_label")
    members = {"Bark": ["Bark|Bell", "Bark"], "Bell": ["Bark|Bell", "Bell"], "rock | metal": ["rock | metal"]}
    assert list(classes.index) == list(members) and classes["n"].sum() > len(scored)
    for name, labels in members.items():
        own = scored[scored["event_label"].isin(labels)]
        assert classes.loc[name, "n"] == len(own) and np.isclose(classes.loc[name, "mae_mean"], own["mae"].mean(), rtol=1e-4)


def test_events_of_equal_length_are_in_one_bin(tmp_path):
    "4.15 - 2.15 is a little more than 2."
    write_run(tmp_path / "run", n=16)
    summary = tmp_path / "run/summary.csv"
    table = pd.read_csv(summary)
    starts = np.linspace(0.15, 6.15, len(table))
    table["gt_start_sec"], table["gt_end_sec"], table["gt_mid_sec"], table["partial"] = starts, starts + 2, starts + 1, True
    assert len(set(table["gt_end_sec"] - table["gt_start_sec"])) > 1
    table.drop(columns=["mae", "dist", "inside", "hit_0.5", "hit_event_0.5", "mass_inside"]).to_csv(summary, index=False)
    report = analyze(summary, tmp_path / "reports", "equal")
    lengths = pd.read_csv(report.folder / "per_duration_metrics.csv").set_index("length")["n"]
    assert lengths["0 to 2 s"] == (table["status"] == "ok").sum() == lengths.sum()


def test_ece_comes_with_that_of_calibrated_predictors(run):
    _, report = run
    bins = json.loads((report.folder / "calibration_bins.json").read_text())
    moment = bins["subsets"]["all"]["moment"]
    assert sum(moment["n"]) == moment["clips"] and 0 < moment["null_ece"] < moment["null_ece_high"] < 1
    assert bins["reach_s"] == 0.75 and bins["conf_radius_s"] == 0.5  # cells of 0.5 s: those at ±0.5 s reach to ±0.75 s
    text = "".join(Page(report.html.read_text(encoding="utf-8")).text)
    assert f"{moment['ece']:.3f}" in text and f"{moment['null_ece']:.3f}" in text


def test_a_predictor_whose_pdf_is_right_is_calibrated_against_drawn_moments_alone(tmp_path):
    rng = np.random.default_rng(5)
    start = rng.uniform(0, 3, 1500)
    end = start + rng.uniform(1.5, 7, 1500)
    t = start + 0.5 + rng.random(1500) * (end - start - 1)
    lines = [f"v{i},{a},{s},{e},{1 / (e - s)},10" for i, (a, s, e) in enumerate(zip(t, start, end))]
    (tmp_path / "s.csv").write_text("video_id,t_pred_sec,gt_start_sec,gt_end_sec,confidence,duration_s\n" + "\n".join(lines))
    table = calibration_tables(read_summary(tmp_path / "s.csv"), 0.5, 0.5)["subsets"]["all"]
    assert table["moment"]["ece"] <= table["moment"]["null_ece_high"] < min(table["hit"]["ece"], table["hit_event"]["ece"])
    # scikit-learn's Brier score of the honest confidences is nearly that of their own variance.
    came_true = np.abs(drawn_moments(np.stack([start, end], axis=1)[:, None]) - t) <= 0.5
    assert abs(brier_score_loss(came_true, 1 / (end - start)) - np.mean((1 - 1 / (end - start)) / (end - start))) < 0.01


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_alias_and_any_order_of_columns_reads_the_same(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("alias")
    canonical = {"video_id": ["a", "007"], "event_label": ["Bark", "x"], "t_pred_sec": [1.5, 7.0], "gt_start_sec": [1, 2],
        "gt_end_sec": [4, 5], "mae": [1.0, 3.5], "confidence": [0.5, 0.25], "hit_0.5": [0, 0], "duration_s": [10, 9]}  # fmt: skip
    names = {name: data.draw(st.sampled_from([name, *ALIASES.get(name, ())])) for name in canonical}
    names["hit_0.5"] = data.draw(st.sampled_from(["hit_0.5", "hit@0.5", "Hit@0.5s", "acc_0.5", "HIT0.5"]))
    names = {name: data.draw(st.sampled_from([str.lower, str.upper, str.title, lambda x: x]))(alias) for name, alias in names.items()}
    table = pd.DataFrame(canonical)
    table.to_csv(folder / "a.csv", index=False)
    table.rename(columns=names)[data.draw(st.permutations(list(names.values())))].to_csv(folder / "b.csv", index=False)
    plain, renamed = read_summary(folder / "a.csv"), read_summary(folder / "b.csv")
    pd.testing.assert_frame_equal(plain.table, renamed.table)
    assert plain.table["dist"].tolist() == [0, 2] and plain.metrics == renamed.metrics and not renamed.unknown


def test_an_old_summary_is_analysed_with_baselines_of_its_own(tmp_path):
    (tmp_path / "old.csv").write_text(
        "yt_id,pred_t,gt_start,gt_end,hit@0.5,mae_mid,conf,extra\n"
        "a,2,0,10,0,3.0,0.2,x\nb,6,5,8,1,0.5,0.4,y\nb,6,0,2,0,5.0,0.4,y\nc,1,6,9,0,9.9,0.3,z\nd,,1,2,,,,\n"
    )
    report = analyze(tmp_path / "old.csv", tmp_path / "out", "old")
    overall = report.overall
    assert overall.baselines_from == "events" and set(overall.means["all"]) == {"encoder", "centre", "uniform"}
    assert overall.counts.status == {"ok": 3, "no_prediction": 1}
    assert [(c.column, c.n) for c in overall.reading.contradictions] == [("mae", 1)]
    text = "".join(Page(report.html.read_text(encoding="utf-8")).text)
    assert "The summary contradicts itself" in text and "9.9 stored, 6.5 recomputed" in text
    assert "do not say which encoder" in text and "10 s is assumed" in text and "extra" in text
    assert pd.read_csv(report.folder / "summary_canonical.csv").set_index("video_id").loc["c", ["mae", "stored_mae"]].tolist() == [6.5, 9.9]
    assert json.loads((report.folder / "coverage.json").read_text()) is None


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize(
    "header, rows",
    [
        ("video_id,mae", ["a,1.5", "b,0.25"]),  # metrics and nothing else
        ("video_id,t_pred_sec,gt_mid", ["a,1.5,2", "b,7,3"]),  # middles alone: no distance
        ("video_id,t_pred_sec,gt_start,gt_end", ["a,1.5,0,10"]),  # one clip, no partial event
        ("video_id,t_pred_sec,gt_start,gt_end,confidence", ["a,1.5,0,3,17.2", "b,2,5,6,3"]),  # no probability
        (
            "video_id,event_label,t_pred_sec,gt_start,gt_end,dist",
            ["a,x,14,0,3,11", "b,$y_1$,2,40,60,38", "c,日本,2,5,6,3"],
        ),  # long clips, odd labels
        ("video_id,t_pred_sec,gt_start,gt_end", ["a,1.5,0,3", "a,2.5,0,3", "b,2,5,6"]),  # predictions that differ
        ("video_id,inside", ["a,1", "b,0"]),
    ],
)
def test_whatever_can_be_read_becomes_a_report(tmp_path, header, rows):
    (tmp_path / "s.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    report = analyze(tmp_path / "s.csv", tmp_path / "out", "t", n_examples=1)
    page = Page(report.html.read_text(encoding="utf-8"))
    assert page.tags.count("h2") >= 6 and "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", "".join(page.text).lower())
    assert report.overall.counts.clips == len({row.split(",")[0] for row in rows})


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize(
    "columns, says",
    [({"audio_query": "oracle"}, "oracle"), ({"weights": "untrained"}, "untrained"), ({"flawed": True}, "flawed")],
)
def test_what_is_no_result_says_so_before_any_number(tmp_path, columns, says):
    report = analyze(write_run(tmp_path, 16, **columns), tmp_path / "out", "t", n_examples=0)
    text = "".join(Page(report.html.read_text(encoding="utf-8")).text)
    head = text[: text.index("In short")]
    assert "Not a result." in head and says in head and f"NOT A RESULT: {report.overall.problems[0]}" in str(report)


def test_ids_in_several_splits_are_a_flaw(tmp_path):
    (tmp_path / "s.csv").write_text("video_id,split,t_pred_sec,gt_start,gt_end\na,train,1,0,2\na,test,2,0,2\nb,test,1,3,4\n")
    report = analyze(tmp_path / "s.csv", tmp_path / "out", "t", n_examples=0)
    assert "1 ids stand in several splits" in report.overall.problems[0].text


def test_what_evaluate_says_beside_the_summary_is_on_the_page(tmp_path):
    summary = write_run(tmp_path, 24)
    overall = {"encoder": "toy", "weights": "sha256:ab", "split": "test", "status": {"ok": 21},
        "settings": {"tau": 0.125, "L_sec": [0.5, 2.0], "stride_s": 0.5, "conf_radius_s": 1.0},
            "tuned_on": {"split": "val", "n_clips": 77, "criterion": "dist"}, "notes": ["a note of evaluate"], "n_shared_between_splits": 8,
            "means": {"all": {"encoder": {}}}, "differences": {"all": {"dist": {"best": "first", "to": {"first": {}}}}}}  # fmt: skip
    summary.with_suffix(".json").write_text(json.dumps(overall))
    report = analyze(summary, tmp_path / "out", "t", n_examples=0)
    text = " ".join("".join(Page(report.html.read_text(encoding="utf-8")).text).split())
    for words in (
        "sha256:ab",
        "77 clips of val, by dist",
        "A note of evaluate.",
        "8 ids stand in several splits",
        "0.125",
        "0.5, 2",
        "Not compared with, because evaluate did not: centre.",
    ):
        assert words in text, words
    assert report.overall.best_baseline == "first" and "centre" in report.overall.means["all"] and "within 1.25 s" in text


def test_a_folder_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    summary = write_run(tmp_path, 16)
    first = analyze(summary, tmp_path / "out", "t", n_examples=0)
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    with pytest.MonkeyPatch.context() as blank:  # of what follows nothing is kept: no figure need be drawn for it
        blank.setattr("avesound.report.findings.figure_bytes", lambda *_: b"")
        blank.setattr("avesound.report.findings.figure_svg", lambda *_: "")
        write, n = Path.write_bytes, iter(range(100))

        def torn(self, data):
            if next(n) == 5:
                raise OSError("disk full")
            return write(self, data)

        monkeypatch.setattr(Path, "write_bytes", torn)
        for options in ({"run_tag": "new"}, {"run_tag": "t", "overwrite": True}):
            n = iter(range(100))
            with pytest.raises(OSError, match="disk full"):
                analyze(summary, tmp_path / "out", n_examples=0, **options)
        monkeypatch.undo()
        real, refusals = os.replace, iter([True])

        def refused(a, b):  # the old folder has been put aside, the new one cannot take its place
            if Path(b) == first.folder and next(refusals, False):
                raise OSError("no")
            return real(a, b)

        monkeypatch.setattr(os, "replace", refused)
        with pytest.raises(OSError, match="no"):
            analyze(summary, tmp_path / "out", "t", overwrite=True, n_examples=0)
        monkeypatch.undo()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["t"]
    assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before


def test_the_same_input_gives_the_same_numbers_and_figures(tmp_path):
    summary = write_run(tmp_path, 24)
    one, two = (analyze(summary, tmp_path / name, "t", n_examples=1) for name in ("a", "b"))
    for path in one.files:
        if path.suffix in (".csv", ".png") or path.stem in ("calibration_bins", "coverage"):
            assert path.read_bytes() == (two.folder / path.name).read_bytes(), path.name
    assert replace(one.overall, made="").as_json() == replace(two.overall, made="").as_json()


def test_clips_bring_frames_and_a_missing_or_broken_one_is_said(tmp_path, small_set):
    rows = ["clip-0,1,0,2", "clip-1,2,0,3", "broken,1,3,4", "nowhere,3,0,1"]
    (tmp_path / "s.csv").write_text("video_id,t_pred_sec,gt_start,gt_end,duration_s\n" + "\n".join(f"{row},4" for row in rows))
    report = analyze(tmp_path / "s.csv", tmp_path / "out", "t", vid_dir=small_set, n_examples=2)
    assert sum(path.suffix == ".jpg" for path in report.files) == 4
    text = "".join(Page(report.html.read_text(encoding="utf-8")).text)
    assert "no file of this clip" in text and "no frame at 1.00 s (broken.mp4" in text


def test_groups_of_one_have_no_interval_and_few_are_marked(tmp_path):
    summary = read_summary(write_run(tmp_path, 12))
    classes = group_tables(summary, None)["per_class"]
    alone = classes[classes["n"] == 1]
    assert len(alone) and alone["dist_low"].isna().all() and alone["few"].all() and (classes["few"] == (classes["n"] < 10)).all()


def test_the_command_line_does_what_the_function_does(run, tmp_path, capsys):
    summary, report = run
    done = subprocess.run(
        [SCRIPT, "analyze", "--summary_csv", summary, "--out_dir", tmp_path, "--run_tag", "whole"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(report)) and f"open {tmp_path / 'whole' / 'report.html'}" in done.stdout
    for path in report.files:
        if path.suffix == ".csv":
            assert path.read_bytes() == (tmp_path / "whole" / path.name).read_bytes()
    other = tmp_path / "other.csv"
    other.write_text(summary.read_text() + "\n")
    for words, says in [
        (["--summary_csv", other, "--out_dir", tmp_path, "--run_tag", "whole"], "is there already, and of another summary"),
        (["--summary_csv", summary, "--out_dir", tmp_path, "--run_tag", "../x"], "run_tag must be"),
        (["--summary_csv", summary.with_name("summary_baselines.csv"), "--out_dir", tmp_path], "a table of baselines"),
        (["--summary_csv", tmp_path / "none.csv"], "none.csv"),
        (["--summary_csv", summary, "--out_dir", tmp_path, "--curves_csv", summary], "no column t_sec, pdf"),
        (["--summary_csv", summary, "--out_dir", tmp_path, "--vid_dir", tmp_path / "no"], "no such folder"),
    ]:
        assert main(["analyze", *map(str, words)]) == 1
        error = capsys.readouterr().err
        assert says in error and len(error.strip().splitlines()) == 1, error


def test_real_clips_become_a_report(real_clips, tmp_path):
    from avesound.embeddings.extract import extract
    from avesound.evaluation.evaluate import evaluate

    folder = real_clips
    extract(folder, tmp_path / "cache", annotations_csv=folder / "annotations.csv", progress=False)
    evaluate(tmp_path / "cache", folder / "annotations.csv").save(tmp_path / "summary.csv", tmp_path / "curves")
    report = analyze(tmp_path / "summary.csv", tmp_path / "out", "real", vid_dir=folder, n_examples=1)
    assert report.overall.counts.all > 5 and not report.overall.problems and not report.overall.reading.contradictions


CHROMIUM = next(filter(None, [os.environ.get("AVESOUND_CHROMIUM"), shutil.which("chromium"), shutil.which("chromium-browser")]), None)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (apt-get install chromium, or set AVESOUND_CHROMIUM)")
def test_a_browser_shows_it_offline_in_full_width_in_the_dark_and_on_paper(run):
    playwright = pytest.importorskip("playwright.sync_api")
    _, report = run
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for width in (600, 1280, 1440):
            page = browser.new_page(viewport={"width": width, "height": 900})
            messages, asked = [], []
            page.on("console", lambda message, messages=messages: messages.append(message.text))
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(report.html.as_uri())
            assert (
                messages == []
                and [url for url in asked if not url.startswith(("data:", "file:"))] == []
                and sum(url.startswith("file:") for url in asked) == 1
            )
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
            if width >= 1280:  # no table is cut off at the width of a laptop
                assert page.evaluate("[...document.querySelectorAll('.table')].filter(t => t.scrollWidth > t.clientWidth + 1).length") == 0
        colors = {}
        for scheme, media in [("light", "screen"), ("dark", "screen"), ("dark", "print")]:
            page.emulate_media(color_scheme=scheme, media=media)
            colors[scheme, media] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert colors["light", "screen"] == colors["dark", "print"] == "rgb(255, 255, 255)" != colors["dark", "screen"]
        browser.close()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (apt-get install chromium, or set AVESOUND_CHROMIUM)")
def test_on_paper_nothing_is_cut_and_a_heading_keeps_what_it_heads(run):
    playwright = pytest.importorskip("playwright.sync_api")
    _, report = run
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 680, "height": 1000})  # A4 without its margins, at 96 dots per inch
        page.emulate_media(media="print")
        page.goto(report.html.as_uri())

        def wrong(selector: str, condition: str) -> list[str]:
            found = f"[...document.querySelectorAll('{selector}')]"
            assert page.evaluate(f"{found}.length > 0"), selector
            return page.evaluate(f"{found}.filter(e => !({condition})).map(e => e.outerHTML.slice(0, 60))")

        assert wrong("table, figure, .tiles, dl", "e.getBoundingClientRect().right <= 681") == [], "wider than the page"
        assert wrong(".table, figure, article, .row, tr", "getComputedStyle(e).breakInside == 'avoid'") == []
        assert wrong("h2, h3, caption, h3 + p", "getComputedStyle(e).breakAfter == 'avoid'") == []
        before = "p:has(+ .table), p:has(+ figure), p:has(+ .row)"
        assert wrong(before, "getComputedStyle(e).breakAfter == 'avoid' && getComputedStyle(e).breakInside == 'avoid'") == []
        assert wrong(".table, figure", "e.getBoundingClientRect().height < 800") == [], "as high as a page"
        assert wrong("nav", "getComputedStyle(e).display == 'none'") == [], "no list of contents without pages"
        sheet = page.pdf(prefer_css_page_size=True)
        assert 6 <= len(re.findall(rb"/Type\s*/Page\b", sheet)) <= 10
        browser.close()


def test_wrong_sound_and_map_are_on_the_page_where_evaluate_says_them(tmp_path):
    summary = write_run(tmp_path / "run")
    baselines = pd.read_csv(tmp_path / "run/summary_baselines.csv")
    baselines = pd.concat([baselines, baselines[baselines["method"] == "first"].assign(method="shuffled")])
    baselines.to_csv(tmp_path / "run/summary_baselines.csv", index=False)
    cell = {"mean": 0.375, "low": 0.25, "high": 0.5, "n": 40}
    overall = {
        "status": {}, "settings": {"L_sec": [1.0], "tau": 0.5}, "encoder": "toy",
        "p_shuffled": {"all": {"dist": 0.031, "map": 0.042}, "partial": {"dist": 0.62}},
        "means": {"all": {"encoder": {"map": cell}, "centre": {"map": cell | {"mean": 0.125}}}},
        "differences": {"all": {"map": {"best": "centre", "to": {"centre": cell | {"mean": 0.25}}},
        "dist": {"best": "centre", "to": {"centre": {}, "first": {}, "shuffled": {}}}}},
    }  # fmt: skip
    summary.with_suffix(".json").write_text(json.dumps(overall))
    report = analyze(summary, tmp_path / "out", "t", n_examples=0)
    tables = {table.caption: table for table in [*metric_tables(report.overall), *method_tables(report.overall)]}
    rows = {row[0]: row for row in tables["All clips"].rows}
    assert rows["mAP\u00a0↑"][1:] == [
        ("0.38", "[0.25, 0.50]"),
        "40",
        "centre",
        "0.12",
        ("+0.25", "[+0.25, +0.50]"),
        "0.042",
    ]
    assert rows["distance (s)\u00a0↓"][-1] == "0.031" and rows["inside\u00a0↑"][-1] == "–"
    assert any(
        row[0] == "p, wrong sound" and "0.031" in row
        for caption, table in tables.items()
        for row in table.rows
        if caption.startswith("All clips:")
    )
    assert "p = 0.62: these clips do not show that it makes use of what it hears" in " ".join(report.overall.in_short)
    # Numbers of another run are no numbers of this one.
    summary.with_suffix(".json").write_text(json.dumps(overall | {"means": {"all": {"encoder": {"dist": {"mean": 7.0}, "map": cell}}}}))
    other = analyze(summary, tmp_path / "out", "u", n_examples=0)
    assert (
        other.overall.p_shuffled == {}
        and "map" not in other.overall.means["all"]["encoder"]
        and any("of another run" in note for note in other.overall.notes)
    )


def test_a_single_clip_has_no_interval_and_wins_nothing(tmp_path):
    table = pd.read_csv(write_run(tmp_path / "run")).iloc[[1]]
    (tmp_path / "one").mkdir()
    table.to_csv(tmp_path / "one/summary.csv", index=False)
    report = analyze(tmp_path / "one/summary.csv", tmp_path / "out", "t")
    assert np.isnan(report.overall.means["all"]["encoder"]["dist"].low)
    text = " ".join(report.overall.in_short)
    assert (
        "1 clip with" in text
        and "a single clip says nothing of others" in text
        and "[" not in text.split("came true")[0]
        and "1 clips" not in text
    )
