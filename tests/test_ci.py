"The tools of .ci: a run that fails says so, and README.md is what its notebook makes."

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parent.parent


def ci_tool(name: str):
    "The module .ci/<name>.py, which no package holds."
    spec = importlib.util.spec_from_file_location(name, ROOT / f".ci/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_notebook(path: Path, *sources: str) -> Path:
    cells = [new_code_cell(source) if not source.startswith("# ") else new_markdown_cell(source) for source in sources]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells), path)
    return path


# ---- one run of pytest counts notebooks and tests


@pytest.fixture
def small(tmp_path):
    "A project with the tools of this one and nothing to test yet."
    for name in ("conftest.py", "pytest.ini", "settings.ini", ".ci/pytest"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("nbs", "tests", "avesound"):
        (tmp_path / name).mkdir()
    return tmp_path


def check(project: Path, *arguments: str) -> subprocess.CompletedProcess:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [project / ".ci/pytest", sys.executable, *arguments], env={**env, "JOBS": "0"}, capture_output=True, text=True, check=False
    )


def last_line(done: subprocess.CompletedProcess) -> str:
    return done.stdout.rstrip().splitlines()[-1]


def test_notebooks_and_tests_are_counted_together(small):
    write_notebook(
        small / "nbs/01_good.ipynb",
        "# Good",
        "import os, sys\nx = 1",
        "assert x == 1 and os.path.basename(os.getcwd()) == 'nbs'\nos.environ['LEFT'] = 'behind'; sys.path.insert(0, '/left')",
    )
    write_notebook(small / "nbs/02_next.ipynb", "# Next", "import os, sys\nassert 'LEFT' not in os.environ and '/left' not in sys.path")
    write_notebook(small / "nbs/more/03_skip.ipynb", "# Skip", "import pytest", "pytest.skip('no such data here')", "assert False")
    write_notebook(small / "nbs/04_slow.ipynb", "# Slow", "#| slow\nassert False", "#| eval: false\nassert False")
    write_notebook(small / "nbs/_scratch.ipynb", "# No chapter", "assert False")
    (small / "tests/test_x.py").write_text("def test_x(): pass\n")
    done = check(small)
    assert (done.returncode, last_line(done)) == (0, "4 passed, 0 failed, 1 skipped"), done.stdout
    assert "no such data here" in done.stdout and "1 notebook cells left out" in done.stdout
    assert not list(small.rglob("__pycache__")) and not (small / ".pytest_cache").exists()


def test_a_failing_cell_is_shown(small):
    write_notebook(small / "nbs/01_wrong.ipynb", "# Wrong", "def ratio(a):\n    return 1 / a", "a = 0\nratio(a)", "print('not reached')")
    write_notebook(small / "nbs/02_hangs.ipynb", "# Hangs", "import time", "try:\n    time.sleep(60)\nexcept Exception:\n    pass")
    write_notebook(small / "nbs/04_busy.ipynb", "# Busy", "try:\n    while True:\n        pass\nexcept Exception:\n    pass")
    write_notebook(small / "nbs/03_slow.ipynb", "# Slow", "#| slow\nassert False, 'slow ran'")
    (small / "tests/test_x.py").write_text("import no_such_module\n")
    done = check(small, "--nb-seconds", "1", "--nb-flags", "slow gpu", "--continue-on-collection-errors")
    assert (done.returncode, last_line(done)) == (1, "0 passed, 5 failed, 0 skipped"), done.stdout
    assert (
        "nbs/01_wrong.ipynb, cell 3: ZeroDivisionError" in done.stdout and ">   2 ratio(a)" in done.stdout and "return 1 / a" in done.stdout
    )
    assert "nbs/02_hangs.ipynb, cell 3:" in done.stdout and "ran longer than 5 s" in done.stdout
    assert "nbs/04_busy.ipynb, cell 2:" in done.stdout and "took more than 1 s of processor time" in done.stdout
    assert "slow ran" in done.stdout and "no_such_module" in done.stdout


def test_the_tests_of_a_notebook_run_against_its_module(small):
    write_notebook(
        small / "nbs/01_answer.ipynb",
        "# Answer",
        "#| default_exp answer",
        "#| export\ndef answer():\n    return 42",
        "assert answer() == 42",
    )
    (small / "avesound/__init__.py").write_text("")
    (small / "avesound/answer.py").write_text("def answer():\n    return 41\n")
    assert last_line(check(small, "--nb-module")) == "0 passed, 1 failed, 0 skipped"


