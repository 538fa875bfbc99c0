"The same work with the code of the pinned commit and with that of now: pictures, the video tower, similarities, a sweep, unequal clips."

import statistics
import sys
from pathlib import Path

import numpy as np

from .before import alternated, before, ratio, spoken
from .cache import clip_id, write_cache, write_packed
from .clips import Bench
from .rounds import CORES, Row, cpu_seconds, forget_peak, fresh, resident_bytes
from .sweep import kernel_or_numpy
from .table import line


@line("decode before", "decode and resize to 112 px at 16 fps, processor time of the code before (commit c88ac20) against that of now")
def decode_before(bench: Bench):
    for clip in bench.clips:
        runs = alternated(decode_cost, bench.rounds, str(clip.path), f"{bench.folder}/frames-{{}}.npy")
        was, now = (np.load(f"{bench.folder}/frames-{name}.npy") for name in runs)
        fault = "" if np.array_equal(was, now) else "the frames differ"
        yield Row(clip.name, ratio(runs), at_least=1, fault=fault, note=f"equal to the bit; {spoken(runs)}")


def decode_cost(path: str, out: str, which: str) -> dict[str, float]:
    if which == "before":
        from avesound.media import decode_clip
    else:
        from avesound.media.decode import decode_clip
    wanted = {"fps": 16, "size": (112, 112), "audio": False}
    np.save(out, decode_clip(path, **wanted).frames)
    began = cpu_seconds()
    for _ in range(3):
        decode_clip(path, **wanted)
    return {"cpu_s": (cpu_seconds() - began) / 3}


MODES = {  # encoder, dtype, most that vectors may differ by
    "exact, float32": ("mc3_18", "float32", 1e-5),
    "exact, bfloat16": ("mc3_18", "bfloat16", None),
    "dense, float32": ("mc3_18_dense", "float32", 1e-5),
    "dense, bfloat16": ("mc3_18_dense", "bfloat16", None),
}


@line(
    "video tower before",
    "12 windows of 16 frames through mc3_18 in one thread, processor time of the code before (commit c88ac20) against that of now",
)
def tower_before(bench: Bench):
    from avesound.encoders.base import cpu_has_bfloat16

    for what, (name, dtype, most) in MODES.items():
        if dtype == "bfloat16" and not cpu_has_bfloat16():
            yield Row(what, skipped="this processor has no bfloat16")
            continue
        runs = alternated(tower_cost, min(bench.rounds, 3), str(bench.short), name, dtype, f"{bench.folder}/tower-{{}}.npy")
        was, now = (np.load(f"{bench.folder}/tower-{name}.npy") for name in runs)
        off = float(np.abs(was - now).max())
        fault = f"vectors differ by {off:.0e}" if most is not None and off > most else ""
        yield Row(
            what,
            ratio(runs),
            at_least=0.97,
            fault=fault,
            note=f"no slower, within what rounds differ by; vectors differ by {off:.0e} at most; {spoken(runs)}",
        )


def tower_cost(path: str, name: str, dtype: str, out: str, which: str) -> dict[str, float]:
    import torch

    if which == "before":
        from avesound.media import decode_clip
    else:
        from avesound.media.decode import decode_clip
    from avesound.encoders.base import create_encoder, encode_clip
    from avesound.timeline import sliding_windows

    torch.set_num_threads(1)  # two would wait for each other on a machine with others at work
    clip = decode_clip(path, fps=15, size=(128, 171), audio=False)
    windows = sliding_windows(clip.duration_s, 16 / 15, 0.25)
    encoder = create_encoder(name, weights="random", device="cpu", dtype=dtype)
    encode_clip(encoder, clip, windows)  # what the first call chooses and lays out does not count
    began = cpu_seconds()
    np.save(out, encode_clip(encoder, clip, windows).video)
    return {"cpu_s": cpu_seconds() - began}


