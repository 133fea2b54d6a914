"""The trials that lead a search: the best ones, or with several objectives the front and its pick."""

from __future__ import annotations

import math

from raysearch.pareto import Pick, choose, joined
from raysearch.records import TrialResult


class Leaders:
    """Keeps the finished trials that may become the model.

    Args:
        pick: how one of several objectives' front is chosen; None: there is one objective.
        room: with one objective, how many of the best are kept.
    """

    def __init__(self, pick: Pick | None, room: int = 1) -> None:
        self._pick = pick
        self._room = room
        self._ranked: list[TrialResult] = []
        self._front: list[TrialResult] = []
        self._asked: list[TrialResult] = []  # the one that is picked by its number, wherever it stands
        self.best: TrialResult | None = None

    def add(self, result: TrialResult) -> bool:
        """Take in a finished trial; return whether it is a gain: a better score, or a place on the front."""
        if self._pick is None:
            gain = self.best is None or (result.score or 0) < (self.best.score or 0)
            self.best = result if gain else self.best
            ranked = sorted([*self._ranked, result], key=lambda one: one.score or 0.0)
            self._ranked = ranked[: self._room]
            return gain
        if result.number == self._pick.number:
            self._asked = [result]
        self._front = joined(self._front, result)
        self.best = choose([*self._front, *self._asked], self._pick)[0]
        return self._front[-1] is result

    @property
    def bar(self) -> float:
        """The score below which a trial sends its model along; any trial may end on a front."""
        if self._pick is not None or len(self._ranked) < self._room:
            return math.inf
        last = self._ranked[-1].score
        return math.inf if last is None else last

    @property
    def trials(self) -> tuple[TrialResult, ...]:
        """The best trials, the best first, or all that a front and its pick consist of."""
        if self._pick is None:
            return tuple(self._ranked)
        return (*self._front, *self._asked)
