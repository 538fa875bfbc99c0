"""The refiner against plain arithmetic, interrupted and continued.

On clips whose answer is known, from the command line, and where it must refuse.
"""

import contextlib
import io
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import avesound.refiner.train as refine
from avesound import files
from avesound.cli import main
from avesound.data.annotations import COLUMNS
from avesound.data.synth import SynthSpec, make_dataset
from avesound.embeddings.cache import EmbeddingCache
from avesound.embeddings.extract import extract
from avesound.embeddings.fit import fit_projector
from avesound.embeddings.projector import ProjectorError
from avesound.embeddings.store import audio_file, video_file, write_embeddings
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.plan import Scoring
from avesound.evaluation.refined import BLIND, RIVALS, information
from avesound.files import read_table
from avesound.localization.align import AlignSettings
from avesound.metrics.clip import events_array
from avesound.refiner.network import (
    FED,
    Examples,
    Refiner,
    RefinerError,
    RefinerSettings,
    TrainingRun,
    event_target,
    load_refiner,
    own_pdf,
    placed,
    read_tensors,
    relative_cells,
    relative_pdf,
    train_network,
    write_tensors,
)  # fmt: skip
from avesound.refiner.train import train_refiner
from avesound.report.analyze import analyze
from avesound.timeline import Interval, time_grid

SPEC = {"name": "made up", "dim": 2, "joint": True, "weights": "sha256:" + "0" * 64, "config": {}}
QUICK = RefinerSettings(seeds=(0,), epochs=4, patience=4)


def avesound(*words, ok=True):
    "What the command prints; where it must fail, its error."
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    assert (code == 0) == ok, err.getvalue()
    return out.getvalue() if ok else err.getvalue()


def cosines_cache(folder, curves, events, split_of, fingerprint="made up", spec=SPEC, duration_s=10.0):
    "A cache whose similarity curves are these, and its annotations: ((video folder, audio folder), CSV)."
    rows = []
    for video_id, curve in curves.items():
        curve = np.clip(curve, -1, 1)
        grid = time_grid(duration_s, duration_s / len(curve))
        meta = {"encoder": spec, "stride_s": duration_s / len(curve), "duration_s": duration_s, "fingerprint": fingerprint}
        write_embeddings(video_file(folder / "v", video_id), np.stack([curve, np.sqrt(1 - curve**2)], axis=1), grid, meta)
        write_embeddings(audio_file(folder / "a", video_id, 1.0), np.tile([1.0, 0.0], (len(curve), 1)), grid, meta)
        rows += [
            (video_id, "Bark", start, end, "good", split) for split in split_of[video_id].split("|") for start, end in events[video_id]
        ]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / "annotations.csv", index=False)
    return (folder / "v", folder / "a"), folder / "annotations.csv"


def clip(rng, far=2.0):
    "(curve, event) of ten seconds: an event off the middle, high at its beginning, and a click as high elsewhere."
    t, length = 0.125 + np.arange(40) / 4, rng.uniform(1.5, 4)
    middle = np.clip(5 + rng.choice([-1, 1]) * rng.uniform(far, 4), length / 2, 10 - length / 2)
    since = t - (middle - length / 2)
    curve = np.where((since > 0) & (since < length), 0.25 + 0.35 * np.exp(-since), 0) + rng.normal(0, 0.1, 40)
    curve += 0.7 * np.exp(-0.5 * ((t - rng.uniform(0, 10)) / 0.12) ** 2)
    return curve, (middle - length / 2, middle + length / 2)


def small(folder, n_train=8, n_val=4, n_test=5, seed=0, **options):
    rng = np.random.default_rng(seed)
    made = {f"{split}{i}": clip(rng) for split, n in [("train", n_train), ("val", n_val), ("test", n_test)] for i in range(n)}
    split_of = {name: name.rstrip("0123456789") for name in made}
    return cosines_cache(folder, {n: c for n, (c, _) in made.items()}, {n: [e] for n, (_, e) in made.items()}, split_of, **options)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    "A small cache and a refiner trained on it for four epochs; no claim about quality."
    folder = tmp_path_factory.mktemp("tiny")
    data = small(folder)
    train_refiner(*data, refiner_ckpt=folder / "r.safetensors", training=QUICK, progress=False)
    return data, folder / "r.safetensors"


def judged(cache, annotations_csv, refiner, split="test", **scoring):
    "The evaluation of a refiner on the clips of a split."
    return evaluate(cache, annotations_csv, refiner=refiner, split=split, scoring=Scoring(**scoring))


# ---- grids, targets, placement


@given(st.integers(0, 10**6))
def test_probability_is_kept_from_grid_to_grid(seed):
    rng = np.random.default_rng(seed)
    n, durations = rng.integers(2, 60, 4), rng.uniform(0.5, 20, 4)
    cells = np.full((4, n.max(), 2), np.nan)
    for row, count, duration in zip(cells, n, durations):
        edges = np.linspace(0, duration, count + 1)
        row[:count, 0], row[:count, 1] = edges[:-1], edges[1:]
    pdf = np.where(np.isnan(cells[..., 0]), np.nan, rng.random(cells.shape[:2]))
    pdf /= np.nansum(pdf, axis=1, keepdims=True)
    there = relative_pdf(pdf, cells, durations)
    back = own_pdf(there, cells, durations)
    assert np.allclose(there.sum(1), 1) and np.allclose(np.nansum(back, 1), 1) and (np.isnan(back) == np.isnan(pdf)).all()
    cut = durations / 2  # the same time has the same probability, to the cell that is cut
    for grid, mass in [(relative_cells(durations), there), (cells, back)]:
        before = [np.nansum(m * np.clip((c - g[:, 0]) / (g[:, 1] - g[:, 0]), 0, 1)) for m, g, c in zip(mass, grid, cut)]
        own = [np.nansum(m * np.clip((c - g[:, 0]) / (g[:, 1] - g[:, 0]), 0, 1)) for m, g, c in zip(pdf, cells, cut)]
        assert np.allclose(before, own, atol=1e-6 if mass is there else 0.3 * np.nanmax(pdf))


