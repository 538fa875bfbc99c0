'The workflow as its document has it, typed word for word: the lines are those that the page "Coming from the scripts" shows.'

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avesound.cli import main
from avesound.data.annotations import read_annotations
from avesound.data.splits import read_clips
from avesound.data.synth import SynthSpec, make_dataset
from conftest import DATA

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "nbs/tutorials/from_the_scripts.ipynb"
BIN = Path(sys.executable).parent
SEED = 5  # one that puts clips with something to find into val and test


def blocks() -> list[list[str]]:
    "The lines of each bash block of the page, what is broken by hand put together."
    text = "".join(
        "".join(cell["source"]) + "\n" for cell in json.loads(PAGE.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "markdown"
    )
    return [re.sub(r"\s*\\\n\s*", " ", block).strip().splitlines() for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)]


WORKFLOW, BEFORE, TODAY = blocks()


def in_a_shell(line: str, folder: Path) -> subprocess.CompletedProcess:
    "What a shell does with a line, in a folder."
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=300
    )


def typed(line: str, folder: Path) -> subprocess.CompletedProcess:
    "The same in this process, which has the libraries loaded."
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(shlex.split(line)[1:])
    return subprocess.CompletedProcess(line, code, out.getvalue(), err.getvalue())


def runs(line: str, folder: Path, how=typed) -> str:
    done = how(line, folder)
    assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout + done.stderr


def last(done: subprocess.CompletedProcess) -> str:
    return done.stderr.rstrip().splitlines()[-1]


