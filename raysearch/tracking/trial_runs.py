"""The runs of a study's trials: one for each trial key, whatever is lost on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from raysearch.records import TrialResult
from raysearch.tracking.entries import (
    STATUS,
    dataset_input,
    milliseconds,
    params,
    trial_end_tags,
    trial_metrics,
    who_and_what,
)
from raysearch.tracking.store import Store
from raysearch.tracking.tracker import StudyInfo

RANKED = 20
FRONT = "raysearch.pareto"  # the tag of the trials that no other beats in all objectives


@dataclass(frozen=True)
class Opening:
    """What is known of a trial when it starts. ``at_s``: seconds since the epoch."""

    number: int
    key: str
    model: str
    at_s: float


@dataclass
class TrialRuns:
    """Writes child runs; used by one thread only.

    Attributes:
        complete: False where the store may hold runs of this study that are not in ``ids`` yet.
    """

    store: Store
    info: StudyInfo
    parent: str
    complete: bool
    ids: dict[str, str] = field(default_factory=dict)
    open_keys: set[str] = field(default_factory=set)
    ranked_before: set[str] = field(default_factory=set)
    front_before: set[str] = field(default_factory=set)
    moved: Callable[[], None] = field(default=lambda: None)  # called as trials of a long entry are written
    made: str = ""  # the run that the latest entry has made, where it has

    def start(self, opening: Opening, again: bool) -> None:
        """Open the trial's run, or open it again. ``again``: an earlier try may have made it."""
        self.made = "" if not again else self.made
        run_id = self._find(opening.key, again)
        self.open_keys.add(opening.key)
        if run_id is None:
            self._create(opening)
            return
        self.store.client.update_run(run_id, "RUNNING")
        self.store.set_tag(run_id, "raysearch.interrupted", "false")
        if again:
            self._log_dataset(run_id)

    def end(self, result: TrialResult, again: bool) -> None:
        """Write what the trial came to and close its run, even when MLflow refuses part of it."""
        self.moved()
        self.made = "" if not again else self.made
        run_id = self._find(result.key, again)
        if run_id is None:
            run_id = self._create(Opening(result.number, result.key, result.model, result.started_s))
        try:
            self.store.client.log_batch(
                run_id,
                metrics=trial_metrics(result),
                params=params(result.params),
                tags=trial_end_tags(result),
                synchronous=True,
            )
        finally:
            self.store.terminate(run_id, STATUS[result.state], milliseconds(result.ended_s))
        self.open_keys.discard(result.key)

    def interrupt(self, key: str, again: bool) -> None:
        """Close the run of a trial that will be tried again."""
        run_id = self._find(key, again)
        if run_id is not None:
            self._interrupt(run_id)
        self.open_keys.discard(key)

    def interrupt_open(self, again: bool) -> None:
        """Close whatever is still open."""
        for key in sorted(self.open_keys):
            self.interrupt(key, again)

    def reconcile(self, results: Sequence[TrialResult], waiting: Iterable[str], again: bool) -> None:
        """Make the store say what the ledger says."""
        by_key = self._load()
        for result in results:
            if not _is_final(by_key.get(result.key), result):
                self.end(result, again)
        ended, to_come = {result.key for result in results}, set(waiting)
        for key, run in by_key.items():
            if key not in ended and run.info.status == "RUNNING":
                if key in to_come:
                    self.open_keys.add(key)
                else:
                    self._interrupt(run.info.run_id)

    def take_back(self) -> None:
        """Take away the run that was just made: another process has the study, and one for the same trial."""
        if self.made:
            self.store.client.delete_run(self.made)

    def rank(self, ranked: Sequence[TrialResult]) -> None:
        """Tag the best trials with their rank, and take it from those that had one before."""
        best = {result.key: place for place, result in enumerate(ranked[:RANKED], start=1)}
        for key in self.ranked_before - set(best):
            self.store.client.delete_tag(self.ids[key], "raysearch.rank")
        self.ranked_before = set()
        for key, place in best.items():
            if key in self.ids:
                self.store.set_tag(self.ids[key], "raysearch.rank", place)
                self.ranked_before.add(key)

    def mark_front(self, keys: Sequence[str]) -> None:
        """Tag the trials of the Pareto front, and take the tag from those that have left it."""
        for key in sorted(self.front_before - set(keys)):
            self.store.client.delete_tag(self.ids[key], FRONT)
        self.front_before = set(keys) & set(self.ids)
        for key in sorted(self.front_before):
            self.store.set_tag(self.ids[key], FRONT, "true")

    def _find(self, key: str, again: bool) -> str | None:
        if key not in self.ids and (again or not self.complete):
            # A run whose creation was answered too late, or one of an earlier try.
            found = self.store.find_runs(
                {"raysearch.study_id": self.info.study_id, "raysearch.trial_key": key}
            )
            if found:
                self.ids[key] = found[0].info.run_id
        return self.ids.get(key)

    def _create(self, opening: Opening) -> str:
        tags = {
            **who_and_what(self.info.environment),
            "mlflow.parentRunId": self.parent,
            "raysearch.role": "trial",
            "raysearch.study": self.info.name,
            "raysearch.study_id": self.info.study_id,
            "raysearch.trial": opening.number,
            "raysearch.trial_key": opening.key,
            "raysearch.model": opening.model,
        }
        name = f"trial {opening.number:03d} {opening.model}"
        run_id = self.store.create_run(name, tags, milliseconds(opening.at_s))
        self.ids[opening.key] = self.made = run_id
        self._log_dataset(run_id)
        return run_id

    def _log_dataset(self, run_id: str) -> None:
        self.store.client.log_inputs(run_id, [self._dataset])

    @cached_property
    def _dataset(self) -> Any:
        return dataset_input(self.info.facts)

    def _interrupt(self, run_id: str) -> None:
        self.store.set_tag(run_id, "raysearch.interrupted", "true")
        self.store.terminate(run_id, "KILLED", milliseconds(time.time()))

    def _load(self) -> dict[str, Any]:
        """Read all runs of the study, leave one for each key, and put them under this parent."""
        by_key: dict[str, Any] = {}
        for run in self.store.find_runs(
            {"raysearch.study_id": self.info.study_id, "raysearch.role": "trial"}
        ):
            key = run.data.tags.get("raysearch.trial_key", "")
            if key in by_key:  # made twice because an answer was lost; the first one is kept
                self.store.client.delete_run(run.info.run_id)
                continue
            by_key[key] = run
            self.ids[key] = run.info.run_id
            if run.data.tags.get("mlflow.parentRunId") != self.parent:
                self.store.set_tag(run.info.run_id, "mlflow.parentRunId", self.parent)
            if "raysearch.rank" in run.data.tags:
                self.ranked_before.add(key)
            if FRONT in run.data.tags:
                self.front_before.add(key)
        self.complete = True
        return by_key


def _is_final(run: Any, result: TrialResult) -> bool:
    """Tell whether the store already has how the trial ended."""
    if run is None or run.info.status != STATUS[result.state]:
        return False
    tags: Mapping[str, str] = run.data.tags
    return tags.get("raysearch.state") == result.state and tags.get("raysearch.interrupted") != "true"
