"The console script, as a user runs it: every command, in order, in a folder of its own."
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import DATA

SCRIPT = Path(sys.executable).with_name("avesound")


def avesound(*words, cwd=None):
    done = subprocess.run([SCRIPT, *map(str, words)], capture_output=True, text=True, cwd=cwd, timeout=300)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    "A folder with a small synthetic data set."
    folder = tmp_path_factory.mktemp("work")
    code, said, error = avesound("synth", "--out_dir", "data", "--n_train", 2, "--n-val", "1", "--n_test", 5, "--difficulty", "easy", cwd=folder)
    assert code == 0, error
    return folder


def test_the_workflow_step_by_step(work):
    assert len(list((work / "data/AVE").glob("*.mp4"))) == 8
    code, said, _ = avesound("annotations", "--txt", "data/Annotations.txt", "--out_csv", "ann.csv", cwd=work)
    assert code == 0 and "wrote ann.csv" in said
    assert list(pd.read_csv(work / "ann.csv").columns) == ["video_id", "event_label", "start_s", "end_s", "quality", "split"]
    code, said, _ = avesound("extract-wav", "--vid_dir", "data/AVE", "--out_dir", "wav", cwd=work)
    assert code == 0 and "8 clips: 8 ok" in said and len(list((work / "wav").glob("*.wav"))) == 8
    code, said, _ = avesound("extract-video", "--vid-dir", "data/AVE", "--out_dir", "cache", "--stride", "0.5", cwd=work)
    assert code == 0 and "8 ok" in said
    code, said, _ = avesound("extract-audio", "--wav_dir", "wav", "--out_dir", "cache", "--win", "0.5", "--stride_sec", "0.5", cwd=work)
    assert code == 0 and "8 ok" in said
    code, said, _ = avesound("extract-audio-multiscale", "--wav_dir", "wav", "--out_dir", "cache", "--lengths", "1,2", "--stride_sec", "0.5", cwd=work)
    assert code == 0 and "8 ok" in said and len(list((work / "cache/aud_emb").glob("*.npz"))) == 24
    code, said, error = avesound(
        "evaluate", "--vid_emb_dir", "cache/vid_emb", "--aud_emb_dir", "cache/aud_emb", "--annotations_csv", "data/annotations.csv", "--summary_csv", "out/summary.csv",
        "--curve_dir", "out/curves", "--L_sec", "0.5,1,2", "--tau", "0.3", "--audio_query", "multi", "--multi_offsets", "-1,0,1", "--multi_reduce", "max", "--score_zscore", "false",
        "--score-smooth-sigma", "0.25", "--pred_softargmax", "--tau_adapt", "0.8", "--conf_radius_s", "1", "--hit_deltas", "0.5,2", "--plot_n", "2", "--split", "test", cwd=work,
    )  # fmt: skip
    assert code == 0, error
    summary = pd.read_csv(work / "out/summary.csv")
    assert len(summary) == 5 and {"hit_0.5", "hit_2.0", "hit_event_2.0"} <= set(summary) and (summary["split"] == "test").all()
    settings = json.loads((work / "out/summary.json").read_text())["settings"]
    assert settings["multi_offsets"] == [-1, 0, 1] and settings["score_zscore"] is False and settings["pred_softargmax"] is True and settings["tau_adapt"] == 0.8
    assert len(list((work / "out/curves").glob("*.png"))) == 2
    curves = pd.read_csv(work / "out/curves/curves.csv")
    assert list(curves.columns) == ["video_id", "t_sec", "similarity", "pdf"] and curves["video_id"].nunique() == 5


def test_the_command_line_and_the_function_give_the_same_result(work):
    from avesound.embeddings.extract import extract

    extract(work / "data/AVE", work / "from_python", progress=False)
    code, _, error = avesound("extract", "--vid_dir", "data/AVE", "--out_dir", "from_shell", cwd=work)
    assert code == 0, error
    for path in (work / "from_python").rglob("*.npz"):
        assert path.read_bytes() == (work / "from_shell" / path.relative_to(work / "from_python")).read_bytes()


def test_a_zip_that_is_here_becomes_a_data_set(work, tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "ave.zip", "w") as archive:
        for path in sorted((work / "data").rglob("*")):
            if path.is_file():
                archive.write(path, Path("AVE_Dataset") / path.relative_to(work / "data"))
    code, said, error = avesound("download", "--zip", tmp_path / "ave.zip", "--out_dir", tmp_path / "ave")
    assert code == 0, error
    assert "sha256" in said.lower() and len(list((tmp_path / "ave").rglob("*.mp4"))) == 8


@pytest.mark.parametrize(
    "words, says",
    [
        (["extract", "--vid_dir", "nowhere", "--out_dir", "x"], "no such folder"),
        (["extract", "--vid_dir", "data/AVE", "--out_dir", "x", "--encoder", "nothing"], "there is no encoder 'nothing'"),
        (["extract", "--vid_dir", "data/AVE", "--out_dir", "x", "--shard", "3/2"], "shard must be i/N"),
        (["extract", "--vid_dir", "data/AVE", "--out_dir", "x", "--stride", "0"], "stride_s must be positive"),
        (["extract", "--vid_dir", "data/AVE", "--out_dir", "x", "--weights", "w.pth"], "no weights to load"),
        (["annotations", "--txt", "data/synth.json", "--out_csv", "x.csv"], "synth.json"),
        (["evaluate", "--vid_emb_dir", "no", "--aud_emb_dir", "no", "--annotations_csv", "data/annotations.csv", "--summary_csv", "s.csv"], "no such folder of embeddings"),
        (["evaluate", "--vid_emb_dir", "no", "--aud_emb_dir", "no", "--annotations_csv", "data/synth.json", "--summary_csv", "s.csv"], "synth.json"),
        (["download", "--zip", "data/synth.json", "--out_dir", "y"], "synth.json"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_clear_line_and_a_failing_exit_code(work, words, says):
    code, said, error = avesound(*words, cwd=work)
    assert code == 1 and says in error and error.startswith(f"avesound {words[0]}: ") and "Traceback" not in error, error


def test_the_official_annotations_have_the_known_facts(tmp_path):
    txt = DATA / "ave" / "Annotations.txt"
    if not txt.exists():
        pytest.skip(f"the official annotations are not at hand ({txt}); set AVESOUND_TEST_DATA")
    code, said, error = avesound("annotations", "--txt", txt, "--out_csv", tmp_path / "ave.csv")
    assert code == 0, error
    for fact in ("4,143", "4,097", "VWi2ENBuTbw", "66.4", "87.2", "84.6", "0.74", "1,392", "62.0", "54.2", "2.19", "0.70", "2.07"):
        assert fact in said, f"{fact} is missing from:\n{said}"
    table = pd.read_csv(tmp_path / "ave.csv")
    assert len(table) == 4143 and table["video_id"].nunique() == 4097 and table["split"].value_counts().to_dict() == {"train": 3339, "val": 402, "test": 402}
