"""The rows behind each series' latest one, as a model is asked for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from raysearch.data import dates
from raysearch.data.grid import NUMBERS
from raysearch.data.past import Ints, Rows
from raysearch.data.series import Series
from raysearch.data.series_rows import Placed, doubled
from raysearch.data.values import as_numbers, as_texts, decode, kind_of
from raysearch.errors import DataError, listing

HISTORY, FUTURE = "history", "future"


@dataclass(frozen=True)
class Ahead:
    """Rows to forecast, series by series in order of time.

    Attributes:
        table: their columns, with the features made of the past.
        groups: [rows] the group's value as the history has it, or None where there is no group.
        times: [rows] their times: as numbers, or dates in the zone of the history's column.
        notes: what could not be known of them, in words.
    """

    table: pa.Table
    groups: Any
    times: Any
    notes: tuple[str, ...]


def rows_ahead(
    series: Series, history: pa.Table, steps: int, future: pa.Table | None, columns: Sequence[str]
) -> Ahead:
    """Return the ``steps`` rows behind the latest known value of each series.

    Args:
        future: values of columns that are known in advance, by time and group; None: only those that never
            change within a series are known, and all others missing.
        columns: what the model reads.

    Raises:
        DataError: a column that is needed is missing, a step stands twice, or no target is known.
    """
    placed = series.checked(history, HISTORY)
    latest = _latest(series, history, placed)
    if not len(latest):
        raise DataError(f"{HISTORY}: no row has a time and a value of {series.target!r} to go on from")
    last = np.repeat(latest, steps)  # places in ``placed``
    ahead = np.tile(np.arange(1, steps + 1), len(latest))
    rows = Rows(placed.rows.codes[last], placed.rows.index[last] + ahead)
    times = series.grid.ahead(placed.times[last], ahead)
    at = placed.at[last]
    given, taken = _given(series, placed, rows, future)
    cells: dict[str, Any] = {series.time: _time_array(series, history, times)}
    if series.group:
        cells[series.group] = history.column(series.group).take(pa.array(at))
    known = {
        name: column for name, column in taken.items() if name not in (*cells, series.target, *series.past)
    }
    wanted = [name for name in columns if name not in (*series.names, *cells)]
    cells |= {name: known[name] for name in wanted if name in known}
    cells |= {
        name: history.column(name).take(pa.array(at))
        for name in wanted
        if name not in known and name in series.static and name in history.column_names
    }
    notes = _unknown([name for name in wanted if name not in cells], future, given)
    made = series.make(series.histories(history, placed), rows, ahead)
    cells |= {name: pa.array(values) for name, values in zip(series.names, made, strict=True)}
    return Ahead(pa.table(cells), cells.get(series.group or ""), _shown(cells[series.time]), notes)


def _latest(series: Series, history: pa.Table, placed: Placed) -> Ints:
    """Return the places of the latest row of each series that has a target."""
    target = as_numbers(decode(history.column(series.target))).values[placed.at]
    known = np.flatnonzero(np.isfinite(target))
    order = known[np.lexsort((placed.rows.index[known], placed.rows.codes[known]))]
    codes = placed.rows.codes[order]
    return np.asarray(order[np.append(codes[1:] != codes[:-1], True)] if len(order) else order)


def _given(series: Series, placed: Placed, rows: Rows, future: pa.Table | None) -> tuple[int, dict[str, Any]]:
    """Return how many of the rows ``future`` has, and its columns in their order, else null."""
    if future is None:
        return 0, {}
    there = series.place(future, FUTURE, needs_target=False)
    told = doubled(there.rows)
    if told is not None:
        first, second = (int(there.at[i]) + 1 for i in told)
        raise DataError(f"{FUTURE}: rows {first} and {second} have the same time of the same series")
    steps_of = zip(there.rows.codes.tolist(), there.rows.index.tolist(), there.at.tolist(), strict=True)
    by_name = {(str(there.names[code]), index): at for code, index, at in steps_of}
    wanted = zip((str(placed.names[code]) for code in rows.codes), rows.index.tolist(), strict=True)
    found = [by_name.get(key) for key in wanted]
    at = pa.array(found, pa.int64())
    return len(found) - at.null_count, {name: future.column(name).take(at) for name in future.column_names}


def _unknown(names: Sequence[str], future: pa.Table | None, given: int) -> tuple[str, ...]:
    notes = []
    if future is not None and not given:
        notes.append(f"{FUTURE}: none of its rows is one of those to forecast: compare times and groups")
    if names:
        notes.append(
            f"what {listing(names)} will be is not told, so all of it is taken as missing; "
            "give a table of the future with it"
        )
    return tuple(notes)


def _time_array(series: Series, history: pa.Table, times: Any) -> Any:
    """Return the times as the encoder reads them: those of a history with a zone are instants again."""
    array = decode(history.column(series.time))
    zone = getattr(array.type, "tz", None)
    if kind_of(array.type) == "category" and dates.with_offset(as_texts(array).values).any():
        zone = "UTC"
    if series.grid.unit == NUMBERS or zone is None:
        return pa.array(times)
    if series.zone is None:
        return (
            pa.array(times, pa.timestamp("us")).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", zone))
        )
    local = pd.DatetimeIndex(times).tz_localize(series.zone, ambiguous=True, nonexistent="shift_forward")
    return pa.array(local.as_unit("us"), pa.timestamp("us", series.zone))


def _shown(times: Any) -> Any:
    return times.to_pandas() if hasattr(times, "to_pandas") else times
