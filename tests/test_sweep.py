"A grid against one evaluation after the other, killed sweeps, and the commands `sweep` and `ablate`."

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avesound.cli import main
from avesound.data.synth import SynthSpec, make_dataset
from avesound.embeddings.extract import WindowSettings, extract
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.plan import Scoring
from avesound.localization.align import FUSIONS, AlignSettings, align
from avesound.localization.predict import predict
from avesound.metrics.clip import clip_metrics
from avesound.tuning.caches import find_caches
from avesound.tuning.grid import Grid, SweepSetting, grid_metrics
from avesound.tuning.sweep import GridScoring, sweep

tenths = st.integers(-10, 10).map(lambda k: k / 10)  # a coarse scale, so that ties are common


@st.composite
def batches(draw):
    "(curves, cells, events) of clips of unequal length; one may have no event, a query of one may be missing."
    n_cells = draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))
    n, widest = len(n_cells), max(n_cells)
    queries = {length: draw(st.integers(1, 3)) for length in (0.5, 1.0)}
    curves = {length: np.full((n, k, widest), np.nan) for length, k in queries.items()}
    cells, events = np.full((n, widest, 2), np.nan), np.full((n, 2, 2), np.nan)
    for i, t in enumerate(n_cells):
        cells[i, :t] = np.stack([np.arange(t) * 0.5, np.arange(1, t + 1) * 0.5], axis=-1)
        for length, k in queries.items():
            curves[length][i, :, :t] = [draw(st.lists(tenths, min_size=t, max_size=t)) for _ in range(k)]
            if k > 1 and draw(st.booleans()):
                curves[length][i, -1] = np.nan
        bounds = sorted(draw(st.lists(st.integers(0, 8), min_size=4, max_size=4)))
        n_events = draw(st.integers(0, 2))
        for j in range(n_events):
            if bounds[2 * j] < bounds[2 * j + 1]:
                events[i, j] = np.array(bounds[2 * j : 2 * j + 2]) / 2
    return curves, cells, events


@st.composite
def rows_of(draw):
    found = []
    for _ in range(draw(st.integers(1, 6))):
        s = AlignSettings(
            audio_query="all",
            multi_reduce=draw(st.sampled_from(FUSIONS)),
            scale_fusion=draw(st.sampled_from(FUSIONS)),
            score_zscore=draw(st.booleans()),
            score_smooth_sigma=draw(st.sampled_from([0.0, 0.4])),
            tau=draw(st.sampled_from([0.01, 0.3, 4.0])),
            tau_adapt=draw(st.sampled_from([None, None, 0.6])),
            pred_softargmax=draw(st.booleans()),
        )
        found.append(SweepSetting(s, draw(st.sampled_from([(0.5,), (1.0,), (0.5, 1.0)]))))
    return found


@settings(max_examples=150, deadline=None)
@given(batches(), rows_of())
def test_a_grid_is_what_one_evaluation_after_the_other_says(batch, rows):
    curves, cells, events = batch
    found = grid_metrics(rows, curves, cells, 0.5, events, ranking=True, hit_deltas=(0.3, 1.0), workers=2)
    for i, row in enumerate(rows):
        aligned = align([curves[length] for length in row.L_sec], 0.5, row.settings)
        t = predict(aligned.pdf, cells, row.settings).t_sec
        wanted = clip_metrics(events, t, aligned.pdf, cells, curve=aligned.curve, hit_deltas=(0.3, 1.0))
        # A mean may lie on the edge of an event but for rounding; there the answer may jump.
        edges = np.concatenate(
            [events + shift for shift in (0, 0.3, -0.3, 1, -1)]
            + [events.mean(axis=-1, keepdims=True) + shift for shift in (0.3, -0.3, 1, -1)],
            axis=-1,
        )
        sure = ~((np.abs(edges - t[:, None, None]) < 1e-9).any(axis=(1, 2)) & row.settings.pred_softargmax)
        for values in (aligned.curve, aligned.pdf):  # the same for ranks: curves that cancel each other are 0 but for rounding
            gaps = np.diff(np.sort(values, axis=-1), axis=-1)
            sure &= ~((gaps > 0) & (gaps < 1e-12)).any(axis=-1)
        for name, values in found.items():
            np.testing.assert_allclose(values[i][sure], wanted[name][sure], atol=1e-9, err_msg=f"{name} of {row}")


