"""Search spaces are read as written, or refused with all that is wrong with them."""

from __future__ import annotations

import pytest

from raysearch.errors import SpaceError
from raysearch.shipped import shipped
from raysearch.space import load_space, parse_space, without_choice, without_value
from raysearch.space.dimensions import SearchSpace

NARROW = {
    "lightgbm": {
        "num_leaves": ("int", 10, 100),
        "learning_rate": ("float", 0.01, 0.3),
        "feature_fraction": ("float", 0.5, 1.0),
        "bagging_fraction": ("float", 0.5, 1.0),
        "num_boost_round": ("int", 50, 500),
        "min_data_in_leaf": ("int", 5, 300),
        "cat_smooth": ("float", 5, 2000),
        "location": ("choice", 0, 0),
        "seen_only": ("choice", 0, 0),
        "extra_trees": ("choice", 0, 0),
    },
    "xgboost": {
        "max_depth": ("int", 3, 15),
        "learning_rate": ("float", 0.01, 0.3),
        "subsample": ("float", 0.5, 1.0),
        "colsample_bytree": ("float", 0.5, 1.0),
        "min_child_weight": ("float", 1, 200),
        "n_estimators": ("int", 50, 500),
        "location": ("choice", 0, 0),
        "seen_only": ("choice", 0, 0),
    },
}


def space(fixed=None, model="lightgbm", **parameters):
    content = {"model": model, "parameters": parameters or {"max_depth": {"low": 1, "high": 9}}}
    return parse_space(content if fixed is None else {**content, "fixed": fixed})


def message(*args, **kwargs):
    with pytest.raises(SpaceError) as caught:
        space(*args, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize("model", ["lightgbm", "xgboost"])
def test_the_shipped_spaces_hold_exactly_what_is_promised(model):
    (only,) = load_space(model).spaces
    assert {p.name: (p.kind, p.low, p.high) for p in only.parameters} == NARROW[model]
    assert only.fixed == ({"bagging_freq": 1} if model == "lightgbm" else {})
    assert not any(p.when or p.step for p in only.parameters)
    in_logs = {"learning_rate", "min_data_in_leaf", "cat_smooth", "min_child_weight"}
    assert {p.name for p in only.parameters if p.log} == in_logs & set(NARROW[model])


def test_the_wide_spaces_search_all_that_the_narrow_ones_do():
    for model in NARROW:
        (wide,) = load_space(model, "wide").spaces
        assert {p.name for p in wide.parameters} > set(NARROW[model])
        assert load_space(model, f"{model}_wide").spaces == (wide,)
    assert load_space("both", "wide").spaces == (
        *load_space("lightgbm", "wide").spaces,
        *load_space("xgboost", "wide").spaces,
    )


def test_every_shipped_file_is_accepted():
    for path in shipped("search_spaces").glob("*.yaml"):
        assert load_space(path.stem.partition("_")[0], str(path)).size == float("inf")


def test_two_files_for_both_in_any_order(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b, c.yaml"
    first.write_text("model: xgboost\nparameters: {max_depth: {low: 1, high: 2}}\n", encoding="utf-8")
    second.write_text("parameters: {max_depth: {low: 1, high: 2}}\n", encoding="utf-8-sig")
    joint = load_space("both", f"{first}, lightgbm")
    assert [s.model for s in joint.spaces] == ["lightgbm", "xgboost"]
    assert (
        load_space("lightgbm", str(second)).spaces[0].model == "lightgbm"
    )  # a comma in a single name is its own


@pytest.mark.parametrize(
    ("model", "source", "told"),
    [
        ("both", "lightgbm", "got 1 for --model both, must be 2: lightgbm.yaml,xgboost.yaml"),
        ("both", "lightgbm,lightgbm_wide", "needs a space for lightgbm and xgboost, got ['lightgbm']"),
        ("lightgbm", "xgboost", "the space is for 'xgboost', the study for 'lightgbm'"),
        ("lightgbm", "lightgbm_wid", "no file 'lightgbm_wid'; give a YAML file or one of the shipped"),
        ("lightgbm", "lightgbm_wid", "did you mean 'lightgbm_wide'?"),
        ("lightgbm", "/nowhere.yaml", "no file '/nowhere.yaml'"),
        ("lightgbm", ".", "no file '.'"),
    ],
)
def test_sources_that_do_not_fit(model, source, told):
    with pytest.raises(SpaceError) as caught:
        load_space(model, source)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"parameters: {max_depth: {low: 1", "not valid YAML"),
        (b"\xff\xfe\x00", "not valid YAML"),
        (
            b"parameters:\n  max_depth: {low: 1, high: 2}\n  max_depth: {low: 3, high: 4}\n",
            "'max_depth' stands twice",
        ),
        (b"parameters: {max_depth: {low: 2024-99-99}}", "not valid YAML: month must be in 1..12"),
        (b"", "expected a mapping with a section 'parameters'"),
        (b"[1, 2]", "expected a mapping with a section 'parameters'"),
        (b"model: lightgbm", "expected a mapping with a section 'parameters'"),
        (b"parameters: [max_depth]", "expected a mapping with a section 'parameters'"),
    ],
)
def test_files_that_are_no_space(tmp_path, content, told):
    file = tmp_path / "own.yaml"
    file.write_bytes(content)
    with pytest.raises(SpaceError) as caught:
        load_space("lightgbm", str(file))
    assert told in str(caught.value)
    assert str(file) in str(caught.value)


