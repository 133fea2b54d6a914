"""Features that look only into the past of each series, made the same way in training and in forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysearch.data.grid import NUMBERS, Grid
from raysearch.data.groups import as_known, group_names
from raysearch.data.past import (
    QUANTILES,
    Floats,
    History,
    Ints,
    Rows,
    drawn_steps,
    lagged,
    window_statistics,
)
from raysearch.data.series_rows import Placed, doubled, last_of_each, place_rows, read_times
from raysearch.data.values import as_numbers, decode
from raysearch.errors import DataError, listing

STEPS = "steps ahead"
_FEW = 3  # values: a mean of more hangs less on chance
_WINDOW_WORDS = ("mean", "deviation", *(f"q{level:g}" for level in QUANTILES))


@dataclass(frozen=True)
class Series:
    """How features of the past are made; kept with the model.

    A row is forecast from ``s`` steps before it: nothing later is looked at. In training each row draws its
    own s from 1 to the horizon, which the feature "steps ahead" tells; a row without a target is forecast
    from the newest value before it. So one model forecasts all steps, the near ones from newer values, and
    scores are means over the steps. ``benchmarks/series.py`` measures what that gains over looking back from
    the horizon alone.

    Attributes:
        past: columns that are known only afterwards, as the target is: they enter by their past.
        static: columns that never change within a series: forecasts take them from its latest row.
        form, zone: how the time column is read, see ``as_times``; numbers need neither.
        names: what the made features are called, in their order.
    """

    target: str
    time: str
    group: str | None
    horizon: int
    lags: tuple[int, ...]
    windows: tuple[int, ...]
    past: tuple[str, ...]
    static: tuple[str, ...]
    grid: Grid
    form: str | None = None
    zone: str | None = None
    names: tuple[str, ...] = ()

    def extend(
        self, *tables: pa.Table, role: str = "rows to predict"
    ) -> tuple[list[pa.Table], tuple[str, ...]]:
        """Return the tables with the made features behind their columns, and warnings.

        All tables are one history; where two hold the same step of a series, the later table's value counts.

        Raises:
            DataError: a column that is needed is missing, or a step of a series stands twice in one table.
        """
        placed = self._place(tables, role)
        histories = {name: self._history(name, tables, placed) for name in (self.target, *self.past)}
        extended, notes = [], []
        for table, part in zip(tables, placed, strict=True):
            known = ~np.isnan(_numbers(table, self.target)[part.at])
            self._check_doubled(table, part, known, role)
            newest = histories[self.target].latest(part.rows.codes, part.rows.index)
            steps = np.where(known, drawn_steps(part.rows, part.names, self.horizon), newest)
            notes += self._beyond(steps)
            cells = self.make(histories, part.rows, steps)
            extended.append(_appended(table, self.names, cells, part.at))
        return extended, tuple(notes)

    def make(self, histories: Mapping[str, History], rows: Rows, steps: Ints) -> list[Floats]:
        """Return the features called ``names`` [rows] of rows that are forecast ``steps`` before them.

        Rows of 0 steps have no past: all is missing.
        """
        at = np.where(steps > 0, steps, np.int64(1))
        cells: list[Floats] = []
        for column in (self.target, *self.past):
            history = histories[column]
            for lag in self.lags:
                both = lagged(history, rows, at, lag)
                cells += both if lag > 1 else both[:1]
            statistics = window_statistics(history, rows, at, self.windows)
            cells += statistics if column == self.target else statistics[:: len(_WINDOW_WORDS)]
        if self.horizon > 1:
            cells.append(at.astype(np.float64))
        for cell in cells:
            cell[steps <= 0] = np.nan
        return cells

    def histories(self, table: pa.Table, placed: Placed) -> dict[str, History]:
        """Return what is known of the target and of the columns of the past in one table."""
        return {name: self._history(name, [table], [placed]) for name in (self.target, *self.past)}

    def place(self, table: pa.Table, role: str, *, needs_target: bool = True) -> Placed:
        """Return where the rows of one table lie; those without a time lie nowhere."""
        return self._place([table], role, needs_target=needs_target)[0]

    def checked(self, table: pa.Table, role: str) -> Placed:
        """Return where the rows of a history lie.

        Raises:
            DataError: a column that is needed is missing, or a step of a series stands twice.
        """
        placed = self.place(table, role)
        self._check_doubled(table, placed, ~np.isnan(_numbers(table, self.target)[placed.at]), role)
        return placed

    @property
    def base(self) -> str:
        """The feature that the target's change is told from: the newest mean of one season."""
        seasons = [length for length in self.windows if length in self.lags]
        longer = [length for length in self.windows if length > _FEW]
        length = min(seasons or longer or self.windows)
        at = len(self.lags) + sum(lag > 1 for lag in self.lags)  # behind the target's lags
        return self.names[at + self.windows.index(length) * len(_WINDOW_WORDS)]

    @property
    def told(self) -> str:
        """What was found and chosen, in words."""
        lags, windows = (", ".join(map(str, values)) for values in (self.lags, self.windows))
        return (
            f"series: a step is {self.grid.word}; forecasts of 1 to {self.horizon} steps ahead "
            f"from lags {lags} and windows {windows}"
        )

    def times_a_step(self, table: pa.Table) -> int:
        """Return how many different times a step has at most, where groups' clocks differ; else 1."""
        placed = self.place(table, "data")
        moments = np.unique(placed.times, return_inverse=True)[1]
        steps = np.unique(np.stack([placed.rows.index, moments]), axis=1)[0]
        return int(np.unique(steps, return_counts=True)[1].max(initial=1))

    def to_json(self) -> dict[str, Any]:
        """Return plain types, fit for JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Series:
        """Rebuild what ``to_json`` returned."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
        return cls(**{**values, "grid": Grid(**plain["grid"])})

    @property
    def input_columns(self) -> dict[str, str]:
        """The columns that the made features need, with what a service should be sent."""
        kinds = {self.time: "double" if self.grid.unit == NUMBERS else "datetime"}
        kinds |= dict.fromkeys((self.target, *self.past), "double")
        return kinds | ({self.group: "string"} if self.group else {})

    def _place(self, tables: Sequence[pa.Table], role: str, *, needs_target: bool = True) -> list[Placed]:
        needed = [*[self.target] * needs_target, self.time, *([self.group] if self.group else [])]
        for table in tables:
            absent = [name for name in needed if name not in table.column_names]
            if absent:
                raise DataError(
                    f"{role}: columns {listing(absent)} are missing; the model looks at the past of "
                    f"{self.target!r}, so bring the rows before those to predict, with these columns "
                    f"(columns: {listing(table.column_names)})"
                )
        times = [
            read_times(table, self.time, self.grid.unit == NUMBERS, self.form, self.zone) for table in tables
        ]
        if self.group is None:
            return place_rows(times, [None] * len(tables), self.grid)
        groups = [group_names(table, self.group) for table in tables]
        return place_rows(times, [groups[0], *(as_known(own, groups[0]) for own in groups[1:])], self.grid)

    def _history(self, name: str, tables: Sequence[pa.Table], placed: Sequence[Placed]) -> History:
        values = [_numbers(table, name)[part.at] for table, part in zip(tables, placed, strict=True)]
        codes = np.concatenate([part.rows.codes for part in placed])
        index = np.concatenate([part.rows.index for part in placed])
        cells = np.concatenate(values)
        kept = last_of_each(codes, index, ~np.isnan(cells))
        return History(Rows(codes[kept], index[kept]), cells[kept])

    def _check_doubled(
        self, table: pa.Table, placed: Placed, known: npt.NDArray[np.bool_], role: str
    ) -> None:
        told = doubled(Rows(placed.rows.codes[known], placed.rows.index[known]))
        if told is None:
            return
        first, second = (int(placed.at[known][i]) for i in told)
        series = (
            f" of {self.group} {str(placed.names[placed.rows.codes[known][told[0]]])!r}" if self.group else ""
        )
        when = table.column(self.time)[second].as_py()
        raise DataError(
            f"{role}: rows {first + 1} and {second + 1}{series} have the same time {when} (a step is "
            f"{self.grid.word}): leave one out or add them up, name the column that tells series apart with "
            "--group, or write times with their offset where a clock is put back"
        )

    def _beyond(self, steps: Ints) -> list[str]:
        far, lost = int((steps > self.horizon).sum()), int((steps <= 0).sum())
        told = []
        if far:
            told.append(
                f"{far:,} rows lie more than {self.horizon} steps ({self.grid.word} each) behind the newest "
                f"value of {self.target!r}, further than the model has learnt to look"
            )
        if lost:
            told.append(
                f"{lost:,} rows have no value of {self.target!r} before them: nothing is known of them"
            )
        return told


def feature_names(series: Series, taken: Sequence[str]) -> tuple[str, ...]:
    """Return what the made features are called; none like a column that the table has already."""
    names: list[str] = []
    for column in (series.target, *series.past):
        for lag in series.lags:
            names.append(f"{column} lag {lag}")
            if lag > 1:
                names.append(f"{column} mean of lags {lag}")
        words = _WINDOW_WORDS if column == series.target else _WINDOW_WORDS[:1]
        names += [f"{column} {word} of last {length}" for length in series.windows for word in words]
    if series.horizon > 1:
        names.append(STEPS)
    told: list[str] = []
    for name in names:
        while name in taken or name in told:
            name += " (made)"
        told.append(name)
    return tuple(told)


def _numbers(table: pa.Table, column: str) -> Floats:
    """Return [rows] float64; NaN where the column is missing or holds no finite number."""
    if column not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return np.asarray(as_numbers(decode(table.column(column))).values, dtype=np.float64)


def _appended(table: pa.Table, names: Sequence[str], cells: Sequence[Floats], at: Ints) -> pa.Table:
    for name, cell in zip(names, cells, strict=True):
        whole = np.full(table.num_rows, np.nan)
        whole[at] = cell
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, pa.array(whole))
    return table
