"""A trial is a plain function: parameters in, scores at the rungs out, whatever happens."""

from __future__ import annotations

import pickle
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from contracts import make_frame

from raysearch.bench import Bench
from raysearch.calibration import Folds, cross_calibrated, make_folds
from raysearch.data import Transform
from raysearch.metrics import pinball_loss_avg
from raysearch.models import MODEL_NAMES, FitSettings, Frame, by_fold, get_model, load_located
from raysearch.objectives import parse_objectives
from raysearch.recipe import Recipe
from raysearch.records import FoldRows
from raysearch.reports import reports, unpack
from raysearch.scoring import TrialError
from raysearch.trial import TrialSpec, run_trial, rungs_for

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
    boosters, raw = unpack(last.files)
    q = np.sort(get_model(model).load(boosters, LEVELS)(rows), axis=1)
    np.testing.assert_allclose(np.sort(raw, axis=1), q, rtol=1e-5)
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
    raw = fit.predict_watched()
    np.testing.assert_allclose(bench.scorer.quantiles(raw), np.sort(own, axis=1))
    score = bench.scorer.score(raw, 12).score
    assert score == pytest.approx(pinball_loss_avg(y, np.sort(own, axis=1), LEVELS))
    assert score < np.abs(y - np.median(y)).mean() / 2


