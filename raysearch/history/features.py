"""What a prepared table is like, in a moment and always the same."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from raysearch.config import Config
from raysearch.data import Dataset
from raysearch.history.record import MetaFeatures
from raysearch.recipe import ANCHOR, TARGET
from raysearch.records import DataQuality

_LOOKED_AT = 20_000  # rows of the target
_LEARNT, _FEATURES, _BINS = 2_000, 60, 8  # rows, features, and bins of each, of the quick model
_RIDGE = 10.0
_DIGITS = 6

Floats = npt.NDArray[np.float64]


def describe(config: Config, dataset: Dataset) -> MetaFeatures:
    """Return the meta-features of the rows that trials learn from and are scored on.

    Of test rows no more is looked at than how many of their cells are missing. The same table and settings
    give the same figures, in a moment however many rows there are.
    """
    stop = dataset.parts["valid"][1]
    target = _modelled(dataset, _spread(stop, _LOOKED_AT))
    return MetaFeatures(
        rows=stop,
        columns=len(dataset.encoder.names),
        **{
            name: round(value, _DIGITS)
            for name, value in {
                **_kinds(dataset.quality),
                **_shape(target),
                "noise": _noise(dataset, _spread(stop, _LEARNT)),
            }.items()
        },
        split="time" if config.by_time else "group" if config.split.by == "group" else "random",
    )


def _shape(target: Floats) -> dict[str, float]:
    """Return skew, tails and repeated values of the modelled target [rows]."""
    at = np.quantile(target, [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]).tolist()
    low, low5, quarter, middle, quarter3, high95, high = at
    # Where half of the rows are alike the quartiles meet: they count as a 64th of the whole.
    box = max(quarter3 - quarter, (high - low) / 64)
    return {
        "skew": (high95 + low5 - 2 * middle) / (high95 - low5) if high95 > low5 else 0.0,
        "tails": math.log2((high - low) / box) if box > 0 else 0.0,
        "repeated": float(np.unique(target, return_counts=True)[1].max() / len(target)),
    }


def _spread(rows: int, most: int) -> npt.NDArray[np.int64]:
    """Return at most so many rows, evenly."""
    return np.linspace(0, rows - 1, min(rows, most)).astype(np.int64)


def _modelled(dataset: Dataset, rows: npt.NDArray[np.int64]) -> Floats:
    table = dataset.table
    anchor = table[ANCHOR].to_numpy()[rows] if ANCHOR in table.column_names else None
    return dataset.transform.standardise(dataset.transform.forward(table[TARGET].to_numpy()[rows], anchor))


def _kinds(quality: DataQuality) -> dict[str, float]:
    """Return the share of each kind among the columns in use, and that of missing cells in them."""
    used = [column for column in quality.columns if column.used]
    columns = max(1, len(used))
    of = {
        "numbers": ("number", "duration"),
        "categories": ("category", "boolean"),
        "dates": ("datetime", "time"),
    }
    found = {name: sum(column.kind in kinds for column in used) / columns for name, kinds in of.items()}
    cells = max(1, columns * quality.rows)
    return {**found, "missing": sum(column.missing for column in used) / cells}


def _noise(dataset: Dataset, rows: npt.NDArray[np.int64]) -> float:
    """Return the share of the target's variation that a ridge regression on binned features leaves open.

    A landmark (Pfahringer, Bensusan and Giraud-Carrier, ICML 2000): every second row is learnt from, the
    others are forecast, both by the target's ranks, which no outlier pulls at.
    """
    target = _modelled(dataset, rows)
    ranks = np.searchsorted(np.sort(target), target, side="left") + np.searchsorted(
        np.sort(target), target, side="right"
    )
    y = ranks / len(ranks) - 1.0
    known = np.arange(len(rows)) % 2 == 0
    if known.all() or np.ptp(y[~known]) == 0:
        return 1.0
    x = np.column_stack([_binned(values, known) for values in _features(dataset, rows)])
    centre = y[known].mean()
    weights = np.linalg.solve(
        x[known].T @ x[known] + _RIDGE * np.eye(x.shape[1]), x[known].T @ (y[known] - centre)
    )
    left = y[~known] - centre - x[~known] @ weights
    return float(np.clip(np.mean(left**2) / np.var(y[~known]), 0.0, 1.0))


def _features(dataset: Dataset, rows: npt.NDArray[np.int64]) -> list[Floats]:
    names = dataset.table.column_names[: len(dataset.encoder.names)]
    return [
        dataset.table[names[position]].to_numpy()[rows].astype(np.float64)
        for position in _spread(len(names), _FEATURES)
    ]


def _binned(values: Floats, known: npt.NDArray[np.bool_]) -> Floats:
    """Return [rows, bins] which bin of a feature a row is in, less the bin's share; missing is one of them.

    Codes of categories stand in order of frequency, so that the common ones have bins of their own.
    """
    there = np.isfinite(values)
    seen = values[known & there]
    edges = np.unique(np.quantile(seen, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(seen) else np.empty(0)
    bins = np.where(there, np.searchsorted(edges, values, side="left") + 1, 0)
    found: Floats = (bins[:, None] == np.arange(_BINS + 1)).astype(np.float64)
    return np.asarray(found - found[known].mean(axis=0))
