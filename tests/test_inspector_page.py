"""The inspector's page in a real browser, its kernel in this process, and the report on a narrow screen.

Needs playwright (a Python package, without its own browsers) and a Chromium: /usr/bin/chromium, or what AVESOUND_CHROMIUM names.
"""

import re

import numpy as np
import pandas as pd
import pytest
from page_and_kernel import CHROMIUM, FLAGS, PATIENCE, settled, shown

from avesound.data.marks import mark_event, read_marks
from avesound.viewer.inspector import Inspector

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (apt-get install chromium, or set AVESOUND_CHROMIUM)")

PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    "Three synthetic clips, embedded and evaluated."
    from avesound.data.synth import SynthSpec, make_dataset
    from avesound.embeddings.extract import extract
    from avesound.evaluation.evaluate import evaluate
    from avesound.evaluation.plan import Scoring

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
        page.wait_for_function(f"document.querySelector('.inspector h2')?.textContent === '{video_id}'")
        assert not page.locator(".inspector .list").is_visible()
        page.click(".inspector button[aria-label='Previous clip']")
        page.wait_for_function(f"document.querySelector('.inspector h2').textContent !== '{video_id}'")
        assert page.complaints == []


def test_the_list_slides_over_nothing(run, browser):
    with shown(Inspector.of_run(run), browser, 1000, 400) as page:
        page.evaluate("window.scrollTo(0, 1e6)")
        page.wait_for_function("window.scrollY > 100")
        clips, side = box(page, ".clips"), box(page, ".side")
        assert clips["y"] + clips["height"] <= side["y"] + 1


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
        finger = page.context.new_cdp_session(page)
        for kind, x in [("touchStart", 0.5), ("touchMove", 0.55), ("touchMove", 0.65), ("touchMove", 0.7), ("touchEnd", None)]:
            places = [] if x is None else [{"x": at["x"] + x * at["width"], "y": at["y"] + 30}]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})
        page.wait_for_function("document.querySelector('.inspector .bounds').textContent !== ''")
        start, end = bounds(page)
        assert 1.5 < end - start < 3  # a fifth of the width, of which the axis takes the most
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


# ---- marks


@pytest.fixture
def marking(run, browser, tmp_path):
    "A page on which events are marked, and the file that they are written to."
    path = tmp_path / "marked.csv"
    inspector = Inspector.of_run(run, save_csv=path)
    for label, start, end in (("bell", 1.0, 2.0), ("door", 3.0, 6.0), ("bell", 5.0, 7.0)):
        mark_event(path, inspector.video_id, label, start, end, split="test")
    inspector._show_marks()
    with shown(inspector, browser) as page:
        settled(page, "video.readyState >= 2")
        yield page, path
        assert page.complaints == []


def at(page, t, y=20):
    "The place of a moment on the timeline; `y` pixels below its top, or the middle of an element."
    place = page.evaluate(
        """t => { const line = document.querySelector('.inspector .timeline'), box = line.getBoundingClientRect();
        const {left, right, width} = line.querySelector('svg').dataset, end = Number(line.getAttribute('aria-valuemax'));
        return [box.left + box.width * (left / width + t / end * (right - left) / width), box.top]; }""",
        t,
    )
    if isinstance(y, str):
        there = box(page, y)
        return place[0], there["y"] + there["height"] / 2
    return place[0], place[1] + y


def drag(page, start, end, y=20, steps=6):
    page.mouse.move(*at(page, start, y))
    page.mouse.down()
    page.mouse.move(*at(page, end, y), steps=steps)
    page.mouse.up()
    settled(page)


def saved(path):
    return [(row["event_label"], round(row["start_s"], 1), round(row["end_s"], 1)) for row in read_marks(path).to_dict("records")]


MARKED = [("bell", 1.0, 2.0), ("door", 3.0, 6.0), ("bell", 5.0, 7.0)]


def bounds(page):
    return [float(t) for t in re.findall(r"[\d.]+", page.text_content(".inspector .bounds"))]