def test_exponents_are_numbers(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("parameters: {lambda_l1: {low: 1e-8, high: 1e1, log: true}}", encoding="utf-8")
    (only,) = load_space("lightgbm", str(file)).spaces
    assert (only.parameters[0].low, only.parameters[0].high) == (1e-8, 10.0)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"num_leafs": {"low": 1, "high": 2}}, "of LightGBM; did you mean 'num_leaves'?"),
        ({"n_estimators": {"low": 1, "high": 2}}, "is set by raysearch itself (num_boost_round)"),
        ({"alpha": {"low": 0.1, "high": 0.2}}, "alpha: is set by raysearch itself (the levels of --levels)"),
        ({7: {"low": 1, "high": 2}}, "7: not a parameter of LightGBM"),
        ({"num_leaves": {"low": 9, "high": 3}}, "num_leaves: low 9 is above high 3"),
        ({"lambda_l1": {"low": 0, "high": 3, "log": True}}, "lambda_l1: log needs low above 0, got 0"),
        ({"lambda_l1": {"low": -1, "high": 3, "log": True}}, "lambda_l1: log needs low above 0, got -1"),
        ({"lambda_l1": {"low": 1, "high": 3, "log": True, "step": 1}}, "log and step cannot be used"),
        ({"lambda_l1": {"low": 1.0, "high": 3, "log": "yes"}}, "log: got 'yes', must be true or false"),
        ({"num_leaves": {"low": 1, "high": 3, "step": 0}}, "step: got 0, must be above 0"),
        ({"num_leaves": {"low": 1, "high": 3, "step": -1}}, "step: got -1, must be above 0"),
        ({"num_leaves": {"type": "int", "low": 1.5, "high": 3}}, "an int needs whole numbers, got low 1.5"),
        ({"num_leaves": {"low": 1.5, "high": 3}}, "num_leaves: takes whole numbers only; give type: int"),
        ({"num_boost_round": {"type": "float", "low": 1.0, "high": 3.0}}, "takes whole numbers only"),
        ({"num_leaves": {"type": "integer", "low": 1, "high": 3}}, "got 'integer', must be 'int' or 'float'"),
        ({"num_leaves": {"low": "a", "high": 3}}, "got low 'a', high 3, step None; low and"),
        ({"num_leaves": {"low": True, "high": 3}}, "low and high must be numbers"),
        ({"num_leaves": {"low": 1, "high": 10**400}}, "low and high must be numbers"),
        ({"lambda_l1": {"low": 0.0, "high": float("inf")}}, "low and high must be numbers"),
        ({"lambda_l1": {"low": float("nan"), "high": 1.0}}, "low and high must be numbers"),
        ({"num_leaves": {"low": 1}}, "low and high must be numbers"),
        ({"num_leaves": 5}, "num_leaves: got 5, must be {low: .., high: ..} or {choices: [..]}"),
        ({"num_leaves": None}, "num_leaves: got None"),
        ({"num_leaves": {"low": 1, "hihg": 3, "high": 3}}, "unknown key 'hihg'; did you mean 'high'?"),
        ({"max_bin": {"choices": []}}, "choices: got [], must be a list of different numbers"),
        ({"max_bin": {"choices": 63}}, "choices: got 63"),
        ({"max_bin": {"choices": [63, 63]}}, "must be a list of different"),
        ({"max_bin": {"choices": [63, 63.0]}}, "must be a list of different"),
        ({"extra_trees": {"choices": [True, 1]}}, "must be a list of different"),
        ({"max_bin": {"choices": [63, None]}}, "must be a list of different"),
        ({"max_bin": {"choices": [63, [1]]}}, "must be a list of different"),
        ({"max_bin": {"choices": [63, float("nan")]}}, "must be a list of different"),
        ({"max_bin": {"choices": [63], "low": 1}}, "max_bin: choices stand alone, without 'low'"),
        ({"max_bin": {"choices": ["63"]}}, "max_bin: got '63', must be a whole number"),
        ({"max_bin": {"choices": [63.5]}}, "max_bin: got 63.5, must be a whole number"),
        ({"boosting": {"choices": ["gbdt", "drat"]}}, "got 'drat', must be one of 'gbdt', 'dart', 'rf'; did"),
        ({"boosting": {"low": 1, "high": 3}}, "boosting: got 1, must be one of"),
        ({"extra_trees": {"low": 0, "high": 1}}, "extra_trees: got 0, must be true or false"),
        ({"extra_trees": {"choices": ["no"]}}, "extra_trees: got 'no', must be true or false"),
        ({"lambda_l1": {"choices": ["much"]}}, "lambda_l1: got 'much', must be a number"),
        ({"num_boost_round": {"low": 0, "high": 5}}, "got 0, must be a whole number of at least 1"),
        ({"num_boost_round": {"choices": ["many"]}}, "num_boost_round: got 'many', must be a whole number"),
        (
            {"max_bin": {"choices": [63], "when": {"boosting": "dart"}}},
            "max_bin: when: 'boosting' must be a parameter with choices that stands above",
        ),
        (
            {"num_leaves": {"low": 2, "high": 9}, "max_bin": {"choices": [63], "when": {"num_leaves": 3}}},
            "when: 'num_leaves' must be a parameter with choices",
        ),
        (
            {"boosting": {"choices": ["gbdt"]}, "max_bin": {"choices": [63], "when": {"boosting": "dart"}}},
            "max_bin: when: 'boosting' has no choice 'dart' ('gbdt')",
        ),
        (
            {"boosting": {"choices": ["gbdt"]}, "max_bin": {"choices": [63], "when": {"boosting": []}}},
            "max_bin: when: no value of 'boosting' is named",
        ),
        ({"max_bin": {"choices": [63], "when": "boosting"}}, "got 'boosting', must be {parameter: value}"),
        (
            {"max_bin": {"choices": [63], "when": {"max_bin": 63}}},
            "when: 'max_bin' must be a parameter with choices that stands above",
        ),
    ],
)  # fmt: skip
def test_bad_parameters(parameters, told):
    assert told in _message_of(parameters)


