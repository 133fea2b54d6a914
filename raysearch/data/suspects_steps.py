"""Features that hold the target in steps: rounded, clipped, binned or as a text; and the target to come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from raysearch.data.suspects_target import LEAST_ROWS, Column, Goal, rank_correlation

_LEAST_STEPS = 5  # different values: two parts of the target are told apart by many an honest column
_LEAST_A_STEP = 5  # rows of a category: single rows are in some order always
_RANKED = 0.9
_ALWAYS = 0.99


def steps_of_target(columns: Sequence[Column], goal: Goal) -> list[str]:
    """Tell of columns that never fall as the target rises (or never rise), though they say less than it.

    Categories are put in the order of their mean target: those of a binned target do not overlap.

    Args:
        columns, goal: [rows] of the same rows; categories as codes, missing ones NaN.
    """
    told = []
    for column in columns:
        x, y = _ordered(column, goal.values)
        if len(y) < LEAST_ROWS or len(np.unique(x)) < _LEAST_STEPS:
            continue
        rho = rank_correlation(x, y)
        if abs(rho) > _RANKED and _monotone(x if rho > 0 else -x, y):
            told.append(
                f"{column.name!r} holds {goal.name!r} in {len(np.unique(x)):,} steps, like a rounded or "
                f"binned copy: in {len(x):,} rows none is out of order; leave it out (--drop) unless it is "
                "known before the target"
            )
    return told


def _ordered(column: Column, y: Any) -> tuple[Any, Any]:
    """Return the known values of a column, and the target of their rows; of categories their rank."""
    known = ~np.isnan(column.values)
    x, y = column.values[known], y[known]
    if column.kind != "category" or not len(x):
        return x, y
    _, codes, counts = np.unique(x, return_inverse=True, return_counts=True)
    ranks = np.argsort(np.argsort(np.bincount(codes, weights=y) / counts)).astype(np.float64)
    often = counts[codes] >= _LEAST_A_STEP
    return ranks[codes][often], y[often]


def _monotone(x: Any, y: Any) -> bool:
    """Tell whether x never falls as y rises; among rows of equal y any order is right."""
    order = np.lexsort((x, y))
    x, y = x[order], y[order]
    return bool((np.diff(x) >= 0).all()) and len(np.unique(y)) > _LEAST_STEPS


def target_to_come(columns: Sequence[Column], goal: Goal, next_row: Any) -> list[str]:
    """Tell of columns that hold the target of the next row in time.

    Args:
        columns, goal: [rows] of all training rows.
        next_row: [rows] position of the next row in time of the same group; -1: there is none.
    """
    y, there = goal.values, next_row >= 0
    # Only where the next target is another one: a target that stays is no evidence.
    there &= y != y[np.where(there, next_row, 0)]
    told = []
    for column in columns:
        rows = np.flatnonzero(there & ~np.isnan(column.values))
        if len(rows) < LEAST_ROWS:
            continue
        share = float((column.values[rows] == y[next_row[rows]]).mean())
        if share > _ALWAYS:
            told.append(
                f"{column.name!r} holds the next row's {goal.name!r} in {100 * share:.0f} % of {len(rows):,} "
                "rows, which is not known at the row's time; leave it out (--drop)"
            )
    return told
