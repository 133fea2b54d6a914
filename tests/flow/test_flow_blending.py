"""How trials are judged for their mean: in time as they are and as calibrated."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from raysearch.bench import Bench
from raysearch.calibration import make_folds
from raysearch.data import Transform
from raysearch.flow import tune
from raysearch.flow.blending import Judge
from raysearch.metrics import pinball_loss_avg
from raysearch.models import FitSettings, Frame
from raysearch.recipe import Recipe
from raysearch.records import FoldRows
from raysearch.report.wording import ensemble_words

blending = importlib.import_module("raysearch.flow.blending")

pytestmark = pytest.mark.usefixtures("no_report")

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
    y = bench.scorer.y
    assert biased.shape == (ROWS - TRAIN, 6)
    as_it_is, calibrated = (pinball_loss_avg(y, part, LEVELS) for part in np.split(biased, 2, axis=1))
    assert calibrated == pytest.approx(pinball_loss_avg(y, np.tile(TRUE, (len(y), 1)), LEVELS), rel=0.02)
    assert as_it_is > 1.5 * calibrated
    assert judge.score(biased) == pytest.approx((as_it_is + calibrated) / 2)


def test_in_time_the_order_is_neither_that_of_the_raw_nor_that_of_the_calibrated_alone(bench):
    judge, rows = Judge(bench, True, 10), ROWS - TRAIN
    noise = np.random.default_rng(1).normal(size=(rows, 1))
    biased, noisy = np.tile(TRUE + 0.6, (rows, 1)), TRUE + 0.55 * noise
    raw = [pinball_loss_avg(bench.scorer.y, q, LEVELS) for q in (biased, noisy)]
    assert raw[0] > raw[1]  # as it is the biased one is worse, though offsets mend it
    assert judge.score(judge.saying(biased)) < judge.score(judge.saying(noisy))


def test_levels_that_cross_are_judged_in_order(bench):
    judge = Judge(bench, True, 10)
    crossing = np.tile(TRUE[::-1], (ROWS - TRAIN, 1))
    np.testing.assert_allclose(judge.saying(crossing), judge.saying(np.sort(crossing, axis=1)))


def test_not_in_time_the_score_is_that_of_the_trial(bench):
    judge, raw = Judge(bench, False, 10), np.tile(TRUE, (ROWS - TRAIN, 1))
    assert judge.saying(raw) is raw
    assert judge.score(raw) == bench.scorer.score(raw, 10).score


def test_a_trial_that_the_stretches_choose_alone_is_the_model(settings, table, monkeypatch):
    """It need not be the one with the best score."""

    def second(choose, rows, most, costs=()):
        weights = np.eye(len(choose(np.arange(rows))))[1]
        return weights, [(np.arange(rows), weights)]

    monkeypatch.setattr(blending, "chosen_by_stretches", second)
    monkeypatch.setattr(blending, "_NEAR_IN_TIME", np.inf)
    done = tune(settings(data__time="day", search__trials=3), table)
    (alone,) = done.result.ensemble.weights
    assert alone != done.best.number == done.result.ensemble.best
    assert done.forecaster.about["trial"] == alone
    assert done.result.ensemble.score >= done.result.ensemble.best_score
    assert ensemble_words(done.result.ensemble, done.best.number).startswith(f"trial {alone} alone (")
    assert done.test.metrics["pinball_loss_avg"] > 0


def test_predictions_are_timed_on_rows_that_nothing_remembers():
    frame = Frame(pa.table({"f0": np.arange(30.0)}), (False,))
    job = SimpleNamespace(dataset=SimpleNamespace(parts={"valid": (0, 30)}), slice=frame.slice)
    seen = []
    assert blending.predict_ms(job, seen.append) >= 0
    assert len({id(one) for one in seen}) == len(seen) == 2
    assert all(one.rows >= 1000 for one in seen), "a call for few rows is mostly the call's own time"


def test_in_time_a_trial_is_timed_by_what_it_brings_to_the_forecaster(settings, table):
    """Of its folds' models only the last is in it, and where it is fitted again there is one."""
    words = {"data__time": "day", "split__cv": 4, "search__max_predict_ms": 10_000.0}
    timed = []
    real = blending.load_located

    def counted(*args):
        timed.append(args)
        return real(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blending, "load_located", counted)
        done = tune(settings(**words), table)
    assert len(timed) == len(done.trials)


def test_a_bound_that_no_trial_could_be_held_to_is_told(settings, table):
    done = tune(settings(search__ensemble=1, search__max_predict_ms=1e-6), table)
    assert any("No trial's models predict 1,000 rows within 1e-06 ms" in told for told in done.warnings)
    assert len(done.result.ensemble.weights) == 1


@pytest.mark.slow
def test_in_time_a_mean_that_is_clearly_worse_than_the_best_trial_is_not_taken(settings, table, monkeypatch):
    def all_alike(choose, rows, most, costs=()):
        trials = len(choose(np.arange(rows)))
        weights = np.ones(trials) / trials
        return weights, [(np.arange(rows), weights)]

    rates = "  learning_rate: {choices: [0.0001, 0.3]}\n"  # the first trial learns next to nothing
    Path("poor.yaml").write_text(f"model: lightgbm\nparameters:\n{rates}fixed: {{num_boost_round: 20}}\n")
    monkeypatch.setattr(blending, "chosen_by_stretches", all_alike)
    near = []
    for allowed in (1.01, 9.0):
        monkeypatch.setattr(blending, "_NEAR_IN_TIME", allowed)
        words = {"data__time": "day", "study__name": f"s{allowed:g}", "search__trials": 4}
        near.append(tune(settings(**words, search__space="poor.yaml"), table).result.ensemble)
    assert len(near[0].weights) == 1 and near[0].score == near[0].best_score
    assert len(near[1].weights) > 1 and near[1].score > 1.01 * near[1].best_score
