"The whole way from a cache to metrics, against a slow and obvious version of it."
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avesound.align import AlignSettings
from avesound.embeddings.store import audio_file, video_file, write_embeddings
from avesound.evaluate import evaluate
from avesound.protocol import ProtocolError, Selection, write_selection
from avesound.timeline import Windows, sliding_windows


def slow_evaluation(video, audio, v_centers, a_centers, stride, events, zscore, sigma, tau):
    "(t, pdf, metrics) of one clip in plain loops: sync query, one length."
    curve = []
    for v, t in zip(video, v_centers):
        nearest = min(range(len(a_centers)), key=lambda j: (round(abs(a_centers[j] - t), 9), j))
        a = audio[nearest]
        scale = math.sqrt(sum(x * x for x in v)) * math.sqrt(sum(x * x for x in a))
        curve.append(sum(x * y for x, y in zip(v, a)) / scale if scale else 0.0)
    scores = list(curve)
    if zscore:
        mean = sum(scores) / len(scores)
        std = math.sqrt(sum((x - mean) ** 2 for x in scores) / len(scores))
        scores = [(x - mean) / std if std else 0.0 for x in scores]
    if sigma:
        weights = [[math.exp(-0.5 * ((i - j) * stride / sigma) ** 2) for j in range(len(scores))] for i in range(len(scores))]
        scores = [sum(w * x for w, x in zip(row, scores)) / sum(row) for row in weights]
    top = max(scores)
    mass = [math.exp((x - top) / tau) for x in scores]
    pdf = [m / sum(mass) for m in mass]
    t = v_centers[max(range(len(pdf)), key=lambda i: pdf[i])]
    overlap = lambda c: sum(max(0.0, min(c + stride / 2, e) - max(c - stride / 2, s)) for s, e in events) / stride
    return t, pdf, curve, {
        "dist": min(max(s - t, t - e, 0.0) for s, e in events),
        "mae": min(abs(t - (s + e) / 2) for s, e in events),
        "inside": float(any(s <= t < e for s, e in events)),
        "mass_inside": sum(p * overlap(c) for p, c in zip(pdf, v_centers)),
    }  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([0.0, 0.4]), st.sampled_from([0.1, 0.5, 2.0]), st.sampled_from([0.25, 0.5, 0.4]))
def test_evaluate_is_what_plain_loops_compute(tmp_path_factory, seed, zscore, sigma, tau, stride):
    folder, rng = tmp_path_factory.mktemp("cache"), np.random.default_rng(seed)
    truth, rows = {}, []
    for i in range(rng.integers(1, 6)):
        name, duration = f"clip{i}", rng.uniform(2, 6)  # clips of unequal length in one batch
        windows = sliding_windows(duration, 1.0, stride)
        heard = sliding_windows(max(0.6, duration + rng.uniform(-0.6, 0.6)), 0.5, stride)  # sound that ends at another time
        video, audio = rng.normal(size=(len(windows), 5)).astype(np.float32), rng.normal(size=(len(heard), 5)).astype(np.float32)
        write_embeddings(video_file(folder / "v", name), video, windows, {})
        write_embeddings(audio_file(folder / "a", name, 0.5), audio, heard, {})
        bounds = np.sort(rng.uniform(0, duration, 4))
        events = [(bounds[0], bounds[1]), (bounds[2], bounds[3])][: rng.integers(1, 3)]
        rows += [dict(video_id=name, event_label="x", start_s=s, end_s=e, quality="good", split="test") for s, e in events]
        if len(windows) > 1:
            truth[name] = slow_evaluation(video.tolist(), audio.tolist(), windows.centers_sec.tolist(), heard.centers_sec.tolist(), stride, events, zscore, sigma, tau)
    pd.DataFrame(rows).to_csv(folder / "a.csv", index=False)
    found = evaluate(folder / "v", folder / "a", folder / "a.csv", L_sec=[0.5], n_boot=20, settings=AlignSettings(score_zscore=zscore, score_smooth_sigma=sigma, tau=tau))
    summary = found.summary.set_index("video_id")
    for name, (t, pdf, curve, metrics) in truth.items():
        cells = found.curves[found.curves["video_id"] == name]
        assert np.allclose(cells["pdf"], pdf, atol=1e-6) and np.allclose(cells["similarity"], curve, atol=1e-5)
        best = sorted(pdf)[-2:]
        if best[1] - best[0] > 1e-6:  # float32 vectors may order equals differently
            assert math.isclose(summary.loc[name, "t_pred_sec"], t, abs_tol=1e-6)
            for metric, value in metrics.items():
                assert math.isclose(summary.loc[name, metric], value, abs_tol=1e-4), (name, metric)


