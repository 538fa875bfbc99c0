"What may be relied on: disks that fill, disks that fail, runs beside runs, and caches that somebody has damaged. Each fault is real."

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import av
import numpy as np
import pandas as pd
import psutil
import pytest

from avesound.embeddings import claim as claim_room
from avesound.embeddings.claim import claimed, writers
from avesound.embeddings.extract import RunSettings, extract
from avesound.embeddings.journal import FAILURES
from avesound.embeddings.status import cache_status
from avesound.embeddings.store import append_record, folder_settings, read_embeddings, read_records, remove_unfinished, write_embeddings
from avesound.embeddings.verify import verify_cache
from avesound.files import StorageError, atomic_write, is_unfinished, write_csv, write_json
from avesound.timeline import sliding_windows

SCRIPT = Path(sys.executable).with_name("avesound")


def avesound(*words, **more) -> subprocess.CompletedProcess:
    return subprocess.run([SCRIPT, *map(str, words)], capture_output=True, text=True, timeout=120, **more)


def unfinished(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if is_unfinished(path)]


# ---- a folder that takes no more


def _frames_and_sound():
    return np.random.default_rng(0).integers(0, 255, (40, 128, 128, 3), dtype=np.uint8), np.zeros(32000, np.float32)


def _write_clip(folder, _):
    from avesound.media.write import write_clip

    frames, wav = _frames_and_sound()
    write_clip(folder / "clip.mp4", frames, 20, wav, 16000, crf=0)


def _synth(folder, _):
    from avesound.data.synth import SynthSpec, make_dataset

    make_dataset(folder / "set", n_train=4, n_val=4, n_test=8, spec=SynthSpec(duration_s=4))


def _unzip(folder, tmp_path):
    from avesound.data import download

    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        archive.writestr("a.bin", os.urandom(200_000))
    download._need_space.__globals__["shutil"].disk_usage  # noqa: B018 - what it asks; a quota is not seen there
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "_need_space", lambda *_: None)
        download.safe_extract(tmp_path / "many.zip", folder / "out")


def _download(folder, tmp_path):
    import functools
    import http.server
    import threading

    from avesound.data import download

    with zipfile.ZipFile(tmp_path / "large.zip", "w") as archive:
        archive.writestr("a.bin", os.urandom(200_000))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(handler.func, "log_message", lambda *_: None)
        patch.setattr(download, "_need_space", lambda *_: None)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            download.fetch_zip(f"http://127.0.0.1:{server.server_port}/large.zip", folder / "got/ave.zip")
        finally:
            server.shutdown()


def _figure(folder, _):
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(8, 8))
    figure.figimage(np.random.default_rng(0).random((800, 800)))
    with atomic_write(folder / "figure.png") as temporary:
        figure.savefig(temporary)


def _journal(folder, _):
    for i in range(10_000):
        append_record(folder / "extract.jsonl", {"id": f"clip-{i}", "status": "ok", "detail": "x" * 200}, sync=False)


def _vectors(folder, _):
    for i in range(20):
        write_embeddings(folder / f"{i}.npz", np.zeros((40, 512), np.float32), sliding_windows(10, 1.0, 0.25), {})


def _claims(folder, _):
    for i in range(200):
        with claimed({folder / f"vid_{i}": {"detail": "x" * 8000}}):
            pass


def _marks(folder, _):
    from avesound.data.marks import mark_event

    for i in range(2000):
        mark_event(folder / f"{i}/marked.csv", "clip", "dog", 0, 1)


def _report(folder, _):
    from avesound.report.analyze import _write_folder

    _write_folder(folder / "report", {"report.html": os.urandom(300_000)})


def _tensors(folder, tmp_path):
    import torch

    from avesound.encoders.checkpoint import convert_checkpoint

    torch.save({"weight": torch.zeros(100_000)}, tmp_path / "w.pth")
    convert_checkpoint(tmp_path / "w.pth", folder / "w.safetensors")


def _pickled(folder, _):
    import torch

    with atomic_write(folder / "w.pt") as temporary:
        torch.save({"weight": torch.rand(100_000)}, temporary)


