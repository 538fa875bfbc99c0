"What must hold of the repository itself: modules and notebooks agree, arrows run one way, what ships is whole and light."

import ast
import contextlib
import filecmp
import importlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement
from test_house import LAYERS
from test_tutorials import code_of

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
NOTEBOOKS = sorted(path for path in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
TUTORIALS = [path for path in NOTEBOOKS if path.parent.name == "tutorials"]  # export nothing
MARKDOWN = sorted((ROOT / "nbs").rglob("*.md"))  # pages of the documentation that are no notebooks
REFERENCE = [path for path in NOTEBOOKS if path.parent.name == "reference"]  # nor do these
CHAPTERS = [path for path in NOTEBOOKS if path.name != "index.ipynb" and path not in TUTORIALS + REFERENCE]

settings = ConfigParser(delimiters=["="])
settings.read(ROOT / "settings.ini", encoding="utf-8")
settings = settings["DEFAULT"]


def by_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def cells(path: Path) -> list[dict]:
    nb = json.loads(path.read_text(encoding="utf-8"))
    return [{**cell, "source": "".join(cell["source"])} for cell in nb["cells"]]


def module_of(notebook: Path) -> str | None:
    "The module that a notebook exports to, `data.ave` say."
    modules = [match[1] for cell in cells(notebook) if (match := re.search(r"^#\|\s*default_exp\s+(\S+)", cell["source"], re.MULTILINE))]
    return modules[0] if modules else None


def run(command: list, cwd: Path, **env: str) -> subprocess.CompletedProcess:
    "Run to the end; a failure shows what the command said."
    clean = {name: value for name, value in os.environ.items() if name != "IN_TEST"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**clean, **env},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, (
        f"{shlex.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    )
    return done


def committed(folder: Path) -> Path:
    "`folder` with what a commit of the working tree would hold."
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip(f"not a git checkout: {listed.stderr.strip()}")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def copy(tmp_path):
    "A copy of the repository that a test may change."
    return committed(tmp_path / "avesound")


def differences(copy: Path, folder: str, pattern: str) -> list[str]:
    "Files of `folder` that are not the same here and in the copy."
    of_root, of_copy = ({path.relative_to(top).as_posix() for path in (top / folder).rglob(pattern)} for top in (ROOT, copy))
    of_root = {name for name in of_root if ".ipynb_checkpoints" not in name}
    return sorted(
        name for name in of_root | of_copy if name not in of_root & of_copy or not filecmp.cmp(ROOT / name, copy / name, shallow=False)
    )


# ---- notebooks and modules


def test_modules_are_what_the_notebooks_export(copy):
    for path in (copy / "avesound").rglob("*.py"):
        if path.name not in ("__init__.py", "__main__.py"):
            path.unlink()  # a module without a notebook is not written again, and so is found
    run([BIN / "nbdev_export"], copy)
    assert differences(copy, "avesound", "*.py") == [], "nbdev_export, and commit module and notebook together"


def test_notebooks_are_clean(copy):
    run([BIN / "nbdev_clean"], copy)
    assert differences(copy, "nbs", "*.ipynb") == [], "nbdev_clean, and commit"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=by_name)
def test_notebook_is_a_small_chapter(notebook):
    title = cells(notebook)[0]
    assert title["cell_type"] == "markdown" and re.match(r"# [^\n]+\n\n> [^\n]+(\n\n|$)", title["source"]), (
        f"begins with a title and a one-line summary, not {title['source'][:80]!r}"
    )
    assert notebook.stat().st_size < 1_000_000, f"{notebook.stat().st_size / 1e6:.2f} MB"
    if notebook in CHAPTERS:
        module = module_of(notebook)
        assert module, "names its module: #| default_exp"
        assert re.fullmatch(rf"\d{{3}}_{re.escape(module.replace('.', '_'))}", notebook.stem), (
            f"is numbered and named after its module, {module}"
        )
        names = {module, module.rpartition(".")[2]}
        assert title["source"][2:].partition(": ")[0] in names, f"its title is 'MODULE: what it is', as in # {module}: …"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=by_name)
def test_outputs_are_fit_to_print(notebook):
    outputs = [(i, output) for i, cell in enumerate(cells(notebook), 1) for output in cell.get("outputs", [])]
    assert [i for i, output in outputs if output["output_type"] == "error"] == [], "cells failed"
    shown = [
        (i, "".join(text))
        for i, output in outputs
        for kind, text in {"text/plain": output.get("text", ""), **output.get("data", {})}.items()
        if kind.startswith("text/") or kind == "image/svg+xml"
    ]
    machine = re.compile(
        r"(?<![\w.])(/(home|root|Users|tmp|work|usr\d?|var|private|opt|mnt|media|scratch|projectnb\w*)/|[A-Z]:\\)[^\s'\"<>]*"
    )
    assert [(i, match[0]) for i, text in shown for match in machine.finditer(text)] == [], "a path of one machine"
    alive = [i for i, output in outputs for kind in output.get("data", {}) if re.search("widget|javascript", kind)]
    assert alive == [], (
        "widgets, progress bars among them, are nothing without their kernel, and their page would load scripts from elsewhere"
    )
    state = json.loads(notebook.read_text(encoding="utf-8"))["metadata"].get("widgets")
    assert state is None, "the state of widgets is stored"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=by_name)
