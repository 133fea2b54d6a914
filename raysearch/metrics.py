"""Scores of quantile forecasts: `y` is [rows], `q` is [rows, levels], `levels` rise within (0, 1).

`weights` is [rows], above 0: how much each row counts; None: all alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


def pinball_losses(y: Array, q: Array, levels: Sequence[float]) -> Array:
    """Return the pinball (quantile) loss of every row and level, [rows, levels], in units of ``y``.

    ``level * (y - q)`` where the truth lies above the quantile, ``(1 - level) * (q - y)`` below (Koenker and
    Bassett, 1978).
    """
    error = y[:, None] - q
    tau = np.asarray(levels)[None, :]
    return np.asarray(np.maximum(tau * error, (tau - 1.0) * error))


def _mean(values: NDArray[Any], weights: Array | None = None) -> float:
    """Return the mean over rows; NaN, without a warning, where there are none."""
    if not values.size:
        return math.nan
    return float(values.mean() if weights is None else np.average(values, axis=0, weights=weights).mean())


def _level_losses(y: Array, q: Array, levels: Sequence[float], weights: Array | None = None) -> Array:
    losses = pinball_losses(y, q, levels)
    return np.asarray([_mean(losses[:, i], weights) for i in range(len(levels))])


def pinball_loss_avg(y: Array, q: Array, levels: Sequence[float], weights: Array | None = None) -> float:
    """Return the pinball loss averaged over rows and levels, in units of ``y``."""
    return _mean(pinball_losses(y, q, levels), weights)


def crossed(q: Array) -> NDArray[np.bool_]:
    """Return for each row whether some quantile lies above the next higher level's, [rows]."""
    return np.asarray((np.diff(q, axis=1) < 0).any(axis=1))


def crossing_rate(q: Array) -> float:
    """Return the share of rows in which some quantile lies above the next higher level's."""
    return float(crossed(q).mean()) if len(q) else 0.0


def interval_pairs(levels: Sequence[float]) -> list[tuple[int, int, float]]:
    """Return the nested intervals of the levels, widest first, as (low index, high index, nominal coverage).

    The first level is paired with the last, the second with the last but one; nominal is their difference.
    """
    last = len(levels) - 1
    pairs = [(i, last - i) for i in range(len(levels) // 2)]
    return [(low, high, round(levels[high] - levels[low], 10)) for low, high in pairs]


def nominal_name(nominal: float) -> str:
    """Return the percent as it stands in metric names: 0.9 -> "90", 0.995 -> "99.5"."""
    return f"{nominal * 100:.10g}"


def level_name(level: float) -> str:
    """Return what a level's quantile is called in columns and metrics: 0.05 -> "q0.05"."""
    return f"q{level:.10g}"


def interval_scores(y: Array, low: Array, high: Array, nominal: float) -> Array:
    """Return the interval score (Gneiting and Raftery, 2007, eq. 43) of every row: width and penalty.

    The penalties are those of a central interval, with (1 - nominal) / 2 on either side.
    """
    alpha = 1.0 - nominal
    below, above = np.maximum(low - y, 0.0), np.maximum(y - high, 0.0)
    return np.asarray((high - low) + (2.0 / alpha) * (below + above))


def interval_score(y: Array, low: Array, high: Array, nominal: float, weights: Array | None = None) -> float:
    """Return the mean interval score."""
    return _mean(interval_scores(y, low, high, nominal), weights)


def weighted_interval_score(
    y: Array, q: Array, levels: Sequence[float], weights: Array | None = None
) -> float:
    """Return the mean WIS (Bracher et al., 2021), as twice the pinball loss averaged over the levels.

    The two are equal for levels that are symmetric around a median; for others this is the usual extension.
    """
    return 2.0 * pinball_loss_avg(y, q, levels, weights)


def crps_from_quantiles(y: Array, q: Array, levels: Sequence[float], weights: Array | None = None) -> float:
    """Return the mean CRPS approximated from quantiles: twice the pinball loss integrated over the levels.

    Trapezoids between the levels; beyond the outermost levels the loss falls linearly to zero at 0 and 1.
    """
    losses = _level_losses(y, q, levels, weights)
    grid = np.concatenate([[0.0], np.asarray(levels), [1.0]])
    heights = np.concatenate([[0.0], losses, [0.0]])
    return float(2.0 * np.sum(np.diff(grid) * (heights[1:] + heights[:-1]) / 2.0))


def score_metrics(
    y: Array, q: Array, levels: Sequence[float], weights: Array | None = None
) -> dict[str, float]:
    """Return what a trial reports at a rung: ``q`` in order; flat names without a part's prefix."""
    losses = _level_losses(y, q, levels, weights)
    metrics = {"pinball_loss_avg": float(losses.mean())}
    for low, high, nominal in interval_pairs(levels):
        inside = (y >= q[:, low]) & (y <= q[:, high])
        metrics[f"coverage_{nominal_name(nominal)}"] = _mean(inside, weights)
        metrics[f"width_{nominal_name(nominal)}"] = _mean(q[:, high] - q[:, low], weights)
    named = zip(levels, losses, strict=True)
    metrics.update({f"pinball/{level_name(level)}": float(loss) for level, loss in named})
    return metrics


def with_prefix(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return headlines as ``prefix_name``; names in sections, such as ``pinball/q0.05``, stay as they are."""
    return {name if "/" in name else f"{prefix}_{name}": value for name, value in metrics.items()}
