"""Suggestions lie inside the space, and its first points are the libraries' own defaults."""

from __future__ import annotations

import json
import math
import warnings

import lightgbm as lgb
import numpy as np
import optuna
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from raysearch.models import LOCATION, MODEL_NAMES, TUNABLE
from raysearch.space import Parameter, SearchSpace, load_space, parse_space

optuna.logging.set_verbosity(optuna.logging.ERROR)
SHIPPED = [("lightgbm", None), ("xgboost", None), ("lightgbm", "wide"), ("xgboost", "wide"), ("both", None),
           ("both", "wide")]  # fmt: skip


def sample(space, seed=0):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna's warnings would be told in every trial
        return space.suggest(trial), trial


def inside(space, params):
    """Check sampled parameters against the space, by its own words."""
    (only,) = [s for s in space.spaces if not space.joined or s.model == params["model"]]
    prefix = f"{only.model}." if space.joined else ""
    present = {name.removeprefix(prefix): value for name, value in params.items() if name != "model"}
    for parameter in only.parameters:
        expected = all(present.get(other) in allowed for other, allowed in parameter.when.items())
        assert (parameter.name in present) == expected
        if not expected:
            continue
        value = present.pop(parameter.name) if not _steers(only, parameter) else present[parameter.name]
        if parameter.kind == "choice":
            assert value in parameter.choices
        else:
            assert parameter.low - 1e-9 <= value <= parameter.high + 1e-9
            assert isinstance(value, int if parameter.kind == "int" else float)
            if parameter.step:
                steps = (value - parameter.low) / parameter.step
                assert steps == pytest.approx(round(steps), abs=1e-6)
    assert set(present) <= {p.name for p in only.parameters if _steers(only, p)}


def _steers(space, parameter):
    return any(parameter.name in other.when for other in space.parameters)


@st.composite
def ranges(draw):
    whole, log = draw(st.booleans()), draw(st.booleans())
    # As people write them: Optuna itself stumbles over steps such as 1 / 3 in full length.
    numbers = st.integers(1, 200) if whole else st.floats(1e-3, 1e3).map(lambda n: round(n, 3))
    low, high = sorted((draw(numbers), draw(numbers)))
    entry = {"type": "int" if whole else "float", "low": low, "high": high}
    if log:
        return {**entry, "log": True}
    if draw(st.booleans()):
        entry["step"] = draw(st.integers(1, 50) if whole else st.floats(1e-2, 100).map(lambda n: round(n, 3)))
    return entry


@st.composite
def generated(draw):
    whole = ["num_leaves", "max_depth", "min_data_in_leaf"]
    broken = ["lambda_l1", "lambda_l2", "path_smooth", "learning_rate"]
    parameters = {"boosting": {"choices": draw(st.permutations(["gbdt", "dart", "rf"]))}}
    for name in draw(st.sets(st.sampled_from(whole + broken), min_size=1)):
        entry = draw(ranges().filter(lambda e, name=name: name in broken or e["type"] == "int"))
        if draw(st.booleans()):
            entry["when"] = {"boosting": draw(st.sampled_from(["dart", ["gbdt", "rf"]]))}
        parameters[name] = entry
    return SearchSpace((parse_space({"model": "lightgbm", "parameters": parameters}),))


@settings(max_examples=40, deadline=None)
@given(generated(), st.integers(0, 1000))
def test_suggestions_lie_inside(space, seed):
    params, trial = sample(space, seed)
    inside(space, params)
    assert trial.params == params
    model, fit_params = space.to_fit(params)
    assert (model, fit_params) == ("lightgbm", params)


@settings(max_examples=40, deadline=None)
@given(generated())
def test_default_points_lie_inside(space):
    (point,) = space.default_points()
    inside(space, dict(point.params))
    _enqueued(space, point)


@pytest.mark.parametrize(("model", "source"), SHIPPED)
@pytest.mark.parametrize("seed", range(5))
def test_shipped_suggestions_lie_inside(model, source, seed):
    space = load_space(model, source)
    params, _ = sample(space, seed)
    inside(space, params)
    fitted, fit_params = space.to_fit(params)
    known = TUNABLE[fitted]
    assert set(fit_params) <= known.known
    assert 50 <= known.rounds_of(fit_params) <= space.max_rounds


