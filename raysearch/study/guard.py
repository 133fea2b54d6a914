"""Keeps a search from harming the process it runs in, and an error inside a callback from being swallowed."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

# What Tune would print, log and save beside the ledger and the record is off; settings of the surroundings
# that would bend the search (None: taken away) do not reach it.
_TUNE = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_MAX_PENDING_TRIALS_PG": None,
    "TUNE_RESULT_BUFFER_LENGTH": None,
    "TUNE_RESULT_DIR": None,
    "RAY_AIR_LOCAL_CACHE_DIR": None,
}


class Fault:
    """The first error of the driver's own, kept until Tune's loop is left: Tune takes it for a trial's."""

    error: Exception | None = None

    def note(self, error: Exception) -> None:
        self.error = self.error or error

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Keep what is raised inside, and go on behind it."""
        try:
            yield
        except Exception as error:
            self.note(error)


@contextlib.contextmanager
def environment(changes: dict[str, str | None]) -> Iterator[None]:
    """Set variables of this process (None: take away), and put back what was there."""
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(before)


class SignalHandlers:
    """The process's answers to signals as they are now, to be put back after Ray has set its own.

    Ray's let the process exit at once on SIGTERM, and when Ray has ended nobody answers at all.
    """

    def __init__(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        # None stands for a handler that was not set from Python.
        self._before = {n: handler for n, handler in found.items() if main and handler is not None}

    @property
    def answering(self) -> dict[int, Any]:
        """Those that are functions, and no default of the system's, by signal."""
        return {number: handler for number, handler in self._before.items() if callable(handler)}

    def put_back(self) -> None:
        """Make them the process's answers again; nothing to do outside the main thread."""
        for number, handler in self._before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def first_interrupt_waits() -> Iterator[None]:
    """While open, a first Ctrl-C or SIGTERM is answered at the end only, a second one at once.

    A Ray that is interrupted while it starts leaves processes behind, and crashes when this one ends.
    """
    handlers = SignalHandlers()
    before = handlers.answering
    waiting: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if waiting:
            before[number](number, frame)
        waiting.append(number)

    for number in before:
        signal.signal(number, note)
    try:
        yield
    finally:
        handlers.put_back()
        for number in waiting[:1]:
            before[number](number, None)


@contextlib.contextmanager
def process_left_alone() -> Iterator[None]:
    """Run Tune inside: afterwards its settings and its signal handler are gone."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGUSR1) if main else None
    with environment(_TUNE), _callbacks_not_counted():
        try:
            yield
        finally:
            if main:
                signal.signal(signal.SIGUSR1, handler)


@contextlib.contextmanager
def _callbacks_not_counted() -> Iterator[None]:
    """Run Tune inside without its count of callbacks for telemetry.

    Telemetry is off, but to count, Tune imports MLflow and whatever else it can log to: most of a second.
    """
    try:
        from ray.air._internal import usage

        counted = usage.tag_callbacks
    except (ImportError, AttributeError):  # another version of Ray
        yield
        return
    usage.tag_callbacks = _no_callbacks
    try:
        yield
    finally:
        if counted is not _no_callbacks:  # another study's, which puts back what it has found
            usage.tag_callbacks = counted


def _no_callbacks(callbacks: object) -> bool:
    return False


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
