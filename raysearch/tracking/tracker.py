"""What the search may say to its record, and the twin that keeps none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from raysearch.addresses import hide_secrets
from raysearch.errors import resume_command, sync_command
from raysearch.records import DataQuality, DatasetFacts, StudyResult, TrialResult


@dataclass(frozen=True)
class StudyInfo:
    """What the parent run says at its start.

    Attributes:
        name: the study's name, as the user types it.
        study_id: unique for ever, kept in the study's directory; the record is found again by it.
        config: the resolved settings by section (``Config.to_dict()``).
        environment: versions, python, platform, and ``git_revision`` where there is one.
    """

    name: str
    study_id: str
    config: Mapping[str, Mapping[str, Any]]
    facts: DatasetFacts
    quality: DataQuality
    environment: Mapping[str, str]

    @property
    def resume_command(self) -> str:
        """The command that goes on with the study."""
        return resume_command(self.name, self._home)

    @property
    def sync_command(self) -> str:
        """The command that sends what the study's record lacks."""
        return sync_command(self.name, self._home)

    @property
    def _home(self) -> str:
        return hide_secrets(str(self.config.get("study", {}).get("home", "studies")))


class Tracker(Protocol):
    """A record of studies and their trials.

    Only ``study_started`` may raise (``TrackingError``) and may wait for the store; everything else returns
    at once, and what goes wrong afterwards is told by ``close``.

    Attributes:
        uri: the store's address, or None without one.
        parent_run_id: the study's run, known once ``study_started`` has returned.
        spent_s: processor seconds that writing has taken so far.
    """

    uri: str | None
    parent_run_id: str | None

    @property
    def spent_s(self) -> float: ...

    def prepare(self, holds: Callable[[], bool | None] = lambda: True) -> None:
        """Begin with what takes long and touches no store, on a thread of its own.

        Args:
            holds: tells whether the record is this process's to write; None: not known now.
        """

    def study_started(self, info: StudyInfo) -> None:
        """Open the study's run, or open it again when the store knows ``info.study_id``."""

    def trial_started(self, number: int, key: str, model: str, params: Mapping[str, Any]) -> None:
        """Open a trial's run, or open it again when the store knows ``key``."""

    def trial_ended(self, result: TrialResult) -> None:
        """Write what a trial came to, and close its run."""

    def trial_interrupted(self, key: str) -> None:
        """Close the run of a trial that will be tried again; ``trial_started`` opens it again."""

    def reconcile(self, results: Sequence[TrialResult], waiting: Sequence[str]) -> None:
        """Make the store say what the ledger says: one run in its final state for each ended trial.

        Args:
            results: all ended trials of the ledger.
            waiting: keys of trials that will be run again. Runs of any other key are closed.
        """

    def remember(self, text: str) -> None:
        """Keep with the study's run what later studies may use, see ``raysearch.history``."""

    def study_ended(
        self,
        status: str,
        result: StudyResult | None,
        ranked: Sequence[TrialResult],
        artifacts: Path | None,
        model: Path | None,
    ) -> None:
        """Write the study's outcome and close its run. Both paths must stay until ``close`` has returned.

        Args:
            status: FINISHED, FAILED or KILLED.
            ranked: the trials, best first.
            artifacts: a directory whose files are all kept with the run.
            model: a directory written by ``Forecaster.save``.
        """

    def close(self) -> tuple[str, ...]:
        """Wait until all is written and return what went wrong, in words for the user."""


class NullTracker:
    """Keeps no record: what ``--no-tracking`` uses."""

    uri: str | None = None
    parent_run_id: str | None = None
    spent_s: float = 0.0

    def prepare(self, holds: Callable[[], bool | None] = lambda: True) -> None:
        pass

    def study_started(self, info: StudyInfo) -> None:
        pass

    def trial_started(self, number: int, key: str, model: str, params: Mapping[str, Any]) -> None:
        pass

    def trial_ended(self, result: TrialResult) -> None:
        pass

    def trial_interrupted(self, key: str) -> None:
        pass

    def reconcile(self, results: Sequence[TrialResult], waiting: Sequence[str]) -> None:
        pass

    def remember(self, text: str) -> None:
        pass

    def study_ended(
        self,
        status: str,
        result: StudyResult | None,
        ranked: Sequence[TrialResult],
        artifacts: Path | None,
        model: Path | None,
    ) -> None:
        pass

    def close(self) -> tuple[str, ...]:
        return ()
