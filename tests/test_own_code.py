"The code of an own encoder leaves its checksum in the vectors: what an edit leaves behind is said, and nothing is thrown away."

import importlib
import sys

import pytest

from avesound.embeddings.cache import EmbeddingCache, version_notes
from avesound.embeddings.extract import RunSettings, extract
from avesound.embeddings.pack import pack
from avesound.embeddings.store import read_embeddings, video_file
from avesound.encoders.base import code_checksum, create_encoder
from avesound.evaluation.crossmodal import evaluate_crossmodal, queries_of_clips
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.plan import choose_clips

ENCODER = """
import numpy as np

from avesound.encoders.base import EncoderSpec


class Levels:
    spec = EncoderSpec(name="levels", dim=2, joint=True, weights="none", fps=4.0, size=(16, 16), sample_rate=8000)

    def encode_video(self, frames):
        level = frames.mean(axis=(1, 2, 3, 4)) / 255
        return np.stack([level, GAIN - level], axis=1).astype(np.float32)

    def encode_audio(self, wav):
        level = np.abs(wav).mean(axis=1)
        return np.stack([level, GAIN - level], axis=1).astype(np.float32)
"""
KEPT = "3 of the clips have vectors of other code of encoder 'levels' than there is now; they are kept: "


@pytest.fixture
def levels(tmp_path, monkeypatch):
    "The encoder, as it is after an edit."
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_levels", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def edited(gain: float):
        (tmp_path / "own_levels.py").write_text(ENCODER.replace("GAIN", str(gain)))
        importlib.invalidate_caches()
        sys.modules.pop("own_levels", None)
        return importlib.import_module("own_levels").Levels()

    return edited


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    from avesound.data.synth import SynthSpec, make_dataset

    spec = SynthSpec("easy", duration_s=10, size=(64, 96), full_fraction=0.0)
    return make_dataset(tmp_path_factory.mktemp("made"), spec=spec, n_train=0, n_val=0, n_test=3)


def run(clips, out, encoder, **more):
    return extract(clips / "AVE", out, encoder=encoder, run=RunSettings(workers=0, **more), progress=False)


def test_an_edited_encoder_is_told_from_what_it_was(levels):
    first, same, other = code_checksum(levels(1.0)), code_checksum(levels(1.0)), code_checksum(levels(2.0))
    assert first == same != other and first.startswith("sha256:")
    assert code_checksum(create_encoder("signal")) is None, "its version says it"
    exec("class Nowhere: pass", scope := {"__name__": "__main__"})
    assert code_checksum(scope["Nowhere"]()) is None


def test_vectors_of_before_are_kept_and_it_is_said(levels, clips, tmp_path):
    assert run(clips, tmp_path / "c", levels(1.0)).notes == ()
    assert run(clips, tmp_path / "c", levels(1.0)).notes == (), "the same code goes on"
    before = {path: path.read_bytes() for path in (tmp_path / "c").rglob("*.npz")}
    again = run(clips, tmp_path / "c", levels(2.0))
    assert again.n_new == 0 and len(again.notes) == 1 and again.notes[0].startswith(KEPT)
    assert f"note: {KEPT}`overwrite` makes them anew, another folder keeps both" in str(again)
    assert {path: path.read_bytes() for path in (tmp_path / "c").rglob("*.npz")} == before
    assert run(clips, tmp_path / "c", levels(2.0), overwrite=True).notes == ()
    assert run(clips, tmp_path / "c", levels(2.0)).notes == ()


def test_of_sound_alone_it_is_said_too(levels, clips, tmp_path):
    for gain, notes in ((1.0, 0), (2.0, 1)):
        report = extract(
            clips / "AVE", tmp_path / "c/aud_emb", encoder=levels(gain), kinds=("audio",), run=RunSettings(workers=0), progress=False
        )
        assert len(report.notes) == notes


@pytest.mark.parametrize("packed", [False, True])
def test_vectors_of_two_codes_are_a_note_in_a_result(packed, levels, clips, tmp_path):
    names = sorted(path.stem for path in (clips / "AVE").iterdir())
    run(clips, tmp_path / "c", levels(1.0), only=tuple(names[:1]))
    run(clips, tmp_path / "c", levels(2.0))
    codes = {read_embeddings(video_file(tmp_path / "c/vid_emb", name)).meta["versions"]["code of levels"] for name in names}
    assert len(codes) == 2
    if packed:
        pack(tmp_path / "c")
    which = ", ".join(sorted(code[:15] for code in codes))
    note = f"the vectors were made by several versions of code of levels ({which}), and may differ for that"
    assert note in evaluate(tmp_path / "c", clips / "annotations.csv").overall.notes
    queries = queries_of_clips(choose_clips(clips / "annotations.csv").clips)
    assert note in evaluate_crossmodal(queries, EmbeddingCache.of(tmp_path / "c")).overall.notes


def test_several_versions_of_anything_are_named():
    assert version_notes({"torch": {"2.14.0"}, "av": {"18.1.0"}}) == [] == version_notes({})
    (note,) = version_notes({"torch": {"2.15.0", "2.14.0"}, "av": {"18.1.0"}})
    assert "several versions of torch (2.14.0, 2.15.0)," in note
