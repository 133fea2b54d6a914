"""Features, and pairs of them, that nearly give the target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raysearch.data.values import Floats

LEAST_ROWS = 30
_LEAST_TELLING = 10  # rows without the target's most frequent value: two rare events may meet by chance
_SCREEN_ROWS, _USUAL_COLUMNS, _MOST_COLUMNS = 2_000, 100, 300
_MOST_CONFIRMED, _MOST_TOLD = 20, 5
_SLACK = 0.002  # a sample may show a little less than all rows do
_OFTEN, _ALWAYS = 0.5, 0.999
_RANKED = 0.98  # one far row makes a straight line of any cloud, but not of its ranks

_Step = tuple[str, Callable[[Any, Any], Any]]
_ARITHMETIC: tuple[_Step, ...] = (
    ("{0} plus {1}", np.add),
    ("{0} times {1}", np.multiply),
    ("{0} minus {1}", np.subtract),
    ("{1} minus {0}", lambda a, b: b - a),
    ("{0} over {1}", np.divide),
    ("{1} over {0}", lambda a, b: b / a),
)


def _between(seconds: float, sign: int) -> Callable[[Any, Any], Any]:
    return lambda a, b: (a - b) / (sign * seconds)


_SPANS = {"days": 86400.0, "hours": 3600.0, "minutes": 60.0, "seconds": 1.0}
_DATES: tuple[_Step, ...] = tuple(
    (words + f" (in {unit})", _between(size, sign))
    for unit, size in _SPANS.items()
    for words, sign in (("{0} minus {1}", 1), ("{1} minus {0}", -1))
)


@dataclass(frozen=True)
class Column:
    """A feature's source.

    Attributes:
        values: [rows] NaN where missing; dates in seconds.
        kind: number, boolean, seconds or date.
    """

    name: str
    values: Floats
    kind: str


@dataclass(frozen=True)
class Goal:
    """What must not be given away.

    Attributes:
        values: [rows] without NaN.
        least: the rank correlation, or R² of a straight line, above which something gives it.
    """

    name: str
    values: Floats
    least: float


@dataclass(frozen=True)
class _Aim:
    """A goal with what comparisons need of it.

    Attributes:
        telling: [rows] 1.0 where the target is not its most frequent value.
        same: how far apart equal values may be.
        unit: one of the last digit that the target is written with.
    """

    y: Floats
    telling: Floats
    same: float
    unit: float


@dataclass(frozen=True)
class _Fit:
    """How well columns of numbers give the target.

    Attributes:
        straight: [columns] R² of a straight line.
        same: [columns] share of telling rows with the target's value.
        rounded: [columns] share of rows less than a unit of the last digit away.
    """

    straight: Floats
    same: Floats
    rounded: Floats


def near_target(columns: Sequence[Column], goals: Sequence[Goal]) -> list[str]:
    """Tell of columns, and of pairs of them, that give one of the goals, with the evidence.

    Args:
        columns, goals: of the same rows, in no order: the first ones are looked at first.
    """
    told: list[str] = []
    goals = [goal for goal in goals if _can_tell(goal.values)]
    rest = list(columns)
    for goal in goals:
        alone = {column.name: _alone(column, goal) for column in rest if column.kind != "date"}
        told += _cut([words for words in alone.values() if words], "columns")
        rest = [column for column in rest if not alone.get(column.name)]
    # A column that gives it alone does so with many others too: pairs are made of the rest.
    for goal in goals:
        for kinds, steps in ((("number", "seconds"), _ARITHMETIC), (("date",), _DATES)):
            some = [column for column in rest if column.kind in kinds][:_MOST_COLUMNS]
            told += _cut(_pairs(some, goal, steps) if len(some) > 1 else [], "pairs")
    return told


def _cut(told: list[str], what: str) -> list[str]:
    more = len(told) - _MOST_TOLD
    return told if more <= 0 else [*told[:_MOST_TOLD], f"{more} or more other {what} nearly give the target"]


def _can_tell(y: Floats) -> bool:
    return len(y) >= LEAST_ROWS and int(_telling(y).sum()) >= _LEAST_TELLING


def _telling(y: Floats) -> Floats:
    values, counts = np.unique(y, return_counts=True)
    return np.asarray(y != values[np.argmax(counts)], dtype=np.float64)


def _alone(column: Column, goal: Goal) -> str:
    """Return the evidence that a column is a function of the goal; an empty text where it is none."""
    there = np.flatnonzero(~np.isnan(column.values))
    rho = 0.0
    for rows, slack in ((there[:_SCREEN_ROWS], _SLACK), (there, 0.0)):
        x, y = column.values[rows], goal.values[rows]
        if not _can_tell(y):
            return ""
        rho = rank_correlation(x, y)
        if abs(rho) <= goal.least - slack:
            return ""
    if bool((x == y).all()):
        return f"{column.name!r} holds the values of {goal.name!r} in all of {len(x):,} rows{_ADVICE}"
    way = "rises" if rho > 0 else "falls"
    return (
        f"{column.name!r} nearly gives {goal.name!r}: it {way} with it (rank correlation {_digits(rho)} "
        f"in {len(x):,} rows){_ADVICE}"
    )


_ADVICE = "; leave it out (--drop) unless it is known before the target"


def rank_correlation(x: Floats, y: Floats) -> float:
    """Return Spearman's rank correlation of two [rows]; 0 where one of them is constant."""
    a, b = _ranks(x), _ranks(y)
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread else 0.0


