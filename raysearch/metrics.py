"""Scores of quantile forecasts: `y` is [rows], `q` is [rows, levels], `levels` rise within (0, 1).

`blocks` is [rows]: the block of each row. Rows of one block may depend on each other in any way, like those
near in time; blocks are taken as independent. None: all rows are. `weights` is [rows],
above 0: how much each row counts; None: all alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysearch.records import Comparison, Evaluation, Interval

Array = NDArray[np.float64]
Blocks = NDArray[np.int64]
Labels = NDArray[Any] | None

_Z95 = 1.959963984540054  # 97.5 % point of the standard normal
_FEWEST_FOR_LIMITS = 5  # blocks; fewer tell next to nothing of how much blocks differ
_FEWEST_FOR_GAIN = 8  # blocks; redrawing fewer gives intervals that are far too short
_MOST_DRAWN = 2000  # blocks that are redrawn: more cost time and tell no more


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


def wilson_limits(hits: float, rows: float, z: float = _Z95) -> tuple[float, float]:
    """Return the confidence limits of a share (Wilson, 1927), 95 % by default; (0, 1) without rows."""
    if rows == 0:
        return 0.0, 1.0
    share, z2 = hits / rows, z**2
    middle = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = z * math.sqrt(max(share * (1 - share), 0.0) / rows + z2 / (4 * rows * rows)) / (1 + z2 / rows)
    # The share itself lies inside, also where rounding would leave it out: error bars are drawn from these.
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def student_95(freedom: float) -> float:
    """Return the 97.5 % point of Student's t, right to 0.1 % where there are at least 3.5 degrees of freedom.

    Its expansion in powers of 1 / freedom (Abramowitz and Stegun, 1964, 26.7.5), the figures for this point.
    """
    terms = (2.37227, 2.82250, 2.55585, 1.58953)
    return _Z95 + sum(term / freedom**power for power, term in enumerate(terms, start=1))


def share_limits(
    hits: NDArray[np.bool_], blocks: Blocks | None = None, weights: Array | None = None
) -> tuple[float, float] | None:
    """Return the 95 % confidence limits of the share of hits; None where they cannot be told.

    With blocks: Wilson's limits for as many independent rows as tell the same (Korn and Graubard, 1998). The
    rows are divided by the design effect (Kish, 1965), the variance of the share between blocks (that of a
    ratio estimator) over the one of independent rows, at least 1; Student's t replaces the normal. Blocks
    that differ in size count as fewer, (sum of sizes)^2 / sum of squared sizes. So do rows that differ in
    weight; a block's size is then the weight of its rows.

    Args:
        hits: [rows].
        blocks: [rows], from 0 without gaps.
    """
    rows = len(hits)
    if rows == 0:
        return None
    alike = float(rows) if weights is None else _equal_blocks(weights)
    share = _mean(hits, weights)
    if blocks is None:
        return wilson_limits(share * alike, alike)
    sizes = np.bincount(blocks, weights=weights)
    told = _equal_blocks(sizes)
    if round(told) < _FEWEST_FOR_LIMITS:
        return None
    between = np.bincount(blocks, weights=hits if weights is None else hits * weights) - share * sizes
    variance = len(sizes) / (len(sizes) - 1) * float(between @ between) / float(sizes.sum()) ** 2
    # Where all rows hit, or none, nothing shows how alike those of a block are: take them as one row.
    effective = told if share in (0.0, 1.0) else share * (1 - share) / max(variance, 1e-300)
    effective = min(alike, effective)
    return wilson_limits(share * effective, effective, student_95(told - 1))


def _equal_blocks(sizes: NDArray[Any]) -> float:
    """Return how many blocks of equal size tell as much as these (Kish, 1965)."""
    return float(sizes.sum()) ** 2 / float((sizes.astype(float) ** 2).sum())


def _from_zero(blocks: NDArray[Any]) -> Blocks:
    """Return the blocks numbered from 0 without gaps, in order of their values."""
    return np.unique(blocks, return_inverse=True)[1].astype(np.int64)


def intervals(
    y: Array, q: Array, levels: Sequence[float], blocks: Labels = None, weights: Array | None = None
) -> tuple[Interval, ...]:
    """Return coverage with its limits and mean width of every interval, widest first."""
    numbered = None if blocks is None else _from_zero(blocks)
    found = []
    for low, high, nominal in interval_pairs(levels):
        inside = (y >= q[:, low]) & (y <= q[:, high])
        bottom, top = share_limits(inside, numbered, weights) or (None, None)
        width = _mean(q[:, high] - q[:, low], weights)
        found.append(Interval(nominal, _mean(inside, weights), bottom, top, width, len(y)))
    return tuple(found)


def interval_score(y: Array, low: Array, high: Array, nominal: float, weights: Array | None = None) -> float:
    """Return the mean interval score (Gneiting and Raftery, 2007, eq. 43): width plus penalties for misses.

    The penalties are those of a central interval, with (1 - nominal) / 2 on either side.
    """
    alpha = 1.0 - nominal
    below, above = np.maximum(low - y, 0.0), np.maximum(y - high, 0.0)
    return _mean((high - low) + (2.0 / alpha) * (below + above), weights)


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


def evaluate(
    part: str,
    y: Array,
    raw: Array,
    levels: Sequence[float],
    groups: Labels = None,
    blocks: Labels = None,
    weights: Array | None = None,
) -> Evaluation:
    """Score quantiles on rows.

    Args:
        part: "test" or "valid", for the record.
        y: truth [rows].
        raw: quantiles [rows, levels] as the model gave them; they are put in order before they are scored.
        groups: group value of each row, or None.
        blocks: block of each row, or None where rows are independent. The limits of a group are those of the
            blocks among its rows.
    """
    q = np.sort(raw, axis=1)
    metrics = score_metrics(y, q, levels, weights)
    metrics["crossing_rate"] = crossing_rate(q)
    metrics["crossing_rate_before_ordering"] = crossing_rate(raw)
    metrics["wis"] = weighted_interval_score(y, q, levels, weights)
    metrics["crps"] = crps_from_quantiles(y, q, levels, weights)
    for low, high, nominal in interval_pairs(levels):
        score = interval_score(y, q[:, low], q[:, high], nominal, weights)
        metrics[f"interval_score_{nominal_name(nominal)}"] = score
    numbered = None if blocks is None else _from_zero(blocks)
    below = {level: y <= q[:, i] for i, level in enumerate(levels)}
    by_group: dict[str, tuple[Interval, ...]] = {}
    if groups is not None and len(y):
        order = np.argsort(groups, kind="stable")
        names, starts = np.unique(groups[order], return_index=True)
        for name, rows in zip(names, np.split(order, starts[1:]), strict=True):
            among = None if numbered is None else numbered[rows]
            weight = None if weights is None else weights[rows]
            by_group[str(name)] = intervals(y[rows], q[rows], levels, among, weight)
    return Evaluation(
        part,
        len(y),
        metrics,
        intervals(y, q, levels, numbered, weights),
        {level: _mean(hits, weights) for level, hits in below.items()},
        by_group,
        {level: share_limits(hits, numbered, weights) for level, hits in below.items()},
        None if numbered is None else int(numbered.max(initial=-1)) + 1,
    )


def compare(
    part: str, tuned: Array, default: Array, *, blocks: Labels = None, seed: int = 0, draws: int = 1000
) -> Comparison:
    """Compare two models' losses on the same rows, paired row by row.

    Args:
        tuned, default: loss of each row [rows], averaged over the levels.
        blocks: block of each row, or None where rows are independent. Blocks are redrawn whole (block
            bootstrap with blocks that do not overlap, Carlstein 1986).

    Returns:
        The gain in percent of the default's loss with a 95 % bootstrap interval: percentiles of the draws,
        moved outwards where blocks are few (Hesterberg, 2015, "expanded percentiles"). There is no interval
        where they are too few to redraw. Where the default's loss is 0 the gain is 0 if the tuned model's is
        too, else minus infinity.

    Raises:
        ValueError: when there are no rows, or not as many of both.
    """
    rows = len(tuned)
    if rows == 0 or len(default) != rows:
        raise ValueError(f"got losses of {rows} and {len(default)} rows, must be as many and at least one")
    if blocks is not None and len(blocks) != rows:
        raise ValueError(f"got blocks of {len(blocks)} rows, must be {rows} as the losses")
    numbered = np.arange(rows) if blocks is None else _from_zero(blocks)
    limits = _gain_limits(np.stack([tuned, default]), numbered, np.random.default_rng(seed), draws)
    # Sums, not means, so that equal losses give a gain of exactly 0.
    gain = _gain_percent(np.asarray([tuned.sum()]), np.asarray([default.sum()]))[0]
    return Comparison(
        part, float(tuned.mean()), float(default.mean()), float(gain), *(limits or (None, None))
    )


def _gain_limits(
    losses: Array, blocks: Blocks, rng: np.random.Generator, draws: int
) -> tuple[float, float] | None:
    """Return the bootstrap interval of the gain in percent for losses [tuned and default, rows]."""
    told = _equal_blocks(np.bincount(blocks))
    if round(told) < _FEWEST_FOR_GAIN:
        return None
    count = int(blocks.max()) + 1
    if count > _MOST_DRAWN:  # independent blocks that are joined are still independent
        blocks, count = blocks * _MOST_DRAWN // count, _MOST_DRAWN
    # Sums of blocks are enough: redrawing 2,000 of them costs little where redrawing 300,000 rows would not.
    sums = np.stack([np.bincount(blocks, weights=loss) for loss in losses])
    drawn = rng.integers(0, count, size=(draws, count))
    gains = _gain_percent(sums[0][drawn].sum(axis=1), sums[1][drawn].sum(axis=1))
    tail = 0.5 * math.erfc(student_95(told - 1) * math.sqrt(told / (told - 1) / 2))
    low, high = np.quantile(gains, [tail, 1 - tail], method="nearest")
    return float(low), float(high)


def _gain_percent(tuned: Array, default: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = 100.0 * (1.0 - tuned / default)
    return np.asarray(np.where((default == 0) & (tuned == 0), 0.0, gain))


def with_prefix(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return headlines as ``prefix_name``; names in sections, such as ``pinball/q0.05``, stay as they are."""
    return {name if "/" in name else f"{prefix}_{name}": value for name, value in metrics.items()}
