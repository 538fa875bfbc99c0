"Packed caches: the same results, nothing lost whenever it is interrupted, and no damage that goes unnoticed."

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avesound.cli import main
from avesound.data.splits import read_clips
from avesound.embeddings import pack as packing
from avesound.embeddings.cache import EmbeddingCache, PairReader
from avesound.embeddings.claim import ClaimError, LostClaim, claimed
from avesound.embeddings.extract import RunSettings, WindowSettings, extract
from avesound.embeddings.fit import fit_projector
from avesound.embeddings.pack import pack, unpack
from avesound.embeddings.packed import PACKED, PackedClips, PackWriter, forget_packed, form_of, packed_sets
from avesound.embeddings.status import cache_status
from avesound.embeddings.store import (
    FOLDERS,
    CacheError,
    EmbeddingsReader,
    audio_file,
    cached_audios,
    cached_videos,
    fingerprint,
    read_embeddings,
    video_file,
    write_embeddings,
)
from avesound.embeddings.verify import remake, verify_cache
from avesound.evaluation.crossmodal import evaluate_crossmodal, queries_of_clips
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.plan import Scoring
from avesound.files import StorageError
from avesound.refiner.network import RefinerSettings
from avesound.refiner.train import train_refiner
from avesound.timeline import sliding_windows
from avesound.tuning.ablate import ablate
from avesound.tuning.grid import Grid
from avesound.tuning.sweep import sweep
from avesound.viewer.run import Run, clip_length, open_run, similarity_matrix

N = 40


def made_by(kind: str, stride_s: float = 0.25) -> dict:
    encoder = {"name": "toy", "dim": 8, "joint": True, "weights": "none"}
    return {"encoder": encoder, "kind": kind, "stride_s": stride_s}


def claim_folder(folder: Path, settings: dict, overwrite: bool = False) -> None:
    with claimed({folder: settings}, overwrite=overwrite):
        pass


def write_clip(cache: Path, i: int, seed: int = 0, stride_s: float = 0.25) -> None:
    "One clip, 3 to 10 s long, whose vectors say a little about its event; two lengths of audio windows."
    rng, duration = np.random.default_rng([seed, i]), 10.0 if i % 4 else 3.0 + i % 7
    common = {"duration_s": duration, "source": {"name": f"clip{i:02}.mp4"}}
    seen = sliding_windows(duration, 1.0, stride_s)
    event = ((seen.centers_s > 2) & (seen.centers_s < 5))[:, None] * np.ones(8)
    for kind, lengths in (("video", (None,)), ("audio", (0.5, 1.0))):
        meta = made_by(kind, stride_s) | common
        meta["fingerprint"] = fingerprint(made_by(kind, stride_s))
        for length in lengths:
            emb = event + rng.normal(size=(len(seen), 8))
            if length is None:
                write_embeddings(video_file(cache / "vid_emb", f"clip{i:02}"), emb, seen, meta, motion=emb[:, 0] ** 2)
            else:
                path = audio_file(cache / "aud_emb", f"clip{i:02}", length)
                write_embeddings(path, emb, seen, meta | {"length_s": length}, loudness_db=emb[:, 1])


def make_cache(folder: Path, n: int = N) -> Path:
    for kind, name in FOLDERS.items():
        claim_folder(folder / name, made_by(kind))
    for i in range(n):
        write_clip(folder, i)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    cache = make_cache(tmp_path_factory.mktemp("plain") / "cache")
    rows = [f"clip{i:02},class {i % 3},2,5,good,{('train', 'val', 'test')[i % 3]}" for i in range(N)]
    (cache.parent / "annotations.csv").write_text("\n".join(["video_id,event_label,start_s,end_s,quality,split", *rows]) + "\n")
    return cache


def copy_of(cache: Path, folder: Path) -> Path:
    return Path(shutil.copytree(cache, folder / "cache"))


def contents(cache: Path) -> dict[str, bytes]:
    return {path.relative_to(cache).as_posix(): path.read_bytes() for path in sorted(cache.rglob("*.npz"))}


