"The whole way from a cache to metrics, against a slow and obvious version of it."

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avesound import files
from avesound.data.annotations import ClipAnnotation
from avesound.data.splits import AnnotatedClips
from avesound.embeddings.cache import EmbeddingCache
from avesound.embeddings.store import audio_file, read_embeddings, video_file, write_embeddings
from avesound.evaluation.crossmodal import evaluate_crossmodal, queries_of_clips
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.plan import ClipChoice, Scoring
from avesound.evaluation.protocol import ProtocolError, Selection, write_selection
from avesound.localization.align import AlignSettings
from avesound.provenance import run_id_of
from avesound.timeline import Interval, Windows, sliding_windows


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
@given(
    st.integers(0, 10**6), st.booleans(), st.sampled_from([0.0, 0.4]), st.sampled_from([0.1, 0.5, 2.0]), st.sampled_from([0.25, 0.5, 0.4])
)
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
            truth[name] = slow_evaluation(
                video.tolist(), audio.tolist(), windows.centers_sec.tolist(), heard.centers_sec.tolist(), stride, events, zscore, sigma, tau
            )
    pd.DataFrame(rows).to_csv(folder / "a.csv", index=False)
    found = evaluate(
        (folder / "v", folder / "a"),
        folder / "a.csv",
        L_sec=[0.5],
        scoring=Scoring(n_boot=20),
        settings=AlignSettings(score_zscore=zscore, score_smooth_sigma=sigma, tau=tau),
    )
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
    found = evaluate((tmp_path / "v", tmp_path / "a"), tmp_path / "a.csv").save(tmp_path / "s.csv")
    assert (
        found.summary["status"].tolist() == ["ok"]
        and found.overall.problems == []
        and found.overall.notes == ["the cache does not say which encoder made it"]
    )
    said = json.loads((tmp_path / "s.json").read_text())
    assert said["means"]["all"]["loudest"]["dist"]["mean"] is None  # unknown loudness is no loudness
    assert "loudest" in str(found)


def test_vectors_that_must_not_be_compared_are_refused_or_marked(tmp_path):
    windows = Windows(np.arange(4.0), np.arange(1.0, 5.0))
    rng = np.random.default_rng(0)
    meta = {
        "encoder": {"name": "x", "dim": 3, "joint": True, "weights": "untrained"},
        "stride_s": 1.0,
        "duration_s": 4.0,
        "fingerprint": "f",
    }
    write_embeddings(tmp_path / "v/a.npz", rng.normal(size=(4, 3)), windows, meta)
    write_embeddings(tmp_path / "a/a__L1000ms.npz", rng.normal(size=(4, 3)), windows, meta)
    (tmp_path / "a.csv").write_text("video_id,event_label,start_s,end_s\na,Bark,1,2\n")
    with pytest.raises(ValueError, match="untrained"):
        evaluate((tmp_path / "v", tmp_path / "a"), tmp_path / "a.csv")
    marked = evaluate(EmbeddingCache.of((tmp_path / "v", tmp_path / "a"), allow_untrained=True), tmp_path / "a.csv")
    assert marked.summary["flawed"].all() and "NOT A RESULT" in str(marked)


def test_low_confidence_clips_are_counted_but_not_scored(tmp_path):
    windows = Windows(np.arange(4.0), np.arange(1.0, 5.0))
    for name in ("sure", "unsure"):
        write_embeddings(tmp_path / f"v/{name}.npz", np.eye(4), windows, {})
        write_embeddings(tmp_path / f"a/{name}__L1000ms.npz", np.eye(4)[[0, 1, 1, 3]], windows, {})
    (tmp_path / "a.csv").write_text("video_id,event_label,start_s,end_s,confidence\nsure,x,1,2,high\nunsure,x,1,2,low\n")
    found = evaluate((tmp_path / "v", tmp_path / "a"), tmp_path / "a.csv")
    assert found.overall.status == {"ok": 1, "low_confidence": 1} and found.overall.means["all"]["encoder"]["dist"].n == 1


def test_what_was_written_is_whole_even_if_writing_fails(tmp_path, monkeypatch):
    windows = Windows(np.arange(4.0), np.arange(1.0, 5.0))
    write_embeddings(tmp_path / "v/a.npz", np.eye(4), windows, {})
    write_embeddings(tmp_path / "a/a__L1000ms.npz", np.eye(4), windows, {})
    (tmp_path / "a.csv").write_text("video_id,event_label,start_s,end_s\na,x,1,2\n")
    evaluate((tmp_path / "v", tmp_path / "a"), tmp_path / "a.csv").save(tmp_path / "out/s.csv")
    before = (tmp_path / "out/s.csv").read_bytes()

    def torn(*_):  # the header is written then
        raise OSError("disk full")

    monkeypatch.setattr(files, "_fields", torn)
    with pytest.raises(OSError, match="disk full"):
        evaluate((tmp_path / "v", tmp_path / "a"), tmp_path / "a.csv").save(tmp_path / "out/s.csv")
    assert (tmp_path / "out/s.csv").read_bytes() == before and sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "s.csv",
        "s.json",
        "s_baselines.csv",
    ]


# ---- what a reviewer would try


def towers(folder, ids, lift, seed=0, events=None, files=None):
    "Caches of two towers that see and hear apart: vectors agree during the event, by `lift`. `files` has the sha256 of each clip's file."
    rng = np.random.default_rng(seed)
    windows = sliding_windows(10.0, 1.0, 0.25)
    meta = {
        "encoder": {"name": "towers", "dim": 12, "joint": True, "weights": "none", "video_hears": False},
        "stride_s": 0.25,
        "duration_s": 10.0,
        "fingerprint": f"{lift}",
    }
    for i, name in enumerate(ids):
        start, end = events[i]
        during = ((windows.centers_sec >= start) & (windows.centers_sec < end))[:, None]
        shared = rng.normal(size=(40, 12))
        meta |= {} if files is None else {"source": {"name": f"{name}.mp4", "size": 1, "sha256": files[name]}}
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
    found = evaluate((folder / "v", folder / "a"), folder / "a.csv", split="test").overall
    own, wrong = found.means["partial"]["encoder"], found.means["partial"]["shuffled"]
    assert own["auroc"].low > 0.8 and wrong["auroc"].low < 0.5 < wrong["auroc"].high
    assert abs(wrong["inside"].mean - found.means["partial"]["uniform"]["inside"].mean) < 0.05
    assert found.p_shuffled["partial"]["dist"] == 1 / 50  # none of 49 wrong sounds does as well


