"""What a worker must know beside the shared table."""

from __future__ import annotations

from dataclasses import dataclass

from raysearch.calibration import Folds
from raysearch.data import Transform
from raysearch.models import FitSettings
from raysearch.objectives import PINBALL, Objective
from raysearch.records import FoldRows

TARGET, ANCHOR, GROUP, WEIGHT = "target", "anchor", "group", "weight"  # columns beside the features
BINNED_KEPT = 4  # binned datasets that a worker keeps for each fold where there is room


@dataclass(frozen=True)
class Recipe:
    """What a worker must know of the shared table to train and score on it.

    Attributes:
        categorical: for each feature column whether it holds codes of categories.
        fits: the trainings of a trial, one or one a fold; the rows that they are scored on follow each other.
        folds: which of the rows to score on calibrate which.
        calibrate: how, see ``raysearch.calibration``.
        part: "valid" or "test", the prefix of the scores' names.
        objectives: what the trial is scored by; the first one is its score.
        unseen: feature columns whose values in later rows are none of the earlier ones: what a trial with
            ``seen_only`` does not learn from.
        kept: binned datasets that a worker keeps for each training; the least recently used goes first.
        in_turns: the levels and folds of a trial are trained one after the other, for want of memory.
        first: which of the first fold's rows calibrate which, where trials are scored on it alone before the
            others are trained; None: they are not.
    """

    categorical: tuple[bool, ...]
    fits: tuple[FoldRows, ...]
    transform: Transform
    settings: FitSettings
    folds: Folds
    calibrate: str = "marginal"
    part: str = "valid"
    objectives: tuple[Objective, ...] = (PINBALL,)
    unseen: tuple[int, ...] = ()
    kept: int = BINNED_KEPT
    in_turns: bool = False
    first: Folds | None = None

    @property
    def end(self) -> int:
        """Rows of the table that trials learn from or are scored on; test rows lie behind."""
        return max(stop for fold in self.fits for _, stop in (*fold.train, fold.watch))

    @property
    def watched(self) -> tuple[int, int]:
        """Where the rows that trials are scored on begin and end."""
        return self.fits[0].watch[0], self.fits[-1].watch[1]
