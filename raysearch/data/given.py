"""The tables as the user gave them, read and checked: the data, and test rows of their own."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from raysearch.addresses import hide_secrets
from raysearch.config import Config, DataConfig
from raysearch.data.check import Usable, check_table, time_format
from raysearch.data.nav import load_builtin
from raysearch.data.read import read_table
from raysearch.data.series import Series
from raysearch.errors import DataError


@dataclass(frozen=True)
class Given:
    """A user's table with its usable rows."""

    table: Any
    usable: Usable
    name: str
    source: str


def given_table(config: Config, table: Any | None, by_time: bool) -> Given:
    """Read and check the data: ``table`` in place of the settings' path.

    Raises:
        DataError: it cannot be read or used; all problems at once.
    """
    data = config.data
    source: Any = data.path if table is None else table
    if source is None and data.builtin is None:
        raise DataError("data: no table is given; name a file with --data, or pass a DataFrame")
    if source is None:
        name = str(data.builtin)
        read, told = load_builtin(name), f"builtin:{name}"
    elif isinstance(source, str | os.PathLike):
        told = hide_secrets(os.fspath(source))
        plain = told.partition("?")[0] if "://" in told else told
        name = PurePosixPath(plain.replace("\\", "/")).name.split(".")[0] or "table"
        read = read_table(source)
    else:
        name, told = "table", f"in memory ({type(source).__module__.partition('.')[0]})"
        read = read_table(source)
    where = "data" if told.startswith("in memory") else f"data: {told}"
    return Given(read, check_table(read, data, where, by_time=by_time), name, told)


def given_test(data: DataConfig, by_time: bool, main: Given) -> Given:
    """Read and check the test rows, whose times are read as those of the data.

    Raises:
        DataError: as for the data, or their times are of another kind.
    """
    told = hide_secrets(str(data.test_path))
    path = str(data.test_path)
    read = read_table(path, "test data")
    form = time_format(main.table, data.time)
    usable = check_table(read, data, f"test data: {told}", by_time=by_time, test=True, form=form)
    times = main.usable.times
    if times is not None and times.dtype.kind != usable.times.dtype.kind:
        raise DataError(
            f"test data: time column {data.time!r} holds {_told(usable.times)}, "
            f"in the data it holds {_told(times)}"
        )
    if path.lower().endswith((".csv", ".csv.gz")):
        # As rows to predict are read: the training rows settle what a text means, not those beside it.
        read = read_table(path, "test data", least_columns=1)
    return Given(read, usable, "", told)


def _told(times: Any) -> str:
    return "dates" if times.dtype.kind == "M" else "numbers"


def with_past(series: Series, main: Given, extra: Given | None) -> tuple[Given, Given | None]:
    """Return the tables with the features made of the past: that of the test rows reaches into the data's."""
    given = [main] if extra is None else [main, extra]
    tables = series.extend(*(part.table for part in given), role="data")[0]
    made = [replace(part, table=table) for part, table in zip(given, tables, strict=True)]
    usable = replace(main.usable, warnings=(*main.usable.warnings, series.told))
    return replace(made[0], usable=usable), None if extra is None else made[1]


def anchored(given: Given, name: str) -> Given:
    """Return the table without the rows that have no past to tell a change from."""
    usable = given.usable
    anchor = given.table[name].to_numpy()[usable.rows]
    kept = np.isfinite(anchor)
    if kept.all():
        return replace(given, usable=replace(usable, anchor=anchor))
    told = f"{int((~kept).sum()):,} rows have no past that their change could be told from and are left out"
    return replace(
        given,
        usable=replace(
            usable,
            rows=usable.rows[kept],
            target=usable.target[kept],
            anchor=anchor[kept],
            times=usable.times[kept],
            groups=None if usable.groups is None else usable.groups[kept],
            weights=None if usable.weights is None else usable.weights[kept],
            warnings=(*usable.warnings, told),
        ),
    )
