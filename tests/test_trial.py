"""A trial is a plain function: parameters in, scores at the rungs out, whatever happens."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from contracts import make_frame

from raysearch.calibration import Folds, cross_calibrated, make_folds
from raysearch.data import Transform
from raysearch.metrics import pinball_loss_avg
from raysearch.models import MODEL_NAMES, FitSettings, Frame, by_fold, get_model
from raysearch.records import FoldRows
from raysearch.trial import Bench, Recipe, TrialError, TrialSpec, reports, run_trial, rungs_for

LEVELS = (0.1, 0.5, 0.9)
ROWS, TRAIN = 300, 220


def job(transform=None, positive=False, calibrate="none", **settings):
    """Return a shared table, as ``prepare`` makes it, and the recipe that goes with it."""
    frame, y = make_frame(ROWS)
    transform = transform or Transform()
    y = np.exp(y / 5) if positive else y
    table = frame.features.append_column("target", pa.array(y))
    if transform.anchor:
        table = table.append_column("anchor", pa.array(np.linspace(1, 50, ROWS)))
        table = table.set_column(4, "target", pa.array(np.linspace(1, 50, ROWS) * y))
    settings = FitSettings(LEVELS, **settings)
    folds = make_folds(ROWS - TRAIN)
    fits = (FoldRows(((0, TRAIN),), (TRAIN, ROWS)),)
    return table, Recipe(frame.categorical, fits, transform, settings, folds, calibrate)


def spec(model="lightgbm", rungs=(3, 6, 12), **more):
    params = {"num_leaves": 6} if model == "lightgbm" else {"max_depth": 3}
    return TrialSpec(
        **{"number": 0, "key": "k", "model": model, "fit_params": params, "rungs": rungs, **more}
    )


def told(spec, bench):
    return list(reports(spec, bench))


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_a_trial_reports_at_each_rung_and_keeps_its_model_at_the_end(model):
    found = told(spec(model), Bench(*job()))
    assert [report.rung.step for report in found] == [3, 6, 12]
    assert [report.final for report in found] == [False, False, True]
    assert [report.files is not None for report in found] == [False, False, True]
    assert not any(report.failure for report in found)
    assert found[0].rung.score == found[0].rung.metrics["valid_pinball_loss_avg"]
    assert found[-1].rung.score < found[0].rung.score
    assert pickle.loads(pickle.dumps(found)) == found  # they travel between processes


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_rungs_do_not_change_the_end(model):
    bench = Bench(*job())
    parted, straight = told(spec(model), bench)[-1], told(spec(model, (12,)), bench)[-1]
    assert parted.rung.score == pytest.approx(straight.rung.score, abs=1e-9)
    assert parted.files == straight.files


@pytest.mark.parametrize(
    ("bar", "default", "kept"),
    [(float("inf"), False, True), (0.0, False, False), (0.0, True, True)],
)
def test_only_a_trial_below_the_bar_or_the_default_sends_its_model(bar, default, kept):
    last = told(spec(bar=bar, default=default), Bench(*job()))[-1]
    assert (last.files is not None) == kept


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_the_score_is_that_of_ordered_quantiles_on_the_watched_rows(model):
    table, recipe = job()
    last = told(spec(model), Bench(table, recipe))[-1]
    rows = Frame(table.select(["f0", "f1", "f2", "f3"]), recipe.categorical).slice(TRAIN, ROWS)
    q = np.sort(get_model(model).load(last.files, LEVELS)(rows), axis=1)
    y = table["target"].to_numpy()[TRAIN:]
    assert last.rung.score == pytest.approx(pinball_loss_avg(y, q, LEVELS), abs=1e-9)
    inside = ((y >= q[:, 0]) & (y <= q[:, 2])).mean()
    assert last.rung.metrics["valid_coverage_80"] == pytest.approx(inside)


@pytest.mark.parametrize("model", MODEL_NAMES)
@pytest.mark.parametrize(
    "transform", [Transform("log"), Transform("log1p"), Transform("asinh"), Transform("log", "nav")]
)
def test_scores_are_in_the_targets_own_units(model, transform):
    table, recipe = job(transform, positive=True)
    bench = Bench(table, recipe)
    fit = bench.begin(model, spec(model).fit_params)
    fit.advance(12)
    y = table["target"].to_numpy()[TRAIN:]
    anchor = table["anchor"].to_numpy()[TRAIN:] if transform.anchor else None
    own = transform.inverse(fit.predict_watched(), anchor)
    np.testing.assert_allclose(bench.quantiles(fit), np.sort(own, axis=1))
    assert bench.score(fit).score == pytest.approx(pinball_loss_avg(y, np.sort(own, axis=1), LEVELS))
    assert bench.score(fit).score < np.abs(y - np.median(y)).mean() / 2


def test_crossing_quantiles_are_scored_in_order():
    bench = Bench(*job())
    ordered = np.sort(np.random.default_rng(0).normal(size=(ROWS - TRAIN, 3)), axis=1)

    class Crossing:
        rounds = 1

        def predict_watched(self):
            return ordered[:, ::-1]

    expected = pinball_loss_avg(bench.watched_y, ordered, LEVELS)
    assert bench.score(Crossing()).score == pytest.approx(expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_not_finite_is_a_failure_with_its_reason(monkeypatch, bad):
    bench = Bench(*job())
    monkeypatch.setattr(bench, "quantiles", lambda fit: np.full((ROWS - TRAIN, 3), bad))
    (only,) = told(spec(), bench)
    assert only.failure == "TrialError: the model predicts values that are not finite after 3 rounds"
    assert (only.rung, only.files, only.final) == (None, None, False)
    with pytest.raises(TrialError):
        list(run_trial(spec(), bench))


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_what_the_library_refuses_is_a_failure_in_its_own_words(model):
    wrong = {"lightgbm": {"num_leaves": 1}, "xgboost": {"subsample": 7.0}}[model]
    bench = Bench(*job())
    (only,) = told(spec(model, fit_params=wrong), bench)
    assert only.failure.split(":")[0] in ("LightGBMError", "XGBoostError")
    assert next(iter(wrong)) in only.failure
    assert "Stack trace" not in only.failure
    assert told(spec(model), bench)[-1].final  # and the next trial runs


class _Alike:
    """A fit whose levels are all alike, as of trees that learnt nothing."""

    def __init__(self, rows):
        self.rounds, self._rows = 0, rows

    def advance(self, rounds):
        self.rounds = rounds

    def predict_watched(self):
        return np.zeros((self._rows, len(LEVELS)))

    def dump(self):
        return {}


@pytest.mark.parametrize("zeros", [0.0, 0.95])
def test_levels_that_are_all_alike_are_a_failure_unless_the_truth_is_so_too(monkeypatch, zeros):
    table, recipe = job()
    y = table["target"].to_numpy().copy()
    y[: int(zeros * ROWS)] = 0.0
    np.random.default_rng(0).shuffle(y)
    bench = Bench(table.set_column(4, "target", pa.array(y)), recipe)
    monkeypatch.setattr(bench, "begin", lambda *_: _Alike(ROWS - TRAIN))
    found = told(spec(), bench)
    assert [report.failure for report in found[:2]] == ["", ""]  # it may still learn: only the end counts
    if zeros:
        assert found[-1].final and not found[-1].failure
    else:
        assert "all its quantile levels are alike, though the truth varies" in found[-1].failure
        assert "lower min_data_in_leaf or min_child_weight" in found[-1].failure


def test_an_error_without_words_has_its_name(monkeypatch):
    bench = Bench(*job())
    monkeypatch.setattr(bench, "score", lambda fit: (_ for _ in ()).throw(MemoryError()))
    assert told(spec(), bench)[-1].failure == "MemoryError"


def test_an_interrupt_is_no_failure(monkeypatch):
    bench = Bench(*job())
    monkeypatch.setattr(bench, "score", lambda fit: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        told(spec(), bench)


def test_rows_are_binned_once_for_each_way_of_binning_and_few_are_kept(monkeypatch):
    bench = Bench(*job())
    model = get_model("lightgbm")
    binned = []
    original = type(model).bin
    monkeypatch.setattr(type(model), "bin", lambda *a: binned.append(a[3].get("max_bin")) or original(*a))
    for bins in (63, 63, 31, 63, 15, 63, 31):
        bench.begin("lightgbm", {"max_bin": bins, "num_leaves": 4})
        assert len(bench._binned) <= 2
    assert binned == [63, 31, 15, 31]  # the least recently used goes first
    bench.begin("xgboost", {})
    assert len(bench._binned) == 2


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_a_warm_place_gives_the_scores_of_a_fresh_one(model):
    warm = Bench(*job())
    told(spec(model, fit_params={"learning_rate": 0.3}), warm)
    assert told(spec(model), warm)[-1] == told(spec(model), Bench(*job()))[-1]


def test_the_part_names_the_scores():
    table, recipe = job()
    names = told(spec(), Bench(table, replace(recipe, part="test")))[-1].rung.metrics
    assert all(name.startswith(("test_", "pinball/")) for name in names)


def test_watched_rows_may_lie_before_the_training_rows():
    table, recipe = job()
    swapped = replace(recipe, fits=(FoldRows(((80, ROWS),), (0, 80)),))
    assert len(Bench(table, swapped).watched_y) == 80
    assert told(spec(), Bench(table, swapped))[-1].final


@pytest.mark.parametrize(
    ("rounds", "milestones", "rungs"),
    [(100, (50, 150), (50, 100)), (50, (50, 150), (50,)), (10, (), (10,)), (200, (50, 150), (50, 150, 200))],
)
def test_rungs(rounds, milestones, rungs):
    assert rungs_for(rounds, milestones) == rungs


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_a_trial_that_is_given_up_ends_within_a_few_rounds_without_a_score(model):
    looks = []

    def given_up():
        looks.append(1)
        return len(looks) > 4  # in the middle of the second rung

    found = list(run_trial(spec(model, (10, 60)), Bench(*job()), given_up))
    assert [rung.step for rung, _ in found] == [10]
    assert len(looks) == 5


def test_looking_in_between_changes_no_score():
    watched = run_trial(spec(), Bench(*job()), lambda: False)
    straight = run_trial(spec(), Bench(*job()))
    assert [rung for rung, _ in watched] == [rung for rung, _ in straight]


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_a_trial_is_scored_as_calibrated_by_other_rows(model):
    table, recipe = job(calibrate="marginal")
    bench = Bench(table, recipe)
    (last,) = told(spec(model, (3,)), bench)
    rows = Frame(table.select(["f0", "f1", "f2", "f3"]), recipe.categorical).slice(TRAIN, ROWS)
    raw = get_model(model).load(last.files, LEVELS)(rows)
    y = table["target"].to_numpy()[TRAIN:]
    q = cross_calibrated("marginal", y, raw, LEVELS, recipe.folds)
    assert last.rung.score == pytest.approx(pinball_loss_avg(y, q, LEVELS), abs=1e-9)
    plain = told(spec(model, (3,)), Bench(table, replace(recipe, calibrate="none")))[-1]
    off, before = (abs(one.rung.metrics["valid_coverage_80"] - 0.8) for one in (last, plain))
    assert off < before, "three rounds alone are far from what they claim"


def test_in_time_rows_that_nothing_calibrates_are_not_scored():
    table, recipe = job(calibrate="marginal")
    ordered = replace(recipe, folds=make_folds(ROWS - TRAIN, times=np.arange(ROWS - TRAIN)))
    bench = Bench(table, ordered)
    fit = bench.begin("lightgbm", {"num_leaves": 6})
    fit.advance(5)
    assert bench.quantiles(fit).shape == (64, 3)  # of 80 rows the first 16 calibrate only
    assert bench.score(fit).metrics["valid_pinball_loss_avg"] > 0


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_folds_advance_together_and_each_is_scored_on_its_own_rows(model):
    table, recipe = job()
    edges = [(0, 100), (100, 200), (200, ROWS)]
    fits = tuple(FoldRows(tuple(other for other in edges if other != own), own) for own in edges)
    folded = replace(recipe, fits=fits, folds=Folds(np.repeat([0, 1, 2], 100)))
    (*_, last) = told(spec(model, (4, 9)), Bench(table, folded))
    assert last.final
    parts = by_fold(last.files, 3)
    assert all(len(part) == len(parts[0]) > 0 for part in parts)
    frame = Frame(table.select(["f0", "f1", "f2", "f3"]), recipe.categorical)
    q = [
        get_model(model).load(files, LEVELS)(frame.slice(*own))
        for files, own in zip(parts, edges, strict=True)
    ]
    y = table["target"].to_numpy()
    expected = pinball_loss_avg(y, np.sort(np.concatenate(q), axis=1), LEVELS)
    assert last.rung.score == pytest.approx(expected, abs=1e-9)
    alone = replace(recipe, fits=fits[1:2], folds=make_folds(100))
    (*_, single) = told(spec(model, (4, 9)), Bench(table, alone))
    assert by_fold(single.files, 1) == [parts[1]]
