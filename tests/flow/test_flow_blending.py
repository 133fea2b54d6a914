"""How trials are judged for their mean: in time as they are and as calibrated."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from raysearch.bench import Bench, Recipe
from raysearch.calibration import make_folds
from raysearch.data import Transform
from raysearch.flow.blending import Judge
from raysearch.metrics import pinball_loss_avg
from raysearch.models import FitSettings
from raysearch.records import FoldRows

LEVELS = (0.1, 0.5, 0.9)
TRUE = np.asarray([-1.2816, 0.0, 1.2816])
TRAIN, ROWS = 20, 620


@pytest.fixture(scope="module")
def bench():
    y = np.random.default_rng(0).normal(size=ROWS)
    table = pa.table({"f0": y, "target": y})
    folds = make_folds(ROWS - TRAIN, times=np.arange(ROWS - TRAIN))
    fits = (FoldRows(((0, TRAIN),), (TRAIN, ROWS)),)
    return Bench(table, Recipe((False,), fits, Transform(), FitSettings(LEVELS), folds, "steady"))


def test_in_time_a_bias_that_calibration_takes_away_counts_half(bench):
    judge = Judge(bench, True, 10)
    biased = judge.saying(np.tile(TRUE + 1.0, (ROWS - TRAIN, 1)))
    y = bench.watched_y
    assert biased.shape == (ROWS - TRAIN, 6)
    as_it_is, calibrated = (pinball_loss_avg(y, part, LEVELS) for part in np.split(biased, 2, axis=1))
    assert calibrated == pytest.approx(pinball_loss_avg(y, np.tile(TRUE, (len(y), 1)), LEVELS), rel=0.02)
    assert as_it_is > 1.5 * calibrated
    assert judge.score(biased) == pytest.approx((as_it_is + calibrated) / 2)


def test_in_time_the_order_is_neither_that_of_the_raw_nor_that_of_the_calibrated_alone(bench):
    judge, rows = Judge(bench, True, 10), ROWS - TRAIN
    noise = np.random.default_rng(1).normal(size=(rows, 1))
    biased, noisy = np.tile(TRUE + 0.6, (rows, 1)), TRUE + 0.55 * noise
    raw = [pinball_loss_avg(bench.watched_y, q, LEVELS) for q in (biased, noisy)]
    assert raw[0] > raw[1]  # as it is the biased one is worse, though offsets mend it
    assert judge.score(judge.saying(biased)) < judge.score(judge.saying(noisy))


def test_levels_that_cross_are_judged_in_order(bench):
    judge = Judge(bench, True, 10)
    crossing = np.tile(TRUE[::-1], (ROWS - TRAIN, 1))
    np.testing.assert_allclose(judge.saying(crossing), judge.saying(np.sort(crossing, axis=1)))


def test_not_in_time_the_score_is_that_of_the_trial(bench):
    judge, raw = Judge(bench, False, 10), np.tile(TRUE, (ROWS - TRAIN, 1))
    assert judge.saying(raw) is raw
    assert judge.score(raw) == bench.score(raw, 10).score
