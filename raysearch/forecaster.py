"""What a user keeps: boosters, encoding and transformation together, from a table to ordered quantiles.

Stored as the libraries' own files and JSON; nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from raysearch.calibration import KINDS, Calibrator, Groups, calibrate, shortages
from raysearch.data import Encoder, Transform, read_table
from raysearch.data.encode import ABSENT
from raysearch.data.series import Series
from raysearch.data.series_ahead import FUTURE, HISTORY, rows_ahead
from raysearch.errors import DataError, listing
from raysearch.forecaster_files import Member, damaged, read_directory, read_members, write_directory
from raysearch.forecaster_rows import anchor_of, groups_of, target_of, weights_of
from raysearch.metrics import Array, level_name
from raysearch.models import Frame, get_model, located_importance

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Forecaster", "Member", "level_name", "load_forecaster"]


@dataclass(frozen=True)
class Forecaster:
    """Predicts every level at once, in order, on the target's original scale.

    Attributes:
        levels: the quantile levels, rising.
        calibrator: shifts the members' mean quantiles so that they cover what they claim, and orders them.
        group: column that the calibrator tells rows by; None where it does not.
        weight: column of row weights, which only ``recalibrate`` reads; None where there is none.
        about: where it comes from: study, trial, parameters, rows it was fitted on, versions.
        series: how features of the past are made; None where there are none.
    """

    target: str
    levels: tuple[float, ...]
    members: tuple[Member, ...]
    encoder: Encoder
    transform: Transform
    calibrator: Calibrator
    group: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    weight: str | None = None
    series: Series | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the predicted columns, e.g. ("q0.05", "q0.5", "q0.95")."""
        return tuple(level_name(level) for level in self.levels)

    def predict(self, data: Any) -> pd.DataFrame:
        """Predict the quantiles of every row.

        Args:
            data: a path or address, a pandas or polars DataFrame, or an Arrow table with the columns that the
                model was trained on. A column that is missing counts as missing values, with a warning; so do
                categories never seen and values of the wrong kind. Columns not known are ignored. A model of
                series needs their past among the rows, with target, time and group: a row without a target is
                forecast from the newest value before it, one with a target as in training, from so many steps
                before it as it draws.

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

    def forecast(self, history: Any, steps: int | None = None, future: Any = None) -> pd.DataFrame:
        """Forecast the next steps of each series, from its latest row that has a target.

        Args:
            history: a path, DataFrame or Arrow table with time, target and group, as far back as lags and
                windows reach.
            steps: how many; None: the horizon that the model was made for.
            future: a table with time, group and the columns that are known in advance. Without it those that
                never change within a group are taken from its latest row; others are missing, with a warning.

        Returns:
            A DataFrame with group (where there is one), time and one column a level, ``steps`` rows a group.

        Raises:
            DataError: the model was made without a horizon, or the history cannot be used.
        """
        import warnings

        frame, notes = self.ahead(
            read_table(history, role=HISTORY, least_columns=1),
            steps,
            None if future is None else read_table(future, role=FUTURE, least_columns=1),
        )
        for note in notes:
            warnings.warn(note, UserWarning, stacklevel=2)
        return frame

    def ahead(
        self, history: pa.Table, steps: int | None, future: pa.Table | None
    ) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """Return what ``forecast`` does, and its warnings."""
        import pandas as pd

        if self.series is None:
            raise DataError("forecast: the model was made without --horizon; ask it with predict")
        steps = self.series.horizon if steps is None else steps
        if not 1 <= steps <= self.series.horizon:
            raise DataError(
                f"forecast: got {steps} steps, must be from 1 to {self.series.horizon}, the model's horizon"
            )
        columns = [*self.encoder.columns, *([self.transform.anchor] if self.transform.anchor else [])]
        rows = rows_ahead(self.series, history, steps, future, columns)
        quantiles, notes = self._finished(rows.table, rows.table)
        frame = pd.DataFrame(quantiles, columns=list(self.columns))
        frame.insert(0, self.series.time, rows.times)
        if self.series.group is not None:
            frame.insert(0, self.series.group, rows.groups.to_pandas())
        # What the rows lack was told already, in better words.
        return frame, (*rows.notes, *(note for note in notes if not note.startswith(ABSENT)))

    def quantiles(self, table: pa.Table) -> tuple[Array, tuple[str, ...]]:
        """Return ordered quantiles [rows, levels] in units of the target, and warnings about the table."""
        extended, told = self._with_past(table)
        quantiles, notes = self._finished(table, extended)
        return quantiles, (*told, *notes)

    def _finished(self, table: pa.Table, extended: pa.Table) -> tuple[Array, tuple[str, ...]]:
        raw, anchor, notes = self._raw_of(table, extended)
        groups, told = groups_of(table, self.group, self.calibrator)
        return self.finish(raw, anchor, groups), (*notes, *told)

    def _with_past(self, table: pa.Table) -> tuple[pa.Table, tuple[str, ...]]:
        if self.series is None:
            return table, ()
        tables, notes = self.series.extend(table)
        return tables[0], notes

    def raw(self, frame: Frame) -> Array:
        """Return what the members say of encoded rows, [rows, levels]: on their scale, not calibrated."""
        told = [predict(frame) for predict in self._predictors]
        if len(told) == 1:  # its own mean
            return np.asarray(told[0], dtype=np.float64)
        return np.asarray(np.average(told, axis=0, weights=[member.weight for member in self.members]))

    def finish(self, raw: Array, anchor: Array | None, groups: Groups | None = None) -> Array:
        """Return ``raw`` as users get it, [rows, levels]: calibrated, in order, in units of the target."""
        calibrated = self.calibrator.apply(raw, groups)
        return self.transform.inverse(self.transform.restore(calibrated), anchor)

    def recalibrate(self, data: Any, kind: str | None = None) -> Forecaster:
        """Return this forecaster calibrated by other rows; no model is trained.

        Args:
            data: rows with the target, as for ``predict``, that the models were not fitted on; for kinds
                "steady", "width" and "time" in order of time.
            kind: "marginal", "steady", "width", "group", "time" or "none"; None: as this forecaster is.

        Raises:
            DataError: when the table cannot be read, no row has a target, or it needs groups and has none.
        """
        import warnings

        table = read_table(data, role="calibration rows", least_columns=1)
        raw, anchor, _ = self._raw_of(table, self._with_past(table)[0])
        y = target_of(table, self.target)
        z = self.transform.standardise(self.transform.forward(y, anchor))
        known = np.isfinite(z) & np.isfinite(raw).all(axis=1)
        if not known.any():
            raise DataError(f"calibration rows: no row has a value of {self.target!r} that can be used")
        kind = kind or self.calibrator.kind
        if kind not in KINDS:
            raise DataError(f"calibration: got {kind!r}, must be one of {listing(KINDS)}")
        groups = groups_of(table, self.group, self.calibrator, asked=True)[0] if kind == "group" else None
        if kind == "group" and groups is None:
            why = f"column {self.group!r} is missing" if self.group else "the model knows of no groups"
            raise DataError(f"calibration rows: {why}; kind='marginal' needs none")
        weights = weights_of(table, self.weight, known)
        if weights is not None:  # rows that do not count say nothing
            counts = weights > 0
            known[known], weights = counts, weights[counts]
        own = groups[known] if groups is not None else None
        learnt = calibrate(kind, z[known], raw[known], self.levels, own, weights)
        for told in shortages(learnt, self.levels):
            warnings.warn(told, UserWarning, stacklevel=2)
        return replace(self, calibrator=learnt)

    def _raw_of(self, table: pa.Table, extended: pa.Table) -> tuple[Array, Array | None, tuple[str, ...]]:
        encoded = self.encoder.transform(extended)
        anchor, notes = anchor_of(extended, self.transform)
        raw = self.raw(Frame(encoded.features, self.encoder.categorical))
        return raw, anchor, (*encoded.warnings, *notes)

    def _made(self, name: str) -> bool:
        return self.series is not None and name in self.series.names

    @cached_property
    def _predictors(self) -> tuple[Callable[[Frame], Array], ...]:
        return tuple(member.predictor(self.levels) for member in self.members)

    @property
    def input_columns(self) -> Mapping[str, str]:
        """The columns that ``predict`` reads, with their kind: double, string, boolean or datetime."""
        columns = dict(self.encoder.input_kinds)
        if self.series is not None:
            columns = {name: kind for name, kind in columns.items() if name not in self.series.names}
            columns = {**self.series.input_columns, **columns}
        if self.transform.anchor is not None and not self._made(self.transform.anchor):
            columns[self.transform.anchor] = "double"
        if self.group is not None:
            columns.setdefault(self.group, "string")
        return columns

    def feature_importance(self) -> dict[str, float]:
        """Return each feature's share of the total gain, largest first.

        They sum to 1, or are all 0 where no tree has a split.
        """
        names = self.encoder.names
        total: Array = np.zeros(len(names))
        for member in self.members:
            gain = located_importance(get_model(member.model), member.files, len(names))
            total += member.weight * gain
        shares = total / total.sum() if total.sum() > 0 else total
        order = np.argsort(-shares, kind="stable")
        return {names[i]: float(shares[i]) for i in order}

    def save(self, path: str | Path) -> Path:
        """Write the forecaster to the directory ``path``, replacing one that is there, and return it.

        Whoever loads it meanwhile, or after a crash, finds the old one or the new one, whole.

        Raises:
            StudyError: when something else is there: it is never deleted.
        """
        content = {
            "target": self.target,
            "levels": list(self.levels),
            "transform": self.transform.to_json(),
            "encoder": self.encoder.to_json(),
            "calibrator": self.calibrator.to_json(),
            "group": self.group,
            "weight": self.weight,
            "about": dict(self.about),
            **({} if self.series is None else {"series": self.series.to_json()}),
        }
        return write_directory(path, content, self.members)


def load_forecaster(path: str | Path) -> Forecaster:
    """Read a forecaster from a directory that ``Forecaster.save`` wrote, e.g. ``studies/NAME/model``.

    Raises:
        StudyError: when there is none, it is damaged, or it is of a newer format.
    """
    path, content = read_directory(path)
    try:
        return Forecaster(
            target=content["target"],
            levels=tuple(content["levels"]),
            members=read_members(path, content["members"]),
            encoder=Encoder.from_json(content["encoder"]),
            transform=Transform.from_json(content["transform"]),
            calibrator=Calibrator.from_json(content["calibrator"]),
            group=content["group"],
            weight=content.get("weight"),  # older models have none
            about=content["about"],
            series=Series.from_json(content["series"]) if "series" in content else None,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise damaged(path, error) from None
