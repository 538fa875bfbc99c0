"What most scripts do: all frames as arrays, then torch's resize. Ours decodes fewer, smaller ones, to the same pictures."

import numpy as np

from .clips import Bench, BenchClip
from .rounds import Row, as_seconds, in_turns, ratios
from .table import line


def decoded(path):
    "Frames uint8 [shape=(T, 3, H, W)], and which of them is on screen at the middle of each sixteenth of a second."
    import av
    import torch

    with av.open(str(path)) as container:
        origin = (container.start_time or 0) / av.time_base
        frames, times = zip(*((f.to_ndarray(format="rgb24"), f.pts * float(f.time_base) - origin) for f in container.decode(video=0)))
    n = round((times[-1] + times[-1] / (len(times) - 1)) * 16)
    shown = np.searchsorted(times, (np.arange(n) + 0.5) / 16 + 1e-6, side="right") - 1
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2), np.maximum(shown, 0)


def resized(frames):
    from torch.nn.functional import interpolate

    return interpolate(frames, size=(112, 112), mode="bilinear", antialias=True, align_corners=False)


def all_frames(path):
    frames, shown = decoded(path)
    return resized(frames.float())[shown]


def sampled_first(path):
    frames, shown = decoded(path)
    return resized(frames[shown])


def psnr(clip: BenchClip, ours: np.ndarray) -> float:
    "How near our frames are to torch's, dB."
    import torch

    frames, shown = decoded(clip.path)
    n = min(len(ours), len(shown))
    theirs = torch.cat([resized(frames[k][None].float()) for k in shown[:n]]).permute(0, 2, 3, 1).numpy()
    return 10 * np.log10(255**2 / np.mean((ours[:n].astype(np.float64) - theirs) ** 2))


@line("naive", "all frames → array → torch (antialiased), processor time against decode_clip")
def naive(bench: Bench):
    import psutil
    import torch

    from avesound.media.decode import decode_clip

    torch.set_num_threads(1)
    for clip in bench.clips:
        if psutil.virtual_memory().available < 8e9 and clip.height >= 720:
            yield Row(clip.name, skipped="all frames as arrays need 8 GB of free memory")
            continue
        ours = lambda path=clip.path: decode_clip(path, fps=16, size=(112, 112), audio=False)
        work = {
            "all frames, float32": lambda path=clip.path: all_frames(path),
            "sampled first, uint8": lambda path=clip.path: sampled_first(path),
            "decode_clip": ours,
        }
        times = in_turns(work, bench.rounds)
        yield Row(clip.name, ratios(times, "all frames, float32", "decode_clip"), at_least=3.5, seconds=as_seconds(times))
        with_care = ratios(times, "sampled first, uint8", "decode_clip")
        yield Row(f"{clip.name}; sampled before a resize of bytes", with_care, note="what a careful script would do: no bound")
        yield Row(f"{clip.name}; PSNR to torch's resize", [psnr(clip, ours().frames)], "dB", at_least=44)
