"""What works for which kind of data: studies by kind, and when their best points agree."""

from __future__ import annotations

import numpy as np
import pytest
from history_made_up import features, past, point

from raysearch.history import PastPoint, kinds_of


def test_studies_stand_by_size_split_library_and_objective():
    trees = past("x", PastPoint("xgboost", {"max_depth": 3}, 0.8))
    large = past("large", features=features(rows=200_000))
    studies = [large, past("a"), past("b", point(0.7)), trees, past("t", features=features(split="time"))]
    studies += [past("w", objectives=("wis",))]
    found = kinds_of(studies)
    told = [
        (kind.size, kind.split, kind.model, kind.objective, [s.study for s in kind.studies]) for kind in found
    ]
    assert told == [
        ("1,000 to 10,000", "random", "lightgbm", "pinball", ["b", "a"]),
        ("1,000 to 10,000", "random", "lightgbm", "wis", ["w"]),
        ("1,000 to 10,000", "random", "xgboost", "pinball", ["x"]),
        ("1,000 to 10,000", "time", "lightgbm", "pinball", ["t"]),
        ("100,000 and more", "random", "lightgbm", "pinball", ["large"]),
    ]
    assert found[0].gain_percent == pytest.approx(20.0)
    assert kinds_of([past(points=())]) == ()


def leaves(values) -> object:
    (kind,) = kinds_of([past(f"s{i}", point(num_leaves=int(value))) for i, value in enumerate(values)])
    return next(one for one in kind.parameters if one.name == "num_leaves")


def test_a_single_study_agrees_with_nobody():
    assert not leaves([8]).agree
    assert leaves([8]).importance == 0.7


def test_studies_agree_where_chance_would_not_put_them_together():
    near = leaves([8, 9, 10, 11])
    assert near.agree
    assert (near.middle, near.low, near.high) == (9.5, 8, 11)
    assert near.spread == pytest.approx(3 / 60)
    assert not leaves([8, 30, 50, 60]).agree
    assert not leaves([8, 20]).agree  # two of them are near by chance often enough


def test_an_outlier_among_many_is_left_out():
    many = leaves([8, 9, 10, 10, 11, 11, 12, 60])
    assert many.agree and (many.low, many.high) == (9, 12)


def test_points_by_chance_agree_in_one_of_twenty_cases():
    rng = np.random.default_rng(0)
    for count in (3, 6, 12):
        agreed = [leaves(rng.integers(4, 65, count)).agree for _ in range(400)]
        assert np.mean(agreed) < 0.09


def test_choices_agree_where_nearly_all_are_the_same():
    studies = [past(f"s{i}", point(extra_trees=True)) for i in range(8)]
    (kind,) = kinds_of(studies)
    one = next(one for one in kind.parameters if one.name == "extra_trees")
    assert one.agree and one.middle is True and one.spread == 0
    mixed = [past(f"s{i}", point(extra_trees=i % 2 == 0)) for i in range(8)]
    assert not next(one for one in kinds_of(mixed)[0].parameters if one.name == "extra_trees").agree


def test_thousands_of_studies_and_values_out_of_range_do_no_harm():
    (kind,) = kinds_of([past(f"s{i}", point(num_leaves=8 + i % 3)) for i in range(2000)])
    assert kind.parameters[0].agree
    strange = past("s", point(num_leaves=-5), ranges={"num_leaves": (1.0, 64.0, 1.0)})
    assert kinds_of([strange, strange])[0].parameters[0].spread is None
