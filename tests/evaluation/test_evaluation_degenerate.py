"""Models whose levels tell nothing, and those that look so but are right."""

from __future__ import annotations

import numpy as np
import pytest

from raysearch.evaluation import constant_quantiles, levels_collapse, same_for_all

LEVELS = (0.05, 0.5, 0.95)
VARIED = np.random.default_rng(0).normal(size=200)


def alike(value, rows=200):
    return np.full((rows, 3), float(value))


def test_constant_quantiles_by_hand():
    # Of 0, 1, ..., 4 the median is 2; a tenth of the way from 0 to 4 is 0.4.
    assert constant_quantiles(np.array([4.0, 0, 3, 1, 2]), (0.1, 0.5, 0.9)) == pytest.approx([0.4, 2.0, 3.6])


@pytest.mark.parametrize("value", [0.0, 0.3, -1.7])
def test_levels_that_are_all_alike_are_found_where_the_truth_varies(value):
    assert levels_collapse(VARIED, alike(value), LEVELS)
    rising = np.column_stack([VARIED] * 3)[:, :] + 0.5  # alike in each row, another in every row
    assert levels_collapse(VARIED, rising, LEVELS)


def test_levels_may_meet_where_the_truth_piles_up():
    zeros = np.where(np.arange(200) < 190, 0.0, VARIED)  # 95 % are 0: so is every level
    assert not levels_collapse(zeros, alike(0), LEVELS)
    assert levels_collapse(zeros, alike(0.5), LEVELS)
    # The outermost levels claim 90 %: half of it is the least.
    assert not levels_collapse(np.where(np.arange(200) < 90, 0.0, 1 + np.abs(VARIED)), alike(0), LEVELS)
    assert levels_collapse(np.where(np.arange(200) < 89, 0.0, 1 + np.abs(VARIED)), alike(0), LEVELS)


def test_levels_that_differ_in_some_rows_are_left_alone():
    some = alike(0)
    some[:3, 2] = 1.0  # 1.5 % of the rows
    assert not levels_collapse(VARIED, some, LEVELS)
    some[:2, 2] = 0.0
    assert levels_collapse(VARIED, some, LEVELS)


def test_a_single_level_and_no_rows_cannot_collapse():
    assert not levels_collapse(VARIED, alike(0)[:, :1], (0.5,))
    assert not levels_collapse(np.empty(0), np.empty((0, 3)), LEVELS)


def test_the_same_for_all_rows():
    assert same_for_all(np.tile([0.0, 1.0, 2.0], (5, 1)))
    assert not same_for_all(np.column_stack([VARIED] * 3))
    assert not same_for_all(np.zeros((1, 3)))


def test_constant_quantiles_of_weighted_rows():
    y = np.asarray([0.0] * 9 + [10.0])
    np.testing.assert_array_equal(constant_quantiles(y, (0.5, 0.9), np.ones(10)), [0.0, 0.0])
    heavy = np.asarray([0.1] * 9 + [9.1])  # the last row is nine tenths of all
    np.testing.assert_array_equal(constant_quantiles(y, (0.05, 0.5, 0.9), heavy), [0.0, 10.0, 10.0])
