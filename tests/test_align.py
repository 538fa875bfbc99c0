"The stages of `avesound.localization` (`align`, `predict`, `baselines`) against loops that a reader can check by eye."

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avesound.localization.align import (
    AUDIO_QUERIES,
    FUSIONS,
    AlignSettings,
    adapt_tau,
    align,
    audio_queries,
    cosine_similarity,
    entropy,
    fuse,
    pad_curves,
    similarity_curves,
    smooth,
    temporal_pdf,
    zscore,
)
from avesound.localization.baselines import BASELINES, ClipSignals, event_rate
from avesound.localization.predict import confidence, highest_density_interval, peak, peak_index, predict, soft_argmax
from avesound.timeline import cells_of_centers, time_grid

pytestmark = pytest.mark.filterwarnings("error")

STRIDE = 0.25
tenths = st.integers(-20, 20).map(lambda k: k / 10)  # a coarse scale, so that ties are common


@st.composite
def clips(draw, max_queries=3, n_scales=1):
    "Some clips of unequal length and number of queries: for each scale a list of (K, T) arrays."
    lengths = draw(st.lists(st.integers(1, 10), min_size=1, max_size=4))

    def one(n_cells):
        n_queries = draw(st.integers(1, max_queries))
        return np.array([draw(st.lists(tenths, min_size=n_cells, max_size=n_cells)) for _ in range(n_queries)])

    return [[one(n_cells) for n_cells in lengths] for _ in range(n_scales)]


align_settings = st.builds(
    AlignSettings,
    multi_reduce=st.sampled_from(FUSIONS),
    scale_fusion=st.sampled_from(FUSIONS),
    score_zscore=st.booleans(),
    score_smooth_sigma=st.sampled_from([0.0, 0.3, 1.0]),
    tau=st.sampled_from([0.05, 0.5, 3.0]),
    tau_adapt=st.sampled_from([None, None, 0.6]),
)


def loop_scores(curve, s):
    n = len(curve)
    scores = [float(x) for x in curve]
    if s.score_zscore:
        mean = sum(scores) / n
        std = math.sqrt(sum((x - mean) ** 2 for x in scores) / n)
        scores = [0.0 if std <= 1e-12 * abs(mean) else (x - mean) / std for x in scores]
    if s.score_smooth_sigma > 0:
        smoothed = []
        for i in range(n):
            weights = [math.exp(-0.5 * ((i - j) * STRIDE / s.score_smooth_sigma) ** 2) for j in range(n)]
            smoothed.append(sum(w * x for w, x in zip(weights, scores)) / sum(weights))
        scores = smoothed
    return scores


def loop_softmax(scores, tau):
    masses = [math.exp((x - max(scores)) / tau) for x in scores]
    return [m / sum(masses) for m in masses]


def loop_fuse(pdfs, how):
    pooled = []
    for column in zip(*pdfs):
        pooled.append(
            {"mean": sum(column) / len(column), "max": max(column), "product": sum(math.log(max(p, 2.3e-308)) for p in column)}[how]
        )
    if how == "product":
        return loop_softmax(pooled, 1.0)
    return [p / sum(pooled) for p in pooled]


def loop_align(scales, s):
    "PDF and curve of one clip; `scales` a list of (K, T) arrays."
    pdfs, curves = [], []
    for queries in scales:
        scores = [loop_scores(curve, s) for curve in queries]
        taus = [s.tau if s.tau_adapt is None else float(adapt_tau(x, s.tau_adapt)) for x in scores]
        pdfs.append(loop_fuse([loop_softmax(x, tau) for x, tau in zip(scores, taus)], s.multi_reduce))
        curves.append([sum(column) / len(column) for column in zip(*scores)])
    return loop_fuse(pdfs, s.scale_fusion), [sum(column) / len(column) for column in zip(*curves)]


