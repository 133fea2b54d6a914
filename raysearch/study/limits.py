"""When a search ends, and how much of its time is left for trials."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from raysearch.pareto import Pick
from raysearch.records import TrialResult

_HEARD_S = 0.04  # in which the driver hears of a trial's end: all that run are cut at the same moment
_FIRST_MODEL_S = 1.0  # so much later trials are given up where none has left a model: without one all is lost


@dataclass(frozen=True)
class Limits:
    """When a search ends; what is reached first counts.

    Attributes:
        trials: trials that must finish or be stopped early, those that ended before included.
        deadline_s: moment on ``time.monotonic`` at which running trials are given up; trials are told to end
            before it, as cut, with the rounds that served best so far. None: no limit.
        patience: trials without gain, counted from where the study was gone on with.
        refit_scale: seconds that refitting a trial's parameters takes for each second of the trial.
        refit_most_s: a refit that would take longer is not made, and so needs no time kept for it.
        candidates: trials whose models are kept, for the ensemble to be chosen from.
        members: of the ensemble at most: time is kept to fit so many again, and the default.
        last_words_s: kept before the deadline for trials that are cut to be scored, and to send their models;
            ``_HEARD_S`` more for each that runs.
        pick: how the best trial is chosen where there are several objectives; None: there is one.
        checkpoint_after_s: seconds of training after which a trial's next rung is kept, to go on from.
    """

    trials: int | None
    deadline_s: float | None
    patience: int | None
    scheduler: str
    max_rounds: int
    refit_scale: float = 0.0
    refit_most_s: float = math.inf
    pick: Pick | None = None
    checkpoint_after_s: float = math.inf
    candidates: int = 1
    members: int = 1
    last_words_s: float = 0.0


class TimeLeft:
    """Divides the time before the deadline between trials and the refits that follow them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._members = 1 if limits.pick is not None else limits.members
        self._promised: dict[str, float] = {}  # until when a running trial will be heard, by key
        self.slots = 1  # trials at once

    @property
    def _last_words_s(self) -> float:
        return self._limits.last_words_s + _HEARD_S * self.slots

    def promise(self, key: str, leading: Sequence[TrialResult], default: TrialResult | None) -> float:
        """Return the seconds in which a trial that begins now should end; so long it is not given up."""
        left = self.of_next_s(leading, default)
        self._promised[key] = time.monotonic() + left + self._last_words_s
        return left

    def ended(self, key: str) -> None:
        """Forget a trial that does not run any more."""
        self._promised.pop(key, None)

    def of_next_s(self, leading: Sequence[TrialResult], default: TrialResult | None) -> float:
        """Return the seconds that a trial has which begins now."""
        if self._limits.deadline_s is None:
            return math.inf
        kept = self._refits_to_come_s(leading, default)
        return self._limits.deadline_s - time.monotonic() - kept - self._last_words_s

    def is_over(self, leading: Sequence[TrialResult], default: TrialResult | None) -> bool:
        """Tell whether running trials are to be given up: refits need what is left, and no promise holds."""
        deadline = self._limits.deadline_s
        if deadline is None:
            return False
        deadline += 0.0 if leading else _FIRST_MODEL_S
        promised = min(deadline, max(self._promised.values(), default=-math.inf))
        return time.monotonic() >= max(promised, deadline - self.refits_s(leading, default))

    def refits_s(self, leading: Sequence[TrialResult], default: TrialResult | None) -> float:
        """Return how many seconds to keep for refitting the leading trials and the default.

        0 where the best one's refit would take longer than it is worth; otherwise not more than it is worth.
        """
        least, most = self._refit_s(leading[:1], default), self._limits.refit_most_s
        return 0.0 if least > most else min(most, self._refit_s(leading[: self._members], default))

    def _refits_to_come_s(self, leading: Sequence[TrialResult], default: TrialResult | None) -> float:
        """Return the same for when there are as many leading trials as the model may have."""
        most, inside = self._limits.refit_most_s, leading[: self._members]
        if not self._limits.refit_scale:
            return 0.0
        if not inside:
            return most
        if not self.refits_s(leading, default):
            return 0.0
        mean = self._limits.refit_scale * sum(trial.seconds for trial in inside) / len(inside)
        return min(most, self._refit_s(inside, default) + mean * (self._members - len(inside)))

    def _refit_s(self, leading: Sequence[TrialResult], default: TrialResult | None) -> float:
        trials = {trial.key: trial.seconds for trial in (*leading, default) if trial}
        return self._limits.refit_scale * sum(trials.values())