def vectors(cache: Path) -> dict[str, bytes]:
    "All that can be read of a cache, by the names of the files that it would be in."
    forget_packed()
    files = [video_file(cache / "vid_emb", video_id) for video_id in cached_videos(cache / "vid_emb")]
    files += [audio_file(cache / "aud_emb", i, length) for length, ids in cached_audios(cache / "aud_emb").items() for i in ids]
    every = {}
    for path in files:
        e = read_embeddings(path)
        arrays = [e.emb, e.windows.starts_s, e.windows.ends_s, *e.extras.values()]
        every[path.relative_to(cache).as_posix()] = b"".join(a.tobytes() for a in arrays) + json.dumps([e.meta, list(e.extras)]).encode()
    return every


# ---- the same results


def results(cache: Path, annotations: Path, out: Path) -> dict:
    "What every reader of a cache makes of it, without what says when and where."
    scoring = Scoring(n_boot=50, n_shuffles=5)
    evaluation = evaluate(cache, annotations, split="test", calibrate_on="val", scoring=scoring)
    evaluation.save(out / "summary.csv", out / "curves")
    found = {name: (out / name).read_bytes() for name in ("summary.csv", "summary_baselines.csv", "curves/curves.csv")}
    found["overall"] = json.dumps(evaluation.overall.as_json()["means"], sort_keys=True)
    sweep([cache], annotations, out_dir=out / "grid", grid=Grid((1.0,), taus=(0.1, 1.0)), progress=False)
    found["sweep"] = (out / "grid/aggregate.csv").read_bytes()
    found["ablate"] = ablate([cache], annotations, out_dir=out / "ablation", n_boot=20, progress=False).table.to_csv()
    refiner = train_refiner(cache, annotations, training=RefinerSettings(epochs=2), progress=False)
    found["refiner"] = [run["best_kl"] for run in refiner.record["runs"]]
    found["projector"] = fit_projector(cache, annotations, dim=4).sha256
    queries = queries_of_clips(read_clips(annotations).of_split("test"))
    found["crossmodal"] = evaluate_crossmodal(queries, cache, n_boot=20).table.to_csv()
    opened = open_run(Run(vid_emb_dir=cache / "vid_emb", aud_emb_dir=cache / "aud_emb", annotations_csv=annotations))
    found["viewer"] = [opened.lengths, [clip_length(opened, row["video_id"]) for row in opened.rows]]
    found["matrix"] = [part.tobytes() for part in similarity_matrix(opened, "clip03", 1.0)]
    found["lengths"] = EmbeddingCache.of(cache).lengths
    return found


def test_whoever_reads_a_cache_finds_the_same_in_a_packed_one(plain, tmp_path):
    annotations = plain.parent / "annotations.csv"
    cache = copy_of(plain, tmp_path)
    assert len(pack(cache, progress=False).sets) == 3 and contents(cache) == {}
    assert vectors(cache) == vectors(plain)
    before, after = (results(folder, annotations, tmp_path / name) for folder, name in ((plain, "a"), (cache, "b")))
    assert [name for name in before if before[name] != after[name]] == []
    unpack(cache, progress=False)
    assert contents(cache) == contents(plain), "byte for byte"


def test_a_cache_that_is_half_packed_is_one_cache(plain, tmp_path):
    cache, later = copy_of(plain, tmp_path), {}
    for path in [*cache.rglob("clip0*.npz")]:
        later[path] = path.read_bytes()
        path.unlink()
    pack(cache, progress=False)
    for path, data in later.items():
        path.write_bytes(data)
    assert vectors(cache) == vectors(plain)
    found = [evaluate(c, plain.parent / "annotations.csv", split="test", scoring=Scoring(n_boot=20, n_shuffles=3)) for c in (cache, plain)]
    assert found[0].summary.to_csv() == found[1].summary.to_csv()
    assert pack(cache, progress=False).sets[0].n_new == 10 and contents(cache) == {} and vectors(cache) == vectors(plain)
    assert [len(paths) for paths in packed_sets(cache / "vid_emb").values()] == [1]


names = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0", exclude_categories=("Cc", "Cs")), min_size=1, max_size=30)
keys = st.sampled_from(["a", "duration_s", "source", 'ü,\n"'])
metas = st.dictionaries(keys, st.none() | st.floats(0.1, 9) | st.text(max_size=5), max_size=4)
clips_of_any_kind = st.lists(st.tuples(names, st.integers(1, 6), metas), min_size=1, max_size=8, unique_by=lambda clip: clip[0])
kinds = st.sampled_from(["<f4", "<f8", "<f2", "<i4", ">f4", "|u1"])


@settings(max_examples=60, deadline=None)
@given(clips_of_any_kind, kinds, kinds, st.booleans())
def test_what_is_packed_comes_back_as_it_was(tmp_path_factory, clips, emb_kind, extra_kind, has_meta):
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("set")
    files = {}
    for video_id, n, meta in clips:
        files[video_id] = {
            "emb": (rng.normal(size=(n, 3)) * 9).astype(emb_kind),
            "centers_sec": np.cumsum(rng.random(n)).astype("<f4"),
            "x_1": (rng.normal(size=n) * 9).astype(extra_kind),
        }
        if has_meta:  # sorted as avesound writes them, and otherwise
            files[video_id]["meta"] = np.array(json.dumps(meta, sort_keys=n % 2 == 0))
    writer = PackWriter(folder / "set", form_of(next(iter(files.values()))))
    for video_id, arrays in files.items():
        writer.add(video_id, arrays)
    writer.finish()
    packed = PackedClips(folder / "set")
    assert list(packed.places) == list(files)
    for video_id, arrays in files.items():
        again = packed.arrays(video_id)
        assert list(again) == list(arrays)
        for name, array in arrays.items():
            assert again[name].dtype == array.dtype and again[name].shape == array.shape and again[name].tobytes() == array.tobytes()


# ---- nothing is lost

CALLS = ("fsync", "rename", "replace", "unlink", "rmdir", "link", "sync")


def killed_at(step: int, what, cache: Path) -> bool:
    "Call a function in a process that is killed before its step-th call of the system that changes names or waits for the disk."
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            count = iter(range(1, 10**9))

            def deadly(call):
                def dies(*args, **more):
                    if next(count) == step:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return call(*args, **more)

                return dies

            for name in CALLS:
                if hasattr(os, name):
                    setattr(os, name, deadly(getattr(os, name)))
            what(cache, progress=False)
            os._exit(0)
        os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "it failed by itself"
    return os.WIFSIGNALED(status)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("act", ["pack", "merge", "unpack"])
def test_killed_at_any_step_nothing_is_lost_and_the_next_call_ends_it(act, tmp_path):
    first = make_cache(tmp_path / "first", 4)
    if act != "pack":
        pack(first, progress=False)
    if act == "merge":
        for i in (2, 4, 5):  # one anew, two more
            write_clip(first, i, seed=1)
    wanted, what = vectors(first), unpack if act == "unpack" else pack
    step, n_killed = 1, 0
    while True:
        cache = tmp_path / f"{act}{step}" / "cache"
        shutil.copytree(first, cache)
        if not killed_at(step, what, cache):
            break
        n_killed += 1
        assert vectors(cache) == wanted, f"killed before step {step}"
        what(cache, progress=False)
        assert vectors(cache) == wanted, f"after step {step}"
        left = {path.name for path in cache.rglob("*") if ".tmp" in path.name or path.name.endswith("ms.1")}
        assert left == set() and all(len(paths) == 1 for folder in cache.iterdir() for paths in packed_sets(folder).values())
        assert bool(contents(cache)) == (act == "unpack")
        shutil.rmtree(cache.parent)
        step += 1
    assert n_killed >= 20, "hardly interrupted, this proved nothing"


