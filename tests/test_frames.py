"A cache of rows: what windows are made of it, wherever it is read, is what the encoder itself would have given for them."

import json
import re
import shutil
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest

from avesound.cli import main
from avesound.data.synth import SynthSpec, make_dataset
from avesound.embeddings.cache import EmbeddingCache, PairReader
from avesound.embeddings.extract import RunSettings, WindowSettings, extract
from avesound.embeddings.fit import fit_projector
from avesound.embeddings.frames import RowWindows
from avesound.embeddings.pack import pack, unpack
from avesound.embeddings.similarity import similarity_set
from avesound.embeddings.status import cache_status
from avesound.embeddings.store import CacheError
from avesound.embeddings.verify import encoder_as_made, remake, verify_cache
from avesound.encoders.base import EncoderSpec, create_encoder, register_encoder
from avesound.evaluation.crossmodal import evaluate_crossmodal, queries_of_clips
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.locate import locate
from avesound.evaluation.plan import Scoring
from avesound.evaluation.protocol import read_selection
from avesound.localization.align import AlignSettings
from avesound.refiner.network import RefinerSettings
from avesound.refiner.train import train_refiner
from avesound.tuning.ablate import AblationSettings, ablate
from avesound.tuning.caches import find_caches
from avesound.tuning.grid import Grid
from avesound.tuning.sweep import sweep
from avesound.viewer.inspector import Inspector
from avesound.viewer.lab import viewer_notebook
from avesound.viewer.run import Run, open_run, run_of, similarity_matrix
from avesound.viewer.still import still

QUICK = Scoring(n_boot=20, n_shuffles=3)


class Rows:
    "Brightness of two halves, and the level of two bands, 25 times a second; picture and sound of an event go together."

    def __init__(self, name="rows", piece_s=None, **config):
        self.spec = EncoderSpec(
            name, dim=4, joint=True, weights="none", fps=30, size=(32, 32), sample_rate=8000, frame_rate=25, config=config
        )
        self.piece_s, self.n_calls = piece_s, 0

    def encode_frames(self, frames):
        self.n_calls += 1
        bright = frames.reshape(len(frames), 2, -1).mean(axis=2) / 255
        moved = np.abs(np.diff(bright, axis=0, prepend=bright[:1])) * 10
        return np.concatenate([bright, moved], axis=1).astype(np.float32)

    def encode_sound(self, wav):
        self.n_calls += 1
        hops = np.pad(wav, (0, -len(wav) % 320)).reshape(-1, 320)
        level, rough = np.sqrt((hops**2).mean(1)), np.abs(np.diff(hops, axis=1)).mean(1)
        return np.stack([level, rough, np.abs(np.diff(level, prepend=0)), np.full(len(level), 0.1)], axis=1).astype(np.float32)

    def encode_video(self, frames):
        raise AssertionError("nobody asks an encoder of rows for windows")

    encode_audio = encode_video


def rows_encoder(*, weights=None, device="auto", dtype="auto", **config):
    return Rows(**config)


@pytest.fixture(scope="module", autouse=True)
def registered():
    "The stand-ins have names here, and in no other module of tests."
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("avesound.encoders.base._REGISTERED", {})
        register_encoder("rows")(rows_encoder)
        register_encoder("listener")(listener_encoder)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    "Small clips in data/, their rows in rows/, and windows of two kinds that the encoder made itself in windows/ and fine/."
    folder = tmp_path_factory.mktemp("frames")
    spec = SynthSpec(difficulty="hard", duration_s=5.1, seed=9)
    data = make_dataset(folder / "data", spec=spec, n_train=10, n_val=6, n_test=4)
    extract(data / "AVE", folder / "rows", encoder="rows", windows=WindowSettings(frames=True), progress=False)
    extract(data / "AVE", folder / "windows", encoder="rows", windows=WindowSettings(lengths=(0.5, 1.0, 2.0)), progress=False)
    fine = WindowSettings(win_s=0.4, stride_s=0.1, lengths=(0.5, 1.0))
    extract(data / "AVE", folder / "fine", encoder="rows", windows=fine, progress=False)
    return folder


@pytest.fixture
def copied(made, tmp_path) -> Path:
    "The cache of rows, to be written to."
    return Path(shutil.copytree(made / "rows", tmp_path / "rows"))


def ids(made: Path) -> list[str]:
    return sorted(path.stem for path in (made / "data/AVE").glob("*.mp4"))


# ---- what is in it


