"""Which points of earlier studies a new one begins with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from raysearch.history.likeness import CUT_OFF, distance
from raysearch.history.points import is_new, space_digest
from raysearch.history.record import MetaFeatures, PastPoint, PastStudy
from raysearch.models import CAT_SMOOTH, LEAF_ROWS, SEEN_ONLY, TUNABLE
from raysearch.records import WarmPoint, WarmStart
from raysearch.space import SearchSpace

ONE_IN = 10  # of so many trials one may try a point of an earlier study
_IN_TIME = 3  # points of a search that time ends: how many trials it will have is not known
_OF_SOME_TABLES = (CAT_SMOOTH, SEEN_ONLY)
_BY_ROWS = (*LEAF_ROWS, CAT_SMOOTH)
_DIGITS = 10  # by which levels are told apart


@dataclass(frozen=True)
class Here:
    """What the new study is, for earlier ones to be compared with.

    Attributes:
        objectives: words of what trials are scored by.
    """

    space: SearchSpace
    levels: tuple[float, ...]
    objectives: tuple[str, ...]
    features: MetaFeatures

    def fits(self, past: PastStudy) -> bool:
        """Tell whether the scores of an earlier study say something here: same levels, same objectives."""
        levels = [round(level, _DIGITS) for level in past.levels]
        mine = [round(level, _DIGITS) for level in self.levels]
        return levels == mine and past.objectives == self.objectives

    def params(self, past: PastStudy, point: PastPoint) -> dict[str, Any] | None:
        """Return a point as this space samples it; None where it is none of it, or did no good there."""
        own = {part.model: dict(part.fixed) for part in self.space.spaces}
        if point.ratio >= 1 or own.get(point.model) != past.fixed.get(point.model):
            return None
        return self.space.point(point.model, self._completed(point))

    def _completed(self, point: PastPoint) -> dict[str, Any]:
        """Return a point's parameters with the library's defaults, which it ran with, where it has none.

        Without those that serve other tables only, and that this space lacks for that; those whose range goes
        by the rows of a table are taken as near as this one allows.
        """
        space = next((part for part in self.space.spaces if part.model == point.model), None)
        if space is None:
            return dict(point.params)
        known = {parameter.name: parameter for parameter in space.parameters}
        own = {k: v for k, v in point.params.items() if k in known or k not in _OF_SOME_TABLES}
        for name, default in TUNABLE[point.model].defaults.items():
            parameter = known.get(name)
            if parameter is not None and not parameter.when and name not in own:
                own[name] = parameter.nearest_to(default) if parameter.holds(default) else default
        for name in _BY_ROWS:
            if name in own and name in known and known[name].kind != "choice":
                own[name] = known[name].nearest_to(own[name])
        return own


def most_points(trials: int | None, time_budget_s: float | None) -> int:
    """Return how many points a search may try: of a tenth of its trials, and three where time ends it."""
    if trials is None:
        return _IN_TIME
    return trials // ONE_IN if time_budget_s is None else min(trials // ONE_IN, _IN_TIME)


def choose(here: Here, past: Iterable[PastStudy], most: int) -> WarmStart:
    """Return the points to begin with: of the studies whose data is alike, the nearest first, in turns.

    Each is valid in the space as it is, did better than the default where it comes from, and is neither the
    default, nor one of the points that the space itself begins with, nor much the same as another.

    Args:
        most: points at most.
    """
    fitting = [study for study in past if here.fits(study)]
    near = [(distance(here.features, study.features), study) for study in fitting]
    near = [(far, study) for far, study in near if far <= CUT_OFF]
    digest = space_digest(here.space)
    near.sort(key=lambda told: (told[0], told[1].space != digest, -told[1].ended_s, told[1].run_id))
    known = [dict(point.params) for point in here.space.default_points()] + here.space.start_points()
    points: list[WarmPoint] = []
    for far, study, point in _in_turns(near):
        if len(points) >= most:
            break
        params = here.params(study, point)
        if params is not None and is_new(here.space, params, known):
            known.append(params)
            points.append(WarmPoint(params, study.study, study.run_id, round(far, 4), point.ratio))
    return WarmStart(len(fitting), len(near), tuple(points))


def _in_turns(near: Sequence[tuple[float, PastStudy]]) -> Iterable[tuple[float, PastStudy, PastPoint]]:
    """Yield the best point of each study, then the second one of each, and so on."""
    told = [[(far, study, point) for point in study.points] for far, study in near]
    return (one for one in chain.from_iterable(zip_longest(*told)) if one is not None)