@settings(deadline=None)
@given(clips(n_scales=2), st.integers(1, 2), align_settings)
def test_align_of_a_padded_batch_equals_one_by_one_and_naive_loops(scales, n_scales, s):
    scales = scales[:n_scales]
    batch = align([pad_curves(scale) for scale in scales], STRIDE, s)
    for b, per_scale in enumerate(zip(*scales)):
        n = per_scale[0].shape[1]
        single = align(list(per_scale), STRIDE, s)
        pdf, curve = loop_align(per_scale, s)
        # Where tied cells make the wanted entropy unreachable, the sharpest temperature of all magnifies rounding.
        tolerance = 1e-12 if s.tau_adapt is None else 1e-6
        np.testing.assert_allclose(batch.pdf[b, :n], single.pdf, atol=tolerance)
        np.testing.assert_allclose(batch.pdf[b, :n], pdf, atol=tolerance)
        np.testing.assert_allclose(batch.curve[b, :n], curve, atol=1e-12)
        assert abs(batch.pdf[b, :n].sum() - 1) < 1e-12
        assert np.isnan(batch.pdf[b, n:]).all() and np.isnan(batch.curve[b, n:]).all()


@settings(deadline=None)
@given(clips(max_queries=1), st.sampled_from([0.1, 0.7]), st.sampled_from([2.0, 5.0]), st.booleans())
def test_tau_alone_never_moves_the_peak_of_a_curve(scales, tau, other, use_zscore):
    s = AlignSettings(score_zscore=use_zscore, score_smooth_sigma=0.0)
    curves = pad_curves(scales[0])
    peaks = [peak_index(align(curves, STRIDE, replace(s, tau=t)).pdf) for t in (tau, other)]
    assert (peaks[0] == peaks[1]).all()


def test_tau_may_move_the_peak_of_a_mean_over_queries():
    curves = np.array([[1.0, 0.0, 0.8, 0.0], [0.0, 1.0, 0.8, 0.0]])  # each query has its own peak, and a second best in common
    s = AlignSettings(score_zscore=False, score_smooth_sigma=0.0)
    assert peak_index(align(curves, STRIDE, replace(s, tau=0.05)).pdf) != 2
    assert peak_index(align(curves, STRIDE, replace(s, tau=1.0)).pdf) == 2


@settings(deadline=None)
@given(clips(), align_settings, st.floats(0.1, 10), st.floats(-5, 5))
def test_zscored_pdfs_ignore_scale_and_shift_of_the_curves(scales, s, factor, shift):
    s, curves = replace(s, score_zscore=True), pad_curves(scales[0])
    np.testing.assert_allclose(align(factor * curves + shift, STRIDE, s).pdf, align(curves, STRIDE, s).pdf, atol=1e-5)


@settings(deadline=None)
@given(clips(), align_settings)
def test_padding_never_leaks(scales, s):
    curves = pad_curves(scales[0])
    wider = np.pad(curves, [(0, 0), (0, 2), (0, 5)], constant_values=np.nan)
    plain, padded = align(curves, STRIDE, s), align(wider, STRIDE, s)
    np.testing.assert_allclose(padded.pdf[:, :-5], plain.pdf, atol=1e-12 if s.tau_adapt is None else 1e-6)
    assert np.isnan(padded.pdf[:, -5:]).all() and np.isnan(padded.tau[:, curves.shape[1] :]).all()
    if s.tau_adapt is None:
        a = predict(plain.pdf, time_grid(curves.shape[-1] * STRIDE, STRIDE), s)
        b = predict(padded.pdf, time_grid(wider.shape[-1] * STRIDE, STRIDE), s)
        for name in ("t_sec", "interval", "confidence", "entropy"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-9)