def test_it_holds_rows_with_what_made_them(made):
    settings = json.loads((made / "rows/vid_emb/settings.json").read_text())
    assert (settings["frame_rate"], settings["stride_s"], settings["win_s"]) == (25.0, 0.04, 0.04)
    assert settings["encoder"]["frame_rate"] == 25.0
    file = np.load(made / "rows/aud_emb" / f"{ids(made)[0]}__L40ms.npz")
    meta = json.loads(str(file["meta"]))
    assert file["emb"].shape == (128, 4) and np.allclose(file["centers_sec"][:2], [0.02, 0.06])
    assert {"frame_rate", "encoder", "source", "versions", "fingerprint", "content_sha256", "length_s"} <= set(meta)
    assert sorted(path.name for path in (made / "rows/aud_emb").glob("*.npz")) == [f"{video_id}__L40ms.npz" for video_id in ids(made)]


def test_the_encoder_reads_a_clip_once(made, tmp_path):
    counted = Rows()
    once = made / "data/AVE" / f"{ids(made)[0]}.mp4"
    (tmp_path / "one").mkdir()
    shutil.copy(once, tmp_path / "one")
    extract(
        tmp_path / "one",
        tmp_path / "cache",
        encoder=counted,
        windows=WindowSettings(frames=True),
        run=RunSettings(workers=0),
        progress=False,
    )
    assert counted.n_calls == 2  # its picture, and its sound
    extract(tmp_path / "one", tmp_path / "many", encoder=counted, windows=WindowSettings(lengths=(0.25, 0.5, 1.0, 2.0, 5.0)),
            run=RunSettings(workers=0), progress=False)  # fmt: skip
    assert counted.n_calls == 4


@pytest.mark.parametrize(
    "name, windows, lengths",
    [("windows", RowWindows(), (0.5, 1.0, 2.0)), ("windows", None, (1.0,)), ("fine", RowWindows(0.4, 0.1), (0.5, 1.0))],
)
def test_windows_of_the_cache_are_those_that_the_encoder_gives(made, name, windows, lengths):
    of_rows = PairReader(EmbeddingCache.of(made / "rows", windows=windows), lengths)
    direct = PairReader(EmbeddingCache.of(made / name), lengths)
    pairs = list(zip(of_rows.read(ids(made)), direct.read(ids(made)), strict=True))
    assert len(pairs) == 20
    for one, other in pairs:
        for a, b in zip((one.video, *one.audio), (other.video, *other.audio), strict=True):
            assert np.array_equal(a.emb, b.emb) and np.array_equal(a.centers_sec, b.centers_sec)
            assert np.array_equal(a.windows.starts_sec, b.windows.starts_sec)
            for key in ("stride_s", "edge", "length_s", "win_s", "duration_s", "encoder"):
                assert a.meta.get(key) == b.meta.get(key), key
        assert np.allclose(one.cells.starts_s, other.cells.starts_s) and one.duration_s == other.duration_s
        # What is measured in rows of 40 ms is not measured at the windows' own bounds, but it is the same thing.
        assert np.abs(one.audio[0].extras["loudness_db"] - other.audio[0].extras["loudness_db"]).mean() < 2
        assert np.corrcoef(one.video.extras["motion"], other.video.extras["motion"])[0, 1] > 0.97


def test_windows_inside_the_clip(made):
    (pair,) = PairReader(EmbeddingCache.of(made / "rows", windows=RowWindows(1.0, 0.5, "inside")), (2.0,)).read(ids(made)[:1])
    assert pair.video.windows.starts_sec[0] == 0 and pair.video.windows.ends_sec[-1] <= pair.duration_s and len(pair.audio[0].emb) == 7
    reader = PairReader(EmbeddingCache.of(made / "rows", windows=RowWindows(1.0, 0.5, "inside")), (9.0,))
    assert list(reader.read(ids(made)[:1])) == [] and "less than one window of 9 s" in reader.failures[ids(made)[0]][1]


# ---- a cache like any other


def test_it_is_packed_checked_and_counted_like_any_other(made, copied):
    before = similarity_set(copied, _clips(made), L_sec=(0.5,))
    assert cache_status(copied, vid_dir=made / "data/AVE").done == {"ok": 20} and verify_cache(copied, progress=False).faults == ()
    report = pack(copied, progress=False)
    assert {(row.folder.name, row.name) for row in report.sets} == {("vid_emb", "video"), ("aud_emb", "L40ms")} and not report.left
    assert not list(copied.rglob("*.npz"))
    after = similarity_set(copied, _clips(made), L_sec=(0.5,))
    assert np.array_equal(before.curves[0].values, after.curves[0].values)
    assert cache_status(copied, vid_dir=made / "data/AVE").done == {"ok": 20} and verify_cache(copied, progress=False).faults == ()
    unpack(copied, progress=False)
    for path in copied.rglob("*.npz"):
        original = np.load(made / "rows" / path.relative_to(copied))
        assert all(np.array_equal(original[name], array) for name, array in np.load(path).items())


