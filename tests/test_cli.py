"The console script, as a user runs it: every command, in order, in a folder of its own."

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from avesound.embeddings.store import folder_settings
from conftest import DATA

SCRIPT = Path(sys.executable).with_name("avesound")


def avesound(*words, cwd=None):
    done = subprocess.run([SCRIPT, *map(str, words)], capture_output=True, text=True, cwd=cwd, timeout=300)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    "A folder with a small synthetic data set."
    folder = tmp_path_factory.mktemp("work")
    code, said, error = avesound(
        "synth", "--out_dir", "data", "--n_train", 2, "--n-val", "1", "--n_test", 5, "--difficulty", "easy", cwd=folder
    )
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
    code, said, _ = avesound(
        "extract-audio-multiscale", "--wav_dir", "wav", "--out_dir", "cache", "--lengths", "1,2", "--stride_sec", "0.5", cwd=work
    )
    assert code == 0 and "8 ok" in said and len(list((work / "cache/aud_emb").glob("*.npz"))) == 24
    code, said, error = avesound(
        "evaluate", "--vid_emb_dir", "cache/vid_emb", "--aud_emb_dir", "cache/aud_emb", "--annotations_csv", "data/annotations.csv",
        "--summary_csv", "out/summary.csv", "--curve_dir", "out/curves", "--L_sec", "0.5,1,2", "--tau", "0.3",
        "--audio_query", "multi", "--multi_offsets", "-1,0,1", "--multi_reduce", "max", "--score_zscore", "false",
        "--score-smooth-sigma", "0.25", "--pred_softargmax", "--tau_adapt", "0.8", "--conf_radius_s", "1",
        "--hit_deltas", "0.5,2", "--plot_n", "2", "--split", "test", cwd=work,
    )  # fmt: skip
    assert code == 0, error
    summary = pd.read_csv(work / "out/summary.csv")
    assert len(summary) == 5 and {"hit_0.5", "hit_2.0", "hit_event_2.0"} <= set(summary) and (summary["split"] == "test").all()
    settings = json.loads((work / "out/summary.json").read_text())["settings"]
    assert (
        settings["multi_offsets"] == [-1, 0, 1]
        and settings["score_zscore"] is False
        and settings["pred_softargmax"] is True
        and settings["tau_adapt"] == 0.8
    )
    assert len(list((work / "out/curves").glob("*.png"))) == 2
    curves = pd.read_csv(work / "out/curves/curves.csv")
    assert list(curves.columns) == ["video_id", "t_sec", "similarity", "pdf", "run_id"] and curves["video_id"].nunique() == 5


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
        (["extract", "--vid_dir", "data/AVE", "--out_dir", "x", "--stride", "0"], "--stride must be positive"),
        (["extract", "--vid_dir", "data/AVE", "--out_dir", "x", "--weights", "w.pth"], "no weights to load"),
        (["extract", "--vid_dir", "data/AVE", "--out_dir", "x", "--fps", "0"], "--fps must be a positive number of frames per second"),
        (["extract", "--vid_dir", "data/AVE", "--out_dir", "x", "--encoder_config", "size=24"], "not with these values: {'size': 24}"),
        (["extract", "--vid_dir", "data/AVE", "--out_dir", "x", "--max_s", "-1"], "--max_s must be at least 0"),
        (["extract", "--vid_dir", "data/AVE", "--out_dir", "x", "--dtype", "float8"], "--dtype must be one of auto, "),
        (["benchmark", "--encoder", "logmel", "--data", "ours=data"], "encoder 'logmel' cannot see"),
        (["evaluate", "--vid_emb_dir", "./vid_emb_dir/", "--aud_emb_dir", "no", "--annotations_csv", "data/annotations.csv",
          "--summary_csv", "s.csv"], "no such folder of video embeddings: vid_emb_dir; "),
        (["annotations", "--txt", "data/synth.json", "--out_csv", "x.csv"], "synth.json"),
        (["evaluate", "--vid_emb_dir", "no", "--aud_emb_dir", "no", "--annotations_csv", "data/annotations.csv",
          "--summary_csv", "s.csv"], "no such folder of video embeddings: no; "),
        (["evaluate", "--vid_emb_dir", "data", "--aud_emb_dir", "data", "--annotations_csv", "data/annotations.csv",
          "--summary_csv", "s.csv"], "data: holds no video embeddings; "),
        (["download", "--zip", "data/synth.json", "--out_dir", "y"], "synth.json"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_clear_line_and_a_failing_exit_code(work, words, says):
    code, said, error = avesound(*words, cwd=work)
    assert code == 1 and says in error and error.startswith(f"avesound {words[0]}: ") and "Traceback" not in error, error


@pytest.mark.parametrize("command", ["extract", "extract-video"])
def test_settings_of_an_encoder_count_however_they_are_given(work, tmp_path, command):
    for name, words in [("config", ["--encoder_config", "fps=8"]), ("options", ["--fps", "8"])]:
        code, said, error = avesound(command, "--vid_dir", work / "data/AVE", "--out_dir", tmp_path / name, *words)
        assert code == 0, error
    made = [folder_settings(tmp_path / name / "vid_emb") for name in ("config", "options")]
    assert [one["encoder"]["fps"] for one in made] == [8.0, 8.0]
    assert made[0] == made[1]


def test_the_official_annotations_have_the_known_facts(tmp_path):
    txt = DATA / "ave" / "Annotations.txt"
    if not txt.exists():
        pytest.skip(f"the official annotations are not at hand ({txt}); set AVESOUND_TEST_DATA")
    code, said, error = avesound("annotations", "--txt", txt, "--out_csv", tmp_path / "ave.csv")
    assert code == 0, error
    for fact in ("4,143", "4,097", "VWi2ENBuTbw", "66.4", "87.2", "84.6", "0.74", "1,392", "62.0", "54.2", "2.19", "0.70", "2.07"):
        assert fact in said, f"{fact} is missing from:\n{said}"
    table = pd.read_csv(tmp_path / "ave.csv")
    assert (
        len(table) == 4143
        and table["video_id"].nunique() == 4097
        and table["split"].value_counts().to_dict() == {"train": 3339, "val": 402, "test": 402}
    )


COMMON = "--vid_emb_dir all/vid_emb --aud_emb_dir all/aud_emb --annotations_csv data/annotations.csv --split test".split()


def test_evaluate_with_a_selection_compare_and_crossmodal(work):
    from avesound.evaluation.protocol import Selection, write_selection
    from avesound.localization.align import AlignSettings

    for more in (["--out_dir", "all"], ["--out_dir", "wrong", "--wrong_sound", "1"]):
        code, _, error = avesound("extract", "--vid_dir", "data/AVE", "--lengths", "0.5,1", *more, cwd=work)
        assert code == 0, error
    ids = pd.read_csv(work / "data/annotations.csv").query("split == 'test'")["video_id"].tolist()
    write_selection(Selection(AlignSettings(tau=0.2), (0.5, 1.0), "val", ("elsewhere",), "dist"), work / "good.json")
    write_selection(Selection(AlignSettings(tau=0.2), (0.5, 1.0), "test", tuple(ids[:2]), "dist"), work / "leaky.json")
    chosen_on_val = "--summary_csv one/summary.csv --tuned_on good.json --shuffled_dirs wrong --calibrate_on train".split()
    code, said, error = avesound("evaluate", *COMMON, *chosen_on_val, cwd=work)
    assert code == 0 and "shuffled" in said, error
    chosen = json.loads((work / "one/summary.json").read_text())["settings"]
    assert chosen["L_sec"] == [0.5, 1.0] and chosen["tau"] != 0.5
    code, _, error = avesound("evaluate", *COMMON, "--summary_csv", "no/summary.csv", "--tuned_on", "leaky.json", cwd=work)
    assert code == 1 and "tuned on 2 of these clips" in error and not (work / "no").exists()
    code, said, error = avesound(
        "evaluate", *COMMON, "--summary_csv", "two/summary.csv", "--audio_query", "oracle", "--n_shuffles", "0", cwd=work
    )
    assert code == 0 and "NOT A RESULT: the audio query is taken from the annotations" in said, error
    both = "one/summary.csv two/summary.csv --out_dir side --names one,two --baselines centre,loudest".split()
    code, said, error = avesound("compare", *both, cwd=work)
    assert code == 0 and "two is NOT A RESULT" in said and "loudest  " in said and "|" not in said, error
    assert sorted(p.name for p in (work / "side").iterdir()) == ["comparison.csv", "comparison.md", "comparison.tex", "forest.png"]
    code, said, error = avesound("evaluate-crossmodal", *COMMON, "--out_json", "cml.json", cwd=work)
    assert code == 0 and "always_end" in said and "segment is the mean" in said, error
    assert (
        set(json.loads((work / "cml.json").read_text())["means"]) == {"encoder", "chance", "always_start", "always_end"}
        and (work / "cml.csv").is_file()
    )
    code, _, error = avesound("evaluate-crossmodal", cwd=work)
    assert code == 1 and "--order_h5" in error


@pytest.mark.skipif(not (DATA / "ave").is_dir(), reason="AVE's official annotations are not at hand")
def test_the_traps_of_ave_are_printed_by_a_command(tmp_path):
    code, said, error = avesound(
        "annotations", "--txt", DATA / "ave/Annotations.txt", "--out_csv", tmp_path / "ave.csv", "--clean_test_txt", tmp_path / "clean.txt"
    )
    assert code == 0, error
    for fact in ("87.2 %", "84.6 %", "62.0 %", "54.2 %", "394 clips of the test split that are in no other"):
        assert fact in said
    assert len((tmp_path / "clean.txt").read_text().split()) == 394
    code, said, error = avesound(
        "evaluate-crossmodal", "--txt", DATA / "ave/Annotations.txt", "--order_h5", DATA / "ave/test_order_match.h5"
    )
    assert code == 0, error
    lines = {line.split()[0]: line.split()[1] for line in said.splitlines() if line.startswith(("chance", "always"))}
    assert lines == {"chance": "20.8", "always_start": "35.3", "always_end": "46.8"}


def test_it_runs_as_a_module_too():
    done = subprocess.run([sys.executable, "-m", "avesound.cli", "--version"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.startswith("avesound ")
    done = subprocess.run(
        [sys.executable, "-m", "avesound.cli", "analyze", "--summary_csv", "nowhere.csv"], capture_output=True, text=True, timeout=300
    )
    assert (
        done.returncode == 1
        and done.stderr == "avesound analyze: no such summary: nowhere.csv; `avesound evaluate --summary_csv nowhere.csv` makes it\n"
    )


# ---- what is printed, wherever it goes


@pytest.fixture(scope="module")
def dead_and_odd(tmp_path_factory):
    "A run whose output has arrows, daggers, a note and letters of other scripts."
    import numpy as np

    from avesound.embeddings.store import write_embeddings
    from avesound.timeline import sliding_windows

    folder, rng, windows = tmp_path_factory.mktemp("odd"), np.random.default_rng(0), sliding_windows(10, 1.0, 0.25)
    meta = {"encoder": {"name": "τ→狗", "dim": 6, "joint": True, "weights": "none"}, "stride_s": 0.25, "duration_s": 10.0}
    for k, name in enumerate(["α", "β", "γ", "δ", "ε", "ζ"]):
        write_embeddings(folder / f"vid_emb/{name}.npz", rng.normal(size=(40, 6)), windows, meta)
        write_embeddings(
            folder / f"aud_emb/{name}__L1000ms.npz", (k != 5) * rng.normal(size=(40, 6)), windows, meta, loudness_db=np.arange(40)
        )
    rows = [f"{name},“犬” $$ a|b,{k},{k + 2},{('train', 'val', 'test')[k % 3]}" for k, name in enumerate(["α", "β", "γ", "δ", "ε", "ζ"])]
    (folder / "a.csv").write_text("\n".join(["video_id,event_label,start_s,end_s,split", *rows]) + "\n", encoding="utf-8")
    return folder


CACHES = ["--vid_emb_dir", "vid_emb", "--aud_emb_dir", "aud_emb", "--annotations_csv", "a.csv"]
PRINTING = {
    "evaluate": ["evaluate", *CACHES, "--summary_csv", "s.csv", "--curve_dir", "curves", "--plot_n", "2"],
    "compare": ["compare", "s.csv", "s.csv", "--out_dir", "side", "--names", "τ,狗|b"],
    "analyze": ["analyze", "--summary_csv", "s.csv", "--out_dir", "reports", "--run_tag", "one", "--overwrite", "--n_examples", "1"],
    "crossmodal": ["evaluate-crossmodal", *CACHES],
    "sweep": ["sweep", *CACHES, "--out_dir", "grid", "--taus", "0.5"],
    "ablate": ["ablate", *CACHES, "--out_dir", "ablation", "--split", "train"],
    "a mistake": ["evaluate", *CACHES[:4], "--annotations_csv", "狗.csv", "--summary_csv", "x.csv"],
    "a wrong option": ["evaluate", "--狗"],
}


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_no_encoding_ends_a_command(encoding, dead_and_odd):
    env = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for name, words in PRINTING.items():
        if encoding == "utf-8" and name not in ("evaluate", "a mistake", "a wrong option", "analyze"):
            continue  # the encoding of all other tests
        done = subprocess.run([SCRIPT, *words], capture_output=True, cwd=dead_and_odd, env=env, timeout=120)
        out, error = done.stdout.decode(encoding), done.stderr.decode(encoding)
        assert (
            done.returncode == {"a mistake": 1, "a wrong option": 2}.get(name, 0)
            and "Traceback" not in error
            and "UnicodeEncodeError" not in error
        ), (name, out, error)
        if name == "evaluate":
            shown = {"cp1252": "distance (s) v", "ascii": "distance (s) v", "utf-8": "distance (s) ↓"}[encoding]
            assert (
                shown in out
                and "flat" in out
                and ("tau->\\u72d7" in out if encoding == "ascii" else "\\u72d7" in out if encoding == "cp1252" else "τ→狗" in out)
            ), out
        if name == "a mistake":
            assert (
                error.startswith("avesound evaluate: ") and ("\\u72d7.csv" in error or "狗.csv" in error) and len(error.splitlines()) == 1
            )
    page = (dead_and_odd / "reports/one/report.html").read_text(encoding="utf-8")
    assert "“犬” $$ a|b" in page  # what is written to files is UTF-8 all the same


def test_every_help_text_is_printed_in_any_encoding(monkeypatch):
    from avesound import cli

    for encoding in ("ascii", "cp1252"):
        for words in [["--help"], ["--version"], *([name, "--help"] for name in cli.COMMANDS)]:
            out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # errors="strict", as where it is not said
            monkeypatch.setattr(sys, "stdout", out)
            with pytest.raises(SystemExit) as end:
                cli.main(words)
            assert end.value.code == 0 and sys.stdout is out and len(out.buffer.getvalue().decode(encoding)) > 10, words


def closed_pipe() -> int:
    "A pipe that nobody reads any more."
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("name", ["evaluate", "sweep", "analyze", "help"])
def test_a_closed_pipe_loses_what_is_printed_and_nothing_else(name, unbuffered, dead_and_odd):
    words = ["extract", "--help"] if name == "help" else PRINTING[name]
    wanted = {"evaluate": "s.csv", "sweep": "grid/selection.json", "analyze": "reports/one/report.html"}.get(name)
    if wanted:
        (dead_and_odd / wanted).unlink(missing_ok=True) if name != "analyze" else None
    writer = closed_pipe()
    done = subprocess.run(
        [SCRIPT, *words],
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd=dead_and_odd,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        text=True,
        timeout=120,
    )
    os.close(writer)
    assert done.returncode == 0 and "BrokenPipe" not in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert wanted is None or (dead_and_odd / wanted).exists()


def test_what_comes_after_a_closed_pipe_is_done(work):
    "The clean list is written after the report has been printed."
    writer = closed_pipe()
    words = ["annotations", "--txt", "data/Annotations.txt", "--out_csv", "piped.csv", "--clean_test_txt", "clean.txt"]
    done = subprocess.run(
        [SCRIPT, *words],
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd=work,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        text=True,
        timeout=120,
    )
    os.close(writer)
    assert done.returncode == 0 and (work / "clean.txt").exists(), done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_full_disk_is_a_line(dead_and_odd):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [SCRIPT, *PRINTING["evaluate"]], stdout=full, stderr=subprocess.PIPE, cwd=dead_and_odd, text=True, timeout=120
        )
    assert (
        done.returncode == 1
        and "No space left on device" in done.stderr
        and "Traceback" not in done.stderr
        and "Exception ignored" not in done.stderr
    )
