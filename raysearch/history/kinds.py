"""What works for which kind of data: studies by size, split and library, and where these agree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from raysearch.history.points import place
from raysearch.history.record import PastPoint, PastStudy

_SIZES = ((1_000, "under 1,000 rows"), (10_000, "1,000 to 10,000"), (100_000, "10,000 to 100,000"))
_LARGE = "100,000 and more"
_CHANCE = 0.05  # below which points that lie together do so for a reason
_OUTER = 8  # one of so many studies is left out at either end


@dataclass(frozen=True)
class ParameterAgreement:
    """One parameter over the best points of a kind's studies, one point a study.

    Attributes:
        middle: the median, or the commonest choice.
        low, high: least and most, of eight or more studies without the outer eighths; None of choices.
        spread: their distance as a share of the searched range, in logs where it was searched so; of choices
            the share of studies with another one; None where it is not known.
        chance: how likely so many points would lie so near together if each could lie anywhere (of choices:
            if each were one of two); None where it is not known.
        importance: median share of the score's variation; None where no study tells it.
        studies: that have it.
    """

    name: str
    middle: Any
    low: float | None
    high: float | None
    spread: float | None
    chance: float | None
    importance: float | None
    studies: int

    @property
    def agree(self) -> bool:
        """Whether the studies agree: chance would hardly put their best points so near together."""
        return self.chance is not None and self.chance <= _CHANCE


@dataclass(frozen=True)
class Kind:
    """Studies of one kind of data whose best point is of one library, and were scored by the same.

    Attributes:
        size: class of the rows, in words; split: time, group or random; objective: the first one's word.
        studies: the one that gained most first.
        gain_percent: median gain of the best points on the untuned defaults, on the validation rows.
        parameters: the most important first.
    """

    size: str
    split: str
    model: str
    objective: str
    studies: tuple[PastStudy, ...]
    gain_percent: float
    parameters: tuple[ParameterAgreement, ...]

    @property
    def best(self) -> PastStudy:
        """The study whose best point gained most on the default."""
        return self.studies[0]


def size_of(rows: int) -> str:
    """Return the class of a number of rows in words."""
    return next((name for below, name in _SIZES if rows < below), _LARGE)


def kinds_of(past: Iterable[PastStudy]) -> tuple[Kind, ...]:
    """Return the studies by kind of data and library, small tables first; none without points."""
    found: dict[tuple[str, str, str, str], list[PastStudy]] = {}
    for study in past:
        if study.points and study.objectives:
            key = (
                size_of(study.features.rows),
                study.features.split,
                study.points[0].model,
                study.objectives[0],
            )
            found.setdefault(key, []).append(study)
    order = [*(name for _, name in _SIZES), _LARGE]
    keys = sorted(found, key=lambda key: (order.index(key[0]), *key[1:]))
    return tuple(_kind(key, found[key]) for key in keys)


def _kind(key: tuple[str, str, str, str], studies: Sequence[PastStudy]) -> Kind:
    ordered = sorted(studies, key=lambda study: (study.points[0].ratio, study.study))
    names = list(dict.fromkeys(name for study in ordered for name in study.points[0].params))
    told = [_agreement(name, ordered) for name in names]
    return Kind(
        *key,
        studies=tuple(ordered),
        gain_percent=gain_percent(median(study.points[0].ratio for study in ordered)),
        parameters=tuple(sorted(told, key=lambda one: -(one.importance or 0.0))),
    )


def gain_percent(ratio: float) -> float:
    """Return by how many percent a score that is this share of the default's lies below it."""
    return 100.0 * (1.0 - ratio)


def _agreement(name: str, studies: Sequence[PastStudy]) -> ParameterAgreement:
    having = [study for study in studies if name in study.points[0].params]
    values = [study.points[0].params[name] for study in having]
    shares = [share for study in having if (share := _importance(study, name)) is not None]
    importance, count = median(shares) if shares else None, len(having)
    if any(isinstance(value, str | bool) for value in values):
        (middle, most), *_ = Counter(values).most_common(1)
        chance = min(1.0, 2 * _at_least(most, count, 0.5))
        return ParameterAgreement(name, middle, None, None, 1 - most / count, chance, importance, count)
    low, high = _inner(values)
    places = [spot for study in having if (spot := _place(study, name)) is not None]
    if len(places) < count:
        return ParameterAgreement(name, median(values), low, high, None, None, importance, count)
    spread = _inner(places)[1] - _inner(places)[0]
    # Points by chance: their distance is a Beta variable, whose distribution is a binomial one.
    chance = _at_least(count - 1 - 2 * (count // _OUTER), count, spread) if count > 1 else 1.0
    return ParameterAgreement(name, median(values), low, high, spread, chance, importance, count)


def _inner(values: Sequence[float]) -> tuple[float, float]:
    """Return the least and the most of the values, of many without the outer ones."""
    ordered, out = sorted(values), len(values) // _OUTER
    return ordered[out], ordered[-1 - out]


def _at_least(hits: int, tries: int, share: float) -> float:
    """Return how likely a binomial variable is at least so large."""
    if not 0 < share < 1:
        return float(share >= 1 or hits <= 0)
    whole, hit, miss = math.lgamma(tries + 1), math.log(share), math.log1p(-share)
    return sum(
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(tries - k + 1) + k * hit + (tries - k) * miss)
        for k in range(hits, tries + 1)
    )


def _importance(study: PastStudy, name: str) -> float | None:
    return study.importance.get(name, study.importance.get(f"{study.points[0].model}.{name}"))


def _place(study: PastStudy, name: str) -> float | None:
    """Return where in the range that its study searched the value of its best point lies, from 0 to 1."""
    point: PastPoint = study.points[0]
    bounds = study.ranges.get(name, study.ranges.get(f"{point.model}.{name}"))
    if bounds is None or (bounds[2] and point.params[name] <= 0):
        return None
    return place(point.params[name], *bounds)