@given(st.integers(0, 10**6))
@example(176452)  # an event of 9 ms
def test_target_is_what_many_moments_say(seed):
    rng = np.random.default_rng(seed)
    bounds = np.sort(rng.uniform(0, 10, 4))
    events = [Interval(bounds[0], bounds[1]), Interval(bounds[2], bounds[3])][: rng.integers(1, 3)]
    cells = relative_cells([10.0])
    within = (np.arange(20_000) + 0.5) / 20_000  # of each event as many, however short it is
    moments = np.concatenate([event.start_s + event.duration_s * within for event in events])
    weights = np.repeat([event.duration_s for event in events], len(within))
    slow = np.bincount((moments * 12.8).astype(int), weights, 128)
    assert np.allclose(event_target(events_array([events]), cells)[0], slow / slow.sum(), atol=2e-4)


@given(st.integers(0, 10**6))
def test_placing_moves_curve_and_target_together_and_changes_nothing_else(seed):
    rng = np.random.default_rng(seed)
    curve, start = rng.dirichlet(np.ones(128), 6), rng.integers(0, 100, 6)
    event = (np.arange(128) >= start[:, None]) & (np.arange(128) < start[:, None] + rng.integers(1, 29, 6)[:, None])
    event[0] = True  # fills the clip
    index = placed(6, rng)
    there, shown = np.take_along_axis(curve, index, 1), np.take_along_axis(event, index, 1)
    assert shown[0].all() and (shown.sum(1) == event.sum(1)).all()
    assert np.allclose((there * shown).sum(1), (curve * event).sum(1))
    ends = shown != np.roll(shown, 1, axis=1)
    assert (ends[1:].sum(1) == 2).all()  # on the ring, one event is one event
    steps = np.abs(np.diff(index, axis=1))
    assert (np.isin(steps, [1, 127])).all()  # neighbours stay neighbours, but for the seam


def test_all_places_are_drawn_alike():
    index = placed(100_000, np.random.default_rng(0))
    counts = np.bincount(index[:, 0], minlength=128)
    assert counts.min() > 0.85 * counts.mean() and counts.max() < 1.15 * counts.mean()
    assert abs((np.diff(index[:, :2], axis=1) % 128 == 1).mean() - 0.5) < 0.01


def test_information_is_the_score_relative_to_a_flat_pdf():
    rng = np.random.default_rng(0)
    cells = np.stack([np.arange(40) / 4, np.arange(1, 41) / 4], axis=1)[None]
    pdf = rng.dirichlet(np.ones(40))[None]
    t = rng.uniform(2.1, 4.9, 400_000)
    assert math.isclose(information(np.array([[[2.1, 4.9]]]), pdf, cells)[0], np.log(pdf[0, (t * 4).astype(int)] * 40).mean(), abs_tol=0.01)
    zero = np.where(np.arange(40) == 0, 1.0, 0.0)[None]
    assert math.isclose(information(np.array([[[5.0, 6.0]]]), zero, cells)[0], math.log(1e-6 * 40))  # floored


# ---- training: interrupted, repeated, refused


def weights_of(refiner):
    return {name: tensor.tobytes() for name, tensor in refiner.weights.items()}


@pytest.mark.parametrize("architecture", ["pdf", "fusion"])
@pytest.mark.parametrize("stop_after", [1, 3, 6, 11])
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path, monkeypatch, architecture, stop_after):
    data = small(tmp_path)
    training = replace(QUICK, architecture=architecture, seeds=(0, 4))
    whole = train_refiner(*data, training=training, progress=False)
    seen = 0

    class Killed(Exception):
        pass

    def killed(train, val, settings, run, *, after_epoch, **options):
        def count(run, state):
            nonlocal seen
            after_epoch(run, state)
            seen += 1
            if seen == stop_after:
                raise Killed

        return train_network(train, val, settings, run, after_epoch=count, **options)

    ckpt = tmp_path / "r.safetensors"
    monkeypatch.setattr(refine, "SAVE_S", 0.0)
    monkeypatch.setattr(refine, "train_network", killed)
    with pytest.raises(Killed):
        train_refiner(*data, refiner_ckpt=ckpt, training=training, progress=False)
    assert not ckpt.exists() and (tmp_path / "r.partial.safetensors").exists()
    with pytest.raises(RefinerError, match="settings.lr was 0.001, is 0.5"):  # what is half done is not mixed with other settings
        train_refiner(*data, refiner_ckpt=ckpt, training=replace(training, lr=0.5), progress=False)
    done = []
    monkeypatch.setattr(
        refine,
        "train_network",
        lambda train, val, settings, run, **options: (
            done.append((run.fed, run.seed, run.epoch)) or train_network(train, val, settings, run, **options)
        ),
    )
    made = train_refiner(*data, refiner_ckpt=ckpt, training=training, progress=False)
    assert weights_of(made) == weights_of(whole) and made.record["runs"] == whole.record["runs"]
    first = (stop_after - 1) // 4  # networks done before the one that was interrupted; four epochs each
    assert len(done) == 6 - first and done[0][2] == stop_after - 4 * first
    assert sorted(p.name for p in tmp_path.glob("r.*")) == ["r.json", "r.safetensors"]


