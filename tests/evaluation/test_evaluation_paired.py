"""Two models on the same rows: gains by hand, and an interval that covers what it claims."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from raysearch import evaluation


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


@pytest.mark.parametrize(("blocks", "each"), [(200, 1), (5000, 1), (10, 60), (40, 25)])
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
