"The definitions of `avesound.metrics.bootstrap` against loops, scipy and simulation."

import warnings

import numpy as np
import pytest

from avesound.evaluation.tables import p_against_wrong
from avesound.metrics.bootstrap import (
    MeanInterval,
    bootstrap_interval,
    difference_of,
    holm,
    method_table,
    paired_difference,
    paired_p_value,
    rank_p_value,
)

pytestmark = pytest.mark.filterwarnings("error")


def loop_bootstrap(values, n_boot, seed, level):
    rng = np.random.default_rng(seed)
    means = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(n_boot):
            means.append(np.nanmean(values[rng.integers(0, len(values), len(values))], axis=0))
        return np.nanmean(values, axis=0), *np.nanpercentile(means, [50 * (1 - level), 50 * (1 + level)], axis=0)


@pytest.mark.parametrize("lacking", ["none", "whole clips", "scattered", "most"])
@pytest.mark.parametrize("level", [0.95, 0.5])
def test_bootstrap_as_a_matrix_product_equals_resampling_in_a_loop(lacking, level):
    rng = np.random.default_rng(1)
    values = 1e3 + rng.gamma(2.0, 1.0, size=(30, 7))
    if lacking == "whole clips":
        values[:5] = np.nan
    elif lacking == "scattered":
        values[rng.random(values.shape) < 0.3] = np.nan
    elif lacking == "most":  # many resamples draw no clip that has a value
        values[2:, 3] = np.nan
        values[:, 5] = np.nan
    found = bootstrap_interval(values, n_boot=200, seed=3, level=level)
    for name, expected in zip(("mean", "low", "high"), loop_bootstrap(values, 200, 3, level)):
        np.testing.assert_allclose(getattr(found, name), expected, rtol=0, atol=2e-6)
    assert (found.n_clips == (~np.isnan(values)).sum(axis=0)).all()


