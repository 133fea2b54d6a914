"""What happens between the proposal of a trial and its place in the record, whichever engine runs it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import optuna

from raysearch.models import TUNABLE, adds_up
from raysearch.records import Rung, TrialResult, TrialState
from raysearch.stopwatch import Stopwatch
from raysearch.study.checkpoints import Checkpoints
from raysearch.study.demand import Demand, Wish
from raysearch.study.ended import ended_trial
from raysearch.study.kept import Files, KeptModels
from raysearch.study.leaders import kind_of
from raysearch.study.ledger import Ledger, Proposal
from raysearch.study.limits import Limits, TimeLeft
from raysearch.study.pruning import Rungs
from raysearch.study.tally import Tally
from raysearch.study.watcher import Watcher
from raysearch.trial import TrialSpec, rungs_for

_RETRIES = 2  # times that a trial is tried again after it lost its worker


class Conductor:
    """Decides whether more trials are wanted and which are stopped, and writes down how each one ended."""

    def __init__(
        self,
        ledger: Ledger,
        limits: Limits,
        kept: KeptModels,
        watchers: tuple[Watcher, ...] = (),
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self._ledger = ledger
        self._kept = kept
        self._checkpoints = checkpoints
        self._limits = limits
        self._watchers = watchers
        self.watch = Stopwatch(time.thread_time)  # the driver's own work during the search
        self.spent: dict[str, float] = {}  # the workers' seconds in trials of this run, by part
        self.first_fold = False  # whether trials are scored on their first fold alone before the others
        self.ended_now = 0  # trials of this run
        self._running: dict[str, Proposal] = {}
        self._history: dict[str, list[Rung]] = {}
        self._rungs = Rungs(limits.scheduler, limits.max_rounds)
        self._stopping: dict[str, str] = {}  # told to stop, with the failure's reason where it is one
        self._losses: Counter[str] = Counter()
        self._waiting: set[str] = set()  # lost their worker, not yet tried again
        self._time = TimeLeft(limits)
        self._tally = Tally(limits)
        self._demand = Demand(limits, self._tally, self._time)
        for result in ledger.results:
            self._tally.add(result)
            if checkpoints:
                checkpoints.drop(result.key)  # a kill can come between a trial's end and that
            for rung in result.history:
                self._seen(result, rung)
        self._tally.go_on()

    # -- what an engine asks ---------------------------------------------------------------------------------

    def wants(self) -> Wish:
        """Tell an engine with a free place whether to take another trial, to wait for others, or to end."""
        return self._demand.wants(len(self._running))

    @property
    def useful(self) -> float:
        """Trials that there is work for at once, those that run included; inf: as many as there may be."""
        return self._demand.useful(len(self._running))

    @property
    def stopped_by(self) -> str:
        """Return why the search takes no more trials: trials, patience, failures, time or interrupt."""
        return self._demand.stopped_by

    @property
    def halted(self) -> bool:
        """Tell whether running trials are to be given up now: out of time, or interrupted."""
        return self._demand.halted

    @property
    def refit_s(self) -> float:
        """Return how many seconds to keep for refitting the leading trials and the default."""
        return self._time.refits_s(self.leading, self.default)

    def interrupt(self) -> None:
        """End the search as soon as possible; may be called from a signal handler."""
        self._demand.interrupt()

    # -- what an engine tells --------------------------------------------------------------------------------

    def start(self, trial: optuna.Trial, params: Mapping[str, Any]) -> TrialSpec:
        """Take a trial that the sampler has filled in; return what a worker needs to run it.

        ``started`` follows when it is written down: a record of what the ledger does not know stays for ever.
        """
        proposal = self._ledger.accept(trial, params)
        self._running[proposal.key] = proposal
        begun = self._begun(proposal.key)
        rounds = TUNABLE[proposal.model].rounds_of(proposal.fit_params)
        first_fold = self._begins_with_first_fold(proposal)
        return TrialSpec(
            proposal.number,
            proposal.key,
            proposal.model,
            proposal.fit_params,
            rungs_for(rounds, () if first_fold else self._rungs.milestones),
            self._tally.leaders.bar(kind_of(proposal.model, proposal.params)),
            proposal.default,
            self._time.promise(proposal.key, self.leading, self.default),
            time.time(),
            first_fold,
            self._limits.checkpoint_after_s if self._checkpoints else math.inf,
            begun,
        )

    def _begins_with_first_fold(self, proposal: Proposal) -> bool:
        """Tell whether a trial is scored on its first fold alone before the others are trained."""
        if history := self._history[proposal.key]:
            return any(rung.folds for rung in history)  # as it began
        holds = self.first_fold and self._tally.agreement.holds
        return holds and not proposal.default and adds_up(proposal.fit_params)

    def started(self, key: str) -> None:
        """Tell the watchers of a trial that has been written down."""
        if key in self._waiting:
            self._waiting.remove(key)  # they never saw it end
            return
        proposal = self._running[key]
        for watcher in self._watchers:
            watcher.trial_started(proposal.number, proposal.key, proposal.model, proposal.params)

    def _begun(self, key: str) -> bytes:
        """Return how far a trial had come that is tried again, and know the rungs that it has reached."""
        begun = self._checkpoints.get(key) if self._checkpoints else None
        history = self._history.setdefault(key, list(begun.history) if begun else [])
        for rung in history:
            self._seen(self._running[key], rung)
        return begun.trial if begun else b""

    def reached(self, key: str, rung: Rung, saved: bytes = b"") -> bool:
        """Note the score at a rung; return whether the trial goes on. Defaults are never stopped.

        Args:
            saved: what is needed to go on from there, where that is worth it.
        """
        goes_on = self._goes_on(key, rung)
        if goes_on and saved and self._checkpoints:
            self._checkpoints.put(key, saved, self._history[key])
        return goes_on

    def _goes_on(self, key: str, rung: Rung) -> bool:
        proposal, history = self._running[key], self._history[key]
        if any(earlier.stage == rung.stage for earlier in history):
            return key not in self._stopping  # tried again after a fault: known already
        if rung.not_finite:
            self._stopping[key] = rung.not_finite
            return False
        history.append(rung)
        self._ledger.report(proposal.number, rung)
        stop = not proposal.default and self._rungs.stop(rung)
        self._seen(proposal, rung)
        if stop:
            self._stopping[key] = ""
        return not stop

    def _seen(self, trial: Proposal | TrialResult, rung: Rung) -> None:
        """Judge others by a trial's score; a point of an earlier study stops no trial of the search's own."""
        if not trial.warm:
            self._rungs.add(trial.key, rung)

    def finished(self, key: str, rung: Rung, files: Files | None = None, *, cut: bool = False) -> None:
        """Note that a trial has trained all that it will; ``files`` is its model where it was sent along.

        Args:
            cut: it had no time for more, so that its score tells less of its parameters than others' do.
        """
        if rung.not_finite:
            self.failed(key, rung.not_finite)
            return
        proposal, history = self._running[key], self._history[key]
        if files is not None:
            self._kept.put(key, files)
        new = not any(earlier.stage == rung.stage for earlier in history)
        if new:
            history.append(rung)
            self._seen(proposal, rung)
        self._end(proposal, "cut" if cut else "finished", rung, report=new)

    def stopped(self, key: str) -> None:
        """Note that a trial was stopped at its last rung, or given up where it was not told to stop."""
        if key not in self._stopping:
            return
        if self._stopping[key]:
            self.failed(key, self._stopping[key])
        else:
            self._end(self._running[key], "stopped", max(self._history[key], key=lambda rung: rung.stage))

    def failed(self, key: str, reason: str) -> None:
        """Note that a trial failed: by its own parameters, or because it lost its worker again and again."""
        self._end(self._running[key], "failed", None, reason)

    def give_up(self, key: str, seconds: float) -> None:
        """Note that a trial has taken longer than it may: it fails when its worker has been ended."""
        self._stopping[key] = f"it took longer than the {seconds:g} s of --trial-timeout"

    def lost(self, key: str, reason: str) -> None:
        """Note that a trial lost its worker: it is the next to be run, under the same key, a few times."""
        if self._stopping.get(key):
            self.failed(key, self._stopping[key])
            return
        self._losses[key] += 1
        if self._losses[key] > _RETRIES:
            self.failed(key, f"{reason}; tried {self._losses[key]} times")
            return
        self._ledger.give_back(self._running.pop(key).number)
        self._time.ended(key)
        self._waiting.add(key)

    def release(self) -> None:
        """Give up what still runs; a resumed study runs it first, under the same keys."""
        keys = [*self._running, *self._waiting]
        for forgotten in (self._running, self._waiting, self._history, self._stopping):
            forgotten.clear()
        for key in keys:
            self._time.ended(key)
        try:
            self._ledger.release()
        finally:
            for key in keys:
                for watcher in self._watchers:
                    watcher.trial_interrupted(key)

    @property
    def best(self) -> TrialResult | None:
        """The trial that becomes the model: with the lowest score, or picked from the front."""
        return self._tally.leaders.best

    @property
    def leading(self) -> tuple[TrialResult, ...]:
        """The trials that may become the model together, the best first."""
        return self._tally.leading

    @property
    def default(self) -> TrialResult | None:
        """The untuned default to compare with: of several libraries' the better one."""
        return self._tally.default

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of the result should know of the search."""
        trouble = self._checkpoints.trouble if self._checkpoints else ""
        unwritten = f"How far trials had come could not always be written down: {trouble}." if trouble else ""
        return tuple(filter(None, (self._tally.agreement.note, unwritten)))

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def slots(self) -> int:
        """Trials at once."""
        return self._time.slots

    @slots.setter
    def slots(self, slots: int) -> None:
        self._time.slots = slots

    @property
    def ended(self) -> int:
        return self._tally.ended

    def _end(
        self,
        proposal: Proposal,
        state: TrialState,
        rung: Rung | None,
        reason: str = "",
        *,
        report: bool = False,
    ) -> None:
        """Write down how a trial ended, and only then act on it.

        Args:
            report: the rung is new to the ledger.
        """
        history = tuple(sorted(self._history.pop(proposal.key), key=lambda rung: rung.stage))
        self._running.pop(proposal.key)
        self._time.ended(proposal.key)
        self._stopping.pop(proposal.key, None)
        begun_s = self._ledger.started_s(proposal.number)
        result = ended_trial(proposal, state, rung, history, begun_s, reason)
        with self._ledger.together():
            if rung and report:
                self._ledger.report(proposal.number, rung)
            self._ledger.tell(result)
        if self._checkpoints:
            self._checkpoints.drop(proposal.key)
        self.ended_now += 1
        last = rung or (history[-1] if history else None)
        for part, seconds in (last.spent if last else {}).items():
            self.spent[part] = self.spent.get(part, 0.0) + seconds
        self._tally.add(result)
        self._kept.keep_only({trial.key for trial in (*self._tally.defaults, *self._tally.leaders.trials)})
        for watcher in self._watchers:
            watcher.trial_ended(result)
