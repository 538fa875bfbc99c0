"""What `import avesound` offers: every name is there, and nothing is loaded before it is used."""

import ast
import importlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import avesound

HEAVY = ("torch", "torchvision", "numpy", "pandas", "matplotlib", "av", "ipywidgets")


def stub_names():
    "name -> module, as the stub says"
    tree = ast.parse((Path(avesound.__file__).parent / "__init__.pyi").read_text(encoding="utf-8"))
    return {alias.asname: f"avesound.{node.module}" for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_every_name_is_what_its_module_defines():
    names = stub_names()
    assert sorted(names) == sorted(avesound.__all__) and len(names) > 15
    for name, module in names.items():
        assert getattr(avesound, name) is getattr(importlib.import_module(module), name), name
        assert getattr(avesound, name).__module__ == module, name


def test_the_docstring_names_all_of_them():
    missing = [name for name in avesound.__all__ if f"`{name}`" not in avesound.__doc__]
    assert not missing


def test_importing_loads_nothing_heavy():
    code = f"import sys, avesound; dir(avesound); print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(avesound, "evalute")


# ---- the tutorials use it


ROOT = Path(__file__).parents[1]
TUTORIALS = [*sorted((ROOT / "nbs/tutorials").glob("*.ipynb")), ROOT / "nbs/index.ipynb"]


def cells_of(page):
    "(kind, text) of the cells of a notebook, magics left out of code"
    for cell in json.loads(page.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        yield cell["cell_type"], re.sub(r"^[%!].*$", "", text, flags=re.MULTILINE) if cell["cell_type"] == "code" else text


def imports_of(code):
    "(module, name) of what code imports from avesound or its rooms; name is None where a module is imported whole"
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "avesound":
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names if alias.name.partition(".")[0] == "avesound")


def past_the_face(module, name):
    "whether the face offers what is imported from a room or from a package of rooms"
    return name in avesound.__all__ and module != "avesound" and getattr(importlib.import_module(module), name) is getattr(avesound, name)


def is_room(name):
    return importlib.util.find_spec(f"avesound.{name}") is not None


def shown_code(text):
    "code in prose: blocks of Python, and Python in a line of a shell"
    return [*re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL), *re.findall(r"python -c \"(.*?)\"", text)]


def test_the_quick_start_begins_with_one_line_of_imports_from_the_face():
    code = [text for kind, text in cells_of(ROOT / "nbs/tutorials/quick_start.ipynb") if kind == "code"]
    visible = [text for text in code if not text.startswith("#| hide")]
    lines = [line for line in visible[0].splitlines() if re.match(r"\s*(from|import)\s+avesound\b", line)]
    assert len(lines) == 1 and lines[0].startswith("from avesound import ") and "(" not in lines[0]
    assert len(lines[0]) <= 140 and len(list(imports_of(lines[0]))) > 5
    assert not [found for text in visible[1:] for found in imports_of(text)], "that line is all that the page imports from avesound"


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_imports_from_the_face_what_the_face_offers(page):
    code = [part for kind, text in cells_of(page) for part in ([text] if kind == "code" else shown_code(text))]
    imported = [found for part in code for found in imports_of(part)]
    assert [f"from {module} import {name}" for module, name in imported if past_the_face(module, name)] == []
    of_face = [name for module, name in imported if module == "avesound" and name is not None]
    assert [name for name in of_face if name not in avesound.__all__ and not is_room(name)] == []


@pytest.mark.parametrize(
    ("code", "past"),
    [
        ("from avesound.evaluation.evaluate import evaluate", True),
        ("from avesound.embeddings.extract import RunSettings, extract", True),
        ("from avesound.embeddings.extract import WindowSettings", True),  # of another room, met there
        ("from avesound.encoders import create_encoder", True),  # a package offers it, too
        ("from avesound.embeddings.extract import (\n    extract as run,\n)", True),
        ("from avesound import evaluate", False),
        ("from avesound.embeddings.extract import RunSettings", False),
        ("from avesound import cli", False),
    ],
)
def test_what_counts_as_going_past_the_face(code, past):
    assert any(past_the_face(*found) for found in imports_of(code)) == past


def test_the_face_stays_small():
    assert len(avesound.__all__) <= 32
