"""Is the table fit to be tuned on? All that is wrong with it is told at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysearch.config import DataConfig
from raysearch.data import dates
from raysearch.data.groups import group_names
from raysearch.data.rows import check_bounds, check_weights
from raysearch.data.values import Texts, as_numbers, as_texts, decode, kind_of, missing_mask, spoken
from raysearch.errors import DataError, Problems, listing, nearest
from raysearch.records import FoldRows

LEAST_ROWS = 30
_LEAST_TEST_ROWS = 2

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Usable:
    """The rows that can be learned from or tested on, with what they are split and told by.

    Attributes:
        rows: [usable] row numbers in the table.
        target, anchor: [usable] float64, all finite; anchor is None where there is none.
        times: [usable] datetime64[us] or float64, or None.
        groups: [usable] str, or None.
        weights: [usable] float64, finite and above 0, or None.
        without_target: rows left out because target or anchor is missing.
    """

    rows: npt.NDArray[np.int64]
    target: Floats
    anchor: Floats | None
    times: Any
    groups: Any
    weights: Floats | None
    without_target: int
    warnings: tuple[str, ...]


def check_table(
    table: Any, data: DataConfig, where: str, *, by_time: bool, test: bool = False, form: str | None = None
) -> Usable:
    """Check the table against the settings and return its usable rows.

    Args:
        where: what the messages begin with.
        by_time: rows are split by time, so that those without one cannot be used.
        test: the table holds test rows only: it may be short, and may lack features.
        form: the format of dates that are texts, where another table has told it; see ``time_format``.

    Raises:
        DataError: with all problems at once.
    """
    problems = Problems(where)
    _check_names(table, data, problems, test)
    target = _target(table, data, problems, test)
    anchor = _anchor(table, data, problems)
    times = _times(table, data.time, problems, form)
    weights = _numeric(table, data.weight, "weight", problems)
    problems.raise_as(DataError)
    assert target is not None
    keep = ~np.isnan(target)
    if anchor is not None:
        keep &= ~np.isnan(anchor)
    without_target = int((~keep).sum())
    warnings = []
    if times is not None and by_time:
        timeless = _missing_times(times) & keep
        keep &= ~timeless
        if timeless.any():
            warnings.append(f"{int(timeless.sum()):,} rows without a time in {data.time!r} are left out")
        warnings += [] if form else _day_or_month(table, data.time)
    if weights is not None and data.weight is not None:
        weighs = check_weights(weights, keep, data.weight, problems)
        without_weight, keep = int((keep & ~weighs).sum()), weighs
        problems.raise_as(DataError)
        if without_weight:
            warnings.append(f"{without_weight:,} rows of weight 0 in {data.weight!r} are left out")
    rows = np.flatnonzero(keep)
    _check_usable(rows, target, anchor, data, problems, test)
    problems.raise_as(DataError)
    if without_target:
        warnings.insert(0, f"{without_target:,} rows without a target are left out")
    return Usable(
        rows,
        target[rows],
        None if anchor is None else anchor[rows],
        None if times is None else times[rows],
        group_names(table, data.group)[rows] if data.group else None,
        None if weights is None else weights[rows],
        without_target,
        tuple(warnings),
    )


def _check_names(table: Any, data: DataConfig, problems: Problems, test: bool) -> None:
    names = table.column_names
    wanted: list[tuple[str, str]] = []
    for role in ("target", "group", "time", "anchor", "weight"):
        column = getattr(data, role)
        if column is not None:
            wanted.append((f"{role} column", column))
    if data.target is None:
        problems.add(f"no target: name the column to forecast, one of {listing(names)}")
    if not test:
        wanted += [("column to drop", column) for column in data.drop]
        wanted += [("feature", column) for column in data.features or ()]
        wanted += [("monotone column", column) for column in data.monotone]
    for role, column in wanted:
        if column not in names:
            hint = nearest(column, names) or nearest(column.strip().lower(), [n.lower() for n in names])
            problems.add(f"no {role} {column!r}{hint} (columns: {listing(names)})")


def _target(table: Any, data: DataConfig, problems: Problems, test: bool) -> Floats | None:
    values = _numeric(table, data.target, "target", problems)
    if values is None:
        return None
    present = values[~np.isnan(values)]
    if not len(present):
        problems.add(f"target {data.target!r} has no value in any row")
    elif not test and len(present) > 1 and present.min() == present.max():
        problems.add(
            f"target {data.target!r} is constant, {present[0]:g} in every row; there is nothing to forecast"
        )
    return values


def check_learnable(target: Floats, fits: Sequence[FoldRows], name: str | None) -> None:
    """Refuse training rows that all have the same target: every level would be that value.

    Args:
        target: [rows] as modelled, of the rows that ``fits`` speaks of.

    Raises:
        DataError: with what to change.
    """
    for fit in fits:
        learnt = np.concatenate([target[slice(*part)] for part in fit.train])
        if len(learnt) and learnt.min() == learnt.max():
            fold = " of a fold" if len(fits) > 1 else ""
            raise DataError(
                f"data: target {name!r} as modelled is {learnt[0]:g} in all {len(learnt):,} training "
                f"rows{fold}, so there is nothing to learn from them; bring rows in which it differs, or "
                "split otherwise (--split random)"
            )


def _anchor(table: Any, data: DataConfig, problems: Problems) -> Floats | None:
    return None if data.anchor is None else _numeric(table, data.anchor, "anchor", problems)


def _numeric(table: Any, column: str | None, role: str, problems: Problems) -> Floats | None:
    """Return [rows] float64 with NaN, or note why the column is no column of finite numbers."""
    if column is None or column not in table.column_names:
        return None
    array = decode(table.column(column))
    kind = kind_of(array.type)
    if kind == "empty":
        problems.add(f"{role} {column!r} has no value in any row")
        return None
    if kind not in ("number", "category"):
        problems.add(f"{role} {column!r} is of type {array.type}, must be a number; {_instead(kind)}")
        return None
    read = as_numbers(array)
    if kind == "category" and read.failed:
        problems.add(
            f"{role} {column!r} is text, must be a number: {read.failed:,} values are none, "
            f"e.g. {read.example!r}"
        )
        return None
    if read.failed:
        first = int(np.flatnonzero(np.isnan(read.values) & ~missing_mask(array))[0]) + 1
        problems.add(
            f"{role} {column!r} is infinite in {read.failed:,} rows, first in row {first}; "
            "leave them out or give their value"
        )
        return None
    return np.asarray(read.values, dtype=np.float64)


def _instead(kind: str) -> str:
    if kind == "boolean":
        return "quantiles of yes or no mean nothing"
    if kind in ("datetime", "time", "duration"):
        return "make it a number first, e.g. the days or minutes between two times"
    return "name a numeric column"


def _times(table: Any, column: str | None, problems: Problems, form: str | None = None) -> Any:
    """Return [rows] datetime64[us] or float64, or note why the column does not order rows in time."""
    if column is None or column not in table.column_names:
        return None
    array = decode(table.column(column))
    kind = kind_of(array.type)
    if array.null_count == len(array):
        problems.add(f"time column {column!r} has no value in any row")
        return None
    if kind == "datetime":
        return dates.instants(array)
    if kind == "number":
        read = as_numbers(array)
        if read.failed:
            problems.add(f"time column {column!r} is infinite in {read.failed:,} rows")
        return read.values
    if kind == "category":
        return _times_of_texts(as_texts(array), column, problems, form)
    problems.add(f"time column {column!r} is of type {array.type}, must be a date, a time stamp or a number")
    return None


def _times_of_texts(texts: Texts, column: str, problems: Problems, told: str | None) -> Any:
    words = spoken(texts.values)
    if not len(words):
        problems.add(f"time column {column!r} has no value in any row")
        return None
    form = dates.find_format(words, share=0.5)
    if told is not None and not np.isnat(dates.parse(words, told)).any():
        form = told
    if form is not None:
        bad = words.filter(pa.array(np.isnat(dates.parse(words, form))))
        if not len(bad):
            return texts.spread(dates.parse(texts.values, form), np.datetime64("NaT", "us"))
        problems.add(
            f"time column {column!r}: {len(bad):,} texts are no dates like the others, "
            f"e.g. {bad[0].as_py()!r}"
        )
        return None
    numbers = as_numbers(texts.values)
    if not numbers.failed:
        return texts.spread(numbers.values, np.nan)
    example = words[0].as_py()[:60]
    problems.add(
        f"time column {column!r} is text that is no date, e.g. {example!r}; "
        "write dates like 2024-01-31 or 2024-01-31 13:45:00"
    )
    return None


def time_format(table: Any, column: str | None) -> str | None:
    """Return the format of a table's times where they are texts: 02/01 is what the other rows make of it."""
    if column is None or kind_of(decode(table.column(column)).type) != "category":
        return None
    return dates.find_format(spoken(as_texts(decode(table.column(column))).values), share=0.5)