def test_what_takes_longest_begins_first():
    named = ast.literal_eval(
        re.search(r"^LONGEST = (\(.*?^\))", (ROOT / "conftest.py").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[1]
    )
    assert [name for name in named if not list(ROOT.glob(f"nbs/{name}")) + list(ROOT.glob(f"tests/{name}"))] == []
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/test_ci.py", "tests/test_tutorials.py"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert listed.stdout.startswith("tests/test_tutorials.py") and "test_ci.py" in listed.stdout


def test_a_run_of_nothing_fails(small):
    done = check(small)
    assert (done.returncode, last_line(done)) == (1, "0 passed, 1 failed, 0 skipped")


def test_a_dead_worker_fails_the_run(small):
    (small / "tests/test_x.py").write_text("import os\ndef test_x(): os._exit(1)\ndef test_y(): pass\n")
    done = check(small, "-n", "1")
    assert done.returncode == 1 and last_line(done) == "0 passed, 1 failed, 0 skipped", done.stdout


# ---- README.md


readme = ci_tool("readme")


def test_the_readme_is_what_the_index_makes():
    assert (ROOT / "nbs/index.ipynb").exists(), "nbs/index.ipynb, from which README.md is made, is not there"
    assert readme.readme(ROOT / "nbs/index.ipynb") == (ROOT / "README.md").read_text(encoding="utf-8"), "make readme"


def test_links_are_moved_to_the_top_level():
    page = """![A curve](images/x.png "title") [media](02_media.ipynb#decode)
[licence](../LICENSE), [out](https://x.org/a.png), [up](#top), [mail](mailto:a@b)
<img src="images/y.png" width="3"> `[code](images/x.png)`
[ref]: more/page.md

```bash
see [this](images/x.png)
```
"""
    moved = readme.from_top_level(page, "nbs")
    assert moved == page.replace("![A curve](images/x.png", "![A curve](nbs/images/x.png").replace("(02_media", "(nbs/02_media").replace(
        "(../LICENSE)", "(LICENSE)"
    ).replace('"images/y', '"nbs/images/y').replace(": more/page", ": nbs/more/page")


def test_directives_are_obeyed_and_dropped(tmp_path):
    path = write_notebook(
        tmp_path / "index.ipynb",
        "# avesound\n\n> When?",
        "#| hide\nimport secret",
        "#| default_exp nothing",
        "#| echo: false\nprint(1)",
        "#| export\nx = 2\n\n\nx",
        "#| output: false\nx = 3\nx",
    )
    nb = nbformat.read(path, 4)
    nb.cells[3].outputs = [new_output("stream", name="stdout", text="one\n")]
    nb.cells[4].outputs = [new_output("execute_result", data={"text/html": "<style scoped>\nb {}\n</style><b>two</b>", "text/plain": "2"})]
    nb.cells[5].outputs = [new_output("execute_result", data={"text/plain": "three"})]
    nbformat.write(nb, path)
    text = readme.readme(path)
    assert text.startswith("<!-- Made from") and text.endswith("```\n")
    assert (
        "# avesound\n\n> When?\n\n    one\n" in text and "<b>two</b>" in text and "```python\nx = 2\n\n\nx\n```" in text and "x = 3" in text
    )
    assert not any(word in text for word in ("secret", "#|", "default_exp", "print(1)", "three", "style"))


def test_the_readme_is_written_and_checked(tmp_path, capsys):
    path = write_notebook(tmp_path / "index.ipynb", "# avesound", "1 + 1")
    arguments = ["--notebook", str(path), str(tmp_path / "README.md")]
    assert readme.main([*arguments, "--check"]) == 1  # not there yet
    assert readme.main(arguments) == 0 and readme.main([*arguments, "--check"]) == 0
    capsys.readouterr()
    write_notebook(path, "# avesound", "1 + 2")
    assert readme.main([*arguments, "--check"]) == 1
    shown = capsys.readouterr()
    assert "-1 + 1" in shown.out and "+1 + 2" in shown.out and "make readme" in shown.err
    assert "1 + 1" in (tmp_path / "README.md").read_text() and sorted(p.name for p in tmp_path.iterdir()) == ["README.md", "index.ipynb"]
    path.unlink()
    assert readme.main(arguments) == 1 and "index.ipynb is not there" in capsys.readouterr().err


@pytest.mark.parametrize(
    "output, word",
    [
        (new_output("display_data", data={"image/png": "AAAA"}), "images"),
        (new_output("error", ename="ValueError", evalue="", traceback=[]), "ValueError"),
    ],
)
def test_what_a_readme_cannot_show_is_refused(tmp_path, output, word):
    path = write_notebook(tmp_path / "index.ipynb", "# avesound", "plot()")
    nb = nbformat.read(path, 4)
    nb.cells[1].outputs = [output]
    nbformat.write(nb, path)
    with pytest.raises(ValueError, match=rf"cell 2.*{word}"):
        readme.readme(path)


# ---- the documentation needs no network


offline = ci_tool("offline")
QUARTO_ADDS = """
<script src="https://cdn.jsdelivr.net/npm/requirejs@2.3.6/require.min.js" integrity="sha384-x" crossorigin="anonymous"></script>
<script src="https://cdnjs.cloudflare.com/ajax/libs/jquery/3.5.1/jquery.min.js" data-relocate-top="true"></script>
<script type="application/javascript">define('jquery', [],function() {return window.jQuery;})</script>
"""


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("index.html", "<head>{}</head>"),
        ("sub/page.html", '<script src="{}"></script>'),
        ("page.html", '<link rel="preload stylesheet" href="{}">'),
        ("page.html", '<img alt="" src="{}">'),
        ("page.html", '<iframe src="{}"></iframe>'),
        ("page.html", "<style>.a {{ background: url('{}') }}</style>"),
        ("page.html", '<p style="background: url({})">'),
        ("style.css", "@import url({});"),
        ("style.css", '@import "{}";'),
        ("style.css", '@charset "UTF-8";@import"{}";'),
    ],
)
@pytest.mark.parametrize("address", ["https://fonts.example.org/css?family=Lato", "//cdn.example.org/x.js"])
def test_what_a_page_loads_from_elsewhere_is_named(tmp_path, path, text, address):
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text(text.format(address))
    loads = offline.offline(tmp_path, "https://docs.example.org/x/")
    assert loads == ([] if path == "index.html" else [f"{path}: {address}"])  # text that is nobody's attribute loads nothing