def test_a_mark_bears_its_label(marking):
    page, _ = marking
    assert page.locator(".inspector .mark-name").all_text_contents() == ["bell", "door", "bell"]
    tops = page.evaluate("[...document.querySelectorAll('.inspector rect.mark')].map(node => node.getBoundingClientRect().top)")
    assert tops[0] == tops[1] < tops[2], "those that overlap lie in rows"


def test_a_double_click_deletes_one_mark(marking):
    page, path = marking
    page.locator(".inspector .marks button[aria-label^='Delete bell: 1.00']").dblclick()
    settled(page)
    assert saved(path) == MARKED[1:]
    page.locator(".inspector .marks button[aria-label^='Delete door']").press("Enter")
    page.wait_for_selector(".inspector .said:has-text('Deleted: door')")
    assert saved(path) == MARKED[2:]


def test_a_long_word_makes_no_page_wide(marking):
    page, path = marking
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        label = page.locator(".inspector .marks input").first
        label.fill(f"{width}_" + "Donaudampfschifffahrtsgesellschaft_" * 8)
        label.press("Enter")
        page.wait_for_selector(f".inspector .said:has-text('Changed to {width}_')")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        said = page.evaluate("(node => [node.scrollWidth, node.clientWidth])(document.querySelector('.inspector .said'))")
        assert said[0] <= said[1] and saved(path)[0][0].startswith(str(width))


def test_a_drag_chooses_a_span_and_m_saves_it(marking):
    page, path = marking
    drag(page, 7.5, 8.5)
    assert bounds(page) == pytest.approx([7.5, 8.5], abs=0.05) and saved(path) == MARKED
    drag(page, 8.5, 9.3)  # its edge follows the pointer
    assert bounds(page) == pytest.approx([7.5, 9.3], abs=0.05)
    page.fill(".inspector .annotate input >> nth=0", "a new label")
    page.focus(".inspector .timeline")
    page.keyboard.press("m")
    page.wait_for_selector(".inspector .marks li[title^='a new label: 7.']")
    assert saved(path) == [*MARKED, ("a new label", 7.5, 9.3)]
    assert "a new label" in page.locator(".inspector datalist option").all_text_contents()
    before = page.evaluate("document.querySelector('.inspector video').currentTime")
    drag(page, 2.0, 6.5, page.locator(".inspector .timeline").bounding_box()["height"] - 6)  # along the numbers of the axis
    settled(page, "!video.seeking && Math.abs(video.currentTime - 6.5) < 0.1")
    assert before != 6.5 and page.text_content(".inspector .bounds") == ""


def test_esc_gives_up_a_drag_and_all_is_as_it_was(marking):
    page, path = marking
    text = path.read_text()

    def given_up(start, end, y=20):
        "Drag, press esc, move on, let the pointer go."
        page.mouse.move(*at(page, start, y))
        page.mouse.down()
        page.mouse.move(*at(page, end, y), steps=4)
        drawn = page.is_visible(".inspector .marking")
        page.keyboard.press("Escape")
        page.mouse.move(*at(page, end + 0.3, y), steps=2)
        page.mouse.up()
        settled(page, "!video.seeking")
        return drawn

    assert given_up(7.5, 8.5) and not page.is_visible(".inspector .marking") and page.text_content(".inspector .bounds") == ""
    for n, edge, away in [(0, 1, 2.6), (1, 0, 2.4), (2, 1, 8.0)]:  # an edge of a mark
        assert given_up(MARKED[n][1 + edge], away, f".timeline rect.mark[data-n='{n}']") and not page.is_visible(".inspector .marking")
    page.keyboard.press("Control+z")  # nothing has come to what can be undone
    page.wait_for_selector(".inspector .said:has-text('There is nothing to undo.')")
    drag(page, 7.5, 8.5)
    assert given_up(8.5, 9.3) and bounds(page) == pytest.approx([7.5, 8.5], abs=0.05)  # an edge of a span that is not saved
    page.mouse.click(*at(page, 0.5))
    settled(page, "!video.seeking && Math.abs(video.currentTime - 0.5) < 0.1")
    given_up(2.0, 6.5, page.locator(".inspector .timeline").bounding_box()["height"] - 6)  # a drag that seeks
    settled(page, "!video.seeking && Math.abs(video.currentTime - 0.5) < 0.1")
    matrix = box(page, ".matrix")
    page.mouse.move(matrix["x"] + 0.7 * matrix["width"], matrix["y"] + 0.5 * matrix["height"])
    page.mouse.down()
    settled(page, "!video.seeking && video.currentTime > 4")
    page.keyboard.press("Escape")
    settled(page, "!video.seeking && Math.abs(video.currentTime - 0.5) < 0.1")
    page.mouse.move(matrix["x"] + 0.5 * matrix["width"], matrix["y"] + 0.5 * matrix["height"], steps=2)
    page.mouse.up()
    assert page.evaluate("document.querySelector('.inspector video').currentTime") == pytest.approx(0.5, abs=0.1)
    assert page.evaluate("window.reached").count("Escape") == 0 and bounds(page) == pytest.approx([7.5, 8.5], abs=0.05)
    page.keyboard.press("Escape")  # nothing is dragged: the span is let go
    assert page.text_content(".inspector .bounds") == "" and path.read_text() == text
    page.click(".inspector .keys summary")
    assert "give up a drag" in page.text_content(".inspector .keys")


