"Clips with nothing to find, from the annotations to the table: told from others, never dropped, never fitted on what is scored."

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from avesound.embeddings.store import audio_file, video_file, write_embeddings
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.plan import Scoring
from avesound.evaluation.tables import read_overall
from avesound.localization.align import AlignSettings
from avesound.metrics.bootstrap import resample_counts
from avesound.metrics.clip import crps, expected_point_metrics, log_score, mass_inside
from avesound.metrics.presence import fit_nowhere, nowhere_crps, nowhere_log_score, presence_numbers
from avesound.timeline import sliding_windows

SPLITS = ["train"] * 30 + ["val"] * 60 + ["test"] * 90


def towers(folder, ids, lift, events, seed=0, **more):
    "Caches of two towers that see and hear apart: vectors agree during the event, by `lift`; None: a clip without one."
    rng, windows = np.random.default_rng(seed), sliding_windows(10.0, 1.0, 0.25)
    encoder = {"name": "towers", "dim": 12, "joint": True, "weights": "none", "video_hears": False}
    meta = {"encoder": encoder, "stride_s": 0.25, "duration_s": 10.0, "fingerprint": f"{lift}"} | more
    for name, event in zip(ids, events):
        start, end = event or (20, 20)
        shared = lift * ((windows.centers_sec >= start) & (windows.centers_sec < end))[:, None] * rng.normal(size=(40, 12))
        heard = {"loudness_db": rng.normal(-30, 5, 40)}
        seen = {"motion": rng.uniform(0, 5, 40)}
        write_embeddings(video_file(folder / "v", name), rng.normal(size=(40, 12)) + shared, windows, meta, **seen)
        write_embeddings(audio_file(folder / "a", name, 1.0), rng.normal(size=(40, 12)) + shared, windows, meta, **heard)


