"""Calibrated quantiles cover what they claim, stay in order, and never look at the rows they are told on."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.base import BaseEstimator, RegressorMixin

from raysearch.calibration import (
    KINDS,
    Calibrator,
    as_of_mean,
    calibrate,
    cross_calibrated,
    make_folds,
    no_calibration,
    shortages,
)
from raysearch.conformal import conformal_offset, offsets_of, rows_needed
from raysearch.metrics import pinball_loss_avg

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
TRUE = np.array([-1.6448536, -0.6744898, 0.0, 0.6744898, 1.6448536])  # of the standard normal


def too_narrow(rows, seed=0):
    """Truth [rows] of a standard normal and quantiles [rows, levels] at half their right width."""
    return np.random.default_rng(seed).normal(size=rows), np.tile(TRUE / 2, (rows, 1))


def covered(y, q):
    return float(((y >= q[:, 0]) & (y <= q[:, -1])).mean())


def test_of_nine_residuals_the_largest_covers_nine_in_ten():
    assert conformal_offset(np.arange(1.0, 10.0), 0.9) == 9.0
    assert conformal_offset(np.arange(1.0, 10.0), 0.1) == 1.0
    assert conformal_offset(np.arange(1.0, 10.0), 0.5) == 5.0
    values = np.random.default_rng(1).normal(size=10)
    rest = [np.delete(values, i) for i in range(10)]
    assert sum(values[i] <= conformal_offset(rest[i], 0.9) for i in range(10)) == 9
    assert sum(values[i] < conformal_offset(rest[i], 0.1) for i in range(10)) == 1


@given(st.integers(1, 60), st.integers(1, 99), st.integers(0, 5))
def test_each_of_n_plus_one_rows_left_out_in_turn_is_covered_as_promised(rows, percent, seed):
    level = percent / 100
    values = np.random.default_rng(seed).normal(size=rows + 1)
    hits = 0
    for i, value in enumerate(values):
        offset = conformal_offset(np.delete(values, i), level)
        hits += value <= offset if level > 0.5 else value < offset
    share = level * (rows + 1)
    if level > 0.5:  # at least so many, and one more at most
        assert share - 1e-6 <= hits < share + 1 + 1e-6
    elif level < 0.5:
        assert share - 1 - 1e-6 < hits <= share + 1e-6


@given(st.lists(st.integers(1, 4), min_size=1, max_size=30), st.sampled_from(LEVELS))
def test_a_row_of_weight_three_counts_like_three_rows(weights, level):
    residuals = np.random.default_rng(len(weights)).normal(size=len(weights))
    repeated = np.repeat(residuals, weights)
    assert conformal_offset(residuals, level, np.asarray(weights, float)) == conformal_offset(repeated, level)


def test_too_few_rows_have_no_finite_offset_and_get_the_outermost_one():
    few = np.arange(18.0)
    assert conformal_offset(few, 0.95) == math.inf
    assert conformal_offset(few, 0.05) == -math.inf
    assert conformal_offset(np.arange(19.0), 0.95) == 18.0
    assert rows_needed(LEVELS) == 19
    assert rows_needed((0.1, 0.5, 0.9)) == 9
    learnt = calibrate("marginal", few, np.zeros((18, 2)), (0.05, 0.95))
    assert learnt.offsets == (0.0, 17.0)


def test_residuals_that_may_be_moved_count_in_parts():
    # Of nine rows, half moved by 1 and half by -1: at 8 lie seven and nine of them, 8 in the mean.
    assert conformal_offset(np.arange(1.0, 10.0), 0.8, moves=(1, -1)) == pytest.approx(8.0)
    assert conformal_offset(np.arange(1.0, 10.0), 0.9, moves=(1, -1)) == pytest.approx(10.0)
    assert conformal_offset(np.arange(1.0, 10.0), 0.1, moves=(1, -1)) == pytest.approx(0.0)
    assert conformal_offset(np.arange(1.0, 9.0), 0.9, moves=(1, -1)) == math.inf
    few = np.zeros((8, 2))
    assert offsets_of(few, (0.05, 0.95), None, moves=(1, -3)) == (-3.0, 1.0)


@given(st.integers(1, 40), st.integers(1, 99), st.integers(0, 5))
def test_a_move_of_nothing_changes_no_offset(rows, percent, seed):
    residuals = np.random.default_rng(seed).normal(size=rows)
    plain = conformal_offset(residuals, percent / 100)
    assert conformal_offset(residuals, percent / 100, moves=(0.0, 0.0)) == pytest.approx(plain)


@settings(max_examples=200)
@given(
    arrays.arrays(np.float64, (12, 5), elements=st.floats(-1e6, 1e6)),
    arrays.arrays(np.float64, 12, elements=st.floats(-1e6, 1e6)),
    st.sampled_from(KINDS),
)
def test_calibrated_levels_never_cross(q, y, kind):
    groups = np.array(["a", "b"] * 6)
    learnt = calibrate(kind, y, q, LEVELS, groups)
    told = learnt.apply(q, groups)
    assert (np.diff(told, axis=1) >= 0).all()
    assert np.isfinite(told).all()


@settings(max_examples=200)
@given(
    arrays.arrays(np.float64, (8, 5), elements=st.floats(-1e12, 1e12)),
    arrays.arrays(np.float64, (3, 5), elements=st.floats(-1e12, 1e12)),
)
def test_no_offsets_whatever_they_are_bring_back_crossing(q, offsets):
    by_group = {"a": tuple(offsets[1]), "b": tuple(offsets[2])}
    made = Calibrator("group", tuple(offsets[0]), by_group)
    for groups in (None, np.array(["a", "b", "c", "a"] * 2)):
        told = made.apply(q, groups)
        assert (np.diff(told, axis=1) >= 0).all() and np.isfinite(told).all()


@pytest.mark.parametrize("rows", [1, 18, 19, 40])
def test_a_group_of_too_few_rows_has_the_offsets_of_all_and_is_told(rows):
    y, q = too_narrow(300 + rows)
    groups = np.array(["many"] * 300 + ["small"] * rows)
    learnt = calibrate("group", y, q, LEVELS, groups)
    told = shortages(learnt, LEVELS)
    new = np.zeros((1, 5))
    as_all = calibrate("marginal", y, q, LEVELS).apply(new)
    if rows < 19:
        assert told == (
            "1 group(s) have fewer than the 19 calibration rows that offsets of their own need, and have "
            f"those of all rows: 'small' ({rows}).",
        )
        assert (learnt.apply(new, np.array(["small"])) == as_all).all()
    else:
        assert told == () and set(learnt.by_group) == {"many", "small"}


def test_many_small_groups_are_told_in_one_line_and_too_few_rows_in_all_too():
    y, q = too_narrow(14)
    (rows, groups) = shortages(calibrate("group", y, q, LEVELS, np.array(list("aabbccddeeffgg"))), LEVELS)
    assert "calibrated by 14 rows, 19 are needed" in rows
    assert groups.startswith("7 group(s)") and groups.endswith("'e' (2) and 2 more.")
    assert shortages(no_calibration(LEVELS), LEVELS) == ()


def test_residuals_are_drawn_together_by_what_a_mean_of_models_lacks():
    y, q = np.array([0.0, 4.0]), np.array([[0.0, 1.0], [0.0, 1.0]])
    # Residuals 0 and 4 of the first level, around 2; of four models with a variance of 0.48 of theirs the
    # mean keeps 1 - 0.75 * 0.48 = 0.64 of the variance, 0.8 of the distance: 0.4 and 3.6.
    told = as_of_mean(y, q, 0.48, 4)
    assert (y[:, None] - told)[:, 0] == pytest.approx([0.4, 3.6])
    assert (np.diff(told, axis=1) >= 0).all()
    assert as_of_mean(y, q, 0.0, 4) == pytest.approx(q)
    assert np.var(y - as_of_mean(y, q, 99.0, 4)[:, 0]) == pytest.approx(0.5 * 4)


def test_none_only_puts_the_levels_in_order():
    q = np.array([[3.0, 1.0, 2.0]])
    assert no_calibration((0.1, 0.5, 0.9)).apply(q).tolist() == [[1.0, 2.0, 3.0]]
    assert calibrate("none", np.ones(1), q, (0.1, 0.5, 0.9)).offsets == (0.0, 0.0, 0.0)
    assert calibrate("marginal", np.ones(0), q[:0], (0.1, 0.5, 0.9)).offsets == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("rows", [25, 60, 400])
def test_exchangeable_rows_are_covered_as_claimed_on_average(rows):
    """The expected coverage is known: (high rank - low rank) / (rows + 1)."""
    found = []
    for seed in range(400):
        y, q = too_narrow(rows + 200, seed)
        learnt = calibrate("marginal", y[:rows], q[:rows], LEVELS)
        found.append(covered(y[rows:], learnt.apply(q[rows:])))
    high, low = math.ceil(0.95 * (rows + 1)), math.floor(0.05 * (rows + 1) + 1e-9)
    expected = (high - low) / (rows + 1)
    assert expected >= 0.9
    assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / 20)


def test_calibration_lowers_the_loss_of_quantiles_that_lie():
    y, q = too_narrow(4000)
    learnt = calibrate("marginal", y[:2000], q[:2000], LEVELS)
    before, after = q[2000:], learnt.apply(q[2000:])
    assert pinball_loss_avg(y[2000:], after, LEVELS) < 0.97 * pinball_loss_avg(y[2000:], before, LEVELS)
    assert learnt.offsets == pytest.approx(TRUE / 2, abs=0.12)


def test_the_offsets_are_those_of_mapie():
    """MAPIE's conformalised quantile regression is the oracle: the same rows, each side alone."""
    from mapie.regression import ConformalizedQuantileRegressor

    class Told(RegressorMixin, BaseEstimator):
        """A prefit model whose quantile is a column of what it is given."""

        def __init__(self, column=0):
            self.column = column

        def fit(self, x, y):
            self.fitted_ = True
            return self

        def predict(self, x):
            return np.asarray(x)[:, self.column]

    rng = np.random.default_rng(3)
    for rows in (57, 200, 333):  # of fewer MAPIE says nothing
        y, q = too_narrow(rows + 50, rows)
        q = q + 0.1 * rng.normal(size=q.shape[0])[:, None]
        models = [Told(column).fit(q, y) for column in (0, 4, 2)]
        oracle = ConformalizedQuantileRegressor(models, confidence_level=0.9, prefit=True)
        oracle.conformalize(q[:rows], y[:rows])
        _, bounds = oracle.predict_interval(q[rows:])
        told = calibrate("marginal", y[:rows], q[:rows], LEVELS).apply(q[rows:])
        assert told[:, [0, 4]] == pytest.approx(bounds[:, :, 0])


