"Extraction: killed at any moment, resumed, sharded, on hostile and on real folders."

import errno
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import wave
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from avesound.cli import main
from avesound.embeddings.clips import media_files
from avesound.embeddings.extract import RunSettings, WindowSettings, extract, extract_wav
from avesound.embeddings.job import CachePlan, Towers, cache_settings, decoding_for, finish_clip, load_clip
from avesound.embeddings.journal import Journal
from avesound.embeddings.store import (
    FOLDERS,
    CacheError,
    append_record,
    cached_audios,
    cached_videos,
    read_embeddings,
    read_records,
    remove_unfinished,
)
from avesound.files import StorageError, atomic_write, is_unfinished, process_place

SETTINGS = WindowSettings(lengths=(0.5, 1.0))
PROGRAM = """
import sys
from avesound.embeddings.extract import RunSettings, WindowSettings, extract
extract(sys.argv[1], sys.argv[2], windows=WindowSettings(lengths=(0.5, 1.0)), run=RunSettings(workers=int(sys.argv[3])), progress=False)
"""


def contents(cache: Path) -> dict[str, bytes]:
    return {str(p.relative_to(cache)): p.read_bytes() for p in sorted(cache.rglob("*")) if p.is_file() and p.suffix != ".jsonl"}


@pytest.fixture(scope="module")
def undisturbed(small_set, tmp_path_factory):
    cache = tmp_path_factory.mktemp("undisturbed")
    report = extract(small_set, cache, windows=SETTINGS, progress=False)
    assert report.counts == {"ok": 5, "corrupt": 2, "no_audio": 1}
    return cache


# Kills its own process at the n-th time that the run opens, renames or removes a file of its cache: a moment, not a duration,
# so that the test hits the same places on a slow and on a fast machine.
SUICIDAL = (
    """
import os, signal, sys
cache, left = os.path.realpath(sys.argv[2]), int(sys.argv[4])

def at_a_file(event, args):
    global left
    if event in ("open", "os.rename", "os.remove") and isinstance(args[0], str | os.PathLike):
        if os.path.realpath(args[0]).startswith(cache + os.sep):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(at_a_file)
"""
    + PROGRAM
)


@pytest.mark.parametrize(("seed", "workers"), [(0, 0), (1, 0), (2, 2)])
def test_killed_at_any_moment_and_started_again_gives_the_same_bytes(seed, workers, small_set, undisturbed, tmp_path):
    moments = random.Random(seed).sample(range(1, 41), 6)
    program = [sys.executable, "-c", SUICIDAL, small_set, tmp_path, str(workers)]
    ends = []
    for moment in moments:
        ends.append(subprocess.run([*program, str(moment)], timeout=60).returncode)
        for path in tmp_path.glob("extract*.jsonl") if workers == 0 else ():  # nobody is left who could say that no clip is to blame
            path.write_bytes(b"".join(line for line in path.read_bytes().splitlines(True) if b'"trying"' not in line))
    assert ends.count(-signal.SIGKILL) >= 2, f"hardly interrupted, this proved nothing: {moments}, {ends}"
    subprocess.run([sys.executable, "-c", PROGRAM, small_set, tmp_path, str(workers)], check=True, timeout=60)
    assert contents(tmp_path) == contents(undisturbed)
    last = {r["id"]: r["status"] for r in read_records([tmp_path / "extract.jsonl"])}
    assert last == {r["id"]: r["status"] for r in read_records([undisturbed / "extract.jsonl"])}


def test_a_write_that_is_interrupted_leaves_nothing_half_done(small_set, undisturbed, tmp_path, monkeypatch):
    "Kill inside the very act of writing, which timing alone hits rarely."
    import avesound.embeddings.store as store

    whole_save, calls = np.savez, []

    def torn_save(file, **arrays):
        calls.append(file)
        if len(calls) == 4:
            Path(file).write_bytes(b"PK\x03\x04 half")
            raise KeyboardInterrupt
        whole_save(file, **arrays)

    monkeypatch.setattr(store.np, "savez", torn_save)
    with pytest.raises(KeyboardInterrupt):
        extract(small_set, tmp_path, windows=SETTINGS, run=RunSettings(workers=0), progress=False)
    monkeypatch.undo()
    for path in tmp_path.rglob("*.npz"):
        read_embeddings(path)  # whatever is there is whole
    # A kill cannot even clean up after itself: leave an unfinished file of a clip behind.
    (tmp_path / "vid_emb" / f".clip-0.4194305-{process_place()}.abc.tmp.npz").write_bytes(b"half")
    extract(small_set, tmp_path, windows=SETTINGS, progress=False)
    assert contents(tmp_path) == contents(undisturbed)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_number_of_workers_changes_nothing(workers, small_set, undisturbed, tmp_path):
    extract(small_set, tmp_path, windows=SETTINGS, run=RunSettings(workers=workers), progress=False)
    assert contents(tmp_path) == contents(undisturbed)


def test_shards_together_are_the_whole(small_set, undisturbed, tmp_path):
    for k in (3, 1, 2):
        extract(small_set, tmp_path, windows=SETTINGS, run=RunSettings(shard=f"{k}/3"), progress=False)
    assert contents(tmp_path) == contents(undisturbed)
    assert len(list(tmp_path.glob("extract.*of3.jsonl"))) == 3
    again = extract(small_set, tmp_path, windows=SETTINGS, progress=False)  # the whole sees what the shards have done
    assert again.n_new == 0 and again.counts == {"ok": 5, "corrupt": 2, "no_audio": 1}


def test_audio_and_video_alone_make_what_both_make_together(small_set, undisturbed, tmp_path):
    extract(small_set, tmp_path, windows=SETTINGS, kinds=("video",), progress=False)
    extract(small_set, tmp_path, windows=SETTINGS, kinds=("audio",), progress=False)
    assert contents(tmp_path) == contents(undisturbed)


