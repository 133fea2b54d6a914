"""Tables that are held in memory, of pandas, polars or Arrow, become plain Arrow tables."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from raysearch.data.address import brief
from raysearch.errors import DataError

_UNNAMED_INDEX = re.compile(r"^__index_level_\d+__$")


def table_of(source: Any, role: str) -> Any:
    """Turn a pandas or polars frame, an Arrow table or anything with ``__arrow_c_stream__`` into a pa.Table.

    Raises:
        DataError: an object of another kind, or one that Arrow cannot hold.
    """
    if isinstance(source, pd.DataFrame):
        try:
            return _from_pandas(source)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise DataError(
                f"{role}: the DataFrame cannot be turned into an Arrow table: {brief(error)}"
            ) from error
    if isinstance(source, pa.Table):
        return normal(source)
    kind = f"{type(source).__module__}.{type(source).__qualname__}"
    if not hasattr(source, "__arrow_c_stream__"):
        hint = "; call .collect() first" if hasattr(source, "collect") else ""
        raise DataError(
            f"{role}: got {kind}, expected a path, a pandas or polars DataFrame or an Arrow table{hint}"
        )
    try:
        return normal(pa.table(source))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"{role}: {kind} cannot be turned into an Arrow table: {brief(error)}") from error


def normal(table: Any) -> Any:
    """Return the table with extension, view and run-end-encoded types replaced by plain ones."""
    kept = [i for i, name in enumerate(table.column_names) if not _UNNAMED_INDEX.match(name)]
    columns = [_plain(table.column(i)) for i in kept]
    return pa.Table.from_arrays(columns, names=[table.column_names[i] for i in kept])


def _plain(column: Any) -> Any:
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(pa.chunked_array([chunk.storage for chunk in column.chunks], type=kind.storage_type))
    if pa.types.is_run_end_encoded(kind):
        return _plain(column.cast(kind.value_type))
    if pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_binary_view(kind):
        return column.cast(pa.large_binary())
    if pa.types.is_dictionary(kind) and pa.types.is_string_view(kind.value_type):
        return column.cast(pa.dictionary(pa.int64(), pa.large_string()))
    if pa.types.is_dictionary(kind) and isinstance(kind.value_type, pa.BaseExtensionType):
        return _plain(column.cast(kind.value_type))
    return column


def _from_pandas(frame: pd.DataFrame) -> Any:
    named: list[Any] = [name for name in frame.index.names if name is not None and name not in frame.columns]
    names = [str(name) for name in named]
    arrays = [_from_series(frame.index.get_level_values(name).to_series()) for name in named]
    # By position, for names may stand twice; that is told later, with all else that is wrong with names.
    for position, name in enumerate(frame.columns):
        names.append("" if name is None else str(name))
        arrays.append(_from_series(frame.iloc[:, position]))
    return pa.Table.from_arrays(arrays, names=names) if arrays else pa.table({})


def _from_series(series: Any) -> Any:
    try:
        array = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _as_text(series)  # values of several kinds in one column
    column = array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    inner = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if isinstance(inner, pa.BaseExtensionType) or (inner is not column.type and pa.types.is_nested(inner)):
        return _as_text(series)  # periods and intervals: their names say more than their storage
    return _plain(column)


def _as_text(series: Any) -> Any:
    texts = np.array(list(map(str, series)), dtype=object)
    return pa.chunked_array([pa.array(texts, pa.string(), mask=series.isna().to_numpy(bool))])
