"""What a forecaster reads of rows besides their features: target, weights, groups, the anchor of growth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from raysearch.calibration import Calibrator
from raysearch.data import Transform
from raysearch.data.groups import as_known, group_names
from raysearch.data.values import as_numbers, decode, kind_of
from raysearch.errors import DataError, listing
from raysearch.metrics import Array


def target_of(table: pa.Table, name: str) -> Array:
    """Return the target of the rows that calibrate [rows]; NaN where there is none.

    Raises:
        DataError: it is not there.
    """
    if name not in table.column_names:
        raise DataError(
            f"calibration rows: column {name!r}, the target, is missing "
            f"(columns: {listing(table.column_names)})"
        )
    return np.array(as_numbers(decode(table.column(name))).values, dtype=np.float64)


def weights_of(table: pa.Table, name: str | None, rows: Any) -> Array | None:
    """Return how much each of ``rows`` (a mask) counts, 1 in the mean; None where the model has no weights.

    Raises:
        DataError: the column is missing, or holds what is no weight.
    """
    if name is None:
        return None
    if name not in table.column_names:
        raise DataError(f"calibration rows: column {name!r}, the row weights, is missing")
    weights = np.array(as_numbers(decode(table.column(name))).values, dtype=np.float64)[rows]
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise DataError(
            f"calibration rows: column {name!r} must hold weights of 0 or more in every row, some above 0"
        )
    return np.asarray(weights / weights[weights > 0].mean())


def groups_of(
    table: pa.Table, name: str | None, calibrator: Calibrator, *, asked: bool = False
) -> tuple[Any, tuple[str, ...]]:
    """Return the group of each row [rows], where it matters, and a warning where the column is missing.

    Args:
        asked: it matters also where the calibrator tells no groups apart.
    """
    if name is None:
        return None, ()
    if name not in table.column_names:
        return None, (f"column {name!r} is missing: all rows are calibrated alike",)
    if not asked and not calibrator.by_group:
        return None, ()
    return as_known(group_names(table, name), [*calibrator.by_group]), ()


def anchor_of(table: pa.Table, transform: Transform) -> tuple[Array | None, tuple[str, ...]]:
    """Return the anchor [rows], NaN where growth cannot be relative to it, and a warning on such rows.

    Raises:
        DataError: the column is missing, or holds no numbers.
    """
    name = transform.anchor
    if name is None:
        return None, ()
    at = table.schema.get_all_field_indices(name)
    if not at:
        raise DataError(
            f"rows to predict: column {name!r} is missing; the model predicts growth relative to it "
            f"(columns: {listing(table.column_names)})"
        )
    array = decode(table.column(at[0]))
    kind = kind_of(array.type)
    read = as_numbers(array)
    if kind not in ("number", "boolean", "category", "empty") or (kind == "category" and read.failed):
        raise DataError(f"rows to predict: column {name!r} must hold numbers, got {array.type}")
    values = np.array(read.values, dtype=np.float64)
    growth = transform.kind == "log"
    unusable = ~(np.isfinite(values) & ((values > 0) | (not growth)))
    values[unusable] = np.nan
    lack = "missing or not above 0" if growth else "missing"
    told = f"{name!r}: {int(unusable.sum()):,} values are {lack}; no forecast for their rows"
    return values, (told,) if unusable.any() else ()
