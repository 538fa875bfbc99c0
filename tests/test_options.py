"The options of every command: the contract that scripts of users rest on, and how mistakes are answered."

import ast
import csv
import subprocess
import sys
from pathlib import Path

import pytest

from avesound import cli

# What every command took before options came from signatures: names, defaults, a text and what becomes of it. An option
# that comes or goes on purpose comes or goes here too.
with (Path(__file__).parent / "options.tsv").open(encoding="utf-8", newline="") as table:
    CONTRACT = list(csv.DictReader(table, delimiter="\t"))
COMMANDS = list(dict.fromkeys(row["command"] for row in CONTRACT))


def actions(name: str) -> dict:
    "What the parser of a command does for each option, by all its names."
    return {" ".join(action.option_strings) or action.dest: action for action in cli.command_parser(name)._actions if action.dest != "help"}


def rows(name: str) -> dict[str, dict]:
    return {row["option"]: row for row in CONTRACT if row["command"] == name}


def test_the_commands_are_these():
    assert list(cli.COMMANDS) == COMMANDS and len(CONTRACT) == 448


@pytest.mark.parametrize("name", COMMANDS)
def test_options_and_defaults_are_these(name):
    defaults = {
        option: "REQUIRED" if action.required else repr(str(action.default) if isinstance(action.default, Path) else action.default)
        for option, action in actions(name).items()
    }
    assert defaults == {option: row["default"] for option, row in rows(name).items()}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_spelling_gives_the_value(name):
    needed = [word for row in rows(name).values() if row["default"] == "REQUIRED" for word in flagged(row, row["option"].split()[0])]
    for row in rows(name).values():
        value = ast.literal_eval(row["value"])
        for option in {spelling for word in row["option"].split() for spelling in (word, "--" + word[2:].replace("_", "-"))}:
            if not row["option"].startswith("-"):
                continue
            given = cli.command_parser(name).given([*needed, *flagged(row, option)])
            dest = actions(name)[row["option"]].dest
            assert (str(given[dest]) if isinstance(given[dest], Path) else given[dest]) == value, option
            if value is False:
                assert cli.command_parser(name).given([*needed, option])[dest] is True


def flagged(row: dict, option: str) -> list[str]:
    "The words that give an option the text of the table."
    words = row["typed"].split() if row["value"].startswith("[") else [row["typed"]]
    return [option, *words] if option.startswith("-") else words


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_its_line_of_help(name):
    silent = [option for option, action in actions(name).items() if len((action.help or "").partition("(default")[0]) < 2]
    assert silent == []


@pytest.mark.parametrize(
    "words, answer",
    [
        (["extract", "--lenghts", "1"], "avesound extract: there is no option --lenghts; did you mean --lengths?"),
        (["hparam_sweep", "--tau", "1"], "avesound sweep: there is no option --tau; did you mean --taus?"),
        (["synth", "--ouut-dir", "x"], "avesound synth: there is no option --ouut_dir; did you mean --out_dir?"),
        (["demo", "--zzz"], "avesound demo: there is no option --zzz"),
        (["evalute"], "avesound: there is no command evalute; did you mean evaluate?"),
        (["extract_vido_emb"], "avesound: there is no command extract_vido_emb; did you mean extract_video_emb?"),
        (["qqq", "--help"], "avesound: there is no command qqq"),
        (["demo", "more"], "avesound demo: too much: more"),
        (
            ["evaluate", "--L-sec", "0.5,", "1"],
            'avesound evaluate: too much: 1; several values are written with commas: --L_sec "0.5,1"',
        ),
        (["locate", "a.mp4", "--L_sec", "0.5", "b.mp4"], "avesound locate: too much: b.mp4"),
        (["evaluate", "--tau"], "avesound evaluate: argument --tau: expected one argument"),
        (["evaluate", "--tau", "x"], "avesound evaluate: argument --tau: invalid float value: 'x'"),
        (["evaluate", "--score_zscore", "x"], "avesound evaluate: argument --score_zscore: invalid true or false value: 'x'"),
        (["convert-checkpoint", "a"], "avesound convert-checkpoint: the following arguments are required: out"),
        ([], "avesound: the following arguments are required: COMMAND"),
        (["--colour"], "avesound: the following arguments are required: COMMAND"),
    ],
)
def test_a_mistake_is_answered_in_three_lines_with_the_nearest_right_name(words, answer, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    lines = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and lines[0] == answer and 1 < len(lines) <= 3


def test_several_values_after_a_list_option_are_answered_by_how_lists_are_written(capsys):
    tried = 0
    for name in COMMANDS:
        parser = cli.command_parser(name)
        needed = [word for row in rows(name).values() if row["default"] == "REQUIRED" for word in flagged(row, row["option"].split()[0])]
        for row in rows(name).values():
            typed, option = row["typed"], row["option"].split()[0]
            if not option.startswith("--") or not ("," in typed or isinstance(ast.literal_eval(row["value"]), (tuple, dict))):
                continue
            first, last = typed.split(",")[0], typed.split(",")[-1]
            with pytest.raises(SystemExit):
                parser.given([*needed, option, first, last])
            said, advice = capsys.readouterr().err, f'; several values are written with commas: {option} "{first},{last}"'
            assert said.startswith(f"avesound {name}: too much: {last}{advice}\n"), said
            tried += 1
    assert tried > 40


IMPORTED = """
import contextlib, io, sys
from avesound import cli
for words in eval(sys.argv[1]):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        cli.main(words)
print(" ".join(sys.modules))
"""


def imported(lines: list[list[str]]) -> set[str]:
    done = subprocess.run([sys.executable, "-c", IMPORTED, repr(lines)], capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.split())


def test_help_imports_no_heavy_library():
    assert not {"torch", "torchvision", "pandas"} & imported([[name, "--help"] for name in COMMANDS])


def test_the_list_of_commands_imports_no_room_that_computes():
    modules = imported([["--help"], ["--version"], ["evalute"]])
    assert not {"torch", "torchvision", "pandas", "scipy", "av"} & modules
    rooms = {name for name in modules if name.startswith("avesound.")}
    assert rooms == {f"avesound.{name}" for name in ("cli", "options", "signatures", "layout", "lettering", "files", "drawing")}