def test_a_large_group_is_calibrated_by_itself_and_a_small_one_stays_near_all():
    rng = np.random.default_rng(0)
    groups = np.array(["calm"] * 3000 + ["wild"] * 3000 + ["few"] * 4)
    scale = np.where(groups == "calm", 1.0, 5.0)
    y, q = rng.normal(size=len(groups)) * scale, np.tile(TRUE, (len(groups), 1))
    learnt = calibrate("group", y, q, LEVELS, groups)
    assert learnt.by_group["calm"] == pytest.approx((0.0,) * 5, abs=0.35)
    assert learnt.by_group["wild"] == pytest.approx(4 * TRUE, abs=0.6)
    assert learnt.few == {"few": 4} and "few" not in learnt.by_group  # it has the offsets of all
    new, y = np.tile(TRUE, (2000, 1)), rng.normal(size=2000)
    assert covered(y, learnt.apply(new, np.array(["calm"] * 2000))) == pytest.approx(0.9, abs=0.03)
    assert covered(5 * y, learnt.apply(new, np.array(["wild"] * 2000))) == pytest.approx(0.9, abs=0.03)
    unknown = learnt.apply(new[:3], np.array(["never", "seen", ""]))
    assert unknown == pytest.approx(np.sort(new[:3] + np.asarray(learnt.offsets), axis=1))


