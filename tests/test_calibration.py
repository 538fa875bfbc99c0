"`avesound.metrics.calibration` against torchmetrics, scikit-learn, numerical regions, and its promise on clips that nothing was fitted to."

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avesound.metrics.calibration import TARGETS, conformal_interval, conformal_margin, hdr_coverage, interval_miss, reliability
from avesound.timeline import time_grid


def outcomes():
    rng = np.random.default_rng(0)
    confidence = rng.random(500)
    return confidence, (rng.random(500) < confidence**1.5).astype(int)


# binary_calibration_error(torch.tensor(confidence), torch.tensor(correct), n_bins=n, norm="l1")
# of torchmetrics 1.9.0 with torch 2.11 on `outcomes()`
@pytest.mark.parametrize("n_bins, theirs", [(5, 0.10075997546109537), (10, 0.10086991177292126), (15, 0.1061539219675835)])
def test_ece_agrees_with_torchmetrics(n_bins, theirs):
    assert reliability(*outcomes(), n_bins=n_bins).ece == pytest.approx(theirs, abs=1e-9)


def test_bins_agree_with_scikit_learn():
    from sklearn.calibration import calibration_curve

    confidence, correct = outcomes()
    share, mean = calibration_curve(correct, confidence, n_bins=10)
    result = reliability(confidence, correct)
    np.testing.assert_allclose(result.accuracy, share)
    np.testing.assert_allclose(result.confidence, mean)


def test_the_null_is_what_honest_predictors_get():
    rng = np.random.default_rng(1)
    confidence = rng.random(80) ** 0.5
    result = reliability(confidence, rng.random(80) < confidence)
    eces = [reliability(confidence, rng.random(80) < confidence, n_null=1).ece for _ in range(400)]
    assert result.null_ece == pytest.approx(np.mean(eces), abs=0.01) and np.mean(np.array(eces) > result.null_ece_high) < 0.1
    inside = np.mean(
        [
            ((r := reliability(confidence, rng.random(80) < confidence, n_null=1)).accuracy >= result.null_low)
            & (r.accuracy <= result.null_high)
            for _ in range(200)
        ]
    )
    assert inside > 0.93


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=7).filter(lambda c: any(m for m, _ in c)),
    st.floats(0, 1),
    st.floats(0, 12),
    st.floats(0.5, 6),
)
def test_hdr_coverage_equals_a_region_built_of_slivers(cells, level, start, length):
    mass, widths = np.array(cells, dtype=float).T
    mass /= mass.sum()
    edges = np.concatenate([[0], np.cumsum(widths)])
    start = min(start, edges[-1] - 0.25)
    end = min(start + length, edges[-1])
    bounds = np.stack([edges[:-1], edges[1:]], axis=-1)
    density = mass / widths
    covered, left = 0.0, level
    for d in sorted(set(np.round(density, 12)), reverse=True):  # equal densities are taken together, in equal parts
        group = np.abs(density - d) < 1e-9
        taken = 0.0 if d == 0 and level < 1 else 1.0 if d == 0 else min(1.0, left / mass[group].sum())
        left = max(0.0, left - mass[group].sum())
        covered += taken * sum(max(0.0, min(b, end) - max(a, start)) for a, b in bounds[group])
    assert hdr_coverage([[start, end]], mass, bounds, [level])[0] == pytest.approx(covered / (end - start), abs=1e-6)


def test_hdr_coverage_of_padded_clips_equals_each_alone():
    rng = np.random.default_rng(0)
    pdf, cells = rng.random((3, 8)), np.broadcast_to(time_grid(4, 0.5).centers_sec[:, None] + [-0.25, 0.25], (3, 8, 2)).copy()
    pdf[1, 5:], cells[1, 5:] = np.nan, np.nan
    pdf /= np.nansum(pdf, axis=-1, keepdims=True)
    events = np.array([[[0.2, 1.1]], [[0.0, 2.0]], [[1.0, 3.7]]])
    batch = hdr_coverage(events, pdf, cells, [0.3, 0.8])
    for i, n in enumerate([8, 5, 8]):
        np.testing.assert_allclose(batch[:, i], hdr_coverage(events[i], pdf[i, :n], cells[i, :n], [0.3, 0.8]))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_conformal_intervals_hold_what_they_promise_on_other_clips(target, level):
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        start = rng.uniform(0, 8, 120)
        events = np.stack([start, start + rng.uniform(0.5, 2, 120)], axis=-1)[:, None]
        guess = start + rng.standard_t(2, 120)  # now and then far off
        interval = np.stack([guess, guess + 1], axis=-1)
        margin = conformal_margin(events[:40], interval[:40], level, target)
        wide = conformal_interval(interval[40:], margin, 1e9) if margin >= -0.5 else None
        if wide is not None and interval[40:].min() - margin > 0:  # nothing was cut
            np.testing.assert_array_equal(
                interval_miss(events[40:], wide, target) <= 1e-9, interval_miss(events[40:], interval[40:], target) <= margin + 1e-9
            )
        covered.append((interval_miss(events[40:], interval[40:], target) <= margin).mean())
    assert level - 0.015 <= np.mean(covered) <= level + 1 / 41 + 0.015


def test_cutting_at_the_ends_of_the_clip_loses_no_event():
    rng = np.random.default_rng(0)
    bounds = np.sort(rng.uniform(0, 10, (200, 2)), axis=-1)
    interval = np.sort(rng.uniform(0, 10, (200, 2)), axis=-1)
    margin = conformal_margin(bounds[:, None], interval, 0.9)
    wide = conformal_interval(interval, margin, 10.0)
    assert ((interval_miss(bounds[:, None], wide) <= 1e-9) == (interval_miss(bounds[:, None], interval) <= margin + 1e-9)).all()
    assert wide.min() >= 0 and wide.max() <= 10
