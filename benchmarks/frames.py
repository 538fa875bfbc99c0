"A tower that reads a clip once gives windows of every length; asked window by window, it reads the same frames again and again."

from .clips import Bench
from .rounds import Row, as_seconds, fresh_rows, ratios, spent
from .table import line

LENGTHS = (0.25, 0.5, 1.0, 2.0, 5.0)  # s, of windows of picture and of sound
STRIDE_S = 0.25  # 40 windows in 10 s
SIZE = 64  # pixels
# The classes of PE-AV, of a size at which the slow way takes seconds: with larger towers both ways take longer alike.
SMALL = {"hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 3, "head_dim": 32}
WORDS = {"vocab_size": 60, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
TEXT = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
DAC = {"downsampling_ratios": [2, 8, 10, 12], "encoder_hidden_size": 8, "codebook_dim": 16, "hidden_size": 64}
VISION = {"architecture": "vit_pe_core_tiny_patch16_384", "model_args": {"img_size": SIZE, "depth": 2}}


@line("frames", "5 lengths of 40 windows, picture and sound, processor time of windows one by one against means of rows that are read once")
def frames(bench: Bench):
    yield from fresh_rows(frame_times, str(bench.synthetic[0].path), bench.rounds, threads=1)


def model():
    "PE-AV with random weights."
    import torch
    from transformers import PeAudioVideoConfig, PeAudioVideoModel

    audio = {"model_type": "pe_audio_encoder", "dac_config": {"model_type": "dac"} | DAC} | SMALL
    vision = {"model_type": "timm_wrapper", "num_classes": 64, "do_pooling": True} | VISION
    video = {"model_type": "pe_video_encoder", "vision_config": vision} | SMALL
    text = {"model_type": "modernbert"} | TEXT | WORDS
    torch.manual_seed(0)
    towers = SMALL | {"audio_config": audio, "video_config": video}
    return PeAudioVideoModel(PeAudioVideoConfig(text_config=text, audio_video_config=towers)).eval().requires_grad_(False)


def frame_times(path: str, rounds: int) -> list[Row]:
    import numpy as np
    import torch

    from avesound.encoders.base import clip_rows, encode_clip, encode_windows, windows_of_rows
    from avesound.encoders.pe_av import SAMPLE_RATE, PEAVEncoder, PEAVFrames
    from avesound.media.decode import decode_clip
    from avesound.timeline import sliding_windows

    torch.set_num_threads(1)  # small products: a second thread waits more than it works
    about = {"size": {"height": SIZE, "width": SIZE}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "num_frames": None}
    by_row, by_window = (kind(model(), provenance="untrained", preprocessing=about, device="cpu") for kind in (PEAVFrames, PEAVEncoder))
    clip = decode_clip(path, fps=30.0, size=(SIZE, SIZE), sample_rate=SAMPLE_RATE)
    sets = tuple(sliding_windows(clip.duration_s, length, STRIDE_S) for length in LENGTHS)

    def once():
        rows = clip_rows(by_row, clip)
        return [windows_of_rows(rows, 25.0, windows, (windows,)) for windows in sets]

    def alone():
        for windows in sets:
            encode_windows(by_window.encode_video, clip.frames, 30.0, windows)
            encode_windows(by_window.encode_audio, clip.wav, SAMPLE_RATE, windows)

    def shared():
        return [encode_clip(by_window, clip, windows, (windows,)) for windows in sets]

    made = once()
    again = [encode_clip(by_row, clip, windows, (windows,)) for windows in sets]
    error = max(float(np.abs(a.video - b.video).max()) for a, b in zip(made, again, strict=True))
    fault = "" if error < 1e-5 else f"windows of the rows differ from the encoder's own by {error:.0e}"
    ways = {"once": once, "alone": alone, "shared": shared}
    times = {name: [spent(work) for _ in range(min(rounds, 2))] for name, work in ways.items()}  # the slow ways take a minute
    shape = ", ".join(f"{length:g}" for length in LENGTHS)
    said = f"{len(sets[0])} windows of {shape} s; PE-AV's classes, random weights, {SIZE} px, 2 layers of 96"
    one, other = (ratios(times, name, "once") for name in ("alone", "shared"))
    return [
        Row("every window encoded alone", one, at_least=15, fault=fault, note=said, seconds=as_seconds(times, "once", "alone")),
        Row("pe_av, which looks at each frame once for each length", other, seconds=as_seconds(times, "once", "shared")),
    ]
