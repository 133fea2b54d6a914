"""Anything that holds a table becomes one checked Arrow table."""

from __future__ import annotations

import functools
import os
import zipfile
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from raysearch.data.address import Source, brief, find_source
from raysearch.data.content import check_content
from raysearch.data.csv_file import read_csv
from raysearch.data.objects import normal, table_of
from raysearch.errors import DataError, Problems, listing

_MOST_UNPACKED = 4 << 30  # bytes of an unpacked .xlsx; a larger one is a mistake or an attack


def read_table(source: Any, role: str = "data", *, least_columns: int = 2, least_rows: int = 1) -> pa.Table:
    """Read a table from a file, an address or an object.

    Args:
        source: a path or address ending in .csv, .csv.gz, .parquet, .pq, .arrow, .feather, .ipc or .xlsx; or
            a pandas or polars DataFrame, a pa.Table or anything with ``__arrow_c_stream__``.
        role: what the table is, for messages: "data", "test data", ...
        least_columns: 1 for rows to predict, which need no target. The columns of a CSV file then stay text,
            as they are written: what they are was settled in training.
        least_rows: 0 for rows to predict, which may be none.

    Returns:
        pa.Table with at least so many columns of distinct, non-empty names, and so many rows.

    Raises:
        DataError: the table is not there or cannot be read; one message says what would be right.
    """
    if isinstance(source, str | os.PathLike):
        found = find_source(source, role)
        check_content(found, role)
        table = _read_file(found, role, least_columns)
        where = f"{role}: {found.address}"
    else:
        table = table_of(source, role)
        where = role
    _check_shape(table, where, least_columns)
    if table.num_rows < least_rows:
        raise DataError(f"{where}: no rows, only the names of {table.num_columns} columns")
    return table


def _read_file(source: Source, role: str, least_columns: int) -> Any:
    csv = functools.partial(read_csv, least_columns=least_columns, as_written=least_columns < 2)
    readers: dict[str, Callable[[Source, str], Any]] = {
        ".csv": csv,
        ".csv.gz": csv,
        ".parquet": _read_parquet,
        ".pq": _read_parquet,
        ".xlsx": _read_excel,
    }
    reader = readers.get(source.ending, _read_arrow)
    try:
        return reader(source, role)
    except PermissionError as error:
        raise DataError(f"{role}: no permission to read {source.address}") from error
    except (pa.ArrowException, OSError, MemoryError, NotImplementedError, UnicodeDecodeError) as error:
        raise DataError(f"{role}: {source.address} cannot be read: {brief(error)}") from error


def _read_parquet(source: Source, role: str) -> Any:
    with source.open() as file:
        try:
            return normal(pq.ParquetFile(file).read())
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{role}: {source.address} is a damaged or cut-off Parquet file: {brief(error)}"
            ) from error


def _read_arrow(source: Source, role: str) -> Any:
    with source.open() as file:
        start = bytes(file.read(6))
        file.seek(0)
        try:
            if start.startswith(b"FEA1"):
                import pyarrow.feather as feather

                return normal(feather.read_table(file))
            opened = ipc.open_file(file) if start == b"ARROW1" else ipc.open_stream(file)
            return normal(opened.read_all())
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{role}: {source.address} is a damaged or cut-off Arrow file: {brief(error)}"
            ) from error


def _read_excel(source: Source, role: str) -> Any:
    with source.open() as file:
        _check_workbook(file, source, role)
        file.seek(0)
        try:
            # A cell is what the sheet says it is: the text "01" is no number, the text "NA" not missing.
            sheet = pd.read_excel(
                file, engine="calamine", header=None, dtype=object, keep_default_na=False, na_values=[""]
            )
        except Exception as error:  # calamine's own error classes are not public
            raise DataError(
                f"{role}: {source.address} is not an Excel workbook that can be read: {brief(error)}"
            ) from error
    filled = np.flatnonzero(sheet.notna().any(axis=1))
    if not len(filled):
        raise DataError(f"{role}: {source.address}: the first sheet is empty")
    names = [None if pd.isna(name) else str(name) for name in sheet.iloc[filled[0]]]
    # Empty rows below the last filled one are none; those above it are rows without values.
    frame = sheet.iloc[filled[0] + 1 : filled[-1] + 1].reset_index(drop=True)
    kept = [i for i, name in enumerate(names) if name is not None or not frame.iloc[:, i].isna().all()]
    frame = frame.iloc[:, kept]
    frame.columns = pd.Index([names[i] or "" for i in kept], dtype=object)
    return table_of(frame, role)


def _check_workbook(file: Any, source: Source, role: str) -> None:
    try:
        entries = zipfile.ZipFile(file).infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{role}: {source.address} is a damaged Excel workbook: {brief(error)}") from error
    if not any(entry.filename.startswith("xl/") for entry in entries):
        raise DataError(
            f"{role}: {source.address} is a zip file, not an Excel workbook as its ending says; "
            "unpack it first"
        )
    size = sum(entry.file_size for entry in entries)
    if size > _MOST_UNPACKED:
        raise DataError(
            f"{role}: {source.address} unpacks to {size / 2**30:.0f} GB; save so large a table as .parquet"
        )


def _check_shape(table: Any, where: str, least_columns: int) -> None:
    problems = Problems(where)
    names = table.column_names
    unnamed = [str(i + 1) for i, name in enumerate(names) if not name.strip()]
    if unnamed:
        problems.add(
            f"column {', '.join(unnamed[:8])} has no name; name it in the header, or leave it out "
            "(pandas writes such a column unless told index=False)"
        )
    doubled = [name for name, count in Counter(names).items() if count > 1 and name.strip()]
    if doubled:
        problems.add(f"column names stand twice: {listing(doubled)}; give each column a name of its own")
    if len(names) < least_columns:
        got = f"only one column ({names[0]!r})" if names else "no columns"
        problems.add(f"{got}; a table needs a target and at least one more")
    problems.raise_as(DataError)
