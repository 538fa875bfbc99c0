"Extraction on a Dask cluster: the same bytes, a worker that is killed, a clip that kills its workers."

import os
import signal
import subprocess
import threading
import time

import numpy as np
import pytest
from test_faults import command, folder_of, odd, rows_of, wait_until  # noqa: F401  odd is a fixture

from avesound.embeddings.cache import EmbeddingCache
from avesound.embeddings.extract import RunSettings, extract
from avesound.encoders.base import EncoderSpec, create_encoder
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.plan import Scoring
from avesound.tuning.grid import Grid
from avesound.tuning.sweep import GridScoring, sweep

distributed = pytest.importorskip("distributed")


class Seeing:
    "An encoder whose pictures know nothing of the sound, in the space of `logmel`."

    def __init__(self):
        heard = create_encoder("logmel").spec
        self.spec = EncoderSpec("seeing", heard.dim, joint=True, weights="none", fps=4.0, size=(8, 8))

    def encode_video(self, frames):
        grey = frames.astype(np.float32).mean(axis=(1, 4)).reshape(len(frames), -1)
        return np.tile(grey, (1, self.spec.dim // 64 + 1))[:, : self.spec.dim] + np.arange(self.spec.dim, dtype=np.float32)

    def encode_audio(self, wav):
        raise NotImplementedError


def arrays(cache) -> dict:
    return {path.relative_to(cache): path.read_bytes() for path in cache.rglob("*.npz")}


@pytest.fixture
def cluster():
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        yield cluster


def test_a_dask_cluster_makes_the_same_bytes(small_set, cluster, tmp_path):
    extract(small_set, tmp_path / "here", progress=False)
    with distributed.Client(cluster) as client:
        by_client = extract(small_set, tmp_path / "client", run=RunSettings(dask=client), progress=False)
    by_address = extract(small_set, tmp_path / "address", run=RunSettings(dask=cluster.scheduler_address), progress=False)
    assert by_client.counts == by_address.counts == {"ok": 5, "corrupt": 2, "no_audio": 1}
    assert arrays(tmp_path / "here") == arrays(tmp_path / "client") == arrays(tmp_path / "address")
    assert extract(small_set, tmp_path / "client", progress=False).n_new == 0  # and here it is known as finished


def test_a_dask_worker_that_is_killed_costs_no_clip(small_set, cluster, tmp_path):
    clips = folder_of(small_set, tmp_path / "clips", 24)
    with distributed.Client(cluster) as client:
        pids = list(client.run(os.getpid).values())

        def kill_one():
            wait_until(lambda: len(rows_of(tmp_path / "c")) >= 2)
            os.kill(pids[0], signal.SIGKILL)

        thread = threading.Thread(target=kill_one)
        thread.start()
        report = extract(clips, tmp_path / "c", run=RunSettings(dask=client), progress=False)
        thread.join()
        wait_until(lambda: pids[0] not in client.run(os.getpid).values())
    assert report.counts == {"ok": 24}
    extract(clips, tmp_path / "here", progress=False)
    assert arrays(tmp_path / "c") == arrays(tmp_path / "here")


def test_a_clip_that_kills_its_dask_workers_is_a_row(small_set, odd, tmp_path):  # noqa: F811
    clips = folder_of(small_set, tmp_path / "clips", 3, "segfault")
    env = odd | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    done = subprocess.run(command(clips, tmp_path / "c", "--dask", "local:2"), env=env, capture_output=True, text=True, timeout=120)
    rows = rows_of(tmp_path / "c")
    assert done.returncode == 0 and rows.pop("segfault")["status"] == "crashed", done.stderr
    assert [row["status"] for row in rows.values()] == ["ok"] * 3
    time.sleep(0.1)


def test_wrong_sounds_and_sweeps_that_are_scored_on_a_cluster_are_the_same(small_set, cluster, tmp_path):
    rows = [f"clip-{i},x,{i / 4},{1 + i / 4},good,{'val' if i % 2 else 'test'}" for i in range(6)]
    (tmp_path / "a.csv").write_text("\n".join(["video_id,event_label,start_s,end_s,quality,split", *rows]) + "\n")
    extract(small_set, tmp_path / "c", encoder="logmel", kinds=("audio",), progress=False)
    extract(small_set, tmp_path / "c", encoder=Seeing(), kinds=("video",), progress=False)
    cache = EmbeddingCache.of(tmp_path / "c", allow_untrained=True)
    with distributed.Client(cluster) as client:
        for dask in (None, client):
            how = Scoring(n_shuffles=3, dask=dask)
            evaluate(cache, tmp_path / "a.csv", scoring=how).save(tmp_path / f"{bool(dask)}/s.csv")
            grid = Grid(lengths=(1.0,), taus=(0.3, 1.0))
            sweep([cache], tmp_path / "a.csv", out_dir=tmp_path / f"{bool(dask)}/grid", grid=grid, test_split=None,
                  scoring=GridScoring(dask=dask), progress=False)  # fmt: skip
    for name in ("s.csv", "s_baselines.csv", "grid/aggregate.csv"):
        assert (tmp_path / "True" / name).read_bytes() == (tmp_path / "False" / name).read_bytes()
    assert "shuffled" in (tmp_path / "True/s_baselines.csv").read_text()


def test_an_address_where_nobody_answers_is_one_line(small_set, tmp_path):
    env = os.environ | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    words = command(small_set, tmp_path / "c", "--dask", "tcp://127.0.0.1:9")
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "127.0.0.1:9" in done.stderr and "Traceback" not in done.stderr, done.stderr