@settings(max_examples=50, deadline=None)
@given(batches(), st.sampled_from([0.5, 1.0]), st.booleans(), st.sampled_from([0.0, 0.4]))
def test_the_temperature_alone_moves_no_moment(batch, length, zscore, sigma):
    curves, cells, events = batch
    curves = {length: curves[length][:, :1]}
    grid = Grid((length,), taus=(0.01, 0.1, 1.0, 10.0), zscores=(zscore,), smooth_sigmas=(sigma,))
    found = grid_metrics(grid.settings(), curves, cells, 0.5, events)
    for name, values in found.items():
        if name not in ("mass_inside", "log_score"):
            np.testing.assert_array_equal(values, np.broadcast_to(values[:1], values.shape), err_msg=name)


def test_the_temperature_moves_the_mean_and_fused_peaks():
    "What the test above leaves out, and why: there the temperature has a say."
    curves = {0.5: np.array([[[0.0, 1.0, 0.0, 0.0, 0.85]]]), 1.0: np.array([[[0.0, 0.0, 0.0, 0.8, 0.85]]])}
    cells = np.stack([np.arange(5.0), np.arange(1, 6.0)], axis=-1)[None]
    events = np.array([[[1.0, 2.0]]])
    for rows in (
        [SweepSetting(AlignSettings(tau=tau, score_zscore=False), (0.5, 1.0)) for tau in (0.01, 1.0)],
        [SweepSetting(AlignSettings(tau=tau, score_zscore=False, pred_softargmax=True), (0.5,)) for tau in (0.01, 1.0)],
    ):
        first, second = grid_metrics(rows, curves, cells, 1.0, events)["mae"]
        assert first != second


# ---- compiled


def both_ways(monkeypatch, *arguments, **options):
    "What numpy says and what `kernel` says, and how many times that was asked."
    from avesound.tuning import grid, kernel

    asked, ours = [], kernel.compiled_predictions
    monkeypatch.setattr(kernel, "compiled_predictions", lambda *a: asked.append(1) or ours(*a))
    found = []
    for least in (2**62, 0):
        monkeypatch.setattr(grid, "_COMPILED_FROM", least)
        found.append(grid_metrics(*arguments, **options))
    return *found, len(asked) - 1  # `compile_kernel` asks once


@settings(max_examples=150, deadline=None)
@given(batches(), rows_of(), st.booleans())
def test_the_kernel_says_what_numpy_says(batch, rows, known):
    pytest.importorskip("numba")
    curves, cells, events = batch
    if known:  # all queries of all clips
        curves = {length: np.where(np.isnan(cells[:, None, :, 0]), np.nan, np.nan_to_num(curve)) for length, curve in curves.items()}
    with pytest.MonkeyPatch.context() as patch:
        numpys, kernels, asked = both_ways(patch, rows, curves, cells, 0.5, events, hit_deltas=(0.3, 1.0), workers=2)
    assert asked > 0 or not known
    means = np.array([row.settings.pred_softargmax for row in rows])
    for name, values in numpys.items():
        of_moments = name not in ("mass_inside", "log_score")
        if of_moments:  # those of peaks are equal to the bit; a mean may lie on an edge but for rounding, where hits jump
            np.testing.assert_array_equal(kernels[name][~means], values[~means], err_msg=name)
        if name in ("mae", "dist") or not of_moments:
            np.testing.assert_allclose(kernels[name], values, rtol=0, atol=1e-12, err_msg=name)


@pytest.fixture
def many_clips():
    "(rows, curves, cells, events), two queries, peaks and means, fixed temperatures and fitted ones."
    rng = np.random.default_rng(0)
    cells = np.tile(np.stack([np.arange(20.0), np.arange(1, 21.0)], axis=-1), (200, 1, 1))
    curves = {length: rng.normal(size=(200, 2, 20)).cumsum(axis=-1) for length in (0.5, 1.0)}
    grid = Grid((0.5, 1.0, (0.5, 1.0)), (0.001, 1.0), (0.5,), (0.0, 1.0), audio_queries=("multi",))
    rows = grid.settings() + [replace(row, settings=replace(row.settings, pred_softargmax=True)) for row in grid.settings()[::5]]
    return rows, curves, cells, np.sort(rng.uniform(0, 20, (200, 1, 2)))


