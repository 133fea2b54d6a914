"""Calibration of rows in order of time: what their past tells of what comes, and what it does not.

Arrays: `y` is [rows], `q` is [rows, levels], the latest row last; both on the scale of the models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from raysearch.conformal import offsets_of, times
from raysearch.metrics import Array, Ints, pinball_losses

_HALF_LIVES = (math.inf, 1.0, 0.5, 0.25)  # of a row's weight by time, as shares of all calibration rows
_BLOCKS = 10  # of rows in time: each is told by what the blocks before it have taught
_STRETCHES = 6  # whose shifts are compared
_LEAST_STRETCHES, _LEAST_ROWS = 3, 5  # below so many, of so many rows each, nothing tells how steady it is
_MOVE_ROWS = 20  # of a stretch at least: the shift of fewer is mostly chance, and would widen for nothing


def age_weights(rows: int, half_life: float) -> Array:
    """Return weights of rows in order of time: 1 for the latest, half of it ``half_life`` rows before."""
    ages = np.arange(rows - 1, -1, -1, dtype=np.float64)
    return np.asarray(0.5 ** (ages / half_life)) if math.isfinite(half_life) else np.ones(rows)


def best_half_life(y: Array, q: Array, levels: Sequence[float], weights: Array | None) -> float:
    """Return the half-life, in rows, whose offsets would have scored best on the rows that came after."""
    edges = np.linspace(0, len(y), _BLOCKS + 1).astype(int)
    residuals = y[:, None] - np.sort(q, axis=1)

    def score(share: float) -> float:
        total = 0.0
        for start, stop in pairwise(edges[1:]):
            before, after = (None, None) if weights is None else (weights[:start], weights[start:stop])
            offsets = offsets_of(residuals[:start], levels, times(age_weights(start, share * len(y)), before))
            shifted = np.sort(np.sort(q[start:stop], axis=1) + offsets, axis=1)
            losses = pinball_losses(y[start:stop], shifted, levels).mean(axis=1)
            total += float(times(losses, after).sum())
        return total

    if edges[1] < 1:
        return math.inf
    return min(_HALF_LIVES, key=score) * len(y)


def steady_offsets(
    offsets: Sequence[float], residuals: Array, levels: Sequence[float], weights: Array | None
) -> tuple[float, ...]:
    """Return the offsets with the shift that they have in common drawn towards zero, as far as it wavers.

    Offsets widen or narrow quantiles, and shift all of them. How far forecasts lie from the truth in the mean
    of a stretch of time changes from one to the next: a shift is only worth as much as stretches agree on it.
    It is multiplied by the positive part of 1 - v/m² (James and Stein, 1961), of m, its mean over the
    stretches, and v, the variance of that mean.

    Args:
        offsets: of each level [levels].
        residuals: truth minus quantile [rows, levels], in order of time.
    """
    if not levels[0] <= 0.5 <= levels[-1]:
        return tuple(offsets)  # quantiles of one side have no middle that could be told from their width
    shifts = _shifts(residuals, _edges(len(residuals)), levels, weights)
    if len(shifts) < _LEAST_STRETCHES:
        return tuple(offsets)
    mean, error = float(np.mean(shifts)), float(np.var(shifts, ddof=1)) / len(shifts)
    kept = max(0.0, 1.0 - error / mean**2) if mean else 0.0
    lost = (1.0 - kept) * _middle(offsets, levels)
    return tuple(offset - lost for offset in offsets)


def width_offsets(residuals: Array, levels: Sequence[float], weights: Array | None) -> tuple[float, ...]:
    """Return offsets that widen or narrow quantiles, without a shift that all of them have in common.

    What a stretch of time was shifted by tells how far the next one may be, not to which side: residuals are
    taken as they lie around the shift of their own stretch, moved by the shift of each stretch to both sides,
    all alike, and offsets are those of all these together.

    Args:
        residuals: truth minus quantile [rows, levels], in order of time.
    """
    if not levels[0] <= 0.5 <= levels[-1]:
        return offsets_of(residuals, levels, weights)  # as above
    if 0.5 not in levels:  # what lies between two tails of a few rows is no shift: it is lost, and widens not
        offsets = offsets_of(residuals, levels, weights)
        return tuple(offset - _middle(offsets, levels) for offset in offsets)
    edges = _edges(len(residuals), _MOVE_ROWS)
    shifts = _shifts(residuals, edges, levels, weights)
    around = residuals - np.repeat(shifts, np.diff(edges))[:, None]
    offsets = offsets_of(around, levels, weights, moves=(*shifts, *-shifts))
    middle = _middle(offsets, levels)
    return tuple(offset - middle for offset in offsets)


def _edges(rows: int, least: int = _LEAST_ROWS) -> Ints:
    """Return where the stretches of time begin, of ``least`` rows each, and where the last one ends."""
    return np.linspace(0, rows, max(1, min(_STRETCHES, rows // least)) + 1).astype(np.int64)


def _shifts(residuals: Array, edges: Ints, levels: Sequence[float], weights: Array | None) -> Array:
    """Return what the quantiles of each stretch would be shifted by [stretches]."""
    found = [offsets_of(residuals[a:b], levels, _of_stretch(weights, a, b)) for a, b in pairwise(edges)]
    return np.asarray([_middle(offsets, levels) for offsets in found])


def _of_stretch(weights: Array | None, start: int, stop: int) -> Array | None:
    """Return the weights of a stretch's rows, 1 in the mean, as a new row of it counts."""
    return None if weights is None else weights[start:stop] / weights[start:stop].mean()


def _middle(offsets: Sequence[float], levels: Sequence[float]) -> float:
    """Return the offset of the median, or between those of the levels around it."""
    return float(np.interp(0.5, levels, offsets))
