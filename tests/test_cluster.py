"The tutorial's scripts on real schedulers, with tasks killed and put back: `make test-cluster`, as root, on Debian."

import importlib.metadata
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from schedulers import GridEngine, NotHere, Slurm, call
from test_faults import wait_until

from avesound import SynthSpec, make_dataset
from avesound.embeddings.clips import in_shard
from avesound.embeddings.store import read_embeddings, read_records

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "nbs/tutorials/cluster.ipynb"
N_CLIPS = 40
COPIES = 100
INPUT = ["--vid_dir", "data/ave/raw/AVE", "--annotations_csv", "data/ave/ave_annotations.csv"]


def blocks(language: str) -> list[str]:
    "What the tutorial shows in that language, as it stands there."
    cells = json.loads(PAGE.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return [block for text in texts for block in re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]


def block_with(words: str, language: str = "bash") -> str:
    (block,) = (block for block in blocks(language) if words in block)
    return block


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    "A folder as the tutorial has it after installation: environment, clips, annotations, its scripts; and an undisturbed run's cache."
    folder = tmp_path_factory.mktemp("project")
    make_dataset(folder / "data/ave/raw", spec=SynthSpec("medium", size=(96, 128), seed=5), n_train=20, n_val=10, n_test=10, workers=2)
    shutil.copy(folder / "data/ave/raw/annotations.csv", folder / "data/ave/ave_annotations.csv")
    (folder / ".venv").symlink_to(sys.prefix)
    for block in blocks("bash"):
        if block.startswith("#!"):
            name = re.search(r"(?:-N |--job-name=)(\w+)", block)[1]
            (folder / f"{name}.{'slurm' if '#SBATCH' in block else 'sge'}").write_text(block)
    # Nothing in the scripts is changed: the encoder without weights is chosen by a variable, which Grid Engine takes from options.
    (folder / ".sge_request").write_text("-v ENCODER=signal\n")
    run = [".venv/bin/avesound", "extract", *INPUT, "--lengths", "0.5,1.0,2.0", "--workers", "2", "--out_dir", "undisturbed"]
    call(*run, cwd=folder, limit_s=240)
    return folder


@pytest.fixture(scope="module", params=[Slurm, GridEngine], ids=["slurm", "gridengine"])
def scheduler(request, tmp_path_factory):
    try:
        running = request.param(tmp_path_factory.mktemp("s"))
    except NotHere as why:
        pytest.skip(str(why))
    yield running
    running.stop()


@pytest.fixture
def place(project, scheduler, monkeypatch):
    "The project without what an earlier test made in it, as the working directory."
    for name in ("cache", "logs", "reports"):
        shutil.rmtree(project / name, ignore_errors=True)
    (project / "logs").mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("ENCODER", "signal")
    # The environment of a user's shell: one thread for each test is no setting of the scripts.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYTEST_CURRENT_TEST"):
        monkeypatch.delenv(name, raising=False)
    yield project
    for job in set(re.findall(r"^\s*(\d+)", scheduler.queue(), re.MULTILINE)):
        scheduler.kill(job)
    scheduler.wait(60)


@pytest.fixture
def row(record_property, scheduler):
    "Adds a line to the table at the end of the run."
    start = time.monotonic()

    def add(what: str) -> None:
        record_property("measured", f"{scheduler.version():18} {time.monotonic() - start:4.0f} s  {what}")

    return add


def files(cache: str) -> dict[str, bytes]:
    return {path.relative_to(cache).as_posix(): path.read_bytes() for path in Path(cache).rglob("*.npz")}


def assert_as_undisturbed() -> None:
    "The cache is byte for byte that of the undisturbed run, `status` knows it and `verify` finds nothing."
    found, expected = files("cache"), files("undisturbed")
    assert found.keys() == expected.keys() and len(found) == 4 * N_CLIPS
    assert [name for name in found if found[name] != expected[name]] == []
    assert not list(Path("cache").rglob("*.tmp.*"))
    status = json.loads(call(".venv/bin/avesound", "status", "cache", *INPUT, "--json"))
    assert status["n_done"] == N_CLIPS and status["left"] == [] and not any(status["failed"].values()), status
    call(".venv/bin/avesound", "verify", "cache")


def logs() -> str:
    return "\n".join(f"{path}:\n{path.read_text()}" for path in sorted(Path("logs").iterdir()))


def submitted(*words: str) -> str:
    "The number of the job that the command submits."
    return re.search(r"\d+", call(*words))[0]


def runs_of(shard: str) -> list[psutil.Process]:
    "The processes of the runs of that shard, without their workers."
    ours = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(word.endswith("bin/avesound") for word in words[:2]) and shard in words:
            ours.append(process)
    return ours


def begun(shard: str, status: str = "ok") -> bool:
    "Whether a clip of that shard has that status in the journal."
    journal = f"cache/extract.{shard.replace('/', 'of')}.jsonl"
    return any(line["status"] == status for line in read_records([journal], trying=True))


def test_the_scripts_word_for_word(place, scheduler, row):
    (chain,) = (block for block in blocks("bash") if block.startswith("# Grid Engine\n") and "evaluate.sge" in block)
    (line,) = re.findall(rf"^.*evaluate\.{scheduler.suffix}$", chain, re.MULTILINE)
    call("bash", "-c", line)
    scheduler.wait()
    assert_as_undisturbed()
    assert len(list(Path("cache").glob("extract.*of8.jsonl"))) == 8
    assert Path("reports/analysis/first/report.html").stat().st_size > 10_000, logs()
    row("scripts as they stand, 8 tasks and the job that waits for them: cache equal, report written")


def test_killed_tasks_that_are_put_back(place, scheduler, row):
    ids = [path.stem for path in Path("data/ave/raw/AVE").glob("*.mp4")]
    share = {task: sum(in_shard(name, f"{task}/8") for name in ids) for task in range(1, 9)}
    cancelled, run_killed, worker_killed = sorted(share, key=share.get)[-3:]
    job = submitted(scheduler.again(1)[0], f"extract.{scheduler.suffix}")
    done: dict[int, str] = {}

    def kill(task: int) -> bool:
        "Once the task is at its clips."
        shard = f"{task}/8"
        if task in done or not begun(shard, "trying" if task != worker_killed else "ok") or not (runs := runs_of(shard)):
            return False
        if task == cancelled:
            scheduler.kill(job, task)
        elif task == run_killed:
            runs[0].kill()
        else:
            workers = [
                one for one in runs[0].children(recursive=True) if not one.children() and "resource_tracker" not in " ".join(one.cmdline())
            ]
            workers[0].kill()
        done[task] = shard
        return True

    wait_until(lambda: [kill(task) for task in (cancelled, run_killed, worker_killed)] and len(done) == 3, limit_s=180)
    scheduler.wait()
    left = json.loads(call(".venv/bin/avesound", "status", "cache", *INPUT, "--json"))["left"]
    assert left and {next(k for k in share if in_shard(name, f"{k}/8")) for name in left} <= {cancelled, run_killed}, logs()
    call(*scheduler.again(cancelled))
    scheduler.put_back(job, run_killed)
    scheduler.wait()
    if scheduler.suffix == "slurm":  # the second start of a task has not written over the log of the first
        assert Path(f"logs/extract.{job}_{run_killed}.log").read_text().count("needs no cuda") == 2, logs()
    assert_as_undisturbed()
    row(f"a task cancelled, a run and a worker killed, {len(left)} clips left; two tasks put back: cache equal")


def test_the_end_of_the_time_limit_keeps_what_is_finished(place, scheduler, row):
    many = Path("many")
    many.mkdir(exist_ok=True)
    for clip, i in itertools.product(Path("data/ave/raw/AVE").glob("*.mp4"), range(COPIES)):
        if not (many / f"{clip.stem}.{i}.mp4").exists():
            os.link(clip, many / f"{clip.stem}.{i}.mp4")
    # Slurm counts minutes; Grid Engine seconds. So that a task takes longer, it gets all clips, and a hundred of each:
    # a fast machine reads 35 a second.
    script = Path(f"extract.{scheduler.suffix}").read_text()
    text = re.sub(r"data/ave/raw/AVE[\\\s]+--annotations_csv data/ave/ave_annotations.csv", "many", script)
    assert "--vid_dir many " in text
    Path(f"long.{scheduler.suffix}").write_text(re.sub(r'/8"$', '/1"', text, flags=re.MULTILINE))
    limit = ["--time=1", "--array=1"] if scheduler.suffix == "slurm" else ["-l", "h_rt=0:0:30", "-t", "1"]
    call(scheduler.again(1)[0], *limit, f"long.{scheduler.suffix}")
    scheduler.wait()
    rows = read_records(["cache/extract.jsonl"])
    names = [line["id"] for line in rows if line["status"] == "ok"]
    assert 0 < len(names) < COPIES * N_CLIPS, logs()
    assert {path.stem for path in Path("cache/vid_emb").glob("*.npz")} >= set(names)
    for name in names[:: max(1, len(names) // 40)]:
        made, expected = (
            read_embeddings(Path(cache) / "vid_emb" / f"{clip}.npz")
            for cache, clip in (("cache", name), ("undisturbed", name.rpartition(".")[0]))
        )
        assert np.array_equal(made.emb, expected.emb)
    verified = subprocess.run([".venv/bin/avesound", "verify", "cache"], capture_output=True, text=True)
    # Grid Engine kills; Slurm asks every process of the task to end, workers that are writing included: a file that was cut off in the
    # writing is the most that is left, and the next run removes it.
    assert not re.search("damaged|misplaced|mixed|outdated|lost", verified.stdout), verified.stdout
    assert verified.returncode == 0 or "unfinished" in verified.stdout, verified.stdout
    row(f"a task beyond its time ({limit[0 if len(limit) == 2 else 1]}): {len(names)} clips finished and kept, none damaged")


def test_dask_jobqueue_with_a_worker_killed(place, scheduler, row, monkeypatch):
    first, rest = (
        block_with("import SLURMCluster" if scheduler.suffix == "slurm" else "import SGECluster", "python"),
        block_with("cluster.scale", "python"),
    )
    Path("extract_dask.py").write_text(f"{first}\n{rest}")
    monkeypatch.setenv(f"DASK_JOBQUEUE__{scheduler.suffix.upper()}__INTERFACE", "lo")  # the nodes of this cluster see no other
    with open("logs/run", "w") as log:
        run = subprocess.Popen([".venv/bin/python", "extract_dask.py"], stdout=log, stderr=log)
    try:
        wait_until(lambda: "dask" in scheduler.queue(), limit_s=60)
        asked = scheduler.asked_for(re.search(r"\d+", "\n".join(line for line in scheduler.queue().splitlines() if "dask" in line))[0])
        for words in ("cpu=4", "mem=16G", "gpu:1") if scheduler.suffix == "slurm" else ("omp range: 4", "mem_per_core=4G", "gpus=1"):
            assert words in asked, asked
        wait_until(lambda: begun_by_dask() or run.poll() is not None, limit_s=120)
        workers = [one for one in psutil.process_iter(["cmdline"]) if of_dask(one)]
        assert workers and run.poll() is None, logs()
        workers[0].kill()
        assert run.wait(timeout=240) == 0, logs()
    finally:
        run.kill()
    scheduler.wait()
    assert_as_undisturbed()
    row(f"dask-jobqueue {importlib.metadata.version('dask-jobqueue')}, a worker killed: cache equal; each job asked for {asked}")


def begun_by_dask() -> bool:
    return any(line["status"] == "ok" for line in read_records(["cache/extract.jsonl"]))


def of_dask(process: psutil.Process) -> bool:
    "Whether it is a worker: the child of a nanny that holds no other."
    try:
        parents = " ".join(word for parent in process.parents()[:2] for word in parent.cmdline())
        return "distributed.cli.dask_worker" in parents and "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False
