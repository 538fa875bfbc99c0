"""What `import avesound` offers: every name is there, and nothing is loaded before it is used."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

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