def test_a_kernel_that_is_wrong_is_seen(many_clips, monkeypatch):
    from avesound.tuning import kernel

    rows, curves, cells, events = many_clips
    numpys, kernels, asked = both_ways(monkeypatch, rows, curves, cells, 1.0, events)
    assert asked and max(np.abs(numpys[name] - kernels[name]).max() for name in numpys) < 1e-11
    steps = kernel.compiled_predictions
    monkeypatch.setattr(kernel, "compiled_predictions", lambda scores, taus, *a: steps(scores, taus * (1 + 1e-9), *a))
    wrong = grid_metrics(rows, curves, cells, 1.0, events)
    assert np.abs(numpys["mass_inside"] - wrong["mass_inside"]).max() > 1e-11


@pytest.mark.parametrize("missing", ["numba", "a place to keep it", "a disk that is not full"])
def test_without_numba_numpy_does_it(many_clips, monkeypatch, missing):
    from avesound.tuning import grid, kernel

    rows, curves, cells, events = many_clips
    usual = grid_metrics(rows, curves, cells, 1.0, events)
    monkeypatch.setattr(grid, "_COMPILED_FROM", 0)
    if missing == "numba":
        monkeypatch.setitem(sys.modules, "numba", None)
    else:
        error = RuntimeError("cannot cache function") if missing == "a place to keep it" else OSError(28, "No space left on device")
        monkeypatch.setattr(kernel, "compile_kernel", lambda: (_ for _ in ()).throw(error))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = grid_metrics(rows, curves, cells, 1.0, events)
    assert all(np.array_equal(found[name], usual[name]) for name in usual)


def test_numba_is_loaded_for_large_grids_alone(tmp_path):
    "And where the cache of what is compiled cannot be written, nothing is said."
    script = """
import sys, warnings
import numpy as np
import avesound.tuning.kernel, avesound.tuning.sweep
from avesound.tuning import grid
warnings.simplefilter("error")
cells = np.stack([np.arange(20.0), np.arange(1, 21.0)], axis=-1)[None]
rows, curves = grid.Grid().settings(), {1.0: np.sin(np.arange(20.0))[None, None]}
small = grid.grid_metrics(rows, curves, cells, 1.0, np.array([[[1.0, 2.0]]]))
assert "numba" not in sys.modules
import numba.core.caching
numba.core.caching.CacheImpl._locator_classes = []
grid._COMPILED_FROM = 0
again = grid.grid_metrics(rows, curves, cells, 1.0, np.array([[[1.0, 2.0]]]))
assert not grid._can_compile() and all(np.array_equal(small[name], again[name]) for name in small)
"""
    pytest.importorskip("numba")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    "Small clips, embedded with two strides: data/ and caches/."
    folder = tmp_path_factory.mktemp("sweep")
    data = make_dataset(
        folder / "data",
        spec=SynthSpec(difficulty="hard", duration_s=6, seed=9, size=(64, 96), sample_rate=8000),
        n_train=0,
        n_val=10,
        n_test=5,
    )
    extract(data / "AVE", folder / "caches/fine", windows=WindowSettings(lengths=(0.5, 1.0)), progress=False)
    extract(data / "AVE", folder / "caches/coarse", windows=WindowSettings(stride_s=0.5, lengths=(0.5, 1.0)), progress=False)
    return folder


GRID = Grid(
    lengths=(0.5, (0.5, 1.0)),
    taus=(0.2, 1.0),
    smooth_sigmas=(0.0, 0.5),
    zscores=(True,),
    scale_fusions=("mean", "product"),
    audio_queries=("sync", "middle"),
)


def test_every_row_is_what_evaluate_says(made, tmp_path):
    found = sweep(
        made / "caches",
        made / "data/annotations.csv",
        out_dir=tmp_path,
        grid=GRID,
        test_split=None,
        scoring=GridScoring(n_boot=50, ranking=True),
        progress=False,
    )
    rows = {str(row): row for row in [*GRID.settings(["coarse", "fine"]), SweepSetting(AlignSettings(), (1.0,), "coarse")]}
    assert len(found.table) == len(rows) == 49 and set(found.table["stride_s"]) == {0.25, 0.5} and found.table["is_reference"].sum() == 1
    for line in found.table.sample(12, random_state=0).to_dict("records"):
        row = rows[line["setting"]]
        said = evaluate(
            made / "caches" / line["cache"],
            made / "data/annotations.csv",
            L_sec=row.L_sec,
            settings=row.settings,
            split="val",
            scoring=Scoring(n_boot=50),
        ).overall
        for subset in ("all", "partial"):
            for metric in ("mae", "dist", "inside", "hit_0.25", "hit_event_0.5", "mass_inside", "log_score", "auroc", "average_precision"):
                cell = said.means[subset]["encoder"][metric]
                for suffix, value in [("", cell.mean), ("_low", cell.low), ("_high", cell.high)]:
                    column = f"{subset}_{metric}{suffix}"
                    assert np.isclose(line[column], value, atol=1e-6), (line["setting"], column)