def test_a_clip_that_has_changed_is_made_again(small_set, tmp_path):
    clips, cache = tmp_path / "clips", tmp_path / "cache"
    clips.mkdir()
    (clips / "a.mp4").write_bytes((small_set / "clip-0.mp4").read_bytes())
    extract(clips, cache, progress=False)
    first = read_embeddings(cache / "vid_emb/a.npz").emb
    (clips / "a.mp4").write_bytes((small_set / "clip-1.mp4").read_bytes())
    assert extract(clips, cache, progress=False).n_new == 1
    assert not np.array_equal(read_embeddings(cache / "vid_emb/a.npz").emb, first)


def test_names_of_every_kind(small_set, tmp_path):
    clips = tmp_path / "clips"
    data = (small_set / "clip-0.mp4").read_bytes()
    names = ["-dash", "a.b.c", "with space", "umläut…", "concat:x", "x__L1000ms", "%41", "'quote\"", "=1+1", ".hidden"]
    for name in names:
        path = clips / "sub" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert set(media_files(clips)) == set(names)
    report = extract(clips, tmp_path / "cache", progress=False)
    assert report.counts == {"ok": len(names)}
    assert cached_videos(tmp_path / "cache/vid_emb") == sorted(names)
    assert cached_audios(tmp_path / "cache/aud_emb") == {1.0: sorted(names)}
    assert extract(clips, tmp_path / "cache", progress=False).n_new == 0


def test_a_slow_clip_times_out_and_is_tried_again(small_set, tmp_path):
    first = extract(small_set, tmp_path, run=RunSettings(timeout_s=0.0), progress=False)
    assert set(first.counts) <= {"timeout", "corrupt"} and first.counts["timeout"] >= 6
    second = extract(small_set, tmp_path, progress=False)
    assert second.counts == {"ok": 5, "corrupt": 2, "no_audio": 1}


def test_clips_of_any_length_give_one_window_or_a_status(tmp_path):
    from avesound.media.write import write_clip
    from conftest import flash_and_click

    for ms in (40, 150, 250, 400, 1000, 3300):
        frames, wav = flash_and_click(duration_s=ms / 1000, fps=25)
        write_clip(tmp_path / "clips" / f"{ms}.mp4", frames, 25, wav)
    report = extract(
        tmp_path / "clips", tmp_path / "cache", windows=WindowSettings(lengths=(0.25, 5.0)), run=RunSettings(max_s=3), progress=False
    )
    assert {r["id"]: r["status"] for r in report.records} == {
        "40": "too_short",
        "150": "too_short",
        "250": "ok",
        "400": "ok",
        "1000": "ok",
        "3300": "too_long",
    }
    assert read_embeddings(tmp_path / "cache/vid_emb/1000.npz").emb.shape == (4, 3)
    inside = extract(
        tmp_path / "clips", tmp_path / "inside", windows=WindowSettings(lengths=(0.25, 0.5), edge="inside", win_s=0.5), progress=False
    )
    assert {r["id"]: r["status"] for r in inside.records}["400"] == "too_short"