@given(st.floats(-1e6, 1e6), st.floats(0.01, 20), st.integers(1, 50))
def test_smoothing_preserves_constants(value, sigma, n):
    np.testing.assert_allclose(smooth(np.full((2, n), value), sigma, STRIDE), value, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("value", [0.0, 0.1, -1 / 3, 1e-9, 1e9])
def test_a_flat_curve_carries_no_evidence(value):
    curve = np.full((1, 40), value)
    curve[0, ::3] = np.nextafter(value, value + 1) if value else 0.0  # flat but for rounding
    result = align(curve, STRIDE, AlignSettings())
    assert np.ptp(result.pdf) < 1e-15 and (result.curve == 0).all()
    assert peak(result.pdf, time_grid(10, STRIDE).centers_sec) == 4.875


@settings(deadline=None)
@given(st.lists(tenths, min_size=2, max_size=40), st.floats(0.02, 0.98), st.floats(1e-3, 1e3))
def test_adapt_tau_reaches_its_target(scores, target, factor):
    scores = np.array(scores) * factor
    n_highest = int((scores == scores.max()).sum())
    reached = entropy(temporal_pdf(scores, adapt_tau(scores, target))) / math.log(len(scores))
    if n_highest == len(scores):
        assert reached == pytest.approx(1)
    else:
        assert reached == pytest.approx(max(target, math.log(n_highest) / math.log(len(scores))), abs=1e-3)


@given(st.lists(st.lists(st.integers(0, 5), min_size=6, max_size=6).filter(any), min_size=1, max_size=4), st.sampled_from(FUSIONS))
def test_fusion_equals_brute_force(weights, how):
    pdfs = np.array([np.array(w) / sum(w) for w in weights])
    brute = {"mean": pdfs.mean(axis=0), "max": pdfs.max(axis=0), "product": pdfs.prod(axis=0)}[how]
    fused = fuse(pdfs, how)
    assert abs(fused.sum() - 1) < 1e-12
    if brute.sum() > 0:
        np.testing.assert_allclose(fused, brute / brute.sum(), atol=1e-12)


def test_product_of_pdfs_that_exclude_each_other_is_still_a_pdf():
    pdfs = temporal_pdf(np.array([[9.0, 0, 0, 0], [0, 0, 9.0, 0]]), 1e-3)
    assert (pdfs.prod(axis=0) == 0).all()
    np.testing.assert_allclose(fuse(pdfs, "product"), [0.5, 0, 0.5, 0], atol=1e-12)


def test_product_of_softmaxes_is_the_softmax_of_the_sum():
    scores = np.random.default_rng(0).normal(size=(7, 3, 40))
    np.testing.assert_allclose(fuse(temporal_pdf(scores, 0.4), "product"), temporal_pdf(scores.sum(axis=1), 0.4), atol=1e-12)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 3))
def test_of_tied_cells_the_lower_median_is_the_peak(weights, n_padding):
    pdf = np.array(weights + [np.nan] * n_padding, dtype=float) / 7
    tied = [i for i, w in enumerate(weights) if w == max(weights)]
    assert peak_index(pdf) == tied[(len(tied) - 1) // 2]
    assert peak_index(np.stack([pdf, pdf]))[1] == peak_index(pdf)


def test_rounding_does_not_decide_between_tied_cells():
    pdf = np.full(40, 1 / 40) * (1 + 1e-13 * np.random.default_rng(0).normal(size=(100, 40)))
    assert (peak_index(pdf) == 19).all()


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3)), min_size=1, max_size=9).filter(lambda c: any(m for m, _ in c)),
    st.floats(0.05, 1),
    st.integers(0, 2),
)
def test_highest_density_interval_is_the_shortest_of_all_runs(cells, mass, n_padding):
    pdf, widths = np.array(cells, dtype=float).T
    pdf = pdf / pdf.sum()
    edges = np.concatenate([[0], np.cumsum(widths)])
    runs = [
        (round(edges[j + 1] - edges[i], 9), -round(pdf[i : j + 1].sum(), 7), edges[i], edges[j + 1])
        for i in range(len(pdf))
        for j in range(i, len(pdf))
        if pdf[i : j + 1].sum() >= mass - 1e-9
    ]
    best = sorted(run for run in runs if run[:2] == min(runs)[:2])  # of equally short runs those that hold most
    _, _, start, end = best[(len(best) - 1) // 2]
    bounds = np.stack([edges[:-1], edges[1:]], axis=-1)
    padded = np.pad(pdf, (0, n_padding), constant_values=np.nan)
    padded_bounds = np.pad(bounds, [(0, n_padding), (0, 0)], constant_values=np.nan)
    intervals = highest_density_interval(np.stack([padded, padded]), padded_bounds, mass)
    np.testing.assert_allclose(intervals, [[start, end]] * 2)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=9).filter(any), st.integers(0, 8), st.floats(0, 3))
def test_confidence_entropy_and_soft_argmax_equal_loops(weights, where, radius):
    pdf = np.array(weights) / sum(weights)
    centers = time_grid(len(pdf) * STRIDE, STRIDE).centers_sec
    t = where * STRIDE / 2
    assert confidence(pdf, centers, t, radius) == pytest.approx(sum(p for p, c in zip(pdf, centers) if abs(c - t) <= radius + 1e-9))
    assert entropy(pdf) == pytest.approx(-sum(p * math.log(p) for p in pdf if p > 0))
    assert soft_argmax(pdf, centers) == pytest.approx(sum(p * c for p, c in zip(pdf, centers)))


