"The house and its habits: imports point down, functions fit a screen, ruff and mypy find nothing that is not listed here or in ruff.toml."

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".ci"))

import house  # noqa: E402

# From the ground up: a package or a room may import what stands to its left.
LAYERS = (
    "files timeline layout lettering terminal latex drawing signatures options provenance media features data encoders localization "
    "metrics embeddings refiner evaluation tuning report viewer demo benchmark cli __init__"
).split()
ROOMS = house.modules(ROOT)


def test_imports_point_down_and_never_in_a_circle():
    arrows = {room: house.imports(room, tree, ROOMS) for room, tree in ROOMS.items()}
    layer = {room: LAYERS.index(room.partition(".")[0]) for room in ROOMS}
    up = [f"{room} imports {other}" for room, others in arrows.items() for other in others if layer[other] > layer[room]]
    assert up == []
    house.floors(arrows)  # raises graphlib.CycleError, which names the circle


@pytest.mark.parametrize("room", [room for room in ROOMS if not room.startswith("__")])
def test_a_room_imports_neither_the_face_nor_tools_for_making_notebooks(room):
    names = set()
    for node in ast.walk(ROOMS[room]):
        if isinstance(node, ast.ImportFrom):
            of_package = node.module == "avesound" or (not node.module and node.level == len(room.split(".")))
            names |= {f"avesound.{alias.name}" for alias in node.names} if of_package else {node.module or ""}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    face = {name for name in names if name.startswith("avesound.") and not (ROOT / name.replace(".", "/")).is_dir()}
    face = {name for name in face if not (ROOT / f"{name.replace('.', '/')}.py").is_file()}
    assert face <= {"avesound.__version__"}, "from the room that has it"
    assert not {name.split(".")[0] for name in names} & {"fastcore", "nbdev", "execnb"}, "they do not ship"


def test_the_changelog_has_a_line_for_every_room_and_for_no_other():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    added = re.search(r"^### Added\n(.*?)^###? ", text, re.MULTILINE | re.DOTALL)[1]
    named = {name for name in re.findall(r"`([a-z_0-9.]+)`", added) if name.partition(".")[0] in LAYERS}
    rooms = {room for room in ROOMS if not room.startswith("_") and not (ROOT / "avesound" / room).is_dir()}
    assert rooms <= named, "a new room gets a line"
    packages = {room.partition(".")[0] for room in rooms if "." in room}
    assert {name for name in named if name.partition(".")[0] in packages and "." in name} <= rooms, "a room of that name is gone"


# ---- functions


def all_functions() -> dict[str, int]:
    "Lines of body by name, in the package (`evaluation.compare.compare`) and beside it (`tests.test_media.…`)."
    rooms = dict(ROOMS)
    for folder in ("tests", "benchmarks", ".ci"):
        for path in sorted((ROOT / folder).glob("*.py")):
            rooms[f"{folder}.{path.stem}"] = ast.parse(path.read_text(encoding="utf-8"))
    return {name: n_lines for name, n_lines, _ in house.functions(rooms)}