def _ranks(values: Floats) -> Floats:
    """Return [rows] ranks around 0; equal values share theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return np.asarray(ranks - (len(values) + 1) / 2)


def _pairs(columns: Sequence[Column], goal: Goal, steps: Sequence[_Step]) -> list[str]:
    """Tell of pairs that give the goal together and far better than alone."""
    crowd = max(1.0, len(columns) / _USUAL_COLUMNS)  # as many sums for many columns as for the usual ones
    screen = round(_SCREEN_ROWS / crowd**2)
    matrix = np.column_stack([column.values[:screen] for column in columns])
    found = sorted(_candidates(matrix, goal, steps), reverse=True)
    told: list[str] = []
    done: set[tuple[int, int]] = set()
    for _, i, j, step in found:
        if (i, j) in done or len(done) == _MOST_CONFIRMED:
            continue
        done.add((i, j))
        a, b = columns[i], columns[j]
        words, combine = steps[step]
        with np.errstate(all="ignore"):
            evidence = _evidence(combine(a.values, b.values), goal)
        if evidence:
            together = words.format(repr(a.name), repr(b.name))
            told.append(
                f"{together} {evidence}; leave one of them out (--drop) unless both are known before it"
            )
    return told


def _candidates(matrix: Floats, goal: Goal, steps: Sequence[_Step]) -> Iterator[tuple[float, int, int, int]]:
    """Yield (score, column, column, step) of pairs that look guilty on the first rows.

    Args:
        matrix: [first rows, columns].
    """
    aim = _aim(goal.values[: len(matrix)])
    alone = _fit(matrix, aim)
    for i in range(matrix.shape[1] - 1):
        rest = slice(i + 1, None)
        best = _Fit(*(np.maximum(part[i], part[rest]) for part in _parts(alone)))
        for number, (_, combine) in enumerate(steps):
            with np.errstate(all="ignore"):
                fit = _fit(combine(matrix[:, i : i + 1], matrix[:, rest]), aim)
            # What one column gives alone is no merit of the pair.
            straight = (fit.straight > goal.least - _SLACK) & (1 - fit.straight < 0.1 * (1 - best.straight))
            same = (fit.same > _OFTEN - 0.1) & (fit.same > 2 * best.same)
            rounded = (fit.rounded > _ALWAYS - 0.01) & (best.rounded < 0.9)
            for k in np.flatnonzero(straight | same | rounded):
                score = float(fit.straight[k] + fit.same[k] + fit.rounded[k])
                yield score, i, i + 1 + int(k), number


def _parts(fit: _Fit) -> tuple[Floats, Floats, Floats]:
    return fit.straight, fit.same, fit.rounded


def _evidence(values: Floats, goal: Goal) -> str:
    """Return in words how [rows] give the goal; an empty text where they do not."""
    there = np.isfinite(values)
    x, y = values[there], goal.values[there]
    if not _can_tell(y):
        return ""
    aim = _aim(y)
    straight, same, rounded = (float(part[0]) for part in _parts(_fit(x[:, None], aim)))
    # Shuffled rows tell how often two columns of these values would meet anyway.
    shuffled = np.random.default_rng(0).permuted(np.tile(x[:, None], (1, 8)), axis=0)
    chance = _fit(shuffled, aim)
    met = float(chance.same.mean())
    noise = 8 * float(np.sqrt(max(met * (1 - met), 1 / len(x)) / aim.telling.sum()))
    if rounded >= _ALWAYS and float(chance.rounded.max()) < _OFTEN:
        way = "equals" if same >= _ALWAYS else "up to rounding equals"
        return f"{way} {goal.name!r} in {len(x):,} rows"
    if straight > goal.least and abs(rank_correlation(x, y)) > _RANKED:
        return f"nearly gives {goal.name!r} on a straight line (R² {_digits(straight)} in {len(x):,} rows)"
    if same >= _OFTEN and same > met + max(noise, _OFTEN / 2):
        return f"equals {goal.name!r} in {100 * same:.0f} % of {len(x):,} rows (by chance {100 * met:.0f} %)"
    return ""


def _digits(value: float) -> str:
    """Return what tells a number near 1 from 1."""
    return f"{value:.4f}" if abs(value) < 0.99995 else f"{value:.7g}"


def _aim(y: Floats) -> _Aim:
    spread = float(y.std())
    unit = next((10.0**-digits for digits in range(7) if _written_with(y, digits)), 1e-6 * spread)
    return _Aim(y, _telling(y), min(1e-6 * spread, unit / 2), unit)


def _written_with(y: Floats, digits: int) -> bool:
    scaled = np.abs(y) * 10.0**digits
    return bool(scaled.max() < 1e11 and (np.abs(scaled - np.rint(scaled)) < 1e-4).all())


def _fit(values: Floats, aim: _Aim) -> _Fit:
    """Compare [rows, columns] with the target; cells that are not finite are left out."""
    there: npt.NDArray[np.bool_] = np.isfinite(values)
    weight = there.astype(np.float64)
    filled = values if there.all() else np.where(there, values, 0.0)
    centred_y = aim.y - aim.y.mean()
    with np.errstate(all="ignore"):
        rows = weight.sum(axis=0)
        centred = (filled - filled.sum(axis=0) / rows) * weight
        spread = np.einsum("rc,rc->c", centred, centred)
        spread_y = centred_y**2 @ weight - (centred_y @ weight) ** 2 / rows
        straight = (centred_y @ centred) ** 2 / (spread * spread_y)
        gap = np.abs(filled - aim.y[:, None])
        same = (aim.telling @ ((gap <= aim.same) & there)) / (aim.telling @ weight)
        rounded = ((gap < aim.unit) & there).sum(axis=0) / rows
    enough = rows >= LEAST_ROWS
    return _Fit(*(np.where(enough & np.isfinite(part), part, 0.0) for part in (straight, same, rounded)))
