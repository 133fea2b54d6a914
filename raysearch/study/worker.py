"""The process that trains: a Ray actor that stays warm from trial to trial, and imports no more than that."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

import ray
from ray import tune

from raysearch.bench import Bench
from raysearch.models import get_model
from raysearch.trial import Report, reports

SCORE, REPORT, SPEC, JOB = "score", "report", "spec", "job"
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


class SharedJob(str):
    """The reference to the shared table and its recipe to a worker; a mere text to the files of Tune.

    A reference that is pickled into a file, or with a class, stays in the object store until the driver ends.
    """

    ref: Any

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedJob:
        return self


class TrialWorker(tune.Trainable):  # type: ignore[misc]
    """A process that stays warm from trial to trial and keeps its binned data."""

    def setup(self, config: dict[str, Any]) -> None:
        # Until a worker stands seconds pass, which are not the trial's: told apart by clocks of two hosts.
        waited = min(max(0.0, time.time() - config[SPEC].sent_s), _LONGEST_START_S)
        self._since_s: float | None = time.monotonic() - waited
        table, recipe = ray.get(config[JOB].ref)
        self._bench = Bench(table, recipe)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        # Two thirds of the time in which LightGBM loads are scikit-learn's, for classes that no trial uses.
        with _without("sklearn"):
            get_model(new_config[SPEC].model)
        # Seconds that are left, not a moment of the driver's clock: hosts' clocks differ.
        since_s, self._since_s = self._since_s, None
        self._reports: Iterator[Report] = reports(new_config[SPEC], self._bench, since_s=since_s)
        return True

    def step(self) -> dict[str, Any]:
        report = next(self._reports)
        score = report.rung.score if report.rung else float("nan")
        return {SCORE: score, REPORT: report, "done": report.final or bool(report.failure)}
