"""Coverage where the truth is known: many made-up tables, and how often single ones may be far off.

Each table has calibration rows, and far more new rows. With exchangeable rows the number of new rows within
a calibrated interval is beta-binomial: offsets are order statistics, so the true coverage is a beta variable.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import betabinom, binom, norm

from raysearch.calibration import (
    as_of_mean,
    calibrate,
    cross_calibrated,
    fold_of_rows,
    make_folds,
)
from raysearch.conformal import conformal_offset

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
SEEDS = 40


def band(calibration, tested, *, low=0.05, high=0.95, bands=1):
    """Return the least and most of ``tested`` new rows that lie inside, but for once in a hundred times.

    Args:
        calibration: rows that the offsets were learnt from.
        bands: how many are looked at, of which all must hold that often (Bonferroni).
    """
    inside = math.ceil(high * (calibration + 1) - 1e-9) - math.floor(low * (calibration + 1) + 1e-9)
    hits = betabinom(tested, inside, calibration + 1 - inside)
    tail = 0.01 / bands / 2
    return int(hits.ppf(tail)), int(hits.ppf(1 - tail))


def seldom(outside, looked_at):
    """Tell whether so many outside a 99 % band are no more than chance brings, once in a thousand tests."""
    return outside <= binom(looked_at, 0.01).ppf(0.999)


def hits(y, q):
    return int(((y >= q[:, 0]) & (y <= q[:, -1])).sum())


def forecasts(rows, seed, sharp=0.6):
    """Return truth whose spread varies by row, and quantiles that are too sharp and off by a half."""
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.normal(size=rows) / 2)
    return scale * rng.normal(size=rows), 0.5 + sharp * scale[:, None] * norm.ppf(LEVELS)


def test_the_band_by_hand():
    """Of 19 rows nine tenths are the whole range: a new row is inside with 18/20, two with 0.8143."""
    assert betabinom(1, 18, 2).pmf(1) == pytest.approx(0.9)
    assert betabinom(2, 18, 2).pmf(2) == pytest.approx(18 * 19 / (20 * 21))
    assert band(19, 1) == (0, 1)
    low, high = band(10_000, 10_000)
    assert 8850 < low < 8920 and 9080 < high < 9150
    wide = band(10_000, 10_000, bands=50)
    assert wide[0] < low and wide[1] > high


@pytest.mark.parametrize("rows", [60, 200, 1000])
def test_exchangeable_rows_are_covered_in_the_mean_and_seldom_far_off(rows):
    found, outside, tested = [], 0, 2000
    for seed in range(SEEDS):
        y, q = forecasts(rows + tested, seed)
        inside = hits(y[rows:], calibrate("marginal", y[:rows], q[:rows], LEVELS).apply(q[rows:]))
        low, high = band(rows, tested)
        outside += not low <= inside <= high
        found.append(inside / tested)
    inside = math.ceil(0.95 * (rows + 1)) - math.floor(0.05 * (rows + 1) + 1e-9)
    assert np.mean(found) == pytest.approx(inside / (rows + 1), abs=0.01)  # which is 0.9 and a little
    assert seldom(outside, SEEDS)


def test_each_level_lies_where_it_claims():
    """Upper levels at or above their share, lower ones at or below, by a row at most."""
    below = []
    for seed in range(SEEDS):
        y, q = forecasts(3000, seed)
        learnt = calibrate("marginal", y[:400], q[:400], LEVELS)
        below.append((y[400:, None] <= learnt.apply(q[400:])).mean(axis=0))
    assert np.mean(below, axis=0) == pytest.approx(LEVELS, abs=0.01)


def test_rows_that_calibrate_each_other_are_covered_in_the_mean():
    found = []
    for seed in range(SEEDS):
        y, q = forecasts(400, seed)
        found.append(hits(y, cross_calibrated("marginal", y, q, LEVELS, make_folds(400))) / 400)
    assert np.mean(found) == pytest.approx(0.9, abs=0.01)


def by_folds(seed, rows=400, features=100, folds=5):
    """Return truth and quantiles of a linear model of too many features, by fold and as the folds' mean.

    Returns:
        y, its quantiles out of fold, how far models that have learnt a row disagree (as a share of the
        residuals' variance), new y, the quantiles of the mean.
    """
    rng = np.random.default_rng(seed)
    x, slope = rng.normal(size=(rows + 3000, features)), rng.normal(size=features) / features**0.5
    y = x @ slope + rng.normal(size=len(x))
    fold = fold_of_rows(rows, folds)
    middles = []
    for own in range(folds):
        learnt = np.flatnonzero(fold != own)
        middles.append(x @ np.linalg.lstsq(x[learnt], y[learnt], rcond=None)[0])
    told = np.asarray(middles)
    spread = norm.ppf(LEVELS)
    out_of_fold = told[fold, np.arange(rows)][:, None] + spread
    seen = [np.delete(told[:, row], fold[row]).var(ddof=1) for row in range(rows)]
    share = float(np.mean(seen) / (y[:rows, None] - out_of_fold)[:, 0].var())
    return y[:rows], out_of_fold, share, y[rows:], told[:, rows:].mean(axis=0)[:, None] + spread


@pytest.mark.slow
def test_the_mean_of_fold_models_covers_as_claimed_where_their_own_offsets_are_too_wide():
    found = {"own": [], "mean": []}
    for seed in range(SEEDS // 2):
        y, q, share, new, mean = by_folds(seed)
        for way, told in (("own", q), ("mean", as_of_mean(y, q, share, 5))):
            found[way].append(hits(new, calibrate("marginal", y, told, LEVELS).apply(mean)) / len(new))
    assert np.mean(found["own"]) > np.mean(found["mean"]) + 0.005
    assert np.mean(found["mean"]) == pytest.approx(0.9, abs=0.01)


def test_unequal_groups_are_seldom_far_off():
    """Groups of 6 to 600 rows: the small ones have the offsets of all rows, those between are shrunk."""
    sizes, tested = {"a": 6, "b": 15, "c": 25, "d": 60, "e": 200, "f": 600}, 1000
    labels = np.repeat(list(sizes), list(sizes.values()))
    outside, found = 0, {name: [] for name in sizes}
    for seed in range(SEEDS):
        y, q = forecasts(len(labels), seed)
        learnt = calibrate("group", y, q, LEVELS, labels)
        assert set(learnt.by_group) == set("cdef")
        for number, (name, rows) in enumerate(sizes.items()):
            new, said = forecasts(tested, 1000 * seed + number + SEEDS)
            inside = hits(new, learnt.apply(said, np.full(tested, name)))
            low, high = band(rows if rows >= 19 else len(labels), tested, bands=len(sizes))
            outside += not low <= inside <= high
            found[name].append(inside / tested)
    assert outside <= binom(SEEDS, 0.01).ppf(0.999)
    assert np.mean([np.mean(values) for values in found.values()]) == pytest.approx(0.91, abs=0.02)
    assert np.mean(found["f"]) == pytest.approx(0.9, abs=0.01)


def test_large_groups_that_differ_are_each_covered():
    labels = np.repeat(["calm", "wild"], 800)
    found = {"calm": [], "wild": []}
    for seed in range(SEEDS // 2):
        y, q = forecasts(len(labels), seed)
        y = y * np.where(labels == "wild", 3.0, 1.0)
        learnt = calibrate("group", y, q, LEVELS, labels)
        new, said = forecasts(3000, seed + 500)
        for name, scale in (("calm", 1.0), ("wild", 3.0)):
            found[name].append(hits(scale * new, learnt.apply(said, np.full(3000, name))) / 3000)
    assert np.mean(found["calm"]) == pytest.approx(0.9, abs=0.015)
    assert np.mean(found["wild"]) == pytest.approx(0.9, abs=0.015)


def drifting(kind, seed, rows=1500, tested=300):
    """Return truth whose place moves by its spread, or whose spread grows by a third; quantiles stay."""
    rng = np.random.default_rng(seed)
    at = np.arange(rows + tested) / rows
    noise = rng.normal(size=len(at))
    y = {"moving": noise + at, "widening": noise * (0.85 + 0.3 * at), "still": noise}[kind]
    return y, np.tile(0.7 * norm.ppf(LEVELS), (len(at), 1)), rows


@pytest.mark.parametrize("kind", ["moving", "widening", "still"])
def test_drifting_rows_are_covered_within_four_points_in_the_mean(kind):
    found = {"marginal": [], "time": []}
    for seed in range(SEEDS // 2):
        y, q, rows = drifting(kind, seed)
        for way, told in found.items():
            learnt = calibrate(way, y[:rows], q[:rows], LEVELS)
            told.append(hits(y[rows:], learnt.apply(q[rows:])) / len(y[rows:]))
    assert np.mean(found["time"]) == pytest.approx(0.9, abs=0.04)
    if kind != "still":  # recent rows teach more of what comes
        assert abs(np.mean(found["time"]) - 0.9) < abs(np.mean(found["marginal"]) - 0.9)


def test_of_nine_rows_the_largest_covers_nine_tenths_exactly():
    covered = np.mean(
        [norm.cdf(conformal_offset(np.random.default_rng(seed).normal(size=9), 0.9)) for seed in range(4000)]
    )
    assert covered == pytest.approx(0.9, abs=4 * (0.9 * 0.1 / 11) ** 0.5 / 4000**0.5)
