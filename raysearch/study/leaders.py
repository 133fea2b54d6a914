"""The trials that lead a search: the best ones, or with several objectives the front and its pick."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

from raysearch.pareto import Pick, choose, joined, with_models
from raysearch.records import TrialResult

_KINDS = 4  # kinds of trials whose best one is kept though it is not among the best of all


def kind_of(model: str, params: Mapping[str, Any]) -> Hashable:
    """Return what makes a trial another kind of model, not the same one finer or coarser."""
    return (model, *sorted((k, v) for k, v in params.items() if isinstance(v, bool | str)))


class Leaders:
    """Keeps the finished trials that may become the model.

    Beside the best of all these are the best of the kinds that are not among them: the best of a long search
    resemble each other, and a mean needs trials that err in other ways.

    Args:
        pick: how one of several objectives' front is chosen; None: there is one objective.
        room: with one objective, how many of the best are kept.
    """

    def __init__(self, pick: Pick | None, room: int = 1) -> None:
        self._pick = pick
        self._room = room
        self._ranked: list[TrialResult] = []
        self._kinds: dict[Hashable, TrialResult] = {}
        self._front: list[TrialResult] = []
        self._asked: list[TrialResult] = []  # the one that is picked by its number, wherever it stands
        self._seen: list[TrialResult] = []
        self.best: TrialResult | None = None

    def add(self, result: TrialResult) -> bool:
        """Take in a finished trial; return whether it is a gain: a better score, or a place on the front.

        One that tries anew what was cut takes its place.
        """
        self._seen.append(result)
        if result.again and len(with_models(self._seen)) < len(self._seen):
            return self._begin_anew()
        return self._take(result)

    def _begin_anew(self) -> bool:
        """Take in all again but those that were cut and have been tried in full; tell of the last one."""
        self._ranked, self._kinds, self._front, self._asked, self.best = [], {}, [], [], None
        self._seen = list(with_models(self._seen))
        return [self._take(known) for known in self._seen][-1]

    def _take(self, result: TrialResult) -> bool:
        if self._pick is None:
            gain = self.best is None or (result.score or 0) < (self.best.score or 0)
            self.best = result if gain else self.best
            ranked = sorted([*self._ranked, result], key=lambda one: one.score or 0.0)
            self._ranked = ranked[: self._room]
            kind = kind_of(result.model, result.params)
            self._kinds[kind] = min(self._kinds.get(kind, result), result, key=lambda one: one.score or 0.0)
            return gain
        if result.number == self._pick.number:
            self._asked = [result]
        self._front = joined(self._front, result)
        self.best = choose([*self._front, *self._asked], self._pick)[0]
        return self._front[-1] is result

    def bar(self, kind: Hashable) -> float:
        """Return the score below which a trial of a kind sends its model along; any may end on a front."""
        if self._pick is not None or len(self._ranked) < self._room:
            return math.inf
        last = self._ranked[-1].score or 0.0
        if self._room == 1:
            return last
        return max(last, self._kinds[kind].score or 0.0) if kind in self._kinds else math.inf

    @property
    def trials(self) -> tuple[TrialResult, ...]:
        """The best trials, the best first, or all that a front and its pick consist of."""
        if self._pick is not None:
            return (*self._front, *self._asked)
        if self._room == 1:
            return tuple(self._ranked)
        others = [one for one in self._kinds.values() if all(one.key != best.key for best in self._ranked)]
        return (*self._ranked, *sorted(others, key=lambda one: one.score or 0.0)[:_KINDS])