PROGRAM = """
import sys
from pathlib import Path
from avesound.embeddings import pack
print("begins", flush=True)
getattr(pack, sys.argv[1])(Path(sys.argv[2]), progress=False)
"""


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_random_moments_nothing_is_lost(seed, plain, tmp_path):
    "Between the steps, too: while rows are written, say."
    cache, wanted, chance, n_killed = copy_of(plain, tmp_path), vectors(plain), random.Random(seed), 0
    for what in ("pack", "unpack", "pack") * 3:
        child = subprocess.Popen([sys.executable, "-c", PROGRAM, what, cache], stdout=subprocess.PIPE)
        child.stdout.readline()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=chance.uniform(0.0, 0.12))
        child.kill()
        n_killed += child.wait() == -signal.SIGKILL
        child.stdout.close()
        assert vectors(cache) == wanted
    assert n_killed >= 2
    unpack(cache, progress=False)
    assert contents(cache) == contents(plain)


def test_a_file_that_is_written_to_in_the_meantime_stays_and_wins(plain, tmp_path, monkeypatch):
    cache = copy_of(plain, tmp_path)
    put = packing._Packing._put

    def put_late(self, place):
        put(self, place)
        if self.name == "video":
            write_clip(cache, 3, seed=9)

    monkeypatch.setattr(packing._Packing, "_put", put_late)
    pack(cache / "vid_emb", progress=False)
    assert [path.name for path in (cache / "vid_emb").glob("*.npz")] == ["clip03.npz"]
    reader = EmbeddingsReader(cache / "vid_emb")
    one, other = read_embeddings(cache / "vid_emb/clip03.npz"), reader.read("clip03")
    assert np.array_equal(one.emb, other.emb) and not np.array_equal(one.emb, read_embeddings(plain / "vid_emb/clip03.npz").emb)
    monkeypatch.undo()
    pack(cache / "vid_emb", progress=False)
    assert np.array_equal(one.emb, read_embeddings(cache / "vid_emb/clip03.npz").emb) and not list((cache / "vid_emb").glob("*.npz"))


def test_a_set_that_is_not_what_the_files_are_is_thrown_away(plain, tmp_path, monkeypatch):
    cache, add = copy_of(plain, tmp_path), PackWriter.add

    def add_twice_as_much(self, video_id, arrays):
        add(self, video_id, arrays | {"emb": arrays["emb"] * np.float32(2)})

    monkeypatch.setattr(PackWriter, "add", add_twice_as_much)
    with pytest.raises(CacheError, match="does not hold what"):
        pack(cache, progress=False)
    assert contents(cache) == contents(plain) and not list(cache.rglob("*.npy"))


def test_a_full_disk_changes_nothing(plain, tmp_path, monkeypatch):
    cache, fsync, calls = copy_of(plain, tmp_path), os.fsync, []

    def full(fd):
        calls.append(fd)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="vid_emb"):
        pack(cache, progress=False)
    monkeypatch.undo()
    assert contents(cache) == contents(plain) and not list(cache.rglob("*.npy"))


def test_a_folder_given_to_other_settings_meanwhile_does_not_get_the_old_vectors(plain, tmp_path, monkeypatch):
    cache, compare = copy_of(plain, tmp_path), packing._Packing._compare

    def claimed_meanwhile(self, packed, fresh):
        compare(self, packed, fresh)
        claim_folder(cache / "vid_emb", made_by("video", 0.5), overwrite=True)

    monkeypatch.setattr(packing._Packing, "_compare", claimed_meanwhile)
    with pytest.raises(CacheError, match="other settings"):
        pack(cache / "vid_emb", progress=False)
    assert cached_videos(cache / "vid_emb") == []