def _message_of(parameters):
    with pytest.raises(SpaceError) as caught:
        parse_space({"model": "lightgbm", "parameters": parameters})
    return str(caught.value)


@pytest.mark.parametrize(
    ("fixed", "told"),
    [
        ([1], "fixed: got [1], must be a mapping"),
        ("x", "fixed: got 'x', must be a mapping"),
        ({"num_leafs": 3}, "num_leafs: not a parameter of LightGBM"),
        ({"num_leaves": [3]}, "num_leaves: got [3], must be a number, a word or a boolean"),
        ({"num_leaves": None}, "num_leaves: got None, must be a number"),
        ({"num_leaves": 3.5}, "num_leaves: got 3.5, must be a whole number"),
        ({"lambda_l1": "much"}, "lambda_l1: got 'much', must be a number"),
        ({"boosting": "goss"}, "boosting: got 'goss', must be one of"),
        ({"max_depth": 3}, "max_depth: stands under 'parameters' and under 'fixed'"),
        ({"num_boost_round": 0}, "num_boost_round: got 0, must be a whole number of at least 1"),
        ({"seed": 3}, "seed: is set by raysearch itself (--seed)"),
    ],
)
def test_bad_fixed_values(fixed, told):
    text = message(fixed=fixed)
    assert told in text
    assert "problems" not in text


@pytest.mark.parametrize("name", [None, "catboost", "lightgmb", ["lightgbm"], 5])
def test_a_space_needs_a_known_model(name):
    with pytest.raises(SpaceError, match=r"model: got .* must be one of 'lightgbm', 'xgboost'"):
        parse_space({"model": name, "parameters": {"max_depth": {"low": 1, "high": 2}}})


def test_nothing_to_search():
    with pytest.raises(SpaceError, match="'parameters' is empty"):
        parse_space({"parameters": {}}, "xgboost")


def test_unknown_sections_are_told_with_the_nearest():
    with pytest.raises(SpaceError, match=r"unknown section 'fixd'; did you mean 'fixed'\?"):
        parse_space({"parameters": {"max_depth": {"low": 1, "high": 2}}, "fixd": {}}, "xgboost")


def test_several_problems_are_told_at_once():
    text = _message_of({"num_leafs": {"low": 1, "high": 2}, "lambda_l1": {"low": 3, "high": 2}, "max_bin": 3})
    assert text.startswith("space: 3 problems\n")