def test_towers_that_know_nothing_are_not_told_apart_from_wrong_sound(made):
    folder, ids, events = made
    towers(folder / "noise", ids, 0.0, events=events)
    found = evaluate((folder / "noise/v", folder / "noise/a"), folder / "a.csv", split="test").overall
    assert all(p > 0.02 for p in found.p_shuffled["partial"].values()) and found.differences["partial"]["auroc"].to["shuffled"].low < 0


def test_settings_tuned_on_the_test_are_caught_by_name(made):
    folder, ids, events = made
    leaky = Selection(AlignSettings(tau=0.2), (1.0,), "test", tuple(ids[70:]), "dist on test")
    write_selection(leaky, folder / "selection.json")
    with pytest.raises(ProtocolError, match=r"tuned on 80 of these clips \(clip070, .*dist on test"):
        evaluate((folder / "v", folder / "a"), folder / "a.csv", split="test", tuned_on=folder / "selection.json")
    assert evaluate((folder / "v", folder / "a"), folder / "a.csv", split="val", tuned_on=folder / "selection.json").overall.problems == []


def test_a_clip_in_two_splits_is_caught_whichever_way_it_comes(made):
    folder, ids, events = made
    # One file says val and test: the clip belongs to val alone, and is not scored with the test.
    annotate(folder / "both.csv", [*ids, ids[40]], [*events, events[40]], ["train"] * 30 + ["val"] * 40 + ["test"] * 81)
    found = evaluate((folder / "v", folder / "a"), folder / "both.csv", split="test")
    assert ids[40] not in set(found.summary["video_id"]) and found.overall.n_clips == 80 and found.overall.n_shared_between_splits == 1
    # Two files, each with one split: what was looked at is on record.
    annotate(folder / "test.csv", [*ids[70:], ids[40]], [*events[70:], events[40]], ["test"] * 81)
    tuned = Selection(AlignSettings(), (1.0,), "val", tuple(ids[30:70]), "log_score")
    with pytest.raises(ProtocolError, match=r"tuned on 1 of these clips \(clip040\)"):
        evaluate((folder / "v", folder / "a"), folder / "test.csv", split="test", tuned_on=tuned)


def test_every_further_setting_on_the_same_test_clips_is_counted(made):
    folder, ids, events = made

    def notes_of(split, tau):
        settings, scoring = AlignSettings(tau=tau), Scoring(n_shuffles=0)
        return (
            evaluate((folder / "v", folder / "a"), folder / "a.csv", split=split, settings=settings, scoring=scoring).save().overall.notes
        )

    notes = [notes_of("test", tau) for tau in (0.3, 0.5, 0.5, 0.7)]
    assert notes[0] == [] and [note[0].split(" settings")[0][-1] for note in notes[1:]] == ["2", "2", "3"]
    assert notes_of("val", 0.9) == []


def test_calibration_on_val_holds_on_test_and_never_looks_at_it(made):
    folder, ids, events = made
    found = evaluate((folder / "v", folder / "a"), folder / "a.csv", split="test", calibrate_on="val", scoring=Scoring(conformal_level=0.8))
    fitted = found.overall.calibration["fitted"]
    for target in ("event", "moment"):
        assert fitted["covered"][target]["high"] >= 0.8 and fitted["covered"][target]["n"] == 80
    assert fitted["covered"]["moment"]["mean_width_s"] < fitted["covered"]["event"]["mean_width_s"]
    # Other answers on the test clips, the same fit.
    moved = [(s, e) if k < 70 else (0, 1) for k, (s, e) in enumerate(events)]
    annotate(folder / "moved.csv", ids, moved, ["train"] * 30 + ["val"] * 40 + ["test"] * 80)
    again = evaluate(
        (folder / "v", folder / "a"), folder / "moved.csv", split="test", calibrate_on="val", scoring=Scoring(conformal_level=0.8)
    ).overall.calibration["fitted"]
    assert again["margin_s"] == fitted["margin_s"] and again["temperature"] == fitted["temperature"]
    with pytest.raises(ProtocolError, match="80 of its clips are scored"):
        evaluate((folder / "v", folder / "a"), folder / "a.csv", split="test", calibrate_on="test")


def test_training_priors_know_training_clips_only(made):
    folder, ids, events = made
    found = evaluate((folder / "v", folder / "a"), folder / "a.csv", split="test", scoring=Scoring(n_shuffles=0))
    moved = [(8, 9) if k < 30 else event for k, event in enumerate(events)]  # all training events near the end
    annotate(folder / "moved.csv", ids, moved, ["train"] * 30 + ["val"] * 40 + ["test"] * 80)
    again = evaluate((folder / "v", folder / "a"), folder / "moved.csv", split="test", scoring=Scoring(n_shuffles=0))
    prior = again.baselines[again.baselines["method"] == "train_prior"].set_index("video_id")
    t = 8.375  # the lower median of the four cells from 8 to 9 s
    expected = [max(s - t, t - e, 0) for s, e in events[70:]]
    assert np.allclose(prior.loc[ids[70:], "dist"], expected)
    centre = [r.baselines[r.baselines["method"] == "centre"].set_index("video_id")["dist"] for r in (found, again)]
    assert centre[0].equals(centre[1])


