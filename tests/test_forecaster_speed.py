"""A prediction is the libraries' work: nothing is done row by row, and haste has changed no forecast."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost as xgb
from forecaster_made_up import LEVELS, train
from hypothesis import given
from hypothesis import strategies as st

from raysearch.calibration import Calibrator
from raysearch.data import encode, objects
from raysearch.data.groups import as_known
from raysearch.models import FitSettings, Frame, get_model, locate, with_location

COLUMNS = ("a b", "größe", "shop", "kind", "when", "said", "open")


def table(rows: int) -> pd.DataFrame:
    """Return rows of every kind of column, of which the same thousand stand again and again."""
    rng = np.random.default_rng(0)
    some = 1000
    frame = pd.DataFrame(
        {
            "a b": rng.normal(size=some),
            "größe": rng.integers(0, 9, size=some).astype(float),
            "shop": rng.choice(["n", "s", "w"], size=some),
            "kind": pd.Categorical(rng.choice(["x", "y", "z"], size=some)),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 9999, size=some), unit="h"),
            "said": rng.choice(["2024-01-31", "2024-02-01", "2023-05-06"], size=some),
            "open": rng.choice([True, False], size=some),
            "nav": rng.uniform(5, 50, size=some),
        }
    )
    frame.loc[::7, ["größe", "shop", "kind"]] = None
    return pd.concat([frame] * (rows // some), ignore_index=True)


def forecaster(model: str, *, located: bool = False):
    """Return a forecaster that is calibrated by groups; ``located``: around a mean."""
    found = train((model,), columns=COLUMNS, frame=table(1000))
    if located:
        rows = Frame(
            found.encoder.transform(pa.Table.from_pandas(table(1000))).features, found.encoder.categorical
        )
        means = locate(get_model(model), rows, table(1000)["nav"].to_numpy(), rows, FitSettings(LEVELS))
        wide = with_location(rows, means.learnt)
        adapter, settings = get_model(model), FitSettings(LEVELS)
        fit = adapter.start(adapter.bin(wide, means.learnt, {}, settings), {}, settings, wide)
        fit.advance(4)
        found = replace(found, members=(replace(found.members[0], files={**fit.dump(), **means.files}),))
    calibrator = Calibrator("group", (0.0, 0.1, 0.2), {"n": (-0.1, 0.0, 0.1), "s": (0.3, 0.0, 0.1)})
    return replace(found, calibrator=calibrator, group="shop")


def steps(predict, rows: int) -> int:
    """Return how many lines of Python, and calls from them, a prediction of so many rows takes."""
    count = 0

    def line(frame, event, arg):
        nonlocal count
        count += 1
        return line

    def call(frame, event, arg):
        nonlocal count
        count += event.startswith("c_")

    frame, before = table(rows), (sys.gettrace(), sys.getprofile())
    sys.settrace(line)
    sys.setprofile(call)
    try:
        predict(frame)
    finally:
        sys.setprofile(before[1])
        sys.settrace(before[0])
    return count


@pytest.mark.parametrize("located", [False, True])
@pytest.mark.parametrize("model", ["lightgbm", "xgboost"])
def test_a_hundred_thousand_rows_take_as_many_steps_of_python_as_a_thousand(model, located):
    found = forecaster(model, located=located)
    found.predict(table(1000))  # loads the boosters, and what is imported at first use
    few, many = steps(found.predict, 1000), steps(found.predict, 100_000)
    assert abs(many - few) <= 50  # a cache or two


@pytest.mark.parametrize(
    "slow",
    [
        lambda values: np.array([value + 0.0 for value in values]),
        lambda values: np.vectorize(lambda value: value + 0.0)(values),
    ],
    ids=["loop", "function"],
)
def test_a_loop_over_rows_would_be_noticed(monkeypatch, slow):
    found = forecaster("lightgbm")
    found.predict(table(1000))
    quick = encode._narrow
    monkeypatch.setattr(encode, "_narrow", lambda values, dtype: quick(slow(values), dtype))
    assert steps(found.predict, 2000) - steps(found.predict, 1000) > 1000


def sorted_twice(calibrator: Calibrator, q, groups):
    """Return calibrated quantiles as they are defined, row by row."""
    told = []
    for row, group in zip(q, groups, strict=True):
        told.append(np.sort(np.sort(row) + np.asarray(calibrator.by_group.get(group, calibrator.offsets))))
    return np.array(told).reshape(q.shape)


OFFSETS = st.tuples(*[st.floats(-2, 2)] * 3)


@given(OFFSETS, st.dictionaries(st.sampled_from("abc"), OFFSETS), st.integers(0, 30), st.booleans())
def test_calibrated_quantiles_are_those_of_each_row_by_itself(offsets, by_group, rows, missing):
    rng = np.random.default_rng(0)
    q, groups = rng.normal(size=(rows, 3)), rng.choice(list("abcd"), size=rows)
    if missing:
        q[::3, 1] = np.nan
    given_q, calibrator = q.copy(), Calibrator("group", offsets, by_group)
    np.testing.assert_array_equal(calibrator.apply(q, groups), sorted_twice(calibrator, q, groups))
    plain = replace(calibrator, by_group={})
    np.testing.assert_array_equal(plain.apply(q), sorted_twice(plain, q, groups))
    np.testing.assert_array_equal(q, given_q)  # what was handed in is the caller's


def test_a_column_of_categories_is_read_as_its_texts_are():
    words = np.array(["n", "s", "w", "NEW", "", None, "other"], dtype=object)
    texts = pd.DataFrame({"shop": words[np.random.default_rng(0).integers(0, 7, 500)], "a b": 0.5})
    order = ["other", "unused", "NEW", "w", "", "s", "n"]  # not that of the rows
    coded = texts.assign(shop=pd.Categorical(texts["shop"], categories=order))
    found = train()
    told = {}
    for name, frame in {"texts": texts, "coded": coded}.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            told[name] = (found.predict(frame), [str(one.message) for one in caught])
    pd.testing.assert_frame_equal(told["texts"][0], told["coded"][0], check_exact=True)
    assert told["texts"][1] == told["coded"][1]
    assert any("not seen in training" in one for one in told["coded"][1])


def test_columns_of_categories_in_pieces_with_other_codes_are_read():
    pieces = [pa.array(words).dictionary_encode() for words in (["n", "w"], ["s", "n", None])]
    parted = pa.table({"shop": pa.chunked_array(pieces), "a b": [0.5] * 5})
    whole = pa.table({"shop": ["n", "w", "s", "n", None], "a b": [0.5] * 5})
    found = train(columns=("a b", "shop"))
    pd.testing.assert_frame_equal(found.predict(parted), found.predict(whole), check_exact=True)


def test_xgboost_says_the_same_of_rows_in_a_matrix_of_its_own():
    found = train(("xgboost",))
    frame = pd.DataFrame({"a b": [0.1, np.nan, 3e38], "größe": [1, 2, 400], "shop": ["n", "new", None]})
    encoded = found.encoder.transform(pa.Table.from_pandas(frame)).features
    booster = xgb.Booster()
    booster.load_model(bytearray(found.members[0].files["model.ubj"]))
    kinds = ["c" if coded else "q" for coded in found.encoder.categorical]
    own = booster.predict(xgb.DMatrix(encoded, feature_types=kinds, enable_categorical=True))
    np.testing.assert_array_equal(found.raw(Frame(encoded, found.encoder.categorical)), own.astype(float))


def test_columns_of_several_kinds_are_their_texts():
    values = [1, "a", None, 2.5, True, np.nan, pd.NA]
    array = objects.table_of(pd.DataFrame({"x": pd.Series(values, dtype=object)}), "rows")["x"]
    assert array.to_pylist() == ["1", "a", None, "2.5", "True", None, None]


def test_groups_are_spelt_as_the_known_ones_are():
    names = np.array(["01", "b", "1.0", "new", "1"])
    assert as_known(names, ["1", "b"]).tolist() == ["1", "b", "1", "new", "1"]