def test_what_is_damaged_is_made_anew_as_rows(made, copied):
    hurt, lost = copied / "vid_emb" / f"{ids(made)[0]}.npz", copied / "aud_emb" / f"{ids(made)[1]}__L40ms.npz"
    sound = {path: path.read_bytes() for path in (hurt, lost)}
    hurt.write_bytes(sound[hurt][:-100])
    lost.unlink()
    check = verify_cache(copied, repair=True, progress=False)
    assert {fault.status for fault in check.faults} == {"damaged", "lost"}
    remake(check, made / "data/AVE", progress=False)
    assert {path: path.read_bytes() for path in (hurt, lost)} == sound and verify_cache(copied, progress=False).faults == ()


def test_rows_and_windows_are_never_mixed(made, copied):
    with pytest.raises(CacheError, match="frame_rate|stride_s"):
        extract(made / "data/AVE", copied, encoder="rows", progress=False)
    as_windows = WindowSettings(win_s=0.04, stride_s=0.04, lengths=(0.04,))  # the same numbers, but nobody may take them for rows
    with pytest.raises(CacheError, match="frame_rate was 25.0, is None"):
        extract(made / "data/AVE", copied, encoder="rows", windows=as_windows, progress=False)
    again = extract(made / "data/AVE", copied, encoder="rows", windows=WindowSettings(frames=True), progress=False)
    assert again.n_new == 0


def test_who_has_no_rows_is_told_so(made, tmp_path):
    for kwargs, words in [
        ({"encoder": "signal"}, "'signal' has windows and no rows"),
        ({"encoder": "rows", "audio_encoder": "logmel"}, "'logmel' has windows and no rows"),
    ]:
        with pytest.raises(ValueError, match=words):
            extract(made / "data/AVE", tmp_path / "cache", windows=WindowSettings(frames=True), progress=False, **kwargs)
    other = Rows("other")
    other.spec = replace(other.spec, frame_rate=50)
    with pytest.raises(ValueError, match="different rates of rows"):
        extract(
            made / "data/AVE", tmp_path / "cache", encoder=Rows(), audio_encoder=other, windows=WindowSettings(frames=True), progress=False
        )
    with pytest.raises(CacheError, match="holds windows .*`avesound extract --frames`"):
        EmbeddingCache.of(made / "windows", windows=RowWindows(2.0))


def test_long_clips_in_pieces_give_the_same_rows(made, tmp_path, monkeypatch):
    windows, how = WindowSettings(frames=True), {"run": RunSettings(workers=0), "progress": False}
    extract(made / "data/AVE", tmp_path / "whole", encoder=Rows(piece_s=2.0), windows=windows, **how)
    monkeypatch.setattr("avesound.embeddings.job.WHOLE_BYTES", 50_000)
    extract(made / "data/AVE", tmp_path / "pieces", encoder=Rows(piece_s=2.0), windows=windows, **how)
    for path in (tmp_path / "whole").rglob("*.npz"):
        one, other = np.load(path), np.load(tmp_path / "pieces" / path.relative_to(tmp_path / "whole"))
        assert np.array_equal(one["emb"], other["emb"]) and np.array_equal(one["centers_sec"], other["centers_sec"])


# ---- whoever reads it


def _clips(made: Path):
    from avesound.data.splits import read_clips

    return list(read_clips(made / "data/annotations.csv").clips.values())


def _numbers(evaluation) -> dict:
    columns = ["video_id", "t_pred_sec", "dist", "confidence", "mass_inside", "log_score"]
    return evaluation.summary[columns].to_dict("list")


@pytest.mark.parametrize("name, windows", [("windows", None), ("fine", RowWindows(0.4, 0.1))])
def test_evaluate_says_of_rows_what_it_says_of_windows(made, name, windows):
    annotations = made / "data/annotations.csv"
    direct = evaluate(made / name, annotations, L_sec=(0.5, 1.0), scoring=QUICK)
    of_rows = evaluate(EmbeddingCache.of(made / "rows", windows=windows), annotations, L_sec=(0.5, 1.0), scoring=QUICK)
    for column, values in _numbers(direct).items():
        np.testing.assert_array_equal(_numbers(of_rows)[column], values, err_msg=column)
    assert of_rows.overall.means["all"]["shuffled"] == direct.overall.means["all"]["shuffled"]
    asked = windows or RowWindows()
    assert of_rows.overall.settings["windows"] == asked.as_settings() and "windows" not in direct.overall.settings
    assert any(f"means of 25 rows a second: video windows of {asked.win_s:g} s" in note for note in of_rows.overall.notes)


