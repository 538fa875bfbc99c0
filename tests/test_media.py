"Decoding: time, damage, and real files of every awkward kind."

import csv
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avesound.media.container import MediaError, NoAudio, probe
from avesound.media.decode import decode_clip
from avesound.media.write import write_clip
from conftest import flash_and_click


def onsets(curve, rate):
    on = curve > (curve.min() + curve.max()) / 2
    return (np.flatnonzero(on[1:] & ~on[:-1]) + 1) / rate


def brightness(clip):
    h, w = clip.frames.shape[1:3]
    return clip.frames[:, h * 12 // 96 : h * 36 // 96, w * 24 // 128 : w * 46 // 128].mean((1, 2, 3))


def level(clip, rate=100):
    n = clip.sample_rate // rate
    return np.abs(clip.wav[: len(clip.wav) // n * n]).reshape(-1, n).max(1)


def write_vfr(path, times, images, rate=1000):
    "A video whose frames are shown at given times (seconds)."
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options={"crf": "18"})
        stream.height, stream.width, stream.pix_fmt = images.shape[1], images.shape[2], "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, rate)
        for t, image in zip(times, images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(t * rate), Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([8.0, 12.5, 16.0, 25.0, 60.0]))
def test_frames_are_chosen_by_presentation_time_whatever_the_gaps(tmp_path_factory, seed, fps):
    rng = np.random.default_rng(seed)
    times = np.concatenate([[0.0], np.cumsum(rng.integers(15, 200, 30) / 1000)])
    shades = np.arange(31) * 7 + 20  # each frame has its own shade of grey
    images = np.broadcast_to(shades[:, None, None, None], (31, 32, 32, 3)).astype(np.uint8)
    path = tmp_path_factory.mktemp("vfr") / "vfr.mp4"
    write_vfr(path, times, images)
    clip = decode_clip(path, fps=fps)
    moments = (np.arange(len(clip.frames)) + 0.5) / fps
    shown = np.abs(clip.frames.mean((1, 2, 3))[:, None] - shades).argmin(1)
    expected = np.searchsorted(times, moments + 1e-9, side="right") - 1
    near = np.abs(moments[:, None] - times).min(1) < 2e-3  # the container rounds to milliseconds
    assert ((shown == expected) | near).all()


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_sound_of_any_rate_lands_at_its_time(tmp_path, rate):
    frames, wav = flash_and_click(sample_rate=rate)
    write_clip(tmp_path / "a.mp4", frames, 20, wav, rate)
    clip = decode_clip(tmp_path / "a.mp4", fps=100)
    assert len(clip.wav) == round(clip.duration_s * 16000)
    assert np.allclose(onsets(level(clip), 100), [0.5, 1.5, 2.5, 3.5], atol=0.015)
    assert np.allclose(onsets(brightness(clip), 100), [0.5, 1.5, 2.5, 3.5], atol=0.011)


def test_a_hole_in_the_sound_stays_a_hole(tmp_path):
    _, wav = flash_and_click(duration_s=2)
    with av.open(str(tmp_path / "hole.mkv"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=16000, layout="mono")
        for start, pts in [(0, 0), (16000, 48000)]:  # the second half comes two seconds late
            for i in range(0, 16000, 1600):
                samples = (wav[None, start + i : start + i + 1600] * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
                frame.sample_rate, frame.time_base, frame.pts = 16000, Fraction(1, 16000), pts + i
                out.mux(stream.encode(frame))
        out.mux(stream.encode())
    clip = decode_clip(tmp_path / "hole.mkv", video=False)
    assert abs(clip.duration_s - 4) < 0.02 and np.abs(clip.wav[16500:47500]).max() < 1e-3
    assert np.allclose(onsets(level(clip), 100), [0.5, 3.5], atol=0.02)


def test_rotated_picture_stands_upright(tmp_path):
    frames, _ = flash_and_click(duration_s=1)
    plain, turned = tmp_path / "plain.mp4", tmp_path / "turned.mp4"
    write_clip(plain, frames, 20)
    # Set the display matrix of the track header to a quarter turn: 16.16 fixed point, rows (a b u / c d v / x y w).
    data = bytearray(plain.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 4 * 9  # version and flags, then nine words up to the matrix
    one, zero, last = (65536).to_bytes(4, "big"), bytes(4), (1 << 30).to_bytes(4, "big")
    minus = (-65536 & 0xFFFFFFFF).to_bytes(4, "big")
    assert data[at : at + 36] == one + zero * 3 + one + zero * 3 + last
    data[at : at + 36] = zero + one + zero + minus + zero * 4 + last  # clockwise by 90 degrees
    turned.write_bytes(data)
    a, b = decode_clip(plain).frames, decode_clip(turned).frames
    assert a.shape[1:3] == (96, 128) and b.shape[1:3] == (128, 96)
    assert np.abs(np.rot90(a, -1, axes=(1, 2)).astype(int) - b).mean() < 2
    assert decode_clip(turned, size=(60, 40)).frames.shape[1:3] == (60, 40)


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.8, 0.95])
def test_a_truncated_file_is_refused(tmp_path, keep):
    frames, wav = flash_and_click(duration_s=8)
    write_clip(tmp_path / "whole.mp4", frames, 20, wav)
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(MediaError, match="cut.mp4") as caught:
        decode_clip(tmp_path / "cut.mp4", fps=8)
    assert caught.value.status == "corrupt"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_damage_gives_a_clip_or_a_media_error_never_anything_else(damaged_source, seed):
    folder, data = damaged_source
    rng = np.random.default_rng(seed)
    broken = bytearray(data)
    for at in rng.integers(0, len(broken), rng.integers(1, 40)):
        broken[at] = rng.integers(256)
    path = folder / "damaged.mp4"
    path.write_bytes(broken)
    try:
        clip = decode_clip(path, fps=8, size=(32, 32), timeout_s=20, max_s=60)
        assert clip.duration_s > 0 and (clip.wav is None or np.isfinite(clip.wav).all())
    except MediaError as error:
        assert "damaged.mp4" in str(error)


@pytest.fixture(scope="module")
def damaged_source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damage")
    frames, wav = flash_and_click(duration_s=2)
    write_clip(folder / "whole.mp4", frames, 20, wav)
    return folder, (folder / "whole.mp4").read_bytes()


def test_memory_follows_what_is_asked_for_not_the_length_of_the_file(tmp_path):
    frames = np.zeros((1, 120, 160, 3), np.uint8)
    with av.open(str(tmp_path / "long.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = 120, 160, "yuv420p"
        for _ in range(6000):  # ten minutes
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frames[0], format="rgb24")))
        out.mux(stream.encode())
    program = (
        "import resource, sys; from avesound.media.decode import decode_clip; before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "c = decode_clip(sys.argv[1], fps=10, size=(120, 160), start_s=float(sys.argv[2]), end_s=float(sys.argv[2]) + 10);"
        "assert len(c.frames) == 100, c.frames.shape; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    for start in (0, 580):
        grown = subprocess.run(
            [sys.executable, "-c", program, tmp_path / "long.mp4", str(start)], capture_output=True, text=True, check=True
        )
        assert int(grown.stdout) < 60_000, f"{grown.stdout} KB for 10 s (5.8 MB of frames); the whole would be 346 MB"


# Real files ---------------------------------------------------------------------------------------------------------------


def manifest(folder):
    with open(folder / "manifest.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_real_file_decodes_to_its_declared_length_or_says_why(real_clips):
    rows = manifest(real_clips)
    assert len(rows) == 39
    for row in rows:
        path = real_clips / row["file"]
        if not row["duration_s"]:
            with pytest.raises(MediaError, match=row["file"]):
                decode_clip(path)
            continue
        clip = decode_clip(path, fps=8, size=(64, 64))
        assert abs(clip.duration_s - float(row["duration_s"])) < 0.06, row["file"]
        assert (clip.frames is None) == (not row["vcodec"]), row["file"]
        assert (clip.wav is None) == (not row["acodec"]), row["file"]
        if clip.frames is not None:
            assert len(clip.frames) == max(1, round(clip.duration_s * 8))


def test_probe_agrees_with_the_manifest(real_clips):
    for row in manifest(real_clips):
        if row["duration_s"] and row["file"] != "nasa_13013.mp4":  # of its two video and audio streams a player takes the larger ones
            info = probe(real_clips / row["file"])
            assert (info.width or 0, info.height or 0) == (int(row["w"] or 0), int(row["h"] or 0)), row["file"]
            assert info.sample_rate == (int(row["audio_sr"]) if row["audio_sr"] else None), row["file"]


def test_real_awkward_files(real_clips):
    upright = decode_clip(real_clips / "streamio_sideways.mov", audio=False)
    assert upright.frames.shape[1:3] == (640, 480)
    wide = decode_clip(real_clips / "bbb_small_5.1.mp4", audio=False)
    assert wide.frames.shape[1:3] == (240, 427)  # 320 x 240 with pixels of 4:3
    late = decode_clip(real_clips / "streamio_awesome_vfr.mov", video=False)
    assert (late.wav[: int(0.08 * 16000)] == 0).all() and late.wav[int(0.1 * 16000) :].any()
    assert not decode_clip(real_clips / "imageio_cockatoo_zero_audio.mp4", video=False).wav.any()
    with pytest.raises(NoAudio):
        decode_clip(real_clips / "torchcodec_av1_no_audio.mkv", video=False)


def test_the_same_clip_in_two_encodings_sounds_the_same(real_clips):
    a, b = (decode_clip(real_clips / f"3qesirWAGt4_20000_30000{x}.mp4", fps=5, size=(64, 64)) for x in ("", "_25fps_256side_16k"))
    n = min(len(a.wav), len(b.wav))
    lags = range(-800, 801, 40)
    best = max(lags, key=lambda lag: np.dot(a.wav[1000 : n - 1000], np.roll(b.wav, lag)[1000 : n - 1000]))
    assert abs(best) <= 480  # 30 ms
    assert np.abs(a.frames[:45].astype(int) - b.frames[:45]).mean() < 8


# Found in review ----------------------------------------------------------------------------------------------------------


def write_sound(path, pieces, rate=16000):
    "PCM in Matroska: [(start in s, samples)], each with its own time stamp."
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=rate, layout="mono")
        for start, samples in pieces:
            frame = av.AudioFrame.from_ndarray((samples[None] * 32767).astype(np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round(start * rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def test_small_gaps_do_not_add_up(tmp_path):
    quiet, loud = np.zeros(1600), np.full(1600, 0.5)
    write_sound(tmp_path / "gaps.mkv", [(0.13 * i, loud if i == 60 else quiet) for i in range(80)])  # 100 ms of sound every 130 ms
    clip = decode_clip(tmp_path / "gaps.mkv", video=False)
    assert abs(np.flatnonzero(np.abs(clip.wav) > 0.2)[0] / 16000 - 0.13 * 60) < 0.06


@pytest.mark.parametrize("streams", ["sound", "picture"])
def test_a_time_stamp_far_away_does_not_eat_the_memory(tmp_path, streams):
    path = tmp_path / "far.mkv"
    if streams == "sound":
        write_sound(path, [(0, np.zeros(1600)), (90_000, np.zeros(1600))])
    else:
        write_vfr(path, [0, 0.1, 0.2, 90_000], np.zeros((4, 32, 32, 3), np.uint8))
    with pytest.raises(MediaError) as caught:
        decode_clip(path, max_s=60, fps=25)
    assert caught.value.status == "too_long"


def test_half_a_matroska_file_is_truncated(tmp_path):
    frames, wav = flash_and_click(duration_s=4)
    write_clip(tmp_path / "whole.mkv", frames, 20, wav)
    assert decode_clip(tmp_path / "whole.mkv").duration_s > 3.9
    data = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "half.mkv").write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match="half.mkv"):
        decode_clip(tmp_path / "half.mkv")