def annotate(path, ids, events, splits=SPLITS):
    rows = [
        f"{i},class {k % 3},{'{},{}'.format(*(event or ('', '')))},{split}" for k, (i, event, split) in enumerate(zip(ids, events, splits))
    ]
    path.write_text("\n".join(["video_id,event_label,start_s,end_s,split", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    "180 clips; every third has no event."
    folder, rng = tmp_path_factory.mktemp("mixed"), np.random.default_rng(5)
    ids = [f"clip{i:03}" for i in range(180)]
    events = [
        None if k % 3 == 0 else (int(s), int(s + n)) for k, (s, n) in enumerate(zip(rng.integers(0, 7, 180), rng.integers(2, 4, 180)))
    ]
    towers(folder, ids, 2.0, events)
    annotate(folder / "a.csv", ids, events)
    return folder, ids, events


def judged(folder, csv="a.csv", **more):
    scoring = Scoring(n_boot=200, n_shuffles=20, also=more.pop("also", None))
    return evaluate((folder / "v", folder / "a"), folder / csv, scoring=scoring, **{"split": "test"} | more)


def run(*words):
    words = [str(word) for word in words]
    return subprocess.run([Path(sys.executable).with_name("avesound"), *words], capture_output=True, text=True, timeout=300)


# ---- the numbers


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.booleans())
def test_presence_numbers_are_what_slow_loops_and_scikit_learn_say(seed, n, ties):
    rng = np.random.default_rng(seed)
    present = rng.random(n) < 0.5
    present[:2] = True, False
    curve = np.round(rng.normal(size=(n, 8)), 0 if ties else 9)
    in_event = np.where(present[:, None], curve[:, :4].reshape(n, 2, 2).max(axis=2), np.nan)
    score = curve.max(axis=1)
    for weights, numbers in [
        (np.ones(n), {k: v.value for k, v in presence_numbers(score, present, in_event, n_boot=3, seed=seed).items()}),
        *(
            (w, {k: v.drawn[r] for k, v in presence_numbers(score, present, in_event, n_boot=3, seed=seed).items()})
            for r, w in enumerate(resample_counts(n, 3, seed).astype(float))
        ),
    ]:
        yes, no = weights[present].sum(), weights[~present].sum()
        if not (yes and no):
            assert all(math.isnan(value) for value in numbers.values())
            continue
        assert math.isclose(numbers["auroc"], roc_auc_score(present, score, sample_weight=weights), abs_tol=1e-9)
        assert math.isclose(numbers["average_precision"], average_precision_score(present, score, sample_weight=weights), abs_tol=1e-9)
        corners = [(0.0, 0.0)]
        for threshold in sorted({*score.tolist(), *in_event[present].ravel().tolist()}, reverse=True):
            found = ((in_event[present] >= threshold) * weights[present, None]).sum() / (2 * yes)
            corners.append((found, ((score[~present] >= threshold) * weights[~present]).sum() / no))
        k = next(k for k, (found, _) in enumerate(corners) if found >= 0.9 - 1e-9)
        (f0, x0), (f1, x1) = corners[k - 1], corners[k]
        assert math.isclose(numbers["false_moments"], x0 + (0.9 - f0) / (f1 - f0) * (x1 - x0), abs_tol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1))
def test_scores_of_a_pdf_with_a_cell_nowhere_reduce_to_those_without_and_are_best_for_the_truth(seed, q):
    rng = np.random.default_rng(seed)
    edges = np.sort(np.append(rng.uniform(0, 10, 9), [0, 10]))
    cells, pdf = np.stack([edges[:-1], edges[1:]], axis=1), rng.dirichlet(np.ones(10))
    event = np.sort(rng.uniform(0, 10, 2))[None]
    mass, score, away = mass_inside(event, pdf, cells), crps(event, pdf, cells), expected_point_metrics(event, pdf, cells)["dist"]
    assert nowhere_log_score(0.0, True, mass) == log_score(event, pdf, cells) and nowhere_crps(0.0, True, score, away, 10.0) == score
    moment, other = rng.choice(10, 2000, p=pdf), rng.choice(10, 2000, p=pdf)
    distances = []
    for cell in (moment, other):
        t = rng.uniform(*cells[cell].T)
        far = np.maximum(np.maximum(event[0, 0] - t, t - event[0, 1]), 0)
        distances.append(np.where(rng.random(2000) < q, 10.0, far))
    sampled = np.mean(distances[0]) - np.abs(np.subtract(*distances)).mean() / 2  # E D - E |D - D'| / 2, Gneiting and Raftery's other form
    assert abs(nowhere_crps(q, True, score, away, 10.0) - sampled) < 0.5
    assert 0 <= nowhere_crps(q, True, score, away, 10.0) <= 10 + 1e-9 and math.isclose(
        nowhere_crps(q, False, 0, 0, 10.0), 10 * (1 - q) ** 2
    )
    assert math.isclose(nowhere_log_score(q, False, math.nan), math.log(max(q, 1e-6)), rel_tol=1e-12)


def test_an_oracle_is_perfect_in_every_new_number_and_a_constant_is_at_chance():
    present = np.arange(40) % 4 > 0
    oracle = presence_numbers(present * 1.0, present, np.where(present, 1.0, np.nan)[:, None])
    constant = presence_numbers(np.full(40, 0.3), present, np.where(present, 0.3, np.nan)[:, None])
    assert [(c.value, c.interval.low, c.interval.high) for c in oracle.values()] == [(1, 1, 1), (1, 1, 1), (0, 0, 0)]
    assert [(c.value, c.interval.low, c.interval.high) for c in (constant["auroc"],)] == [(0.5, 0.5, 0.5)]
    assert math.isclose(constant["average_precision"].value, 0.75) and math.isclose(constant["false_moments"].value, 0.9)
    rate = fit_nowhere(np.zeros(40), present)
    q = rate.nowhere(np.zeros(40))
    assert np.ptp(q) == 0 and abs(q[0] - 0.25) < 0.02
    by_rate = nowhere_log_score(q, present, 1.0).mean()
    assert (
        abs(by_rate - (0.75 * math.log(0.75) + 0.25 * math.log(0.25))) < 0.01
        and nowhere_log_score(~present * 1.0, present, 1.0).mean() == 0
    )


# ---- evaluate


def test_clips_with_nothing_to_find_are_told_from_the_others(mixed):
    folder, ids, events = mixed
    result = judged(folder)
    assert result.overall.status == {"ok": 60, "no_event": 30}
    table = result.presence
    assert (table.n_present, table.n_absent, table.fitted_on) == (60, 30, "val") and table.notes == ()
    for of in table.tables.values():
        own, wrong = of.means["encoder"], of.means["shuffled"]
        assert own["auroc"].low > 0.8 and own["average_precision"].low > 0.8 and own["false_moments"].high < 0.6
        assert wrong["auroc"].low <= 0.5 <= wrong["auroc"].high and own["auroc"].n == 90
        assert of.differences["auroc"].to_best.low > 0 and of.differences["log_score"].to_best.low > 0 > of.differences["crps"].to_best.high
        assert of.differences["log_score"].to["never"].low > 1 and of.differences["false_moments"].to["constant"].high < 0
        assert set(of.means) == {"encoder", "loudest", "motion", "shuffled", "constant", "never"}
    assert "nothing to find in 30 of 90 clips" in str(result) and "precision ↑" in str(result)


def test_an_event_is_found_within_it_alone(mixed, tmp_path):
    "Annotations that lie beside what the curve knows: the clips are told as before, and their events are not found."
    folder, ids, events = mixed
    beside = [e and ((0, 1) if e[0] >= 5 else (8.5, 9.5)) for e in events]
    annotate(tmp_path / "beside.csv", ids, beside)
    result = evaluate((folder / "v", folder / "a"), tmp_path / "beside.csv", split="test", scoring=Scoring(n_boot=50, n_shuffles=0))
    own = result.presence.tables["maximum"].means["encoder"]
    assert own["auroc"].low > 0.8 and own["false_moments"].mean > 0.85


def test_the_numbers_about_moments_are_those_of_the_clips_with_an_event_alone(mixed, tmp_path):
    folder, ids, events = mixed
    result = judged(folder)
    annotate(tmp_path / "only.csv", *zip(*[(i, e) for i, e in zip(ids, events) if e]), [s for s, e in zip(SPLITS, events) if e])
    alone = evaluate((folder / "v", folder / "a"), tmp_path / "only.csv", split="test", scoring=Scoring(n_boot=20, n_shuffles=0))
    for method in ("encoder", "loudest", "motion", "centre", "train_prior"):
        for metric in ("dist", "log_score", "crps", "auroc"):
            one, two = (r.overall.means["all"][method][metric] for r in (result, alone))
            assert one.n == two.n and math.isclose(one.mean, two.mean, rel_tol=1e-12), (method, metric)
    assert alone.presence is None and "presence" not in alone.overall.as_json() and "nothing to find" not in str(alone)


def test_the_files_say_what_the_page_says(mixed, tmp_path):
    folder, ids, events = mixed
    done = run("evaluate", "--vid_emb_dir", folder / "v", "--aud_emb_dir", folder / "a", "--annotations_csv", folder / "a.csv",
               "--split", "test", "--n_boot", 50, "--n_shuffles", 5, "--summary_csv", tmp_path / "s.csv")  # fmt: skip
    assert done.returncode == 0 and "s_presence.csv" in done.stdout.splitlines()[-1], done.stderr
    rows, record = pd.read_csv(tmp_path / "s_presence.csv"), json.loads((tmp_path / "s.json").read_text())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.csv", "s.json", "s_baselines.csv", "s_presence.csv"]
    assert set(rows["run_id"]) == {record["run"]["id"]} and len(rows) == 6 * 90
    said, own = record["presence"], rows[rows["method"] == "encoder"].set_index("video_id")
    assert own["present"].sum() == said["n_present"] == 60 and said["n_absent"] == 30
    for score in ("maximum", "contrast"):
        means, fit = said["means"][score]["encoder"], said["fits"][score]["encoder"]
        assert math.isclose(means["auroc"]["mean"], roc_auc_score(own["present"], own[score]), abs_tol=1e-3)
        q = 1 / (1 + np.exp(fit["slope"] * own[score] + fit["offset"]))
        assert np.allclose(q, own[f"nowhere_{score}"], atol=1e-3) and (fit["n_present"], fit["n_absent"]) == (40, 20)
        assert math.isclose(means["log_score"]["mean"], own[f"log_score_{score}"].mean(), abs_tol=1e-4)
        assert math.isclose(means["crps"]["mean"], own[f"crps_{score}"].mean(), abs_tol=1e-4)
    never = rows[rows["method"] == "never"]
    assert (never["nowhere_maximum"] == 0).all() and never["maximum"].isna().all()
    summary = pd.read_csv(tmp_path / "s.csv").set_index("video_id")
    with_event = never.set_index("video_id").query("present")
    assert np.allclose(with_event["log_score_maximum"], summary.loc[with_event.index, "log_score"], atol=1e-4)
    assert np.allclose(with_event["crps_maximum"], summary.loc[with_event.index, "crps"], atol=1e-4)
    assert read_overall(tmp_path / "s.json").presence == said


def test_the_threshold_never_sees_a_clip_that_is_scored(mixed, tmp_path):
    "Whatever the test clips are, the fit is the same; where val is scored, there is no cell, and it is said."
    folder, ids, events = mixed
    fits = judged(folder).presence.fits
    other = [None if e is None and k < 90 else (1, 3) if k >= 90 and k % 2 else e for k, e in enumerate(events)]
    other[91] = None
    annotate(tmp_path / "b.csv", ids, other)
    moved = evaluate((folder / "v", folder / "a"), tmp_path / "b.csv", split="test", scoring=Scoring(n_boot=20, n_shuffles=20))
    assert moved.presence.fits == fits and moved.presence.n_absent != 30
    for split in ("val", None):
        result = judged(folder, split=split)
        assert result.presence.fits == {} and "log_score" not in result.presence.tables["maximum"].means["encoder"]
        assert any("fitted on val alone" in note and "are scored" in note for note in result.presence.notes)
        assert not any(name.startswith("nowhere") for name in result.presence.clips)
        assert result.presence.tables["maximum"].means["encoder"]["auroc"].low > 0.8
    assert judged(folder, split="train").presence.fitted_on == "val" == judged(folder, calibrate_on="train").presence.fitted_on


def test_val_that_cannot_be_fitted_on_is_said_and_nothing_fails(mixed, tmp_path):
    folder, ids, events = mixed
    for name, splits, of, says in [
        ("every", SPLITS, [e if e or s == "test" else (1, 3) for e, s in zip(events, SPLITS)], "clips without one, got 60 and 0"),
        ("none", ["train" if s == "val" else s for s in SPLITS], events, "'val': it has no clips"),
    ]:
        annotate(tmp_path / f"{name}.csv", ids, of, splits)
        result = evaluate((folder / "v", folder / "a"), tmp_path / f"{name}.csv", split="test", scoring=Scoring(n_boot=20, n_shuffles=2))
        assert result.presence.fits == {} and result.presence.n_absent == 30 and any(says in note for note in result.presence.notes), name
    (tmp_path / "v").mkdir()
    for name, split in zip(ids, SPLITS):  # a cache that lacks val
        if split != "val":
            (tmp_path / "v" / f"{name}.npz").symlink_to(folder / "v" / f"{name}.npz")
    result = evaluate((tmp_path / "v", folder / "a"), folder / "a.csv", split="test", scoring=Scoring(n_boot=20, n_shuffles=2))
    assert result.presence.fits == {} and any("none of 60 clips has embeddings" in note for note in result.presence.notes)


def test_a_clip_whose_only_event_has_no_length_is_neither(mixed, tmp_path):
    folder, ids, events = mixed
    as_ave = [e or (3, 3) for e in events]
    annotate(tmp_path / "zero.csv", ids, as_ave)
    result = evaluate((folder / "v", folder / "a"), tmp_path / "zero.csv", split="test", scoring=Scoring(n_boot=20, n_shuffles=0))
    assert result.presence is None and result.overall.status == {"ok": 60, "no_event": 30}
    as_ave[93] = None
    annotate(tmp_path / "zero.csv", ids, as_ave)
    result = evaluate((folder / "v", folder / "a"), tmp_path / "zero.csv", split="test", scoring=Scoring(n_boot=20, n_shuffles=0))
    assert result.presence.n_absent == 1 and len(result.presence.unclear) == 29 and "left out: 29" in str(result)
    assert len(result.presence.clips) == 61 * 4 and set(result.presence.clips["video_id"]).isdisjoint(result.presence.unclear)


def test_what_is_not_known_of_a_clip_is_no_score(mixed, tmp_path):
    "Wrong sound that was extracted for some clips alone; the oracle query, which hears nothing where there is no event."
    folder, ids, events = mixed
    towers(tmp_path / "wrong", ids[100:], 0.0, events[100:], seed=7, wrong_sound=1)
    scoring = Scoring(n_boot=50, n_shuffles=0)
    how = {"split": "test", "shuffled_dirs": [(tmp_path / "wrong/v", tmp_path / "wrong/a")], "scoring": scoring}
    result = evaluate((folder / "v", folder / "a"), folder / "a.csv", **how)
    wrong = result.presence.tables["maximum"].means["shuffled"]
    assert wrong["auroc"].n == 80 and set(wrong) == {"auroc", "average_precision", "false_moments"}
    assert wrong["auroc"].low <= 0.5 <= wrong["auroc"].high and any(
        "no cell nowhere for shuffled" in note for note in result.presence.notes
    )
    rows = result.presence.clips.query("method == 'shuffled'").set_index("video_id")["maximum"]
    assert rows[ids[90:100]].isna().all() and rows[ids[100:]].notna().all()
    told = judged(folder, settings=AlignSettings(audio_query="oracle"))
    cell = told.presence.tables["maximum"].means["encoder"]["auroc"]
    assert math.isnan(cell.mean) and cell.n == 60 and any("no score for 30 of 90 clips" in note for note in told.presence.notes)
    assert (told.curves.loc[told.curves["video_id"] == ids[90], "similarity"] == 0).all()  # as it was before anybody asked


def test_a_foreign_cache_that_knows_no_loudness_and_no_motion(tmp_path):
    rng, ids = np.random.default_rng(0), [f"c{k}" for k in range(24)]
    for kind, suffix in (("v", ""), ("a", "__L1000ms")):
        (tmp_path / kind).mkdir()
        for name in ids:
            np.savez(tmp_path / kind / f"{name}{suffix}.npz", emb=rng.normal(size=(20, 8)), centers_sec=0.25 + 0.5 * np.arange(20))
    annotate(tmp_path / "a.csv", ids, [None if k % 2 else (3, 6) for k in range(24)], ["val"] * 12 + ["test"] * 12)
    result = evaluate((tmp_path / "v", tmp_path / "a"), tmp_path / "a.csv", split="test", scoring=Scoring(n_boot=20, n_shuffles=3))
    table = result.presence.tables["maximum"].means
    assert all(math.isnan(cell.mean) and cell.n == 0 for cell in table["loudest"].values()) and table["encoder"]["log_score"].n == 12
    assert any("no cell nowhere for motion" in note for note in result.presence.notes) and "loudest" in str(result.presence)


def test_digital_silence_is_as_silent_as_minus_100_db(mixed, tmp_path):
    "Sounds from elsewhere may have -inf dB; a clip that has them is scored as one whose level stops at -100 dB."
    folder, ids, events = mixed
    for floor in (-np.inf, -100.0):
        (tmp_path / f"{floor:g}").mkdir()
        for k, name in enumerate(ids):
            packed = dict(np.load(audio_file(folder / "a", name, 1.0)))
            packed["loudness_db"][:: 1 + k % 3] = floor  # of every third clip all
            np.savez(audio_file(tmp_path / f"{floor:g}", name, 1.0), **packed)
    scoring = Scoring(n_boot=20, n_shuffles=0)
    silent, low = (evaluate((folder / "v", tmp_path / name), folder / "a.csv", split="test", scoring=scoring) for name in ("-inf", "-100"))
    rows = [result.presence.clips.query("method == 'loudest'")["maximum"].to_numpy() for result in (silent, low)]
    assert len(rows[0]) == 90 and np.isfinite(rows[0]).all() and np.array_equal(*rows)
    assert str(silent.presence) == str(low.presence)


def test_two_truths_may_differ_in_what_has_nothing_to_find(mixed, tmp_path):
    folder, ids, events = mixed
    annotate(folder / "second.csv", ids, [(2, 4) if k == 93 else None if k == 94 else e for k, e in enumerate(events)])
    both = judged(folder, also=folder / "second.csv").save(tmp_path / "s.csv")
    assert both.presence.n_absent == both.also.presence.n_absent == 30 and str(both).count("nothing to find in 30 of 90") == 2
    first, second = (
        pd.read_csv(tmp_path / name).query("method == 'encoder'").set_index("video_id")
        for name in ("s_presence.csv", "s_also_presence.csv")
    )
    assert not first.loc[ids[93], "present"] and second.loc[ids[93], "present"] and not second.loc[ids[94], "present"]
    single = evaluate((folder / "v", folder / "a"), folder / "second.csv", split="test", scoring=Scoring(n_boot=200, n_shuffles=20))
    assert single.presence.clips.equals(both.also.presence.clips) and str(single.presence) == str(both.also.presence)


# ---- everything else that reads annotations


def test_whatever_reads_annotations_leaves_these_clips_out_and_says_so(mixed, tmp_path):
    folder, ids, events = mixed
    caches = ["--vid_emb_dir", folder / "v", "--aud_emb_dir", folder / "a", "--annotations_csv", folder / "a.csv"]
    for words, says in [
        (["sweep", *caches, "--taus", "0.1,0.5", "--out_dir", tmp_path / "sweep"], "60 clips of val, 40 of them scored (0 left out)"),
        (["ablate", *caches, "--out_dir", tmp_path / "ablate"], "all of val: 60 clips, 40 of them scored, 40 partial, 0 left out"),
        (["train-refiner", *caches, "--epochs", 2, "--refiner_ckpt", tmp_path / "r.pt"], "trained on 20 clips, stopped by 40; 30 left out"),
        (["evaluate-crossmodal", *caches, "--split", "test"], "60 partial events: 60 ok"),
    ]:
        done = run(*words)
        assert done.returncode == 0 and says in done.stdout, (words[0], done.stdout[-600:], done.stderr[-600:])
    done = run(
        "evaluate-refiner",
        *caches,
        "--split",
        "test",
        "--refiner_ckpt",
        tmp_path / "r.pt",
        "--n_boot",
        20,
        "--summary_csv",
        tmp_path / "s.csv",
    )
    assert done.returncode == 0 and "30 no_event, 60 ok" in done.stdout and not (tmp_path / "s_presence.csv").exists(), done.stderr


def test_what_is_calibrated_counts_the_clips_with_an_event_alone(mixed):
    folder, ids, events = mixed
    found = judged(folder, calibrate_on="val")
    fitted = found.overall.calibration["fitted"]
    assert fitted["n_clips"] == sum(event is not None for event, split in zip(events, SPLITS) if split == "val") == 40
    scored = found.summary[found.summary["status"] == "ok"]
    for target in ("event", "moment"):
        covered = fitted["covered"][target]
        widths = scored[f"{target}_end_sec"] - scored[f"{target}_start_sec"]
        assert covered["n"] == len(scored) == 60 and np.isclose(covered["mean_width_s"], widths.mean())


# ---- what it shows on synthetic clips


@pytest.fixture(scope="module")
def hard(tmp_path_factory):
    "Hard clips, two of five without an event, seen by signal with their own sound and with another clip's."
    from avesound.data.synth import SynthSpec, make_dataset
    from avesound.embeddings.extract import extract

    folder = tmp_path_factory.mktemp("hard")
    spec = SynthSpec("hard", size=(64, 96), no_event=0.4, no_event_is="each")
    data = make_dataset(folder / "data", n_train=0, n_val=30, n_test=60, spec=spec, workers=2)
    for name, wrong in (("cache", False), ("wrong", True)):
        extract(data / "AVE", folder / name, encoder="signal", wrong_sound=int(wrong), progress=False)
    return folder


def test_signal_knows_hard_clips_with_nothing_to_find_and_wrong_sound_does_not(hard):
    result = evaluate(hard / "cache", hard / "data/annotations.csv", split="test", shuffled_dirs=[hard / "wrong"])
    assert result.overall.status["no_event"] == result.presence.n_absent >= 20
    of = result.presence.tables["maximum"]
    own, wrong = of.means["encoder"], of.means["shuffled"]
    assert own["auroc"].mean > 0.8 and wrong["auroc"].low <= 0.5 <= wrong["auroc"].high
    gain = of.differences["log_score"]
    assert gain.to["constant"].low > 0 and gain.to["never"].low > 0, "a cell nowhere is worth more than the rate of val, and than none"
