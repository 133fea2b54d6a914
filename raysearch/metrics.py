"""Scores of quantile forecasts: `y` is [rows], `q` is [rows, levels], `levels` rise within (0, 1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysearch.records import Comparison, Evaluation, Interval

Array = NDArray[np.float64]

_Z95 = 1.959963984540054  # 97.5 % point of the standard normal


def pinball_losses(y: Array, q: Array, levels: Sequence[float]) -> Array:
    """Return the pinball (quantile) loss of every row and level, [rows, levels], in units of ``y``.

    ``level * (y - q)`` where the truth lies above the quantile, ``(1 - level) * (q - y)`` below (Koenker and
    Bassett, 1978).
    """
    error = y[:, None] - q
    tau = np.asarray(levels)[None, :]
    return np.asarray(np.maximum(tau * error, (tau - 1.0) * error))


def _mean(values: NDArray[Any]) -> float:
    """Return the mean; NaN, without a warning, where there are no rows."""
    return float(values.mean()) if values.size else math.nan


def _level_losses(y: Array, q: Array, levels: Sequence[float]) -> Array:
    losses = pinball_losses(y, q, levels)
    return np.asarray([_mean(losses[:, i]) for i in range(len(levels))])


def pinball_loss_avg(y: Array, q: Array, levels: Sequence[float]) -> float:
    """Return the pinball loss averaged over rows and levels, in units of ``y``."""
    return _mean(pinball_losses(y, q, levels))


def crossing_rate(q: Array) -> float:
    """Return the share of rows in which some quantile lies above the next higher level's."""
    if q.shape[0] == 0 or q.shape[1] < 2:
        return 0.0
    return float((np.diff(q, axis=1) < 0).any(axis=1).mean())


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


def wilson_limits(hits: float, rows: int) -> tuple[float, float]:
    """Return the 95 % confidence limits of a share (Wilson, 1927); (0, 1) without rows."""
    if rows == 0:
        return 0.0, 1.0
    share, z2 = hits / rows, _Z95**2
    middle = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = _Z95 * math.sqrt(share * (1 - share) / rows + z2 / (4 * rows * rows)) / (1 + z2 / rows)
    # The share itself lies inside, also where rounding would leave it out: error bars are drawn from these.
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def intervals(y: Array, q: Array, levels: Sequence[float]) -> tuple[Interval, ...]:
    """Return coverage and mean width of every interval, widest first. The limits take rows as independent."""
    found = []
    for low, high, nominal in interval_pairs(levels):
        inside = (y >= q[:, low]) & (y <= q[:, high])
        limits = wilson_limits(float(inside.sum()), len(y))
        found.append(Interval(nominal, _mean(inside), *limits, _mean(q[:, high] - q[:, low]), len(y)))
    return tuple(found)


def interval_score(y: Array, low: Array, high: Array, nominal: float) -> float:
    """Return the mean interval score (Gneiting and Raftery, 2007, eq. 43): width plus penalties for misses.

    The penalties are those of a central interval, with (1 - nominal) / 2 on either side.
    """
    alpha = 1.0 - nominal
    below, above = np.maximum(low - y, 0.0), np.maximum(y - high, 0.0)
    return _mean((high - low) + (2.0 / alpha) * (below + above))


def weighted_interval_score(y: Array, q: Array, levels: Sequence[float]) -> float:
    """Return the mean WIS (Bracher et al., 2021), as twice the pinball loss averaged over the levels.

    The two are equal for levels that are symmetric around a median; for others this is the usual extension.
    """
    return 2.0 * pinball_loss_avg(y, q, levels)


def crps_from_quantiles(y: Array, q: Array, levels: Sequence[float]) -> float:
    """Return the mean CRPS approximated from quantiles: twice the pinball loss integrated over the levels.

    Trapezoids between the levels; beyond the outermost levels the loss falls linearly to zero at 0 and 1.
    """
    losses = _level_losses(y, q, levels)
    grid = np.concatenate([[0.0], np.asarray(levels), [1.0]])
    heights = np.concatenate([[0.0], losses, [0.0]])
    return float(2.0 * np.sum(np.diff(grid) * (heights[1:] + heights[:-1]) / 2.0))