def test_a_foreign_cache_with_only_vectors_and_centres_is_scored(tmp_path):
    rng = np.random.default_rng(0)
    for kind, name in [("v", "a.npz"), ("a", "a__L1000ms.npz")]:
        (tmp_path / kind).mkdir()
        np.savez(tmp_path / kind / name, emb=rng.normal(size=(20, 8)), centers_sec=0.25 + 0.5 * np.arange(20))
    (tmp_path / "a.csv").write_text("video_id,event_label,start_s,end_s\na,Bark,3,6\n")
    found = evaluate(tmp_path / "v", tmp_path / "a", tmp_path / "a.csv", summary_csv=tmp_path / "s.csv")
    assert found.summary["status"].tolist() == ["ok"] and found.overall["problems"] == [] and found.overall["notes"] == ["the cache does not say which encoder made it"]
    said = json.loads((tmp_path / "s.json").read_text())
    assert said["means"]["all"]["loudest"]["dist"]["mean"] is None  # unknown loudness is no loudness
    assert "loudest" in str(found)


def test_vectors_that_must_not_be_compared_are_refused_or_marked(tmp_path):
    windows = Windows(np.arange(4.0), np.arange(1.0, 5.0))
    rng = np.random.default_rng(0)
    meta = {"encoder": {"name": "x", "dim": 3, "joint": True, "weights": "untrained"}, "stride_s": 1.0, "duration_s": 4.0, "fingerprint": "f"}
    write_embeddings(tmp_path / "v/a.npz", rng.normal(size=(4, 3)), windows, meta)
    write_embeddings(tmp_path / "a/a__L1000ms.npz", rng.normal(size=(4, 3)), windows, meta)
    (tmp_path / "a.csv").write_text("video_id,event_label,start_s,end_s\na,Bark,1,2\n")
    with pytest.raises(ValueError, match="untrained"):
        evaluate(tmp_path / "v", tmp_path / "a", tmp_path / "a.csv")
    marked = evaluate(tmp_path / "v", tmp_path / "a", tmp_path / "a.csv", allow_untrained=True)
    assert marked.summary["flawed"].all() and "NOT A RESULT" in str(marked)


def test_low_confidence_clips_are_counted_but_not_scored(tmp_path):
    windows = Windows(np.arange(4.0), np.arange(1.0, 5.0))
    for name in ("sure", "unsure"):
        write_embeddings(tmp_path / f"v/{name}.npz", np.eye(4), windows, {})
        write_embeddings(tmp_path / f"a/{name}__L1000ms.npz", np.eye(4), windows, {})
    (tmp_path / "a.csv").write_text("video_id,event_label,start_s,end_s,confidence\nsure,x,1,2,high\nunsure,x,1,2,low\n")
    found = evaluate(tmp_path / "v", tmp_path / "a", tmp_path / "a.csv")
    assert found.overall["status"] == {"ok": 1, "low_confidence": 1} and found.overall["means"]["all"]["encoder"]["dist"]["n"] == 1


def test_what_was_written_is_whole_even_if_writing_fails(tmp_path, monkeypatch):
    windows = Windows(np.arange(4.0), np.arange(1.0, 5.0))
    write_embeddings(tmp_path / "v/a.npz", np.eye(4), windows, {})
    write_embeddings(tmp_path / "a/a__L1000ms.npz", np.eye(4), windows, {})
    (tmp_path / "a.csv").write_text("video_id,event_label,start_s,end_s\na,x,1,2\n")
    evaluate(tmp_path / "v", tmp_path / "a", tmp_path / "a.csv", summary_csv=tmp_path / "out/s.csv")
    before = (tmp_path / "out/s.csv").read_bytes()

    def torn(self, path, **kwargs):
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", torn)
    with pytest.raises(OSError, match="disk full"):
        evaluate(tmp_path / "v", tmp_path / "a", tmp_path / "a.csv", summary_csv=tmp_path / "out/s.csv")
    assert (tmp_path / "out/s.csv").read_bytes() == before and sorted(p.name for p in (tmp_path / "out").iterdir()) == ["s.csv", "s.json", "s_baselines.csv"]


# ---- what a reviewer would try