@line(
    "similarities before",
    "similarities of 4,097 clips, processor time of the code before (commit c88ac20) from npz files against that of now",
)
def similarities_before(bench: Bench):
    caches = {"before": bench.folder / "npz", "npz": bench.folder / "npz", "packed": bench.folder / "packed"}
    write_cache(caches["npz"], 4097)
    write_packed(caches["packed"], 4097)
    runs: dict[str, list[dict]] = {name: [] for name in (*caches, "floor")}
    for _ in range(bench.rounds):
        for name, cache in caches.items():
            given = (str(cache), 4097, f"{bench.folder}/curves-{name}.npy", name)
            runs[name].append(fresh(curves_cost, *given, package=before() if name == "before" else None))
        runs["floor"].append(fresh(floor_cost, str(caches["packed"])))
    first, *others = (np.load(f"{bench.folder}/curves-{name}.npy") for name in caches)
    off = max(float(np.abs(first - other).max()) for other in others)
    fault = "" if off <= 1e-12 else f"curves differ by {off:.0e}"
    for name, at_least in (("packed", 20), ("npz", None)):
        of = {"before": runs["before"], "now": runs[name]}
        yield Row(f"from {name}", ratio(of), at_least=at_least, fault=fault, note=f"{spoken(of)}; curves differ by {off:.0e} at most")
    yield Row(
        "reading the packed files and their checksums alone", ratio({"before": runs["before"], "now": runs["floor"]}), note="the floor"
    )


def curves_cost(cache: str, n: int, out: str, which: str) -> dict[str, float]:
    if which == "before":
        from avesound.similarity import similarity_set
    else:
        from avesound.embeddings.similarity import similarity_set
    from avesound.data.annotations import ClipAnnotation
    from avesound.timeline import Interval

    clips = [ClipAnnotation(clip_id(i), "bench", (Interval(2.0, 6.0),)) for i in range(n)]
    where = (f"{cache}/vid_emb", f"{cache}/aud_emb") if which == "before" else (cache,)
    similarity_set(*where, clips[:16])  # what the first call loads does not count
    began = cpu_seconds()
    similar = similarity_set(*where, clips)
    cost = {"cpu_s": cpu_seconds() - began}
    curves = similar.curves[0]
    np.save(out, np.stack([np.asarray(curve) for curve in curves]).reshape(n, -1))
    return cost


def floor_cost(cache: str) -> dict[str, float]:
    "Every byte of the packed vectors, read once into memory that is used again, and its checksum."
    import zlib

    began = cpu_seconds()
    room = bytearray(2**17)
    for path in sorted(Path(cache).rglob("emb.npy")):
        with path.open("rb", buffering=0) as file:
            while n := file.readinto(room):
                zlib.crc32(memoryview(room)[:n])
    return {"cpu_s": cpu_seconds() - began}


@line("sweep before", "1,200 settings × 4,097 clips × 40 windows, processor time of the code before (commit c88ac20) against that of now")
def sweep_before(bench: Bench):
    runs = alternated(sweep_cost, bench.rounds, f"{bench.folder}/swept-{{}}.npz", threads=CORES)
    was, now = (np.load(f"{bench.folder}/swept-{name}.npz") for name in runs)
    off = max(float(np.abs(was[metric] - now[metric]).max()) for metric in was.files)
    fault = "" if off <= 1e-12 else f"metrics differ by {off:.0e}"
    yield Row(
        "5 lengths alone, 3 audio queries fused in 3 ways",
        ratio(runs),
        at_least=2.5,
        fault=fault,
        note=f"{spoken(runs)}; {kernel_or_numpy(runs['now'][0]['compiled'])}; metrics differ by {off:.0e} at most",
    )


def sweep_cost(out: str, which: str) -> dict:
    if which == "before":
        from avesound.align import FUSIONS
        from avesound.grid import Grid, grid_metrics
    else:
        from avesound.localization.align import FUSIONS
        from avesound.tuning.grid import Grid, grid_metrics
    n, lengths = 4097, (0.25, 0.5, 1.0, 2.0, 5.0)
    rng = np.random.default_rng(0)
    edges = np.arange(41) * 0.25
    cells = np.tile(np.stack([edges[:-1], edges[1:]], axis=-1), (n, 1, 1))
    start = rng.integers(0, 9, n)
    events = np.stack([start, np.minimum(start + rng.integers(1, 11, n), 10)], axis=-1)[:, None].astype(float)
    curves = {length: 0.5 + 0.05 * rng.normal(size=(n, 3, 40)).cumsum(axis=-1) for length in lengths}
    grid = Grid(
        lengths,
        tuple(np.geomspace(0.05, 5, 10)),
        smooth_sigmas=(0.0, 0.25, 0.5, 1.0),
        audio_queries=("multi",),
        scale_fusions=("mean",),
        multi_reduces=FUSIONS,
    )
    parts: dict[tuple, list] = {}
    for setting in grid.settings():  # as `sweep` does: what is no longer needed is let go
        parts.setdefault((setting.settings.score_zscore, setting.settings.score_smooth_sigma), []).append(setting)
    kept: dict[str, list] = {}
    grid_metrics(next(iter(parts.values())), curves, cells, 0.25, events)  # the first memory that a process takes costs most
    began = cpu_seconds()
    for part in parts.values():
        for metric, values in grid_metrics(part, curves, cells, 0.25, events).items():
            kept.setdefault(metric, []).append(values[:, ::64].copy())
    cost = {"cpu_s": cpu_seconds() - began, "compiled": bool(sys.modules.get("numba"))}
    np.savez(out, **{metric: np.concatenate(values) for metric, values in kept.items()})
    return cost