def test_a_finished_training_is_not_repeated_and_other_data_or_settings_are_refused(tiny, tmp_path, monkeypatch):
    data, ckpt = tiny
    before = ckpt.read_bytes()

    def never(*args, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr(refine, "train_network", never)
    again = train_refiner(*data, refiner_ckpt=ckpt, training=QUICK, progress=False)
    assert weights_of(again) == weights_of(load_refiner(ckpt))
    for options, match in [
        ({"training": replace(QUICK, augment=False)}, "settings.augment was True, is False"),
        ({"training": replace(QUICK, lr=0.5)}, "settings.lr was 0.001, is 0.5"),
        ({"training": QUICK, "settings": AlignSettings(tau=0.3)}, "align.tau was 0.5, is 0.3"),
        ({"training": replace(QUICK, architecture="fusion")}, "architecture"),
    ]:
        with pytest.raises(RefinerError, match=match):
            train_refiner(*data, refiner_ckpt=ckpt, progress=False, **options)
    table = read_table(data[1], numbers=["start_s", "end_s"])  # pandas 2 rounds what it reads
    for change in (table[table["video_id"] != "train0"], table.assign(end_s=table["end_s"] - 0.1 * (table["video_id"] == "val1"))):
        change.to_csv(tmp_path / "other.csv", index=False)
        with pytest.raises(RefinerError, match="clips, their events or their embeddings"):
            train_refiner(data[0], tmp_path / "other.csv", refiner_ckpt=ckpt, training=QUICK, progress=False)
    with pytest.raises(RefinerError, match="embeddings"):
        train_refiner(*small(tmp_path / "anew", fingerprint="another"), refiner_ckpt=ckpt, training=QUICK, progress=False)
    # Test clips are none of its business.
    table.assign(end_s=table["end_s"] - 0.1 * (table["video_id"] == "test1")).to_csv(tmp_path / "other.csv", index=False)
    train_refiner(data[0], tmp_path / "other.csv", refiner_ckpt=ckpt, training=QUICK, progress=False)
    assert ckpt.read_bytes() == before


def test_a_foreign_cache_is_told_by_its_curves(tmp_path):
    rng, caches = np.random.default_rng(0), []
    for k in range(2):
        curves = {f"{split}{i}": rng.uniform(-1, 1, 40) for split in ("train", "val") for i in range(3)}
        caches.append(cosines_cache(tmp_path / f"{k}", curves, dict.fromkeys(curves, [(2, 4)]), {n: n[:-1] for n in curves}))
        for path in (tmp_path / f"{k}").rglob("*.npz"):
            with np.load(path) as file:
                arrays = {name: file[name] for name in ("emb", "centers_sec")}
            np.savez(path, **arrays)
    train_refiner(*caches[0], refiner_ckpt=tmp_path / "r.safetensors", training=QUICK, progress=False)
    train_refiner(*caches[0], refiner_ckpt=tmp_path / "r.safetensors", training=QUICK, progress=False)
    with pytest.raises(RefinerError, match="embeddings"):
        train_refiner(*caches[1], refiner_ckpt=tmp_path / "r.safetensors", training=QUICK, progress=False)


def test_writing_fails_without_leaving_half_a_refiner(tiny, tmp_path, monkeypatch):
    import safetensors.numpy

    data, _ = tiny
    ckpt = tmp_path / "r.safetensors"

    def torn(tensors, path, metadata=None):
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(safetensors.numpy, "save_file", torn)
    with pytest.raises(OSError, match="disk full"):
        train_refiner(*data, refiner_ckpt=ckpt, training=QUICK, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_seeds_decide_and_torch_is_left_as_it_was(tiny):
    import torch

    data, ckpt = tiny
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    made = train_refiner(*data, training=QUICK, progress=False)
    assert torch.equal(torch.rand(3), expected)
    assert weights_of(made) == weights_of(load_refiner(ckpt))
    other = train_refiner(*data, training=replace(QUICK, seeds=(1,)), progress=False)
    assert not np.array_equal(other.weights["own.1.0.weight"], made.weights["own.0.0.weight"])
    # An ensemble holds each seed's network as it is alone, and answers with the mean.
    both = train_refiner(*data, training=replace(QUICK, seeds=(1, 0)), progress=False)
    assert both.weights["own.0.0.weight"].tobytes() == made.weights["own.0.0.weight"].tobytes()
    pdf = np.random.default_rng(0).dirichlet(np.ones(128), 3)
    assert np.allclose(both.refine(pdf), (made.refine(pdf) + other.refine(pdf)) / 2)


# ---- who may be learnt from, who may be judged


def test_a_clip_of_several_splits_belongs_to_one(tmp_path):
    rng = np.random.default_rng(0)
    splits = {
        "t0": "train",
        "t1": "train",
        "t2": "test|train",
        "v0": "val",
        "v1": "val",
        "v2": "test|val",
        "b0": "val|train",
        "x0": "test",
        "x1": "test",
    }
    made = {name: clip(rng) for name in splits}
    data = cosines_cache(tmp_path, {n: c for n, (c, _) in made.items()}, {n: [e] for n, (_, e) in made.items()}, splits)
    refiner = train_refiner(*data, training=QUICK, progress=False)
    assert refiner.record["train"] == ["t0", "t1", "t2", "b0"] and refiner.record["val"] == ["v0", "v1", "v2"]
    found = judged(*data, refiner, n_boot=20)
    assert set(found.summary["video_id"]) == {"x0", "x1"} and found.overall.problems == []


def test_clips_that_were_learnt_from_are_refused_by_name(tiny, tmp_path):
    data, ckpt = tiny
    for split, n in [("train", 8), (None, 8)]:
        with pytest.raises(RefinerError, match=f"trained on {n} of the clips .*train0, train1"):
            judged(*data, ckpt, split=split)
    table = pd.read_csv(data[1])
    table.loc[table["video_id"] == "train5", "split"] = "test"  # annotations that say otherwise do not help
    table.to_csv(tmp_path / "moved.csv", index=False)
    with pytest.raises(RefinerError, match="trained on 1 of the clips .*train5"):
        judged(data[0], tmp_path / "moved.csv", ckpt)
    on_val = judged(*data, ckpt, split="val", n_boot=20)
    assert "when to stop" in str(on_val.overall.problems[0]) and "NOT A RESULT" in str(on_val) and on_val.summary["flawed"].all()


def test_unusable_clips_are_left_out_and_named(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"{split}{i}" for split in ("train", "val", "test") for i in range(6)]
    made = {name: clip(rng) for name in names}
    events = {name: [event] for name, (_, event) in made.items()} | {
        "train0": [(11.0, 12.0)],
        "train1": [(3.0, 3.0)],
        "train2": [(np.nan, np.nan)],
        "test1": [(np.nan, np.nan)],
    }
    data = cosines_cache(tmp_path, {n: c for n, (c, _) in made.items()}, events, {n: n[:-1] for n in names})
    pd.read_csv(data[1]).assign(confidence=lambda t: np.where(t["video_id"].isin(["val0", "test0"]), "low", "high")).to_csv(
        data[1], index=False
    )
    (data[0][0] / "train3.npz").unlink()
    (data[0][1] / "test2__L1000ms.npz").write_bytes(b"broken")
    refiner = train_refiner(*data, training=QUICK, progress=False)
    assert refiner.record["train"] == ["train4", "train5"] and len(refiner.record["val"]) == 5
    assert refiner.record["left_out"] == {
        "train0": "event outside the clip",
        "train1": "no event",
        "train2": "no event",
        "train3": "missing_video",
        "val0": "low confidence",
    }
    found = judged(*data, refiner, n_boot=20)
    assert found.overall.status == {"ok": 3, "no_event": 1, "corrupt_cache": 1, "low_confidence": 1}
    row = found.summary.set_index("video_id").loc["test1"]
    assert np.isnan(row["dist"]) and np.isfinite(row["t_pred_sec"]) and found.overall.means["all"]["refined"]["dist"].n == 3


def test_oracle_queries_are_marked_and_clips_without_an_event_keep_no_pdf(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"{split}{i}" for split in ("train", "val", "test") for i in range(4)]
    made = {name: clip(rng) for name in names}
    data = cosines_cache(
        tmp_path,
        {n: c for n, (c, _) in made.items()},
        {n: [e] for n, (_, e) in made.items()} | {"test0": [(np.nan, np.nan)]},
        {n: n[:-1] for n in names},
    )
    refiner = train_refiner(*data, training=QUICK, settings=AlignSettings(audio_query="oracle"), progress=False)
    assert refiner.record["problems"][0]["code"] == "oracle" and "oracle" in refiner.record["problems"][0]["text"]
    found = judged(*data, refiner, n_boot=20)
    assert "oracle" in str(found) and found.curves.groupby("video_id")["pdf_refined"].apply(lambda p: p.isna().all()).to_dict() == {
        n: n == "test0" for n in names[8:]
    }


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ("train", "no clip of split 'train'"),
        ("val", "no clip of split 'val'"),
        ("embeddings", "none of 8 clips has embeddings"),
        ("clips", "two training and two validation"),
    ],
)
def test_too_little_to_learn_from(tmp_path, lacking, message):
    counts = {"train": (0, 4), "val": (8, 0), "clips": (1, 4)}.get(lacking, (8, 4))
    data = small(tmp_path, *counts)
    if lacking == "embeddings":
        for path in data[0][0].glob("train*"):
            path.unlink()
    with pytest.raises(ValueError, match=message):
        train_refiner(*data, training=QUICK, progress=False)


