"What a run survives: workers that crash, hang or take all memory, runs that are killed. Every fault is produced for real, by signals."

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from avesound.embeddings.extract import RunSettings, WindowSettings, extract
from avesound.embeddings.store import read_embeddings, read_records

SCRIPT = Path(sys.executable).with_name("avesound")
GOOD = ("clip-0", "clip-1", "clip-2", "clip-4", "clip-5")  # of the small set

# Loaded by every interpreter that is started with it: a clip's name says what becomes of the process that opens it.
ODD_DECODER = """
import os, signal, time
import av
opens = av.open
def opened(file, *args, **kwargs):
    name = os.path.basename(str(getattr(file, "name", file)))
    if name.startswith("segfault"):
        signal.raise_signal(signal.SIGSEGV)
    if name.startswith("sleeps"):
        if "AT_WORK" in os.environ:
            open(os.environ["AT_WORK"], "w").close()
        time.sleep(600)
    if name.startswith("greedy"):
        held = bytearray(3 * 2**30)
    return opens(file, *args, **kwargs)
av.open = opened
"""


@pytest.fixture
def odd(tmp_path):
    "The environment of a process whose decoder is odd."
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(ODD_DECODER)
    return os.environ | {"PYTHONPATH": str(tmp_path / "site"), "AT_WORK": str(tmp_path / "at_work")}


def folder_of(small_set: Path, folder: Path, n: int, *odd_names: str) -> Path:
    "A folder of `n` good clips, and of one for each further name."
    folder.mkdir()
    for i in range(n):
        os.link(small_set / f"{GOOD[i % len(GOOD)]}.mp4", folder / f"c{i:02}.mp4")
    for name in odd_names:
        os.link(small_set / "clip-0.mp4", folder / f"{name}.mp4")
    return folder


def command(clips: Path, cache: Path, *more: str) -> list:
    return [SCRIPT, "extract", "--vid_dir", clips, "--out_dir", cache, "--workers", "2", *more]


def rows_of(cache: Path) -> dict[str, dict]:
    return {row["id"]: row for row in read_records([cache / "extract.jsonl"])}


