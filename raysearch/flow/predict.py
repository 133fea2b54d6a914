"""From a table to a file of quantiles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from raysearch.data import read_table
from raysearch.errors import DataError
from raysearch.forecaster import Forecaster


@dataclass(frozen=True)
class Predicted:
    """What was written."""

    rows: int
    columns: tuple[str, ...]
    path: str
    warnings: tuple[str, ...]


def predict_file(forecaster: Forecaster, data: str, out: str) -> Predicted:
    """Predict the rows of ``data`` and write them to ``out`` (.parquet or .csv), whole or not at all.

    Raises:
        DataError: when either file cannot be used.
    """
    path = _free(out, data)
    rows = read_table(data, role="rows to predict", least_columns=1, least_rows=0)
    quantiles, warnings = forecaster.quantiles(rows)
    names = forecaster.columns
    table = pa.table([pa.array(quantiles[:, i]) for i in range(len(names))], names=list(names))
    return _write(table, path, warnings)


def forecast_file(
    forecaster: Forecaster, data: str, out: str, steps: int | None, future: str | None
) -> Predicted:
    """Forecast the steps behind ``data`` and write them to ``out`` (.parquet or .csv), whole or not at all.

    Raises:
        DataError: when a file cannot be used, or the model was made without a horizon.
    """
    path = _free(out, data)
    history = read_table(data, role="history", least_columns=1)
    known = read_table(future, role="future", least_columns=1) if future else None
    frame, warnings = forecaster.ahead(history, steps, known)
    for name, column in frame.items():
        # Days are days in a text, as in the history; Parquet has its own way to tell them.
        if path.suffix == ".csv" and column.dtype.kind == "M" and (column == column.dt.normalize()).all():
            frame[name] = column.dt.date
    return _write(pa.Table.from_pandas(frame, preserve_index=False), path, warnings)


def _free(out: str, data: str) -> Path:
    """Return the file to write, or refuse it before anything is computed."""
    path = Path(out)
    if path.suffix not in (".parquet", ".csv"):
        raise DataError(f"--out {out}: must end in .parquet or .csv")
    if "://" not in data and Path(data).exists() and path.exists() and path.samefile(data):
        raise DataError(f"--out {out}: that is the table to predict; name another file")
    if not path.absolute().parent.is_dir():
        raise DataError(f"--out {out}: there is no directory {path.parent}")
    return path


def _write(table: pa.Table, path: Path, warnings: tuple[str, ...]) -> Predicted:
    part = path.with_name(f".{path.name}.part")
    try:
        if path.suffix == ".csv":
            pyarrow.csv.write_csv(table, part)
        else:
            pyarrow.parquet.write_table(table, part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(f"--out {path}: cannot be written: {error.strerror or error}") from None
    return Predicted(table.num_rows, tuple(table.column_names), str(path), warnings)
