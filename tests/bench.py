"""How fast avesound is, as ratios inside one run: `make bench`, or `python tests/bench.py --out_dir bench [--only LINE] [--quick]`.

A line is one function under `@line` that yields a `Row` for each figure it measures; a new line is a new function. To be believed on a
machine that others use too, the variants of a line take turns within every round, a ratio is taken per round and the median of the
ratios is judged, and processor seconds (of this process and its children) are preferred to wall seconds. Nothing fails for being slow:
the exit status is 1 only where a line could not be measured at all.
"""

import argparse
import importlib.metadata
import itertools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
REAL_CLIPS = Path(os.environ.get("AVESOUND_TEST_DATA", ROOT.parent / "shared" / "data")) / "clips"
REAL = ("16eUxQwxxbs.mp4", "22olCB3wQaA.mp4", "3qesirWAGt4_20000_30000.mp4")  # measured too where they are at hand
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# ---- what is measured, and how


class Skipped(Exception):
    "This line says nothing here; the message says why."


@dataclass(frozen=True)
class Row:
    "One figure: a value for each round, or a single one, and the bound on their median."

    what: str
    values: list[float] = field(default_factory=list)
    unit: str = "×"
    at_most: float | None = None
    at_least: float | None = None
    fault: str = ""  # what is wrong besides speed; then the line is missed
    note: str = ""  # what helps to read the figure
    seconds: dict[str, dict] = field(default_factory=dict)  # variant -> processor and wall seconds of each round
    skipped: str = ""  # why there is no figure
    error: str = ""

    @property
    def bound(self) -> str:
        if self.at_most is None and self.at_least is None:
            return ""
        return f"≤ {self.at_most:g} {self.unit}" if self.at_least is None else f"≥ {self.at_least:g} {self.unit}"

    @property
    def status(self) -> str:
        if self.error or self.skipped:
            return "error" if self.error else "skipped"
        if not self.bound and not self.fault:
            return "no bound"
        median = statistics.median(self.values)
        missed = (self.at_most is not None and median > self.at_most) or (self.at_least is not None and median < self.at_least)
        return "missed" if missed or self.fault else "reached"

    def as_dict(self) -> dict:
        "JSON values."
        found = {}
        if self.values:
            found = {
                "median": statistics.median(self.values),
                "min": min(self.values),
                "max": max(self.values),
                "values": list(self.values),
            }
        said = {"fault": self.fault, "note": self.note, "skipped": self.skipped, "error": self.error, "seconds": self.seconds}
        return (
            {"what": self.what, "bound": self.bound, "unit": self.unit, "status": self.status}
            | found
            | {k: v for k, v in said.items() if v}
        )


@dataclass(frozen=True)
class Spent:
    "Processor seconds of this process and its children, and seconds of the clock on the wall."

    cpu_s: float
    wall_s: float


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def spent(work: Callable[[], object]) -> Spent:
    cpu_s, wall_s = cpu_seconds(), time.perf_counter()
    work()
    return Spent(cpu_seconds() - cpu_s, time.perf_counter() - wall_s)


def in_turns(variants: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[Spent]]:
    "Every variant once in each round, another one first each time, after one run that does not count."
    names = list(variants)
    for name in names:
        variants[name]()
    found: dict[str, list[Spent]] = {name: [] for name in names}
    for k in range(rounds):
        first = k % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(spent(variants[name]))
    return found


def ratios(found: dict[str, list[Spent]], above: str, below: str, of: str = "cpu_s") -> list[float]:
    return [getattr(a, of) / getattr(b, of) for a, b in zip(found[above], found[below], strict=True)]


def as_seconds(found: dict[str, list[Spent]]) -> dict[str, dict]:
    return {name: {"cpu_s": [s.cpu_s for s in times], "wall_s": [s.wall_s for s in times]} for name, times in found.items()}


