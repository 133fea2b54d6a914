"""The first fold alone is a stage with a score of its own; what follows is as it would be without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from contracts import make_frame

from raysearch.bench import Bench
from raysearch.calibration import Folds, make_folds
from raysearch.data import Transform
from raysearch.metrics import pinball_loss_avg
from raysearch.models import MODEL_NAMES, FitInTurns, FitSettings, Frame, by_fold, get_model
from raysearch.node_share import NodeShare, end_share
from raysearch.recipe import Recipe
from raysearch.records import FoldRows, Rung
from raysearch.reports import reports, unpack
from raysearch.trial import TrialSpec, run_trial

LEVELS = (0.1, 0.5, 0.9)
EDGES = ((0, 200), (200, 400), (400, 600))
QUICK = {"lightgbm": {"num_leaves": 20, "learning_rate": 0.3}, "xgboost": {"max_depth": 5}}


def job(calibrate="marginal", **more):
    frame, y = make_frame(600)
    fits = tuple(FoldRows(tuple(other for other in EDGES if other != own), own) for own in EDGES)
    folds, settings = Folds(np.repeat([0, 1, 2], 200)), FitSettings(LEVELS)
    recipe = Recipe(frame.categorical, fits, Transform(), settings, folds, calibrate, first=make_folds(200))
    return frame.features.append_column("target", pa.array(y)), replace(recipe, **more)


def spec(model="lightgbm", rounds=150, **more):
    return TrialSpec(0, "k", model, QUICK[model], (rounds,), **{"first_fold": True, **more})


def told(spec, bench, **more):
    return list(reports(spec, bench, **more))


@pytest.mark.parametrize("location", [False, True])
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_what_follows_the_first_fold_is_what_would_have_come_without_it(model, location):
    params = {**QUICK[model], "location": location}
    staged = told(replace(spec(model), fit_params=params), Bench(*job()))
    (straight,) = told(replace(spec(model), fit_params=params, first_fold=False), Bench(*job()))
    first, last = staged
    assert (first.final, last.final) == (False, True)
    assert (first.rung.folds, last.rung.folds) == (1, 0)
    assert first.rung.stage == 0 < last.rung.stage == last.rung.step
    assert last.rung.step == straight.rung.step < 150  # it stalled, with the rounds that served best
    assert last.rung.score == pytest.approx(straight.rung.score, abs=1e-12)
    assert {k: v for k, v in last.files.items() if k != "watched.npy"} == {
        k: v for k, v in straight.files.items() if k != "watched.npy"
    }
    np.testing.assert_array_equal(unpack(last.files)[1], unpack(straight.files)[1])
    assert first.files is None


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_its_score_is_that_of_a_study_of_this_fold_alone(model):
    table, recipe = job()
    alone = replace(recipe, fits=recipe.fits[:1], folds=make_folds(200), first=None)
    (single,) = told(replace(spec(model), first_fold=False), Bench(table, alone))
    first = told(spec(model), Bench(table, recipe))[0]
    assert first.rung.step == single.rung.step
    if model == "lightgbm":  # XGBoost's folds draw their chances otherwise where there are several
        assert first.rung.score == pytest.approx(single.rung.score, abs=1e-12)
        assert first.rung.metrics == pytest.approx(single.rung.metrics)


def test_its_score_by_hand():
    table, recipe = job(calibrate="none")
    (first, *_) = told(spec(rounds=10), Bench(table, recipe))
    whole = told(spec(rounds=10), Bench(table, recipe))[-1]
    files = by_fold(unpack(whole.files)[0], 3)[0]
    rows = Frame(table.drop_columns("target"), recipe.categorical).slice(*EDGES[0])
    q = np.sort(get_model("lightgbm").load(files, LEVELS)(rows), axis=1)
    expected = pinball_loss_avg(table["target"].to_numpy()[:200], q, LEVELS)
    assert first.rung.score == pytest.approx(expected, abs=1e-12)


def test_a_trial_that_is_stopped_there_has_trained_no_other_fold(monkeypatch):
    bench, begun = Bench(*job()), []
    original = Bench.begin_fold
    monkeypatch.setattr(
        Bench, "begin_fold", lambda self, i, *words: begun.append(i) or original(self, i, *words)
    )
    stands = run_trial(spec(), bench)
    stand, _ = next(stands)
    assert stand.rung.folds == 1
    assert begun == [0]
    next(stands)
    assert begun == [0, 1, 2]


def test_boosters_that_have_no_best_rounds_have_no_such_stage():
    dart = replace(spec(rounds=10), fit_params={**QUICK["lightgbm"], "boosting": "dart"})
    (only,) = told(dart, Bench(*job()))
    assert only.final and not only.rung.folds
    (in_turns,) = told(spec(rounds=10), Bench(*job(in_turns=True)))
    assert in_turns.final and not in_turns.rung.folds


def test_without_a_first_stage_in_the_recipe_there_is_none():
    (only,) = told(spec(rounds=10), Bench(*job(first=None)))
    assert only.final and not only.rung.folds


def test_a_trial_that_is_given_up_in_its_first_fold_tells_nothing_more():
    looks = []
    assert told(spec(), Bench(*job()), given_up=lambda: looks.append(1) or len(looks) > 3) == []
    looks = []
    found = told(spec(), Bench(*job()), given_up=lambda: looks.append(1) or len(looks) > 20)
    assert len(found) <= 1


def test_where_time_is_short_the_first_fold_leaves_some_for_the_others_and_tells_nothing(monkeypatch):
    """Ten rounds of a fold take a second: of thirty the first one takes a third."""
    clock = [0.0]
    monkeypatch.setattr("raysearch.trial.time.monotonic", lambda: clock[0])
    original = Bench.begin_fold

    def slow(self, *words):
        fit = original(self, *words)
        advance = fit.advance

        def advanced(rounds):
            clock[0] += 0.1 * max(0, rounds - fit.rounds)
            advance(rounds)

        fit.advance = advanced
        return fit

    monkeypatch.setattr(Bench, "begin_fold", slow)
    weak = replace(spec(rounds=400), fit_params={"num_leaves": 3, "learning_rate": 0.01}, left_s=30.0)
    (last,) = told(weak, Bench(*job()))  # others' first folds have ended: its own does not compare
    assert (last.cut, last.final, last.rung.folds) == (True, True, 0)
    assert 40 <= last.rung.step <= 100
    assert clock[0] <= 31.0


def test_stages_sort_before_rungs():
    assert Rung(40, 1.0, {}, folds=1).stage == 0
    assert Rung(40, 1.0, {}).stage == 40


def test_bins_that_were_evicted_are_not_taken_for_others(monkeypatch, tmp_path):
    """Two workers with room for one way of binning, which trials ask for in turns."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def score(bench, location):
        params = {**QUICK["lightgbm"], "location": location}
        return told(replace(spec(rounds=20), fit_params=params), bench)[-1].rung.score

    one, other = (Bench(*job(kept=1), NodeShare("evicted")) for _ in range(2))
    for location in (True, "linear", True, "linear"):
        score(one, location)
    alone = {location: score(Bench(*job()), location) for location in (True, "linear")}
    assert {location: score(other, location) for location in alone} == pytest.approx(alone, abs=1e-12)
    end_share("evicted")


def test_in_turns_a_trial_is_trained_once_a_rung_however_often_it_may_be_given_up(monkeypatch):
    begun = []
    bench = Bench(*job(in_turns=True))
    original = FitInTurns.advance
    monkeypatch.setattr(
        FitInTurns, "advance", lambda self, rounds: begun.append(rounds) or original(self, rounds)
    )
    found = told(replace(spec(), rungs=(10, 20, 40)), bench, given_up=lambda: False)
    assert [report.rung.step for report in found] == [10, 20, 40]
    assert begun == [10] * 3 + [20] * 3 + [40] * 3
    assert told(spec(), Bench(*job(in_turns=True)), given_up=lambda: True) == []
