"""The line between a trial and its workers: an actor that carries orders to all of them, and answers back."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

_OTHERS_S = 10.0  # in which all workers fail that fail alike


class GroupLostError(Exception):
    """A trial over several workers has lost one of them, and with it all; the message is the reason."""


@dataclass(frozen=True)
class Failure:
    """An order that was not carried out; the group has ended with it.

    Attributes:
        by_all: every worker has failed at it, as with parameters that the library refuses; else some have
            died, or wait for one that has failed.
    """

    reason: str
    by_all: bool


class Line:
    """Carries one order at a time to all workers of a group, and their answers back."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._number = 0
        self._order: tuple[str, tuple[Any, ...]] = ("", ())
        self._said: dict[int, Any] = {}
        self._reasons: list[str] = []
        self._failure: Failure | None = None
        self._news = asyncio.Condition()

    async def ask(self, number: int, order: str, words: tuple[Any, ...]) -> list[Any] | Failure:
        """Give an order, and return what the workers say to it, by rank, when all have answered."""
        async with self._news:
            self._number, self._order, self._said = number, (order, words), {}
            self._news.notify_all()
            await self._news.wait_for(lambda: self._failure or len(self._said) == self._workers)
            return self._failure or [self._said[rank] for rank in range(self._workers)]

    async def answer(self, rank: int, number: int, said: Any) -> tuple[str, tuple[Any, ...]]:
        """Take what a worker says to an order, none where it is its first call, and return the next one."""
        async with self._news:
            if number:
                self._said[rank] = said
                self._news.notify_all()
            await self._news.wait_for(lambda: self._number > number)
            return self._order

    async def fail(self, reason: str) -> None:
        """Take the reason for which a worker ends, and wait whether the others end alike."""
        async with self._news:
            self._reasons.append(reason)
            self._news.notify_all()
            with contextlib.suppress(TimeoutError):
                everyone = self._news.wait_for(lambda: len(self._reasons) == self._workers)
                await asyncio.wait_for(everyone, _OTHERS_S)
            self._failure = Failure(self._reasons[0], len(self._reasons) == self._workers)
            self._news.notify_all()