def _day_or_month(table: Any, column: str | None) -> list[str]:
    """Return a warning where nothing in the times tells which of their numbers is the day."""
    if column is None or kind_of(decode(table.column(column)).type) != "category":
        return []
    words = spoken(as_texts(decode(table.column(column))).values)
    form = dates.find_format(words, share=0.5)
    other = form and dates.misread(words, form)
    return [f"time column {column!r} is read as {form}; {other} would read it as well"] if other else []


def _missing_times(times: Any) -> npt.NDArray[np.bool_]:
    missing = np.isnat(times) if times.dtype.kind == "M" else np.isnan(times)
    return np.asarray(missing, dtype=bool)


def _check_usable(
    rows: Any, target: Floats, anchor: Floats | None, data: DataConfig, problems: Problems, test: bool
) -> None:
    least = _LEAST_TEST_ROWS if test else LEAST_ROWS
    if len(rows) < least:
        left = "" if len(rows) == len(target) else f" of {len(target):,} that have a target"
        problems.add(f"{len(rows)} usable rows{left} are too few, at least {least} are needed")
    check_bounds(target, rows, data, problems)
    bound = {"log": 0.0, "log1p": -1.0}.get(data.transform)
    if bound is None:
        return
    columns = [("target", data.target, target), ("anchor", data.anchor, anchor)]
    for role, name, values in columns:
        if values is None:
            continue
        bad = rows[values[rows] <= bound]
        if len(bad):
            problems.add(
                f"transform {data.transform!r} needs {role} {name!r} above {bound:g}, but {len(bad):,} rows "
                f"are not, e.g. {values[bad[0]]:g} in row {bad[0] + 1}; use --transform asinh or none, "
                "or leave them out"
            )
