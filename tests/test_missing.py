"What a result lacks is said before what it has: in the first line of the terminal, in the first sentence of the report, on its tiles."

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_evaluate import annotate, towers

from avesound import cli
from avesound.embeddings.cache import EmbeddingCache
from avesound.evaluation.card import _calibration
from avesound.evaluation.compare import compare
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.plan import Scoring
from avesound.evaluation.protocol import Selection, read_selection
from avesound.evaluation.tables import UNSAID, missing_or_small
from avesound.localization.align import AlignSettings
from avesound.report.analyze import analyze
from avesound.report.findings import facts
from avesound.tuning.grid import Grid
from avesound.tuning.sweep import sweep
from conftest import ROOT

FULL = (0.0, 10.0)


def made(folder, n: int, n_partial: int) -> tuple[EmbeddingCache, object]:
    "Test clips of which some are partial, and as many on val."
    ids = [f"clip{i:02d}" for i in range(2 * n)]
    start = np.random.default_rng(3).integers(0, 7, len(ids))
    events = [(int(s), int(s) + 2) if i % n < n_partial else FULL for i, s in enumerate(start)]
    towers(folder, ids, 0.5, events=events)  # so loud that not every peak is right
    return EmbeddingCache(folder / "v", folder / "a"), annotate(folder / "a.csv", ids, events, ["val"] * n + ["test"] * n)


def first_line(result) -> str:
    return str(result).splitlines()[0]


def test_nothing_is_missing_where_nothing_is(tmp_path):
    cache, table = made(tmp_path, 14, 12)
    whole = evaluate(cache, table, split="test", calibrate_on="val").save(tmp_path / "s.csv", tmp_path / "curves")
    assert first_line(whole) == "14 annotated clips (split: test): 14 ok; 12 of them partial"
    report = analyze(tmp_path / "s.csv", tmp_path / "reports", "whole", n_examples=1)
    assert not any("Missing or small" in line for line in report.overall.in_short)


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize(
    "n_partial, how, said",
    [
        (6, {"calibrate_on": "val"}, "Missing or small: only 6 partial clips; temperature fitted on only 6 clips."),
        (
            1,
            {"calibrate_on": "val"},
            "Missing or small: only 1 partial clip; temperature fitted at the edge of what is tried (0.02), on only 1 clip.",
        ),
        (0, {}, "Missing or small: no partial clips; nothing was chosen or fitted on a val split."),
        (12, {}, "Missing or small: nothing was chosen or fitted on a val split."),
        (12, {"calibrate_on": "val", "scoring": Scoring(n_shuffles=0)}, "Missing or small: no wrong sound."),
        (
            6,
            {"scoring": Scoring(n_shuffles=0)},
            "Missing or small: no wrong sound; only 6 partial clips; nothing was chosen or fitted on a val split.",
        ),
    ],
)
def test_what_is_missing_is_said_first(n_partial, how, said, tmp_path):
    cache, table = made(tmp_path, 14, n_partial)
    result = evaluate(cache, table, split="test", **how).save(tmp_path / "s.csv", tmp_path / "curves")
    assert first_line(result) == said
    report = analyze(tmp_path / "s.csv", tmp_path / "reports", "short", n_examples=1)
    assert report.overall.in_short[0] == said and first_line(report) == said
    page = report.html.read_text(encoding="utf-8")
    lede = re.search(r'<p class="sound">([^<]*)</p>', page)[1]
    assert lede.startswith(said) and page.index(said) < page.index('class="tiles"'), "before any number"
    assert page.count("Missing or small") == 1 == str(report).count("Missing or small"), "once, not again under In short"


def test_what_is_missing_is_said_once_and_first_of_what_is_no_result_too(tmp_path):
    cache, table = made(tmp_path, 14, 12)
    evaluate(cache, table, split="test", settings=AlignSettings(audio_query="oracle")).save(tmp_path / "s.csv")
    report = analyze(tmp_path / "s.csv", tmp_path / "reports", "oracle", n_examples=1)
    page = report.html.read_text(encoding="utf-8")
    assert page.count("Missing or small: nothing was chosen") == 1 and "Nothing in the files speaks against" not in page
    assert page.index("Not a result") < page.index("Missing or small") < page.index('class="tiles"')
    assert str(report).count("Missing or small") == 1


