"""How far a search has come, by the trials that have ended."""

from __future__ import annotations

import math

from raysearch.records import TrialResult
from raysearch.study.leaders import Leaders
from raysearch.study.limits import Limits
from raysearch.study.pruning import Agreement

_SPARE = 10  # trials that may fail in a search without a number of trials


class Tally:
    """Counts trials as they end, and notes for good what ends the search: a late gain revives nothing.

    Attributes:
        good: trials that finished or were stopped early; ``failed`` and ``cut`` likewise.
        quickest_s: seconds of the quickest trial that has finished.
        over: "patience" or "failures"; empty while neither ends the search.
        defaults: the libraries' untuned defaults.
        agreement: whether first folds rank trials as all folds do.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._without_gain = 0
        self.leaders = Leaders(limits.pick, limits.candidates)
        # What earlier studies have found ends no search before its own trials do.
        self._own = Leaders(limits.pick)
        self.good = self.failed = self.cut = 0
        self.quickest_s = math.inf
        self.over = ""
        self.defaults: list[TrialResult] = []
        self.agreement = Agreement()

    @property
    def leading(self) -> tuple[TrialResult, ...]:
        """The trials that may become the model together, the best first."""
        best = self.leaders.best
        if best is None or self._limits.pick is not None:
            return (best,) if best else ()
        return self.leaders.trials

    @property
    def default(self) -> TrialResult | None:
        """The untuned default to compare with: of several libraries' the better one."""
        return min(self.defaults, key=lambda result: result.score or 0.0, default=None)

    @property
    def ended(self) -> int:
        return self.good + self.failed + self.cut

    def go_on(self) -> None:
        """Begin to wait for a gain anew: who goes on with a study wants more of it."""
        self._without_gain, self.over = 0, ""
        self._judge()

    def add(self, result: TrialResult) -> None:
        """Take in a trial that has ended."""
        self._count(result)
        self._judge()

    def _count(self, result: TrialResult) -> None:
        for rung in result.history:
            if rung.folds and result.state in ("finished", "stopped"):
                self.agreement.add(rung.score, result.score if result.state == "finished" else None)
        if result.state == "failed":
            self.failed += 1
            return
        if result.state == "cut":  # a model, but no more than a hint of what its parameters are worth
            self.cut += 1
            self.leaders.add(result)
            if not result.warm:
                self._own.add(result)
            return
        if result.default:
            self.defaults.append(result)
        self.good += 1
        if result.state == "finished":
            self.quickest_s = min(self.quickest_s, result.seconds)
        finished = result.state == "finished"
        if finished:
            self.leaders.add(result)
        if not result.warm:
            gain = finished and self._own.add(result)
            self._without_gain = 0 if gain else self._without_gain + 1

    def _judge(self) -> None:
        limits = self._limits
        spare = limits.trials if limits.trials is not None else max(_SPARE, self.good)
        if self.failed > spare:
            self.over = "failures"
        elif limits.patience is not None and self._without_gain >= limits.patience:
            self.over = self.over or "patience"
