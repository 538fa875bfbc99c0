"Clips like those of AVE: 10 s, 30 frames per second, H.264 and AAC; and what else a line is given."

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from .rounds import ROOT

REAL_CLIPS = Path(os.environ.get("AVESOUND_TEST_DATA", ROOT.parent / "shared" / "data")) / "clips"
REAL = ("16eUxQwxxbs.mp4", "22olCB3wQaA.mp4", "3qesirWAGt4_20000_30000.mp4")  # measured too where there are any


@dataclass(frozen=True)
class BenchClip:
    name: str  # as in the table
    path: Path
    height: int


def texture(rng: np.random.Generator, height: int, width: int, exponent: float) -> np.ndarray:
    "A random picture of mean 0 and deviation 1 whose amplitudes fall with frequency as those of photographs do."
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    amplitude = np.maximum(frequency, 1 / width) ** -exponent
    amplitude[0, 0] = 0
    picture = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) * amplitude, s=(height, width))
    return (picture / picture.std()).astype(np.float32)


def cut(picture: np.ndarray, y: float, x: float, height: int, width: int) -> np.ndarray:
    "A part of a picture, at a position between its pixels."
    i, j = int(y), int(x)
    down, right = np.float32(y - i), np.float32(x - j)
    part = picture[i : i + height + 1, j : j + width + 1]
    part = part[:, :-1] * (1 - right) + part[:, 1:] * right
    return part[:-1] * (1 - down) + part[1:] * down


def scene(height: int, width: int, n_frames: int, fps: int, seed: int) -> Iterator[np.ndarray]:
    "Frames as planes of YUV 4:2:0: a hand-held camera swings over a textured ground, four textured objects move, the sensor is noisy."
    rng = np.random.default_rng(seed)
    side = height // 3
    scales, contrasts, noises = (1, 2, 2), (45, 9, 9), (2.0, 1.0, 1.0)  # of the planes Y, U and V; U and V have half the width and height

    def textures(heights, widths, means, exponent):
        return [texture(rng, h, w, exponent) * c + mean for h, w, c, mean in zip(heights, widths, contrasts, means, strict=True)]

    grounds = textures([height // s * 5 // 4 for s in scales], [width // s * 3 // 2 for s in scales], (115, 128, 128), 1.25)
    grains = [rng.normal(size=(height // s + 64, width // s + 64)).astype(np.float32) * n for s, n in zip(scales, noises, strict=True)]
    objects = []
    for _ in range(4):
        sides = [side // s for s in scales]
        skins = textures(sides, sides, rng.uniform((60, 110, 110), (190, 146, 146)), 1.0)
        objects.append((rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.6, 2.2, 2), skins))
    for k in range(n_frames):
        t = k / fps
        top = (height / 8 - 4) * (1 + np.sin(0.5 * t + 1)) + 1.2 * np.sin(7 * t) + 2
        left = (width / 4 - 4) * (1 + np.sin(0.35 * t)) + 1.5 * np.sin(5 * t) + 2
        planes = []
        for p, s in enumerate(scales):
            plane = cut(grounds[p], top / s, left / s, height // s, width // s)
            for phase, speed, skins in objects:
                y, x = (
                    (extent - side) / 2 * (1 + np.sin(v * t + a)) / s for extent, v, a in zip((height, width), speed, phase, strict=True)
                )
                i, j, n = int(y) + 1, int(x) + 1, side // s - 2
                plane[i : i + n, j : j + n] = cut(skins[p], 1 - y % 1, 1 - x % 1, n, n)
            a, b = rng.integers(0, 64, 2)
            plane += grains[p][a : a + height // s, b : b + width // s]
            planes.append(np.clip(plane, 16, 235).astype(np.uint8).reshape(-1))
        yield np.concatenate(planes).reshape(height * 3 // 2, width)


def write_bench_clip(
    path: Path, height: int, width: int, bit_rate: int, *, seconds: int = 10, fps: int = 30, seed: int = 0, codec: str = "libx264"
) -> None:
    "Not `media.write_clip`: the frames need not be in memory at once, and the bit rate is chosen, for decoding costs what the bits cost."
    import av

    sample_rate = 44100
    rng = np.random.default_rng(seed)
    t = np.arange(seconds * sample_rate) / sample_rate
    wav = 0.02 * rng.normal(size=t.size) + 0.3 * np.sin(2 * np.pi * (300 + 200 * np.sin(t)) * t) * (t % 2 < 0.7)
    with av.open(str(path), "w") as out:
        options = {"preset": "fast", "b": str(bit_rate), "maxrate": str(2 * bit_rate), "bufsize": str(4 * bit_rate), "threads": "2"}
        if codec == "libx265":
            options |= {"x265-params": "log-level=none:pools=2"}
        video = out.add_stream(codec, rate=fps, options=options)
        video.height, video.width, video.pix_fmt = height, width, "yuv420p"
        audio = out.add_stream("aac", rate=sample_rate, layout="mono", options={"b": "96000"})
        for planes in scene(height, width, seconds * fps, fps, seed):
            out.mux(video.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        out.mux(video.encode())
        for start in range(0, len(wav), 1024):
            sound = av.AudioFrame.from_ndarray(wav[None, start : start + 1024].astype(np.float32), format="fltp", layout="mono")
            sound.sample_rate, sound.time_base, sound.pts = sample_rate, Fraction(1, sample_rate), start
            out.mux(audio.encode(sound))
        out.mux(audio.encode())


@dataclass
class Bench:
    "What a line is given."

    rounds: int
    folder: Path  # temporary

    @cached_property
    def synthetic(self) -> list[BenchClip]:
        "One clip of 360 lines and one of 720 with the bit rates of AVE's."
        clips = []
        for height, width, bit_rate in [(360, 640, 1_200_000), (720, 1280, 2_500_000)]:
            path = self.folder / f"made-{height}.mp4"
            write_bench_clip(path, height, width, bit_rate)
            clips.append(_described("made", path))
        return clips

    @cached_property
    def clips(self) -> list[BenchClip]:
        "Synthetic ones, and real ones where there are any."
        return self.synthetic + [_described("real", REAL_CLIPS / name) for name in REAL if (REAL_CLIPS / name).is_file()]

    @cached_property
    def short(self) -> Path:
        "A clip of 3 s and 360 lines, for lines whose slower variant takes many seconds for each window."
        path = self.folder / "made-short.mp4"
        write_bench_clip(path, 360, 640, 1_200_000, seconds=3)
        return path

    @cached_property
    def hevc(self) -> BenchClip:
        "A clip of 720 lines in H.265."
        path = self.folder / "made-hevc.mp4"
        write_bench_clip(path, 720, 1280, 1_500_000, codec="libx265")
        return _described("made HEVC", path)

    def copies(self, n: int, of: Path | None = None) -> Path:
        """A folder of `n` copies of a clip, of 720 lines if none is named.

        All alike, or the peak would depend on which of them happen to be decoded together.
        """
        of = of or self.synthetic[-1].path
        folder = self.folder / f"{n}-{of.stem}"
        if not folder.exists():
            folder.mkdir()
            for i in range(n):
                os.link(of, folder / f"clip-{i:02}.mp4")
        return folder


def _described(kind: str, path: Path) -> BenchClip:
    from avesound.media.container import probe

    info = probe(path)
    mbit = info.size_bytes * 8 / info.duration_s / 1e6
    return BenchClip(f"{kind} {info.width}×{info.height}, {info.fps:.0f} fps, {mbit:.1f} Mbit/s", path, info.height)