@pytest.mark.usefixtures("blank_figures")
def test_settings_at_the_edge_of_the_grid_are_named(tmp_path):
    _, table = made(tmp_path, 14, 12)
    grid = Grid(taus=(20.0, 50.0), smooth_sigmas=(0.0,), zscores=(True,))
    (tmp_path / "c").mkdir()
    for kind, name in (("v", "vid_emb"), ("a", "aud_emb")):
        (tmp_path / kind).rename(tmp_path / "c" / name)
    sweep([tmp_path / "c"], table, out_dir=tmp_path / "grid", grid=grid, progress=False)
    selection = read_selection(tmp_path / "grid/selection.json")
    assert selection.at_edge == ("tau",)
    result = evaluate(tmp_path / "c", table, split="test", tuned_on=tmp_path / "grid/selection.json").save(tmp_path / "s.csv")
    assert first_line(result) == "Missing or small: settings chosen at the edge of the grid (tau)."
    assert analyze(tmp_path / "s.csv", tmp_path / "reports", "edge", n_examples=1).overall.in_short[0] == first_line(result)


@pytest.mark.usefixtures("blank_figures")
def test_settings_that_were_not_chosen_are_named_with_those_that_were(tmp_path, monkeypatch):
    cache, table = made(tmp_path, 14, 12)
    monkeypatch.setattr(EmbeddingCache, "as_row", lambda cache: {"encoder": "hand"})
    chosen = Selection(AlignSettings(tau=0.05), (1.0,), "val", ("elsewhere",), "log_score", at_edge=("tau",))

    def said(settings=None, selection=chosen, **how) -> str:
        return first_line(evaluate(cache, table, split="test", tuned_on=selection, settings=settings, **how))

    assert said() == said(calibrate_on="val") == "Missing or small: settings chosen at the edge of the grid (tau)."
    described = replace(chosen.settings, interval_mass=0.8, conf_radius_s=1.0)  # how a prediction is described, nothing of it
    assert said(described) == said()
    given = replace(chosen.settings, tau=0.1, score_zscore=False)
    assert said(given) == "Missing or small: settings given instead of those chosen on val (score_zscore, tau)."
    assert said(selection=replace(chosen, at_edge=(), encoder="hand")) == "14 annotated clips (split: test): 14 ok; 12 of them partial"
    other = replace(chosen, at_edge=(), encoder="another")
    assert said(selection=other) == "Missing or small: settings chosen with another encoder (another)."
    evaluate(cache, table, split="test", tuned_on=chosen, settings=given).save(tmp_path / "s.csv")
    report = analyze(tmp_path / "s.csv", tmp_path / "reports", "given", n_examples=1)
    assert dict(facts(report.overall))["Settings chosen on"].endswith("by log_score; given by hand: score_zscore, tau")
    assert report.overall.in_short[0].endswith("instead of those chosen on val (score_zscore, tau).")


def test_a_temperature_at_the_edge_or_of_few_clips_and_intervals_that_nothing_is_known_of_are_named():
    fit = {"tau_before": 0.5, "tau": 0.02, "n_clips": 30, "log_score_before": -1.0, "log_score": -0.5}
    fitted = {"split": "val", "n_clips": 8, "temperature": fit, "level": 0.9, "margin_s": {"event": None, "moment": 0.5}}
    whole = replace(UNSAID, n_partial=20, means={"partial": {"encoder": {}, "shuffled": {}}})
    lacking = missing_or_small(replace(whole, calibration={"fitted": fitted}))
    assert lacking == ["temperature fitted at the edge of what is tried (0.02)"]
    fitted["temperature"] = fit | {"tau": 0.3, "n_clips": 9}
    assert missing_or_small(replace(whole, calibration={"fitted": fitted})) == ["temperature fitted on only 9 clips"]
    fitted["temperature"] = fit | {"tau": 0.3}
    assert missing_or_small(replace(whole, calibration={"fitted": fitted})) == []


def test_of_too_few_clips_there_is_no_share_of_intervals_that_hold(tmp_path):
    cache, table = made(tmp_path, 8, 6)
    said = str(evaluate(cache, table, split="test", calibrate_on="val"))
    assert "in 90% of clips: val has too few (8) to say how wide, so each is its whole clip" in said
    assert "in 90% of clips do so in" not in said and "do so in" in str(
        evaluate(*made(tmp_path / "more", 14, 12), calibrate_on="val", split="test")
    )


