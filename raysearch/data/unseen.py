"""Features whose values in later rows are none of the earlier ones: the month in a table of one year.

Trees tell rows of the past apart by them, and have never learnt what they mean for those to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from raysearch.records import FoldRows

_SHARE = 0.5  # of later rows with values never seen, in the mean over the folds, above which a feature counts
_FEW = 50  # different numbers up to which each counts by itself, not only their range
_SAMPLE = 100_000  # rows looked at in each part

Floats = npt.NDArray[np.float64]


def unseen_features(features: Any, categorical: Sequence[bool], fits: Sequence[FoldRows]) -> tuple[int, ...]:
    """Return the positions of such features; the rows that folds are scored on are the later ones.

    Args:
        features: an Arrow table of the encoded features; missing is null or NaN.
        categorical: for each of them whether it holds codes of categories.
    """
    found = []
    for i, codes in enumerate(categorical):
        column = features.column(i).to_numpy().astype(np.float64)
        shares = [
            unseen_share(
                np.concatenate([column[slice(*p)] for p in fold.train]), column[slice(*fold.watch)], codes
            )
            for fold in fits
        ]
        if np.mean(shares) > _SHARE:
            found.append(i)
    return tuple(found)


def unseen_share(earlier: Floats, later: Floats, codes: bool = False) -> float:
    """Return the share of later values that are none of the earlier ones, or outside of their range.

    Missing values count as seen.
    """
    earlier, later = _present(earlier), _thinned(later)
    if not len(later) or np.isnan(later).all():
        return 0.0
    if not len(earlier):
        return float((~np.isnan(later)).mean())
    known = np.unique(_thinned(earlier))
    with np.errstate(invalid="ignore"):
        new = (later < earlier.min()) | (later > earlier.max())
    if codes or len(known) <= _FEW:
        new = ~np.isin(later, known) & ~np.isnan(later)
    return float(new.mean())


def _present(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _thinned(values: Floats) -> Floats:
    return values[:: -(-len(values) // _SAMPLE)] if len(values) else values