def test_memory_does_not_grow_with_the_number_of_clips(small_set, tmp_path):
    program = (
        "import resource, sys; from avesound.embeddings.extract import RunSettings, extract;"
        "extract(sys.argv[1], sys.argv[2], progress=False, run=RunSettings(workers=0));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for n in (4, 24):
        clips = tmp_path / f"clips{n}"
        clips.mkdir()
        for i in range(n):
            os.link(small_set / f"clip-{(0, 1, 2, 4)[i % 4]}.mp4", clips / f"{i}.mp4")
        done = subprocess.run([sys.executable, "-c", program, clips, tmp_path / f"cache{n}"], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] < peaks[0] * 1.15, f"{peaks} KB"


# The parts that a run is made of ------------------------------------------------------------------------------------------


def test_jobs_that_are_sent_to_other_processes_make_the_same_bytes(small_set, undisturbed, tmp_path):
    "What a worker needs travels in the job, and what it returns travels back; the encoders stay here."
    from avesound.embeddings.extract import clip_jobs
    from avesound.encoders.base import create_encoder

    signal_encoder, kinds = create_encoder("signal"), ("video", "audio")
    towers = Towers(signal_encoder, signal_encoder)
    windows = WindowSettings(win_s=1.0, lengths=(0.5, 1.0))
    written = {kind: read_embeddings(next((undisturbed / folder).glob("*.npz"))) for kind, folder in FOLDERS.items()}
    plan = CachePlan(
        {kind: tmp_path / folder for kind, folder in FOLDERS.items()},
        cache_settings(towers, windows, kinds),
        windows,
        decoding_for(towers, kinds),
        versions=written["video"].meta["versions"],
    )
    jobs = clip_jobs(small_set, plan)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        rows = [finish_clip(job, loaded, towers) for job, loaded in zip(jobs.values(), pool.map(load_clip, jobs.values()))]
    assert sorted(row["status"] for row in rows) == ["corrupt"] * 2 + ["no_audio"] + ["ok"] * 5
    files = {name: data for name, data in contents(undisturbed).items() if name.endswith(".npz")}
    assert {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*.npz")} == files


DEADLY = """
import os, signal, sys
import avesound.embeddings.job as room
decode = room.decode_clip
def dies(path, **how):
    if path.stem == "clip-2":
        os.kill(os.getpid(), signal.SIGKILL)
    return decode(path, **how)
room.decode_clip = dies
from avesound.embeddings.extract import RunSettings, extract
extract(sys.argv[1], sys.argv[2], run=RunSettings(workers=0), progress=False)
"""


def test_what_a_run_died_of_stands_in_its_journal(small_set, tmp_path):
    marks = {}
    for n in (1, 2):
        assert subprocess.run([sys.executable, "-c", DEADLY, small_set, tmp_path], timeout=60).returncode == -signal.SIGKILL
        lines = read_records([tmp_path / "extract.jsonl"], trying=True)
        marks = {kind: lines[-1][kind] for kind in ("video", "audio")}
        begun = Journal(tmp_path, marks).begun()
        assert begun["clip-2"] == n and set(begun) <= {f"clip-{k}" for k in range(5)}  # and those beside it
    assert "clip-2" not in {record["id"] for record in read_records([tmp_path / "extract.jsonl"])}
    report = extract(small_set, tmp_path, progress=False)  # by now it is known which clip it is
    assert report.counts == {"ok": 4, "crashed": 1, "corrupt": 2, "no_audio": 1} and Journal(tmp_path, marks).begun() == {}
    assert next(row for row in report.records if row["status"] == "crashed")["id"] == "clip-2"
    assert extract(small_set, tmp_path, progress=False).n_new == 0
    assert extract(small_set, tmp_path, run=RunSettings(overwrite=True), progress=False).counts["ok"] == 5


SLOW_TO_START = """
import sys, time
from dataclasses import dataclass
from pathlib import Path
from avesound.embeddings.extract import RunSettings, _run_jobs
from avesound.embeddings.journal import Journal

@dataclass(frozen=True)
class Clip:
    video_id: str
    path: Path

def starting():
    Path(sys.argv[1], "starting").touch()
    time.sleep(60)

class Work:
    def __reduce__(self):
        return starting, ()
    def __call__(self, job):
        return {"id": job.video_id, "status": "ok"}

Path(sys.argv[1]).mkdir()
jobs = {name: Clip(name, Path(sys.argv[1], name)) for name in ("a", "b")}
_run_jobs(jobs, Work(), lambda *_: False, Journal(sys.argv[1], {"kind": "1"}), RunSettings(workers=2), progress=False)
"""


def test_a_run_that_is_killed_while_its_workers_start_blames_no_clip(tmp_path):
    folder = tmp_path / "run"
    run = subprocess.Popen([sys.executable, "-c", SLOW_TO_START.replace("sys.argv[1]", repr(str(folder)))], start_new_session=True)
    try:
        while not (folder / "starting").exists():
            assert run.poll() is None
            time.sleep(0.05)
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    assert Journal(folder, {"kind": "1"}).begun() == {}


def test_a_clip_that_was_begun_keeps_its_last_result_in_the_evaluation(small_set, tmp_path):
    from avesound.evaluation.evaluate import evaluate

    extract(small_set, tmp_path / "c", progress=False)
    rows = ["video_id,event_label,start_s,end_s"]
    rows += [f"{record['id']},x,0,1" for record in read_records([tmp_path / "c/extract.jsonl"])]
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n")

    def statuses(name: str) -> dict:
        return evaluate(tmp_path / "c", tmp_path / "a.csv").save(tmp_path / name).overall.status

    before = statuses("before.csv")
    assert before["corrupt"] == 2 and before["no_audio"] == 1
    marks = {kind: read_records([tmp_path / "c/extract.jsonl"])[0][kind] for kind in ("video", "audio")}
    for record in read_records([tmp_path / "c/extract.jsonl"]):
        Journal(tmp_path / "c", marks).trying(record["id"])
    assert statuses("after.csv") == before


INTERRUPTED = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from avesound.embeddings.journal import Journal
append = Journal.append
def interrupt_after_the_third(self, record, n=[]):
    n.append(1)
    line = append(self, record)
    if len(n) == 3:
        signal.raise_signal(signal.SIGINT)
    return line
Journal.append = interrupt_after_the_third
from avesound.cli import main
sys.exit(main(["extract", "--vid_dir", sys.argv[1], "--out_dir", sys.argv[2], "--lengths", "0.5,1.0", "--workers", "2"]))
"""


def test_interrupted_from_the_keyboard_a_run_keeps_what_it_has_and_goes_on(small_set, undisturbed, tmp_path):
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, small_set, tmp_path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130 and "interrupted; run it again to go on" in done.stderr and "Traceback" not in done.stderr
    assert len(read_records([tmp_path / "extract.jsonl"])) == 3
    begun = [line for line in read_records([tmp_path / "extract.jsonl"], trying=True) if line["status"] == "trying"]
    taken_back = [line["id"] for line in begun if line.get("stopped")]
    assert len(begun) - len(taken_back) <= 3 + 2 and 0 < len(taken_back) <= 2  # two at work, and no other is begun
    assert extract(small_set, tmp_path, windows=SETTINGS, progress=False).n_new == 5
    assert contents(tmp_path) == contents(undisturbed)


def test_a_clip_that_is_still_being_copied_is_an_error_and_tried_again(small_set, tmp_path, monkeypatch):
    import avesound.embeddings.extract as run_room
    import avesound.embeddings.job as room

    clips, whole = tmp_path / "clips", room.decode_clip
    clips.mkdir()
    shutil.copy(small_set / "clip-0.mp4", clips / "a.mp4")

    def grows(path, **how):
        clip = whole(path, **how)
        with open(path, "ab") as file:
            file.write(b"\0" * 8)
        return clip

    class Grows(run_room.ClipPieces):
        def __iter__(self):
            yield from super().__iter__()
            with open(self._path, "ab") as file:
                file.write(b"\0" * 8)

    monkeypatch.setattr(room, "decode_clip", grows)
    monkeypatch.setattr(run_room, "ClipPieces", Grows)
    for out, work in [("cache", extract), ("wav", extract_wav)]:
        here = {"run": RunSettings(workers=0)} if work is extract else {"workers": 0}
        (record,) = work(clips, tmp_path / out, progress=False, **here).records
        assert (record["status"], record["error"]) == ("error", "RuntimeError") and "was changed while it was read" in record["detail"]
    assert not list(tmp_path.rglob("*.npz")) and not list((tmp_path / "wav").glob("*.wav"))
    monkeypatch.undo()
    assert (
        extract(clips, tmp_path / "cache", progress=False).counts
        == extract_wav(clips, tmp_path / "wav", progress=False).counts
        == {"ok": 1}
    )


# Real clips ---------------------------------------------------------------------------------------------------------------

NO_AUDIO = {"torchcodec_dog_eating_no_audio", "flame_1s_no_audio", "torchcodec_av1_no_audio"}
TOO_SHORT = {"decord_rot90_no_audio", "audio_only_0.05s"}


@pytest.fixture(scope="module")
def real_cache(real_clips, tmp_path_factory):
    cache = tmp_path_factory.mktemp("real")
    start = time.monotonic()
    done = subprocess.run(
        [Path(sys.executable).with_name("avesound"), "extract", "--vid_dir", real_clips, "--out_dir", cache, "--lengths", "0.25,1.0"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    print(f"39 real clips in {time.monotonic() - start:.1f} s")
    return cache, done.stdout


def test_all_39_real_files_are_accounted_for(real_clips, real_cache):
    cache, said = real_cache
    files = [p for p in real_clips.iterdir() if p.suffix not in (".csv", ".txt")]
    assert len(files) == 39 and said.startswith("39 clips: 33 ok, 3 no_audio, 2 too_short, 1 corrupt")
    status = {r["id"]: r["status"] for r in read_records([cache / "extract.jsonl"])}
    assert set(status) == {p.stem for p in files}
    assert {i for i, s in status.items() if s == "no_audio"} == NO_AUDIO
    assert {i for i, s in status.items() if s == "too_short"} == TOO_SHORT
    assert {i for i, s in status.items() if s == "corrupt"} == {"streamio_broken"}
    ok = sorted(i for i, s in status.items() if s == "ok")
    assert cached_videos(cache / "vid_emb") == sorted(ok + list(NO_AUDIO)) and cached_audios(cache / "aud_emb") == {0.25: ok, 1.0: ok}


def test_real_clips_are_scored_against_their_annotations(real_clips, real_cache, tmp_path):
    cache, _ = real_cache
    done = subprocess.run(
        [Path(sys.executable).with_name("avesound"), "evaluate", "--vid_emb_dir", cache / "vid_emb", "--aud_emb_dir", cache / "aud_emb",
         "--annotations_csv", real_clips / "annotations.csv", "--summary_csv", tmp_path / "s.csv",
         "--curve_dir", tmp_path / "curves", "--plot_n", "3"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "partial clips" in done.stdout and "loudest" in done.stdout
    overall = json.loads((tmp_path / "s.json").read_text())
    assert overall["status"]["ok"] >= 20 and overall["status"]["no_event"] >= 7 and overall["status"]["no_audio"] == 1
    assert len(list((tmp_path / "curves").glob("*.png"))) == 3
    own = overall["means"]["partial"]["encoder"]
    loudest, centre = (overall["means"]["partial"][b] for b in ("loudest", "centre"))
    assert own["dist"]["mean"] <= loudest["dist"]["mean"] + 1e-9 and own["auroc"]["mean"] >= loudest["auroc"]["mean"]
    assert own["dist"]["mean"] < centre["dist"]["mean"]


def test_wav_files_of_real_clips_are_on_the_clip_clock(real_clips, tmp_path):
    report = extract_wav(real_clips, tmp_path, progress=False)
    assert report.counts == {"ok": 34, "no_audio": 4, "corrupt": 1}, report.counts
    from avesound.media.decode import decode_audio

    late = decode_audio(tmp_path / "streamio_awesome_vfr.wav")
    assert (late[: int(0.08 * 16000)] == 0).all() and late[int(0.1 * 16000) :].any()
    assert extract_wav(real_clips, tmp_path, progress=False).n_new == 0  # what the clips lack they will lack again


# Found in review ----------------------------------------------------------------------------------------------------------


def test_overwrite_that_is_interrupted_is_not_taken_for_finished(small_set, tmp_path, monkeypatch):
    import avesound.embeddings.job as room

    extract(small_set, tmp_path, progress=False)
    whole, calls = room.write_embeddings, []

    def stops(*args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        whole(*args, **kwargs)

    monkeypatch.setattr(room, "write_embeddings", stops)
    with pytest.raises(KeyboardInterrupt):
        extract(small_set, tmp_path, run=RunSettings(overwrite=True, workers=0), progress=False)
    monkeypatch.undo()
    assert extract(small_set, tmp_path, progress=False).n_new >= 5  # all but those that were written before the interruption


def test_too_long_depends_on_the_limit_and_is_tried_again(small_set, tmp_path):
    assert extract(small_set, tmp_path, run=RunSettings(max_s=1), progress=False).counts["too_long"] >= 5
    assert extract(small_set, tmp_path, progress=False).counts["ok"] == 5


def test_one_length_longer_than_the_clip_does_not_cost_the_others(small_set, tmp_path):
    settings = WindowSettings(lengths=(0.5, 5.0), edge="inside", win_s=0.5)
    report = extract(small_set, tmp_path, windows=settings, progress=False)
    assert report.counts["ok"] == 5 and list(cached_audios(tmp_path / "aud_emb")) == [0.5]
    assert extract(small_set, tmp_path, windows=settings, progress=False).n_new == 0


def test_a_single_scale_is_the_window(small_set, tmp_path):
    extract(small_set, tmp_path, windows=WindowSettings(scales=(2.0,), edge="inside"), kinds=("video",), progress=False)
    windows = read_embeddings(tmp_path / "vid_emb/clip-0.npz").windows
    assert np.allclose(windows.ends_sec - windows.starts_sec, 2.0)


def test_a_file_name_that_cannot_be_an_id_is_a_row(small_set, tmp_path):
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("好" * 70, "fine", "b.tmp"):
        (clips / f"{name}.mp4").write_bytes((small_set / "clip-0.mp4").read_bytes())
    (clips / "._fine.mp4").write_bytes(b"what macOS leaves behind")
    report = extract(clips, tmp_path / "cache", progress=False)
    assert report.counts == {"ok": 2, "bad_name": 1} and len(report.records) == 3


def test_a_replaced_clip_of_the_same_size_is_noticed(small_set, tmp_path):
    clips = tmp_path / "clips"
    clips.mkdir()
    data = bytearray((small_set / "clip-0.mp4").read_bytes())
    (clips / "a.mp4").write_bytes(data)
    extract(clips, tmp_path / "cache", progress=False)
    os.utime(clips / "a.mp4", ns=(1, 1))  # copied: another time, the same contents
    assert extract(clips, tmp_path / "cache", progress=False).n_new == 0
    data[-1] ^= 1
    (clips / "a.mp4").write_bytes(data)
    assert extract(clips, tmp_path / "cache", progress=False).n_new == 1


def test_unfinished_files_of_a_run_that_is_alive_are_left_alone(small_set, tmp_path):
    extract(small_set, tmp_path, progress=False)
    owners = {"mine": f"{os.getpid()}-{process_place()}", "dead": f"{2**22 + 1}-{process_place()}"}
    owners |= {"elsewhere": f"{2**22 + 1}-ffffffffff", "earlier version": str(2**22 + 1)}  # a number that is nobody's here
    paths = {name: tmp_path / "vid_emb" / f".clip-0.{owner}.1.tmp.npz" for name, owner in owners.items()}
    for path in paths.values():
        path.write_bytes(b"half")
    extract(small_set, tmp_path, progress=False)
    assert [name for name, path in paths.items() if path.exists()] == ["mine", "elsewhere", "earlier version"]
    for path in paths.values():
        path.touch()
        os.utime(path, (time.time() - 7200,) * 2)
    extract(small_set, tmp_path, progress=False)
    assert [name for name, path in paths.items() if path.exists()] == ["mine"]


def test_overwrite_in_other_shards_makes_everything_anew(small_set, tmp_path):
    "The journals of the earlier shards, and that of a run without shards, say ok; their names come after and before those of the new ones."
    for shard in ("1/3", "2/3", "3/3", "1/1"):
        extract(small_set, tmp_path, run=RunSettings(shard=shard), progress=False)
    for path in tmp_path.rglob("*.npz"):
        path.write_bytes(b"old")
    reports = [extract(small_set, tmp_path, run=RunSettings(shard=f"{k}/2", overwrite=True), progress=False) for k in (1, 2)]
    assert sum(report.n_new for report in reports) == 8
    for path in tmp_path.rglob("*.npz"):
        read_embeddings(path)
    for shard in ("1/1", "1/3", "2/2"):  # and all who come later see that it is done
        assert extract(small_set, tmp_path, run=RunSettings(shard=shard), progress=False).n_new == 0


AT_ONCE = """
import sys
from contextlib import contextmanager
from pathlib import Path
import avesound.embeddings.extract as room
claim = room.claimed
@contextmanager
def wait_for_the_other(*args, **kwargs):
    with claim(*args, **kwargs):
        me, other = Path(sys.argv[2]) / f"claimed.{sys.argv[3]}", Path(sys.argv[2]) / f"claimed.{sys.argv[4]}"
        me.touch()
        while not other.exists(): pass
        yield
room.claimed = wait_for_the_other
room.extract(sys.argv[1], sys.argv[2], windows=room.WindowSettings(stride_s=float(sys.argv[3])), progress=False)
"""


def test_of_two_tasks_with_other_settings_the_second_is_refused_even_before_a_file_is_written(small_set, tmp_path):
    "Tasks of an array start at the same moment: the first has claimed the folder and written nothing when the second comes."
    running = [
        subprocess.Popen([sys.executable, "-c", AT_ONCE, small_set, tmp_path, *strides], stderr=subprocess.PIPE, text=True)
        for strides in (("0.25", "0.5"), ("0.5", "0.25"))
    ]
    refused = None
    while refused is None:
        refused = next((task for task in running if task.poll() is not None), None)
        time.sleep(0.02)
    (tmp_path / "claimed.0.25").touch(), (tmp_path / "claimed.0.5").touch()
    (other,) = (task for task in running if task is not refused)
    assert refused.returncode != 0 and "was made with other settings (stride_s was" in refused.stderr.read()
    assert other.wait(60) == 0
    assert len({read_embeddings(path).meta["fingerprint"] for path in (tmp_path / "vid_emb").glob("*.npz")}) == 1


# What bears a clip's name ------------------------------------------------------------------------------------------------

SCRIPT = Path(sys.executable).with_name("avesound")


@pytest.fixture
def odd_names(small_set, tmp_path):
    "A folder with one good clip and everything that looks like one."
    clips = tmp_path / "clips"
    (clips / "frames.mp4").mkdir(parents=True)
    (clips / "inner.mp4").mkdir()
    good = (small_set / "clip-0.mp4").read_bytes()
    (clips / "ok.mp4").write_bytes(good)
    (clips / "inner.mp4/inner.mp4").write_bytes(good)  # a folder that bears the name of the clip in it is no clip
    for name in (b"caf\xe9.mp4", b"two\nlines.mp4", b"back\\slash.mp4"):
        with open(os.path.join(os.fsencode(clips), name), "wb") as file:
            file.write(good)
    (clips / "gone.mp4").symlink_to("nowhere.mp4")
    (clips / "round.mp4").symlink_to("round.mp4")
    os.mkfifo(clips / "pipe.mp4")
    return clips


def test_what_bears_a_clips_name_is_a_clip_or_a_row(odd_names, tmp_path):
    done = subprocess.run(
        [SCRIPT, "extract", "--vid_dir", odd_names, "--out_dir", tmp_path / "c"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    status = {record["id"]: record["status"] for record in read_records([tmp_path / "c/extract.jsonl"])}
    assert status == {
        "ok": "ok", "inner": "ok", r"caf\xe9": "bad_name", r"two\nlines": "bad_name", r"back\slash": "bad_name",
        "frames": "no_file", "gone": "no_file", "round": "no_file", "pipe": "no_file",
    }  # fmt: skip
    lines = (tmp_path / "c/extract.jsonl").read_bytes().decode().splitlines()  # UTF-8, and a record on each line
    assert len(lines) == 9 + 2 and all(json.loads(line)["id"].encode() for line in lines)
    assert "_" not in {json.loads(line).get("error", "-")[0] for line in lines}  # a name for people
    for words in (
        r"caf\xe9.mp4: its name is no UTF-8",
        "a link to nowhere.mp4, which is not there",
        "frames.mp4: a folder",
        "pipe.mp4: a named pipe",
        "a link that leads to itself",
    ):
        assert words in done.stdout, words
    again = subprocess.run(
        [SCRIPT, "extract", "--vid_dir", odd_names, "--out_dir", tmp_path / "c"], capture_output=True, text=True, timeout=120
    )
    assert (
        again.returncode == 0 and len((tmp_path / "c/extract.jsonl").read_bytes().splitlines()) == 11
    )  # what is no news is not written again
    assert extract_wav(odd_names, tmp_path / "w", progress=False).counts == {"no_file": 4, "bad_name": 3, "ok": 2}
    assert sorted(media_files(odd_names)) == ["inner", "ok"]


def test_a_name_that_is_no_utf8_ends_no_later_step(odd_names, tmp_path):
    from avesound.evaluation.evaluate import evaluate
    from avesound.report.analyze import analyze
    from avesound.viewer.inspector import Inspector
    from avesound.viewer.run import Run, open_run
    from avesound.viewer.still import still

    extract(odd_names, tmp_path / "c", progress=False)
    (tmp_path / "a.csv").write_text("video_id,event_label,start_s,end_s\nok,x,0,1\ninner,x,1,2\n")
    where = {
        "vid_emb_dir": tmp_path / "c/vid_emb",
        "aud_emb_dir": tmp_path / "c/aud_emb",
        "annotations_csv": tmp_path / "a.csv",
        "summary_csv": tmp_path / "s.csv",
    }
    assert evaluate(tmp_path / "c", tmp_path / "a.csv").save(tmp_path / "s.csv").overall.status == {"ok": 2}
    analyze(tmp_path / "s.csv", tmp_path / "reports", "one", vid_dir=odd_names)
    opened = open_run(Run(vid_dir=odd_names, **where))
    assert {row["video_id"] for row in opened.rows} == {"ok", "inner"}
    assert "ok" in still(opened, "ok") and Inspector(vid_dir=odd_names, **where).reading["problem"] == ""


LINK = "elsewhere: a link to a folder, not followed"
SEARCHING = ["extract", "extract-video", "extract-audio", "extract-audio-multiscale", "extract-wav", "locate", "status", "verify", "view"]


@pytest.mark.parametrize("command", SEARCHING)
def test_a_link_to_a_folder_is_named_by_every_command_that_searches_one(command, small_set, tmp_path, capsys):
    clips, cache = tmp_path / "clips", tmp_path / "cache"
    clips.mkdir()
    shutil.copy(small_set / "clip-0.mp4", clips)
    if command in ("status", "verify"):
        extract(clips, cache, progress=False)
    (clips / "elsewhere").symlink_to(small_set)
    where = {
        "locate": [str(clips)],
        "status": [str(cache), "--vid_dir", str(clips)],
        "verify": [str(cache), "--repair", "--vid_dir", str(clips)],
        "view": ["--vid_dir", str(clips), "--still", "clip-0", "--out", str(tmp_path / "clip.html")],
    }
    code = main([command, *where.get(command, ["--vid_dir", str(clips), "--out_dir", str(cache)])])
    said = capsys.readouterr().err
    assert code == 0 and said.count(LINK) == 1 and "link the files, or name that folder" in said, said
    (clips / "clip-0.mp4").unlink()
    if command in ("extract", "extract-wav", "locate"):  # nothing is left
        assert main([command, *where.get(command, ["--vid_dir", str(clips), "--out_dir", str(cache)])]) == 1
        last = capsys.readouterr().err.splitlines()[-1]
        assert "holds no media files (.3gp, " in last and last.endswith(f"; {LINK}"), last


def test_the_row_of_a_clip_that_is_not_there_names_the_link_behind_which_it_may_be(small_set, tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/elsewhere").symlink_to(small_set)
    (tmp_path / "a.csv").write_text("video_id,event_label,start_s,end_s\nclip-0,bell,0,1\n")
    with pytest.warns(UserWarning, match=LINK):
        report = extract(tmp_path / "clips", tmp_path / "cache", annotations_csv=tmp_path / "a.csv", progress=False)
    assert report.counts == {"missing": 1} and LINK in str(report)


def test_a_lost_link_beside_a_clip_and_a_folder_that_is_closed_are_named(small_set, tmp_path, monkeypatch):
    (tmp_path / "clips/closed").mkdir(parents=True)
    shutil.copy(small_set / "clip-0.mp4", tmp_path / "clips/a.mp4")
    (tmp_path / "clips/a.mkv").symlink_to("nowhere.mkv")
    real = os.scandir
    monkeypatch.setattr(
        os,
        "scandir",
        lambda path: (
            (_ for _ in ()).throw(PermissionError(13, "Permission denied", str(path))) if str(path).endswith("closed") else real(path)
        ),
    )
    with pytest.warns(UserWarning) as said:
        assert list(media_files(tmp_path / "clips")) == ["a"]
    words = " ".join(str(one.message) for one in said)
    assert "a.mkv: a link to nowhere.mkv" in words and "closed: cannot be searched (Permission denied)" in words
    (tmp_path / "clips/a.mp4").unlink()
    with pytest.raises(ValueError, match="holds no media files.*a.mkv: a link to nowhere.mkv"):
        media_files(tmp_path / "clips")


def test_an_id_with_a_suffix_is_told_what_an_id_is(small_set, tmp_path):
    (tmp_path / "a.csv").write_text("video_id,event_label,start_s,end_s\nclip-0.mp4,x,0,1\nclip-1,x,0,1\nother.mp4,x,0,1\n")
    report = extract(small_set, tmp_path / "c", annotations_csv=tmp_path / "a.csv", progress=False)
    detail = {record["id"]: record["detail"] for record in report.records}
    assert (
        report.counts == {"missing": 2, "ok": 1}
        and "an id is the stem of the file's name: write clip-0" in detail["clip-0.mp4"]
        and "stem" not in detail["other.mp4"]
    )


# Sound as files ----------------------------------------------------------------------------------------------------------


def rate_of(path: Path) -> int:
    with wave.open(str(path)) as file:
        return file.getframerate()


def test_wav_files_are_those_of_their_clips_and_of_one_rate(small_set, tmp_path):
    clips, out = tmp_path / "clips", tmp_path / "wav"
    clips.mkdir()
    for name in ("a", "b"):
        shutil.copy(small_set / "clip-0.mp4", clips / f"{name}.mp4")
    assert extract_wav(clips, out, progress=False).n_new == 2 and extract_wav(clips, out, progress=False).n_new == 0
    assert json.loads((out / "settings.json").read_text())["sample_rate"] == 16000 and rate_of(out / "a.wav") == 16000
    with pytest.raises(CacheError, match="sample_rate was 16000, is 48000.*--overwrite"):
        extract_wav(clips, out, sample_rate=48000, progress=False)
    assert rate_of(out / "a.wav") == 16000
    assert extract_wav(clips, out, sample_rate=48000, overwrite=True, progress=False).n_new == 2 and {
        rate_of(out / f"{name}.wav") for name in "ab"
    } == {48000}
    # A clip that was replaced, one whose copy is newer, and a file that somebody has removed.
    shutil.copy(small_set / "clip-1.mp4", clips / "a.mp4")
    os.utime(clips / "b.mp4", ns=(1, 1))
    before = (out / "a.wav").read_bytes()
    report = extract_wav(clips, out, sample_rate=48000, progress=False)
    assert report.n_new == 1 and (out / "a.wav").read_bytes() != before
    (out / "b.wav").unlink()
    assert extract_wav(clips, out, sample_rate=48000, progress=False).n_new == 1
    # Killed while it wrote.
    (out / f".a.4194305-{process_place()}.1.tmp.wav").write_bytes(b"half")
    extract_wav(clips, out, sample_rate=48000, progress=False)
    assert not list(out.glob(".*.wav"))


def test_wav_files_do_not_lie_among_their_clips_nor_replace_anybody_elses(small_set, tmp_path):
    clips = tmp_path / "clips"
    clips.mkdir()
    shutil.copy(small_set / "clip-0.mp4", clips / "a.mp4")
    (tmp_path / "link").symlink_to(clips)
    for out in (clips, clips / "wav", tmp_path / "link/wav", clips / "../clips"):
        with pytest.raises(ValueError, match="two files of one stem"):
            extract_wav(clips, out, progress=False)
    assert [path.name for path in clips.rglob("*")] == ["a.mp4"]
    (tmp_path / "mine").mkdir()
    for name in ("a", "song"):
        (tmp_path / f"mine/{name}.wav").write_bytes(b"mine")
    with pytest.raises(CacheError, match=r"2 \*\.wav files of unknown origin"):
        extract_wav(clips, tmp_path / "mine", progress=False)
    with pytest.raises(CacheError, match=r"of none of these clips \(song\.wav\)"):
        extract_wav(clips, tmp_path / "mine", overwrite=True, progress=False)
    assert (tmp_path / "mine/song.wav").read_bytes() == b"mine"
    (tmp_path / "mine/song.wav").unlink()
    assert (
        extract_wav(clips, tmp_path / "mine", overwrite=True, progress=False).counts == {"ok": 1}
        and rate_of(tmp_path / "mine/a.wav") == 16000
    )


# File systems ------------------------------------------------------------------------------------------------------------

WITHOUT_LOCKS = """
import errno, fcntl, os, sys
def flock(fd, operation):
    raise OSError(int(os.environ["ERRNO"]), os.strerror(int(os.environ["ERRNO"])))
fcntl.flock = flock
"""


@pytest.mark.parametrize("name", ["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_worked_on_with_a_warning(name, small_set, undisturbed, tmp_path):
    import errno

    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(WITHOUT_LOCKS)
    env = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "ERRNO": str(getattr(errno, name))}
    command = [SCRIPT, "extract", "--vid_dir", small_set, "--out_dir", tmp_path / "c", "--lengths", "0.5,1.0"]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)
        assert done.returncode == 0 and "8 clips: 5 ok" in done.stdout, done.stderr
        assert "Traceback" not in done.stderr
    assert {str(p.relative_to(tmp_path / "c")): p.read_bytes() for p in (tmp_path / "c").rglob("*.npz")} == {
        n: b for n, b in contents(undisturbed).items() if n.endswith(".npz")
    }
    assert not list((tmp_path / "c").rglob("*.held"))
    first = subprocess.run([*command[:-4], "--out_dir", tmp_path / "d"], capture_output=True, text=True, env=env, timeout=120)
    assert "this file system has no locks" in first.stderr and str(tmp_path / "d/vid_emb") in first.stderr


# Nothing below the folder that is named first may be written to: what a file system answers that is mounted read-only, whoever asks.
READ_ONLY = """
import errno, os, sys
folder = os.path.realpath(sys.argv.pop(1))

def refuse(event, args):
    path = args[0] if args else None
    writes = event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.utime")
    if event == "open":
        flags = os.O_WRONLY | os.O_RDWR | os.O_CREAT
        writes = set(args[1] or "r") & set("wax+") if isinstance(args[1], str) else args[2] & flags
    if writes and isinstance(path, (str, bytes, os.PathLike)) and os.path.realpath(os.fsdecode(path)).startswith(folder + os.sep):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fsdecode(path))

sys.addaudithook(refuse)
from avesound.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_read_only_cache_on_which_nothing_is_to_do_is_fine(small_set, tmp_path):
    rows = [f"clip-{i},x,{i / 4},{1 + i / 4},good,{'val' if i % 2 else 'test'}" for i in range(6)] + ["gone,x,0,1,good,test"]
    (tmp_path / "a.csv").write_text("\n".join(["video_id,event_label,start_s,end_s,quality,split", *rows]) + "\n")
    extract(small_set, tmp_path / "run/cache", annotations_csv=tmp_path / "a.csv", progress=False)
    extract_wav(small_set, tmp_path / "run/wav", progress=False)
    shutil.copy(tmp_path / "a.csv", tmp_path / "run/annotations.csv")
    caches = [
        "--vid_emb_dir",
        tmp_path / "run/cache/vid_emb",
        "--aud_emb_dir",
        tmp_path / "run/cache/aud_emb",
        "--annotations_csv",
        tmp_path / "a.csv",
    ]
    (tmp_path / "elsewhere").mkdir()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    for words, says in [
        (["extract", "--vid_dir", small_set, "--out_dir", tmp_path / "run/cache", "--annotations_csv", tmp_path / "a.csv"], "7 clips"),
        (["extract-wav", "--vid_dir", small_set, "--out_dir", tmp_path / "run/wav"], "8 clips: 5 ok"),
        (["evaluate", *caches, "--summary_csv", tmp_path / "s.csv"], "5 ok"),
        (["sweep", *caches, "--out_dir", tmp_path / "grid", "--taus", "0.5", "--test_split", "none"], "settings on"),
        (["view", "--run", tmp_path / "run", "--vid_dir", small_set, "--still", "clip-0", "--out", tmp_path / "still.html"], "still.html"),
    ]:
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, tmp_path / "run", *map(str, words)],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path / "elsewhere",
        )
        assert done.returncode == 0 and says in done.stdout, (words[0], done.stdout, done.stderr)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before
    # Where there is something to do, one line says that it cannot be done.
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            READ_ONLY,
            tmp_path / "run",
            "extract",
            "--vid_dir",
            small_set,
            "--out_dir",
            tmp_path / "run/cache",
            "--stride",
            "0.5",
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1 and "was made with other settings" in done.stderr or "Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_process_is_signalled_on_windows(tmp_path, monkeypatch):
    "There, os.kill(pid, 0) is control + c. Whose an unfinished file is, its age has to say."
    import avesound.files as files

    def kill(*_):
        raise AssertionError("a signal was sent")

    process_place()
    monkeypatch.setattr(files, "os", SimpleNamespace(name="nt", kill=kill, fspath=os.fspath, fstat=os.fstat))
    assert files.is_running(os.getpid()) is None
    new, old = (tmp_path / f".clip.{pid}-{process_place()}.1.tmp.npz" for pid in (4711, 4712))
    for path in (new, old):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    remove_unfinished(tmp_path, {"clip"})
    assert new.exists() and not old.exists()


