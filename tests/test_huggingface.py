"Towers of Hugging Face by name, from the command line to a refusal or a result; what the adapter computes is tested in its chapter."

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from transformers.utils import logging

from avesound import cli
from avesound.embeddings.verify import remake, verify_cache
from avesound.encoders.base import create_encoder

SMALL = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2)


@pytest.fixture(scope="module")
def towers(tmp_path_factory) -> dict[str, Path]:
    "Folders of a tower that sees and of one that hears."
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    folders = {name: tmp_path_factory.mktemp("models") / name for name in ("dino", "hubert")}
    torch.manual_seed(0)
    transformers.Dinov2Model(transformers.Dinov2Config(**SMALL, image_size=28, patch_size=7)).save_pretrained(folders["dino"])
    transformers.BitImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}).save_pretrained(folders["dino"])
    waves = dict(conv_dim=(8, 8), conv_stride=(5, 8), conv_kernel=(10, 8), num_feat_extract_layers=2)
    config = transformers.HubertConfig(**SMALL, **waves, intermediate_size=16, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2)
    transformers.HubertModel(config).save_pretrained(folders["hubert"])
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folders["hubert"])
    return folders


def extracted(towers, small_set, out, *more: str) -> int:
    words = ["--encoder", f"hf:{towers['dino']}", "--audio_encoder", f"hf:{towers['hubert']}", "--lengths", "1.0", "--stride", "0.5"]
    return cli.main(["extract", "--vid_dir", str(small_set), "--out_dir", str(out), "--device", "cpu", *words, *more])


def test_two_towers_by_name_through_extraction(towers, small_set, tmp_path, capsys):
    assert extracted(towers, small_set, tmp_path / "cache", "--workers", "2") == 0
    assert extracted(towers, small_set, tmp_path / "here", "--workers", "0") == 0
    files = sorted((tmp_path / "cache").rglob("*.npz"))
    assert len(files) == 11  # six clips with a picture, five with sound
    for file in files:
        # workers may use another number of threads, which moves the last digits
        with np.load(file) as one, np.load(tmp_path / "here" / file.relative_to(tmp_path / "cache")) as other:
            assert np.allclose(one["emb"], other["emb"], atol=1e-5) and np.ptp(one["emb"], axis=0).max() > 0
            encoder = json.loads(str(one["meta"]))["encoder"]
        assert encoder["name"] in ("hf:dino", "hf:hubert") and encoder["weights"].startswith("sha256:") and not encoder["joint"]
        assert encoder["config"]["revision"] is None and "preprocessor_config.json" in encoder["config"]["processor"]
    # What was made with one model is not mixed with what another makes.
    assert extracted({**towers, "dino": towers["hubert"]}, small_set, tmp_path / "cache") == 1
    assert "cannot see" in capsys.readouterr().err


def test_they_are_not_joint_and_a_projector_is_asked_for(towers, small_set, tmp_path, capsys):
    assert extracted(towers, small_set, tmp_path / "cache", "--workers", "0") == 0
    (tmp_path / "events.csv").write_text(
        "video_id,event_label,start_s,end_s,quality,split\nclip-0,Bark,1,2,good,test\nclip-1,Bark,1,2,good,test\n"
    )
    words = [
        "--vid_emb_dir",
        str(tmp_path / "cache"),
        "--aud_emb_dir",
        str(tmp_path / "cache"),
        "--annotations_csv",
        str(tmp_path / "events.csv"),
    ]
    assert cli.main(["evaluate", *words, "--summary_csv", str(tmp_path / "summary.csv")]) == 1
    said = capsys.readouterr().err
    assert "hf:dino" in said and "hf:hubert" in said and "projector" in said


def test_a_damaged_file_is_made_anew_with_the_folder_as_weights(towers, small_set, tmp_path):
    assert extracted(towers, small_set, tmp_path / "cache", "--workers", "0") == 0
    victim = next((tmp_path / "cache").rglob("clip-1.npz"))
    good = victim.read_bytes()
    victim.write_bytes(good[: len(good) // 2])
    check = verify_cache(tmp_path / "cache", repair=True, progress=False)
    assert check.faults
    remake(check, small_set, weights=str(towers["dino"]), device="cpu", progress=False)
    with np.load(victim) as mended:
        assert mended["emb"].dtype == np.float32


@pytest.mark.parametrize(
    "words, said",
    [
        (["--encoder", "hf:gpt2"], "hf:gpt2: after hf: comes owner/name"),
        (["--encoder", "hf:/no/such/folder"], "there is no such folder"),
        (["--encoder", "nothing"], "there is no encoder 'nothing'.*hf:owner/name"),
    ],
)
def test_a_wrong_name_gets_one_clear_line(words, said, small_set, tmp_path, capsys):
    import re

    assert cli.main(["extract", "--vid_dir", str(small_set), "--out_dir", str(tmp_path / "cache"), *words]) == 1
    err = capsys.readouterr().err
    assert re.search(said, err) and err.count("\n") <= 2 and not (tmp_path / "cache").exists()


def test_offline_the_message_names_the_files_and_the_way_out(monkeypatch, tmp_path, small_set, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    words = ["--audio_encoder", "hf:laion/clap-htsat-unfused", "--encoder", "signal"]
    assert cli.main(["extract", "--vid_dir", str(small_set), "--out_dir", str(tmp_path / "cache"), *words]) == 1
    said = capsys.readouterr().err
    assert "laion/clap-htsat-unfused: config.json, *processor*.json, model*.safetensors not in the cache" in said
    assert "https://huggingface.co/laion/clap-htsat-unfused/tree/main" in said and "--weights FOLDER" in said


def test_nothing_of_a_repository_is_executed(towers, tmp_path):
    "A folder that carries code, which its own files name: the classes of the library are used, or the folder is refused."
    import shutil

    folder = Path(shutil.copytree(towers["dino"], tmp_path / "mine"))
    for name, kind in (("modeling_mine.py", "Model"), ("processing_mine.py", "Processor")):
        (folder / name).write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'executed')!r}).touch()\nclass {kind}:\n    pass\n")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "modeling_mine.Model"}}))
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    encoder = create_encoder(f"hf:{folder}", device="cpu")
    assert type(encoder.network).__name__ == "Dinov2Model" and not (tmp_path / "executed").exists()
    code = {"image_processor_type": "Processor", "auto_map": {"AutoImageProcessor": "processing_mine.Processor"}}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | code))
    with pytest.raises(ValueError, match="its processor cannot be loaded"):
        create_encoder(f"hf:{folder}", device="cpu")
    assert not (tmp_path / "executed").exists()
