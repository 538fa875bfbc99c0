"""Long clips, and files that say large numbers: memory is bounded by what is asked for, and the vectors are those of the whole clip."""

import gc
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from avesound.embeddings import job as room
from avesound.embeddings.extract import RunSettings, clip_jobs, extract, extract_wav
from avesound.embeddings.job import CachePlan, Decoding, Towers, WindowSettings, cache_settings, decoding_for, do_clip, load_clip
from avesound.embeddings.store import read_embeddings
from avesound.encoders import stream
from avesound.encoders.base import EncoderSpec, create_encoder
from avesound.media import pieces
from avesound.media.container import MediaError, probe
from avesound.media.decode import decode_clip
from avesound.media.pieces import ClipPieces
from avesound.media.write import write_clip, write_wav

MB = 1e6


def peak_of(statement, *args):
    "Peak memory, in MB, of a process that has imported the package and then runs a statement, and of one that has only imported it."
    setup = (
        "import resource, sys\nfrom avesound.embeddings.extract import *\nfrom avesound.embeddings.job import *\n"
        "from avesound.encoders.base import create_encoder\nfrom avesound.media.container import *\n"
        "from avesound.media.decode import *\ncreate_encoder('signal')\nargs = sys.argv[1:]\n"
    )
    code = f"{setup}{statement}\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)"
    lines = [
        subprocess.run([sys.executable, "-c", text, *map(str, args)], capture_output=True, text=True, timeout=120)
        for text in (code, f"{setup}print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)")
    ]
    assert all(run.returncode == 0 for run in lines), lines[0].stderr
    return tuple(float(run.stdout.split()[-1]) for run in lines)