def test_a_moment_is_that_of_the_cache(made):
    "`locate` takes windows of the rows at once, and keeps none."
    video_id = ids(made)[0]
    row = evaluate(made / "windows", made / "data/annotations.csv", L_sec=1.0, scoring=QUICK).summary.set_index("video_id").loc
    clip = made / "data/AVE" / f"{video_id}.mp4"
    location = locate(clip, encoder="rows")
    assert (location.status, location.t_sec) == ("ok", row[video_id]["t_pred_sec"])
    with pytest.raises(ValueError, match="frames is for a cache"):
        locate(clip, encoder="rows", windows=WindowSettings(frames=True))


def test_other_windows_are_another_try_on_the_test_clips(copied, made):
    for n, windows in enumerate([RowWindows(), RowWindows(), RowWindows(0.5), RowWindows(0.5, 0.1)]):
        cache = EmbeddingCache.of(copied, windows=windows)
        evaluation = evaluate(cache, made / "data/annotations.csv", split="test", scoring=QUICK).save(copied / f"{n}.csv")
        tries = [note for note in evaluation.overall.notes if "settings so far" in note]
        assert (re.findall(r"with (\d) settings", " ".join(tries)) or ["1"]) == [str([1, 1, 2, 3][n])]


def test_a_sweep_takes_every_window_from_one_cache(made, tmp_path):
    caches = find_caches(made / "rows", strides=(0.1, 0.25), windows=(0.4, 1.0))
    assert [cache.name for cache in caches] == [f"rows_win{win}_stride{stride}" for win in ("0.4", "1") for stride in ("0.1", "0.25")]
    grid = Grid(
        lengths=(0.5, 1.0), taus=(0.5, 1.0), smooth_sigmas=(0.0,), zscores=(True,), scale_fusions=("mean",), multi_reduces=("mean",)
    )
    report = sweep(caches, made / "data/annotations.csv", out_dir=tmp_path / "rows", grid=grid, progress=False)
    direct = find_caches([made / "fine", made / "windows"])
    compared = sweep(direct, made / "data/annotations.csv", out_dir=tmp_path / "direct", grid=grid, test_split=None, progress=False)
    assert len(report.table) == 4 * 4 and set(report.table["win_s"]) == {0.4, 1.0} and set(report.table["stride_s"]) == {0.1, 0.25}
    for name, of_rows in [("fine", "rows_win0.4_stride0.1"), ("windows", "rows_win1_stride0.25")]:
        one = compared.table[compared.table["cache"] == name].sort_values(["L_sec", "tau"])
        other = report.table[report.table["cache"] == of_rows].sort_values(["L_sec", "tau"])
        np.testing.assert_array_equal(one["all_dist"], other["all_dist"])
    # What was chosen is chosen with its windows: evaluate takes them from there, unless it is told others.
    chosen = read_selection(tmp_path / "rows/selection.json")
    assert chosen.windows == next(cache.windows for cache in caches if cache.name == report.selection["cache"])
    with_it = evaluate(made / "rows", made / "data/annotations.csv", split="test", tuned_on=tmp_path / "rows/selection.json", scoring=QUICK)
    assert with_it.overall.settings["windows"] == chosen.windows.as_settings()
    assert report.test.means["all"]["encoder"]["dist"].mean == with_it.overall.means["all"]["encoder"]["dist"].mean
    told = EmbeddingCache.of(made / "rows", windows=RowWindows(2.0, 0.5))
    told = evaluate(told, made / "data/annotations.csv", split="test", tuned_on=tmp_path / "rows/selection.json", scoring=QUICK)
    assert told.overall.settings["windows"]["win_s"] == 2.0
    assert [cache.name for cache in find_caches([made / "rows", made / "fine"], strides=(0.1,))] == ["rows_win1_stride0.1", "fine"]
    assert [cache.name for cache in find_caches([made / "rows", made / "fine"], strides=(0.3,))] == ["rows_win1_stride0.3"]


def test_similarities_are_kept_for_each_window(made, tmp_path):
    from avesound.tuning.caches import cached_similarities

    clips, kept = _clips(made), tmp_path / "kept"
    for windows in (RowWindows(), RowWindows(0.5), RowWindows(0.5, 0.1), RowWindows(0.5, 0.1)):
        cached_similarities(EmbeddingCache.of(made / "rows", windows=windows), clips, (0.75,), AlignSettings(), kept)
    assert len(list(kept.iterdir())) == 3


