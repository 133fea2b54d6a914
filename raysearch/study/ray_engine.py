"""Ray Tune runs the trials: OptunaSearch proposes, warm workers train, the conductor decides and records."""

from __future__ import annotations

import contextlib
import functools
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import ray
from ray import tune
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from raysearch.config import ComputeConfig
from raysearch.errors import ClusterError
from raysearch.node_share import end_share
from raysearch.recipe import Recipe
from raysearch.space import SearchSpace
from raysearch.study.cluster import Cluster, more_wanted, slots_now
from raysearch.study.conductor import Conductor
from raysearch.study.gauges import Gauges
from raysearch.study.group_left import GroupsLeft
from raysearch.study.guard import Fault, process_left_alone
from raysearch.study.ledger import Ledger
from raysearch.study.loss import last_line, losses_survived
from raysearch.study.shards import Shards
from raysearch.study.tune_hooks import GentleHaltError, Halt, Local, RungScheduler, Steps
from raysearch.study.worker import (
    BEGUN,
    JOB,
    REPORT,
    SCORE,
    SPEC,
    Shared,
    TrialWorker,
    Work,
    environment_left,
    shared_begun,
)
from raysearch.trial import TrialSpec

_MOST_AT_ONCE = 10_000
_RESTARTS = 2  # times that Tune's loop is begun anew after an error of its own, without a trial that ended


class _LedgerSearch(Local, OptunaSearch):  # type: ignore[misc]
    """OptunaSearch on the ledger's storage, which tells Optuna how each trial really ended.

    The stock class tells a trial that was stopped early as complete, and leaves one with a NaN running.
    """

    def __init__(
        self,
        conductor: Conductor,
        space: SearchSpace,
        ledger: Ledger,
        job: Shared,
        fault: Fault,
        gauges: Gauges,
    ) -> None:
        study = ledger.study
        super().__init__(
            space=space.suggest,
            metric=SCORE,
            mode="min",
            sampler=study.sampler,
            study_name=study.study_name,
            storage=study._storage,
        )
        self._conductor = conductor
        self._ledger = ledger
        self._job = job
        self._fault = fault
        self._gauges = gauges
        self.study = study.study_name
        self.keys: dict[str, str] = {}
        self.errors: dict[str, str] = {}  # why a trial's worker was lost, by Tune's id of the trial

    def suggest(self, trial_id: str) -> Any:
        with self._fault.noted(), self._conductor.watch.part("proposals"):
            wish = self._conductor.wants()
            if wish == "done":
                return Searcher.FINISHED
            if wish == "wait" or self._conductor.running >= self._conductor.slots:
                return None
            with self._ledger.together():
                params = super().suggest(trial_id)
                spec = self._conductor.start(self._ot_trials.pop(trial_id), params)
            self._conductor.started(spec.key)
            self.keys[trial_id] = spec.key
            return {SPEC: replace(spec, begun=b""), JOB: self._job, BEGUN: shared_begun(spec.begun)}
        return Searcher.FINISHED

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Do nothing: the scheduler sees every rung, this method only those of trials that go on."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        with self._fault.noted(), self._conductor.watch.part("ledger"):
            key = self.keys.pop(trial_id)
            report = (result or {}).get(REPORT)
            if error or report is None:
                self._conductor.lost(key, self.errors.pop(trial_id, "its worker was lost"))
            elif report.failure:
                self._conductor.failed(key, report.failure)
            elif report.final:
                self._conductor.finished(key, report.rung, report.files, cut=report.cut)
            else:
                self._conductor.stopped(key)

    def tell_figures(self) -> None:
        """Tell Ray's metrics how the study is doing."""
        self._gauges.tell(self._ledger.results, self._conductor.running)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger holds all there is."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger holds all there is."""


def run_on_ray(
    conductor: Conductor,
    ledger: Ledger,
    space: SearchSpace,
    job: tuple[pa.Table, Recipe],
    place: tuple[Cluster, ComputeConfig],
    share: str = "",
    shards: Shards | None = None,
) -> None:
    """Run trials on the connected cluster until the conductor wants no more.

    Args:
        job: the shared table, put into the object store once, and what workers must know of it.
        place: where to run, and what one trial needs.
        share: under which workers on this machine find what was learnt for them already.
        shards: where the parts of the table lie, for trials of several workers.

    Raises:
        RaysearchError: when trials cannot be written down, no worker can start, or Tune itself fails.
    """
    alone = place[0].slots < 2 and place[0].asks is None
    with _shared(_work(job, shards, place), share, alone) as shared:
        _run_until_done(conductor, (ledger, space, shared), place)


def _work(job: tuple[pa.Table, Recipe], shards: Shards | None, place: tuple[Cluster, ComputeConfig]) -> Work:
    """Return what workers are given: of several a trial, the one that scores needs no features."""
    if shards is None:
        return Work(*job)
    from raysearch.study.spread import to_be_scored

    return Work(to_be_scored(*job), job[1], shards, _needs(*place))


