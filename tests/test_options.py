"The options of every command: the contract that scripts of users rest on, and how mistakes are answered."

import ast
import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from avesound import cli
from avesound.options import as_typed

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
        (
            ["locate", "--L_sec", "0.5,", "1", "a.mp4"],
            'avesound locate: too much: 1; several values are written with commas: --L_sec "0.5,1"',
        ),
        (
            ["locate", "--L_sec", "0.5", "1", "a.mp4"],
            'avesound locate: too much: 1; several values are written with commas: --L_sec "0.5,1"',
        ),
        (["status", "--out_dir", "x", "--vid_dir", "y"], "avesound status: there is no option --out_dir"),
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


@pytest.mark.parametrize("name", COMMANDS)
def test_a_message_names_every_parameter_by_the_option_as_it_was_typed(name):
    for option in cli.command_parser(name).options:
        parameter, place = option.path[-1], option.entry.positional
        for spelling in option.names:
            typed, shown = f"--{spelling.replace('_', '-')}", option.name if place else f"--{spelling}"
            said = as_typed(f"{parameter} must be known", cli.command_parser(name).options, [] if place else [typed, "-1"])
            assert said == f"{shown} must be known"
        if "_" in parameter:
            assert as_typed(f"no {parameter} x", cli.command_parser(name).options, []) == f"no {'' if place else '--'}{option.name} x"


@pytest.mark.parametrize(
    "line, says",
    [
        ("download --zip gone.zip", "--zip gone.zip is not a file"),
        ("download --zip gone.zip --url http://x.y/z", "give --url or --zip, not both"),
        ("extract --win 0", "--win must be positive, got 0.0"),
        ("extract --win-s 0", "--win_s must be positive, got 0.0"),
        ("extract-video --win 0", "--win must be positive, got 0.0"),
        ("extract-audio --win 0", "--win must be positive, got (0.0,)"),
        ("extract-audio-multiscale --stride_sec -1", "--stride_sec must be positive, got -1.0"),
        ("locate x.mp4 --L_sec 0", "--L_sec must be positive, got (0.0,)"),
        ("sweep --taus 1,-1", "--taus must each be a positive number, got -1.0"),
        ("sweep --tau-adapts 2", "--tau_adapts must each be None or a normalised entropy between 0 and 1, got 2.0"),
        ("hparam_2 --smooth_sigmas -1", "--smooth_sigmas must each be 0 or a positive number of seconds, got -1.0"),
        ("ablate --smooth_sigmas -1", "--smooth_sigmas must each be 0 or a positive number of seconds, got -1.0"),
        ("annotations --file x --to foo", "--to must be one of audacity, elan, labelstudio, activitynet, fiftyone, got 'foo'"),
        (
            "evaluate --plot_n 3 --annotations_csv .",
            "--plot_n is a number of figures and needs --curve_dir, the folder for them; got 3 and None",
        ),
    ],
)
def test_a_mistake_is_told_in_the_words_of_the_command_line(line, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("data/ave/raw/AVE").mkdir(parents=True)
    command = line.split()[0]
    assert cli.main(line.split()) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"avesound {command}: {says}"


@pytest.mark.parametrize("line", ["sweep --lengths 0.5,-1", "ablate --lengths 0", "ablate --L_sec 0"])
def test_a_length_that_is_none_is_told_by_its_option(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(line.split()) == 1
    command, option, _ = line.split()
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"avesound {command}: {option} must be one or more lengths of audio windows in seconds, positive and of whole ")


@pytest.mark.parametrize("option", ["--win", "--stride"])
def test_the_windows_of_a_cache_of_rows_are_told_by_their_options(option, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sweep", option, "0"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"avesound sweep: {option} must be a positive number, got 0.0"


def test_a_download_that_fails_names_the_option_that_takes_a_file(monkeypatch, tmp_path, capsys):
    from avesound.data import ave, download

    def no_host(*_):
        raise download.DownloadError("no such host")

    monkeypatch.setattr(download, "_known_host", no_host)
    assert cli.main(["download", "--out_dir", str(tmp_path)]) == 1 and "`zip_path`" in ave._BY_HAND
    said = capsys.readouterr().err.strip()
    assert said == "avesound download: no such host. If you can get the file another way, pass it as --zip."


IMPORTED = """
import contextlib, io, sys
from avesound import cli
from avesound.options import as_typed
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


@pytest.mark.parametrize("name", COMMANDS)
def test_the_word_that_stands_for_none_in_the_help_can_be_typed(name):
    "`--split all`, where the help says that all is the default."
    for option, action in actions(name).items():
        shown = re.search(r"\(default: (\w+)\)$", action.help or "")
        if shown and action.default is None and action.type is not None:
            assert action.type(shown[1]) is None, (option, shown[1])