@pytest.mark.parametrize(("model", "source"), SHIPPED)
def test_the_first_points_run_the_true_defaults(model, source):
    space = load_space(model, source)
    points = space.default_points()
    assert [point.model for point in points] == [s.model for s in space.spaces]
    for point in points:
        inside(space, dict(point.params))
        _enqueued(space, point)
        defaults = TUNABLE[point.model].defaults
        untuned = {k: v for k, v in point.fit_params.items() if k != "bagging_freq"}  # alone it does nothing
        assert untuned == {name: defaults[name] for name in untuned}
        assert TUNABLE[point.model].rounds_of(point.fit_params) == 100


def _enqueued(space, point):
    """The sampler takes an enqueued point as it is, without a warning that it lies outside."""
    study = optuna.create_study()
    study.enqueue_trial(dict(point.params))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        taken = space.suggest(study.ask())
    assert taken == pytest.approx(dict(point.params))


def test_no_limit_is_shown_as_the_highest_value_not_the_lowest():
    depth = SearchSpace((parse_space({"parameters": {"max_depth": {"low": 3, "high": 12}}}, "lightgbm"),))
    (point,) = depth.default_points()
    assert (point.params["max_depth"], point.fit_params["max_depth"]) == (12, -1)
    leaves = {"grow_policy": {"choices": ["lossguide"]}, "max_leaves": {"low": 4, "high": 64}}
    (point,) = SearchSpace((parse_space({"parameters": leaves}, "xgboost"),)).default_points()
    assert point.params == {"grow_policy": "lossguide", "max_leaves": 64}
    assert point.fit_params == {"grow_policy": "depthwise", "max_leaves": 0}


def test_a_joint_space_names_parameters_after_their_model():
    space = load_space("both")
    assert space.joined and space.conditional
    for seed in range(6):
        params, _ = sample(space, seed)
        model, fit_params = space.to_fit(params)
        assert params["model"] == model
        assert {f"{model}.{name}" for name in fit_params} - {"lightgbm.bagging_freq"} == set(params) - {
            "model"
        }
        assert fit_params["learning_rate"] == params[f"{model}.learning_rate"]


def test_conditions_in_a_joint_space():
    space = load_space("both", "wide")
    seen = set()
    for seed in range(40):
        params, _ = sample(space, seed)
        seen.add((params.get("xgboost.grow_policy"), "xgboost.max_leaves" in params))
    assert seen == {(None, False), ("depthwise", False), ("lossguide", True)}


@pytest.mark.parametrize(
    ("entry", "value", "nearest"),
    [
        ({"low": 10, "high": 50, "step": 20}, 31, 30),
        ({"low": 10, "high": 50, "step": 20}, 41, 50),
        ({"low": 10, "high": 55, "step": 20}, 99, 50),
        ({"low": 10, "high": 50}, 3, 10),
        ({"low": 10, "high": 50}, math.inf, 50),
        ({"low": 10, "high": 55, "step": 20}, math.inf, 50),
        ({"choices": [31, 63]}, 255, 63),
        ({"choices": [31, 63]}, math.inf, 63),
        ({"choices": [31, 63]}, 32, 31),
    ],
)
def test_nearest_point(entry, value, nearest):
    (parameter,) = parse_space({"parameters": {"num_leaves": entry}}, "lightgbm").parameters
    got = parameter.nearest_to(value)
    assert got == nearest
    assert isinstance(got, int)


def test_nearest_point_of_fractions_and_words():
    assert Parameter("x", "float", 0.1, 0.5, step=0.2).nearest_to(0.44) == pytest.approx(0.5)
    assert Parameter("x", "float", 1e-8, 10, log=True).nearest_to(0) == 1e-8
    assert Parameter("x", "choice", choices=("a", "b")).nearest_to("c") == "a"
    assert Parameter("x", "choice", choices=(True, False)).nearest_to(False) is False


