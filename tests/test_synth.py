"""Synthetic clips: determinism, truth, synchrony in the written file, difficulty, real sounds, interrupted runs."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from avesound.data import synth
from avesound.data.annotations import annotations_table, read_annotations
from avesound.data.synth import KINDS, RULES, SynthSpec, make_dataset, plan_clip, render_clip
from avesound.files import process_place
from avesound.media.decode import decode_clip
from avesound.media.write import write_clip, write_wav

TINY = SynthSpec("hard", duration_s=2, size=(64, 96))
DATA = Path(os.environ.get("AVESOUND_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Plans


@settings(max_examples=150, deadline=None)
@given(
    difficulty=st.sampled_from(list(RULES)),
    duration_s=st.floats(2, 40),
    rows=st.integers(32, 120),
    columns=st.integers(32, 120),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, unique=True),
    full_fraction=st.floats(0, 1),
    two_fraction=st.floats(0, 1),
    seed=st.integers(0, 2**40),
    index=st.integers(0, 10**6),
)
@example("untrimmed", 2.0, 32, 32, ["impact", "engine"], 0.0, 0.0, 723126, 32)  # fewer kinds than objects that may sound
def test_truth_and_distractors_keep_the_rules(difficulty, duration_s, rows, columns, kinds, full_fraction, two_fraction, seed, index):
    size = (2 * rows, 2 * columns)
    spec = SynthSpec(difficulty, tuple(kinds), duration_s, size=size, full_fraction=full_fraction, two_fraction=two_fraction, seed=seed)
    plan = plan_clip(spec, index)
    assert plan == plan_clip(spec, index)
    assert plan.label in kinds and len(plan.video_id) == 11
    assert (0 if RULES[difficulty].no_event else 1) <= len(plan.events) <= RULES[difficulty].most_events
    for event in plan.events:
        assert 0 <= event.start_s < event.end_s <= duration_s and event.duration_s > 0.79
    if len(plan.events) == 2 and difficulty != "untrimmed":
        assert plan.events[1].start_s - plan.events[0].end_s > 0.99
    for act in plan.acts:
        assert 0 <= act.interval.start_s < act.interval.end_s <= duration_s + 1e-3
    foreground = [act for act in plan.acts if act.thing == 0 or (act.label == plan.label and act.thing is None)]
    if len(kinds) > 1:  # at no other time is the event's kind both seen and heard
        for a in foreground:
            for b in foreground:
                assert a is b or a.interval.end_s <= b.interval.start_s or b.interval.end_s <= a.interval.start_s
        foreign = [act for act in plan.acts if act.thing is None and act.label != plan.label]
        moving = [act for act in plan.acts if act.thing is not None]
        for a in foreign:  # nothing that is seen moving sounds from off-screen at the same time
            for b in moving:
                assert a.label != b.label or a.interval.end_s <= b.interval.start_s or b.interval.end_s <= a.interval.start_s
    for thing in plan.things:
        assert 0 <= thing.box[0] < thing.box[1] <= size[0] and 0 <= thing.box[2] < thing.box[3] <= size[1]
    if difficulty == "easy":
        assert all(act.is_event for act in plan.acts)


def test_untrimmed_clips_have_up_to_ten_events_of_several_kinds():
    plans = [plan_clip(SynthSpec("untrimmed"), index) for index in range(200)]
    assert set(range(1, 11)) == {len(plan.events) for plan in plans}
    assert {len({act.label for act in plan.acts if act.is_event}) for plan in plans} == {1, 2, 3}
    meet = 0
    for plan in plans:
        acts = [act for act in plan.acts if act.is_event]
        assert [act.interval for act in acts] == sorted(act.interval for act in acts) and all(act.interval.end_s <= 60 for act in acts)
        for k, act in enumerate(acts):
            assert act.label == plan.things[act.thing].label and 0.79 < act.interval.duration_s < 8.01
            for later in acts[k + 1 :]:
                apart = later.interval.start_s - act.interval.end_s
                assert apart > 0.99 or (later.thing != act.thing and later is acts[k + 1]), plan
                meet += apart < 0
        for thing in range(3):  # what sounds is never seen to move while its own sound comes from elsewhere
            own = [a.interval for a in plan.acts if a.thing == thing or (a.thing is None and a.label == plan.things[thing].label)]
            moving = [a for a in plan.acts if a.thing == thing]
            heard = [a for a in plan.acts if a.thing is None and a.label == plan.things[thing].label]
            assert own and not any(
                a.interval.start_s < b.interval.end_s and b.interval.start_s < a.interval.end_s for a in moving for b in heard
            )
    assert 40 < meet < 150


def test_a_family_of_a_minute_is_annotated_by_kind(tmp_path):
    spec = SynthSpec("untrimmed", size=(64, 96), fps=15)
    made = make_dataset(tmp_path / "set", n_train=0, n_val=0, n_test=2, spec=spec)
    table = read_annotations(made / "annotations.csv")
    plans = [plan_clip(spec, index) for index in range(2)]
    events = [(plan.video_id, act.label, act.interval.start_s, act.interval.end_s) for plan in plans for act in plan.acts if act.is_event]
    assert list(table[["video_id", "event_label", "start_s", "end_s"]].itertuples(index=False, name=None)) == events
    assert table["event_label"].nunique() > 1 and SynthSpec("untrimmed").clip_s == 60 and SynthSpec("hard").clip_s == 10
    assert replace(SynthSpec(), difficulty="untrimmed") == SynthSpec("untrimmed"), "as the command line makes it"
    assert json.loads((made / "synth.json").read_text())["duration_s"] == 60
    assert decode_clip(made / "AVE" / f"{plans[0].video_id}.mp4").duration_s == pytest.approx(60, abs=0.1)


def test_events_do_not_depend_on_difficulty_and_ids_do():
    for index in range(20):
        plans = {difficulty: plan_clip(SynthSpec(difficulty), index) for difficulty in RULES if difficulty != "untrimmed"}
        assert len({plan.events for plan in plans.values() if plan.events}) == 1
        assert [name for name, plan in plans.items() if not plan.events] in ([], ["no-event"])
        assert len({plan.video_id for plan in plans.values()}) == len(plans)


def test_every_second_clip_without_an_event_is_full_of_sound_and_motion_that_never_meet(tmp_path):
    spec = SynthSpec("no-event")
    plans = [plan_clip(spec, index) for index in range(80)]
    empty = [not plan.events for plan in plans]
    assert abs(sum(empty) - 40) <= 1 and all(3 <= sum(empty[k::4]) <= 17 for k in range(4)), "of every kind some"
    for plan in (plan for plan in plans if not plan.events):
        own = [act for act in plan.acts if act.label == plan.label]
        assert any(act.thing == 0 for act in own) or any(act.level_db is not None for act in own)
        assert not any(act.is_event for act in plan.acts)
    made = make_dataset(tmp_path / "data", n_train=0, n_val=2, n_test=4, spec=SynthSpec("no-event", duration_s=2.2, size=(64, 96)))
    table = read_annotations(made / "annotations.csv")
    lacking = set(table.loc[table["start_s"].isna(), "video_id"])
    assert len(table["video_id"].unique()) == 6 and 2 <= len(lacking) <= 4
    assert not any(video_id in (made / "Annotations.txt").read_text() for video_id in lacking)


def test_clips_with_nothing_to_find_at_every_difficulty(tmp_path):
    "A data set of its own, with a row of empty times for each of them; without the option nothing of a data set changes."
    spec = SynthSpec("medium", duration_s=2.2, size=(64, 96), no_event=0.5, no_event_is="each")
    made = make_dataset(tmp_path / "data", n_train=0, n_val=2, n_test=4, spec=spec)
    table, plans = read_annotations(made / "annotations.csv"), [plan_clip(spec, index) for index in range(6)]
    assert set(table.loc[table["start_s"].isna(), "video_id"]) == {plan.video_id for plan in plans if not plan.events} != set()
    record = json.loads((made / "synth.json").read_text())
    assert (record["no_event"], record["no_event_is"]) == (0.5, "each")
    with pytest.raises(FileExistsError):
        make_dataset(made, n_train=0, n_val=2, n_test=4, spec=replace(spec, no_event_is="both"))
    plain = make_dataset(tmp_path / "plain", n_train=0, n_val=0, n_test=1, spec=replace(spec, no_event=None))
    assert not {"no_event", "no_event_is"} & json.loads((plain / "synth.json").read_text()).keys()


def test_off_screen_sounds_fill_the_time_beside_the_event():
    plans = [plan_clip(SynthSpec("off-screen", full_fraction=0), index) for index in range(60)]
    acts = [act for plan in plans for act in plan.acts if act.label == plan.label and not act.is_event]
    assert len(acts) > 60 and all(act.thing != 0 for act in acts)


def test_share_of_full_clips_and_of_kinds():
    for fraction in (0, 0.2, 0.7, 1):
        plans = [plan_clip(SynthSpec(full_fraction=fraction), index) for index in range(100)]
        assert abs(sum(plan.events[0].duration_s == 10 for plan in plans) - 100 * fraction) <= 1
        assert all(sum(plan.label == kind for plan in plans) == 25 for kind in KINDS)


def test_off_screen_sounds_and_silent_motions_are_like_events():
    "At hard, events and the object's own distractors have the same levels and voices, and are about as frequent."
    plans = [plan_clip(SynthSpec("hard", full_fraction=0), index) for index in range(300)]
    heard, seen, levels, off_levels = [], [], [], []
    for plan in plans:
        outside = 10 - sum(event.duration_s for event in plan.events)
        for act in plan.acts:
            if act.is_event:
                levels.append(act.level_db - plan.level_db)
            elif act.label == plan.label and act.thing is None:
                assert act.voice == plan.acts[0].voice
                off_levels.append(act.level_db - plan.level_db)
        heard.append(sum(a.interval.duration_s for a in plan.acts if a.label == plan.label and a.thing is None) / outside)
        seen.append(sum(a.interval.duration_s for a in plan.acts if a.thing == 0 and not a.is_event) / outside)
    assert 0.35 < np.mean(heard) < 0.55 and 0.35 < np.mean(seen) < 0.55
    assert np.mean(off_levels) > np.mean(levels) > -0.6


# Pictures and sounds


@pytest.mark.parametrize("fps,size,sample_rate", [(25, (64, 96), 16000), (15, (96, 64), 8000), (30, (90, 120), 44100)])
@pytest.mark.parametrize("difficulty", RULES)
def test_arrays_have_the_shape_asked_for_and_repeat(difficulty, fps, size, sample_rate):
    spec = SynthSpec(difficulty, duration_s=2.2, fps=fps, size=size, sample_rate=sample_rate)
    for index in range(4):
        clip, again = render_clip(spec, index), render_clip(spec, index)
        assert clip.frames.shape == (round(2.2 * fps), *size, 3) and clip.frames.dtype == np.uint8
        assert clip.wav.shape == (round(2.2 * sample_rate),) and clip.wav.dtype == np.float32 and np.abs(clip.wav).max() < 0.98
        assert np.array_equal(clip.frames, again.frames) and np.array_equal(clip.wav, again.wav)
    other = render_clip(SynthSpec(difficulty, duration_s=2.2, fps=fps, size=size, sample_rate=sample_rate, seed=1), index)
    assert not np.array_equal(clip.frames, other.frames) and not np.array_equal(clip.wav, other.wav)


def test_bytes_do_not_depend_on_the_process_or_on_what_its_memory_held(tmp_path):
    "MALLOC_PERTURB_ makes glibc fill fresh memory, so that an encoder which reads what it never wrote is found out."
    code = (
        "import sys; from avesound.data.synth import *\n"
        "make_dataset(sys.argv[1], n_train=3, n_val=0, n_test=0, spec=SynthSpec('hard', duration_s=3, size=(64, 96)))"
    )
    digests = []
    for fill in ("85", "255"):
        subprocess.run([sys.executable, "-c", code, tmp_path / fill], check=True, env={**os.environ, "MALLOC_PERTURB_": fill})
        digests.append({name: hashlib.sha256(data).hexdigest() for name, data in content(tmp_path / fill).items()})
    assert digests[0] == digests[1] and len(digests[0]) == 3 + 6


def onsets(curve: np.ndarray, threshold: float) -> np.ndarray:
    "Indices at which the curve rises through the threshold."
    return np.flatnonzero((curve[1:] >= threshold) & (curve[:-1] < threshold)) + 1


def contacts_and_bangs(path: Path, clip: synth.SynthClip) -> tuple[np.ndarray, np.ndarray]:
    "Moments (s) at which the decoded hammer is at its lowest, and at which the decoded sound begins."
    decoded = decode_clip(path, sample_rate=clip.sample_rate)
    power = np.convolve(decoded.wav.astype(float) ** 2, np.ones(80) / 80, mode="same")
    bangs = onsets(power, 0.1 * power.max()) / clip.sample_rate
    bangs = bangs[np.append(True, np.diff(bangs) > 0.12)]
    thing = clip.plan.things[0]
    middle, column, r = (thing.box[0] + thing.box[1]) // 2, (thing.box[2] + thing.box[3]) // 2, thing.radius
    gap = decoded.frames[:, int(middle - 0.1 * r) : int(middle + 0.25 * r), int(column - 0.4 * r) : int(column + 0.4 * r)]
    gap = np.abs(gap.astype(float) - np.median(gap, axis=0)).mean(axis=(1, 2, 3))  # what the head covers only when it is down
    padded = np.pad(gap, 1)  # a clip may begin with a bang
    peaks = np.flatnonzero((gap > padded[:-2]) & (gap >= padded[2:]) & (gap > 0.4 * gap.max()))
    return (peaks + 0.5) / decoded.fps, bangs


@pytest.mark.parametrize("fps,sample_rate", [(25, 16000), (30, 44100)])
def test_hammer_and_bang_coincide_in_the_decoded_file(tmp_path, fps, sample_rate):
    spec = SynthSpec("easy", kinds=("impact",), fps=fps, sample_rate=sample_rate, full_fraction=0)
    n_bangs = 0
    for index in range(4):
        clip = render_clip(spec, index)
        write_clip(tmp_path / "clip.mp4", clip.frames, clip.fps, clip.wav, sample_rate)
        contacts, bangs = contacts_and_bangs(tmp_path / "clip.mp4", clip)
        assert abs(bangs[0] - clip.plan.events[0].start_s) <= 1.5 / fps
        late = np.array([contacts[np.abs(contacts - bang).argmin()] - bang for bang in bangs])
        assert (np.abs(late) <= 1.5 / fps).mean() > 0.9 and abs(np.median(late)) <= 0.75 / fps, late * fps
        n_bangs += len(bangs)
        write_clip(tmp_path / "late.mp4", clip.frames, clip.fps, np.roll(clip.wav, round(0.1 * sample_rate)), sample_rate)
        contacts, bangs = contacts_and_bangs(tmp_path / "late.mp4", clip)  # the measure itself notices a tenth of a second
        assert np.median([(contacts - bang)[np.abs(contacts - bang).argmin()] for bang in bangs]) < -1.5 / fps
    assert n_bangs > 15


@pytest.mark.parametrize("kind", ["speech", "horn", "engine"])
def test_what_is_seen_follows_what_is_heard_in_the_decoded_file(tmp_path, kind):
    spec = SynthSpec("easy", kinds=(kind,), full_fraction=0, two_fraction=0)
    lags = []
    for index in range(4):
        clip = render_clip(spec, index)
        write_clip(tmp_path / "clip.mp4", clip.frames, clip.fps, clip.wav)
        decoded = decode_clip(tmp_path / "clip.mp4")
        top, bottom, left, right = clip.plan.things[0].box
        here = decoded.frames[:250, top:bottom, left:right].astype(float)
        rest = np.median(here[[int(25 * t) for t in np.arange(0.1, 10, 0.2) if t not in clip.plan.events[0]]], axis=0)
        seen = np.abs(here - rest).mean(axis=(1, 2, 3))
        if kind == "engine":  # shakes around its rest: how much, not where
            seen = np.convolve(seen, np.ones(3) / 3, mode="same")
        heard = np.sqrt((decoded.wav[:160000].astype(float) ** 2).reshape(250, -1).mean(axis=1))
        curve = [np.corrcoef(seen[10:-10], np.roll(heard, lag)[10:-10])[0, 1] for lag in range(-8, 9)]
        lags.append(int(np.argmax(curve)) - 8)
    assert np.abs(lags).max() <= 1, lags


def within_clip_auroc(difficulty: str, indices: range) -> tuple[float, float]:
    "Loudness alone and global motion alone, on cells of 0.25 s."
    aurocs = []
    for index in indices:
        clip = render_clip(SynthSpec(difficulty, fps=20, size=(64, 96), full_fraction=0), index)
        truth = [any(t in event for event in clip.plan.events) for t in np.arange(0.125, 10, 0.25)]
        change = np.abs(np.diff(clip.frames.astype(np.int16), axis=0, append=clip.frames[-1:])).mean(axis=(1, 2, 3))
        motion, loudness = change.reshape(40, -1).mean(axis=1), np.square(clip.wav).reshape(40, -1).mean(axis=1)
        aurocs.append([roc_auc_score(truth, loudness), roc_auc_score(truth, motion)])
    return tuple(np.mean(aurocs, axis=0))


def test_single_cues_get_worse_with_difficulty_down_to_chance():
    easy, medium, hard = (within_clip_auroc(difficulty, range(24)) for difficulty in ("easy", "medium", "hard"))
    for cue in range(2):
        assert easy[cue] > 0.97 and 0.7 < medium[cue] < easy[cue] and 0.4 < hard[cue] < 0.65, (easy, medium, hard)


# Real sounds


def noise_bursts(rng, seconds: float) -> np.ndarray:
    gate = np.repeat(rng.integers(0, 2, int(seconds * 5)), 3200)
    gate[:3200] = 1
    return (0.3 * gate * rng.standard_normal(len(gate))).astype(np.float32)


def test_recorded_sounds_are_heard_and_move_their_object(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("dog__1", "dog__2", "rooster & hen__1", "saw"):
        write_wav(tmp_path / f"{name}.wav", noise_bursts(rng, 3), 16000)
    (tmp_path / "LICENSE.txt").write_text("not a sound")
    spec = SynthSpec("easy", sounds_dir=tmp_path, full_fraction=0, size=(64, 96))
    assert {plan_clip(spec, index).label for index in range(6)} == {"dog", "rooster and hen", "saw"}
    for index in range(8):
        clip = render_clip(spec, index)
        assert np.array_equal(clip.wav, render_clip(spec, index).wav)
        top, bottom, left, right = clip.plan.things[0].box
        change = np.abs(np.diff(clip.frames[:, top:bottom, left:right].astype(float), axis=0)).mean(axis=(1, 2, 3))
        truth = np.array([any(k / 25 in event for event in clip.plan.events) for k in range(1, 250)])
        loud = np.square(clip.wav.reshape(250, -1)).mean(axis=1)[1:]
        assert loud[truth].mean() > 50 * loud[~truth].mean() and change[truth].mean() > 1.2 * change[~truth].mean()
    assert {act.sound for act in plan_clip(SynthSpec("hard", sounds_dir=tmp_path), 0).acts} <= {p.name for p in tmp_path.glob("*.wav")}
    make_dataset(tmp_path / "set", n_train=3, n_val=0, n_test=0, spec=SynthSpec("hard", duration_s=2, size=(64, 64), sounds_dir=tmp_path))
    assert all(line.count("&") == 4 for line in (tmp_path / "set" / "Annotations.txt").read_text().splitlines())


@pytest.mark.skipif(not (DATA / "esc").is_dir(), reason="no ESC sounds: set AVESOUND_TEST_DATA")
def test_esc_sounds():
    spec = SynthSpec("hard", sounds_dir=DATA / "esc", full_fraction=0, size=(64, 96))
    labels = set()
    for index in range(10):
        clip = render_clip(spec, index)
        labels.add(clip.plan.label)
        assert np.isfinite(clip.wav).all() and clip.wav.std() > 0.005
    assert len(labels) == 10 and "dog_bark" in labels


def test_bad_sound_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="sounds_dir"):
        plan_clip(SynthSpec(sounds_dir=tmp_path / "none"), 0)
    with pytest.raises(ValueError, match="no .wav"):
        plan_clip(SynthSpec(sounds_dir=tmp_path), 0)
    write_wav(tmp_path / "silence.wav", np.zeros(16000, np.float32), 16000)
    with pytest.raises(ValueError, match="silence.wav.*silent"):
        render_clip(SynthSpec(sounds_dir=tmp_path), 0)


# Datasets


def test_dataset_on_disk(tmp_path):
    root = make_dataset(tmp_path / "set", n_train=9, n_val=4, n_test=5, spec=TINY)
    official = (root / "Annotations.txt").read_text().splitlines()
    of_split = {split: (root / f"{split}Set.txt").read_text().splitlines() for split in ("train", "val", "test")}
    assert sum(of_split.values(), []) == official
    ids = {split: {line.split("&")[1] for line in lines} for split, lines in of_split.items()}
    assert [len(ids[split]) for split in ids] == [9, 4, 5] and len(set.union(*ids.values())) == 18
    assert {path.stem for path in (root / "AVE").iterdir()} == set.union(*ids.values())
    assert any(name.startswith("-") for name in ids["train"])
    table = annotations_table(root / "Annotations.txt")  # as AVE's own files are read; finds the split files beside it
    assert table.groupby("split").video_id.nunique().to_dict() == {"train": 9, "val": 4, "test": 5}
    with open(root / "annotations.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["video_id", "event_label", "start_s", "end_s", "quality", "split"]
    plans = {plan.video_id: plan for plan in (plan_clip(TINY, index) for index in range(18))}
    assert len(rows) == len(official) == sum(len(plan.events) for plan in plans.values())
    for row, line in zip(rows, official):
        label, video_id, quality, start, end = line.split("&")
        assert (row["event_label"], row["video_id"], row["quality"]) == (label, video_id, quality) and video_id in ids[row["split"]]
        assert any((float(row["start_s"]), float(row["end_s"])) == (e.start_s, e.end_s) for e in plans[video_id].events)
        assert int(start) == np.floor(float(row["start_s"])) and int(end) == np.ceil(float(row["end_s"]))
    note = json.loads((root / "synth.json").read_text())
    assert note["seed"] == 0 and note["difficulty"] == "hard" and note["n_val"] == 4 and note["avesound"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_interrupted_call_goes_on_and_ends_the_same(tmp_path, monkeypatch):
    counts = dict(n_train=4, n_val=1, n_test=1, spec=TINY)
    whole = content(make_dataset(tmp_path / "undisturbed", **counts))
    calls = []

    def interrupted(path, *args, **kwargs):
        calls.append(path)
        if len(calls) == 3:
            left_behind = f".{Path(path).stem}.{2**22 + 1}-{process_place()}.2.tmp.mp4"
            Path(path).with_name(left_behind).write_bytes(b"half a clip")  # what a killed process leaves
            raise KeyboardInterrupt
        write_clip(path, *args, **kwargs)

    monkeypatch.setattr(synth, "write_clip", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_dataset(tmp_path / "set", **counts)
    assert not (tmp_path / "set").exists()
    calls.clear()
    monkeypatch.setattr(synth, "write_clip", lambda path, *args, **kwargs: (calls.append(path), write_clip(path, *args, **kwargs)))
    assert content(make_dataset(tmp_path / "set", **counts)) == whole
    assert 0 < len(calls) < 6  # what was there was kept
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "undisturbed"]
    calls.clear()
    make_dataset(tmp_path / "set", **counts)
    assert not calls


def test_what_other_settings_left_is_not_mixed_in(tmp_path, monkeypatch):
    def full_disk(path, *args, **kwargs):
        if calls.append(path) or len(calls) == 3:
            raise OSError("no space left on device")
        write_clip(path, *args, **kwargs)

    calls = []
    monkeypatch.setattr(synth, "write_clip", full_disk)
    with pytest.raises(OSError, match="no space"):
        make_dataset(tmp_path / "set", n_train=4, n_val=0, n_test=0, spec=TINY)
    monkeypatch.undo()
    spec = SynthSpec("easy", duration_s=2, size=(64, 96))
    make_dataset(tmp_path / "set", n_train=2, n_val=0, n_test=0, spec=spec)
    assert {p.stem for p in (tmp_path / "set" / "AVE").iterdir()} == {plan_clip(spec, index).video_id for index in range(2)}


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_change_nothing(tmp_path, workers):
    one = make_dataset(tmp_path / "one", n_train=3, n_val=1, n_test=1, spec=TINY)
    many = make_dataset(tmp_path / "many", n_train=3, n_val=1, n_test=1, spec=TINY, workers=workers)
    assert content(one) == content(many)


def test_nothing_else_is_overwritten(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    make_dataset(tmp_path / "set", n_train=1, n_val=0, n_test=0, spec=TINY)
    for name in ("thesis", "file", "set"):
        before = content(tmp_path)
        with pytest.raises(FileExistsError, match=name):
            make_dataset(tmp_path / name, n_train=2, n_val=0, n_test=0, spec=TINY)
        assert content(tmp_path) == before
    (tmp_path / "empty").mkdir()
    make_dataset(tmp_path / "empty", n_train=1, n_val=0, n_test=0, spec=TINY)
    assert content(tmp_path / "empty") == content(tmp_path / "set")


@pytest.mark.parametrize(
    "bad,words",
    [(dict(n_train=-1), "n_train"), (dict(n_train=0, n_val=0, n_test=0), "n_train"), (dict(workers=0), "workers")],
)
def test_bad_arguments(tmp_path, bad, words):
    with pytest.raises(ValueError, match=words):
        make_dataset(tmp_path / "set", spec=TINY, **bad)
    assert not list(tmp_path.iterdir())


def test_a_log_file_is_not_filled_with_bars(tmp_path, capfd):
    make_dataset(
        tmp_path / "data", spec=SynthSpec("easy", duration_s=2.2, size=(64, 96)), n_train=8, n_val=2, n_test=2, workers=1, progress=True
    )
    said = capfd.readouterr().err
    assert "synth: 100%" in said and said.count("clip/s") <= 3


def test_scipy_is_there_before_threads_are(tmp_path):
    "Of two threads that import it at once one may find half of it."
    program = """
import sys
from avesound.data import synth

class Pool(synth.ThreadPoolExecutor):
    def __init__(self, *args):
        print(sorted({"scipy.ndimage", "scipy.signal"} - sys.modules.keys()))
        super().__init__(*args)

print(sorted({"scipy.ndimage", "scipy.signal"} - sys.modules.keys()))
synth.ThreadPoolExecutor = Pool
synth.make_dataset(sys.argv[1], n_train=1, n_val=0, n_test=0, spec=synth.SynthSpec("easy", duration_s=2.2, size=(64, 96)))
"""
    said = subprocess.run([sys.executable, "-c", program, tmp_path / "set"], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["['scipy.ndimage', 'scipy.signal']", "[]"]