def test_clips_without_a_pdf_are_named(tiny, monkeypatch):
    data, ckpt = tiny
    real = refine.similarity_set

    def spoilt(*args, **options):
        found = real(*args, **options)
        found.curves[0][1][:] = np.nan
        return found

    monkeypatch.setattr(refine, "similarity_set", spoilt)
    with pytest.raises(ValueError, match="1 clips have no PDF .*train1"):
        train_refiner(*data, training=QUICK, progress=False)
    with pytest.raises(RefinerError, match="2 of 3 clips have inputs that are not finite"):
        load_refiner(ckpt).refine(np.array([[np.nan] * 128, [1 / 128] * 128, [np.nan] + [1 / 127] * 127]))


def test_caches_of_other_origin_are_refused(tiny, tmp_path):
    data, ckpt = tiny
    other = small(tmp_path / "other", spec=SPEC | {"weights": "sha256:" + "1" * 64})
    with pytest.raises(RefinerError, match="trained on video vectors of made up.*what differs: weights"):
        judged(*other, ckpt)
    rng = np.random.default_rng(0)
    mixed = small(tmp_path / "mixed", n_test=0)
    for i in range(4):
        curve, _ = clip(rng)
        cosines_cache(tmp_path / "mixed", {f"val{i}": curve}, {f"val{i}": [(1, 2)]}, {f"val{i}": "val"}, fingerprint="another")
    table = [(f"{s}{i}", "x", 1, 2, "", s) for s, n in [("train", 8), ("val", 4)] for i in range(n)]
    pd.DataFrame(table, columns=COLUMNS).to_csv(mixed[1], index=False)
    with pytest.raises(ValueError, match="made with different settings"):
        train_refiner(*mixed, training=QUICK, progress=False)


