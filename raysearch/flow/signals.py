"""Ctrl-C and SIGTERM end a search in good order instead of tearing it apart."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from raysearch.study.conductor import Conductor


@contextlib.contextmanager
def interruptible(conductor: Conductor) -> Iterator[None]:
    """While open, the first signal ends the search with the best so far; a second one is Python's own.

    Outside the main thread, where Python delivers no signals, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        conductor.interrupt()
        restore()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        restore()
