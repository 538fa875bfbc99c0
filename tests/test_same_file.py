"One file under two ids: known by its checksum, and said wherever it would flatter a number."

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from test_evaluate import annotate, towers

from avesound import cli
from avesound.data.splits import read_clips
from avesound.embeddings.cache import EmbeddingCache
from avesound.embeddings.extract import extract
from avesound.embeddings.pack import pack
from avesound.embeddings.projector import Projector
from avesound.evaluation.crossmodal import evaluate_crossmodal, queries_of_clips
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.plan import Scoring
from avesound.evaluation.protocol import Selection
from avesound.localization.align import AlignSettings
from avesound.refiner.network import RefinerSettings
from avesound.refiner.train import train_refiner
from avesound.report.analyze import analyze
from avesound.tuning.grid import Grid
from avesound.tuning.sweep import sweep
from conftest import ROOT

N = 6  # clips of each split
SPLITS = ("train", "val", "test")


def made(folder, same: dict[str, str]):
    "A cache of eighteen clips, three splits, in which some are the files of others."
    ids = [f"{split}{i}" for split in SPLITS for i in range(N)]
    events = [(1 + i % 5, 3 + i % 5) for i in range(len(ids))]
    files = {video_id: f"{same.get(video_id, video_id):f<64}" for video_id in ids}
    towers(folder, ids, 1.5, events=events, files=files)
    return EmbeddingCache(folder / "v", folder / "a"), annotate(folder / "a.csv", ids, events, [i[:-1] for i in ids])


def said(result) -> list[tuple[str, str]]:
    return [(problem.code, problem.text) for problem in result.overall.problems]


def selection(*ids: str) -> Selection:
    return Selection(AlignSettings(), (1.0,), "val", ids, "log_score on partial clips")


def test_different_files_are_not_spoken_of(tmp_path):
    cache, table = made(tmp_path, {"val0": "train0"})  # neither of which is scored or learnt from
    result = evaluate(cache, table, split="test", tuned_on=selection("val1"), calibrate_on=None)
    assert said(result) == [] and not any("one file" in note for note in result.overall.notes)


def test_of_a_foreign_cache_nothing_is_known(tmp_path):
    ids = ["a", "b", "c"]
    towers(tmp_path, ids, 1.5, events=[(1, 3)] * 3)
    result = evaluate((tmp_path / "v", tmp_path / "a"), annotate(tmp_path / "a.csv", ids, [(1, 3)] * 3, ["test"] * 3))
    assert not any("one file" in note for note in result.overall.notes)


def test_a_file_that_counts_twice_is_a_note(tmp_path):
    cache, table = made(tmp_path, {"test1": "test0", "test3": "test0", "test5": "test4"})
    result = evaluate(cache, table, split="test")
    which = "5 (test0 = test1 = test3, test4 = test5)"
    counts = "each of them counts, and the sound of one is no wrong sound of another"
    assert f"clips that are one file under several ids: {which}; {counts}" in result.overall.notes and said(result) == []


@pytest.mark.parametrize("how", ["selection", "calibration", "projector", "both"])
def test_learnt_from_under_another_id_is_no_result(how, tmp_path):
    cache, table = made(tmp_path, {"val0": "test2", "val3": "test1"})
    more, what = {}, []
    if how in ("selection", "both"):
        more["tuned_on"] = selection("val0", "val1", "val3")
        what.append("the settings were chosen on")
    if how == "projector":
        cache = EmbeddingCache(cache.vid_emb_dir, cache.aud_emb_dir, projector=plain_projector("val0", "val3", "val4"))
        what.append("the projector was fitted on")
    if how in ("calibration", "both"):
        more["calibrate_on"] = "val"
        what.append("the temperature and the margins were fitted on")
    result = evaluate(cache, table, split="test", **more)
    part = f"2 of the scored clips are files that {' and '.join(what)}, under other ids (test1 is val3, test2 is val0)"
    assert said(result) == [("same_file", f"{part}: leave these out of the annotations, or learn anew without the others")]
    result.save(tmp_path / "s.csv")
    assert json.loads((tmp_path / "s.json").read_text())["problems"][0]["code"] == "same_file"
    assert result.summary["flawed"].all() and f"NOT A RESULT: 2 of the scored clips are files that {what[0]}" in " ".join(
        str(result).split()
    )
    report = analyze(tmp_path / "s.csv", tmp_path / "reports", how, n_examples=1)
    page = report.html.read_text(encoding="utf-8")
    assert page.index("Not a result") < page.index("test1 is val3") < page.index('class="tiles"')


