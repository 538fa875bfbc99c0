"Mistakes that people make: each is answered by one line that says what to do next."

import ast
import contextlib
import csv
import glob
import io
import re
import shlex
import shutil
from pathlib import Path

import pytest

from avesound import extract
from avesound.cli import main
from avesound.data.synth import SynthSpec, make_dataset
from avesound.embeddings.job import WindowSettings


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    "A folder as the commands lay it out by default, without results."
    folder = tmp_path_factory.mktemp("project")
    made = make_dataset(folder / "made", n_train=1, n_val=1, n_test=2, spec=SynthSpec(size=(64, 96)))
    (folder / "data/ave/raw").mkdir(parents=True)
    shutil.move(made / "AVE", folder / "data/ave/raw/AVE")
    shutil.move(made / "annotations.csv", folder / "data/ave/ave_annotations.csv")
    shutil.rmtree(made)
    with contextlib.chdir(folder):
        extract("data/ave/raw/AVE", "cache", windows=WindowSettings(lengths=(0.5, 1.0)), progress=False)
    return folder


def answer(line: str, folder) -> str:
    "What a wrong command says on stderr; defaults that are named first, and progress, left out."
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(shlex.split(line)[1:])
    lines = [text for text in err.getvalue().split("\n") if text.startswith("avesound ") and ": by default --" not in text]
    assert code == 1 and len(lines) == 1 and "Traceback" not in err.getvalue(), err.getvalue()
    return lines[0].partition(": ")[2]


LENGTHS = "cache/aud_emb has no audio windows of 3 s, it has windows of 0.5, 1 s: make them with `avesound extract-audio-multiscale"


@pytest.mark.parametrize(
    "line, says",
    [
        # in a wrong order
        ("evaluate --tuned_on reports/grid/selection.json", "no such selection of settings: reports/grid/selection.json; `avesound sweep"),
        (
            "evaluate --tuned_on reports/grid",
            "no such selection of settings: reports/grid/selection.json; `avesound sweep --out_dir reports/grid`",
        ),
        ("evaluate-refiner", "no such refiner: checkpoints/refiner/refiner.pt; `avesound train-refiner"),
        # wrong folders
        ("evaluate --vid_emb_dir data", "data: holds no video embeddings; did you mean cache/vid_emb?"),
        ("evaluate --aud_emb_dir data", "data: holds no audio embeddings; did you mean cache/aud_emb?"),
        ("evaluate --vid_emb_dir .", ".: holds no video embeddings; did you mean cache/vid_emb?"),
        ("evaluate --vid_emb_dir vid_emb", "no such folder of video embeddings: vid_emb; did you mean cache/vid_emb?"),
        *[
            (f"{command} --vid_emb_dir cache/aud_emb --aud_emb_dir cache/vid_emb", "not video embeddings; did you mean cache/vid_emb?")
            for command in ("evaluate", "train-refiner", "sweep", "ablate", "fit-projector --out p.safetensors", "view")
        ],
        ("evaluate --aud_emb_dir cache/vid_emb", "holds video embeddings, not audio embeddings; did you mean cache/aud_emb?"),
        # lengths that there are not
        *[
            (f"{command} 3.0", LENGTHS)
            for command in (
                "evaluate --L_sec",
                "train-refiner --L_sec",
                "sweep --lengths",
                "ablate --L_sec",
                "fit-projector --out p.safetensors --L_sec",
            )
        ],
        # no such GPU, and nothing is computed before that is said
        ("train-refiner --device cuda:99", "device 'cuda:99' cannot be used here ("),
        (
            "extract --encoder mc3_18 --weights random --audio_encoder ast --audio_weights random --device cuda:99",
            "'auto' takes what there is",
        ),
        # the file of a picture, and no picture
        ("view --clip c1 --out v.html", "--out is where the picture of --still goes: add --still=c1"),
        ("view --run data --out v.html", "--out is where the picture of --still goes: add --still=ID"),
        # a folder without a run
        ("view --run data/ave/raw", "holds no run; looked for data/AVE, data/ave/raw/AVE, data, cache/vid_emb, vid_emb, "),
    ],
)
def test_a_mistake_is_answered_by_one_line(line, says, project):
    assert says in answer(f"avesound {line}", project)


class Broken:
    "An encoder with a bug."

    def __init__(self):
        from avesound import EncoderSpec

        self.spec = EncoderSpec("broken", 3, joint=True, weights="none", fps=4.0, size=(16, 16), sample_rate=16000)

    def encode_video(self, frames):
        raise RuntimeError("shapes do not fit")

    encode_audio = encode_video


def test_the_only_clip_has_no_other_sound(project, tmp_path):
    clip = next((project / "data/ave/raw/AVE").iterdir())
    (tmp_path / "one").mkdir()
    shutil.copy(clip, tmp_path / "one")
    said = answer("avesound extract --vid_dir one --out_dir wrong --wrong_sound 3", tmp_path)
    assert said == "--wrong_sound gives a clip the sound of another one, and there is no other: it takes two clips or more with a file"
    assert not (tmp_path / "wrong").exists()


def test_an_encoder_that_fails_on_every_clip_is_named_by_the_run_and_by_evaluate(project, tmp_path):
    report = extract(project / "data/ave/raw/AVE", tmp_path / "cache", encoder=Broken(), progress=False)
    assert report.counts == {"error": 4} and str(report).count("shapes do not fit") == 4
    said = answer(f"avesound evaluate --vid_emb_dir {tmp_path}/cache --aud_emb_dir {tmp_path}/cache", project)
    assert "no clip could be embedded (4 error); the first, " in said and "shapes do not fit" in said and "multiscale" not in said