@pytest.mark.parametrize("n, edge, wanted", [(0, 1, ("bell", 1.0, 2.6)), (1, 0, ("door", 2.5, 6.0)), (2, 1, ("bell", 5.0, 8.0))])
def test_the_edges_of_a_mark_are_dragged(marking, n, edge, wanted):
    page, path = marking
    drag(page, MARKED[n][1 + edge], wanted[1 + edge], f".timeline rect.mark[data-n='{n}']")
    settled(page)
    expected = [*MARKED[:n], wanted, *MARKED[n + 1 :]]
    assert saved(path) == [(label, pytest.approx(a, abs=0.1), pytest.approx(b, abs=0.1)) for label, a, b in expected]
    page.keyboard.press("Control+z")
    page.wait_for_selector(".inspector .said:has-text('Undone: Changed to')")
    assert saved(path) == MARKED
    page.mouse.click(*at(page, sum(MARKED[n][1:]) / 2 - 0.3, f".timeline rect.mark[data-n='{n}']"))  # chosen: edges anywhere
    assert page.locator(".inspector .marks li.chosen").count() == 1
    drag(page, MARKED[n][1 + edge], wanted[1 + edge], 30)
    page.wait_for_selector(".inspector .said:has-text('Changed to')")
    assert saved(path) != MARKED and len(saved(path)) == 3


def test_every_edit_is_undone_and_jupyterlab_does_not_get_the_key(marking):
    page, path = marking
    texts = [path.read_text()]
    page.click(".inspector .marks button[aria-label^='Delete bell: 1.00']")
    page.wait_for_selector(".inspector .said:has-text('Deleted: bell')")
    texts.append(path.read_text())
    label = page.locator(".inspector .marks input").first
    label.fill("gate")
    label.press("Enter")
    page.wait_for_selector(".inspector .marks li[title^='gate: 3.00']")
    texts.append(path.read_text())
    drag(page, 8.0, 9.0)
    page.fill(".inspector .annotate input >> nth=0", "dog")
    page.click(".inspector .annotate .main")
    page.wait_for_selector(".inspector .marks li[title^='dog']")
    texts.append(path.read_text())
    drag(page, 0.3, 0.8)
    drag(page, 0.8, 2.5)
    page.evaluate("window.reached = []")
    page.focus(".inspector .timeline")
    page.keyboard.press("Control+z")
    assert bounds(page) == pytest.approx([0.3, 0.8], abs=0.05)
    page.keyboard.press("Control+z")
    assert page.text_content(".inspector .bounds") == ""
    for text in texts[-2::-1]:
        page.keyboard.press("Control+z")
        settled(page)
        assert path.read_text() == text
    page.keyboard.press("Control+z")
    page.wait_for_selector(".inspector .said:has-text('There is nothing to undo.')")
    for text, keys in zip(texts[1:], ("Control+y", "Control+Shift+Z", "Meta+Shift+z")):
        page.keyboard.press(keys)
        settled(page)
        assert path.read_text() == text
    for _ in range(2):
        page.keyboard.press("Control+y")
    assert bounds(page) == pytest.approx([0.3, 2.5], abs=0.05)
    page.keyboard.press("Meta+z")
    page.focus(".inspector .annotate input >> nth=0")
    page.keyboard.press("Control+z")  # in a field, what was typed is undone, and JupyterLab has no part in it
    settled(page)
    assert bounds(page) == pytest.approx([0.3, 0.8], abs=0.05) and path.read_text() == texts[-1]
    assert not {"z", "Z", "y"} & set(page.evaluate("reached"))
    page.keyboard.press("Control+s")
    assert "s" in page.evaluate("reached")  # that is JupyterLab's
    page.focus("#outside")
    page.keyboard.press("Control+z")
    assert "z" in page.evaluate("reached")


