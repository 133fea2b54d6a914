"""What is written down of a trial that has ended."""

from __future__ import annotations

import time
from collections.abc import Sequence

from raysearch.records import Rung, TrialResult, TrialState
from raysearch.study.ledger import Proposal


def ended_trial(
    proposal: Proposal,
    state: TrialState,
    rung: Rung | None,
    history: Sequence[Rung],
    begun_s: float,
    reason: str,
) -> TrialResult:
    """Return how a trial has ended, now.

    Args:
        rung: where it ended; None: it failed.
        history: its rungs, rising.
        begun_s: when it was proposed, in seconds since the epoch.
        reason: of a failure; else empty.
    """
    last = rung or (history[-1] if history else None)
    told = rung if rung and not rung.folds else None  # what part of the folds says is no score of a trial
    ended_s = time.time()
    return TrialResult(
        number=proposal.number,
        key=proposal.key,
        model=proposal.model,
        params=proposal.params,
        fit_params=proposal.fit_params,
        state=state,
        score=told.score if told else None,
        rounds=last.step if last else 0,
        metrics=told.metrics if told else {},
        history=tuple(history),
        # As the worker has measured it: one that had to start first is no slower trial.
        started_s=ended_s - last.seconds if rung and last and last.seconds else begun_s,
        ended_s=ended_s,
        reason=reason,
        default=proposal.default,
        objectives=told.objectives if told else {},
        again=proposal.again,
        warm=proposal.warm,
    )