def test_another_stride_is_noted(tiny, tmp_path):
    _, ckpt = tiny
    rng = np.random.default_rng(0)
    data = cosines_cache(
        tmp_path,
        {f"x{i}": rng.uniform(0, 1, 20) for i in range(3)},
        {f"x{i}": [(2, 4)] for i in range(3)},
        dict.fromkeys(["x0", "x1", "x2"], "test"),
    )
    found = judged(*data, ckpt, n_boot=20)
    assert "every 0.25 s, here they come every 0.5 s" in found.overall.notes[0] and len(found.curves) == 60


def test_untrained_weights_are_refused_or_marked(tmp_path):
    data = small(tmp_path, spec=SPEC | {"weights": "untrained"})
    with pytest.raises(ValueError, match="untrained"):
        train_refiner(*data, training=QUICK, progress=False)
    marked = EmbeddingCache.of(data[0], allow_untrained=True)
    refiner = train_refiner(marked, data[1], training=QUICK, progress=False)
    with pytest.raises(ValueError, match="untrained"):
        judged(*data, refiner)
    assert "NOT A RESULT" in str(judged(marked, data[1], refiner, n_boot=20))


@pytest.mark.parametrize("architecture", ["pdf", "fusion"])
def test_two_towers_through_a_projector(tmp_path, architecture):
    rng, rows = np.random.default_rng(0), []
    x, y = rng.normal(size=(3, 12)), rng.normal(size=(3, 7))
    for split, n in [("train", 14), ("val", 4), ("test", 5), ("spare", 12)]:
        for i in range(n):
            cause, grid, base = rng.normal(size=(40, 3)), time_grid(10.0, 0.25), {"stride_s": 0.25, "duration_s": 10.0}
            for kind, path, matrix, name in [("v", f"v/{split}{i}.npz", x, "eyes"), ("a", f"a/{split}{i}__L1000ms.npz", y, "ears")]:
                spec = {"name": name, "dim": matrix.shape[1], "joint": False, "weights": f"sha256:{name}", "config": {}}
                write_embeddings(
                    tmp_path / path,
                    cause @ matrix + rng.normal(0, 0.3, (40, matrix.shape[1])),
                    grid,
                    base | {"encoder": spec, "fingerprint": kind},
                )
            rows.append((f"{split}{i}", "x", 2, 5, "", split))
    pd.DataFrame(rows, columns=COLUMNS).to_csv(tmp_path / "a.csv", index=False)
    data = (tmp_path / "v", tmp_path / "a"), tmp_path / "a.csv"
    in_sample, apart = (
        fit_projector(*data, split=split, shrinkage=0.1, out=tmp_path / f"{split}.safetensors") for split in ("train", "spare")
    )
    training = replace(QUICK, architecture=architecture)

    def through(projector):
        return EmbeddingCache.of(data[0], projector=projector)

    with pytest.raises(ValueError, match="fit a projector"):
        train_refiner(*data, training=training, progress=False)
    refiner = train_refiner(through(tmp_path / "train.safetensors"), data[1], training=training, progress=False)
    assert "fitted on 14 of the training clips" in refiner.record["notes"][0] and refiner.record["encoders"]["video"]["name"] == "eyes+ears"
    found = judged(through(in_sample), data[1], refiner, n_boot=20)
    assert found.overall.problems == [] and found.overall.encoder == "eyes+ears" and "training clips" in str(found)
    for other in (None, apart):
        with pytest.raises(RefinerError, match="was trained with a projector"):
            judged(through(other), data[1], refiner)
    assert train_refiner(through(apart), data[1], training=training, progress=False).record["notes"] == []
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["split"] = table["split"].replace({"train": "val", "val": "train"})
    table.to_csv(tmp_path / "swapped.csv", index=False)
    with pytest.raises(ProjectorError, match="fitted on 14"):  # validation clips must be new to the projector
        train_refiner(through(in_sample), tmp_path / "swapped.csv", training=training, progress=False)


# ---- files


def test_a_checkpoint_that_is_none_is_refused(tiny, tmp_path):
    data, ckpt = tiny
    weights, record = read_tensors(ckpt)
    bad = tmp_path / "bad.safetensors"

    def refused(match):
        for attempt in (
            lambda: load_refiner(bad),
            lambda: judged(*data, bad),
            lambda: train_refiner(*data, refiner_ckpt=bad, training=QUICK, progress=False),
        ):
            with pytest.raises(RefinerError, match=match):
                attempt()

    for size in (0, 7, 500, ckpt.stat().st_size - 1):
        bad.write_bytes(ckpt.read_bytes()[:size])
        refused("is not a refiner of avesound, or is damaged")
    import safetensors.numpy

    safetensors.numpy.save_file(weights, bad)  # somebody else's
    refused("is not a refiner")
    write_tensors(bad, weights, record | {"settings": record["settings"] | {"architecture": "fusion"}})
    refused("not those of the architecture 'fusion'")
    write_tensors(bad, weights | {"own.0.0.weight": weights["own.0.0.weight"][:64]}, record)
    refused("own.0.0.weight.*64, 128.*expected.*256, 128")
    write_tensors(bad, weights, record | {"settings": record["settings"] | {"seeds": [0, 1]}})
    refused("own.1")
    write_tensors(bad, {name: tensor * np.nan for name, tensor in weights.items()}, record)
    refused("finite")
    write_tensors(bad, weights, {"runs": []})
    refused("record is not that of a refiner")
    with pytest.raises(FileNotFoundError):
        judged(*data, tmp_path / "none.safetensors")
    for ckpt_name, csv in [("r.ckpt", None), (ckpt, "s.txt")]:
        with pytest.raises(ValueError, match="ends? in"):
            train_refiner(*data, refiner_ckpt=ckpt_name) if csv is None else judged(*data, ckpt_name, n_boot=20).save(csv)