def long_sound(path, minutes, rate=16000):
    "Noise that is loud and quiet by turns, written a second at a time."
    second = (np.random.default_rng(0).normal(size=rate) * 3000).astype(np.int16)
    with av.open(str(path), "w") as out:
        sound = out.add_stream("pcm_s16le", rate=rate, layout="mono")
        for k in range(int(minutes * 60)):
            frame = av.AudioFrame.from_ndarray((second // (1 + k % 7))[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, k * rate, Fraction(1, rate)
            out.mux(sound.encode(frame))
        out.mux(sound.encode())
    return path


def long_picture(path, minutes, fps=1):
    "Small pictures that flicker."
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "tune": "zerolatency"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        images = np.random.default_rng(0).integers(0, 255, (7, 48, 64, 3), dtype=np.uint8)
        for k in range(int(minutes * 60 * fps)):
            out.mux(video.encode(av.VideoFrame.from_ndarray(images[k % 7], format="rgb24")))
        out.mux(video.encode())
    return path


def test_an_hour_of_sound_at_all_lengths_is_extracted_in_little_memory(tmp_path):
    (tmp_path / "clips").mkdir()
    long_sound(tmp_path / "clips" / "hour.wav", 60)
    statement = (
        "report = extract(args[0], args[1], kinds=('audio',), windows=WindowSettings(lengths=(0.25, 0.5, 1.0, 2.0, 5.0)),"
        " run=RunSettings(max_s=4000, workers=1), progress=False)\nassert report.counts == {'ok': 1}, report.records"
    )
    peak, before = peak_of(statement, tmp_path / "clips", tmp_path / "cache")
    assert peak - before < 80, (peak, before)  # the sound alone is 230 MB, an index of all windows of 5 s more than 9 GB
    assert read_embeddings(tmp_path / "cache" / "aud_emb" / "hour__L5000ms.npz").emb.shape == (14400, 3)


def test_a_long_picture_is_extracted_in_little_memory(tmp_path):
    (tmp_path / "clips").mkdir()
    long_picture(tmp_path / "clips" / "long.mp4", 9)
    statement = (
        "settings = WindowSettings(win_s=5.0, lengths=(5.0,))\n"
        "report = extract(args[0], args[1], windows=settings, run=RunSettings(workers=1), progress=False)\n"
        "assert report.counts == {'no_audio': 1}, report.records"
    )
    peak, before = peak_of(statement, tmp_path / "clips", tmp_path / "cache")
    assert peak - before < 120, (peak, before)  # the frames alone are 373 MB
    assert read_embeddings(tmp_path / "cache" / "vid_emb" / "long.npz").emb.shape == (2160, 3)


def test_the_sound_of_an_hour_is_written_in_little_memory(tmp_path):
    (tmp_path / "clips").mkdir()
    long_sound(tmp_path / "clips" / "hour.wav", 60, rate=8000)
    statement = "report = extract_wav(args[0], args[1], max_s=4000, progress=False)\nassert report.counts == {'ok': 1}, report.records"
    peak, before = peak_of(statement, tmp_path / "clips", tmp_path / "wav")
    assert peak - before < 50, (peak, before)
    assert (tmp_path / "wav" / "hour.wav").stat().st_size == 44 + 2 * 3600 * 16000


def test_loudness_and_windows_take_no_memory_for_their_overlap(tmp_path):
    statement = (
        "import numpy as np\nfrom avesound.encoders.base import encode_windows\nfrom avesound.features import loudness_db\n"
        "from avesound.timeline import sliding_windows\nwav = np.ones(590 * 16000, np.float32)\nwindows = sliding_windows(590, 5.0, 0.25)\n"
        "assert len(loudness_db(wav, 16000, windows)) == 2360\n"
        "assert len(encode_windows(lambda wav: wav.mean(axis=1, keepdims=True), wav, 16000, windows)) == 2360"
    )
    peak, before = peak_of(statement)
    assert peak - before < 160, (peak, before)  # the sound is 38 MB, its windows and their index 2.2 GB


class Plain:
    "Has the two window methods alone, as most encoders of users."

    spec = EncoderSpec("plain", dim=2, joint=True, weights="none", fps=8, size=(24, 32), sample_rate=8000, video_win_s=1.3)

    def encode_video(self, frames):
        return np.stack([frames.mean(axis=(1, 2, 3, 4)), frames[:, -1].mean(axis=(1, 2, 3))], axis=1).astype(np.float32)

    def encode_audio(self, wav):
        return np.stack([(wav.astype(np.float64) ** 2).mean(axis=1), wav[:, 0]], axis=1).astype(np.float32)


class Whole(Plain):
    "Looks at clips as a whole and does not say how far."

    def encode_clip(self, clip, video_windows, audio_windows):
        from avesound.encoders.base import ClipEmbeddings

        return ClipEmbeddings(np.full((len(video_windows), 2), clip.frames.mean(), np.float32), ())


def plan_for(folder, towers, windows, kinds=("video", "audio")):
    folders = {kind: folder / kind for kind in kinds}
    for path in folders.values():
        path.mkdir(parents=True, exist_ok=True)
    return CachePlan(folders, cache_settings(towers, windows, kinds), windows, decoding_for(towers, kinds), batch_size=5)


def small_parts(monkeypatch):
    "So that short clips come in many pieces."
    init = stream.SlidingTrack.__init__
    monkeypatch.setattr(pieces, "_BLOCK_BYTES", 200_000)
    monkeypatch.setattr(pieces, "_KEPT_S", 1.0)
    monkeypatch.setattr(pieces, "_BLOCK_S", 0.7)
    monkeypatch.setattr(stream.SlidingTrack, "__init__", lambda self, *args, at_once=0, **kw: init(self, *args, at_once=150_000, **kw))


PLAIN, SIGNAL, LOGMEL = Plain(), create_encoder("signal"), create_encoder("logmel")
CASES = {
    "signal": (Towers(SIGNAL, SIGNAL), WindowSettings(lengths=(0.25, 1.0, 5.0)), ("video", "audio"), 0),
    "signal sees": (Towers(SIGNAL, SIGNAL), WindowSettings(win_s=2.0), ("video",), 0),
    "signal hears": (Towers(SIGNAL, SIGNAL), WindowSettings(), ("audio",), 0),
    "logmel": (Towers(LOGMEL, LOGMEL), WindowSettings(lengths=(0.25, 1.0, 5.0)), ("audio",), 0),
    "windows": (Towers(PLAIN, PLAIN), WindowSettings(lengths=(0.3, 1.0, 20.0), scales=(1.0, 2.0)), ("video", "audio"), 0),
    "inside": (Towers(PLAIN, PLAIN), WindowSettings(lengths=(0.3, 1.0, 9.0), edge="inside"), ("video", "audio"), 0),
    "two": (Towers(PLAIN, SIGNAL), WindowSettings(lengths=(0.5,)), ("video", "audio"), 0),
    "wrong sound": (Towers(SIGNAL, SIGNAL), WindowSettings(lengths=(0.5,)), ("video", "audio"), 1),
}


def assert_same_in_pieces(clips, tmp_path, case, monkeypatch, n_jobs=None):
    "Every clip's row and vectors, whole and with a budget that makes it a long one."
    towers, windows, kinds, wrong_sound = CASES[case]
    small_parts(monkeypatch)
    rows = {}
    for name, max_bytes in (("whole", None), ("pieces", 20_000)):
        plan = plan_for(tmp_path / name, towers, windows, kinds)
        assert plan.decoding.in_pieces and plan.decoding.max_bytes == room.WHOLE_BYTES
        if max_bytes:
            plan = replace(plan, decoding=replace(plan.decoding, max_bytes=max_bytes))
        jobs = clip_jobs(clips, plan, wrong_sound=wrong_sound)
        rows[name] = [do_clip(job, towers) for job in list(jobs.values())[:n_jobs]]
    kept = [{key: value for key, value in row.items() if key not in ("decode_s", "encode_s", "write_s")} for row in rows["whole"]]
    assert [{key: row[key] for key in expected} for row, expected in zip(rows["pieces"], kept)] == kept
    files = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.npz"))
    assert files == sorted(path.relative_to(tmp_path / "pieces") for path in (tmp_path / "pieces").rglob("*.npz")) and files
    for file in files:
        expected, got = read_embeddings(tmp_path / "whole" / file), read_embeddings(tmp_path / "pieces" / file)
        assert np.allclose(got.emb, expected.emb, rtol=0, atol=1e-6), file
        assert np.array_equal(got.windows.starts_s, expected.windows.starts_s) and got.meta == expected.meta
        for column in expected.extras:
            assert np.allclose(got.extras[column], expected.extras[column], rtol=0, atol=1e-6), (file, column)
    return rows["pieces"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    "Clips of which the picture, the sound, or neither is the longer one; one without either; one that is cut; one that is too short."
    folder, rng = tmp_path_factory.mktemp("made"), np.random.default_rng(0)
    moving = rng.integers(0, 255, (250, 48, 64, 3), dtype=np.uint8)
    wav = (rng.normal(size=10 * 16000) * np.repeat(10.0 ** -rng.integers(1, 5, 10), 16000)).astype(np.float32)
    wav[48000:64000] = 0
    write_clip(folder / "a.mp4", moving, 25, wav)
    write_clip(folder / "b.mp4", moving[:110], 20, wav, audio_start_s=0.4)
    write_clip(folder / "c.mp4", moving, 30, wav[:30000])
    write_clip(folder / "d.mp4", moving[:130], 12.5)
    write_wav(folder / "e.wav", wav)
    write_clip(folder / "f.mp4", moving[:3], 25, wav[:2500])
    (folder / "g.mp4").write_bytes((folder / "a.mp4").read_bytes()[:-200_000])
    return folder


@pytest.mark.parametrize("case", CASES)
def test_vectors_of_a_clip_in_pieces_are_those_of_the_whole(made, tmp_path, monkeypatch, case):
    rows = assert_same_in_pieces(made, tmp_path, case, monkeypatch)
    assert sum(row["status"] == "ok" for row in rows) >= 3


@pytest.mark.parametrize("case", ["signal", "windows"])
def test_so_they_are_of_real_clips(real_clips, tmp_path, monkeypatch, case):
    assert_same_in_pieces(real_clips, tmp_path, case, monkeypatch, n_jobs=6)


def test_pieces_of_real_clips_are_the_clip(real_clips, monkeypatch):
    small_parts(monkeypatch)
    n_equal = 0
    for path in sorted(real_clips.glob("*.m*"))[::5]:
        how = {"fps": 25, "size": (24, 32)}
        try:
            expected, error = decode_clip(path, **how), None
        except MediaError as caught:
            expected, error = None, caught
        clip, parts = ClipPieces(path, **how), {"video": [], "audio": []}
        try:
            for piece in clip:
                parts[piece.kind].append(piece.samples)
        except MediaError as caught:
            assert (type(caught), str(caught)) == (type(error), str(error))
            continue
        assert clip.duration_s == expected.duration_s and clip.undecodable == expected.undecodable
        for kind, whole in (("video", expected.frames), ("audio", expected.wav)):
            assert whole is None if not parts[kind] else np.array_equal(np.concatenate(parts[kind]), whole)
        n_equal += 1
    assert n_equal > 3


def test_a_clip_that_is_below_the_budget_is_never_in_pieces(made, tmp_path, monkeypatch):
    towers, windows, kinds, _ = CASES["signal"]
    monkeypatch.setattr(room, "ClipPieces", None)
    plan = plan_for(tmp_path, towers, windows, kinds)
    jobs = clip_jobs(made, plan)
    assert do_clip(jobs["a"], towers)["status"] == "ok"
    tight = replace(plan, decoding=replace(plan.decoding, max_bytes=20_000))
    loaded = load_clip(replace(jobs["a"], plan=tight))
    assert type(loaded).__name__ == "LongClip" and loaded.source["sha256"]
    assert do_clip(replace(jobs["a"], plan=tight), towers)["status"] == "error"  # it would have been


def test_an_encoder_that_needs_whole_clips_gets_them(made, tmp_path):
    towers = Towers(Whole(), Whole())
    plan = plan_for(tmp_path, towers, WindowSettings(), ("video",))
    assert not plan.decoding.in_pieces
    jobs = clip_jobs(made, plan)
    assert do_clip(jobs["a"], towers)["status"] == "ok"
    tight = replace(plan, decoding=replace(plan.decoding, max_bytes=20_000))
    row = do_clip(replace(jobs["a"], plan=tight), towers)
    assert row["status"] == "too_large" and "MB" in row["detail"]


def test_time_that_encoding_takes_is_not_held_against_decoding(made, monkeypatch):
    import time

    small_parts(monkeypatch)
    clip = ClipPieces(made / "a.mp4", fps=25, size=(96, 96), timeout_s=3.0)
    for k, _ in enumerate(clip):
        time.sleep(3.1 if k == 0 else 0)
    assert clip.paused_s > 3
    with pytest.raises(MediaError, match="timeout_s"):
        list(ClipPieces(made / "a.mp4", fps=25, size=(96, 96), timeout_s=1e-6))


# ---- numbers in files


def huge_picture(path, codec, pix_fmt, side=9000):
    "Three grey pictures of 81 Mpx in a small file."
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=5, options={"preset": "ultrafast"} if codec == "libx264" else {})
        video.width = video.height = side
        video.pix_fmt = pix_fmt
        frame = av.VideoFrame(side, side, pix_fmt)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for k in range(2):
            frame.pts = k
            out.mux(video.encode(frame))
        out.mux(video.encode())
    return path


def test_no_picture_of_a_clip_stays_in_memory_until_garbage_is_collected(tmp_path):
    "A few megabytes for each clip of thousands, which Python, that counts objects and not bytes, does not come for."
    frames = np.random.default_rng(0).integers(0, 255, (8, 64, 96, 3), dtype=np.uint8)
    write_clip(tmp_path / "clip.mp4", frames, 8.0)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            decode_clip(tmp_path / "clip.mp4", fps=4, size=(32, 48))
        left = [one for one in gc.get_objects() if isinstance(one, av.VideoFrame) and one.width == 96]
    finally:
        gc.enable()
    assert left == []


@pytest.mark.parametrize(("name", "codec", "pix_fmt"), [("a.mp4", "libx264", "yuv420p"), ("a.mkv", "mjpeg", "yuvj420p")])
def test_a_picture_of_more_pixels_is_not_decoded(tmp_path, name, codec, pix_fmt):
    path = huge_picture(tmp_path / name, codec, pix_fmt)
    info = probe(path)
    assert (info.width, info.height) == (9000, 9000)  # what it says is still said
    statement = (
        "try: decode_clip(args[0], size=(16, 16), video=True)\n"
        "except TooLarge as error: assert '81000000' in str(error) and 'max_pixels' in str(error), error\nelse: raise SystemExit(1)"
    )
    peak, before = peak_of(statement, path)
    assert peak - before < 80, (peak, before)  # to open the MP4 alone takes 195 MB more where FFmpeg has no limit
    assert decode_clip(path, size=(16, 16), max_pixels=9000 * 9000).frames.shape[1:] == (16, 16, 3)


def test_max_pixels_reaches_the_clips_of_a_run(made, tmp_path):
    records = extract(made, tmp_path / "cache", run=RunSettings(max_pixels=48 * 64 - 1), progress=False).records
    assert {row["id"]: row["status"] for row in records if row["id"] != "g"} == dict.fromkeys("abcdf", "too_large") | {"e": "no_video"}
    assert "3072" in records[0]["detail"] and "--max_pixels" in records[0]["detail"]
    again = extract(made, tmp_path / "cache", run=RunSettings(max_pixels=48 * 64), progress=False).counts
    assert again.get("too_large", 0) == 0 and again["ok"] >= 3
    wavs = extract_wav(made, tmp_path / "wav", progress=False).counts  # sound beside a large picture is sound
    assert wavs["ok"] >= 4
    with pytest.raises(ValueError, match="max_pixels"):
        RunSettings(max_pixels=0)


def test_wide_pixels_do_not_multiply_a_picture(tmp_path):
    with av.open(str(tmp_path / "wide.mkv"), "w") as out:
        video = out.add_stream("libx264", rate=5)
        video.width, video.height, video.pix_fmt = 640, 480, "yuv420p"
        video.codec_context.sample_aspect_ratio = Fraction(12, 1)
        out.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((480, 640, 3), np.uint8), format="rgb24")))
        out.mux(video.encode())
    assert decode_clip(tmp_path / "wide.mkv").frames.shape[2] == 7680
    with pytest.raises(MediaError, match="7680 x 480") as caught:
        decode_clip(tmp_path / "wide.mkv", max_pixels=640 * 480)
    assert caught.value.status == "too_large"
    assert decode_clip(tmp_path / "wide.mkv", max_pixels=640 * 480, size=(48, 64)).frames.shape[1:] == (48, 64, 3)


