"""One thread that writes the record in order, so that the search never waits for MLflow."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from raysearch.addresses import hide_secrets

# A call that fails although the store is there is tried this often.
_TRIES = 3
_LONGEST_PAUSE_S = 10.0
_MOST_TOLD = 8
_LEDGER_SILENT = "the study's ledger does not answer"


@dataclass(frozen=True)
class Entry:
    """Something to write.

    Attributes:
        about: in words, e.g. "the end of trial 7".
        write: called with False, then with True each time it is tried again: an earlier try may have gone
            through although its answer was lost, so it must look before it creates.
    """

    about: str
    write: Callable[[bool], None]


class Writer:
    """Writes entries in the order they were put, on its own thread.

    While the store does not answer, entries wait in memory. An entry that the store refuses is left out and
    told by ``close``.

    Args:
        alive: tells whether the store answers; may take seconds.
        refused: tells whether trying again is useless.
        holds: tells whether the record is this process's to write; once it is not, nothing more is written.
            None: that is not known now, which is waited for as for the store.
        take_back: called where it was lost while an entry was written: this process may have been stopped in
            the midst of that for as long as another one takes to go on without it.
        grace_s: how long ``close`` waits for a store that does not answer.
        stall_s: how long ``close`` waits for one entry that does not get on.
    """

    def __init__(
        self,
        alive: Callable[[], bool],
        refused: Callable[[Exception], bool],
        holds: Callable[[], bool | None] = lambda: True,
        take_back: Callable[[], None] = lambda: None,
        *,
        grace_s: float = 5.0,
        stall_s: float = 120.0,
    ) -> None:
        self._alive = alive
        self._refused = refused
        self._holds, self._take_back = holds, take_back
        self.left_alone = False  # because another process writes the record
        self._grace_s = grace_s
        self._stall_s = stall_s
        self._entries: deque[Entry] = deque()
        self._change = threading.Condition()
        self._closing = threading.Event()
        self._abandoned = False
        self._silent_since: float | None = None
        self._last_error = ""
        self._told: list[str] = []
        self._progress_s = time.monotonic()
        self.spent_s = 0.0  # processor seconds of its thread
        self._thread = threading.Thread(target=self._work, name="raysearch-tracking", daemon=True)
        self._thread.start()

    def put(self, about: str, write: Callable[[bool], None]) -> None:
        """Queue an entry. After ``close`` it is left out."""
        with self._change:
            if not self._closing.is_set():
                self._entries.append(Entry(about, write))
                self._change.notify()

    def moved(self) -> None:
        """Tell from within an entry that it gets on, however long it takes."""
        self._progress_s = time.monotonic()

    def close(self) -> tuple[str, ...]:
        """Wait until all is written or the store is given up; return what was refused or left out."""
        with self._change:
            self._closing.set()
            self._change.notify()
        asked = self._progress_s = time.monotonic()
        while self._thread.is_alive():
            self._thread.join(0.05)
            now = time.monotonic()
            silent = self._silent_since is not None and now - asked > self._grace_s
            if silent or now - self._progress_s > self._stall_s:
                # The thread may hang in a call; it is a daemon and holds nobody up.
                self._abandoned = True
                break
        return self._summary()

    def _work(self) -> None:
        while not self._abandoned:
            with self._change:
                while not self._entries and not self._closing.is_set():
                    self._change.wait()
                if not self._entries:
                    return
                entry = self._entries[0]
            self._write(entry)
            self.spent_s = time.thread_time()
            with self._change:
                if not self._abandoned:
                    self._entries.popleft()
                self._progress_s = time.monotonic()

    def _write(self, entry: Entry) -> None:
        failed = paused = 0
        while not self._abandoned:
            holds = self._holds()
            if holds is False:
                self._abandoned = self.left_alone = True
                return
            try:
                if holds is None:
                    raise TimeoutError(_LEDGER_SILENT)
                entry.write(failed + paused > 0)
            except Exception as error:
                self._last_error = _in_words(error)
                if self._refused(error):
                    self._tell(entry)
                    return
                if holds and self._alive():
                    failed += 1
                    self._silent_since = None
                else:
                    paused += 1
                    self._silent_since = self._silent_since or time.time()
                if failed >= _TRIES:
                    self._tell(entry)
                    return
                self._pause(0.2 * 2 ** min(failed + paused, 10))
            else:
                self._silent_since = None
                if self._holds() is False:
                    self._abandoned = self.left_alone = True
                    with contextlib.suppress(Exception):
                        self._take_back()
                return

    def _pause(self, seconds: float) -> None:
        """Wait before the next try, shorter when somebody waits for the end."""
        if self._closing.is_set() or self._closing.wait(min(seconds, _LONGEST_PAUSE_S)):
            time.sleep(min(seconds, 0.5))

    def _tell(self, entry: Entry) -> None:
        self._told.append(f"MLflow did not take {entry.about}: {self._last_error}")

    def _summary(self) -> tuple[str, ...]:
        if self.left_alone:
            return ("another process runs the study now, and keeps its record",)
        told = self._told[:_MOST_TOLD]
        if len(self._told) > _MOST_TOLD:
            told.append(f"and {len(self._told) - _MOST_TOLD} more that MLflow did not take")
        left = list(self._entries)
        if left:
            since = ""
            if self._silent_since is not None:
                since = f" since {time.strftime('%H:%M:%S', time.localtime(self._silent_since))}"
            who = "the study's ledger" if self._last_error == _LEDGER_SILENT else "MLflow"
            told.append(
                f"{who} has not answered{since}: {len(left)} entries, from {left[0].about} on, are not in "
                f"MLflow's record ({self._last_error or 'no answer'})"
            )
        return tuple(told)


def _in_words(error: Exception) -> str:
    words = hide_secrets(" ".join(str(error).split())) or type(error).__name__
    return words if len(words) <= 300 else words[:299] + "…"
