"Extraction on a Dask cluster: the same bytes, a worker that is killed, a clip that kills its workers."

import os
import signal
import subprocess
import threading
import time

import pytest
from test_faults import command, folder_of, odd, rows_of, wait_until  # noqa: F401  odd is a fixture

from avesound.embeddings.extract import RunSettings, extract

distributed = pytest.importorskip("distributed")


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


def test_an_address_where_nobody_answers_is_one_line(small_set, tmp_path):
    env = os.environ | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    words = command(small_set, tmp_path / "c", "--dask", "tcp://127.0.0.1:9")
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "127.0.0.1:9" in done.stderr and "Traceback" not in done.stderr, done.stderr
