"A window of 1 s need not be padded to the 10.24 s that the audio tower was trained on."

from .clips import Bench
from .rounds import CORES, Row, as_seconds, fresh_rows, in_turns, ratios
from .table import line

KINDS = {  # filled up with zeros or not, dtype
    "padded": ("zero", "float32"),
    "its own length, float32": ("none", "float32"),
    "its own length, bfloat16": ("none", "bfloat16"),
}


@line("audio tower", "8 windows of 1 s through AST, processor time of windows padded to 10.24 s against avesound's, which are not")
def audio_tower(bench: Bench):
    yield from fresh_rows(audio_tower_times, str(bench.synthetic[0].path), bench.rounds, threads=CORES)


def audio_tower_times(path: str, rounds: int) -> list[Row]:
    import torch

    from avesound.encoders.base import cpu_has_bfloat16, create_encoder, encode_clip
    from avesound.media.decode import decode_clip
    from avesound.timeline import sliding_windows

    torch.set_num_threads(CORES)
    clip = decode_clip(path, video=False)
    windows = sliding_windows(clip.duration_s, 1.0, clip.duration_s / 8)
    kinds = {what: kind for what, kind in KINDS.items() if kind[1] == "float32" or cpu_has_bfloat16()}
    encoders = {
        name: create_encoder("ast", weights="random", device="cpu", fill=fill, dtype=dtype) for name, (fill, dtype) in kinds.items()
    }
    times = in_turns({name: lambda name=name: encode_clip(encoders[name], clip, None, (windows,)) for name in kinds}, rounds)
    rows = [
        Row(what, ratios(times, "padded", what), at_least=8, seconds=as_seconds(times, "padded", what))
        for what in kinds
        if what != "padded"
    ]
    return rows + [Row(what, skipped="this processor has no bfloat16") for what in KINDS if what not in kinds]


LENGTHS = (0.25, 0.5, 1.0, 2.0, 5.0)  # s
STRIDE_S = 0.25  # 40 windows in 10 s


@line("one pass of AST", "AST, 5 lengths of 40 windows, processor time of windows at their own length against rows that are read once")
def one_pass(bench: Bench):
    yield from fresh_rows(one_pass_times, str(bench.synthetic[0].path), bench.rounds, threads=CORES)


def one_pass_times(path: str, rounds: int) -> list[Row]:
    import torch

    from avesound.encoders.base import cpu_has_bfloat16
    from avesound.media.decode import decode_clip
    from avesound.timeline import sliding_windows

    torch.set_num_threads(CORES)
    clip = decode_clip(path, video=False)
    sets = tuple(sliding_windows(clip.duration_s, length, STRIDE_S) for length in LENGTHS)
    brain = (
        one_pass_row(clip, sets, "bfloat16", rounds) if cpu_has_bfloat16() else Row("bfloat16", skipped="this processor has no bfloat16")
    )
    return [one_pass_row(clip, sets, "float32", rounds), brain]


def one_pass_row(clip, sets, dtype: str, rounds: int) -> Row:
    import numpy as np

    from avesound.encoders.base import clip_rows, create_encoder, encode_clip
    from avesound.timeline import row_means

    # Three of its twelve layers: all windows one by one would take minutes, and both ways take longer alike.
    encoders = {
        way: create_encoder(name, weights="random", device="cpu", dtype=dtype, num_hidden_layers=3)
        for way, name in (("alone", "ast"), ("once", "ast_frame_level"))
    }
    rows = clip_rows(encoders["once"], clip, video=False).audio[0]
    made = encode_clip(encoders["once"], clip, None, sets).audio
    error = max(float(np.abs(a - row_means(rows, 10.0, windows)).max()) for a, windows in zip(made, sets, strict=True))
    times = in_turns({way: lambda way=way: encode_clip(encoders[way], clip, None, sets) for way in encoders}, min(rounds, 2))
    fault = "" if error < 1e-5 else f"windows are not the means of rows: {error:.0e}"
    said = f"{len(sets[0])} windows of {', '.join(f'{length:g}' for length in LENGTHS)} s; random weights, 3 layers; other vectors"
    return Row(dtype, ratios(times, "alone", "once"), at_least=10, fault=fault, note=said, seconds=as_seconds(times, "alone", "once"))
