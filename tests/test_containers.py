"Every container and codec that can be written: a flash and a click at 5 s, seen and heard at the same moment, in the whole and in a part."

import shutil
import subprocess
import wave
from fractions import Fraction

import av
import numpy as np
import pytest

from avesound.media.container import probe
from avesound.media.decode import decode_clip

FFMPEG = shutil.which("ffmpeg")
RATE, FPS, N = 48000, 25, 135  # Hz, frames per second, frames
AT_S, CUT_S = 5.0, 4.48

# Container -> (suffix, what sounds beside each video codec, video codecs, what is seen beside each audio codec, audio codecs).
EVERY = "libx264 libx265 mpeg4 mpeg2video mpeg1video libvpx libvpx-vp9 libsvtav1 ffv1"
OLD = (
    "flv h263p msmpeg4v2 msmpeg4 wmv1 wmv2 huffyuv ffvhuff utvideo rawvideo png "
    "cinepak svq1 snow magicyuv jpeg2000 cfhd speedhq rpza asv1 asv2 amv"
)
PCM = "pcm_s16le pcm_s24le pcm_f32le pcm_u8 pcm_mulaw pcm_alaw adpcm_ms adpcm_ima_wav adpcm_swf"
PAIRS = {
    "mp4": ("mp4", "aac", "libx264 libx265 mpeg4 mpeg2video mpeg1video libvpx-vp9 libsvtav1 ffv1 png jpeg2000", "libx264",
            "libmp3lame mp2 ac3 eac3 libopus vorbis flac alac pcm_s16le pcm_s16be pcm_s24le pcm_f32le"),
    "mov": ("mov", "pcm_s16le",
    "libx264 libx265 mpeg4 mpeg2video mpeg1video h263 msmpeg4 prores png gif qtrle cinepak svq1 magicyuv jpeg2000 cfhd rpza tiff",
    "libx264",
            "aac libmp3lame mp2 ac3 eac3 alac pcm_s16be pcm_s24le pcm_f32le pcm_u8 pcm_mulaw pcm_alaw adpcm_ima_qt nellymoser"),
    "3gp": ("3gp", "aac", "libx264 mpeg4 h263", "libx264", ""),
    "matroska": ("mkv", "pcm_s16le", f"{EVERY} msmpeg4 prores rawvideo snow jpeg2000", "libx264",
                 "aac libmp3lame mp2 ac3 eac3 libopus vorbis flac alac pcm_s16be pcm_s24le pcm_f32le pcm_u8 wavpack tta ra_144"),
    "webm": ("webm", "libopus", "libvpx libvpx-vp9 libsvtav1", "libvpx", "vorbis"),
    "avi": ("avi", "pcm_s16le", f"{EVERY.replace('libx265 ', '')} {OLD} h263 h261", "mpeg4", f"aac libmp3lame mp2 ac3 {PCM}"),
    "flv": ("flv", "aac", "libx264 libx265 libvpx-vp9 libsvtav1 flv", "flv", "libmp3lame ac3 eac3 libopus adpcm_swf nellymoser"),
    "mpegts": ("ts", "mp2", "libx264 libx265 mpeg4 mpeg2video mpeg1video", "mpeg2video", "aac libmp3lame ac3 eac3 libopus"),
    "mpeg": ("mpg", "mp2", "libx264 libx265 mpeg4 mpeg2video mpeg1video", "mpeg2video", "libmp3lame ac3 pcm_s16be pcm_dvd"),
    "vob": ("vob", "mp2", "mpeg2video mpeg1video", "mpeg2video", "libmp3lame ac3 pcm_s16be pcm_dvd"),
    "asf": ("wmv", "pcm_s16le", f"libx264 mpeg4 mpeg2video libvpx libvpx-vp9 libsvtav1 ffv1 {OLD}", "wmv2",
    f"aac libmp3lame mp2 ac3 eac3 vorbis g722 {PCM}"),
    "ogg": ("ogv", "flac", "libvpx", "libvpx", "libopus vorbis"),
    "nut": ("nut", "pcm_s16le", f"{EVERY} {OLD} h263 h261 gif", "mpeg4",
    f"aac libmp3lame mp2 ac3 eac3 libopus flac wavpack g722 {PCM.replace(' adpcm_ima_wav', '')}"),
    "mxf": ("mxf", "pcm_s16le", "libx264 mpeg2video ffv1 prores jpeg2000", "mpeg2video", "pcm_s24le"),
    "ivf": ("ivf", None, "libvpx libvpx-vp9 libsvtav1", None, ""),
    "h264": ("h264", None, "libx264", None, ""),
    "hevc": ("hevc", None, "libx265", None, ""),
    "mpeg1video": ("m1v", None, "mpeg1video", None, ""),
    "mpeg2video": ("m2v", None, "mpeg2video", None, ""),
    "gif": ("gif", None, "gif", None, ""),
    "apng": ("apng", None, "apng", None, ""),
    "avif": ("avif", None, "libsvtav1", None, ""),
    "wav": ("wav", None, "", None, f"libmp3lame mp2 ac3 eac3 flac g722 {PCM}"),
    "w64": ("w64", None, "", None, f"libmp3lame mp2 ac3 eac3 flac g722 {PCM}"),
    "flac": ("flac", None, "", None, "flac"),
    "mp3": ("mp3", None, "", None, "libmp3lame"),
    "mp2": ("mp2", None, "", None, "mp2"),
    "adts": ("aac", None, "", None, "aac"),
    "aiff": ("aiff", None, "", None, "pcm_s16le pcm_s16be pcm_u8 pcm_mulaw pcm_alaw adpcm_ima_qt"),
    "oga": ("ogg", None, "", None, "libopus vorbis flac"),
    "ipod": ("m4a", None, "", None, "aac ac3 alac"),
}  # fmt: skip