def test_ablate_reads_rows(made, tmp_path):
    changes = AblationSettings(lengths=(0.5,), audio_queries=("loudest",), smooth_sigmas=())
    of_rows, direct = (
        ablate(made / name, made / "data/annotations.csv", out_dir=tmp_path / name, changes=changes, n_boot=20, progress=False)
        for name in ("rows", "windows")
    )
    assert of_rows.about["notes"] == [] and list(of_rows.table["change"]) == list(direct.table["change"])
    shared = of_rows.table["change"] != "loudest"  # the loudest row is near the loudest window, not always in it
    np.testing.assert_array_equal(of_rows.table["mean"][shared], direct.table["mean"][shared])


def test_a_refiner_is_judged_with_the_windows_that_it_was_trained_on(made, tmp_path):
    training = RefinerSettings(epochs=2, seeds=(0,))
    for name, cache in [
        ("rows", EmbeddingCache.of(made / "rows", windows=RowWindows(0.4, 0.1))),
        ("fine", EmbeddingCache.of(made / "fine")),
    ]:
        trained = train_refiner(
            cache, made / "data/annotations.csv", refiner_ckpt=tmp_path / f"{name}.pt", training=training, device="cpu", progress=False
        )
        assert trained.record.get("windows") == ({"win_s": 0.4, "stride_s": 0.1, "edge": "mirror"} if name == "rows" else None)
    of_rows = evaluate(made / "rows", made / "data/annotations.csv", split="test", refiner=tmp_path / "rows.pt", scoring=QUICK)
    direct = evaluate(made / "fine", made / "data/annotations.csv", split="test", refiner=tmp_path / "fine.pt", scoring=QUICK)
    np.testing.assert_allclose(of_rows.summary["dist"], direct.summary["dist"], atol=1e-6)
    from avesound.refiner.network import RefinerError

    with pytest.raises(RefinerError, match="trained otherwise"):  # the same file of rows, other windows
        train_refiner(
            made / "rows", made / "data/annotations.csv", refiner_ckpt=tmp_path / "rows.pt", training=training, device="cpu", progress=False
        )


def test_a_projector_is_fitted_on_the_windows_that_are_asked_for(made, tmp_path):
    fits = [
        fit_projector(cache, made / "data/annotations.csv", out=tmp_path / f"{i}.safetensors")
        for i, cache in enumerate([EmbeddingCache.of(made / "rows", windows=RowWindows(0.4, 0.1)), EmbeddingCache.of(made / "fine")])
    ]
    assert fits[0].provenance["correlations"] == pytest.approx(fits[1].provenance["correlations"], abs=1e-6)


def test_segments_are_means_of_their_rows(made):
    clips = _clips(made)
    queries = queries_of_clips(clips, duration_s=5.0)
    with_rows = evaluate_crossmodal(queries, made / "rows", n_boot=20)
    assert with_rows.overall.status.get("ok", 0) == len(queries)
    assert with_rows.overall.notes == []  # windows of a segment, one for each
    (pair,) = PairReader(EmbeddingCache.of(made / "rows", windows=RowWindows(1.0, 1.0))).read([clips[0].video_id])
    rows = np.load(made / "rows/vid_emb" / f"{clips[0].video_id}.npz")["emb"]
    assert np.allclose(pair.video.emb[2], rows[50:75].mean(axis=0), atol=1e-6)


# ---- looking


def test_the_inspector_takes_any_window_from_the_rows(made):
    parts = {"vid_dir": made / "data/AVE", "annotations_csv": made / "data/annotations.csv"}
    of_rows = Inspector(vid_emb_dir=made / "rows", aud_emb_dir=made / "rows", **parts)
    fine = Inspector(vid_emb_dir=made / "fine", aud_emb_dir=made / "fine", **parts)
    assert of_rows.row_windows == [1.0, 0.25] and fine.row_windows == [] and of_rows.clip["lengths"] == [0.25, 0.5, 1.0, 2.0, 5.0]
    of_rows.row_windows = [0.4, 0.1]
    of_rows.L_sec = fine.L_sec = [0.5, 1.0]
    assert of_rows.seen.guess.metrics == fine.seen.guess.metrics and len(of_rows.seen.cells) == 51 and of_rows.matrix == fine.matrix
    of_rows.act({"do": "pin"})
    of_rows.row_windows = [2.0, 0.5]
    assert len(of_rows.seen.cells) == 10 and len(of_rows._beside.cells) == 51 and "pictures of 0.4 s every 0.1 s" in of_rows.said["text"]
    of_rows.L_sec = [0.64]  # of no file, and of no list
    assert of_rows.seen.L_sec == (0.64,)
    of_rows.act({"do": "reset"})
    assert of_rows.row_windows == [1.0, 0.25]
    for wrong in ([1.0], [0.0, 1.0]):
        with pytest.raises(Exception, match="row_windows|too small|minimum"):
            of_rows.row_windows = wrong
    fine.row_windows = [2.0, 0.5]  # which has the windows that it has
    assert len(fine.seen.cells) == 51