def test_a_wait_for_a_folder_that_another_process_claims_has_an_end(small_set, tmp_path, monkeypatch):
    import avesound.files as files

    (tmp_path / "vid_emb").mkdir()
    program = "import sys, time; from avesound.files import locked\nwith locked(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program, tmp_path / "vid_emb/.claim.lock"], stdout=subprocess.PIPE, text=True) as other:
        other.stdout.readline()
        monkeypatch.setattr(files.locked.__wrapped__, "__defaults__", (0.2,))
        with pytest.raises(
            files.LockError, match=rf"\.claim\.lock: held by process {other.pid} on this machine for more than 0\.2 s.*delete this file"
        ):
            extract(small_set, tmp_path, progress=False)
        other.kill()


@pytest.mark.parametrize(
    "name, file, run", [("do_clip", "vid_emb/{}.npz", extract), ("_write_wav_of", "{}.wav", extract_wav)], ids=["extract", "extract-wav"]
)
def test_what_other_workers_were_writing_when_the_disk_was_full_does_not_stay(small_set, tmp_path, monkeypatch, name, file, run):
    made = tmp_path / "made"
    first = min(path.stem for path in small_set.iterdir())

    def work(job, **_):
        if job.video_id == first:
            with atomic_write(made / file.format(first)) as path:
                path.write_bytes(b"half")
                time.sleep(60)
        while not any(is_unfinished(path) for path in made.rglob(".*")):
            time.sleep(0.01)
        raise StorageError(errno.ENOSPC, "the disk is full")

    monkeypatch.setattr(f"avesound.embeddings.extract.{name}", work)
    with pytest.raises(StorageError, match="the disk is full"):
        run(small_set, made, progress=False, **({"workers": 2} if run is extract_wav else {"run": RunSettings(workers=2)}))
    assert made.is_dir() and not [path for path in made.rglob(".*") if is_unfinished(path)]