def test_what_quarto_adds_is_taken_out_and_nothing_else(tmp_path, capsys):
    mine = (
        '<a href="https://example.org">a link is followed by the reader</a><script src="site_libs/quarto.js"></script><p>jquery.min.js</p>'
    )
    page = tmp_path / "page.html"
    page.write_text(QUARTO_ADDS + mine)
    assert offline.main([str(tmp_path)]) == 0
    assert page.read_text().strip() == mine
    page.write_text('<img src="https://example.org/a.png">')
    assert offline.main([str(tmp_path)]) == 1
    assert "page.html: https://example.org/a.png" in capsys.readouterr().err


@pytest.mark.parametrize(("page", "to_top"), [("page.html", ""), ("tutorials/page.html", "../")])
def test_names_lead_to_the_page_beside(tmp_path, page, to_top):
    (tmp_path / "tutorials").mkdir()
    html = '<link rel="canonical" href="{0}page.html"><a class="x" href="{0}align.html#inspector{1}">x</a><a href="https://docs.example.org/y">y</a>'
    (tmp_path / page).write_text(html.format("https://docs.example.org/x/", ".seek"))
    assert offline.offline(tmp_path, "https://docs.example.org/x/") == []
    canonical, mine = html.split("<a", 1)
    assert (tmp_path / page).read_text() == canonical.format("https://docs.example.org/x/") + "<a" + mine.format(to_top, "")
    assert offline.address().startswith("https://") and offline.address().endswith("/")


# ---- what the site needs besides

sys.path.append(str(ROOT / ".ci"))  # it imports the tool beside it
finish = ci_tool("finish")
MADE = """<!DOCTYPE html>
<html><body class="quarto-light"><nav class="navbar"></nav>
<ul><li class="sidebar-item sidebar-item-section"><div><a class="sidebar-item-text"><span class="menu-text">How it works</span></a>
<a class="sidebar-item-toggle" role="navigation" aria-label="Toggle section"></a></div>
<ul><li><a class="sidebar-item-text sidebar-link active" href="./page.html"><span class="menu-text">Page</span></a></li></ul></li></ul>
<main id="quarto-document-content"><header><h1 class="title">Peaks</h1><div class="description">Where a curve is highest.</div></header>
<p>Opening words. <code>avesound evaluate</code></p>
<figure><img src="a.png"><figcaption>A curve <b>and</b> its peak</figcaption></figure>
<section id="finding-them"><h2 data-anchor-id="finding-them">Finding them</h2><p>Prose on tau.</p>
<div class="cell"><div class="sourceCode"><pre>assert secret == 1</pre></div><div class="cell-output"><pre>0.123</pre></div></div>
<table><tr><th></th><th>name</th></tr></table>
<section id="peak"><h3 data-anchor-id="peak">peak</h3><div class="sourceCode"><pre>def peak(\n    pdf,\n) -> float:</pre></div>
<p><em>The moment of the highest cell.</em></p><p>More of it &lt;/script&gt;.</p></section></section>
<h3 data-anchor-id="loose">Loose</h3></main></body></html>"""


@pytest.fixture
def made_site(tmp_path):
    from PIL import Image

    (tmp_path / "howto").mkdir()
    (tmp_path / "page.html").write_text(MADE)
    (tmp_path / "howto/tau.html").write_text(MADE.replace("Peaks", "Choose tau").replace("Finding them", "How large is τ?"))
    (tmp_path / "other.html").write_text("<p>no page of Quarto's</p>")
    noise = np.random.default_rng(0).integers(0, 3, (60, 80, 3)).astype(np.uint8) * 60
    Image.fromarray(noise).save(tmp_path / "a.png")
    (tmp_path / "before.png").write_bytes((tmp_path / "a.png").read_bytes())
    return tmp_path


