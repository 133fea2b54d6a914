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

_EPS = 1e-9  # weights are sums of floats: a rank must not hang on their last digit


def conformal_offset(residuals: Array, level: float, weights: Array | None = None) -> float:
    """Return what a quantile is shifted by so that it covers a new row with probability ``level``.

    Args:
        residuals: truth minus quantile of the calibration rows [rows].
        level: upper levels are shifted until at least that share of new rows lies at or below, lower ones
            (below 0.5) until at most that share lies below; 0.5 halfway between the two.
        weights: how much each row counts beside a new one, which counts 1; None: all 1.

    Returns:
        With n rows of weight 1 the residual of rank ``ceil(level * (n + 1))`` for an upper level, of rank
        ``floor(level * (n + 1))`` for a lower one; infinite, plus or minus, where there is no such rank.
    """
    if level == 0.5:
        low, high = -_upper(-residuals, 0.5, weights), _upper(residuals, 0.5, weights)
        return (low + high) / 2 if math.isfinite(high) and math.isfinite(low) else 0.0
    return _upper(residuals, level, weights) if level > 0.5 else -_upper(-residuals, 1.0 - level, weights)


def _upper(residuals: Array, level: float, weights: Array | None) -> float:
    order = np.argsort(residuals, kind="stable")
    counts = np.ones(len(residuals)) if weights is None else np.asarray(weights)[order]
    reached = np.cumsum(counts)
    needed = level * (float(counts.sum()) + 1.0)
    at = int(np.searchsorted(reached, needed - _EPS * max(1.0, needed)))
    return float(residuals[order[at]]) if at < len(residuals) else math.inf


def offsets_of(residuals: Array, levels: Sequence[float], weights: Array | None) -> tuple[float, ...]:
    """Return the offset of each level; where there are too few rows for one, that of the outermost row."""
    found = []
    for i, level in enumerate(levels):
        offset = conformal_offset(residuals[:, i], level, weights)
        if not math.isfinite(offset):
            offset = float(residuals[:, i].max() if offset > 0 else residuals[:, i].min())
        found.append(offset)
    return tuple(found)


def rows_needed(levels: Sequence[float]) -> int:
    """Return how many calibration rows the outermost level needs for the finite-sample guarantee."""
    tail = min(min(level, 1.0 - level) for level in levels)
    return math.ceil(round(1.0 / tail, 9)) - 1


def times(counts: Array, weights: Array | None) -> Array:
    """Return how much rows count [rows], by ``counts`` and by their weights."""
    return counts if weights is None else counts * weights