WRITERS = {
    "table": lambda folder, _: write_csv(pd.DataFrame({"x": np.random.default_rng(0).random(100_000)}), folder / "t.csv"),
    "json": lambda folder, _: write_json(list(range(100_000)), folder / "t.json"),
    "figure": _figure,
    "journal": _journal,
    "vectors": _vectors,
    "claims": _claims,
    "marks": _marks,
    "clip": _write_clip,
    "synth": _synth,
    "unzip": _unzip,
    "download": _download,
    "report": _report,
    "tensors": _tensors,
    "pickled": _pickled,
}


@pytest.mark.parametrize("what", WRITERS)
def test_whatever_is_written_to_a_full_disk_says_so_by_its_folder_and_leaves_nothing_half_done(what, small_disk, tmp_path):
    disk, _ = small_disk
    with pytest.raises(StorageError, match=r"takes no more files \(No space left on device\)") as full:
        WRITERS[what](disk, tmp_path)
    assert str(disk) in str(full.value) and full.value.errno == errno.ENOSPC
    assert unfinished(disk) == []


@pytest.mark.parametrize("what", [name for name in WRITERS if name != "download"])
def test_whatever_is_written_to_a_read_only_disk_says_so_by_its_folder(what, small_disk, tmp_path):
    disk, _ = small_disk
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(StorageError, match=r"takes no more files \(Read-only file system\)"):
        WRITERS[what](disk, tmp_path)


def test_demo_on_a_full_disk_ends_in_one_line(small_disk, tmp_path):
    disk, _ = small_disk
    done = avesound("demo", "--out_dir", disk / "demo")
    assert done.returncode == 1 and "takes no more files" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_a_quota_that_is_noticed_only_when_the_file_is_sent_to_the_server(tmp_path, monkeypatch):
    "NFS takes bytes on trust, and says at fsync or close that there was no room."
    real = os.fsync

    def fsync(descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".csv"):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError, match="takes no more files"):
        write_csv(pd.DataFrame({"x": [1]}), tmp_path / "t.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_storage_error_travels_between_processes_whole(tmp_path):
    import pickle

    error = StorageError(errno.ENOSPC, f"{tmp_path} takes no more files")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is StorageError and str(again) == str(error) and again.errno == errno.ENOSPC


# ---- a disk that fails, a clip that does not


@pytest.fixture
def one_clip(small_set, tmp_path):
    (tmp_path / "clips").mkdir()
    for name in ("a", "b", "c"):
        shutil.copy(small_set / f"clip-{ord(name) - 97}.mp4", tmp_path / "clips" / f"{name}.mp4")
    index_last(small_set / "clip-1.mp4", tmp_path / "clips/b.mp4")
    return tmp_path / "clips"


def index_last(source: Path, target: Path) -> None:
    "The same clip with its index at the end, where most programs put it."
    with av.open(str(source)) as clip, av.open(str(target), "w") as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in clip.streams}
        for packet in clip.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)


def test_a_clip_whose_first_byte_cannot_be_read_is_an_error_and_tried_again(one_clip, tmp_path):
    (one_clip / "a.mp4").unlink()
    (one_clip / "a.mp4").symlink_to("/proc/self/mem")  # a plain file, whose reading is an input/output error
    for _ in range(2):
        done = avesound("extract", "--vid_dir", one_clip, "--out_dir", tmp_path / "cache", "--workers", "1")
        assert done.returncode == 1 and "1 error" in done.stdout and "2 ok" in done.stdout, done.stdout + done.stderr
        assert "Input/output error" in done.stdout


@pytest.fixture
def failing(tmp_path):
    "Run a command in which system calls on one path fail, from the n-th on."
    if shutil.which("strace") is None or subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode:
        pytest.skip("no strace that may trace here")

    def run(path: Path, calls: str, code: str, when: str, *words) -> subprocess.CompletedProcess:
        how = ["-f", "-q", "-o", str(tmp_path / "trace"), "-P", str(path), "-e", f"inject={calls}:error={code}:when={when}"]
        return subprocess.run(["strace", *how, SCRIPT, *map(str, words)], capture_output=True, text=True, timeout=120)

    return run


