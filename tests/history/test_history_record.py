"""What a study leaves behind: read back as it was written, and anything else quietly left alone."""

from __future__ import annotations

import dataclasses
import json

import pytest
from history_made_up import JSONS, past, point
from hypothesis import given
from hypothesis import strategies as st

from raysearch.history import PastStudy, parse_past, to_text


def test_what_is_written_is_read_back():
    study = past("s", point(0.8), point(0.9, boosting="dart", drop_rate=0.1), importance={"num_leaves": 0.5})
    found = parse_past(to_text(study), study.run_id, study.ended_s)
    assert found == study
    assert [type(v) for v in found.points[0].params.values()] == [
        type(v) for v in study.points[0].params.values()
    ]


def test_a_text_that_is_too_long_loses_its_worst_points_first():
    wide = {f"parameter_{i}": 0.123456789012345 for i in range(50)}
    study = past("s", *(dataclasses.replace(point(0.5 + i / 10), params=wide) for i in range(5)))
    text = to_text(study)
    assert len(text) <= 8000
    assert [one.ratio for one in parse_past(text).points] == [0.5, 0.6, 0.7, 0.8]
    assert to_text(dataclasses.replace(study, target="y" * 8000)) == ""


def plain() -> dict:
    return json.loads(to_text(past()))


def test_the_plain_one_is_read():
    assert parse_past(json.dumps(plain())) is not None


def _with(path: str, value: object) -> dict:
    content = plain()
    *keys, last = path.split(".")
    inner = content
    for key in keys:
        inner = inner[int(key) if key.isdigit() else key]
    inner[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 2), ("version", "1"), ("study", 7), ("levels", [0.5, "x"]), ("levels", None),
        ("objectives", [1]), ("objectives", ["no such"]), ("study", ""),
        ("points", None), ("points", [{}]), ("points.0.ratio", -1),
        ("points.0.ratio", "0.9"),
        ("points.0.ratio", float("nan")), ("points.0.params", [1]), ("points.0.params.num_leaves", None),
        ("points.0.params.num_leaves", 10**400), ("points.0.params.num_leaves", float("inf")),
        ("features.rows", 0), ("features.split", "other"), ("features.noise", None), ("features", []),
        ("fixed", {"lightgbm": 1}), ("ranges", {"num_leaves": [1]}), ("ranges", {"num_leaves": [5, 1, 0]}),
        ("ranges", {"num_leaves": [0, 1, 1]}), ("importance", {"num_leaves": "much"}), ("gain_percent", "3"),
    ],
)  # fmt: skip
def test_a_damaged_text_is_none(path, value):
    assert parse_past(json.dumps(_with(path, value))) is None


@pytest.mark.parametrize("key", sorted(plain()))
def test_a_text_that_lacks_something_is_none(key):
    content = plain()
    del content[key]
    assert parse_past(json.dumps(content)) is None


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "1", '"x"', "[" * 100_000, "{}", "1" * 5000])
def test_a_foreign_text_is_none(text):
    assert parse_past(text) is None


@given(st.sampled_from(sorted(plain())), JSONS)
def test_whatever_stands_there_nothing_is_raised(key, value):
    content = {**plain(), key: value}
    found = parse_past(json.dumps(content))
    assert found is None or isinstance(found, PastStudy)


@given(st.text())
def test_any_text_is_read_or_left(text):
    assert parse_past(text) is None
