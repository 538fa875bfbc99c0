"""The shape of the package in numbers: rooms, floors, arrows, the longest and the widest. Usage: .ci/house.py [checkout]

A room is a module of the package with something in it, an arrow an import of one by another, and a floor the rooms that stand on no
higher one.
"""

import ast
import configparser
import json
import re
import statistics
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = "avesound"


def modules(root: Path) -> dict[str, ast.Module]:
    "The parsed rooms by their dotted name within the package."
    trees = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        name = ".".join(path.relative_to(root / PACKAGE).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if name not in ("_modidx", "__main__") and not (path.name == "__init__.py" and len(tree.body) < 3):
            trees[name.removesuffix(".__init__")] = tree
    return trees


def imports(name: str, tree: ast.Module, rooms: dict) -> set[str]:
    "The rooms that a room imports, within its functions too."
    here, arrows = name.split("."), set()
    here += ["__init__"] if any(room.startswith(f"{name}.") for room in rooms) else []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level] if node.level else []
            module = [*base, *(node.module or "").split(".")] if node.level else (node.module or "").split(".")
            module = [part for part in module if part]
            module = module[1:] if module[:1] == [PACKAGE] else module if node.level else None
            if module is not None:
                arrows |= {".".join(module)} | {".".join([*module, alias.name]) for alias in node.names}
        elif isinstance(node, ast.Import):
            arrows |= {alias.name.removeprefix(f"{PACKAGE}.") for alias in node.names if alias.name.startswith(f"{PACKAGE}.")}
    return {arrow for arrow in arrows if arrow in rooms and arrow != name}


def floors(arrows: dict[str, set[str]]) -> dict[str, int]:
    "On which floor each room stands: one above the highest that it imports. Raises `graphlib.CycleError` where arrows run in a circle."
    level: dict[str, int] = {}
    for name in TopologicalSorter(arrows).static_order():
        level[name] = 1 + max((level[below] for below in arrows.get(name, ())), default=0)
    return level


def functions(rooms: dict[str, ast.Module]):
    "(name, lines of the body without its docstring, number of parameters) of every function, those within others too."
    for room, tree in rooms.items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                n_lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                args = node.args
                n = (
                    len(args.posonlyargs)
                    + len(args.args)
                    + len(args.kwonlyargs)
                    - (args.args[:1] != [] and args.args[0].arg in ("self", "cls"))
                )
                yield f"{room}.{node.name}", n_lines, n


def public_names(rooms: dict[str, ast.Module]) -> list[str]:
    "What the modules list in `__all__`."
    names = []
    for room, tree in rooms.items():
        for node in tree.body:
            if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == ["__all__"]:
                names += [f"{room}.{name}" for name in ast.literal_eval(node.value)]
    return names


def export_cells(root: Path) -> list[tuple[str, int]]:
    "(notebook, lines) of every cell that is exported."
    cells = []
    for path in sorted((root / "nbs").rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code" and re.match(r"#\|\s*export\b", source):
                cells.append((path.name, len(source.splitlines()) - 1))
    return cells


def long_lines(root: Path, limit: int) -> int:
    "Lines of modules, tests and code cells that are longer than the limit."
    folders = [root / folder for folder in (PACKAGE, "tests", "benchmarks", ".ci")]
    paths = [path for folder in folders for path in folder.rglob("*.py") if path.name != "_modidx.py"]
    lines = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    for path in (root / "nbs").rglob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code" and "export" not in "".join(cell["source"])[:12]:
                lines += "".join(cell["source"]).splitlines()
    return sum(len(line) > limit for line in lines)


def options() -> int:
    "Options of all commands, counted on their parsers."
    from avesound import cli

    return sum(not option.entry.positional for name in cli.COMMANDS for option in cli.command_parser(name).options)


def line_limit(root: Path) -> int:
    "What `ruff` is told; CONTRIBUTING's word where it is told nothing."
    parser = configparser.ConfigParser()
    text = (root / "ruff.toml").read_text(encoding="utf-8") if (root / "ruff.toml").exists() else ""
    parser.read_string("[ruff]\n" + "\n".join(line for line in text.splitlines() if re.match(r"line-length\s*=", line)))
    return parser.getint("ruff", "line-length", fallback=160)


def numbers(root: Path) -> dict[str, str]:
    "Every number by its name, in words."
    rooms = modules(root)
    arrows = {name: imports(name, tree, rooms) for name, tree in rooms.items()}
    level = floors(arrows)
    all_functions = list(functions(rooms))
    longest, widest = max(all_functions, key=lambda f: f[1]), max(all_functions, key=lambda f: f[2])
    cells, limit = [n for _, n in export_cells(root)], line_limit(root)
    lines = {name: tree.body[-1].end_lineno for name, tree in rooms.items() if tree.body}
    largest = max(lines, key=lines.get)
    shared = Counter(name.rpartition(".")[2] for name in public_names(rooms)) & Counter(name.rpartition(".")[2] for name in rooms)
    return {
        "rooms": f"{len(rooms)}, the largest {largest} with {lines[largest]} lines, {sum(n > 400 for n in lines.values())} over 400",
        "packages": f"{len({name.partition('.')[0] for name in rooms if '.' in name})}",
        "floors": f"{max(level.values())}",
        "arrows": f"{sum(map(len, arrows.values()))}",
        "modules named as what they hold": f"{sum(shared.values())}",
        "longest function": f"{longest[1]} lines ({longest[0]}); {sum(f[1] > 60 for f in all_functions)} over 60",
        "most parameters": f"{widest[2]} ({widest[0]}); {sum(f[2] > 10 for f in all_functions)} over 10",
        "export cells": f"{len(cells)}, median {statistics.median_high(cells)} lines; {sum(n > 40 for n in cells)} over 40",
        "lines over the limit": f"{long_lines(root, limit)} of more than {limit}",
        "public names": f"{len(public_names(rooms))}",
    }


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    shape = numbers(where)
    if where == Path(__file__).resolve().parent.parent:
        shape["options"] = f"{options()}"
    for what, number in shape.items():
        print(f"{what:<32} {number}")
