"""Boosters that are trained one after the other, where memory does not hold all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from raysearch.metrics import Array
from raysearch.models.protocol import Fit, QuantileModel


class FitInTurns:
    """A training whose boosters are never alive beside each other, and between two rungs none is.

    Each rung trains them from their first round on, as they would have been together: to the last of three
    rungs it takes 1.75 times as long, and half of that where other trials stop early.
    """

    additive = False  # a look between two rungs would train all of them anew

    def __init__(self, model: QuantileModel, begin: Sequence[Callable[[], Fit]]) -> None:
        """Take the trainings of a model.

        Args:
            begin: what begins the training of each level, or of all levels where the library has one booster
                for them.
        """
        self._model, self._begin = model, begin
        self._raw: Array = np.empty((0, 0))
        self._files: dict[str, bytes] = {}
        self.rounds = 0

    def advance(self, rounds: int) -> None:
        if rounds <= self.rounds:
            return
        said, files = [], []
        for begin in self._begin:
            fit = begin()
            fit.advance(rounds)
            said.append(fit.predict_watched())
            files.append(fit.dump())
            del fit  # before the next one begins
        self._raw, self._files = np.column_stack(said), self._model.together(files)
        self.rounds = rounds

    def predict_watched(self, rounds: int | None = None) -> Array:
        self._refuse_others(rounds)
        return self._raw.copy()

    def dump(self, rounds: int | None = None) -> dict[str, bytes]:
        self._refuse_others(rounds)
        return dict(self._files)

    def save(self) -> dict[str, bytes]:
        """Return nothing: the next rung trains them from their first round on anyway."""
        return {}

    def _refuse_others(self, rounds: int | None) -> None:
        if rounds not in (None, self.rounds):
            raise ValueError(f"boosters of {self.rounds} rounds are kept, not of {rounds}")
