"""A table that cannot be tuned on is refused once, with all that is wrong with it."""

from __future__ import annotations

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from raysearch.config import load_config
from raysearch.data import prepare
from raysearch.data.check import check_learnable, check_table
from raysearch.data.groups import as_known
from raysearch.errors import DataError
from raysearch.records import FoldRows

N = 60


def config(**data):
    return load_config(flags={"data": {"target": "y", **data}}, in_memory=True)


def frame(**columns):
    rng = np.random.default_rng(0)
    base = {"x": rng.normal(size=N), "y": rng.normal(size=N), "day": pd.date_range("2024-01-01", periods=N)}
    return pd.DataFrame({**base, **columns})


def refused(columns, **data):
    with pytest.raises(DataError) as caught:
        prepare(config(**data), frame(**columns))
    return str(caught.value)


def usable(columns, **data):
    table = pa.table({"x": list(range(N)), "y": list(range(N)), **columns})
    return check_table(table, config(**data).data, "data", by_time="time" in data)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"y": [True, False] * 30}, "is of type bool, must be a number; quantiles of yes or no"),
        (
            {"y": [str(i) for i in range(N - 1)] + ["n/k"]},
            "is text, must be a number: 1 values are none, e.g. 'n/k'",
        ),
        ({"y": ["a"] * N}, "e.g. 'a'"),
        ({"y": pd.date_range("2024-01-01", periods=N)}, "make it a number first"),
        ({"y": [7.5] * N}, "is constant, 7.5 in every row"),
        ({"y": [1.0, 2.0, np.inf] * 20}, "is infinite in 20 rows, first in row 3"),
        ({"y": [None] * N}, "no value in any row"),
        ({"y": [float("nan")] * N}, "no value in any row"),
        ({"y": [None] * 40 + list(range(20))}, "20 usable rows of 60 that have a target are too few"),
        ({"y": [[1]] * N}, "must be a number"),
    ],
)
def test_bad_targets(columns, told):
    assert told in refused(columns)


def test_columns_that_are_not_there_are_all_named_with_the_nearest():
    text = refused({}, target="Y", group="xx", time="dya", drop=["zzz"], features=["x", "ex"])
    assert text.startswith("data: ") and "problems" in text
    assert "no target column 'Y'; did you mean 'y'?" in text
    assert "no time column 'dya'; did you mean 'day'?" in text
    for name in ("group column 'xx'", "column to drop 'zzz'", "feature 'ex'"):
        assert name in text


def test_targets_in_decimals_text_and_dictionaries_are_numbers():
    decimals = pa.array([decimal.Decimal(i) / 4 for i in range(N)])
    for target in (
        decimals,
        pa.array([f" {i / 4} " for i in range(N)]),
        pa.array(range(N)).dictionary_encode(),
    ):
        found = usable({"y": target})
        assert found.target.dtype == np.float64 and found.target[4] in (1.0, 4.0)


def test_rows_without_a_target_are_left_out_and_counted():
    found = usable({"y": pa.array([None, float("nan"), *range(N - 2)], pa.float64())})
    assert found.without_target == 2 and found.rows[0] == 2 and len(found.rows) == N - 2
    assert found.warnings == ("2 rows without a target are left out",)


@pytest.mark.parametrize(
    ("data", "columns", "told"),
    [
        (
            {"transform": "log"},
            {"y": [0.0, *range(1, N)]},
            "target 'y' above 0, but 1 rows are not, e.g. 0 in row 1",
        ),
        (
            {"transform": "log1p"},
            {"y": [-1.5, *range(1, N)]},
            "target 'y' above -1, but 1 rows are not, e.g. -1.5",
        ),
        (
            {"transform": "log", "anchor": "x"},
            {"x": [-3.0, *range(1, N)], "y": list(range(1, N + 1))},
            "anchor 'x' above 0, but 1 rows are not",
        ),
        ({"transform": "log", "anchor": "z"}, {}, "no anchor column 'z'"),
        ({"transform": "log", "anchor": "w"}, {"w": ["a"] * N}, "anchor 'w' is text"),
    ],
)
def test_transforms_that_do_not_fit(data, columns, told):
    assert told in refused(columns, **data)


def test_rows_without_an_anchor_are_left_out():
    found = usable(
        {"x": pa.array([None, *range(1, N)]), "y": list(range(1, N + 1))}, transform="log", anchor="x"
    )
    assert found.without_target == 1 and found.anchor is not None and len(found.anchor) == N - 1


