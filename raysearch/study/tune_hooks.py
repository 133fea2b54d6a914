"""What Ray Tune calls while trials run: at each rung, when one starts or is lost, at turns of its loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from raysearch.errors import ClusterError
from raysearch.study.conductor import Conductor
from raysearch.study.guard import Fault
from raysearch.study.live import name_step
from raysearch.study.loss import error_of, why_lost
from raysearch.study.worker import BEGUN, REPORT, SPEC

_LOOK_EVERY_S = 2.0  # for nodes that have joined or left, and at the study's figures


class Search(Protocol):
    """What is known here of the searcher.

    Attributes:
        study: the study's name.
        keys: by Tune's ids of the trials that run.
        errors: why a trial's worker was lost, by Tune's id of the trial.
    """

    study: str
    keys: dict[str, str]
    errors: dict[str, str]

    def tell_figures(self) -> None:
        """Tell Ray's metrics how the study is doing."""


class Halt(BaseException):
    """Leaves Tune's loop at once, with workers as they are: the end of the connection ends them.

    Tune's own way out waits seconds for running steps, saves what nobody reads, and looks for missing logs.
    """


class GentleHaltError(Exception):
    """Leaves Tune's loop and lets it clean up: where the connection goes on, nothing may stay behind."""


class Local:
    """Tune writes its helpers to a file for a resume of its own. Ours is the ledger."""

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        return object, ()


class RungScheduler(Local, FIFOScheduler):  # type: ignore[misc]
    """Asks the conductor at each rung whether the trial goes on."""

    def __init__(self, conductor: Conductor, search: Search, fault: Fault) -> None:
        super().__init__()
        self._conductor = conductor
        self._search = search
        self._fault = fault
        self._chosen: set[str] = set()  # trials that wait and have been chosen before
        self._worked = False  # a worker has come as far as a first rung

    def on_trial_result(
        self, tune_controller: Any, trial: tune.experiment.Trial, result: dict[str, Any]
    ) -> str:
        self._worked = True
        with self._fault.noted(), self._conductor.watch.part("ledger"):
            report = result[REPORT]
            if self._conductor.reached(self._search.keys[trial.trial_id], report.rung, report.saved):
                return str(TrialScheduler.CONTINUE)
        return str(TrialScheduler.STOP)

    def choose_trial_to_run(self, tune_controller: Any) -> tune.experiment.Trial | None:
        """Return the trial that was proposed last, once: a worker that is free is for that one.

        Trials before it wait for workers that are starting. The stock scheduler would give them the free one
        and end theirs before it stands: where workers start slower than trials end, few ever do. It also
        looks through all trials that ever were.
        """
        waiting = [trial for trial in tune_controller.get_live_trials() if trial.status == trial.PENDING]
        new = [trial for trial in waiting if trial.trial_id not in self._chosen]
        self._chosen = {trial.trial_id for trial in waiting}
        return max(new, key=lambda trial: trial.config[SPEC].number, default=None)

    def on_trial_error(self, tune_controller: Any, trial: tune.experiment.Trial) -> None:
        error = error_of(trial.pickled_error_file)
        reason = why_lost(error)
        self._search.errors[trial.trial_id] = reason
        if not self._worked and getattr(error, "actor_init_failed", False):
            # The next one would fail alike: better told once than N times.
            self._fault.note(ClusterError(f"no worker can start on the cluster: {reason}"))


class Steps(Local, tune.Callback):  # type: ignore[misc]
    """Names what runs, drops what Tune would keep of ended trials, and leaves its loop at the end."""

    def __init__(
        self,
        conductor: Conductor,
        search: Search,
        fault: Fault,
        own: bool,
        capacity: Callable[[], int] | None = None,
        timeout_s: float | None = None,
        tidy: Callable[[], None] | None = None,
    ) -> None:
        """Watch a search.

        Args:
            search: proposes its trials.
            own: the connection to the cluster ends with the search.
            capacity: tells how many trials fit at once now, where nodes come and go.
            timeout_s: for which a trial may run, its worker's start not counted; None: for ever.
            tidy: gives back now and then what killed trials have left; None: they leave nothing.
        """
        self._conductor = conductor
        self._search = search
        self._timeout_s = timeout_s
        self._begun: dict[str, tuple[float, Any]] = {}  # when, and which trial, where they may time out
        self._fault = fault
        self._own = own
        self._capacity = capacity
        self._tidy = tidy
        self._looked_s = time.monotonic()

    def on_trial_start(
        self, iteration: int, trials: list[Any], trial: tune.experiment.Trial, **info: Any
    ) -> None:
        name_step(trial.temporary_state.ray_actor, self._search.study, trial.config[SPEC])
        if self._timeout_s is not None:
            self._begun[trial.trial_id] = time.monotonic(), trial

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Any],
        trial: tune.experiment.Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        worker, spec = trial.temporary_state.ray_actor, trial.config[SPEC]
        name_step(worker, self._search.study, spec, result[REPORT].rung)

    def on_trial_complete(
        self, iteration: int, trials: list[Any], trial: tune.experiment.Trial, **info: Any
    ) -> None:
        trial.last_result.pop(REPORT, None)  # it can hold a whole model
        trial.config[BEGUN] = None  # so can this
        trial.metric_analysis.clear()  # a kilobyte a figure, which nobody asks for
        trial.metric_n_steps.clear()

    def on_trial_error(
        self, iteration: int, trials: list[Any], trial: tune.experiment.Trial, **info: Any
    ) -> None:
        trial.config[BEGUN] = None

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.monotonic() - self._looked_s > _LOOK_EVERY_S:
            self._looked_s = time.monotonic()
            self._search.tell_figures()
            if self._tidy is not None:
                self._tidy()
            if self._capacity is not None:
                self._conductor.slots = max(1, self._capacity())
        if self._timeout_s is not None:
            self._end_overdue(self._timeout_s)
        idle = self._conductor.wants() == "done" and not self._conductor.running
        if not (idle or self._fault.error or self._conductor.halted):
            return
        if self._own:
            raise Halt
        for trial in trials:
            # Tune would wait seconds for their running steps.
            if trial.temporary_state.ray_actor is not None:
                ray.kill(trial.temporary_state.ray_actor)
        raise GentleHaltError

    def _end_overdue(self, timeout_s: float) -> None:
        """End the workers of trials that run for too long: what hangs answers nothing else."""
        for trial_id, (begun_s, trial) in list(self._begun.items()):
            key = self._search.keys.get(trial_id)
            if key is None:
                del self._begun[trial_id]  # it has ended
            elif time.monotonic() - begun_s > timeout_s:
                del self._begun[trial_id]
                self._conductor.give_up(key, timeout_s)
                if trial.temporary_state.ray_actor is not None:
                    ray.kill(trial.temporary_state.ray_actor)
