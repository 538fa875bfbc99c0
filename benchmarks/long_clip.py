"Sound and picture of minutes: what loudness and `signal` take of them, against the pinned older code, and in how much memory."

import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .before import alternated, ratio, spoken
from .clips import Bench
from .rounds import Row, cpu_seconds, forget_peak, fresh, resident_bytes
from .table import line

RATE, FPS, SIDE = 16000, 25.0, 96
LENGTHS = (1.0, 5.0)
BLOCK = 256  # frames that a decoder hands over at a time


@line("loudness", "loudness of 600 s of sound in windows of 5 s, processor time of the code before (commit c88ac20) against that of now")
def loudness(bench: Bench):
    runs = alternated(loudness_cost, bench.rounds, f"{bench.folder}/loudness-{{}}.npz", 600)
    off_db = difference(bench.folder / "loudness")
    fault = "" if off_db <= 1e-9 else f"levels differ by {off_db:.0e} dB"
    note = f"largest difference {off_db:.0e} dB; {spoken(runs)}"
    yield Row("600 s in windows of 5 s", ratio(runs), at_least=100, fault=fault, note=note)
    grown = [run["grown"] / 1e9 for run in runs["now"]]
    was = statistics.median(run["grown"] for run in runs["before"]) / 1e9
    yield Row("memory beside the sound", grown, "GB", at_most=0.01, note=f"before {was:.1f} GB")


@line(
    "long clip",
    "a long clip to vectors, loudness and motion of signal, decoding not counted: processor time of the code before (commit c88ac20), "
    "which has all of the clip in memory, against that of now, which takes it in pieces",
)
def long_clip(bench: Bench):
    runs = alternated(signal_cost, bench.rounds, f"{bench.folder}/signal-{{}}.npz", 300)
    off = difference(bench.folder / "signal")
    fault = "" if off <= 1e-6 else f"vectors differ by {off:.0e}"
    yield Row("5 min", ratio(runs), at_least=3, fault=fault, note=f"largest difference {off:.0e}; {spoken(runs)}")
    was, now = (statistics.median(run["peak"] for run in of) / 1e9 for of in runs.values())
    half_hour = [fresh(signal_cost, str(bench.folder / "half-hour.npz"), 1800, "now") for _ in range(min(bench.rounds, 3))]
    yield Row("peak memory of a process, 30 min", [run["peak"] / 1e9 for run in half_hour], "GB", at_most=0.5)
    yield Row("peak memory of a process, 5 min", [now], "GB", note=f"before {was:.1f} GB, and as much again for every 5 min more")
    a_second = statistics.median(run["cpu_s"] for run in half_hour) / 1800
    growth = a_second / statistics.median(run["cpu_s"] / 300 for run in runs["now"])
    yield Row("processor time of a second, of 30 min against 5", [growth], note=f"{1e3 * a_second:.2f} ms")


def difference(out: Path) -> float:
    "The largest difference between what both packages computed."
    was, now = (np.load(f"{out}-{name}.npz") for name in ("before", "now"))
    if set(was) != set(now) or any(was[key].shape != now[key].shape for key in was):
        raise RuntimeError("both packages must compute the same arrays")
    return max(float(np.abs(was[key] - now[key]).max()) for key in was)


# ---- in a process of its own, with either package


def minute() -> np.ndarray:
    "Noise, loud and quiet by turns, a second of silence at its beginning: float32."
    wav = np.random.default_rng(1).standard_normal(60 * RATE, dtype=np.float32)
    wav *= np.float32(0.1) * (1 + np.sin(np.arange(len(wav), dtype=np.float32) / 5000))
    wav[:RATE] = 0
    return wav


def sound(seconds: int) -> np.ndarray:
    "The same minute over and over."
    return np.resize(minute(), seconds * RATE)


def loudness_cost(out: str, seconds: int, which: str) -> dict[str, float]:
    from avesound.timeline import sliding_windows

    if which == "before":
        from avesound.activity import loudness_db
    else:
        from avesound.features import loudness_db
    wav = sound(seconds)
    loudness_db(wav[: 10 * RATE], RATE, sliding_windows(10, 5.0, 0.25))
    windows = sliding_windows(seconds, 5.0, 0.25)
    forget_peak()
    held, began = resident_bytes(), cpu_seconds()
    level = loudness_db(wav, RATE, windows)
    cost = {"cpu_s": cpu_seconds() - began, "grown": resident_bytes(peak=True) - held}
    np.savez(out, level=level)
    return cost


def blocks(n_frames: int) -> Iterator[np.ndarray]:
    "Noise that is shifted: cheap to make and different in every frame."
    ground = np.random.default_rng(0).integers(0, 255, (SIDE + 64, SIDE + 64, 3), dtype=np.uint8)
    for first in range(0, n_frames, BLOCK):
        shifts = ((k * 7919 % 60, k // 5 % 60) for k in range(first, min(first + BLOCK, n_frames)))
        yield np.stack([ground[y : y + SIDE, x : x + SIDE] for y, x in shifts])


class Pieces:
    "As `ClipPieces`, of a clip that is made while it is read; the processor seconds that this takes are counted apart."

    name, sample_rate, undecodable, paused_s = "made", RATE, "", 0.0

    def __init__(self, seconds: int):
        self.duration_s, self.made_s = float(seconds), 0.0

    def __iter__(self):
        from avesound.media.pieces import Piece

        began, wav, seconds = cpu_seconds(), minute(), round(self.duration_s)
        sounds = (wav[k % 60 * RATE :][: min(10, seconds - k) * RATE] for k in range(0, seconds, 10))
        tracks = {"video": blocks(round(self.duration_s * FPS)), "audio": sounds}
        for kind, track in tracks.items():
            for samples in track:
                self.made_s += cpu_seconds() - began
                yield Piece(kind, samples)
                began = cpu_seconds()


def signal_cost(out: str, seconds: int, which: str) -> dict[str, float]:
    from avesound.encoders.signal import SignalEncoder

    cost, parts = (whole_cost if which == "before" else pieces_cost)(SignalEncoder(), seconds)
    np.savez(out, **{f"{kind}-{length_s}-{name}": array for kind, length_s, columns in parts for name, array in columns.items()})
    return cost


def whole_cost(encoder, seconds: int):
    from avesound.embeddings.extract import WindowSettings, _embed
    from avesound.media import Clip

    frames, end = np.empty((round(seconds * FPS), SIDE, SIDE, 3), np.uint8), 0
    for block in blocks(len(frames)):
        frames[end : end + len(block)] = block
        end += len(block)
    clip = Clip(frames, FPS, sound(seconds), RATE, float(seconds))
    began = cpu_seconds()
    vectors, _, _ = _embed(encoder, encoder, clip, WindowSettings(win_s=1.0, lengths=LENGTHS), True, True, 32)
    cost = {"cpu_s": cpu_seconds() - began, "peak": resident_bytes(peak=True)}
    return cost, [(kind, length_s, {"emb": emb} | extras) for kind, length_s, emb, _, extras in vectors]


def pieces_cost(encoder, seconds: int):
    from avesound.embeddings.job import Towers, WindowSettings, embed_pieces

    pieces, began = Pieces(seconds), cpu_seconds()
    clip = embed_pieces(pieces, Towers(encoder, encoder), WindowSettings(win_s=1.0, lengths=LENGTHS), fps=FPS)
    cost = {"cpu_s": cpu_seconds() - began - pieces.made_s, "peak": resident_bytes(peak=True)}
    return cost, [(part.kind, part.length_s, {"emb": part.emb} | part.extras) for part in clip.vectors]
