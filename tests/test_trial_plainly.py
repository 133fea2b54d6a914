"""Correctness before speed: with everything on, a trial has the score of its parameters computed plainly."""

from __future__ import annotations

import math
from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pytest
import xgboost as xgb
from contracts import make_frame

from raysearch.bench import Bench
from raysearch.calibration import Folds, make_folds
from raysearch.data import Transform
from raysearch.models import MODEL_NAMES, FitSettings, Frame, get_model, join, locate
from raysearch.node_share import NodeShare, end_share
from raysearch.recipe import Recipe
from raysearch.records import FoldRows
from raysearch.reports import reports
from raysearch.trial import TrialSpec

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
ROWS, EDGES = 900, ((0, 300), (300, 600), (600, 900))
PARAMS = {
    "lightgbm": {
        "num_leaves": 9,
        "learning_rate": 0.15,
        "feature_fraction": 0.8,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "max_bin": 63,
    },
    "xgboost": {
        "max_depth": 4,
        "learning_rate": 0.2,
        "subsample": 0.7,
        "colsample_bytree": 0.8,
        "max_bin": 64,
    },
}


@pytest.fixture
def job():
    """Return a table of odd rows (gaps, a category, weights), and a recipe of three folds."""
    frame, y = make_frame(ROWS)
    weights = np.linspace(0.5, 1.5, ROWS)
    table = frame.features.append_column("target", pa.array(np.exp(y / 4)))
    table = table.append_column("weight", pa.array(weights))
    fits = tuple(FoldRows(tuple(other for other in EDGES if other != own), own) for own in EDGES)
    folds = Folds(np.repeat([0, 1, 2], 300), weights=weights)
    settings = FitSettings(LEVELS, seed=3)
    return table, Recipe(frame.categorical, fits, Transform("log"), settings, folds, "marginal")


def lightgbm_quantiles(x, z, weights, new, rounds):
    """Return LightGBM's quantiles of new rows as its documentation trains them: a model a level."""
    said = []
    for level in LEVELS:
        own = {"objective": "quantile", "alpha": level, "seed": 3, "verbosity": -1, "num_threads": 1}
        own |= {"deterministic": True, "force_row_wise": True, "feature_pre_filter": False}
        rows = lgb.Dataset(x, z, weight=weights, categorical_feature=[3])
        said.append(lgb.train({**own, **PARAMS["lightgbm"]}, rows, rounds).predict(new))
    return np.column_stack(said)


def xgboost_quantiles(x, z, weights, new, rounds):
    """Return XGBoost's quantiles of new rows as its documentation trains them: one model of all levels."""
    kinds = {"feature_types": ["q", "q", "q", "c", "q"][: x.shape[1]], "enable_categorical": True}
    rows = xgb.QuantileDMatrix(x, z, weight=weights, max_bin=64, **kinds)
    own = {
        "objective": "reg:quantileerror",
        "quantile_alpha": np.array(LEVELS),
        "seed": 3,
        "nthread": 1,
        "seed_per_iteration": True,
    }
    booster = xgb.train({**own, "tree_method": "hist", **PARAMS["xgboost"]}, rows, rounds)
    return booster.predict(xgb.DMatrix(new, **kinds))


def offset(residuals, weights, level):
    """Return the conformal offset of an upper level: the least residual that enough rows lie at or below."""
    order = np.argsort(residuals)
    needed, reached = level * (weights.sum() + 1), 0.0
    for i in order:
        reached += weights[i]
        if reached >= needed - 1e-9:
            return residuals[i]
    return math.inf


def locations(table, recipe, model):
    """Return, by fold, where the rows lie that are learnt from, and those that are scored."""
    names = [name for name in table.column_names if name.startswith("f")]
    frame, z = Frame(table.select(names), recipe.categorical), np.log(table["target"].to_numpy())
    weights, found = table["weight"].to_numpy(), []
    for fold in recipe.fits:
        rows = join([frame.slice(*part) for part in fold.train])
        own = [np.concatenate([one[slice(*part)] for part in fold.train]) for one in (z, weights)]
        watched, like = frame.slice(*fold.watch), found[0] if found else None
        found.append(locate(get_model(model), rows, own[0], watched, recipe.settings, own[1], like))
    return [(one.learnt, one.watched) for one in found]


def plainly(table, model, rounds, located):
    """Return the score of quantiles that are put in order and calibrated by the other folds' rows.

    Where rows are located first, what is left is learnt, with the location as one more feature.
    """
    x = np.column_stack([table[f"f{i}"].to_numpy() for i in range(4)])
    y, weights = table["target"].to_numpy(), table["weight"].to_numpy()
    z = np.log(y)
    said = np.empty((ROWS, len(LEVELS)))
    for (start, stop), location in zip(EDGES, located or [None] * 3, strict=True):
        known = np.ones(ROWS, bool)
        known[start:stop] = False
        quantiles = {"lightgbm": lightgbm_quantiles, "xgboost": xgboost_quantiles}[model]
        old, new, left, back = x[known], x[start:stop], z[known], 0.0
        if location is not None:
            learnt, watched = location
            old, new = np.column_stack([old, learnt]), np.column_stack([new, watched])
            left, back = left - learnt, watched[:, None]
        said[start:stop] = quantiles(old, left, weights[known], new, rounds) + back
    said.sort(axis=1)
    told = np.empty_like(said)
    for start, stop in EDGES:
        other = np.ones(ROWS, bool)
        other[start:stop] = False
        for i, level in enumerate(LEVELS):
            residuals, counts = (z - said[:, i])[other], weights[other]
            up, down = offset(residuals, counts, level), -offset(-residuals, counts, 1 - level)
            shift = (up + down) / 2 if level == 0.5 else up if level > 0.5 else down
            told[start:stop, i] = said[start:stop, i] + shift
    told = np.exp(np.sort(told, axis=1))
    error = y[:, None] - told
    losses = np.maximum(np.array(LEVELS) * error, (np.array(LEVELS) - 1) * error)
    return float(np.average(losses.mean(axis=1), weights=weights))


@pytest.mark.parametrize("location", [False, True])
@pytest.mark.parametrize("way", ["together", "in turns", "first fold first"])
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_the_score_is_that_of_a_plain_computation(job, model, way, location, monkeypatch, tmp_path):
    """Warm from other trials, binned by another worker of the node, rung by rung, ended where it stalls."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    table, recipe = job
    ahead = replace(make_folds(300), weights=table["weight"].to_numpy()[:300])
    first = ahead if way == "first fold first" else None
    recipe = replace(recipe, in_turns=way == "in turns", first=first)
    located = locations(table, recipe, model) if location else None
    other, bench = (Bench(table, recipe, NodeShare("plainly")) for _ in range(2))
    params = {**PARAMS[model], "location": location}
    spec = TrialSpec(0, "k", model, params, (10, 20, 40), first_fold=first is not None)
    list(reports(spec, other))
    list(reports(replace(spec, fit_params={**params, "max_bin": 31}), bench))
    found = list(reports(spec, bench))
    end_share("plainly")
    assert not any(report.failure for report in found)
    assert any(report.rung.folds for report in found) is (first is not None)
    told = {report.rung.step: report.rung.score for report in found if not report.rung.folds}
    assert told == pytest.approx({step: plainly(table, model, step, located) for step in told}, abs=1e-6)
