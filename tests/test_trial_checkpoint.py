"""A trial goes on from what it saved at a rung as if nothing had been, on another worker."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from contracts import make_frame

from raysearch.bench import Bench
from raysearch.calibration import Folds, make_folds
from raysearch.checkpoint import Checkpoint
from raysearch.data import Transform
from raysearch.models import MODEL_NAMES, FitSettings, get_model
from raysearch.recipe import Recipe
from raysearch.records import FoldRows
from raysearch.reports import reports, unpack
from raysearch.trial import TrialSpec

LEVELS = (0.1, 0.5, 0.9)
EDGES = ((0, 200), (200, 400), (400, 600))
# Without chance: rows and columns are drawn anew where it goes on.
PARAMS = {"lightgbm": {"num_leaves": 12, "learning_rate": 0.1}, "xgboost": {"max_depth": 4}}


def job(folds=3, **more):
    frame, y = make_frame(600)
    table = frame.features.append_column("target", pa.array(y))
    settings = more.pop("settings", FitSettings(LEVELS))
    if folds == 1:
        fits = (FoldRows(((0, 400),), (400, 600)),)
        return table, Recipe(frame.categorical, fits, Transform(), settings, make_folds(200), **more)
    fits = tuple(FoldRows(tuple(other for other in EDGES if other != own), own) for own in EDGES)
    rows = Folds(np.repeat([0, 1, 2], 200))
    recipe = Recipe(frame.categorical, fits, Transform(), settings, rows, first=make_folds(200))
    return table, replace(recipe, **more)


def spec(model, rungs=(20, 40, 80), **more):
    return TrialSpec(
        **{"number": 0, "key": "k", "model": model, "fit_params": PARAMS[model], "rungs": rungs}
        | {"checkpoint_after_s": 0.0, **more}
    )


def gone_on(asked, table_and_recipe, at=0):
    """Return what an undisturbed trial reports, and what one does that goes on from its report ``at``."""
    straight = list(reports(asked, Bench(*table_and_recipe)))
    assert straight[at].saved
    again = list(reports(replace(asked, begun=straight[at].saved), Bench(*table_and_recipe)))
    return straight, again


def check_same(straight, again, at):
    assert [report.rung.step for report in again] == [report.rung.step for report in straight[at + 1 :]]
    for one, other in zip(straight[at + 1 :], again, strict=True):
        assert not other.failure
        assert other.rung.score == pytest.approx(one.rung.score, rel=1e-9)
        assert other.rung.seconds > straight[at].rung.seconds  # what it took before counts
    assert not again[-1].saved  # it has ended
    assert again[-1].files.keys() == straight[-1].files.keys()
    np.testing.assert_allclose(
        unpack(again[-1].files)[1], unpack(straight[-1].files)[1], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("folds", [1, 3])
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_it_ends_as_it_would_have(model, folds, at):
    straight, again = gone_on(spec(model), job(folds), at)
    assert len(straight) == 3
    check_same(straight, again, at)


@pytest.mark.slow
@pytest.mark.parametrize("location", [False, True, "linear"])
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_the_first_fold_is_not_trained_again(model, location, monkeypatch):
    asked = spec(model, (150,), first_fold=True, fit_params={**PARAMS[model], "location": location})
    straight, again = gone_on(asked, job())
    assert straight[0].rung.folds == 1
    assert len(straight) == 2
    assert Checkpoint.unpack(straight[0].saved).first
    check_same(straight, again, 0)


@pytest.mark.slow
@pytest.mark.parametrize("location", [True, "linear"])
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_what_lies_around_a_location_too(model, location):
    asked = spec(model, (12, 24), fit_params={**PARAMS[model], "location": location})
    straight, again = gone_on(asked, job())
    check_same(straight, again, 0)


def test_the_best_of_earlier_looks_stays_the_best():
    # So quick that the best rounds lie before the rung: what goes on must end with those.
    quick = {"num_leaves": 31, "learning_rate": 0.5, "min_data_in_leaf": 2}
    straight, again = gone_on(spec("lightgbm", (20, 400), fit_params=quick), job())
    assert straight[-1].rung.step < 20
    check_same(straight, again, 0)


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_monotone_quantiles_and_weights_too(model):
    table, recipe = job(settings=FitSettings(LEVELS, monotone=(1, 0, 0, 0)))
    table = table.append_column("weight", pa.array(np.linspace(0.5, 1.5, 600)))
    straight, again = gone_on(spec(model), (table, recipe))
    check_same(straight, again, 0)


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_boosters_in_turns_skip_the_rungs_that_were_reached(model):
    straight, again = gone_on(spec(model), job(in_turns=True, first=None), 1)
    assert not Checkpoint.unpack(straight[1].saved).boosters
    check_same(straight, again, 1)


def test_a_worker_s_binned_rows_are_as_before_for_the_next_trial():
    table, recipe = job()
    bench, asked = Bench(table, recipe), spec("lightgbm")
    straight = list(reports(asked, bench))
    list(reports(replace(asked, begun=straight[0].saved), bench))
    assert list(reports(asked, bench))[-1].rung.score == straight[-1].rung.score


def test_trees_that_change_earlier_ones_are_not_saved():
    found = list(reports(spec("lightgbm", fit_params={"boosting": "dart"}), Bench(*job())))
    assert not any(report.saved for report in found)
    assert not found[-1].failure


@pytest.mark.parametrize(("after_s", "saved"), [(0.0, True), (3600.0, False), (math.inf, False)])
def test_only_what_took_long_enough_is_saved(after_s, saved):
    found = list(reports(spec("xgboost", checkpoint_after_s=after_s), Bench(*job())))
    assert [bool(report.saved) for report in found] == [saved, saved, False]


@pytest.mark.slow
@pytest.mark.parametrize("first_fold", [True, False])
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_where_memory_is_short_by_then_it_begins_anew(model, first_fold):
    asked = spec(model, (150,) if first_fold else (20, 40, 80), first_fold=first_fold)
    begun = next(reports(asked, Bench(*job()))).saved
    assert Checkpoint.unpack(begun).boosters
    lean = job(in_turns=True, first=None)
    again = list(reports(replace(asked, begun=begun), Bench(*lean)))
    straight = list(reports(asked, Bench(*lean)))
    assert again[-1].final
    assert not again[-1].failure
    assert again[-1].rung.score == pytest.approx(straight[-1].rung.score, rel=1e-9)


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_what_cannot_be_gone_on_with_begins_anew(model, monkeypatch):
    asked = spec(model)
    straight = list(reports(asked, Bench(*job())))
    damaged = list(reports(replace(asked, begun=b"no archive"), Bench(*job())))
    assert [report.rung.step for report in damaged] == [report.rung.step for report in straight]
    assert damaged[-1].rung.score == straight[-1].rung.score

    def refused(*words):
        raise ValueError("of another version")

    monkeypatch.setattr(type(get_model(model)), "restore", refused)
    again = list(reports(replace(asked, begun=straight[0].saved), Bench(*job())))
    assert again[-1].rung.score == pytest.approx(straight[-1].rung.score, rel=1e-9)


def test_a_checkpoint_is_read_as_it_was_written():
    raw = np.arange(6.0).reshape(3, 2)
    made = Checkpoint(40, False, 1.5, {"00.level_000.txt": b"tree"}, 30, raw)
    read = Checkpoint.unpack(made.pack())
    assert (read.rounds, read.first, read.seconds, read.best) == (40, False, 1.5, 30)
    assert read.boosters == made.boosters
    np.testing.assert_array_equal(read.raw, raw)
