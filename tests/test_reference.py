"The pages under Reference say what the program does: examples run, tables are current, files hold what the page says and no more."

import contextlib
import csv
import functools
import io
import json
import re
import shlex
import shutil
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avesound import cli
from avesound.encoders import wheels
from avesound.files import sha256_of

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "nbs/reference"
NAMES = ["commands", "files", "settings", "python"]
PARTS = {"refiner": "refiner.json"}


def code_cells(name: str) -> list[dict]:
    return [cell for cell in json.loads((PAGES / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def run_page():
    "Runs a page; what its cells show, and what is known in it then."
    from execnb.shell import CaptureShell

    pages, path = {}, list(sys.path)

    def run(name: str):
        if name not in pages:
            with contextlib.chdir(PAGES):
                shell = CaptureShell(PAGES / f"{name}.ipynb")
                shown = [shell.run("".join(cell["source"])) for cell in code_cells(name)]
                assert shell.exc is None, shell.exc
            pages[name] = shown, shell.user_ns
        return pages[name]

    yield run
    sys.path[:] = path
    sys.modules.pop("tables", None)  # a name that is nobody's


def text_of(output: dict) -> dict[str, str]:
    return {kind: "".join(text) for kind, text in output.get("data", {}).items() if kind in ("text/html", "text/markdown")}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_page_shows_is_what_it_would_show_now(run_page, name):
    shown, _ = run_page(name)
    stored = [[text_of(output) for output in cell["outputs"]] for cell in code_cells(name)]
    now = [[text_of(output) for output in outputs if output["output_type"] == "display_data"] for outputs in shown]
    assert sum(map(len, stored)) > 3
    for k, (one, other) in enumerate(zip(stored, now, strict=True)):
        assert one == other, f"run nbs/reference/{name}.ipynb, and commit: code cell {k + 1}"


def page_html(name: str) -> str:
    return "\n".join(text for cell in code_cells(name) for output in cell["outputs"] for text in text_of(output).values())


@pytest.mark.parametrize("name", NAMES)
def test_ids_of_a_page_are_unique_and_its_links_lead_to_some(name):
    from nbconvert.filters import markdown2html

    def ids_in(page: str) -> list[str]:
        html = page_html(page)
        heads = [
            re.sub(r"[^\w. -]", "", title).strip().lower().replace(" ", "-") for title in re.findall(r"^##+ (.+)$", html, re.MULTILINE)
        ]
        cells = json.loads((PAGES / f"{page}.ipynb").read_text(encoding="utf-8"))["cells"]
        written = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        heads += [title.lower().replace(" ", "-").replace("–", "") for title in re.findall(r"^## (.+)$", written, re.MULTILINE)]
        return heads + re.findall(r'<tr id="([^"]+)"', html)

    ids = ids_in(name)
    assert len(set(ids)) == len(ids)
    html = page_html(name) + markdown2html(re.sub(r"(?m)^#.*$", "", page_html(name)))
    links = set(re.findall(r'href="([a-z]*(?:\.ipynb)?)#([^"]+)"', html))
    known = {page: set(ids_in(page)) for page in NAMES}
    assert {(page, where) for page, where in links if where not in known[page.removesuffix(".ipynb") or name]} == set()


# ---- commands


def test_every_option_of_every_command_is_on_the_page(run_page):
    _, page = run_page("commands")
    html = page_html("commands")
    for name in cli.COMMANDS:
        for option in cli.command_parser(name).options:
            plain = f'id="{name}-{option.name}"' in html
            shared = page["SHARED"].get(name)
            assert plain or f'href="#{shared}-{option.name}"' in html, f"{name} {option.name}"


def test_the_parser_takes_every_example(run_page, monkeypatch):
    _, page = run_page("commands")
    monkeypatch.setattr(cli.Command, "start", lambda command, values: 0)
    assert [*page["EXAMPLES"]] == [shlex.split(example)[1] for example in page["EXAMPLES"].values()]
    for name, example in page["EXAMPLES"].items():
        assert cli.main(shlex.split(page["broken"](example).replace("\\\n", " "))[1:]) == 0, name
        assert max(map(len, page["broken"](example).splitlines())) <= 60, f"{name}: too wide for a phone"


# ---- files


def toy_wheel(folder: Path) -> tuple[Path, wheels.WheelWeights]:
    "A wheel with weights, and what there is to know of it: no example needs the package index."
    import torch

    torch.save({"embedding_net.a": torch.ones(2)}, folder / "toy.pth")
    with zipfile.ZipFile(folder / "toy-1.0-py2.py3-none-any.whl", "w") as archive:
        archive.write(folder / "toy.pth", "toy/toy.pth")
    sums = {"sha256": sha256_of(folder / "toy-1.0-py2.py3-none-any.whl"), "member_sha256": sha256_of(folder / "toy.pth")}
    known = wheels.WheelWeights("toy", "1.0", member="toy/toy.pth", prefix="embedding_net.", licence="none", credit="nobody", **sums)
    return folder / "toy-1.0-py2.py3-none-any.whl", known


@pytest.fixture(scope="module")
def project(tmp_path_factory, run_page):
    "A folder in which the examples of the page were run, one after the other, and what else leaves files; what each printed."
    import torch

    from avesound.data.synth import SynthSpec, make_dataset

    folder = tmp_path_factory.mktemp("project")
    spec = SynthSpec(seed=5, size=(64, 96), sample_rate=8000)
    made = make_dataset(tmp_path_factory.mktemp("made"), spec=spec, n_train=12, n_val=4, n_test=4, workers=2)
    made = shutil.move(made, folder / "zip/AVE_Dataset")
    shutil.make_archive(folder / "AVE_Dataset", "zip", folder / "zip")
    torch.save({"state_dict": {"a.weight": torch.ones(2)}}, folder / "model.pth")
    clip = min(path.stem for path in (Path(made) / "AVE").iterdir() if not path.stem.startswith("-"))
    shutil.rmtree(folder / "zip")
    wheel, known = toy_wheel(folder)
    _, page = run_page("commands")
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setitem(wheels.WHEELS, "aisfx", known)
        patch.setattr(wheels, "_download", lambda *_: wheel)
        said = {name: typed(example.replace("CLIP", clip)) for name, example in page["EXAMPLES"].items() if name != "demo"}
        for line in (
            "annotations --clean_test_txt data/ave/clean_test.txt",
            "extract --out_dir cache_wrong --wrong_sound 1",
            "evaluate --vid_emb_dir cache --aud_emb_dir cache --split test --calibrate_on val --shuffled_dirs cache_wrong "
            "--curve_dir reports/curves",
            "analyze --run_tag wrong_sound",
            "pack cache_2",
        ):
            typed(f"avesound {line}")
        Path("status.json").write_text(typed("avesound status cache --json")[0])
        with open("reports/crossmodal.csv", encoding="utf-8") as file:
            answers = [f"{row['video_id']},{row['start']},{d}\n" for row in csv.DictReader(file) for d in ("a2v", "v2a")]
        Path("predictions.csv").write_text("id,start,direction\n" + "".join(answers))
        corrected(Path("data/ave/ave_annotations.csv"), Path("data/corrected_annotations.csv"))
        both = "--also data/corrected_annotations.csv --n_boot 50 --summary_csv reports/both/summary.csv"
        typed(f"avesound evaluate --vid_emb_dir cache --aud_emb_dir cache --annotations_csv data/ave/ave_annotations.csv {both}")
        corrected(Path("data/ave/ave_annotations.csv"), Path("data/nothing_annotations.csv"), every_other_without=True)
        nothing = "--annotations_csv data/nothing_annotations.csv --n_boot 50 --summary_csv reports/nothing/summary.csv"
        typed(f"avesound evaluate --vid_emb_dir cache --aud_emb_dir cache --split test {nothing}")
        senses = "--senses_csv data/senses.csv --n_boot 50 --summary_csv reports/senses/summary.csv"
        with_senses(Path("data/ave/ave_annotations.csv"), Path("data/senses.csv"))
        typed(f"avesound evaluate --annotations_csv data/ave/ave_annotations.csv --split test {senses}")
        typed("avesound synth --out_dir nothing --n_train 0 --n_val 0 --n_test 2 --no_event 0.5 --no_event_is silent")
        with_second_events(Path("data/ave/ave_annotations.csv"), Path("data/several_annotations.csv"))
        several = "--annotations_csv data/several_annotations.csv --n_boot 50 --summary_csv reports/several/summary.csv"
        typed(f"avesound evaluate --vid_emb_dir cache --aud_emb_dir cache --split test {several}")
        events = "--annotations_csv data/ave/ave_annotations.csv --split test"
        typed(f"avesound evaluate-crossmodal --predictions_csv predictions.csv {events} --out_json reports/theirs/crossmodal.json")
    return folder, said


def with_second_events(path: Path, out: Path) -> None:
    "The same annotations with a short event of another label in every clip."
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    further = [row | {"event_label": "Bell", "start_s": "1", "end_s": "2"} for row in rows]
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows([*rows, *further])


def with_senses(path: Path, out: Path) -> None:
    "The same events, each heard to its end and seen to its middle."
    from avesound.data.annotations import read_annotations
    from avesound.data.senses import write_senses

    table = read_annotations(path)
    middle = table.assign(end_s=(table["start_s"] + table["end_s"]) / 2)
    write_senses(pd.concat([table.assign(sense="heard"), middle.assign(sense="seen")]), out)


def corrected(path: Path, out: Path, every_other_without: bool = False) -> None:
    "Annotations in which one clip has another event, one another category, and one is gone; or every other has no event."
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    ids = list(dict.fromkeys(row[0] for row in rows))
    start, label = header.index("start_s"), header.index("event_label")
    for row in rows:
        row[start] = "0" if row[0] == ids[0] else row[start]
        row[label] = "Bell" if row[0] == ids[1] else row[label]
        if every_other_without and ids.index(row[0]) % 2:
            row[start] = row[header.index("end_s")] = ""
    with out.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *(row for row in rows if row[0] != ids[2])])


def typed(line: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(shlex.split(line)[1:])
    assert code == 0, f"{line}\n{out.getvalue()[-1500:]}\n{err.getvalue()[-1500:]}"
    return out.getvalue(), err.getvalue()


def test_the_examples_run_one_after_the_other(project, run_page):
    folder, said = project
    assert said.keys() == cli.COMMANDS.keys() - {"demo"}  # which the chapter on it runs
    assert "0 outdated" in said["verify"][0] or "sound" in said["verify"][0], said["verify"][0]
    assert (folder / "clip.html").stat().st_size > 10_000 and (folder / "reports/analysis/signal/report.html").is_file()


def keys_in(value, before: tuple[str, ...] = ()):
    "The ways through JSON values, as the page writes them, each with whether nothing is below it."
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from keys_in(inner, (*before, name))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from keys_in(inner, (*before[:-1], f"{before[-1]}[]"))
    else:
        yield before, value in (None, {}, [])


def written(path: Path) -> dict[tuple[str, ...], bool]:
    "What a file holds: columns, arrays or keys; of each, whether it is empty."
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return dict.fromkeys(((name,) for name in next(csv.reader(file))), False)
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return dict.fromkeys(((name,) for name in arrays.files), False)
    if path.suffix == ".jsonl":
        return {key: empty for line in path.read_text(encoding="utf-8").splitlines() for key, empty in keys_in(json.loads(line))}
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, "np") as file:
            about = {name: json.loads(text) if text[0] == "{" else text for name, text in (file.metadata() or {}).items()}
            about = about.get("avesound_projector", about)
            return dict.fromkeys(((name,) for name in file.keys() if "." not in name), False) | dict(keys_in(about))  # noqa: SIM118
    return dict(keys_in(json.loads(path.read_text(encoding="utf-8"))))


def fields_of(name: str) -> set[str]:
    "The fields of a settings class."
    import dataclasses

    from avesound.embeddings.job import WindowSettings  # noqa: F401
    from avesound.encoders.base import EncoderSpec
    from avesound.evaluation.plan import Scoring
    from avesound.localization.align import AlignSettings
    from avesound.refiner.network import RefinerSettings
    from avesound.tuning.grid import Grid

    kinds = {kind.__name__: kind for kind in (EncoderSpec, Scoring, AlignSettings, RefinerSettings, Grid)}
    return {field.name for field in dataclasses.fields(kinds[name])}


def said_of(key: tuple[str, ...], is_empty: bool, file, files: dict) -> list:
    "The rows that a key stands in."
    found = []
    for row in file.rows:
        for name, parts in zip(row.names, row.patterns(not file.is_csv), strict=True):
            is_block, n = name.endswith(".*") and row.unit.startswith("@"), len(parts)
            ends = [key[-1]] + [f"{key[-1]}[]"] * is_empty  # of an empty list nobody sees what it is a list of
            same = any(all(part.fullmatch(word) for part, word in zip(parts, (*key[:-1], end))) for end in ends)
            if is_block and same and len(key) > n:
                for block in row.unit.removeprefix("@").split(" @"):
                    known = files.get(PARTS.get(block, block))
                    inner = said_of(key[n:], is_empty, known, files) if known else key[n] in fields_of(block)
                    found += [row] if inner else []
            elif same and (len(key) == n or (is_empty and len(key) < n)):
                found.append(row)
    return found


def test_every_column_array_and_key_stands_on_the_page_and_no_other(project, run_page):
    folder, _ = project
    _, page = run_page("files")
    files, seen, lost = page["FILES"], set(), []

    @functools.cache  # most of the files are of a few kinds, with the same keys
    def rows_for(key: tuple[str, ...], is_empty: bool, title: str) -> tuple[bool, set[int]]:
        rows = said_of(key, is_empty, files[title], files)
        return bool(rows), {id(row) for row in [*rows, *inner_rows(key, files[title], files)]}

    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in (".csv", ".json", ".jsonl", ".npz", ".safetensors")]
    assert len(paths) > 100
    for path in paths:
        where = f"/{path.relative_to(folder).as_posix()}"
        (title,) = [title for title, file in files.items() if any(fnmatch(where, pattern) for pattern in file.where)] or [None]
        if title is None:
            lost.append(where)
            continue
        contents = [(title, written(path))]
        if path.suffix == ".npz" and "emb" in np.load(path).files:
            contents.append(("meta", dict(keys_in(json.loads(str(np.load(path)["meta"]))))))
        for one, keys in contents:
            for key, is_empty in keys.items():
                stands_there, rows = rows_for(key, is_empty, one)
                lost += [] if stands_there else [f"{where}: {'.'.join(key)}"]
                seen |= rows
    assert lost == [], "not on the page"
    never = {
        name
        for title, file in files.items()
        for row in file.rows
        for name in row.names[:1]
        if id(row) not in seen and title not in ("Statuses", "Claims and locks")
    }
    never -= {"stopped", "problems[].code"}  # of a run that was stopped; of results that are none: not here
    covered = "calibration.covered.<target>"  # of a card with nine clips of val or more: test_missing.py has one
    never -= {f"{covered}.mean", f"{covered}.mean_width_s"}
    assert never == set(), "on the page, and in no file"


