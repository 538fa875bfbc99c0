"""The inspector without a browser.

Its numbers are those of evaluate, page and kernel agree on names, long clips stay cheap, marks are never lost.
"""

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anywidget
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avesound.data.annotations import read_annotations
from avesound.data.marks import mark_event, read_marks, unmark
from avesound.embeddings.extract import WindowSettings, extract
from avesound.embeddings.store import write_embeddings
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.plan import Scoring
from avesound.localization.align import FUSIONS, AlignSettings
from avesound.timeline import Windows
from avesound.viewer.inspector import ALIKE, Inspector
from avesound.viewer.page import page_module, page_style
from avesound.viewer.run import Run, choose, open_run, run_of
from avesound.viewer.serve import _wanted
from avesound.viewer.still import still

ROOT = Path(__file__).resolve().parent.parent
LENGTHS = (0.5, 1.0, 2.0)
JS, CSS = page_module(), page_style()


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    from avesound.data.synth import SynthSpec, make_dataset

    folder = tmp_path_factory.mktemp("run")
    made = make_dataset(folder / "data", spec=SynthSpec(difficulty="hard", seed=3), n_train=0, n_val=2, n_test=4)
    extract(made / "AVE", folder / "cache", windows=WindowSettings(lengths=LENGTHS), progress=False)
    evaluate(folder / "cache", made / "annotations.csv", split="test", scoring=Scoring(n_boot=10)).save(folder / "results/summary.csv")
    return folder


# ---- numbers


@pytest.mark.parametrize("query, fusion", list(itertools.product(["sync", "middle", "multi", "loudest", "all"], FUSIONS)))
def test_it_shows_what_evaluate_says(run, query, fusion):
    settings = AlignSettings(audio_query=query, multi_reduce=fusion, scale_fusion=fusion, tau=0.3, score_smooth_sigma=0.25)
    summary = evaluate(run / "cache", run / "data/annotations.csv", L_sec=LENGTHS, settings=settings, scoring=Scoring(n_boot=10)).summary
    inspector = Inspector.of_run(run)
    inspector.audio_query, inspector.multi_reduce, inspector.scale_fusion, inspector.tau, inspector.score_smooth_sigma, inspector.L_sec = (
        query,
        fusion,
        fusion,
        0.3,
        0.25,
        list(LENGTHS),
    )
    for row in summary.to_dict("records"):
        inspector.video_id = row["video_id"]
        assert inspector.reading["problem"] == ""
        guess = inspector.seen.guess
        assert (guess.t_sec, *guess.interval) == (row["t_pred_sec"], row["interval_start_sec"], row["interval_end_sec"])
        for name in ("dist", "mae", "inside", "mass_inside", "log_score", "auroc", "tiou"):
            assert np.isclose(guess.metrics[name], row[name], equal_nan=True), name


def test_the_summarys_settings_are_taken_over(run, tmp_path):
    settings = AlignSettings(audio_query="multi", multi_offsets=(-2.0, 2.0), tau_adapt=0.7, pred_softargmax=True, interval_mass=0.8)
    found = evaluate(run / "cache", run / "data/annotations.csv", L_sec=(0.5, 2.0), settings=settings, scoring=Scoring(n_boot=10))
    found.save(tmp_path / "s.csv")
    inspector = Inspector.of_run(run, summary_csv=tmp_path / "s.csv")
    assert inspector.settings == settings and inspector.L_sec == [0.5, 2.0]
    row = pd.read_csv(tmp_path / "s.csv").set_index("video_id").loc[inspector.video_id]
    assert np.isclose(inspector.seen.guess.t_sec, row["t_pred_sec"], rtol=1e-4)