def test_settings_broadcast_over_clips():
    rng = np.random.default_rng(0)
    scores, taus, cells = rng.normal(size=(5, 40)), np.array([0.1, 0.5, 2.0]), time_grid(10, STRIDE)
    pdf = temporal_pdf(scores, taus[:, None])
    predictions = predict(pdf, cells, AlignSettings(pred_softargmax=True))
    assert predictions.interval.shape == (3, 5, 2)
    for i, tau in enumerate(taus):
        for b in range(5):
            single = predict(temporal_pdf(scores[b], tau), cells, AlignSettings(pred_softargmax=True))
            assert predictions.t_sec[i, b] == pytest.approx(single.t_sec) and predictions.confidence[i, b] == pytest.approx(
                single.confidence
            )
            assert (
                predictions.entropy[i, b] == pytest.approx(single.entropy)
                and predictions.interval[i, b].tolist() == single.interval.tolist()
            )


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_cosine_similarity_equals_loops(n_video, n_audio, dim, seed):
    rng = np.random.default_rng(seed)
    video, audio = rng.integers(-2, 3, (2, n_video, dim)).astype("f4"), rng.integers(-2, 3, (2, n_audio, dim)).astype("f4")
    video[1, 0, 0], audio[0, -1, -1] = np.nan, np.inf
    for b in range(2):
        for i in range(n_video):
            for j in range(n_audio):
                u, v = video[b, i], audio[b, j]
                usable = np.isfinite(u).all() and np.isfinite(v).all() and u.any() and v.any()
                expected = float(u @ v) / (math.dist(u, [0] * dim) * math.dist(v, [0] * dim)) if usable else 0.0
                assert cosine_similarity(video, audio)[b, i, j] == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(
    st.sampled_from(AUDIO_QUERIES),
    st.lists(st.integers(1, 4), min_size=1, max_size=8),
    st.integers(1, 8),
    st.lists(st.integers(-3, 3).map(lambda k: k / 2), min_size=1, max_size=3),
    st.integers(0, 2**32 - 1),
)
def test_audio_queries_equal_brute_force(query, gaps, n_video, offsets, seed):
    rng = np.random.default_rng([seed, len(gaps), n_video])
    audio, video = np.cumsum(gaps) * 0.25, time_grid(n_video * 0.5, 0.5).centers_sec
    duration, loudness = n_video * 0.5, rng.integers(-4, 0, len(audio)).astype(float)
    events = np.sort(rng.integers(0, 6, (3, 2)).astype(float), axis=-1)
    index = audio_queries(
        AlignSettings(audio_query=query, multi_offsets=offsets), audio, video, duration, loudness_db=loudness, events=events
    )

    def nearest(t):
        return min(range(len(audio)), key=lambda i: (round(abs(audio[i] - t), 9), i))

    longest = max(events.tolist(), key=lambda e: e[1] - e[0])
    expected = {
        "sync": [[nearest(t) for t in video]],
        "middle": [[nearest(duration / 2)] * n_video],
        "multi": [[nearest(duration / 2 + offset)] * n_video for offset in offsets],
        "loudest": [[loudness.tolist().index(loudness.max())] * n_video],
        "all": [[i] * n_video for i in range(len(audio))],
        "oracle": [[nearest(sum(longest) / 2) if longest[1] > longest[0] else -1] * n_video],
    }[query]
    assert index.tolist() == expected


@pytest.mark.parametrize("query", AUDIO_QUERIES)
def test_from_embeddings_to_an_interval_in_the_event(query):
    "Sound and picture agree from 4 to 7 s, and point elsewhere, each its own way, before and after."
    rng = np.random.default_rng(1)
    cells, dim = time_grid(10, STRIDE), 64
    event = (cells.centers_sec > 4) & (cells.centers_sec < 7)
    shared = rng.normal(size=dim)
    video, audio = (np.where(event[:, None], shared, rng.normal(size=(40, dim))) + 0.5 * rng.normal(size=(40, dim)) for _ in range(2))
    s = AlignSettings(audio_query=query, score_smooth_sigma=0.5)
    index = audio_queries(s, cells.centers_sec, cells.centers_sec, 10, loudness_db=-60 + 30.0 * event, events=[[4, 7]])
    result = align(similarity_curves(video, audio, index), STRIDE, s)
    prediction = predict(result.pdf, cells, s)
    assert 4 <= prediction.t_sec < 7 and 4 <= prediction.interval[0] < prediction.interval[1] <= 7


