"""A search's figures as Ray metrics, for Prometheus and the dashboards that read it (see ``deploy``).

Series are told apart by study and state alone: their number does not grow with the trials.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from raysearch.records import TrialResult

STATES = ("finished", "stopped", "cut", "failed", "running")
FIGURES = {
    "raysearch_best_score": ("Lowest score of a finished trial, by the first objective", ("study",)),
    "raysearch_trials": ("Trials by state, those of earlier runs of the study included", ("study", "state")),
    "raysearch_trials_per_minute": ("Trials that ended in the last minute", ("study",)),
    "raysearch_cores_at_work": ("Cores of the trials that run", ("study",)),
}
_LATELY_S = 60.0


class Gauges:
    """Tells Ray how a study is doing; what keeps Ray from taking a figure costs no trial.

    Args:
        cores: of one trial.
    """

    def __init__(self, study: str, cores: int) -> None:
        self._study = study
        self._cores = cores
        self._gauges: dict[str, Any] = {}

    def tell(self, results: Sequence[TrialResult], running: int) -> None:
        """Tell the figures of a study.

        Args:
            results: its trials that have ended.
            running: how many run now.
        """
        scores = [result.score for result in results if result.has_model and result.score is not None]
        counts: Counter[str] = Counter(result.state for result in results)
        counts["running"] = running
        since_s = time.time() - _LATELY_S
        with contextlib.suppress(Exception):
            self._set("raysearch_cores_at_work", running * self._cores)
            self._set("raysearch_trials_per_minute", sum(result.ended_s > since_s for result in results))
            for state in STATES:
                self._set("raysearch_trials", counts[state], state=state)
            if scores:
                self._set("raysearch_best_score", min(scores))

    def _set(self, name: str, value: float, **tags: str) -> None:
        if name not in self._gauges:  # not before there is a Ray to tell
            from ray.util.metrics import Gauge

            about, keys = FIGURES[name]
            self._gauges[name] = Gauge(name, description=about, tag_keys=keys)
        self._gauges[name].set(value, {"study": self._study, **tags})
