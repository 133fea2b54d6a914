"""Two forecasts of the same rows, paired row by row: the gain, its interval, a test of the difference."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from raysearch.evaluation.limits import (
    Blocks,
    Labels,
    equal_blocks,
    from_zero,
    joined,
    student_95,
    student_tails,
)
from raysearch.metrics import Array
from raysearch.records import Comparison

_FEWEST = 8  # blocks; redrawing fewer gives intervals that are far too short
_MOST_DRAWN = 2000  # blocks that are redrawn: more cost time and tell no more


def compare(
    part: str, tuned: Array, other: Array, *, blocks: Labels = None, seed: int = 0, draws: int = 1000
) -> Comparison:
    """Compare two forecasts' losses on the same rows.

    Args:
        tuned, other: loss of each row [rows], e.g. averaged over the levels.
        blocks: block of each row, or None where rows are independent. Blocks are redrawn whole (block
            bootstrap with blocks that do not overlap, Carlstein 1986).

    Returns:
        The gain in percent of the other's loss with a 95 % bootstrap interval: percentiles of the draws,
        moved outwards where blocks are few (Hesterberg, 2015, "expanded percentiles"). Where the other's loss
        is 0 the gain is 0 if the tuned model's is too, else minus infinity. The p-value is that of the mean
        difference of losses being 0 (Diebold and Mariano, 1995), its variance told by the sums of blocks,
        with Student's t of as many degrees of freedom as there are blocks, less one. There is neither
        interval nor p-value where blocks are too few.

    Raises:
        ValueError: when there are no rows, or not as many of both.
    """
    rows = len(tuned)
    if rows == 0 or len(other) != rows:
        raise ValueError(f"got losses of {rows} and {len(other)} rows, must be as many and at least one")
    if blocks is not None and len(blocks) != rows:
        raise ValueError(f"got blocks of {len(blocks)} rows, must be {rows} as the losses")
    numbered = np.arange(rows) if blocks is None else from_zero(blocks)
    told = equal_blocks(np.bincount(numbered))
    limits = p_value = None
    if round(told) >= _FEWEST:
        # Sums of blocks are enough: redrawing 2,000 of them costs little, redrawing 300,000 rows would not.
        sums, sizes = _block_sums(np.stack([tuned, other]), numbered)
        limits = _gain_limits(sums, told, seed, draws)
        p_value = _p_value(sums[1] - sums[0], sizes)
    # Sums, not means, so that equal losses give a gain of exactly 0.
    gain = _gain_percent(np.asarray([tuned.sum()]), np.asarray([other.sum()]))[0]
    low, high = limits or (None, None)
    return Comparison(part, float(tuned.mean()), float(other.mean()), float(gain), low, high, p_value)


def _block_sums(losses: Array, numbered: Blocks) -> tuple[Array, Array]:
    """Return the sums [forecasts, blocks] of losses [forecasts, rows], and the rows of each block."""
    blocks = joined(numbered, _MOST_DRAWN)
    sums: Array = np.asarray([np.bincount(blocks, weights=loss) for loss in losses], dtype=np.float64)
    return sums, np.bincount(blocks).astype(np.float64)


@lru_cache(maxsize=4)
def _drawn(count: int, seed: int, draws: int) -> Array:
    """Return how often each block is drawn, [draws, count]."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.multinomial(count, np.full(count, 1 / count), size=draws), dtype=np.float64)


def _gain_limits(sums: Array, told: float, seed: int, draws: int) -> tuple[float, float]:
    """Return the bootstrap interval of the gain in percent for sums of losses [tuned and other, blocks]."""
    drawn = _drawn(sums.shape[1], seed, draws)
    gains = _gain_percent(drawn @ sums[0], drawn @ sums[1])
    tail = 0.5 * math.erfc(student_95(told - 1) * math.sqrt(told / (told - 1) / 2))
    low, high = np.quantile(gains, [tail, 1 - tail], method="nearest")
    return float(low), float(high)


def _p_value(differences: Array, sizes: Array) -> float:
    """Return the p-value of a mean difference of 0 for the sum of differences and the rows of each block."""
    rows, count = float(sizes.sum()), len(sizes)
    mean = float(differences.sum()) / rows
    if not mean:
        return 1.0
    apart = differences - mean * sizes  # as of a ratio: blocks differ in size
    variance = count / (count - 1) * float(apart @ apart) / rows**2
    t = mean / math.sqrt(variance) if variance > 0 else math.inf
    return student_tails(t, equal_blocks(sizes) - 1)


def _gain_percent(tuned: Array, other: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = 100.0 * (1.0 - tuned / other)
    return np.asarray(np.where((other == 0) & (tuned == 0), 0.0, gain))
