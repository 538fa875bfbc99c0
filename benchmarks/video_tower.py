"The video tower's shared work: a window's stem is its neighbour's too, exactly, and dense where a user opts in."

import numpy as np

from .clips import Bench
from .rounds import CORES, Row, as_seconds, fresh_rows, in_turns, ratios
from .table import line

KINDS = {  # encoder, dtype, bound
    "exact, float32": ("mc3_18", "float32", 1.45),
    "exact, bfloat16": ("mc3_18", "bfloat16", 2.5),
    "dense, float32 (opt-in, other vectors)": ("mc3_18_dense", "float32", 4.5),
    "dense, bfloat16 (opt-in, other vectors)": ("mc3_18_dense", "bfloat16", 8.0),
}


@line(
    "video tower",
    "40 windows of 16 frames of a clip through mc3_18, processor time of the stock loop "
    "(torchvision's network and preset, one window after the other) against avesound's in each mode",
)
def video_tower(bench: Bench):
    yield from fresh_rows(video_tower_times, str(bench.synthetic[0].path), bench.rounds, threads=CORES)


class Stock:
    "torchvision's network with its own preset."

    def __init__(self):
        from torchvision.models import get_weight

        from avesound.encoders.resnet3d import load_resnet3d

        self.network, _ = load_resnet3d("mc3_18", "random")
        self.preset = get_weight("MC3_18_Weights.KINETICS400_V1").transforms()

    def input(self, frames: np.ndarray):
        import torch

        return self.preset(torch.from_numpy(frames).permute(0, 3, 1, 2))[None]

    def loop(self, frames: np.ndarray, index: np.ndarray) -> np.ndarray:
        "One window after the other."
        import torch

        with torch.inference_mode():
            return np.concatenate([self.network(self.input(frames[i])).numpy() for i in index])

    def dense(self, frames: np.ndarray, index: np.ndarray) -> np.ndarray:
        "The whole clip at once, then a mean over each window's frames."
        import torch

        network = self.network
        with torch.inference_mode():
            x = network.layer1(network.stem(self.input(frames)))
            per_frame = network.layer4(network.layer3(network.layer2(x))).mean((0, 3, 4)).T.numpy()
        return per_frame[index].mean(axis=1)


def video_tower_times(path: str, rounds: int) -> list[Row]:
    import torch

    from avesound.encoders.base import cpu_has_bfloat16, create_encoder, encode_clip
    from avesound.media.decode import decode_clip
    from avesound.timeline import sliding_windows, window_samples

    torch.set_num_threads(CORES)
    clip = decode_clip(path, fps=15, size=(128, 171), audio=False)
    windows = sliding_windows(clip.duration_s, 16 / 15, 0.25)
    index = window_samples(windows, clip.fps, len(clip.frames))
    stock = Stock()
    possible = {what: kind for what, kind in KINDS.items() if kind[1] == "float32" or cpu_has_bfloat16()}
    encoders = {what: create_encoder(name, weights="random", device="cpu", dtype=dtype) for what, (name, dtype, _) in possible.items()}
    vectors: dict[str, np.ndarray] = {}
    work = {"stock": lambda: vectors.update(stock=stock.loop(clip.frames, index))}
    work |= {what: lambda what=what: vectors.update({what: encode_clip(encoders[what], clip, windows).video}) for what in encoders}
    times = in_turns(work, rounds)
    dense = stock.dense(clip.frames, index)
    rows = []
    for what, (name, dtype, bound) in possible.items():
        fault, note = agreement(name, dtype, vectors[what], vectors["stock"], dense)
        seconds = as_seconds(times, "stock", what)
        rows.append(Row(what, ratios(times, "stock", what), at_least=bound, fault=fault, note=note, seconds=seconds))
    return rows + [Row(what, skipped="this processor has no bfloat16") for what in KINDS if what not in possible]


@line(
    "multiplications",
    "convolutions of mc3_18 for 40 windows of a clip of 10 s, multiplications of the stock loop against those of each mode",
)
def fewer_multiplications(bench: Bench):
    from avesound.encoders.resnet3d import load_resnet3d
    from avesound.timeline import sliding_windows, window_samples

    index = window_samples(sliding_windows(10.0, 16 / 15, 0.25), 15.0, 150)
    saved = multiplications(load_resnet3d("mc3_18", "random")[0], index)
    for what, note in (("exact", "frames that windows share are computed once"), ("dense", "every frame is")):
        yield Row(what, [saved[what]], note=f"counted, not timed: {note}")


def multiplications(network, index: np.ndarray) -> dict[str, float]:
    """How many times fewer multiplications of convolutions there are when work on frames is shared (exact), or done once (dense).

    A layer that looks at three frames makes one frame more at each end of a window differ from what the next window has there.
    """
    n_windows, n_frames = index.shape
    stock, exact, dense, depth = 0, 0, 0, 0
    for looks_ahead, each in _convolutions(network):
        depth += looks_ahead
        inner = np.unique(index[:, depth : n_frames - depth])
        stock += each * index.size
        exact += each * (len(inner) + n_windows * 2 * depth)
        dense += each * len(np.unique(index))
    return {"exact": stock / exact, "dense": stock / dense}


def _convolutions(network) -> list[tuple[bool, int]]:
    "Of each convolution, in the order of the network, whether it looks at the frames beside, and its multiplications for a frame."
    import torch

    found: list[tuple[bool, int]] = []

    def note(layer, _, out):
        found.append((layer.kernel_size[0] > 1, layer.weight[0].numel() * out[0, :, 0].numel()))

    hooks = [layer.register_forward_hook(note) for layer in network.modules() if isinstance(layer, torch.nn.Conv3d)]
    with torch.inference_mode():
        network(torch.zeros(1, 3, 16, 112, 112))
    for hook in hooks:
        hook.remove()
    return found


def agreement(name: str, dtype: str, vectors: np.ndarray, stock: np.ndarray, dense: np.ndarray) -> tuple[str, str]:
    "What is wrong with the vectors of an encoder, and what is worth noting."
    centred = centred_cosine(vectors, stock)
    note = f"clip-centred cosine to the stock vectors {centred:.5f}"
    if name == "mc3_18_dense":
        off = np.abs(vectors - dense).max()
        return f"differs from a direct dense pass by {off:.0e}" if dtype == "float32" and off > 1e-5 else "", note
    if dtype == "float32":
        off = np.abs(vectors - stock).max()
        return f"differs by {off:.0e}" if off > 1e-5 else "", f"largest difference {off:.0e} of {np.abs(stock).max():.1f}"
    return f"clip-centred cosine {centred:.4f}" if centred < 0.998 else "", note


def centred_cosine(a: np.ndarray, b: np.ndarray) -> float:
    "Cosine after the mean over the clip has been taken away: neighbouring windows are alike anyway."
    a, b = a - a.mean(0), b - b.mean(0)
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))