def test_pages_are_read_by_key_and_by_ear(made_site):
    from bs4 import BeautifulSoup

    assert finish.main([str(made_site)]) == 0
    once = (made_site / "page.html").read_text()
    page = BeautifulSoup(once, "html.parser")
    first = page.body.find("a")
    assert first["href"] == "#quarto-document-content" and "skip-link" in first["class"]
    assert page.find("img")["alt"] == "A curve and its peak" and page.find("h3", string="Loose")["id"] == "loose"
    assert [len(page.select(tag)) for tag in ("table td", "table th")] == [1, 1]
    arrow = page.select_one(".sidebar-item-toggle")
    assert (arrow["role"], arrow["aria-label"]) == ("button", "pages of How it works")
    finish.finish(made_site)
    assert (made_site / "page.html").read_text() == once, "nothing is done twice"
    assert (made_site / "other.html").read_text() == "<p>no page of Quarto's</p>"


def test_figures_get_smaller_and_look_the_same(made_site):
    from PIL import Image

    finish.lighter(made_site / "a.png")
    assert (made_site / "a.png").stat().st_size < (made_site / "before.png").stat().st_size
    with Image.open(made_site / "a.png") as small, Image.open(made_site / "before.png") as whole:
        np.testing.assert_array_equal(np.asarray(small.convert("RGB")), np.asarray(whole))
    size = (made_site / "a.png").stat().st_size
    finish.lighter(made_site / "a.png")
    assert (made_site / "a.png").stat().st_size == size and not list(made_site.glob("*.part"))


def test_a_search_finds_headings_and_names_and_no_tests(made_site):
    finish.finish(made_site)
    found = {entry["href"]: entry for entry in json.loads((made_site / "search.json").read_text())}
    assert set(found) == {f"{page}{mark}" for page in ("page.html", "howto/tau.html") for mark in ("", "#finding-them", "#peak", "#loose")}
    assert found["page.html"]["text"].startswith("Where a curve is highest. Opening words. avesound evaluate")
    assert found["page.html#finding-them"]["text"] == "Prose on tau. name"
    assert found["page.html#peak"]["text"] == "The moment of the highest cell." and found["page.html#peak"]["crumbs"] == ["How it works"]
    assert found["howto/tau.html"]["weight"] > found["page.html"]["weight"]
    assert "secret" not in (made_site / "search.json").read_text() and "</script" not in (made_site / "search.js").read_text()


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here (apt-get install chromium)")
def test_the_search_ranks_what_is_asked_for_first(made_site):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    finish.finish(made_site)
    script = (ROOT / "nbs/page.html").read_text()
    stub = "<script>window.Fuse = class { search() { return [{item: {href: 'by-fuse'}}] } }</script>"
    (made_site / "search.html").write_text(f"<html><head>{stub}</head><body>{script}</body></html>")
    queries = ["what is tau", "peak", "how large", "peak of a whale", "tua"]
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto((made_site / "search.html").as_uri())  # from a disk, where nothing can be fetched
        first = "query => readSearchData().then(index => index.search(query, { limit: 5 })[0].item.href)"
        hits = [page.evaluate(first, query) for query in queries]
        browser.close()
    assert hits == ["howto/tau.html", "howto/tau.html#peak", "howto/tau.html#finding-them", "howto/tau.html#peak", "by-fuse"]


# ---- how the documentation shows a name

api_page = ci_tool("api_page")

WRITTEN = '''
@lru_cache(None)
def reach(
    a: int,  # of `b`, in [0, 1]
    *,
    b: float = 1.0,
) -> "np.ndarray":  # float [shape=(T,)]
    """One line.

    More of it,
    on two lines.

    Raises
    ------
    ValueError
        If `a` is odd
        or large.
    OSError
        If there is no disk.

    References
    ----------
    Somebody (2018), eq. 3.
    """
    if a:
        raise ValueError


@dataclass(frozen=True)
class Held(Base):
    "A thing."

    t: float  # seconds
    more: dict = field(default_factory=dict)
    _cache = {}

    def __init__(
        self,
        u,  # a_b
        *,
        v: tuple = (),
    ):
        self.u = u  # no meaning

    @property
    def end(self) -> float:
        "When it ends."
        return self.t

    def _own(self): ...

    def wait(
        self,
        s: float,  # seconds
    ) -> None: ...


def hold() -> list["Held"]:
    return []


def one(line: int) -> "list[int]":  # of it
    return [line]


def bare(
    a,  # b
):  # something
    return a


def none(a=None) -> None: ...
'''


def test_a_name_is_shown_as_it_is_written():
    module = api_page.Module("avesound/x.py", WRITTEN)
    assert api_page.written(module, module.definitions["reach"]) == "def reach(a, *, b=1.0) -> np.ndarray"
    assert api_page.written(module, module.definitions["Held"]) == "@dataclass(frozen=True)\nclass Held(Base)\n    def __init__(u, *, v=())"
    reach = api_page.description(module, "reach")
    assert "avesound/x.py#L3)" in reach and reach.index("```python") < reach.index("*One line.*") < reach.index("| Parameter")
    assert [line for line in reach.splitlines() if line.startswith("|") and "--" not in line] == [
        "| Parameter | Type | Meaning |",
        r"| `a` | `int` | of `b`, in \[0, 1\] |",
        "| `b` | `float = 1.0` |  |",
        r"| *returns* | `np.ndarray` | float \[shape=(T,)\] |",
    ]
    assert reach.endswith(
        "**Raises**\n\n- `ValueError`: If `a` is odd\nor large.\n\n- `OSError`: If there is no disk.\n\n"
        "**References**\n\nSomebody (2018), eq. 3."
    )