@pytest.mark.parametrize(
    "times",
    [
        pa.array([dt.date(2024, 1, 1) + dt.timedelta(days=i) for i in range(N)]),
        pa.array([dt.datetime(2024, 1, 1) + dt.timedelta(days=i) for i in range(N)], pa.timestamp("ns")),
        pa.array(
            [dt.datetime(2024, 1, 1) + dt.timedelta(days=i) for i in range(N)],
            pa.timestamp("s", "Asia/Tokyo"),
        ),
        pa.array([f"{1 + i % 28}/{1 + i // 28}/2024" for i in range(N)]),
        pa.array([f"2024-{1 + i // 28:02}-{1 + i % 28:02}" for i in range(N)]),
        pa.array([f"{1 + i % 28}.{1 + i // 28}.2024" for i in range(N)]).dictionary_encode(),
        pa.array(range(N)),
        pa.array([float(i) for i in range(N)]),
        pa.array([f"{2000 + i}" for i in range(N)]),
    ],
    ids=str,
)
def test_times_of_many_kinds_order_rows(times):
    found = usable({"t": times}, time="t")
    assert found.times.dtype in (np.dtype("datetime64[us]"), np.dtype("float64"))
    assert (np.diff(found.times).astype(float) > 0).all()


@pytest.mark.parametrize(
    ("times", "told"),
    [
        (["soon"] * N, "is text that is no date, e.g. 'soon'"),
        (
            [f"2024-01-{1 + i % 28:02}" for i in range(58)] + ["2024-13-45", "x"],
            "2 texts are no dates like the others",
        ),
        ([True, False] * 30, "is of type bool"),
        ([None] * N, "no value in any row"),
        ([dt.time(1, 2)] * N, "must be a date, a time stamp or a number"),
        ([np.inf] * N, "is infinite"),
    ],
)
def test_bad_times(times, told):
    assert told in refused({"t": times}, time="t")


def test_rows_without_a_time_are_left_out_of_a_split_by_time():
    times = [None, *(dt.date(2024, 1, 1) + dt.timedelta(days=i) for i in range(N - 1))]
    found = usable({"t": pa.array(times)}, time="t")
    assert len(found.rows) == N - 1 and "1 rows without a time in 't' are left out" in found.warnings


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ([1, 2, None] * 20, ["1", "2", "(missing)"]),
        ([1.0, 2.5, float("nan")] * 20, ["1", "2.5", "(missing)"]),
        ([True, False, None] * 20, ["true", "false", "(missing)"]),
        (["ä b", None, "[c]"] * 20, ["ä b", "(missing)", "[c]"]),
        (pa.array(["a", "b", None] * 20).dictionary_encode(), ["a", "b", "(missing)"]),
        (
            pa.array([dt.date(2024, 1, 1), dt.date(2024, 1, 2), None] * 20),
            ["2024-01-01", "2024-01-02", "(missing)"],
        ),
        (pa.array([[1], [2], None] * 20), ["[1]", "[2]", "(missing)"]),
    ],
    ids=str,
)
def test_groups_of_any_type_are_text(groups, told):
    found = usable({"g": pa.array(groups)}, group="g")
    assert found.groups[:3].tolist() == told and found.groups.dtype.kind == "U"


def test_long_group_names_do_not_cost_memory_in_every_row():
    found = usable({"g": pa.array(["x" * 5000, *["a"] * (N - 1)])}, group="g")
    assert found.groups.dtype == object and found.groups[1] == "a"


def test_training_rows_of_one_target_are_refused_and_a_fold_is_named():
    target = np.array([5.0, 5.0, 5.0, 1.0, 2.0])
    check_learnable(target, (FoldRows(((0, 4),), (4, 5)),), "y")
    with pytest.raises(DataError, match="target 'y' as modelled is 5 in all 3 training rows, so there is"):
        check_learnable(target, (FoldRows(((0, 3),), (3, 5)),), "y")
    with pytest.raises(DataError, match="in all 2 training rows of a fold"):
        check_learnable(target, (FoldRows(((2, 5),), (0, 2)), FoldRows(((0, 1), (2, 3)), (3, 5))), "y")


def test_groups_are_named_as_they_are_known():
    known = np.asarray(["1", "2", "x y", "true"])
    names = np.asarray(["1.0", "02", "x y", "True", "never", "(missing)"])
    assert as_known(names, known).tolist() == ["1", "2", "x y", "true", "never", "(missing)"]
    assert as_known(known, known) is known
    both = np.asarray(["01", "1"])
    assert as_known(both, both) is both, "what is known by itself is not another's spelling"
    assert as_known(np.asarray(["1.0"]), []).tolist() == ["1.0"]