def test_a_run_is_opened_with_the_windows_of_its_summary(made, tmp_path):
    cache = EmbeddingCache.of(made / "rows", windows=RowWindows(0.4, 0.1))
    evaluate(cache, made / "data/annotations.csv", scoring=QUICK).save(tmp_path / "summary.csv", tmp_path / "curves")
    run = Run(vid_emb_dir=made / "rows", aud_emb_dir=made / "rows", summary_csv=tmp_path / "summary.csv")
    opened = open_run(run)
    assert opened.row_windows == RowWindows(0.4, 0.1) and open_run(replace(run, windows=(1.0, 0.5))).row_windows == RowWindows(1.0, 0.5)
    video_id = ids(made)[0]
    assert similarity_matrix(opened, video_id, 1.0)[0].shape == (51, 51)
    assert "<svg" in still(opened, video_id)
    code = viewer_notebook(opened.run, tmp_path / "view.ipynb").read_text()
    assert "windows=(0.4, 0.1, 'mirror')" in code


# ---- told the category


class Listener(Rows):
    "It knows two words: what is loud, and what is quiet."

    def __init__(self, **config):
        super().__init__("listener", **config)
        self.spec = EncoderSpec("listener", dim=4, joint=False, weights="none", sample_rate=8000, frame_rate=25, config=config)

    def label_vectors(self, labels):
        assert all(labels)
        return np.array([[0, 0, 0, 0] if label == "Silence" else [1, 0, 0, 0] for label in labels], np.float32), 0.5


def listener_encoder(*, weights=None, device="auto", dtype="auto", **config):
    return Listener(**config)


def test_what_is_heard_by_its_name_is_a_row_beside_the_others(made, tmp_path):
    extract(
        made / "data/AVE", tmp_path / "heard", encoder="listener", kinds=("audio",), windows=WindowSettings(frames=True), progress=False
    )
    annotations, missing = made / "data/annotations.csv", ids(made)[3]
    (tmp_path / "heard/aud_emb" / f"{missing}__L40ms.npz").unlink()
    scoring = replace(QUICK, label_heard=tmp_path / "heard")
    told = evaluate(made / "windows", annotations, L_sec=(0.5,), scoring=scoring)
    plain = evaluate(made / "windows", annotations, L_sec=(0.5,), scoring=QUICK)
    assert "label_heard*" in str(told) and "* is told the category" in str(told) and "label_heard" not in str(plain)
    means = told.overall.means["all"]
    assert set(means) - set(plain.overall.means["all"]) == {"label_heard"} and means["label_heard"]["dist"].n == 19
    assert "label_heard" not in told.overall.differences["all"]["dist"].to  # nobody has to beat it
    assert any(
        "label_heard: listener (none) was told the category and heard 19 of 20 clips; of the others, " in n for n in told.overall.notes
    )
    for name in set(plain.overall.means["all"]):
        assert astuple(means[name]["dist"]) == pytest.approx(astuple(plain.overall.means["all"][name]["dist"]), abs=1e-6), name
    # What it says is the peak of the mean level in windows of half a second, z-scored and smoothed as everybody's.
    rows = told.baselines[told.baselines["method"] == "label_heard"].set_index("video_id")
    assert np.isnan(rows.loc[missing, "dist"]) and rows["dist"].notna().sum() == 19
    scores = EmbeddingCache.of((made / "rows", tmp_path / "heard"), windows=RowWindows()).reader(0.5).read(ids(made)[0])
    peak = scores.centers_sec[np.argmax(scores.emb[:, 0])]
    clip = next(clip for clip in _clips(made) if clip.video_id == ids(made)[0])
    if clip.events:
        distance = max(clip.events[0].start_s - peak, peak - clip.events[0].end_s, 0)
        assert rows.loc[ids(made)[0], "dist"] == pytest.approx(distance, abs=1e-6)
    with pytest.raises(ValueError, match="'rows' knows no words"):
        evaluate(made / "windows", annotations, scoring=replace(QUICK, label_heard=made / "rows"))
    with pytest.raises(FileNotFoundError, match="no such folder of audio embeddings"):
        evaluate(made / "windows", annotations, scoring=replace(QUICK, label_heard=tmp_path / "nowhere"))


