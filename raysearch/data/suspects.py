"""What in a table may give the answer away, or make the test say too much: each suspect with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from raysearch.data.suspects_parts import shift, twins
from raysearch.data.suspects_steps import steps_of_target, target_to_come
from raysearch.data.suspects_target import LEAST_ROWS, Column, Goal, near_target
from raysearch.data.values import Floats, as_times, decode
from raysearch.errors import DataError, Problems

if TYPE_CHECKING:
    from raysearch.config import DataConfig
    from raysearch.data.prepare import Dataset

_MOST_ROWS = 50_000  # rows that evidence is taken from; more would change no verdict, only take longer
_FIRST_LOOK = 1_000
_NEARLY, _EXACTLY = 0.999, 1 - 1e-9
_MOSTLY = 0.5
_UNITS = (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))


@dataclass(frozen=True)
class Suspect:
    """One thing that deserves a look.

    Attributes:
        text: what it is, its evidence and what to do.
        refused: whether data.strict makes an error of it.
    """

    text: str
    refused: bool = True


def find_suspects(
    dataset: Dataset, given: pa.Table, data: DataConfig, *, by_group: bool = False
) -> list[Suspect]:
    """Look for features that give the target away, future dates, ids, shared rows and shifts.

    Features are judged by training rows, row numbers by those of validation too. Test rows are compared with
    the others for these words, and for nothing else.

    Args:
        given: the user's table.
        by_group: no group is in two parts, so that the group column differs from part to part.
    """
    train, seen = dataset.parts["train"][1], dataset.parts["valid"][1]
    rows = np.random.default_rng(0).permutation(train)[:_MOST_ROWS]
    numbers, calendar = _columns(dataset, given, rows)
    # A smooth series resembles its own past, and features made of that are known beforehand.
    numbers = [column for column in numbers if column.name not in _made(dataset)]
    told = [
        Suspect(text) for text in near_target([*numbers, *calendar], _goals(dataset, str(data.target), rows))
    ]
    told += [Suspect(text) for text in _in_steps(dataset, str(data.target), (rows, numbers), told)]
    if data.time is not None:
        first = np.arange(min(train, _MOST_ROWS))  # in a split by time they follow each other
        goal = Goal(str(data.target), dataset.table["target"].to_numpy()[first], _NEARLY)
        ahead = target_to_come(_columns(dataset, given, first)[0], goal, _next_rows(dataset, first))
        told += [Suspect(text) for text in ahead]
    if data.time is not None and dataset.times.dtype.kind == "M":
        # Planned dates (of a delivery, of an exam) are known beforehand, and only the user can tell which
        # ones are planned: it is a question, and questions refuse nothing.
        now = Column(data.time, _since_1970(dataset.times[rows]), "date")
        told += [Suspect(text, refused=False) for text in _future(now, calendar)]
    told += [Suspect(text) for text in _numbering(dataset, seen, given.num_rows)]
    cells = dataset.table.select([*dataset.encoder.features, "target"])
    known, unseen = cells.slice(0, seen), cells.slice(seen)
    told += [Suspect(text) for text in twins(known, unseen)]
    # Most tables drift, and no setting makes them stop: that is no leak, so it refuses nothing.
    left_out = _made(dataset) | ({data.group} if by_group and data.group else set())
    told += [Suspect(text, refused=False) for text in shift(dataset.encoder, known, unseen, left_out)]
    return told


def _in_steps(
    dataset: Dataset, target: str, looked_at: tuple[Any, list[Column]], told: Sequence[Suspect]
) -> list[str]:
    """Tell of what holds the target in steps and has not been told of."""
    rows, numbers = looked_at
    cells = dataset.table.column
    at, categories = 0, []
    for plan in dataset.encoder.plans:
        if plan.kind == "category":
            categories.append(Column(plan.column, cells(at).to_numpy()[rows].astype(np.float64), plan.kind))
        at += len(plan.names)
    known = [suspect.text for suspect in told]
    rest = [
        column
        for column in (*numbers, *categories)
        if not any(text.startswith(f"{column.name!r} ") for text in known)
    ]
    goal = Goal(target, cells("target").to_numpy()[rows], _NEARLY)
    return steps_of_target(rest, goal)


def _next_rows(dataset: Dataset, rows: Any) -> Any:
    """Return, for some rows, where among them the next in time of the same group is; -1: there is none."""
    times = dataset.times[rows]
    groups = np.zeros(len(rows), dtype=np.int64)
    if dataset.groups is not None:
        groups = np.unique(dataset.groups[rows], return_inverse=True)[1]
    order = np.lexsort((dataset.positions[rows], times, groups))
    following = np.full(len(rows), -1)
    same = groups[order[1:]] == groups[order[:-1]]
    following[order[:-1][same]] = order[1:][same]
    return following


def _made(dataset: Dataset) -> frozenset[str]:
    """Return the features that raysearch made of the past."""
    return frozenset(dataset.series.names if dataset.series is not None else ())


def refuse(suspects: Sequence[Suspect]) -> None:
    """Raise all suspects that are more than a question.

    Raises:
        DataError: with all of them at once.
    """
    problems = Problems("data (strict)")
    for suspect in suspects:
        if suspect.refused:
            problems.add(suspect.text)
    problems.raise_as(DataError)


def _goals(dataset: Dataset, target: str, rows: Any) -> list[Goal]:
    y = dataset.table["target"].to_numpy()[rows]
    if dataset.transform.anchor is None:
        return [Goal(target, y, _NEARLY)]
    growth = dataset.transform.forward(y, dataset.table["anchor"].to_numpy()[rows])
    # A level may follow its anchor closely and yet tell nothing of the growth; only a copy gives it away.
    # A mean of the past is no column of the user's: what follows the level closely knows more than that.
    least = _NEARLY if dataset.transform.anchor in _made(dataset) else _EXACTLY
    return [Goal(dataset.transform.name(target), growth, _NEARLY), Goal(target, y, least)]


def _columns(dataset: Dataset, given: pa.Table, rows: Any) -> tuple[list[Column], list[Column]]:
    """Return numbers, truths and durations, then dates (in seconds since 1970), each [sampled rows]."""
    numbers, calendar = [], []
    at = 0
    for plan in dataset.encoder.plans:
        if plan.kind == "date":
            texts = decode(given.column(plan.column).take(pa.array(dataset.positions[rows])))
            # Without the plan's zone: columns are compared with each other, so they are wanted as instants.
            times = as_times(texts, plan.form, None).values
            calendar.append(Column(plan.column, _since_1970(times), plan.kind))
        elif plan.kind != "category":
            cells = dataset.table.column(at).to_numpy()[rows]
            numbers.append(Column(plan.column, cells.astype(np.float64), plan.kind))
        at += len(plan.names)
    return numbers, calendar


def _since_1970(times: Any) -> Floats:
    seconds = times.astype("datetime64[us]").astype(np.int64) / 1e6
    return np.where(np.isnat(times), np.nan, seconds)


def _future(now: Column, calendar: Sequence[Column]) -> list[str]:
    """Ask about dates that lie after the time of their row, mostly."""
    told = []
    daily = bool((now.values[~np.isnan(now.values)] % 86400 == 0).all())
    for column in calendar:
        # A row whose time is a day may hold all that happens on that day.
        ahead = (np.floor(column.values / 86400) * 86400 if daily else column.values) - now.values
        ahead = ahead[~np.isnan(ahead)]
        later = ahead[ahead > 0]
        if column.name == now.name or len(ahead) < LEAST_ROWS or len(later) <= _MOSTLY * len(ahead):
            continue
        share = 100 * len(later) / len(ahead)
        told.append(
            f"{column.name!r} lies after the row's time {now.name!r} in {share:.0f} % of rows, "
            f"typically by {_distance(float(np.median(later)))}: is it known at that time? "
            "If not, leave it out (--drop)"
        )
    return told


def _distance(seconds: float) -> str:
    unit, size = next((pair for pair in _UNITS if seconds >= pair[1]), _UNITS[-1])
    return f"{seconds / size:.3g} {unit}"


def _numbering(dataset: Dataset, seen: int, most: int) -> list[str]:
    """Tell of numbers that only tell rows apart.

    Args:
        seen: rows of training and validation.
        most: rows of the user's table.
    """
    order = np.argsort(dataset.positions[:seen])
    if len(order) < LEAST_ROWS:
        return []
    told = []
    at = 0
    for plan in dataset.encoder.plans:
        if plan.kind == "number" and plan.column not in _made(dataset):
            cells = dataset.table.column(at).to_numpy()
            # The first rows acquit nearly every column.
            if _numbers_rows(cells[order[:_FIRST_LOOK]], most) and (
                word := _numbers_rows(cells[order], most)
            ):
                told.append(
                    f"{plan.column!r} looks like a number of the row ({word}): it tells rows apart and "
                    "nothing about new ones; leave it out (--drop), or name it with --time"
                )
        at += len(plan.names)
    return told


def _numbers_rows(cells: Any, most: int) -> str:
    """Tell how ``cells``, in the table's order, number its rows; an empty word where they do not.

    Args:
        most: rows of the table. Training rows are some of it, so that a range has gaps; but whole numbers
            that all differ within a range no wider than the table has rows are a numbering.
    """
    if np.isnan(cells).any():
        return ""
    if bool((np.diff(cells) > 0).all()):
        return "it rises with every row"
    whole = bool((cells == np.rint(cells)).all()) and float(np.ptp(cells)) < most
    distinct = whole and len(np.unique(cells)) == len(cells)
    return "whole numbers of one range, none twice" if distinct else ""