def test_who_reads_goes_on_while_the_next_set_takes_the_place(plain, tmp_path):
    cache = copy_of(plain, tmp_path)
    pack(cache, progress=False)
    pairs = PairReader(EmbeddingCache.of(cache)).read([f"clip{i:02}" for i in range(N)])
    first = next(pairs)
    write_clip(cache, 41), write_clip(cache, 5, seed=3)
    pack(cache, progress=False)
    rest = [first, *pairs]
    assert [pair.video_id for pair in rest] == [f"clip{i:02}" for i in range(N)]
    for pair in rest:
        assert np.array_equal(pair.video.emb, read_embeddings(plain / f"vid_emb/{pair.video_id}.npz").emb), "the set that was opened"


def test_memory_does_not_grow_with_what_is_packed(tmp_path):
    emb, windows = np.ones((40, 256)), sliding_windows(10.0, 1.0, 0.25)
    write_embeddings(tmp_path / "first/vid_emb/c.npz", emb, windows, {"kind": "video"})
    pack(tmp_path / "first", progress=False)  # imports what it needs
    for i in range(600):
        write_embeddings(tmp_path / f"vid_emb/c{i}.npz", emb, windows, {"kind": "video"})
    forget_packed()
    tracemalloc.start()
    try:
        pack(tmp_path, progress=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = (tmp_path / "vid_emb/packed/video/emb.npy").stat().st_size
    assert size > 24e6 and peak < 3e6, f"{peak / 1e6:.1f} MB for {size / 1e6:.0f} MB"


# ---- extraction goes on


def test_a_packed_cache_is_finished_and_grows(small_set, tmp_path):
    clips, cache = tmp_path / "clips", tmp_path / "cache"
    clips.mkdir()
    for i in (0, 1):
        shutil.copy(small_set / f"clip-{i}.mp4", clips)
    how = {"windows": WindowSettings(lengths=(0.5, 1.0)), "progress": False}
    extract(clips, cache, **how)
    before = contents(cache)
    pack(cache, progress=False)
    assert extract(clips, cache, **how).n_new == 0 and contents(cache) == {}
    shutil.copy(small_set / "clip-2.mp4", clips)
    assert extract(clips, cache, **how).n_new == 1 and len(contents(cache)) == 3
    assert extract(clips, cache, **how | {"windows": WindowSettings(lengths=(2.0,))}).n_new == 3  # a further length, of packed clips too
    assert list(cached_audios(cache / "aud_emb")) == [0.5, 1.0, 2.0] and cached_videos(cache / "vid_emb") == ["clip-0", "clip-1", "clip-2"]
    pack(cache, progress=False), unpack(cache, progress=False)
    assert {name: contents(cache)[name] for name in before} == before
    pack(cache, progress=False)
    with pytest.raises(CacheError, match="other settings"):
        extract(clips, cache, windows=WindowSettings(stride_s=0.5), progress=False)
    extract(clips, cache, windows=WindowSettings(stride_s=0.5), run=RunSettings(overwrite=True), progress=False)
    assert not list(cache.rglob(PACKED)) and len(contents(cache)) == 6


def test_settings_that_are_lost_do_not_open_a_packed_folder_to_others(plain, tmp_path):
    cache = copy_of(plain, tmp_path)
    pack(cache, progress=False)
    (cache / "vid_emb/settings.json").unlink()
    with pytest.raises(CacheError, match="unknown origin"):
        claim_folder(cache / "vid_emb", made_by("video", 0.5))
    with pytest.raises(CacheError, match="not audio"):
        EmbeddingCache((cache / "vid_emb"), (cache / "vid_emb"))
    claim_folder(cache / "vid_emb", made_by("video", 0.5), overwrite=True)
    assert cached_videos(cache / "vid_emb") == []


def test_files_of_two_caches_are_noticed_in_either_form(plain, tmp_path):
    cache = copy_of(plain, tmp_path)
    pack(cache, progress=False)
    write_clip(cache, 7, stride_s=0.5)
    for attempt in (
        lambda: read_embeddings(cache / "vid_emb/clip07.npz"),
        lambda: EmbeddingsReader(cache / "vid_emb").read("clip07"),
        lambda: pack(cache, progress=False),
        lambda: unpack(cache, progress=False),
    ):
        with pytest.raises(CacheError, match="mixed"):
            attempt()
    assert (cache / "vid_emb/clip07.npz").exists() and (cache / "vid_emb" / PACKED).exists()


# ---- damage


def mutants(data: bytes, n: int, seed: int):
    chance = random.Random(seed)
    for k in range(n):
        at = chance.randrange(len(data))
        if k % 4 == 0:
            yield data[:at]
        elif k % 4 == 1:
            yield data + data[at:]
        else:
            yield data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


@pytest.mark.parametrize("name", ["index.json", "clips.csv", "windows.npy", "emb.npy", "motion.npy"])
def test_no_damage_goes_unnoticed(name, tmp_path):
    cache = make_cache(tmp_path / "cache", 6)
    wanted = vectors(cache)
    pack(cache / "vid_emb", progress=False)
    path = cache / "vid_emb/packed/video" / name
    good, noticed = path.read_bytes(), 0
    for data in mutants(good, 60, seed=1):
        path.write_bytes(data)
        forget_packed()
        for i in range(6):
            file = cache / f"vid_emb/clip{i:02}.npz"
            try:
                found = read_embeddings(file)
            except CacheError as error:
                noticed += 1
                assert str(cache / "vid_emb") in str(error)
            else:
                e = found
                arrays = [e.emb, e.windows.starts_s, e.windows.ends_s, *e.extras.values()]
                same = b"".join(a.tobytes() for a in arrays) + json.dumps([e.meta, list(e.extras)]).encode()
                assert same == wanted[f"vid_emb/clip{i:02}.npz"] or name == "index.json"  # a letter of a description there
    assert noticed >= 50
    path.write_bytes(good)
    path.unlink()
    forget_packed()
    with pytest.raises(CacheError, match=f"lacks {name}" if name != "video" else ""):
        read_embeddings(cache / "vid_emb/clip01.npz")
    reader = PairReader(EmbeddingCache.of(cache))
    assert list(reader.read(["clip01"])) == [] and reader.failures["clip01"][0] == "corrupt_cache"


@pytest.mark.parametrize("name", ["emb.npy", "motion.npy"])
@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"0"], ids=["short", "long"])
def test_an_array_has_the_size_that_its_header_says(name, change, tmp_path):
    cache = make_cache(tmp_path / "cache", 2)
    pack(cache / "vid_emb", progress=False)
    path = cache / "vid_emb/packed/video" / name
    path.write_bytes(change(path.read_bytes()))
    forget_packed()
    with pytest.raises(CacheError, match=f"{name}: should have"):
        cached_videos(cache / "vid_emb")