def test_annotations_that_are_not_of_these_clips_make_no_result(tmp_path, recwarn):
    cache, table = made(tmp_path, 14, 12)
    rows = pd.read_csv(table)
    in_ms = rows.assign(start_s=1000 * rows["start_s"], end_s=1000 * rows["end_s"])
    in_ms.to_csv(tmp_path / "ms.csv", index=False)
    found = evaluate(cache, tmp_path / "ms.csv", split="test").overall
    assert [problem.code for problem in found.problems] == ["not_of_these_clips"] and "14 of 14" in found.problems[0].text
    assert not [w for w in recwarn if "empty slice" in str(w.message)]
    one = rows.copy()
    one.loc[len(one) - 1, ["start_s", "end_s"]] = 10.2, 10.8  # begins after its clip, and ends less than a second after it
    one.to_csv(tmp_path / "one.csv", index=False)
    found = evaluate(cache, tmp_path / "one.csv", split="test").overall
    assert not found.problems and any("or begins after it: 1 (clip27)" in note for note in found.notes)


def test_clips_that_are_not_in_the_split_they_seem_to_be_in_are_named(tmp_path):
    cache, table = made(tmp_path, 14, 12)
    rows = pd.read_csv(table, dtype=str)
    rows.loc[rows["video_id"] == "clip20", "split"] = ""
    pd.concat([rows, rows[rows["video_id"] == "clip21"].assign(split="val")]).to_csv(tmp_path / "b.csv", index=False)
    found = evaluate(cache, tmp_path / "b.csv", split="test").overall
    assert found.n_clips == 12 and [note for note in found.notes if "split" in note] == [
        "ids of test that another split names, too, and that count there: 1 (clip21)",
        "annotated clips without a split, which are in none: 1 (clip20)",
    ]
    assert not [note for note in evaluate(cache, tmp_path / "b.csv").overall.notes if "split" in note]


def test_events_without_a_length_and_labels_that_are_nearly_the_same_are_named(tmp_path):
    cache, table = made(tmp_path, 14, 12)
    rows = pd.read_csv(table)
    whole = evaluate(cache, table, split="test").overall
    assert not [note for note in whole.notes if "ends where it begins" in note or "capitals" in note]
    rows.loc[rows["video_id"] == "clip20", ["start_s", "end_s"]] = 3.0, 3.0
    rows.loc[rows["video_id"] == "clip21", "event_label"] = " CLASS  1"
    rows.loc[rows["video_id"] == "clip02", "event_label"] = "Class 2"  # of val, where a prior of the class may be learnt
    rows.to_csv(tmp_path / "b.csv", index=False)
    found = evaluate(cache, tmp_path / "b.csv", split="test").overall
    assert found.status == {"ok": 13, "no_event": 1}
    assert [note for note in found.notes if note.startswith("c")] == [
        "clips with an event that ends where it begins: 1 (clip20); such an event is none, a clip without another no_event",
        "categories that differ in capitals or spaces alone, and are counted as several: 2 (CLASS  1 = class 1, Class 2 = class 2)",
    ]


def test_comparisons_say_in_what_else_the_runs_differ(tmp_path):
    cache, table = made(tmp_path, 14, 12)
    tuned = Selection(AlignSettings(tau=0.3), (1.0,), "val", ("clip00", "clip01"), "log_score on partial clips")
    other = replace(tuned, settings=AlignSettings(tau=0.2))
    runs = {"a": {}, "a2": {}, "b": {"tuned_on": tuned}, "b2": {"tuned_on": other}, "c": {"calibrate_on": "val"}, "d": {}, "f": {}}
    for name, how in runs.items():
        evaluate(cache, table, split="test", scoring=Scoring(n_boot=20), **how).save(tmp_path / f"run_{name}.csv")
    record = json.loads((tmp_path / "run_d.json").read_text())
    for name, changes in {"d": {"stride_s": 0.5, "L_sec": [0.5, 1.0]}, "f": {"win_s": 2.0}}.items():
        changed = record | {"settings": record["settings"] | changes}
        (tmp_path / f"run_{name}.json").write_text(json.dumps(changed))
    (tmp_path / "run_e.csv").write_bytes((tmp_path / "run_a.csv").read_bytes())  # nothing is known of it

    def notes(*names: str) -> tuple[str, ...]:
        paths, names = [tmp_path / f"run_{name}.csv" for name in names], list(names)
        return compare(paths, names=names, baselines=(), metrics=("dist",), n_boot=20, n_perm=19).notes

    assert notes("a", "a2") == ()
    assert notes("a", "e") == ("e: with which settings is not known, for want of its .json",)
    assert notes("a", "b") == (
        "settings were not chosen alike: a as given, or the defaults; b on val",
        "settings differ: tau (a 0.5; b 0.3)",
    )
    assert notes("a", "c")[0] == "temperatures were not fitted alike: a not at all; c on val" and notes("a", "c")[1].startswith(
        "settings differ"
    )
    assert notes("b", "b2") == (), "settings chosen for each may well differ"
    windows, lengths = "video windows are not alike: a of ? s every 0.25 s; ", "settings differ: L_sec (a 1; d 0.5+1)"
    assert notes("a", "d") == (f"{windows}d of ? s every 0.5 s", lengths) and notes("a", "f") == (f"{windows}f of 2 s every 0.25 s",)


