"MC3: golden outputs, every form of checkpoint, and files that are wrong, broken or hostile."

import importlib
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from avesound.embeddings.extract import WindowSettings, extract
from avesound.embeddings.store import audio_file, cached_videos, read_embeddings, video_file
from avesound.encoders.base import create_encoder
from avesound.encoders.checkpoint import CheckpointError, convert_checkpoint, read_checkpoint
from avesound.encoders.soundingactions import mel_input
from avesound.encoders.soundingactions_towers import MC3Sizes, divided_attention, load_mc3, random_weights, read_sizes

GOLDEN = Path(__file__).parent / "golden"
PTH = GOLDEN / "mc3_small_ddp.pth"
SMALL = dict(embed_dim=64, depth=2, num_frames=4, img_size=32, dim=32)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "mc3_small_io.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def bare():
    "The golden model's weights under the names that a checkpoint of one GPU has."
    return read_checkpoint(PTH)


def mc3(weights, **config):
    return create_encoder("mc3", weights=str(weights), device="cpu", **({"num_heads": 4} | config))


def is_golden(encoder, golden):
    return all(
        np.abs(ours - golden[name]).max() < 1e-5
        for name, ours in [
            ("video_emb", encoder.encode_video(golden["frames"])),
            ("video_emb_half_frames", encoder.encode_video(golden["frames"][:, :2])),
            ("audio_emb", encoder.encode_audio(golden["wav"])),
        ]
    )


# ---- the towers


def test_the_authors_outputs_are_reproduced(golden):
    config = json.loads((GOLDEN / "mc3_small.json").read_text())
    assert is_golden(mc3(PTH, **config), golden)
    # Near-empty mel bins differ by how a machine's library rounds its Fourier transform; the logarithm magnifies that.
    assert np.abs(mel_input(MC3Sizes()).of_windows(golden["wav"]) - golden["fbank"]).max() < 1e-4
    assert np.median(np.abs(mel_input(MC3Sizes()).of_windows(golden["wav"]) - golden["fbank"])) < 1e-6


def naive_attention(x, weights, name, heads, n_frames, over):
    "Divided attention as one masked attention over all tokens."
    n_tokens = x.shape[1]
    frame, place = np.divmod(np.arange(n_tokens - 1), (n_tokens - 1) // n_frames)
    group = torch.tensor(place if over == "time" else frame)
    may = torch.ones(n_tokens, n_tokens, dtype=torch.bool)
    may[1:, 1:] = group[:, None] == group
    qkv = x @ weights[f"{name}.qkv.weight"].T + weights[f"{name}.qkv.bias"]
    q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    scores = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).masked_fill(~may, -torch.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2) @ weights[f"{name}.proj.weight"].T + weights[f"{name}.proj.bias"]


@pytest.mark.parametrize("over", ["time", "space"])
@pytest.mark.parametrize("n_frames, n_patches", [(1, 1), (1, 9), (5, 1), (3, 4), (4, 3)])
def test_divided_attention_is_a_masked_attention(bare, over, n_frames, n_patches):
    x = torch.randn(2, 1 + n_frames * n_patches, 96, generator=torch.Generator().manual_seed(1))
    name = "video_model.blocks.1.timeattn"
    ours = divided_attention(x, bare, name, 4, n_frames, over=over)
    assert torch.allclose(ours, naive_attention(x, bare, name, 4, n_frames, over), atol=1e-5)