def laid_out(folder: Path, clips: Path, annotations: pd.DataFrame) -> Path:
    "A folder with clips and a CSV of nothing but ids and times, where the workflow expects them."
    (folder / "data/ave/raw").mkdir(parents=True)
    (folder / "data/ave/raw/AVE").symlink_to(clips)
    annotations.to_csv(folder / "data/ave/ave_annotations.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    "Short clips and their annotations: id, start, end."
    spec = SynthSpec(seed=SEED, size=(64, 96), sample_rate=8000)
    data_set = make_dataset(tmp_path_factory.mktemp("synthetic"), spec=spec, n_train=16, n_val=0, n_test=0, workers=2)
    return data_set / "AVE", read_annotations(data_set / "annotations.csv")[["video_id", "start_s", "end_s"]]


@pytest.fixture(scope="module")
def done(synthetic, tmp_path_factory):
    "The folder after all seven lines, and what each said."
    folder = laid_out(tmp_path_factory.mktemp("workflow"), *synthetic)
    runs("avesound extract_wav", folder)
    return folder, [runs(line, folder, in_a_shell) for line in WORKFLOW]


def test_the_page_shows_seven_lines_of_old_names():
    names = [line.split()[1] for line in WORKFLOW]
    assert all(line.startswith("avesound ") for line in WORKFLOW)
    assert names == [
        "extract_video_emb",
        "extract_audio_multiscale",
        "eval_temporal_alignment",
        "hparam_sweep",
        "train_refiner",
        "eval_with_refiner",
        "analyze_results",
    ]


def test_the_lines_run_and_leave_every_file(done):
    folder, outputs = done
    assert len(list((folder / "cache/vid_emb").glob("*.npz"))) == 16 and len(list((folder / "cache/aud_emb").glob("*__L*ms.npz"))) == 80
    assert (
        sorted(path.name for path in (folder / "cache").iterdir() if path.is_dir()) == ["aud_emb", "vid_emb"]
        and (folder / "cache/extract.jsonl").is_file()
    )
    assert len(pd.read_csv(folder / "reports/summary.csv")) == 16
    for name in (
        "summary.json",
        "summary_baselines.csv",
        "curves/curves.csv",
        "grid/aggregate.csv",
        "grid/selection.json",
        "summary_refiner.csv",
        "curves_refiner/curves.csv",
    ):
        assert (folder / "reports" / name).is_file(), name
    assert (folder / "checkpoints/refiner/refiner.pt").is_file()
    analysis = {path.name for path in (folder / "reports/analysis/refiner_final").iterdir()}
    assert {
        "metrics_overall.json",
        "summary_canonical.csv",
        "per_class_metrics.csv",
        "hist_mae.png",
        "calibration.png",
        "calibration_bins.json",
        "coverage.png",
        "report.html",
    } <= analysis
    assert "encoder 'signal' needs no cuda: it runs on the CPU" in outputs[1]
    assert "--annotations_csv data/ave/ave_annotations.csv" in outputs[3] and "--refiner_ckpt checkpoints/refiner/refiner.pt" in outputs[4]


def test_the_splits_are_said_recorded_and_the_same_everywhere(done):
    folder, outputs = done
    clips = read_clips(folder / "data/ave/ave_annotations.csv")
    of_split = {split: sorted(clip.video_id for clip in clips.of_split(split)) for split in ("train", "val", "test")}
    words = "clips are split by a hash of their id"
    assert all(words in outputs[k] for k in (2, 3, 4, 5))
    reports = folder / "reports"
    record = json.loads((folder / "checkpoints/refiner/refiner.json").read_text())
    assert words in json.loads((reports / "summary.json").read_text())["splits_from"] and any(words in note for note in record["notes"])
    assert sorted(record["train"]) == of_split["train"] and sorted(record["val"]) == of_split["val"]
    assert sorted(json.loads((reports / "grid/selection.json").read_text())["video_ids"]) == of_split["val"]
    assert sorted(pd.read_csv(reports / "summary_refiner.csv")["video_id"]) == of_split["test"]
    summary = pd.read_csv(reports / "summary.csv")
    assert {split: sorted(rows["video_id"]) for split, rows in summary.groupby("split")} == of_split


def test_typed_again_they_change_nothing(done):
    folder, _ = done
    before = {path: path.read_bytes() for path in (folder / "reports").glob("*.csv")}
    outputs = [runs(line, folder) for line in WORKFLOW]
    assert "0 of them now, 16 before" in outputs[0] and "0 of them now, 16 before" in outputs[1]
    assert {path: path.read_bytes() for path in before} == before


def test_old_and_new_names_give_the_same_numbers(done, synthetic, tmp_path):
    folder, _ = done
    new = laid_out(tmp_path / "new", *synthetic)
    (new / "data/ave/ave_wav").symlink_to(folder / "data/ave/ave_wav")
    for line in [
        "avesound extract-video",
        'avesound extract-audio-multiscale --lengths "0.25,0.5,1.0,2.0,5.0"',
        "avesound evaluate --vid-emb-dir cache --aud-emb-dir cache --curve_dir reports/curves",
        'avesound sweep --caches cache --lengths "0.5,1.0,2.0" --taus "0.03,0.05,0.07,0.10"',
        "avesound train-refiner --epochs 5 --batch-size 256 --refiner_ckpt refiner.safetensors",
        "avesound evaluate-refiner --refiner_ckpt refiner.safetensors --curve_dir reports/curves_refiner",
    ]:
        runs(line, new)
    for path in (folder / "cache").rglob("*.npz"):
        assert np.array_equal(np.load(path)["emb"], np.load(new / path.relative_to(folder))["emb"])
    for name in (
        "summary.csv",
        "summary_baselines.csv",
        "curves/curves.csv",
        "grid/aggregate.csv",
        "summary_refiner.csv",
        "summary_refiner_methods.csv",
        "curves_refiner/curves.csv",
    ):
        assert (new / "reports" / name).read_bytes() == (folder / "reports" / name).read_bytes(), name


def test_every_folder_of_a_cache_names_it(done, tmp_path):
    folder, _ = done
    rows = []
    for k, (vid, aud) in enumerate([("cache/vid_emb", "cache/aud_emb"), ("cache", "cache"), ("cache/", "cache/aud_emb/")]):
        runs(f"avesound evaluate --vid_emb_dir {vid} --aud_emb_dir {aud} --n_boot 1 --summary_csv {tmp_path}/{k}.csv", folder)
        rows.append((tmp_path / f"{k}.csv").read_bytes())
    assert rows[0] == rows[1] == rows[2]
    for caches in ("cache", "cache/vid_emb", "cache/aud_emb"):
        assert "settings on" in runs(
            f"avesound sweep --caches {caches} --taus 0.1 --smooth_sigmas 0 --test_split none --n_boot 9 --out_dir {tmp_path}/grid", folder
        )
    swapped = typed("avesound evaluate --vid_emb_dir cache/aud_emb --aud_emb_dir cache/vid_emb", folder)
    assert (
        swapped.returncode == 1
        and last(swapped) == "avesound evaluate: cache/aud_emb: holds audio embeddings, not video embeddings; did you mean cache/vid_emb?"
    )
    other = typed("avesound extract_audio_emb --out_dir cache/vid_emb", folder)
    assert other.returncode == 1 and "name cache/aud_emb" in last(other)


@pytest.mark.parametrize(
    "line, first",
    [
        (line, first)
        for line, first in zip(
            WORKFLOW, ["download", "extract-wav", "annotations", "extract-video", "annotations", "train-refiner", "evaluate-refiner"]
        )
    ],
    ids=[line.split()[1] for line in WORKFLOW],
)
def test_in_an_empty_folder_each_line_names_the_one_before(line, first, tmp_path):
    failed = typed(line, tmp_path)
    assert failed.returncode == 1 and f"; `avesound {first} " in last(failed) and last(failed).endswith("` makes it"), failed.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_in_a_wrong_order_each_line_names_what_is_missing(synthetic, tmp_path):
    folder = laid_out(tmp_path, *synthetic)
    for line, first in [(2, "extract-video"), (3, "extract-video"), (4, "extract-video"), (5, "train-refiner"), (6, "evaluate-refiner")]:
        assert f"; `avesound {first} " in last(typed(WORKFLOW[line], folder))
    runs(WORKFLOW[0], folder)
    for line in (2, 3, 4):
        assert "; `avesound extract-audio-multiscale --wav_dir data/ave/ave_wav --out_dir cache/aud_emb` makes it" in last(
            typed(WORKFLOW[line], folder)
        )
    assert "no such folder of WAV files: data/ave/ave_wav; `avesound extract-wav " in last(typed(WORKFLOW[1], folder))
    runs('avesound extract --lengths "0.5"', folder)  # the same cache; 1 s is not among its lengths
    assert "has no audio windows of 1 s, it has windows of 0.5 s: make them with `avesound extract-audio-multiscale" in last(
        typed(WORKFLOW[2], folder)
    )


def test_a_device_that_is_not_there_is_one_line(synthetic, tmp_path):
    folder = laid_out(tmp_path, *synthetic)
    failed = typed("avesound train_refiner --device cuda", laid_out(tmp_path / "more", *synthetic))
    assert failed.returncode == 1  # for want of embeddings: nothing is computed before it is known what
    runs("avesound extract", folder)
    failed = typed("avesound train_refiner --device cuda --epochs 1", folder)
    assert (
        failed.returncode == 1 and "device 'cuda' cannot be used here" in last(failed) and "'auto' takes what there is" in last(failed)
    ), failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_checkpoint_is_replaced_only_when_told(done):
    folder, _ = done
    other = WORKFLOW[4].replace("--epochs 5", "--epochs 2")
    refused = typed(other, folder)
    assert refused.returncode == 1 and "was trained otherwise (settings.epochs was 5, is 2). Choose another file, or --overwrite" in last(
        refused
    )
    before = json.loads((folder / "checkpoints/refiner/refiner.json").read_text())
    runs(f"{other} --overwrite", folder)
    assert json.loads((folder / "checkpoints/refiner/refiner.json").read_text())["settings"]["epochs"] == 2
    runs(f"{WORKFLOW[4]} --overwrite", folder)
    again = json.loads((folder / "checkpoints/refiner/refiner.json").read_text())
    assert before.pop("run") != again.pop("run") and again == before  # what differs from run to run stands in one place


def test_today_s_lines_run_too(synthetic, tmp_path):
    folder = laid_out(tmp_path, *synthetic)
    for line in TODAY:
        runs(line, folder)
    overall = json.loads((folder / "reports/summary.json").read_text())
    assert (
        overall["tuned_on"]["split"] == "val"
        and "shuffled" in overall["means"]["all"]
        and (folder / "reports/analysis/signal/report.html").is_file()
    )


def test_the_lines_before_bring_the_data(synthetic, tmp_path):
    "On a zip that is here, because the real one is large: the layout, the splits and the sound that the workflow expects."
    clips, annotations = synthetic
    dataset = tmp_path / "zip/AVE_Dataset"
    (dataset / "AVE").mkdir(parents=True)
    ids = list(dict.fromkeys(annotations["video_id"]))
    split_of = {video_id: "train" if k < 10 else "val" if k < 13 else "test" for k, video_id in enumerate(ids)}
    lines = [f"Bark&{row.video_id}&good&{row.start_s:g}&{row.end_s:g}" for row in annotations.itertuples()]
    (dataset / "Annotations.txt").write_text("\n".join(lines) + "\n")
    for split in ("train", "val", "test"):
        (dataset / f"{split}Set.txt").write_text("\n".join(line for line in lines if split_of[line.split("&")[1]] == split) + "\n")
    for video_id in ids:
        shutil.copy(clips / f"{video_id}.mp4", dataset / "AVE")
    shutil.make_archive(tmp_path / "ave", "zip", tmp_path / "zip")
    assert BEFORE == ["avesound download", "avesound annotations", "avesound extract_wav"]
    folder = tmp_path / "project"
    folder.mkdir()
    output = runs(f"{BEFORE[0]} --zip {tmp_path / 'ave.zip'}", folder)
    assert "16 of 16 annotated clips are there" in output and "data/ave/ave_annotations.csv" in output
    for line in BEFORE[1:]:
        runs(line, folder)
    assert sorted(path.name for path in (folder / "data/ave").iterdir() if not path.name.startswith(".")) == [
        "ave_annotations.csv",
        "ave_wav",
        "raw",
    ]
    assert len(list((folder / "data/ave/raw/AVE").glob("*.mp4"))) == len(list((folder / "data/ave/ave_wav").glob("*.wav"))) == 16
    csv = folder / "data/ave/ave_annotations.csv"
    assert {clip.video_id: clip.split for clip in read_clips(csv).clips.values()} == split_of
    read_annotations(csv)[["video_id", "start_s", "end_s"]].to_csv(csv, index=False)  # a CSV without splits: the files in raw/ have them
    bare = read_clips(csv)
    assert {clip.video_id: clip.split for clip in bare.clips.values()} == split_of and "trainSet.txt" in bare.splits_from


@pytest.mark.skipif(not (DATA / "clips").is_dir(), reason="the real clips are not beside this checkout (AVESOUND_TEST_DATA)")
def test_the_lines_run_on_real_clips_without_splits(tmp_path):
    table = read_annotations(DATA / "clips/annotations.csv")
    table = table[(table["confidence"] != "low") & table["start_s"].notna()][["video_id", "start_s", "end_s"]]
    clips = tmp_path / "clips"
    clips.mkdir()
    for path in (DATA / "clips").iterdir():
        if path.suffix not in (".txt", ".csv", ".json"):
            (clips / path.name).symlink_to(path)
    folder = laid_out(tmp_path / "project", clips, table)
    runs("avesound extract_wav", folder)
    for line in WORKFLOW:
        runs(line, folder)
    summary = pd.read_csv(folder / "reports/summary.csv")
    assert set(summary["video_id"]) == set(table["video_id"]) and (summary["status"] == "ok").sum() >= 18
    assert (folder / "reports/analysis/refiner_final/report.html").is_file()