@pytest.mark.usefixtures("blank_figures")
def test_what_is_no_result_is_said_in_a_comparison_for_a_paper_too(tmp_path):
    cache, table = made(tmp_path, 14, 12)
    for name, query in {"whole": "sync", "told": "oracle"}.items():
        evaluate(cache, table, split="test", settings=AlignSettings(audio_query=query), scoring=Scoring(n_boot=20)).save(
            tmp_path / f"{name}.csv"
        )
    paths = [tmp_path / "whole.csv", tmp_path / "told.csv"]
    found = compare(paths, names=["a|b", "told"], baselines=(), metrics=("dist",), n_boot=20, n_perm=19).save(tmp_path / "side")
    tex, page = ((tmp_path / f"side/comparison.{ending}").read_text() for ending in ("tex", "md"))
    assert found.flawed == ("told",) and "Not a result: told." in " ".join(tex.split())
    assert not any("textbf" in line for line in tex.splitlines() if "told" in line)
    assert "\n\nnote: told is NOT A RESULT" in page and "a\\|b" in page.split("| all")[0]


def test_p_values_say_how_many_comparisons_they_are_corrected_for(tmp_path):
    cache, table = made(tmp_path, 14, 12)
    for tau in (0.5, 0.3):
        evaluate(cache, table, split="test", settings=AlignSettings(tau=tau), scoring=Scoring(n_boot=20)).save(tmp_path / f"{tau}.csv")
    found = compare([tmp_path / "0.5.csv", tmp_path / "0.3.csv"], baselines=(), metrics=("dist",), min_clips=3, n_boot=20, n_perm=19)
    n = int(found.table["p_holm"].notna().sum())
    assert (
        n > 2
        and f"p (Holm): corrected for up to {n} comparisons of a column, 2 of them shown" in str(found)
        and "2 of them shown" in found.as_markdown()
    )


def test_a_summary_of_others_is_not_said_to_lack_what_is_not_known(tmp_path):
    rows = [f"c{i},dog,ok,{i % 7 + 0.5},{i % 7},{i % 7 + 2},10" for i in range(12)]
    header = "yt_id,label,status,pred_t,gt_start,gt_end,duration"
    (tmp_path / "s.csv").write_text("\n".join([header, *rows]) + "\n")
    first = analyze(tmp_path / "s.csv", tmp_path / "reports", "old", n_examples=1).overall.in_short[0]
    assert first == "Missing or small: no wrong sound."


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize("n_partial", (1, 6))
def test_tiles_have_the_dagger_and_the_page_says_what_it_means(n_partial, tmp_path):
    cache, table = made(tmp_path, 14, n_partial)
    evaluate(cache, table, split="test").save(tmp_path / "s.csv", tmp_path / "curves")
    report = analyze(tmp_path / "s.csv", tmp_path / "reports", "few", n_examples=1)
    page = report.html.read_text(encoding="utf-8")
    values = re.findall(r'<p class="value">([^<]*)</p>', page)
    assert len(values) >= 3 and all(value.endswith("†") for value in values), values
    assert any(line.startswith("† fewer than 10 clips") for line in report.overall.in_short)


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize("n, n_partial, told", [(14, 12, True), (2, 2, False), (14, 3, False)])
def test_a_few_clips_have_no_calibration_error(n, n_partial, told, tmp_path):
    cache, table = made(tmp_path, n, n_partial)
    result = evaluate(cache, table, split="test").save(tmp_path / "s.csv", tmp_path / "curves")
    assert ("calibration error 0." in str(result)) is told
    assert (f"confidence, partial clips: too few ({n_partial}) to tell a calibration error" in str(result)) is not told
    report = analyze(tmp_path / "s.csv", tmp_path / "reports", "few", n_examples=1)
    short, page = " ".join(report.overall.in_short), report.html.read_text(encoding="utf-8")
    assert ("% of 2 clips: too few to tell whether it is calibrated." in short) is (n == 2)
    assert ("The calibration error (ECE) is" in short) is (n > 2)
    cells = re.findall(r"near, partial events</th>.*?</tr>", page, re.DOTALL)
    assert len(cells) == 3 and all(row.count("†") == (0 if told else 3) for row in cells), cells


