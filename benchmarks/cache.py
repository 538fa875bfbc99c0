"A cache as large as AVE's, without an encoder."

from collections.abc import Iterator
from pathlib import Path

import numpy as np


def clip_id(i: int) -> str:
    return f"clip-{i:05}"


def write_cache(folder: Path, n: int) -> None:
    "As `extract` would: one file of picture and one of sound for each clip, 40 vectors of 512 numbers in each; what is there stays."
    from avesound.embeddings.store import audio_file, video_file, write_embeddings

    if (folder / "vid_emb").exists():
        return

    for kind in KINDS:
        for video_id, emb, windows, meta, extras in made_up(kind, n):
            path = video_file(folder / "vid_emb", video_id) if kind == "video" else audio_file(folder / "aud_emb", video_id, 1.0)
            write_embeddings(path, emb, windows, meta, **extras)


def write_packed(folder: Path, n: int) -> None:
    "The same clips as `avesound pack` would leave them, without the files in between; what another line has written stays."
    import json

    if (folder / "vid_emb").exists():
        return

    from avesound.embeddings.packed import PackWriter, form_of
    from avesound.embeddings.store import FOLDERS

    for kind, name in (("video", "video"), ("audio", "L1000ms")):
        writer = None
        for video_id, emb, windows, meta, extras in made_up(kind, n):
            arrays = {"emb": emb, "centers_sec": windows.centers_sec, "starts_sec": windows.starts_sec, "ends_sec": windows.ends_sec}
            arrays |= {"meta": np.array(json.dumps(meta, sort_keys=True)), **extras}
            writer = writer or PackWriter(folder / FOLDERS[kind] / "packed" / name, form_of(arrays))
            writer.add(video_id, arrays)
        if writer:
            writer.finish()


KINDS = {"video": "motion", "audio": "loudness_db"}  # and what is measured beside the vectors


def made_up(kind: str, n: int) -> Iterator[tuple]:
    "Id, vectors, windows, meta and columns of each clip."
    from avesound.embeddings.store import fingerprint
    from avesound.encoders.base import EncoderSpec
    from avesound.timeline import sliding_windows

    spec = EncoderSpec("bench", 512, joint=True, weights="none", fps=16.0, size=(112, 112), sample_rate=16000)
    windows = sliding_windows(10.0, 1.0, 0.25)
    rng = np.random.default_rng([0, *kind.encode()])  # of each kind its own: a clip with equal ones would be flat
    vectors = rng.normal(size=(n % 97 + 4000, 512)).astype(np.float32)
    meta = {"encoder": spec.as_dict(), "stride_s": 0.25, "edge": "mirror", "kind": kind}
    meta |= {"fingerprint": fingerprint(meta), "duration_s": 10.0, "source": {"name": "clip.mp4", "size": 1, "sha256": "0" * 64}}
    for i in range(n):
        first = rng.integers(0, len(vectors) - 40)
        yield clip_id(i), vectors[first : first + 40], windows, meta, {KINDS[kind]: np.abs(vectors[first, :40])}