def test_an_encoder_that_hears_with_its_eyes_needs_wrong_sound_extracted(tmp_path):
    from avesound.data.synth import SynthSpec, make_dataset
    from avesound.embeddings.extract import extract

    data = make_dataset(tmp_path / "data", spec=SynthSpec(difficulty="easy", seed=2, size=(64, 96)), n_train=0, n_val=0, n_test=16)
    for name, wrong_sound in [("own", 0), ("wrong", 5)]:
        extract(data / "AVE", tmp_path / name, wrong_sound=wrong_sound, progress=False)
    common = (tmp_path / "own/vid_emb", tmp_path / "own/aud_emb"), data / "annotations.csv"
    found = evaluate(*common, shuffled_dirs=[tmp_path / "wrong"]).overall.means["partial"]
    assert found["encoder"]["auroc"].low > 0.9
    assert found["shuffled"]["auroc"].low < 0.5 < found["shuffled"]["auroc"].high  # chance, within its interval
    assert found["shuffled"]["inside"].low < found["uniform"]["inside"].mean < found["shuffled"]["inside"].high
    assert "shuffled" not in evaluate(*common).overall.means["all"]
    with pytest.raises(ValueError, match="another encoder or other windows|not made with wrong sound"):
        evaluate(*common, shuffled_dirs=[tmp_path / "own"])
    # What is given twice would count twice; and scored by itself, wrong sound is a control and no result.
    with pytest.raises(ValueError, match="has the same wrong sound as another of the caches"):
        evaluate(*common, shuffled_dirs=[tmp_path / "wrong", tmp_path / "wrong"])
    control = evaluate(tmp_path / "wrong", *common[1:])
    assert [problem.code for problem in control.overall.problems] == ["wrong_sound"] and control.summary["flawed"].all()
    crossed = evaluate((tmp_path / "own/vid_emb", tmp_path / "wrong/aud_emb"), *common[1:]).overall
    assert "the audio vectors were made with wrong sound" in str(crossed)
    (tmp_path / "wrong/vid_emb" / sorted(path.name for path in (tmp_path / "wrong/vid_emb").glob("*.npz"))[0]).unlink()
    fewer = evaluate(*common, shuffled_dirs=[tmp_path / "wrong"]).overall
    assert any("wrong sound is there for" in note for note in fewer.notes)


def test_lengths_and_tolerances_are_numbers(made):
    folder, *_ = made
    data = (folder / "v", folder / "a"), folder / "a.csv"
    few = Scoring(n_boot=20, n_shuffles=0)
    one = evaluate(*data, split="test", L_sec=1.0, scoring=few)
    assert one.overall.settings["L_sec"] == [1.0]
    assert evaluate(*data, split="test", L_sec=np.array([1.0]), scoring=few).summary.equals(one.summary)
    for wrong in ("1.0", "12", (), []):
        with pytest.raises(ValueError, match="L_sec must be one or more lengths"):
            evaluate(*data, L_sec=wrong, scoring=few)
    assert Scoring(hit_deltas=0.5).hit_deltas == (0.5,)
    for wrong in (
        {"hit_deltas": "0.5"},
        {"hit_deltas": (-1.0,)},
        {"n_boot": 0},
        {"n_shuffles": -1},
        {"conformal_level": 1.0},
        {"seed": -1},
    ):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            Scoring(**wrong)
    for wrong in (None, 3, (folder, folder, folder)):
        with pytest.raises(TypeError, match="a cache is an EmbeddingCache, its folder, or a pair of folders"):
            evaluate(wrong, folder / "a.csv")


# ---- what strangers' caches hold


def odd_clips():
    "name -> arrays of the video file and of the audio file of a clip that cannot be used, each for its own reason."
    rng = np.random.default_rng(1)
    centers = (np.arange(20) + 0.5) * 0.5
    good = {"emb": rng.normal(size=(20, 4)), "centers_sec": centers}
    meta = lambda **values: {"meta": np.array(json.dumps(values))}  # noqa: E731
    deep = {"meta": np.array('{"a":' * 5000 + "1" + "}" * 5000)}
    odd = {
        "word": (good | meta(duration_s="ten"), good), "null": (good | meta(duration_s=None), good),
        "list": (good | meta(stride_s=[0.5]), good), "endless": (good | meta(duration_s=1e308), good),
        "encoder": (good | meta(encoder="signal"), good), "half-encoder": (good | meta(encoder={"name": "x"}), good),
        "number": (good | {"meta": np.array("3")}, good), "deep": (good | deep, good),
        "complex": (good | {"emb": good["emb"] + 1j}, good), "text": (good, good | {"emb": good["emb"].astype("U8")}),
        "flags": (good | {"emb": good["emb"] > 0}, good),
        "wider": (good | {"emb": rng.normal(size=(20, 6))}, good | {"emb": rng.normal(size=(20, 6))}),
        "apart": (good, good | {"emb": rng.normal(size=(20, 6))}),
        "empty": ({"emb": np.zeros((0, 4)), "centers_sec": np.zeros(0)}, good),
        "thin": (good, {"emb": np.zeros((20, 0)), "centers_sec": centers}),
        "negative": (good | {"centers_sec": centers - 5}, good),
        "nan": (good | {"centers_sec": np.where(centers < 3, centers, np.nan)}, good),
        "unsorted": (good, good | {"centers_sec": centers[::-1]}), "far": (good | {"centers_sec": centers * 1e307}, good),
        "huge-values": (good | {"emb": good["emb"] * 1e300}, good), "sparse": ({name: column[::2] for name, column in good.items()}, good),
    }  # fmt: skip
    return good, odd


@pytest.fixture
def strangers_cache(tmp_path):
    good, odd = odd_clips()
    clips = {f"odd-{name}": pair for name, pair in list(odd.items())[:11]} | {
        f"clip{k}": (good | {"emb": np.random.default_rng(100 + k).normal(size=(20, 4))}, good) for k in range(24)
    }
    clips |= {f"odd-{name}": pair for name, pair in list(odd.items())[11:]}  # some stand before the good ones, some after
    for folder in ("v", "a"):
        (tmp_path / folder).mkdir()
    for name, (video, audio) in clips.items():
        np.savez(tmp_path / f"v/{name}.npz", **video)
        np.savez(tmp_path / f"a/{name}__L1000ms.npz", **audio)
    splits = ["train", "val", "test"]
    rows = [f"{name},x,{k % 5},{k % 5 + 2},good,{splits[k % 3] if name.startswith('clip') else 'test'}" for k, name in enumerate(clips)]
    (tmp_path / "a.csv").write_text("\n".join(["video_id,event_label,start_s,end_s,quality,split", *rows]) + "\n")
    return tmp_path, {name for name in clips if name.startswith("odd-")}


