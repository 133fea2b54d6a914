"""Optuna's journal of a study, written at once where entries belong together."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Container, Generator, Iterator
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState


class _Lock:
    """The lock of the file, which whoever holds it may take again."""

    def __init__(self, path: str) -> None:
        self._lock = JournalFileSymlinkLock(path)
        self._depth = 0

    def acquire(self) -> bool:
        if not self._depth:
            self._lock.acquire()
        self._depth += 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._lock.release()


class _File(JournalFileBackend):  # type: ignore[misc]
    """The journal's file, which can hold entries back until they are written together.

    Entries have numbers, which those of another writer would shift: it is locked out meanwhile.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._own_lock = _Lock(path)
        super().__init__(path, self._own_lock)
        self._held: list[dict[str, Any]] | None = None
        self._first: int | None = None  # number of the first entry that is held, once it is known

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        if self._held is None:
            self._append(logs)
        else:
            self._held += logs

    def _append(self, logs: list[dict[str, Any]]) -> None:
        """Write entries, or none of them: behind half a line the journal could never be read again."""
        self._own_lock.acquire()
        try:
            size = Path(self._path).stat().st_size
            try:
                super().append_logs(logs)
            except OSError:
                os.truncate(self._path, size)
                raise
        finally:
            self._own_lock.release()

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        if self._held is None:
            yield from super().read_logs(log_number_from)
            return
        if self._first is None:
            for entry in super().read_logs(log_number_from):
                yield entry
                log_number_from += 1
            self._first = log_number_from
        yield from self._held[log_number_from - self._first :]

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        if self._held is not None:
            yield
            return
        self._own_lock.acquire()
        try:
            self._held, self._first = [], None
            try:
                yield
            finally:
                held, self._held = self._held, None
                if held:
                    self._append(held)
                    # Reading them tells where they lie: else the next look would begin at the start.
                    deque(super().read_logs(self._first or 0), maxlen=0)
        finally:
            self._own_lock.release()


class Journal(JournalStorage):  # type: ignore[misc]
    """A study's journal; a trial's dozen entries need not wait for the disk a dozen times."""

    def __init__(self, path: str) -> None:
        self._file = _File(path)
        self._unfinished: dict[int, list[int]] = {}  # trials by study, as far as they were seen
        self._seen: dict[int, int] = {}  # how many
        super().__init__(self._file)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return a study's trials. Who looks for one that waits need not look at all that have ended."""
        if deepcopy or states is None or any(s in states for s in TrialState if s.is_finished()):
            return list(super().get_all_trials(study_id, deepcopy, states))
        known = self._unfinished.setdefault(study_id, [])
        with contextlib.suppress(KeyError):  # until there is none of the next number
            while True:
                number = self._seen.get(study_id, 0)
                known.append(self.get_trial_id_from_study_id_trial_number(study_id, number))
                self._seen[study_id] = number + 1
        trials = [self.get_trial(trial_id) for trial_id in known]
        self._unfinished[study_id] = [trial._trial_id for trial in trials if not trial.state.is_finished()]
        return [trial for trial in trials if trial.state in states]

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Write what is told inside at once, at the end; what was told before an error too."""
        with self._file.together():
            yield