def test_another_run_is_judged_by_the_same_annotations(run, tmp_path):
    extract(run / "data/AVE", tmp_path / "other/cache", windows=WindowSettings(win_s=2.0), progress=False)
    inspector = Inspector.of_run(run, compare_with=tmp_path / "other")
    inspector.compare = "other"
    assert inspector.reading["columns"] == ["now", "other"] and 'class="other"' in inspector.curves
    expected = evaluate(tmp_path / "other/cache", run / "data/annotations.csv", scoring=Scoring(n_boot=10)).summary.set_index("video_id")
    (shown,) = (row["values"][1] for row in inspector.reading["metrics"] if row["name"] == "distance to the event")
    assert shown == f"{expected.loc[inspector.video_id, 'dist']:.2f} s"
    inspector.L_sec = [2.0]  # the other run has 1 s alone: it is shown with that
    assert inspector.reading["columns"] == ["now", "other"]
    shutil.rmtree(tmp_path / "other/cache/aud_emb")
    assert "no such folder" in str(pytest.raises(FileNotFoundError, Run, aud_emb_dir=tmp_path / "other/cache/aud_emb").value)


# ---- page and kernel


def test_the_page_asks_for_nothing_the_kernel_does_not_have():
    synced = {name for name, trait in Inspector.class_traits().items() if trait.metadata.get("sync")}
    used = (
        set(re.findall(r'\b(?:get|put|ask|fill)\((?:\w+, )?"(\w+)"', JS))
        | set(re.findall(r"change:(\w+)", JS))
        | set(re.search(r"const SETTINGS = \[(.*?)\]", JS)[1].replace('"', "").split(", "))
    )
    assert used and used <= synced, used - synced
    own = {name for name in synced if not name.startswith("_") and name not in anywidget.AnyWidget.class_trait_names()}
    assert own <= used, f"kept in step for nothing: {own - used}"
    assert set(re.findall(r'[wW]ish\("(\w+)"', JS)) == {"mark", "no_event", "unmark", "change", "pin", "reset", "copy", "film"}


