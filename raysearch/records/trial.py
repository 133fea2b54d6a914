"""One trial: its scores on the way, and how it has ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

TrialState = Literal["finished", "stopped", "cut", "failed"]


@dataclass(frozen=True)
class Rung:
    """A trial's score at one step of its training.

    Attributes:
        step: boosting rounds done.
        metrics: flat names, in the target's original units, e.g. {"valid_pinball_loss_avg": 0.9}.
        objectives: value by objective's word, e.g. {"pinball": 0.9}; the score is the first one's.
        seconds: that it has taken so far, binning and scoring included; 0: not known.
        spent: what these went into, by part.
        folds: of how many folds, where not of all; 0: of all. Only scores of as many folds compare.
    """

    step: int
    score: float
    metrics: Mapping[str, float]
    objectives: Mapping[str, float] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)
    spent: Mapping[str, float] = field(default_factory=dict, compare=False)
    folds: int = 0

    @property
    def stage(self) -> int:
        """Return what scores are compared at: the boosting rounds, or 0 where not all folds are scored.

        It is also the step that Optuna is told, which takes later ones to tell more.
        """
        return 0 if self.folds else self.step

    @property
    def not_finite(self) -> str:
        """Return which of the scores is no number, and what it is; empty: all are."""
        told = {"score": self.score, **self.objectives}
        wrong = ((name, value) for name, value in told.items() if not math.isfinite(value))
        return next((f"the {name} after {self.step} rounds is {value}" for name, value in wrong), "")


@dataclass(frozen=True)
class TrialResult:
    """One trial, when it has ended.

    Attributes:
        number: the trial's number in its study, from 0.
        key: unique for ever; a trial that is tried again after a fault keeps it.
        model: "lightgbm" or "xgboost".
        params: as sampled (with "model" and prefixed names where the library is part of the search).
        fit_params: as given to the library.
        state: finished: trained to its end; stopped: early, for it was worse than others after as many
            rounds; cut: the time budget left it none for more, it is the model of the rounds that served best
            so far; failed.
        score: value of the first objective, lower is better; by default valid_pinball_loss_avg, in the
            target's original units. None where it failed, or was stopped by its first fold alone.
        metrics: final metrics, flat names and sections.
        history: scores at the rungs.
        objectives: final value by objective's word, in the order asked for; empty where there is no score.
        started_s, ended_s: seconds since the epoch.
        again: key of the trial that was cut and whose parameters this one tries anew; empty: none.
        warm: the earlier study whose point this one tries; empty: none.
    """

    number: int
    key: str
    model: str
    params: Mapping[str, Any]
    fit_params: Mapping[str, Any]
    state: TrialState
    score: float | None
    rounds: int
    metrics: Mapping[str, float]
    history: tuple[Rung, ...]
    started_s: float
    ended_s: float
    reason: str = ""
    default: bool = False
    objectives: Mapping[str, float] = field(default_factory=dict)
    again: str = ""
    warm: str = ""

    @property
    def has_model(self) -> bool:
        """Whether its score is that of a model which can be kept."""
        return self.state in ("finished", "cut")

    @property
    def counts(self) -> bool:
        """Whether it is one of the trials asked for: one that was cut is tried once more by a resume."""
        return self.state in ("finished", "stopped")

    @property
    def seconds(self) -> float:
        """Wall seconds from start to end."""
        return self.ended_s - self.started_s
