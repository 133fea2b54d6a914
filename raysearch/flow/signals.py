"""Ctrl-C and SIGTERM end a study in good order instead of tearing it apart."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def first_signal(act: Callable[[], None]) -> Iterator[None]:
    """While open, the first signal calls ``act`` and nothing else; a second one does what it did before.

    Outside the main thread, where Python delivers no signals, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        restore()
        act()

    # None stands for a handler that was not set from Python and cannot be put back from here.
    found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in found.items() if handler is not None}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        restore()


@contextlib.contextmanager
def no_interrupt_lost() -> Iterator[None]:
    """While open, what Ctrl-C raises is raised again at the end where it was swallowed on the way.

    Libraries that import each other, and finalisers, swallow whatever is raised in them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        heard = True
        raise KeyboardInterrupt

    found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Only where a signal raises anyway: a caller's own handling is left alone.
    before = {number: handler for number, handler in found.items() if _raises(handler)}
    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if heard:
        raise KeyboardInterrupt


def _raises(handler: object) -> bool:
    return handler in (signal.default_int_handler, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """While open, SIGTERM raises KeyboardInterrupt like Ctrl-C: a scheduler's stop closes every run too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    before = signal.getsignal(signal.SIGTERM)
    if before is not signal.SIG_DFL:  # the caller has a handling of its own
        yield
        return
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
