"""Confidence limits of shares, and what they are made of, where rows may depend on each other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Blocks = NDArray[np.int64]
Labels = NDArray[Any] | None

Z95 = 1.959963984540054  # 97.5 % point of the standard normal
_FEWEST_FOR_LIMITS = 5  # blocks; fewer tell next to nothing of how much blocks differ
_TERMS = 300  # of the continued fraction: ten do in most places


def average(values: NDArray[Any], weights: NDArray[Any] | None = None) -> float:
    """Return the mean of values [rows]; NaN, without a warning, where there are no rows."""
    return float(np.average(values, weights=weights)) if values.size else math.nan


def wilson_limits(hits: float, rows: float, z: float = Z95) -> tuple[float, float]:
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
    return Z95 + sum(term / freedom**power for power, term in enumerate(terms, start=1))


def share_limits(
    hits: NDArray[np.bool_], blocks: Blocks | None = None, weights: NDArray[Any] | None = None
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
        weights: how much each row counts [rows]; None: all alike.
    """
    rows = len(hits)
    if rows == 0:
        return None
    alike = float(rows) if weights is None else equal_blocks(weights)
    share = average(hits, weights)
    if blocks is None:
        return wilson_limits(share * alike, alike)
    sizes = np.bincount(blocks, weights=weights)
    told = equal_blocks(sizes)
    if round(told) < _FEWEST_FOR_LIMITS:
        return None
    between = np.bincount(blocks, weights=hits if weights is None else hits * weights) - share * sizes
    variance = len(sizes) / (len(sizes) - 1) * float(between @ between) / float(sizes.sum()) ** 2
    # Where all rows hit, or none, nothing shows how alike those of a block are: take them as one row.
    effective = told if share in (0.0, 1.0) else share * (1 - share) / max(variance, 1e-300)
    effective = min(alike, effective)
    return wilson_limits(share * effective, effective, student_95(told - 1))


def equal_blocks(sizes: NDArray[Any]) -> float:
    """Return how many blocks of equal size tell as much as these (Kish, 1965)."""
    return float(sizes.sum()) ** 2 / float((sizes.astype(float) ** 2).sum())


def from_zero(blocks: NDArray[Any]) -> Blocks:
    """Return the blocks numbered from 0 without gaps, in order of their values."""
    counted = blocks.dtype.kind == "i" and len(blocks) and blocks.min() == 0 and blocks.max() < len(blocks)
    if counted and np.bincount(blocks).all():  # they are: sorting them anew would take most of the time
        return blocks.astype(np.int64, copy=False)
    return np.unique(blocks, return_inverse=True)[1].astype(np.int64)


def joined(blocks: NDArray[Any], most: int) -> Blocks:
    """Return the blocks numbered from 0, neighbours joined so that there are at most ``most``.

    Independent blocks that are joined are still independent.
    """
    numbered = from_zero(blocks)
    count = int(numbered.max(initial=-1)) + 1
    return numbered if count <= most else numbered * most // count


def student_tails(t: float, freedom: float) -> float:
    """Return the probability that Student's t lies farther from 0 than ``t``, on both sides together.

    The regularised incomplete beta function of freedom / (freedom + t^2) at (freedom / 2, 1 / 2)
    (Abramowitz and Stegun, 1964, 26.7.1), by its continued fraction.
    """
    if not math.isfinite(t):
        return 0.0
    x = freedom / (freedom + t * t)
    a, b = freedom / 2, 0.5
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x)
    front = math.exp(log_front + b * math.log1p(-x)) if x < 1 else 0.0
    if x < (a + 1) / (a + b + 2):
        return min(front * _beta_fraction(a, b, x) / a, 1.0)
    return max(1.0 - front * _beta_fraction(b, a, 1 - x) / b, 0.0)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of the incomplete beta function (26.5.8), by Lentz's method."""
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = value
        for term in (even, odd):
            d, c = 1.0 / (1.0 + term * d), 1.0 + term / c
            value *= c * d
        if abs(value - before) <= 1e-15 * abs(value):
            break
    return value
