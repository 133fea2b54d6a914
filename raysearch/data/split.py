"""Which row serves for what: training, validation, test; by time, by group or at random."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from raysearch.calibration import fold_of_rows
from raysearch.config import SplitConfig
from raysearch.data.windows import time_folds, window_begin
from raysearch.errors import DataError
from raysearch.records import FoldRows

Ints = npt.NDArray[np.int64]
_FOLDS_UP_TO = ((10_000, 5), (40_000, 3))  # rows to learn from and to score on, measured
_LEAST = {"train": 10, "valid": 2, "test": 2}


@dataclass(frozen=True)
class Keys:
    """What rows can be split by.

    Attributes:
        rows: how many.
        times: [rows] sortable, none missing; or None.
        groups: [rows] str; or None.
        test_times: times of a test table of its own; or None. Rows at or after its first time, and those
            within the purge before it, serve for nothing.
    """

    rows: int
    times: Any = None
    groups: Any = None
    test_times: Any = None


@dataclass(frozen=True)
class Split:
    """Row numbers by part; each row stands at most once.

    Attributes:
        valid: empty where rows are validated in folds.
        folds: for validation in folds: what each learns from and is scored on, in positions of ``train``.
        recent: position, in train and valid together, of the first row that a model fitted anew on the latest
            rows learns from.
    """

    train: Ints
    valid: Ints
    test: Ints
    purged: int
    by: str
    folds: tuple[FoldRows, ...] = ()
    recent: int = 0


def split_rows(keys: Keys, settings: SplitConfig, seed: int, *, test: bool = True) -> Split:
    """Split rows as the settings say.

    By time: in order of time, equal times in one part, ``purge`` distinct times left out before validation
    and before test, a test table of its own included. By group: no group in two parts, shares as near as the
    groups allow. At random: a permutation by ``seed``.

    Args:
        test: False where a test table of its own is given, so that none is cut off here.

    Raises:
        DataError: a part would have too few rows, times or groups; names the setting to change.
    """
    by = settings.by
    if by == "auto":
        by = "time" if keys.times is not None else "random"
    test_size = settings.test_size if test else 0.0
    if by == "time":
        split = _by_time(keys, settings, test_size)
    else:
        order = np.random.default_rng(seed).permutation(keys.rows)
        if by == "group":
            split = _by_group(keys.groups, order, test_size, settings.valid_size)
        else:
            split = _at_random(order, test_size, settings.valid_size)
    _check_sizes(split, keys.rows, test_size)
    if settings.cv is not None:
        return _validated(split, keys, settings)
    folds = folds_by_size(len(split.train) + len(split.valid))
    if settings.window == "both":  # which is a way of folds only
        folds = max(folds, _FOLDS_UP_TO[-1][1])
    try:
        return _validated(split, keys, replace(settings, cv=folds))
    except DataError:  # too few times or groups: nobody has asked for folds
        return _validated(split, keys, replace(settings, cv=1))


def _validated(split: Split, keys: Keys, settings: SplitConfig) -> Split:
    """Return the split with its validation as asked for: a single part, or folds."""
    if settings.cv != 1:
        return _in_folds(split, keys, settings)
    if split.by != "time":
        return split
    windowed = _in_window(split, keys, settings)
    _check_sizes(windowed, keys.rows, test_size=float(len(split.test)))
    return windowed


def folds_by_size(rows: int) -> int:
    """Return how many folds a table is validated in where the user says nothing.

    On few rows a single validation part chooses by luck, and folds' models together are worth several trials;
    on many one part tells enough, and the time is better spent on more trials.
    """
    return next((folds for most, folds in _FOLDS_UP_TO if rows <= most), 1)


def without_effect(settings: SplitConfig) -> tuple[str, ...]:
    """Return words on settings that change nothing, where the user may think that they do."""
    if not settings.embargo or settings.window == "both":
        return ()
    return (
        f"split.embargo: {settings.embargo} leaves nothing out: in the window {settings.window!r} no fold "
        "learns from rows behind it; --purge leaves out rows before it, --window both learns from both sides",
    )


def _in_window(split: Split, keys: Keys, settings: SplitConfig) -> Split:
    """Return the split with the training rows of the window: what lies before it serves for nothing."""
    first = window_begin(keys.times[split.train], settings, keys.times[split.train])
    train = split.train[first:]
    times = keys.times[np.concatenate([train, split.valid])]
    recent = window_begin(times, settings, keys.times[train])
    return replace(split, train=train, purged=split.purged + first, recent=recent)


def _in_folds(split: Split, keys: Keys, settings: SplitConfig) -> Split:
    """Return the split with training and validation rows in folds: contiguous, in the order of the table."""
    recent = 0
    if split.by == "time":
        learn = _learn_in_time(split, keys)
        times = keys.times[learn]
        folds = time_folds(times, settings)
        recent = window_begin(times, settings, times[slice(*folds[0].train[0])])
    else:
        learn = np.concatenate([split.train, split.valid])
        groups = keys.groups[learn] if split.by == "group" else None
        of_row = fold_of_rows(len(learn), settings.cv or 1, groups)
        learn = learn[np.argsort(of_row, kind="stable")]
        folds = _whole_folds(np.bincount(of_row))
    _check_folds(folds)
    rows = keys.rows - len(learn) - len(split.test)
    return Split(learn, learn[:0], split.test, rows, split.by, folds, recent)


def _whole_folds(sizes: Ints) -> tuple[FoldRows, ...]:
    """Return folds that follow each other, each learning from all others."""
    edges = [0, *np.cumsum(sizes).tolist()]
    last = edges[-1]
    if len(sizes) < 2:
        raise DataError(f"split: {len(sizes)} fold(s) of rows are too few; lower --cv, or use --split random")
    return tuple(
        FoldRows(tuple(part for part in ((0, start), (stop, last)) if part[0] < part[1]), (start, stop))
        for start, stop in pairwise(edges)
    )


def _check_folds(folds: tuple[FoldRows, ...]) -> None:
    least = min(sum(stop - start for start, stop in fold.train) for fold in folds)
    if least < _LEAST["train"]:
        raise DataError(
            f"split: a fold would learn from {least} rows, at least {_LEAST['train']} are needed; "
            "lower --cv or --purge, give a longer --window, or bring more rows"
        )


def _learn_in_time(split: Split, keys: Keys) -> Ints:
    """Return the rows of training and validation and those purged between them, in order of time."""
    order = np.argsort(keys.times, kind="stable")
    last = keys.times[split.valid].max()
    return np.asarray(order[keys.times[order] <= last])


def _at_random(order: Ints, test_size: float, valid_size: float) -> Split:
    tested = round(len(order) * test_size)
    rest, test = order[: len(order) - tested], order[len(order) - tested :]
    held = round(len(rest) * valid_size)
    return Split(rest[: len(rest) - held], rest[len(rest) - held :], test, 0, "random")


def _by_time(keys: Keys, settings: SplitConfig, test_size: float) -> Split:
    order = np.argsort(keys.times, kind="stable")
    moments, first = np.unique(keys.times[order], return_index=True)
    starts = np.append(first, keys.rows)  # [distinct times + 1] where each time's rows begin
    parts = 3 if test_size else 2
    needed = parts + settings.purge * (parts - 1)
    if len(moments) < needed:
        raise DataError(
            f"split: {len(moments)} different times are too few; a split by time into {parts} parts with "
            f"a purge of {settings.purge} needs at least {needed}; "
            f"{'lower split.purge or ' if settings.purge else ''}use --split random"
        )
    if test_size:
        test_at = _cut(starts, keys.rows - round(keys.rows * test_size), 2 + 2 * settings.purge)
        usable = test_at - settings.purge
        test = order[starts[test_at] :]
    else:
        usable = len(moments)
        if keys.test_times is not None and len(keys.test_times):
            usable = int(np.searchsorted(moments, keys.test_times.min())) - settings.purge
        test = order[:0]
    _check_usable(usable, keys, settings.purge)
    rest = int(starts[usable])
    valid_at = _cut(starts[: usable + 1], rest - round(rest * settings.valid_size), 1 + settings.purge)
    train = order[: starts[valid_at - settings.purge]]
    valid = order[starts[valid_at] : rest]
    return Split(train, valid, test, keys.rows - len(train) - len(valid) - len(test), "time")


def _cut(starts: Ints, wanted: int, least: int) -> int:
    """Return the time whose rows begin nearest ``wanted``, with ``least`` times before and one behind."""
    candidates = starts[least:-1]
    return least + int(np.argmin(np.abs(candidates - wanted)))


def _check_usable(usable: int, keys: Keys, purge: int) -> None:
    """Refuse too few different times before the test."""
    if usable >= 2 + purge:
        return
    left = f"{max(usable, 0)} different times for training and validation, at least {2 + purge} are needed"
    if keys.test_times is None:
        raise DataError(
            f"split: the purge of {purge} times leaves {left}; lower split.purge or split.test_size"
        )
    raise DataError(
        f"split: the test table begins at {keys.test_times.min()}, which with a purge of {purge} times "
        f"leaves {left}; bring rows from before the test{', lower split.purge' if purge else ''} "
        "or use --split random"
    )


def _by_group(groups: Any, order: Ints, test_size: float, valid_size: float) -> Split:
    names, codes = np.unique(groups, return_inverse=True)
    parts = 3 if test_size else 2
    if len(names) < parts:
        raise DataError(
            f"split: {len(names)} group(s) cannot fill {parts} parts without sharing one; "
            "use --split random or time, or --test-size 0"
        )
    sizes = np.bincount(codes, minlength=len(names))
    # Groups come in the order in which the seeded permutation meets them.
    met = codes[order]
    _, first = np.unique(met, return_index=True)
    free = [int(met[i]) for i in np.sort(first)]
    part_of = np.zeros(len(names), dtype=np.int64)
    rows = len(order)
    for part, share in ((2, test_size), (1, valid_size)):
        if part == 2 and not test_size:
            continue
        keep = part  # groups that the parts still to fill need
        chosen = _fill(free, sizes, share * rows, keep)
        part_of[chosen] = part
        free = [group for group in free if group not in set(chosen)]
        rows -= int(sizes[chosen].sum())
    label = part_of[codes][order]
    return Split(order[label == 0], order[label == 1], order[label == 2], 0, "group")


def _fill(free: list[int], sizes: Ints, wanted: float, keep: int) -> list[int]:
    """Take groups while that brings their rows nearer to ``wanted``: at least one, leaving ``keep``."""
    chosen: list[int] = []
    have = 0
    for group in free:
        if len(free) - len(chosen) <= keep:
            break
        size = int(sizes[group])
        if abs(have + size - wanted) < abs(have - wanted):
            chosen.append(group)
            have += size
    return chosen or [min(free, key=lambda group: int(sizes[group]))]


def _check_sizes(split: Split, rows: int, test_size: float) -> None:
    sizes = {"train": len(split.train), "valid": len(split.valid), "test": len(split.test)}
    fixes = {
        "train": "lower split.test_size, split.valid_size or split.purge, or bring more rows",
        "valid": "raise split.valid_size or bring more rows",
        "test": "raise split.test_size, set it to 0, or bring more rows",
    }
    for part, size in sizes.items():
        if part == "test" and not test_size:
            continue
        if size < _LEAST[part]:
            raise DataError(
                f"split: {size} of {rows} rows are left for the part {part!r}, at least {_LEAST[part]} are "
                f"needed; {fixes[part]}"
            )