@line(
    "unequal clips",
    "evaluation of 40 clips of 10 s and one of 5 min, processor time of the code before (commit c88ac20) against that of now",
)
def unequal_clips(bench: Bench):
    cache = bench.folder / "unequal"
    write_unequal(cache)
    runs = alternated(unequal_cost, bench.rounds, str(cache), threads=CORES)
    off = max(abs(runs["before"][0]["means"][name] - value) for name, value in runs["now"][0]["means"].items())
    fault = "" if off <= 1e-9 else f"means differ by {off:.0e}"
    yield Row("evaluate", ratio(runs), at_least=8, fault=fault, note=f"{spoken(runs)}; means differ by {off:.0e} at most")
    was = statistics.median(run["grown"] for run in runs["before"]) / 1e9
    yield Row("memory beside what is imported", [run["grown"] / 1e9 for run in runs["now"]], "GB", at_most=0.2, note=f"before {was:.2f} GB")


def write_unequal(cache: Path) -> None:
    "Noise and an event in each clip; one clip is thirty times as long."
    from avesound.embeddings.store import audio_file, fingerprint, video_file, write_embeddings
    from avesound.encoders.base import EncoderSpec
    from avesound.timeline import sliding_windows

    spec = EncoderSpec("bench", 64, joint=True, weights="none", fps=16.0, size=(112, 112), sample_rate=16000)
    rng, rows = np.random.default_rng(0), ["video_id,event_label,start_s,end_s,split"]
    for i in range(41):
        duration_s = 300.0 if i == 40 else 10.0
        windows = sliding_windows(duration_s, 1.0, 0.25)
        for kind in ("video", "audio"):
            meta = {"encoder": spec.as_dict(), "stride_s": 0.25, "edge": "mirror", "kind": kind}
            meta |= {"fingerprint": fingerprint(meta), "duration_s": duration_s, "source": {"name": "c.mp4", "size": 1, "sha256": "0" * 64}}
            path = video_file(cache / "vid_emb", clip_id(i)) if kind == "video" else audio_file(cache / "aud_emb", clip_id(i), 1.0)
            extra = {"video": "motion", "audio": "loudness_db"}[kind]
            vectors = rng.normal(size=(len(windows), 64)).astype(np.float32)
            write_embeddings(path, vectors, windows, meta, **{extra: np.abs(vectors[:, 0])})
        start = float(rng.integers(0, 7))
        rows.append(f"{clip_id(i)},class {i % 4},{start},{start + 3},test")
    (cache / "annotations.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def unequal_cost(cache: str, which: str) -> dict:
    if which == "before":
        from avesound.evaluate import evaluate

        where: tuple = (f"{cache}/vid_emb", f"{cache}/aud_emb", f"{cache}/annotations.csv")
    else:
        from avesound.evaluation.evaluate import evaluate

        where = (cache, f"{cache}/annotations.csv")
    import pandas  # noqa: F401  loaded by both, and no part of the work

    forget_peak()
    held, began = resident_bytes(), cpu_seconds()
    overall = evaluate(*where, split="test").overall
    cost = {"cpu_s": cpu_seconds() - began, "grown": resident_bytes(peak=True) - held}
    means = (overall if which == "before" else overall.as_json())["means"]["partial"]["encoder"]
    return cost | {"means": {name: of["mean"] for name, of in means.items() if name in ("mae", "dist", "mass_inside", "log_score")}}
