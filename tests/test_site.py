"""The documentation as readers get it, in a real browser: `make docs-test`, where Quarto and Chromium are.

The site is that in _docs, or in the folder that AVESOUND_DOCS names. What can be checked without Quarto is in test_repo.py.
"""

import functools
import http.server
import os
import re
import shutil
import threading
from pathlib import Path

import pytest

from conftest import ROOT

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
CHROMIUM = next(filter(None, [os.environ.get("AVESOUND_CHROMIUM"), shutil.which("chromium"), shutil.which("chromium-browser")]), None)
SITE = Path(os.environ.get("AVESOUND_DOCS", ROOT / "_docs"))
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html") if "stills" not in path.parts)
pytestmark = [
    pytest.mark.site,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (apt-get install chromium, or set AVESOUND_CHROMIUM)"),
    pytest.mark.skipif(not PAGES, reason="no site in _docs (make docs)"),
]
PATIENCE = 30_000  # milliseconds


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def in_light_and_dark(browser, address):
    "An open page in each scheme, which is the system's wish."
    contexts = {scheme: browser.new_context(color_scheme=scheme, viewport={"width": 1440, "height": 1000}) for scheme in ("light", "dark")}
    yield {scheme: context.new_page() for scheme, context in contexts.items()}
    for context in contexts.values():
        context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_legible_in_light_and_dark_and_fits_a_phone(name, in_light_and_dark, address):
    "axe-core finds nothing serious (contrast, alternatives, keys), nothing is wider than the screen, no printed result than its place."
    for scheme, page in in_light_and_dark.items():
        page.goto(address + name, wait_until="load")
        assert page.evaluate("document.body.classList.contains('quarto-dark')") == (scheme == "dark"), "the system's wish"
        found = [
            (fault["id"], node["target"], (node["any"] or node["all"] or node["none"])[0]["message"][:160])
            for fault in axe.Axe().run(page).response["violations"]
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]
        assert found == [], f"{scheme}: {found[:5]}"
    assert page.locator("h1").count() == 1
    cut = page.evaluate("""[...document.querySelectorAll("main .cell-output pre")].filter(one => one.scrollWidth > one.clientWidth + 1)
                           .map(one => one.textContent.split("\\n").sort((a, b) => b.length - a.length)[0])""")
    assert cut == [], "printed results end at the right edge"
    page.set_viewport_size({"width": 390, "height": 844})
    width = page.evaluate("document.scrollingElement.scrollWidth")
    page.set_viewport_size({"width": 1440, "height": 1000})
    assert width <= 391, "a pixel for rounding"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_light(name):
    "Under 400 kB, its figures with it; the sheets and scripts that all pages share aside."
    text = (SITE / name).read_text(encoding="utf-8")
    own = {(SITE / name).parent / source for source in re.findall(r"""<img\b[^>]*\bsrc=["']([^"':]+)["']""", text)}
    assert len(text.encode()) + sum(path.stat().st_size for path in own) < 400_000


# What people type, and the page that they should be shown first.
QUERIES = {
    "compare two encoders": "howto/compare",
    "what is tau": "start/words.html#tau|howto/choose_settings.html#what-tau-means",
    "missing weights": "howto/missing_weights",
    "install": "start/install",
    "own videos": "howto/own_videos",
    "mass_inside": "start/words",
    "cite": "start/cite",
    "out of memory": "howto/",
    "confidence interval": "start/words|howto/",
    "csv columns": "reference/files",
    "my own encoder": "howto/own_encoder",
    "slurm": "howto/cluster|tutorials/cluster",
    "resume": "howto/cluster|tutorials/cluster",
    "long recordings": "howto/long",
    "annotate": "howto/annotate",
    "exit codes": "reference/commands",
    "wrong sound": "start/words",
    "partial clip": "start/words",
    "sweep": "reference/commands.html#sweep|howto/",
    "WindowSettings": "timeline|embeddings_extract|reference/|embeddings_job",
    "changelog": "start/changelog",
    "p value": "start/words|howto/",
    "how long will AVE take": "performance|howto/ave",
    "latex table": "howto/compare",
    "how accurate is signal": "howto/results|start/|reference/|encoders_signal",  # no page has all three words
    "how long does it take": "performance|howto/",
}


def first_hit(page, query: str) -> str:
    "Where the first result of a search leads."
    page.keyboard.press("Escape")
    page.locator("#quarto-search button").first.click(timeout=PATIENCE)
    page.locator(".aa-Input").fill(query)
    page.wait_for_function(
        "word => document.querySelector('.aa-Panel .aa-Item a, .aa-PanelLayout .aa-Item a')?.href.includes('q=')", timeout=PATIENCE
    )
    page.wait_for_timeout(200)
    return re.sub(r"\?[^#]*", "", page.locator(".aa-PanelLayout .aa-Item a").first.get_attribute("href"))


@pytest.mark.parametrize("query", QUERIES)
def test_what_people_type_is_found_first(query, browser, address):
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.goto(address + "index.html")
    hit = first_hit(page, query)
    page.close()
    assert re.search(QUERIES[query], hit), hit


def test_the_search_works_from_a_disk_and_for_slips_of_the_keys(browser):
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.goto((SITE / "tutorials/quick_start.html").as_uri())
    assert "start/install" in first_hit(page, "install")
    page.goto((SITE / "index.html").as_uri())
    assert "nstall" in first_hit(page, "instal")
    page.close()


def test_tab_reaches_the_text_first(browser, address):
    page = browser.new_page()
    page.goto(address + "index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the text"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#quarto-document-content"
    page.close()


def test_a_wide_drawing_can_be_read_on_a_phone(browser, address):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(address + "index.html")
    width, box, within, key = page.evaluate(
        """() => { const image = document.querySelector("p.drawing img"), box = image.parentElement;
                   return [image.clientWidth, box.scrollWidth, box.clientWidth, box.tabIndex]; }"""
    )
    assert width >= 640 and box > within and key == 0
    page.close()
