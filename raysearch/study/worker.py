"""The process that trains: a Ray actor that stays warm from trial to trial, and imports no more than that."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import ray
from ray import tune

from raysearch.bench import Bench
from raysearch.models import get_model
from raysearch.node_share import NodeShare
from raysearch.recipe import Recipe
from raysearch.reports import Report, reports
from raysearch.study.line import GroupLostError
from raysearch.trial import TrialSpec

if TYPE_CHECKING:
    from raysearch.study.shards import Shards
    from raysearch.study.spread import SpreadBench

SCORE, REPORT, SPEC, JOB, BEGUN = "score", "report", "spec", "job", "begun"
_LONGEST_START_S = 60.0  # of a worker: what clocks that differ may make of it


@contextlib.contextmanager
def _without(module: str) -> Iterator[None]:
    """Let libraries be imported inside as where a module that they can do without is not installed."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # what Python takes for "not there"
    try:
        yield
    finally:
        del sys.modules[module]


class Shared(str):
    """A reference to what a worker needs, as to the table and its recipe; a mere text to the files of Tune.

    The table's text is what the workers of a node share their things under; empty: they do not.

    A reference that is pickled into a file, or with a class, stays in the object store until the driver ends.
    """

    ref: Any

    def __deepcopy__(self, memo: dict[int, Any]) -> Shared:
        return self


def shared_begun(begun: bytes) -> Shared | None:
    """Return a reference to how far a trial has come; None where it begins anew."""
    if not begun:
        return None
    shared = Shared()
    shared.ref = ray.put(begun)
    return shared


@dataclass(frozen=True)
class Work:
    """What all trials of a study are given.

    Attributes:
        table: the prepared table; where trials have several workers, what ``to_be_scored`` leaves of it.
        shards: where the table's parts lie; None: a trial has one worker, which sees the whole table.
        needs: of each of several workers, see ``Group``.
    """

    table: pa.Table
    recipe: Recipe
    shards: Shards | None = None
    needs: Mapping[str, float] = field(default_factory=dict)


class TrialWorker(tune.Trainable):  # type: ignore[misc]
    """A process that stays warm from trial to trial and keeps its binned data, or the group that has it."""

    def setup(self, config: dict[str, Any]) -> None:
        self._least_s = math.inf  # between a trial's proposal and its arrival, by clocks that may differ
        self._waited_s: float | None = self._waited(config[SPEC])
        begun_s = time.monotonic()
        work: Work = ray.get(config[JOB].ref)
        self._spread: SpreadBench | None = None
        if work.shards is None:
            self._bench: Bench | SpreadBench = Bench(work.table, work.recipe, NodeShare(str(config[JOB])))
        else:
            from raysearch.study.spread import SpreadBench

            self._bench = self._spread = SpreadBench(work.table, work.recipe, work.shards, work.needs)
            self._spread.stand(config[SPEC].model)
        self._waited_s += time.monotonic() - begun_s
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        if self._spread is None:
            # Two thirds of LightGBM's time to load are scikit-learn's, for classes that no trial uses.
            with _without("sklearn"):
                get_model(new_config[SPEC].model)
        else:
            self._spread.stand(new_config[SPEC].model)  # its start is none of the trial's own time
        # A trial is sent the seconds that it has, not a moment of the driver's clock: hosts' clocks differ.
        waited, self._waited_s = self._waited_s, None
        since_s = time.monotonic() - (self._waited(new_config[SPEC]) if waited is None else waited)
        spec, begun = new_config[SPEC], new_config[BEGUN]
        if begun is not None:
            spec = replace(spec, begun=ray.get(begun.ref))
        self._reports: Iterator[Report] = reports(spec, self._bench, since_s=since_s)
        return True

    def _waited(self, spec: TrialSpec) -> float:
        """Return the seconds since a trial was proposed, at most those by which clocks may differ.

        The first one waits for its worker to start. Later ones are told by the quickest so far, which has
        not waited.
        """
        seconds, first = time.time() - spec.sent_s, math.isinf(self._least_s)
        self._least_s = min(self._least_s, seconds)
        return min(max(0.0, seconds), _LONGEST_START_S) if first else seconds - self._least_s

    def step(self) -> dict[str, Any]:
        report = next(self._reports)
        if report.failure and self._spread is not None and self._spread.lost:
            raise GroupLostError(self._spread.lost)  # no fault of the trial's: it is tried again
        score = report.rung.score if report.rung else float("nan")
        return {SCORE: score, REPORT: report, "done": report.final or bool(report.failure)}

    def cleanup(self) -> None:
        if self._spread is not None:
            self._spread.end()


@contextlib.contextmanager
def environment_left() -> Iterator[None]:
    """Let Ray Tune start workers in the environment of their node, as Ray has it.

    Tune sets a variable for PyTorch, for which Ray's agent has to make an environment before each worker
    starts, and sends along the keys of the driver's AWS account, which the dashboard shows.
    """
    try:
        from ray.tune.execution import tune_controller

        classes = tune_controller._ActorClassCache
        if getattr(classes, "is_plain", False):  # another study of the process is at it
            yield
            return
    except (ImportError, AttributeError):  # another version of Ray
        yield
        return

    class Plain(classes):  # type: ignore[misc, valid-type]
        is_plain = True

        def get(self, trainable_cls: type) -> Any:
            if trainable_cls not in self._cache:
                self._cache[trainable_cls] = ray.remote(trainable_cls)
            return self._cache[trainable_cls]

    tune_controller._ActorClassCache = Plain
    try:
        yield
    finally:
        tune_controller._ActorClassCache = classes