def inner_rows(key: tuple[str, ...], file, files: dict) -> list:
    "The rows of parts of the page that a key leads to."
    found = []
    for row in file.rows:
        for name, parts in zip(row.names, row.patterns(not file.is_csv), strict=True):
            n = len(parts)
            if name.endswith(".*") and row.unit[:1] == "@" and len(key) > n and all(p.fullmatch(w) for p, w in zip(parts, key)):
                for block in row.unit.removeprefix("@").split(" @"):
                    if PARTS.get(block, block) in files:
                        found += said_of(key[n:], False, files[PARTS.get(block, block)], files)
    return found


def test_a_claim_says_what_the_page_says(run_page, tmp_path):
    from avesound.embeddings.claim import claimed

    _, page = run_page("files")
    with claimed({tmp_path: {"kind": "video"}}, about={"clips": "x"}):
        (claim,) = tmp_path.glob(".writing/*.json")
        keys = written(claim)
    file = page["FILES"]["Claims and locks"]
    assert fnmatch(f"/{claim.as_posix()}", file.where[0])
    found = [said_of(key, is_empty, file, page["FILES"]) for key, is_empty in keys.items()]
    assert all(found) and {id(row) for rows in found for row in rows} == {*map(id, file.rows)}


def test_a_column_that_is_not_on_the_page_is_noticed(run_page):
    _, page = run_page("files")
    files = page["FILES"]
    assert said_of(("mass_inside",), False, files["summary.csv"], files) and said_of(("hit_0.25",), False, files["summary.csv"], files)
    assert not said_of(("mass_outside",), False, files["summary.csv"], files)
    assert said_of(("run", "annotations", "sha256"), False, files["summary.json"], files)
    assert not said_of(("run", "annotations", "size"), False, files["summary.json"], files)
    assert not said_of(("settings", "taus"), False, files["summary.json"], files) and not said_of(
        ("means",), False, files["summary.json"], files
    )


def looks() -> str:
    "The code of the chapters that a page shows unfolded: no definitions, no tests."
    cells = (cell for path in sorted(PAGES.parent.glob("*.ipynb")) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"])
    code = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    shown = (source for source in code if not re.search(r"^#\|\s*(export|hide)", source, re.M))
    return "\n".join(source for source in shown if not re.match(r"(#\|.*\n)*\s*(assert|with pytest|import|from) ", source))


def test_every_name_to_begin_with_is_used_where_a_reader_sees_it():
    import avesound

    seen = looks()
    assert not [name for name in dir(avesound) if not name.startswith("_") and not re.search(rf"\b{name}\b", seen)]
