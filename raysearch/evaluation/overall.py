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


def intervals(y: Array, q: Array, levels: Sequence[float], blocks: Labels = None) -> tuple[Interval, ...]:
    """Return coverage with its limits and mean width of every interval, widest first."""
    numbered = None if blocks is None else from_zero(blocks)
    found = []
    for low, high, nominal in interval_pairs(levels):
        inside = (y >= q[:, low]) & (y <= q[:, high])
        bottom, top = share_limits(inside, numbered) or (None, None)
        width = average(q[:, high] - q[:, low])
        found.append(Interval(nominal, average(inside), bottom, top, width, len(y)))
    return tuple(found)


def evaluate(
    part: str, y: Array, raw: Array, levels: Sequence[float], groups: Labels = None, blocks: Labels = None
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
    metrics = score_metrics(y, q, levels)
    metrics["crossing_rate"] = crossing_rate(q)
    metrics["crossing_rate_before_ordering"] = crossing_rate(raw)
    metrics["wis"] = weighted_interval_score(y, q, levels)
    metrics["crps"] = crps_from_quantiles(y, q, levels)
    for low, high, nominal in interval_pairs(levels):
        score = interval_score(y, q[:, low], q[:, high], nominal)
        metrics[f"interval_score_{nominal_name(nominal)}"] = score
    numbered = None if blocks is None else from_zero(blocks)
    below = {level: y <= q[:, i] for i, level in enumerate(levels)}
    by_group: dict[str, tuple[Interval, ...]] = {}
    if groups is not None and len(y):
        order = np.argsort(groups, kind="stable")
        names, starts = np.unique(groups[order], return_index=True)
        for name, rows in zip(names, np.split(order, starts[1:]), strict=True):
            among = None if numbered is None else numbered[rows]
            by_group[str(name)] = intervals(y[rows], q[rows], levels, among)
    return Evaluation(
        part,
        len(y),
        metrics,
        intervals(y, q, levels, numbered),
        {level: average(hits) for level, hits in below.items()},
        by_group,
        {level: share_limits(hits, numbered) for level, hits in below.items()},
        None if numbered is None else int(numbered.max(initial=-1)) + 1,
    )