def test_a_mark_is_played_to_its_end_and_slowly(marking):
    page, _ = marking
    page.click(".inspector .marks button[aria-label^='Play bell: 1.00']")
    settled(page, "video.paused && Math.abs(video.currentTime - 2) < 0.1")
    page.focus(".inspector .timeline")
    page.keyboard.press("Space")
    settled(page, "video.currentTime > 2.4")  # and on, when it is asked to
    page.keyboard.press("Space")
    for rate in ("0.5", "0.25", "0.25"):
        page.keyboard.press("<")
        settled(page, f"video.playbackRate === {rate}")
    page.keyboard.press(">")
    settled(page, "video.playbackRate === 0.5")
    for label, start, key in [("door", 3, "N"), ("bell", 5, "N"), ("door", 3, "P"), ("bell", 1, "P")]:
        page.keyboard.press(key)
        settled(page, f"!video.seeking && Math.abs(video.currentTime - {start}) < 0.1")
        page.wait_for_selector(f".inspector .marks li.chosen[title^='{label}: {start}.00']")
    page.keyboard.press("P")
    page.wait_for_selector(".inspector .said:has-text('There is no mark before this moment.')")
    page.keyboard.press("Delete")  # the one that was chosen, and then none
    page.wait_for_selector(".inspector .said:has-text('Deleted: bell, 1.00')")
    page.keyboard.press("Delete")
    page.wait_for_selector(".inspector .said:has-text('Click on a mark first.')")
    page.keyboard.press("Escape")
    drag(page, 4.0, 4.4)
    page.keyboard.press("e")
    settled(page, "video.paused && Math.abs(video.currentTime - 4.4) < 0.1")
    page.keyboard.press("l")
    assert page.input_value(".inspector select[aria-label=Loop]") == "span"


# ---- thousands of clips


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    "A summary of 4,000 clips, and nothing else."
    rng = np.random.default_rng(0)
    n = 4000
    table = pd.DataFrame(
        {
            "video_id": [f"clip{i:05d}" for i in range(n)],
            "event_label": [f"class {i % 28}" for i in range(n)],
            "split": "test",
            "status": "ok",
            "partial": "True",
            "dist": rng.exponential(size=n).round(3),
            "confidence": rng.random(n).round(3),
        }
    )
    path = tmp_path_factory.mktemp("many") / "summary.csv"
    table.to_csv(path, index=False)
    return path, table


