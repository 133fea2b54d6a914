"""What the mean of the folds' models would say of rows that only one of them has not learnt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from raysearch.calibration import as_of_mean
from raysearch.flow.job import Job
from raysearch.forecaster import Forecaster
from raysearch.metrics import Array

_LEAST_MODELS = 3  # of two, only one has learnt a row: nothing tells how far they disagree
_ROWS_A_FOLD = 200  # more would tell the same disagreement, only take longer


def said_by_mean(job: Job, forecaster: Forecaster, q: Array) -> Array:
    """Return out-of-fold quantiles of the validation rows as the mean of the folds' models would err.

    They are returned as they are, in order, where no mean of folds that learn from each other is used.

    Args:
        forecaster: its members are the folds' models of one trial, then those of the next.
        q: [rows, levels], each row by the models that have not learnt it.
    """
    q = np.sort(q, axis=1)
    fits = job.dataset.fits
    if not job.folds_are_averaged or len(fits) < _LEAST_MODELS:
        return q
    y = job.modelled("valid")
    spread = np.concatenate(list(_spreads(job, forecaster))).mean(axis=0)
    whole = (y[:, None] - q).var(axis=0)
    share = float(np.mean(spread[whole > 0] / whole[whole > 0])) if (whole > 0).any() else 0.0
    return as_of_mean(y, q, share, len(fits))


def _spreads(job: Job, forecaster: Forecaster) -> Iterator[Array]:
    """Yield the variance, [rows, levels], of the models that have learnt a fold's rows around each other.

    They may differ a little less there than on new rows: what is taken off the offsets is too little rather
    than too much.
    """
    count = len(job.dataset.fits)
    single = [replace(forecaster, members=forecaster.members[k::count]) for k in range(count)]
    for own, fold in enumerate(job.dataset.fits):
        start, stop = fold.watch
        frame = job.slice(start, min(stop, start + _ROWS_A_FOLD))
        others = [np.sort(model.raw(frame), axis=1) for k, model in enumerate(single) if k != own]
        yield np.var(others, axis=0, ddof=1)
