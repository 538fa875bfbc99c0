"""The definitions of `avesound.metrics.clip` against brute force, scikit-learn, scipy and what is known of the official annotations."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avesound.localization.align import AlignSettings, align
from avesound.localization.predict import predict
from avesound.metrics.clip import (
    auroc,
    average_precision,
    average_precision_at_tiou,
    clip_metrics,
    crps,
    dist,
    event_cells,
    event_f1,
    event_fraction,
    events_array,
    expected_point_metrics,
    hit,
    hit_event,
    inside,
    is_partial,
    log_score,
    mae,
    mass_inside,
    mean_average_precision,
    segment_f1,
    tiou,
    validate,
)
from avesound.timeline import Interval, time_grid

pytestmark = pytest.mark.filterwarnings("error")

AVE = Path(os.environ.get("AVESOUND_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "ave" / "Annotations.txt"
quarters = st.integers(0, 40).map(lambda k: k / 4)


@st.composite
def disjoint_events(draw, max_events=3):
    "Disjoint events between 0 and 10 s, in any order; they may touch, and one may have length zero."
    n = draw(st.integers(0, max_events))
    bounds = sorted(draw(st.lists(quarters, min_size=2 * n, max_size=2 * n)))
    return draw(st.permutations([(bounds[2 * i], bounds[2 * i + 1]) for i in range(n)]))


def as_array(events, n_rows=4):
    array = np.full((n_rows, 2), np.nan)
    for row, event in zip(array, events):
        row[:] = event
    return array


def masses(n):
    return st.lists(st.integers(0, 4), min_size=n, max_size=n).filter(any).map(lambda w: np.array(w) / sum(w))


@given(disjoint_events(), st.integers(-8, 48).map(lambda k: k / 4), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_point_metrics_equal_loops(events, t, delta):
    array = as_array(events)
    if not events:
        for value in (mae(array, t), dist(array, t), inside(array, t), hit(array, t, delta), hit_event(array, t, delta)):
            assert math.isnan(value)
        return
    to_mid = min(abs(t - (s + e) / 2) for s, e in events)
    to_event = min(max(s - t, t - e, 0) for s, e in events)
    assert mae(array, t) == to_mid and dist(array, t) == to_event
    assert inside(array, t) == any(s <= t < e for s, e in events)
    assert hit(array, t, delta) == (to_mid <= delta) and hit_event(array, t, delta) == (to_event <= delta)


@given(disjoint_events(), masses(7))
def test_mass_inside_equals_loops(events, pdf):
    array, cells = as_array(events), time_grid(7 * 1.5, 1.5)
    if not events:
        assert math.isnan(mass_inside(array, pdf, cells))
        return
    expected = 0.0
    for p, a, b in zip(pdf, cells.starts_sec, cells.ends_sec):
        expected += p * sum(max(0.0, min(b, e) - max(a, s)) for s, e in events) / (b - a)
    assert mass_inside(array, pdf, cells) == pytest.approx(expected)
    assert log_score(array, pdf, cells) == pytest.approx(math.log(max(expected, 1e-6)))
    assert event_fraction(array, cells).max() <= 1 + 1e-12


@given(disjoint_events(), quarters, quarters)
def test_tiou_equals_loops(events, a, b):
    low, high = sorted((a, b))
    best = [math.nan]
    for s, e in events:
        shared = max(0.0, min(e, high) - max(s, low))
        union = (e - s) + (high - low) - shared
        best.append(shared / union if union > 0 else 0.0)
    assert tiou(as_array(events), [low, high]) == pytest.approx(max(best[1:]) if events else math.nan, nan_ok=True)


@given(disjoint_events(), st.sampled_from([8.0, 9.5, 10.0, 10.03]), st.sampled_from([0.0, 0.5, 1.0]))
def test_is_partial_counts_quarter_seconds(events, duration, tolerance):
    covered = sum(0.25 for k in range(40) if k / 4 < duration and any(s <= k / 4 < e for s, e in events))
    covered = min(covered, duration)
    assert is_partial(as_array(events), duration, tolerance) == (len(events) > 0 and covered < duration - tolerance)


@settings(deadline=None)
@given(disjoint_events(), st.lists(st.integers(-3, 3), min_size=12, max_size=12), st.integers(0, 3))
def test_auroc_and_average_precision_agree_with_scikit_learn(events, scores, n_padding):
    from sklearn.metrics import average_precision_score, roc_auc_score

    cells = time_grid(12 * 0.8, 0.8)
    array, curve = as_array(events), np.array(scores) / 7
    labels = event_cells(array, cells)
    assert labels.tolist() == [any(s <= c < e for s, e in events) for c in cells.centers_sec]
    labels, curve[12 - n_padding :] = labels[: 12 - n_padding], np.nan
    ours = auroc(array, curve, cells), average_precision(array, curve, cells)
    if labels.all() or not labels.any():
        assert np.isnan(ours).all()
    else:
        known = curve[: 12 - n_padding]
        assert ours == (pytest.approx(roc_auc_score(labels, known)), pytest.approx(average_precision_score(labels, known)))


@settings(deadline=None)
@given(st.lists(st.tuples(disjoint_events(), masses(5)), min_size=1, max_size=3), st.sampled_from([0.25, 1.0]))
def test_expected_point_metrics_equal_numerical_integration(clips, delta):
    array, pdf, cells = np.array([as_array(e) for e, _ in clips]), np.array([p for _, p in clips]), time_grid(10, 2.0)
    ours = expected_point_metrics(array, pdf, cells, [delta])
    n = 1600  # points per cell; every kink of the integrands lies on one of their edges or at most 1/8 s from it
    points = (np.arange(5 * n) + 0.5) * (10 / (5 * n))
    weight = np.repeat(pdf, n, axis=1) / n
    for name, values in {
        "mae": mae(array[:, None], points),
        "dist": dist(array[:, None], points),
        "inside": inside(array[:, None], points),
        f"hit_{delta}": hit(array[:, None], points, delta),
        f"hit_event_{delta}": hit_event(array[:, None], points, delta),
    }.items():
        np.testing.assert_allclose(ours[name], (weight * values).sum(axis=-1), atol=5e-3)
    np.testing.assert_allclose(ours["inside"], mass_inside(array, pdf, cells), atol=1e-12)


def random_batch(n_settings, n_clips, n_cells, seed=0):
    rng = np.random.default_rng(seed)
    events = events_array(
        [
            [Interval(a, a + 1 + b) for a, b in zip(rng.choice([0, 3, 6], k, replace=False), rng.integers(0, 3, k))]
            for k in rng.integers(0, 4, n_clips)
        ]
    )
    curve = rng.normal(size=(n_settings, n_clips, n_cells)).round(1)
    lengths = rng.integers(n_cells // 2, n_cells + 1, n_clips)
    curve[:, np.arange(n_cells) >= lengths[:, None]] = np.nan
    return events, curve


@pytest.mark.parametrize("drawn", [False, True], ids=["a moment", "a moment drawn from the PDF"])
def test_clip_metrics_of_settings_times_clips_equal_one_by_one(drawn):
    events, curve = random_batch(3, 20, 40)
    cells = time_grid(10, 0.25)
    result = align(curve[..., None, :], 0.25, AlignSettings())
    predictions = predict(result.pdf, cells, AlignSettings())
    batch = clip_metrics(events, None if drawn else predictions.t_sec, result.pdf, cells, curve=result.curve, interval=predictions.interval)
    assert all(value.shape == (3, 20) for value in batch.values())
    for s in range(3):
        for b in range(20):
            clip_events = events[b][~np.isnan(events[b, :, 0])]
            clip_events = clip_events if len(clip_events) else np.full((1, 2), np.nan)
            n = int((~np.isnan(curve[s, b])).sum())
            single = clip_metrics(
                clip_events,
                None if drawn else predictions.t_sec[s, b],
                result.pdf[s, b, :n],
                time_grid(n / 4, 0.25),
                curve=result.curve[s, b, :n],
                interval=predictions.interval[s, b],
            )
            assert single == {name: pytest.approx(value[s, b], nan_ok=True) for name, value in batch.items()}
    no_event = np.isnan(events).all(axis=(1, 2))
    assert no_event.any() and all(np.isnan(value[:, no_event]).all() for value in batch.values())


def test_a_clip_without_a_prediction_is_nan_and_leaves_its_neighbours_alone():
    events, cells = np.array([[[2.0, 5.0]]] * 3), time_grid(10, 2.0)
    pdf = np.full((3, 5), 0.2)
    pdf[1] = np.nan
    predictions = predict(pdf, cells, AlignSettings())
    for name, value in clip_metrics(events, predictions.t_sec, pdf, cells, curve=pdf, interval=predictions.interval).items():
        assert np.isnan(value).tolist() == [False, True, False], name
    for name, value in clip_metrics(events, None, pdf, cells).items():
        assert np.isnan(value).tolist() == [False, True, False], name


@given(st.lists(st.tuples(quarters, quarters).map(sorted), max_size=5))
def test_events_array_is_a_valid_reference_with_the_same_union(pairs):
    array = events_array([[Interval(*pair) for pair in pairs], [Interval(1, 2)]])
    validate(array)
    for k in range(41):
        t = k / 4 + 0.125
        assert (inside(array, [t, t])[0] == 1) == any(s <= t < e for s, e in pairs)


# What is known of the official annotations, counted independently (4,143 rows, one of them of length zero).


@pytest.fixture(scope="module")
def ave():
    if not AVE.is_file():
        pytest.skip(f"the official AVE annotations are not at {AVE.parent.name}/{AVE.name} of the test data (AVESOUND_TEST_DATA)")
    with AVE.open(encoding="utf-8") as lines:
        return np.array([line.rstrip("\n").split("&")[3:5] for line in lines], dtype=float)[:, None, :]


@pytest.mark.parametrize(
    "which, n, closed, half_open, error, distance", [("all", 4143, 0.872, 0.846, 0.74, 0.24), ("partial", 1393, 0.620, 0.541, 2.19, 0.70)]
)
def test_always_five_seconds_on_the_official_annotations(ave, which, n, closed, half_open, error, distance):
    events = ave[is_partial(ave, 10.0)] if which == "partial" else ave  # 1,392 parts of a clip, and the event of length zero
    t = np.full(len(events), 5.0)
    assert len(events) == n
    assert round((dist(events, t) == 0).mean(), 3) == closed and round(inside(events, t).mean(), 3) == half_open
    assert round(mae(events, t).mean(), 2) == error and round(dist(events, t).mean(), 2) == distance


def test_a_moment_of_the_true_event_has_a_worse_mae_than_always_five_seconds(ave):
    drawn = expected_point_metrics(ave, np.ones((len(ave), 1)), ave)  # the event itself is the only cell
    assert round(float(np.nanmean(drawn["mae"])), 2) == 2.07 and np.nanmax(drawn["dist"]) == 0


# Against other people's implementations.


@settings(deadline=None, max_examples=60)
@given(disjoint_events(), masses(6))
def test_crps_agrees_with_scoringrules(events, pdf):
    import scoringrules

    array, cells = as_array(events), np.stack([np.arange(6) * 1.7, np.arange(1, 7) * 1.7], axis=-1)
    if not events:
        assert math.isnan(crps(array, pdf, cells))
        return
    n = 400  # moments in each cell, evenly spread
    moments = (cells[:, :1] + (np.arange(n) + 0.5) / n * 1.7).ravel()
    theirs = scoringrules.crps_ensemble(0.0, dist(array, moments), ens_w=np.repeat(pdf, n) / n, estimator="nrg")
    assert crps(array, pdf, cells) == pytest.approx(float(theirs), abs=0.01)


def test_crps_of_a_batch_with_missing_cells_equals_each_clip_alone():
    rng = np.random.default_rng(0)
    events = events_array([[Interval(1, 2)], [Interval(0, 1), Interval(4, 6)], [Interval(0, 9)], []])
    pdf = rng.random((2, 4, 7))
    pdf[:, 1, 5:] = np.nan
    pdf /= np.nansum(pdf, axis=-1, keepdims=True)
    cells = np.broadcast_to(time_grid(7, 1.0).centers_sec[:, None] + [-0.5, 0.5], (4, 7, 2)).copy()
    cells[1, 5:] = np.nan
    batch = crps(events, pdf, cells)
    for s in range(2):
        for b in range(3):
            present = ~np.isnan(pdf[s, b])
            clip_events = events[b][~np.isnan(events[b, :, 0])]
            assert batch[s, b] == pytest.approx(float(crps(clip_events, pdf[s, b, present], cells[b, present])))
    assert np.isnan(batch[:, 3]).all()


def test_mae_and_hit_agree_with_mir_eval():
    import mir_eval

    rng = np.random.default_rng(0)
    start = np.sort(rng.uniform(0, 1000, 200))
    events, t = np.stack([start, start + 2], axis=-1)[:, None], np.sort(start + 1 + rng.normal(0, 0.3, 200))
    _, mean_error = mir_eval.alignment.absolute_error(start + 1, t)
    assert mae(events, t).mean() == pytest.approx(mean_error)
    for delta in (0.1, 0.3, 1.0):
        assert hit(events, t, delta).mean() == pytest.approx(mir_eval.alignment.percentage_correct(start + 1, t, window=delta))


def test_tiou_agrees_with_torchvision():
    import torch
    from torchvision.ops import box_iou

    rng = np.random.default_rng(0)
    bounds = np.sort(rng.uniform(0, 10, (100, 4)), axis=-1)
    events, interval = bounds.reshape(100, 2, 2), np.sort(rng.uniform(0, 10, (100, 2)), axis=-1)

    def boxes(x):
        return torch.tensor([[a, 0.0, b, 1.0] for a, b in x], dtype=torch.float64)

    for e, i in zip(events, interval):
        assert tiou(e, i) == pytest.approx(float(box_iou(boxes(e), boxes(i[None])).max()))


@settings(deadline=None)
@given(disjoint_events(), quarters, quarters, st.sampled_from([7.0, 9.5, 10.0]))
def test_segment_f1_agrees_with_scikit_learn(events, a, b, duration):
    from sklearn.metrics import f1_score

    low, high = sorted((a, b))
    middles = [k + 0.5 for k in range(10) if k + 0.5 < duration]
    true, predicted = [any(s <= m < e for s, e in events) for m in middles], [low <= m < high for m in middles]
    ours = segment_f1(as_array(events), [low, high], duration)
    if not events or not any(true):  # whatever is predicted: methods are judged by the same clips
        assert math.isnan(ours)
    else:
        assert ours == pytest.approx(f1_score(true, predicted, zero_division=0))


@settings(deadline=None)
@given(disjoint_events(), quarters, quarters)
def test_event_f1_equals_the_best_assignment_of_runs(events, a, b):
    from scipy.optimize import linear_sum_assignment

    def runs(seconds):
        ours, last = [], None
        for k in seconds:
            if last == k - 1:
                ours[-1].append(k)
            else:
                ours.append([k])
            last = k
        return [set(run) for run in ours]

    low, high = sorted((a, b))
    true = runs([k for k in range(10) if any(s <= k + 0.5 < e for s, e in events)])
    predicted = runs([k for k in range(10) if low <= k + 0.5 < high])
    ours = event_f1(as_array(events), [low, high], 10)
    if not events or not true:
        assert math.isnan(ours)
        return
    match = np.array([[len(x & y) / len(x | y) >= 0.5 for y in predicted] for x in true]).reshape(len(true), len(predicted))
    n_matched = match[linear_sum_assignment(match, maximize=True)].sum()
    assert ours == pytest.approx(2 * n_matched / (len(true) + len(predicted)))


def slow_average_precision(events, intervals, scores, threshold):
    "ActivityNet's procedure, one detection after the other; scores are all different."
    n_events = sum(len(e) for e in events)
    right, precision, recall = 0, [], []
    for n, i in enumerate(sorted(range(len(events)), key=lambda i: -scores[i]), 1):
        best = max(
            (
                max(0.0, min(e, intervals[i][1]) - max(s, intervals[i][0])) / (max(e, intervals[i][1]) - min(s, intervals[i][0]))
                for s, e in events[i]
            ),
            default=0.0,
        )
        right += best >= threshold - 1e-9
        precision.append(right / n)
        recall.append(right / n_events)
    total, before = 0.0, 0.0
    for k, r in enumerate(recall):
        total += (r - before) * max(precision[k:])
        before = r
    return total


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.sampled_from([0.3, 0.5, 0.75]))
def test_average_precision_at_tiou_equals_activitynets_procedure(seed, threshold):
    rng = np.random.default_rng(seed)
    events = [[(s, s + rng.integers(1, 3)) for s in rng.choice([0, 4, 8], rng.integers(1, 3), replace=False)] for _ in range(12)]
    intervals = np.sort(rng.uniform(0, 10, (12, 2)), axis=-1)
    for i in range(0, 12, 2):
        intervals[i] = np.array(events[i][0]) + rng.normal(0, 0.3)
    scores = rng.permutation(12).astype(float)
    array = events_array([[Interval(*map(float, e)) for e in clip] for clip in events])
    assert average_precision_at_tiou(array, intervals, scores, threshold) == pytest.approx(
        slow_average_precision(events, intervals, scores, threshold)
    )


def test_average_precision_of_tied_scores_is_scikit_learns_where_precision_falls():
    from sklearn.metrics import average_precision_score

    right, scores = np.array([1, 1, 1, 0, 1, 0, 0, 0]), np.array([4.0, 3, 3, 3, 2, 2, 1, 1])
    events = np.tile([[[2.0, 4.0]]], (8, 1, 1))
    intervals = np.where(right[:, None] == 1, [2.0, 4.0], [6.0, 8.0])
    ours = average_precision_at_tiou(events, intervals, scores, 0.5)
    assert ours == pytest.approx(average_precision_score(right, scores) * right.mean())  # theirs divides by the events that were found


def test_an_oracle_is_perfect_on_every_metric():
    rng = np.random.default_rng(0)
    clips = [[Interval(float(s), float(s + d))] for s, d in zip(rng.integers(0, 5, 50), rng.integers(1, 5, 50))]
    events, cells = events_array(clips), time_grid(10, 0.25)
    curve = event_cells(events, cells) * 1.0
    pdf = curve / curve.sum(axis=-1, keepdims=True)
    t = events[:, 0].mean(axis=-1)
    metrics = clip_metrics(events, t, pdf, cells, curve=curve, interval=events[:, 0], duration_s=10.0)
    best = {name: 0.0 if name in ("mae", "dist", "log_score", "crps") else 1.0 for name in metrics}
    for name, value in metrics.items():
        np.testing.assert_allclose(value, best[name], atol=1e-12, err_msg=name)
    assert mean_average_precision(events, events[:, 0], np.ones(50)) == 1
