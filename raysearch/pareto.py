"""Trials under several objectives: the Pareto front, and which of its trials becomes the model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raysearch.errors import listing, nearest
from raysearch.objectives import parse_objectives
from raysearch.records import TrialResult

KNEE = "knee"
_BOUND = re.compile(r"(.+?)\s*<=?\s*([^<=]+)")


@dataclass(frozen=True)
class Pick:
    """How a trial of the front is chosen.

    Attributes:
        kind: "knee" (nearest to the best value of each objective, scaled to the front), "best" (of one
            objective), "bound" (the best by the first objective among those that hold a bound) or "trial".
        objective: the word of the objective that "best" and "bound" look at.
        most: the bound.
        number: the trial's.
    """

    kind: str = KNEE
    objective: str = ""
    most: float = math.inf
    number: int = -1

    @property
    def words(self) -> str:
        """How it was chosen, to stand behind "trial 7, "."""
        if self.kind == "best":
            return f"the best by {self.objective}"
        if self.kind == "bound":
            return f"chosen by {self.objective}<={self.most:.10g}"
        return "as asked for" if self.kind == "trial" else "the knee of the front"


def parse_pick(text: str | None, words: Sequence[str]) -> Pick:
    """Return how to choose; None: the knee.

    Args:
        text: "knee", an objective's word, a trial's number, or a bound such as "coverage_gap<=0.02".
        words: of the objectives.

    Raises:
        ValueError: with what is wrong, and what would be right.
    """
    asked = (text or KNEE).strip()
    if asked.lower() == KNEE:
        return Pick()
    if asked.isdecimal():
        return Pick("trial", number=int(asked))
    bound = _BOUND.fullmatch(asked)
    name = _word(bound[1] if bound else asked)
    if name not in words:
        choices = f"{KNEE!r}, an objective ({listing(words)}), a trial's number or a bound such as"
        hint = nearest(name, (KNEE, *words))
        raise ValueError(f"got {asked!r}, must be {choices} '{words[-1]}<=0.1'{hint}")
    if bound is None:
        return Pick("best", name)
    try:
        most = float(bound[2])
    except ValueError:
        most = math.nan
    if not math.isfinite(most):
        raise ValueError(f"got {asked!r}, the bound must be a number, e.g. '{name}<=0.1'")
    return Pick("bound", name, most)


def _word(text: str) -> str:
    """Return an objective's word as objectives are named, however it was written."""
    try:
        return parse_objectives(text)[0].word
    except ValueError:
        return text.strip()


def dominates(one: TrialResult, other: TrialResult) -> bool:
    """Tell whether a trial is at least as good by each objective, and better by one."""
    pairs = list(zip(one.objectives.values(), other.objectives.values(), strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def with_models(trials: Iterable[TrialResult]) -> tuple[TrialResult, ...]:
    """Return the trials with a model, without those that were cut and had all their time when tried anew."""
    told = [trial for trial in trials if trial.has_model]
    again = {trial.again for trial in told if trial.state == "finished"}
    return tuple(trial for trial in told if trial.key not in again)


def front(trials: Iterable[TrialResult]) -> tuple[TrialResult, ...]:
    """Return the trials with a model that no other dominates, the best by the first objective first."""
    told: list[TrialResult] = []
    for trial in with_models(trials):
        if trial.objectives:
            told = joined(told, trial)
    return tuple(sorted(told, key=_order))


def joined(leading: Sequence[TrialResult], trial: TrialResult) -> list[TrialResult]:
    """Return a front after one more trial, which is its last where it belongs to it."""
    if any(dominates(one, trial) for one in leading):
        return list(leading)
    return [*(one for one in leading if not dominates(trial, one)), trial]


def choose(trials: Iterable[TrialResult], pick: Pick) -> tuple[TrialResult, str]:
    """Return the chosen trial, and what its reader must know where it is not what was asked for.

    Args:
        trials: at least one of them finished.
    """
    trials = tuple(trials)
    leading = front(trials)
    if pick.kind == "best":
        return min(leading, key=lambda trial: (trial.objectives[pick.objective], _order(trial))), ""
    if pick.kind == "bound":
        return _within(leading, pick)
    if pick.kind == "trial":
        found = [trial for trial in trials if trial.number == pick.number and trial.has_model]
        if found:
            better = [one.number for one in leading if dominates(one, found[0])]
            if not better:
                return found[0], ""
            told = f"Trial {pick.number} is not on the Pareto front: by no objective is it better than trial"
            return found[0], f"{told} {better[0]}."
        knee = nearest_to_ideal(leading)
        return knee, f"No trial {pick.number} has finished: trial {knee.number}, the knee, was picked."
    return nearest_to_ideal(leading), ""


def _within(leading: Sequence[TrialResult], pick: Pick) -> tuple[TrialResult, str]:
    inside = [trial for trial in leading if trial.objectives[pick.objective] <= pick.most]
    if inside:
        return inside[0], ""
    closest = min(leading, key=lambda trial: (trial.objectives[pick.objective], _order(trial)))
    found = closest.objectives[pick.objective]
    asked = f"{pick.objective}<={pick.most:.10g}"
    return closest, f"No trial holds {asked}: trial {closest.number} was picked, which has {found:.4g}."


def nearest_to_ideal(leading: Sequence[TrialResult]) -> TrialResult:
    """Return the knee: the trial nearest to the best of each objective, each scaled to [0, 1] over the front.

    The ideal point as a reference is that of compromise programming (Zeleny, 1973).
    """
    columns = list(zip(*(trial.objectives.values() for trial in leading), strict=True))
    lows, spans = [min(column) for column in columns], [max(column) - min(column) for column in columns]

    def far(trial: TrialResult) -> float:
        values = zip(trial.objectives.values(), lows, spans, strict=True)
        return math.hypot(*((value - low) / span if span > 0 else 0.0 for value, low, span in values))

    return min(leading, key=lambda trial: (far(trial), _order(trial)))


def _order(trial: TrialResult) -> tuple[float, int]:
    return next(iter(trial.objectives.values())), trial.number
