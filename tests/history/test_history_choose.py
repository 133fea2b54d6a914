"""Which points of earlier studies a search begins with: valid, new, few, of the nearest first."""

from __future__ import annotations

import dataclasses

import optuna
import pytest
from history_made_up import POINT, both, features, here, made_space, past, point, points
from hypothesis import given, settings
from hypothesis import strategies as st

from raysearch.history import CUT_OFF, PastPoint, best_points, choose, distance, most_points, space_digest
from raysearch.history.points import alike
from raysearch.records import TrialResult
from raysearch.space import SearchSpace, parse_space


def params(start) -> list[dict]:
    return [dict(one.params) for one in start.points]


@given(st.lists(st.lists(points(), max_size=5), max_size=4), st.integers(0, 60), st.booleans())
@settings(deadline=None)
def test_every_point_is_valid_in_the_space_and_they_are_few(found, trials, joined):
    space = both() if joined else made_space()
    studies = [past(f"s{i}", *some, fixed={"lightgbm": {}, "xgboost": {}}) for i, some in enumerate(found)]
    start = choose(here(space), studies, most_points(trials, None))
    assert len(start.points) <= trials / 10
    known = params(start)
    for one in known:
        # What is sampled with these values fixed is the very point: nothing is missing, nothing is left over.
        assert space.suggest(optuna.trial.FixedTrial(one)) == one
        assert all(
            type(space.suggest(optuna.trial.FixedTrial(one))[name]) is type(v) for name, v in one.items()
        )
        assert all(space.by_name[name].holds(value) for name, value in one.items() if name != "model")
        assert ("model" in one) == joined
        assert not any(alike(space, one, other) for other in known if other is not one)
        assert not any(alike(space, one, default.params) for default in space.default_points())


@given(st.none() | st.integers(1, 10_000), st.none() | st.floats(1, 1e6))
def test_never_more_than_a_tenth(trials, budget):
    most = most_points(trials, budget)
    if trials is not None:
        assert 10 * most <= trials
        assert budget is not None or 10 * (most + 1) > trials
    if budget is not None or trials is None:
        assert most <= 3


def test_the_nearest_study_comes_first_and_each_has_its_turn():
    near = past("near", point(num_leaves=8), point(num_leaves=20), point(num_leaves=30))
    far = past("far", point(num_leaves=40), point(num_leaves=50), features=features(rows=1500))
    start = choose(here(), [far, near], 4)
    told = [(one.study, one.params["num_leaves"], one.run_id) for one in start.points]
    assert told == [
        ("near", 8, "run-near"),
        ("far", 40, "run-far"),
        ("near", 20, "run-near"),
        ("far", 50, "run-far"),
    ]
    assert (start.looked_at, start.alike) == (2, 2)
    assert start.points[0].distance == 0 < start.points[1].distance < CUT_OFF


def test_data_that_is_not_alike_gives_no_points():
    other = past(features=features(rows=10**6, noise=0.9, numbers=0.0, categories=1.0))
    assert distance(other.features, features()) > CUT_OFF
    start = choose(here(), [other], 3)
    assert (start.looked_at, start.alike, start.points) == (1, 0, ())
    in_time = choose(here(split="time"), [past()], 3)
    assert (in_time.looked_at, in_time.alike) == (1, 0)
    assert choose(here(split="time"), [past(features=features(split="time"))], 3).points


@pytest.mark.parametrize(
    "changes",
    [
        {"levels": (0.1, 0.5, 0.9)},
        {"levels": (0.5,)},
        {"objectives": ("wis",)},
        {"objectives": ("pinball", "wis")},
    ],
)
def test_other_levels_or_objectives_do_not_fit(changes):
    assert choose(here(), [past(**changes)], 3).looked_at == 0


def test_levels_are_the_same_to_ten_digits():
    assert choose(here(), [past(levels=(0.05 + 1e-13, 0.5, 0.95))], 3).points


@pytest.mark.parametrize(
    "bad",
    [
        point(num_leaves=65), point(num_leaves=8.0), point(num_leaves=True), point(learning_rate=0.31),
        point(boosting="goss"), point(extra_trees=1), point(max_bin=32), point(drop_rate=0.1),
        point(boosting="dart"), point(min_data_in_leaf=3), point(model="xgboost"), point(ratio=1.0),
    ],
)  # fmt: skip
def test_a_point_that_is_none_of_the_space_or_did_no_good_is_left_out(bad):
    start = choose(here(), [past("s", bad, point(num_leaves=20))], 3)
    assert [one["num_leaves"] for one in params(start)] == [20]


def test_a_point_from_before_a_parameter_was_searched_has_the_library_s_default():
    space = parse_space(
        {
            "model": "lightgbm",
            "parameters": {"num_leaves": {"low": 4, "high": 90}, "min_data_in_leaf": {"low": 5, "high": 300}},
        }
    )
    start = choose(
        here(SearchSpace((space,))), [past("old", PastPoint("lightgbm", {"num_leaves": 8}, 0.9))], 2
    )
    assert params(start) == [{"num_leaves": 8, "min_data_in_leaf": 20}]


def test_what_serves_other_tables_only_does_not_keep_a_point_away():
    space = parse_space({"model": "lightgbm", "parameters": {"num_leaves": {"low": 4, "high": 90}}})
    found = PastPoint("lightgbm", {"num_leaves": 8, "cat_smooth": 300.0}, 0.9)
    assert params(choose(here(SearchSpace((space,))), [past("many", found)], 2)) == [{"num_leaves": 8}]
    other = PastPoint("lightgbm", {"num_leaves": 8, "learning_rate": 0.2}, 0.9)
    assert not params(choose(here(SearchSpace((space,))), [past("other", other)], 2))


