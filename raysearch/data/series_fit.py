"""From settings and a table to the way its features of the past are made; what cannot be is refused here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from raysearch.config import DataConfig
from raysearch.data import dates
from raysearch.data.grid import (
    BUSINESS,
    FIXED,
    MONTHS,
    NUMBERS,
    Grid,
    find_grid,
    on_month_ends,
    parse_frequency,
)
from raysearch.data.groups import group_names
from raysearch.data.past import Ints
from raysearch.data.series import Series, feature_names
from raysearch.data.series_rows import Placed, place_rows, read_times
from raysearch.data.values import as_texts, decode, kind_of, spoken
from raysearch.errors import DataError, Problems, listing

_DAY = 86400.0
_SHORT = (1,)
_NEW = (3,)


def fit_series(table: pa.Table, data: DataConfig) -> Series:
    """Return how the settings' features of the past are made of a table that was checked.

    Raises:
        DataError: the times lie on no grid, or the series are too short for the horizon or a lag.
    """
    assert data.target is not None and data.time is not None and data.horizon is not None
    problems = Problems("data")
    for name in data.past:
        if name not in table.column_names:
            problems.add(f"no column {name!r} for data.past (columns: {listing(table.column_names)})")
    problems.raise_as(DataError)
    numeric, form, zone = _reading(table, data.time)
    times = read_times(table, data.time, numeric, form, zone)
    groups = group_names(table, data.group) if data.group else None
    grid = _grid(data, times, groups, numeric)
    placed = place_rows([times], [groups], grid)[0]
    span = _longest(placed)
    lags, windows = _defaults(data, grid, span)
    series = Series(
        target=data.target,
        time=data.time,
        group=data.group,
        horizon=data.horizon,
        lags=lags,
        windows=windows,
        past=data.past,
        static=_static(table, data, placed),
        grid=grid,
        form=form,
        zone=zone,
    )
    _check_reach(series, span, problems)
    problems.raise_as(DataError)
    return replace(series, names=feature_names(series, table.column_names))


def _reading(table: pa.Table, column: str) -> tuple[bool, str | None, str | None]:
    """Return whether times are numbers, the format of texts, and the zone whose clock shows whole steps."""
    array = decode(table.column(column))
    kind = kind_of(array.type)
    if kind == "number":
        return True, None, None
    if kind == "category":
        words = spoken(as_texts(array).values)
        form = dates.find_format(words, share=0.5)
        return form is None, form, None
    zone = getattr(array.type, "tz", None)
    if zone is None:
        return False, None, None
    # Days of a place are days of its clock, not 24 hours each; hours are hours wherever the clock is put.
    clock = read_times(table, column, False, None, zone)
    clock = clock[~np.isnat(clock)]
    daily = len(np.unique(clock - clock.astype("datetime64[D]"))) == 1
    return False, None, zone if daily else None


def _grid(data: DataConfig, times: Any, groups: Any, numeric: bool) -> Grid:
    at = np.flatnonzero(~(np.isnan(times) if numeric else np.isnat(times)))
    codes = np.zeros(len(at), np.int64) if groups is None else np.unique(groups[at], return_inverse=True)[1]
    if data.frequency is None:
        found = find_grid(times[at], codes)
        if isinstance(found, str):
            raise DataError(f"data: time column {data.time!r}: {found}")
        return found
    grid = parse_frequency(data.frequency)
    if grid is None or (grid.unit == NUMBERS) != numeric:
        wanted = "a number, e.g. 1" if numeric else "e.g. 15min, h, D, B, W, MS or QS"
        kind = "numbers" if numeric else "dates"
        raise DataError(
            f"data.frequency: got {data.frequency!r}; the time column {data.time!r} holds {kind}, so it must "
            f"be {wanted}"
        )
    return (
        replace(grid, month_end=grid.month_end or on_month_ends(times[at])) if grid.unit == MONTHS else grid
    )


def _longest(placed: Placed) -> int:
    """Return the steps from the first to the last row of the longest series."""
    codes, index = placed.rows.codes, placed.rows.index
    first = np.full(len(placed.names), np.iinfo(np.int64).max)
    last = np.full(len(placed.names), np.iinfo(np.int64).min)
    np.minimum.at(first, codes, index)
    np.maximum.at(last, codes, index)
    seen = np.unique(codes)
    return int((last[seen] - first[seen]).max(initial=0))


def _defaults(data: DataConfig, grid: Grid, span: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return lags and windows as given; by the frequency, as far as the series reach, where they are not."""
    lags, windows = seasons(grid)
    room = span // 2
    return (
        data.lags or tuple(lag for lag in lags if lag <= room) or _SHORT,
        data.windows or tuple(length for length in windows if length <= room) or _NEW,
    )


def seasons(grid: Grid) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the usual lags and windows of a frequency: its newest values, and its day, week or year."""
    if grid.unit == BUSINESS:
        return (1, 5, 21), (3, 5, 21)
    if grid.unit == MONTHS:
        year = max(1, 12 // int(grid.step))
        return tuple(sorted({1, year})), tuple(sorted({3, max(2, year)}))
    if grid.unit == NUMBERS:
        return (1, 2, 7), (3, 7, 28)
    assert grid.unit == FIXED
    day = round(_DAY * 1e6 / grid.step)
    if day >= 2:
        return (1, day, 7 * day), (3, day, 7 * day)
    if grid.step == _DAY * 1e6:
        return (1, 7, 28, 364), (3, 7, 28)
    if grid.step == 7 * _DAY * 1e6:
        return (1, 4, 52), (3, 4, 13)
    year = max(2, round(365.25 * _DAY * 1e6 / grid.step))
    return (1, year), (3, max(4, year))


def _check_reach(series: Series, span: int, problems: Problems) -> None:
    told = f"the longest series reaches across {span} steps ({series.grid.word} each)"
    if series.horizon >= span:
        problems.add(f"data.horizon: {series.horizon} steps ahead, but {told}; give a shorter --horizon")
    for name, values in (("lags", series.lags), ("windows", series.windows)):
        far = [value for value in values if value > span]
        if far:
            problems.add(
                f"data.{name}: {', '.join(map(str, far))} look further back than there are rows: {told}; "
                f"leave them out of --{name}"
            )


def _static(table: pa.Table, data: DataConfig, placed: Placed) -> tuple[str, ...]:
    """Return the columns that never change within a series."""
    if data.group is None:
        return ()
    order = np.argsort(placed.rows.codes, kind="stable")
    codes = placed.rows.codes[order]
    neighbours = codes[1:] == codes[:-1]
    found = []
    for name in table.column_names:
        if name in (data.target, data.time, *data.past):
            continue
        cells = _numbered(table.column(name))
        if cells is not None and (np.diff(cells[placed.at][order])[neighbours] == 0).all():
            found.append(name)
    return tuple(found)


def _numbered(column: Any) -> Ints | None:
    """Return [rows] numbers that differ where cells do; None for cells of no plain type."""
    try:
        indices = decode(column).dictionary_encode().indices
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return None
    return np.asarray(indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
