"""The inspector's page in a real browser, its kernel in this process, and the report on a narrow screen.

Needs playwright (a Python package, without its own browsers) and a Chromium: /usr/bin/chromium, or what AVESOUND_CHROMIUM names.
"""

import pytest
from page_and_kernel import CHROMIUM, FLAGS, PATIENCE, settled, shown

from avesound.viewer.inspector import Inspector

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (apt-get install chromium, or set AVESOUND_CHROMIUM)")

PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    "Three synthetic clips, embedded and evaluated."
    from avesound.data.synth import SynthSpec, make_dataset
    from avesound.embeddings.extract import extract
    from avesound.evaluation.evaluate import Scoring, evaluate

    folder = tmp_path_factory.mktemp("run")
    clips = make_dataset(folder / "data", spec=SynthSpec(difficulty="hard", seed=21), n_train=0, n_val=0, n_test=3) / "AVE"
    extract(clips, folder / "cache", progress=False)
    judged = evaluate(folder / "cache", folder / "data/annotations.csv", scoring=Scoring(n_boot=10))
    judged.save(folder / "results/summary.csv", folder / "results/curves")
    return folder


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


def box(page, what):
    return page.locator(f".inspector {what}").first.bounding_box()


# ---- narrow screens, fingers


@pytest.mark.parametrize("width", [390, 690])
def test_below_700_pixels_things_stack(run, browser, width):
    with shown(Inspector.of_run(run), browser, width, 844) as page:
        settled(page, "video.readyState >= 1")
        assert box(page, "video")["width"] >= 0.9 * width - 20
        order = [box(page, what) for what in (".narrow", "h2", ".picture", ".transport", ".timeline", ".matrix", ".annotate", ".metrics")]
        for above, below in zip(order, order[1:]):
            assert above["y"] + above["height"] <= below["y"] + 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not page.locator(".inspector .list").is_visible()
        page.click(".inspector .choose")
        other = page.locator(".inspector .item[aria-selected=false]").first
        video_id = other.get_attribute("title")
        other.click()
        page.wait_for_function(f"document.querySelector('.inspector h2').textContent === '{video_id}'")
        assert not page.locator(".inspector .list").is_visible()
        page.click(".inspector button[aria-label='Previous clip']")
        page.wait_for_function(f"document.querySelector('.inspector h2').textContent !== '{video_id}'")
        assert page.complaints == []


def test_fingers_find_what_they_aim_at(run, browser):
    with shown(Inspector.of_run(run), browser, **PHONE) as page:
        settled(page, "video.readyState >= 1")
        page.click(".inspector .choose")
        page.click(".inspector .clips summary")
        small = page.evaluate(
            """[...document.querySelectorAll('.inspector :is(button, select, summary, .check, .item, input:not([type=checkbox]))')]
            .map(node => [node.outerHTML.slice(0, 80), node.getBoundingClientRect()])
            .filter(([, box]) => box.width && (box.height < 32 || box.width < 32)).map(([words]) => words)"""
        )
        assert small == []
        line = page.locator(".inspector .timeline")
        assert line.evaluate("node => getComputedStyle(node).touchAction") == "pan-y"  # a finger that moves up or down scrolls
        line.scroll_into_view_if_needed()
        at = line.bounding_box()
        page.touchscreen.tap(at["x"] + 0.6 * at["width"], at["y"] + 30)
        settled(page, "!video.seeking && video.currentTime > 3")
        assert page.complaints == []


def test_the_report_fits_a_narrow_screen(run, browser):
    from avesound.report.analyze import analyze

    analyze(run / "results/summary.csv", run / "reports", "one", n_boot=20, vid_dir=run / "data/AVE")
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto((run / "reports/one/report.html").as_uri(), timeout=PATIENCE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = "table.words, dl, .tiles, .tiles div, h1, h2, h3, figcaption, p, li"  # tables of numbers and wide figures scroll by themselves
    assert page.evaluate(f"Math.max(...[...document.querySelectorAll('{wide}')].map(node => node.getBoundingClientRect().right))") <= 390
    tiles = page.locator(".tiles div").all()
    assert tiles[0].bounding_box()["y"] == tiles[1].bounding_box()["y"]
    page.close()
