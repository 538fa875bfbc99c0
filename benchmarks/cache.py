"A cache as large as AVE's, without an encoder."

from pathlib import Path

import numpy as np


def clip_id(i: int) -> str:
    return f"clip-{i:05}"


def write_cache(folder: Path, n: int) -> None:
    "As `extract` would: one file of picture and one of sound for each clip, 40 vectors of 512 numbers in each."
    from avesound.embeddings.store import audio_file, fingerprint, video_file, write_embeddings
    from avesound.encoders.base import EncoderSpec
    from avesound.timeline import sliding_windows

    spec = EncoderSpec("bench", 512, joint=True, weights="none", fps=16.0, size=(112, 112), sample_rate=16000)
    windows = sliding_windows(10.0, 1.0, 0.25)
    rng = np.random.default_rng(0)
    for kind, extra in [("video", "motion"), ("audio", "loudness_db")]:
        vectors = rng.normal(size=(n % 97 + 80, 512)).astype(np.float32)  # of each kind its own: a clip with equal ones would be flat
        meta = {"encoder": spec.as_dict(), "stride_s": 0.25, "edge": "mirror", "kind": kind}
        meta |= {"fingerprint": fingerprint(meta), "duration_s": 10.0, "source": {"name": "clip.mp4", "size": 1, "sha256": "0" * 64}}
        for i in range(n):
            path = video_file(folder / "vid_emb", clip_id(i)) if kind == "video" else audio_file(folder / "aud_emb", clip_id(i), 1.0)
            first = rng.integers(0, len(vectors) - 40)
            write_embeddings(path, vectors[first : first + 40], windows, meta, **{extra: np.abs(vectors[first, :40])})