def test_crossing_quantiles_are_scored_in_order():
    bench = Bench(*job())
    ordered = np.sort(np.random.default_rng(0).normal(size=(ROWS - TRAIN, 3)), axis=1)
    expected = pinball_loss_avg(bench.scorer.y, ordered, LEVELS)
    assert bench.scorer.score(ordered[:, ::-1], 1).score == pytest.approx(expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_not_finite_is_a_failure_with_its_reason(monkeypatch, bad):
    bench = Bench(*job())
    monkeypatch.setattr(bench.scorer, "quantiles", lambda fit: np.full((ROWS - TRAIN, 3), bad))
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

    additive = False  # so that it is not ended before

    def __init__(self, rows):
        self.rounds, self._rows = 0, rows

    def advance(self, rounds):
        self.rounds = rounds

    def predict_watched(self):
        return np.zeros((self._rows, len(LEVELS)))

    def dump(self, rounds=None):
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
    monkeypatch.setattr(bench.scorer, "score", lambda *given: (_ for _ in ()).throw(MemoryError()))
    assert told(spec(), bench)[-1].failure == "MemoryError"


def test_an_interrupt_is_no_failure(monkeypatch):
    bench = Bench(*job())
    monkeypatch.setattr(bench.scorer, "score", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        told(spec(), bench)


def test_rows_are_binned_once_for_each_way_of_binning_and_few_are_kept(monkeypatch):
    bench = Bench(*job())
    model = get_model("lightgbm")
    binned = []
    original = type(model).bin
    monkeypatch.setattr(type(model), "bin", lambda *a: binned.append(a[3].get("max_bin")) or original(*a))
    for bins in (63, 63, 31, 63, 15, 7, 5, 63, 31, 5):
        bench.begin("lightgbm", {"max_bin": bins, "num_leaves": 4})
        assert len(bench._binned) <= 4
    assert binned == [63, 31, 15, 7, 5, 31]  # the least recently used goes first
    bench.begin("xgboost", {})
    assert len(bench._binned) == 4


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_a_warm_place_gives_the_scores_of_a_fresh_one(model):
    warm = Bench(*job())
    told(spec(model, fit_params={"learning_rate": 0.3}), warm)
    assert told(spec(model), warm)[-1] == told(spec(model), Bench(*job()))[-1]


def test_a_trial_is_scored_by_what_is_asked_for_and_always_tells_its_pinball_loss():
    table, recipe = job(calibrate="marginal")
    asked = parse_objectives("interval_80,pinball+coverage_gap")
    found = told(spec(), Bench(table, replace(recipe, objectives=asked)))[-1].rung
    plain = told(spec(), Bench(table, recipe))[-1].rung
    metrics, loss = found.metrics, plain.score
    assert metrics["valid_pinball_loss_avg"] == loss and plain.objectives == {"pinball": loss}
    gap = abs(metrics["valid_coverage_80"] - 0.8)
    assert metrics["valid_coverage_gap"] == pytest.approx(gap)
    assert found.score == metrics["valid_interval_score_80"]
    assert found.objectives == {
        "interval_80": found.score,
        "pinball+coverage_gap": pytest.approx(loss * (1 + gap)),
    }


def test_the_part_names_the_scores():
    table, recipe = job()
    names = told(spec(), Bench(table, replace(recipe, part="test")))[-1].rung.metrics
    assert all(name.startswith(("test_", "pinball/")) for name in names)


def test_watched_rows_may_lie_before_the_training_rows():
    table, recipe = job()
    swapped = replace(recipe, fits=(FoldRows(((80, ROWS),), (0, 80)),))
    assert len(Bench(table, swapped).scorer.y) == 80
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
    assert [stand.rung.step for stand, _ in found] == [10]
    assert len(looks) == 5


def test_a_trial_that_is_given_up_before_its_first_round_learns_no_location(monkeypatch):
    monkeypatch.setattr(Bench, "_location", lambda *words: pytest.fail("a location was learnt"))
    located = replace(spec(), fit_params={**spec().fit_params, "location": True})
    assert list(run_trial(located, Bench(*job()), lambda: True)) == []


def test_looking_in_between_changes_no_score():
    watched = run_trial(spec(), Bench(*job()), lambda: False)
    straight = run_trial(spec(), Bench(*job()))
    assert [stand.rung for stand, _ in watched] == [stand.rung for stand, _ in straight]


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_a_trial_is_scored_as_calibrated_by_other_rows(model):
    table, recipe = job(calibrate="marginal")
    bench = Bench(table, recipe)
    (last,) = told(spec(model, (3,)), bench)
    rows = Frame(table.select(["f0", "f1", "f2", "f3"]), recipe.categorical).slice(TRAIN, ROWS)
    raw = get_model(model).load(unpack(last.files)[0], LEVELS)(rows)
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
    raw = fit.predict_watched()
    assert bench.scorer.quantiles(raw).shape == (64, 3)  # of 80 rows the first 16 calibrate only
    assert bench.scorer.score(raw, 5).metrics["valid_pinball_loss_avg"] > 0


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_folds_advance_together_and_each_is_scored_on_its_own_rows(model):
    table, recipe = job()
    edges = [(0, 100), (100, 200), (200, ROWS)]
    fits = tuple(FoldRows(tuple(other for other in edges if other != own), own) for own in edges)
    folded = replace(recipe, fits=fits, folds=Folds(np.repeat([0, 1, 2], 100)))
    (*_, last) = told(spec(model, (4, 9)), Bench(table, folded))
    assert last.final
    parts = by_fold(unpack(last.files)[0], 3)
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
    assert by_fold(unpack(single.files)[0], 1) == [parts[1]]


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_a_trial_ends_where_more_rounds_do_not_help_with_the_best_of_them(model):
    greedy = {"lightgbm": {"num_leaves": 60, "min_data_in_leaf": 1}, "xgboost": {"max_depth": 8}}[model]
    one = spec(model, (400,), fit_params={**greedy, "learning_rate": 0.3})
    bench = Bench(*job())
    (last,) = told(one, bench)
    assert last.final
    assert 10 <= last.rung.step < 100, "noise is learnt soon"
    boosters, raw = unpack(last.files)
    fit = bench.begin(model, one.fit_params)
    fit.advance(last.rung.step)
    np.testing.assert_allclose(raw, fit.predict_watched(), rtol=1e-5, atol=1e-5)
    rows = Frame(bench._watched[0].features, bench.recipe.categorical)
    np.testing.assert_allclose(get_model(model).load(boosters, LEVELS)(rows), raw, rtol=1e-4, atol=1e-4)
    (whole,) = told(replace(one, default=True), bench)
    assert whole.rung.step == 400, "the library's defaults train as the library would"
    assert last.rung.score < whole.rung.score


def test_the_median_trains_on_though_its_own_loss_is_what_stops_it():
    """LightGBM's own early stopping at alpha 0.5 ends at the first round."""
    table, recipe = job()
    median = replace(recipe, settings=FitSettings((0.5,)))
    (last,) = told(spec("lightgbm", (60,)), Bench(table, median))
    assert last.rung.step > 10
    raw = unpack(last.files)[1]
    assert len(np.unique(raw)) > 20


@pytest.mark.parametrize("model", MODEL_NAMES)
@pytest.mark.parametrize("level", [0.1, 0.95])
def test_more_rounds_are_judged_by_the_loss_at_the_levels_own_alpha(model, level):
    table, recipe = job()
    bench = Bench(table, replace(recipe, settings=FitSettings((level,))))
    greedy = {"lightgbm": {"num_leaves": 30, "min_data_in_leaf": 2}, "xgboost": {"max_depth": 5}}[model]
    (last,) = told(spec(model, (300,), fit_params={**greedy, "learning_rate": 0.1}), bench)
    fit = bench.begin(model, {**greedy, "learning_rate": 0.1})
    looks, losses = [], {alpha: [] for alpha in (level, 1.0 - level, 0.5)}
    while fit.rounds < 300:
        fit.advance(min(300, fit.rounds + max(10, fit.rounds // 10)))
        looks.append(fit.rounds)
        for alpha, found in losses.items():
            found.append(pinball_loss_avg(bench.scorer.y, fit.predict_watched(), (alpha,)))
    best = {alpha: looks[int(np.argmin(found))] for alpha, found in losses.items()}
    assert last.rung.step == best[level]
    assert best[level] not in (best[1.0 - level], best[0.5]), "another alpha would end elsewhere"


def test_boosters_whose_later_trees_change_the_earlier_train_all_their_rounds():
    dart = {"boosting": "dart", "learning_rate": 0.3, "num_leaves": 60, "min_data_in_leaf": 1}
    (last,) = told(spec("lightgbm", (120,), fit_params=dart), Bench(*job()))
    assert last.rung.step == 120


@pytest.mark.parametrize("model", MODEL_NAMES)
@pytest.mark.parametrize("location", [False, True])
def test_with_seen_only_nothing_is_learnt_from_features_that_are_new_later(model, location):
    table, recipe = job()
    bench = Bench(table, replace(recipe, unseen=(0, 2)))
    rungs = (6,)

    def watched(frame, **params):
        one = spec(model, rungs, **params)
        files = unpack(told(one, bench)[-1].files)[0]
        return load_located(get_model(model), files, LEVELS)(frame)

    plain = spec(model).fit_params
    frame = bench._watched[0]
    seen = {"fit_params": {**plain, "location": location, "seen_only": True}}
    blank = frame.without((0, 2))
    assert all(blank.features.column(i).null_count == frame.rows for i in (0, 2))
    np.testing.assert_array_equal(watched(frame, **seen), watched(blank, **seen))
    every = {"fit_params": {**plain, "location": location}}
    assert not np.array_equal(watched(frame, **every), watched(blank, **every))
    assert told(spec(model, rungs, **seen), Bench(table, recipe))[-1].rung == (
        told(spec(model, rungs, **every), Bench(table, recipe))[-1].rung
    ), "where no feature is new it changes nothing"


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_a_trial_out_of_time_ends_with_what_served_best(model):
    bench = Bench(*job())
    slow = {**spec(model).fit_params, "learning_rate": 0.01}
    (report,) = told(spec(model, (300,), fit_params=slow, left_s=0.0), bench)
    assert report.final and report.cut and report.rung.step == 10 and report.files
    (whole,) = told(spec(model, (10,), fit_params=slow), bench)
    assert not whole.cut and report.rung == whole.rung and report.files.keys() == whole.files.keys()
    assert told(spec(model, (12,), default=True, left_s=0.0), bench)[-1].rung.step == 12
    (at_its_end,) = told(spec(model, (8,), fit_params=slow, left_s=0.0), bench)
    assert at_its_end.final and not at_its_end.cut
    begun = time.monotonic() - 100.0
    (report,) = reports(spec(model, (300,), fit_params=slow, left_s=100.0), bench, since_s=begun)
    assert report.cut, "the time that a worker has taken to start is gone"


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_quantiles_around_a_location_are_learnt_once_for_all_trials(model, monkeypatch):
    bench = Bench(*job())
    calls = []
    original = type(get_model(model)).fit_mean
    monkeypatch.setattr(
        type(get_model(model)), "fit_mean", lambda *a, **k: calls.append(1) or original(*a, **k)
    )
    slow = {**spec(model).fit_params, "learning_rate": 0.03}
    params = {**slow, "location": True}
    first, second = (told(spec(model, (20,), fit_params=params), bench)[-1] for _ in range(2))
    assert len(calls) == 5  # one a stretch, and another size of trees for the first
    assert first == second
    plain = told(spec(model, (20,), fit_params=slow), bench)[-1]
    assert first.rung.score < plain.rung.score, "twenty rounds of pinball loss alone are not there yet"


def test_with_a_single_split_calibration_and_scoring_rows_swap():
    """No row is scored by offsets that it has helped to find: its own truth does not move its quantiles."""
    rows = ROWS - TRAIN
    table, recipe = job(calibrate="marginal")
    bench = Bench(table, recipe)
    fit = bench.begin("lightgbm", {"num_leaves": 6})
    fit.advance(3)
    before = bench.scorer.quantiles(fit.predict_watched())
    assert before.shape == (rows, 3), "every row is scored, whether it calibrates others or not"
    for fold in range(5):
        own = recipe.folds.of_row == fold
        bench = Bench(_with_target(table, TRAIN + np.flatnonzero(own), 1e6), recipe)
        fit = bench.begin("lightgbm", {"num_leaves": 6})
        fit.advance(3)
        after = bench.scorer.quantiles(fit.predict_watched())
        np.testing.assert_array_equal(after[own], before[own])
        assert (after[~own] > before[~own]).any(), "the others are calibrated by it"


def test_with_folds_every_row_is_scored_by_a_model_and_a_calibration_that_never_saw_it():
    table, recipe = job(calibrate="marginal")
    edges = [(0, 100), (100, 200), (200, ROWS)]
    fits = tuple(FoldRows(tuple(other for other in edges if other != own), own) for own in edges)
    folded = replace(recipe, fits=fits, folds=Folds(np.repeat([0, 1, 2], 100)))

    def raw(table):
        fit = Bench(table, folded).begin("lightgbm", {"num_leaves": 6})
        fit.advance(3)
        return fit.predict_watched()

    before, y = raw(table), table["target"].to_numpy()
    calibrated = cross_calibrated("marginal", y, before, LEVELS, folded.folds)
    for start, stop in edges:
        changed = _with_target(table, np.arange(start, stop), 1e6)
        after = raw(changed)
        np.testing.assert_array_equal(after[start:stop], before[start:stop])
        assert (np.delete(after, np.s_[start:stop], 0) != np.delete(before, np.s_[start:stop], 0)).any()
        offset = cross_calibrated("marginal", changed["target"].to_numpy(), before, LEVELS, folded.folds)
        np.testing.assert_array_equal(offset[start:stop], calibrated[start:stop])
        assert (np.delete(offset, np.s_[start:stop], 0) > np.delete(calibrated, np.s_[start:stop], 0)).any()


def test_in_time_only_rows_before_the_scored_ones_calibrate_them():
    rows = ROWS - TRAIN
    table, recipe = job(calibrate="marginal")
    ordered = replace(recipe, folds=make_folds(rows, times=np.arange(rows)))

    def quantiles(table):
        bench = Bench(table, ordered)
        fit = bench.begin("lightgbm", {"num_leaves": 6})
        fit.advance(3)
        return bench.scorer.quantiles(fit.predict_watched())

    before, first = quantiles(table), int(ordered.folds.told[0])
    for changed in (first, 40, 60):  # the target of this row and of all that come later
        after = quantiles(_with_target(table, np.arange(TRAIN + changed, ROWS), 1e6))
        np.testing.assert_array_equal(after[: changed - first + 1], before[: changed - first + 1])
    assert (quantiles(_with_target(table, np.arange(TRAIN, TRAIN + first), 1e6)) > before).any()


def _with_target(table, rows, value):
    y = table["target"].to_numpy().copy()
    y[rows] = value
    return table.set_column(table.column_names.index("target"), "target", pa.array(y))


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_folds_are_the_same_at_every_rung_and_in_every_trial(model):
    """Each training keeps the rows that it began with; what is scored at a rung is what was at the first."""
    table, recipe = job()
    fits = (
        FoldRows(((100, ROWS),), (0, 100)),
        FoldRows(((0, 100), (200, ROWS)), (100, 200)),
        FoldRows(((0, 200),), (200, ROWS)),
    )
    bench = Bench(table, replace(recipe, fits=fits, folds=Folds(np.repeat([0, 1, 2], 100))))
    frame = Frame(table.select(["f0", "f1", "f2", "f3"]), recipe.categorical)
    for parameters in ({}, {"max_depth": 2}):
        trial = replace(spec(model), fit_params={**spec(model).fit_params, **parameters})
        for stand, fit in run_trial(trial, bench):
            files = by_fold(fit.dump(), 3)
            anew = [get_model(model).load(files[i], LEVELS)(frame.slice(*fits[i].watch)) for i in range(3)]
            np.testing.assert_allclose(fit.predict_watched(), np.concatenate(anew), atol=1e-5)
            assert fit.rounds == stand.rung.step and len(bench.scorer.quantiles(stand.raw)) == ROWS
    with pytest.raises(AttributeError):
        bench.recipe.fits = fits[:1]