class Tensors(Broken):
    "An encoder that returns tensors as its network makes them."

    def encode_video(self, frames):
        import torch

        return torch.ones(len(frames), 3, dtype=torch.float16, requires_grad=True) / 3

    encode_audio = encode_video


def test_tensors_of_an_encoder_are_taken(project, tmp_path):
    assert extract(project / "data/ave/raw/AVE", tmp_path / "cache", encoder=Tensors(), progress=False).counts == {"ok": 4}


def test_settings_of_a_sweep_are_a_file_in_its_folder(project, tmp_path):
    (tmp_path / "selection.json").write_text("{}")
    assert (
        answer(f"avesound evaluate --tuned_on {tmp_path}", project) == f"{tmp_path}: is a folder; did you mean {tmp_path}/selection.json?"
    )


@pytest.mark.parametrize("command", ["extract", "locate data/ave/raw/AVE", "benchmark"])
def test_two_towers_without_weights_are_named_in_one_message(command, project, tmp_path, monkeypatch):
    missing = f"--weights {tmp_path}/no_picture.pth --audio_weights {tmp_path}/no_sound"
    said = answer(f"avesound {command} --encoder mc3_18 --audio_encoder ast {missing}", project)
    assert "neither encoder can be made" in said and "no_picture.pth" in said and "no_sound" in said


def test_a_cache_is_as_good_as_its_folders_and_a_folder_without_a_clip_is_no_mistake(project, tmp_path):
    from avesound.embeddings.store import embeddings_folder

    assert embeddings_folder(project / "cache", "video") == project / "cache/vid_emb"
    (tmp_path / "vid_emb").mkdir()
    assert embeddings_folder(tmp_path, "video") == tmp_path / "vid_emb"


def test_view_finds_what_the_commands_write_by_default(project):
    from avesound.viewer.run import looked_for, run_of

    with contextlib.chdir(project):
        assert main(["evaluate", "--n_boot", "9"]) == 0
        run = run_of(".")
        assert [str(run.summary_csv), str(run.annotations_csv)] == ["reports/summary.csv", "data/ave/ave_annotations.csv"]
        assert [str(run.vid_dir), str(run.vid_emb_dir)] == ["data/ave/raw/AVE", "cache/vid_emb"]
        assert looked_for(run).endswith(" has no curves (results/curves/curves.csv or reports/curves/curves.csv or curves/curves.csv)")


with (Path(__file__).parent / "options.tsv").open(encoding="utf-8", newline="") as table:
    CONTRACT = list(csv.DictReader(table, delimiter="\t"))
NEGATIVE = {"--multi_offsets"}  # moments before the middle
NOTHING = NEGATIVE | set(
    "--n_train --n_val --n_test --seed --seeds --workers --no_event --no_event_is --wrong_sound --timeout_s --encode_timeout_s --max_s "
    "--plot_n --n_shuffles --score_smooth_sigma --smooth_sigmas --conf_radius_s --hit_deltas --weight_decay --n_examples --port".split()
)
SOMETHING = {("benchmark", "--n_val"), ("benchmark", "--n_test"), ("demo", "--n_test"), ("sweep", "--workers")}
NEEDED = {  # of what has no place of its own
    "synth": "--out_dir o",
    "locate": "data/ave/raw/AVE/*.mp4",
    "evaluate": "--curve_dir o",
    "evaluate-crossmodal": "--annotations_csv data/ave/ave_annotations.csv",
    "compare": "scored/summary.csv scored/summary.csv --names a,b --out_dir o",
    "benchmark": "--encoder signal --data synth-hard",
    "view": "--notebook o.ipynb",
    "analyze": "--summary_csv scored/summary.csv",
    "annotations": "--file data/ave/ave_annotations.csv",
    "fit-projector": "--out p.safetensors",
}


def impossible() -> list[tuple[str, str, str]]:
    "Of every number option of every command what no number of its kind can be."
    tried = []
    for row in CONTRACT:
        value, option = ast.literal_eval(row["value"]), row["option"].split()[0]
        while isinstance(value, tuple) and value:
            value = value[-1]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            tried += [(row["command"], option, "-1")] * (option not in NEGATIVE)
            tried += [(row["command"], option, "0")] * ((row["command"], option) in SOMETHING or option not in NOTHING)
    return tried


def test_a_number_that_cannot_be_is_refused_before_anything_is_done(project, tmp_path):
    from avesound.evaluation.evaluate import evaluate

    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    with contextlib.chdir(tmp_path):
        evaluate("cache", "data/ave/ave_annotations.csv", split="test").save("scored/summary.csv")
        before, wrong, tried = sorted(Path().rglob("*")), [], impossible()
        for command, option, value in tried:
            words = [word for text in NEEDED.get(command, "").split() for word in (sorted(glob.glob(text)) or [text])]
            err = io.StringIO()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
                try:
                    code = main([command, *words, f"{option}={value}"])
                except SystemExit as end:  # of the parser, which has a second line
                    code = end.code
            lines = [line for line in err.getvalue().splitlines() if ": by default --" not in line]
            told = len(lines) == code and re.search(rf"{option}\b", lines[0])
            if not told or sorted(Path().rglob("*")) != before:
                wrong.append((command, option, value, code, lines))
    assert not wrong and len(tried) > 200, "\n".join(map(str, wrong))
