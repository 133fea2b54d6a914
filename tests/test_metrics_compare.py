"""Two models on the same rows: gains by hand, and an interval that covers what it claims."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raysearch import metrics


def test_compare_of_identical_models_is_zero():
    loss = np.random.default_rng(0).exponential(size=777)
    for block in (1, 20):
        told = metrics.compare("test", loss, loss.copy(), block=block)
        assert (told.gain_percent, told.low_percent, told.high_percent) == (0.0, 0.0, 0.0)
        assert told.tuned == told.default == pytest.approx(loss.mean())


def test_compare_by_hand():
    told = metrics.compare("valid", np.array([1.0, 1.0, 1.0]), np.array([2.0, 2.0, 2.0]), block=1)
    assert (told.part, told.tuned, told.default) == ("valid", 1.0, 2.0)
    assert (told.gain_percent, told.low_percent, told.high_percent) == (50.0, 50.0, 50.0)


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
@pytest.mark.parametrize("block", [1, 7])
def test_compare_of_few_rows(rows, block):
    tuned, default = np.arange(1.0, rows + 1), np.arange(1.0, rows + 1) * 2
    told = metrics.compare("test", tuned, default, block=block)
    assert (told.low_percent, told.gain_percent, told.high_percent) == pytest.approx((50, 50, 50))


def test_compare_with_nothing_to_gain():
    nothing = np.zeros(5)
    assert metrics.compare("test", nothing, nothing, block=1).gain_percent == 0.0
    worse = metrics.compare("test", np.ones(5), nothing, block=1)
    assert worse.gain_percent == worse.low_percent == worse.high_percent == -math.inf


def test_compare_needs_rows_that_match():
    with pytest.raises(ValueError, match="0 and 0 rows"):
        metrics.compare("test", np.empty(0), np.empty(0), block=1)
    with pytest.raises(ValueError, match="3 and 2 rows"):
        metrics.compare("test", np.ones(3), np.ones(2), block=1)


def test_compare_is_repeatable_and_scale_free():
    rng = np.random.default_rng(0)
    tuned, default = rng.exponential(size=(2, 300))
    first = metrics.compare("test", tuned, default, block=20, seed=4)
    again = metrics.compare("test", tuned * 8, default * 8, block=20, seed=4)
    assert first.low_percent == again.low_percent
    assert first.high_percent == again.high_percent


@pytest.mark.parametrize("rows", [200, 5000])
def test_compare_covers_the_true_gain(rows):
    """For independent rows the 95 % interval holds the true gain in about 95 % of the cases."""
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(300):
        default = rng.exponential(size=rows)
        tuned = default * rng.uniform(0.6, 1.2, size=rows)  # true gain 10 %
        told = metrics.compare("test", tuned, default, block=1, seed=seed, draws=300)
        hits += told.low_percent <= 10.0 <= told.high_percent
    assert 0.91 <= hits / 300 <= 0.985


def test_compare_of_rows_in_time_is_wider_where_neighbours_resemble_each_other():
    rng = np.random.default_rng(2)
    default = np.ones(2000)
    steady = np.repeat(rng.uniform(0.6, 1.2, size=100), 20)
    apart = metrics.compare("test", steady, default, block=1)
    together = metrics.compare("test", steady, default, block=20)
    assert together.high_percent - together.low_percent > 2 * (apart.high_percent - apart.low_percent)
