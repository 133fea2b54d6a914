"""What a user keeps: boosters, encoding and transformation together, from a table to ordered quantiles.

Stored as the libraries' own files and JSON; nothing is pickled.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from raysearch.data import Encoder, Transform, read_table
from raysearch.errors import DataError, StudyError, listing
from raysearch.metrics import Array
from raysearch.models import MODEL_NAMES, Frame, get_model

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
_FILE = "forecaster.json"


@dataclass(frozen=True)
class Member:
    """One trained model: its library and its files in the library's own format."""

    model: str
    files: Mapping[str, bytes]


def level_name(level: float) -> str:
    """Return the column of a level: 0.05 -> "q0.05"."""
    return f"q{level:.10g}"


@dataclass(frozen=True)
class Forecaster:
    """Predicts every level at once, in order, on the target's original scale.

    Attributes:
        levels: the quantile levels, rising.
        about: where it comes from: study, trial, parameters, rows it was fitted on, versions.
    """

    target: str
    levels: tuple[float, ...]
    members: tuple[Member, ...]
    encoder: Encoder
    transform: Transform
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the predicted columns, e.g. ("q0.05", "q0.5", "q0.95")."""
        return tuple(level_name(level) for level in self.levels)

    def predict(self, data: Any) -> pd.DataFrame:
        """Predict the quantiles of every row.

        Args:
            data: a path or address, a pandas or polars DataFrame, or an Arrow table with the columns that the
                model was trained on. A column that is missing counts as missing values, with a warning; so do
                categories never seen and values of the wrong kind. Columns not known are ignored.

        Returns:
            A DataFrame with one row for each row given (with its index, where ``data`` is a DataFrame) and one
            column a level, in units of the target, never decreasing from left to right.

        Raises:
            DataError: when the table cannot be read or has none of the columns.
        """
        import warnings

        import pandas as pd

        table = read_table(data, role="rows to predict")
        quantiles, notes = self.quantiles(table)
        for note in notes:
            warnings.warn(note, UserWarning, stacklevel=2)
        index = data.index if isinstance(data, pd.DataFrame) else None
        return pd.DataFrame(quantiles, columns=list(self.columns), index=index)

    def quantiles(self, table: pa.Table) -> tuple[Array, tuple[str, ...]]:
        """Return ordered quantiles [rows, levels] in units of the target, and warnings about the table."""
        encoded = self.encoder.transform(table)
        frame = Frame(encoded.features, self.encoder.categorical)
        return np.sort(self.raw(frame, self._anchor(table)), axis=1), encoded.warnings

    def raw(self, frame: Frame, anchor: Array | None) -> Array:
        """Return quantiles [rows, levels] of encoded rows in units of the target, not yet put in order."""
        modelled: Array = np.mean([predict(frame) for predict in self._predictors], axis=0)
        return self.transform.inverse(modelled, anchor)

    def _anchor(self, table: pa.Table) -> Array | None:
        name = self.transform.anchor
        if name is None:
            return None
        if name not in table.column_names:
            raise DataError(
                f"rows to predict: column {name!r} is missing; the model predicts growth relative to it "
                f"(columns: {listing(table.column_names)})"
            )
        try:
            return np.asarray(table[name].cast(pa.float64()).to_numpy(), dtype=np.float64)
        except pa.ArrowInvalid:
            raise DataError(f"rows to predict: column {name!r} must hold numbers, got {table[name].type}") from None

    @cached_property
    def _predictors(self) -> tuple[Callable[[Frame], Array], ...]:
        return tuple(get_model(member.model).load(member.files, self.levels) for member in self.members)

    @property
    def input_columns(self) -> Mapping[str, str]:
        """The columns that ``predict`` reads, with their kind: double, string, boolean or datetime."""
        columns = dict(self.encoder.input_kinds)
        if self.transform.anchor is not None:
            columns[self.transform.anchor] = "double"
        return columns

    def feature_importance(self) -> dict[str, float]:
        """Return each feature's share of the total gain, largest first; they sum to 1."""
        names = self.encoder.names
        total: Array = np.zeros(len(names))
        for member in self.members:
            gain = get_model(member.model).importance(member.files, len(names))
            total += gain / gain.sum() if gain.sum() > 0 else 0.0
        shares = total / total.sum() if total.sum() > 0 else total
        order = np.argsort(-shares, kind="stable")
        return {names[i]: float(shares[i]) for i in order}

    def save(self, path: str | Path) -> Path:
        """Write the forecaster to the directory ``path``, replacing one that is there, and return it."""
        path = Path(path)
        part, old = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.old")
        for leftover in (part, old):
            shutil.rmtree(leftover, ignore_errors=True)
        part.mkdir(parents=True)
        listed = []
        for i, member in enumerate(self.members):
            directory = part / "members" / f"{i:03d}"
            directory.mkdir(parents=True)
            for name, content in member.files.items():
                (directory / name).write_bytes(content)
            listed.append({"model": member.model, "files": sorted(member.files)})
        content = {
            "format": FORMAT,
            "target": self.target,
            "levels": list(self.levels),
            "transform": self.transform.to_json(),
            "encoder": self.encoder.to_json(),
            "members": listed,
            "about": dict(self.about),
        }
        text = json.dumps(content, indent=1, ensure_ascii=False, default=str)
        (part / _FILE).write_text(text, encoding="utf-8")
        if path.exists():
            os.replace(path, old)
        os.replace(part, path)
        shutil.rmtree(old, ignore_errors=True)
        return path


def load_forecaster(path: str | Path) -> Forecaster:
    """Read a forecaster from a directory that ``Forecaster.save`` wrote, e.g. ``studies/NAME/model``.

    Raises:
        StudyError: when there is none, or it is of a newer format.
    """
    path = Path(path)
    try:
        content = json.loads((path / _FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(f"no forecaster in {path}: {_FILE} is not there") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise StudyError(f"the forecaster in {path} is damaged: {_FILE} is not valid JSON") from None
    if content.get("format", 0) > FORMAT:
        raise StudyError(f"the forecaster in {path} was written by a newer raysearch; update this one")
    return Forecaster(
        target=content["target"],
        levels=tuple(content["levels"]),
        members=tuple(_read_member(path, i, entry) for i, entry in enumerate(content["members"])),
        encoder=Encoder.from_json(content["encoder"]),
        transform=Transform.from_json(content["transform"]),
        about=content["about"],
    )


def _read_member(path: Path, position: int, entry: Mapping[str, Any]) -> Member:
    if entry["model"] not in MODEL_NAMES:
        raise StudyError(f"the forecaster in {path} holds a model {entry['model']!r}, which is not known here")
    directory = path / "members" / f"{position:03d}"
    # Names come from a file that a user may have been handed: they must not lead out of the directory.
    files = {name: (directory / Path(name).name).read_bytes() for name in entry["files"]}
    return Member(entry["model"], files)