@pytest.mark.parametrize(
    "calls, code, when",
    [
        ("read,pread64", "EIO", "2+"),
        ("read,pread64", "EIO", "4+"),
        ("read,pread64", "ESTALE", "1+"),
        ("openat", "ENOTCONN", "1+"),
        ("openat", "ENFILE", "1+"),
    ],
)
def test_a_disk_that_fails_is_no_broken_clip(failing, one_clip, tmp_path, calls, code, when):
    "FFmpeg takes a read that fails on the way to the index of a file for its end, and calls the file damaged."
    words = ["extract", "--vid_dir", one_clip, "--out_dir", tmp_path / "cache", "--workers", "1"]
    done = failing(one_clip / "b.mp4", calls, code, when, *words)
    rows = {record["id"]: record for record in read_records([tmp_path / "cache/extract.jsonl"])}
    assert {name: row["status"] for name, row in rows.items()} == {"a": "ok", "b": "error", "c": "ok"}, (rows["b"], done.stderr[-2000:])
    assert done.returncode == 1
    again = avesound(*words)
    assert again.returncode == 0 and "3 ok (1 of them now" in again.stdout, again.stdout


def test_where_the_storage_of_all_clips_has_gone_the_run_goes_on_and_ends_with_1(failing, one_clip, tmp_path):
    "Some disks of a pool may be back in a minute. All of it is tried again, and none of it is called missing or corrupt."
    words = ["extract-wav", "--vid_dir", one_clip, "--out_dir", tmp_path / "wav", "--workers", "1"]
    how = [part for name in "abc" for part in ("-P", one_clip / f"{name}.mp4")]
    command = ["strace", "-f", "-q", "-o", tmp_path / "trace", *how, "-e", "inject=openat:error=ESTALE", SCRIPT, *words]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "3 clips: 3 error" in done.stdout, done.stdout + done.stderr
    assert avesound(*words).returncode == 0


def test_no_more_open_files_is_an_error_of_the_moment(one_clip, tmp_path):
    program = """
import os, sys
import avesound.embeddings.job as room
from avesound.embeddings.extract import RunSettings, extract
real = room.decode_clip
def decode_clip(path, **how):
    if path.stem != "b":
        return real(path, **how)
    held = []
    try:
        while True: held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError: pass
    try:
        return real(path, **how)
    finally:
        for descriptor in held: os.close(descriptor)
room.decode_clip = decode_clip
print(extract(sys.argv[1], sys.argv[2], run=RunSettings(workers=0), progress=False).records[1])
"""

    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))

    done = subprocess.run([sys.executable, "-c", program, one_clip, tmp_path / "cache"], capture_output=True, text=True, preexec_fn=few)
    assert "'status': 'error'" in done.stdout and "Too many open files" in done.stdout, done.stdout + done.stderr
    assert extract(one_clip, tmp_path / "cache", progress=False).n_new == 1


# ---- whose unfinished file

WRITING = """
import sys
from avesound.files import atomic_write
with atomic_write(sys.argv[1]) as path:
    path.write_bytes(b"half")
    print("writing", flush=True)
    sys.stdin.readline()
    path.write_bytes(b"whole")
"""