def test_a_clip_without_a_query_is_nan_and_leaves_its_neighbours_alone():
    curves = np.random.default_rng(0).normal(size=(3, 1, 40))
    curves[1] = np.nan
    result = align(curves, STRIDE, AlignSettings(tau_adapt=0.5))
    predictions = predict(result.pdf, time_grid(10, STRIDE), AlignSettings())
    for values in (result.tau[:, 0], predictions.t_sec, predictions.confidence, predictions.entropy, predictions.interval[:, 0]):
        assert np.isnan(values).tolist() == [False, True, False]
    np.testing.assert_allclose(result.pdf[2], align(curves[2], STRIDE, AlignSettings(tau_adapt=0.5)).pdf, atol=1e-12)


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize(
    "s", [AlignSettings(), AlignSettings(tau_adapt=0.8, score_zscore=False, score_smooth_sigma=0.0)], ids=["default", "adapted"]
)
def test_baselines_of_a_padded_batch_equal_one_by_one(name, s):
    rng = np.random.default_rng(0)
    durations = np.array([10.0, 7.3, 0.2, 4.9])
    grids = [time_grid(d, STRIDE) for d in durations]
    loudness, motion = np.full((4, 40), np.nan), np.full((4, 40), np.nan)
    for b, cells in enumerate(grids):
        loudness[b, : len(cells)], motion[b, : len(cells)] = -rng.integers(0, 9, len(cells)) * 6.0, rng.random(len(cells))
    habits = np.array([[[0.0, 3.0]], [[0.1, 7.0]], [[2.0, 10.0]]])
    rate = np.tile(event_rate(habits, time_grid(10, STRIDE)), (4, 1))
    batch = BASELINES[name](ClipSignals(time_grid(10, STRIDE), durations, loudness, motion, rate, rate**2, -motion), s)
    for b, cells in enumerate(grids):
        n = len(cells)
        own = (column[b, :n] for column in (loudness, motion, rate, rate**2, -motion))
        single = BASELINES[name](ClipSignals(cells, durations[b], *own), s)
        np.testing.assert_allclose(batch.pdf[b, :n], single.pdf, atol=1e-12)
        np.testing.assert_allclose(batch.curve[b, :n], single.curve)
        assert abs(single.pdf.sum() - 1) < 1e-12 and np.isnan(batch.pdf[b, n:]).all()
        if name == "uniform":
            assert batch.t_sec is None and single.t_sec is None
        else:
            assert batch.t_sec[b] == single.t_sec


def test_loudest_and_motion_go_through_the_stages_of_an_encoder():
    cells, s = time_grid(10, STRIDE), AlignSettings(score_zscore=False, tau=0.3)
    energy = np.random.default_rng(0).random(40)
    expected = temporal_pdf(smooth(zscore(energy), s.score_smooth_sigma, STRIDE), 0.3)
    np.testing.assert_allclose(BASELINES["motion"](ClipSignals(cells, 10.0, motion=energy), s).pdf, expected, atol=1e-12)
    np.testing.assert_allclose(BASELINES["loudest"](ClipSignals(cells, 10.0, loudness_db=20 * energy - 60), s).pdf, expected, atol=1e-12)


def test_baselines_take_the_uneven_cells_of_a_foreign_cache():
    cells = cells_of_centers(np.array([0.5, 1.0, 2.0, 4.0]))
    signals = ClipSignals(cells, 5.0, loudness_db=[-30.0, -10.0, -20.0, -40.0], motion=[0.0, 0, 0, 1])
    assert BASELINES["loudest"](signals, AlignSettings(score_smooth_sigma=0.0)).t_sec == 1.125  # the middle of [0.75, 1.5)
    assert BASELINES["motion"](signals, AlignSettings(score_smooth_sigma=0.0)).t_sec == 4.0
    widths = cells.ends_sec - cells.starts_sec
    np.testing.assert_allclose(BASELINES["uniform"](signals, AlignSettings()).pdf, widths / widths.sum())
