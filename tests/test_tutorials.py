"""A tutorial runs by copying: what its page shows, and nothing else, in a new process, an empty folder, without a network or AVE.

This is the one run of these notebooks in the tests; the hidden asserts on what the text says follow in the same process (`reader.py`).
Of the commands that pages tell to type, those of the quick start and of the page on clips of your own are typed here; those of "Coming
from the scripts" in test_workflow.py, those of the cluster's scripts on that page and in test_cluster.py; those on AVE run on a miniature,
with every option (test_repo.py). What needs weights or AVE is parsed (test_repo.py).
"""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import DATA

ROOT = Path(__file__).resolve().parent.parent
TUTORIALS = sorted((ROOT / "nbs/tutorials").glob("*.ipynb"))
READER = (ROOT / "tests/reader.py").read_text(encoding="utf-8")

# What Python imports first: connections go to this machine alone.
NO_NETWORK = """
import socket

whole_connect, whole_lookup = socket.socket.connect, socket.getaddrinfo
here = {"", "localhost", "127.0.0.1", "::1", "0.0.0.0", socket.gethostname()}


def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and self.type & socket.SOCK_STREAM and address[0] not in here:
        raise OSError(f"a tutorial runs offline: {address}")
    return whole_connect(self, address)


def getaddrinfo(host, *args, **kwargs):
    if host is not None and host not in here:
        raise socket.gaierror(f"a tutorial runs offline: {host}")
    return whole_lookup(host, *args, **kwargs)


socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo
"""


def cells_of(page: Path) -> list[dict]:
    return [{**cell, "source": "".join(cell["source"])} for cell in json.loads(page.read_text(encoding="utf-8"))["cells"]]


def is_shown(source: str) -> bool:
    "Whether nbdev and Quarto show the code of a cell."
    directives = dict(re.findall(r"^#\|\s*(\w[\w-]*)(?::\s*(\S+))?", source, re.MULTILINE))
    hidden = directives.keys() & {"hide", "hide_input", "export", "exporti", "default_exp"}
    return not hidden and directives.get("echo") != "false" and directives.get("include") != "false"


def code_of(page: Path) -> list[list]:
    "The code cells of a notebook: number, source, whether it is shown. What is never run (`eval: false`) is left out."
    cells = [(number, cell["source"]) for number, cell in enumerate(cells_of(page), 1) if cell["cell_type"] == "code"]
    return [[number, source, is_shown(source)] for number, source in cells if not re.search(r"^#\|\s*eval: false", source, re.MULTILINE)]


def surroundings(folder: Path) -> dict[str, str]:
    "The environment of somebody who has installed avesound and nothing else."
    (folder / "sitecustomize.py").write_text(NO_NETWORK)
    ours = ("AVESOUND_", "PYTEST_", "IN_TEST", "PYTHONPATH", "HF_", "TORCH_HOME")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {
        "PATH": path,
        "PYTHONPATH": str(folder),
        "MPLBACKEND": "agg",
        "HOME": str(folder),
        "AVESOUND_TEST_DATA": str(folder / "no"),
    }


def call(command: list[str], cwd: Path, env: dict[str, str], limit_s: float = 280) -> str:
    "What a command prints; it and its workers end with the test."
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=limit_s)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 0, f"{out[-1500:]}\n{err[-6000:]}"
    return out


@pytest.fixture
def place(tmp_path):
    "An empty folder, and the environment to run in."
    (tmp_path / "empty").mkdir()
    (tmp_path / "first").mkdir()
    return tmp_path / "empty", surroundings(tmp_path / "first")


def read_along(name: str, cells: list[list], place) -> str:
    folder, env = place
    path = folder.parent / "page.json"
    path.write_text(json.dumps({"page": name, "cells": cells}), encoding="utf-8")
    return call([sys.executable, "-c", READER, str(path)], folder, env)


def typed(page: Path) -> list[str]:
    "The blocks of shell of a page, without what opens a window and waits."
    text = "\n\n".join(cell["source"] for cell in cells_of(page) if cell["cell_type"] == "markdown")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"^avesound view\b(?:.*\\\n)*.*\n", "", block, flags=re.MULTILINE) for block in blocks]


TYPED = {"quick_start": "quick_start", "own_clips": "."}  # page -> where its commands are typed: in the folder that it has made


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_what_a_tutorial_shows_is_enough(page, place):
    cells = code_of(page)
    assert any(shown for *_, shown in cells) or page.stem == "from_the_scripts"
    assert "all that is shown has run" in read_along(page.stem, cells, place)
    if page.stem in TYPED:
        folder = place[0] / TYPED[page.stem]
        results = folder / "results/summary.csv"
        by_python = results.read_bytes()
        results.unlink()
        for block in typed(page):
            call(["bash", "-euo", "pipefail", "-c", block], folder, place[1])
        assert results.read_bytes() == by_python, "the commands give what the calls gave"


def test_what_ave_can_tell_holds_of_the_official_annotations(place):
    if not (DATA / "ave/Annotations.txt").is_file():
        pytest.skip(f"no AVE annotations here ({DATA / 'ave'}); set AVESOUND_TEST_DATA")
    (place[0] / "data/ave").mkdir(parents=True)
    (place[0] / "data/ave/raw").symlink_to(DATA / "ave")
    read_along("what_ave_can_tell", code_of(ROOT / "nbs/tutorials/what_ave_can_tell.ipynb"), place)


def test_a_page_that_needs_what_it_hides_is_refused(place):
    "The names, the imports and the files of hidden cells come after all that is shown."
    hidden, shown = "#| hide\nimport math\nx = 1\nopen('file', 'w').close()", "#| code-fold: true\nx = 2"
    asserts = "#| hide\nassert x == 2 and math.pi > 3 and z == 3"
    as_cells = lambda *sources: [[number, source, is_shown(source)] for number, source in enumerate(sources, 1)]  # noqa: E731
    read_along("good", as_cells(hidden, shown, "z = 3", asserts, "x = z = 4\nx"), place)
    for source, why in [("math.pi", "NameError"), ("y = x", "NameError"), ("open('file')", "FileNotFoundError")]:
        (place[0] / "file").unlink(missing_ok=True)
        with pytest.raises(AssertionError, match=f"(?s)cell 2.*{why}"):
            read_along("bad", as_cells(hidden, source), place)
    with pytest.raises(AssertionError, match="(?s)hidden cell 2.*AssertionError"):
        read_along("false", as_cells("x = 1", "#| hide\nassert x == 2", "x = 2"), place)
    with pytest.raises(AssertionError, match="a tutorial runs offline"):
        read_along("fetches", as_cells("import requests", "requests.get('https://example.org')"), place)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("x = 1", True),
        ('#| code-fold: true\n#| code-summary: "Set up"\nx = 1', True),
        ("#| output: false\nx = 1", True),
        ('#| fig-alt: "to hide: nothing"\nx = 1', True),
        ("#| hide\nx = 1", False),
        ("#|hide\nx = 1", False),
        ("#| echo: false\nx = 1", False),
        ("#| include: false\nx = 1", False),
    ],
)
def test_what_counts_as_shown(source, shown):
    assert is_shown(source) == shown
