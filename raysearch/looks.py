"""Looks at the loss now and then, and remembers the best: more rounds than that help no more."""

from __future__ import annotations

import numpy as np

from raysearch.metrics import Array
from raysearch.models import Fit
from raysearch.scoring import Scorer
from raysearch.stopwatch import Stopwatch

_LEAST_STRIDE, _STRIDES = 10, 10  # rounds between two looks at the loss: a tenth of those done, at least ten
_LEAST_PATIENCE = 20  # rounds without gain, beside half of those at the best look, after which a trial ends


class Looks:
    """The loss of a training at some of its rounds.

    Attributes:
        rounds: those that served best so far; 0: there was no look yet.
        raw: what the boosters said after these of the watched rows, [rows, levels].
    """

    def __init__(self, scorer: Scorer, watch: Stopwatch, fit: Fit) -> None:
        self._scorer, self._watch, self._fit = scorer, watch, fit
        self._loss = float("inf")
        self.rounds, self.raw = 0, np.empty((0, 0))

    def go_on(self, rounds: int, raw: Array) -> None:
        """Remember the best of earlier looks."""
        self._loss, self.rounds, self.raw = self._scorer.loss(raw), rounds, raw

    @property
    def next(self) -> int:
        """The rounds at which to look again."""
        return self._fit.rounds + max(_LEAST_STRIDE, self._fit.rounds // _STRIDES)

    def look(self) -> None:
        with self._watch.part("prediction"):
            raw = self._fit.predict_watched()
        with self._watch.part("scoring"):
            loss = self._scorer.loss(raw)
        if not self.rounds or loss < self._loss:
            self._loss, self.rounds, self.raw = loss, self._fit.rounds, raw

    @property
    def stalled(self) -> bool:
        """Whether more rounds have not helped for long."""
        return bool(self.rounds) and self._fit.rounds >= 1.5 * self.rounds + _LEAST_PATIENCE
