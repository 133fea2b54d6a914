"""Training rows beside test rows: the same ones in both, and columns that do not look alike."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysearch.data.encode import Encoder
from raysearch.data.suspects_target import LEAST_ROWS

_LEAST_TWINS, _TWIN_SHARE, _MOST_COPIES = 3, 0.01, 10
_MOST_ROWS = 10_000
_PLAIN = 0.3
_MOST_TOLD = 5
_NOISE = 2.7  # of the distance of two samples: as far as once in a million pairs of samples that are alike
_ODD = np.uint64(0x9E3779B97F4A7C15)

Hashes = npt.NDArray[np.uint64]


def twins(known: pa.Table, unseen: pa.Table) -> list[str]:
    """Tell of test rows that stand among training and validation rows too, target included.

    Rows of a few categories and counts are alike without being copies. So rows whose features stand many
    times in training do not count, and of the others only what goes beyond chance: equal features come with
    equal targets as often as any two rows do. Targets of test rows are compared, and no more.

    Args:
        known, unseen: features and target of training and validation rows, and of test rows.
    """
    tested = unseen.num_rows
    if tested < _LEAST_TWINS:
        return []
    (before, before_all), (after, after_all) = _row_hashes(known), _row_hashes(unseen)
    values, alike = np.unique(before, return_counts=True)
    at = np.minimum(np.searchsorted(values, after), len(values) - 1)
    chances = np.where(values[at] == after, alike[at], 0)
    few = chances <= _MOST_COPIES
    count = int(np.isin(after_all[few], before_all).sum())
    equal = np.unique(known["target"].to_numpy(), return_counts=True)[1] / known.num_rows
    expected = float((1 - (1 - float(equal @ equal)) ** chances[few]).sum())
    if count < _LEAST_TWINS or count - expected <= _TWIN_SHARE * tested:
        return []
    return [
        f"{count:,} of {tested:,} test rows ({100 * count / tested:.1f} %) stand among the training rows "
        "too, with all features and the target, and flatter the test; leave the copies out"
    ]


def _row_hashes(cells: pa.Table) -> tuple[Hashes, Hashes]:
    """Return [rows] numbers that tell rows apart by their features, and by features and target."""
    hashes = np.zeros(cells.num_rows, dtype=np.uint64)
    for name in cells.column_names[:-1]:
        hashes = _mixed(hashes, cells[name].to_numpy())
    return hashes, _mixed(hashes, cells["target"].to_numpy())


def _mixed(hashes: Hashes, cells: Any) -> Hashes:
    """Return [rows] numbers that tell the rows of ``hashes`` with their next cell from all others."""
    plain = cells.astype(np.float64) + 0.0  # one zero for both signs
    plain[np.isnan(plain)] = np.nan  # and one NaN
    # A product moves what differs to the high bits, a shift back to the low ones.
    mixed = ((hashes ^ plain.view(np.uint64)) + np.uint64(1)) * _ODD
    return np.asarray(mixed ^ (mixed >> np.uint64(29)))


def shift(encoder: Encoder, known: pa.Table, unseen: pa.Table, left_out: Collection[str] = ()) -> list[str]:
    """Tell of the columns whose test rows look least like the others; a missing value is a value too.

    Dates are left out: a split by time makes them differ; so is the group of a split by group.

    Args:
        known, unseen: features of training and validation rows, and of test rows.
        left_out: columns that are not looked at.
    """
    if min(known.num_rows, unseen.num_rows) < LEAST_ROWS:
        return []
    some, others = _some(known.num_rows), _some(unseen.num_rows)
    noise = float(np.sqrt(1 / len(some) + 1 / len(others)))
    found: list[tuple[float, str]] = []
    at = 0
    for plan in encoder.plans:
        if plan.kind != "date" and plan.column not in left_out:
            a, b = (part.column(at).to_numpy()[rows] for part, rows in ((known, some), (unseen, others)))
            if plan.kind == "category":
                distance, usual = _variation(a, b, noise)
            else:
                distance, usual = _kolmogorov_smirnov(a, b), 0.0
            if distance > max(_PLAIN, usual + _NOISE * noise):
                found.append((distance, plan.column))
        at += len(plan.names)
    if not found:
        return []
    found.sort(key=lambda pair: -pair[0])
    listed = ", ".join(f"{name!r} ({distance:.2f})" for distance, name in found[:_MOST_TOLD])
    more = f" and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else ""
    return [
        "test rows look unlike the training rows, by the distance of their distributions (1: nothing in "
        f"common), in {listed}{more}"
    ]


def _some(rows: int) -> Any:
    return np.sort(np.random.default_rng(0).permutation(rows)[:_MOST_ROWS])


def _kolmogorov_smirnov(a: Any, b: Any) -> float:
    """Return the largest difference of two distribution functions; missing values come before all others."""
    first, second = (np.sort(np.where(np.isnan(part), -np.inf, part)) for part in (a, b))
    grid = np.concatenate([first, second])
    shares = [np.searchsorted(part, grid, side="right") / len(part) for part in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


def _variation(a: Any, b: Any, noise: float) -> tuple[float, float]:
    """Return the total variation of two samples of codes, and what it is for samples that are alike."""
    codes = [np.nan_to_num(part, nan=-1.0).astype(np.int64) + 1 for part in (a, b)]
    width = int(max(part.max() for part in codes)) + 1
    first, second = (np.bincount(part, minlength=width) / len(part) for part in codes)
    pooled = (first * len(a) + second * len(b)) / (len(a) + len(b))
    return float(np.abs(first - second).sum() / 2), float(np.sqrt(pooled).sum() * noise / 2)
