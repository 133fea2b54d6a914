"""Where the rows of tables lie: in which series, at which step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysearch.data.grid import Grid
from raysearch.data.past import Ints, Rows
from raysearch.data.values import as_numbers, as_times, decode


@dataclass(frozen=True)
class Placed:
    """The rows of a table that have a time, each at its step of its series.

    Attributes:
        at: [placed] row numbers in the table.
        rows: [placed] series and step.
        names: [series] the groups' names.
        times: [placed] as the grid takes them.
    """

    at: Ints
    rows: Rows
    names: Any
    times: Any

    def __len__(self) -> int:
        return len(self.at)


def read_times(table: pa.Table, column: str, numeric: bool, form: str | None, zone: str | None) -> Any:
    """Return the time of each row [rows], datetime64[us] or float64, NaT or NaN where there is none."""
    array = decode(table.column(column))
    return as_numbers(array).values if numeric else as_times(array, form, zone).values


def place_rows(times: Sequence[Any], groups: Sequence[Any], grid: Grid) -> list[Placed]:
    """Return where the rows of several tables lie: the same series has the same code in all of them."""
    parts = []
    every = None if groups[0] is None else np.unique(np.concatenate(groups))
    names = np.asarray([""]) if every is None else every
    for stamps, words in zip(times, groups, strict=True):
        at = np.flatnonzero(~(np.isnat(stamps) if stamps.dtype.kind == "M" else np.isnan(stamps)))
        codes = np.zeros(len(at), np.int64) if every is None else np.searchsorted(every, words[at])
        parts.append(Placed(at, Rows(codes.astype(np.int64), grid.index(stamps[at])), names, stamps[at]))
    return parts


def last_of_each(codes: Ints, index: Ints, known: npt.NDArray[np.bool_]) -> Ints:
    """Return the places of the last known row of each series and step."""
    places = np.flatnonzero(known)
    order = places[np.lexsort((places, index[places], codes[places]))]
    again = (codes[order][1:] == codes[order][:-1]) & (index[order][1:] == index[order][:-1])
    return np.sort(order[~np.append(again, False)]) if len(order) else order


def doubled(rows: Rows) -> tuple[int, int] | None:
    """Return the places of two rows at the same step of one series, or None."""
    order = np.lexsort((rows.index, rows.codes))
    same = (np.diff(rows.codes[order]) == 0) & (np.diff(rows.index[order]) == 0)
    if not same.any():
        return None
    first = int(np.argmax(same))
    return int(order[first]), int(order[first + 1])