@pytest.mark.parametrize(
    "change",
    [
        {"n_rows": 2**61},
        {"n_rows": -1},
        {"n_clips": True},
        {"n_clips": 10**12},
        {"dim": 10**9},
        {"dim": "8"},
        {"metas": [[]]},
        {"metas": None},
        {"sha256": []},
        {"version": 2},
        {"format": "other"},
        {"arrays": [["emb", "O"], ["centers_sec", "<f8"]]},
        {"arrays": [["emb", "<f4"], ["centers_sec", "<f8"], ["../../../x", "<f4"]]},
        {"arrays": [["emb", "<f4"], ["emb", "<f4"], ["centers_sec", "<f8"]]},
        {"arrays": [["emb", "<f4,<f4"], ["centers_sec", "<f8"]]},
        {"arrays": [["emb", "f4"], ["centers_sec", "<f8"]]},
        {"arrays": {"emb": "<f4"}},
        {"arrays": [["emb", "(1000000000,)f8"], ["centers_sec", "<f8"]]},
    ],
    ids=str,
)
def test_an_index_is_believed_in_nothing(change, tmp_path):
    cache = make_cache(tmp_path / "cache", 2)
    pack(cache / "vid_emb", progress=False)
    path = cache / "vid_emb/packed/video/index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    tracemalloc.start()
    try:
        with pytest.raises(CacheError, match=r"vid_emb/packed/video/"):
            cached_videos(cache / "vid_emb")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "row",
    [
        ["a", "0", "99999999999", "0", "0", "{}", "0"],
        ["a", "-5", "3", "0", "0", "{}", "0"],
        ["a", "0", "0", "0", "0", "{}", "0"],
        ["a", "0", "3", "10000", "0", "{}", "0"],
        ["a", "0", "3", "0", "7", "{}", "0"],
        ["a", "9" * 30, "3", "0", "0", "{}", "0"],
        ["a", "0", "x", "0", "0", "{}", "0"],
        ["clip01", "0", "3", "0", "0", "{}", "0"],
        ["a", "0", "3"],
    ],
    ids=str,
)
def test_a_table_is_believed_in_nothing(row, tmp_path):
    import csv
    import hashlib

    cache = make_cache(tmp_path / "cache", 2)
    pack(cache / "vid_emb", progress=False)
    table, index = (cache / "vid_emb/packed/video" / name for name in ("clips.csv", "index.json"))
    rows = list(csv.reader(table.open(newline="")))
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([rows[0], row, *rows[2:]])
    told = json.loads(index.read_text())
    told["sha256"]["clips.csv"] = hashlib.sha256(table.read_bytes()).hexdigest()
    index.write_text(json.dumps(told))
    with pytest.raises(CacheError, match=r"clips\.csv"):
        cached_videos(cache / "vid_emb")


