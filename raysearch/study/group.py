"""The workers of a trial of several: one run of Ray Train, which stays from trial to trial."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import uuid
from collections.abc import Mapping
from typing import Any

import ray
from ray.exceptions import RayActorError

from raysearch.models import thread_settings
from raysearch.recipe import Recipe
from raysearch.scoring import TrialError
from raysearch.study.group_worker import END, ROWS, ShareConfig, read_part, serve, settle_data
from raysearch.study.line import Failure, GroupLostError, Line
from raysearch.study.loss import last_line
from raysearch.study.shards import Shards

_LOOK_S = 0.5  # between two looks whether the run still stands
_END_S = 30.0
# The run looks so often whether its workers live, and leaves them in the directory that they start in. A node
# that is about to go is noticed when it has gone, as for other trials.
_TRAIN = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}


class Group:
    """Workers that train one trial after the other together, each on its part of the table.

    They end with the process that has made the group, whichever way that ends.
    """

    def __init__(self, model: str, recipe: Recipe, shards: Shards, needs: Mapping[str, float]) -> None:
        """Begin to start them.

        Args:
            model: the library that all its trials are trained with.
            needs: of each worker: CPU, GPU, and bytes of memory.
        """
        self.model = model
        self._line = ray.remote(num_cpus=0)(Line).remote(recipe.settings.workers)
        self._number = 0
        self._closed = False
        self._error: BaseException | None = None
        job = {"line": self._line, "model": model, "recipe": recipe, "shards": shards}
        trainer = _trainer(job, needs)
        self._thread = threading.Thread(target=self._run, args=(trainer,), name="group", daemon=True)
        self._thread.start()

    def ask(self, order: str, *words: Any) -> list[Any]:
        """Let all workers carry out an order, and return what they say, by rank.

        Raises:
            TrialError: all of them have failed at it.
            GroupLostError: one has died; there is no group any more, as after any failure.
        """
        self._number += 1
        said = self._line.ask.remote(self._number, order, words)
        while not ray.wait([said], timeout=_LOOK_S)[0]:
            if not self._thread.is_alive():
                raise GroupLostError(self._reason())
        try:
            found = ray.get(said)
        except RayActorError:
            self._close()
            raise GroupLostError("what connects the workers of the trial died") from None
        if not isinstance(found, Failure):
            return list(found)
        self._close()
        if found.by_all:
            raise TrialError(found.reason)
        raise GroupLostError(f"a worker of the trial failed, or died: {found.reason}")

    @property
    def stands(self) -> bool:
        return self._thread.is_alive() and not self._closed

    def end(self) -> None:
        """End the workers, and give back what they hold."""
        if self.stands:
            self._line.ask.remote(self._number + 1, END, ())
        self._close()

    def _close(self) -> None:
        self._closed = True
        self._thread.join(_END_S)
        ray.kill(self._line)

    def _run(self, trainer: Any) -> None:
        try:
            trainer.fit()
        except BaseException as error:  # told by ``ask``
            self._error = error

    def _reason(self) -> str:
        from ray.train import WorkerGroupError

        if self._error is None or isinstance(self._error, WorkerGroupError):
            return "a worker process of the trial died (killed, crashed, or out of memory)"
        return f"the workers of the trial were lost: {last_line(str(self._error))}"


def _trainer(job: Mapping[str, Any], needs: Mapping[str, float]) -> Any:
    from ray import train
    from ray.train import FailureConfig, RunConfig, ScalingConfig

    os.environ.update({name: os.environ.get(name, value) for name, value in _TRAIN.items()})
    settle_data()
    shards: Shards = job["shards"]
    quiet = getattr(train, "LoggingConfig", None)  # older versions have none
    logging = {"logging_config": quiet(log_level="ERROR")} if quiet else {}
    return _without_cleaner(_trainer_class(job["model"]))(
        serve,
        train_loop_config=dict(job),
        scaling_config=ScalingConfig(
            num_workers=len(shards.addresses),
            use_gpu=needs.get("GPU", 0) > 0,
            resources_per_worker={name: value for name, value in needs.items() if value},
        ),
        run_config=RunConfig(
            name=f"group-{uuid.uuid4().hex[:8]}",
            storage_path=_scratch(),
            failure_config=FailureConfig(max_failures=0),
            worker_runtime_env={"env_vars": thread_settings()},
            **logging,
        ),
        datasets={ROWS: lambda: read_part(shards, 0)},
        dataset_config=ShareConfig(shards),
    )


def _trainer_class(model: str) -> Any:
    if model == "lightgbm":
        from ray.train.lightgbm import LightGBMTrainer

        return LightGBMTrainer
    from ray.train.xgboost import XGBoostTrainer

    return XGBoostTrainer


def _without_cleaner(trainer: Any) -> Any:
    """Return a kind of trainer that starts no process to clean up after it: see ``group_left``."""

    class Trainer(trainer):  # type: ignore[misc]
        def _create_default_callbacks(self) -> list[Any]:
            made = super()._create_default_callbacks()
            return [one for one in made if type(one).__name__ != "PlacementGroupCleanerCallback"]

    return Trainer


def _scratch() -> str:
    """Return a directory for what Ray Train writes, which nobody reads: that of Ray's own session."""
    with contextlib.suppress(Exception):  # another version of Ray
        return str(ray._private.worker.global_worker.node.get_session_dir_path())
    return tempfile.gettempdir()
