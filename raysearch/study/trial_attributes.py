"""What Optuna has no field for of an ended trial, in its user attribute, and the trial read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from raysearch.records import Rung, TrialResult

ATTRIBUTE = "raysearch"
STATES = {
    "finished": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "cut": TrialState.PRUNED,  # to TPE too it tells of its parameters what a trial that was stopped does
    "failed": TrialState.FAIL,
}
_NAMES = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "stopped", TrialState.FAIL: "failed"}


def attributes_of(result: TrialResult) -> dict[str, Any]:
    """Return what is written of a trial when it has ended, beside what was when it began."""
    return {
        "metrics": dict(result.metrics),
        "history": [written_rung(rung) for rung in result.history],
        "objectives": dict(result.objectives),
        "rounds": result.rounds,
        "reason": result.reason,
        "started_s": result.started_s,
        "ended_s": result.ended_s,
        "score": result.score,
        "cut": result.state == "cut",
    }


def to_result(trial: FrozenTrial) -> TrialResult:
    """Return an ended trial of Optuna's as our own."""
    about = trial.user_attrs.get(ATTRIBUTE, {})
    history = tuple(read_rung(entry) for entry in about.get("history", ()))
    cut = about.get("cut", False) and trial.state in (TrialState.PRUNED, TrialState.FAIL)
    state = "cut" if cut else _NAMES[trial.state]
    # Optuna has none of a pruned trial with several objectives, and of others that of the last step.
    score = about.get("score", trial.values[0] if trial.values else None)
    return TrialResult(
        number=trial.number,
        key=about.get("key", ""),
        model=about.get("model", ""),
        params=trial.params,
        fit_params=about.get("fit_params", {}),
        state=state,  # type: ignore[arg-type]
        score=score,
        rounds=about.get("rounds", 0),
        metrics=about.get("metrics", {}),
        history=history,
        started_s=about.get("started_s", 0.0),
        ended_s=about.get("ended_s", 0.0),
        reason=about.get("reason", ""),
        default=about.get("default", False),
        objectives=about.get("objectives", {}),
        again=about.get("again", ""),
        warm=about.get("warm", ""),
    )


def written_rung(rung: Rung) -> list[Any]:
    """Return a rung as plain values."""
    entry = [rung.step, rung.score, dict(rung.metrics), dict(rung.objectives), round(rung.seconds, 6)]
    return [*entry, rung.folds] if rung.folds else entry


def read_rung(entry: Sequence[Any]) -> Rung:
    """Return the rung that ``written_rung`` made plain values of."""
    return replace(Rung(*entry[:5]), folds=entry[5] if len(entry) > 5 else 0)