@pytest.mark.filterwarnings("error")
def test_a_clip_that_cannot_be_used_costs_itself_and_stops_nothing(strangers_cache):
    folder, odd = strangers_cache
    found = evaluate((folder / "v", folder / "a"), folder / "a.csv", scoring=Scoring(n_boot=50, n_shuffles=5))
    found = found.save(folder / "s.csv", folder / "curves")
    assert len(found.plot_clips(folder / "curves", 2)) == 2
    lost = found.summary[found.summary["status"] == "corrupt_cache"].set_index("video_id")["detail"]
    assert set(lost.index) == odd and found.overall.status == {"ok": 24, "corrupt_cache": len(odd)}
    assert all(name in detail for name, detail in lost.items()), "each names its file"
    from avesound.data.annotations import clips_from_annotations, read_annotations
    from avesound.embeddings.fit import fit_projector
    from avesound.report.analyze import analyze
    from avesound.tuning.grid import Grid
    from avesound.tuning.sweep import GridScoring, sweep

    assert analyze(folder / "s.csv", folder / "reports", "one", n_boot=50, n_examples=1).overall.counts.status["corrupt_cache"] == len(odd)
    clips = clips_from_annotations(read_annotations(folder / "a.csv")).values()
    crossmodal = evaluate_crossmodal(queries_of_clips(list(clips)), (folder / "v", folder / "a"), n_boot=50).overall.status
    assert crossmodal == {"ok": 25, "corrupt_cache": len(odd) - 1}  # where seconds are compared, windows may be spaced otherwise
    (folder / "v").rename(folder / "vid_emb"), (folder / "a").rename(folder / "aud_emb")
    everything = (folder / "a.csv").read_text().replace(",train\n", ",val\n").replace(",test\n", ",val\n")
    (folder / "val.csv").write_text(everything)
    swept = sweep(
        [folder],
        folder / "val.csv",
        out_dir=folder / "grid",
        grid=Grid(taus=(0.5,), smooth_sigmas=(0.0,), zscores=(True,)),
        test_split=None,
        scoring=GridScoring(n_boot=50),
        progress=False,
    )
    assert len(swept.selection["video_ids"]) == 24 and swept.selection["n_left_out"] == len(odd)
    made = fit_projector((folder / "vid_emb", folder / "aud_emb"), folder / "val.csv", split="val", dim=2).provenance
    assert made["n_clips"] == 25 and odd - set(made["left_out"]) == {"odd-sparse"}


def test_the_viewer_shows_what_is_wrong_with_a_clip(strangers_cache):
    from avesound.viewer.inspector import Inspector
    from avesound.viewer.run import Run
    from avesound.viewer.still import still

    folder, odd = strangers_cache
    inspector = Inspector(run=Run(vid_emb_dir=folder / "v", aud_emb_dir=folder / "a", annotations_csv=folder / "a.csv"))
    for name in sorted(odd - {"odd-wider", "odd-sparse"}):  # these two are odd beside others alone
        inspector.video_id = name
        assert name in inspector.reading["problem"] and inspector.seen is None
        assert "none of 1 clips" in still(inspector._opened, name)


def test_a_journal_that_somebody_has_edited_stops_nothing(made):
    folder, ids, events = made
    lines = [
        {"id": 7, "status": "ok"},
        {"id": ids[0], "status": None},
        {"id": ids[1], "status": "corrupt", "detail": ["x"]},
        ["id"],
        {"id": ids[2], "status": "corrupt", "detail": "is truncated"},
    ]
    (folder / "extract.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n" + "[" * 20000 + "\n")
    for name in ids[:3]:
        video_file(folder / "v", name).unlink()
    status = evaluate(
        (folder / "v", folder / "a"), folder / "a.csv", split="train", scoring=Scoring(n_boot=20, n_shuffles=0)
    ).summary.set_index("video_id")["status"]
    assert status[ids[:3]].tolist() == ["missing_video", "missing_video", "corrupt"]


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize(
    "beside",
    [
        "{",
        "[]",
        '"words"',
        '{"means": [], "settings": 3, "status": null}',
        '{"problems": "no", "means": {}, "settings": {}, "status": {}}',
        "[" * 20000,
    ],
)
def test_a_record_beside_a_summary_that_is_none_is_a_line(beside, made):
    from avesound.evaluation.compare import compare
    from avesound.report.analyze import analyze

    folder, _, _ = made
    evaluate((folder / "v", folder / "a"), folder / "a.csv", split="train", scoring=Scoring(n_boot=20, n_shuffles=0)).save(folder / "s.csv")
    (folder / "s.json").write_text(beside)
    assert any(
        "s.json beside the summary is not used" in note
        for note in analyze(folder / "s.csv", folder / "reports", "one", n_boot=20, n_examples=1, overwrite=True).overall.notes
    )
    try:
        compare([folder / "s.csv", folder / "s.csv"], names=["a", "b"], metrics=("dist",), n_boot=20, n_perm=9)
    except ValueError as error:
        assert "s.json: is not what evaluate writes" in str(error)