def fresh(function: Callable, *arguments, threads: int = 1):
    "What a function of this file returns in a process of its own, with so many threads for matrix products."
    call = [sys.executable, __file__, "--fresh", function.__name__, json.dumps(arguments)]
    done = subprocess.run(call, env=environment(threads), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{function.__name__} failed in a fresh process:\n{done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def environment(threads: int) -> dict[str, str]:
    return os.environ | {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL")}


def resident_bytes(peak: bool = False) -> int:
    "Memory of this process now, or the most it had so far."
    try:
        # Not ru_maxrss: a new process inherits it from the one that started it.
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:" if peak else "VmRSS:"))
    except (OSError, StopIteration) as error:
        raise Skipped("memory is read from /proc, which this system does not have") from error


def forget_peak() -> None:
    "Let the peak begin anew here. Where the system refuses, an earlier peak counts too: never too little is reported."
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


# ---- clips like those of AVE: 10 s, 30 frames per second, H.264 and AAC


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
    "Frames as planes of YUV 4:2:0: a hand-held camera swings over a textured ground, four textured things move, the sensor is noisy."
    rng = np.random.default_rng(seed)
    side = height // 3
    scales, contrasts, noises = (1, 2, 2), (45, 9, 9), (2.0, 1.0, 1.0)  # of the planes Y, U and V; U and V have half the width and height

    def textures(heights, widths, means, exponent):
        return [texture(rng, h, w, exponent) * c + mean for h, w, c, mean in zip(heights, widths, contrasts, means, strict=True)]

    grounds = textures([height // s * 5 // 4 for s in scales], [width // s * 3 // 2 for s in scales], (115, 128, 128), 1.25)
    grains = [rng.normal(size=(height // s + 64, width // s + 64)).astype(np.float32) * n for s, n in zip(scales, noises, strict=True)]
    things = []
    for _ in range(4):
        sides = [side // s for s in scales]
        skins = textures(sides, sides, rng.uniform((60, 110, 110), (190, 146, 146)), 1.0)
        things.append((rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.6, 2.2, 2), skins))
    for k in range(n_frames):
        t = k / fps
        top = (height / 8 - 4) * (1 + np.sin(0.5 * t + 1)) + 1.2 * np.sin(7 * t) + 2
        left = (width / 4 - 4) * (1 + np.sin(0.35 * t)) + 1.5 * np.sin(5 * t) + 2
        made = []
        for p, s in enumerate(scales):
            plane = cut(grounds[p], top / s, left / s, height // s, width // s)
            for phase, speed, skins in things:
                y, x = (
                    (extent - side) / 2 * (1 + np.sin(v * t + a)) / s for extent, v, a in zip((height, width), speed, phase, strict=True)
                )
                i, j, n = int(y) + 1, int(x) + 1, side // s - 2
                plane[i : i + n, j : j + n] = cut(skins[p], 1 - y % 1, 1 - x % 1, n, n)
            a, b = rng.integers(0, 64, 2)
            plane += grains[p][a : a + height // s, b : b + width // s]
            made.append(np.clip(plane, 16, 235).astype(np.uint8).reshape(-1))
        yield np.concatenate(made).reshape(height * 3 // 2, width)


def write_bench_clip(path: Path, height: int, width: int, bit_rate: int, *, seconds: int = 10, fps: int = 30, seed: int = 0) -> None:
    "Not `media.write_clip`: the frames need not be in memory at once, and the bit rate is chosen, for decoding costs what the bits cost."
    import av

    sample_rate = 44100
    rng = np.random.default_rng(seed)
    t = np.arange(seconds * sample_rate) / sample_rate
    wav = 0.02 * rng.normal(size=t.size) + 0.3 * np.sin(2 * np.pi * (300 + 200 * np.sin(t)) * t) * (t % 2 < 0.7)
    with av.open(str(path), "w") as out:
        options = {"preset": "fast", "b": str(bit_rate), "maxrate": str(2 * bit_rate), "bufsize": str(4 * bit_rate), "threads": "2"}
        video = out.add_stream("libx264", rate=fps, options=options)
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


# ---- the lines


@dataclass
class Bench:
    "What lines need."

    rounds: int
    folder: Path  # temporary

    @cached_property
    def made(self) -> list[BenchClip]:
        "One clip of 360 lines and one of 720, made here, with the bit rates of AVE's."
        found = []
        for height, width, bit_rate in [(360, 640, 1_200_000), (720, 1280, 2_500_000)]:
            path = self.folder / f"made-{height}.mp4"
            write_bench_clip(path, height, width, bit_rate)
            found.append(_described("made", path))
        return found

    @cached_property
    def clips(self) -> list[BenchClip]:
        "Those made here, and real ones where they are at hand."
        return self.made + [_described("real", REAL_CLIPS / name) for name in REAL if (REAL_CLIPS / name).is_file()]

    @cached_property
    def short(self) -> Path:
        "A clip of 3 s and 360 lines, for lines whose slower variant takes many seconds for each window."
        path = self.folder / "made-short.mp4"
        write_bench_clip(path, 360, 640, 1_200_000, seconds=3)
        return path

    def copies(self, n: int, of: Path | None = None) -> Path:
        "A folder of `n` copies of a clip, of 720 lines if none is named. All alike, or the peak would depend on which of them happen to be decoded together."
        of = of or self.made[-1].path
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


@dataclass(frozen=True)
class Line:
    title: str
    measure: Callable[[Bench], Iterator[Row]]
    needs: tuple[str, ...]


LINES: dict[str, Line] = {}


def line(name: str, title: str, needs: tuple[str, ...] = ()):
    "Put a function among the lines. `needs` are processor flags, as Linux names them, without which the line says nothing."

    def put(measure: Callable[[Bench], Iterator[Row]]):
        LINES[name] = Line(title, measure, needs)
        return measure

    return put


@line("decode", "decode and resize to 112 px at 16 fps, processor time against decoding alone")
def decode(bench: Bench):
    import av

    from avesound.media.decode import decode_clip

    def decode_only(path):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            for _ in container.decode(stream):
                pass

    for clip in bench.clips:
        work = {
            "decode_clip": lambda path=clip.path: decode_clip(path, fps=16, size=(112, 112), audio=False),
            "decode only": lambda path=clip.path: decode_only(path),
        }
        found = in_turns(work, 3 * bench.rounds)  # a small difference of short times: more rounds
        yield Row(clip.name, ratios(found, *work), at_most=1.30 if clip.height < 720 else 1.20, seconds=as_seconds(found))


@line("naive", "all frames → array → torch (antialiased), processor time against decode_clip")
def naive(bench: Bench):
    import av
    import psutil
    import torch
    from torch.nn.functional import interpolate

    from avesound.media.decode import decode_clip

    torch.set_num_threads(1)

    def decoded(path):
        "Frames uint8 [shape=(T, 3, H, W)], and which of them is on screen at the middle of each sixteenth of a second."
        with av.open(str(path)) as container:
            origin = (container.start_time or 0) / av.time_base
            frames, times = zip(*((f.to_ndarray(format="rgb24"), f.pts * float(f.time_base) - origin) for f in container.decode(video=0)))
        n = round((times[-1] + times[-1] / (len(times) - 1)) * 16)
        shown = np.searchsorted(times, (np.arange(n) + 0.5) / 16 + 1e-6, side="right") - 1
        return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2), np.maximum(shown, 0)

    def resized(frames):
        return interpolate(frames, size=(112, 112), mode="bilinear", antialias=True, align_corners=False)

    def all_frames(path):
        frames, shown = decoded(path)
        return resized(frames.float())[shown]

    def sampled_first(path):
        frames, shown = decoded(path)
        return resized(frames[shown])

    for clip in bench.clips:
        if psutil.virtual_memory().available < 8e9 and clip.height >= 720:
            yield Row(clip.name, skipped="all frames as arrays need 8 GB of free memory")
            continue
        work = {
            "all frames, float32": lambda path=clip.path: all_frames(path),
            "sampled first, uint8": lambda path=clip.path: sampled_first(path),
            "decode_clip": lambda path=clip.path: decode_clip(path, fps=16, size=(112, 112), audio=False),
        }
        found = in_turns(work, bench.rounds)
        yield Row(clip.name, ratios(found, "all frames, float32", "decode_clip"), at_least=3.5, seconds=as_seconds(found))
        with_care = ratios(found, "sampled first, uint8", "decode_clip")
        yield Row(f"{clip.name}; sampled before a resize of bytes", with_care, note="what a careful script would do: no bound")
        ours = decode_clip(clip.path, fps=16, size=(112, 112), audio=False).frames
        frames, shown = decoded(clip.path)
        n = min(len(ours), len(shown))
        theirs = torch.cat([resized(frames[k][None].float()) for k in shown[:n]]).permute(0, 2, 3, 1).numpy()
        error = np.mean((ours[:n].astype(np.float64) - theirs) ** 2)
        yield Row(f"{clip.name}; PSNR to torch's resize", [10 * np.log10(255**2 / error)], "dB", at_least=44)


@line("workers", "two decoding threads against one, wall time")
def workers(bench: Bench):
    from concurrent.futures import ThreadPoolExecutor

    from avesound.media.decode import decode_clip

    if CORES < 2:
        raise Skipped("there is one core only")

    def decode_all(n_threads):
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(lambda clip: decode_clip(clip.path, fps=16, size=(112, 112)), bench.made * 3))

    found = in_turns({"one thread": lambda: decode_all(1), "two threads": lambda: decode_all(2)}, bench.rounds)
    busy = statistics.median(s.cpu_s / s.wall_s for s in found["two threads"])
    extra = statistics.median(ratios(found, "two threads", "one thread"))
    note = f"the two threads were given {busy:.2f} cores and used {extra:.2f}× the processor time of one; wall time needs the cores free"
    yield Row(
        "3 clips of 360 lines and 3 of 720",
        ratios(found, "one thread", "two threads", "wall_s"),
        at_least=1.5,
        note=note,
        seconds=as_seconds(found),
    )


@line("memory", "peak memory of a fresh process after 12 clips against 6 (encoder signal, two threads)")
def memory(bench: Bench):
    resident_bytes()
    out = [0]

    def extract_some(n):
        out[0] += 1
        return fresh(extract_and_peak, str(bench.copies(n)), str(bench.folder / f"cache-{out[0]}"))

    peaks: dict[int, list[int]] = {6: [], 12: []}
    for k in range(bench.rounds):
        for n in (6, 12) if k % 2 else (12, 6):
            peaks[n].append(extract_some(n))
    mb = ", ".join(f"{statistics.median(values) / 1e6:.0f} MB after {n}" for n, values in peaks.items())
    yield Row("clips of 720 lines", [b / a for a, b in zip(*peaks.values(), strict=True)], at_most=1.05, note=mb)


@line("memory of a tower", "the same with mc3_18 in its exact mode")
def memory_of_a_tower(bench: Bench):
    resident_bytes()
    rounds = min(bench.rounds, 2)  # memory hardly varies, and this takes minutes
    peaks = {
        n: [
            fresh(extract_and_peak, str(bench.copies(n, bench.short)), str(bench.folder / f"tower-{n}-{k}"), "mc3_18", threads=CORES)
            for k in range(rounds)
        ]
        for n in (6, 12)
    }
    yield Row("12 clips of 3 s against 6", [b / a for a, b in zip(*peaks.values(), strict=True)], at_most=1.05)
    whole = [fresh(extract_and_peak, str(bench.copies(1)), str(bench.folder / "tower-whole"), "mc3_18", threads=CORES) / 1e9]
    yield Row("peak, a clip of 10 s and 720 lines", whole, "GB", at_most=1.2)


def extract_and_peak(clips: str, out_dir: str, encoder: str = "signal") -> int:
    from avesound.embeddings.extract import RunSettings, extract
    from avesound.encoders import create_encoder

    towers = (
        {"encoder": "signal"}
        if encoder == "signal"
        else {"encoder": create_encoder(encoder, weights="random", device="cpu"), "kinds": ("video",)}
    )
    report = extract(clips, out_dir, **towers, run=RunSettings(workers=2), progress=False)
    if set(report.counts) != {"ok"}:
        raise RuntimeError(str(report))
    return resident_bytes(peak=True)


@line(
    "video tower",
    "40 windows of 16 frames of a clip through mc3_18, processor time of the stock loop (torchvision's network and preset, one window after the other) against …",
)
def video_tower(bench: Bench):
    yield from _rows_of(fresh(video_tower_times, str(bench.made[0].path), bench.rounds, threads=CORES))


def video_tower_times(path: str, rounds: int) -> list[dict]:
    import torch
    from torchvision.models import get_weight

    from avesound.encoders.base import cpu_has_bfloat16, create_encoder, encode_clip
    from avesound.encoders.resnet3d import load_resnet3d
    from avesound.media.decode import decode_clip
    from avesound.timeline import sliding_windows, window_samples

    torch.set_num_threads(CORES)
    clip = decode_clip(path, fps=15, size=(128, 171), audio=False)
    windows = sliding_windows(clip.duration_s, 16 / 15, 0.25)
    index = window_samples(windows, clip.fps, len(clip.frames))
    network, _ = load_resnet3d("mc3_18", "random")
    preset = get_weight("MC3_18_Weights.KINETICS400_V1").transforms()

    def seen(frames):
        return preset(torch.from_numpy(frames).permute(0, 3, 1, 2))[None]

    def stock():
        with torch.inference_mode():
            return np.concatenate([network(seen(clip.frames[i])).numpy() for i in index])

    def direct():
        "The dense pass, by the stock network."
        with torch.inference_mode():
            x = network.layer1(network.stem(seen(clip.frames)))
            per_frame = network.layer4(network.layer3(network.layer2(x))).mean((0, 3, 4)).T.numpy()
        return per_frame[index].mean(axis=1)

    chosen = [("exact, float32", "mc3_18", "float32", 1.45), ("exact, bfloat16", "mc3_18", "bfloat16", 2.5)]
    chosen += [
        ("dense, float32 (opt-in, other vectors)", "mc3_18_dense", "float32", 4.5),
        ("dense, bfloat16 (opt-in, other vectors)", "mc3_18_dense", "bfloat16", 8.0),
    ]
    lacking = [
        {"what": what, "skipped": "this processor has no bfloat16"}
        for what, _, dtype, _ in chosen
        if dtype == "bfloat16" and not cpu_has_bfloat16()
    ]
    chosen = [row for row in chosen if row[2] == "float32" or cpu_has_bfloat16()]
    made: dict = {}
    encoders = {what: create_encoder(name, weights="random", device="cpu", dtype=dtype) for what, name, dtype, _ in chosen}
    work = {"stock": lambda: made.update(stock=stock())}
    work |= {what: lambda what=what: made.update({what: encode_clip(encoders[what], clip, windows).video}) for what in encoders}
    found = in_turns(work, rounds)
    dense = direct()
    rows = []
    for what, name, dtype, bound in chosen:
        error, centred = np.abs(made[what] - made["stock"]).max(), centred_cosine(made[what], made["stock"])
        fault, note = "", f"clip-centred cosine to the stock vectors {centred:.5f}"
        if name == "mc3_18_dense":
            if dtype == "float32":
                fault = "" if (off := np.abs(made[what] - dense).max()) <= 1e-5 else f"differs from a direct dense pass by {off:.0e}"
        elif dtype == "float32":
            fault, note = (
                "" if error <= 1e-5 else f"differs by {error:.0e}",
                f"largest difference {error:.0e} of {np.abs(made['stock']).max():.1f}",
            )
        else:
            fault = "" if centred >= 0.998 else f"clip-centred cosine {centred:.4f}"
        rows.append(
            {
                "what": what,
                "values": ratios(found, "stock", what),
                "at_least": bound,
                "fault": fault,
                "note": note,
                "seconds": as_seconds({k: found[k] for k in ("stock", what)}),
            }
        )
    return rows + lacking


def centred_cosine(a: np.ndarray, b: np.ndarray) -> float:
    "Cosine after the mean over the clip has been taken away: neighbouring windows are alike anyway."
    a, b = a - a.mean(0), b - b.mean(0)
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


def _rows_of(found: list[dict]) -> Iterator[Row]:
    return (Row(**row) for row in found)


@line("log-mel", "log-mel rows of 40 windows, computed once for the clip and sliced, processor time of window by window against it")
def log_mel(bench: Bench):
    yield from _rows_of(fresh(log_mel_times, str(bench.made[0].path), bench.rounds))


def log_mel_times(path: str, rounds: int) -> list[dict]:
    import torch

    from avesound.encoders.logmel import SAMPLE_RATE, fbank, window_fbank
    from avesound.media.decode import decode_audio
    from avesound.timeline import sliding_windows, window_samples

    torch.set_num_threads(1)
    wav = decode_audio(path)
    rows = []
    for name, lengths, bound in [
        ("windows of 0.25, 0.5, 1, 2 and 5 s", (0.25, 0.5, 1.0, 2.0, 5.0), 20),
        ("windows of 1 s alone", (1.0,), None),
    ]:
        sets = [sliding_windows(len(wav) / SAMPLE_RATE, length, 0.25) for length in lengths]
        index = [window_samples(windows, SAMPLE_RATE, len(wav)) for windows in sets]
        made: dict = {}
        work = {
            "each": lambda index=index: made.update(each=[np.concatenate([fbank(wav[one][None]) for one in i]) for i in index]),
            "once": lambda sets=sets: made.update(once=window_fbank(wav, sets)),
        }
        found = in_turns(work, 3 * rounds)
        equal = all(np.array_equal(a, b) for a, b in zip(made["each"], made["once"], strict=True))
        rows.append(
            {
                "what": name,
                "values": ratios(found, *work),
                "at_least": bound,
                "fault": "" if equal else "not equal bit for bit",
                "note": "equal bit for bit" if equal else "",
                "seconds": as_seconds(found),
            }
        )
    return rows


@line("audio tower", "8 windows of 1 s through AST, processor time of windows padded to 10.24 s against …")
def audio_tower(bench: Bench):
    yield from _rows_of(fresh(audio_tower_times, str(bench.made[0].path), bench.rounds, threads=CORES))


def audio_tower_times(path: str, rounds: int) -> list[dict]:
    import torch

    from avesound.encoders.base import cpu_has_bfloat16, create_encoder, encode_clip
    from avesound.media.decode import decode_clip
    from avesound.timeline import sliding_windows

    torch.set_num_threads(CORES)
    clip = decode_clip(path, video=False)
    windows = sliding_windows(clip.duration_s, 1.0, clip.duration_s / 8)
    chosen = {"padded": ("zero", "float32"), "its own length, float32": ("none", "float32")}
    if cpu_has_bfloat16():
        chosen["its own length, bfloat16"] = ("none", "bfloat16")
    encoders = {
        name: create_encoder("ast", weights="random", device="cpu", fill=fill, dtype=dtype) for name, (fill, dtype) in chosen.items()
    }
    found = in_turns({name: lambda name=name: encode_clip(encoders[name], clip, None, (windows,)) for name in chosen}, rounds)
    return [
        {
            "what": name,
            "values": ratios(found, "padded", name),
            "at_least": 8,
            "seconds": as_seconds({k: found[k] for k in ("padded", name)}),
        }
        for name in list(chosen)[1:]
    ]


@line(
    "end to end",
    "a clip of 3 s to cached vectors of mc3_18 and AST, processor time of the naive way (all frames as arrays, torch's resize, stock networks, padded windows one by one) against extract",
)
def end_to_end(bench: Bench):
    yield from _rows_of(
        fresh(end_to_end_times, str(bench.copies(1, bench.short)), str(bench.folder / "end-to-end"), bench.rounds, threads=CORES)
    )


def end_to_end_times(clips: str, out_dir: str, rounds: int) -> list[dict]:
    import av
    import torch
    from torch.nn.functional import interpolate
    from torchvision.models import get_weight

    from avesound.embeddings.extract import RunSettings, extract
    from avesound.encoders.ast import load_ast
    from avesound.encoders.base import cpu_has_bfloat16, create_encoder
    from avesound.encoders.logmel import fbank
    from avesound.encoders.resnet3d import load_resnet3d
    from avesound.media.decode import decode_audio
    from avesound.timeline import sliding_windows, window_samples

    torch.set_num_threads(CORES)
    (path,) = Path(clips).iterdir()
    video, _ = load_resnet3d("mc3_18", "random")
    preset = get_weight("MC3_18_Weights.KINETICS400_V1").transforms()
    audio, _, mean, std = load_ast("random")

    def naive():
        with av.open(str(path)) as container:
            frames, times = zip(
                *((f.to_ndarray(format="rgb24"), float(f.pts * f.time_base)) for f in container.decode(video=0)), strict=True
            )
        duration = times[-1] + times[-1] / (len(times) - 1)
        shown = np.maximum(np.searchsorted(times, (np.arange(round(duration * 15)) + 0.5) / 15, side="right") - 1, 0)
        small = (
            interpolate(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float(), size=(128, 171), mode="bilinear", antialias=True)[
                shown
            ]
            .round()
            .byte()
        )
        wav = decode_audio(path)
        with torch.inference_mode():
            seen = [video(preset(small[i])[None]) for i in window_samples(sliding_windows(duration, 16 / 15, 0.25), 15, len(small))]
            heard = []
            for i in window_samples(sliding_windows(duration, 1.0, 0.25), 16000, len(wav)):
                mel = np.zeros((1, 1024, 128), np.float32)
                rows = fbank(wav[i][None])
                mel[:, : rows.shape[1]] = rows
                heard.append(audio(torch.from_numpy((mel - mean) / np.float32(2 * std))).pooler_output)
        np.savez(Path(out_dir).with_suffix(".npz"), video=torch.cat(seen), audio=torch.cat(heard))

    chosen = {"the default": ("mc3_18", "float32", 2.4)}
    if cpu_has_bfloat16():
        chosen["dense and bfloat16"] = ("mc3_18_dense", "bfloat16", 8.0)
    pairs = {
        name: [create_encoder(tower, weights="random", device="cpu", dtype=dtype) for tower in (eye, "ast")]
        for name, (eye, dtype, _) in chosen.items()
    }

    def ours(name):
        report = extract(
            clips,
            f"{out_dir}-{pairs[name][0].spec.name}",
            encoder=pairs[name][0],
            audio_encoder=pairs[name][1],
            run=RunSettings(overwrite=True),
            progress=False,
        )
        if report.counts != {"ok": 1}:
            raise RuntimeError(str(report))

    found = in_turns({"naive": naive} | {name: lambda name=name: ours(name) for name in chosen}, rounds)
    return [
        {
            "what": name,
            "values": ratios(found, "naive", name),
            "at_least": bound,
            "seconds": as_seconds({k: found[k] for k in ("naive", name)}),
        }
        for name, (_, _, bound) in chosen.items()
    ]


@line("on a GPU", "clips of 10 s in a second on the GPU, and the share of its bfloat16 peak (as a large matrix product reaches it)")
def gpu(bench: Bench):
    import torch

    if not torch.cuda.is_available():
        raise Skipped("torch finds no GPU here")
    yield from _rows_of(fresh(throughput, str(bench.made[0].path), "cuda", bench.rounds, threads=CORES))


def throughput(path: str, device: str, rounds: int) -> list[dict]:
    "Clips in a second: decoding with all cores, and each encoder alone."
    from concurrent.futures import ThreadPoolExecutor

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from avesound.encoders.base import create_encoder, encode_clip
    from avesound.media.decode import decode_clip
    from avesound.timeline import sliding_windows

    def per_second(work, n):
        work()
        values = []
        for _ in range(rounds):
            start = time.perf_counter()
            work()
            values.append(n / (time.perf_counter() - start))
        return values

    size = 4096 if device == "cuda" else 512
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)

    def products():
        for _ in range(20):
            a @ a
        if device == "cuda":
            torch.cuda.synchronize()

    peak = statistics.median(per_second(products, 20)) * 2 * size**3
    with ThreadPoolExecutor(CORES) as pool:
        decoded = per_second(lambda: list(pool.map(lambda _: decode_clip(path, fps=15, size=(128, 171)), range(2 * CORES))), 2 * CORES)
    rows = [{"what": f"decode, {CORES} cores", "values": decoded, "unit": "clips/s"}]
    clip = decode_clip(path, fps=15, size=(128, 171))
    chosen = [("mc3_18", 16 / 15, "video"), ("mc3_18_dense", 16 / 15, "video"), ("ast", 1.0, "audio"), ("mc3", 1.5, "video")]
    for name, length, kind in chosen if device == "cuda" else chosen[1:2]:
        encoder = create_encoder(name, weights="random", device=device, dtype="bfloat16" if device == "cuda" else "float32")
        seen = clip if name != "mc3" else decode_clip(path, fps=encoder.spec.fps, size=encoder.spec.size)
        windows = sliding_windows(10.0, length, 0.25)
        arguments = (windows, ()) if kind == "video" else (None, (windows,))
        with FlopCounterMode(display=False) as counter:
            encode_clip(encoder, seen, *arguments)
        values = per_second(lambda: [encode_clip(encoder, seen, *arguments) for _ in range(4)], 4)
        share = statistics.median(values) * counter.get_total_flops() / peak
        memory = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB at most" if device == "cuda" else ""
        rows.append(
            {
                "what": f"{name}, {len(windows)} windows",
                "values": values,
                "unit": "clips/s",
                "note": f"{share:.0%} of the bfloat16 peak of {peak / 1e12:.1f} TFLOP/s{memory}",
            }
        )
    return rows


HEAVY = ("torch", "torchvision", "pandas")


@line("start", "fresh process to its end, wall time; no torch, torchvision or pandas is loaded")
def start(bench: Bench):
    said = f"print([name for name in {HEAVY!r} if name in sys.modules])"
    programs = {
        "import avesound": f"import sys, avesound; {said}",
        "avesound --help": f"import sys\nfrom avesound.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n{said}",
        "Python alone": f"import sys; {said}",
    }
    loaded: dict[str, str] = {}

    def run(name):
        done = subprocess.run([sys.executable, "-c", programs[name]], capture_output=True, text=True, check=True)
        loaded[name] = done.stdout.splitlines()[-1]

    found = in_turns({name: lambda name=name: run(name) for name in programs}, 2 * bench.rounds)
    for name in list(programs)[:2]:
        values, alone = ([s.wall_s for s in found[n]] for n in (name, "Python alone"))
        fault = "" if loaded[name] == "[]" else f"loads {loaded[name]}"
        note = f"Python alone {statistics.median(alone):.2f} s"
        yield Row(name, values, "s", at_most=0.3, fault=fault, note=note, seconds=as_seconds({name: found[name]}))


@line("bootstrap", "1,000 bootstraps of 4,097 clips × 6,000 columns, wall time")
def bootstrap(bench: Bench):
    kinds = {"every clip has a value": 0.0, "5 % of the clips have none": 0.05}
    found = fresh(bootstrap_times, bench.rounds, list(kinds.values()), threads=CORES)
    for (name, share), times in zip(kinds.items(), found, strict=True):
        note = f"{CORES} BLAS threads, {statistics.median(t['cpu_s'] for t in times):.2f} s of processor time"
        values = [t["wall_s"] for t in times]
        yield Row(name, values, "s", at_most=None if share else 0.5, note=note + ("; no bound" if share else ""))


def bootstrap_times(rounds: int, shares: list[float]) -> list[list[dict]]:
    from avesound.metrics.bootstrap import bootstrap_interval

    rng = np.random.default_rng(0)
    tables = []
    for share in shares:
        tables.append(rng.random((4097, 6000)))
        tables[-1][rng.random(4097) < share] = np.nan
    found = in_turns({str(i): lambda table=table: bootstrap_interval(table, n_boot=1000) for i, table in enumerate(tables)}, rounds)
    return [[vars(s) for s in times] for times in found.values()]


@line("similarities", "similarities from 4,097 pairs of npz files of 40 vectors of 512 numbers, in a fresh process")
def similarities(bench: Bench):
    cache = bench.folder / "similarities"
    write_cache(cache, 4097)
    found = [fresh(similarity_times, str(cache), 4097) for _ in range(bench.rounds)]
    note = f"{statistics.median(f['cpu_s'] for f in found):.2f} s of processor time; one BLAS thread, the files in the system's cache"
    yield Row("wall time", [f["wall_s"] for f in found], "s", at_most=2.5, note=note)
    note = f"the result itself is {found[0]['result_mb']:.1f} MB"
    yield Row("peak memory above the result", [f["growth_mb"] for f in found], "MB", at_most=10, note=note)


@line(
    "evaluation",
    "evaluation of 4,097 clips from such a cache: all metrics, baselines, 49 wrong sounds, calibration, intervals from 1,000 resamples, in a fresh process",
)
def evaluation(bench: Bench):
    cache = bench.folder / "evaluation"
    write_cache(cache, 4097)
    found = [fresh(evaluation_times, str(cache), 4097, threads=CORES) for _ in range(bench.rounds)]
    note = f"{statistics.median(f['cpu_s'] for f in found):.1f} s of processor time, {CORES} BLAS threads"
    yield Row("wall time", [f["wall_s"] for f in found], "s", at_most=15, note=note)


def evaluation_times(cache: str, n: int) -> dict[str, float]:
    from avesound.evaluation.evaluate import evaluate

    rng = np.random.default_rng(0)  # two of three events fill their clip, as in AVE
    rows = ["video_id,event_label,start_s,end_s,split"]
    for i in range(n + 2000):
        start, end = sorted(rng.choice(11, 2, replace=False)) if rng.random() < 0.34 else (0, 10)
        rows.append(f"{_clip_id(i)},class {i % 28},{start},{end},{'test' if i < n else 'train'}")
    annotations = Path(cache) / "annotations.csv"
    annotations.write_text("\n".join(rows) + "\n", encoding="utf-8")
    made = []
    taken = spent(lambda: made.append(evaluate(Path(cache) / "vid_emb", Path(cache) / "aud_emb", annotations, split="test")))
    means = made[0].overall["means"]["partial"]
    if made[0].overall["status"] != {"ok": n} or not {"shuffled", "train_prior", "class_prior"} <= set(means):
        raise RuntimeError(f"not all was evaluated: {made[0].overall['status']}, {', '.join(means)}")
    return vars(taken)


def write_cache(folder: Path, n: int) -> None:
    "As `extract` would: one file of picture and one of sound for each clip."
    from avesound.embeddings.store import audio_file, fingerprint, video_file, write_embeddings
    from avesound.encoders.base import EncoderSpec
    from avesound.timeline import sliding_windows

    spec = EncoderSpec("bench", 512, joint=True, weights="none", fps=16.0, size=(112, 112), sample_rate=16000)
    windows = sliding_windows(10.0, 1.0, 0.25)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(n % 97 + 80, 512)).astype(np.float32)
    for kind, extra in [("video", "motion"), ("audio", "loudness_db")]:
        meta = {"encoder": spec.as_dict(), "stride_s": 0.25, "edge": "mirror", "kind": kind}
        meta |= {"fingerprint": fingerprint(meta), "duration_s": 10.0, "source": {"name": "clip.mp4", "size": 1, "sha256": "0" * 64}}
        for i in range(n):
            path = video_file(folder / "vid_emb", _clip_id(i)) if kind == "video" else audio_file(folder / "aud_emb", _clip_id(i), 1.0)
            first = rng.integers(0, len(vectors) - 40)
            write_embeddings(path, vectors[first : first + 40], windows, meta, **{extra: np.abs(vectors[first, :40])})


def _clip_id(i: int) -> str:
    return f"clip-{i:05}"


def similarity_times(cache: str, n: int) -> dict[str, float]:
    from avesound.data.annotations import ClipAnnotation
    from avesound.embeddings.similarity import similarity_set
    from avesound.timeline import Interval

    clips = [ClipAnnotation(_clip_id(i), "bench", (Interval(2.0, 6.0),)) for i in range(n)]
    folders = Path(cache) / "vid_emb", Path(cache) / "aud_emb"
    similarity_set(*folders, clips[:16])  # what the first call loads does not count
    forget_peak()
    before, made = resident_bytes(), []
    taken = spent(lambda: made.append(similarity_set(*folders, clips)))
    arrays = [*made[0].curves, made[0].cells, made[0].duration_s, made[0].loudness_db, made[0].motion]
    result = sum(array.nbytes for array in arrays)
    if len(made[0].video_ids) != n:
        raise RuntimeError(f"{n - len(made[0].video_ids)} of {n} clips could not be read")
    return vars(taken) | {"growth_mb": (resident_bytes(peak=True) - before - result) / 1e6, "result_mb": result / 1e6}


@line(
    "sweep",
    "1,200 settings × 4,097 clips × 40 windows, from the file that keeps the similarities to 11 metrics of every clip and setting, in float64",
)
def sweep(bench: Bench):
    yield from _rows_of(fresh(sweep_times, str(bench.folder / "grid.npz"), bench.rounds))


def sweep_times(path: str, rounds: int) -> list[dict]:
    from avesound.localization.align import FUSIONS
    from avesound.tuning.caches import kept_npz
    from avesound.tuning.grid import Grid, grid_metrics

    n_clips, n_cells, n_slice, lengths = 4097, 40, 16, (0.25, 0.5, 1.0, 2.0, 5.0)
    rng = np.random.default_rng(0)
    edges = np.arange(n_cells + 1) * 0.25
    cells = np.tile(np.stack([edges[:-1], edges[1:]], axis=-1), (n_clips, 1, 1))
    start = rng.integers(0, 9, n_clips)
    events = np.stack([start, np.minimum(start + rng.integers(1, 11, n_clips), 10)], axis=-1)[:, None].astype(float)
    common = {"taus": tuple(np.geomspace(0.05, 5, 10)), "smooth_sigmas": (0.0, 0.25, 0.5, 1.0)}
    pairs = (*itertools.pairwise(lengths), lengths)
    readings = {
        "5 lengths alone, 3 audio queries fused in 3 ways": (
            3,
            Grid(lengths, audio_queries=("multi",), scale_fusions=("mean",), multi_reduces=FUSIONS, **common),
        ),
        "5 sets of 2 or 5 lengths, fused in 3 ways": (1, Grid(pairs, scale_fusions=FUSIONS, **common)),
    }
    rows = []
    for name, (n_queries, grid) in readings.items():
        np.savez(path, **{str(length): 0.5 + 0.05 * rng.normal(size=(n_clips, n_queries, n_cells)).cumsum(axis=-1) for length in lengths})
        settings = grid.settings()
        # As `sweep` does: a part for each z-score and smoothing, whose means are kept and whose values are let go.
        parts: dict[tuple, list] = {}
        for setting in settings:
            parts.setdefault((setting.settings.score_zscore, setting.settings.score_smooth_sigma), []).append(setting)
        firsts: dict = {}

        def ours(parts=parts, firsts=firsts):
            kept = {float(length): curve for length, curve in kept_npz(path).items()}
            for part in parts.values():
                values = grid_metrics(part, kept, cells, 0.25, events)
                for metric, value in values.items():
                    value.mean(axis=1)
                    firsts.setdefault(metric, {}).update(zip(part, value[:, :n_slice].copy(), strict=True))

        slow: dict = {}
        curves = {float(length): curve[:n_slice] for length, curve in kept_npz(path).items()}
        work = {
            "grid": ours,
            "loop": lambda settings=settings, curves=curves, slow=slow: slow.update(
                plain_loop(settings, curves, cells[0], events[:n_slice, 0])
            ),
        }
        found = in_turns(work, rounds)
        furthest = max(np.abs(np.array([firsts[metric][s] for s in settings]) - slow[metric]).max() for metric in slow)
        fault = "" if furthest <= 1e-5 and len(settings) == 1200 else f"{len(settings)} settings, differs by {furthest:.0e}"
        cpu = statistics.median(s.cpu_s for s in found["grid"])
        note = f"{cpu:.2f} s of processor time, {CORES} threads; largest difference to the loop {furthest:.0e}"
        rows.append(
            {
                "what": name,
                "values": [s.wall_s for s in found["grid"]],
                "unit": "s",
                "at_most": 1.5,
                "fault": fault,
                "note": note,
                "seconds": as_seconds(found),
            }
        )
        for of, bound in [("wall_s", 150), ("cpu_s", None)]:
            scaled = [ratio * n_clips / n_slice for ratio in ratios(found, "loop", "grid", of)]
            rows.append(
                {
                    "what": f"  a numpy loop over clips and settings against it, {'wall' if bound else 'processor'} time",
                    "values": scaled,
                    "at_least": bound,
                    "note": f"the loop over {n_slice} clips, scaled",
                }
            )
    return rows


def plain_loop(rows, curves, cells, events) -> dict[str, np.ndarray]:
    "Metrics [shape=(S, N)] of one clip and one setting after the other, as one would write it down; what is the same for all clips is made once."
    centers, width = cells.mean(axis=1), cells[0, 1] - cells[0, 0]
    lags = (np.arange(len(centers))[:, None] - np.arange(len(centers))) * width
    kernels = {}
    for sigma in {row.settings.score_smooth_sigma for row in rows} - {0.0}:
        weights = np.exp(-0.5 * (lags / sigma) ** 2)
        kernels[sigma] = weights / weights.sum(axis=0)
    found: dict[str, list] = {}
    for row in rows:
        s = row.settings
        for i, (start, end) in enumerate(events):
            scales = []
            for length in row.L_sec:
                scores = curves[length][i]
                if s.score_zscore:
                    scores = (scores - scores.mean(axis=1, keepdims=True)) / scores.std(axis=1, keepdims=True)
                if s.score_smooth_sigma:
                    scores = scores @ kernels[s.score_smooth_sigma]
                mass = np.exp((scores - scores.max(axis=1, keepdims=True)) / s.tau)
                scales.append(_pooled(mass / mass.sum(axis=1, keepdims=True), s.multi_reduce))
            pdf = _pooled(np.array(scales), s.scale_fusion)
            tied = np.flatnonzero(pdf >= pdf.max() * (1 - 1e-9))
            t = centers[tied[(len(tied) - 1) // 2]]
            overlap = np.clip(np.minimum(cells[:, 1], end) - np.maximum(cells[:, 0], start), 0, None) / width
            inside = float(pdf @ overlap)
            mae, dist = abs(t - (start + end) / 2), max(start - t, t - end, 0.0)
            values = {
                "mae": mae,
                "dist": dist,
                "inside": float(start <= t < end),
                "mass_inside": inside,
                "log_score": np.log(max(inside, 1e-6)),
            }
            for delta in (0.25, 0.5, 1.0):
                values[f"hit_{delta}"], values[f"hit_event_{delta}"] = float(mae <= delta + 1e-9), float(dist <= delta + 1e-9)
            for name, value in values.items():
                found.setdefault(name, []).append(value)
    return {name: np.array(values).reshape(len(rows), len(events)) for name, values in found.items()}


def _pooled(pdfs: np.ndarray, how: str) -> np.ndarray:
    if len(pdfs) == 1:
        return pdfs[0]
    pooled = {"mean": np.mean, "max": np.max, "product": np.prod}[how](pdfs, axis=0)
    return pooled / pooled.sum()


# ---- the run, and what is written about it


def cpu_flags() -> set[str]:
    "What this processor can do, as Linux names it; empty where that is not to be known."
    return set(_cpuinfo("flags", "Features").split())


def _cpuinfo(*names: str) -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for row in path.read_text().splitlines():
            name, _, value = row.partition(":")
            if name.strip() in names:
                return value.strip()
    return ""


def machine() -> dict:
    "The machine in words; nothing that names it."
    import av
    import psutil

    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")
    versions = {
        name: importlib.metadata.version(name)
        for name in ("avesound", "numpy", "scipy", "av", "torch", "torchvision", "torchaudio", "transformers")
    }
    return {
        "cpu": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "cores": CORES,
        "flags": sorted(cpu_flags() & set(wanted)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions,
        "ffmpeg": av.ffmpeg_version_info,
    }


class Load:
    "How many cores other processes have kept busy since it was made."

    def __init__(self):
        self._start = self._now()

    def _now(self):
        import psutil

        times = psutil.cpu_times()
        busy = sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))
        return busy, cpu_seconds(), time.perf_counter()

    def others(self) -> float:
        busy, own, wall = (now - then for now, then in zip(self._now(), self._start, strict=True))
        return max(0.0, (busy - own) / max(wall, 1e-3))


def measured(name: str, bench: Bench) -> dict:
    "Everything about one line."
    chosen, load, began = LINES[name], Load(), time.perf_counter()
    rows: list[Row] = []
    try:
        lacking = set(chosen.needs) - cpu_flags()
        if lacking:
            raise Skipped(f"this processor has no {', '.join(sorted(lacking))}")
        rows.extend(chosen.measure(bench))
    except Skipped as reason:
        rows.append(Row("", skipped=str(reason)))
    except Exception as error:  # one line's failure is not the others'; its message may hold paths, so it goes to the terminal alone
        traceback.print_exc()
        rows.append(Row("", error=type(error).__name__))
    return {
        "line": name,
        "title": chosen.title,
        "others_cores": round(load.others(), 2),
        "took_s": round(time.perf_counter() - began, 1),
        "rows": [row.as_dict() for row in rows],
    }


COLUMNS = ("line", "bound", "median [min, max]", "")


def cells_of(row: dict) -> tuple[str, str, str, str]:
    "A row as it is read."
    digits = 3 if row["unit"] == "s" else 1 if row["unit"] in ("dB", "MB") else 2
    value = ""
    if "median" in row:
        value = f"{row['median']:.{digits}f}"
        if len(row["values"]) > 1:
            value += f" [{row['min']:.{digits}f}, {row['max']:.{digits}f}]"
        value += f" {row['unit']}"
    why = row.get("skipped") or row.get("error") or row.get("fault")
    return row["what"], row["bound"], value, row["status"] + (f": {why}" if why else "")


def as_text(found: dict) -> str:
    "A line of the table for the terminal."
    lines = [f"{found['line']}: {found['title']}  (others kept {found['others_cores']:.1f} of {CORES} cores busy)"]
    for row in found["rows"]:
        what, bound, value, status = cells_of(row)
        lines.append(f"  {what:<58} {bound:>8}  {value:<24} {status}".rstrip())
        if row.get("note"):
            lines.append(f"  {'':<4}{row['note']}")
    return "\n".join(lines)


def as_markdown(report: dict) -> str:
    said = report["machine"]
    versions = ", ".join(
        f"{name} {said[name]}" for name in ("avesound", "python", "numpy", "scipy", "torch", "torchvision", "av", "ffmpeg")
    )
    flags = f" ({', '.join(said['flags'])})" if said["flags"] else ""
    text = [
        "# Speed",
        "",
        f"{said['cpu']}{flags}, {said['cores']} cores, {said['memory_gb']} GB, {said['system']}; {versions}.",
        f"{report['rounds']} rounds or more; the variants of a line take turns, ratios are taken per round: median [min, max].",
        "Wall times suffer where other processes keep cores busy; ratios of processor time do so less, but do.",
    ]
    for found in report["lines"]:
        heading, title = (words[0].upper() + words[1:] for words in (found["line"], found["title"]))
        text += ["", f"## {heading}", "", f"{title}. Other processes kept {found['others_cores']:.1f} cores busy.", ""]
        text += [
            "| " + " | ".join(COLUMNS) + " |",
            "|" + "|".join("-" * width for width in (50, 12, 22, 16)) + "|",
        ]  # widths of the page's columns
        for row in found["rows"]:
            what, *rest = cells_of(row)
            text.append("| " + " | ".join([what + (f" ({row['note']})" if row.get("note") else ""), *rest]) + " |")
    return "\n".join(text) + "\n"


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["--fresh"]:
        print(json.dumps(globals()[argv[1]](*json.loads(argv[2]))))
        return 0
    parser = argparse.ArgumentParser(description="Speed as ratios inside one run. The lines: " + ", ".join(LINES))
    parser.add_argument("--out_dir", type=Path, default=Path("bench"), help="gets bench.json and bench.md (default: %(default)s)")
    parser.add_argument("--only", action="append", choices=list(LINES), metavar="LINE", help="this line alone; may be given several times")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="two rounds: a look, not a measurement")
    options = parser.parse_args(argv)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    from avesound.files import atomic_write

    report = {"machine": machine(), "rounds": 2 if options.quick else options.rounds, "quick": options.quick, "lines": []}
    print(f"{report['machine']['cpu']}, {CORES} cores; {report['rounds']} rounds; median [min, max]", flush=True)
    with tempfile.TemporaryDirectory(prefix="avesound-bench-") as folder:
        bench = Bench(report["rounds"], Path(folder))
        for name in options.only or LINES:
            report["lines"].append(measured(name, bench))
            print("\n" + as_text(report["lines"][-1]), flush=True)
    with atomic_write(options.out_dir / "bench.json") as temporary:
        temporary.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with atomic_write(options.out_dir / "bench.md") as temporary:
        temporary.write_text(as_markdown(report), encoding="utf-8")
    failed = [found["line"] for found in report["lines"] if any(row["status"] == "error" for row in found["rows"])]
    if failed:
        print(f"\nnot measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