# ---- the towers of Hugging Face, tiny, with random weights


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    "PE-AV (base/), an adapter to it as peft writes it (adapter/), PE-A-Frame (words/), and two clips (clips/)."
    torch = pytest.importorskip("torch")
    transformers, peft, tokenizers = (pytest.importorskip(name) for name in ("transformers", "peft", "tokenizers"))
    folder = tmp_path_factory.mktemp("tiny")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 8}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 40}
    text = {"model_type": "modernbert"} | sizes | special
    dac = {"model_type": "dac", "downsampling_ratios": [2, 8, 10, 12], "encoder_hidden_size": 2, "codebook_dim": 8, "hidden_size": 16}
    audio = {"model_type": "pe_audio_encoder", "dac_config": dac} | small
    vision = {"model_type": "timm_wrapper", "architecture": "test_vit", "num_classes": 20, "do_pooling": True, "global_pool": "map"}
    video = {"model_type": "pe_video_encoder", "vision_config": vision | {"model_args": {"img_size": 32}}} | small
    both = small | {"audio_config": audio, "video_config": video}

    class WithWords(transformers.PeAudioVideoModel):
        def get_input_embeddings(self):
            return self.text_model.get_input_embeddings()

    model = WithWords(transformers.PeAudioVideoConfig(text_config=text, audio_video_config=both))
    model.save_pretrained(folder / "base")
    (folder / "base/processor_config.json").write_text('{"video_processor": {"size": {"height": 32, "width": 32}}}')
    matrices, heads = ["q_proj", "k_proj", "v_proj", "o_proj"], ["video_head", "audio_head"]
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, lora_alpha=4, target_modules=matrices, modules_to_save=heads))
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(folder / "adapter")
    transformers.PeAudioFrameLevelModel(transformers.PeAudioConfig(text_config=text, audio_config=audio)).save_pretrained(folder / "words")
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3, "bell": 4}, unk_token="[UNK]")
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokens = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, **tokens).save_pretrained(folder / "words")
    make_dataset(folder / "data", spec=SynthSpec(difficulty="easy", duration_s=4, seed=1), n_train=0, n_val=0, n_test=2)
    return folder


def test_fate_and_its_base_from_the_command_line(tiny, monkeypatch):
    monkeypatch.chdir(tiny)
    clips = ["extract", "--vid_dir", "data/AVE", "--workers", "0", "--device", "cpu"]
    fate = ["--encoder", "fate", "--weights", "adapter", "--encoder_config"]
    assert main([*clips, *fate, "base=base", "--frames", "--out_dir", "pieces"]) == 0
    assert main([*clips, *fate, "base=base,piece_s=0", "--frames", "--out_dir", "once"]) == 0
    assert main([*clips, *fate, "base=base", "--out_dir", "windows", "--win", "0.6", "--lengths", "0.6"]) == 0
    assert main([*clips, "--encoder", "pe_av_frame_level", "--weights", "base", "--frames", "--out_dir", "plain"]) == 0
    name = next((tiny / "data/AVE").glob("*.mp4")).stem
    read = {kind: dict(np.load(tiny / kind / "vid_emb" / f"{name}.npz")) for kind in ("pieces", "once", "plain")}
    about = {kind: json.loads(str(file["meta"]))["encoder"] for kind, file in read.items()}
    assert [about[kind]["config"]["piece_s"] for kind in read] == [2.0, None, None] and about["pieces"]["frame_rate"] == 25
    assert about["pieces"]["weights"] == about["once"]["weights"] != about["plain"]["weights"]
    assert read["pieces"]["emb"].shape == read["once"]["emb"].shape and not np.allclose(
        read["pieces"]["emb"], read["once"]["emb"], atol=1e-4
    )
    # Windows of the rows are what the encoder says of windows.
    (of_rows,) = PairReader(EmbeddingCache.of("pieces", windows=RowWindows(0.6)), (0.6,)).read([name])
    (direct,) = PairReader(EmbeddingCache.of("windows"), (0.6,)).read([name])
    np.testing.assert_allclose(of_rows.video.emb, direct.video.emb, atol=1e-5)
    np.testing.assert_allclose(of_rows.audio[0].emb, direct.audio[0].emb, atol=1e-5)
    evaluate_it = ["evaluate", "--vid_emb_dir", "pieces", "--aud_emb_dir", "pieces", "--annotations_csv", "data/annotations.csv"]
    assert main([*evaluate_it, "--win", "0.6", "--L_sec", "0.5", "--n_boot", "10", "--summary_csv", "fate.csv"]) == 0
    assert json.loads((tiny / "fate.json").read_text())["encoder"] == "fate"
    # What is lost is made again by name: the settings say all that it takes, but for where the weights are.
    (tiny / "plain/vid_emb" / f"{name}.npz").unlink()
    assert main(["verify", "plain", "--repair", "--vid_dir", "data/AVE", "--weights", "base", "--device", "cpu"]) == 0
    np.testing.assert_allclose(np.load(tiny / "plain/vid_emb" / f"{name}.npz")["emb"], read["plain"]["emb"], atol=1e-5)
    monkeypatch.setattr("avesound.encoders.fate.hub_files", lambda *_, **__: tiny / "base")  # as if PE-AV small had been fetched
    for kind in ("pieces", "once"):
        again = encoder_as_made({"encoder": about[kind]}, "adapter", "cpu")
        assert again.spec.config == about[kind]["config"], kind


