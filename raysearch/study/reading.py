"""A study's ledger as others read it, while the study runs and after: nothing is made or mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from raysearch.addresses import hide_secrets
from raysearch.errors import NoTrialsError
from raysearch.models import TUNABLE
from raysearch.records import TrialResult
from raysearch.study.driver import Driver, driver_of
from raysearch.study.lease import Lease
from raysearch.study.ledger import ended_trials
from raysearch.study.storage import open_storage_to_read, storage_errors_told, whole_address
from raysearch.study.trial_attributes import ATTRIBUTE


@dataclass(frozen=True)
class Running:
    """A trial that runs now, as the ledger knows it.

    Attributes:
        rounds: boosting rounds done at its last score; 0: none yet, or not told (several objectives).
        of: rounds that it is to do.
        score: its last score of all folds; None: none yet.
    """

    number: int
    model: str
    rounds: int
    of: int
    score: float | None
    started_s: float


class LedgerReader:
    """Reads a study's trials again and again; what has ended is read from a database once.

    Raises:
        NoTrialsError: nothing of the study is there.
        StudyError: it cannot be read.
    """

    def __init__(self, journal: Path, database: str | None, name: str) -> None:
        storage = open_storage_to_read(journal, database)
        where = hide_secrets(whole_address(database)) if database else journal
        if storage is None:
            raise NoTrialsError(f"the ledger of study {name!r} is not there: nothing is at {where}")
        try:
            with storage_errors_told(reading=True):
                self._study = optuna.load_study(study_name=name, storage=storage)
        except KeyError:
            raise NoTrialsError(f"study {name!r} has no trials yet at {where}") from None

    def driver(self) -> Driver | None:
        """Return who runs the study, or did when it was killed; None where that is not known, or nobody."""
        return driver_of(self._study)

    def lease(self, name: str, tell: Callable[[str], None]) -> Lease:
        """Return what keeps other drivers from the study, which its user calls ``name``."""
        return Lease(self._study, name, tell)

    def results(self) -> tuple[TrialResult, ...]:
        """Return the ended trials in the order in which they ended."""
        with storage_errors_told(reading=True):
            return tuple(ended_trials(self._study))

    def running(self) -> tuple[Running, ...]:
        """Return the trials that run, or did when their process was killed."""
        with storage_errors_told(reading=True):
            running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return tuple(_running(trial) for trial in running if "model" in trial.user_attrs.get(ATTRIBUTE, {}))


def _running(trial: FrozenTrial) -> Running:
    about = trial.user_attrs[ATTRIBUTE]
    rounds = max(trial.intermediate_values, default=0)
    score = trial.intermediate_values.get(rounds) if rounds else None
    of = TUNABLE[about["model"]].rounds_of(about["fit_params"])
    return Running(trial.number, about["model"], rounds, of, score, about["started_s"])
