"""Rows in time: a shift counts as far as stretches agree on it; worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysearch.calibration import calibrate
from raysearch.drift import steady_offsets, width_offsets

LEVELS = (0.1, 0.5, 0.9)


def stretches(*shifts, rows=5):
    """Return residuals [rows, 3]: in each stretch of so many rows, all levels are off by one shift."""
    return np.repeat(np.asarray(shifts, float), rows)[:, None] * np.ones(3)


def test_a_shift_on_which_all_stretches_agree_stays():
    assert steady_offsets((1.0, 2.0, 3.0), stretches(*[2.0] * 6), LEVELS, None) == (1.0, 2.0, 3.0)


def test_a_shift_that_turns_is_dropped_and_the_width_stays():
    assert steady_offsets((-1.0, 0.5, 3.0), stretches(3, -3, 3, -3, 3, -3), LEVELS, None) == (-1.5, 0.0, 2.5)


def test_the_shift_between_is_shrunk_as_james_and_stein_do():
    # Mean 2, variance 8 / 5, that of the mean a sixth of it: kept is 1 - (1.6 / 6) / 4 = 14 / 15.
    shrunk = steady_offsets((0.0, 3.0, 6.0), stretches(0, 2, 2, 2, 2, 4), LEVELS, None)
    assert shrunk == pytest.approx((-0.2, 2.8, 5.8))


def test_the_middle_lies_between_levels_where_none_is_the_median():
    turning = stretches(3, -3, 3, -3, 3, -3)[:, :2]
    assert steady_offsets((0.0, 4.0), turning, (0.25, 0.75), None) == (-2.0, 2.0)
    assert steady_offsets((0.0, 4.0), turning, (0.4, 0.8), None) == pytest.approx((-1.0, 3.0))


@pytest.mark.parametrize("levels", [(0.6, 0.9), (0.1, 0.2)])
def test_levels_of_one_side_keep_their_offsets(levels):
    assert steady_offsets((1.0, 2.0), stretches(3, -3, 3, -3)[:, :2], levels, None) == (1.0, 2.0)


def test_too_few_rows_to_tell_keep_the_offsets():
    assert steady_offsets((1.0, 2.0, 3.0), stretches(5, -5), LEVELS, None) == (1.0, 2.0, 3.0)


def test_stretches_are_told_by_their_weighted_rows():
    residuals = stretches(1, 1, 1)
    residuals[::5] = 100.0
    weights = np.where(np.arange(15) % 5 == 0, 0.01, 1.2475)
    assert steady_offsets((0.0, 1.0, 2.0), residuals, LEVELS, weights) == (0.0, 1.0, 2.0)


def test_stretches_whose_rows_count_little_tell_their_shift_as_well():
    weights = np.repeat([0.01, 0.01, 0.01, 0.01, 0.01, 5.95], 5)
    same = stretches(2, 2, 2, 2, 2, 2)
    assert steady_offsets((1.0, 2.0, 3.0), same, LEVELS, weights) == (1.0, 2.0, 3.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(15, 200), st.integers(0, 10_000), st.floats(-5, 5))
def test_a_steady_shift_keeps_the_width_and_never_turns_round(rows, seed, shift):
    rng = np.random.default_rng(seed)
    y, q = rng.normal(size=rows) + shift, np.tile([-1.2, 0.0, 1.2], (rows, 1))
    plain = np.asarray(calibrate("marginal", y, q, LEVELS).offsets)
    steady = np.asarray(calibrate("steady", y, q, LEVELS).offsets)
    np.testing.assert_allclose(np.diff(steady), np.diff(plain), atol=1e-9)
    assert 0.0 <= steady[1] * np.sign(plain[1]) <= abs(plain[1]) + 1e-9


@pytest.mark.parametrize("shifts", [[2.0] * 6, [2.0, -2.0] * 3])
def test_what_a_stretch_was_shifted_by_may_come_to_either_side(shifts):
    # Nothing but shifts by 2 was seen: 121 * 0.9 rows of 120 lie at or below 2, as many at or above -2.
    assert width_offsets(stretches(*shifts, rows=20), LEVELS, None) == (-2.0, 0.0, 2.0)


def test_each_stretch_lends_its_shift_to_the_others():
    # Around the shift of their stretch all residuals are 0; each is moved by 1, 2 and 3 to either side.
    found = width_offsets(stretches(1, 2, 3, rows=20), (0.25, 0.5, 0.75), None)
    # 0.75 * 61 = 46 rows of 60 are needed: five sixths lie at or below 2, four at or below 1.
    assert found == (-2.0, 0.0, 2.0)


def test_width_offsets_shift_nothing_in_the_middle():
    y, q = np.random.default_rng(0).normal(size=300) + 5.0, np.tile([-1.0, 0.0, 1.0], (300, 1))
    found = calibrate("width", y, q, LEVELS)
    assert found.kind == "width" and found.offsets[1] == 0.0
    low, _, high = found.offsets
    assert low < -4.5 and high > 4.5  # the shift by 5 may turn round
    assert width_offsets(stretches(0, 0, 0)[:, :2], (0.25, 0.75), None) == (0.0, 0.0)
    of_one_side = stretches(1, 1, 1)[:, :2]
    assert width_offsets(of_one_side, (0.7, 0.9), None) == (1.0, 1.0)  # there is no middle
    assert width_offsets(stretches(2)[:3], LEVELS, None) == pytest.approx((-2.0, 0.0, 2.0))  # one stretch


def test_rows_that_do_not_count_change_no_width():
    rng = np.random.default_rng(1)
    residuals, weights = rng.normal(size=(60, 3)), np.tile([1.5, 1.5, 0.0], 20)
    other = np.where(weights[:, None] > 0, residuals, 100.0)
    expected = pytest.approx(width_offsets(residuals, LEVELS, weights))
    assert width_offsets(other, LEVELS, weights) == expected


def test_where_each_stretch_is_shifted_anew_a_new_one_is_covered_by_width_not_by_marginal_offsets():
    covered = {"marginal": [], "width": []}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        y = np.repeat(rng.normal(size=7), 40) + rng.normal(size=280)
        q = np.tile([-1.645, 0.0, 1.645], (280, 1))
        for kind, shares in covered.items():
            told = calibrate(kind, y[:240], q[:240], (0.05, 0.5, 0.95)).apply(q[240:])
            shares.append(((y[240:] >= told[:, 0]) & (y[240:] <= told[:, 2])).mean())
    assert 0.88 < np.mean(covered["width"]) < 0.94
    assert np.mean(covered["marginal"]) < np.mean(covered["width"]) - 0.015


def test_without_a_median_a_tail_is_no_shift():
    rng = np.random.default_rng(0)
    residuals = np.tile(rng.normal(size=40)[:, None], 2)
    residuals[7] = 100.0
    low, high = width_offsets(residuals, (0.1, 0.9), None)
    assert high - low == pytest.approx(
        np.diff(calibrate("marginal", residuals[:, 0], np.zeros((40, 2)), (0.1, 0.9)).offsets)[0]
    )
    assert high - low < 5.0


def test_an_offset_is_a_moved_residual_to_its_last_digit():
    residuals = np.zeros((600, 3))
    residuals[::3] = np.random.default_rng(0).lognormal(size=200)[:, None]
    assert width_offsets(residuals, (0.05, 0.5, 0.95), None)[0] == 0.0