def test_a_condition_on_what_serves_some_tables_keeps_its_points():
    space = parse_space(
        {
            "model": "lightgbm",
            "parameters": {
                "num_leaves": {"low": 4, "high": 90},
                "extra_trees": {"choices": [False, True]},
                "cat_smooth": {"low": 5.0, "high": 2000.0, "log": True, "when": {"extra_trees": False}},
            },
        }
    )
    own = {"num_leaves": 8, "extra_trees": False, "cat_smooth": 300.0}
    start = choose(here(SearchSpace((space,))), [past("s", PastPoint("lightgbm", own, 0.9))], 2)
    assert params(start) == [own]


def test_rows_in_a_leaf_are_taken_as_near_as_a_smaller_table_allows():
    leaf = {"min_data_in_leaf": {"low": 5, "high": 16}, "num_leaves": {"low": 4, "high": 90}}
    space = SearchSpace((parse_space({"model": "lightgbm", "parameters": leaf}),))
    older = [PastPoint("lightgbm", {"num_leaves": 8}, 0.9)]
    larger = [PastPoint("lightgbm", {"num_leaves": 8, "min_data_in_leaf": 250}, 0.9)]
    for found in (older, larger):
        start = choose(here(space), [past("s", *found)], 2)
        assert params(start) == [{"num_leaves": 8, "min_data_in_leaf": 16}]


def test_a_branch_of_the_space_has_its_own_parameters():
    dart = point(boosting="dart", drop_rate=0.25)
    assert params(choose(here(), [past("s", dart)], 3)) == [{**POINT, "boosting": "dart", "drop_rate": 0.25}]


def test_what_was_fixed_otherwise_does_not_fit():
    assert not choose(here(), [past(fixed={"lightgbm": {"bagging_freq": 1}})], 3).points
    assert not choose(here(), [past(fixed={})], 3).points


def test_a_study_of_several_libraries_keeps_the_model_in_its_points():
    start = choose(here(both()), [past()], 3)
    assert params(start) == [
        {"model": "lightgbm", **{f"lightgbm.{name}": value for name, value in POINT.items()}}
    ]
    trees = past("x", PastPoint("xgboost", {"max_depth": 3}, 0.8), fixed={"xgboost": {}})
    assert params(choose(here(both()), [trees], 3)) == [{"model": "xgboost", "xgboost.max_depth": 3}]
    assert not choose(here(), [trees], 3).points  # another library


def test_neither_the_space_s_own_first_points_nor_the_same_point_twice():
    start = [{**POINT, "num_leaves": 30}]
    twice = [past("a", point()), past("b", point(num_leaves=9)), past("c", point(num_leaves=31))]
    assert params(choose(here(made_space(start=start)), twice, 3)) == [POINT]
    small = SearchSpace(
        (parse_space({"model": "lightgbm", "parameters": {"num_leaves": {"low": 4, "high": 64}}}),)
    )
    default = past("d", PastPoint("lightgbm", {"num_leaves": 31}, 0.9))
    assert not choose(here(small), [default], 3).points


def test_the_digest_tells_spaces_apart_and_nothing_else():
    assert space_digest(made_space()) == space_digest(made_space(start=[{"num_leaves": 9}]))
    changed = [
        made_space(num_leaves={"low": 4, "high": 65}),
        made_space(max_bin={"low": 15, "high": 255}),
        both(),
    ]
    assert len({space_digest(space) for space in [made_space(), *changed]}) == 4


def trial(
    number: int, score: float | None, state: str = "finished", default: bool = False, **changes
) -> TrialResult:
    values = {**POINT, **changes}
    return TrialResult(
        number, f"k{number}", "lightgbm", values, values, state, score, 10, {}, (), 0.0, 1.0, default=default
    )


def test_the_best_points_of_a_study_differ_and_are_told_beside_the_default():
    default = trial(0, 2.0, default=True, num_leaves=31)
    ranked = [trial(1, 1.0), trial(2, 1.1, num_leaves=9), trial(3, 1.5, num_leaves=40), default]
    ranked += [trial(4, 1.2, "cut", num_leaves=60)]
    found = best_points(made_space(), ranked, default)
    assert [(one.params["num_leaves"], one.ratio) for one in found] == [(8, 0.5), (40, 0.75)]
    assert found[0].model == "lightgbm"
    many = [trial(i, 1.0 + i, num_leaves=4 + 6 * i) for i in range(9)]
    assert [one.params["num_leaves"] for one in best_points(made_space(), many, default)] == [
        4,
        10,
        16,
        22,
        28,
    ]


@pytest.mark.parametrize("score", [None, 0.0, float("nan"), float("inf"), -1.0])
def test_without_a_default_to_compare_with_there_are_no_points(score):
    assert best_points(made_space(), [trial(1, 1.0)], trial(0, score, default=True)) == ()
    assert best_points(made_space(), [trial(1, 1.0)], None) == ()


SPLITS = st.sampled_from(["time", "random", "group"])
DATA = st.builds(
    features,
    rows=st.integers(1, 10**7),
    columns=st.integers(1, 10**4),
    noise=st.floats(0, 1),
    skew=st.floats(-1, 1),
    split=SPLITS,
)


@given(DATA, DATA)
def test_the_distance_is_one(one, other):
    assert distance(one, one) == 0
    assert distance(one, other) == distance(other, one) >= 0
    assert distance(one, other) <= 1 or "time" in (one.split, other.split)


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(features()) if f.name != "split"])
def test_every_meta_feature_counts(field):
    changed = dataclasses.replace(features(), **{field: getattr(features(), field) * 2 + 1})
    assert distance(changed, features()) > 0