def test_the_page_needs_no_network():
    for text in (JS, CSS):
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg\b)|@import|url\(|\bimport\s*\(|\bfetch\(|eval\(", text)
    assert JS.count(".innerHTML") == 1  # of what the kernel drew


# What is left of linear RGB where one kind of cone is missing (Machado, Oliveira and Fernandes 2009, severity 1).
MISSING_CONE = {
    "long": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "middle": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "short": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(linear: np.ndarray) -> np.ndarray:
    "CIE L*a*b* of linear sRGB."
    xyz = (
        np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
        @ np.clip(linear, 0, 1)
        / [0.9505, 1, 1.089]
    )
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("cone", MISSING_CONE)
@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_curves_differ_for_the_colour_blind(scheme, cone):
    seen = {}
    for name in ("pdf", "refined", "other", "peak"):
        colour = re.search(rf"--avs-{name}: light-dark\((#\w{{6}}), (#\w{{6}})\)", CSS)[1 + scheme]
        value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
        seen[name] = lab(np.array(MISSING_CONE[cone]) @ linear)
    for a, b in itertools.combinations(seen, 2):
        assert np.linalg.norm(seen[a] - seen[b]) > 10, f"{a} and {b} look alike"  # 2.3 is just noticeable


@pytest.mark.skipif(shutil.which("node") is None, reason="no node here")
def test_the_page_is_javascript(tmp_path):
    (tmp_path / "page.mjs").write_text(JS)
    done = subprocess.run(["node", "--check", tmp_path / "page.mjs"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_words_from_files_stay_words(tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    (tmp_path / "a.csv").write_text(f'video_id,event_label,start_s,end_s\n"{evil.replace("/", "")}","{evil} & ""more""",1,2\n')
    inspector = Inspector(annotations_csv=tmp_path / "a.csv")
    inspector.span = [0.9, 2.1]
    for drawn in (
        inspector.sound,
        inspector.curves,
        inspector.matrix,
        inspector.legend,
        still(Run(annotations_csv=tmp_path / "a.csv"), inspector.video_id),
    ):
        assert "<img" not in drawn


def test_what_is_sent_is_json(run):
    inspector = Inspector.of_run(run)
    for name in ("rows", "order", "choices", "clip", "reading", "marks", "said", "picker"):
        json.dumps(getattr(inspector, name), allow_nan=False)


def test_a_slider_sends_the_curves_and_not_the_sound(run):
    inspector = Inspector.of_run(run)
    sent = []
    inspector.send_state = lambda key=None: sent.append({key} if isinstance(key, str) else set(key or ()))
    inspector.tau = 0.21
    assert {"curves", "reading"} <= set().union(*sent) and not {"sound", "matrix", "rows", "clip"} & set().union(*sent)


# ---- many clips, long clips, clips with nothing


def test_four_thousand_clips_are_sorted_in_no_time():
    rng = np.random.default_rng(0)
    rows = [
        {
            "video_id": f"clip{i:05d}",
            "label": f"class {i % 28}",
            "split": "test",
            "status": "ok",
            "partial": bool(i % 3),
            "dist": float(rng.random()) if i % 7 else None,
            "confidence": 0.5,
            "entropy": 1.0,
        }
        for i in range(4097)
    ]
    began = time.process_time()
    order = choose(rows, search="CLIP class", label="class 3", partial=True, sort="dist", descending=True)
    assert time.process_time() - began < 1
    known = [rows[i]["dist"] for i in order if rows[i]["dist"] is not None]
    assert (
        known == sorted(known, reverse=True)
        and all(rows[i]["dist"] is None for i in order[len(known) :])
        and all(rows[i]["label"] == "class 3" and rows[i]["partial"] for i in order)
    )


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "B", "c|d", "d", "a | d"]), st.none() | st.floats(0, 9), st.none() | st.booleans()), max_size=12
    ),
    st.sampled_from(["", "a", "d"]),
    st.sampled_from(["", "train", "test"]),
    st.sampled_from([None, True, False]),
    st.booleans(),
)
def test_choosing_loses_and_invents_nothing(clips, label, split, partial, descending):
    rows = [
        {
            "video_id": f"v{i}",
            "label": name,
            "split": ["train|test", "test", "train"][i % 3],
            "status": "ok",
            "partial": part,
            "dist": dist,
            "confidence": None,
            "entropy": None,
        }
        for i, (name, dist, part) in enumerate(clips)
    ]
    order = choose(rows, label=label, split=split, partial=partial, sort="dist", descending=descending)
    assert sorted(order) == [
        i
        for i, (name, _, part) in enumerate(clips)
        if (not label or label in name.split("|"))  # "a | d" is one label, and none of these
        and (not split or split in rows[i]["split"])
        and (partial is None or part is partial)
    ]


def test_a_long_recording_is_drawn_in_as_many_points_as_it_has_pixels(tmp_path):
    from avesound.media.write import write_clip

    rng = np.random.default_rng(0)
    seconds = 600
    tone = np.zeros(seconds * 16000, np.float32)
    tone[300 * 16000 : 301 * 16000] = 0.5
    write_clip(tmp_path / "clips/long.mp4", None, 1.0, tone)
    starts = np.arange(4 * seconds) / 4
    windows = Windows(starts, starts + 0.25)
    write_embeddings(tmp_path / "v/long.npz", rng.normal(size=(len(starts), 8)), windows, {})
    write_embeddings(tmp_path / "a/long__L1000ms.npz", rng.normal(size=(len(starts), 8)), windows, {})
    inspector = Inspector(vid_dir=tmp_path / "clips", vid_emb_dir=tmp_path / "v", aud_emb_dir=tmp_path / "a")
    assert inspector.reading["problem"] == "" and inspector.span == [0.0, 600.0]
    assert (
        len(inspector.curves) < 60_000
        and len(inspector.sound) < 60_000
        and len(inspector.matrix) < 250_000
        and inspector.reading["starts"] is None
    )
    coarse = inspector.sound
    shown = []
    inspector.observe(lambda change: shown.append(change["new"]), "sound")
    inspector.width = 700
    assert (
        len(shown) == 2 and "reading the sound" in shown[0] and "reading the sound" not in shown[1]
    )  # the page is told before it has to wait
    inspector.width = 900
    assert inspector.sound == coarse and len(shown) == 3  # what was read once is there at once
    write_clip(tmp_path / "clips/longer.mp4", None, 1.0, np.zeros(90 * 16000, np.float32))
    inspector = Inspector(vid_dir=tmp_path / "clips", vid_emb_dir=tmp_path / "v", aud_emb_dir=tmp_path / "a", video_id="long")
    inspector.observe(lambda change: shown.append(change["new"]), "sound")
    inspector.video_id = "longer"
    assert len(shown) == 5 and "reading the sound" in shown[3] and "silent" in shown[4]
    inspector.video_id = "long"
    inspector.span = [299.5, 301.5]
    assert inspector.sound != coarse and "−6 dB" in inspector.sound
    inspector.span = [100.0, 101.0]
    assert "silent" in inspector.sound
    inspector._duration_s = 8 * 3600.0  # of eight hours, every moment against every other is refused before it is tried
    inspector.audio_query = "all"
    assert "too much memory" in inspector.reading["problem"] and inspector.seen is None


@pytest.mark.parametrize("parts", [("data",), ("cache",), ("data", "cache"), ("data", "cache", "results")])
def test_whatever_part_of_a_run_is_there_is_shown(run, tmp_path, parts):
    for part in parts:
        shutil.copytree(run / part, tmp_path / part)
    inspector = Inspector.of_run(tmp_path)
    assert len(inspector.rows) == 6 and inspector.order and inspector.curves and inspector.sound
    assert (inspector.seen is not None) is ("cache" in parts) and (inspector.clip["events"] != []) is ("data" in parts)
    with pytest.raises(FileNotFoundError):
        run_of(tmp_path / "nowhere")


def test_real_clips_of_every_kind_are_shown_or_say_why_not(real_clips):
    inspector = Inspector(vid_dir=real_clips)
    said = {}
    for row in inspector.rows:
        inspector.video_id = row["video_id"]
        said[row["video_id"]] = (inspector.clip["note"], inspector.clip["has_video"], "wave" in inspector.sound)
        assert inspector.clip["duration"] > 0
    assert said["22olCB3wQaA"] == ("", True, True) and said["torchcodec_dog_eating_no_audio"] == ("", True, False)
    assert (
        "avi" in said["flame_1s_no_audio"][0]
        and "cannot be opened" in said["streamio_broken"][0]
        and said["audio_only_0.05s"][1:] == (False, True)
    )


# ---- bytes and marks


@given(st.integers(0, 5000), st.none() | st.integers(0, 6000), st.none() | st.integers(0, 6000))
def test_ranges_are_what_the_standard_says(size, first, last):
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    status, a, b = _wanted(header, size)
    data = bytes(size)
    if status == 206:
        wanted = data[-last:] if first is None else data[first : None if last is None else last + 1]
        assert len(wanted) == b - a + 1 and 0 <= a <= b < size
        assert a == (max(0, size - last) if first is None else first)
    elif status == 416:
        assert (first is None and (last == 0 or size == 0)) or (first is not None and first >= size)
    else:
        assert (a, b) == (0, size - 1) and ((first is None and last is None) or (first is not None and last is not None and last < first))


def test_two_people_may_mark_at_once(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: mark_event(tmp_path / "m.csv", f"clip{i}", "Bark", i, i + 1), range(24)))
    assert sorted(read_annotations(tmp_path / "m.csv")["video_id"]) == sorted(f"clip{i}" for i in range(24))


def test_a_row_that_others_moved_is_not_deleted(run, tmp_path):
    inspector = Inspector.of_run(run, save_csv=tmp_path / "m.csv")
    inspector.act({"do": "mark", "label": "Bark", "start": 1, "end": 2})
    mark_event(tmp_path / "m.csv", inspector.video_id, "Bell", 3, 4)
    unmark(tmp_path / "m.csv", inspector.video_id, 0)
    inspector.act({"do": "unmark", "n": 0})
    assert (
        "has changed meanwhile" in inspector.said["text"]
        and list(read_marks(tmp_path / "m.csv")["event_label"]) == ["Bell"]
        and inspector.marks == [["Bell", 3.0, 4.0]]
    )
    inspector.act({"do": "unmark", "n": 0})
    assert inspector.said["text"] == "Deleted: Bell, 3.00 to 4.00 s." and inspector.marks == []


def test_a_failed_write_leaves_the_marks_as_they_were(tmp_path, monkeypatch):
    mark_event(tmp_path / "m.csv", "a", "Bark", 1, 2)
    before = (tmp_path / "m.csv").read_bytes()

    def torn(self, *args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", torn)
    with pytest.raises(OSError, match="disk full"):
        mark_event(tmp_path / "m.csv", "b", "Bark", 1, 2)
    monkeypatch.undo()
    assert (tmp_path / "m.csv").read_bytes() == before and len(read_marks(tmp_path / "m.csv")) == 1


def test_a_step_that_could_not_be_written_can_still_be_undone_and_done_again(run, tmp_path, monkeypatch):
    path = tmp_path / "m.csv"
    inspector = Inspector.of_run(run, save_csv=path)
    inspector.act({"do": "mark", "label": "Bark", "start": 1, "end": 2})
    marked = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError("disk full")

    for what, words in (("undo", "Undone: Saved: Bark"), ("redo", "Done again: Saved: Bark")):
        before = path.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr("avesound.data.marks.write_annotations", full)
            inspector.act({"do": what})
        assert inspector.said["text"] == "disk full" and path.read_bytes() == before
        inspector.act({"do": what})
        assert inspector.said["text"].startswith(words) and path.read_bytes() != before
    assert path.read_bytes() == marked


def test_two_quick_clicks_delete_one_mark(run, tmp_path):
    inspector = Inspector.of_run(run, save_csv=tmp_path / "m.csv")
    inspector.act({"do": "mark", "label": "Bark", "start": 1, "end": 2})
    for words in ("Deleted: Bark, 1.00 to 2.00 s.", "This mark is no longer in m.csv."):
        inspector.act({"do": "unmark", "n": 0})
        assert inspector.said["text"] == words


# ---- the documentation


def test_the_stills_of_the_documentation_are_what_the_present_code_draws(tmp_path):
    subprocess.run([sys.executable, ROOT / ".ci/stills.py", tmp_path], check=True, capture_output=True, timeout=120)

    def skeleton(page: Path) -> str:  # codecs differ in bytes and processors in last digits; words, tags, styles and script do not
        return re.sub(r"-?\d+(\.\d+)?", "0", re.sub(r"base64,[\w+/=]+", "base64,", page.read_text(encoding="utf-8")))

    there, made = ({page.name: skeleton(page) for page in folder.glob("*.html")} for folder in (ROOT / "nbs/stills", tmp_path))
    assert there.keys() == made.keys()
    stale = [name for name in made if there[name] != made[name]]
    assert not stale, f"make stills draws them otherwise: {stale}"
    assert all(page.stat().st_size < 400_000 for page in (ROOT / "nbs/stills").iterdir())


# ---- the command


def avesound(*words):
    done = subprocess.run(
        [Path(sys.executable).with_name("avesound"), *map(str, words)], capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def test_the_command_writes_the_same_still(run, tmp_path):
    opened = open_run(run_of(run))
    video_id = opened.rows[0]["video_id"]
    code, said = avesound("view", "--run", run, f"--still={video_id}", "--out", tmp_path / "still.html")
    assert code == 0 and said == f"wrote {tmp_path / 'still.html'}\n"
    assert (tmp_path / "still.html").read_text(encoding="utf-8") == still(opened, video_id)
    code, said = avesound("view", "--run", run, f"--still={video_id}", "--play", "--out", tmp_path / "plays.html")
    assert code == 0 and (tmp_path / "plays.html").read_text(encoding="utf-8") == still(opened, video_id, play=True)
    code, said = avesound("view", "--run", run, "--still", "nobody")
    assert code == 1 and "there is no clip 'nobody'" in said
    code, said = avesound("view", "--run", tmp_path / "nowhere")
    assert code == 1 and "no such folder" in said


# ---- the server that shows it


def alive(processes, patience_s=5.0) -> list:
    "Those that are still there; what has been ended may take a moment to go."
    import psutil

    _, processes = psutil.wait_procs(processes, timeout=patience_s)
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def as_in_a_terminal():
    "What nohup, or a shell that runs the tests in the background, has a process pass over."
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def viewing(run, tmp_path):
    "`avesound view` on a run, shown by now, and all the processes that it has started."
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    psutil = pytest.importorskip("psutil")
    running = []

    def start(preexec_fn=as_in_a_terminal):
        words = [Path(sys.executable).with_name("avesound"), "view", "--run", run, "--notebook", tmp_path / "view.ipynb", "--no_browser"]
        viewer = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=preexec_fn)
        running.append(viewer)
        assert any("http://127.0.0.1:" in line for line in iter(viewer.stdout.readline, "")), viewer.stderr.read()
        started = psutil.Process(viewer.pid).children(recursive=True)
        assert len(started) >= 2, "JupyterLab and a kernel"
        running.extend(started)
        return viewer, started

    yield start
    for process in running:
        with contextlib.suppress(Exception):
            process.kill()


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 0)])
def test_a_signal_that_ends_the_viewer_ends_all_that_it_has_started(name, code, viewing):
    viewer, started = viewing()
    viewer.send_signal(getattr(signal, name))
    assert viewer.wait(40) == code
    assert alive(started) == []


