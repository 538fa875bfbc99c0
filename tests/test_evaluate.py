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
