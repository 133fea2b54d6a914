"""A search's figures as Ray metrics, for Prometheus and the dashboards that read it (see ``deploy``).

Series are told apart by study and state alone: their number does not grow with the trials.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any

from raysearch.records import TrialResult

_LATELY_S = 60.0
_STATES = ("finished", "stopped", "cut", "failed", "running")
_TOLD = {
    "raysearch_best_score": ("Lowest score of a finished trial, by the first objective", ("study",)),
    "raysearch_trials": ("Trials by state, those of earlier runs of the study included", ("study", "state")),
    "raysearch_trials_per_minute": ("Trials that ended in the last minute", ("study",)),
    "raysearch_cores_at_work": ("Cores of the trials that run", ("study",)),
}


class Gauges:
    """A watcher of a search that runs on Ray; what keeps Ray from taking a figure costs no trial.

    Args:
        ended: trials that an earlier run has ended.
        cores: of one trial.
    """

    def __init__(self, study: str, ended: Iterable[TrialResult], cores: int) -> None:
        self._study = study
        self._cores = cores
        self._best: float | None = None
        self._counts: Counter[str] = Counter()
        self._running: set[str] = set()
        self._lately: deque[float] = deque()
        self._gauges: dict[str, Any] = {}
        for result in ended:
            self._count(result)

    def trial_started(self, number: int, key: str, model: str, params: Mapping[str, Any]) -> None:
        self._running.add(key)
        self._tell()

    def trial_ended(self, result: TrialResult) -> None:
        self._running.discard(result.key)
        self._lately.append(time.monotonic())
        self._count(result)
        self._tell()

    def trial_interrupted(self, key: str) -> None:
        self._running.discard(key)
        self._tell()

    def _count(self, result: TrialResult) -> None:
        self._counts[result.state] += 1
        if result.has_model and result.score is not None:
            self._best = result.score if self._best is None else min(self._best, result.score)

    def _tell(self) -> None:
        with contextlib.suppress(Exception):
            self._set("raysearch_cores_at_work", len(self._running) * self._cores)
            counts = {**self._counts, "running": len(self._running)}
            for state in _STATES:
                self._set("raysearch_trials", counts.get(state, 0), state=state)
            while self._lately and self._lately[0] < time.monotonic() - _LATELY_S:
                self._lately.popleft()
            self._set("raysearch_trials_per_minute", len(self._lately))
            if self._best is not None:
                self._set("raysearch_best_score", self._best)

    def _set(self, name: str, value: float, **tags: str) -> None:
        if name not in self._gauges:  # not before there is a Ray to tell
            from ray.util.metrics import Gauge

            about, keys = _TOLD[name]
            self._gauges[name] = Gauge(name, description=about, tag_keys=keys)
        self._gauges[name].set(value, {"study": self._study, **tags})
