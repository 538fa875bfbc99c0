"Two unimodal towers through a fitted projector, end to end on real clips, from the command line. Random weights: no claim about quality."

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from avesound.embeddings.cache import EmbeddingCache
from avesound.embeddings.extract import extract
from avesound.embeddings.projector import ProjectorError, load_projector
from avesound.embeddings.store import folder_settings
from avesound.evaluation.evaluate import evaluate

AVESOUND = Path(sys.executable).with_name("avesound")


def run(*words, ok=True):
    done = subprocess.run([AVESOUND, *map(str, words)], capture_output=True, text=True, timeout=300)
    assert (done.returncode == 0) == ok, done.stderr
    return done.stdout if ok else done.stderr


@pytest.fixture(scope="module")
def towers(real_clips, tmp_path_factory):
    "A cache of mc3_18 and a small AST, both untrained, on 16 real clips, and their annotations with splits."
    folder = tmp_path_factory.mktemp("towers")
    table = pd.read_csv(real_clips / "annotations.csv", dtype=str)
    table["video_id"] = table["file"].map(lambda name: Path(name).stem) if "file" in table else table["video_id"]
    ids = [i for i in dict.fromkeys(table["video_id"]) if (real_clips / f"{i}.mp4").exists()][:16]
    table = table[table["video_id"].isin(ids)].assign(split=lambda t: t["video_id"].map(lambda i: "train" if ids.index(i) < 11 else "test"))
    table.to_csv(folder / "annotations.csv", index=False)
    (folder / "clips").mkdir()
    for i in ids:
        shutil.copy(real_clips / f"{i}.mp4", folder / "clips")
    output = run(
        "extract", "--vid_dir", folder / "clips", "--out_dir", folder / "cache", "--encoder", "mc3_18", "--weights", "random", "--win",
        "0.4", "--stride", "5", "--size", "64,64", "--workers", "1",
        "--audio_encoder", "ast", "--audio_weights", "random", "--audio_encoder_config",
        "hidden_size=48,num_hidden_layers=2,num_attention_heads=3,intermediate_size=96",
    )  # fmt: skip
    assert output.startswith("16 clips: 1") and "error" not in output
    return folder, [
        "--vid_emb_dir",
        folder / "cache/vid_emb",
        "--aud_emb_dir",
        folder / "cache/aud_emb",
        "--annotations_csv",
        folder / "annotations.csv",
    ]


def test_each_folder_knows_its_own_tower(towers):
    folder, _ = towers
    video, audio = (folder_settings(folder / "cache" / kind)["encoder"] for kind in ("vid_emb", "aud_emb"))
    assert (video["name"], video["weights"], video["dim"]) == ("mc3_18", "untrained", 512)
    assert (audio["name"], audio["weights"], audio["dim"]) == ("ast", "untrained", 48)


def test_two_towers_are_refused_then_projected_then_marked(towers, tmp_path):
    folder, cache = towers
    score = ["evaluate", *cache, "--split", "test", "--summary_csv", tmp_path / "s.csv"]
    assert "512 dimensions" in run(*score, ok=False) and not (tmp_path / "s.csv").exists()
    output = run("fit-projector", *cache, "--out", tmp_path / "p.safetensors", "--dim", "8")
    assert "fitted on 11 clips of train" in output and "synchrony" in output
    projector = load_projector(tmp_path / "p.safetensors")
    assert projector.provenance["video"]["name"] == "mc3_18" and len(projector.provenance["clips"]) == 11 and projector.dim == 10

    with_it = [*score, "--projector", tmp_path / "p.safetensors"]
    assert "untrained" in run(*with_it, ok=False)
    output = run(*with_it, "--allow_untrained")
    assert "NOT A RESULT" in output and "mc3_18+ast" in output
    overall = json.loads((tmp_path / "s.json").read_text())
    assert (
        overall["encoder"] == "mc3_18+ast"
        and overall["projector"]["n_clips"] == 11
        and overall["encoders"]["video"]["config"]["projector"] == projector.sha256
    )
    assert set(pd.read_csv(tmp_path / "s.csv")["weights"].dropna()) == {"untrained"}


def test_sound_that_is_read_once_stands_beside_windows_of_the_picture(towers, tmp_path):
    folder, _ = towers
    small = "hidden_size=48,num_hidden_layers=2,num_attention_heads=3,intermediate_size=96"
    run(
        "extract-audio", "--vid_dir", folder / "clips", "--out_dir", tmp_path / "aud_emb", "--frames", "--workers", "1",
        "--encoder", "ast_frame_level", "--weights", "random", "--encoder_config", small,
    )  # fmt: skip
    settings = folder_settings(tmp_path / "aud_emb")
    assert settings["frame_rate"] == 10 and settings["encoder"]["config"]["piece_s"] == 10.1
    data = [
        "--vid_emb_dir",
        folder / "cache/vid_emb",
        "--aud_emb_dir",
        tmp_path / "aud_emb",
        "--annotations_csv",
        folder / "annotations.csv",
    ]
    shown = {}
    for length in ("0.3", "1.5"):  # of any length, from one cache
        run("fit-projector", *data, "--out", tmp_path / f"{length}.safetensors", "--dim", "8", "--L_sec", length)
        scored = ["--split", "test", "--L_sec", length, "--projector", tmp_path / f"{length}.safetensors", "--allow_untrained"]
        assert "mc3_18+ast_frame_level" in run("evaluate", *data, *scored, "--summary_csv", tmp_path / f"{length}.csv")
        shown[length] = pd.read_csv(tmp_path / f"{length}.csv")
    assert len(shown["0.3"]) == len(shown["1.5"]) == 5 and not shown["0.3"].equals(shown["1.5"])


def test_clips_that_were_fitted_on_are_refused(towers, tmp_path):
    folder, cache = towers
    run("fit-projector", *cache, "--out", tmp_path / "p.safetensors", "--shrinkage", "0.5")
    projected = EmbeddingCache.of(folder / "cache", projector=tmp_path / "p.safetensors", allow_untrained=True)
    for split in ("train", None):
        with pytest.raises(ProjectorError, match="fitted on 11 of the clips"):
            evaluate(projected, folder / "annotations.csv", split=split)


def test_towers_together_or_one_after_the_other_make_the_same_cache(small_set, tmp_path):
    from avesound.encoders import create_encoder

    both = extract(small_set, tmp_path / "both", encoder="signal", audio_encoder="logmel", progress=False)
    extract(small_set, tmp_path / "each", encoder="signal", kinds=("video",), progress=False)
    extract(small_set, tmp_path / "each", encoder=create_encoder("logmel"), kinds=("audio",), progress=False)
    assert both.counts == {"ok": 5, "corrupt": 2, "no_audio": 1}
    together, apart = (
        {p.relative_to(tmp_path / k).as_posix(): p.read_bytes() for p in (tmp_path / k).rglob("*.npz")} for k in ("both", "each")
    )
    assert together.keys() == apart.keys() and len(together) == 11
    assert all(together[name] == apart[name] for name in together)


def test_a_tower_that_cannot_hear_says_what_to_do(small_set, tmp_path):
    for words, message in [(["--encoder", "mc3_18", "--weights", "random"], "audio_encoder"), (["--encoder", "logmel"], "cannot see")]:
        assert message in run("extract", "--vid_dir", small_set, "--out_dir", tmp_path, *words, ok=False)
