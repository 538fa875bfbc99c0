"""The inspector in a real browser: `avesound view` on a small run, JupyterLab, Chromium.

Needs playwright (a Python package, without its own browsers) and a Chromium: /usr/bin/chromium, or what AVESOUND_CHROMIUM names.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from page_and_kernel import CHROMIUM, FLAGS, PATIENCE

from conftest import DATA, ROOT, flash_and_click

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (apt-get install chromium, or set AVESOUND_CHROMIUM)")

LENGTHS = (0.25, 0.5, 1.0, 2.0, 5.0)
REAL = "22olCB3wQaA"  # a clip of AVE


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    "A run of three synthetic clips, one without sound, one that browsers do not play, and, where it is at hand, a real one."
    import av

    from avesound.data.annotations import read_annotations, write_annotations
    from avesound.data.synth import SynthSpec, make_dataset
    from avesound.embeddings.extract import WindowSettings, extract
    from avesound.evaluation.evaluate import evaluate
    from avesound.evaluation.plan import Scoring
    from avesound.media.write import write_clip

    folder = tmp_path_factory.mktemp("run")
    clips = make_dataset(folder / "data", spec=SynthSpec(difficulty="hard", seed=21), n_train=0, n_val=0, n_test=3) / "AVE"
    frames, _ = flash_and_click()
    write_clip(clips / "without_sound.mp4", frames, 20.0)
    with av.open(str(clips / "mpeg4_in.avi"), "w") as out:
        stream = out.add_stream("mpeg4", rate=20)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for image in frames[:40]:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode())
    table = read_annotations(folder / "data/annotations.csv")
    more = [("without_sound", "flash", 0.5, 0.62, "", "test"), ("mpeg4_in", "flash", 0.5, 0.62, "", "test")]
    if (DATA / "clips" / f"{REAL}.mp4").is_file():
        (clips / f"{REAL}.mp4").symlink_to(DATA / "clips" / f"{REAL}.mp4")
        more.append((REAL, "Race car, auto racing", 5.0, 10.0, "", "train"))
    write_annotations(pd.concat([table, pd.DataFrame(more, columns=table.columns)], ignore_index=True), folder / "data/annotations.csv")
    extract(clips, folder / "cache", windows=WindowSettings(lengths=LENGTHS), progress=False)
    judged = evaluate(folder / "cache", folder / "data/annotations.csv", scoring=Scoring(n_boot=10))
    judged.save(folder / "results/summary.csv", folder / "results/curves")
    curves = pd.read_csv(folder / "results/curves/curves.csv")
    curves["pdf_refined"] = curves["pdf"] ** 2 / (curves["pdf"] ** 2).groupby(curves["video_id"]).transform(
        "sum"
    )  # for want of a trained refiner
    curves.to_csv(folder / "results/curves/curves.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def page(run, browser, tmp_path_factory):
    with opened(run, browser, tmp_path_factory.mktemp("jupyter")) as page:
        yield page


@contextlib.contextmanager
def opened(run, browser, folder):
    "JupyterLab with the inspector in it, and what the console complained about. Its files, and none of the user's, are in `folder`."
    env = os.environ | {
        name: str(folder / name)
        for name in (
            "JUPYTER_CONFIG_DIR",
            "JUPYTER_DATA_DIR",
            "JUPYTER_RUNTIME_DIR",
            "IPYTHONDIR",
            "JUPYTERLAB_SETTINGS_DIR",
            "JUPYTERLAB_WORKSPACES_DIR",
        )
    }
    env = {name: value for name, value in env.items() if name != "IN_TEST"}
    news = folder / "JUPYTERLAB_SETTINGS_DIR/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "log.txt"
    with open(log, "w") as out:
        command = [Path(sys.executable).with_name("avesound"), "view", "--run", run, "--no_browser", "--port", str(port)]
        heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # a shell's background jobs ignore it
        env |= {"PYTHONFAULTHANDLER": "1"}
        viewer = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, **heard)
    try:
        deadline = time.monotonic() + PATIENCE / 1000
        while not (address := re.search(r"http://127\S+token=\w+", log.read_text())):
            assert viewer.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(PATIENCE)
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(address[0])
        page.wait_for_selector(".avesound.inspector .timeline svg")
        yield page
        viewer.send_signal(signal.SIGINT)  # that it ends then is tested in test_inspector.py
        try:
            viewer.wait(PATIENCE / 1000)
        except subprocess.TimeoutExpired:
            viewer.send_signal(signal.SIGABRT)  # says what each of its threads is at
            viewer.wait()
            warnings.warn(f"the viewer did not end on control + c:\n{log.read_text()}", stacklevel=1)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(viewer.pid, signal.SIGKILL)


def clip(page, video_id):
    "Show a clip, by the list, and wait until its picture is there."
    page.fill(".inspector input[type=search]", video_id)
    page.click(f".inspector .item[title='{video_id}']")
    page.wait_for_function(f"document.querySelector('.inspector h2').textContent === '{video_id}'")


def at_time(page, t):
    "The place on the page of a moment of the clip."
    return page.evaluate(
        """t => { const line = document.querySelector('.inspector .timeline'), box = line.getBoundingClientRect();
        const {left, right, width} = line.querySelector('svg').dataset;
        const end = Number(line.getAttribute('aria-valuemax'));
        return [box.left + box.width * (left / width + t / end * (right - left) / width), box.top + 20]; }""",
        t,
    )


def video(page, what):
    return page.evaluate(f"document.querySelector('.inspector video').{what}")


def settled(page, condition):
    try:
        page.wait_for_function(f"(() => {{ const video = document.querySelector('.inspector video'); return {condition}; }})()")
    except playwright.TimeoutError as error:
        raise AssertionError(f"{condition} never came: {at_a_stand(page)}; complaints: {page.complaints}") from error


def at_a_stand(page) -> str:
    "What the page shows when nothing comes any more, or that it does not even answer."
    try:
        return page.wait_for_function(
            """JSON.stringify((({src, readyState, networkState, currentTime, seeking, paused, playbackRate, error}) =>
            ({src, readyState, networkState, currentTime, seeking, paused, playbackRate, error: error && error.message,
            title: document.querySelector('.inspector h2').textContent, focus: document.activeElement.className,
            stale: Boolean(document.querySelector('.inspector .stale')),
            list: document.querySelector('.inspector .clips .quiet').textContent}))
            (document.querySelector('.inspector video')))""",
            timeout=5000,
        ).json_value()
    except playwright.TimeoutError:
        return "the page does not answer"


@pytest.fixture
def first(page, run):
    "A synthetic clip that is loaded, paused and at its start."
    video_id = min(row for row in pd.read_csv(run / "results/summary.csv")["video_id"] if len(row) == 11 and row != REAL)
    clip(page, video_id)
    settled(page, f"video.readyState >= 2 && video.src.includes('{video_id}')")
    page.evaluate("document.querySelector('.inspector video').pause()")
    page.focus(".inspector .timeline")
    page.keyboard.press("0")
    page.keyboard.press("Home")
    settled(page, "!video.seeking && video.currentTime < 0.01")
    return video_id


def test_it_plays(page, first):
    page.click(".inspector .transport button.main")
    settled(page, "video.currentTime > 0.5")
    before, at = page.evaluate("document.querySelector('.inspector .playhead').style.left"), video(page, "currentTime")
    settled(page, f"video.currentTime > {at} + 0.3")
    assert float(page.evaluate("document.querySelector('.inspector .playhead').style.left").rstrip("%")) > float(before.rstrip("%"))
    page.focus(".inspector .timeline")
    page.keyboard.press("Space")
    settled(page, "video.paused")


def test_a_click_on_the_timeline_seeks(page, first, record_property):
    off = []
    for t in (2.5, 7.3, 0.4, 9.1):
        page.mouse.click(*at_time(page, t))
        settled(page, f"!video.seeking && Math.abs(video.currentTime - {t}) < 0.1")
        off.append(abs(video(page, "currentTime") - t))
        assert abs(float(page.get_attribute(".inspector .timeline", "aria-valuenow")) - t) < 0.1
    part = page.request.get(video(page, "src"), headers={"Range": "bytes=100-299"})
    assert part.status == 206 and len(part.body()) == 200  # a jump into a long file does not wait for the rest
    record_property("measured", f"inspector: a click on the timeline seeks to within {1000 * max(off):.0f} ms")
    page.mouse.move(*at_time(page, 1.0))
    page.keyboard.down("Shift")
    page.mouse.down()
    for t in np.linspace(1, 6, 12):
        page.mouse.move(*at_time(page, t))
    page.mouse.up()
    page.keyboard.up("Shift")
    settled(page, "!video.seeking && Math.abs(video.currentTime - 6) < 0.1")


def test_the_matrix_seeks(page, first):
    box = page.locator(".inspector .matrix svg").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + 50)
    settled(page, "!video.seeking && video.currentTime > 2")
    left, right, width = (float(page.get_attribute(".inspector .matrix svg", f"data-{name}")) for name in ("left", "right", "width"))
    wanted = (0.5 - left / width) / ((right - left) / width) * video(page, "duration")
    assert abs(video(page, "currentTime") - wanted) < 0.1


def test_settings_redraw_at_once(page, first, record_property):
    for length in LENGTHS:
        page.check(f".inspector .lengths input[value='{length:g}']")
    page.wait_for_function("document.querySelectorAll('.inspector .lane-curves path.score').length === 5")
    drawn = "document.querySelector('.inspector .lane-curves path.pdf').getAttribute('d')"
    times, pictures = [], {page.evaluate(drawn)}
    page.focus(".inspector input[type=range][id$=tau]")
    for key in ["ArrowLeft"] * 12 + ["ArrowRight"] * 8:
        serial = page.get_attribute(".inspector", "data-drawn")
        page.keyboard.press(key)
        page.wait_for_function(f"document.querySelector('.inspector').dataset.drawn !== '{serial}'")
        times.append(float(page.get_attribute(".inspector", "data-redraw-ms")))
        pictures.add(page.evaluate(drawn))
    assert len(pictures) > 12  # the way back passes settings that were seen
    assert page.text_content(".inspector output[for$=tau]") != "0.5"
    record_property(
        "measured",
        f"inspector: moving τ redraws a 10-s clip with 5 scales in {statistics.median(times):.0f} ms "
        f"(median of {len(times)}; slowest {max(times):.0f} ms)",
    )
    for length in LENGTHS:
        if length != 1.0:
            page.uncheck(f".inspector .lengths input[value='{length:g}']")
    page.wait_for_function("document.querySelectorAll('.inspector .lane-curves path.score').length === 0")


def test_windows_of_rows_are_chosen(browser, tmp_path):
    "Where a cache holds the rows of an encoder that reads a clip once, two fields say which windows are made of them."
    from test_frames import Rows

    from avesound.data.synth import SynthSpec, make_dataset
    from avesound.embeddings.extract import RunSettings, WindowSettings, extract
    from avesound.evaluation.evaluate import evaluate
    from avesound.evaluation.plan import Scoring

    data = make_dataset(tmp_path / "data", spec=SynthSpec(seed=5, duration_s=4.0), n_train=0, n_val=0, n_test=2)
    rows = WindowSettings(frames=True)
    extract(data / "AVE", tmp_path / "cache", encoder=Rows(), windows=rows, run=RunSettings(workers=0), progress=False)
    evaluate(tmp_path / "cache", data / "annotations.csv", scoring=Scoring(n_boot=10)).save(tmp_path / "results/summary.csv")
    (tmp_path / "jupyter").mkdir()
    with opened(tmp_path, browser, tmp_path / "jupyter") as page:
        length, every = (page.get_by_label(name) for name in ("Picture windows (s)", "One every (s)"))
        assert (length.input_value(), every.input_value()) == ("1", "0.25")
        for field, value in ((length, "0.4"), (every, "0.1")):
            serial = page.get_attribute(".inspector", "data-drawn")
            field.fill(value)
            field.press("Enter")
            page.wait_for_function(f"document.querySelector('.inspector').dataset.drawn !== '{serial}'")
        steps = "document.querySelector('.inspector .lane-curves path.pdf').getAttribute('d')"
        finest = len(page.evaluate(steps))
        every.fill("0.5")
        every.press("Tab")
        page.wait_for_function(f"{steps}.length < {finest} / 2")
        every.fill("0")  # is no distance: what was asked before stays
        every.press("Tab")
        page.wait_for_timeout(500)
        assert len(page.evaluate(steps)) < finest / 2 and every.input_value() == "0.5"
        assert page.complaints == []


def test_settings_are_pinned_and_compared(page, first):
    page.click("text=As in the run")
    page.wait_for_function(
        "[...document.querySelectorAll('.inspector .metrics thead th')].map(th => th.textContent).join() === ',before,refined'"
    )
    page.click("text=Pin to compare")
    page.wait_for_selector(".inspector .lane-curves path.other", state="attached")
    page.wait_for_function(
        "[...document.querySelectorAll('.inspector .metrics thead th')].map(th => th.textContent).join() === ',before,refined,pinned'"
    )
    page.evaluate("document.querySelector('.inspector .metrics thead th:last-child').textContent = 'a_run_with_a_long_name'")
    side, table = (page.locator(f".inspector {what}").bounding_box() for what in (".side", ".metrics"))
    assert table["x"] + table["width"] <= side["x"] + side["width"] + 1  # all columns are to be seen
    page.select_option(".inspector fieldset select >> nth=0", "middle")
    page.wait_for_function(
        "[...document.querySelectorAll('.inspector .metrics thead th')].map(th => th.textContent).join() === ',now,pinned'"
    )
    page.select_option(".inspector fieldset select >> nth=0", "sync")
    page.locator(".inspector fieldset label", has_text="Compare with").locator("select").select_option("")
    page.wait_for_function("!document.querySelector('.inspector .lane-curves path.other')")


def test_keys_alone_do_everything(page, first):
    page.fill(".inspector input[type=search]", "")
    page.wait_for_function("document.querySelector('.inspector .clips .quiet').textContent.match(/^[0-9]+ clips$/)")
    page.focus(".inspector .timeline")
    title = page.text_content(".inspector h2")
    page.keyboard.press("n")
    page.wait_for_function(f"document.querySelector('.inspector h2').textContent !== '{title}'")
    settled(page, f"video.readyState >= 1 && !video.src.includes('{title}')")
    page.keyboard.press("p")
    page.wait_for_function(f"document.querySelector('.inspector h2').textContent === '{title}'")
    settled(page, f"video.readyState >= 2 && video.src.includes('{title}')")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowLeft")
    settled(page, "!video.seeking && Math.abs(video.currentTime - 2.9) < 0.1")
    label = page.get_attribute(".inspector .timeline", "aria-valuetext")
    assert re.match(r"2\.9\d? of 10\.\d+ seconds, (in|out)side the annotated event, probability \d+\.\d+ per second$", label), label
    axis = "document.querySelector('.inspector .lane-curves').textContent"
    whole = page.evaluate(axis)
    page.keyboard.press("+")
    page.keyboard.press("+")
    page.wait_for_function(f"{axis} !== {whole!r} && document.querySelector('.inspector .pan').style.visibility === 'visible'")
    page.keyboard.press("0")
    page.wait_for_function("document.querySelector('.inspector .pan').style.visibility === 'hidden'")
    page.keyboard.press("[")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("]")
    assert page.input_value(".inspector select[aria-label=Loop]") == "span"
    page.keyboard.press("Space")
    page.wait_for_timeout(1500)
    assert 2.6 < video(page, "currentTime") < 3.6  # it would be beyond 4 by now
    page.keyboard.press("Space")
    page.keyboard.press("l")
    page.keyboard.press("Tab")
    ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth")
    assert ring == "solid2px"


def test_an_event_that_is_marked_is_in_the_csv(page, first, run):
    page.mouse.click(*at_time(page, 2.0))
    settled(page, "!video.seeking && Math.abs(video.currentTime - 2) < 0.1")
    page.keyboard.press("i")
    page.mouse.click(*at_time(page, 4.5))
    settled(page, "!video.seeking && Math.abs(video.currentTime - 4.5) < 0.1")
    page.keyboard.press("o")
    page.fill(".inspector .annotate input >> nth=0", "Doorbell")
    page.focus(".inspector .timeline")
    page.keyboard.press("m")
    page.wait_for_selector(".inspector .marks li[title^='Doorbell']")
    (row,) = pd.read_csv(run / "marked.csv").to_dict("records")
    assert (
        (row["video_id"], row["event_label"], row["split"]) == (first, "Doorbell", "test")
        and abs(row["start_s"] - 2.0) < 0.1
        and abs(row["end_s"] - 4.5) < 0.1
    )
    from avesound.evaluation.evaluate import evaluate
    from avesound.evaluation.plan import Scoring

    assert evaluate(run / "cache", run / "marked.csv", scoring=Scoring(n_boot=10)).overall.status == {"ok": 1}
    page.wait_for_selector(".inspector rect.mark", state="attached")
    page.click(".inspector button:has-text('No event in this clip')")
    page.wait_for_selector(".inspector .said:has-text('delete them first')")
    page.click(".inspector .marks button[aria-label^='Delete']")
    page.wait_for_selector(".inspector .said:has-text('Deleted: Doorbell, 2.0')")
    assert len((run / "marked.csv").read_text().splitlines()) == 1
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    page.focus(".inspector .timeline")
    page.keyboard.press("Control+z")
    page.wait_for_selector(".inspector .marks li[title^='Doorbell']")
    page.keyboard.press("Control+Shift+Z")
    page.wait_for_selector(".inspector .said:has-text('Done again: Deleted: Doorbell')")
    assert len((run / "marked.csv").read_text().splitlines()) == 1 and page.locator(".jp-Notebook .jp-Cell").count() == cells


def test_bounds_that_are_not_saved_wait_with_their_clip(page, first, run):
    page.fill(".inspector input[type=search]", "")
    page.wait_for_function("document.querySelector('.inspector .clips .quiet').textContent.match(/^[0-9]+ clips$/)")
    page.fill(".inspector .annotate input >> nth=0", "Bell")
    page.focus(".inspector .timeline")
    for key in (
        "Home",
        "Shift+ArrowRight",
        "i",
        "Shift+ArrowRight",
        "o",
        "n",
        "m",
    ):  # the m comes too late: it must not land in the next clip
        page.keyboard.press(key)
    page.wait_for_function(
        f"document.querySelector('.inspector h2').textContent !== '{first}' && !document.querySelector('.inspector .stale')"
    )
    assert len(pd.read_csv(run / "marked.csv")) == 0 and page.text_content(".inspector .bounds") == ""
    page.keyboard.press("p")
    page.wait_for_function("document.querySelector('.inspector .bounds').textContent === '1.00 s to 2.00 s'")
    page.keyboard.press("m")
    page.wait_for_selector(".inspector .marks li[title='Bell: 1.00 s to 2.00 s']")
    page.click(".inspector .marks button[aria-label^='Delete']")
    page.wait_for_selector(".inspector .marks li", state="detached")
    page.click(".inspector .annotate button:has-text('Undo')")
    page.wait_for_selector(".inspector .marks li[title='Bell: 1.00 s to 2.00 s']")
    assert pd.read_csv(run / "marked.csv")[["video_id", "start_s", "end_s"]].to_numpy().tolist() == [[first, 1.0, 2.0]]
    page.focus(".inspector .marks button[aria-label^='Delete']")
    page.keyboard.press("Enter")
    page.wait_for_selector(".inspector .said:has-text('Deleted: Bell')")
    assert page.evaluate("document.activeElement.closest('.annotate') !== null")  # the keyboard is not sent back to the start of the page


def test_a_speed_stays(page, first):
    page.fill(".inspector input[type=search]", "")
    page.wait_for_function("document.querySelector('.inspector .clips .quiet').textContent.match(/^[0-9]+ clips$/)")
    page.select_option(".inspector select[aria-label=Speed]", "0.5")
    page.focus(".inspector .list")
    page.keyboard.press("End")
    page.wait_for_function(
        f"document.querySelector('.inspector h2').textContent !== '{first}' && !document.querySelector('.inspector .stale')"
    )
    settled(page, "video.playbackRate === 0.5")
    page.select_option(".inspector select[aria-label=Speed]", "1")
    page.keyboard.press("Home")


def test_the_view_follows_a_jump(page, first):
    page.keyboard.press("+")
    page.keyboard.press("+")
    page.wait_for_function("document.querySelector('.inspector .pan').style.visibility === 'visible'")
    page.keyboard.press("End")
    page.wait_for_function(
        "!document.querySelector('.inspector .playhead').hidden &&"
        " document.querySelector('.inspector .lane-curves').textContent.includes('8')"
    )
    page.keyboard.press("0")
    page.wait_for_function("document.querySelector('.inspector .pan').style.visibility === 'hidden'")


def test_while_it_plays_a_screen_reader_hears_the_clip_alone(page, first):
    page.evaluate("""() => { const root = document.querySelector('.inspector'); window.told = [];
        const watch = new MutationObserver(changes =>
            told.push(...changes.map(change => change.target.className || change.target.nodeName)));
        for (const node of root.querySelectorAll('[aria-live=polite], [role=status]'))
            watch.observe(node, { childList: true, characterData: true, subtree: true });
        watch.observe(root.querySelector('.timeline'), { attributeFilter: ['aria-valuetext', 'aria-valuenow'] }); }""")
    page.keyboard.press("Space")
    settled(page, "video.currentTime > 1.5")
    assert page.evaluate("told") == []
    page.keyboard.press("Space")
    page.wait_for_function("told.length > 0")  # where it was stopped is said
    assert abs(float(page.get_attribute(".inspector .timeline", "aria-valuenow")) - video(page, "currentTime")) < 0.1
    assert page.evaluate(
        "[...document.querySelectorAll('.inspector output')].every(node => node.getAttribute('aria-live') === 'off')"
    )  # the slider says it


def test_a_search_that_nothing_fits(page, first):
    page.fill(".inspector input[type=search]", "no such clip")
    page.wait_for_function("document.querySelector('.inspector .clips .quiet').textContent.startsWith('none of')")
    page.focus(".inspector .timeline")
    page.keyboard.press("n")
    page.wait_for_selector(".inspector .said:has-text('No clip fits')")
    assert page.text_content(".inspector h2") == first
    page.fill(".inspector input[type=search]", "")


def test_filters_and_sorting(page, run):
    page.fill(".inspector input[type=search]", "")
    page.click(".inspector .clips summary")
    page.locator(".inspector .clips label", has_text="Sort by").locator("select").select_option("dist")
    page.locator(".inspector .clips label", has_text="Status").locator("select").select_option("ok")
    page.check(".inspector .clips input[type=checkbox]")
    summary = pd.read_csv(run / "results/summary.csv")
    scored = summary[summary["status"] == "ok"]
    worst = scored.sort_values("dist").iloc[-1]["video_id"]
    page.wait_for_function(f"document.querySelector('.inspector .item').title === {worst!r}")
    assert page.text_content(".inspector .clips .quiet") == f"{len(scored)} of {len(summary)} clips"
    page.uncheck(".inspector .clips input[type=checkbox]")
    page.locator(".inspector .clips label", has_text="Status").locator("select").select_option("")
    page.locator(".inspector .clips label", has_text="Sort by").locator("select").select_option("video_id")
    page.click(".inspector .clips summary")


def test_a_clip_without_sound(page):
    clip(page, "without_sound")
    settled(page, "video.readyState >= 2 && video.videoWidth === 128")
    assert "no sound track" in page.text_content(".inspector .lane-sound") and "no embeddings" in page.text_content(".inspector .saying")
    page.mouse.click(*at_time(page, 2.0))
    settled(page, "!video.seeking && Math.abs(video.currentTime - 2) < 0.1")


def test_a_real_clip(page, real_clips):
    clip(page, REAL)
    settled(page, "video.readyState >= 2 && video.videoWidth === 1280")
    assert "Race car" in page.text_content(".inspector .lane-curves") and "the predicted moment is" in page.text_content(
        ".inspector .saying"
    )
    page.mouse.click(*at_time(page, 6.5))
    settled(page, "!video.seeking && Math.abs(video.currentTime - 6.5) < 0.1")


def test_what_browsers_do_not_play_is_copied_on_demand(page, run):
    clip(page, "mpeg4_in")
    page.wait_for_selector(".inspector .notice:has-text('browsers do not open the container avi')")
    page.click("text=Make a copy that plays")
    settled(page, "video.readyState >= 2 && video.videoWidth === 128")
    assert len(list((run / "cache/copies").glob("mpeg4_in.*.mp4"))) == 1


def test_the_console_is_quiet(page):
    assert page.complaints == []


def test_the_local_server_feeds_a_player(browser, run):
    from avesound.viewer.serve import local_address

    video_id = pd.read_csv(run / "results/summary.csv")["video_id"][0]
    port, address = local_address(run / f"data/AVE/{video_id}.mp4")
    page = browser.new_page()
    page.set_content(f"<video src='http://127.0.0.1:{port}{address}' preload=metadata></video>")
    page.wait_for_function("document.querySelector('video').readyState >= 1", timeout=PATIENCE)
    page.evaluate("document.querySelector('video').currentTime = 8.5")
    page.wait_for_function("!document.querySelector('video').seeking && document.querySelector('video').readyState >= 2", timeout=PATIENCE)
    assert abs(page.evaluate("document.querySelector('video').currentTime") - 8.5) < 0.1
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_still_of_the_documentation_plays_offline(browser, scheme):
    page = browser.new_page(color_scheme=scheme)
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((ROOT / "nbs/stills/clip.html").as_uri())
    page.wait_for_function("document.querySelector('video').readyState >= 2", timeout=PATIENCE)
    box, data = page.locator(".lanes").bounding_box(), page.evaluate("({...document.querySelector('.lanes svg').dataset})")
    left, right, width = (float(data[name]) for name in ("left", "right", "width"))
    end = float(page.get_attribute(".lanes", "aria-valuemax"))
    for t in (6.5, 1.2):
        page.mouse.click(box["x"] + box["width"] * (left + t / end * (right - left)) / width, box["y"] + 30)
        page.wait_for_function(
            f"(video => !video.seeking && Math.abs(video.currentTime - {t}) < 0.1)(document.querySelector('video'))", timeout=PATIENCE
        )
        line = page.locator(".playhead").bounding_box()
        assert abs(line["x"] - box["x"] - box["width"] * (left + t / end * (right - left)) / width) < 3
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function("document.querySelector('.lanes').getAttribute('aria-valuetext').startsWith('2.2')", timeout=PATIENCE)
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('video').currentTime > 2.6", timeout=PATIENCE)
    page.keyboard.press("Space")
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == [] and complaints == []
    page.close()


def test_a_still_in_a_page_is_as_dark_as_the_page(browser, tmp_path):
    shutil.copy(ROOT / "nbs/stills/clip.html", tmp_path / "clip.html")
    (tmp_path / "page.html").write_text("<body class='quarto-light'><iframe src='clip.html'></iframe></body>")
    page = browser.new_page(color_scheme="light")
    page.route("http://docs.test/*", lambda route: route.fulfill(path=tmp_path / route.request.url.rsplit("/", 1)[1]))
    page.goto("http://docs.test/page.html")
    frame = page.frames[1]
    frame.wait_for_selector(".lanes", timeout=PATIENCE)
    colour = "getComputedStyle(document.querySelector('.avesound')).backgroundColor"
    assert luminance(frame.evaluate(colour)) > 0.9
    page.evaluate("document.body.className = 'quarto-dark'")
    frame.wait_for_function("document.documentElement.classList.contains('quarto-dark')", timeout=PATIENCE)
    assert luminance(frame.evaluate(colour)) < 0.05
    page.close()


LINES = ("mean", "pdf", "refined", "other", "peak", "event")


def luminance(colour: str) -> float:
    "Of a CSS colour rgb(r, g, b), as WCAG 2 defines it."
    channels = np.array([float(part) for part in re.findall(r"[\d.]+", colour)[:3]]) / 255
    return float(np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_still_is_legible(browser, run, tmp_path, scheme):
    from avesound.viewer.still import still

    video_id = pd.read_csv(run / "results/summary.csv")["video_id"][0]
    still(run, video_id, tmp_path / "still.html", refiner=lambda pdf: pdf**2 / (pdf**2).sum())
    page = browser.new_page(color_scheme=scheme)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "still.html").as_uri())
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    page.evaluate("document.querySelector('.legend').insertAdjacentHTML('beforeend', '<svg><path class=other /></svg>')")
    paper = luminance(page.evaluate("getComputedStyle(document.querySelector('.avesound')).backgroundColor"))
    assert paper > 0.9 if scheme == "light" else paper < 0.05
    for kind in LINES:
        ink = luminance(page.evaluate(f"getComputedStyle(document.querySelector('svg .{kind}')).stroke"))
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 3, kind  # WCAG 1.4.11
    words = luminance(page.evaluate("getComputedStyle(document.querySelector('svg text')).fill"))
    assert (max(words, paper) + 0.05) / (min(words, paper) + 0.05) >= 4.5  # WCAG 1.4.3
    page.close()
