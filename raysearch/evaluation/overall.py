"""The scores of a forecast on rows: overall, and the coverage of each group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raysearch.evaluation.limits import Labels, average, from_zero, share_limits
from raysearch.metrics import (
    Array,
    crossing_rate,
    crps_from_quantiles,
    interval_pairs,
    interval_score,
    nominal_name,
    score_metrics,
    weighted_interval_score,
)
from raysearch.records import Evaluation, Interval


def intervals(
    y: Array, q: Array, levels: Sequence[float], blocks: Labels = None, weights: Array | None = None
) -> tuple[Interval, ...]:
    """Return coverage with its limits and mean width of every interval, widest first."""
    numbered = None if blocks is None else from_zero(blocks)
    found = []
    for low, high, nominal in interval_pairs(levels):
        inside = (y >= q[:, low]) & (y <= q[:, high])
        bottom, top = share_limits(inside, numbered, weights) or (None, None)
        width = average(q[:, high] - q[:, low], weights)
        found.append(Interval(nominal, average(inside, weights), bottom, top, width, len(y)))
    return tuple(found)


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
        weights: how much each row counts [rows]; None: all alike.
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
    numbered = None if blocks is None else from_zero(blocks)
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
        {level: average(hits, weights) for level, hits in below.items()},
        by_group,
        {level: share_limits(hits, numbered, weights) for level, hits in below.items()},
        None if numbered is None else int(numbered.max(initial=-1)) + 1,
    )