def test_differences_are_to_the_reference_on_the_deciding_clips(made, tmp_path):
    found = sweep(
        made / "caches/fine", made / "data/annotations.csv", out_dir=tmp_path, grid=GRID, criterion="dist", test_split=None, progress=False
    )
    table, s = found.table, found.selection
    assert np.allclose(table["difference"], table["partial_dist"] - table.loc[table["is_reference"], "partial_dist"].item())
    assert (table["difference_low"] <= table["difference"]).all() and table.loc[table["is_reference"], "difference"].item() == 0
    others = table[~table["is_reference"]]
    assert (others["p_holm"] >= others["p"]).all() and table.loc[table["is_reference"], "p_holm"].isna().all()
    assert s["metric"] == "dist" and s["value"] == table["partial_dist"].min() and s["criterion"] == "dist on partial clips"
    # All temperatures of a setting tie: the simpler one has the reference's temperature where there is one.
    tied = table[np.isclose(table["partial_dist"], s["value"])]
    assert len(tied) > 1 and tied["rank"].tolist() == list(range(1, len(tied) + 1))


def test_the_test_split_is_looked_at_once_and_last(made, tmp_path, monkeypatch):
    seen = []

    def watched(*args, split=None, **kwargs):
        seen.append((split, (tmp_path / "selection.json").exists()))
        return evaluate(*args, split=split, **kwargs)

    monkeypatch.setattr("avesound.tuning.sweep.evaluate", watched)
    found = sweep(made / "caches/fine", made / "data/annotations.csv", out_dir=tmp_path, grid=GRID, top_k=3, progress=False)
    assert seen == [("val", True)] * 3 + [("test", True)]
    annotated = pd.read_csv(made / "data/annotations.csv").groupby("split")["video_id"].agg(set)
    assert set(found.selection["video_ids"]) == annotated["val"] and not set(found.selection["video_ids"]) & annotated["test"]
    kept = {str(i) for path in (tmp_path / "similarities").iterdir() for i in np.load(path)["video_ids"]}
    assert kept == annotated["val"]
    assert len(list((tmp_path / "runs").glob("*_val/summary.csv"))) == 3 and len(list((tmp_path / "runs").glob("*_test/summary.csv"))) == 1
    for path in (tmp_path / "runs").iterdir():
        assert set(pd.read_csv(path / "summary.csv")["split"]) == {path.name.rsplit("_", 1)[1]}


def test_a_sweep_that_broke_goes_on_where_it_was(made, tmp_path, monkeypatch):
    arguments = {"grid": GRID, "test_split": None, "scoring": GridScoring(n_boot=50), "progress": False}
    whole = sweep(made / "caches", made / "data/annotations.csv", out_dir=tmp_path / "whole", **arguments)
    calls = []

    def counted(rows, *args, **kwargs):
        calls.append(list(rows))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return grid_metrics(rows, *args, **kwargs)

    monkeypatch.setattr("avesound.tuning.sweep.grid_metrics", counted)
    with pytest.raises(KeyboardInterrupt):
        sweep(made / "caches", made / "data/annotations.csv", out_dir=tmp_path / "broken", **arguments)
    assert (
        not (tmp_path / "broken/aggregate.csv").exists() and len(list((tmp_path / "broken/parts").iterdir())) == 2
    )  # the first call was the reference's
    done, broken_at = calls[1:3], calls[3]
    found = sweep(made / "caches", made / "data/annotations.csv", out_dir=tmp_path / "broken", **arguments)
    assert all(part not in calls[4:] for part in done) and broken_at in calls[4:]
    assert found.table.equals(whole.table) and found.selection | {"run": None} == whole.selection | {"run": None}
    assert (tmp_path / "broken/aggregate.csv").read_bytes() == (tmp_path / "whole/aggregate.csv").read_bytes()


