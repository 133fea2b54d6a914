"""Greedy weights of trials: worked by hand, and held to their rules for all inputs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysearch.calibration import Folds, make_folds
from raysearch.ensemble import blend, blended, choose_weights, chosen_by_stretches, cross_fitted, few
from raysearch.metrics import pinball_loss_avg

LEVELS = (0.1, 0.5, 0.9)


def job(trials=4, rows=60, seed=0):
    """Return a truth [rows], and what trials say of it, the best first."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=rows)
    raws = rng.normal(size=(trials, rows, 1)) + np.asarray([-1.2, 0.0, 1.2]) + 0.3 * y[:, None]
    raws = raws[np.argsort([pinball_loss_avg(y, raw, LEVELS) for raw in raws])]

    def loss(q, numbers):
        return pinball_loss_avg(y[numbers], q, LEVELS)

    return y, raws, loss


def test_two_that_err_in_opposite_directions_share_the_weight():
    y = np.zeros(10)
    raws = np.stack([np.full((10, 1), 1.0), np.full((10, 1), -1.0), np.full((10, 1), 5.0)])

    def loss(q, rows):
        return pinball_loss_avg(y[rows], q, (0.5,))

    weights = choose_weights(loss, raws, np.arange(10), most=3)
    np.testing.assert_allclose(weights, [0.5, 0.5, 0.0])  # their mean is the truth: loss 0, from 0.5
    assert loss(blend(weights, raws), np.arange(10)) == 0.0


def test_a_third_of_the_weight_where_that_is_best():
    y = np.zeros(4)
    raws = np.stack([np.full((4, 1), 1.0), np.full((4, 1), -2.0)])
    weights = choose_weights(lambda q, rows: pinball_loss_avg(y[rows], q, (0.5,)), raws, np.arange(4), most=2)
    np.testing.assert_allclose(weights, [2 / 3, 1 / 3])  # 1, (1 - 2) / 2, then (1 - 2 + 1) / 3 = 0


def test_one_alone_where_only_one_may_have_a_weight():
    _, raws, loss = job()
    np.testing.assert_array_equal(choose_weights(loss, raws, np.arange(60), most=1), [1, 0, 0, 0])


def test_costs_bound_who_is_added_but_not_the_best():
    _, raws, loss = job(6)
    free = choose_weights(loss, raws, np.arange(60), most=6)
    assert (free > 0).sum() > 2
    none = choose_weights(loss, raws, np.arange(60), most=6, costs=[0.9, *[0.2] * 5])
    np.testing.assert_array_equal(none > 0, [True, *[False] * 5])
    dear = choose_weights(loss, raws, np.arange(60), most=6, costs=[3.0] * 6)
    assert dear[0] == 1.0
    some = choose_weights(loss, raws, np.arange(60), most=6, costs=[0.5] * 6)
    assert (some > 0).sum() <= 2


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(1, 80), st.integers(1, 7), st.integers(0, 10_000))
def test_weights_sum_to_one_are_few_and_never_worse_than_the_best_alone(trials, rows, most, seed):
    _, raws, loss = job(trials, rows, seed)
    numbers = np.arange(rows)
    weights = choose_weights(loss, raws, numbers, most)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    assert 1 <= (weights > 0).sum() <= most
    assert loss(blend(weights, raws), numbers) <= loss(raws[0], numbers)


def by_folds(choose):
    return cross_fitted(choose, make_folds(50).pairs())


def by_stretches(choose):
    return chosen_by_stretches(choose, 50, 5)[1]


@pytest.mark.parametrize(
    ("parts", "own"),
    [(by_folds, next(iter(make_folds(50).pairs()))[0]), (by_stretches, np.arange(5))],
    ids=["folds", "time"],
)
def test_no_row_has_a_say_in_its_own_weights(parts, own):
    y, raws, _ = job(5, 50)

    def told(truth):
        def loss(q, rows):
            return pinball_loss_avg(truth[rows], q, LEVELS)

        return blended(parts(lambda rows: choose_weights(loss, raws, rows, 5)), raws)

    first = told(y)
    changed = y.copy()
    changed[own] += 100.0
    np.testing.assert_array_equal(told(changed)[own], first[own])
    assert not np.array_equal(told(changed), first), "other rows are chosen by these"


def test_rows_that_nothing_tells_of_get_the_plain_mean():
    _, raws, loss = job(3, 50)
    folds = make_folds(50, times=np.arange(50))
    mean = blended(cross_fitted(lambda rows: choose_weights(loss, raws, rows, 3), folds.pairs()), raws)
    np.testing.assert_allclose(mean[:10], raws[:, :10].mean(axis=0))
    one = Folds(np.zeros(50, dtype=np.int64)).pairs()
    alone = blended(cross_fitted(lambda rows: np.asarray([1.0, 0, 0]), one), raws)
    np.testing.assert_allclose(alone, raws.mean(axis=0))


def test_each_stretch_of_time_chooses_its_own_weights_and_their_mean_is_taken():
    y = np.zeros(20)
    first = np.where(np.arange(20) < 14, 0.0, 2.0)  # right in seven stretches of ten, the other in three
    raws = np.stack([first, 1.5 - 0.75 * first])[:, :, None]
    chosen = []

    def choose(rows):
        chosen.append(rows.tolist())
        losses = [pinball_loss_avg(y[rows], raw[rows], (0.5,)) for raw in raws]
        return np.eye(2)[int(np.argmin(losses))]

    weights, parts = chosen_by_stretches(choose, 20, 2)
    told = blended(parts, raws)
    assert chosen == [[i, i + 1] for i in range(0, 20, 2)]
    np.testing.assert_allclose(weights, [0.7, 0.3])
    np.testing.assert_allclose(told[0], (6 * raws[0, 0] + 3 * raws[1, 0]) / 9)  # by the other nine
    np.testing.assert_allclose(told[19], (7 * raws[0, 19] + 2 * raws[1, 19]) / 9)


def test_few_are_the_heaviest_that_count():
    weights = np.asarray([0.16, 0.5, 0.04, 0.3])
    np.testing.assert_allclose(few(weights, 8), [0.16 / 0.96, 0.5 / 0.96, 0.0, 0.3 / 0.96])
    np.testing.assert_allclose(few(weights, 2), [0.0, 0.625, 0.0, 0.375])
    np.testing.assert_allclose(few(weights, 8, [0.2, 0.5, 0.1, 0.6]), [0.16 / 0.66, 0.5 / 0.66, 0.0, 0.0])
    np.testing.assert_allclose(few(np.full(30, 1 / 30), 8), [1 / 8] * 8 + [0] * 22)
    np.testing.assert_allclose(few(weights, 8, [2.0] * 4), [0.0, 1.0, 0.0, 0.0])  # too dear, but one must be


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 60), st.integers(1, 6), st.integers(0, 10_000))
def test_weights_by_stretches_sum_to_one_and_are_few(trials, rows, most, seed):
    _, raws, loss = job(trials, rows, seed)
    weights, parts = chosen_by_stretches(lambda part: choose_weights(loss, raws, part, most), rows, most)
    told = blended(parts, raws)
    assert weights.sum() == pytest.approx(1.0)
    assert 1 <= (weights > 0).sum() <= most
    assert told.shape == raws.shape[1:]
    low, high = raws.min(axis=0) - 1e-9, raws.max(axis=0) + 1e-9
    assert ((told >= low) & (told <= high)).all()
