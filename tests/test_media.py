"Decoding: time, damage, and real files of every awkward kind."

import csv
import errno
import os
import shutil
import struct
import subprocess
import sys
from fractions import Fraction
from unittest import mock

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_containers import write_pair

from avesound.embeddings.clips import media_files
from avesound.embeddings.extract import RunSettings, extract
from avesound.embeddings.journal import FINAL
from avesound.media import clock, container
from avesound.media.container import MediaError, NoAudio, NoVideo, probe
from avesound.media.decode import decode_clip
from avesound.media.pieces import ClipPieces
from avesound.media.write import write_clip
from avesound.report import findings
from avesound.viewer.inspector import Inspector
from avesound.viewer.run import Run
from avesound.viewer.still import still
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
    for start in (0, 580):
        grown = growth(
            f"c = decode_clip(path, fps=10, size=(120, 160), start_s={start}, end_s={start + 10}); assert len(c.frames) == 100",
            tmp_path / "long.mp4",
        )
        assert grown < 60_000, f"{grown} KB for 10 s (5.8 MB of frames); the whole would be 346 MB"


def growth(statement, path):
    "How many KB a statement adds to the peak memory of a fresh process. (What `getrusage` calls its peak is at least that of its parent.)"
    if not os.path.exists("/proc/self/status"):
        pytest.skip("there is no /proc here to read the peak memory from")
    program = (
        "import sys; from avesound.media.decode import decode_clip; path = sys.argv[1]\n"
        "def peak(): return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        f"decode_clip(path, size=(32, 32), end_s=0.4); before = peak(); {statement}; print(peak() - before)"
    )
    return int(subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True).stdout)


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


# Time and picture of real containers --------------------------------------------------------------------------------------


