"""What rows themselves must satisfy: targets within their bounds, weights that can be weighed with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from raysearch.config import DataConfig
from raysearch.errors import Problems

Floats = npt.NDArray[np.float64]


def check_bounds(target: Floats, rows: Any, data: DataConfig, problems: Problems) -> None:
    """Note targets of usable rows that lie outside the bounds of the forecasts."""
    for key, bound, word in (("lower", data.lower, "below"), ("upper", data.upper, "above")):
        if bound is None:
            continue
        values = target[rows]
        outside = rows[values < bound if key == "lower" else values > bound]
        if len(outside):
            least = f"{values.min():g} or less" if key == "lower" else f"{values.max():g} or more"
            problems.add(
                f"target {data.target!r} is {word} data.{key}, {bound:g}, in {len(outside):,} rows, e.g. "
                f"{target[outside[0]]:g} in row {outside[0] + 1}; leave them out, or set --{key} to {least}"
            )


def check_weights(weights: Floats, keep: Any, column: str, problems: Problems) -> Any:
    """Return which rows can be used, [rows]: those of ``keep`` that weigh something.

    Args:
        weights: [rows], NaN where missing.
        keep: [rows] whether a row can be used as far as others know.
    """
    missing, negative = np.isnan(weights) & keep, (weights < 0) & keep
    for bad, word, fix in (
        (missing, "missing", "give each row a weight, 0 for those that must not count, or leave them out"),
        (negative, "negative", "weights must be 0 or more"),
    ):
        if bad.any():
            first = int(np.flatnonzero(bad)[0]) + 1
            problems.add(
                f"weight column {column!r} is {word} in {int(bad.sum()):,} rows, first in row {first}; {fix}"
            )
    weighs = keep & (weights > 0)
    if not problems.found and keep.any() and not weighs.any():
        problems.add(f"weight column {column!r} is 0 in every usable row; some must count")
    return weighs
