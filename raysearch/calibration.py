"""Calibration: offsets that make quantiles cover what they claim, from rows that no model was fitted on.

Where calibration rows and new rows are exchangeable, a quantile at level 0.95 with its conformal offset lies
above the truth in at least 95 % of new rows, whatever the model is. Rows may carry weights, which is how
groups, time and the user's row weights come in. Arrays: `y` is [rows], `q` is [rows, levels]; both on the
scale that the models are fitted on. `weights` is [rows], 1 in the mean: a new row is taken to weigh 1; None:
all do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from raysearch.conformal import offsets_of, rows_needed, times
from raysearch.drift import age_weights, best_half_life, steady_offsets, width_offsets
from raysearch.metrics import Array, Ints

KINDS = ("none", "marginal", "steady", "width", "group", "time")
_POOLED_ROWS = 20.0  # weight of all rows beside a group's own: keeps a small group near the others
_FOLDS = 5  # of rows that calibrate each other
_MOST_TOLD = 5
_LEAST_KEPT = 0.5  # of the residuals' variance, whatever the models' disagreement

Groups = NDArray[np.str_]


@dataclass(frozen=True)
class Calibrator:
    """Shifts each level's quantile by an offset and puts the levels in order.

    Attributes:
        kind: "none", "marginal" (one offset a level), "steady" (the same, but what all levels are shifted by
            only as far as it is the same all the time), "width" (one a level that widens or narrows only, as
            far as what levels are shifted by may come to either side), "group" (one a level and group) or
            "time" (one a level, recent rows weighing more).
        offsets: what each level is shifted by, [levels], on the modelled scale; for "group" where a row's
            group was not among the calibration rows, or had too few of them.
        by_group: offsets of the known groups, each [levels].
        rows: calibration rows.
        few: rows of the groups that had too few for offsets of their own.
        half_life: for "time", the rows after which a row counts half; None where all count alike.
    """

    kind: str
    offsets: tuple[float, ...]
    by_group: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    rows: int = 0
    half_life: float | None = None
    few: Mapping[str, int] = field(default_factory=dict)

    def apply(self, q: Array, groups: Groups | None = None) -> Array:
        """Return calibrated quantiles in order, [rows, levels]; ``groups``: group of each row [rows]."""
        ordered = np.sort(np.asarray(q, dtype=np.float64), axis=1)
        offsets = self._of(groups)
        ordered += offsets
        if not (offsets[..., 1:] >= offsets[..., :-1]).all():  # what rises by rising offsets stays in order
            ordered.sort(axis=1)
        return ordered

    def _of(self, groups: Groups | None) -> Array:
        """Return the offsets of each row, [rows, levels], or [levels] where all rows have the same."""
        if groups is None or not self.by_group:
            return np.asarray(self.offsets)
        codes, names = pd.factorize(np.asarray(groups, dtype=object), use_na_sentinel=False)
        of_names = np.asarray([self.by_group.get(str(name), self.offsets) for name in names])
        return of_names.reshape(-1, len(self.offsets))[codes]

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which ``from_json`` makes the same calibrator."""
        return {
            "kind": self.kind,
            "offsets": list(self.offsets),
            "by_group": {name: list(values) for name, values in self.by_group.items()},
            "rows": self.rows,
            "half_life": self.half_life,
            "few": dict(self.few),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Calibrator:
        """Return the calibrator of ``to_json``."""
        return cls(
            kind=content["kind"],
            offsets=tuple(map(float, content["offsets"])),
            by_group={name: tuple(map(float, values)) for name, values in content["by_group"].items()},
            rows=int(content["rows"]),
            half_life=content["half_life"],
            few={name: int(rows) for name, rows in content.get("few", {}).items()},
        )


def no_calibration(levels: Sequence[float]) -> Calibrator:
    """Return the calibrator that only puts the levels in order."""
    return Calibrator("none", (0.0,) * len(levels))


def calibrate(
    kind: str,
    y: Array,
    q: Array,
    levels: Sequence[float],
    groups: Groups | None = None,
    weights: Array | None = None,
) -> Calibrator:
    """Learn the offsets from rows that the quantiles' models were not fitted on.

    Args:
        kind: one of KINDS; for "steady", "width" and "time" the rows are in order of time, the latest last.
        y: truth [rows].
        q: quantiles [rows, levels]; put in order before anything else.
        groups: group of each row [rows], needed for "group". One with fewer rows than finite offsets of its
            own need has those of all rows; the others are shrunk towards these, small ones the most.
        weights: how much each row counts [rows].
    """
    if kind == "none" or not len(y):
        return no_calibration(levels)
    residuals = y[:, None] - np.sort(q, axis=1)
    if kind == "time":
        half_life = best_half_life(y, q, levels, weights)
        offsets = offsets_of(residuals, levels, times(age_weights(len(y), half_life), weights))
        return Calibrator(kind, offsets, {}, len(y), half_life if math.isfinite(half_life) else None)
    if kind == "width":
        return Calibrator(kind, width_offsets(residuals, levels, weights), {}, len(y))
    pooled = offsets_of(residuals, levels, weights)
    if kind == "steady":
        return Calibrator(kind, steady_offsets(pooled, residuals, levels, weights), {}, len(y))
    by_group, few = {}, {}
    if kind == "group" and groups is not None:
        share = min(1.0, _POOLED_ROWS / (len(y) if weights is None else float(weights.sum())))
        least = rows_needed(levels)
        for name in np.unique(groups):
            own = groups == name
            if int(own.sum()) < least:
                few[str(name)] = int(own.sum())
                continue
            # The group's rows count 1, all others so much that together they weigh _POOLED_ROWS at most.
            by_group[str(name)] = offsets_of(residuals, levels, times(np.where(own, 1.0, share), weights))
    return Calibrator(kind, pooled, by_group, len(y), few=few)


@dataclass(frozen=True)
class Folds:
    """Which rows calibrate which: none itself, and in time none what came before it.

    Attributes:
        of_row: fold of each row [rows], from 0 without gaps.
        reach: for rows in order of time: by how many of the first rows each fold is calibrated, 0: it is not
            told of. Empty where each fold is calibrated by all others.
        weights: how much each row counts where it calibrates others [rows]; None: all alike.
    """

    of_row: Ints
    reach: tuple[int, ...] = ()
    weights: Array | None = None

    @property
    def told(self) -> Ints:
        """The rows that can be told of, rising."""
        if not any(self.reach):
            return np.arange(len(self.of_row))
        return np.flatnonzero(np.asarray(self.reach)[self.of_row] > 0)

    def pairs(self) -> Iterator[tuple[Ints, Ints]]:
        """Yield the rows of a fold, and those that calibrate it."""
        for fold in range(int(self.of_row.max(initial=-1)) + 1):
            own = self.of_row == fold
            if not self.reach:
                yield np.flatnonzero(own), np.flatnonzero(~own)
            elif self.reach[fold]:
                yield np.flatnonzero(own), np.arange(self.reach[fold])


def make_folds(rows: int, times: Any = None, groups: Any = None, purge: int = 0) -> Folds:
    """Return folds of calibration and scoring for rows that no model was fitted on.

    Args:
        times: time of each row, rising, where rows are ordered in time.
        groups: group of each row, where no group may be in two folds.
        purge: distinct times that are left out before each fold.
    """
    if times is not None:
        _, first, step = np.unique(times, return_index=True, return_inverse=True)
        of_row = first[step] * _FOLDS // max(rows, 1)
        of_row = np.unique(of_row, return_inverse=True)[1]
        begins: Any = step[np.searchsorted(of_row, np.arange(of_row.max(initial=0) + 1))] if rows else []
        reach = tuple(int(np.searchsorted(step, begin - purge)) if begin > purge else 0 for begin in begins)
        return Folds(of_row.astype(np.int64), reach)
    return Folds(fold_of_rows(rows, _FOLDS, groups))


def fold_of_rows(rows: int, folds: int, groups: Any = None) -> Ints:
    """Return the fold of each row [rows], from 0: as many rows in each as can be, no group in two of them."""
    if groups is None:
        return np.arange(rows) * min(folds, rows) // max(rows, 1)
    names, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    fold_of_group = np.zeros(len(names), dtype=np.int64)
    filled = np.zeros(min(folds, max(len(names), 1)), dtype=np.int64)
    for group in np.argsort(-sizes, kind="stable"):
        fold_of_group[group] = np.argmin(filled)
        filled[np.argmin(filled)] += sizes[group]
    return np.asarray(fold_of_group[codes])


def cross_calibrated(
    kind: str, y: Array, q: Array, levels: Sequence[float], folds: Folds, groups: Groups | None = None
) -> Array:
    """Return the quantiles of ``folds.told``, [told rows, levels], calibrated by the rows of other folds.

    Where no row can be calibrated by another, the levels are only put in order.
    """
    told, weights = np.sort(q, axis=1), folds.weights
    for own, others in folds.pairs():
        among = None if groups is None else groups[others]
        weight = None if weights is None else weights[others]
        learnt = calibrate(kind, y[others], q[others], levels, among, weight)
        told[own] = learnt.apply(q[own], None if groups is None else groups[own])
    return np.asarray(told[folds.told])


def shortages(calibrator: Calibrator, levels: Sequence[float]) -> tuple[str, ...]:
    """Return words on calibration rows that are too few for what the levels claim."""
    if calibrator.kind == "none":
        return ()
    told, needed = [], rows_needed(levels)
    if calibrator.rows < needed:
        told.append(
            f"The outermost levels are calibrated by {calibrator.rows} rows, {needed} are needed for what "
            "they claim: their offsets are those of the farthest rows. More rows or --cv 5 help."
        )
    if calibrator.few:
        shown = [f"{name!r} ({rows})" for name, rows in list(calibrator.few.items())[:_MOST_TOLD]]
        more = len(calibrator.few) - len(shown)
        listed = ", ".join(shown) + (f" and {more:,} more" if more else "")
        told.append(
            f"{len(calibrator.few):,} group(s) have fewer than the {needed} calibration rows that offsets of "
            f"their own need, and have those of all rows: {listed}."
        )
    return tuple(told)


def as_of_mean(y: Array, q: Array, disagreement: float, models: int) -> Array:
    """Return out-of-fold quantiles with the errors that the mean of the folds' models would have made.

    A row is known out of fold to one model only, and that errs more than the mean of all, so that offsets
    from its residuals would be too wide for the mean. What the mean lacks is (1 - 1/models) of the models'
    variance around each other; the residuals are drawn together by as much.

    Args:
        y: truth [rows].
        q: each row's quantiles by the model that has not learnt it, in order [rows, levels].
        disagreement: variance of the models around their mean, as a share of that of the residuals.
    """
    kept = math.sqrt(max(_LEAST_KEPT, 1.0 - (1.0 - 1.0 / models) * disagreement))
    middle = (y[:, None] - q).mean(axis=0)
    return np.asarray((1.0 - kept) * (y[:, None] - middle) + kept * q)