def test_every_curve_dead_is_no_success(tmp_path):
    import subprocess
    import sys
    from pathlib import Path

    windows = sliding_windows(10, 1.0, 0.25)
    for k in range(12):
        write_embeddings(tmp_path / f"v/c{k}.npz", np.zeros((40, 8)), windows, {})
        write_embeddings(tmp_path / f"a/c{k}__L1000ms.npz", np.zeros((40, 8)), windows, {})
    (tmp_path / "a.csv").write_text(
        "video_id,event_label,start_s,end_s,split\n" + "".join(f"c{k},x,3,7,{'val' if k % 2 else 'test'}\n" for k in range(12))
    )
    script = Path(sys.executable).with_name("avesound")
    common = ["--vid_emb_dir", tmp_path / "v", "--aud_emb_dir", tmp_path / "a", "--annotations_csv", tmp_path / "a.csv"]
    done = subprocess.run([script, "evaluate", *common, "--summary_csv", tmp_path / "s.csv"], capture_output=True, text=True, timeout=120)
    assert (
        done.returncode == 1
        and "12 flat" in done.stdout
        and "NOT A RESULT: no curve says anything" in done.stdout
        and "all its video and audio vectors are zero" in done.stdout
    ), done.stderr
    summary = pd.read_csv(tmp_path / "s.csv")
    assert (summary["status"] == "flat").all() and summary[
        ["t_pred_sec", "dist", "inside", "mae", "mass_inside", "log_score", "crps"]
    ].isna().all(axis=None)
    assert all(
        cell["n"] == 0 for cells in json.loads((tmp_path / "s.json").read_text())["means"]["all"].values() for cell in cells.values()
    ), "no baseline is scored where the encoder is not"
    assert json.loads((tmp_path / "s.json").read_text())["status"] == {"flat": 12}
    done = subprocess.run([script, "sweep", *common, "--out_dir", tmp_path / "grid"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "flat" in done.stderr and "Traceback" not in done.stderr
    (tmp_path / "cross.csv").write_text("video_id,event_label,start_s,end_s\n" + "".join(f"c{k},x,0,3\n" for k in range(12)))
    done = subprocess.run(
        [script, "evaluate-crossmodal", *common[:4], "--annotations_csv", tmp_path / "cross.csv"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (
        done.returncode == 1 and "flat" in done.stderr and "Traceback" not in done.stderr
    )  # all at the start: the first of equal places was always right


def test_a_report_has_the_intervals_of_the_evaluation_though_some_clips_say_nothing(made):
    from avesound.report.analyze import analyze

    folder, ids, _ = made
    for name in ids[70:78]:
        seen = read_embeddings(video_file(folder / "v", name))
        write_embeddings(video_file(folder / "v", name), 0 * seen.emb, seen.windows, seen.meta)
    found = evaluate((folder / "v", folder / "a"), folder / "a.csv", split="test", scoring=Scoring(n_shuffles=0))
    found = found.save(folder / "s.csv").overall
    report = analyze(folder / "s.csv", folder / "reports", "one", n_examples=1).overall
    assert found.status == {"flat": 8, "ok": 72} == report.counts.status
    for subset in ("all", "partial"):
        for metric in ("dist", "inside", "mass_inside"):
            ours, theirs = found.means[subset]["encoder"][metric], report.means[subset]["encoder"][metric]
            assert ours.n == 72 and [ours.mean, ours.low, ours.high] == pytest.approx([theirs.mean, theirs.low, theirs.high], abs=1e-4), (
                subset,
                metric,
            )


def test_the_clips_are_listed_once_and_not_for_each_clip():
    "A list of N clips that is made N times cost an evaluation of 100,000 clips most of its time."
    choice = ClipChoice(AnnotatedClips({}, frozenset(), "", Path("a.csv")), None, tuple(ClipAnnotation(f"c{i}", "x", ()) for i in range(3)))
    assert choice.by_id is choice.by_id and list(choice.by_id) == ["c0", "c1", "c2"]


# ---- clips of different length, and files of different runs


def _unequal(folder, lengths, events=None):
    "A cache of clips of these lengths (in seconds, a window every 0.25 s), and annotations."
    rows = ["video_id,event_label,start_s,end_s,quality,split"]
    for k, seconds in enumerate(lengths):
        rng, windows = np.random.default_rng(k), sliding_windows(seconds, 1.0, 0.25)
        seen, heard = rng.normal(size=(2, len(windows), 16)).astype(np.float32)
        start, end = 0.2 * seconds, 0.5 * seconds
        inside = (windows.centers_s >= start) & (windows.centers_s < end)
        heard[inside] = seen[inside]
        write_embeddings(folder / f"cache/vid_emb/c{k}.npz", seen, windows, {}, motion=rng.random(len(windows)))
        write_embeddings(folder / f"cache/aud_emb/c{k}__L1000ms.npz", heard, windows, {}, loudness_db=rng.random(len(windows)))
        rows.append(f"c{k},x,{start},{end},good,test")
        if k % 3 == 0:  # a second event
            rows.append(f"c{k},x,{0.7 * seconds},{0.8 * seconds},good,test")
    (folder / "a.csv").write_text("\n".join(rows) + "\n")
    return folder / "cache", folder / "a.csv"


def test_what_is_said_of_a_clip_does_not_depend_on_the_length_of_the_others(tmp_path):
    lengths = [10, 10, 0.5, 3, 90, 3, 7.25, 10, 1, 0.25]
    cache, csv = _unequal(tmp_path / "all", lengths)
    together = evaluate(cache, csv, settings=AlignSettings(score_smooth_sigma=0.5), scoring=Scoring(n_boot=20, n_shuffles=3))
    of_all, baselines = together.summary.set_index("video_id"), together.baselines
    for k in range(len(lengths)):
        own = tmp_path / f"own{k}.csv"
        own.write_text("\n".join(line for line in csv.read_text().splitlines() if line.startswith(("video_id", f"c{k},"))) + "\n")
        alone = evaluate(cache, own, settings=AlignSettings(score_smooth_sigma=0.5), scoring=Scoring(n_boot=20, n_shuffles=0))
        pd.testing.assert_frame_equal(alone.summary.set_index("video_id"), of_all.loc[[f"c{k}"]], rtol=1e-12, atol=1e-12)
        mine = baselines[(baselines["video_id"] == f"c{k}") & (baselines["method"] != "shuffled")].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone.baselines, mine, rtol=1e-12, atol=1e-12)
        part = together.curves[together.curves["video_id"] == f"c{k}"].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone.curves, part, rtol=1e-12, atol=1e-12)


def test_one_clip_of_an_hour_among_short_ones_costs_what_it_is(tmp_path):
    cache, csv = _unequal(tmp_path, [10] * 30 + [1800])
    code = (
        "import sys, time; from avesound.cli import main; code = main(sys.argv[1:]); "
        "peak = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')); "
        "print('PEAK', peak, time.process_time()); sys.exit(code)"
    )
    line = ["evaluate", "--vid_emb_dir", cache, "--aud_emb_dir", cache, "--annotations_csv", csv, "--summary_csv", tmp_path / "s.csv"]
    done = subprocess.run([sys.executable, "-c", code, *map(str, line)], capture_output=True, text=True, check=True)
    _, peak_kb, cpu_s = next(line for line in done.stdout.splitlines() if line.startswith("PEAK")).split()
    assert int(peak_kb) < 300_000 and float(cpu_s) < 10, done.stdout[-200:]  # padded to the longest: 4 GB, 70 s


@pytest.mark.usefixtures("blank_figures")
def test_files_of_two_runs_are_refused_by_name(tmp_path):
    from avesound.evaluation.compare import compare
    from avesound.provenance import MixedRunsError
    from avesound.report.analyze import analyze
    from avesound.viewer.run import Run, open_run

    cache, csv = _unequal(tmp_path, [10] * 12)
    for name, tau in [("a", 0.5), ("b", 0.9), ("again", 0.5)]:
        result = evaluate(cache, csv, settings=AlignSettings(tau=tau), scoring=Scoring(n_boot=20, n_shuffles=2))
        result.save(tmp_path / name / "s.csv", tmp_path / name)
    files = ("s.csv", "s_baselines.csv", "s.json", "curves.csv")
    record = json.loads((tmp_path / "a/s.json").read_text())
    assert {run_id_of(tmp_path / "a" / name) for name in files} == {record["run"]["id"]} and record["run"]["command"] == "Python"
    assert [(tmp_path / "a" / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in files] == [True, True, False, True]
    again = json.loads((tmp_path / "again/s.json").read_text())
    assert {name for name in record if record[name] != again[name]} <= {"run", "notes"}  # what differs from run to run stands there

    def readers(folder):
        yield "analyze", lambda: analyze(folder / "s.csv", folder / "report", "x")
        yield "compare", lambda: compare([folder / "s.csv", tmp_path / "b/s.csv"], names=["one", "two"], n_boot=20, n_perm=20)
        yield "view", lambda: open_run(Run(summary_csv=folder / "s.csv", curves_csv=folder / "curves.csv", annotations_csv=csv))

    sees = {
        "s.csv": ["analyze", "compare", "view"],
        "s.json": ["analyze", "compare", "view"],
        "s_baselines.csv": ["analyze", "compare", "view"],
    }
    for odd, who in (sees | {"curves.csv": ["analyze", "view"]}).items():
        mixed = tmp_path / f"mixed {odd}"
        mixed.mkdir()
        for name in files:
            shutil.copy(tmp_path / ("b" if name == odd else "a") / name, mixed / name)
        for reader, read in readers(mixed):
            if reader in who:
                with pytest.raises(MixedRunsError, match=rf"(?s)different runs: .*{re.escape(odd)} \(run r.*again"):
                    read()
            else:
                read()
    for name in ("s.csv", "s_baselines.csv", "curves.csv"):  # older files have no id
        table = pd.read_csv(tmp_path / "a" / name).drop(columns="run_id")
        table.to_csv(tmp_path / "a" / name, index=False)
    for _, read in readers(tmp_path / "a"):
        read()


# ---- two truths


def second(folder, name, events, splits=None, rows=()):
    "A second file of annotations; None for a clip that it does not have, () for one without an event."
    lines = []
    for i, when in events.items():
        if when is not None:
            start, end = when or ("", "")
            lines.append(f"{i},class {int(i[4:]) % 3},{start},{end}" + ("" if splits is None else f",{splits[i]}"))
    header = "video_id,event_label,start_s,end_s" + ("" if splits is None else ",split")
    (folder / name).write_text("\n".join([header, *lines, *rows]) + "\n")
    return folder / name


def judged_by(folder, also, **more):
    "By the file of `made` and by another."
    options = {"split": "test", **more}
    scoring = Scoring(n_boot=100, n_shuffles=20, also=also)
    return evaluate((folder / "v", folder / "a"), folder / "a.csv", scoring=scoring, **options)


def test_two_truths_that_are_one_differ_by_exactly_nothing(made):
    folder, ids, _ = made
    shutil.copy(folder / "a.csv", folder / "copy.csv")
    both = judged_by(folder, folder / "copy.csv")
    cells = [cell for methods in both.difference.differences.values() for metrics in methods.values() for cell in metrics.values()]
    assert {*both.difference.differences["all"]} == {*both.overall.means["all"]} and both.difference.left_out == ()
    assert len(cells) > 300 and all(cell.n == 0 or (cell.mean, cell.low, cell.high) == (0.0, 0.0, 0.0) for cell in cells)
    assert both.difference.n_clips == 80 and "the same events in all clips" in str(both)
    assert both.also.summary.equals(both.summary) and both.also.overall.as_json()["means"] == both.overall.as_json()["means"]


@pytest.mark.parametrize("splits", [True, False])
def test_each_of_two_truths_says_what_it_says_alone(made, splits):
    folder, ids, events = made
    split_of = dict(zip(ids, ["train"] * 30 + ["val"] * 40 + ["test"] * 80))
    shifted = {i: (s + 0.5, e + 1.5) if k % 4 else (s, e) for k, (i, (s, e)) in enumerate(zip(ids, events))}
    also = second(folder, "b.csv", shifted, split_of if splits else None)
    both = judged_by(folder, also)
    alone = Scoring(n_boot=100, n_shuffles=20)
    second(folder, "c.csv", shifted, split_of)
    for part, csv in [(both, "a.csv"), (both.also, "c.csv")]:
        single = evaluate((folder / "v", folder / "a"), folder / csv, split="test", scoring=alone)
        for name in ("summary", "baselines", "curves"):
            assert getattr(part, name).equals(getattr(single, name)), (csv, name)
        record, by_itself = part.overall.as_json(), single.overall.as_json()
        for key in by_itself.keys() - {"run", "notes", "splits_from"}:
            assert record[key] == by_itself[key], (csv, key)
    # What was predicted is the same to the digit, and the difference is that of the two columns.
    predicted = ["video_id", "t_pred_sec", "interval_start_sec", "interval_end_sec", "confidence", "entropy", "tau"]
    assert both.summary[predicted].equals(both.also.summary[predicted]) and both.curves.equals(both.also.curves)
    gain = both.difference.differences["all"]["encoder"]["dist"]
    assert gain.n == 80 and math.isclose(gain.mean, (both.also.summary["dist"] - both.summary["dist"]).mean(), abs_tol=1e-12)
    assert gain.low < gain.mean < gain.high and len(both.difference.moved) == sum(k % 4 > 0 for k in range(70, 150))
    assert both.difference.differences["all"]["shuffled"]["dist"].n == 80  # the same wrong sounds
    assert {"train_prior", "class_prior"} == set(both.difference.left_out)  # the second file's training clips have other events
    assert ("b.csv has no splits; those of a.csv are taken" in both.also.overall.notes) is not splits


def test_no_clip_of_two_truths_is_lost(made):
    folder, ids, events = made
    split_of = dict(zip(ids, ["train"] * 30 + ["val"] * 40 + ["test"] * 80))
    wanted = dict(zip(ids, events))
    changed = {ids[70]: None, ids[71]: (), ids[72]: (5.0, 5.5)}
    towers(folder, ["clip900", "clip901"], 1.5, seed=3, events=[(2, 4), (6, 7)])
    (folder / "v" / f"{ids[75]}.npz").unlink()
    splits = split_of | {ids[73]: "val", ids[0]: "test", "clip900": "test", "clip901": "test", "clip902": "test"}
    further = {"clip900": (2, 4), "clip901": (6, 7), "clip902": (1, 2)}
    also = second(folder, "b.csv", {**wanted, **changed, **further}, splits)
    both = judged_by(folder, also).save(folder / "out/s.csv", folder / "out/curves")
    pairs = {(pair.first, pair.second): (pair.n, pair.video_ids) for pair in both.difference.clips}
    assert pairs == {
        ("ok", "ok"): (76, ()),
        ("ok", "not_annotated"): (1, (ids[70],)),
        ("ok", "no_event"): (1, (ids[71],)),
        ("ok", "other_split"): (1, (ids[73],)),
        ("missing_video", "missing_video"): (1, (ids[75],)),
        ("other_split", "ok"): (1, (ids[0],)),
        ("not_annotated", "ok"): (2, ("clip900", "clip901")),
        ("not_annotated", "missing_video"): (1, ("clip902",)),
    }
    in_either = {*both.summary["video_id"], *both.also.summary["video_id"]}
    assert sum(n for n, _ in pairs.values()) == len(in_either) == 84
    assert len(both.summary) == both.overall.n_clips == 80 and len(both.also.summary) == both.also.overall.n_clips == 82
    assert {*both.difference.moved} == {ids[72]} and both.difference.differences["all"]["encoder"]["dist"].n == 76
    assert "not_annotated by a.csv, ok by b.csv: 2 (clip900, clip901)" in str(both)
    shared = [frame.set_index("video_id")["t_pred_sec"] for frame in (both.summary, both.also.summary)]
    assert shared[0].dropna().index.intersection(shared[1].dropna().index).size == 77
    assert (shared[0].dropna() == shared[1].reindex(shared[0].dropna().index)).sum() == 77  # to the digit
    assert "shuffled" in both.difference.left_out  # other clips, so other wrong sounds
    # What is written: six tables of one run, the curves of all clips of either file, and both summaries can be read.
    names = ["s.csv", "s.json", "s_baselines.csv", "s_also.csv", "s_also.json", "s_also_baselines.csv", "curves/curves.csv"]
    assert {run_id_of(folder / "out" / name) for name in names} == {both.overall.run["id"]}
    curves = pd.read_csv(folder / "out/curves/curves.csv", dtype={"video_id": str})
    assert set(curves["video_id"]) == in_either - {ids[75], "clip902"} and not curves.duplicated(["video_id", "t_sec"]).any()
    record = json.loads((folder / "out/s.json").read_text())
    assert (
        record["also"]["annotations"]["name"]
        == "b.csv"
        == json.loads((folder / "out/s_also.json").read_text())["run"]["annotations"]["name"]
    )
    assert sum(pair["n"] for pair in record["also"]["clips"]) == 84 and record["also"]["differences"]["all"]["encoder"]["dist"]["n"] == 76
    from avesound.report.analyze import analyze

    assert (
        analyze(folder / "out/s_also.csv", folder / "out/report", "x", n_examples=1).overall.counts.all
        == both.also.overall.means["all"]["encoder"]["dist"].n
    )


def test_two_truths_of_a_doubtful_clip(made):
    folder, ids, events = made
    lines = (folder / "a.csv").read_text().splitlines()
    marked = [f"{line},{'confidence' if k == 0 else 'low' if k in (75, 80) else 'high'}" for k, line in enumerate(lines)]
    (folder / "b.csv").write_text("\n".join(marked) + "\n")
    for first, also in [("a.csv", "b.csv"), ("b.csv", "a.csv")]:
        scoring = Scoring(n_boot=20, n_shuffles=0, also=folder / also)
        both = evaluate((folder / "v", folder / "a"), folder / first, split="test", scoring=scoring)
        odd = {(pair.first, pair.second): pair.video_ids for pair in both.difference.clips if pair.video_ids}
        names = ("ok", "low_confidence") if first == "a.csv" else ("low_confidence", "ok")
        assert odd == {names: (ids[74], ids[79])} and both.difference.n_clips == 78


def test_what_two_truths_may_not_be(made, capsys):
    from avesound import cli

    folder, ids, events = made
    (folder / "link.csv").symlink_to(folder / "a.csv")
    moved = dict(zip(ids, events))
    names = ["train"] * 30 + ["val"] * 40 + ["test"] * 80
    leaky = second(folder, "b.csv", moved, dict(zip(ids, names)) | {ids[35]: "test"})  # a clip of val is scored
    tuned = Selection(AlignSettings(tau=0.2), (1.0,), "val", tuple(ids[30:40]), "dist on val")
    for also, how, error, says in [
        (folder / "a.csv", {}, ValueError, "the same file as annotations_csv"),
        (folder / "link.csv", {}, ValueError, "the same file as annotations_csv"),
        (folder / "none.csv", {}, FileNotFoundError, "`also`: there is no file"),
        (leaky, {"settings": AlignSettings(audio_query="oracle")}, ValueError, "oracle is told the event"),
        (leaky, {"calibrate_on": "val"}, ProtocolError, f"cannot calibrate on 'val': .*b.csv has 1 of its clips .*{ids[35]}"),
        (leaky, {"tuned_on": tuned}, ProtocolError, f"tuned on 1 of these clips .{ids[35]}"),
        (second(folder, "c.csv", {"clip999": (1, 2)}), {"split": None}, ValueError, "c.csv: none of 1 clips has embeddings"),
        (second(folder, "d.csv", {ids[0]: (1, 2)}), {}, ValueError, "no clip of split 'test' in .*d.csv"),
    ]:
        with pytest.raises(error, match=says):
            judged_by(folder, also, **how)
    line = ["evaluate", "--vid_emb_dir", folder / "v", "--aud_emb_dir", folder / "a", "--annotations_csv", folder / "a.csv"]
    line += ["--also", folder / "link.csv", "--summary_csv", folder / "s.csv"]
    assert cli.main([*map(str, line)]) == 1
    answer = capsys.readouterr()
    assert "the same file as --annotations_csv" in answer.err and "Traceback" not in answer.err and not (folder / "s.csv").exists()


def test_what_is_fitted_for_two_truths_is_fitted_to_the_first(made):
    folder, ids, events = made
    names = dict(zip(ids, ["train"] * 30 + ["val"] * 40 + ["test"] * 80))
    also = second(folder, "a_corrected.csv", {i: (s, e + 2) for i, (s, e) in zip(ids, events)}, names)
    both = judged_by(folder, also, calibrate_on="val")
    alone = evaluate(
        (folder / "v", folder / "a"), folder / "a.csv", split="test", calibrate_on="val", scoring=Scoring(n_boot=100, n_shuffles=20)
    )
    fitted = [part.overall.calibration["fitted"] for part in (both, both.also, alone)]
    assert fitted[0] == fitted[2] and fitted[1]["margin_s"] == fitted[0]["margin_s"] and fitted[1]["covered"] != fitted[0]["covered"]
    assert both.summary[["tau", "event_start_sec"]].equals(both.also.summary[["tau", "event_start_sec"]])
    for notes in (both.difference.notes, both.also.overall.notes):
        assert "temperature and margins are fitted to the events of a.csv alone" in notes


# ---- silence


@pytest.mark.parametrize("zscore", [True, False])
def test_the_sound_of_a_silent_clip_is_no_wrong_sound(zscore, tmp_path):
    "What the tie rule makes of a curve that says nothing is luck: it counts in no mean of wrong sounds, however many clips are silent."
    ids, events = [f"c{i}" for i in range(12)], [(1 + i % 5, 3 + i % 5) for i in range(12)]
    found = {}
    for name, silent in (("none", 0), ("some", 4)):
        towers(tmp_path / name, ids, 1.5, events=events)
        for video_id in ids[:silent]:
            path = audio_file(tmp_path / name / "a", video_id, 1.0)
            heard = read_embeddings(path)
            write_embeddings(path, 0 * heard.emb, heard.windows, heard.meta)
        kept = ids if silent else ids[4:]
        table = annotate(tmp_path / f"{name}.csv", kept, events[len(ids) - len(kept) :], ["test"] * len(kept))
        scoring = Scoring(n_boot=20, n_shuffles=len(kept) - 1)  # all others: whatever the order, the same sounds
        settings = AlignSettings(score_zscore=zscore)
        found[name] = evaluate((tmp_path / name / "v", tmp_path / name / "a"), table, split="test", settings=settings, scoring=scoring)
    assert found["some"].overall.status == {"ok": 8, "flat": 4} and found["none"].overall.status == {"ok": 8}
    of = {name: result.baselines.query("method == 'shuffled'").set_index("video_id").loc[ids[4:]] for name, result in found.items()}
    for metric in ("dist", "inside", "auroc", "mass_inside", "crps"):
        assert np.allclose(of["some"][metric].astype(float), of["none"][metric].astype(float), rtol=1e-5, atol=1e-6), metric
        means = [result.overall.means["partial"]["shuffled"][metric] for result in found.values()]
        assert means[0].n == means[1].n == 8 and np.isclose(means[0].mean, means[1].mean, rtol=1e-5)


def test_clips_of_another_length_than_the_protocols_are_a_note(tmp_path):
    ids, rng, windows = ["a", "b", "c"], np.random.default_rng(0), sliding_windows(20.0, 1.0, 0.5)
    towers(tmp_path, ids, 1.5, events=[(1, 3)] * 3)
    cache = (tmp_path / "v", tmp_path / "a")
    queries = queries_of_clips([ClipAnnotation(video_id, "x", (Interval(1.0, 3.0),)) for video_id in ids])
    assert evaluate_crossmodal(queries, cache, n_boot=10).overall.notes == []
    meta = read_embeddings(video_file(tmp_path / "v", "b")).meta | {"duration_s": 20.0, "stride_s": 0.5}
    for path in (video_file(tmp_path / "v", "b"), audio_file(tmp_path / "a", "b", 1.0)):
        write_embeddings(path, rng.normal(size=(40, 12)), windows, meta)
    (note,) = evaluate_crossmodal(queries, cache, n_boot=10).overall.notes
    assert note.startswith("clips that are not of 10 s, which the protocol is about: 1 (b); what comes later is not looked at")
