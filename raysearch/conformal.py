"""Conformal offsets: what a quantile is shifted by, so that it covers new rows as it claims.

Split conformal prediction with one offset a level (Romano, Patterson and Candès, 2019, each side alone). Rows
may carry weights (Tibshirani et al., 2019; Barber et al., 2023), 1 in the mean: a new row is taken to weigh
1; None: all do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from raysearch.metrics import Array

_HALVINGS = 50  # of where an offset can lie: to the last digit
_EPS = 1e-9  # weights are sums of floats: a rank must not hang on their last digit


def conformal_offset(
    residuals: Array, level: float, weights: Array | None = None, moves: Sequence[float] = ()
) -> float:
    """Return what a quantile is shifted by so that it covers a new row with probability ``level``.

    Args:
        residuals: truth minus quantile of the calibration rows [rows].
        level: upper levels are shifted until at least that share of new rows lies at or below, lower ones
            (below 0.5) until at most that share lies below; 0.5 halfway between the two.
        weights: how much each row counts beside a new one, which counts 1; None: all 1.
        moves: what a residual may be moved by, all equally likely; none: it stays.

    Returns:
        With n rows of weight 1 the residual of rank ``ceil(level * (n + 1))`` for an upper level, of rank
        ``floor(level * (n + 1))`` for a lower one; infinite, plus or minus, where there is no such rank. With
        m moves, the ranks are those of the m * n moved residuals, each of which counts 1/m.
    """
    if level == 0.5:
        low = -_upper(-residuals, 0.5, weights, [-move for move in moves])
        high = _upper(residuals, 0.5, weights, moves)
        return (low + high) / 2 if math.isfinite(high) and math.isfinite(low) else 0.0
    if level > 0.5:
        return _upper(residuals, level, weights, moves)
    return -_upper(-residuals, 1.0 - level, weights, [-move for move in moves])


def _upper(residuals: Array, level: float, weights: Array | None, moves: Sequence[float]) -> float:
    order = np.argsort(residuals, kind="stable")
    counts = np.ones(len(residuals)) if weights is None else np.asarray(weights)[order]
    reached = np.cumsum(counts)
    needed = level * (float(counts.sum()) + 1.0)
    needed -= _EPS * max(1.0, needed)
    if moves:
        return _upper_moved(residuals[order], reached, needed, np.asarray(moves))
    at = int(np.searchsorted(reached, needed))
    return float(residuals[order[at]]) if at < len(residuals) else math.inf


def _upper_moved(rising: Array, reached: Array, needed: float, moves: Array) -> float:
    """Return the least offset at or below which residuals, moved by each of ``moves``, count ``needed``.

    Found by halving, then the moved residual there: to sort all of them would take longer than all else of a
    trial's score.

    Args:
        rising: residuals in order [rows].
        reached: how much they count up to each of them [rows].
    """
    if not len(rising) or reached[-1] < needed:
        return math.inf
    summed = np.concatenate([[0.0], reached])
    low, high = float(rising[0] + moves.min()), float(rising[-1] + moves.max())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if summed[np.searchsorted(rising, middle - moves, side="right")].mean() >= needed:
            high = middle
        else:
            low = middle
    at = np.searchsorted(rising, high - moves, side="right")
    # The moved residual itself, to its last digit.
    return float((rising[at[at > 0] - 1] + moves[at > 0]).max())


def offsets_of(
    residuals: Array, levels: Sequence[float], weights: Array | None, moves: Sequence[float] = ()
) -> tuple[float, ...]:
    """Return the offset of each level; where there are too few rows for one, that of the outermost row."""
    found = []
    for i, level in enumerate(levels):
        offset = conformal_offset(residuals[:, i], level, weights, moves)
        if offset == math.inf:
            offset = float(residuals[:, i].max()) + max(moves, default=0.0)
        elif offset == -math.inf:
            offset = float(residuals[:, i].min()) + min(moves, default=0.0)
        found.append(offset)
    return tuple(found)


def rows_needed(levels: Sequence[float]) -> int:
    """Return how many calibration rows the outermost level needs for the finite-sample guarantee."""
    tail = min(min(level, 1.0 - level) for level in levels)
    return math.ceil(round(1.0 / tail, 9)) - 1


def times(counts: Array, weights: Array | None) -> Array:
    """Return how much rows count [rows], by ``counts`` and by their weights."""
    return counts if weights is None else counts * weights
