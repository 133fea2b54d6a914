"""Two models on the same rows: gains by hand, and an interval that covers what it claims."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from raysearch import evaluation
from raysearch.evaluation.limits import student_tails


@pytest.mark.parametrize("blocks", [None, np.arange(777) // 20], ids=["rows", "blocks"])
def test_compare_of_identical_models_is_zero(blocks):
    loss = np.random.default_rng(0).exponential(size=777)
    told = evaluation.compare("test", loss, loss.copy(), blocks=blocks)
    assert (told.gain_percent, told.low_percent, told.high_percent) == (0.0, 0.0, 0.0)
    assert told.tuned == told.other == pytest.approx(loss.mean())


def test_compare_by_hand():
    told = evaluation.compare("valid", np.ones(8), np.full(8, 2.0))
    assert (told.part, told.tuned, told.other) == ("valid", 1.0, 2.0)
    assert (told.gain_percent, told.low_percent, told.high_percent) == (50.0, 50.0, 50.0)
    assert told.limits == (50.0, 50.0)


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_a_gain_on_few_rows_has_no_interval(rows):
    tuned, default = np.arange(1.0, rows + 1), np.arange(1.0, rows + 1) * 2
    told = evaluation.compare("test", tuned, default)
    assert told.gain_percent == pytest.approx(50)
    assert told.low_percent is told.high_percent is told.limits is None


def test_a_gain_on_few_blocks_has_no_interval_however_many_rows():
    rng = np.random.default_rng(0)
    tuned, default = rng.exponential(size=(2, 2100))
    assert evaluation.compare("test", tuned, default, blocks=np.arange(2100) // 300).limits is None
    assert evaluation.compare("test", tuned, default, blocks=np.arange(2100) // 262).limits is not None
    # Twenty blocks, but nearly all rows in one: that is one block and a little.
    lopsided = np.minimum(np.arange(2100), 19)
    assert evaluation.compare("test", tuned, default, blocks=lopsided).limits is None


def test_compare_with_nothing_to_gain():
    nothing = np.zeros(9)
    assert evaluation.compare("test", nothing, nothing).gain_percent == 0.0
    worse = evaluation.compare("test", np.ones(9), nothing)
    assert worse.gain_percent == worse.low_percent == worse.high_percent == -math.inf


def test_compare_needs_rows_that_match():
    with pytest.raises(ValueError, match="0 and 0 rows"):
        evaluation.compare("test", np.empty(0), np.empty(0))
    with pytest.raises(ValueError, match="3 and 2 rows"):
        evaluation.compare("test", np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="blocks of 2 rows, must be 3"):
        evaluation.compare("test", np.ones(3), np.ones(3), blocks=np.zeros(2))


def test_compare_is_repeatable_and_scale_free():
    rng = np.random.default_rng(0)
    tuned, default = rng.exponential(size=(2, 300))
    blocks = np.arange(300) // 20
    first = evaluation.compare("test", tuned, default, blocks=blocks, seed=4)
    again = evaluation.compare("test", tuned * 8, default * 8, blocks=blocks, seed=4)
    assert first.limits == again.limits is not None


def test_blocks_are_known_by_their_values_whatever_the_order_of_rows():
    rng = np.random.default_rng(0)
    tuned, default = rng.exponential(size=(2, 300))
    names = np.array([f"group {i % 12:02d}" for i in range(300)])
    shuffled = rng.permutation(300)
    first = evaluation.compare("test", tuned, default, blocks=names)
    again = evaluation.compare("test", tuned[shuffled], default[shuffled], blocks=names[shuffled])
    assert first.limits == pytest.approx(again.limits)


@pytest.mark.parametrize(
    ("blocks", "each"), [(200, 1), pytest.param(5000, 1, marks=pytest.mark.slow), (10, 60), (40, 25)]
)
def test_compare_covers_the_true_gain(blocks, each):
    """Rows of a block share their gain; the 95 % interval holds the true one in about 95 % of the cases."""
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(blocks), each)
    hits = 0
    for seed in range(300):
        default = rng.exponential(size=len(labels))
        tuned = default * rng.uniform(0.6, 1.2, size=blocks)[labels]  # true gain 10 %
        told = evaluation.compare("test", tuned, default, blocks=labels, seed=seed, draws=300)
        hits += told.low_percent <= 10.0 <= told.high_percent
    assert 0.91 <= hits / 300 <= 0.99


def test_compare_of_rows_in_time_is_wider_where_neighbours_resemble_each_other():
    rng = np.random.default_rng(2)
    default = np.ones(2000)
    steady = np.repeat(rng.uniform(0.6, 1.2, size=100), 20)
    apart = evaluation.compare("test", steady, default)
    together = evaluation.compare("test", steady, default, blocks=np.arange(2000) // 20)
    assert together.high_percent - together.low_percent > 2 * (apart.high_percent - apart.low_percent)


@pytest.mark.parametrize("blocks", [None, 550, 100_000])
def test_many_rows_are_compared_in_no_time(blocks):
    tuned, default = np.random.default_rng(3).exponential(size=(2, 300_000))
    labels = None if blocks is None else np.arange(300_000) * blocks // 300_000
    started = time.perf_counter()
    assert evaluation.compare("test", tuned, default, blocks=labels).limits is not None
    assert time.perf_counter() - started < 3  # 0.1 s alone on a core; room for a busy machine


def test_the_p_value_by_hand():
    # Differences of eight blocks of two rows: sums 1 to 8, a mean of 36 / 16 a row; each block is off its
    # share of 4.5 by -3.5, ..., 3.5, whose squares sum to 42.
    other, blocks = np.repeat(np.arange(1.0, 9) / 2, 2) + 1, np.repeat(np.arange(8), 2)
    told = evaluation.compare("test", np.ones(16), other, blocks=blocks)
    t = (36 / 16) / math.sqrt(8 / 7 * 42 / 16**2)
    assert t == pytest.approx(5.19615, abs=1e-5)
    # A table of t has for seven degrees of freedom 0.002 at 4.785 and 0.001 at 5.408.
    assert 0.001 < told.p_value < 0.002
    assert told.p_value == pytest.approx(2 * stats.t.sf(t, 7), rel=1e-10)


def test_the_p_value_is_that_of_a_paired_t_test_where_rows_are_independent():
    tuned, other = np.random.default_rng(0).exponential(size=(2, 60))
    told = evaluation.compare("test", tuned, other)
    assert told.p_value == pytest.approx(stats.ttest_rel(tuned, other).pvalue, rel=1e-10)
    assert evaluation.compare("test", other, tuned).p_value == pytest.approx(told.p_value)


def test_equal_losses_have_a_p_value_of_one_and_few_blocks_none():
    loss = np.random.default_rng(0).exponential(size=40)
    assert evaluation.compare("test", loss, loss.copy()).p_value == 1.0
    assert evaluation.compare("test", loss, loss + 1).p_value == pytest.approx(0.0, abs=1e-12)
    assert evaluation.compare("test", loss, 2 * loss, blocks=np.arange(40) // 6).p_value is None


@pytest.mark.parametrize("each", [1, 20])
def test_models_that_are_as_good_differ_in_one_of_twenty_cases(each):
    """Rows of a block share their difference: the test allows for it."""
    rng, hits = np.random.default_rng(5), 0
    blocks = np.repeat(np.arange(30), each)
    for _ in range(600):
        shift = rng.normal(size=30)[blocks]
        base = rng.exponential(size=len(blocks)) + 5
        hits += evaluation.compare("test", base + shift, base, blocks=blocks, draws=2).p_value < 0.05
    assert 0.025 <= hits / 600 <= 0.075


@pytest.mark.parametrize(
    ("t", "freedom", "p"), [(2.7764, 4, 0.05), (1, 1, 0.5), (2.0930, 19, 0.05), (0, 9, 1.0)]
)
def test_the_tails_of_student(t, freedom, p):
    assert student_tails(t, freedom) == pytest.approx(p, abs=1e-5)


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 60), st.floats(0.5, 2500))
def test_the_tails_of_student_agree_with_scipy(t, freedom):
    assert student_tails(t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), rel=1e-7, abs=1e-300)
    assert student_tails(-t, freedom) == student_tails(t, freedom)
