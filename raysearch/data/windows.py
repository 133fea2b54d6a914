"""Folds in time: what each learns from, in windows that grow, slide, or lie on both sides of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from raysearch.config import SplitConfig, window_steps
from raysearch.errors import DataError
from raysearch.records import FoldRows

Ints = npt.NDArray[np.int64]


class Steps:
    """The distinct times of rows in order of time.

    Attributes:
        count: how many.
        starts: [count + 1] where each one's rows begin, and the number of rows.
    """

    def __init__(self, times: Any) -> None:
        moments, first = np.unique(times, return_index=True)
        self.count = len(moments)
        self.starts: Ints = np.append(first, len(times))

    def rows(self, begin: int, end: int) -> tuple[int, int]:
        """Return (start, stop) of the rows from step ``begin`` up to, not with, step ``end``."""
        return int(self.starts[begin]), int(self.starts[end])


def time_folds(times: Any, settings: SplitConfig) -> tuple[FoldRows, ...]:
    """Return folds that follow each other to the end of the rows.

    In expanding and sliding windows the folds lie in the later half of the rows, and each learns from rows
    before it: all of them, or those of the last ``window`` steps ("sliding": as many as the first fold has),
    less the purge. With window "both" (purged k-fold, Lopez de Prado, 2018, ch. 7) the folds are all rows,
    and each learns from the rows on either side, less the purge before it, and purge and embargo behind it.

    Args:
        times: of each row, rising.

    Raises:
        DataError: there are too few different times; names the settings to change.
    """
    steps, purge = Steps(times), settings.purge
    at = _cuts(steps, settings)
    if settings.window == "both":
        folds = tuple(_around(steps, begin, end, settings) for begin, end in pairwise(at))
        if any(fold is None for fold in folds):
            raise DataError(
                f"split: a purge of {purge} and an embargo of {settings.embargo} leave a fold nothing to "
                f"learn from in {steps.count} different times; lower --purge, --embargo or --cv"
            )
        return tuple(fold for fold in folds if fold is not None)
    reach = _reach(settings, at[0] - purge, "fold")
    return tuple(
        FoldRows(
            (steps.rows(max(0, begin - purge - (reach or begin)), begin - purge),), steps.rows(begin, end)
        )
        for begin, end in pairwise(at)
    )


def window_begin(times: Any, settings: SplitConfig, before: Any) -> int:
    """Return the first row that a model fitted on the latest rows learns from.

    Args:
        times: of each row, rising.
        before: the times of the rows that the first training learns from: "sliding" windows are as long.
    """
    reach = _reach(settings, Steps(before).count, "validation")
    steps = Steps(times)
    return int(steps.starts[max(0, steps.count - reach)]) if reach else 0


def _reach(settings: SplitConfig, there: int, what: str) -> int | None:
    """Return the steps of a sliding window; None where it grows."""
    reach = there if settings.window == "sliding" else window_steps(settings.window)
    if reach is not None and reach > there:
        raise DataError(
            f"split: a window of {reach} times is longer than the {there} before the first {what}; "
            "give a shorter --window, or --window expanding"
        )
    return reach


def _cuts(steps: Steps, settings: SplitConfig) -> list[int]:
    """Return the steps at which folds begin, and the end."""
    rows, both, folds = int(steps.starts[-1]), settings.window == "both", settings.cv or 1
    wanted = np.linspace(0 if both else rows / 2, rows, folds + 1)
    at = np.unique([int(np.argmin(np.abs(steps.starts - share))) for share in wanted])
    if len(at) < folds + 1 or (not both and at[0] - settings.purge < 1):
        raise DataError(
            f"split: {steps.count} different times are too few for {folds} folds with a purge of "
            f"{settings.purge}; lower --cv or --purge"
        )
    return [int(step) for step in at]


def _around(steps: Steps, begin: int, end: int, settings: SplitConfig) -> FoldRows | None:
    train = tuple(_sides(steps, begin - settings.purge, end + settings.purge + settings.embargo))
    return FoldRows(train, steps.rows(begin, end)) if train else None


def _sides(steps: Steps, last: int, first: int) -> Iterator[tuple[int, int]]:
    if last > 0:
        yield steps.rows(0, last)
    if first < steps.count:
        yield steps.rows(first, steps.count)
