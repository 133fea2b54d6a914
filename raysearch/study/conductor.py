"""What happens between the proposal of a trial and its place in the record, whichever engine runs it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import optuna

from raysearch.models import TUNABLE
from raysearch.records import Rung, TrialResult
from raysearch.study.kept import Files, KeptModels
from raysearch.study.ledger import Ledger, Proposal
from raysearch.study.pruning import milestones, should_stop
from raysearch.trial import TrialSpec, rungs_for

Wish = Literal["more", "wait", "done"]


@dataclass(frozen=True)
class Limits:
    """When a search ends; what is reached first counts.

    Attributes:
        trials: trials that must finish or be stopped early, those of earlier sessions included.
        deadline_s: moment on ``time.monotonic`` at which running trials are given up; None: no limit.
        patience: trials without gain.
        refit_scale: seconds that refitting a trial's parameters takes for each second of the trial.
        refit_most_s: a refit that would take longer is not made, and so needs no time kept for it.
    """

    trials: int | None
    deadline_s: float | None
    patience: int | None
    scheduler: str
    max_rounds: int
    refit_scale: float = 0.0
    refit_most_s: float = math.inf


class Watcher(Protocol):
    """Told of every event of a search: the tracker, the progress display."""

    def trial_started(self, number: int, key: str, model: str, params: Mapping[str, Any]) -> None: ...

    def trial_ended(self, result: TrialResult) -> None: ...

    def trial_interrupted(self, key: str) -> None: ...


class Conductor:
    """Decides whether more trials are wanted and which are stopped, and writes down how each one ended."""

    def __init__(
        self, ledger: Ledger, limits: Limits, kept: KeptModels, watchers: tuple[Watcher, ...] = ()
    ) -> None:
        self._ledger = ledger
        self._kept = kept
        self._limits = limits
        self._watchers = watchers
        self._milestones = milestones(limits.max_rounds, limits.scheduler)
        self._running: dict[str, Proposal] = {}
        self._history: dict[str, list[Rung]] = {}
        self._seen: dict[int, dict[str, float]] = {}
        self._stopping: set[str] = set()
        self._halt = ""
        self._defaults: list[TrialResult] = []
        self.best: TrialResult | None = None
        self._good = self._failed = self._without_gain = 0
        for result in ledger.results:
            self._count(result)
            for rung in result.history:
                self._seen.setdefault(rung.step, {})[result.key] = rung.score

    # -- what an engine asks ---------------------------------------------------------------------------------

    def wants(self) -> Wish:
        """Tell an engine with a free place whether to take another trial, to wait for others, or to end."""
        if self.stopped_by:
            return "done"
        trials = self._limits.trials
        if trials is None:
            return "more"
        return "wait" if self._good + len(self._running) >= trials else "more"

    @property
    def stopped_by(self) -> str:
        """Return why the search takes no more trials: trials, patience, failures, time or interrupt."""
        limits = self._limits
        if self._halt:
            return self._halt
        if limits.trials is not None and self._good >= limits.trials:
            return "trials"
        if limits.patience is not None and self._without_gain >= limits.patience:
            return "patience"
        if self._failed > max(limits.trials or 0, 10):
            return "failures"
        return ""

    @property
    def halted(self) -> bool:
        """Tell whether running trials are to be given up now: out of time, or interrupted."""
        deadline = self._limits.deadline_s
        if not self._halt and deadline is not None and time.monotonic() + self.refit_s >= deadline:
            self._halt = "time"
        return bool(self._halt)

    @property
    def refit_s(self) -> float:
        """Return how long refitting the best trial and the defaults is likely to take; 0 where it is not made."""
        defaults = [result for result in self._defaults if result is not self.best]
        trials = [*defaults, *([self.best] if self.best else [])]
        seconds = self._limits.refit_scale * sum(result.seconds for result in trials)
        return seconds if seconds <= self._limits.refit_most_s else 0.0

    def interrupt(self) -> None:
        """End the search as soon as possible; may be called from a signal handler."""
        self._halt = "interrupt"

    # -- what an engine tells --------------------------------------------------------------------------------

    def start(self, trial: optuna.Trial, params: Mapping[str, Any]) -> TrialSpec:
        """Take a trial that the sampler has filled in; return what a worker needs to run it."""
        proposal = self._ledger.accept(trial, params)
        self._running[proposal.key] = proposal
        self._history[proposal.key] = []
        for watcher in self._watchers:
            watcher.trial_started(proposal.number, proposal.key, proposal.model, proposal.params)
        rounds = TUNABLE[proposal.model].rounds_of(proposal.fit_params)
        bar = self.best.score if self.best and self.best.score is not None else math.inf
        return TrialSpec(
            proposal.number,
            proposal.key,
            proposal.model,
            proposal.fit_params,
            rungs_for(rounds, self._milestones),
            bar,
            proposal.default,
        )

    def reached(self, key: str, rung: Rung) -> bool:
        """Note the score at a rung; return whether the trial goes on. Defaults are never stopped."""
        proposal, history = self._running[key], self._history[key]
        if any(earlier.step == rung.step for earlier in history):
            return True  # tried again after a fault: known already
        history.append(rung)
        self._ledger.report(proposal.number, rung)
        peers = self._seen.setdefault(rung.step, {})
        stop = (
            not proposal.default
            and rung.step in self._milestones
            and should_stop(self._limits.scheduler, rung.score, list(peers.values()))
        )
        peers[key] = rung.score
        if stop:
            self._stopping.add(key)
        return not stop

    def finished(self, key: str, rung: Rung, files: Files | None = None) -> None:
        """Note that a trial has trained all its rounds; ``files`` is its model where it was sent along."""
        proposal, history = self._running[key], self._history[key]
        if not any(earlier.step == rung.step for earlier in history):
            history.append(rung)
            self._ledger.report(proposal.number, rung)
            self._seen.setdefault(rung.step, {})[key] = rung.score
        if files is not None:
            self._kept.put(key, files)
        self._end(proposal, "finished", rung)

    def stopped(self, key: str) -> None:
        """Note that a trial was stopped at its last rung, or given up where it was not told to stop."""
        if key in self._stopping:
            self._end(self._running[key], "stopped", self._history[key][-1])

    def failed(self, key: str, reason: str) -> None:
        """Note that a trial failed: by its own parameters, or because its worker died again and again."""
        self._end(self._running[key], "failed", None, reason)

    def release(self) -> None:
        """Give up what still runs; a resumed study runs it first, under the same keys."""
        self._ledger.release()
        for key in self._running:
            for watcher in self._watchers:
                watcher.trial_interrupted(key)
        self._running.clear()

    @property
    def default(self) -> TrialResult | None:
        """The untuned default to compare with: of several libraries' the better one."""
        return min(self._defaults, key=lambda result: result.score or 0.0, default=None)

    @property
    def running(self) -> int:
        return len(self._running)

    def _end(self, proposal: Proposal, state: str, rung: Rung | None, reason: str = "") -> None:
        history = tuple(self._history.pop(proposal.key))
        self._running.pop(proposal.key)
        now = time.time()
        result = TrialResult(
            number=proposal.number,
            key=proposal.key,
            model=proposal.model,
            params=proposal.params,
            fit_params=proposal.fit_params,
            state=state,  # type: ignore[arg-type]
            score=rung.score if rung else None,
            rounds=rung.step if rung else (history[-1].step if history else 0),
            metrics=rung.metrics if rung else {},
            history=history,
            started_s=self._ledger.started_s(proposal.number),
            ended_s=now,
            reason=reason,
            default=proposal.default,
        )
        self._ledger.tell(result)
        self._count(result)
        self._kept.keep_only({trial.key for trial in (*self._defaults, self.best) if trial})
        for watcher in self._watchers:
            watcher.trial_ended(result)

    def _count(self, result: TrialResult) -> None:
        if result.state == "failed":
            self._failed += 1
            return
        if result.default:
            self._defaults.append(result)
        self._good += 1
        gain = result.state == "finished" and (
            self.best is None or self.best.score is None or (result.score or 0) < self.best.score
        )
        self._without_gain = 0 if gain else self._without_gain + 1
        if gain:
            self.best = result
