"What packing a cache gains, and the formats that were thought of for it."

import importlib.util
import shutil
import statistics

import numpy as np

from .cache import write_cache
from .clips import Bench
from .evaluation import evaluation_times
from .rounds import Row, fresh, resident_bytes, spent
from .similarities import similarity_times
from .table import line

N = 4097


@line(
    "packed cache", "4,097 pairs of 40 vectors of 512 numbers, packed, against the same in `.npz` files; processor time in fresh processes"
)
def packed_cache(bench: Bench):
    plain, packed = bench.folder / "plain", bench.folder / "packed"
    write_cache(plain, N)
    shutil.copytree(plain, packed)
    times = fresh(pack_times, str(packed))
    note = f"{times['cpu_s']:.1f} s of processor time; every array is compared with its file before that is removed"
    yield Row("to pack it, wall time", [times["wall_s"]], "s", note=note)
    runs = {"`.npz`": [], "packed": []}
    for _ in range(bench.rounds):
        for name, folder in (("`.npz`", plain), ("packed", packed)):
            runs[name].append(fresh(similarity_times, str(folder), N))
    yield _against("similarities", runs, at_least=20)
    reading = {"numpy": [], "here": []}
    for _ in range(bench.rounds):
        for name in reading:
            reading[name].append(fresh(read_times, str(plain), name))
    yield _against("reading `.npz` files as the store does, against numpy's reader", reading)
    few = {name: [fresh(evaluation_times, str(folder), N, threads=1)] for name, folder in (("`.npz`", plain), ("packed", packed))}
    yield _against("evaluation, one round", few)


def _against(what: str, runs: dict[str, list[dict]], at_least: float | None = None) -> Row:
    ratios = [a["cpu_s"] / b["cpu_s"] for a, b in zip(*runs.values(), strict=True)]
    note = ", ".join(f"{name} {statistics.median(run['cpu_s'] for run in of):.2f} s" for name, of in runs.items())
    return Row(what, ratios, at_least=at_least, note=note)


def read_times(cache: str, name: str) -> dict[str, float]:
    from pathlib import Path

    from avesound.embeddings import store

    if name == "numpy":
        store._stored_arrays = lambda packed: None  # as for a compressed file: numpy reads it
    files = sorted(Path(cache).rglob("*.npz"))
    return vars(spent(lambda: [store.read_embeddings(path) for path in files]))


def pack_times(cache: str) -> dict[str, float]:
    from avesound.embeddings.pack import pack

    return vars(spent(lambda: pack(cache, progress=False)))


@line("packed formats", "the vectors of 4,097 clips in one file: from nothing to one clip's vectors, processor time in a fresh process")
def packed_formats(bench: Bench):
    write_formats(bench.folder)
    for name, what in FORMATS.items():
        if name.startswith("feather") and importlib.util.find_spec("pyarrow") is None:
            yield Row(what, skipped="pyarrow is not installed; avesound does not need it")
            continue
        runs = [fresh(open_times, str(bench.folder), name) for _ in range(bench.rounds)]
        note = f"{statistics.median(run['grown_mb'] for run in runs):.0f} MB more memory"
        yield Row(what, [run["cpu_s"] for run in runs], "s", note=note)


FORMATS = {
    "npy": "`.npy`, mapped",
    "npz": "`.npz`, `mmap_mode`",
    "slice": "safetensors, `get_slice`",
    "tensors": "safetensors, `load_file`",
    "feather": "Feather, uncompressed, one chunk, mapped",
    "feather_default": "Feather as it comes",
}


def write_formats(folder) -> None:
    from safetensors.numpy import save_file

    emb = np.random.default_rng(0).normal(size=(N * 40, 512)).astype(np.float32)
    np.save(folder / "emb.npy", emb)
    np.savez(folder / "emb.npz", emb=emb)
    save_file({"emb": emb}, folder / "emb.safetensors")
    if importlib.util.find_spec("pyarrow"):
        import pyarrow as pa
        from pyarrow import feather

        table = pa.table({"emb": pa.FixedSizeListArray.from_arrays(pa.array(emb.ravel()), 512)})
        feather.write_feather(table, folder / "emb.feather", compression="uncompressed", chunksize=len(emb))
        feather.write_feather(table, folder / "emb_default.feather")


def open_times(folder: str, name: str) -> dict[str, float]:
    before, results = resident_bytes(), []
    times = spent(lambda: results.append(_opened(folder, name)))
    rows = np.array(results[0][1000 * 40 : 1001 * 40])
    if rows.shape != (40, 512):
        raise RuntimeError(f"{name}: {rows.shape}")
    return vars(times) | {"grown_mb": (resident_bytes(peak=True) - before) / 1e6}


def _opened(folder: str, name: str):
    "Something whose slices are vectors."
    if name in ("npy", "npz"):
        opened = np.load(f"{folder}/emb.{name}", mmap_mode="r")
        return opened if name == "npy" else opened["emb"]
    if name == "slice":
        from safetensors import safe_open

        return safe_open(f"{folder}/emb.safetensors", "np").get_slice("emb")
    if name == "tensors":
        from safetensors.numpy import load_file

        return load_file(f"{folder}/emb.safetensors")["emb"]
    from pyarrow import feather

    column = feather.read_table(f"{folder}/{name.replace('feather', 'emb')}.feather", memory_map=True).column(0)
    joined = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()  # which copies
    return joined.values.to_numpy(zero_copy_only=False).reshape(-1, 512)