def test_four_thousand_clips_are_a_handful_of_rows(many, browser):
    "Work is counted in elements, not in seconds, which a loaded machine stretches."
    inspector = Inspector(summary_csv=many[0])
    sent = []
    inspector.observe(lambda change: sent.append(change["name"]), ["rows"])
    with shown(inspector, browser) as page:
        rows = page.locator(".inspector .item")
        assert rows.count() <= 30 and page.evaluate("made") < 600
        search, choose = ".inspector input[type=search]", page.locator(".inspector .clips label")
        for act, words in [
            (lambda: page.fill(search, "clip01"), "1000 of 4000 clips"),
            (lambda: choose.filter(has_text="Class").locator("select").select_option("class 3"), "36 of 4000 clips"),
            (lambda: choose.filter(has_text="Sort by").locator("select").select_option("dist"), "36 of 4000 clips"),
            (lambda: page.fill(search, ""), "143 of 4000 clips"),
        ]:
            page.evaluate("made = 0")
            page.evaluate("document.querySelector('.inspector .clips details').open = true")
            act()
            page.wait_for_function(f"document.querySelector('.inspector .clips .quiet')?.textContent === '{words}'")
            settled(page)
            assert rows.count() <= 30 and page.evaluate("made") < 400
        page.evaluate("made = 0")
        page.locator(".inspector .clips label", has_text="Class").locator("select").select_option("")
        page.locator(".inspector .list").evaluate("node => { node.scrollTop = 1e9; }")
        page.wait_for_function("[...document.querySelectorAll('.inspector .item')].at(-1).getAttribute('aria-posinset') === '4000'")
        assert rows.count() <= 30 and page.evaluate("made") < 400
        assert sent == [] and page.complaints == []  # the rows themselves are sent once


def test_a_scatter_chooses_clips(many, browser):
    path, table = many
    with shown(Inspector(summary_csv=path), browser) as page:
        page.click(".inspector .scatter summary")
        drawing = page.locator(".inspector .scatter svg")
        page.wait_for_function(
            "document.querySelector('.inspector .scatter .dots:not(.out)')?.getAttribute('d').split('M').length === 4001"
        )
        assert drawing.locator("*").count() < 20  # as many for four thousand clips as for four
        drawing.scroll_into_view_if_needed()
        area, count = drawing.bounding_box(), ".inspector .clips .quiet"
        scale = area["width"] / 264

        def place(confidence, dist):
            "Of numbers in the drawing, whose axes reach from the lowest to the highest."
            (a, b), (c, d) = ((table[name].min(), table[name].max()) for name in ("confidence", "dist"))
            x, y = 40 + (confidence - a) / (b - a) * 216, 190 - (dist - c) / (d - c) * 182
            return area["x"] + x * scale, area["y"] + y * scale

        for given_up in (True, False):
            page.mouse.move(*place(0.6, 1.0))
            page.mouse.down()
            page.mouse.move(*place(0.9, 4.0), steps=4)
            assert drawing.locator("rect.mark").count() == 1
            if given_up:
                page.keyboard.press("Escape")
                assert drawing.locator("rect.mark").count() == 0
            page.mouse.up()
            settled(page)
            assert (page.text_content(count) == "4000 clips") is given_up
        page.wait_for_function(f"document.querySelector('{count}')?.textContent.includes(' of 4000')")
        low, high = page.evaluate("model.get('picker').within.dist")
        left, right = page.evaluate("model.get('picker').within.confidence")
        assert [left, right, low, high] == pytest.approx([0.6, 0.9, 1.0, 4.0], abs=0.1)
        inside = table["dist"].between(low, high) & table["confidence"].between(left, right)
        assert page.text_content(count) == f"{inside.sum()} of 4000 clips"
        farthest = table.loc[table["dist"].idxmax()]
        page.mouse.click(*place(farthest["confidence"], farthest["dist"]))
        page.wait_for_function(f"document.querySelector('.inspector h2')?.textContent === '{farthest['video_id']}'")
        page.click("text=All clips again")
        page.wait_for_function(f"document.querySelector('{count}')?.textContent === '4000 clips'")
        page.locator(".inspector .scatter label", has_text="Upwards").locator("select").select_option("confidence")
        page.wait_for_function("document.querySelector('.inspector .scatter svg')?.getAttribute('aria-label').includes('by confidence')")
        assert page.complaints == []


