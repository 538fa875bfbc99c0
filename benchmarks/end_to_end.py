"A clip to cached vectors of two towers: what most scripts do, against `extract`."

from functools import partial
from pathlib import Path

import numpy as np

from .clips import Bench
from .rounds import CORES, Row, as_seconds, fresh_rows, in_turns, ratios
from .table import line

KINDS = {"the default": ("mc3_18", "float32", 2.4), "dense and bfloat16": ("mc3_18_dense", "bfloat16", 8.0)}  # encoder, dtype, bound


@line(
    "end to end",
    "a clip of 3 s to cached vectors of mc3_18 and AST, processor time of the naive way "
    "(all frames as arrays, torch's resize, stock networks, padded windows one by one) against extract in the same process",
)
def end_to_end(bench: Bench):
    clips, out_dir = bench.copies(1, bench.short), bench.folder / "end-to-end"
    yield from fresh_rows(end_to_end_times, str(clips), str(out_dir), bench.rounds, threads=CORES)


class Naive:
    "Stock networks, fed window by window."

    def __init__(self):
        from torchvision.models import get_weight

        from avesound.encoders.ast import load_ast
        from avesound.encoders.resnet3d import load_resnet3d

        self.video, _ = load_resnet3d("mc3_18", "random")
        self.preset = get_weight("MC3_18_Weights.KINETICS400_V1").transforms()
        self.audio, _, self.mean, self.std = load_ast("random")

    def frames(self, path: Path):
        "Small frames at 15 a second, and the clip's seconds."
        import av
        import torch
        from torch.nn.functional import interpolate

        with av.open(str(path)) as container:
            pairs = ((f.to_ndarray(format="rgb24"), float(f.pts * f.time_base)) for f in container.decode(video=0))
            frames, times = zip(*pairs, strict=True)
        duration_s = times[-1] + times[-1] / (len(times) - 1)
        shown = np.maximum(np.searchsorted(times, (np.arange(round(duration_s * 15)) + 0.5) / 15, side="right") - 1, 0)
        large = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float()
        return interpolate(large, size=(128, 171), mode="bilinear", antialias=True)[shown].round().byte(), duration_s

    def embed_audio(self, wav: np.ndarray):
        import torch

        from avesound.encoders.logmel import fbank

        mel, rows = np.zeros((1, 1024, 128), np.float32), fbank(wav[None])
        mel[:, : rows.shape[1]] = rows
        return self.audio(torch.from_numpy((mel - self.mean) / np.float32(2 * self.std))).pooler_output

    def extract(self, path: Path, out: Path) -> None:
        import torch

        from avesound.media.decode import decode_audio
        from avesound.timeline import sliding_windows, window_samples

        frames, duration_s = self.frames(path)
        wav = decode_audio(path)
        with torch.inference_mode():
            index = window_samples(sliding_windows(duration_s, 16 / 15, 0.25), 15, len(frames))
            video = [self.video(self.preset(frames[i])[None]) for i in index]
            index = window_samples(sliding_windows(duration_s, 1.0, 0.25), 16000, len(wav))
            audio = [self.embed_audio(wav[i]) for i in index]
        np.savez(out, video=torch.cat(video), audio=torch.cat(audio))


def end_to_end_times(clips: str, out_dir: str, rounds: int) -> list[Row]:
    import torch

    from avesound.embeddings.extract import RunSettings, extract
    from avesound.encoders.base import cpu_has_bfloat16, create_encoder

    torch.set_num_threads(CORES)
    (path,) = Path(clips).iterdir()
    possible = {what: kind for what, kind in KINDS.items() if kind[1] == "float32" or cpu_has_bfloat16()}

    def ours(eye, ear):
        report = extract(
            clips, f"{out_dir}-{eye.spec.name}", encoder=eye, audio_encoder=ear, run=RunSettings(workers=0, overwrite=True), progress=False
        )
        if report.counts != {"ok": 1}:
            raise RuntimeError(str(report))

    work = {"naive": partial(Naive().extract, path, Path(out_dir).with_suffix(".npz"))}
    for what, (video, dtype, _) in possible.items():
        work[what] = partial(ours, *(create_encoder(name, weights="random", device="cpu", dtype=dtype) for name in (video, "ast")))
    times = in_turns(work, rounds)
    rows = [
        Row(what, ratios(times, "naive", what), at_least=bound, seconds=as_seconds(times, "naive", what))
        for what, (_, _, bound) in possible.items()
    ]
    return rows + [Row(what, skipped="this processor has no bfloat16") for what in KINDS if what not in possible]