def test_a_refiner_of_other_vectors_is_refused(tmp_path):
    data = small(tmp_path)
    refiner = train_refiner(*data, training=replace(QUICK, architecture="fusion"), progress=False)
    with pytest.raises(RefinerError, match=r"takes inputs of shape \(B, T, 2, 2\), got \(5, 40, 2, 3\)"):
        refiner.refine(np.zeros((5, 40, 2, 3), np.float32))
    with pytest.raises(RefinerError, match="got"):
        refiner.refine(np.zeros((5, 128)))


def test_the_record_says_how_it_was_made(tiny):
    _, ckpt = tiny
    record = json.loads(ckpt.with_suffix(".json").read_text())
    assert record == load_refiner(ckpt).record
    assert record["train"] == [f"train{i}" for i in range(8)] and record["versions"].keys() == {"avesound", "torch", "numpy", "safetensors"}
    assert (
        record["settings"] == json.loads(json.dumps(asdict(QUICK)))
        and record["align"] == json.loads(json.dumps(asdict(AlignSettings())))
        and len(record["data_sha256"]) == 64
    )
    assert [(run["fed"], run["seed"], len(run["val_kl"])) for run in record["runs"]] == [(fed, 0, 4) for fed in FED]
    assert all(run["best_kl"] == min(run["val_kl"]) for run in record["runs"])
    assert "/" not in json.dumps({k: v for k, v in record.items() if k != "data_sha256"}), "a path"


def test_what_was_written_is_whole_even_if_writing_fails(tiny, tmp_path, monkeypatch):
    data, ckpt = tiny
    names = ["c/curves.csv", "s.csv", "s.json", "s_methods.csv"]
    judged(*data, ckpt, n_boot=20).save(tmp_path / "s.csv", tmp_path / "c")
    before = {name: (tmp_path / name).read_bytes() for name in names}

    def torn(*_):  # the header is written then
        raise OSError("disk full")

    monkeypatch.setattr(files, "_fields", torn)
    with pytest.raises(OSError, match="disk full"):
        judged(*data, ckpt, n_boot=20).save(tmp_path / "s.csv", tmp_path / "c")
    assert {name: (tmp_path / name).read_bytes() for name in names} == before and sorted(
        p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")
    ) == names


@pytest.mark.parametrize("architecture", ["pdf", "fusion"])
def test_clips_of_unequal_length_do_not_disturb_each_other(tmp_path, architecture):
    rng, curves, events = np.random.default_rng(0), {}, {}
    data = small(tmp_path / "train")
    refiner = train_refiner(*data, training=replace(QUICK, architecture=architecture), progress=False)
    for i, n in enumerate((40, 13, 27)):
        curves[f"x{i}"], events[f"x{i}"] = rng.uniform(0, 1, n), [(0.5, 2.5)]
    for name, curve in curves.items():
        together = cosines_cache(tmp_path / "x", {name: curve}, events, {name: "test"}, duration_s=len(curve) / 4)

    def refined(names):
        pd.DataFrame([(name, "x", 0.5, 2.5, "", "test") for name in names], columns=COLUMNS).to_csv(together[1], index=False)
        rows = judged(*together, refiner, n_boot=20).curves
        return {name: part["pdf_refined"].to_numpy() for name, part in rows.groupby("video_id")}

    found = refined(curves)
    assert {name: len(pdf) for name, pdf in found.items()} == {"x0": 40, "x1": 13, "x2": 27} and np.allclose(
        [pdf.sum() for pdf in found.values()], 1
    )
    for pair in (["x0", "x1"], ["x1", "x2"]):
        assert all(np.allclose(pdf, found[name], atol=1e-6) for name, pdf in refined(pair).items())


def test_the_fusion_network_knows_no_place():
    "Windows in another order give the same PDF in that order: there is no prior to be augmented away."
    rng = np.random.default_rng(0)
    vectors, target = rng.normal(size=(12, 20, 2, 3)).astype(np.float32), rng.dirichlet(np.ones(20), 12)
    train, val = (
        Examples(tuple(f"{s}{i}" for i in range(6)), vectors[part], target[part]) for s, part in [("t", slice(0, 6)), ("v", slice(6, 12))]
    )
    settings = replace(QUICK, architecture="fusion")
    weights = train_network(train, val, settings, TrainingRun("own", 0), device="cpu")
    record = {"settings": asdict(settings), "dim": 3}
    refiner, order = Refiner({f"own.0.{name}": tensor for name, tensor in weights.items()}, record), rng.permutation(20)
    assert np.allclose(refiner.refine(vectors)[:, order], refiner.refine(vectors[:, order]), atol=1e-6)
    assert not np.allclose(refiner.refine(vectors)[:, order], refiner.refine(vectors), atol=1e-6)
    moved = train_network(train, val, replace(settings, augment=False), TrainingRun("own", 0), device="cpu")
    assert all(np.array_equal(weights[name], moved[name]) for name in weights)


# ---- what it gains, and where it gains nothing

LEARNING = RefinerSettings(seeds=(0,), epochs=120, patience=20)


def bulk(folder, seed, knows=True, counts=(300, 80, 200)):
    rng, curves, events, splits = np.random.default_rng(seed), {}, {}, {}
    for split, n in zip(("train", "val", "test"), counts):
        for i in range(n):
            name = f"{split}{i}"
            (curves[name], event), splits[name] = clip(rng), split
            events[name] = [event if knows else clip(rng)[1]]
    return cosines_cache(folder, curves, events, splits)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    folder = tmp_path_factory.mktemp("known")
    data = bulk(folder, 11)
    return data, train_refiner(*data, refiner_ckpt=folder / "r.safetensors", training=LEARNING, progress=False)


