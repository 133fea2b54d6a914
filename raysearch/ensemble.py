"""Which of the trials that were paid for are the model together, and with which weights.

Greedy selection with replacement (Caruana et al., 2004): begin with the best, add the trial that helps the
mean most, again and again, until none helps. Arrays: `raws` is [trials, rows, levels], what each trial's
boosters say of rows that they were not fitted on, on their scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from raysearch.metrics import Array, Ints

_STEPS = 20  # at most; each weight is a multiple of one over the steps made
_ROWS = 10_000  # that weights are chosen on, at most: more cost seconds and change little
_STRETCHES = 10  # of rows in time
_LEAST_SHARE = 0.1  # of the heaviest weight, for a trial to be worth its prediction
_LEAST_GAIN = 1e-4  # share of the loss below which one more step is not worth it

Loss = Callable[[Array, Ints], float]  # of quantiles [rows, levels] of the rows with these numbers
Part = tuple[Ints, Array]  # numbers of rows, and weights [trials] in which these rows have no say


def choose_weights(loss: Loss, raws: Array, rows: Ints, most: int, costs: Sequence[float] = ()) -> Array:
    """Return the weight of each trial [trials], summing to 1.

    Args:
        loss: what to make small.
        raws: the best trial first.
        rows: numbers of the rows to choose by.
        most: trials that may have a weight.
        costs: of each trial, with 1 for what all together may cost; the first trial is taken in any case.
    """
    rows = rows[:: -(-len(rows) // _ROWS)] if len(rows) else rows
    said = raws[:, rows]
    counts = np.zeros(len(raws), dtype=np.int64)
    counts[0] = 1
    total, lowest = said[0].copy(), loss(said[0], rows)
    for step in range(2, _STEPS + 1):
        tried = {i: loss((total + said[i]) / step, rows) for i in _allowed(counts, most, costs)}
        best = min(tried, key=lambda i: tried[i])
        if not tried[best] < lowest * (1.0 - _LEAST_GAIN):
            break
        counts[best] += 1
        total, lowest = total + said[best], tried[best]
    return np.asarray(counts / counts.sum())


def _allowed(counts: Ints, most: int, costs: Sequence[float]) -> list[int]:
    """Return the trials that can be added: all that have a weight, others while there is room for them."""
    inside = np.flatnonzero(counts).tolist()
    spent = sum(costs[i] for i in inside) if costs else 0.0
    room = len(inside) < most
    return [i for i in range(len(counts)) if counts[i] or (room and (not costs or spent + costs[i] <= 1.0))]


def blend(weights: Array, raws: Array) -> Array:
    """Return the weighted mean of the trials' quantiles, [rows, levels]."""
    return np.asarray(np.tensordot(weights, raws, axes=1))


def cross_fitted(choose: Callable[[Ints], Array], pairs: Iterable[tuple[Ints, Ints]]) -> list[Part]:
    """Return the weights of each part of the rows, chosen by rows of other parts.

    Args:
        choose: from the numbers of rows to the weights chosen by them.
        pairs: the rows of a part, and those that choose its weights; where there are none it is left out.
    """
    return [(own, choose(others)) for own, others in pairs if len(others)]


def chosen_by_stretches(
    choose: Callable[[Ints], Array], rows: int, most: int, costs: Sequence[float] = ()
) -> tuple[Array, list[Part]]:
    """Return weights [trials] for rows in time, and those of each part of the rows as ``cross_fitted``.

    Each stretch of time chooses its own weights, and the mean of them is taken: all rows together would
    follow what is best in most of the past, and put everything on trials that may fail together later.

    Args:
        choose: from the numbers of rows to the weights chosen by them.
        rows: how many there are, in order of time.
        most, costs: see ``choose_weights``.
    """
    stretches = list(_stretches(rows))
    chosen = np.stack([choose(stretch) for stretch in stretches])
    parts = [
        (own, few(np.delete(chosen, i, axis=0).mean(axis=0), most, costs))
        for i, own in enumerate(stretches)
        if len(stretches) > 1
    ]
    return few(chosen.mean(axis=0), most, costs), parts


def blended(parts: Iterable[Part], raws: Array) -> Array:
    """Return the mean of the trials' quantiles [rows, levels], each part of the rows with its own weights.

    A row of no part gets the plain mean.
    """
    told = np.asarray(raws.mean(axis=0))
    for own, weights in parts:
        told[own] = blend(weights, raws[:, own])
    return told


def few(weights: Array, most: int, costs: Sequence[float] = ()) -> Array:
    """Return the weights [trials] of those that count, summing to 1: the heaviest within ``most`` and costs.

    Who weighs less than a tenth of the heaviest costs a model and changes nothing.
    """
    kept = np.zeros_like(weights)
    spent = 0.0
    for i in np.argsort(-weights, kind="stable").tolist():
        counts = weights[i] >= _LEAST_SHARE * weights.max() and (not costs or spent + costs[i] <= 1.0)
        if not kept.any() or (counts and (kept > 0).sum() < most):
            kept[i] = weights[i]
            spent += costs[i] if costs else 0.0
    return np.asarray(kept / kept.sum())


def _stretches(rows: int) -> Iterator[Ints]:
    """Yield the numbers of the rows of each stretch of time."""
    of_row = np.arange(rows) * min(_STRETCHES, rows) // max(rows, 1)
    for stretch in np.unique(of_row):
        yield np.flatnonzero(of_row == stretch)
