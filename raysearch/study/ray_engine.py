"""Ray Tune runs the trials: OptunaSearch proposes, warm workers train, the conductor decides and records."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import optuna
import pyarrow as pa
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from raysearch.config import ComputeConfig
from raysearch.space import SearchSpace
from raysearch.study.cluster import Cluster
from raysearch.study.conductor import Conductor
from raysearch.trial import Bench, Recipe, Report, TrialSpec, reports

_SCORE, _REPORT, _SPEC = "score", "report", "spec"
_RETRIES = 2  # times that a trial is tried again after its worker died


class _Halt(BaseException):
    """Leaves Tune's loop at once, with workers as they are: the end of the connection ends them.

    Tune's own way out waits seconds for running steps, saves what nobody reads, and looks for logs that are off.
    """


class _HaltGently(Exception):
    """Leaves Tune's loop and lets it clean up: where the connection goes on, nothing may stay behind."""


class TrialWorker(tune.Trainable):  # type: ignore[misc]
    """A process that stays warm from trial to trial and keeps its binned data."""

    def setup(self, config: dict[str, Any], table: pa.Table, recipe: Recipe) -> None:
        self._bench = Bench(table, recipe)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._reports: Iterator[Report] = reports(new_config[_SPEC], self._bench)
        return True

    def step(self) -> dict[str, Any]:
        report = next(self._reports)
        score = report.rung.score if report.rung else float("nan")
        return {_SCORE: score, _REPORT: report, "done": report.final or bool(report.failure)}


class _Local:
    """Tune writes its helpers to a file for a resume of its own. Ours is the ledger, and they hold connections."""

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        return object, ()


class _LedgerSearch(_Local, OptunaSearch):  # type: ignore[misc]
    """OptunaSearch on the ledger's storage, which tells Optuna how each trial really ended.

    The stock class tells a trial that was stopped early as complete, and leaves one with a NaN running for ever.
    """

    def __init__(self, conductor: Conductor, space: SearchSpace, study: optuna.Study) -> None:
        super().__init__(
            space=space.suggest,
            metric=_SCORE,
            mode="min",
            sampler=study.sampler,
            study_name=study.study_name,
            storage=study._storage,
        )
        self._conductor = conductor
        self.keys: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        wish = self._conductor.wants()
        if wish != "more":
            return Searcher.FINISHED if wish == "done" else None
        params = super().suggest(trial_id)
        spec = self._conductor.start(self._ot_trials.pop(trial_id), params)
        self.keys[trial_id] = spec.key
        return {_SPEC: spec}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Do nothing: the scheduler sees every rung, this method only those of trials that go on."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        key = self.keys.pop(trial_id)
        report = (result or {}).get(_REPORT)
        if error or report is None:
            self._conductor.failed(key, f"the worker process died {_RETRIES + 1} times (killed, or out of memory)")
        elif report.failure:
            self._conductor.failed(key, report.failure)
        elif report.final:
            self._conductor.finished(key, report.rung, report.files)
        else:
            self._conductor.stopped(key)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger holds all there is."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger holds all there is."""


class _RungScheduler(_Local, FIFOScheduler):  # type: ignore[misc]
    """Asks the conductor at each rung whether the trial goes on."""

    def __init__(self, conductor: Conductor, keys: dict[str, str]) -> None:
        super().__init__()
        self._conductor = conductor
        self._keys = keys

    def on_trial_result(self, tune_controller: Any, trial: tune.experiment.Trial, result: dict[str, Any]) -> str:
        goes_on = self._conductor.reached(self._keys[trial.trial_id], result[_REPORT].rung)
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)


class _HaltStopper(_Local, tune.Stopper):  # type: ignore[misc]
    def __init__(self, conductor: Conductor, own: bool) -> None:
        self._conductor = conductor
        self._own = own

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        idle = self._conductor.wants() == "done" and not self._conductor.running
        if self._own and (idle or self._conductor.halted):
            raise _Halt
        if self._conductor.halted:
            raise _HaltGently
        return False


class _Forget(_Local, tune.Callback):  # type: ignore[misc]
    """Drops what Tune would keep of each ended trial: its reports can hold whole models."""

    def on_trial_complete(
        self, iteration: int, trials: list[Any], trial: tune.experiment.Trial, **info: Any
    ) -> None:
        trial.last_result.pop(_REPORT, None)


def run_on_ray(
    conductor: Conductor,
    study: optuna.Study,
    space: SearchSpace,
    job: tuple[pa.Table, Recipe],
    place: tuple[Cluster, ComputeConfig],
) -> None:
    """Run trials on the connected cluster until the conductor wants no more.

    Args:
        job: the shared table, put into the object store once, and what workers must know of it.
        place: where to run, and what one trial needs.
    """
    table, recipe = job
    cluster, compute = place
    _quiet_tune()
    search = _LedgerSearch(conductor, space, study)
    scheduler = _RungScheduler(conductor, search.keys)
    worker = tune.with_resources(
        tune.with_parameters(TrialWorker, table=table, recipe=recipe),
        {"CPU": compute.cpus_per_trial, "GPU": compute.gpus_per_trial},
    )
    with tempfile.TemporaryDirectory(prefix="raysearch-tune-") as scratch:
        tuner = tune.Tuner(
            worker,
            tune_config=tune.TuneConfig(
                metric=_SCORE,
                mode="min",
                search_alg=search,
                scheduler=scheduler,
                num_samples=-1,
                max_concurrent_trials=cluster.slots,
                reuse_actors=True,
                trial_name_creator=_trial_name,
                trial_dirname_creator=_trial_name,
            ),
            run_config=tune.RunConfig(
                name="study",
                storage_path=scratch,
                stop=_HaltStopper(conductor, cluster.own),
                callbacks=[_Forget()],
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=_RETRIES),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        try:
            tuner.fit()
        except (_Halt, _HaltGently):
            pass  # the conductor knows why
        finally:
            conductor.release()


def _trial_name(trial: tune.experiment.Trial) -> str:
    spec: TrialSpec = trial.config[_SPEC]
    return f"trial-{spec.number}-{spec.model}"


def _quiet_tune() -> None:
    """Switch off what Tune would print, log and save beside the ledger and the record."""
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "1000000"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"