def test_one_clip_is_no_clips(tmp_path, capsys):
    cache, table = made(tmp_path, 14, 1)
    evaluate(cache, table, split="test").save(tmp_path / "s.csv", tmp_path / "curves")
    report = analyze(tmp_path / "s.csv", tmp_path / "reports", "one", n_examples=1)
    texts = [str(report), report.html.read_text(encoding="utf-8"), str(evaluate(cache, table, split="test"))]
    assert cli.main(["compare", str(tmp_path / "s.csv"), str(tmp_path / "s.csv"), "--out_dir", str(tmp_path / "side")]) == 0
    texts += [capsys.readouterr().out, (tmp_path / "side/comparison.tex").read_text()]
    for text in texts:
        plain = re.sub(r"<[^>]*>", " ", text)
        assert not re.search(r"(?<![\d.,])1 (?:\w+ )?(?:clips|rows|events|baselines|settings)\b", plain), re.findall(
            r".{30}\b1 \w*\s?clips.{20}", plain
        )


def test_the_readme_takes_the_wrong_sound_along():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    shell, python = page[page.index("avesound download") :].split("```")[:3:2]
    assert "--wrong_sound 1" in shell and "--shuffled_dirs" in shell
    assert "wrong_sound=1" in python and "shuffled_dirs=" in python


# ---- rows that were deleted


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize("kept, said", [(slice(3), "is of 14 clips, here of 2"), (slice(None), "")])
def test_a_summary_without_some_of_its_rows_is_said_to_be_no_more_what_it_was(kept, said, tmp_path):
    "Before all else, in words that say what may have happened; and nothing speaks of a result that nothing speaks against."
    cache, table = made(tmp_path, 14, 12)
    evaluate(cache, table, split="test", calibrate_on="val").save(tmp_path / "s.csv")
    (tmp_path / "t.csv").write_bytes((tmp_path / "s.csv").read_bytes())  # without a record: nothing is known of its rows
    (tmp_path / "s.csv").write_text("".join((tmp_path / "s.csv").read_text().splitlines(keepends=True)[kept]))
    report = analyze(tmp_path / "s.csv", tmp_path / "reports", "cut", n_examples=0)
    page = report.html.read_text(encoding="utf-8")
    compared = str(compare([tmp_path / "s.csv", tmp_path / "t.csv"], names=["cut", "whole"], baselines=(), n_boot=10, n_perm=9))
    if not said:
        assert "of another run" not in str(report) + page + compared and "Nothing in the files speaks against" in page
        return
    start = "rows of s.csv were deleted or changed, or s.json is of another run: there "
    assert said in report.overall.in_short[0] and report.overall.in_short[0].startswith(f"Missing or small: {start}")
    assert first_line(report).startswith("Missing or small: rows of s.csv were deleted")
    assert page.index("rows of s.csv were deleted") < page.index('class="tiles"') and "Nothing in the files speaks against" not in page
    assert f"note: cut: {start}" in " ".join(compared.split()) and "whole: rows" not in compared


def test_a_card_says_nothing_of_intervals_that_are_whole_clips(tmp_path):
    def covered(n: int) -> dict[str, dict]:
        cache, table = made(tmp_path / str(n), n, n - 2)
        return _calibration(evaluate(cache, table, split="test", calibrate_on="val").overall)["covered"]

    assert covered(8) == {}
    enough = covered(14)
    assert set(enough) == {"event", "moment"} and all({"mean", "low", "high", "n", "mean_width_s"} <= set(cell) for cell in enough.values())