@pytest.mark.parametrize("n", [400, 401, 559, 560, 4000, 23999, 24000, 24001, 80000])
@pytest.mark.parametrize("fill", ["zero", "repeat"])
def test_a_batch_of_sound_is_what_the_original_makes_of_each(n, fill):
    from torchaudio.compliance import kaldi

    wav = np.random.default_rng(n).normal(0.01, 0.1, (3, n)).astype(np.float32)
    mel = mel_input(MC3Sizes(), fill).of_windows(wav)
    assert mel.shape == (3, 149, 128) and mel.dtype == np.float32
    for ours, sound in zip(mel, wav):
        if n > 24000:
            sound = sound[(n - 24000) // 2 :][:24000]
        elif fill == "repeat":
            sound = np.tile(sound, -(-24000 // n))[:24000]
        sound = torch.from_numpy(sound)[None]
        how = dict(htk_compat=True, sample_frequency=16000, use_energy=False, window_type="hanning", num_mel_bins=128, dither=0.0)
        rows = kaldi.fbank(sound - sound.mean(), **how)
        rows = ((rows + 4.26) / (2 * 4.57)).numpy()
        assert np.abs(ours[: len(rows)] - rows).max() < 1e-4 and (ours[len(rows) :] == 0).all()


def test_vectors_do_not_depend_on_the_batch(golden):
    encoder = mc3(PTH)
    frames, wav = np.concatenate([golden["frames"]] * 4), np.concatenate([golden["wav"]] * 4)
    for encode, batch in [(encoder.encode_video, frames), (encoder.encode_audio, wav)]:
        assert np.allclose(encode(batch), np.concatenate([encode(one[None]) for one in batch]), atol=2e-6)
    assert np.array_equal(encoder.encode_video(frames), encoder.encode_video(np.asfortranarray(frames)))


def test_a_picture_of_other_sizes_of_tower(tmp_path):
    "Towers of unequal size, more seconds of sound, more slots: all read off the shapes."
    video = dict(slots=6, image=48, patch=8, video_width=128, video_depth=1, video_heads=2)
    sizes = MC3Sizes(dim=16, **video, audio_steps=29, audio_width=64, audio_depth=3, audio_heads=1)
    save_file(random_weights(sizes, 5), tmp_path / "w.safetensors")
    encoder = create_encoder("mc3", weights=str(tmp_path / "w.safetensors"), device="cpu")
    assert encoder.sizes == sizes and encoder.spec.audio_win_s == 3.0 and encoder.spec.size == (48, 48)
    assert encoder.encode_video(np.zeros((2, 9, 48, 48, 3), np.uint8)).shape == (2, 16)
    assert encoder.encode_audio(np.zeros((2, 48000), np.float32)).shape == (2, 16)


# ---- forms of checkpoint


FORMS = {
    "bare": lambda w: w,
    "state_dict": lambda w: {"state_dict": w, "epoch": 3, "arch": "FrozenInTime"},
    "model_state_dict": lambda w: {"model_state_dict": OrderedDict(w), "loss": 0.5},
    "data-parallel": lambda w: {"state_dict": {f"module.{n}": t for n, t in w.items()}},
    "twice wrapped": lambda w: {f"module.module.{n}": t for n, t in w.items()},
    "with text": lambda w: w | {"text_model.embeddings.position_ids": torch.arange(9), "txt_proj.1.weight": torch.full((2, 2), torch.nan)},
    "without heads": lambda w: {n: t for n, t in w.items() if not n.startswith("audio_model.v.head")},
    "parameters": lambda w: {n: torch.nn.Parameter(t) for n, t in w.items()},
    "double": lambda w: {n: t.double() for n, t in w.items()},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".old.pth"])
def test_every_form_of_a_pickled_checkpoint(form, suffix, bare, golden, tmp_path):
    path = tmp_path / f"weights{suffix}"
    torch.save(FORMS[form](bare), path, _use_new_zipfile_serialization="old" not in suffix)
    encoder = mc3(path)
    assert is_golden(encoder, golden) and encoder.spec.weights.startswith("sha256:")


@pytest.mark.parametrize("form", ["bare", "with text", "without heads", "twice wrapped", "double"])
def test_every_form_of_safetensors(form, bare, golden, tmp_path):
    save_file(FORMS[form](bare), tmp_path / "weights.safetensors")
    assert is_golden(mc3(tmp_path / "weights.safetensors"), golden)
    os.symlink(tmp_path / "weights.safetensors", tmp_path / "link.pth")  # neither the name nor a link matters
    assert mc3(tmp_path / "link.pth").spec == mc3(tmp_path / "weights.safetensors").spec


def test_float16_checkpoints_are_nearly_the_same(bare, golden, tmp_path):
    torch.save({name: tensor.half() for name, tensor in bare.items()}, tmp_path / "half.pth")
    assert np.abs(mc3(tmp_path / "half.pth").encode_video(golden["frames"]) - golden["video_emb"]).max() < 0.02


def changed(weights, **changes):
    weights = dict(weights)
    for name, value in changes.items():
        name = name.replace("__", ".")
        if value is None:
            del weights[name]
        else:
            weights[name] = value
    return weights


WRONG = {
    "missing": (dict(video_model__blocks__1__norm3__weight=None), r"video_model\.blocks\.1\.norm3\.weight are missing"),
    "missing tower": (dict(vid_proj__0__weight=None), r"vid_proj\.0\.weight are missing"),
    "a gap": (dict(video_model__blocks__7__norm1__weight=torch.ones(96)), r"missing.*video_model\.blocks\.7\.norm1\.weight are unexpected"),
    "unexpected": (dict(logit_scale=torch.ones(1)), "logit_scale are unexpected"),
    "another head": (dict(vid_proj__0__weight=torch.zeros(64, 96)), r"another shape"),
    "more slots": (dict(video_model__temporal_embed=torch.zeros(1, 4, 97)),
    r"video_model.temporal_embed \(1, 4, 97\) instead of \(1, 4, 96\)"),
    "no square": (dict(video_model__pos_embed=torch.zeros(1, 7, 96)), "6 patches, which make no square"),
    "other sound": (dict(audio_model__v__pos_embed=torch.zeros(1, 171, 96)), "169 patches, not a multiple of the 12"),
    "axes": (dict(video_model__pos_embed=torch.zeros(5, 96)), "should have 3 axes"),
    "empty": (dict(video_model__temporal_embed=torch.zeros(1, 0, 96)), "temporal_embed has the shape"),
    "NaN": (dict(video_model__norm__bias=torch.full((96,), torch.nan)), r"video_model\.norm\.bias are not finite"),
    "infinite": (dict(audio_model__mlp_head__1__bias=torch.full((32,), torch.inf)), r"mlp_head\.1\.bias are not finite"),
    "integers": (dict(video_model__norm__bias=torch.zeros(96, dtype=torch.int64)), "not floating-point"),
    "a coarse grid": (dict(audio_model__v__patch_embed__proj__weight=torch.zeros(96, 1, 200, 200)), "mel bins"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_weights_are_named(case, bare, tmp_path):
    changes, message = WRONG[case]
    torch.save(changed(bare, **changes), tmp_path / "wrong.pth")
    with pytest.raises(CheckpointError, match=message) as caught:
        mc3(tmp_path / "wrong.pth")
    assert "wrong.pth" in str(caught.value) and len(str(caught.value)) < 1500


def test_another_model_is_recognised_as_such(tmp_path):
    torch.save({"stem.0.weight": torch.zeros(64, 3, 3, 7, 7), "fc.bias": torch.zeros(400)}, tmp_path / "mc3_18-a90a0ba3.pth")
    with pytest.raises(CheckpointError, match="torchvision's mc3_18 only shares the name"):
        mc3(tmp_path / "mc3_18-a90a0ba3.pth")


def test_a_million_blocks_cost_nothing():
    "Depth counts the blocks that are there; it is not the largest number in a name."
    shapes = MC3Sizes().shapes() | {"video_model.blocks.999999999.norm1.weight": (768,)}
    assert read_sizes(shapes).video_depth == 13


def test_sizes_that_were_asked_for_are_checked():
    with pytest.raises(ValueError, match="video_width is 96, not 768"):
        mc3(PTH, embed_dim=768)


# ---- files that are none, broken or hostile


class Touch:
    "Opening its pickle the ordinary way makes a file."

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


class Config(dict):
    "What training scripts leave beside the weights: a class of their own."


def refused_by_both(path, reader=None, converter=None):
    "Reading and converting `path` each end in one clear error; nothing is written."
    out = path.with_name("converted.safetensors")
    for match, act in [(reader, lambda: read_checkpoint(path)), (converter or reader, lambda: convert_checkpoint(path, out))]:
        with pytest.raises(CheckpointError, match=match) as caught:
            act()
        assert path.name in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 700
    assert not out.exists() and not list(path.parent.glob("*.tmp*"))


def test_files_that_are_no_checkpoint(tmp_path):
    for name, content, word in [
        ("empty.pth", b"", "is empty"),
        ("page.pth", b"\n <html><body>Quota exceeded</body></html>", "web page"),
        ("pointer.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        ("text.pt", b"hello", "neither"),
        ("zeros.pth", b"\0" * 1000, "neither"),
    ]:
        (tmp_path / name).write_bytes(content)
        refused_by_both(tmp_path / name, word)
    (tmp_path / "folder.pth").mkdir()
    refused_by_both(tmp_path / "folder.pth", "not a file")
    os.mkfifo(tmp_path / "pipe.pth")
    refused_by_both(tmp_path / "pipe.pth", "not a file")
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        archive.writestr("a.mp4", b"x")
    refused_by_both(tmp_path / "clips.zip", "torch.save did not write")
    for path in (tmp_path / "missing.pth", tmp_path / "page.pth" / "x"):
        with pytest.raises(OSError):
            read_checkpoint(path)


def rezipped(source: Path, out: Path, change, **kwargs) -> Path:
    "A copy of a checkpoint with its records changed."
    with zipfile.ZipFile(source) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(out, "w", **kwargs) as archive:
        for name, data in change(records).items():
            archive.writestr(name, data)
    return out


@pytest.fixture
def plain(tmp_path):
    torch.save({"state_dict": {"a": torch.arange(64.0), "b": torch.ones(2, 3)}}, tmp_path / "plain.pth")
    return tmp_path / "plain.pth"


def with_pickle(plain: Path, out: Path, data: bytes) -> Path:
    return rezipped(plain, out, lambda records: records | {"plain/data.pkl": data})


def test_code_in_a_pickle_is_never_run(plain, tmp_path):
    ran = tmp_path / "ran"
    weights = {"a": torch.arange(64.0)}
    for name, content in [
        ("beside", {"state_dict": weights, "x": Touch(ran)}),
        ("nested", {"state_dict": weights, "x": [{"y": (Touch(ran),)}]}),
        ("module", {"state_dict": weights, "args": Namespace(x=Touch(ran)), "config": Config(a=Touch(ran))}),
    ]:
        path = tmp_path / f"{name}.pth"
        torch.save(content, path)
        with pytest.raises(CheckpointError, match="more than weights.*convert-checkpoint"):
            read_checkpoint(path)
        assert not ran.exists()
        done = convert_checkpoint(path, tmp_path / f"{name}.safetensors")
        assert not ran.exists() and done.n_tensors == 1 and done.left_out
        assert torch.equal(read_checkpoint(done.path)["a"], weights["a"])
    torch.save({"state_dict": weights | {"b": Touch(ran)}}, tmp_path / "within.pth")
    refused_by_both(tmp_path / "within.pth", "more than weights", "not tensors: b")
    torch.save(Touch(ran), tmp_path / "alone.pth")
    refused_by_both(tmp_path / "alone.pth", "more than weights", "no weights by name")
    torch.save({"state_dict": weights, "x": Touch(ran)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    refused_by_both(tmp_path / "old.pth", "more than weights", "before 1.6")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Touch(ran), 2))
    refused_by_both(tmp_path / "raw.pth", None, "before 1.6")
    assert not ran.exists()
    pickle.loads(pickle.dumps(Touch(ran))).close()
    assert ran.exists(), "the pickles are harmless, and this test proved nothing"


def test_opcodes_that_reach_for_classes(plain, tmp_path):
    "Every opcode that names, calls, fills or changes a class or function, against the machine without hands."
    ran = tmp_path / "ran"
    call = f"cbuiltins\nopen\n(V{ran}\nVw\ntR"
    for i, text in enumerate(
        [
            call + ".",  # GLOBAL, REDUCE
            f"(V{ran}\nVw\nibuiltins\nopen\n.",  # INST
            f"(cbuiltins\nopen\nV{ran}\nVw\no.",  # OBJ
            "cbuiltins\neval\n(Vopen\ntR(Vx\ntR.",  # calls what came of a call
            "cbuiltins\n__import__\n(Vos\ntRVx\nVy\ns.",  # SETITEM on it
            "cbuiltins\ngetattr\n(cos\nsystem\nVx\ntR.",
            "cos\nsystem\n(dVx\nVy\nsb.",  # BUILD on a function
            "cpickle\nUnpickler\n(N(dV__setstate__\nNstb.",  # BUILD with slots, on a class
            "ctorch._utils\n_rebuild_tensor_v2\n(N(dV__new__\nNVdescription\nNstb.",  # ... on one it knows
            "ccollections\nOrderedDict\n(N(dV__init__\nNstb.",
            "ctorch\nFloatStorage\n)R.",
            "ctorch\nFloatStorage\n(N(dV__class__\nNstb.",
            "(dVstate_dict\nccollections\nOrderedDict\n)R(dVitems\ncos\nsystem\nsVget\ncos\nsystem\nsbs.",  # methods of its own
            "ctorch.serialization\nload\n(Vx\ntR.",
            "(Vstorage\ntQ.",
            "NQ.",
        ]
    ):
        refused_by_both(with_pickle(plain, tmp_path / f"{i}.pth", text.encode()))
    strange = with_pickle(plain, tmp_path / "strange.pth", b"(Vstorage\ncos\nsystem\nV0\nVcpu\nI4\ntQ.")
    refused_by_both(strange, None, "a tensor of unknown numbers")
    for data in [pickle.dumps(Touch(ran), protocol) for protocol in range(6)]:
        refused_by_both(with_pickle(plain, tmp_path / "p.pth", data))
    assert not ran.exists()
    # and the machine has not been changed by any of it
    assert torch.equal(load_file(convert_checkpoint(plain, tmp_path / "after.safetensors").path)["a"], torch.arange(64.0))


def test_a_dictionary_with_methods_of_its_own(tmp_path):
    "A pickle may give an ordered dictionary attributes; what stands in it counts, not what it says of itself."
    weights = OrderedDict(a=torch.arange(3.0))
    weights._metadata = 5
    torch.save({"state_dict": weights}, tmp_path / "plain.pth")
    for method in ("items", "get", "keys", "__iter__"):
        pickled_name = b"X" + struct.pack("<I", len(method)) + method.encode()
        change = lambda records: {n: d.replace(b"X\x09\x00\x00\x00_metadata", pickled_name) for n, d in records.items()}  # noqa: B023, E731
        path = rezipped(tmp_path / "plain.pth", tmp_path / "says.pth", change)
        assert path.read_bytes() != (tmp_path / "plain.pth").read_bytes()
        for named in (read_checkpoint(path), read_checkpoint(convert_checkpoint(path, tmp_path / "c.safetensors", overwrite=True).path)):
            assert torch.equal(named["a"], weights["a"])


def test_archives_that_unpack_to_more_than_they_are(plain, tmp_path):
    bomb = rezipped(plain, tmp_path / "bomb.pth", lambda r: r | {"plain/data/0": bytes(50_000_000)}, compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 200_000
    refused_by_both(bomb, "compressed")
    huge = with_pickle(plain, tmp_path / "huge.pth", b"\x80\x02" + b"]" * (17 * 2**20) + b".")
    refused_by_both(huge, "describes its tensors in")
    # entries that share bytes: the central directory claims one record a thousand times
    data = plain.read_bytes()
    end = data.rindex(b"PK\x05\x06")
    n, size, start = struct.unpack("<HII", data[end + 10 : end + 20])
    entries = data[start : start + size]
    many = data[:start] + entries * 60 + data[end : end + 8] + struct.pack("<HHII", 60 * n, 60 * n, 60 * size, start) + data[end + 20 :]
    (tmp_path / "shared.pth").write_bytes(many)
    refused_by_both(tmp_path / "shared.pth", "claims to hold more")


def test_tensors_that_are_larger_than_the_file(tmp_path):
    overlapping = torch.zeros(8).unfold(0, 4, 1).expand(9, 5, 4)
    for i, tensor in enumerate([torch.zeros(1).expand(10**9, 10**3), torch.zeros(4).as_strided((1000, 4), (0, 1)), overlapping]):
        torch.save({"state_dict": {"a": tensor}}, tmp_path / f"{i}.pth")
        refused_by_both(tmp_path / f"{i}.pth", "a claims the shape")
    one = torch.zeros(5000)
    torch.save({f"w{i}": one for i in range(50)}, tmp_path / "shared.pth")  # refers to the same numbers 50 times
    assert len(read_checkpoint(tmp_path / "shared.pth")) == 50  # costs nothing here
    with pytest.raises(CheckpointError, match="not enough numbers"):
        convert_checkpoint(tmp_path / "shared.pth", tmp_path / "x.safetensors")  # would cost 50 times the file


def test_records_with_strange_names_stay_in_the_archive(plain, tmp_path):
    with zipfile.ZipFile(plain) as archive:
        data = archive.read("plain/data.pkl")
    assert data.count(b"X\x01\x00\x00\x000") == 1  # the key of the first storage
    for key in ["../../ran", "/etc/passwd", "..", "9"]:
        strange = data.replace(b"X\x01\x00\x00\x000", b"X" + struct.pack("<I", len(key)) + key.encode())
        refused_by_both(with_pickle(plain, tmp_path / "strange.pth", strange), "damaged")
    climbing = rezipped(plain, tmp_path / "climbing.pth", lambda r: r | {"../../ran": b"x", "/nowhere/ran": b"x"})
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(climbing)
    assert convert_checkpoint(climbing, tmp_path / "climbed.safetensors").n_tensors == 2
    assert not Path("/nowhere/ran").exists() and not (tmp_path.parent.parent / "ran").exists()


def test_torn_and_rotten_files(bare, tmp_path):
    "Cut anywhere, or with bytes changed: it is read (where only numbers were hit), or refused in one sentence; nothing else."
    small = {"state_dict": {name: tensor[:2].clone() for name, tensor in list(bare.items())[:12]}, "config": Config(a=1)}
    torch.save(small, tmp_path / "own.pth")
    torch.save({"state_dict": small["state_dict"]}, tmp_path / "plain.pth")
    torch.save({"state_dict": small["state_dict"]}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(small["state_dict"], tmp_path / "safe.safetensors")
    rng = random.Random(0)
    refusals = 0
    for source in ["own.pth", "plain.pth", "old.pth", "safe.safetensors"]:
        whole = (tmp_path / source).read_bytes()
        for i in range(60):
            torn = bytearray(whole)
            if i % 3 == 0:
                del torn[rng.randrange(len(torn)) :]
            else:
                for _ in range(rng.choice([1, 3, 30])):
                    torn[rng.randrange(min(len(torn), 4000 if i % 3 == 1 else len(torn)))] = rng.randrange(256)
            path = tmp_path / "torn.bin"
            path.write_bytes(torn)
            for act, options in [(read_checkpoint, {}), (convert_checkpoint, {"out": tmp_path / "c.safetensors", "overwrite": True})]:
                try:
                    act(path, **options)
                except CheckpointError as error:
                    refusals += 1
                    assert "\n" not in str(error)
    assert refusals > 300 and not list(tmp_path.glob("*.tmp*"))


def test_truncated_safetensors(bare, tmp_path):
    save_file(bare, tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    for n in (9, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.safetensors").write_bytes(whole[:n])
        refused_by_both(tmp_path / "cut.safetensors", "not a whole", "already")
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}).encode()
    (tmp_path / "liar.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 64)
    refused_by_both(tmp_path / "liar.safetensors", "not a whole", "already")


def test_the_reader_never_opens_a_pickle_without_protection(monkeypatch, tmp_path):
    load, seen = torch.load, []
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: seen.append(kwargs.get("weights_only")) or load(*args, **kwargs))
    load_mc3(PTH, 4)
    assert seen == [True]


# ---- converting


def test_a_training_checkpoint_converts_and_gives_the_same_vectors(bare, golden, tmp_path):
    optimizer = {"state": {0: {"step": torch.tensor(5.0), "exp_avg": torch.ones(96)}}, "param_groups": [{"lr": 3e-5, "params": [0]}]}
    checkpoint = {
        "arch": "FrozenInTime", "epoch": 7, "monitor_best": np.float64(0.25), "optimizer": optimizer,
        "config": Config(lr=3e-5, path=Path("x")),
        "state_dict": OrderedDict((f"module.{name}", tensor) for name, tensor in bare.items()),
    }  # fmt: skip
    torch.save(checkpoint, tmp_path / "model_best.pth")
    with pytest.raises(
        CheckpointError, match=r"test_mc3.Config.*avesound convert-checkpoint \S+/model_best.pth \S+/model_best.safetensors"
    ):
        mc3(tmp_path / "model_best.pth")
    done = convert_checkpoint(tmp_path / "model_best.pth", tmp_path / "out" / "model_best.safetensors")
    assert "test_mc3.Config" in " ".join(done.left_out) and done.n_tensors == len(bare)
    assert is_golden(mc3(done.path), golden)
    once = done.path.read_bytes()
    convert_checkpoint(tmp_path / "model_best.pth", done.path, overwrite=True)
    assert done.path.read_bytes() == once  # the same bytes, hence the same sha256


def test_converting_imports_nothing(monkeypatch, tmp_path):
    "A class whose module is at hand and would act on being imported."
    (tmp_path / "acts.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Config: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    acts = importlib.import_module("acts")
    torch.save({"state_dict": {"a": torch.ones(3)}, "c": acts.Config()}, tmp_path / "c.pth")
    monkeypatch.delitem(sys.modules, "acts")
    (tmp_path / "ran").unlink()
    with pytest.raises(CheckpointError, match="acts.Config"):
        read_checkpoint(tmp_path / "c.pth")
    assert convert_checkpoint(tmp_path / "c.pth", tmp_path / "c.safetensors").left_out == ("acts.Config",)
    assert not (tmp_path / "ran").exists() and "acts" not in sys.modules
    importlib.import_module("acts")
    assert (tmp_path / "ran").exists(), "the module does nothing, and this test proved nothing"
    monkeypatch.delitem(sys.modules, "acts")


def test_converting_replaces_nothing_by_accident(plain, tmp_path):
    out = tmp_path / "out.safetensors"
    out.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="--overwrite"):
        convert_checkpoint(plain, out)
    assert out.read_bytes() == b"mine"
    (tmp_path / "target").write_bytes(b"mine too")
    os.symlink(tmp_path / "target", tmp_path / "link.safetensors")
    convert_checkpoint(plain, tmp_path / "link.safetensors", overwrite=True)  # replaces the link, not what it leads to
    assert (tmp_path / "target").read_bytes() == b"mine too" and not (tmp_path / "link.safetensors").is_symlink()


# ---- the whole way


def test_extraction_with_an_untrained_model(small_set, tmp_path):
    encoder = create_encoder("mc3", weights="random", device="cpu", **SMALL)
    report = extract(small_set, tmp_path, encoder=encoder, windows=WindowSettings(lengths=(0.25, 1.5, 2.0), stride_s=0.5), progress=False)
    assert report.counts == {"ok": 5, "corrupt": 2, "no_audio": 1}
    video_id = cached_videos(tmp_path / "vid_emb")[0]
    cached = read_embeddings(video_file(tmp_path / "vid_emb", video_id))
    spec = cached.meta["encoder"]
    assert cached.emb.shape == (8, 32) and spec["weights"] == "untrained" and spec["config"]["fill"] == "zero"
    # a window of 2 s is heard in its middle 1.5 s
    short, native, long = (read_embeddings(audio_file(tmp_path / "aud_emb", video_id, length)).emb for length in (0.25, 1.5, 2.0))
    assert np.allclose(native, long, atol=1e-5) and not np.allclose(native, short, atol=1e-3)


def test_the_room_is_light():
    program = "import sys, avesound.encoders.soundingactions; assert 'torch' not in sys.modules and 'safetensors' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_same_vectors(golden):
    encoder = create_encoder("mc3", weights=str(PTH), device="cuda", dtype="float32", num_heads=4)
    assert np.abs(encoder.encode_video(golden["frames"]) - golden["video_emb"]).max() < 1e-3
    assert np.abs(encoder.encode_audio(golden["wav"]) - golden["audio_emb"]).max() < 1e-3
    assert create_encoder("mc3", weights=str(PTH), device="cuda", num_heads=4).spec.config["dtype"] in ("bfloat16", "float32")