def test_rows_of_late_weigh_more_where_the_data_drifts_and_alike_where_it_does_not():
    rng = np.random.default_rng(0)
    still = rng.normal(size=1500)
    drifting = still + np.linspace(0.0, 6.0, 1500)
    q = np.tile(TRUE, (1500, 1))
    marginal, recent = (calibrate(kind, drifting[:1400], q[:1400], LEVELS) for kind in ("marginal", "time"))
    loss = [
        pinball_loss_avg(drifting[1400:], learnt.apply(q[1400:]), LEVELS) for learnt in (marginal, recent)
    ]
    assert loss[1] < 0.8 * loss[0]
    assert recent.half_life == pytest.approx(350)
    even = calibrate("time", still, q, LEVELS)
    assert even.offsets == pytest.approx((0.0,) * 5, abs=0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_calibrator_is_the_same_after_json(kind):
    y, q = too_narrow(90)
    groups = np.array(["ü", "b c", "1"] * 30)
    learnt = calibrate(kind, y, q, LEVELS, groups)
    again = Calibrator.from_json(json.loads(json.dumps(learnt.to_json())))
    assert again == learnt
    assert (again.apply(q, groups) == learnt.apply(q, groups)).all()


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("kind", ["marginal", "group", "time"])
def test_no_row_is_told_by_itself_or_by_what_comes_later(kind, ordered):
    y, q = too_narrow(125)
    folds = make_folds(125, times=np.arange(125) if ordered else None)
    groups = np.array(["a", "b", "c", "a", "b"] * 25)
    assert folds.told.tolist() == list(range(25 if ordered else 0, 125))
    first = cross_calibrated(kind, y, q, LEVELS, folds, groups)
    changed = y.copy()
    changed[50:75] += 9.0
    second = cross_calibrated(kind, changed, q, LEVELS, folds, groups)
    before, own, after = (
        (slice(0, 25), slice(25, 50), slice(50, 100))
        if ordered
        else (slice(0, 50), slice(50, 75), slice(75, 125))
    )
    assert (first[own] == second[own]).all()
    assert (first[before] == second[before]).all() == ordered
    assert (first[after] != second[after]).any()


def test_rows_just_before_a_fold_do_not_calibrate_it_where_targets_reach_across():
    times = np.repeat(np.arange(50), 4)
    folds = make_folds(200, times=times, purge=6)
    assert folds.of_row.tolist() == np.repeat(np.arange(5), 40).tolist()
    assert folds.reach == (0, 16, 56, 96, 136)  # 4 rows a time: 10 - 6 = 4 times before the second fold
    assert folds.told.tolist() == list(range(40, 200))


def test_equal_times_and_groups_stay_in_one_fold():
    times = np.array([0, 0, 0, 0, 0, 0, 0, 1, 2, 3])
    folds = make_folds(10, times=times)
    assert all(len(set(folds.of_row[times == time])) == 1 for time in range(4))
    groups = np.array(list("abcdefgaab"))
    by_group = make_folds(10, groups=groups)
    assert all(len(set(by_group.of_row[groups == name])) == 1 for name in "abcdefg")
    assert sorted(np.bincount(by_group.of_row)) == [1, 2, 2, 2, 3]


@pytest.mark.parametrize("folds", [make_folds(1), make_folds(3, times=np.zeros(3)), make_folds(0)])
def test_rows_that_nothing_can_calibrate_are_told_as_they_are(folds):
    rows = len(folds.of_row)
    q = np.array([[2.0, 1.0, 3.0, 4.0, 5.0]] * rows).reshape(rows, 5)
    assert (
        cross_calibrated("marginal", np.zeros(rows), q, LEVELS, folds).tolist() == np.sort(q, axis=1).tolist()
    )