def towers(folder, ids, lift, seed=0, events=None):
    "Caches of two towers that see and hear apart: vectors agree during the event, by `lift`."
    rng = np.random.default_rng(seed)
    windows = sliding_windows(10.0, 1.0, 0.25)
    meta = {"encoder": {"name": "towers", "dim": 12, "joint": True, "weights": "none", "video_hears": False}, "stride_s": 0.25, "duration_s": 10.0, "fingerprint": f"{lift}"}
    for i, name in enumerate(ids):
        start, end = events[i]
        during = ((windows.centers_sec >= start) & (windows.centers_sec < end))[:, None]
        shared = rng.normal(size=(40, 12))
        write_embeddings(video_file(folder / "v", name), rng.normal(size=(40, 12)) + lift * during * shared, windows, meta)
        write_embeddings(audio_file(folder / "a", name, 1.0), rng.normal(size=(40, 12)) + lift * during * shared, windows, meta)


def annotate(path, ids, events, splits):
    rows = [f"{i},class {k % 3},{s},{e},{split}" for k, (i, (s, e), split) in enumerate(zip(ids, events, splits))]
    path.write_text("\n".join(["video_id,event_label,start_s,end_s,split", *rows]) + "\n")
    return path


@pytest.fixture
def made(tmp_path):
    rng = np.random.default_rng(5)
    ids = [f"clip{i:03}" for i in range(150)]
    start = rng.integers(0, 7, 150)
    events = [(int(s), int(s + n)) for s, n in zip(start, rng.integers(1, 4, 150))]
    towers(tmp_path, ids, 1.5, events=events)
    annotate(tmp_path / "a.csv", ids, events, ["train"] * 30 + ["val"] * 40 + ["test"] * 80)
    return tmp_path, ids, events


def test_wrong_sound_is_at_chance_where_right_sound_is_not(made):
    folder, ids, events = made
    found = evaluate(folder / "v", folder / "a", folder / "a.csv", split="test").overall
    own, wrong = found["means"]["partial"]["encoder"], found["means"]["partial"]["shuffled"]
    assert own["auroc"]["low"] > 0.8 and wrong["auroc"]["low"] < 0.5 < wrong["auroc"]["high"]
    assert abs(wrong["inside"]["mean"] - found["means"]["partial"]["uniform"]["inside"]["mean"]) < 0.05
    assert found["p_shuffled"]["partial"]["dist"] == 1 / 50  # none of 49 wrong sounds does as well


def test_towers_that_know_nothing_are_not_told_apart_from_wrong_sound(made):
    folder, ids, events = made
    towers(folder / "noise", ids, 0.0, events=events)
    found = evaluate(folder / "noise/v", folder / "noise/a", folder / "a.csv", split="test").overall
    assert all(p > 0.02 for p in found["p_shuffled"]["partial"].values()) and found["differences"]["partial"]["auroc"]["to"]["shuffled"]["low"] < 0


def test_settings_tuned_on_the_test_are_caught_by_name(made):
    folder, ids, events = made
    leaky = Selection(AlignSettings(tau=0.2), (1.0,), "test", tuple(ids[70:]), "dist on test")
    write_selection(leaky, folder / "selection.json")
    with pytest.raises(ProtocolError, match=r"tuned on 80 of these clips \(clip070, .*dist on test"):
        evaluate(folder / "v", folder / "a", folder / "a.csv", split="test", tuned_on=folder / "selection.json")
    assert evaluate(folder / "v", folder / "a", folder / "a.csv", split="val", tuned_on=folder / "selection.json").overall["problems"] == []


def test_a_clip_in_two_splits_is_caught_whichever_way_it_comes(made):
    folder, ids, events = made
    # One file says val and test: the clip belongs to val alone, and is not scored with the test.
    annotate(folder / "both.csv", [*ids, ids[40]], [*events, events[40]], ["train"] * 30 + ["val"] * 40 + ["test"] * 81)
    found = evaluate(folder / "v", folder / "a", folder / "both.csv", split="test")
    assert ids[40] not in set(found.summary["video_id"]) and found.overall["n_clips"] == 80 and found.overall["n_shared_between_splits"] == 1
    # Two files, each with one split: what was looked at is on record.
    annotate(folder / "test.csv", [*ids[70:], ids[40]], [*events[70:], events[40]], ["test"] * 81)
    tuned = Selection(AlignSettings(), (1.0,), "val", tuple(ids[30:70]), "log_score")
    with pytest.raises(ProtocolError, match=r"tuned on 1 of these clips \(clip040\)"):
        evaluate(folder / "v", folder / "a", folder / "test.csv", split="test", tuned_on=tuned)