def test_a_class_is_shown_with_its_fields_and_methods():
    held = api_page.description(api_page.Module("avesound/x.py", WRITTEN), "Held")
    assert [line for line in held.splitlines() if line.startswith("|") and "--" not in line] == [
        "| Field | Type | Meaning |",
        "| `t` | `float` | seconds |",
        "| `more` | `dict = dict()` |  |",
        "| Parameter | Type | Meaning |",
        r"| `u` |  | a\_b |",
        "| `v` | `tuple = ()` |  |",
        "| Method | Returns | Meaning |",
        "| [`end`]{#held.end} | `float` | When it ends. |",
        "| [`wait(s)`]{#held.wait} |  | *`s`: seconds* |",
    ]
    assert held.endswith("Comes from `hold()`.")


def test_what_comes_out_is_said():
    module = api_page.Module("avesound/x.py", WRITTEN)
    rows = {name: api_page.description(module, name).split("|---")[-1].splitlines()[1:-1] for name in ("one", "bare")}
    assert rows == {
        "one": ["| `line` | `int` |  |", "| *returns* | `list[int]` | of it |"],
        "bare": ["| `a` |  | b |", "| *returns* |  | something |"],
    }
    assert api_page.written(module, module.definitions["bare"]) == "def bare(a)"
    assert api_page.description(module, "none").endswith("### none\n\n```python\ndef none(a=None)\n```"), "nothing is said of it"


def test_a_long_signature_is_broken_between_its_parameters():
    entries = [api_page.Entry(f"parameter_{i}", "str", '"a b"', "") for i in range(8)]
    lines = api_page.signature("def f", entries, None).splitlines()
    assert lines[0] == "def f(" and lines[-1] == ")" and len(lines) > 3 and max(map(len, lines)) <= api_page.WIDTH
    assert re.findall(r'parameter_\d="a b"', "\n".join(lines)) == [entry.short for entry in entries]