def test_bootstrap_interval_agrees_with_scipy():
    from scipy.stats import bootstrap

    values = np.random.default_rng(0).gamma(2.0, 1.0, size=300)
    theirs = bootstrap((values,), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    ours = bootstrap_interval(values, n_boot=5000)
    assert ours.low == pytest.approx(theirs.low, abs=0.01) and ours.high == pytest.approx(theirs.high, abs=0.01)


def test_bootstrap_intervals_hold_the_true_mean_as_often_as_they_say():
    values = np.random.default_rng(0).exponential(size=(100, 2500))  # 2,500 experiments of 100 clips; the true mean is 1
    found = bootstrap_interval(values)
    assert 0.90 < ((found.low < 1) & (found.high > 1)).mean() < 0.96


def test_bootstrap_of_many_columns_equals_each_column_alone():
    values = np.random.default_rng(0).normal(size=(20, 2100))
    values[4, ::3] = np.nan
    found = bootstrap_interval(values, n_boot=50)
    for k in (0, 1, 2047, 2048, 2099):
        alone = bootstrap_interval(values[:, k], n_boot=50)
        assert (found.low[k], found.high[k], found.n_clips[k]) == (
            pytest.approx(alone.low, abs=1e-6),
            pytest.approx(alone.high, abs=1e-6),
            alone.n_clips,
        )


def test_paired_difference_is_certain_where_separate_intervals_overlap():
    rng = np.random.default_rng(0)
    clip = rng.gamma(2.0, 1.0, size=300)
    a, b = clip + 0.1 * rng.normal(size=300), clip + 0.1 + 0.1 * rng.normal(size=300)
    a[:10], b[-10:] = np.nan, np.nan
    found = paired_difference(a, b, n_boot=500)
    assert found.n_clips == 280 and found.high < 0 and found.mean == pytest.approx((a - b)[10:-10].mean())
    assert bootstrap_interval(a).high > bootstrap_interval(b).low


def test_sign_flips_agree_with_scipys_permutation_test():
    from scipy.stats import permutation_test

    rng = np.random.default_rng(0)
    for shift in (0.0, 0.1, 0.3):
        a = rng.normal(size=60)
        b = a - shift + rng.normal(0, 0.7, size=60)
        theirs = permutation_test((a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=9999, rng=rng).pvalue
        assert paired_p_value(a, b) == pytest.approx(theirs, abs=0.02)


def test_p_values_of_nothing_are_uniform_and_holm_keeps_its_promise():
    rng = np.random.default_rng(0)
    false_alarms, p = 0, []
    for _ in range(200):
        a, b = rng.normal(size=(2, 30, 10))  # ten settings that differ by luck
        p.append(paired_p_value(a, b, n_perm=499))
        false_alarms += (holm(p[-1]) <= 0.05).any()
    p = np.concatenate(p)
    assert abs((p <= 0.05).mean() - 0.05) < 0.02 and abs((p <= 0.5).mean() - 0.5) < 0.04
    assert false_alarms / 200 <= 0.09


def test_holm_agrees_with_the_definition():
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 30):
        p = rng.random(n) ** 3
        p[: n // 3] = p[0]  # ties
        order = sorted(range(n), key=lambda i: p[i])
        for place, i in enumerate(order):
            expected = min(1.0, max((n - k) * p[order[k]] for k in range(place + 1)))
            assert holm(p)[i] == pytest.approx(expected)


def test_the_table_of_methods_equals_one_bootstrap_at_a_time():
    rng = np.random.default_rng(0)
    values = {m: {"dist": rng.random(40), "inside": (rng.random(40) < 0.5) * 1.0} for m in ("own", "one", "other")}
    values["one"]["dist"][:5] = np.nan
    values["lucky"] = {"dist": np.zeros(40)}
    made = method_table(values, own="own", rivals=["one", "other"], n_boot=200, seed=4)
    for method, metrics in values.items():
        for metric, column in metrics.items():
            alone = bootstrap_interval(column, n_boot=200, seed=4)
            cell = made.means[method][metric]
            assert [cell.mean, cell.low, cell.high] == pytest.approx([float(alone.mean), float(alone.low), float(alone.high)], abs=1e-6)
            assert cell.n == alone.n_clips
    alone = paired_difference(values["own"]["dist"], values["one"]["dist"], n_boot=200, seed=4)
    cell = made.differences["dist"].to["one"]
    assert [cell.mean, cell.low, cell.high, cell.n] == pytest.approx([float(alone.mean), float(alone.low), float(alone.high), 35], abs=1e-6)
    ahead = {m: np.nanmean(values["own"]["dist"] - values[m]["dist"]) for m in ("one", "other")}  # by the clips that both have values of
    best = max(ahead, key=lambda m: ahead[m])  # lower is better, and "lucky" is no rival
    assert made.differences["dist"].best == best


def test_rank_p_value_of_exchangeable_arrangements_is_uniform():
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(20, 4000))
    p = rank_p_value(drawn[0], drawn[1:])
    assert set(np.round(p * 20).astype(int)) == set(range(1, 21)) and abs((p <= 0.25).mean() - 0.25) < 0.03


# ---- a handful of clips is no certainty, wherever it is written


@pytest.fixture(scope="module")
def handful(tmp_path_factory):
    "A run over three clips, in each of which the prediction lies in the event: every share is 1, every interval has no width."
    from avesound.embeddings.store import write_embeddings
    from avesound.evaluation.evaluate import evaluate
    from avesound.evaluation.plan import Scoring
    from avesound.timeline import sliding_windows

    folder, windows = tmp_path_factory.mktemp("handful"), sliding_windows(10, 1.0, 0.25)
    seen = np.random.default_rng(0).normal(size=(40, 6))
    for k in range(9):
        heard = np.random.default_rng(100 + k).normal(size=(40, 6))
        heard[8:16] = seen[8:16]
        write_embeddings(folder / f"vid_emb/c{k}.npz", seen, windows, {})
        write_embeddings(folder / f"aud_emb/c{k}__L1000ms.npz", heard, windows, {})
    (folder / "a.csv").write_text(
        "video_id,event_label,start_s,end_s,split\n" + "".join(f"c{k},x,2,4,{('test', 'val', 'train')[k // 3]}\n" for k in range(9))
    )
    common = (folder / "vid_emb", folder / "aud_emb"), folder / "a.csv"
    found = evaluate(*common, split="test", scoring=Scoring(n_boot=100)).save(folder / "s.csv")
    return folder, common, found


def test_what_three_clips_agree_on_is_marked_in_every_table(handful):
    from avesound.data.annotations import clips_from_annotations, read_annotations
    from avesound.evaluation.compare import compare
    from avesound.evaluation.crossmodal import evaluate_crossmodal, queries_of_clips
    from avesound.report.analyze import analyze
    from avesound.tuning.ablate import ablate
    from avesound.tuning.grid import Grid
    from avesound.tuning.sweep import GridScoring, sweep

    folder, common, found = handful
    assert found.overall.means["partial"]["encoder"]["inside"] == MeanInterval(mean=1.0, low=1.0, high=1.0, n=3)
    report = analyze(folder / "s.csv", folder / "reports", "one", n_boot=100)
    queries = queries_of_clips(list(clips_from_annotations(read_annotations(folder / "a.csv")).values()))
    texts = {
        "evaluate": str(found),
        "compare": str(
            compare([folder / "s.csv", folder / "s.csv"], names=["a", "b"], n_boot=100, n_perm=9, metrics=("dist", "inside")).save(
                folder / "side"
            )
        ),
        "compare.md": lambda: (folder / "side/comparison.md").read_text(),
        "compare.tex": lambda: (folder / "side/comparison.tex").read_text().replace(r"\rlap{$^\dagger$}", "†").replace(r"$\dagger$", "†"),
        "crossmodal": str(evaluate_crossmodal(queries[:3], common[0], n_boot=100)),
        "sweep": str(
            sweep(
                [folder],
                folder / "a.csv",
                out_dir=folder / "grid",
                grid=Grid(taus=(0.5,), smooth_sigmas=(0.0,), zscores=(True,)),
                scoring=GridScoring(n_boot=100),
                progress=False,
            )
        ),
        "ablate.md": lambda: (
            ablate([folder], folder / "a.csv", out_dir=folder / "ablation", n_boot=100, progress=False)
            and (folder / "ablation/ablation.md").read_text()
        ),
        "analyze": str(report),
        "report": report.html.read_text(),
    }
    for name, text in texts.items():
        text = text() if callable(text) else text
        assert "]†" in text and "ewer than 10 clips" in text, f"{name}:\n{text[:3000]}"
        assert "is nearer" not in text and ": nearer" not in text, name
    assert "Not made: query loudest" in (folder / "ablation/ablation.md").read_text()  # vectors made elsewhere have no loudness beside them


def test_what_three_clips_agree_on_is_drawn_hollow(handful):
    from avesound.evaluation.compare import compare, plot_forest
    from avesound.evaluation.figures import plot_overall

    folder, _, found = handful
    hollow = lambda figure: [
        line for ax in figure.axes for line in ax.lines if line.get_marker() in ("o", "s") and line.get_markerfacecolor() == "white"
    ]  # noqa: E731
    figure = plot_overall(found.overall)
    assert hollow(figure) and "hollow: too few clips" in figure.get_suptitle()
    forest = plot_forest(
        compare([folder / "s.csv", folder / "s.csv"], names=["a", "b"], metrics=("dist",), baselines=(), n_boot=100, n_perm=9)
    )
    assert hollow(forest) and "hollow" in forest.legends[0].get_texts()[-1].get_text()


def test_what_differs_by_rounding_alone_has_no_side_and_no_p_value():
    rng = np.random.default_rng(0)
    a = rng.uniform(0, 1, (40, 3))
    b = a + rng.uniform(-2e-16, 2e-16, a.shape)
    assert (a != b).any() and (difference_of(a, b) == 0).all()
    assert (paired_p_value(a, b) == 1).all() and p_against_wrong(a[:, 0], b[:, 0]) == 1
    table = method_table({"one": {"dist": a[:, 0]}, "other": {"dist": b[:, 0]}}, own="one")
    assert vars(table.differences["dist"].to_best) == {"mean": 0.0, "low": 0.0, "high": 0.0, "n": 40}
    drawn = paired_difference(a, b)
    assert not np.any([drawn.mean, drawn.low, drawn.high])
    assert np.isnan(difference_of(np.array([1.0, np.nan]), np.array([np.nan, 1.0]))).all()
    assert difference_of(1 + 1e-9, 1.0) > 0 and difference_of(1e9 + 1e-6, 1e9) == 0