def test_pictures_are_told_in_words(notebook):
    silent = []
    for i, cell in enumerate(cells(notebook), 1):
        if cell["cell_type"] == "markdown":
            silent += [f"cell {i}: {picture}" for picture in re.findall(r"!\[\s*\]\([^)]*\)|<img(?![^>]*\balt=.)[^>]*>", cell["source"])]
            continue
        figures = sum(kind.startswith("image/") for output in cell["outputs"] for kind in output.get("data", {}))
        if figures and not re.search(r"^#\|\s*hide\b", cell["source"], re.MULTILINE):
            match = re.search(r"^#\| fig-alt: (.+)$", cell["source"], re.MULTILINE)
            texts = yaml.safe_load(match[1]) if match else []
            if len([texts] if isinstance(texts, str) else texts) != figures:
                silent.append(f"cell {i}: {figures} figures, #| fig-alt: {texts!r}")
    assert silent == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=by_name)
def test_a_figure_that_is_told_in_words_is_stored(notebook):
    "A chapter that was edited and not run again has lost what the page would show."
    lost = []
    for i, cell in enumerate(cells(notebook), 1):
        if cell["cell_type"] == "code" and re.search(r"^#\| fig-alt:", cell["source"], re.MULTILINE):
            shown = [kind for output in cell["outputs"] for kind in output.get("data", {})]
            if not any(kind.startswith("image/") or kind == "text/html" for kind in shown):
                lost.append(f"cell {i}: {cell['source'][:60]!r}")
    assert lost == [], "run the notebook"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=by_name)
def test_cells_with_an_import_hold_nothing_else(notebook):
    "The docs build runs exported cells and those that hold an import, and no others: what else stands there lacks the cells before it."
    mixed = []
    for i, cell in enumerate(cells(notebook), 1):
        if cell["cell_type"] != "code" or re.search(r"^#\|\s*(export|eval:\s*false)", cell["source"], re.MULTILINE):
            continue
        tree = ast.parse(TransformerManager().transform_cell(cell["source"]))  # magics become Python
        is_import = [isinstance(node, (ast.Import, ast.ImportFrom)) for node in tree.body]
        if any(is_import) and not all(is_import):
            mixed.append(f"cell {i}: {cell['source'][:200]}")
    assert mixed == []


def test_chapters_stand_in_the_order_of_the_house():
    rooms = [module_of(path) for path in CHAPTERS]
    numbers = [path.name.partition("_")[0] for path in CHAPTERS]
    assert len(set(numbers)) == len(numbers), f"a number given twice: {numbers}"
    package = [room.partition(".")[0] for room in rooms]
    assert package == sorted(package, key=LAYERS.index)


# ---- names and imports


def test_a_public_name_stands_in_one_room():
    "The documentation links a name to the one room that has it."
    rooms = {}
    for path in (ROOT / "avesound").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                rooms.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert {name: paths for name, paths in rooms.items() if len(paths) > 1} == {}


def imported_by(command: list) -> tuple[set[str], float]:
    "All modules that a Python command imports, and the seconds that took."
    lines = re.findall(r"^import time:\s+(\d+) \|\s+\d+ \| +(\S+)$", run(command, ROOT, PYTHONPROFILEIMPORTTIME="1").stderr, re.MULTILINE)
    assert len(lines) > 20, "no import was recorded"
    return {name for _, name in lines}, sum(int(us) for us, _ in lines) / 1e6


HEAVY = {"torch", "torchvision", "torchaudio", "pandas", "scipy", "matplotlib"}


def test_import_avesound_is_light():
    names, seconds = imported_by([sys.executable, "-c", "import avesound"])
    print(f"import avesound: {seconds:.2f} s")
    assert "avesound" in names
    assert names & HEAVY == set()


def test_every_room_is_imported_without_torch():
    rooms = [f"avesound.{module_of(path)}" for path in CHAPTERS]
    names, seconds = imported_by([sys.executable, "-c", f"import {', '.join(rooms)}"])
    print(f"import of every room: {seconds:.2f} s")
    assert set(rooms) - names == set()
    assert names & (HEAVY - {"pandas"}) == set()


def test_the_command_line_helps_without_torch():
    names, seconds = imported_by([BIN / "avesound", "--help"])
    print(f"avesound --help: {seconds:.2f} s")
    assert "avesound.cli" in names
    assert names & HEAVY == set()