# What an encoder puts before the first sample, in ms: heard where the container has no place to say it.
AHEAD = {"aac": 21.3, "libmp3lame": 23.0, "mp2": 10.0, "ac3": 5.3, "eac3": 5.3, "g722": 1.4}
UNSAID = {"avi", "wav", "w64", "mp2", "adts"}
# Time stamps that the writer itself gets wrong, in ms: MPEG program streams lose the size of PCM packets' headers.
SLIPS = {("mpeg", "pcm_s16be"): 8, ("mpeg", "pcm_dvd"): 22, ("vob", "pcm_s16be"): 8, ("vob", "pcm_dvd"): 22}

OPTIONS = {
    "libx264": {"bf": "3", "g": "25", "preset": "ultrafast", "x264-params": "bframes=3:b-adapt=0:b-pyramid=normal"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:bframes=4:b-adapt=0:keyint=25:pools=1:frame-threads=1"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "10", "auto-alt-ref": "1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "libsvtav1": {"preset": "11", "svtav1-params": "lp=1"},
    "vorbis": {"strict": "experimental"},
}
RATES = {"adpcm_swf": 44100, "nellymoser": 44100, "g722": 16000, "ra_144": 8000}


def rows():
    for container, (_, beside, videos, seen, audios) in PAIRS.items():
        yield from (pytest.param(container, video, beside, id=f"{container}-{video}") for video in videos.split())
        yield from (pytest.param(container, seen, audio, id=f"{container}-{audio}") for audio in audios.split())


def picture(k, size):
    "A bar that wanders, and a flash of a quarter of a second at 5 s."
    image = np.full((*size, 3), 40, np.uint8)
    image[:, k * 3 % size[1] // 8 * 8 :][:, :8] = 120
    if k >= AT_S * FPS:
        image[:] = 235
    return image


def sound(rate):
    "A hum, and a click of 30 ms at 5 s."
    t = np.arange(N * rate // FPS) / rate
    click = np.where((t >= AT_S) & (t < AT_S + 0.03), 0.8 * np.sin(2 * np.pi * 1000 * (t - AT_S)), 0)
    return (0.05 * np.sin(2 * np.pi * 330 * t) + click).astype(np.float32)


def write_pair(path, container, video=None, audio=None, rate=RATE):
    with av.open(str(path), "w", format="ogg" if container == "oga" else container) as out:
        streams = [out.add_stream(video, rate=FPS, options=OPTIONS.get(video, {}))] if video else []
        if audio:
            layout = "stereo" if audio == "vorbis" else "mono"
            streams.append(out.add_stream(audio, rate=rate, layout=layout, options=OPTIONS.get(audio, {})))
        if video:
            stream, size = streams[0], {"h263": (96, 128), "h261": (144, 176)}.get(video, (48, 64))
            stream.height, stream.width = size
            formats = [format.name for format in stream.codec.video_formats or []]
            stream.pix_fmt = "yuv420p" if not formats or "yuv420p" in formats else formats[0]
            stream.codec_context.thread_count = 1
            if video in ("mpeg4", "mpeg2video", "mpeg1video"):
                stream.codec_context.max_b_frames, stream.codec_context.gop_size = 2, 25
            for k in range(N):
                frame = av.VideoFrame.from_ndarray(picture(k, size), format="rgb24")
                frame.pts, frame.time_base = k, Fraction(1, FPS)
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
        if audio:
            wav = sound(rate)
            for at in range(0, len(wav), 1024):
                piece = np.ascontiguousarray(np.tile(wav[None, at : at + 1024], (2 if layout == "stereo" else 1, 1)))
                frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
                out.mux(streams[-1].encode(frame))
            out.mux(streams[-1].encode())


def decoded(path, **kw):
    return decode_clip(path, fps=1000, size=(8, 8), sample_rate=RATE, **kw)


def flash_at(clip):
    return int(np.argmax(clip.frames.mean((1, 2, 3)) > 175)) / clip.fps


def click_at(clip):
    first = int((AT_S - 0.2) * RATE)
    click = np.sin(2 * np.pi * 1000 * np.arange(round(0.03 * RATE)) / RATE)
    return (first + int(np.correlate(clip.wav[first : first + RATE // 2].astype(float), click, "valid").argmax())) / RATE


def stamps_of(path, kind):
    "What is stored of a stream's times: packets' stamps of presentation, else of decoding, as seconds from the start; where it begins."
    with av.open(str(path), options={"fflags": "-genpts"}) as look:
        start_s = (look.start_time or 0) / av.time_base
    with av.open(str(path), options={"fflags": "-genpts+nofillin"}) as container:
        stream = container.streams.best(kind)
        packets = [packet for packet in container.demux(stream) if packet.size]
        unit = float(stream.time_base)
        return [packet.pts for packet in packets], [packet.dts for packet in packets], unit, start_s


def stamped_flash(path):
    "When the file itself says that the picture of the flash is shown; None where it says it of none or few."
    pts, dts, unit, start_s = stamps_of(path, "video")
    k = int(AT_S * FPS)
    if all(stamp is not None for stamp in pts) and sorted(pts) != pts or None in dts and None not in pts:
        return sorted(pts)[k] * unit - start_s
    return None


def stamped_click(path):
    "When the file itself says that the click sounds: by the stamp of the very frame that it begins in."
    with av.open(str(path), options={"fflags": "-genpts"}) as container:
        start_s, stamp_s = (container.start_time or 0) / av.time_base, 0.0
        for packet in container.demux(container.streams.best("audio")):
            try:
                frames = packet.decode()
            except av.FFmpegError:  # a header that the container counts as sound
                continue
            for frame in frames:
                samples = frame.to_ndarray() if frame.format.is_planar else frame.to_ndarray().reshape(-1, frame.layout.nb_channels).T
                level = np.abs(samples[0].astype(float) - (128 if samples.dtype == np.uint8 else 0))
                loud = np.flatnonzero(level > 0.2 * (1 if samples.dtype.kind == "f" else 2.0 ** (8 * samples.dtype.itemsize - 1)))
                stamp_s = stamp_s if frame.pts is None else float(frame.pts * frame.time_base) - start_s
                if len(loud):
                    return stamp_s + int(loud[0]) / frame.sample_rate
                stamp_s += frame.samples / frame.sample_rate


@pytest.mark.parametrize("container, video, audio", list(rows()))
def test_flash_and_click_come_together_whole_and_cut(tmp_path, container, video, audio):
    rate = 44100 if container == "flv" and audio == "libmp3lame" else RATES.get(audio, RATE)
    path = tmp_path / f"pair.{PAIRS[container][0]}"
    write_pair(path, container, video, audio, rate)
    assert probe(path).undecodable == ""
    clip = decoded(path)
    ahead = AHEAD.get(audio, 0) / 1000 if container in UNSAID else 0.0
    slip = SLIPS.get((container, audio), 5) / 1000
    if video:
        flash = flash_at(clip)
        stored = stamped_flash(path)
        assert stored is None or abs(flash - stored) < 0.005
        if not audio or container == "avi":  # frame k at k
            assert abs(flash - AT_S) < 0.002
    if audio:
        click = click_at(clip)
        assert abs(click - stamped_click(path)) < slip
        assert abs(click - ahead - (flash if video else AT_S)) < slip
    part = decoded(path, start_s=CUT_S)
    if video:
        assert (part.frames == clip.frames[round(CUT_S * 1000) :]).all() and len(part.frames) == len(clip.frames) - round(CUT_S * 1000)
    if audio:
        rest = clip.wav[round(CUT_S * RATE) :]
        assert len(part.wav) == len(rest) and np.abs(part.wav - rest).max() < 1e-4


# ---- what only ffmpeg makes

BY_FFMPEG = {
    "theora-vorbis.ogv": "-c:v libtheora -q:v 8 -c:a libvorbis",
    "theora-opus.ogv": "-c:v libtheora -q:v 8 -c:a libopus",
    "xvid-pcm.avi": "-c:v libxvid -q:v 3 -c:a pcm_s16le",
    "wmv2-wmav2.wmv": "-c:v wmv2 -q:v 3 -c:a wmav2",
    "wmv1-wmav1.asf": "-c:v wmv1 -q:v 3 -c:a wmav1",
    "x264-aac.m2ts": "-c:v libx264 -c:a aac",
    "x265-open.mkv": "-c:v libx265 -x265-params log-level=none:open-gop=1:keyint=25:bframes=8:b-adapt=0 -c:a aac",
    "x265-open.ts": "-c:v libx265 -x265-params log-level=none:open-gop=1:keyint=25:bframes=8:b-adapt=0 -c:a aac",
    "x264-open.ts": "-c:v libx264 -x264-params open-gop=1:keyint=40:bframes=5:b-adapt=0 -c:a aac",
    "x264-refresh.ts": "-c:v libx264 -x264-params intra-refresh=1:keyint=40 -c:a aac",
    "x264-frag.mp4": "-c:v libx264 -bf 3 -c:a aac -movflags frag_keyframe+empty_moov+default_base_moof",
    "x264-noedit.mp4": "-c:v libx264 -bf 3 -c:a aac -use_editlist 0",
    "x264-offset.mkv": "-c:v libx264 -bf 3 -c:a aac -output_ts_offset 2",
    "av1-aac.mp4": "-c:v libaom-av1 -cpu-used 8 -c:a aac",
    "mpeg2-mp2.mpg": "-c:v mpeg2video -bf 2 -c:a mp2",
}  # fmt: skip


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    if FFMPEG is None:
        pytest.skip("these files are made by ffmpeg, which is not installed")
    folder = tmp_path_factory.mktemp("raw")
    np.stack([picture(k, (48, 64)) for k in range(N)]).tofile(folder / "pictures.rgb")
    with wave.open(str(folder / "sound.wav"), "wb") as out:
        out.setnchannels(1), out.setsampwidth(2), out.setframerate(RATE)
        out.writeframes((sound(RATE) * 32767).astype("<i2").tobytes())
    return folder


@pytest.mark.parametrize("name", BY_FFMPEG)
def test_flash_and_click_come_together_in_what_ffmpeg_makes(raw, tmp_path, name):
    path = tmp_path / name
    inputs = f"-f rawvideo -pix_fmt rgb24 -s 64x48 -r {FPS} -i {raw / 'pictures.rgb'} -i {raw / 'sound.wav'}"
    done = subprocess.run(
        [FFMPEG, "-v", "error", "-y", *inputs.split(), "-pix_fmt", "yuv420p", "-threads", "1", *BY_FFMPEG[name].split(), path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"this ffmpeg does not make {name}: {done.stderr.strip()[:200]}")
    clip, part = decoded(path), decoded(path, start_s=CUT_S)
    assert abs(flash_at(clip) - click_at(clip)) < 0.005
    assert (part.frames == clip.frames[round(CUT_S * 1000) :]).all()
    assert np.abs(part.wav - clip.wav[round(CUT_S * RATE) :]).max() < 1e-4
    assert N / FPS - 0.05 < clip.duration_s < N / FPS + 0.2
