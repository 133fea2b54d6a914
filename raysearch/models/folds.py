"""Trainings on several folds as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from raysearch.metrics import Array
from raysearch.models.protocol import Fit


class FoldFit:
    """Several trainings that advance together: one a fold, each with its own watched rows."""

    def __init__(self, fits: Sequence[Fit]) -> None:
        self._fits = fits

    @property
    def rounds(self) -> int:
        return self._fits[0].rounds

    @property
    def additive(self) -> bool:
        return all(fit.additive for fit in self._fits)

    def advance(self, rounds: int) -> None:
        for fit in self._fits:
            fit.advance(rounds)

    def predict_watched(self, rounds: int | None = None) -> Array:
        return np.concatenate([fit.predict_watched(rounds) for fit in self._fits])

    def dump(self, rounds: int | None = None) -> dict[str, bytes]:
        """Return the files of all folds, each behind its fold's number; ``by_fold`` takes them apart."""
        return _joined([fit.dump(rounds) for fit in self._fits])

    def save(self) -> dict[str, bytes]:
        return _joined([fit.save() for fit in self._fits])


def _joined(folds: Sequence[Mapping[str, bytes]]) -> dict[str, bytes]:
    return {f"{i:02d}.{name}": data for i, files in enumerate(folds) for name, data in files.items()}


class AheadFit:
    """The training of a fold that goes ahead of the others.

    What it has said at the rounds at which it was asked is remembered, for when the others have come there.
    """

    additive = True

    def __init__(self, fit: Fit) -> None:
        self._fit = fit
        self._said: dict[int, Array] = {}
        self.rounds = fit.rounds

    def wait(self) -> None:
        """Stand where the others are, before their first round."""
        self.rounds = 0

    def advance(self, rounds: int) -> None:
        self._fit.advance(max(rounds, self._fit.rounds))
        self.rounds = rounds

    def predict_watched(self, rounds: int | None = None) -> Array:
        asked = self.rounds if rounds is None else rounds
        if asked == self._fit.rounds or asked not in self._said:  # not: it went on from where it was saved
            self._said[asked] = self._fit.predict_watched(asked)
        return self._said[asked].copy()

    def dump(self, rounds: int | None = None) -> dict[str, bytes]:
        return self._fit.dump(self.rounds if rounds is None else rounds)

    def save(self) -> dict[str, bytes]:
        return self._fit.save()


def by_fold(files: Mapping[str, bytes], folds: int) -> list[dict[str, bytes]]:
    """Return the files of each fold as its own fit dumped them."""
    if folds == 1:
        return [dict(files)]
    starts = [f"{i:02d}." for i in range(folds)]
    return [
        {name.removeprefix(start): data for name, data in files.items() if name.startswith(start)}
        for start in starts
    ]