def page_of(*sources: str, outputs: tuple[int, ...] = ()):
    "A notebook of these cells; those in `outputs` have one."
    from execnb.nbio import dict2nb, mk_cell

    made = [mk_cell(source.removeprefix("md "), "markdown" if source.startswith("md ") else "code") for source in sources]
    for i in outputs:
        made[i]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["3"]}]
    return dict2nb({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def processed(nb, *processors):
    from nbdev.process import NBProcessor

    NBProcessor(nb=nb, procs=[*processors]).process()
    return nb.cells


FOLDED = {
    "assert reach(2) == 3": True,
    "with pytest.raises(ValueError):\n    reach(1)": True,
    "for a in (2, 4):\n    assert reach(a)": True,
    "def odd(a):\n    return a % 2\n\n\nassert not odd(reach(3))": True,
    "private = reach(4)\nassert private": True,
    "assert [shared for shared in box]": True,
    "assert reach(4)\nshared = 4": False,  # the cell below uses it
    "print(shared)": False,
    "shared = 1\nassert shared": True,  # what is used below is made anew before
    "assert box\nbox.add(3)": False,  # changes what is used below
    "for bad in (1, 2):\n    assert reach(bad)": True,  # below it is another one
    "shared = reach(8)": False,
    "shared, box": False,
    "for bad in box:\n    print(bad, [private for private in box], (lambda a: a)(3))": False,
    "a = 1": False,  # no test
    "!ls": False,
    "md Text with assert in it.": False,
}


def test_cells_that_only_test_are_folded():
    shown = processed(page_of(*FOLDED), api_page.Fold)
    assert {given: cell.source == api_page.PROMISES + given for given, cell in zip(FOLDED, shown, strict=True)} == FOLDED
    assert "code-fold" in api_page.PROMISES and "What it promises" in api_page.PROMISES
    (cell,) = processed(page_of("reach(2)\nassert reach(2) == 3", outputs=(0,)), api_page.Fold)
    assert "code-fold" not in cell.source  # it shows something


def test_tests_below_what_a_page_needs_become_a_folded_cell():
    made = "import math\nassert math\nshared = reach(4)\nbox[0].add(3)"
    tests = "private = 3\n\n# Why.\nassert private < shared"
    shown = processed(page_of(f"{made}\n\n{tests}", "print(shared, box)"), api_page.Fold)
    assert [cell.source for cell in shown] == [made, api_page.PROMISES + tests, "print(shared, box)"]


def test_private_names_are_not_shown(monkeypatch):
    monkeypatch.setattr(api_page, "private_names", lambda nb: frozenset({"_hidden", "._own"}))
    sources = [
        "print(_hidden(3))",
        "look = reach(3)\nlook",
        "assert _hidden(3) == 3",
        "made = _hidden(2)\nassert made == 2\n# Why.\nassert reach(2) == 2\nassert box._own and other._replace(a=3)",
        "assert other._replace(a=3)",
    ]
    shown = processed(page_of(*sources, outputs=(0, 1)), api_page.Fold)
    assert [cell.source for cell in shown] == [
        "#| echo: false\n" + sources[0],
        sources[1],
        api_page.PROMISES + "# Why.\nassert reach(2) == 2",
        api_page.PROMISES + sources[4],
    ]
    assert api_page.excerpt("reach(_hidden(3))", ast.parse("reach(_hidden(3))"), "reach", frozenset({"_hidden"})) is None


def test_private_names_are_those_of_the_package():
    nb = page_of("#| default_exp localization.predict", "from avesound.timeline import _inner, cell_bounds\nfrom os import _exit")
    nb.cells[0]["directives_"], nb.cells[1]["directives_"] = {"default_exp": ["localization.predict"]}, {}
    private = api_page.private_names(nb)
    assert {"_last_cells", "_inner"} <= private and not {"_exit", "predict", "cell_bounds", "_"} & private
    assert (
        "._jobs" not in private and all(name.startswith(("_", "._")) for name in private) and any(name.startswith("._") for name in private)
    )


def examples_of(*sources: str, outputs: tuple[int, ...] = ()) -> str | None:
    nb = page_of(*sources, outputs=outputs)
    for cell in nb.cells:
        cell.directives_ = {}
    return api_page.Describe(nb).example(nb.cells, "reach")


def test_an_example_comes_from_the_page():
    assert examples_of("assert reach(2) == 3") == "**Example**\n\n```python\nassert reach(2) == 3\n```"
    table = "x = 5\na = 3\nb = 4\nrows = [b]\nprint(reach(a, b));\nc = reach(5)"
    assert examples_of("assert reach(2) == 3", table).splitlines()[3:-1] == ["a = 3", "b = 4", "print(reach(a, b))"], "shown before tested"
    assert examples_of("with pytest.raises(ValueError):\n    reach(1)", "reached(3)", "# reach(2)", "md reach(3)") is None
    long = "reach(\n    [\n        1,\n        2,\n    ]\n)"
    assert examples_of(long).splitlines()[3:-1] == ["reach([1, 2])"]
    assert examples_of("for a in b:\n    print(reach(a))").splitlines()[3:-1] == ["print(reach(a))"]
    assert examples_of("reach(2)", outputs=(0,)) is None, "it stands there, with what comes out"
    assert examples_of("other(2)", "reach(2)", outputs=(0, 1)) is not None


@pytest.mark.parametrize(
    "word", ["dist", "mass_inside", "confidence", "peak", "evaluate", "encode_clip", "mass_in", "no_such_name", "NoSuchName", "a b", "x()"]
)
def test_words_of_the_field_are_no_links(word):
    lookup = api_page.Lookup()
    assert lookup.linkify(f"The `{word}` of a clip") == f"The `{word}` of a clip"


ADDRESSES = {
    "dist()": "metrics_clip.html#dist",
    "mass_inside()": "metrics_clip.html#mass_inside",
    "Evaluation": "evaluation_evaluate.html#evaluation",
    "Evaluation.save": "evaluation_evaluate.html#evaluation.save",
    "read_annotations": "data_annotations.html#read_annotations",
}


@pytest.mark.parametrize(("name", "page"), ADDRESSES.items())
def test_names_are_links(name, page):
    lookup = api_page.Lookup()
    linked = f"See [`{name}`]({offline.address()}{page})."
    assert lookup.linkify(f"See `{name}`.") == linked == lookup.linkify(linked), "once"
    assert lookup.linkify(f"```\n`{name}`\n```") == f"```\n`{name}`\n```"


# ---- the rest


def test_no_python_is_a_clear_error(tmp_path):
    done = subprocess.run(
        [ROOT / ".ci/env", tmp_path / "venv"],
        env={**os.environ, "PYTHON": "false /nonexistent/python"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "tried: false /nonexistent/python" in done.stderr and not (tmp_path / "venv").exists()


# ---- the environment, whatever pip and uv are told

installers = ci_tool("installers")
HOSTILE = {
    "PIP_USER": "1", "PIP_REQUIRE_VIRTUALENV": "1", "PIP_TARGET": "elsewhere", "PIP_PREFIX": "elsewhere", "PIP_ROOT": "elsewhere",
    "PIP_PYTHON": "/nowhere", "PIP_DRY_RUN": "1", "PIP_NO_DEPS": "1",
    "PIP_CONSTRAINT": "/nowhere.txt", "PIP_REQUIRE_HASHES": "1", "PIP_ONLY_BINARY": ":none:", "UV_SYSTEM_PYTHON": "1", "UV_PYTHON": "3.8",
    "UV_TARGET": "elsewhere", "UV_EXCLUDE_NEWER": "2020-01-01",
    "UV_REQUIRE_HASHES": "1", "UV_NO_BUILD": "1", "UV_RESOLUTION": "lowest", "UV_PROJECT_ENVIRONMENT": "elsewhere",
}  # fmt: skip
FOLLOWED = {
    "PIP_INDEX_URL": "https://mirror.example.org/simple",
    "PIP_CERT": "/etc/cert.pem",
    "UV_CACHE_DIR": "/scratch/uv",
    "UV_DEFAULT_INDEX": "https://mirror.example.org/simple",
    "UV_HTTP_TIMEOUT": "300",
    "HTTPS_PROXY": "http://proxy",
}


def test_of_what_pip_and_uv_are_told_where_packages_come_from_is_followed_and_nothing_else():
    listed = "\n".join([
        "global.index-url='https://other.example.org/simple'", "global.extra-index-url='file:///a/simple file:///b/simple\\nfile:///c'",
        "global.user='true'", "install.user='yes'", "install.target='/elsewhere'",
        "install.find-links=\"/it's/here\"", "global.find-links='/there'", "global.constraint='/c.txt'", ":env:.user='1'",
        "install.no-index='false'",
    ])  # fmt: skip
    variables = installers.environment({"PATH": "/bin", **HOSTILE, **FOLLOWED}, listed)
    assert variables == {
        "PATH": "/bin", **FOLLOWED, "PIP_EXTRA_INDEX_URL": "file:///a/simple file:///b/simple file:///c", "PIP_FIND_LINKS": "/it's/here",
        "PIP_NO_INDEX": "false", "PIP_CONFIG_FILE": os.devnull,
    }  # fmt: skip


def test_pip_installs_into_the_environment_whatever_it_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "avesound_probe-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("avesound_probe.py", "here = __file__")
        wheel.writestr("avesound_probe-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: avesound-probe\nVersion: 1.0\n")
        wheel.writestr(
            "avesound_probe-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(
            "avesound_probe-1.0.dist-info/RECORD",
            "avesound_probe.py,,\navesound_probe-1.0.dist-info/METADATA,,\navesound_probe-1.0.dist-info/WHEEL,,\navesound_probe-1.0.dist-info/RECORD,,\n",
        )
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    (tmp_path / "pip.conf").write_text(
        f"[global]\nfind-links = {tmp_path}\nno-index = true\n[install]\nuser = true\ntarget = {tmp_path / 'elsewhere'}\n"
        "require-hashes = true\nconstraint = /nowhere.txt\n"
    )
    env = (
        {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        | HOSTILE
        | {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "HOME": str(tmp_path)}
    )
    words = [python, "-m", "pip", "install", "--quiet", "avesound-probe"]
    plain = subprocess.run(words, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    done = subprocess.run([python, ROOT / ".ci/installers.py", *words], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert plain.returncode != 0 and done.returncode == 0, (plain.stderr, done.stderr)
    where = subprocess.run(
        [python, "-c", "import avesound_probe; print(avesound_probe.here)"], capture_output=True, text=True, check=True
    ).stdout
    assert Path(where.strip()).is_relative_to(tmp_path / "venv") and not (tmp_path / "elsewhere").exists()


def test_every_installer_of_the_environment_is_run_that_way():
    lines = [line for line in (ROOT / ".ci/env").read_text().splitlines() if re.search(r"(-m pip|bin/uv\") (pip )?install", line)]
    assert len(lines) == 2 and all(re.search(r"\bwith \"", line) for line in lines), lines


def test_the_page_on_installing_names_the_platforms_that_have_wheels():
    "Which ones have, `.ci/platforms` asks the index; the first four it names are those that had when the page was written."
    names = [
        line.split("|")[2] for line in re.search(r"platforms='(.*?)'", (ROOT / ".ci/platforms").read_text(), re.DOTALL)[1].splitlines()
    ]
    page = (ROOT / "nbs/start/install.md").read_text(encoding="utf-8").partition("## Platforms")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in page.splitlines() if row.startswith("| ")][1:]
    assert len(names) == 8 and len(rows) == 8
    assert [row[1] for row in rows] == ["yes"] * 4 + ["no"] * 4
    assert [name for name, row in zip(names, rows, strict=True) if not row[0].startswith(name)] == []


def test_no_gpu_is_a_clear_word():
    done = subprocess.run(
        [sys.executable, ROOT / ".ci/gpu.py"], env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and re.search(r"^torch \d.*\nno GPU: ", done.stdout, re.MULTILINE) and "Traceback" not in done.stderr


# ---- make gpu-login: whichever scheduler answers

SILENT = "exit 1"  # the command is installed, and no daemon answers it
GRID_ENGINE = (
    "case $1 in -sc) printf '%s\\n' '#name shortcut type' 'gpus gpus INT' 'gpu_c gpu_c DOUBLE' 'mem_per_core mpc MEMORY' "
    "'h_vmem h_vmem MEMORY';; -spl) printf 'mpi\\nomp\\n';; esac"
)
PLAIN_GRID_ENGINE = "case $1 in -sc) printf '%s\\n' 'gpu gpu INT' 'mem_free mf MEMORY' 'h_vmem h_vmem MEMORY';; -spl) echo make;; esac"


@pytest.mark.parametrize(
    "commands, code, says",
    [
        ({}, 1, "neither qrsh .* nor srun .* is here"),
        ({"qrsh": SILENT, "qconf": SILENT}, 1, "qrsh .* no master answers it. Run it on your cluster's login node"),
        ({"qrsh": SILENT, "qconf": "sleep 60"}, 1, "no master answers it"),
        (
            {"qrsh": SILENT, "qconf": SILENT, "srun": SILENT, "sinfo": SILENT},
            1,
            "no master answers it, and srun .* no controller answers it",
        ),
        (
            {"srun": "echo ran srun $*", "sinfo": "echo gpu up"},
            0,
            "ran srun --time=4:00:00 --gres=gpu:1 --mem=24G --cpus-per-task=4 --account=me --pty .*-l",
        ),
        ({"qrsh": SILENT, "qconf": SILENT, "srun": "echo ran srun $*", "sinfo": "echo gpu up"}, 0, "ran srun "),
        (
            {"qrsh": "echo ran qrsh $*", "qconf": GRID_ENGINE, "srun": "echo ran srun", "sinfo": "echo up"},
            0,
            "ran qrsh -l h_rt=4:00:00 -l gpus=1 -l gpu_c=7.5 -pe omp 4 -l mem_per_core=6G --account=me",
        ),
        ({"qrsh": "echo ran qrsh $*", "qconf": PLAIN_GRID_ENGINE}, 0, "ran qrsh -l h_rt=4:00:00 -l gpu=1 -l mem_free=24G --account=me"),
    ],
)
def test_gpu_login_asks_the_scheduler_that_answers(tmp_path, commands, code, says):
    for tool in ("bash", "env", "timeout", "grep", "head", "sleep"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    for name, script in commands.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": str(tmp_path), "SHELL": "/bin/bash", "GPU_ARGS": "--account=me", "SCHEDULER_TIMEOUT_S": "1"}
    done = subprocess.run([ROOT / ".ci/gpu_login"], env=env, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == code, done
    last = (done.stdout or done.stderr).rstrip().splitlines()[-1]
    assert re.search(says, last) and (code or "sleep" not in last), last


OF_MAKE = ("VENV", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL")


def test_the_makefile_cleans_as_its_table_says(tmp_path, monkeypatch):
    "`clean` deletes the environments and nothing else, `tidy` what runs leave and not the environments."
    for name in OF_MAKE:  # `make test VENV=…` hands them on, and the environment is none of this test's
        monkeypatch.delenv(name, raising=False)
    for name in ("Makefile", "settings.ini", "requirements.txt", "setup.py", ".ci/env"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in (".venv", ".venv-newest", "demo", "data", "_docs", "nbs/__pycache__"):
        (tmp_path / name).mkdir(parents=True)
    make = lambda target: subprocess.run(["make", target], cwd=tmp_path, capture_output=True, text=True, check=True)  # noqa: E731
    make("tidy")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        ".ci",
        ".venv",
        ".venv-newest",
        "data",
        "nbs",
    ] and not list((tmp_path / "nbs").iterdir())
    make("clean")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [".ci", "data", "nbs"]
    asked = subprocess.run(["make", "--dry-run", "data", "ZIP=a b.zip"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert (
        '.venv/bin/avesound download --out_dir data/ave --zip "a b.zip"' in asked
        and ".venv/bin/avesound extract-wav --vid_dir data/ave/raw/AVE --out_dir data/ave/ave_wav" in asked
    )


def test_no_test_is_told_which_environment_runs_it(tmp_path):
    "One that cleans up would delete it."
    script = (ROOT / ".ci/pytest").read_text(encoding="utf-8")
    (line,) = re.findall(r"^unset (VENV .*)$", script, re.MULTILINE)
    assert set(OF_MAKE) == set(line.split())
    assert script.index(line) < script.index("-m pytest")


# ---- .ci/pages.py

pages = ci_tool("pages")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("short", ["short"]),
        ("word " * 30, ["word " * 19 + "word", "    " + "word " * 9 + "word"]),
        ("  note: " + "word " * 30, ["  note: " + "word " * 17 + "word", "      " + "word " * 11 + "word"]),
        ("settings  " + "a=1, " * 25, ["settings  " + "a=1, " * 17 + "a=1,", " " * 10 + "a=1, " * 6 + "a=1,"]),
        ("0.84 [0.13, 1.78]     " * 5 + "0.61", ["0.84 [0.13, 1.78]     " * 5 + "0.61"]),
        ("1  -0.746  " * 6 + "signal, " * 10, ["1  -0.746  " * 6 + "signal, " * 7 + "signal,", " " * 66 + "signal, " + "signal,"]),
        ("| " + "a | " * 40, ["| " + "a | " * 40]),
        ("a long name of an encoder  " + "+0.84 [+0.13, +1.78]  " * 5, ["a long name of an encoder  " + "+0.84 [+0.13, +1.78]  " * 5]),
        ("see /" + "x" * 120, ["see", "    /" + "x" * 120]),
    ],
)
def test_printed_lines_are_broken_where_words_end(line, expected):
    assert pages.wrapped(line).split("\n") == expected
    assert pages.wrapped(line).split() == line.split(), "no word is lost"