@pytest.mark.parametrize("command", ["extract", "extract-wav"])
def test_a_full_disk_stops_the_run_and_what_is_finished_is_kept(small_set, small_disk, tmp_path, command):
    disk, resize = small_disk
    words = [Path(sys.executable).with_name("avesound"), command, "--vid_dir", small_set, "--out_dir", disk / "made"]

    def run() -> subprocess.CompletedProcess:
        return subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)

    full = run()
    assert full.returncode == 1 and "takes no more files (No space left on device): what is finished is kept" in full.stderr, full.stderr
    assert str(disk / "made") in full.stderr and "Traceback" not in full.stderr
    whole = {path: path.read_bytes() for path in disk.rglob("*.*") if path.suffix in (".npz", ".wav")}
    assert not [path for path in disk.rglob(".*") if ".tmp" in path.name]  # nothing half written is left
    assert resize("20m")
    again = run()
    fresh = subprocess.run([*words[:-1], tmp_path / "elsewhere"], capture_output=True, text=True, cwd=tmp_path)
    assert again.returncode == fresh.returncode, again.stderr
    written = {
        path.relative_to(disk / "made"): path.read_bytes() for path in (disk / "made").rglob("*.*") if path.suffix in (".npz", ".wav")
    }
    expected = {
        path.relative_to(tmp_path / "elsewhere"): path.read_bytes()
        for path in (tmp_path / "elsewhere").rglob("*.*")
        if path.suffix in (".npz", ".wav")
    }
    assert written == expected and len(written) > len(whole)
    assert all(path.read_bytes() == content for path, content in whole.items())


def note_many(path, writer):
    for k in range(1500):
        append_record(path, {"writer": writer, "k": k, "detail": "x" * 200}, sync=False)


def test_lines_of_several_processes_are_whole_and_nothing_lies_between_them(tmp_path):
    path = tmp_path / "extract.jsonl"
    writers = [multiprocessing.get_context("spawn").Process(target=note_many, args=(path, name)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = path.read_text().splitlines()
    assert len(lines) == 6000 and {(line["writer"], line["k"]) for line in map(json.loads, lines)} == {
        (w, k) for w in "abcd" for k in range(1500)
    }
