"What `extract --estimate` says, against what extraction does; and that asking changes nothing."

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_faults import ODD_DECODER, folder_of

from avesound.embeddings.estimate import estimate
from avesound.embeddings.extract import RunSettings, extract
from avesound.encoders.base import EncoderSpec

SCRIPT = Path(sys.executable).with_name("avesound")


class Sleepy:
    "An encoder that takes 0.3 s for a clip and a second to be sent to a worker."

    spec = EncoderSpec("sleepy", 2, joint=True, weights="none", fps=2.0, size=(8, 8), sample_rate=8000)

    def __reduce__(self):
        return _awake, ()

    def encode_video(self, frames):
        time.sleep(0.3)
        return np.ones((len(frames), 2), np.float32)

    def encode_audio(self, wav):
        return np.ones((len(wav), 2), np.float32)


def _awake():
    time.sleep(1)
    return Sleepy()


def contents(folder: Path) -> dict:
    return {path.relative_to(folder): (path.stat().st_mtime_ns, path.is_dir() or path.read_bytes()) for path in folder.rglob("*")}


def test_what_is_estimated_is_what_a_run_takes(small_set, tmp_path):
    clips = folder_of(small_set, tmp_path / "clips", 30)
    told = estimate(clips, tmp_path / "cache", encoder=Sleepy(), run=RunSettings(workers=2))
    assert not (tmp_path / "cache").exists() and len(told.tried) == 20
    start = time.monotonic()
    report = extract(clips, tmp_path / "cache", encoder=Sleepy(), run=RunSettings(workers=2), progress=False)
    took_s = time.monotonic() - start
    assert report.counts == {"ok": 30} and told.counts == {"ok": 20}
    assert 0.3 < told.clip_s < 2 and told.start_s > 0.5  # the start of the workers is told apart
    assert told.steps["encode_s"] > 0.29 and told.clips_per_s == 2 / told.clip_s
    assert took_s / 2.5 < told.time_s() < took_s * 2.5  # the machine may be busy with other things
    sizes = [path.stat().st_size for path in (tmp_path / "cache").rglob("*.npz")]
    assert told.n_clips * told.clip_files == len(sizes) and told.n_clips * told.clip_bytes == pytest.approx(sum(sizes), rel=0.02)


def test_clips_that_hang_or_crash_count_and_a_cache_of_other_settings_is_left_alone(small_set, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(ODD_DECODER)
    clips = folder_of(small_set, tmp_path / "clips", 10, "segfault", "sleeps")
    extract(clips, tmp_path / "cache", kinds=("audio",), run=RunSettings(only=("c00",)), progress=False)
    before = contents(tmp_path / "cache")
    command = [
        SCRIPT,
        "extract",
        "--vid_dir",
        clips,
        "--out_dir",
        "cache",
        "--estimate",
        "--workers",
        "2",
        "--timeout_s",
        "4",
        "--stride",
        "0.5",
    ]
    env = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run([*command, "--shard", "1/3"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "cache") == before and not list(tmp_path.rglob(".avesound-estimate-*"))
    assert "12 clips; 12 of them tried with 2 workers: 10 ok, 1 crashed, 1 timeout" in done.stdout or "1 timeout, 1 crashed" in done.stdout
    assert "SIGSEGV" in done.stdout and "longer than 4 s" in done.stdout and "as 3 shards" in done.stdout
    a_clip_s = float(done.stdout.partition("takes a worker ")[2].split()[0])
    assert a_clip_s > 4 / 12  # the one that sleeps took all its time


def test_one_that_is_stopped_leaves_nothing(small_set, tmp_path):
    clips = folder_of(small_set, tmp_path / "clips", 20)
    command = [SCRIPT, "extract", "--vid_dir", clips, "--out_dir", tmp_path / "none", "--estimate", "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".avesound-estimate-*/vid_emb/*.npz")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.terminate()
    assert process.wait(timeout=30) != 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips"]


def test_every_way_to_extract_can_be_asked(small_set, tmp_path):
    clips = folder_of(small_set, tmp_path / "clips", 3)
    for name in ("extract", "extract-video", "extract-audio", "extract-audio-multiscale"):
        words = [SCRIPT, name, "--vid_dir", clips, "--out_dir", tmp_path / "cache", "--estimate", "--workers", "0"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "3 clips; 3 of them tried with 1 worker: 3 ok" in done.stdout, done.stderr
    assert "in 15 files" in done.stdout and not (tmp_path / "cache").exists()  # three clips, five window lengths
    refused = subprocess.run([*words, "--dask", "local:2"], capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and "leave dask out" in refused.stderr