def test_a_killed_process_leaves_nothing_half_written(made, tmp_path):
    command = [
        sys.executable,
        "-c",
        "import sys; from avesound.cli import main; sys.exit(main())",
        "sweep",
        "--caches",
        str(made / "caches"),
    ]
    command += [
        "--annotations_csv",
        str(made / "data/annotations.csv"),
        "--out_dir",
        str(tmp_path),
        "--lengths",
        "0.5,1.0,0.5+1.0",
        "--taus",
        ",".join(f"{t:.4f}" for t in np.geomspace(0.01, 5, 300)),
        "--n_boot",
        "2000",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not list(tmp_path.glob("parts/[0-9a-f]*.npz")) and time.monotonic() < end and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    parts = list(tmp_path.glob("parts/[0-9a-f]*.npz"))
    assert parts and not (tmp_path / "aggregate.csv").exists(), "killed too late to say anything"
    for path in parts:
        with np.load(path, allow_pickle=False) as file:
            assert len(file["numbers"]) > 0


def test_other_numbers_are_never_taken_for_these(made, tmp_path):
    first = sweep(made / "caches/fine", made / "data/annotations.csv", out_dir=tmp_path, grid=GRID, test_split=None, progress=False)
    second = sweep(
        made / "caches/fine",
        made / "data/annotations.csv",
        out_dir=tmp_path,
        grid=GRID,
        test_split=None,
        scoring=GridScoring(seed=1),
        progress=False,
    )
    assert np.allclose(
        first.table["all_dist"], second.table.set_index("setting").loc[first.table["setting"], "all_dist"]
    ) and not first.table["all_log_score_low"].equals(second.table["all_log_score_low"])
    # Other events on the same clips.
    moved = pd.read_csv(made / "data/annotations.csv")
    moved["start_s"], moved["end_s"] = 0.0, 0.5
    moved.to_csv(tmp_path / "moved.csv", index=False)
    third = sweep(made / "caches/fine", tmp_path / "moved.csv", out_dir=tmp_path, grid=GRID, test_split=None, progress=False)
    assert not np.allclose(third.table["all_dist"].sort_values(), first.table["all_dist"].sort_values())


def run(line: str) -> int:
    return main([word.replace("\0", " ") for word in line.split(" ")])


def test_the_command_does_what_the_function_does(made, tmp_path, capsys):
    line = f"sweep --caches {made / 'caches'} --annotations-csv {made / 'data/annotations.csv'} --out_dir {tmp_path / 'a'}"
    line += " --strides 0.25 --lengths 0.5,0.5+1.0 --taus 0.2,1.0 --smooth_sigmas 0,0.5 --zscores true --scale_fusions mean,product"
    line += " --audio_queries sync,middle --n_boot 50 --top_k 2 --criterion dist"
    assert run(line) == 0
    said = capsys.readouterr().out
    found = sweep(
        find_caches(made / "caches", strides=[0.25]),
        made / "data/annotations.csv",
        out_dir=tmp_path / "b",
        grid=GRID,
        top_k=2,
        criterion="dist",
        scoring=GridScoring(n_boot=50),
        progress=False,
    )
    assert (tmp_path / "a/aggregate.csv").read_bytes() == (tmp_path / "b/aggregate.csv").read_bytes()
    selection = json.loads((tmp_path / "a/selection.json").read_text())
    assert selection.pop("run")["command"].startswith("avesound sweep ") and found.selection.pop("run")["command"] == "Python"
    assert selection == found.selection
    assert str(found) in said and sorted(path.name for path in (tmp_path / "a").rglob("*")) == sorted(
        path.name for path in (tmp_path / "b").rglob("*")
    )
    # A pair of folders that are not called vid_emb and aud_emb.
    cache = made / "caches/fine"
    line = f"sweep --vid_emb_dir {cache / 'vid_emb'} --aud_emb_dir {cache / 'aud_emb'} --out_dir {tmp_path / 'c'}"
    line += f" --annotations_csv {made / 'data/annotations.csv'} --taus 0.2 --test_split none"
    assert run(line) == 0
    assert run(f"sweep --annotations_csv {made / 'data/annotations.csv'} --out_dir {tmp_path / 'd'}") == 1
    assert "`avesound extract-video " in capsys.readouterr().err
    assert run(f"sweep --caches {made / 'caches'} --strides 0.1 --annotations_csv {made / 'data/annotations.csv'}") == 1
    assert "avesound extract --stride 0.1" in capsys.readouterr().err


def test_the_ablation_command_does_what_the_function_does(made, tmp_path, capsys):
    from avesound.tuning.ablate import AblationSettings, ablate

    caches = [made / "caches/fine", made / "caches/coarse"]
    line = f"ablate --caches {caches[0]} {caches[1]} --annotations_csv {made / 'data/annotations.csv'} --out_dir {tmp_path / 'a'}"
    line += " --n_clips 7 --audio-queries middle,multi --n_boot 50 --tau 0.3 --metrics dist,auroc"
    assert run(line) == 0
    options = {
        "n_clips": 7,
        "changes": AblationSettings(AlignSettings(tau=0.3), audio_queries=("middle", "multi"), metrics=("dist", "auroc")),
        "n_boot": 50,
        "progress": False,
    }
    found = ablate(caches, made / "data/annotations.csv", out_dir=tmp_path / "b", **options)
    assert str(found) in capsys.readouterr().out
    for name in ("ablation.csv", "ablation.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    shell, python = (json.loads((tmp_path / folder / "ablation.json").read_text()) for folder in "ab")
    assert shell.pop("run")["command"].startswith("avesound ablate ") and python.pop("run")["command"] == "Python" and shell == python
    assert "stride 0.5" in set(found.table["change"]) and set(found.table["n"]) <= set(range(8)) and len(found.about["video_ids"]) == 7
    assert run(f"ablate --annotations_csv {made / 'data/annotations.csv'}") == 1 and "`avesound extract-video " in capsys.readouterr().err


def test_an_ablation_makes_the_caches_of_its_subset_alone(made, tmp_path, monkeypatch):
    from avesound.tuning.ablate import AblationSettings, Variants, ablate

    changes, variants = AblationSettings(lengths=(0.5,)), Variants(made / "data/AVE")
    options = {"n_clips": 4, "changes": changes, "variants": variants, "n_boot": 50, "progress": False}
    found = ablate(None, made / "data/annotations.csv", out_dir=tmp_path, **options)
    files = {cache.name: sorted(path.stem for path in (cache / "vid_emb").glob("*.npz")) for cache in (tmp_path / "caches").iterdir()}
    assert set(files) == {"base", "edge_inside", "video_scales"} and all(ids == sorted(found.about["video_ids"]) for ids in files.values())
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "caches").rglob("*.npz")}
    again = ablate(None, made / "data/annotations.csv", out_dir=tmp_path, **options)
    assert again.table.equals(found.table) and times == {path: path.stat().st_mtime_ns for path in (tmp_path / "caches").rglob("*.npz")}


