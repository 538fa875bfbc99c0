"`avesound locate` and `locate_all`: files of every kind, projectors, workers that die, recordings in pieces, real clips."

import json
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import avesound
from avesound import cli
from avesound.data.synth import SynthSpec, make_dataset
from avesound.embeddings.cache import EmbeddingCache
from avesound.embeddings.extract import RunSettings, extract
from avesound.embeddings.fit import fit_projector
from avesound.embeddings.job import WindowSettings
from avesound.encoders.base import NotComparable
from avesound.encoders.signal import SignalEncoder
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.locate import COLUMNS, Heard, locate, locate_all
from avesound.media.decode import decode_clip
from avesound.media.write import write_clip, write_wav

HERE = RunSettings(workers=0, max_s=3600.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    "Made-up clips as `make_dataset` leaves them."
    return make_dataset(tmp_path_factory.mktemp("locate") / "data", n_train=10, n_val=0, n_test=4, spec=SynthSpec(seed=5, size=(64, 96)))


@pytest.fixture(scope="module")
def clips(data) -> list[Path]:
    table = pd.read_csv(data / "annotations.csv")
    return [data / "AVE" / f"{video_id}.mp4" for video_id in sorted(table.loc[table["split"] == "test", "video_id"])]


def printed(words: list, capsys) -> tuple[int, list[str]]:
    status = cli.main(["locate", *map(str, words)])
    return status, capsys.readouterr().out.splitlines()


# ---- the command


def test_there_is_a_line_for_every_file_in_their_order(clips, tmp_path, capsys):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "text.mp4").write_text("no video")
    (tmp_path / "odd" / "b").mkdir()
    (tmp_path / "odd" / "b" / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    words = [clips[1], tmp_path / "odd", tmp_path / "nothing.mp4", tmp_path / "pipe.mp4", clips[0]]
    status, lines = printed(words, capsys)
    assert status == 0
    assert [line.split()[0] for line in lines] == [clips[1].name, "text.mp4", "folder", "nothing.mp4", "pipe.mp4", clips[0].name]
    assert " s  [" in lines[0] and re.search(r"% within 0.5 s \(\d+% by chance\)", lines[0])
    assert "corrupt: " in lines[1] and "missing: no such file" in lines[3]
    assert "no_file: " in lines[2] and "no_file: " in lines[4], "a pipe is not waited for"


def test_where_nothing_can_be_said_the_exit_code_says_so(tmp_path, capsys):
    assert printed([tmp_path / "nothing.mp4"], capsys)[0] == 1


def test_json_holds_what_the_call_returns(clips, tmp_path, capsys):
    (tmp_path / clips[0].stem).mkdir()
    other = tmp_path / clips[0].stem / clips[0].name
    other.write_bytes(clips[1].read_bytes())  # another clip of the same stem
    assert cli.main(["locate", str(clips[0]), str(other), "nothing.mp4", "--json", "--figure", str(tmp_path / "figures")]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [tuple(row) for row in rows] == [COLUMNS] * 3
    assert rows[2]["t_sec"] is None and rows[2]["status"] == "missing"
    for row, clip in zip(rows, clips[:2]):
        location = avesound.locate(clip)
        numbers = (location.t_sec, *location.interval, location.confidence)
        assert [row[name] for name in COLUMNS[2:6]] == [round(number, 6) for number in numbers]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [f"{clips[0].stem}.png", f"{clips[0].stem}_2.png"]


def test_settings_are_those_of_an_evaluation(data, clips, tmp_path, capsys):
    "Every option on the way from the command line to the moment."
    windows = WindowSettings(win_s=0.5, stride_s=0.2, lengths=(0.5, 1.0))
    extract(data / "AVE", tmp_path / "cache", windows=windows, annotations_csv=data / "annotations.csv", run=HERE, progress=False)
    settings = avesound.AlignSettings(audio_query="loudest", tau=0.2, score_smooth_sigma=0.3, pred_softargmax=True, interval_mass=0.8)
    table = evaluate(tmp_path / "cache", data / "annotations.csv", split="test", L_sec=(0.5, 1.0), settings=settings).summary
    words = "--win 0.5 --stride 0.2 --L_sec 0.5,1.0 --audio_query loudest --tau 0.2 --score_smooth_sigma 0.3 --pred_softargmax"
    assert cli.main(["locate", *map(str, clips), *words.split(), "--interval_mass", "0.8", "--json"]) == 0
    rows = pd.DataFrame(json.loads(capsys.readouterr().out)).set_index("video_id")
    table = table.set_index("video_id").loc[rows.index]
    for ours, theirs in zip(COLUMNS[2:6], ("t_pred_sec", "interval_start_sec", "interval_end_sec", "confidence")):
        assert np.allclose(rows[ours].astype(float), table[theirs], rtol=0, atol=1e-6), ours


@pytest.mark.parametrize("radius_s, softargmax", [(0.5, False), (0.0, False), (0.3, True), (20.0, False)])
def test_by_chance_is_what_a_pdf_that_knows_nothing_has(radius_s, softargmax, clips):
    "Of the same cells around the same moment: in the middle, and at both ends of a clip."
    settings = avesound.AlignSettings(tau=1e9, score_smooth_sigma=0.0, conf_radius_s=radius_s, pred_softargmax=softargmax)
    flat = avesound.locate(clips[0], settings=settings)
    n = len(flat.cells)
    assert n and flat.flatness > 0.9999 and flat.chance == pytest.approx(flat.confidence, abs=1e-6)
    for t_sec in (*flat.cells[[0, n // 2, -1]].mean(axis=1), flat.t_sec):
        near = np.abs(flat.cells.mean(axis=1) - t_sec) <= radius_s + 1e-9
        assert replace(flat, t_sec=float(t_sec)).chance == pytest.approx(near.mean()), t_sec
    assert re.search(rf" (\d+%) within {radius_s:g} s \(\1 by chance\)", str(flat))


def test_mistakes_end_with_a_line(clips, tmp_path, capsys):
    for words, message in [
        ([clips[0], "--sound", tmp_path / "no.wav"], "no sound that can be looked for (missing"),
        ([clips[0], "--audio_query", "oracle"], "there is no annotation here"),
        ([clips[0], "--encoder", "logmel"], "cannot see"),
        ([tmp_path], "holds no media files"),
    ]:
        assert cli.main(["locate", *map(str, words)]) == 1
        assert message in capsys.readouterr().err


# ---- towers


def test_two_towers_and_their_projector(data, clips, tmp_path):
    extract(data / "AVE", tmp_path / "cache", audio_encoder="logmel", annotations_csv=data / "annotations.csv", run=HERE, progress=False)
    projector = fit_projector(
        EmbeddingCache.of(tmp_path / "cache"), data / "annotations.csv", dim=2, out=tmp_path / "projector.safetensors"
    )
    cache = EmbeddingCache.of(tmp_path / "cache", projector=projector)
    table = evaluate(cache, data / "annotations.csv", split="test").summary.set_index("video_id")
    for fitted in (projector, tmp_path / "projector.safetensors"):
        for location in locate_all(clips, audio_encoder="logmel", projector=fitted, run=HERE, progress=False):
            assert location.t_sec == table.loc[location.video_id, "t_pred_sec"]
            assert np.isclose(location.confidence, table.loc[location.video_id, "confidence"])
    with pytest.raises(NotComparable):
        locate(clips[0], audio_encoder="logmel")


class Untrained(SignalEncoder):
    "An encoder that says that it has learnt nothing."

    def __init__(self):
        super().__init__()
        self.spec = replace(self.spec, weights="untrained")


@pytest.mark.parametrize("sound_is", [None, "seen", "heard"])
def test_untrained_weights_are_refused(clips, tmp_path, sound_is):
    write_wav(tmp_path / "sound.wav", decode_clip(clips[0]).wav[:16000])
    sound = {None: None, "seen": tmp_path / "sound.wav", "heard": Heard(tmp_path / "sound.wav")}[sound_is]
    with pytest.raises(NotComparable, match="untrained"):
        locate(clips[0], encoder=Untrained(), sound=sound)
    assert locate(clips[0], encoder=Untrained(), sound=sound, allow_untrained=True).status == "ok"


class Deadly(SignalEncoder):
    "Ends its process at a clip of less than ten seconds."

    def encode_clip(self, clip, *arguments, **more):
        if clip.duration_s < 9:
            os._exit(3)
        return super().encode_clip(clip, *arguments, **more)


def test_a_worker_that_dies_is_a_row(clips, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "tmp").mkdir()
    clip = decode_clip(clips[0])
    write_clip(tmp_path / "short.mp4", clip.frames[:100], 25, clip.wav[:64000])
    found = locate_all([clips[1], tmp_path / "short.mp4", clips[2]], encoder=Deadly(), run=RunSettings(workers=2), progress=False)
    assert [location.status for location in found] == ["ok", "crashed", "ok"]
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == [], "nothing is left"


# ---- a given sound


def test_a_sound_is_found_where_it_was_cut_out(clips, tmp_path):
    wav = decode_clip(clips[2]).wav
    windows = WindowSettings(stride_s=0.1, lengths=(0.25,))
    for first_s in (0.0, 2.5, 8.5):
        write_wav(tmp_path / "sound.wav", wav[int(first_s * 16000) : int((first_s + 1.5) * 16000)])
        found = locate(clips[2], sound=Heard(tmp_path / "sound.wav"), encoder="logmel", windows=windows)
        assert np.allclose(found.interval, (first_s, first_s + 1.5), atol=0.06)
        assert found.interval[0] <= found.t_sec <= found.interval[1]
        assert len(found.pdf) == len(found.cells) == len(found.curve) == 100 - 15 + 1
        assert np.isclose(found.pdf.sum(), 1)


def test_a_sound_as_long_as_the_recording_has_one_place(clips):
    found = locate(clips[0], sound=clips[0])
    assert found.status == "ok" and np.isclose(found.t_sec, 5.0, atol=0.02) and len(found.pdf) == 1
    assert found.flatness == 1.0 and "nothing to choose from" in found.detail


# ---- long and real


def test_a_recording_in_pieces_gets_the_same_answer(clips, monkeypatch):
    whole = locate(clips[3], run=HERE)
    monkeypatch.setattr("avesound.embeddings.job.WHOLE_BYTES", 100_000)
    pieces = locate(clips[3], run=HERE)
    assert (pieces.t_sec, pieces.interval) == (whole.t_sec, whole.interval)
    assert np.allclose(pieces.pdf, whole.pdf, atol=1e-4)


def test_the_bar_of_a_recording_in_pieces_says_how_far_it_is(clips, monkeypatch, capsys):
    from avesound.evaluation import locate as module

    monkeypatch.setattr("avesound.embeddings.job.WHOLE_BYTES", 100_000)
    monkeypatch.setattr("avesound.media.pieces._BLOCK_BYTES", 100_000)  # of the picture a second at once
    whole = locate(clips[3], run=HERE)
    assert "read up to" not in capsys.readouterr().err
    assert locate_all([clips[3]], progress=True)[0].t_sec == whole.t_sec
    said = capsys.readouterr().err
    assert said.count("picture read up to 0:0") == said.count("read up to") == 1, "a log file gets a line every half minute"
    assert said.rstrip().endswith("file/s]"), "and none is left when it is done"
    told: list[tuple[str, float]] = []
    monkeypatch.setattr(module, "_how_far", lambda *_: lambda kind, read_s: told.append((kind, read_s)))
    locate_all([clips[3]], progress=False)
    for kind in ("video", "audio"):
        read = [read_s for of, read_s in told if of == kind]
        assert len(read) > 2 * (kind == "video") and read == sorted(read) and np.isclose(read[-1], whole.duration_s, atol=0.1)


def test_moments_of_real_clips_lie_in_their_events(real_clips):
    "Barks and a race, which are loud; and a clip without sound."
    names = ["3qesirWAGt4_20000_30000.mp4", "22olCB3wQaA.mp4", "torchcodec_dog_eating_no_audio.mp4"]
    dog, race, mute = locate_all([real_clips / name for name in names], progress=False)
    table = pd.read_csv(real_clips / "annotations.csv")
    for location in (dog, race):
        events = table.loc[table["video_id"] == location.video_id, ["start_s", "end_s"]].to_numpy()
        assert any(start <= location.t_sec < end for start, end in events), location
    assert str(mute) == "torchcodec_dog_eating_no_audio.mp4  no_audio: has no audio stream"
