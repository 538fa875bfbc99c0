"""Weights out of wheels, from the package index to what the encoders say of real pictures and sounds.

Where the index does not answer, the tests marked `network` are skipped. What they fetch stays where the encoders look for it.
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from avesound import cli
from avesound.data.download import DownloadError
from avesound.encoders.base import create_encoder
from avesound.encoders.wheels import WHEELS, fetch_weights, wheel_weights_path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.offline_pair import sound_shares  # noqa: E402

DATA = Path(os.environ.get("AVESOUND_TEST_DATA", ROOT.parent / "shared" / "data"))
MILITARY_UNIFORM, CATS = 652, {281, 282, 285}  # ImageNet's: tabby, tiger cat, Egyptian cat


@pytest.fixture(scope="module")
def fetched() -> dict[str, Path]:
    "The weights of both encoders; the test is skipped where the package index does not answer."
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_RETRIES", "1")
        patch.setenv("PIP_DEFAULT_TIMEOUT", "10")
        try:
            return {name: fetch_weights(name).path for name in WHEELS}
        except DownloadError as error:
            if "hash" in str(error).lower() or "SHA-256" in str(error):
                raise  # it did answer, with something else
            pytest.skip(f"the package index does not answer ({error})")


def downloaded_picture(folder: Path) -> np.ndarray:
    "The cat of scikit-image, out of its wheel."
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(folder),
        "scikit-image",
    ]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("scikit-image's wheel cannot be had")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive, archive.open("skimage/data/chelsea.png") as file:
        return np.array(Image.open(file).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR))


@pytest.mark.network
def test_a_second_call_does_nothing(fetched, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("nothing is to be downloaded"))
    for name, path in fetched.items():
        before = path.stat()
        again = fetch_weights(name)
        assert not again.is_new and again.path == path == wheel_weights_path(name)
        assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


@pytest.mark.network
def test_the_same_weights_are_the_same_file_everywhere(fetched):
    "Results name the checksum: whoever fetches the weights must get this one."
    sums = {name: fetch_weights(name).sha256 for name in fetched}
    assert sums == {
        "aisfx": "34c8b1092a6eee3240ac4d3069d48da28968771623063e54d11d26c04feb9bea",
        "efficientnet_lite0": "efc368ffa6d26568892202f1caaf5c07128653169d51e477474537371dabe6ad",
    }


@pytest.mark.network
def test_efficientnet_lite0_names_an_officer_and_a_cat(fetched, tmp_path):
    encoder = create_encoder("efficientnet_lite0", device="cpu")
    portrait = Image.open(Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg").convert("RGB")
    pictures = [np.array(portrait.resize((224, 224), Image.Resampling.BILINEAR)), downloaded_picture(tmp_path)]
    officer, cat = encoder.class_scores(encoder.encode_pictures(np.stack(pictures))).argmax(axis=1)
    assert officer == MILITARY_UNIFORM and cat in CATS
    upside_down = encoder.class_scores(encoder.encode_pictures(np.stack(pictures)[:, ::-1])).argmax(axis=1)
    assert tuple(upside_down) != (officer, cat), "it looks at the picture"


@pytest.mark.network
def test_aisfx_knows_sounds_better_than_log_mel_statistics(fetched):
    if not (DATA / "esc" / "manifest.csv").is_file():
        pytest.skip("the real sounds are not here (AVESOUND_TEST_DATA)")
    shares = sound_shares(DATA / "esc")
    assert shares["aisfx"][0] > 0.70 > shares["logmel"][0] + 0.05 and shares["aisfx"][1] == 56


@pytest.mark.network
def test_the_command_fetches_into_a_file(fetched, tmp_path, capsys):
    wheel = tmp_path / "copy.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("aisfx/models/checkpoint.pth", b"something else")
    assert cli.main(["fetch-weights", "aisfx", "--wheel", str(wheel), "--out", str(tmp_path / "a.safetensors")]) == 1
    assert "another or a damaged file" in capsys.readouterr().err and not (tmp_path / "a.safetensors").exists()
    assert cli.main(["fetch-weights", "aisfx", "--out", str(tmp_path / "a.safetensors")]) == 0
    assert "CC BY 4.0" in capsys.readouterr().out
    assert (tmp_path / "a.safetensors").read_bytes() == fetched["aisfx"].read_bytes()
    assert [path.name for path in tmp_path.iterdir()] in (["a.safetensors", "copy.whl"], ["copy.whl", "a.safetensors"])


@pytest.mark.parametrize("name, option", [("efficientnet_lite0", "--encoder"), ("aisfx", "--audio_encoder")])
def test_missing_weights_name_the_command_that_fetches_them(name, option, small_set, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    assert cli.main(["extract", "--vid_dir", str(small_set), "--out_dir", str(tmp_path / "cache"), option, name]) == 1
    said = capsys.readouterr().err
    assert f"`avesound fetch-weights {name}`" in said and "--weights FILE" in said and said.count("\n") <= 2
    assert not (tmp_path / "cache").exists()


def test_offline_the_message_says_which_wheel(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    assert cli.main(["fetch-weights", "aisfx"]) == 1
    said = capsys.readouterr().err
    assert "aisfx==0.1.2: pip cannot download it" in said and f"Get {WHEELS['aisfx'].wheel}" in said and "--wheel FILE" in said
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("name", [*WHEELS])
def test_the_untrained_pair_goes_through_extraction(name, small_set, tmp_path):
    "Random weights, every window length, workers: what does not depend on what the weights know."
    from avesound.embeddings.extract import RunSettings, extract
    from avesound.embeddings.job import WindowSettings

    kinds = ("video",) if name == "efficientnet_lite0" else ("audio",)
    encoder = create_encoder(name, weights="random", device="cpu")
    windows = WindowSettings(lengths=(0.25, 1.0), stride_s=0.5)
    report = extract(small_set, tmp_path, encoder=encoder, windows=windows, kinds=kinds, run=RunSettings(workers=0), progress=False)
    assert report.counts["ok"] + report.counts.get("no_audio", 0) >= 5, report
    files = list(tmp_path.rglob("*.npz"))
    assert files and all(np.isfinite(np.load(file)["emb"]).all() for file in files)


@pytest.mark.parametrize("name", [*WHEELS])
def test_the_page_of_encoders_names_the_licence_of_the_weights(name):
    rows = [line for line in (ROOT / "nbs/howto/encoders.md").read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}` ")]
    assert len(rows) == 1 and WHEELS[name].licence in rows[0]
