"Folders without the right to write: the error names what the user named, and no file that only avesound knows."

import contextlib
import gc
import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from avesound.cli import main
from avesound.data.sets import make_miniature
from avesound.data.synth import SynthSpec, make_dataset
from avesound.embeddings.extract import extract
from avesound.files import atomic_write, write_json
from avesound.media.write import write_clip, write_wav
from avesound.provenance import write_together

NOBODY = 65534


@contextlib.contextmanager
def as_user():
    "Root may do anything: within the block it is somebody else."
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def closed():
    "A folder that can be reached, read and searched, and not be written to."
    if not hasattr(os, "geteuid"):
        pytest.skip("this system has no such rights")
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    folder = place / "closed"
    folder.mkdir(mode=0o555)
    folder.chmod(0o555)
    try:
        with as_user():
            reached = os.access(folder, os.R_OK | os.X_OK, effective_ids=True)
            if not reached or os.access(folder, os.W_OK, effective_ids=True):
                pytest.skip(f"{folder}: nobody can be kept from writing there, or is kept from reading")
        yield folder
    finally:
        folder.chmod(0o755)
        shutil.rmtree(place)


def save_torch(path):
    import torch

    with atomic_write(path) as temporary:
        torch.save({}, temporary)


def save_safetensors(path):
    import torch
    from safetensors.torch import save_file

    with atomic_write(path) as temporary:
        save_file({"a": torch.zeros(1)}, temporary)


def save_npz(path):
    with atomic_write(path) as temporary:
        np.savez(temporary, a=np.zeros(1))


def save_figure(path):
    import matplotlib.pyplot as plt

    from avesound.drawing import save_figure

    figure = plt.figure()
    try:
        save_figure(figure, path)
    finally:
        plt.close(figure)


WRITERS = {
    "a.json": lambda path: write_json({}, path),
    "b.json": lambda path: write_together({path: {"run": {}}}, "r1"),
    "a.wav": lambda path: write_wav(path, np.zeros(160, np.float32)),
    "a.mp4": lambda path: write_clip(path, np.zeros((4, 16, 16, 3), np.uint8), 4),
    "a.pt": save_torch,
    "a.safetensors": save_safetensors,
    "a.npz": save_npz,
    "a.png": save_figure,
}


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")  # of half an object, when it is collected
@pytest.mark.parametrize("name", WRITERS)
def test_whatever_writes_a_file_names_it_where_it_must_not_be_written(name, closed, tmp_path):
    WRITERS[name](tmp_path / name)  # all that it imports is there now
    with as_user(), pytest.raises(PermissionError) as refused:
        WRITERS[name](closed / name)
    assert str(refused.value) == f"[Errno 13] Permission denied: '{closed / name}'"
    assert list(closed.iterdir()) == []
    del refused
    gc.collect()


@pytest.mark.parametrize("name", WRITERS)
def test_whatever_writes_a_file_names_it_where_a_folder_is_in_its_place(name, tmp_path):
    (tmp_path / name).mkdir()
    with pytest.raises(OSError) as refused:
        WRITERS[name](tmp_path / name)
    assert ".tmp" not in str(refused.value) and str(tmp_path / name) in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("made") / "d", n_train=1, n_val=1, n_test=1, spec=SynthSpec(size=(64, 80), fps=15, sample_rate=8000)
    )


COMMANDS = [
    "annotations --txt {made}/Annotations.txt --out_csv {out}/a.csv",
    "annotations --file {made}/annotations.csv --to audacity --out_dir {out}/labels",
    "synth --out_dir {out}/new --n_train 1 --n_val 0 --n_test 0",
    "extract --vid_dir {made}/AVE --out_dir {out}/cache --estimate",
    "extract-wav --vid_dir {made}/AVE --out_dir {out}",
    "download --zip {made}/ave.zip --out_dir {out}",
    "download --zip {made}/ave.zip --out_dir {out}/ave",
]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_names_a_folder_that_it_must_not_write_to(line, closed, made, capsys):
    shared = closed.parent / "made"
    shutil.copytree(made, shared)
    shutil.make_archive(str(shared / "ave"), "zip", shared.parent, "made")
    for path in shared.rglob("*"):
        path.chmod(0o755)
    elsewhere = closed.parent / "open"
    elsewhere.mkdir()
    assert main(line.format(made=shared, out=elsewhere).split()) == 0  # all that it imports is there now
    capsys.readouterr()
    with as_user():
        code = main(line.format(made=shared, out=closed).split())
    said = capsys.readouterr().err.splitlines()[-1]
    assert code == 1 and re.search(rf"Permission denied: '{re.escape(str(closed))}(/[a-z][^'/]*)*'$", said), said
    assert list(closed.iterdir()) == []