def numbered(k, size=(48, 64)):
    "A picture that bears its number in nine bars, bright where a binary digit is 1."
    bars = np.where(k >> np.arange(9) & 1, 220, 40)
    row = np.pad(np.repeat(bars, size[1] // 9), (0, size[1] % 9))
    return np.broadcast_to(row[None, :, None], (*size, 3)).astype(np.uint8)


def numbers(frames):
    middle = ((np.arange(9) + 0.5) * (frames.shape[2] // 9)).astype(int)
    return (frames[:, frames.shape[1] // 2, middle].mean(2) > 130) @ (1 << np.arange(9))


def write_numbered(path, video="libx264", n=75, fps=25, *, times=None, b_frames=2, gop=24, container=None, options=None, **stream_options):
    "A silent film of numbered pictures, shown one after the other or at the given multiples of 1/fps."
    with av.open(path if hasattr(path, "write") else str(path), "w", format=container, options=options or {}) as out:
        stream = out.add_stream(video, rate=fps, options={name.replace("_", "-"): value for name, value in stream_options.items()})
        stream.width, stream.height, stream.pix_fmt = 64, 48, {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(video, "yuv420p")
        if video != "libx265":
            stream.codec_context.max_b_frames, stream.codec_context.gop_size = b_frames, gop
        for k in range(n):
            frame = av.VideoFrame.from_ndarray(numbered(k), format="rgb24")
            frame.pts, frame.time_base = k if times is None else times[k], Fraction(1, fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    "kind",
    [
        dict(video="libx264", b_frames=3),
        dict(video="libx264", b_frames=8, x264_params="b-pyramid=normal:b-adapt=0:bframes=8"),
        dict(video="libx264", b_frames=0),
        dict(video="mpeg4"),
        dict(video="mpeg2video"),
        dict(video="mjpeg", b_frames=0),
    ],
    ids=["h264", "pyramid", "h264 without B", "mpeg4", "mpeg2", "mjpeg"],
)
def test_avi_shows_picture_k_at_its_place(tmp_path, kind):
    path = write_numbered(tmp_path / "a.avi", n=300, fps=30, **kind)
    assert (numbers(decode_clip(path).frames) == np.arange(300)).all()
    assert (numbers(decode_clip(path, start_s=7.5).frames) == np.arange(225, 300)).all()


@pytest.mark.parametrize("name", ["a.mxf", "a.h264", "a.mpg"])
def test_order_comes_from_the_decoder_where_the_file_stores_none(tmp_path, name):
    path = write_numbered(tmp_path / name, "libx264", b_frames=3)
    shown = decode_clip(path, fps=25).frames
    assert (numbers(shown)[:75] == np.arange(75)).all()


@pytest.mark.parametrize("video, b_frames", [("mpeg4", 0), ("libx264", 0), ("mpeg4", 2), ("libx264", 3)])
def test_chunks_that_avi_leaves_out_show_the_last_picture_longer(tmp_path, video, b_frames):
    times = [k + 5 * (k >= 20) + 30 * (k >= 50) for k in range(75)]
    path = write_numbered(tmp_path / "gaps.avi", video, times=times, b_frames=b_frames)
    expected = np.searchsorted(times, np.arange(times[-1] + 1), side="right") - 1
    shown = numbers(decode_clip(path).frames)
    assert len(shown) == len(expected)
    if b_frames:  # the writer puts the gap before the packet that is decoded then, up to two pictures later
        near = (np.abs(np.arange(len(shown)) - 22) < 5) | (np.abs(np.arange(len(shown)) - 70) < 17)
        assert np.abs(shown - expected)[near].max() <= 2
        shown, expected = shown[~near], expected[~near]
    assert (shown == expected).all()


def test_packed_b_frames(tmp_path):
    "DivX's way to put B-frames into AVI: a chunk with two pictures, and one with none."
    with av.open(str(tmp_path / "plain.avi"), "w") as out:
        stream = out.add_stream("mpeg4", rate=25, options={"b_strategy": "0", "qscale": "3"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.max_b_frames, stream.codec_context.gop_size = 1, 24
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        packets = [packet for k in range(75) for packet in stream.encode(av.VideoFrame.from_ndarray(numbered(k), format="rgb24"))]
        data = [bytes(packet) for packet in packets + stream.encode()]
    start = b"\0\0\1\xb6"  # of a picture; the first two bits that follow are its type
    is_b = [piece[piece.index(start) + 4] >> 6 == 2 for piece in data] + [False]
    nothing = start + bytes([0b01_0_1_0000, 0b0_1_0_11111])  # P, this second, a marker, 5 bits of time, a marker, not coded
    chunks = []
    for k, piece in enumerate(data):
        chunks += [] if is_b[k] else [piece + data[k + 1], nothing] if is_b[k + 1] else [piece]
    chunks[0] = chunks[0].replace(start, b"\0\0\1\xb2DivX503b1393p" + start, 1)
    assert len(chunks) == 75 and sum(chunk == nothing for chunk in chunks) > 30
    with av.open(str(tmp_path / "packed.avi"), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k, chunk in enumerate(chunks):
            packet = av.Packet(chunk)
            packet.pts = packet.dts = k
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, k == 0
            out.mux(packet)
    assert (numbers(decode_clip(tmp_path / "packed.avi").frames) == np.arange(75)).all()


def test_a_lost_chunk_leaves_the_others_in_their_place(tmp_path):
    path = write_numbered(tmp_path / "a.avi", "mjpeg", b_frames=0)
    data = bytearray(path.read_bytes())
    pictures = [at for at in range(len(data) - 8) if data[at : at + 4] == b"00dc" and data[at + 8 : at + 10] == b"\xff\xd8"]
    data[pictures[40] + 8 : pictures[40] + 200] = bytes(192)
    path.write_bytes(data)
    shown = numbers(decode_clip(path).frames)
    assert len(shown) == 75 and (np.delete(shown, 40) == np.delete(np.arange(75), 40)).all()


# ---- sound: rounding and jumps


def write_stamped(path, codec, stamps, pieces, rate=48000):
    "Frames of sound, each packet with a stamp of its own, in samples."
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        for stamp, piece in zip(stamps, pieces):
            frame = av.AudioFrame.from_ndarray((piece[None] * 32767).astype(np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, stamp, Fraction(1, rate)
            for packet in stream.encode(frame):
                packet.pts = packet.dts = stamp
                out.mux(packet)
        out.mux(stream.encode())
    return path


def hum(n_frames, rate=48000, length=1024, seed=0):
    t = np.arange(n_frames * length) / rate
    wav = 0.4 * np.sin(2 * np.pi * (200 + 40 * t) * t) + 0.05 * np.random.default_rng(seed).standard_normal(len(t))
    return wav, wav.reshape(n_frames, length)


@pytest.mark.parametrize("jitter_ms", [0, 8], ids=["rounded to milliseconds", "jitter of 8 ms"])
def test_stamps_that_go_to_and_fro_do_not_tear_the_sound(tmp_path, jitter_ms):
    wav, pieces = hum(150, rate=44100)
    off = np.random.default_rng(1).uniform(-jitter_ms, jitter_ms, 150) * 44.1 * (np.arange(150) > 0)
    path = write_stamped(tmp_path / "a.mkv", "pcm_s16le", [max(0, 1024 * k + round(off[k])) for k in range(150)], pieces, 44100)
    heard = decode_clip(path, sample_rate=44100).wav
    assert len(heard) == len(wav) and np.abs(heard - wav).max() < 1e-3


@pytest.mark.parametrize("jump_ms", [-20, 4, 12, 43, 200])
@pytest.mark.parametrize("at", [1, 70])
def test_a_jump_that_stays_is_a_jump_however_small(tmp_path, jump_ms, at):
    wav, pieces = hum(150)
    jump = jump_ms * 48
    if at == 1 and jump < 0:
        pytest.skip("there is nothing before the beginning")
    path = write_stamped(tmp_path / "a.mkv", "pcm_s16le", [1024 * k + jump * (k >= at) for k in range(150)], pieces)
    heard = decode_clip(path, sample_rate=48000).wav
    first = 1024 * at + max(0, jump) + 100
    expected = wav[first - jump :]
    lag = min(range(-60, 61), key=lambda d: np.abs(heard[first + 60 + d :][:20000] - expected[60:][:20000]).mean())
    assert abs(lag) <= 48, f"off by {lag / 48:.2f} ms where the stamps are rounded to 1 ms"
    cut = decode_clip(path, sample_rate=48000, start_s=2.0).wav
    assert np.abs(cut - heard[96000:]).max() < 1e-6


def test_the_sound_of_a_fragmented_mp4_waits_for_the_picture(tmp_path):
    path = tmp_path / "frag.mp4"
    frames, wav = flash_and_click(duration_s=4, fps=30)
    with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}) as out:
        video, audio = out.add_stream("libx264", rate=30), out.add_stream("aac", rate=16000, layout="mono")
        video.height, video.width, video.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        video.codec_context.max_b_frames = 3
        packets = [p for image in frames for p in video.encode(av.VideoFrame.from_ndarray(image, format="rgb24"))] + video.encode()
        for at in range(0, len(wav), 1024):
            frame = av.AudioFrame.from_ndarray(wav[None, at : at + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, at, Fraction(1, 16000)
            packets += audio.encode(frame)
        for packet in sorted(packets + audio.encode(), key=lambda p: p.dts * p.time_base):
            out.mux(packet)
    for start_s in (0.0, 1.2, 2.3):
        clip = decode_clip(path, fps=1000, size=(24, 32), sample_rate=48000, start_s=start_s)
        flashes, clicks = onsets(brightness(clip), 1000), np.flatnonzero(np.abs(clip.wav) > 0.15) / 48000
        assert len(flashes) == int(4.5 - start_s)
        for flash in flashes:
            assert np.abs(clicks - flash).min() < 0.005 and not ((clicks > flash - 0.1) & (clicks < flash - 0.005)).any()


# ---- lengths


@pytest.mark.parametrize("offset_s", [2, 3700])
@pytest.mark.parametrize("suffix", ["mkv", "flv", "ts", "mp4"])
def test_a_clock_that_begins_late_is_no_truncation(tmp_path, suffix, offset_s):
    path = write_numbered(tmp_path / f"late.{suffix}", n=100, times=[25 * offset_s + k for k in range(100)])
    clip = decode_clip(path, max_s=20)
    assert abs(clip.duration_s - 4) < 0.05 and (numbers(clip.frames[:100]) == np.arange(100)).all()
    assert abs(probe(path).duration_s - 4) < 0.1 or suffix in ("flv", "mp4")
    assert (numbers(decode_clip(path, start_s=3.2, max_s=20).frames[:20]) == np.arange(80, 100)).all()
    if suffix == "mkv":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(MediaError, match="truncated"):
            decode_clip(path, max_s=20)


def write_noise(path, codec, silent_s, noisy_s, rate=44100, **kw):
    with av.open(str(path), "w", **kw) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        if codec == "libmp3lame":  # a variable bit rate
            stream.codec_context.qscale, stream.codec_context.global_quality = True, 4
        wav = np.random.default_rng(0).uniform(-0.5, 0.5, int((silent_s + noisy_s) * rate)).astype(np.float32)
        wav[: int(silent_s * rate)] = 0
        for at in range(0, len(wav), 1152):
            frame = av.AudioFrame.from_ndarray(wav[None, at : at + 1152], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


@pytest.mark.parametrize("name, codec, kw", [("a.aac", "aac", {}), ("a.mp3", "libmp3lame", dict(options={"write_xing": "0"}))])
def test_a_length_guessed_from_the_bit_rate_convicts_nobody(tmp_path, name, codec, kw):
    path = write_noise(tmp_path / name, codec, 7, 1, **kw)
    with av.open(str(path)) as guess:
        assert guess.duration / av.time_base > 9
    clip = decode_clip(path, max_s=8.5)
    assert abs(clip.duration_s - 8) < 0.1 and abs(probe(path).duration_s - 8) < 0.1


@pytest.mark.parametrize(
    "name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.flv", "a.avi", "a.mxf", "a.ivf", "a.wav", "a.aiff", "a.flac", "a.mp3"]
)
def test_a_truncated_file_is_convicted_where_its_header_declares_more(tmp_path, name):
    path = tmp_path / name
    codec = {"wav": "pcm_s16le", "aiff": "pcm_s16be", "flac": "flac", "mp3": "libmp3lame"}.get(path.suffix[1:])
    if codec:
        write_noise(path, codec, 0, 6)
    else:
        video = {"webm": "libvpx", "ivf": "libvpx", "mxf": "mpeg2video"}.get(path.suffix[1:], "libx264")
        write_numbered(path, video, n=150, options={"movflags": "faststart"} if path.suffix in (".mp4", ".mov") else None)
    assert abs(decode_clip(path).duration_s - 6) < 0.1
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(MediaError, match=name) as caught:
        decode_clip(path)
    assert caught.value.status == "corrupt"


class Pipe:
    "Something to write to that cannot be gone back in."

    def __init__(self):
        self.data = bytearray()

    def write(self, data):
        self.data += data
        return len(data)


@pytest.mark.parametrize(
    "container, video", [("avi", "mpeg4"), ("avi", "libx264"), ("matroska", "libx264"), ("flv", "libx264"), ("mpegts", "libx264")]
)
def test_a_recording_that_was_never_finished_declares_nothing(tmp_path, container, video):
    "And has no index: the pictures of a part are those of the whole all the same."
    pipe = write_numbered(Pipe(), video, n=150, fps=50, times=list(range(0, 300, 2)), gop=40, container=container)
    path = tmp_path / f"live.{container}"
    path.write_bytes(pipe.data)
    clip = decode_clip(path, fps=25, max_s=60)
    assert abs(clip.duration_s - 6) < 0.1 and (numbers(clip.frames[:149]) == np.arange(149)).all()
    whole = decode_clip(path, fps=100).frames
    for k in (60, 83, 141):
        part = decode_clip(path, fps=100, start_s=k / 25).frames
        assert (numbers(part) == numbers(whole[4 * k :])).all()


def test_avi_without_an_index_is_not_counted_from_the_middle(tmp_path):
    if shutil.which("ffmpeg") is None:
        pytest.skip("the file is made by ffmpeg, which is not installed")
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        video, audio = out.add_stream("libx264", rate=25), out.add_stream("aac", rate=48000, layout="mono")
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.gop_size, video.codec_context.max_b_frames = 50, 3
        for k in range(200):
            out.mux(video.encode(av.VideoFrame.from_ndarray(numbered(k), format="rgb24")))
        out.mux(video.encode())
        for at in range(0, 8 * 48000, 1024):
            frame = av.AudioFrame.from_ndarray(np.full((1, 1024), 0.01, np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, at
            out.mux(audio.encode(frame))
        out.mux(audio.encode())
    copied = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", tmp_path / "a.mp4", "-c", "copy", "-f", "avi", "-"], capture_output=True, check=True
    ).stdout
    (tmp_path / "a.avi").write_bytes(copied)
    whole = numbers(decode_clip(tmp_path / "a.avi", fps=100, audio=False).frames)
    for k in (63, 82, 111, 153):
        part = numbers(decode_clip(tmp_path / "a.avi", fps=100, start_s=k / 25, audio=False).frames)
        assert len(part) == len(whole) - 4 * k and (part == whole[4 * k :]).all()


def test_how_long_a_picture_lasts_is_bounded_too(tmp_path):
    "A file of two pictures, 512 s each because of one damaged number."
    write_clip(tmp_path / "a.mp4", np.zeros((2, 32, 32, 3), np.uint8), 25)
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    at = data.index(b"mdhd") + 16  # version and flags, two dates, ticks per second
    assert int.from_bytes(data[at : at + 4], "big") == 12800
    data[at : at + 4] = (1).to_bytes(4, "big")
    (tmp_path / "a.mp4").write_bytes(data.replace(b"edts", b"free"))
    with pytest.raises(MediaError, match="max_s") as caught:
        decode_clip(tmp_path / "a.mp4", max_s=600, fps=16)
    assert caught.value.status == "too_long"
    assert decode_clip(tmp_path / "a.mp4", max_s=600, fps=16, end_s=2).duration_s == 2
    path = write_numbered(
        tmp_path / "slow.gif", "gif", n=2, fps=100, times=[0, 40_000], options={"final_delay": "40000"}
    )  # declares nothing
    with pytest.raises(MediaError, match="max_s"):
        decode_clip(path, max_s=600, fps=16)
    assert decode_clip(path, max_s=600, fps=1, end_s=500).duration_s == 500


def test_numbers_that_memory_follows_are_not_taken_at_their_word(tmp_path):
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.sample_aspect_ratio = 64, 48, "yuv420p", Fraction(3, 1)
        for k in range(30):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(k), format="rgb24")))
        out.mux(stream.encode())
    assert decode_clip(path).frames.shape[1:] == (48, 192, 3)
    data = bytearray(path.read_bytes())
    at = data.index(b"pasp") + 4
    data[at : at + 4] = (2_000_000).to_bytes(4, "big")
    path.write_bytes(data)
    assert decode_clip(path).frames.shape[1:] == (48, 64, 3)
    assert len(decode_clip(path, fps=25, end_s=1e7).frames) < 40  # an end that is far away allocates nothing
    # Twenty pictures within 10 ms, and sound for a second: at that rate it would be 2,000 pictures.
    path = tmp_path / "fast.mp4"
    with av.open(str(path), "w") as out:
        video, audio = out.add_stream("libx264", rate=2000), out.add_stream("pcm_s16le", rate=16000, layout="mono")
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for k in range(20):
            out.mux(video.encode(av.VideoFrame.from_ndarray(numbered(k), format="rgb24")))
        out.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16000
        out.mux(audio.encode(frame))
    clip = decode_clip(path)
    assert clip.fps <= 1000 and len(clip.frames) <= 1000 and abs(clip.duration_s - 1) < 0.01


# ---- pictures that nobody looks at

X265 = "log-level=none:keyint=40:bframes=4:b-adapt=0"
THINNED = {
    "h264.mp4": ("mp4", dict(video="libx264", b_frames=3)),
    "pyramid.mkv": ("mkv", dict(video="libx264", b_frames=8, x264_params="b-pyramid=normal:b-adapt=0:bframes=8")),
    "open groups": ("mp4", dict(video="libx264", b_frames=5, gop=40, x264_params="open-gop=1:keyint=40:bframes=5:b-adapt=0")),
    "gaps": ("mkv", dict(video="libx264", b_frames=3, times=[k + 7 * (k >= 20) + 30 * (k >= 50) for k in range(90)])),
    "hevc.mp4": ("mp4", dict(video="libx265", x265_params=X265)),
    "hevc.mkv": ("mkv", dict(video="libx265", x265_params=X265 + ":b-pyramid=0")),
}


@pytest.fixture
def decoding(monkeypatch):
    "Counts the pictures that come out of the decoder."
    counted = []
    through = clock._decoded

    def count(*args, **kw):
        for packet, frames in through(*args, **kw):
            counted.extend(frames)
            yield packet, frames

    monkeypatch.setattr(clock, "_decoded", count)
    return counted


def as_before(monkeypatch, make):
    with monkeypatch.context() as patch:
        patch.setattr(clock, "_can_be_thinned", lambda *_: False)
        return make()


@pytest.mark.parametrize("suffix, kind", THINNED.values(), ids=THINNED.keys())
def test_pictures_that_nobody_looks_at_are_not_decoded_and_nothing_else_changes(tmp_path, monkeypatch, decoding, suffix, kind):
    path = write_numbered(tmp_path / f"a.{suffix}", n=90, **kind)
    for part in (dict(fps=2), dict(fps=7), dict(fps=12), dict(fps=25), dict(fps=60), dict(fps=7, end_s=1.9), dict(fps=7, start_s=1.3)):
        decoding.clear()
        whole = as_before(monkeypatch, lambda part=part: decode_clip(path, **part))
        n_whole = len(decoding)
        decoding.clear()
        thinned = decode_clip(path, **part)
        n_thinned = len(decoding)
        assert np.array_equal(thinned.frames, whole.frames) and thinned.duration_s == whole.duration_s, part
        assert n_thinned <= n_whole and (n_thinned < 0.8 * n_whole or part["fps"] > 7 or len(part) > 1), (part, n_thinned, n_whole)
    pieces = ClipPieces(path, fps=7)
    blocks = [piece.samples for piece in pieces]
    assert np.array_equal(np.concatenate(blocks), decode_clip(path, fps=7).frames)


def test_a_film_that_is_not_as_it_was_planned_is_decoded_anew(tmp_path, monkeypatch):
    path = write_numbered(tmp_path / "a.mp4", "libx264", n=90, b_frames=3)
    whole = as_before(monkeypatch, lambda: decode_clip(path, fps=7))
    through, interruptions = clock._pictures_from, []
    for n in (1, 20, 60, 88):  # pictures after which it turns out

        def interrupted(*args, n=n, **kw):
            for k, shown in enumerate(through(*args, **kw)):
                if k == n and args[3] is not None:
                    interruptions.append(n)
                    raise clock.Unplanned
                yield shown

        interruptions.clear()
        with monkeypatch.context() as patch:
            patch.setattr(clock, "_pictures_from", lambda *args, is_seen: interrupted(*args, is_seen))
            again = decode_clip(path, fps=7)
            in_pieces = np.concatenate([piece.samples for piece in ClipPieces(path, fps=7)])
        assert interruptions == [n, n] and np.array_equal(again.frames, whole.frames) and np.array_equal(in_pieces, whole.frames)


def test_a_picture_that_is_missing_is_no_picture_that_was_left_out(tmp_path, monkeypatch):
    "Where the decoder cannot make a picture that is looked at, the one before it stands for it, whether anybody looks at that or not."
    path = write_numbered(tmp_path / "a.mp4", "libx264", n=90, b_frames=3)
    through = clock._decoded
    for missing in (11, 12, 30, 31):

        def without(*args, missing=missing, **kw):
            for packet, frames in through(*args, **kw):
                yield packet, [frame for frame in frames if round(frame.pts * frame.time_base * 25) != missing]

        monkeypatch.setattr(clock, "_decoded", without)
        whole = as_before(monkeypatch, lambda: decode_clip(path, fps=12.5))
        assert np.array_equal(decode_clip(path, fps=12.5).frames, whole.frames), missing


@pytest.mark.parametrize("at", range(38, 46))
def test_an_empty_packet_makes_the_picture_last_longer_that_was_there(tmp_path, monkeypatch, at):
    path = write_numbered(tmp_path / "a.mkv", "libx264", n=90, b_frames=3)
    through = clock._packets

    def with_one_empty(*args):
        for k, packet in enumerate(through(*args)):
            yield packet
            if k == at:
                empty = av.Packet()
                empty.stream, empty.time_base, empty.pts, empty.dts = packet.stream, packet.time_base, packet.pts, packet.dts
                yield empty

    monkeypatch.setattr(clock, "_packets", with_one_empty)
    for fps in (2, 5, 7, 12.5):
        whole = as_before(monkeypatch, lambda fps=fps: decode_clip(path, fps=fps))
        assert np.array_equal(decode_clip(path, fps=fps).frames, whole.frames), fps


@pytest.mark.parametrize("layers", [0, 2])
def test_of_hevc_with_temporal_layers_every_picture_is_decoded(tmp_path, decoding, layers):
    path = write_numbered(tmp_path / "a.mp4", n=60, video="libx265", x265_params=X265)
    data = bytearray(path.read_bytes())
    at = data.index(b"hvcC") + 4 + 21
    data[at] = data[at] & ~0x38 | layers << 3
    path.write_bytes(data)
    decode_clip(path, fps=2)
    assert len(decoding) == 60


# ---- seeking


@pytest.mark.parametrize(
    "suffix, kind",
    [
        ("ts", dict(video="libx264", b_frames=3, gop=150)),
        ("ts", dict(video="libx264", b_frames=5, gop=40, x264_params="open-gop=1:keyint=40:bframes=5:b-adapt=0")),
        ("ts", dict(video="libx264", gop=40, x264_params="intra-refresh=1:keyint=40")),
        ("ts", dict(video="mpeg2video", gop=40)),
        ("ts", dict(video="mpeg4", gop=40)),
        ("mpg", dict(video="mpeg2video", gop=40)),
        ("mpg", dict(video="mpeg4", gop=40)),
        ("mpg", dict(video="libx264", gop=40)),
        ("mkv", dict(video="libx265", x265_params="log-level=none:open-gop=1:keyint=40:bframes=8:b-adapt=0")),
        ("ts", dict(video="libx265", x265_params="log-level=none:open-gop=1:keyint=40:bframes=8:b-adapt=0")),
        ("avi", dict(video="mpeg4", gop=40)),
        ("h264", dict(video="libx264", gop=40)),
        ("ivf", dict(video="libvpx", b_frames=0, gop=40)),
    ],
    ids=[
        "one group",
        "open groups",
        "refresh",
        "mpeg2.ts",
        "mpeg4.ts",
        "mpeg2.mpg",
        "mpeg4.mpg",
        "h264.mpg",
        "hevc.mkv",
        "hevc.ts",
        "avi",
        "bare",
        "ivf",
    ],
)
def test_pictures_of_a_part_are_those_of_the_whole(tmp_path, suffix, kind):
    path = write_numbered(tmp_path / f"a.{suffix}", n=150, **kind)
    whole = decode_clip(path, fps=25).frames
    assert len(np.unique(numbers(whole))) == 150
    for k in (53, 79, 81, 118, 140):
        assert (decode_clip(path, fps=25, start_s=k / 25).frames == whole[k:]).all(), k


def test_a_key_frame_that_the_decoder_cannot_make_out_is_no_place_to_begin(tmp_path):
    path = write_numbered(tmp_path / "a.mp4", n=150, gop=50, b_frames=0, preset="ultrafast", crf="10")
    with av.open(str(path)) as container:
        keys = [(packet.pos, packet.size) for packet in container.demux(container.streams.video[0]) if packet.is_keyframe and packet.size]
    data = bytearray(path.read_bytes())
    at, size = keys[1]
    data[at + size * 7 // 10 : at + size * 8 // 10] = np.random.default_rng(0).bytes(size * 8 // 10 - size * 7 // 10)
    path.write_bytes(data)
    whole = decode_clip(path).frames
    part = decode_clip(path, start_s=3.4).frames
    assert (part == whole[85:]).all()


def test_a_real_file_whose_key_frames_are_none(real_clips):
    "Its decoder needs what an old x264 wrote into the first packet of all."
    path = real_clips / "imageio_cockatoo_zero_audio.mp4"
    whole = decode_clip(path, fps=20, size=(36, 64), audio=False).frames
    assert (decode_clip(path, fps=20, size=(36, 64), audio=False, start_s=5, end_s=7).frames == whole[100:140]).all()


def test_sound_far_into_a_file_is_that_of_the_whole(tmp_path):
    for name, codec, rate in [
        ("a.mka", "aac", 44100),
        ("a.mp3", "libmp3lame", 44100),
        ("a.flac", "flac", 48000),
        ("a.wav", "pcm_s16le", 44100),
    ]:
        path = write_noise(tmp_path / name, codec, 0, 42, rate)
        whole = decode_clip(path).wav
        for start_s in (33.3, 38.123):
            part = decode_clip(path, start_s=start_s, end_s=start_s + 2).wav
            rest = whole[round(start_s * 16000) :][: len(part)]
            assert len(part) == 32000 and np.abs(part[16:] - rest[16:]).max() < 0.02, name


def test_eight_channels_far_into_a_file(tmp_path):
    "PyAV crashes where it hands out more than seven planes."
    path = tmp_path / "surround.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=48000, layout="7.1")
        for at in range(0, 35 * 48000, 1024):
            tone = 0.2 * np.sin(2 * np.pi * 440 * np.arange(at, at + 1024) / 48000)
            frame = av.AudioFrame.from_ndarray(np.repeat(tone, 8)[None].astype(np.float32), format="flt", layout="7.1")
            frame.sample_rate, frame.pts, frame.time_base = 48000, at, Fraction(1, 48000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    whole, part = decode_clip(path).wav, decode_clip(path, start_s=33.3).wav
    assert np.abs(whole).max() > 0.1 and len(part) == len(whole) - round(33.3 * 16000)
    assert np.abs(part[100:-100] - whole[round(33.3 * 16000) :][100:-100]).max() < 0.02


# ---- orientation


@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_all_orientations_come_out_as_ffmpeg_shows_them(tmp_path, degrees, flips):
    image = np.full((48, 64, 3), 40, np.uint8)
    image[:24, :32], image[:24, 32:], image[24:, :32] = (230, 40, 40), (40, 230, 40), (40, 40, 230)
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=5, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.set_display_rotation(degrees, hflip=flips[0], vflip=flips[1])
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode())
    expected = np.rot90(image, degrees // 90)  # counter-clockwise
    expected = expected[:: -1 if flips[1] else 1, :: -1 if flips[0] else 1]
    shown = decode_clip(path).frames[0]
    assert shown.shape == expected.shape and np.abs(shown.astype(int) - expected).mean() < 4
    assert np.abs(decode_clip(path, size=expected.shape[:2]).frames[1].astype(int) - expected).mean() < 4
    if shutil.which("ffmpeg"):
        done = subprocess.run(
            ["ffmpeg", "-v", "error", "-i", path, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
            capture_output=True,
            check=True,
        )
        theirs = np.frombuffer(done.stdout, np.uint8).reshape(shown.shape)
        assert np.abs(shown.astype(int) - theirs).mean() < 4


def test_frames_do_not_stay_in_memory(tmp_path):
    with av.open(str(tmp_path / "large.mp4"), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 720, 1280, "yuv420p"
        stream.set_display_rotation(90)
        frame = av.VideoFrame(1280, 720, "yuv420p")
        for k in range(120):
            frame.pts = k
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    grown = growth("decode_clip(path, size=(32, 32))", tmp_path / "large.mp4")
    assert grown < 40_000, f"{grown} KB for 120 pictures of 1.4 MB"


# ---- what cannot be decoded


def renamed(path, **names):
    "An MP4 file in which the codec of a track has a name that nobody knows: soun=b'apac'."
    data = path.read_bytes()
    for handler, name in names.items():
        at = data.index(b"stsd", data.index(handler.encode())) + 16  # version and flags, a count, a size
        data = data[:at] + name + data[at + 4 :]
        data = data.replace(b"esds", b"free", 1) if handler == "soun" else data.replace(b"avcC", b"free", 1)
    path.write_bytes(data)
    return path


def test_what_can_be_decoded_is_kept_and_what_cannot_is_said(tmp_path):
    frames, wav = flash_and_click(duration_s=1)
    for name in ("deaf", "blind", "neither"):
        write_clip(tmp_path / f"{name}.mp4", frames, 20, wav)
    deaf, blind = renamed(tmp_path / "deaf.mp4", soun=b"apac"), renamed(tmp_path / "blind.mp4", vide=b"xvc9")
    clip = decode_clip(deaf)
    assert clip.wav is None and len(clip.frames) >= 20 and "apac" in clip.undecodable and "audio" in clip.undecodable
    clip = decode_clip(blind)
    assert clip.frames is None and len(clip.wav) >= 16000 and "xvc9" in clip.undecodable and "video" in clip.undecodable
    for path, kw, status in [(deaf, dict(video=False), "no_audio"), (blind, dict(audio=False), "no_video")]:
        with pytest.raises(MediaError, match="no decoder") as caught:
            decode_clip(path, **kw)
        assert caught.value.status == status
    assert probe(deaf).audio_codec is None and "apac" in probe(deaf).undecodable and probe(deaf).video_codec == "h264"
    with pytest.raises(MediaError, match="xvc9.*apac") as caught:
        decode_clip(renamed(tmp_path / "neither.mp4", soun=b"apac", vide=b"xvc9"))
    assert caught.value.status == "corrupt"
    assert decode_clip(tmp_path / "deaf.mp4", audio=False).undecodable == ""


def write_two_tracks(path):
    "A film with two sound tracks: one that nobody can decode, and a tone of 880 Hz."
    with av.open(str(path), "w") as out:
        video, *streams = out.add_stream("libx264", rate=10), *(out.add_stream("aac", rate=44100, layout="mono") for _ in range(2))
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for k in range(20):
            out.mux(video.encode(av.VideoFrame.from_ndarray(numbered(k), format="rgb24")))
        out.mux(video.encode())
        for stream, pitch in zip(streams, (440, 880)):
            for at in range(0, 2 * 44100, 1024):
                tone = 0.3 * np.sin(2 * np.pi * pitch * np.arange(at, at + 1024) / 44100)
                frame = av.AudioFrame.from_ndarray(tone[None].astype(np.float32), format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 44100, at, Fraction(1, 44100)
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
    return renamed(path, soun=b"apac")


def test_of_two_tracks_the_one_that_can_be_decoded_is_taken(tmp_path):
    path = write_two_tracks(tmp_path / "two.mov")
    wav = decode_clip(path).wav
    assert abs(np.abs(np.fft.rfft(wav[:16000])).argmax() - 880) < 2 and abs(len(wav) / 16000 - 2) < 0.05
    assert probe(path).audio_codec == "aac" and probe(path).undecodable == ""


def test_a_decoder_that_gives_up_leaves_the_other_stream(tmp_path, monkeypatch):
    frames, wav = flash_and_click(duration_s=1)
    write_clip(tmp_path / "a.mp4", frames, 20, wav)

    class Refused:
        pts, dts, size, duration, is_discard, is_corrupt = 0, 0, 100, 1, False, False

        def decode(self):
            raise av.error.PatchWelcomeError(1, "Not yet implemented in FFmpeg, patches welcome")

    real = clock._packets
    monkeypatch.setattr(
        clock, "_packets", lambda container, stream, *rest: [Refused()] * 5 if stream.type == "video" else real(container, stream, *rest)
    )
    clip = decode_clip(tmp_path / "a.mp4")
    assert clip.frames is None and clip.wav is not None and "h264" in clip.undecodable
    with pytest.raises(NoVideo, match="patches welcome"):
        decode_clip(tmp_path / "a.mp4", audio=False)


def test_streams_that_turn_up_on_the_way_are_no_error(tmp_path):
    "At the end PyAV walks over more streams than it knows."
    source = container.source_of(write_numbered(tmp_path / "a.ts", n=10))

    class Growing:
        def demux(self, stream):
            yield from ("first", "second")
            raise IndexError("list index out of range")

    assert list(clock._packets(Growing(), None, source, clock.Request())) == ["first", "second"]


def write_pcm(path, channels, rate, samples):
    "A WAV file of any number of channels at any rate, from int16 [shape=(N, channels)]."
    data = samples.astype("<i2").tobytes()
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, channels, rate, rate * channels * 2 % 2**32, channels * 2, 16
    )
    path.write_bytes(head + struct.pack("<4sI", b"data", len(data)) + data)
    return path


@pytest.mark.parametrize("channels", [3, 9, 64, 255])
def test_layouts_without_a_rule_become_their_mean(tmp_path, channels):
    tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    loudness = np.linspace(0.2, 1, channels)
    path = write_pcm(tmp_path / "many.wav", channels, 8000, np.rint(tone[:, None] * loudness))
    wav = decode_clip(path, sample_rate=8000).wav
    assert len(wav) == 8000 and abs(np.abs(np.fft.rfft(wav)).argmax() - 440) < 2
    if channels > 8:
        assert np.abs(wav - tone * loudness.mean() / 2**15).max() < 1e-3


@pytest.mark.parametrize("channels, rate", [(1, 2**31 - 1), (1, 2**31), (9, 2**31 - 1), (1, 0), (1, 2**32 - 1)])
def test_rates_that_are_none_have_a_final_status(tmp_path, channels, rate):
    path = write_pcm(tmp_path / "odd.wav", channels, rate, np.ones((2000, channels)))
    with pytest.raises(MediaError) as caught:
        decode_clip(path)
    assert caught.value.status in FINAL


@pytest.mark.parametrize(
    "error", [av.error.ArgumentError(22, "Invalid argument"), av.error.OSError(95, "Operation not supported"), ValueError("no such format")]
)
def test_scaler_and_resampler_say_what_they_cannot_do(tmp_path, monkeypatch, error):
    frames, wav = flash_and_click(duration_s=1)
    write_clip(tmp_path / "a.mp4", frames, 20, wav)

    class Refusing:
        def __init__(self, *args, **kw):
            pass

        def reformat(self, *args, **kw):
            raise error

        resample = reformat

    for name, kw in [("VideoReformatter", dict(audio=False)), ("av.AudioResampler", dict(video=False))]:
        with monkeypatch.context() as patch:
            patch.setattr(f"avesound.media.decode.{name}", Refusing)
            with pytest.raises(MediaError, match="cannot be") as caught:
                decode_clip(tmp_path / "a.mp4", **kw)
        assert caught.value.status == "corrupt"


def write_two_sizes(path):
    "Nine dark pictures, and nine bright ones that are larger."
    data = b""
    for k, (height, width) in enumerate([(48, 64), (96, 160)]):
        part = path.with_name(f"part{k}.ts")
        with av.open(str(part), "w") as out:
            stream = out.add_stream("libx264", rate=10)
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            for j in range(9):
                frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 60 + 120 * k, np.uint8), format="rgb24")
                frame.pts, frame.time_base = 9 * k + j, Fraction(1, 10)
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
        data += part.read_bytes()
        part.unlink()
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("size", [None, (20, 30)])
def test_a_picture_that_changes_its_size_is_scaled_to_the_first(tmp_path, size):
    clip = decode_clip(write_two_sizes(tmp_path / "both.ts"), size=size, fps=10)
    assert clip.frames.shape[1:3] == (size or (48, 64)) and len(clip.frames) >= 15
    assert np.abs(clip.frames[[2, -2]].mean((1, 2, 3)) - [60, 180]).max() < 5


def test_viewers_show_what_can_be_decoded(tmp_path):
    clips = tmp_path / "clips"
    for name in ("deaf", "blind"):
        write_clip(clips / f"{name}.mp4", *(flash_and_click(duration_s=2)[0], 20, flash_and_click(duration_s=2)[1]))
    renamed(clips / "deaf.mp4", soun=b"apac")
    renamed(clips / "blind.mp4", vide=b"xvc9")
    write_two_tracks(clips / "two.mov")
    write_two_sizes(clips / "sizes.ts")
    names = ["blind", "deaf", "sizes", "two"]
    (tmp_path / "a.csv").write_text("video_id,event_label,start_s,end_s\n" + "".join(f"{name},x,0.5,1\n" for name in names))
    report = extract(clips, tmp_path / "cache", progress=False)
    assert {r["id"]: r["status"] for r in report.records} == {"blind": "no_video", "deaf": "no_audio", "sizes": "no_audio", "two": "ok"}
    details = {r["id"]: r["detail"] for r in report.records}
    assert "xvc9" in details["blind"] and "apac" in details["deaf"] and details["sizes"] == "has no audio stream"
    run = Run(
        vid_dir=clips, vid_emb_dir=tmp_path / "cache/vid_emb", aud_emb_dir=tmp_path / "cache/aud_emb", annotations_csv=tmp_path / "a.csv"
    )
    inspector = Inspector(run)
    for name in names:
        inspector.video_id = name
        assert "Error" not in inspector.sound and still(run, name, play=name != "sizes")


# ---- the machine


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOMEM, errno.EROFS])
@pytest.mark.parametrize("where", ["opening", "reading"])
def test_an_error_of_the_machine_is_no_property_of_a_clip(tmp_path, monkeypatch, code, where):
    frames, wav = flash_and_click(duration_s=1)
    write_clip(tmp_path / "clips" / "a.mp4", frames, 20, wav)
    failing = True

    def fail():
        if failing:
            raise (
                av.error.classes[code](code, os.strerror(code))
                if hasattr(av.error, "classes")
                else av.error.OSError(code, os.strerror(code))
            )

    real_open, real_packets = av.open, clock._packets

    class Unreadable:
        def demux(self, stream):
            fail()
            yield

    if where == "opening":
        monkeypatch.setattr(av, "open", lambda *args, **kw: fail() or real_open(*args, **kw))
    else:
        monkeypatch.setattr(clock, "_packets", lambda container, *rest: real_packets(Unreadable() if failing else container, *rest))
    with pytest.raises((OSError, MemoryError)):
        decode_clip(tmp_path / "clips" / "a.mp4")
    here = RunSettings(workers=0)  # where the clip is opened as this test has it
    report = extract(tmp_path / "clips", tmp_path / "cache", run=here, progress=False)
    status = "out_of_memory" if code == errno.ENOMEM else "error"
    assert report.counts == {status: 1} and os.strerror(code) in report.records[0]["detail"]
    failing = False
    assert extract(tmp_path / "clips", tmp_path / "cache", progress=False).counts == {"ok": 1}


def test_a_clip_that_cannot_be_read_now_ends_neither_still_nor_report(tmp_path, monkeypatch):
    write_clip(tmp_path / "clips" / "a.mp4", flash_and_click(duration_s=1)[0], 20)
    (tmp_path / "a.csv").write_text("video_id,event_label,start_s,end_s\na,x,0.2,0.6\n")
    run = Run(vid_dir=tmp_path / "clips", annotations_csv=tmp_path / "a.csv")
    monkeypatch.setattr("avesound.viewer.serve.probe", lambda path: None)
    monkeypatch.setattr("avesound.viewer.still.clip_length", lambda *args: 1.0)
    monkeypatch.setattr(av, "open", mock.Mock(side_effect=av.error.PermissionError(errno.EACCES, "Permission denied")))
    assert "Permission denied" in still(run, "a")
    pictures, missing = findings._frames({"a": tmp_path / "clips" / "a.mp4"}, "a", {"peak": 0.5}, "a", mock.Mock(files={}))
    assert pictures == [] and "Permission denied" in missing[0]


def test_too_many_open_files_is_said_of_the_machine(tmp_path):
    write_clip(tmp_path / "a.mp4", *flash_and_click(duration_s=1)[:1], 20)
    program = (
        "import os, resource, sys; from avesound.media.decode import MediaError, decode_clip\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); held = []\n"
        "try:\n    while True: held.append(os.open(os.devnull, os.O_RDONLY))\nexcept OSError: pass\n"
        "try: decode_clip(sys.argv[1])\nexcept OSError as error: print(error.errno)"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "a.mp4"], capture_output=True, text=True, check=True)
    assert int(done.stdout) == errno.EMFILE


def test_bytes_of_which_ffmpeg_speaks_as_of_a_disk_are_corrupt(tmp_path):
    data = write_numbered(tmp_path / "a.mkv", n=10).read_bytes()
    for n in (5, 40, 60, 200):
        (tmp_path / "stub.mkv").write_bytes(data[:n])
        with pytest.raises(MediaError) as caught:
            decode_clip(tmp_path / "stub.mkv")
        assert caught.value.status == "corrupt"


def test_moving_pictures_that_never_sound_are_no_clips(tmp_path):
    for name, video in [("a.gif", "gif"), ("a.apng", "apng"), ("a.avif", "libsvtav1"), ("a.mp4", "libx264")]:
        write_pair(tmp_path / name, name[2:], video)
    assert list(media_files(tmp_path)) == ["a"]
    for name in ("a.gif", "a.apng", "a.avif"):
        clip = decode_clip(tmp_path / name)
        assert clip.wav is None and len(clip.frames) == 135