def test_a_default_stands_on_one_line():
    "Else the formatter makes three of a parameter and its comment: one that is too long for a line is shortened, or has a name."
    broken = []
    for path in sorted((ROOT / "avesound").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                defaults = filter(None, [*node.args.defaults, *node.args.kw_defaults])
                broken += [f"{path.name}:{default.lineno}" for default in defaults if default.lineno != default.end_lineno]
    assert broken == []


def test_a_function_fits_a_screen(record_property):
    long = {name for name, n_lines in all_functions().items() if n_lines > 60}
    assert long == set(), "a body has at most 60 lines"


def shrink(record_property, where: str, what) -> None:
    "Say at the end of the run that exceptions are no longer needed; to fail for it would punish whoever mended them."
    if what:
        record_property("measured", f"{where}: {', '.join(sorted(what))}")


# ---- ruff and mypy


def only_as_pinned(tool: str) -> None:
    "Skip where the tool is not the one in requirements.txt: another version finds other faults."
    pinned = re.search(rf"^{tool}==(\S+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)[1]
    if importlib.metadata.version(tool) != pinned:
        pytest.skip(f"{tool} {importlib.metadata.version(tool)} is here, {pinned} is in requirements.txt")


def tool(name: str, *arguments: str) -> str:
    "What a tool of the environment prints about the repository."
    command = [str(Path(sys.executable).parent / name), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode in (0, 1), f"{name} ended with {done.returncode}:\n{done.stderr}"
    return done.stdout


CHECKED = ("avesound", "nbs", "tests", "benchmarks", ".ci", "conftest.py", "setup.py")


def test_ruff_finds_nothing():
    only_as_pinned("ruff")
    assert tool("ruff", "check", "--quiet", "--output-format", "concise", *CHECKED) == ""


def test_the_exceptions_of_ruff_shrink(record_property, tmp_path):
    "What ruff.toml excuses file by file, and is no longer there to excuse, is said at the end of the run."
    only_as_pinned("ruff")
    rules, todays = (ROOT / "ruff.toml").read_text(encoding="utf-8").split("# ---- today's exceptions", 1)
    (tmp_path / "ruff.toml").write_text(rules, encoding="utf-8")
    listed = {(path, rule) for path, text in re.findall(r'^"(.+?)" = \[(.*)\]', todays, re.MULTILINE) for rule in re.findall(r"\w+", text)}
    faults = json.loads(tool("ruff", "check", "--config", str(tmp_path / "ruff.toml"), "--output-format", "json", *CHECKED))
    left = {(Path(fault["filename"]).relative_to(ROOT).as_posix(), fault["code"]) for fault in faults}
    assert left <= listed
    shrink(record_property, "ruff.toml has exceptions to delete", {f"{rule} of {path}" for path, rule in listed - left})


def test_all_is_formatted():
    only_as_pinned("ruff")
    assert tool("ruff", "format", "--diff", "--quiet", *CHECKED) == "", "ruff format"


@pytest.mark.parametrize("rule", ["E501", "C901", "PLR0913"])
def test_ruff_is_told_a_limit(rule, tmp_path):
    "Where no exception is listed, each of the limits holds."
    many = ", ".join(f"a{i}" for i in range(11))
    bad = {
        "E501": f"x = '{'-' * 140}'\n",
        "C901": "def f(x):\n" + "".join(f"    if x == {i}:\n        return {i}\n" for i in range(15)),
        "PLR0913": f"def f({many}):\n    return a0\n",
    }
    (tmp_path / "bad.py").write_text(bad[rule], encoding="utf-8")
    assert rule in tool("ruff", "check", "--config", str(ROOT / "ruff.toml"), "--output-format", "concise", str(tmp_path / "bad.py"))


def test_mypy_finds_nothing():
    only_as_pinned("mypy")
    output = tool("mypy")
    assert output.startswith("Success: no issues found"), output[-2000:]


def test_mypy_still_knows_the_types_of_the_libraries(tmp_path):
    "mypy.ini leaves the insides of libraries out, not what the modules call of them."
    only_as_pinned("mypy")
    lines = {
        "import torch": None,
        "from torch.nn.functional import conv2d": None,
        "from torch.nn.utils.fusion import fuse_conv_bn_eval": None,
        "from matplotlib.axes import Axes": None,
        "torch.set_num_threads('2')": "arg-type",
        "torch.zeros(2).no_such_method()": "attr-defined",
        "a: str = conv2d(torch.zeros(2), torch.zeros(2))": "assignment",
        "torch.nn.Linear('3', 4)": "arg-type",
        "fuse_conv_bn_eval(torch.nn.Conv3d(1, 1, 1), 3)": "arg-type",
        "Axes.no_such_method": "attr-defined",
    }
    path = tmp_path / "planted.py"
    path.write_text("\n".join(lines), encoding="utf-8")
    output = tool("mypy", str(path))
    codes = {int(number): code for number, code in re.findall(r"planted\.py:(\d+): error: .*\[([\w-]+)\]", output)}
    assert codes == {number: code for number, code in enumerate(lines.values(), 1) if code}, output