def test_ids_in_a_table_lead_nowhere(tmp_path):
    "What is unpacked goes into the folder, or nowhere."
    cache = make_cache(tmp_path / "cache", 2)
    arrays = {"emb": np.ones((2, 8), np.float32), "centers_sec": np.array([0.5, 1.5])}
    writer = PackWriter(cache / "vid_emb/packed/video", form_of(arrays))
    writer.add("../../stray", arrays)
    writer.finish()
    with pytest.raises(CacheError, match="id of a clip"):
        unpack(cache, progress=False)
    assert not list(tmp_path.rglob("*stray*"))


SPOILED = {
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"0"),
    "gone": lambda path: path.unlink(),
    "other": lambda path: path.write_text("{}"),
}


@pytest.mark.parametrize(
    ("name", "how"),
    [("vid_emb/packed/video/emb.npy", "longer"), ("vid_emb/packed/video/motion.npy", "gone"), ("aud_emb/packed/L500ms/index.json", "other"),
     ("aud_emb/packed/L500ms/clips.csv", "other")],
)  # fmt: skip
def test_a_set_that_cannot_be_used_is_named_set_aside_and_made_anew(name, how, small_set, tmp_path, capsys):
    cache, settings = tmp_path / "cache", {"windows": WindowSettings(lengths=(0.5, 1.0)), "progress": False}
    extract(small_set, cache, **settings)
    before = vectors(cache)
    pack(cache, progress=False)
    SPOILED[how](cache / name)
    forget_packed()
    for attempt in (lambda: extract(small_set, cache, **settings), lambda: unpack(cache, progress=False)):
        with pytest.raises(CacheError, match="avesound verify --repair"):
            attempt()
    status = cache_status(cache, vid_dir=small_set)
    folder = str((cache / name).parent)
    assert len(status.stale) == (6 if "vid_emb" in name else 5) and folder in status.damaged[0] and folder in str(status)
    check = verify_cache(cache, progress=False)
    assert [fault.path for fault in check.faults if fault.status == "damaged"] == [(cache / name).parent], check
    assert {fault.video_id for fault in check.faults if fault.status == "lost"} == set(status.stale)
    assert main(["verify", str(cache), "--repair", "--vid_dir", str(small_set)]) == 0
    assert vectors(cache) == before and (cache / name).parent.with_name(f"{(cache / name).parent.name}.damaged").is_dir()
    pack(cache, progress=False)
    assert vectors(cache) == before and verify_cache(cache, progress=False).faults == ()
    again = packed_sets((cache / name).parents[2])[(cache / name).parent.name][0]
    SPOILED[how](again / (cache / name).name)
    forget_packed()
    verify_cache(cache, repair=True, progress=False)
    assert extract(small_set, cache, **settings).n_new == len(status.stale) and vectors(cache) == before