def test_every_further_setting_on_the_same_test_clips_is_counted(made):
    folder, ids, events = made
    notes = [evaluate(folder / "v", folder / "a", folder / "a.csv", split="test", settings=AlignSettings(tau=tau), n_shuffles=0).overall["notes"] for tau in (0.3, 0.5, 0.5, 0.7)]
    assert notes[0] == [] and [note[0].split(" settings")[0][-1] for note in notes[1:]] == ["2", "2", "3"]
    assert evaluate(folder / "v", folder / "a", folder / "a.csv", split="val", settings=AlignSettings(tau=0.9), n_shuffles=0).overall["notes"] == []


def test_calibration_on_val_holds_on_test_and_never_looks_at_it(made):
    folder, ids, events = made
    found = evaluate(folder / "v", folder / "a", folder / "a.csv", split="test", calibrate_on="val", conformal_level=0.8)
    fitted = found.overall["calibration"]["fitted"]
    for target in ("event", "moment"):
        assert fitted["covered"][target]["high"] >= 0.8 and fitted["covered"][target]["n"] == 80
    assert fitted["covered"]["moment"]["mean_width_s"] < fitted["covered"]["event"]["mean_width_s"]
    # Other answers on the test clips, the same fit.
    moved = [(s, e) if k < 70 else (0, 1) for k, (s, e) in enumerate(events)]
    annotate(folder / "moved.csv", ids, moved, ["train"] * 30 + ["val"] * 40 + ["test"] * 80)
    again = evaluate(folder / "v", folder / "a", folder / "moved.csv", split="test", calibrate_on="val", conformal_level=0.8).overall["calibration"]["fitted"]
    assert again["margin_s"] == fitted["margin_s"] and again["temperature"] == fitted["temperature"]
    with pytest.raises(ProtocolError, match="80 of its clips are scored"):
        evaluate(folder / "v", folder / "a", folder / "a.csv", split="test", calibrate_on="test")


def test_training_priors_know_training_clips_only(made):
    folder, ids, events = made
    found = evaluate(folder / "v", folder / "a", folder / "a.csv", split="test", n_shuffles=0)
    moved = [(8, 9) if k < 30 else event for k, event in enumerate(events)]  # all training events near the end
    annotate(folder / "moved.csv", ids, moved, ["train"] * 30 + ["val"] * 40 + ["test"] * 80)
    again = evaluate(folder / "v", folder / "a", folder / "moved.csv", split="test", n_shuffles=0)
    prior = again.baselines[again.baselines["method"] == "train_prior"].set_index("video_id")
    t = 8.375  # the lower median of the four cells from 8 to 9 s
    expected = [max(s - t, t - e, 0) for s, e in events[70:]]
    assert np.allclose(prior.loc[ids[70:], "dist"], expected)
    centre = [r.baselines[r.baselines["method"] == "centre"].set_index("video_id")["dist"] for r in (found, again)]
    assert centre[0].equals(centre[1])


def test_an_encoder_that_hears_with_its_eyes_needs_wrong_sound_extracted(tmp_path):
    from avesound.data.synth import SynthSpec, make_dataset
    from avesound.embeddings.extract import extract

    data = make_dataset(tmp_path / "data", spec=SynthSpec(difficulty="easy", seed=2), n_train=0, n_val=0, n_test=16)
    for name, wrong_sound in [("own", 0), ("wrong", 5)]:
        extract(data / "AVE", tmp_path / name, wrong_sound=wrong_sound, progress=False)
    common = (tmp_path / "own/vid_emb", tmp_path / "own/aud_emb", data / "annotations.csv")
    found = evaluate(*common, shuffled_dirs=[tmp_path / "wrong"]).overall["means"]["partial"]
    assert found["encoder"]["auroc"]["low"] > 0.9
    assert found["shuffled"]["auroc"]["low"] < 0.5 < found["shuffled"]["auroc"]["high"]  # chance, within its interval
    assert found["shuffled"]["inside"]["low"] < found["uniform"]["inside"]["mean"] < found["shuffled"]["inside"]["high"]
    assert "shuffled" not in evaluate(*common).overall["means"]["all"]
    with pytest.raises(ValueError, match="another encoder or other windows|not made with wrong sound"):
        evaluate(*common, shuffled_dirs=[tmp_path / "own"])
