"""How whoever watches a study is told of it. The command line has a display; the default is silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from raysearch.records import DataQuality, DatasetFacts, TrialResult, WarmStart


@dataclass(frozen=True)
class SearchBegins:
    """What is known when the first trial is about to start.

    Attributes:
        ended: trials that an earlier run has ended; 0 for a new study.
        trials: trials asked for; None where only time counts.
        time_budget_s: seconds for the whole command; None: no limit.
        deadline_s: the budget's end on ``time.monotonic``.
        dashboard: the Ray dashboard's URL; empty where there is none, or none yet.
        objectives: what trials are scored by, in words; the first one is their score.
        warm: points of earlier studies that a new study begins with, where they were asked for.
    """

    study: str
    facts: DatasetFacts
    quality: DataQuality
    dashboard: str
    slots: int
    tracking_uri: str | None
    ended: tuple[TrialResult, ...]
    trials: int | None
    time_budget_s: float | None
    deadline_s: float | None
    objectives: tuple[str, ...] = ("pinball loss",)
    warm: WarmStart | None = None


class Display(Protocol):
    """Shows a study while it runs."""

    def study_made(self, name: str, log: Path) -> None:
        """The study has a name and a log file."""

    def phase(self, text: str) -> None:
        """Something that takes a while begins, e.g. "reading the table"."""

    def search_begins(self, about: SearchBegins) -> None: ...

    def dashboard_stands(self, url: str) -> None:
        """An own Ray's dashboard answers, or never will (no URL); told from another thread."""

    def trial_started(self, number: int, key: str, model: str, params: Mapping[str, Any]) -> None: ...

    def trial_ended(self, result: TrialResult) -> None: ...

    def trial_interrupted(self, key: str) -> None: ...

    def search_ends(self, stopped_by: str) -> None: ...

    def warn(self, text: str) -> None:
        """Something that the user should know, and that stops nothing."""


class Silent:
    """A display that shows nothing."""

    def study_made(self, name: str, log: Path) -> None: ...

    def phase(self, text: str) -> None: ...

    def search_begins(self, about: SearchBegins) -> None: ...

    def dashboard_stands(self, url: str) -> None: ...

    def trial_started(self, number: int, key: str, model: str, params: Mapping[str, Any]) -> None: ...

    def trial_ended(self, result: TrialResult) -> None: ...

    def trial_interrupted(self, key: str) -> None: ...

    def search_ends(self, stopped_by: str) -> None: ...

    def warn(self, text: str) -> None: ...