def test_a_set_of_other_settings_is_set_aside_and_made_anew(small_set, tmp_path):
    for name, stride_s in (("cache", 0.25), ("other", 0.5)):
        extract(small_set, tmp_path / name, windows=WindowSettings(stride_s=stride_s), progress=False)
        before = vectors(tmp_path / "cache")
        pack(tmp_path / name, progress=False)
    cache = tmp_path / "cache"
    shutil.rmtree(cache / "vid_emb/packed")
    shutil.move(tmp_path / "other/vid_emb/packed", cache / "vid_emb/packed")
    forget_packed()
    check = verify_cache(cache, progress=False)
    assert {fault.status for fault in check.faults} == {"mixed"} and "6 of its clips" in check.faults[0].detail
    remake(verify_cache(cache, repair=True, progress=False), small_set, progress=False)
    assert vectors(cache) == before and verify_cache(cache, progress=False).faults == ()


def test_a_file_of_other_settings_is_not_packed(plain, tmp_path):
    cache = copy_of(plain, tmp_path)
    write_clip(cache, 3, stride_s=0.5)
    report = pack(cache, progress=False)
    assert set(report.left) == {"vid_emb/clip03.npz", "aud_emb/clip03__L500ms.npz", "aud_emb/clip03__L1000ms.npz"}
    assert "was made with settings" in report.left["vid_emb/clip03.npz"] and len(contents(cache)) == 3
    assert [row.n_clips for row in report.sets] == [N - 1] * 3


def test_a_folder_is_not_given_to_other_settings_while_it_is_unpacked(plain, tmp_path, monkeypatch):
    cache, asleep = copy_of(plain, tmp_path), []
    pack(cache, progress=False)
    with claimed({cache / "vid_emb": made_by("video")}):  # a run that goes on there disturbs nobody
        unpack(cache, keep=True, progress=False)
    for path in cache.rglob("*.npz"):
        path.unlink()
    equal = packing._equal

    def overwrites(*arrays) -> bool:
        with pytest.raises(ClaimError, match=f"process {os.getpid()}"):
            claim_folder(cache / "vid_emb", made_by("video", 0.5), overwrite=True)
        if len(asleep) == 3:  # and it was taken for dead all the same
            (cache / "vid_emb/settings.json").write_text(json.dumps(made_by("video", 0.5)))
        asleep.append(1)
        return equal(*arrays)

    monkeypatch.setattr(packing, "_equal", overwrites)
    with pytest.raises(LostClaim):
        unpack(cache, progress=False)
    assert len(contents(cache)) == 4 and (cache / "vid_emb/packed/video").exists()


# ---- the commands


def test_the_commands_say_what_they_did(plain, tmp_path, capsys):
    cache = copy_of(plain, tmp_path)
    (cache / "vid_emb/torn.npz").write_bytes(b"PK\x03\x04 torn")
    assert main(["pack", str(cache)]) == 0
    out = capsys.readouterr().out
    assert "vid_emb video: 40 clips packed, 40 of them now; 1 left as they are" in out and "aud_emb L500ms: 40 clips" in out
    assert "left     vid_emb/torn.npz" in out
    assert main(["unpack", str(cache), "--keep"]) == 0 and (cache / "vid_emb" / PACKED).exists() and len(contents(cache)) == 121
    assert main(["pack", str(cache)]) == 0 and list(contents(cache)) == ["vid_emb/torn.npz"]
    path = cache / "vid_emb/packed/video/emb.npy"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    forget_packed()
    capsys.readouterr()
    assert main(["unpack", str(cache)]) == 1 and "left     vid_emb/clip39" in capsys.readouterr().out
    assert path.exists() and not (cache / "aud_emb" / PACKED).exists(), "what is damaged stays, for whoever can mend it"
    assert main(["pack", str(tmp_path / "nowhere")]) != 0
