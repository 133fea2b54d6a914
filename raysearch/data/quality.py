"""The data quality report: what each column of the user's table looks like, and what deserves a look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysearch.data.encode import Encoder
from raysearch.data.plan import Plan
from raysearch.data.values import blank_mask, decode, kind_of, missing_mask, spoken
from raysearch.errors import listing
from raysearch.records import ColumnQuality, DataQuality

DROPPED, NOT_CHOSEN = "dropped by the settings", "not among the features of the settings"
WEIGHT = "the row weights"
KNOWN_LATER = "known only afterwards: its past is used"
BY_SETTINGS = (DROPPED, NOT_CHOSEN, WEIGHT, KNOWN_LATER)
_LEAST_FOR_ID = 50
_MANY_MISSING = 0.5
_KINDS = {"date": "datetime", "seconds": "time"}  # of texts that are read as something else
_MIX = np.uint64(0x9E3779B97F4A7C15)


def assess(
    table: Any, encoder: Encoder, *, keys: Mapping[str, str], without_target: int, warnings: Sequence[str]
) -> DataQuality:
    """Look at every column of the table as it was given.

    Args:
        encoder: knows which columns became features, and why others did not.
        keys: by column, its role besides being a feature: target, group, time, anchor.
        warnings: what others found, told first.
    """
    columns: list[ColumnQuality] = []
    constant: list[str] = []
    id_like: list[str] = []
    mixed = np.zeros(table.num_rows, dtype=np.uint64)
    plans = {plan.column: plan for plan in encoder.plans}
    for position, name in enumerate(table.column_names):
        column = table.column(position)
        array = decode(column)
        codes = _codes(array)
        mixed = _mix(mixed ^ (codes + np.uint64(position)))
        plan = plans.get(name)
        missing = _missing(array, plan, keys.get(name, ""))
        distinct = _distinct(codes, missing)
        note = encoder.left_out.get(name, "")
        if distinct <= 1 and not missing.any():
            constant.append(name)
        if note.startswith("id-like") or (
            name in encoder.columns and _is_row_number(array, distinct, table.num_rows)
        ):
            id_like.append(name)
            note = note or "every value differs: perhaps a row number"
        note = note or _kept_words(plan)
        columns.append(
            ColumnQuality(
                name=name,
                kind=_kind(column.type, plan),
                missing=int(missing.sum()),
                distinct=distinct,
                used=plan is not None,
                note="; ".join(part for part in (keys.get(name, ""), note) if part),
            )
        )
    duplicates = table.num_rows - _distinct(mixed, np.zeros(table.num_rows, dtype=bool))
    told = [*warnings, *_in_words(columns, encoder.left_out, duplicates, table.num_rows)]
    return DataQuality(
        table.num_rows,
        tuple(columns),
        duplicates,
        without_target,
        tuple(constant),
        tuple(id_like),
        tuple(told),
    )


def _kind(kind: Any, plan: Plan | None) -> str:
    told = kind_of(kind)
    return _KINDS.get(plan.kind, plan.kind) if told == "category" and plan is not None else told


def _missing(array: Any, plan: Plan | None, role: str) -> npt.NDArray[np.bool_]:
    """Return [rows] whether the cell is missing: words such as NA are among numbers, but not among texts."""
    if kind_of(array.type) != "category":
        return missing_mask(array)
    if role in ("target", "anchor", "weight") or (plan is not None and plan.kind != "category"):
        return blank_mask(array)
    empty = pc.fill_null(pc.equal(array, ""), True)
    return np.asarray(empty.to_numpy(zero_copy_only=False), dtype=bool)


def _kept_words(plan: Plan | None) -> str:
    if plan is None or plan.kind != "category":
        return ""
    words = pa.array(plan.categories, pa.string())
    kept = sorted(set(plan.categories) - set(spoken(words).to_pylist()))
    return f"{listing(kept)} counted as a value, not as missing" if kept else ""


def _codes(array: Any) -> npt.NDArray[np.uint64]:
    """Return [rows] numbers that are equal exactly where the cells are."""
    kind = kind_of(array.type)
    if pa.types.is_float16(array.type):
        array = array.cast(pa.float32())
    if kind == "number" and not pa.types.is_decimal(array.type):
        if not array.null_count and pa.types.is_integer(array.type):
            return np.asarray(array.to_numpy().astype(np.int64)).view(np.uint64)
        if pa.types.is_floating(array.type):
            values = array.cast(pa.float64()).to_numpy(zero_copy_only=False) + 0.0  # one zero for both signs
            return np.where(np.isnan(values), np.nan, values).view(np.uint64)
    try:
        indices = array.dictionary_encode().indices
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # nested cells
        indices = pa.array([str(cell) for cell in array.to_pylist()]).dictionary_encode().indices
    codes = pc.fill_null(indices.cast(pa.int64()), -1)
    return np.asarray(codes.to_numpy(zero_copy_only=False), dtype=np.int64).view(np.uint64)


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scramble 64 bits (the finish of splitmix64), so that rows can be told apart by one number."""
    values = values + _MIX
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _distinct(codes: npt.NDArray[np.uint64], missing: npt.NDArray[np.bool_]) -> int:
    present = codes[~missing] if missing.any() else codes
    if not len(present):
        return 0
    ordered = np.sort(present)
    return int((ordered[1:] != ordered[:-1]).sum()) + 1


def _is_row_number(array: Any, distinct: int, rows: int) -> bool:
    return rows > _LEAST_FOR_ID and distinct == rows and bool(pa.types.is_integer(array.type))


def _in_words(
    columns: Sequence[ColumnQuality], left_out: Mapping[str, str], duplicates: int, rows: int
) -> list[str]:
    told = []
    if duplicates:
        told.append(f"{duplicates:,} of {rows:,} rows are copies of another row")
    sparse = [column.name for column in columns if column.used and column.missing > _MANY_MISSING * rows]
    if sparse:
        told.append(f"more than half of the values are missing in {listing(sparse)}")
    unused = [
        f"{name!r} ({reason})"
        for name, reason in left_out.items()
        if reason not in BY_SETTINGS and any(column.name == name for column in columns)
    ]
    if unused:
        more = f" and {len(unused) - 12} more" if len(unused) > 12 else ""
        told.append(f"columns left out: {', '.join(unused[:12])}{more}")
    return told