def test_a_viewer_that_was_told_to_outlive_its_terminal_does(viewing):
    viewer, started = viewing(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))  # as nohup does
    viewer.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        viewer.wait(2)
    assert set(alive(started, 0.1)) == set(started)
    viewer.terminate()
    viewer.wait(40)
    assert alive(started) == []


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_server_that_does_not_listen_is_ended_with_its_children(monkeypatch, tmp_path):
    import psutil

    import avesound.viewer.lab as room

    monkeypatch.setattr(room, "_TIDY_S", 0.5)
    started = []

    def show(server):
        while len(psutil.Process(server.pid).children()) < 1:
            time.sleep(0.05)
        started.extend([psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)])
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    before = signal.getsignal(signal.SIGTERM)
    assert room._served([sys.executable, "-c", STUBBORN], dict(os.environ), show) == 128 + signal.SIGTERM
    assert len(started) == 2 and alive(started) == [] and signal.getsignal(signal.SIGTERM) is before


def test_a_run_that_must_not_be_written_to_is_shown_from_elsewhere(run, monkeypatch, capsys):
    import avesound.viewer.lab as room

    whole = room.viewer_notebook

    def refused(run, path, **more):
        if Path(path).parent == Path("/read-only"):
            raise OSError(30, "Read-only file system", str(path))
        return whole(run, path, **more)

    monkeypatch.setattr(room, "viewer_notebook", refused)
    path = room._written_somewhere(Run(vid_emb_dir=run / "cache/vid_emb"), Path("/read-only/view.ipynb"), {})
    assert path.exists() and path.name == "view.ipynb" and f"are in {path.parent}" in capsys.readouterr().err
    shutil.rmtree(path.parent)


