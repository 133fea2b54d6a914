"""Adds up where seconds go."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator


class Stopwatch:
    """Seconds by part; what a part holds of another one counts for that alone. For one thread.

    Args:
        clock: seconds that pass; by default those on the wall.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._since = clock()

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what passes inside for ``name``."""
        self._mark()
        self._open.append(name)
        try:
            yield
        finally:
            self._mark()
            self._open.pop()

    def add(self, name: str, seconds: float) -> None:
        """Count seconds that were measured elsewhere."""
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    @property
    def seconds(self) -> dict[str, float]:
        """What was counted so far, by part, in the order in which they first came."""
        return dict(self._seconds)

    def reset(self) -> None:
        """Begin anew, with no part open."""
        self._seconds.clear()
        self._open.clear()

    def _mark(self) -> None:
        now = self._clock()
        if self._open:
            self.add(self._open[-1], now - self._since)
        self._since = now