def test_size_counts_points():
    def size(**parameters):
        return SearchSpace((parse_space({"parameters": parameters}, "lightgbm"),)).size

    assert size(num_leaves={"low": 10, "high": 19}) == 10
    assert size(num_leaves={"low": 10, "high": 19, "step": 5}, extra_trees={"choices": [True, False]}) == 4
    assert size(lambda_l1={"low": 0.1, "high": 0.3, "step": 0.1}) == 3
    assert size(lambda_l1={"low": 0.1, "high": 0.3}) == math.inf


def test_most_rounds():
    def most(fixed=None, **parameters):
        content = {"parameters": parameters, "fixed": fixed or {}}
        return SearchSpace((parse_space(content, "lightgbm"),)).max_rounds

    leaves = {"num_leaves": {"low": 2, "high": 3}}
    assert most(**leaves) == 100
    assert most({"num_boost_round": 7}, **leaves) == 7
    assert most(num_boost_round={"choices": [30, 20]}) == 30
    conditional = {"low": 5, "high": 60, "when": {"boosting": "dart"}}
    assert most(boosting={"choices": ["gbdt", "dart"]}, num_boost_round=conditional) == 100
    assert load_space("both").max_rounds == 500


def _lightgbm_defaults():
    data = lgb.Dataset(
        np.random.default_rng(0).normal(size=(50, 2)), np.arange(50.0), params={"verbosity": -1}
    )
    text = lgb.Booster({"verbosity": -1}, data).model_to_string()
    lines = text[text.index("parameters:") :].splitlines()
    return {k: v for k, _, v in (line.strip("[]").partition(": ") for line in lines if ": " in line)}


def test_tunable_defaults_are_those_of_lightgbm():
    written = _lightgbm_defaults()
    defaults = dict(TUNABLE["lightgbm"].defaults)
    assert int(written["num_iterations"]) == defaults.pop("num_boost_round")
    assert defaults.pop("location") is defaults.pop("seen_only") is False  # raysearch's own
    for name, value in defaults.items():
        if isinstance(value, str):
            assert written[name] == value, name
        else:
            assert float(written[name]) == pytest.approx(float(value)), name
    wrapper = lgb.LGBMRegressor().get_params()
    assert wrapper["n_estimators"] == TUNABLE["lightgbm"].defaults["num_boost_round"]


def _flat(values):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield name, value


def test_tunable_defaults_are_those_of_xgboost():
    data = xgb.DMatrix(np.random.default_rng(0).normal(size=(50, 2)), np.arange(50.0))
    booster = xgb.train({"tree_method": "hist"}, data, 1)
    written = dict(_flat(json.loads(booster.save_config())["learner"]["gradient_booster"]))
    defaults = dict(TUNABLE["xgboost"].defaults)
    assert defaults.pop("location") is defaults.pop("seen_only") is False  # raysearch's own
    assert defaults.pop("n_estimators") == 100  # XGBRegressor's, in its documentation; the booster has none
    names = {"learning_rate": "eta", "reg_alpha": "alpha", "reg_lambda": "lambda", "gamma": "min_split_loss"}
    missing = []
    for name, value in defaults.items():
        got = written.get(name, written.get(names.get(name, name)))
        if got is None:
            missing.append(name)
        elif isinstance(value, str):
            assert got in (value, {"depthwise": "0", "uniform": "0"}.get(value)), name
        else:
            assert float(got) == pytest.approx(value, rel=1e-6), name
    assert set(missing) <= {"multi_strategy"}  # told in another part of the configuration


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_nothing_is_both_tunable_and_reserved(model):
    tunable = TUNABLE[model]
    assert not tunable.known & set(tunable.reserved)
    assert tunable.rounds in tunable.known
    worded = {name for name, value in tunable.defaults.items() if isinstance(value, str)}
    assert set(tunable.words) == {*worded, LOCATION}  # a switch, that knows another kind
    assert all(tunable.defaults[name] in tunable.words[name] for name in worded)
    assert all(tunable.defaults[name] <= 0 for name in tunable.unlimited)