# ---- another run beside


def test_another_run_is_shown_as_its_summary_has_it(run, tmp_path):
    "The other run was scored with other settings, and other lengths, than those that the controls of this one stand at."
    shutil.copytree(run, tmp_path / "other")
    other = tmp_path / "other"
    settings = AlignSettings(
        tau=0.15,
        score_smooth_sigma=0.5,
        audio_query="middle",
        score_zscore=False,
        conf_radius_s=1.5,
        pred_softargmax=True,
        interval_mass=0.9,
    )
    evaluate(other / "cache", run / "data/annotations.csv", L_sec=(0.5, 2.0), settings=settings, scoring=Scoring(n_boot=10)).save(
        other / "results/summary.csv"
    )
    theirs = pd.read_csv(other / "results/summary.csv", dtype={"video_id": str}).set_index("video_id")
    inspector = Inspector.of_run(run, compare_with=other)
    inspector.compare = "other"
    for video_id, row in theirs.iterrows():
        inspector.video_id = video_id
        for inspector.tau in (0.5, 4.0):
            guess = inspector._beside.guess
            assert np.isclose(
                [guess.t_sec, *guess.interval, guess.confidence, guess.entropy],
                row[["t_pred_sec", "interval_start_sec", "interval_end_sec", "confidence", "entropy"]].astype(float),
                rtol=1e-4,
            ).all()
            shown = {line["name"]: line["values"][-1] for line in inspector.reading["metrics"]}
            assert shown["distance to the event"] == f"{row['dist']:.2f} s" and inspector.reading["columns"][-1] == "other"
    inspector.tau = 0.5
    inspector.compare = f"other{ALIKE}"
    assert inspector.reading["columns"][-1] == "other, settings here" and "other, at the settings here" in inspector.legend
    guess = inspector._beside.guess
    assert guess.t_sec == inspector.seen.guess.t_sec, "the same vectors at the same settings"