def test_it_gains_over_the_unrefined_pdf_and_over_all_that_ignore_the_clip(known):
    data, refiner = known
    found = judged(*data, refiner)
    to = found.overall.differences["partial"]
    for rival in RIVALS:
        assert to["dist"].to[rival].high < 0, rival
        for metric in ("inside", "mass_inside", "tiou", "information"):
            assert to[metric].to[rival].low > 0, (metric, rival)
    for metric, better in [("dist", "high"), ("information", "low")]:
        best = found.overall.headline["partial"][metric]
        assert best["over"] in BLIND and (best[better] < 0) == (metric == "dist")
    # The gap is the clip's own curve: fed another clip's, the very same weights lose it.
    means = {name: row["information"].mean for name, row in found.overall.means["partial"].items() if "information" in row}
    assert means["refined"] > 0.8 and abs(means["prior"]) < 0.1 and means["shuffled"] < means["mean_target"]


def test_columns_and_numbers_are_those_of_evaluate(known, tmp_path):
    data, refiner = known
    found = judged(*data, refiner, hit_deltas=(0.5, 2)).save(tmp_path / "s.csv", tmp_path)
    plain = evaluate(*data, split="test", scoring=Scoring(hit_deltas=(0.5, 2)))
    assert [name for name in found.summary if name in plain.summary] == [name for name in plain.summary if name in found.summary]
    assert set(found.summary) >= {
        "t_pred_sec",
        "gt_mid_sec",
        "interval_end_sec",
        "confidence",
        "entropy",
        "hit_2.0",
        "log_score",
        "recall_0.7",
        "partial",
        "tau",
        "L_sec",
        "flawed",
        "information",
        "refiner",
    }
    own = found.baselines.set_index(["method", "video_id"])
    for name in ("mae", "dist", "inside", "hit_0.5", "hit_event_2.0", "mass_inside", "log_score", "auroc", "tiou", "recall_0.5"):
        assert np.allclose(own.loc["unrefined"][name], plain.summary.set_index("video_id")[name]), name
        assert np.allclose(own.loc["refined"][name], found.summary.set_index("video_id")[name]), name
    centre = plain.baselines[plain.baselines["method"] == "centre"].set_index("video_id")
    assert np.allclose(own.loc["centre"]["dist"], centre["dist"])
    assert np.allclose(found.curves["pdf"], plain.curves["pdf"]) and list(found.curves) == [
        "video_id",
        "t_sec",
        "similarity",
        "pdf",
        "pdf_refined",
    ]
    # The prediction is that of the PDF in curves.csv; the event beside it is the annotated one.
    row = found.summary.iloc[7]
    cells = found.curves[found.curves["video_id"] == row["video_id"]]
    assert row["t_pred_sec"] == cells["t_sec"].iloc[cells["pdf_refined"].argmax()] and row["dist"] == pytest.approx(
        max(row["gt_start_sec"] - row["t_pred_sec"], row["t_pred_sec"] - row["gt_end_sec"], 0)
    )
    written = pd.read_csv(tmp_path / "s.csv")
    assert list(written) == [*found.summary, "run_id"] and np.allclose(written["information"], found.summary["information"], rtol=1e-4)
    assert json.loads((tmp_path / "s.json").read_text()) == found.overall.as_json()
    assert (
        set(pd.read_csv(tmp_path / "s_methods.csv")["method"]) >= {"refined", *RIVALS, "centre"}
        and len(pd.read_csv(tmp_path / "curves.csv")) == 200 * 40
    )


def test_on_curves_of_other_clips_it_gains_nothing(tmp_path):
    data = bulk(tmp_path, 12, knows=False)
    for augment in (True, False):
        found = judged(*data, train_refiner(*data, training=replace(LEARNING, augment=augment), progress=False))
        best = found.overall.headline["partial"]["information"]
        to = found.overall.differences["partial"]["information"].to
        assert best["over"] in ("mean_target", "prior") and best["high"] < 0.01
        assert abs(to["shuffled"].mean) < 0.06 and to["unrefined"].low > 0.5
        means = {name: row["information"].mean for name, row in found.overall.means["partial"].items() if "information" in row}
        assert means["shuffled"] < means["mean_target"] + 0.01
        if not augment:  # then the twin that is fed nothing finds the mean target
            assert abs(means["prior"] - means["mean_target"]) < 0.02 and to["prior"].high < 0.01
        else:
            assert abs(means["prior"]) < 0.05 < means["mean_target"]


def test_augmentation_takes_the_place_away(tmp_path):
    rng, curves, events, splits = np.random.default_rng(5), {}, {}, {}
    for split, n, far in [("train", 300, False), ("val", 80, False), ("test", 150, True)]:
        for i in range(n):
            name, (curve, (start, end)) = f"{split}{i}", clip(rng)
            shift = 0 if far else int(round((5 - (start + end) / 2) * 4))  # the event to the middle of the clip
            curves[name], events[name], splits[name] = np.roll(curve, shift), [(start + shift / 4, end + shift / 4)], split
    data = cosines_cache(tmp_path, curves, events, splits)
    got = {on: judged(*data, train_refiner(*data, training=replace(LEARNING, augment=on), progress=False)).overall for on in (True, False)}
    means = {
        on: {name: row["information"].mean for name, row in overall.means["partial"].items() if "information" in row}
        for on, overall in got.items()
    }
    assert (
        means[True]["refined"] > 0.6 and means[False]["refined"] < 0 and got[True].differences["partial"]["dist"].to["unrefined"].high < 0
    )
    assert got[False].means["partial"]["refined"]["dist"].mean > got[False].means["partial"]["unrefined"]["dist"].mean


