"""Scores worked by hand, rules that hold for all inputs, and intervals that cover what they claim."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import mean_pinball_loss

from raysearch import evaluation, metrics

LEVELS = (0.1, 0.5, 0.9)
Y = np.array([1.0, 5.0])
Q = np.array([[0.0, 2.0, 3.0], [1.0, 2.0, 4.0]])
# Row 1: 0.1 * (1 - 0), 0.5 * (2 - 1), 0.1 * (3 - 1); row 2: 0.1 * (5 - 1), 0.5 * (5 - 2), 0.9 * (5 - 4).
LOSSES = np.array([[0.1, 0.5, 0.2], [0.4, 1.5, 0.9]])

numbers = st.floats(-1e6, 1e6, allow_nan=False, width=32)
few = settings(max_examples=60, deadline=None)


@st.composite
def forecasts(draw, symmetric=False):
    rows = draw(st.integers(1, 12))
    if symmetric:
        half = draw(st.lists(st.integers(1, 499), min_size=1, max_size=5, unique=True))
        low = sorted(k / 1000 for k in half)
        levels = (*low, 0.5, *(1 - level for level in reversed(low)))
    else:
        levels = tuple(k / 1000 for k in sorted(draw(st.sets(st.integers(1, 999), min_size=1, max_size=7))))
    y = draw(arrays(np.float64, rows, elements=numbers))
    q = draw(arrays(np.float64, (rows, len(levels)), elements=numbers))
    return y, q, levels


def test_pinball_by_hand():
    np.testing.assert_allclose(metrics.pinball_losses(Y, Q, LEVELS), LOSSES)
    assert metrics.pinball_loss_avg(Y, Q, LEVELS) == pytest.approx(3.6 / 6)


def test_pinball_is_zero_at_the_truth_and_nowhere_else():
    assert metrics.pinball_loss_avg(Y, np.column_stack([Y, Y, Y]), LEVELS) == 0
    assert metrics.pinball_loss_avg(Y, np.column_stack([Y, Y, Y + 1e-9]), LEVELS) > 0


def test_crossing_by_hand():
    assert (
        metrics.crossing_rate(np.array([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [2.0, 2.0, 2.0], [3, 2, 1]])) == 0.5
    )
    assert metrics.crossing_rate(np.array([[1.0], [0.0]])) == 0.0
    assert metrics.crossing_rate(np.empty((0, 3))) == 0.0


@pytest.mark.parametrize(
    ("levels", "pairs"),
    [
        ((0.05, 0.25, 0.5, 0.75, 0.95), [(0, 4, 0.9), (1, 3, 0.5)]),
        ((0.1, 0.9), [(0, 1, 0.8)]),
        ((0.5,), []),
        ((0.1, 0.2, 0.95), [(0, 2, 0.85)]),
        ((0.01, 0.2, 0.3, 0.7), [(0, 3, 0.69), (1, 2, 0.1)]),
        ((0.025, 0.975), [(0, 1, 0.95)]),
    ],
)
def test_intervals_are_nested_and_named_by_their_difference(levels, pairs):
    assert metrics.interval_pairs(levels) == pairs


@pytest.mark.parametrize(("nominal", "name"), [(0.9, "90"), (0.995, "99.5"), (0.69, "69"), (0.07, "7")])
def test_nominal_names(nominal, name):
    assert metrics.nominal_name(nominal) == name


def test_levels_that_differ_in_the_seventh_digit_keep_names_of_their_own():
    levels = (0.12345671, 0.12345672, 0.9999999)
    scored = metrics.score_metrics(Y, Q, levels)
    names = [name for name in scored if name.startswith("pinball/")]
    assert names == ["pinball/q0.12345671", "pinball/q0.12345672", "pinball/q0.9999999"]


def test_coverage_width_and_interval_score_by_hand():
    (interval,) = evaluation.intervals(Y, Q, LEVELS)
    assert (interval.nominal, interval.coverage, interval.width, interval.rows) == (0.8, 0.5, 3.0, 2)
    # Row 1 inside: its width 3; row 2: its width 3 and the miss of 1, times 2 / 0.2.
    assert metrics.interval_score(Y, Q[:, 0], Q[:, 2], 0.8) == pytest.approx((3 + 3 + 10) / 2)


def test_a_truth_on_the_edge_is_covered():
    (interval,) = evaluation.intervals(np.array([0.0, 1.0]), np.array([[0.0, 1.0], [0.0, 1.0]]), (0.1, 0.9))
    assert interval.coverage == 1.0


def test_wis_and_crps_by_hand():
    assert metrics.weighted_interval_score(Y, Q, LEVELS) == pytest.approx(2 * 3.6 / 6)
    # Mean losses 0.25, 1.0, 0.55 at 0.1, 0.5, 0.9; trapezoids 0.0125, 0.25, 0.31, 0.0275.
    assert metrics.crps_from_quantiles(Y, Q, LEVELS) == pytest.approx(2 * (0.0125 + 0.25 + 0.31 + 0.0275))


def test_crps_of_many_levels_is_that_of_the_distribution():
    levels = tuple(np.arange(1, 1000) / 1000)
    q = np.array([levels])  # uniform on (0, 1): CRPS at y is y^3 / 3 + (1 - y)^3 / 3
    assert metrics.crps_from_quantiles(np.array([0.3]), q, levels) == pytest.approx(
        (0.3**3 + 0.7**3) / 3, abs=1e-5
    )


def test_wilson_limits_by_hand():
    assert evaluation.wilson_limits(0, 0) == (0.0, 1.0)
    low, high = evaluation.wilson_limits(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert evaluation.wilson_limits(0, 10)[0] == 0.0
    assert evaluation.wilson_limits(10, 10)[1] == 1.0


def test_score_metrics_names_and_values():
    scored = metrics.score_metrics(Y, Q, LEVELS)
    assert scored == pytest.approx(
        {
            "pinball_loss_avg": 0.6,
            "coverage_80": 0.5,
            "width_80": 3.0,
            "pinball/q0.1": 0.25,
            "pinball/q0.5": 1.0,
            "pinball/q0.9": 0.55,
        }
    )
    assert metrics.with_prefix("valid", scored).keys() == {
        "valid_pinball_loss_avg", "valid_coverage_80", "valid_width_80",
        "pinball/q0.1", "pinball/q0.5", "pinball/q0.9",
    }  # fmt: skip


def test_evaluate_orders_first_and_tells_what_crossed():
    raw = Q[:, ::-1].copy()
    told = evaluation.evaluate("test", Y, raw, LEVELS, np.array(["b", "a"]))
    assert told.metrics["crossing_rate"] == 0.0
    assert told.metrics["crossing_rate_before_ordering"] == 1.0
    assert told.metrics["pinball_loss_avg"] == pytest.approx(0.6)
    assert told.metrics["wis"] == pytest.approx(1.2)
    assert told.metrics["interval_score_80"] == pytest.approx(8.0)
    assert told.reliability == {0.1: 0.0, 0.5: 0.5, 0.9: 0.5}
    assert (told.part, told.rows) == ("test", 2)
    np.testing.assert_array_equal(raw, Q[:, ::-1])  # what was given is left as it was


def test_groups_are_scored_on_their_own_rows():
    told = evaluation.evaluate("test", Y, Q, LEVELS, np.array(["b", "a"]))
    assert list(told.groups) == ["a", "b"]
    assert [told.groups[name][0].coverage for name in "ab"] == [0.0, 1.0]
    assert [told.groups[name][0].rows for name in "ab"] == [1, 1]


def test_many_groups_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    y, q = rng.normal(size=500), np.sort(rng.normal(size=(500, 5)), axis=1)
    names = rng.choice(np.array(["x", "y y", "ü", ""]), size=500)
    told = evaluation.evaluate("test", y, q, (0.05, 0.25, 0.5, 0.75, 0.95), names)
    for i, whole in enumerate(told.intervals):
        parts = [told.groups[name][i] for name in told.groups]
        assert sum(part.rows for part in parts) == 500
        assert sum(part.rows * part.coverage for part in parts) == pytest.approx(500 * whole.coverage)


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("levels", [(0.5,), (0.1, 0.9), (0.1, 0.2, 0.95)])
def test_odd_shapes_give_numbers_or_nan_and_no_warning(rows, levels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = evaluation.evaluate(
            "test", np.ones(rows), np.ones((rows, len(levels))), levels, np.ones(rows, str)
        )
    assert told.rows == rows
    assert math.isnan(told.metrics["pinball_loss_avg"]) == (rows == 0)
    assert len(told.intervals) == len(levels) // 2
    assert len(told.groups) == rows


@few
@given(forecasts())
def test_pinball_agrees_with_scikit_learn_and_is_never_negative(given):
    y, q, levels = given
    losses = metrics.pinball_losses(y, q, levels)
    assert (losses >= 0).all()
    for i, level in enumerate(levels):
        assert losses[:, i].mean() == pytest.approx(mean_pinball_loss(y, q[:, i], alpha=level), abs=1e-9)


@few
@given(forecasts())
def test_ordering_never_raises_the_loss(given):
    y, q, levels = given
    before = metrics.pinball_losses(y, q, levels).mean(axis=1)
    after = metrics.pinball_losses(y, np.sort(q, axis=1), levels).mean(axis=1)
    assert (after <= before + 1e-9 * (1 + np.abs(before))).all()


@few
@given(forecasts(symmetric=True))
def test_wis_is_the_textbook_sum_of_interval_scores(given):
    y, q, levels = given
    q = np.sort(q, axis=1)
    k = len(levels) // 2
    total = 0.5 * np.abs(y - q[:, k]).mean()
    for low, high, nominal in metrics.interval_pairs(levels):
        total += (1 - nominal) / 2 * metrics.interval_score(y, q[:, low], q[:, high], nominal)
    assert metrics.weighted_interval_score(y, q, levels) == pytest.approx(
        total / (k + 0.5), rel=1e-6, abs=1e-6
    )


@few
@given(forecasts(), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_scores_follow_the_units_and_ignore_the_origin(given, scale, shift):
    y, q, levels = given
    here = evaluation.evaluate("test", y, q, levels).metrics
    there = evaluation.evaluate("test", y * scale, q * scale, levels).metrics
    moved = evaluation.evaluate("test", y + shift, q + shift, levels).metrics
    for name in ("pinball_loss_avg", "wis", "crps"):
        assert there[name] == pytest.approx(scale * here[name], rel=1e-9, abs=1e-9)
        assert moved[name] == pytest.approx(here[name], rel=1e-6, abs=1e-6)


@few
@given(st.integers(1, 10_000).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows))))
def test_wilson_limits_hold_the_share(pair):
    hits, rows = pair
    low, high = evaluation.wilson_limits(hits, rows)
    assert 0 <= low <= hits / rows + 1e-12
    assert hits / rows - 1e-12 <= high <= 1