def test_a_copy_for_the_browser_is_no_new_clip(run, tmp_path):
    "Where the cache lies among the clips, so would the copies."
    from avesound.embeddings.clips import media_files

    shutil.copytree(run / "data/AVE", tmp_path / "clips")
    shutil.copytree(run / "cache", tmp_path / "clips/cache")
    before = media_files(tmp_path / "clips")
    inspector = Inspector(run_of(tmp_path / "clips", vid_dir=tmp_path / "clips"))
    inspector.act({"do": "copy"})
    assert "A copy that browsers play is in" in inspector.said["text"] and media_files(tmp_path / "clips") == before
    (copy,) = inspector._copies.values()
    shutil.rmtree(copy.parent)


def test_folders_whose_names_are_no_utf8_can_be_looked_at(run, tmp_path):
    "Their clips have names of letters; what leads to them has not."
    from avesound.report.analyze import analyze

    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9")))
    shutil.copytree(run, folder)
    inspector = Inspector.of_run(folder, compare_with=folder)
    for page in (
        {"server_root": str(tmp_path), "base_url": "/", "host": "localhost"},
        {"server_root": str(folder / "cache"), "base_url": "/", "host": "localhost"},
    ):
        inspector.page = page
        assert (
            inspector.clip["urls"]
            and json.dumps(inspector.clip).encode()
            and "%E9" in inspector.clip["urls"][0]
            or "127.0.0.1" in inspector.clip["urls"][0]
        )
    assert r"caf\xe9" in still(folder, inspector.video_id, folder / "still.html") and (folder / "still.html").exists()
    (folder / "results/summary.csv").rename(folder / os.fsdecode(b"r\xe9sultats.csv"))
    report = analyze(folder / os.fsdecode(b"r\xe9sultats.csv"), folder / "reports", "one", n_boot=20, vid_dir=folder / "data/AVE")
    assert json.loads((report.folder / "metrics_overall.json").read_text(encoding="utf-8"))["summary"]["file"] == r"r\xe9sultats.csv"
