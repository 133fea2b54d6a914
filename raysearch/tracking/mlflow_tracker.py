"""The record in MLflow: a parent run a study, a nested run a trial, written behind the search's back."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from raysearch.addresses import hide_secrets, without_secrets
from raysearch.errors import TrackingError
from raysearch.records import StudyResult, TrialResult
from raysearch.tracking.address import WITHOUT
from raysearch.tracking.mlflow_quiet import SETTINGS, begin_to_load
from raysearch.tracking.outbox import Outbox, read_outbox
from raysearch.tracking.preflight import check_reachable
from raysearch.tracking.store import open_store, refused
from raysearch.tracking.study_run import StudyRun, open_study_run
from raysearch.tracking.tracker import StudyInfo
from raysearch.tracking.trial_runs import Opening, TrialRuns
from raysearch.tracking.writer import Writer


class MLflowTracker:
    """A ``Tracker`` for the MLflow store at ``uri``.

    Args:
        uri: as ``resolve_uri`` returns it.
        experiment: the MLflow experiment; made when it is not there.
        outbox: the file that keeps what the record must hold beside the trials, until it does.
    """

    def __init__(self, uri: str, experiment: str, outbox: Path | None = None) -> None:
        self.uri: str | None = uri
        self.parent_run_id: str | None = None
        self._uri = uri
        self._experiment = experiment
        self._results: dict[str, TrialResult] = {}
        self._study: StudyRun | None = None
        self._trials: TrialRuns | None = None
        self._writer: Writer | None = None
        self._loading: threading.Thread | None = None
        self._outbox_path = outbox
        self._outbox: Outbox | None = None
        self._holds: Callable[[], bool | None] = lambda: True
        self._owed = False  # what an earlier run came to has not been sent

    @property
    def spent_s(self) -> float:
        return self._writer.spent_s if self._writer else 0.0

    def prepare(self, holds: Callable[[], bool | None] = lambda: True) -> None:
        """Begin to import MLflow, on a thread of its own."""
        self._holds = holds
        self._loading = begin_to_load(not self._uri.startswith("http"))

    def study_started(self, info: StudyInfo) -> None:
        """Open the study's run, or open it again.

        Raises:
            TrackingError: the store cannot be used; nothing is left RUNNING.
        """
        if self._loading is not None:
            self._loading.join()
        check_reachable(self._uri)
        SETTINGS.hold()
        try:
            store = open_store(self._uri, self._experiment)
            self._study = open_study_run(store, info)
        except TrackingError:
            SETTINGS.release()
            raise
        except Exception as error:
            SETTINGS.release()
            reason = without_secrets(" ".join(str(error).split()), self._uri)[:1000]
            raise TrackingError(
                f"the study's run cannot be written to {hide_secrets(self._uri)}: {reason}. {WITHOUT}"
            ) from error
        self.parent_run_id = self._study.run_id
        self._trials = TrialRuns(store, info, self._study.run_id, complete=self._study.fresh)
        self._writer = Writer(self._alive, refused, self._holds, self._trials.take_back)
        self._trials.moved = self._writer.moved
        self._keep(self._begun(info))

    def trial_started(self, number: int, key: str, model: str, params: Mapping[str, Any]) -> None:
        """Open a trial's run. Its params are written with its end, in one call."""
        writer, trials, _ = self._open()
        opening = Opening(number, key, model, time.time())
        writer.put(f"the start of trial {number}", functools.partial(trials.start, opening))

    def trial_ended(self, result: TrialResult) -> None:
        """Write what a trial came to, and close its run."""
        writer, trials, _ = self._open()
        self._results[result.key] = result
        writer.put(f"the end of trial {result.number}", functools.partial(trials.end, result))

    def trial_interrupted(self, key: str) -> None:
        """Close the run of a trial that will be tried again."""
        writer, trials, _ = self._open()
        writer.put(f"the interruption of trial {key}", functools.partial(trials.interrupt, key))

    def reconcile(self, results: Sequence[TrialResult], waiting: Sequence[str]) -> None:
        """Make the store say what the ledger says."""
        writer, trials, _ = self._open()
        self._results.update({result.key: result for result in results})
        known = (tuple(results), tuple(waiting))
        writer.put("the trials that ended before", functools.partial(trials.reconcile, *known))

    def remember(self, text: str) -> None:
        """Keep with the study's run what later studies may use."""
        writer, _, study = self._open()
        self._keep(self._outbox and replace(self._outbox, history=text))
        writer.put("what later studies may use", lambda _: study.remember(text))

    def study_ended(
        self,
        status: str,
        result: StudyResult | None,
        ranked: Sequence[TrialResult],
        artifacts: Path | None,
        model: Path | None,
    ) -> None:
        """Write the study's outcome and close its run; ``close`` waits for it."""
        if self._writer is None:
            return
        writer, trials, study = self._open()
        if self._outbox is not None:
            self._owed = self._owed and result is None
            self._keep(replace(self._outbox, status=status, result=result or self._outbox.result))
        writer.put("the interruption of open trials", trials.interrupt_open)
        if model is not None:
            writer.put("the model", lambda _: study.log_model(model))
        results = tuple(self._results.values())
        writer.put("the study's metrics", lambda _: study.log_outcome(result, results))
        writer.put("the ranks", lambda _: trials.rank(ranked))
        if result is not None:
            front = [trial.key for trial in result.pareto]
            writer.put("the Pareto front", lambda _: trials.mark_front(front))
            writer.put("the table of the front", lambda _: study.log_front(result))
        writer.put("the study's files", lambda _: study.log_files(artifacts, ranked))
        writer.put("the study's description", lambda _: study.describe(result, model is not None))
        writer.put("the end of the study", lambda _: study.close(status))

    def close(self) -> tuple[str, ...]:
        """Wait until all is written and return what went wrong, in words for the user.

        A store that does not answer is waited for 5 s.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return ()
        try:
            told = writer.close()
        finally:
            SETTINGS.release()
        if writer.left_alone:
            return told
        if not told or self._study is None:
            self._keep(self._outbox and replace(self._outbox, sent=not self._owed))
            return ()
        return (
            f"the record at {hide_secrets(self._uri)} is not complete; the study itself is, and "
            f"`{self._study.info.sync_command}` sends what is missing",
            *told,
        )

    def _begun(self, info: StudyInfo) -> Outbox:
        """Return what to keep of a study that begins or goes on: until it ends, what it came to before."""
        outbox, before = Outbox(info, self._uri, self._experiment), None
        if self._outbox_path is not None:
            try:
                before = read_outbox(self._outbox_path)
            except (TrackingError, OSError):
                logging.getLogger("raysearch").exception("%s is written anew", self._outbox_path)
        if before is None:
            return outbox
        self._owed = before.result is not None and not before.sent
        return replace(outbox, result=before.result, history=before.history)

    def _keep(self, outbox: Outbox | None) -> None:
        """Write down what the record must hold; where that cannot be, the study is worth more."""
        self._outbox = outbox
        if outbox is not None and self._outbox_path is not None:
            try:
                outbox.write(self._outbox_path)
            except OSError:
                logging.getLogger("raysearch").exception("%s could not be written", self._outbox_path)

    def _alive(self) -> bool:
        """Tell whether the store answers a question: a server may be there, and its database not."""
        try:
            check_reachable(self._uri)
            if self._study is not None:
                self._study.store.client.get_experiment(self._study.store.experiment_id)
        except Exception:
            return False
        return True

    def _open(self) -> tuple[Writer, TrialRuns, StudyRun]:
        if self._writer is None or self._trials is None or self._study is None:
            raise TrackingError("no study is open in this record: call study_started first")
        return self._writer, self._trials, self._study