def plain_projector(*clips: str) -> Projector:
    one, none = np.eye(12, dtype=np.float32), np.zeros(12, dtype=np.float32)
    towers = {"name": "towers", "dim": 12, "joint": True, "weights": "none", "video_hears": False}
    return Projector(none, one, none, one, np.ones(2, dtype=np.float32) * 99, {"clips": list(clips), "video": towers, "audio": towers})


def test_clips_that_are_not_scored_count_for_nothing(tmp_path):
    "One whose event has no length, and one whose curve says nothing."
    cache, table = made(tmp_path, {"val0": "test2", "test4": "test2", "test5": "test3"})
    rows = pd.read_csv(table)
    rows.loc[rows["video_id"].isin(["test2", "test5"]), "end_s"] = rows["start_s"]
    rows.to_csv(table, index=False)
    result = evaluate(cache, table, split="test", tuned_on=selection("val0"))
    assert [problem.text.split(" (")[1] for problem in result.overall.problems] == [
        "test4 is val0): leave these out of the annotations, or learn anew without the others"
    ]
    rows.loc[rows["video_id"] == "test4", "end_s"] = rows["start_s"]
    rows.to_csv(table, index=False)
    result = evaluate(cache, table, split="test", tuned_on=selection("val0"))
    assert said(result) == [] and not any("one file" in note for note in result.overall.notes)


def test_what_the_cell_nowhere_is_fitted_on_is_a_note_of_its_own_table(tmp_path):
    cache, table = made(tmp_path, {"val0": "test2"})
    rows = pd.read_csv(table)
    rows.loc[rows["video_id"].isin(["val1", "val2", "test0", "test1"]), ["start_s", "end_s"]] = np.nan
    rows.to_csv(table, index=False)
    result = evaluate(cache, table, split="test")
    assert said(result) == [] and result.presence.fitted_on == "val"
    assert "files that the cell nowhere is fitted on and that are scored, under other ids: 1 (test2 is val0)" in result.presence.notes


def test_a_refiner_is_not_stopped_by_files_that_it_is_trained_on(tmp_path):
    cache, table = made(tmp_path, {"val0": "train2", "test5": "train1", "test4": "val1"})
    how = {"training": RefinerSettings(epochs=1, seeds=(1,))}
    refiner = train_refiner(cache, table, refiner_ckpt=tmp_path / "r.safetensors", **how)
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["left_out"] == {"val0": "the file of a training clip"} and "val0" not in record["val"] and len(record["val"]) == N - 1
    (told,) = [note for note in record["notes"] if "files of training clips" in note]
    assert told == "the training left out validation clips that are files of training clips, under other ids: 1 (val0 is train2)"
    result = evaluate(cache, table, split="test", refiner=refiner)
    (_, why) = said(result)[0]
    assert why.startswith("1 of the scored clips is a file that the refiner was trained on, under another id (test5 is train1); ")
    assert "is a file that the training of the refiner was stopped by, under another id (test4 is val1)" in why
    assert told in result.overall.notes
    cache, table = made(tmp_path / "all", {f"val{i}": f"train{i}" for i in range(N)})
    with pytest.raises(ValueError, match="each validation clip is the file of a training clip, under another id .val0 is train0"):
        train_refiner(cache, table, **how)


