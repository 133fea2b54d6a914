"""Forecasts that tell nothing of the row: the constant one, which others must beat, and failed models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raysearch.metrics import Array

_NEARLY_ALL = 0.99  # of the rows
_ALIKE = 1e-6  # of the spread of the target, which is about 1 on the boosters' scale
_AT = 1e-3  # likewise: a truth so near to a quantile counts as lying on it


def constant_quantiles(y: Array, levels: Sequence[float], weights: Array | None = None) -> Array:
    """Return the empirical quantiles [levels] of known truths [rows]: the forecast that knows no features.

    Args:
        weights: how much each row counts [rows].
    """
    if weights is None:
        return np.asarray(np.quantile(y, levels))
    return np.asarray(np.quantile(y, levels, weights=weights, method="inverted_cdf"))


def levels_collapse(y: Array, q: Array, levels: Sequence[float]) -> bool:
    """Tell whether a model's levels are all alike on nearly all rows, though the truth varies there.

    Where the truth itself piles up at one value, as sales do at 0, levels may well meet there: they are right
    if at least half as many truths lie on them as the outermost levels claim to hold.

    Args:
        y: truth [rows], q: quantiles [rows, levels] of a model; both on the boosters' scale, on which the
            target spreads by about 1.
    """
    if len(levels) < 2 or not len(y):
        return False
    alike = np.ptp(q, axis=1) <= _ALIKE
    if alike.mean() < _NEARLY_ALL:
        return False
    on_it = np.abs(y[alike] - q[alike, 0]) <= _AT
    return bool(on_it.mean() < (max(levels) - min(levels)) / 2)


def same_for_all(q: Array) -> bool:
    """Tell whether the quantiles [rows, levels] are the same in every row, as of a model without a split."""
    return len(q) > 1 and bool((np.ptp(q, axis=0) <= _ALIKE).all())
