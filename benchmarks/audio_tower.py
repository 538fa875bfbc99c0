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