def test_pe_a_frame_from_the_command_line(tiny, monkeypatch, capsys):
    monkeypatch.chdir(tiny)
    clips = ["--vid_dir", "data/AVE", "--workers", "0"]
    listen = ["extract-audio", *clips, "--encoder", "pe_a_frame", "--weights", "words", "--device", "cpu", "--frames", "--out_dir", "heard"]
    assert main(listen) == 0 and main(["extract", *clips, "--out_dir", "signal"]) == 0
    signal = [
        "evaluate",
        "--vid_emb_dir",
        "signal",
        "--aud_emb_dir",
        "signal",
        "--annotations_csv",
        "data/annotations.csv",
        "--n_boot",
        "10",
    ]
    capsys.readouterr()
    assert main([*signal, "--label_heard", "heard", "--summary_csv", "s.csv"]) == 1  # nobody has put these words to it
    assert "facebook/pe-a-frame" in capsys.readouterr().err
    assert main([*signal, "--label_heard", "heard", "--label_weights", "words", "--summary_csv", "s.csv"]) == 0
    assert "label_heard*" in capsys.readouterr().out and (tiny / "heard/labels.npz").is_file()
    assert main([*signal, "--label_heard", "heard", "--summary_csv", "s.csv"]) == 0  # and now they are known


# ---- the command line


def test_the_command_line(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = [f"--vid_emb_dir={made / 'rows'}", f"--aud_emb_dir={made / 'rows'}", f"--annotations_csv={made / 'data/annotations.csv'}"]
    assert (
        main(["extract", "--vid_dir", str(made / "data/AVE"), "--out_dir", "cache", "--encoder", "rows", "--frames", "--workers", "0"]) == 0
    )
    assert (tmp_path / "cache/vid_emb" / f"{ids(made)[0]}.npz").read_bytes() == (made / "rows/vid_emb" / f"{ids(made)[0]}.npz").read_bytes()
    audio = ["extract-audio", "--vid_dir", str(made / "data/AVE"), "--out_dir", "sound", "--encoder", "rows", "--frames", "--workers", "0"]
    assert main(audio) == 0 and len(list((tmp_path / "sound/aud_emb").glob("*__L40ms.npz"))) == 20
    assert (
        main(["evaluate", *data, "--win", "0.4", "--stride", "0.1", "--L_sec", "0.5,0.6", "--n_boot", "20", "--summary_csv", "s.csv"]) == 0
    )
    record = json.loads((tmp_path / "s.json").read_text())
    assert record["settings"]["windows"] == {"win_s": 0.4, "stride_s": 0.1, "edge": "mirror"} and record["settings"]["L_sec"] == [0.5, 0.6]
    assert (
        main(["sweep", *data, "--strides", "0.1,0.25", "--windows", "0.4", "--taus", "0.3", "--smooth_sigmas", "0", "--out_dir", "grid"])
        == 0
    )
    capsys.readouterr()
    windows = [f"--vid_emb_dir={made / 'windows'}", f"--aud_emb_dir={made / 'windows'}", data[2]]
    assert main(["evaluate", *windows, "--win", "2", "--summary_csv", "x.csv"]) == 1
    assert "extract --frames" in capsys.readouterr().err
    assert (
        main(
            [
                "view",
                f"--vid_emb_dir={made / 'rows'}",
                f"--aud_emb_dir={made / 'rows'}",
                "--win",
                "0.4",
                "--stride",
                "0.1",
                "--still",
                ids(made)[0],
            ]
        )
        == 0
    )
    assert create_encoder("rows").spec.frame_rate == 25 and run_of(tmp_path, vid_emb_dir=made / "rows").vid_emb_dir == made / "rows/vid_emb"
