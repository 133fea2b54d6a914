"""What a user keeps: boosters, encoding and transformation together, from a table to ordered quantiles.

Stored as the libraries' own files and JSON; nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from raysearch.data import Encoder, Transform, read_table
from raysearch.data.values import as_numbers, decode, kind_of
from raysearch.errors import DataError, NoForecasterError, StudyError, listing
from raysearch.metrics import Array, level_name
from raysearch.models import MODEL_NAMES, Frame, get_model

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Forecaster", "Member", "level_name", "load_forecaster"]

FORMAT = 1
_FILE = "forecaster.json"


@dataclass(frozen=True)
class Member:
    """One trained model: its library and its files in the library's own format."""

    model: str
    files: Mapping[str, bytes]


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
            A DataFrame with one row for each row given (with its index, where ``data`` is a DataFrame), and
            one column a level, in units of the target, never decreasing from left to right.

        Raises:
            DataError: when the table cannot be read or has none of the columns.
        """
        import warnings

        import pandas as pd

        index = data.index if isinstance(data, pd.DataFrame) else None
        table = read_table(data, role="rows to predict", least_columns=1, least_rows=0)
        quantiles, notes = self.quantiles(table)
        for note in notes:
            warnings.warn(note, UserWarning, stacklevel=2)
        return pd.DataFrame(quantiles, columns=list(self.columns), index=index)

    def quantiles(self, table: pa.Table) -> tuple[Array, tuple[str, ...]]:
        """Return ordered quantiles [rows, levels] in units of the target, and warnings about the table."""
        encoded = self.encoder.transform(table)
        frame = Frame(encoded.features, self.encoder.categorical)
        anchor, notes = self._anchor(table)
        return np.sort(self.raw(frame, anchor), axis=1), (*encoded.warnings, *notes)

    def raw(self, frame: Frame, anchor: Array | None) -> Array:
        """Return quantiles [rows, levels] of encoded rows in units of the target, not yet put in order."""
        modelled: Array = np.mean([predict(frame) for predict in self._predictors], axis=0)
        return self.transform.inverse(self.transform.restore(modelled), anchor)

    def _anchor(self, table: pa.Table) -> tuple[Array | None, tuple[str, ...]]:
        """Return the anchor [rows], NaN where growth cannot be relative to it, and a warning on such rows."""
        name = self.transform.anchor
        if name is None:
            return None, ()
        at = table.schema.get_all_field_indices(name)
        if not at:
            raise DataError(
                f"rows to predict: column {name!r} is missing; the model predicts growth relative to it "
                f"(columns: {listing(table.column_names)})"
            )
        array = decode(table.column(at[0]))
        kind = kind_of(array.type)
        read = as_numbers(array)
        if kind not in ("number", "boolean", "category", "empty") or (kind == "category" and read.failed):
            raise DataError(f"rows to predict: column {name!r} must hold numbers, got {array.type}")
        values = np.array(read.values, dtype=np.float64)
        unusable = ~(np.isfinite(values) & (values > 0))
        values[unusable] = np.nan
        told = (
            f"{name!r}: {int(unusable.sum()):,} values are missing or not above 0; no forecast for their rows"
        )
        return values, (told,) if unusable.any() else ()

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
        """Return each feature's share of the total gain, largest first.

        They sum to 1, or are all 0 where no tree has a split.
        """
        names = self.encoder.names
        total: Array = np.zeros(len(names))
        for member in self.members:
            gain = get_model(member.model).importance(member.files, len(names))
            total += gain / gain.sum() if gain.sum() > 0 else 0.0
        shares = total / total.sum() if total.sum() > 0 else total
        order = np.argsort(-shares, kind="stable")
        return {names[i]: float(shares[i]) for i in order}

    def save(self, path: str | Path) -> Path:
        """Write the forecaster to the directory ``path``, replacing one that is there, and return it.

        Whoever loads it meanwhile, or after a crash, finds the old one or the new one, whole.

        Raises:
            StudyError: when something else is there: it is never deleted.
        """
        path = Path(path).absolute()
        part, old = _beside(path)
        if path.is_file() or (path.is_dir() and any(path.iterdir()) and not (path / _FILE).is_file()):
            raise StudyError(
                f"{path} is there and is no forecaster; name another directory, or remove it first"
            )
        if old.exists() and not path.exists():
            old.replace(path)  # a crash came between the two moves below
        for leftover in (part, old):
            shutil.rmtree(leftover, ignore_errors=True)
        part.mkdir(parents=True)
        listed = []
        for i, member in enumerate(self.members):
            directory = part / "members" / f"{i:03d}"
            directory.mkdir(parents=True)
            for name, content in member.files.items():
                (directory / name).write_bytes(content)
            digests = {name: _digest(member.files[name]) for name in sorted(member.files)}
            listed.append({"model": member.model, "files": digests})
        self._write_about(part / _FILE, listed)
        if path.exists():
            path.replace(old)
        part.replace(path)
        shutil.rmtree(old, ignore_errors=True)
        return path

    def _write_about(self, file: Path, members: Sequence[Mapping[str, Any]]) -> None:
        content = {
            "format": FORMAT,
            "target": self.target,
            "levels": list(self.levels),
            "transform": self.transform.to_json(),
            "encoder": self.encoder.to_json(),
            "members": members,
            "about": dict(self.about),
        }
        text = json.dumps(content, indent=1, ensure_ascii=False, default=str)
        file.write_text(text, encoding="utf-8")


def _beside(path: Path) -> tuple[Path, Path]:
    """Return where a new forecaster is written, and where the old one waits until the new one is in place."""
    return path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.old")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def load_forecaster(path: str | Path) -> Forecaster:
    """Read a forecaster from a directory that ``Forecaster.save`` wrote, e.g. ``studies/NAME/model``.

    Raises:
        StudyError: when there is none, it is damaged, or it is of a newer format.
    """
    path = Path(path).absolute()
    old = _beside(path)[1]
    if not path.exists() and (old / _FILE).is_file():
        path = old  # a crash came while a new one was put in its place
    try:
        text = (path / _FILE).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise NoForecasterError(f"no forecaster in {path}: {_FILE} is not there") from None
    except UnicodeDecodeError:
        raise StudyError(f"the forecaster in {path} is damaged: {_FILE} is not valid JSON") from None
    except OSError as error:
        raise StudyError(f"the forecaster in {path} cannot be read: {error.strerror or error}") from None
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise StudyError(f"the forecaster in {path} is damaged: {_FILE} is not valid JSON") from None
    try:
        if content["format"] > FORMAT:
            raise StudyError(f"the forecaster in {path} was written by a newer raysearch; update this one")
        return Forecaster(
            target=content["target"],
            levels=tuple(content["levels"]),
            members=tuple(_read_member(path, i, entry) for i, entry in enumerate(content["members"])),
            encoder=Encoder.from_json(content["encoder"]),
            transform=Transform.from_json(content["transform"]),
            about=content["about"],
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        told = f"{type(error).__name__}: {error}"
        raise StudyError(
            f"the forecaster in {path} is damaged: {_FILE} lacks what belongs there ({told})"
        ) from None


def _read_member(path: Path, position: int, entry: Mapping[str, Any]) -> Member:
    if entry["model"] not in MODEL_NAMES:
        raise StudyError(
            f"the forecaster in {path} holds a model {entry['model']!r}, which is not known here"
        )
    files = {}
    for name, digest in entry["files"].items():
        # Names come from a file that a user may have been handed: they must not lead out of the directory.
        if name != Path(name).name or name in ("", ".", "..") or "\\" in name:
            raise StudyError(
                f"the forecaster in {path} names a file {name!r}, which leads out of its directory"
            )
        file = path / "members" / f"{position:03d}" / name
        try:
            files[name] = file.read_bytes()
        except OSError as error:
            raise StudyError(
                f"the forecaster in {path} is damaged: {file}: {error.strerror or error}"
            ) from None
        # LightGBM ends the whole process on a file that was cut off; so none is handed to it.
        if _digest(files[name]) != digest:
            raise StudyError(f"the forecaster in {path} is damaged: {file} is not what was saved")
    return Member(entry["model"], files)
