"""Where the parts of a prepared table lie, and which of its validation rows calibrate which."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from raysearch.calibration import Folds, make_folds
from raysearch.config import Config
from raysearch.data.check import Usable
from raysearch.data.split import Split

_FEWEST_FOLDS = 3  # of which the first is scored alone: of two it would be half of all work


def parts_of(split: Split, rows: int) -> dict[str, tuple[int, int]]:
    """Return where in a table of so many rows its parts lie, by name."""
    train, seen = len(split.train), len(split.train) + len(split.valid)
    valid = (split.folds[0].watch[0] if split.folds else train, seen)
    return {"train": (0, train), "valid": valid, "test": (seen, rows)}


def calibrating_folds(usable: Usable, split: Split, config: Config, weights: Any) -> Folds:
    """Return which validation rows calibrate which, and how much each counts."""
    start, stop = parts_of(split, 0)["valid"]
    found = _unweighted_folds(usable, split, config)
    return found if weights is None else replace(found, weights=weights[start:stop])


def first_fold(usable: Usable, split: Split, config: Config, weights: Any) -> Folds | None:
    """Return which rows of the first fold calibrate which, where trials may be judged by it alone.

    Of forty random trials on three tables at random and by group, the first fold's best third held the five
    best of all; on two in time between none and all of them. Of searches on four tables the best sixth of all
    seen so far held the best trial, or one within 0.2 %.
    """
    if len(split.folds) < _FEWEST_FOLDS or split.by == "time":
        return None
    start, stop = split.folds[0].watch
    rows = split.train[start:stop]
    by_group = split.by == "group" and config.calibration != "none"
    found = make_folds(len(rows), groups=usable.groups[rows] if by_group else None)
    return found if weights is None else replace(found, weights=weights[start:stop])


def _unweighted_folds(usable: Usable, split: Split, config: Config) -> Folds:
    """Return which validation rows calibrate which, by what the split keeps apart."""
    rows = split.valid if not split.folds else split.train[split.folds[0].watch[0] :]
    if config.calibration == "none":
        return make_folds(len(rows))  # no row has to wait for others to calibrate it
    if split.by == "time":
        return make_folds(len(rows), usable.times[rows], purge=config.split.purge)
    if split.folds:
        sizes = [stop - start for start, stop in (fold.watch for fold in split.folds)]
        return Folds(np.repeat(np.arange(len(sizes)), sizes))
    return make_folds(len(rows), groups=usable.groups[rows] if split.by == "group" else None)