def test_a_set_that_is_made_up_names_the_folder(closed):
    with as_user(), pytest.raises(PermissionError) as refused:
        make_miniature(closed / "mini", "ave")
    assert str(refused.value) == f"[Errno 13] Permission denied: '{closed}'"


RESULTS = {  # what takes minutes or hours before it writes anything, and the option that says where
    "extract --vid_dir {made}/AVE --out_dir {out}/cache": "--out_dir",
    "extract-wav --vid_dir {made}/AVE --out_dir {out}/wav": "--out_dir",
    "evaluate {cache} --summary_csv {out}/results/summary.csv": "--summary_csv",
    "evaluate {cache} --summary_csv {open}/summary.csv --curve_dir {out}/curves": "--curve_dir",
    "evaluate-crossmodal --annotations_csv {made}/annotations.csv --out_json {out}/crossmodal.json": "--out_json",
    "compare {open}/a.csv {open}/b.csv --out_dir {out}/compared": "--out_dir",
    "leaderboard {open}/card.json --out_dir {out}/board": "--out_dir",
    "benchmark --encoder signal --out_dir {out}/card": "--out_dir",
    "fit-projector {cache} --out {out}/projector.safetensors": "--out",
    "train-refiner {cache} --refiner_ckpt {out}/refiner.pt": "--refiner_ckpt",
    "sweep {cache} --out_dir {out}/grid": "--out_dir",
    "ablate {cache} --out_dir {out}/ablation": "--out_dir",
    "analyze --summary_csv {open}/a.csv --out_dir {out}/analysis": "--out_dir",
    "locate {made}/AVE --figure {out}/figures": "--figure",
    "demo --out_dir {out}/demo": "--out_dir",
}


@pytest.fixture(scope="module")
def cached(made):
    extract(made / "AVE", made / "cache", progress=False)
    return made


@pytest.mark.parametrize("line, option", RESULTS.items())
def test_a_place_that_cannot_take_results_is_told_before_the_work(line, option, closed, cached, capsys):
    shared = closed.parent / "made"
    shutil.copytree(cached, shared)
    for path in [shared, *shared.rglob("*")]:
        path.chmod(0o777)
    cache = f"--vid_emb_dir {shared}/cache --aud_emb_dir {shared}/cache --annotations_csv {shared}/annotations.csv"
    there = {"out": closed, "open": shared, "made": shared, "cache": cache}
    file = shared / "annotations.csv"  # in whose place no folder can be, for root neither: and then all that is imported is there
    for out, why, who in [(file, "Not a directory", contextlib.nullcontext), (closed, "Permission denied", as_user)]:
        with who():
            code = main(line.format(**there | {"out": out}).split())
        said = capsys.readouterr().err.splitlines()[-1].partition(": ")[2]
        assert code == 1 and re.fullmatch(
            rf"nothing can be written to {re.escape(str(out))}\S* \({why}\): choose another place with {option}", said
        )
    assert list(closed.iterdir()) == []


@pytest.mark.parametrize("option", ["summary_csv", "out_json", "out", "refiner_ckpt"])
def test_a_folder_in_place_of_a_file_is_told_before_the_work(option, cached, tmp_path, capsys):
    line = next(line for line, name in RESULTS.items() if name == f"--{option}")
    place = tmp_path / f"dd{Path(line).suffix}"
    place.mkdir()
    cache = f"--vid_emb_dir {cached}/cache --aud_emb_dir {cached}/cache --annotations_csv {cached}/annotations.csv"
    words = line.format(out=tmp_path, open=tmp_path, made=cached, cache=cache).split()
    assert main([*words[:-1], str(place)]) == 1
    assert capsys.readouterr().err.splitlines()[-1].endswith(f": {place} is a folder: name a file to write with --{option}")
    assert list(tmp_path.iterdir()) == [place] and list(place.iterdir()) == []


@pytest.mark.parametrize("command", ["extract", "extract-video", "extract-wav"])
def test_a_file_in_place_of_a_cache_is_told_before_the_work(command, made, tmp_path, capsys):
    (tmp_path / "afile").write_text("mine")
    assert main([command, "--vid_dir", str(made / "AVE"), "--out_dir", str(tmp_path / "afile")]) == 1
    said = f"nothing can be written to {tmp_path / 'afile'} (Not a directory): choose another place with --out_dir"
    assert capsys.readouterr().err.splitlines()[-1] == f"avesound {command}: {said}"
    assert [path.name for path in tmp_path.iterdir()] == ["afile"] and (tmp_path / "afile").read_text() == "mine"