def test_the_scatter_says_which_clips_it_does_not_show(many, browser, tmp_path):
    path, table = many
    part = table.head(40).copy()
    part.loc[:7, ["confidence", "dist"]] = np.nan
    part.loc[:7, "status"] = ["no_audio"] * 5 + ["missing"] * 3
    part.loc[8:9, "dist"] = np.nan
    part.to_csv(tmp_path / "summary.csv", index=False)
    left = ".inspector .scatter .left"
    with shown(Inspector(summary_csv=tmp_path / "summary.csv"), browser) as page:
        page.click(".inspector .scatter summary")
        page.wait_for_selector(left)
        chosen = [page.locator(".inspector .scatter select").nth(k).evaluate("node => node.selectedOptions[0].textContent") for k in (0, 1)]
        said = f"10 of 40 clips not shown: 10 without {chosen[0]}, 8 without {chosen[1]}. Their status: no_audio 5, missing 3, ok 2."
        assert page.text_content(left) == said and "not shown" not in page.text_content(".inspector .saying")
        shown_dots = "document.querySelector('.inspector .scatter .dots:not(.out)').getAttribute('d').split('M').length - 1"
        assert page.evaluate(shown_dots) == 30
        page.locator(".inspector .scatter label", has_text="Upwards").locator("select").select_option("confidence")  # the same twice
        said = f"8 of 40 clips not shown: 8 without {chosen[1]}. Their status: no_audio 5, missing 3."
        page.wait_for_function(f"document.querySelector('{left}').textContent === {said!r}")
        assert page.complaints == []
    with shown(Inspector(summary_csv=path), browser) as page:
        page.click(".inspector .scatter summary")
        page.wait_for_selector(".inspector .scatter .dots:not(.out)")
        assert not page.locator(left).is_visible()


def test_where_there_are_no_numbers_there_is_no_scatter(run, browser):
    with shown(Inspector(vid_dir=run / "data/AVE"), browser) as page:
        assert not page.locator(".inspector .scatter").is_visible()


# ---- a page that reaches no file


def test_a_clip_comes_through_the_kernel_where_the_page_reaches_no_file(run, browser):
    "As in VS Code and Colab, whose pages have neither Jupyter's files nor this machine's addresses; of media, data alone are allowed."
    scripts = "script-src 'unsafe-inline' 'unsafe-eval' http://elsewhere.test"  # the test itself evaluates
    rules = f"default-src 'none'; {scripts}; style-src 'unsafe-inline'; img-src data:; media-src data:"
    with shown(Inspector.of_run(run), browser, apart=rules) as page:
        settled(page, "video.readyState >= 2 && video.src.startsWith('data:video/mp4')")
        page.mouse.click(*at(page, 6.0))
        settled(page, "!video.seeking && Math.abs(video.currentTime - 6) < 0.1")
        first = page.text_content(".inspector h2")
        page.keyboard.press("n")
        page.wait_for_function(f"document.querySelector('.inspector h2').textContent !== '{first}' && !document.querySelector('.stale')")
        settled(page, "video.readyState >= 2")
        page.evaluate(
            "() => { window.asked = 0; const send = model.send; model.send = (wish) => { asked += wish.do === 'film'; send(wish); }; }"
        )
        page.keyboard.press("p")
        page.wait_for_function(f"document.querySelector('.inspector h2')?.textContent === '{first}' && !document.querySelector('.stale')")
        settled(page, "video.readyState >= 2")
        assert page.evaluate("asked") == 0 and page.complaints == []  # what was sent is kept


def test_a_clip_comes_through_the_kernel_where_its_addresses_fail(run, browser):
    "As in VS Code with a kernel elsewhere: the page counts as one of this machine, and this machine does not answer."
    with shown(Inspector.of_run(run), browser) as page:
        page.route("**/*.mp4", lambda route: route.abort())
        page.keyboard.press("Tab")
        page.focus(".inspector .timeline")
        page.keyboard.press("n")
        settled(page, "video.readyState >= 2 && video.src.startsWith('data:video/mp4')")
        assert page.text_content(".inspector .notice") == "" and page.locator(".inspector .transport .main").is_enabled()