def test_kinds_follow_the_numbers_or_the_type():
    made = space(
        max_depth={"low": 1, "high": 9},
        lambda_l1={"low": 0.0, "high": 1},
        num_leaves={"type": "int", "low": 2.0, "high": 8.0, "step": 2.0},
        lambda_l2={"type": "float", "low": 1, "high": 5},
    )
    kinds = {p.name: (p.kind, p.low, p.high, p.step) for p in made.parameters}
    assert kinds == {
        "max_depth": ("int", 1, 9, None),
        "lambda_l1": ("float", 0.0, 1.0, None),
        "num_leaves": ("int", 2, 8, 2),
        "lambda_l2": ("float", 1.0, 5.0, None),
    }
    assert all(isinstance(p.low, int) == (p.kind == "int") for p in made.parameters)


def test_a_range_ends_at_its_last_step():
    made = space(
        num_leaves={"low": 10, "high": 99, "step": 20}, lambda_l1={"low": 0.1, "high": 0.35, "step": 0.1}
    )
    assert [p.high for p in made.parameters] == [90, pytest.approx(0.3)]


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "lightgbm_wide", "xgboost_wide"])
def test_the_shipped_spaces_begin_with_a_good_guess(name):
    found = load_space(name.removesuffix("_wide"), name)
    first, *more = found.start_points()
    assert first["location"] is True
    assert first["learning_rate"] == 0.05
    assert [point["location"] for point in more] == ["linear", True, False] * (name == "lightgbm")
    assert [point["extra_trees"] for point in more] == [False, True, True] * (name == "lightgbm")
    assert all(point["seen_only"] for point in (first, *more))


def test_points_to_begin_with_lie_inside_the_space():
    searched = {"parameters": {"max_depth": {"low": 1, "high": 9}, "extra_trees": {"choices": [True, False]}}}
    good = parse_space({**searched, "start": [{"max_depth": 3}, {"extra_trees": True}]}, "lightgbm")
    assert good.start == ({"max_depth": 3}, {"extra_trees": True})
    assert parse_space(good.content).start == good.start
    for point, told in [
        ({"max_depth": 10}, "start: max_depth: 10 lies outside what is searched"),
        ({"max_depth": 2.5}, "lies outside"),
        ({"max_depth": True}, "lies outside"),
        ({"extra_trees": 1}, "lies outside"),
        ({"max_dept": 2}, "'max_dept' is not searched; did you mean 'max_depth'?"),
        (3, "must be a list of points"),
    ]:
        with pytest.raises(SpaceError) as caught:
            parse_space({**searched, "start": [point]}, "lightgbm")
        assert told in str(caught.value)


@pytest.mark.parametrize("model", ["lightgbm", "xgboost", "both"])
def test_a_choice_that_would_change_nothing_is_left_out_with_its_starts(model):
    for source in (None, "wide"):
        whole = load_space(model, source)
        space = without_choice(whole, "seen_only")
        for before, after in zip(whole.spaces, space.spaces, strict=True):
            left = [parameter for parameter in before.parameters if parameter.name != "seen_only"]
            assert [*after.parameters] == left and len(left) == len(before.parameters) - 1
            assert all("seen_only" in point for point in before.start)
            assert [*after.start] == [
                {k: v for k, v in point.items() if k != "seen_only"} for point in before.start
            ]
            assert parse_space(after.content) == after
        assert without_choice(space, "seen_only") == space


def test_a_choice_stays_where_others_hang_on_it_or_nothing_else_is_searched():
    switch = {"choices": [False, True]}
    hanging = space(seen_only=switch, max_depth={"low": 1, "high": 9, "when": {"seen_only": True}})
    for kept in (hanging, space(seen_only=switch)):
        assert without_choice(SearchSpace((kept,)), "seen_only").spaces == (kept,)


def test_a_value_that_would_change_nothing_leaves_the_space():
    for name in ("lightgbm", "xgboost", "both"):
        whole = load_space(name)
        space = without_value(whole, "location", "linear")
        for part in space.spaces:
            (location,) = (p for p in part.parameters if p.name == "location")
            assert location.choices == (True, False)
            assert part.start
            assert all(point["location"] != "linear" for point in part.start)
            assert parse_space(part.content) == part
        assert without_value(space, "location", "linear") == space


@pytest.mark.parametrize(
    "parameters",
    [
        {"location": {"choices": ["linear"]}},
        {"location": {"choices": [False, "linear"]}},  # who searches for no other location wants this one
        {
            "location": {"choices": [True, False, "linear"]},
            "max_depth": {"low": 1, "high": 9, "when": {"location": ["linear"]}},
        },
    ],
)
def test_a_value_that_others_hang_on_or_is_wanted_stays(parameters):
    whole = SearchSpace((parse_space({"model": "lightgbm", "parameters": parameters}),))
    assert without_value(whole, "location", "linear") == whole


def test_a_location_is_a_switch_or_a_line():
    for wrong in ("trees", "Linear", 7):
        content = {"model": "lightgbm", "parameters": {"location": {"choices": [True, wrong]}}}
        with pytest.raises(SpaceError, match=r"location: got .* must be true or false or linear"):
            parse_space(content)
