"""What a reader does with a page: copies every block that is shown, from top to bottom, into a new session of Python.

Then, in the same session, what the page does not show (the asserts on what its text says), each cell with the names of its place.
Nothing hidden runs before everything shown has run, so what is shown cannot need it. `tests/test_tutorials.py` runs this file's text
with `python -c`, as a session has no file of its own either.
"""

import ast
import json
import linecache
import re
import sys
import types

MISSING = object()


def show(value) -> None:
    "What a session does with the value of a line: it must have a face, in text and, where there is one, in HTML."
    if value is not None:
        repr(value)
        getattr(value, "_repr_html_", lambda: None)()


def run(source: str, name: str, names: dict) -> None:
    source = re.sub(r"^%.*$", "", source, flags=re.MULTILINE)
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)  # for tracebacks
    exec(compile(ast.Interactive(ast.parse(source).body), name, "single"), names)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def read(page: str, cells: list[list]) -> None:
    "Run cells, each with its number, its source and whether it is shown."
    session = types.ModuleType("__main__")
    sys.modules["__main__"], sys.displayhook = session, show
    places = {}
    for number, source, shown in cells:
        if shown:
            run(source, f"<{page}, cell {number}>", vars(session))
        else:
            places[number] = dict(vars(session))
    print("all that is shown has run", flush=True)
    hidden: dict = {}  # name -> what it is since a hidden cell, and what it was before it
    for number, source, shown in cells:
        if not shown:
            shown_names = places[number]
            names = shown_names | {name: value for name, (value, was) in hidden.items() if shown_names.get(name, MISSING) is was}
            before = dict(names)
            run(source, f"<{page}, hidden cell {number}>", names)
            changed = {name: value for name, value in names.items() if before.get(name, MISSING) is not value}
            hidden |= {name: (value, shown_names.get(name, MISSING)) for name, value in changed.items()}


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        read(**json.load(file))