def _needs(cluster: Cluster, compute: ComputeConfig) -> dict[str, float]:
    """Return what a worker asks Ray for."""
    return {"CPU": compute.cpus_per_trial, "GPU": compute.gpus_per_trial, "memory": cluster.worker_bytes}


@contextlib.contextmanager
def _shared(work: Work, share: str, alone: bool) -> Iterator[Shared]:
    """Put what all workers need into the object store, once."""
    own = "" if share or alone else uuid.uuid4().hex
    shared = Shared(share or own)
    shared.ref = ray.put(work)
    try:
        yield shared
    finally:
        end_share(own)


def _run_until_done(
    conductor: Conductor,
    study: tuple[Ledger, SearchSpace, Shared],
    place: tuple[Cluster, ComputeConfig],
) -> None:
    ledger, space, shared = study
    conductor.slots = place[0].slots
    gauges = Gauges(ledger.study.study_name, place[1].cores_of_trial)
    left = GroupsLeft() if place[1].workers_per_trial > 1 else None
    failures, ended = 0, -1
    while True:
        fault = Fault()
        search = _LedgerSearch(conductor, space, ledger, shared, fault, gauges)
        try:
            _run_tune(conductor, search, fault, place, left)
        except Exception as error:
            failures, ended = (1 if conductor.ended > ended else failures + 1), conductor.ended
            if fault.error or failures > _RESTARTS:
                reason = f"Ray Tune failed {failures} times: {last_line(str(error))}"
                raise fault.error or ClusterError(reason) from error
            continue  # what ran is in the queue again, under the same keys
        finally:
            conductor.release()
            search.tell_figures()
            if left is not None and not place[0].own:
                left.wait()
        if fault.error:
            raise fault.error
        if not conductor.stopped_by:
            conductor.interrupt()  # only a signal of Tune's own ends its loop before the conductor does
        return


def _run_tune(
    conductor: Conductor,
    search: _LedgerSearch,
    fault: Fault,
    place: tuple[Cluster, ComputeConfig],
    left: GroupsLeft | None,
) -> None:
    scratch = tempfile.TemporaryDirectory(prefix="raysearch-tune-", ignore_cleanup_errors=True)
    with (
        contextlib.suppress(Halt, GentleHaltError),
        process_left_alone(),
        losses_survived(),
        environment_left(),
        scratch,
    ):
        _tuner(conductor, search, fault, place, left, scratch.name).fit()


def _tuner(
    conductor: Conductor,
    search: _LedgerSearch,
    fault: Fault,
    place: tuple[Cluster, ComputeConfig],
    left: GroupsLeft | None,
    scratch: str,
) -> tune.Tuner:
    cluster, compute = place
    capacity = functools.partial(_capacity, conductor, place) if cluster.grows else None
    tidy = left.give_back if left is not None else None
    needs = _needs(cluster, compute)
    if compute.workers_per_trial > 1:  # which ask for themselves; Ray wants to be asked for something
        needs = {"CPU": 0, "memory": max(1, cluster.desk_bytes)}
    worker = tune.with_resources(TrialWorker, needs)
    # Tune finds the class by its name; studies that run beside each other may ask for other resources. Ray's
    # dashboard shows the qualified one.
    worker.__name__ = worker.__qualname__ = (
        f"{TrialWorker.__name__}_{compute.cpus_per_trial}_{compute.gpus_per_trial:g}_{needs['memory']}"
        f"_{compute.workers_per_trial}"
    )
    return tune.Tuner(
        worker,
        tune_config=tune.TuneConfig(
            metric=SCORE,
            mode="min",
            search_alg=search,
            scheduler=RungScheduler(conductor, search, fault),
            num_samples=-1,
            # What runs at once is the conductor's to say; Tune lets as many workers start at the same time.
            max_concurrent_trials=_MOST_AT_ONCE if cluster.grows else cluster.slots,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name="study",
            storage_path=scratch,
            callbacks=[Steps(conductor, search, fault, cluster.own, capacity, compute.trial_timeout_s, tidy)],
            verbose=0,
            # The conductor tries lost trials again: Tune fails one whose worker died between two trials.
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )


def _capacity(conductor: Conductor, place: tuple[Cluster, ComputeConfig]) -> int:
    """Return how many trials fit at once now, and ask for the nodes that more of them need."""
    cluster, compute = place
    if cluster.asks is not None:
        with contextlib.suppress(Exception):  # what keeps Ray from taking a wish costs no trial
            more = more_wanted(compute, cluster.worker_bytes, cluster.desk_bytes, conductor.useful)
            cluster.asks.keep(more, cluster.worker_bytes)
    return slots_now(compute, cluster.worker_bytes, cluster.desk_bytes)


def _trial_name(trial: tune.experiment.Trial) -> str:
    spec: TrialSpec = trial.config[SPEC]
    return f"trial-{spec.number}-{spec.model}"