def score_metrics(y: Array, q: Array, levels: Sequence[float]) -> dict[str, float]:
    """Return what a trial reports at a rung: ``q`` in order; flat names without a part's prefix."""
    losses = _level_losses(y, q, levels)
    metrics = {"pinball_loss_avg": float(losses.mean())}
    for low, high, nominal in interval_pairs(levels):
        inside = (y >= q[:, low]) & (y <= q[:, high])
        metrics[f"coverage_{nominal_name(nominal)}"] = _mean(inside)
        metrics[f"width_{nominal_name(nominal)}"] = _mean(q[:, high] - q[:, low])
    named = zip(levels, losses, strict=True)
    metrics.update({f"pinball/{level_name(level)}": float(loss) for level, loss in named})
    return metrics


def evaluate(
    part: str, y: Array, raw: Array, levels: Sequence[float], groups: NDArray[np.str_] | None = None
) -> Evaluation:
    """Score quantiles on rows.

    Args:
        part: "test" or "valid", for the record.
        y: truth [rows].
        raw: quantiles [rows, levels] as the model gave them; they are put in order before they are scored.
        groups: group value of each row, or None.
    """
    q = np.sort(raw, axis=1)
    metrics = score_metrics(y, q, levels)
    metrics["crossing_rate"] = crossing_rate(q)
    metrics["crossing_rate_before_ordering"] = crossing_rate(raw)
    metrics["wis"] = weighted_interval_score(y, q, levels)
    metrics["crps"] = crps_from_quantiles(y, q, levels)
    for low, high, nominal in interval_pairs(levels):
        score = interval_score(y, q[:, low], q[:, high], nominal)
        metrics[f"interval_score_{nominal_name(nominal)}"] = score
    reliability = {level: _mean(y <= q[:, i]) for i, level in enumerate(levels)}
    by_group: dict[str, tuple[Interval, ...]] = {}
    if groups is not None and len(y):
        order = np.argsort(groups, kind="stable")
        names, starts = np.unique(groups[order], return_index=True)
        for name, rows in zip(names, np.split(order, starts[1:]), strict=True):
            by_group[str(name)] = intervals(y[rows], q[rows], levels)
    return Evaluation(part, len(y), metrics, intervals(y, q, levels), reliability, by_group)


def compare(
    part: str, tuned: Array, default: Array, *, block: int = 1, seed: int = 0, draws: int = 1000
) -> Comparison:
    """Compare two models' losses on the same rows, paired row by row.

    Args:
        tuned, default: loss of each row [rows], averaged over the levels.
        block: neighbouring rows that resemble each other and are redrawn together (block bootstrap with
            blocks that do not overlap, Carlstein 1986); 1 where rows are independent.

    Returns:
        The gain in percent of the default's loss with a 95 % bootstrap interval (percentiles of the draws).
        Where the default's loss is 0 the gain is 0 if the tuned model's is too, else minus infinity.

    Raises:
        ValueError: when there are no rows, or not as many of both.
    """
    rows = len(tuned)
    if rows == 0 or len(default) != rows:
        raise ValueError(f"got losses of {rows} and {len(default)} rows, must be as many and at least one")
    # Sums of blocks are enough: redrawing 2,000 of them costs little where redrawing 300,000 rows would not.
    blocks = min(max(1, rows // block), 2000)
    edges = np.linspace(0, rows, blocks + 1).astype(int)
    sums = np.stack([np.add.reduceat(loss, edges[:-1]) for loss in (tuned, default)])
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, blocks, size=(draws, blocks))
    tuned_sums, default_sums = sums[0][drawn].sum(axis=1), sums[1][drawn].sum(axis=1)
    low, high = np.quantile(_gain_percent(tuned_sums, default_sums), [0.025, 0.975], method="nearest")
    # Sums, not means, so that equal losses give a gain of exactly 0.
    gain = _gain_percent(np.asarray([tuned.sum()]), np.asarray([default.sum()]))[0]
    return Comparison(part, float(tuned.mean()), float(default.mean()), float(gain), float(low), float(high))


def _gain_percent(tuned: Array, default: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = 100.0 * (1.0 - tuned / default)
    return np.asarray(np.where((default == 0) & (tuned == 0), 0.0, gain))


def with_prefix(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return headlines as ``prefix_name``; names in sections, such as ``pinball/q0.05``, stay as they are."""
    return {name if "/" in name else f"{prefix}_{name}": value for name, value in metrics.items()}
