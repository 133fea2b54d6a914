"""``status``: how a study is doing, read from its ledger while it runs and after."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from raysearch.config import make_config
from raysearch.errors import StudyError
from raysearch.flow.older import as_begun
from raysearch.flow.study import list_studies
from raysearch.records import TrialResult, TrialState
from raysearch.report import ranked
from raysearch.study.home import Home
from raysearch.study.reading import LedgerReader, Running

_LATELY_S = 300.0  # over which the pace is told


@dataclass(frozen=True)
class Status:
    """How a study is doing.

    Attributes:
        state: "running", or "ended": done, interrupted or killed.
        trials: by state, those that run included.
        asked: trials that must finish or be stopped early; None: only time counts.
        best: the trial with the best score by the first objective; None: none has finished.
        running: trials that run now.
        cores: at work in them.
        per_minute: trials that ended lately, a minute.
    """

    study: str
    state: str
    trials: dict[str, int]
    asked: int | None
    best: TrialResult | None
    running: tuple[Running, ...]
    cores: int
    per_minute: float

    @property
    def done(self) -> int:
        """Trials that count towards those asked for."""
        return self.trials["finished"] + self.trials["stopped"]


class StatusReader:
    """Reads how a study is doing, again and again.

    Args:
        name: None: the newest study that runs, or the newest of all where none does.

    Raises:
        StudyError: there is no such study, or its ledger cannot be read.
    """

    def __init__(self, name: str | None = None, home: str = "studies") -> None:
        self._home = Home(home)
        self._about = self._home.read(name or _newest(home, self._home.address))
        sections = {section: dict(values) for section, values in self._about.config.items()}
        self._config = make_config(as_begun(self._about, sections), in_memory=self._about.in_memory)
        ledger = self._home.paths(self._about.name).ledger
        self._ledger = LedgerReader(ledger, self._config.study.ledger, self._about.ledger_name)

    def read(self) -> Status:
        about, config = self._about, self._config
        runs = self._runs()  # before the trials: where it has ended, all of them are there
        results, running = self._ledger.results(), self._ledger.running()
        counts = Counter(result.state for result in results)
        running = running if runs else ()
        return Status(
            about.name,
            "running" if runs else "ended",
            {**{state: counts[state] for state in get_args(TrialState)}, "running": len(running)},
            config.search.trials,
            next(iter(ranked(results)), None),
            running,
            len(running) * config.compute.cores_of_trial,
            _pace(results, time.time() if runs else None),
        )

    def _runs(self) -> bool:
        driver = self._ledger.driver()  # known where the home lies at an address: its lock would be local
        return self._home.is_locked(self._about.name) or (driver is not None and driver.seems_to_live)


def _newest(home: str, told: str) -> str:
    rows = list_studies(home)
    if not rows:
        raise StudyError(f"there is no study in {told}; --home names another place")
    return next((row.name for row in rows if row.state == "running"), rows[0].name)


def _pace(results: Sequence[TrialResult], now_s: float | None) -> float:
    """Return how many trials have ended a minute, over the last five minutes; None: at the end."""
    if not results:
        return 0.0
    last = now_s or results[-1].ended_s
    lately = [result for result in results if result.ended_s > last - _LATELY_S]
    seconds = min(_LATELY_S, last - min((result.started_s for result in lately), default=last))
    return 60.0 * len(lately) / seconds if seconds > 0 else 0.0


def age_s(running: Running) -> float:
    """Return how long a trial has run, in seconds."""
    return max(0.0, time.time() - running.started_s)