def test_a_rate_of_one_hertz_allocates_no_more_than_it_gives(tmp_path):
    with av.open(str(tmp_path / "slow.mkv"), "w") as out:
        sound = out.add_stream("pcm_s16le", rate=1, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.arange(3000, dtype=np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 1, 0, Fraction(1, 1)
        out.mux(sound.encode(frame))
        out.mux(sound.encode())
    statement = "clip = decode_clip(args[0], sample_rate=16000, end_s=100.0, video=False)\nassert len(clip.wav) == 1_600_000"
    peak, before = peak_of(statement, tmp_path / "slow.mkv")
    assert peak - before < 120, (peak, before)  # one frame of it is 48 million samples
    with pytest.raises(MediaError) as caught:
        decode_clip(tmp_path / "slow.mkv", max_s=600)
    assert caught.value.status == "too_long" and "--max_s" in str(caught.value)
    with pytest.raises(MediaError) as caught:
        decode_clip(tmp_path / "slow.mkv", max_bytes=10**7)
    assert caught.value.status == "too_large"


def test_a_picture_that_is_held_for_hours_is_not_held_in_memory(tmp_path):
    "A sound of an hour with two frames beside it: as a whole it would be 2.5 GB of the first."
    with av.open(str(tmp_path / "still.mkv"), "w") as out:
        video = out.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 96, 96, "yuv420p"
        sound = out.add_stream("pcm_s16le", rate=1000, layout="mono")
        for k, at in enumerate((0, 3600 * 25 - 1)):
            picture = av.VideoFrame.from_ndarray(np.full((96, 96, 3), 90 * k, np.uint8), format="rgb24")
            picture.pts, picture.time_base = at, Fraction(1, 25)
            out.mux(video.encode(picture))
        out.mux(video.encode())
        for k in range(3600):
            frame = av.AudioFrame.from_ndarray(np.full((1, 1000), k % 5, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 1000, 1000 * k, Fraction(1, 1000)
            out.mux(sound.encode(frame))
        out.mux(sound.encode())
    with pytest.raises(MediaError) as caught:
        decode_clip(tmp_path / "still.mkv", fps=25, size=(96, 96), max_bytes=2**27)
    assert caught.value.status == "too_large"
    n_frames = sum(len(piece.samples) for piece in ClipPieces(tmp_path / "still.mkv", fps=25, size=(8, 8)) if piece.kind == "video")
    assert n_frames == 90_000


def test_what_is_declared_is_refused_at_once():
    assert Decoding().max_bytes == 2**34 and Decoding().max_pixels == 2**26