def test_fillings_and_the_dense_tower_are_tried_where_an_encoder_has_them(made, tmp_path, monkeypatch):
    "With stand-ins for the towers, which need weights."
    from avesound.encoders.base import EncoderSpec, register_encoder
    from avesound.tuning.ablate import Variants, cache_difference, make_variants

    monkeypatch.setattr("avesound.encoders.base._REGISTERED", {})

    class Tower:
        def __init__(self, name, fill="zero", weights=None, device="auto", dtype="auto"):
            if fill == "none":
                raise ValueError("this tower takes one length only")
            self.spec = EncoderSpec(name, 2, joint=True, weights="none", fps=4.0, size=(8, 8), sample_rate=8000, config={"fill": fill})

        def encode_video(self, frames):
            return np.ones((len(frames), 2), np.float32)

        encode_audio = encode_video

    for name in ("tower", "tower_dense"):
        register_encoder(name)(lambda name=name, **settings: Tower(name, **settings))
    rows = pd.read_csv(made / "data/annotations.csv")
    rows.head(1).to_csv(tmp_path / "one.csv", index=False)
    variants = Variants(made / "data/AVE", encoder="tower")
    caches, notes = make_variants(variants, tmp_path / "caches", tmp_path / "one.csv", progress=False)
    assert [cache.name for cache in caches] == ["base", "edge_inside", "video_scales", "fill_repeat", "fill_context", "dense"]
    assert notes == ["fill_none: this tower takes one length only"]
    assert (
        caches[3].made_with["audio"]["encoder"]["config"]["fill"] == "repeat"
        and caches[5].made_with["video"]["encoder"]["name"] == "tower_dense"
    )
    assert cache_difference(caches[0], caches[3]) == "fill repeat" and cache_difference(caches[0], caches[5]) == "encoder tower_dense"