def test_files_copied_under_another_name_are_found_from_the_first_command_to_the_last(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main("synth --out_dir data --n_train 4 --n_val 4 --n_test 6 --workers 1".split()) == 0
    (table,) = (tmp_path / "data").rglob("*annotations*.csv")
    rows = pd.read_csv(table, dtype={"video_id": str})
    partial = rows[(rows["start_s"] > 0) | (rows["end_s"] < 10)]
    test, val = (partial[partial["split"] == split]["video_id"].tolist() for split in ("test", "val"))
    (folder,) = {path.parent for path in (tmp_path / "data").rglob("*.mp4")}
    shutil.copyfile(folder / f"{test[0]}.mp4", folder / f"{val[0]}.mp4")
    shutil.copyfile(folder / f"{test[1]}.mp4", folder / f"{test[2]}.mp4")
    extract(folder, tmp_path / "cache", progress=False)
    grid = Grid(taus=(0.1, 0.5), smooth_sigmas=(0.0,), zscores=(True,))
    sweep(tmp_path / "cache", table, out_dir=tmp_path / "sweep", grid=grid, test_split=None, progress=False)
    for packed in (False, True):
        if packed:
            pack(tmp_path / "cache")
        result = evaluate(tmp_path / "cache", table, split="test", tuned_on=tmp_path / "sweep/selection.json", scoring=Scoring(n_boot=10))
        (problem,) = result.overall.problems
        assert (
            problem.code == "same_file" and f"({test[0]} is {val[0]})" in problem.text and problem.text.startswith("1 of the scored clips")
        )
        (note,) = [note for note in result.overall.notes if "one file" in note]
        assert f": 2 ({' = '.join(sorted(test[1:3]))}); each of them counts" in note
    events = f"--vid_emb_dir cache --aud_emb_dir cache --annotations_csv {table} --split test --n_boot 10 --out_json crossmodal.json"
    capsys.readouterr()
    assert cli.main(["evaluate-crossmodal", *events.split()]) == 0
    assert "clips that are one file under several ids: 2" in " ".join(capsys.readouterr().out.split())


def test_what_a_projector_was_fitted_on_is_known_to_every_command_that_scores_with_it(tmp_path):
    cache, table = made(tmp_path, {"train0": "test2", "train1": "val2"})
    cache = EmbeddingCache(cache.vid_emb_dir, cache.aud_emb_dir, projector=plain_projector("train0", "train1", "train2"))
    swept = sweep(cache, table, out_dir=tmp_path / "sweep", grid=Grid(taus=(0.1, 0.5)), test_split=None, progress=False)
    (problem,) = json.loads((tmp_path / "sweep/selection.json").read_text())["problems"]
    told = "1 of the scored clips is a file that the projector was fitted on, under another id"
    assert problem["code"] == "same_file" and problem["text"].startswith(f"{told} (val2 is train1)") and "NOT A RESULT" in str(swept)
    kept = cache.vid_emb_dir / "train1.npz"
    kept.rename(tmp_path / "away.npz")
    again = {"grid": Grid(taus=(0.1, 0.5)), "test_split": None, "progress": False}
    assert "NOT A RESULT" not in str(sweep(cache, table, out_dir=tmp_path / "sweep", **again)), "what the cache does not have is not known"
    (tmp_path / "away.npz").rename(kept)
    assert "NOT A RESULT" in str(sweep(cache, table, out_dir=tmp_path / "sweep", **again)), "what it knows is not kept with the cosines"
    queries = queries_of_clips(read_clips(table).of_split("test"))
    (problem,) = evaluate_crossmodal(queries, cache, n_boot=10).overall.problems
    assert problem.code == "same_file" and problem.text.startswith(f"{told} (test2 is train0)")


def test_the_page_on_choosing_settings_says_so():
    page = " ".join((ROOT / "nbs/howto/choose_settings.md").read_text(encoding="utf-8").split())
    assert "under two ids" in page and "checksum" in page
