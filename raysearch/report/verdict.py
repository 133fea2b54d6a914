"""Whether what is claimed was kept, by one rule for the page and the terminal, and what a miss looks like."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from raysearch.metrics import interval_pairs
from raysearch.records import Evaluation, Interval

LEAST_ROWS = 20  # of a group: fewer can hardly contradict what is claimed, so they get no verdict
_CHANCE = 0.05  # level of the test
_LITTLE = 0.015  # a gap of coverage that shows in many rows but hardly matters in use
_Z2 = 1.959963984540054**2  # square of the normal's 97.5 % point, as in the limits
_MOST_ROWS = 10**9
_LEAST_MISSES, _MOST_OF_THEM = 20, 0.9  # from here on misses count as being on one side


def independent_rows(share: float, limits: tuple[float, float]) -> int:
    """Return how many independent rows would have these limits: Wilson's formula solved for the rows.

    Those are all rows where each is independent, and fewer where rows resemble each other.
    """
    far = max(limits, key=lambda limit: abs(limit - share))
    rows = _Z2 * far * (1 - far) / max((far - share) ** 2, 1e-18)
    return min(max(round(rows), 1), _MOST_ROWS)


@lru_cache(maxsize=8192)
def fitting_hits(rows: int, claim: float) -> tuple[int, int, float]:
    """Return what an exact two-sided binomial test at the 5 % level lets pass.

    Returns:
        The fewest and the most hits that pass, and the probability of other counts where the claim is true.
    """
    # Further than forty standard deviations no count has a chance; this bounds the work for millions of rows.
    reach = 40 * math.sqrt(rows * claim * (1 - claim)) + 40
    hits = np.arange(max(0, math.floor(rows * claim - reach)), min(rows, math.ceil(rows * claim + reach)) + 1)
    ratios = np.log((rows - hits[:-1]) / hits[1:]) + math.log(claim / (1 - claim))
    logs = np.concatenate([[0.0], np.cumsum(ratios)])
    chances = np.exp(logs - logs.max())
    chances /= chances.sum()
    # The p-value of a count is the probability of all counts that are no likelier.
    ordered = np.sort(chances)
    tail = np.searchsorted(ordered, chances * (1 + 1e-7), side="right") - 1
    passing = np.cumsum(ordered)[tail] > _CHANCE * (1 + 1e-9)
    return int(hits[passing][0]), int(hits[passing][-1]), float(chances[~passing].sum())


def judged(claim: float, share: float, limits: tuple[float, float] | None) -> str:
    """Return "good" where chance explains the gap between a claim and what was seen, else "warn".

    Args:
        limits: 95 % confidence limits of the share, which tell how many independent rows it rests on; without
            them there is no verdict: "".
    """
    if limits is None:
        return ""
    rows = independent_rows(share, limits)
    fewest, most, _ = fitting_hits(rows, claim)
    return "good" if fewest <= round(share * rows) <= most else "warn"


def verdict(interval: Interval) -> str:
    """Return whether an interval holds what it claims, as ``judged`` does."""
    return judged(interval.nominal, interval.coverage, interval.limits)


def group_verdict(interval: Interval) -> str:
    """Return the verdict on one group among many: none where it has too few rows."""
    return verdict(interval) if interval.rows >= LEAST_ROWS else ""


def chance_of_miss(interval: Interval) -> float:
    """Return how likely ``verdict`` is "warn" for an interval with limits that holds what it claims."""
    if interval.limits is None:
        return 0.0
    return fitting_hits(independent_rows(interval.coverage, interval.limits), interval.nominal)[2]


def miss_words(interval: Interval) -> str:
    """Return "too narrow", "a little wider than it needs to be", ...; "" where there is no such verdict."""
    if verdict(interval) != "warn":
        return ""
    little = "a little " if abs(interval.coverage - interval.nominal) < _LITTLE else ""
    return little + ("too narrow" if interval.coverage < interval.nominal else "wider than it needs to be")


def side_words(evaluation: Evaluation, interval: Interval, transformed: bool) -> str:
    """Return a sentence on misses of a too narrow interval where nearly all are on one side; else "".

    Args:
        transformed: whether the target is forecast through a transform, which is then not advised.
    """
    if not miss_words(interval).startswith("too narrow"):
        return ""
    levels = sorted(evaluation.reliability)
    ends = {nominal: (levels[a], levels[b]) for a, b, nominal in interval_pairs(levels)}
    if interval.nominal not in ends:
        return ""
    low, high = ends[interval.nominal]
    misses = 1 - interval.coverage
    above = min(1 - evaluation.reliability[high], misses)
    side, share, expected = max(
        ("above", above, 1 - high), ("below", misses - above, low), key=lambda told: told[1]
    )
    plain = share > _MOST_OF_THEM * misses and expected < 0.75 * (1 - interval.nominal)
    if not plain or misses * evaluation.rows < _LEAST_MISSES - 0.5:
        return ""
    where = "higher" if side == "above" else "lower"
    name = f"{100 * interval.nominal:.6g} % interval"
    told = f"Nearly all misses lie {side} the {name}: these rows lie {where} than those learnt from suggest."
    if transformed:
        return told
    return (
        f"{told} Trees do not carry a trend on; where there is one, consider forecasting the change: "
        "--transform log with --anchor, or differences."
    )
