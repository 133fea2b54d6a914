"""Trials that lost their worker: that Tune survives it, and why it was, in words for the record."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayTaskError

from raysearch.study.line import GroupLostError


@contextlib.contextmanager
def losses_survived() -> Iterator[None]:
    """While open, Tune takes every way to lose a worker for the loss of one trial.

    It knows two kinds of errors. Any other, such as the one of a worker that Ray kills because the node runs
    low on memory, would end the whole search.
    """
    stock = RayActorManager._actor_task_failed

    def told(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        known = isinstance(exception, RayActorError | RayTaskError)
        stock(self, tracked_actor_task, exception if known else RayActorError(error_msg=str(exception)))

    RayActorManager._actor_task_failed = told
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = stock


def error_of(file: str | None) -> BaseException | None:
    """Return the error that Tune has written down for a trial, or None where there is none to be had."""
    if not file:
        return None
    try:
        error = pickle.loads(Path(file).read_bytes())
    except Exception:  # an exception of a class that cannot be made again here
        return None
    return error if isinstance(error, BaseException) else None


def why_lost(error: BaseException | None) -> str:
    """Return in words why a trial lost its worker."""
    if error is None:
        return "its worker was lost"
    if isinstance(error, RayTaskError):
        if isinstance(error.cause, GroupLostError):
            return str(error.cause)
        return f"{type(error.cause).__name__}: {error.cause}"
    if not isinstance(error, RayActorError):
        return f"its worker was lost: {last_line(str(error))}"
    if error.actor_init_failed:
        return last_line(str(error))
    told = str(error).lower()
    if "low on memory" in told:
        return "its worker was killed, for the node ran low on memory"
    if error.preempted or "node has died" in told or "node died" in told:
        return "the node of its worker died"
    return "its worker process died (killed, crashed, or out of memory)"


def last_line(text: str) -> str:
    """Return the last line that says something: of a traceback, the error itself."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason told"