def wait_until(what, limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def wait_until_gone(processes: list[psutil.Process], limit_s: float) -> None:
    assert not psutil.wait_procs(processes, limit_s)[1]


def test_of_fourteen_clips_one_segfaults_and_one_never_returns(small_set, odd, tmp_path):
    clips = folder_of(small_set, tmp_path / "clips", 12, "segfault", "sleeps")
    start = time.monotonic()
    done = subprocess.run(
        command(clips, tmp_path / "c", "--timeout_s", "5"), env=odd, capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    took_s = time.monotonic() - start
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "c")
    assert [row["status"] for row in rows.values()].count("ok") == 12 and len(rows) == 14
    assert rows["segfault"]["status"] == "crashed" and "SIGSEGV while it read the clip" in rows["segfault"]["detail"]
    assert rows["sleeps"]["status"] == "timeout" and "longer than 5 s to be read; stopped in sitecustomize.py" in rows["sleeps"]["detail"]
    assert "1 crashed" in done.stdout and "segfault" in done.stdout and "sleeps" in done.stdout
    assert took_s < 5 + 10 + 10, f"{took_s:.1f} s"  # the limit, ten more, and the start of an interpreter on a loaded machine
    again = subprocess.run(command(clips, tmp_path / "c", "--timeout_s", "2"), env=odd, capture_output=True, text=True, timeout=120)
    assert "1 of them now, 13 before" in again.stdout  # the crash is final, the timeout is not


class Deadly:
    """An encoder that fails by the length of the clip, as one with a bug in a kernel would.

    2 s never returns, 3 s crashes, 4 s is greedy, 6 s calls `sys.exit`.
    """

    def __init__(self, spec):
        self.spec = spec

    def encode_video(self, frames):
        return np.ones((len(frames), self.spec.dim), np.float32)

    encode_audio = encode_video

    def encode_clip(self, clip, video_windows, audio_windows):
        from avesound.encoders.base import ClipEmbeddings

        seconds = round(clip.duration_s)
        if seconds == 2:
            time.sleep(600)
        if seconds == 3:
            signal.raise_signal(signal.SIGABRT)
        if seconds == 4:
            np.ones(2**29)
        if seconds == 6:
            sys.exit("no such kernel")
        vectors = [np.ones((len(windows), self.spec.dim), np.float32) for windows in (video_windows, *audio_windows)]
        return ClipEmbeddings(vectors[0], tuple(vectors[1:]))


def test_an_encoder_that_crashes_hangs_or_is_greedy_costs_its_clips_alone(tmp_path):
    from avesound.encoders.base import create_encoder
    from avesound.media.write import write_clip
    from conftest import flash_and_click

    for seconds in (1, 2, 3, 4, 5, 6):
        frames, wav = flash_and_click(duration_s=seconds)
        write_clip(tmp_path / f"clips/{seconds}.mp4", frames, 20, wav)
    run = RunSettings(workers=2, encode_timeout_s=2, worker_memory=1)
    report = extract(tmp_path / "clips", tmp_path / "c", encoder=Deadly(create_encoder("signal").spec), run=run, progress=False)
    rows = {row["id"]: row for row in report.records}
    assert {name: row["status"] for name, row in rows.items()} == {
        "1": "ok", "2": "timeout", "3": "crashed", "4": "out_of_memory", "5": "ok", "6": "crashed",
    }  # fmt: skip
    assert "longer than 2 s to be encoded" in rows["2"]["detail"] and "(encode_clip)" in rows["2"]["detail"]
    assert "SIGABRT while it encoded the clip" in rows["3"]["detail"] and "exit code 1 while it encoded the clip" in rows["6"]["detail"]
    later = extract(tmp_path / "clips", tmp_path / "c", encoder="signal", progress=False, run=RunSettings(overwrite=True))
    assert later.counts == {"ok": 6}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system has no limit of the kind")
def test_a_clip_that_takes_all_memory_is_a_row(small_set, odd, tmp_path):
    clips = folder_of(small_set, tmp_path / "clips", 3, "greedy")
    done = subprocess.run(command(clips, tmp_path / "c", "--worker_memory", "0.5"), env=odd, capture_output=True, text=True, timeout=120)
    rows = rows_of(tmp_path / "c")
    assert done.returncode == 0 and rows.pop("greedy")["status"] == "out_of_memory", done.stderr
    assert {row["status"] for row in rows.values()} == {"ok"} and len(rows) == 3


@pytest.mark.parametrize(("name", "code", "says"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")])
def test_a_run_that_is_asked_to_end_does_so_within_two_seconds(name, code, says, small_set, odd, tmp_path):
    clips = folder_of(small_set, tmp_path / "clips", 6, "sleeps1", "sleeps2")
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}  # a shell's background jobs ignore it
    with subprocess.Popen(command(clips, tmp_path / "c"), env=odd, stderr=subprocess.PIPE, text=True, **heard) as run:
        wait_until(lambda: len(rows_of(tmp_path / "c")) == 6)
        processes = psutil.Process(run.pid).children(recursive=True)
        time.sleep(0.5)  # both workers sleep
        start = time.monotonic()
        run.send_signal(getattr(signal, name))
        error = run.communicate(timeout=60)[1]
        took_s = time.monotonic() - start
    assert run.returncode == code and f"{says}; run it again to go on" in error and "Traceback" not in error
    busy = max(1.0, os.getloadavg()[0] / psutil.cpu_count())  # others at work on the same cores
    assert took_s < 2 * busy, f"{took_s:.1f} s with {busy:.1f} at work on each core"
    wait_until_gone(processes, 5)
    assert {row["status"] for row in rows_of(tmp_path / "c").values()} == {"ok"}
    stopped = [line["id"] for line in read_records([tmp_path / "c/extract.jsonl"], trying=True) if line.get("stopped")]
    assert stopped == ["sleeps1", "sleeps2"]


def test_a_run_that_is_killed_leaves_no_worker_behind_and_accuses_no_clip(small_set, odd, tmp_path):
    clips = folder_of(small_set, tmp_path / "clips", 4, "sleeps")
    (tmp_path / "tmp").mkdir()
    at_work = tmp_path / "at_work"
    for _ in range(3):
        environment = odd | {"TMPDIR": str(tmp_path / "tmp")}
        with subprocess.Popen(command(clips, tmp_path / "c"), env=environment, stderr=subprocess.DEVNULL) as run:
            wait_until(lambda: len(rows_of(tmp_path / "c")) == 4 and at_work.exists())  # a worker is at the clip, not merely given it
            processes = psutil.Process(run.pid).children(recursive=True)
            time.sleep(0.3)
            run.kill()
            at_work.unlink()
        wait_until_gone(processes, 10)
        wait_until(lambda: not list((tmp_path / "tmp").glob("avesound-*")))  # by a worker, one that was just starting, say
    assert extract(clips, tmp_path / "c", progress=False).counts == {"ok": 5}


def ends_before_its_thread(sent) -> None:
    "A worker at rest that notices the end of the run by its closed channel, as pebble's do."
    import avesound.embeddings.workers as room

    room._end_with_the_run = lambda: None
    room._start_worker(sent)
    multiprocessing.parent_process().join()


def test_a_worker_at_rest_that_ends_before_its_thread_leaves_no_report(tmp_path):
    code = """
import os, pathlib, sys, time
sys.path.insert(0, sys.argv[1])
import test_faults
from avesound.embeddings import workers as room
reports = pathlib.Path(sys.argv[2])
sent = room._Sent(b"", room.JobLimits(), reports, 1, {})
process = room._context().Process(target=test_faults.ends_before_its_thread, args=(sent,))
process.start()
while not list(reports.iterdir()):
    time.sleep(0.01)
os._exit(9)
"""
    (reports := tmp_path / "reports").mkdir()
    done = subprocess.run([sys.executable, "-c", code, Path(__file__).parent, reports], timeout=120, cwd=tmp_path)
    assert done.returncode == 9
    wait_until(lambda: not reports.exists(), 20)


def test_an_encoder_that_cannot_be_sent_says_so_and_leaves_nothing(small_set, tmp_path, monkeypatch):
    import tempfile
    import threading

    from avesound.encoders.base import create_encoder

    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    encoder = Deadly(create_encoder("signal").spec)
    encoder.lock = threading.Lock()
    with pytest.raises(TypeError, match="cannot be sent to other processes.*lock.*workers=0"):
        extract(small_set, tmp_path / "c", encoder=encoder, progress=False)
    assert not list((tmp_path / "tmp").iterdir())


def test_a_worker_that_starts_when_its_run_is_over_says_nothing_of_it(tmp_path):
    code = """
import os, sys
from avesound.embeddings import workers as room
class Missing:
    def __init__(self, what): self.what = what
    def __reduce__(self): return self.what
for what in ((os.stat, ("no such lock",)), (int, ("no number",))):
    process = room._context().Process(target=print, args=(Missing(what),))
    process.start()
    process.join()
    print(process.exitcode)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.stdout.split() == ["1", "1"] and "no such lock" not in done.stderr and "no number" in done.stderr, done.stderr


def test_a_pool_whose_workers_die_before_they_begin_is_renewed_and_then_given_up(monkeypatch):
    import avesound.embeddings.workers as room

    monkeypatch.setattr(room, "_start_worker", os._exit)  # what a worker does first is to end
    with pytest.raises(room.WorkerError, match="ended 4 times in a row before they could begin"):
        list(room.map_workers(str.upper, ["a"], 1))


@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="workers are new interpreters here")
def test_workers_begin_with_what_takes_long_to_import():
    code = """
import mailbox, sys
from avesound.embeddings import workers as room
room._LIBRARIES = ("mailbox", "poplib")  # one that this run has imported, and one that it has not
print(sorted(room.map_workers(lambda name: name in sys.modules, ["scipy.ndimage", "mailbox", "poplib"], 1)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "[('mailbox', True), ('poplib', False), ('scipy.ndimage', True)]\n", done.stderr


def tripled(n: int) -> list:
    from avesound.embeddings.workers import map_workers

    return sorted(map_workers(abs, [-n, 2 * n, -3 * n], 2))


def test_workers_start_in_the_children_of_others_and_say_where_they_may_not():
    from avesound.embeddings.workers import WorkerError

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(tripled, 1).result(60) == [(-3, 3), (-1, 1), (2, 2)]
    with context.Pool(1) as pool, pytest.raises(WorkerError, match="being a worker itself.*workers=0"):
        pool.apply(tripled, (1,))


# Long trials -----------------------------------------------------------------------------------------------------------------


@pytest.mark.faults
def test_fifty_random_kills_and_the_cache_is_that_of_an_undisturbed_run(small_set, tmp_path):
    clips, chance = folder_of(small_set, tmp_path / "clips", 60), random.Random(0)
    windows = WindowSettings(lengths=(0.25, 0.5, 1.0))
    extract(clips, tmp_path / "undisturbed", windows=windows, progress=False)
    n_killed = {"run": 0, "worker": 0}
    while sum(n_killed.values()) < 50:
        words = command(clips, tmp_path / "c", "--lengths", "0.25,0.5,1.0", *(["--overwrite"] if chance.random() < 0.3 else []))
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            time.sleep(chance.uniform(0.5, 4))
            workers = [process for process in psutil.Process(run.pid).children(recursive=True) if run.poll() is None]
            victim = chance.choice(["run", "worker"]) if workers else "run"
            if run.poll() is None:
                (run if victim == "run" else chance.choice(workers)).kill()
                n_killed[victim] += 1
            if victim == "worker":
                run.wait(120)
    report = extract(clips, tmp_path / "c", windows=windows, progress=False)
    print(n_killed, report)
    assert report.counts == {"ok": 60}
    for path in (tmp_path / "undisturbed").rglob("*.npz"):
        assert path.read_bytes() == (tmp_path / "c" / path.relative_to(tmp_path / "undisturbed")).read_bytes()


@pytest.mark.faults
def test_two_thousand_damaged_files_are_two_thousand_rows(small_set, tmp_path):
    chance, clips = random.Random(1), tmp_path / "clips"
    clips.mkdir()
    wholes = [(small_set / f"{name}.mp4").read_bytes() for name in GOOD]
    for i in range(2000):
        data = bytearray(wholes[i % len(wholes)])
        for _ in range(chance.choice([1, 8, 64, 512])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.2:
            del data[chance.randrange(len(data)) :]
        (clips / f"m{i:04}.mp4").write_bytes(data)
    done = subprocess.run(command(clips, tmp_path / "c", "--timeout_s", "20"), capture_output=True, text=True, timeout=1500)
    rows = rows_of(tmp_path / "c")
    print(done.stdout)
    assert done.returncode == 0 and len(rows) == 2000, done.stderr
    assert all(row["status"] == "ok" or row["detail"] for row in rows.values())
    for name in [name for name, row in rows.items() if row["status"] == "ok"]:
        assert np.isfinite(read_embeddings(tmp_path / f"c/vid_emb/{name}.npz").emb).all()