def test_a_report_of_refined_pdfs_has_their_rivals_their_curves_and_all_events(tmp_path):
    rng = np.random.default_rng(1)
    made = {f"{split}{i}": clip(rng) for split, n in [("train", 8), ("val", 4), ("test", 12)] for i in range(n)}
    events = {name: [event] if name != "test0" else [(0.5, 2.0), (6.0, 8.0)] for name, (_, event) in made.items()}
    data = cosines_cache(
        tmp_path, {name: curve for name, (curve, _) in made.items()}, events, {name: name.rstrip("0123456789") for name in made}
    )
    refiner = train_refiner(*data, training=QUICK, progress=False)
    found = judged(*data, refiner, n_boot=100).save(tmp_path / "s/summary.csv", tmp_path / "s")
    assert found.summary.set_index("video_id").loc["test0", "events_sec"] == "0.5-2;6-8"
    report = analyze(tmp_path / "s/summary.csv", tmp_path / "reports", "r", n_examples=1, n_boot=100)
    assert report.overall.run.name == "made up (refined)" and report.overall.run.refiner["n_train"] == 8
    to = report.overall.differences["partial"]["dist"].to
    own = found.overall.differences["partial"]["dist"].to
    assert set(own) == {"unrefined", "prior", "shuffled", "mean_target"} and {*own, "centre"} <= set(to) and "class_prior" not in to
    for name, difference in own.items():
        assert np.isclose(difference.mean, to[name].mean, atol=1e-4), name
    means = report.overall.means["partial"]  # the best of all that need no encoder; unrefined is the encoder itself
    best = report.overall.best_baseline
    assert best != "unrefined" and means[best]["dist"].mean == min(means[name]["dist"].mean for name in to if name != "unrefined")
    assert "information" in report.overall.means["all"]["encoder"] and "refined" not in report.overall.means["all"]
    assert not any("more events than the file names" in note or "curves" in note for note in report.overall.notes)
    assert json.loads((report.folder / "coverage.json").read_text())["all"]["n"] == 12
    page = report.html.read_text()
    assert "what the refiner was fed" in page and "with the sound of other clips" not in page.split('id="reading"')[0]


# ---- the command line, on media


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    made = make_dataset(folder / "data", spec=SynthSpec(difficulty="easy", duration_s=4, seed=3), n_train=10, n_val=4, n_test=6)
    extract(made / "AVE", folder / "cache", progress=False)
    return folder, [
        "--vid_emb_dir",
        folder / "cache/vid_emb",
        "--aud_emb_dir",
        folder / "cache/aud_emb",
        "--annotations_csv",
        made / "annotations.csv",
    ]


@pytest.mark.parametrize("architecture", ["pdf", "fusion"])
def test_the_commands_give_what_the_functions_give(media, tmp_path, architecture):
    folder, cache = media
    ckpt = tmp_path / "r.safetensors"
    words = ["train-refiner", *cache, "--refiner_ckpt", ckpt, "--architecture", architecture, "--epochs", "3", "--batch_size", "4",
             "--lr", "0.01", "--weight_decay", "0", "--patience", "2", "--seeds", "5,2", "--augment", "false", "--device", "cpu",
             "--tau", "0.3", "--score_smooth_sigma", "0.25", "--interval_mass", "0.7"]  # fmt: skip
    said = avesound(*words)
    assert "trained on 10 clips, stopped by 4" in said and "fed shuffled seed 2" in said
    training = RefinerSettings(architecture, False, epochs=3, patience=2, batch_size=4, lr=0.01, weight_decay=0.0, seeds=(5, 2))
    settings = AlignSettings(tau=0.3, score_smooth_sigma=0.25, interval_mass=0.7)
    data = folder / "cache", folder / "data/annotations.csv"
    made = train_refiner(*data, training=training, settings=settings, device="cpu", progress=False)
    there = load_refiner(ckpt)
    assert there.align == settings and there.settings == training and there.record["data_sha256"] == made.record["data_sha256"]
    assert all(np.allclose(there.weights[name], made.weights[name], atol=1e-5) for name in made.weights)
    assert "trained on 10 clips" in avesound(*words) and "settings.lr was 0.01, is 0.5" in avesound(*words, "--lr", "0.5", ok=False)
    said = avesound(
        "evaluate-refiner",
        *cache,
        "--refiner_ckpt",
        ckpt,
        "--summary_csv",
        tmp_path / "s.csv",
        "--curve_dir",
        tmp_path / "c",
        "--hit_deltas",
        "1",
        "--n_boot",
        "50",
        "--seed",
        "3",
    )
    found = judged(*data, there, hit_deltas=(1.0,), n_boot=50, seed=3)
    record, own = json.loads((tmp_path / "s.json").read_text()), found.overall.as_json()
    assert record.pop("run")["command"].startswith("avesound evaluate-refiner ") and own.pop("run")["command"] == "Python"
    assert said.startswith(str(found)) and record == own
    assert found.overall.settings["tau"] == 0.3 and len(found.summary) == 6 and found.overall.encoder == "signal"  # not told again
    assert (
        "trained on 10 of the clips"
        in avesound("evaluate-refiner", *cache, "--refiner_ckpt", ckpt, "--summary_csv", tmp_path / "t.csv", "--split", "train", ok=False)
        and not (tmp_path / "t.csv").exists()
    )


def test_wrong_options_are_one_line(media, tmp_path):
    _, cache = media
    for words, message in [
        (["--seeds", "1,1"], "different whole numbers"),
        (["--epochs", "0"], "epochs must be"),
        (["--architecture", "fusion", "--L_sec", "0.5,1"], "one audio length"),
        (["--device", "cuda:99"], "cannot be used here"),
    ]:
        said = avesound("train-refiner", *cache, "--refiner_ckpt", tmp_path / "r.safetensors", *words, ok=False)
        assert message in said and "Traceback" not in said
    assert not list(tmp_path.iterdir())