def test_the_file_of_a_stopped_writer_is_left_alone_and_that_of_a_killed_one_is_removed(tmp_path):
    task = subprocess.Popen(
        [sys.executable, "-c", WRITING, tmp_path / "clip.npz"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    task.stdout.readline()
    task.send_signal(signal.SIGSTOP)
    (left,) = unfinished(tmp_path)
    os.utime(left, (0, 0))  # however long ago
    remove_unfinished(tmp_path, {"clip"})
    assert unfinished(tmp_path) == [left]
    task.send_signal(signal.SIGCONT)
    task.communicate("go on\n", timeout=30)
    assert (tmp_path / "clip.npz").read_bytes() == b"whole" and unfinished(tmp_path) == []
    task = subprocess.Popen(
        [sys.executable, "-c", WRITING, tmp_path / "clip.npz"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    task.stdout.readline()
    task.kill()  # in the middle of a write
    task.wait()
    assert len(unfinished(tmp_path)) == 1
    remove_unfinished(tmp_path, {"clip"})
    assert unfinished(tmp_path) == [] and (tmp_path / "clip.npz").read_bytes() == b"whole"


def test_the_file_of_a_writer_in_another_container_is_left_alone(tmp_path):
    "There its process has a number that is nobody's here, or somebody else's."
    inside = ["unshare", "--pid", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("no namespaces of processes here")
    command = [*inside, sys.executable, "-c", WRITING, tmp_path / "clip.npz"]
    task = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    task.stdout.readline()
    (left,) = unfinished(tmp_path)
    # As if that number were of a dead process here.
    number = left.name.split(".")[-4]
    renamed = left.with_name(left.name.replace(f".{number}.", f".{2**22 + 1}-{number.partition('-')[2]}."))
    shutil.copy(left, renamed)
    remove_unfinished(tmp_path, {"clip"})
    assert sorted(unfinished(tmp_path)) == sorted([left, renamed])
    task.communicate("go on\n", timeout=30)
    assert (tmp_path / "clip.npz").read_bytes() == b"whole"


# ---- a run beside a run


def started(*words) -> subprocess.Popen:
    command = [SCRIPT, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def halt(pid: int):
    "Stop a process and its children, and wait until all have: what a process is at in the kernel, a renaming, comes to its end first."
    os.killpg(pid, signal.SIGSTOP)
    task = psutil.Process(pid)
    while any(process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE) for process in [task, *task.children(recursive=True)]):
        time.sleep(0.002)


@pytest.fixture
def stopped(small_set, tmp_path):
    "A run over clips, and its cache, stopped after its first file."
    words = ["extract", "--vid_dir", small_set, "--out_dir", tmp_path / "cache", "--workers", "1"]
    task = started(*words)
    while not list(tmp_path.glob("cache/vid_emb/*.npz")):
        assert task.poll() is None
        time.sleep(0.002)
    halt(task.pid)
    assert task.poll() is None and writers(tmp_path / "cache/vid_emb")
    yield task, tmp_path / "cache", words
    if task.poll() is None:
        os.killpg(task.pid, signal.SIGKILL)
    task.wait()


def marks_in(cache: Path) -> set[str]:
    return {read_embeddings(path).meta["fingerprint"] for path in (cache / "vid_emb").glob("*.npz") if not is_unfinished(path)}


def test_overwrite_beside_a_run_is_refused_by_name_and_changes_nothing(stopped):
    task, cache, words = stopped
    before = {path: path.read_bytes() for path in cache.rglob("*.npz")}
    for more in (["--stride", "0.5"], []):  # other settings; the same clips once more
        refused = avesound(*words, "--overwrite", *more)
        assert refused.returncode == 1 and f"process {task.pid} on " in refused.stderr and "is writing there" in refused.stderr, (
            refused.stderr
        )
        assert {path: path.read_bytes() for path in cache.rglob("*.npz")} == before
    assert "was made with other settings (stride_s was" in avesound(*words, "--stride", "0.5").stderr
    os.killpg(task.pid, signal.SIGCONT)
    out, err = task.communicate(timeout=60)
    assert "8 clips: 5 ok" in out, err
    assert list(cache.rglob(".writing/*")) == []  # it has taken its claims with it
    assert avesound(*words, "--overwrite", "--stride", "0.5").stdout.startswith("8 clips: 5 ok") and len(marks_in(cache)) == 1


def test_a_killed_run_is_no_obstacle(stopped):
    task, cache, words = stopped
    os.killpg(task.pid, signal.SIGKILL)
    task.wait()
    assert len(list(cache.rglob(".writing/*"))) == 2 and writers(cache / "vid_emb") == []
    assert avesound(*words, "--overwrite", "--stride", "0.5").stdout.startswith("8 clips: 5 ok")
    assert len(marks_in(cache)) == 1 and list(cache.rglob(".writing/*")) == [] and unfinished(cache) == []


ELSEWHERE = """
import sys
import avesound.embeddings.claim as room
room.try_lock = lambda *_, **__: None  # a file system on which locks do not reach from one machine to the other
room.process_place = lambda: "f" * 10  # and this is the other one
room.SILENT_S = float(sys.argv[1])
from avesound.cli import main
sys.exit(main(sys.argv[2:]))
"""


def test_a_run_that_was_taken_for_dead_and_wakes_up_ends_and_mixes_nothing(stopped):
    task, cache, words = stopped
    overwrite = [*map(str, words), "--overwrite", "--stride", "0.5"]

    def elsewhere(silent_s: float) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-c", ELSEWHERE, str(silent_s), *overwrite], capture_output=True, text=True, timeout=120)

    refused = elsewhere(3600)
    assert refused.returncode == 1 and f"process {task.pid} on " in refused.stderr and "delete" in refused.stderr, refused.stderr
    time.sleep(0.6)
    assert elsewhere(0.5).stdout.startswith("8 clips: 5 ok")
    (mark,) = marks_in(cache)
    os.killpg(task.pid, signal.SIGCONT)
    _, err = task.communicate(timeout=60)
    assert task.returncode == 1 and "was overwritten with other settings meanwhile" in err and "Traceback" not in err, err
    assert marks_in(cache) == {mark} and folder_settings(cache / "vid_emb")["stride_s"] == 0.5
    assert verify_cache(cache, progress=False).faults == ()


def test_shards_that_overwrite_start_side_by_side(small_set, tmp_path):
    words = ["extract", "--vid_dir", small_set, "--out_dir", tmp_path / "cache"]
    assert avesound(*words, "--stride", "0.5").stdout.startswith("8 clips")
    tasks = [started(*words, "--overwrite", "--shard", f"{k}/4") for k in (1, 2, 3, 4)]
    ends = [task.communicate(timeout=120) for task in tasks]
    assert all("is writing there" not in err and "Traceback" not in err for _, err in ends), ends
    assert len(marks_in(tmp_path / "cache")) == 1 and cache_status(tmp_path / "cache", vid_dir=small_set).done == {"ok": 5, "no_audio": 1}


def test_two_folders_are_emptied_both_or_none(small_set, tmp_path):
    cache = tmp_path / "cache"
    extract(small_set, cache, progress=False)
    n = len(list(cache.rglob("*.npz")))
    with claimed({cache / "aud_emb": folder_settings(cache / "aud_emb")}):
        done = avesound("extract", "--vid_dir", small_set, "--out_dir", cache, "--overwrite", "--stride", "0.5")
    assert done.returncode == 1 and f"aud_emb: process {os.getpid()} on" in done.stderr and len(list(cache.rglob("*.npz"))) == n


def test_an_overwrite_that_is_killed_leaves_a_folder_of_no_settings(small_set, tmp_path, monkeypatch):
    extract(small_set, tmp_path, progress=False)

    def killed(path, **_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(claim_room.Path, "unlink", killed)
        with claimed({tmp_path / "vid_emb": {"stride_s": 0.5}}, overwrite=True):
            pass
    for settings in ({"stride_s": 0.5}, folder_settings(tmp_path / "aud_emb")):
        with pytest.raises(claim_room.CacheError, match="an --overwrite was interrupted there"), claimed({tmp_path / "vid_emb": settings}):
            pass
    extract(small_set, tmp_path, run=RunSettings(overwrite=True), progress=False)
    assert len(marks_in(tmp_path)) == 1


# ---- retry, status, verify


def test_failures_of_a_class_are_tried_again_and_nothing_else_is(small_set, tmp_path):
    words = ["extract", "--vid_dir", small_set, "--out_dir", tmp_path / "cache"]
    assert "(8 of them now" in avesound(*words).stdout
    for retry, n in [("corrupt", 2), ("no_audio,timeout", 1), ("all", 3), ("crashed,out_of_memory", 0)]:
        assert f"({n} of them now" in avesound(*words, "--retry", retry).stdout, retry
    wrong = avesound(*words, "--retry", "corupt")
    assert wrong.returncode == 1 and "corupt" in wrong.stderr and all(name in wrong.stderr for name in FAILURES)
    # What was corrupt to an older FFmpeg: the bytes are the same.
    journal = tmp_path / "cache/extract.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    lines = [line | {"status": "corrupt"} if line["id"] == "clip-1" and line["status"] == "ok" else line for line in lines]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "3 corrupt" in avesound(*words).stdout
    done = avesound(*words, "--retry", "corrupt").stdout
    assert "2 corrupt" in done and "(3 of them now" in done and "(0 of them now" in avesound(*words).stdout


def test_status_of_a_run_at_work_and_of_one_that_died(stopped, small_set):
    task, cache, _ = stopped
    told = json.loads(avesound("status", cache, "--json").stdout)
    assert told["running"][0]["pid"] == task.pid and told["running"][0]["vid_dir"] == str(small_set) and told["is_whole"] is True
    assert told["n_done"] + told["n_to_do"] + sum(map(len, told["failed"].values())) == 8 and told["n_to_do"] >= 1
    os.killpg(task.pid, signal.SIGKILL)
    task.wait()
    told = avesound("status", "--cache", cache, "--vid_dir", small_set)
    assert told.returncode == 0 and "at work" not in told.stdout and "of 8" in told.stdout
    nothing = avesound("status", cache / "nowhere")
    assert nothing.returncode == 1 and "no such folder of embeddings" in nothing.stderr


def test_a_damaged_cache_is_found_out_and_mended_and_the_rest_is_not_touched(small_set, tmp_path):
    cache = tmp_path / "cache"
    words = ["extract", "--vid_dir", small_set, "--out_dir", cache, "--lengths", "0.5,1"]
    avesound(*words)
    intact = {path: path.read_bytes() for path in cache.rglob("*.npz")}
    assert avesound("verify", cache).returncode == 0
    rng = np.random.default_rng(0)
    chosen = [sorted(intact)[k] for k in rng.choice(len(intact), 5, replace=False)]
    for path, damage in zip(chosen, ("bit", "cut", "empty", "gone", "swapped")):
        data = bytearray(intact[path])
        data[len(data) // 2] ^= 1
        other = next(other for other in intact if other not in chosen and other.parent == path.parent)
        path.write_bytes({"bit": bytes(data), "cut": data[:-30], "empty": b"", "swapped": intact[other]}.get(damage, b""))
        if damage == "gone":
            path.unlink()
    found = avesound("verify", "--cache", cache)
    assert found.returncode == 1 and all(path.name in found.stdout for path in chosen) and "3 damaged" in found.stdout, found.stdout
    times = {path: path.stat().st_mtime_ns for path in intact if path not in chosen}
    mended = avesound("verify", cache, "--repair", "--vid_dir", small_set)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert {path: path.read_bytes() for path in cache.rglob("*.npz")} == intact
    clips = {(path.parent, path.name.split("__")[0].removesuffix(".npz")) for path in chosen}
    untouched = {path for path in times if (path.parent, path.name.split("__")[0].removesuffix(".npz")) not in clips}
    assert all(path.stat().st_mtime_ns == times[path] for path in untouched) and len(untouched) > 5
    assert len(list(cache.rglob("*.damaged"))) == 4 and "(0 of them now" in avesound(*words).stdout


def test_windows_of_a_wav_file_beside_those_of_the_clip_are_sound_and_a_newer_clip_is_noticed(small_set, tmp_path):
    cache, clips = tmp_path / "cache", tmp_path / "clips"
    clips.mkdir()
    for name in ("clip-0", "clip-1"):
        shutil.copy(small_set / f"{name}.mp4", clips)
    avesound("extract", "--vid_dir", clips, "--out_dir", cache, "--lengths", "0.5,1")
    avesound("extract-wav", "--vid_dir", clips, "--out_dir", tmp_path / "wav")
    avesound("extract-audio", "--wav_dir", tmp_path / "wav", "--out_dir", cache / "aud_emb", "--win", "2")
    assert sorted(path.name for path in (cache / "aud_emb").glob("clip-0__*")) == [f"clip-0__L{ms}ms.npz" for ms in (1000, 2000, 500)]
    found = avesound("verify", cache)
    assert found.returncode == 0, found.stdout
    shutil.copy(small_set / "clip-2.mp4", clips / "clip-0.mp4")
    avesound("extract-audio", "--vid_dir", clips, "--out_dir", cache / "aud_emb", "--win", "5")
    found = avesound("verify", cache)
    assert found.returncode == 1 and "another version of the clip" in found.stdout and "clip-1" not in found.stdout, found.stdout


def test_what_a_repair_has_made_anew_in_a_cache_of_shards_is_finished(small_set, tmp_path):
    for shard in ("1/2", "2/2"):
        extract(small_set, tmp_path, run=RunSettings(shard=shard, only=("clip-0", "clip-1", "clip-2")), progress=False)
    (tmp_path / "vid_emb/clip-1.npz").write_bytes(b"")
    repaired = avesound("verify", tmp_path, "--repair", "--vid_dir", small_set)
    assert repaired.returncode == 0, repaired.stdout
    again = extract(small_set, tmp_path, run=RunSettings(only=("clip-0", "clip-1", "clip-2")), progress=False)
    assert again.counts == {"ok": 3} and again.n_new == 0


def test_what_a_killed_worker_was_writing_is_gone_when_the_run_ends(small_set, tmp_path):
    from avesound.encoders.base import create_encoder

    heard, target = create_encoder("logmel"), tmp_path / "c/aud_emb/clip-0__L1000ms.npz"

    class Dies:  # defined here, so that it travels by value
        spec = heard.spec

        def encode_audio(self, wav):
            import os
            import signal

            from avesound.files import atomic_write

            with atomic_write(target) as temporary:
                temporary.write_bytes(b"half")
                os.kill(os.getpid(), signal.SIGKILL)
            return heard.encode_audio(wav)

    report = extract(
        small_set, tmp_path / "c", encoder=Dies(), kinds=("audio",), run=RunSettings(workers=1, only=("clip-0",)), progress=False
    )
    assert report.counts == {"crashed": 1} and not [path for path in (tmp_path / "c").rglob("*") if is_unfinished(path)]


def test_every_bit_of_the_vectors_counts(small_set, tmp_path):
    "A file with a bit turned over is found out, or reads as the same vectors."
    extract(small_set, tmp_path, run=RunSettings(only=("clip-0",)), progress=False)
    path = tmp_path / "vid_emb/clip-0.npz"
    whole, vectors = path.read_bytes(), read_embeddings(path).emb
    n_found = 0
    for at in np.random.default_rng(0).choice(len(whole), 150, replace=False):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(at) % 8
        path.write_bytes(damaged)
        faults = verify_cache(tmp_path / "vid_emb", progress=False).faults
        n_found += bool(faults)
        assert faults or np.array_equal(read_embeddings(path).emb, vectors), at
    assert n_found > 100


def test_pictures_and_sound_made_apart_are_one_cache(small_set, tmp_path):
    "Nothing is made again by a run that makes both, and only one of them where only one was taken back."
    for kind in ("video", "audio"):
        extract(small_set, tmp_path, kinds=(kind,), progress=False)
    assert extract(small_set, tmp_path, progress=False).n_new == 0
    (tmp_path / "vid_emb/clip-1.npz").write_bytes(b"")
    verify_cache(tmp_path, repair=True, progress=False)
    assert extract(small_set, tmp_path, kinds=("audio",), progress=False).n_new == 0
    assert extract(small_set, tmp_path, kinds=("video",), progress=False).n_new == 1
    assert extract(small_set, tmp_path, progress=False).n_new == 0