def test_python_m_avesound_is_the_command():
    shown = [run([*command, "--help"], ROOT).stdout for command in ([sys.executable, "-m", "avesound"], [BIN / "avesound"])]
    assert shown[0] == shown[1] and "extract" in shown[0]
    failed = subprocess.run([sys.executable, "-m", "avesound", "extractt"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert failed.returncode == 2


# ---- docs


FENCE = re.compile(r"^ *```([^\n`]*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


class Links(HTMLParser):
    def __init__(self, html: str):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in {"src", "href", "poster"} and value]


def links_of(path: Path) -> list[str]:
    from nbconvert.filters import markdown2html

    if path.suffix == ".md":
        return Links(markdown2html(path.read_text(encoding="utf-8"))).found
    html = [markdown2html(cell["source"]) for cell in cells(path) if cell["cell_type"] == "markdown"]
    outputs = [output.get("data", {}) for cell in cells(path) for output in cell.get("outputs", [])]
    html += ["".join(data.get("text/html", "")) for data in outputs]
    html += [markdown2html("".join(data["text/markdown"])) for data in outputs if path in REFERENCE and "text/markdown" in data]
    return [link for page in html for link in Links(page).found]


@pytest.mark.parametrize("page", [*NOTEBOOKS, *MARKDOWN, *ROOT.glob("*.md"), *(ROOT / "benchmarks").glob("*.md")], ids=by_name)
def test_links_lead_somewhere(page):
    targets = {
        unquote(re.split(r"[#?]", link)[0]) for link in links_of(page) if not re.match(r"[a-z][a-z0-9+.-]*:|//", link, re.IGNORECASE)
    } - {""}
    dead = {target for target in targets if target.startswith("/") or not (page.parent / target).exists()}
    assert not dead, f"dead links: {sorted(dead)}"


def heading_ids(page: Path) -> set[str]:
    "The anchors of a page: what a heading says of itself in `{#id}`, else the words of the heading, as Pandoc makes an id of them."
    if page.suffix == ".md":
        text = page.read_text(encoding="utf-8")
    else:
        text = "\n\n".join(cell["source"] for cell in cells(page) if cell["cell_type"] == "markdown")
    ids = set()
    for heading in re.findall(r"^#+ +(.+?)\s*$", FENCE.sub("", text), re.MULTILINE):
        given = re.search(r"\{#([\w.-]+)\}$", heading)
        words = re.sub(r"[^\w\s.-]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower())
        ids.add(given[1] if given else re.sub(r"\s+", "-", re.sub(r"^[^a-zA-Z]+", "", words.strip())))
    return ids


@pytest.mark.parametrize("page", MARKDOWN, ids=by_name)
def test_links_lead_to_headings(page):
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        if anchor and not re.match(r"[a-z][a-z0-9+.-]*:|//", link, re.IGNORECASE) and anchor not in heading_ids(target):
            lost.append(link)
    assert lost == []


def test_headings_get_the_ids_that_the_site_gives_them(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One\n\n## A GPU to sit at, and a window\n\n## tau (τ) {#tau}\n\n```bash\n# no heading\n```\n\n## 3 of `x_y`?\n")
    assert heading_ids(page) == {"one", "a-gpu-to-sit-at-and-a-window", "tau", "of-x_y"}


def front_matter(page: Path) -> tuple[dict, str]:
    "The front matter of a page, and what follows it."
    _, head, body = page.read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


@pytest.mark.parametrize("page", MARKDOWN, ids=by_name)
def test_a_page_can_be_found_and_fits(page):
    about, body = front_matter(page)
    assert (about.get("title") or about.get("pagetitle")) and (about.get("description") or page.name == "scale.md"), (
        "what a search shows of it"
    )
    prose = FENCE.sub("", body)
    assert not re.search(r"^# ", prose, re.MULTILINE), "one h1 a page, the title"
    assert re.search(r"^## ", prose, re.MULTILINE) or "{{< include" in body
    assert re.findall(r"[^\n]\n(#+ .*)", prose) == [], "without an empty line before it, it is no heading"
    wide = [line for kind, block in FENCE.findall(body) if kind != "bibtex" for line in block.splitlines() if len(line) > 80]
    assert wide == [], "break it by hand"
    for name in re.findall(r"\{\{< include (\S+) >\}\}", body):
        assert (page.parent / name).is_file(), name


HOWTO = [page for page in MARKDOWN if page.parent.name == "howto"]


@pytest.mark.parametrize("page", HOWTO, ids=by_name)
def test_a_task_has_its_command_and_leads_on(page):
    _, body = front_matter(page)
    kinds = {kind for kind, _ in FENCE.findall(body)}
    assert {"bash", "text"} & kinds, "what to type, or what comes out"
    assert "python" in kinds or page.name == "results.md", "the same in Python"
    assert re.search(r"\]\(\.\./(tutorials|start|\d)", body), "a link to where it is told at length"


@pytest.mark.parametrize("page", MARKDOWN, ids=by_name)
def test_python_on_a_page_uses_what_is_there(page):
    "It is Python, and each name that it imports from the package exists."
    for kind, block in FENCE.findall(page.read_text(encoding="utf-8")):
        if kind != "python":
            continue
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "avesound":
                module = importlib.import_module(node.module)
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == [], node.module


def test_the_pytorch_encoder_of_the_page_runs(small_set, tmp_path):
    (block,) = [b for _, b in FENCE.findall((ROOT / "nbs/howto/own_encoder.md").read_text(encoding="utf-8")) if "import torch" in b]
    (tmp_path / "mine.py").write_text(block, encoding="utf-8")
    shutil.copytree(small_set, tmp_path / "my_videos")
    save = "import torch, mine; torch.manual_seed(0); torch.save(mine.TwoTowers().state_dict(), 'mine.pth')"
    run([sys.executable, "-c", save], tmp_path)
    assert "5 ok" in run([sys.executable, "mine.py"], tmp_path).stdout


def test_every_metric_and_setting_has_its_word():
    "What stands in a table or is an option that everybody meets is explained under Words."
    from avesound.localization.baselines import BASELINES

    text = (ROOT / "nbs/start/words.md").read_text(encoding="utf-8")
    ids = heading_ids(ROOT / "nbs/start/words.md")
    assert {"dist", "inside", "mass-inside", "crps", "auroc", "log-score", "mae", "tau", "L", "audio-query", "partial-clip"} <= ids
    assert [name for name in [*BASELINES, "shuffled", "oracle", "sync", "stride"] if name not in text] == []


QUARTO = yaml.safe_load((ROOT / "_quarto.yml").read_text(encoding="utf-8"))


def pages_of(sidebar: list) -> list[str]:
    "The pages that a sidebar names, from top to bottom."
    pages = []
    for entry in sidebar:
        entry = {"href": entry} if isinstance(entry, str) else entry
        pages += pages_of(entry["contents"]) if "section" in entry else [entry["href"]]
    return pages


def test_every_page_is_in_the_sidebar_once_and_in_reading_order():
    pages = pages_of(QUARTO["website"]["sidebar"]["contents"])
    names = lambda paths: [path.relative_to(ROOT / "nbs").as_posix() for path in paths]  # noqa: E731
    assert sorted(pages) == sorted(names([*NOTEBOOKS, *MARKDOWN]))
    assert [page for page in pages if page in names(CHAPTERS)] == names(CHAPTERS)
    assert {item["href"] for item in QUARTO["website"]["navbar"]["left"]} <= set(pages)


def test_the_door_of_tasks_opens_a_page_that_lists_them_all_by_their_titles():
    (door,) = (item["href"] for item in QUARTO["website"]["navbar"]["left"] if item["text"] == "How do I …")
    (behind,) = (pages_of(one["contents"]) for one in QUARTO["website"]["sidebar"]["contents"] if one["section"] == "How do I …")
    page = ROOT / "nbs" / door
    assert behind[0] == door
    listed = re.findall(r"^- \[([^]]+)\]\(([^)]+)\)[: ]+\S.*[.?]$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert [link for _, link in listed] == behind[1:], "every task and tutorial, in the order of the sidebar, with a sentence"
    for words, link in listed:
        target = page.parent / link
        head = front_matter(target)[0]["title"] if target.suffix == ".md" else cells(target)[0]["source"].partition("\n")[0].lstrip("# ")
        assert words == head, link


def test_the_site_is_light_and_dark_and_asks_nobody_for_letters():
    theme = QUARTO["format"]["html"]["theme"]
    assert {"light", "dark"} == theme.keys() and all(layers[-1] == "theme.scss" for layers in theme.values())
    assert "$web-font-path: false;" in (ROOT / "nbs/theme.scss").read_text(encoding="utf-8")
    assert QUARTO["format"]["html"]["html-math-method"] == "mathml", "MathJax would come from another host"
    assert QUARTO["website"]["navbar"]["search"] is True


@pytest.fixture(scope="module")
def processed(tmp_path_factory):
    "The project with its pages as Quarto gets them, in _proc."
    folder = committed(tmp_path_factory.mktemp("docs") / "avesound")
    run([sys.executable, "-c", "from nbdev.serve import proc_nbs; proc_nbs(n_workers=2)"], folder, PYTHONPATH=".ci", MPLBACKEND="agg")
    return folder


def markdown_of(page: Path) -> list[str]:
    "What a processed page says in Markdown, cells and descriptions of names."
    shown = []
    for cell in cells(page):
        shown += [cell["source"]] if cell["cell_type"] == "markdown" else []
        shown += [
            "".join(output["data"]["text/markdown"]) for output in cell.get("outputs", []) if "text/markdown" in output.get("data", {})
        ]
    return shown


def test_every_notebook_becomes_a_page(processed):
    pages, notebooks = (
        {path.relative_to(folder).as_posix() for path in folder.rglob("*.ipynb")} for folder in (processed / "_proc", processed / "nbs")
    )
    assert pages == notebooks
    lost = [
        path for path in ("_quarto.yml", "theme.scss", "performance.md", "images/workflow.svg") if not (processed / "_proc" / path).exists()
    ]
    assert lost == [], "what the pages need is beside them"
    stub = yaml.safe_load((processed / "_proc/_quarto.yml").read_text(encoding="utf-8"))
    assert "../_quarto.yml" in stub["metadata-files"], "the settings at the top level are in charge"


def test_links_between_names_and_pages_lead_somewhere(processed):
    "nbdev makes a link of every name of ours that stands between backticks."
    site = settings["doc_host"] + settings["doc_baseurl"] + "/"
    pages = {path: markdown_of(path) for path in (processed / "_proc").rglob("*.ipynb")}
    names = {}
    for path, texts in pages.items():
        title = cells(path)[0]["source"]
        folder = path.parent.relative_to(processed / "_proc")
        names[(folder / yaml.safe_load(title.strip().strip("-"))["output-file"]).as_posix()] = {
            heading for text in texts for heading in re.findall(r"^#+ ([\w.-]+)\s*$", text, re.MULTILINE)
        }
    links = {link for texts in pages.values() for text in texts for link in re.findall(re.escape(site) + r"([^)\s]*)", text)}
    assert len(links) > 50
    targets = [link.partition("#") for link in links]
    assert {page for page, _, _ in targets} - set(names) == set(), "pages that are not there"
    known = {page: {heading.lower() for heading in headings} for page, headings in names.items()}
    assert {f"{page}#{name}" for page, _, name in targets if name and name.partition(".")[0] not in known[page]} == set(), (
        "names not described there"
    )


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_says_which_notebook_it_is_and_shows_what_its_test_runs(processed, page):
    made = cells(processed / "_proc/tutorials" / page.name)
    (origin,) = (cell["source"] for cell in made if "notebook-origin" in cell["source"])
    assert f"({settings['git_url']}/blob/{settings['branch']}/{by_name(page)})" in origin
    alone = [line for cell in made if cell["cell_type"] == "markdown" for line in re.findall(r"^!\[.*\)$", cell["source"], re.MULTILINE)]
    assert alone == [], "Quarto would take the words of such a picture for a caption, and give it no alternative text"
    first = next(cell for cell in made if cell["cell_type"] == "markdown" and not cell["source"].startswith("<!--"))
    assert first["source"] == origin, "it stands above all else"
    plain = lambda source: re.sub(r"^(#\|.*\n)+", "", source).strip()  # noqa: E731
    shown = [plain(cell["source"]) for cell in made if cell["cell_type"] == "code" and not re.search(r"^#\| *echo: *false", cell["source"])]
    assert shown == [plain(source) for _, source, is_shown in code_of(page) if is_shown]
    assert (f'href="notebooks/{page.name}"' in origin) == bool(shown)
    if not (processed / "_docs/tutorials/notebooks").is_dir():  # once for all pages
        run([sys.executable, ".ci/pages.py", "_proc", "_docs"], processed)
    download = cells(processed / "_docs/tutorials/notebooks" / page.name)
    assert [cell["source"].strip() for cell in download if cell["cell_type"] == "code"] == shown, "the notebook to download is the page"
    links = [link for cell in download if cell["cell_type"] == "markdown" for link in re.findall(r"\]\(([^)]*)\)", cell["source"])]
    site = f"{settings['doc_host']}{settings['doc_baseurl']}/"
    assert (
        links
        and all(re.match(r"#|https?://", link) for link in links)
        and not [link for link in links if site in link and ".ipynb" in link]
    )


def test_what_is_printed_fits_a_page(processed):
    "Sentences are broken at a hundred columns; what is wider is a table of results, of a label and five metrics."
    wide = []
    for path in (processed / "_proc").rglob("*.ipynb"):
        for number, cell in enumerate(cells(path), 1):
            for output in cell.get("outputs", []):
                text = output.get("text", output.get("data", {}).get("text/plain", "") if len(output.get("data", {})) == 1 else "")
                for line in "".join(text).split("\n"):
                    if len(line) > 100 and not line.startswith("|") and not (len(line) <= 132 and re.search(r"\S {2,}\S", line[40:])):
                        wide.append(f"{path.name}, cell {number}: {line}")
    assert wide == []


@pytest.mark.parametrize("page", [*NOTEBOOKS, *(ROOT / "nbs").rglob("*.md")], ids=by_name)
def test_a_page_has_one_title(page):
    "The first line of a notebook, or the front matter, is the page's h1."
    texts = (
        [page.read_text(encoding="utf-8")] if page.suffix == ".md" else [c["source"] for c in cells(page) if c["cell_type"] == "markdown"]
    )
    titles = [line for text in texts for line in re.findall(r"^# .+", FENCE.sub("", text), re.MULTILINE)]
    assert len(titles) == (page.suffix == ".ipynb"), titles
    if page.suffix == ".ipynb":
        html = ["".join(output.get("data", {}).get("text/html", "")) for cell in cells(page) for output in cell.get("outputs", [])]
        assert not [text[:80] for text in html if "<h1" in text], "what is shown has another title"


def test_every_public_name_is_described_whole(processed):
    for path in sorted((processed / "_proc").glob("[0-9]*.ipynb")):
        module = module_of(processed / "nbs" / path.name)
        tree = ast.parse((processed / "avesound" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
        public = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")]
        lines = [int(line) for text in markdown_of(path) for line in re.findall(r"^\[source\]\([^)]*\.py#L(\d+)\)", text, re.MULTILINE)]
        assert lines == sorted(lines), f"{path.name} describes names in another order than the module has them"
        described = {heading[1]: text for text in markdown_of(path) if (heading := re.search(r"^### (\w+)$", text, re.MULTILINE))}
        assert {node.name for node in public} - set(described) == set(), f"{path.name} does not describe them"
        for node in public:
            text = described[node.name]
            docstring = ast.get_docstring(node) or ""
            assert ("\nRaises\n" in docstring) == ("**Raises**" in text), f"{path.name}: what {node.name} raises"
            fence = text.partition("```python\n")[2].partition("```")[0]
            assert re.match(r"@|def |class ", fence) and "](http" not in fence, f"{path.name}: {fence}"
            rows = re.findall(r"^\| `\**(\w+)` \|.* \| (.*) \|$", text, re.MULTILINE)
            given = [arg.arg for arg in [*node.args.args, *node.args.kwonlyargs]] if isinstance(node, ast.FunctionDef) else []
            assert not any(says for _, says in rows) or {*given} <= {name for name, _ in rows}, f"{path.name}: parameters of {node.name}"


def test_what_a_parameter_means_is_on_the_page(processed):
    "Every comment beside a parameter or a field of a public name."
    for path in sorted((processed / "_proc").glob("[0-9]*.ipynb")):
        module = module_of(processed / "nbs" / path.name)
        source = (processed / "avesound" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        words = lambda text: re.sub(r"\]\(http[^)]*\)|[^\w ]", "", text).split()  # noqa: E731
        page = " ".join(word for text in markdown_of(path) for line in text.splitlines() for word in ["|", *words(line)])
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                lines = source.splitlines()[node.lineno - 1 : node.body[0].lineno - 1]
            elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                fields = [part for part in node.body if isinstance(part, ast.AnnAssign) and not part.target.id.startswith("_")]
                lines = [source.splitlines()[part.end_lineno - 1] for part in fields]
            else:
                continue
            said = [match[1] for line in lines if (match := re.search(r"  # (?!noqa|type:)(.+)", line))]
            assert [text for text in said if " ".join(words(text)) not in page] == [], f"{path.name}: {node.name}"


def test_pages_fold_what_only_tests(processed):
    "And leave what shows something open."
    folded, opened = [], []
    for path in sorted((processed / "_proc").glob("[0-9]*.ipynb")):
        for cell in cells(path):
            if cell["cell_type"] == "code" and "show_doc(" not in cell["source"]:
                (folded if "#| code-fold: true" in cell["source"] else opened).append(cell)
    assert len(folded) > 300 and all(not cell["outputs"] and re.search(r"\b(assert|raises)\b", cell["source"]) for cell in folded)
    only_asserts = [
        cell["source"] for cell in opened if not cell["outputs"] and all(line.startswith("assert ") for line in cell["source"].splitlines())
    ]
    assert only_asserts == []


def test_pages_call_nothing_private(processed):
    "What a reader sees can be called by a reader."
    private = set()
    for path in (ROOT / "avesound").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            private |= {node.name} if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else set()
            private |= {node.attr} if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) else set()
    private = {name for name in private if name.startswith("_") and not name.startswith("__")}
    assert len(private) > 200
    seen = []
    for path in (processed / "_proc").rglob("*.ipynb"):
        for cell in cells(path):
            if cell["cell_type"] == "code" and "#| echo: false" not in cell["source"]:
                tree = ast.parse(TransformerManager().transform_cell(cell["source"]))
                used = {getattr(node, "id", getattr(node, "attr", getattr(node, "name", None))) for node in ast.walk(tree)}
                seen += [f"{path.name}: {name}" for name in used & private]
        examples = [text.partition("**Example**")[2] for text in markdown_of(path)]
        seen += [f"{path.name}: {name}" for text in examples for name in re.findall(r"\b_[a-z]\w*", text) if name in private]
    assert seen == []


def test_pages_say_module_and_chapter(processed):
    "A room is a word of those who build it."
    term = re.compile(
        r"\b(this|that|another|every|other|each|these|which|a|next|lower) rooms?\b|\brooms? (of the package|before|that)\b", re.IGNORECASE
    )
    seen = [
        f"{path.name}: {match[0]}"
        for path in (processed / "_proc").glob("[0-9]*.ipynb")
        for text in markdown_of(path)
        for match in term.finditer(text)
    ]
    assert seen == []


def test_columns_are_no_links(processed):
    "A column, a metric or an option that has the name of a function leads nowhere; a function is written with its parentheses."
    from avesound.report.columns import ALIASES

    link = re.compile(r"\[`([^`]+)`\]\(" + re.escape(settings["doc_host"]))  # not those that somebody has written
    linked = {name for path in (processed / "_proc").rglob("*.ipynb") for text in markdown_of(path) for name in link.findall(text)}
    assert "Evaluation" in linked and len(linked) > 50
    assert {name for name in linked if name.islower() and "_" not in name and not name.endswith("()") and "." not in name} == set()
    assert linked & {*ALIASES} == set()


def test_the_site_is_published_by_the_workflow():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    jobs = workflow["jobs"]
    steps = lambda job: [step.get("uses", step.get("run", "")) for step in jobs[job]["steps"]]  # noqa: E731
    assert workflow["permissions"] == {"contents": "read"}
    assert [name for name, job in jobs.items() if "write" in job.get("permissions", {}).values()] == ["publish"], (
        "only publishing may write"
    )
    assert set(jobs["publish"]["needs"]) == {"test", "docs"} and "refs/heads/main" in jobs["publish"]["if"]
    assert any("make docs-test" in step for step in steps("docs")) and any("upload-pages-artifact@" in step for step in steps("docs"))
    assert steps("publish")[-1].startswith("actions/deploy-pages@")
    (quarto,) = (step for step in jobs["docs"]["steps"] if "quarto-actions" in step.get("uses", ""))
    assert re.fullmatch(r"[\d.]+", quarto["with"]["version"]), "the same Quarto every time"


# ---- commands that pages show

PAGES = [
    *(path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"),
    *NOTEBOOKS,
    *MARKDOWN,
]  # a changelog names options of the past
VARIABLE = re.compile(r"\$\([^)]*\)|\$\{[^}]*\}|\$\w+")


def simple_commands(text: str) -> list[list[str]]:
    "The words of each `avesound COMMAND …` in a piece of shell; 1 stands for variables, what a pipe or an `&&` separates is separate."
    commands = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not re.search(r"(^|[\s/])avesound\s", line):
            continue
        lexer = shlex.shlex(VARIABLE.sub("1", line), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        operators = [i for i, word in enumerate(words) if set(word) <= set("();<>|&")]
        for start, end in zip([-1, *operators], [*operators, len(words)]):
            part = words[start + 1 : end]
            at = next((i for i, word in enumerate(part) if word == "avesound" or word.endswith("/avesound")), None)
            if at is not None and at + 1 < len(part) and part[max(0, at - 1)] not in {"cd", "clone", "import", "from", "install"}:
                commands.append(part[at + 1 :])
    return commands


def shown_commands(page: Path) -> tuple[list[list[str]], list[list[str]], list[list[str]]]:
    "Commands of a page: to be typed (fenced), run (in code cells of a tutorial), and mentioned in a sentence, perhaps with …"
    if page.suffix == ".md":
        markdown, code = page.read_text(encoding="utf-8"), []
    else:
        shown = [cell["source"] for cell in cells(page) if cell["cell_type"] == "markdown"]
        outputs = [output.get("data", {}) for cell in cells(page) for output in cell.get("outputs", []) if page in REFERENCE]
        markdown = "\n\n".join(shown + ["".join(data.get("text/markdown", "")) for data in outputs])
        code = [cell["source"] for cell in cells(page) if cell["cell_type"] == "code"] if page in TUTORIALS else []
    typed = [words for language, block in FENCE.findall(markdown) if language != "bibtex" for words in simple_commands(block)]
    mentioned = [words for text in re.findall(r"`(avesound [^`]+)`", FENCE.sub("", markdown)) for words in simple_commands(text)]
    run = []
    for source in code:
        for node in ast.walk(ast.parse(TransformerManager().transform_cell(source))):  # `!avesound …` becomes a call
            for argument in node.args if isinstance(node, ast.Call) else []:
                parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
                text = "".join(part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "1" for part in parts)
                if text.startswith("avesound "):
                    run += simple_commands(re.sub(r"\n(?=\s)", " ", text))
    return typed, run, mentioned


def options_of(words: list[str]) -> set[str]:
    return {"--" + word[2:].partition("=")[0].replace("-", "_") for word in words if word.startswith("--")}


def refused(words: list[str], whole: bool) -> str | None:
    "What the command line has against a command, nothing of which is run; of one that is not whole, only its name and options count."
    from avesound import cli

    name = cli._command(words[0])
    if words[0] == "COMMAND" or (not whole and words[0].startswith("-")):
        return None
    if not whole:
        if name not in cli.COMMANDS:
            return f"there is no command {words[0]!r}"
        unknown = options_of(words) - {"--help"} - {f"--{option}" for known in cli.command_parser(name).options for option in known.names}
        return f"there is no {', '.join(sorted(unknown))}" if unknown else None
    answer = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(answer), contextlib.redirect_stdout(io.StringIO()):
        patch.setattr(cli.Command, "start", lambda command, values: 0)
        try:
            cli.main(words)
        except SystemExit as end:
            if end.code:
                return answer.getvalue().splitlines()[0]
    return None


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_the_command_line_takes_what_a_page_shows(page):
    typed, run, mentioned = shown_commands(page)
    wrong = {shlex.join(words): why for words in [*typed, *run] if (why := refused(words, whole=True))}
    wrong |= {shlex.join(words): why for words in mentioned if (why := refused(words, whole=False))}
    assert wrong == {}


def test_commands_of_a_page_are_found_and_wrong_ones_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```bash\ncd avesound && nice .venv/bin/avesound extract --vid_dir $DATA/AVE --out-dir cache \\\n    --lenghts 1.0  # typed wrong\n"
        "for i in 1 2; do avesound extract --vid_dir d --out_dir c --shard $i/2 > log.txt; done\n"
        "$ avesound sythn --out_dir d\navesound synth --out_dir d --n_val many\navesound COMMAND --help\n```\n"
        "`avesound extract --stride 1 …` and `avesound view --rum demo` and `avesound veiw`\n",
        encoding="utf-8",
    )
    typed, _, mentioned = shown_commands(page)
    assert [words[0] for words in typed] == ["extract", "extract", "sythn", "synth", "COMMAND"] and len(mentioned) == 3
    assert typed[1] == ["extract", "--vid_dir", "d", "--out_dir", "c", "--shard", "1/2"]
    assert [bool(refused(words, whole=True)) for words in typed] == [True, False, True, True, False]
    assert [bool(refused(words, whole=False)) for words in mentioned] == [False, True, True]


def test_the_tutorial_on_ave_runs_every_option_that_it_shows():
    typed, run, _ = shown_commands(ROOT / "nbs/tutorials/on_ave.ipynb")
    ran = {(words[0], option) for words in run for option in options_of(words)}
    shown = {(words[0], option) for words in typed for option in options_of(words) if words[0] != "view"}  # which opens a window
    assert len(shown) > 60 and shown - ran == set()


# ---- what ships


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    "The names in the source archive, and in the wheel built from that archive."
    folder = tmp_path_factory.mktemp("shipped")
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist"], committed(folder / "avesound"))
    (archive,), (wheel,) = (folder / "dist").glob("*.tar.gz"), (folder / "dist").glob("*.whl")
    with tarfile.open(archive) as tar, zipfile.ZipFile(wheel) as whl:
        return {name.partition("/")[2] for name in tar.getnames()}, set(whl.namelist()), wheel.name


def test_the_wheel_holds_the_package_and_nothing_else(shipped):
    _, wheel, wheel_name = shipped
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "avesound").rglob("*.py")}
    assert modules <= wheel, "modules that do not ship (a folder without __init__.py?)"
    there = [path.relative_to(ROOT) for path in (ROOT / "avesound").rglob("*.*") if path.suffix != ".py"]
    data = {path.as_posix() for path in there if "__pycache__" not in path.parts}  # where Python and numba keep what they compile
    assert data and data <= wheel, f"data that do not ship: {data - wheel}"
    assert {name.split("/")[0] for name in wheel} == {"avesound", f"avesound-{settings['version']}.dist-info"}
    assert wheel_name == f"avesound-{settings['version']}-py3-none-any.whl"


def test_the_source_archive_can_be_built_from(shipped):
    archive, _, _ = shipped  # the wheel was built from it
    assert {"settings.ini", "setup.py", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"} <= archive


PINS = [
    Requirement(line)
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.lstrip().startswith("#")
]
WANTED = [
    Requirement(text)
    for key, value in settings.items()
    if key == "requirements" or key.endswith("_requirements")
    for text in shlex.split(value)
]


@pytest.mark.parametrize("python", ["3.11.14", "3.12.12", "3.13.9", "3.14.2"])
@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_the_pins_satisfy_the_settings(python, system):
    where = {"python_version": python.rpartition(".")[0], "python_full_version": python, "sys_platform": system}
    for requirement in WANTED:
        pins = [pin for pin in PINS if pin.name.lower() == requirement.name.lower() and (pin.marker is None or pin.marker.evaluate(where))]
        assert len(pins) == 1, f"{requirement} is pinned {len(pins)} times: make lock"
        (pin,) = pins[0].specifier
        assert pin.operator == "==" and requirement.specifier.contains(pin.version), f"{pins[0]} is not {requirement}: make lock"


def test_the_lock_is_of_no_machine():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert not re.search(r"\(/|file:|\s-e ", text), "a path of one machine"


def test_the_version_is_the_same_everywhere():
    import avesound

    version = settings["version"]
    assert avesound.__version__ == version
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    assert re.search(rf"^## \[{re.escape(version)}\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_help_names_the_address_of_the_documentation():
    from avesound import cli

    assert cli.DOCS == settings["doc_host"] + settings["doc_baseurl"]
    page = (ROOT / "nbs/reference/commands.ipynb").read_text(encoding="utf-8")
    for name in cli.COMMANDS:
        assert cli.command_parser(name).epilog == f"more: {cli.DOCS}/reference/commands.html#{name}" and f'"## {name}"' in page


@pytest.mark.parametrize("page", ["README.md", "nbs/start/cite.md"])
def test_the_bibtex_of_a_page_is_that_of_citation_cff(page):
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    blocks = re.findall(r"^```bibtex\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    entries = [dict(re.findall(r"^  (\w+) += \{(.*)\},?$", entry, re.MULTILINE)) for entry in "\n".join(blocks).split("\n}\n")[:3]]
    software, *papers = entries
    assert (software["title"], software["note"], software["url"]) == (cff["title"], f"Version {cff['version']}", cff["repository-code"])
    assert software["author"] == "{" + cff["authors"][0]["name"] + "}"
    for paper, reference in zip(papers, cff["references"], strict=True):
        names = " and ".join(f"{author['family-names']}, {author['given-names']}" for author in reference["authors"])
        assert (paper["title"], paper["author"], paper["year"], paper["url"]) == (
            reference["title"], names, str(reference["year"]), reference["url"],
        )  # fmt: skip
        assert paper["booktitle"].partition(" (")[0] in reference["conference"]["name"]


# ---- habits


def test_the_hooks_of_a_commit_are_tools_of_the_environment():
    "So that a commit needs no network."
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    for hook in config["repos"][0]["hooks"]:
        folder, _, name = hook["entry"].split()[0].rpartition("/")
        assert folder == ".venv/bin" and (BIN / name).exists() and hook["language"] == "system"


@pytest.mark.parametrize("form", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=by_name)
def test_an_issue_form_is_one(form):
    "What GitHub asks of a form; of a wrong one it shows nothing."
    fields = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= fields.keys() <= {"name", "description", "body", "labels", "title", "assignees"}
    asked = [field for field in fields["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in asked}) == len(asked) and any(field.get("validations", {}).get("required") for field in asked)
    for field in fields["body"]:
        assert field["type"] in ("markdown", "textarea", "input", "dropdown", "checkboxes")
        assert ("value" if field["type"] == "markdown" else "label") in field["attributes"]


def test_a_bug_report_asks_for_what_is_needed():
    fields = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text(encoding="utf-8"))["body"]
    assert {"version", "command", "error", "file"} <= {field["id"] for field in fields}
