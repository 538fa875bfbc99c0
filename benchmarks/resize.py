"Small RGB pictures from decoded frames: as planes, which is what `decode_clip` does, and by way of YUV, which is not what it does."

from functools import partial

import numpy as np

from .clips import Bench
from .naive import resized
from .rounds import Row, as_seconds, in_turns, ratios
from .table import line

SIDE, N = 112, 24


@line("resize", "decoded frames to RGB pictures of 112 px, processor time of FFmpeg's scaler to pixels (the definition) against other ways")
def resize(bench: Bench):
    from avesound.media.container import source_of
    from avesound.media.decode import Upright

    for clip in bench.clips:
        frames, ways = some_frames(clip.path), Ways()
        work = {"pixels": ways.pixels, "here": Upright(source_of(clip.path), (SIDE, SIDE)), "by YUV": ways.by_yuv}
        images = {name: np.stack([way(frame) for frame in frames]) for name, way in work.items()}
        times = in_turns({name: partial(repeated, way, frames) for name, way in work.items()}, 3 * bench.rounds)
        same = np.array_equal(images["here"], images["pixels"])
        fault, note = ("", "equal to the bit") if same else ("not the same pictures", "")
        seconds = as_seconds(times)
        yield Row(f"{clip.name}, as planes", ratios(times, "pixels", "here"), at_least=1.25, fault=fault, note=note, seconds=seconds)
        near = {name: psnr(frames, of) for name, of in images.items()}
        note = "the definition's own" if same else ""
        yield Row(f"{clip.name}, as planes; PSNR to torch's resize", [near["here"]], "dB", at_least=45, note=note)
        note = f"not done: changes {np.mean(images['by YUV'] != images['pixels']):.0%} of the values; {near['by YUV']:.1f} dB"
        yield Row(f"{clip.name}, by YUV of that size", ratios(times, "pixels", "by YUV"), note=note)


def some_frames(path) -> list:
    "Every eighth frame from the first on."
    import av

    with av.open(str(path)) as container:
        frames = [frame for k, frame in zip(range(8 * N), container.decode(video=0)) if k % 8 == 0]  # noqa: B905
    return frames


def repeated(way, frames: list) -> None:
    for _ in range(5):
        for frame in frames:
            way(frame)


class Ways:
    "Scalers that keep what they have prepared, as that of `decode_clip` does."

    def __init__(self):
        from av.video.reformatter import VideoReformatter

        self.first, self.second = VideoReformatter(), VideoReformatter()

    def _step(self, scaler, frame, layout: str):
        from avesound.media.decode import _RESIZE

        return scaler.reformat(frame, width=SIDE, height=SIDE, format=layout, interpolation=_RESIZE, threads=1)

    def pixels(self, frame) -> np.ndarray:
        return self._step(self.first, frame, "rgb24").to_ndarray()

    def by_yuv(self, frame) -> np.ndarray:
        return self._step(self.second, self._step(self.first, frame, "yuv444p"), "rgb24").to_ndarray()


def psnr(frames: list, images: np.ndarray) -> float:
    "How near pictures are to torch's resize of the same frames, dB."
    import torch

    whole = torch.from_numpy(np.stack([frame.to_ndarray(format="rgb24") for frame in frames])).permute(0, 3, 1, 2)
    theirs = resized(whole.float()).permute(0, 2, 3, 1).numpy()
    return float(10 * np.log10(255**2 / np.mean((images - theirs) ** 2)))
