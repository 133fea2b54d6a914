"""What a user keeps: the same forecasts from any kind of table, and clear words where it cannot."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forecaster_made_up import table, train

from raysearch.data import Transform
from raysearch.errors import DataError
from raysearch.forecaster import level_name, load_forecaster
from raysearch.models import Frame


@pytest.fixture(scope="module")
def plain():
    return train(("lightgbm", "xgboost"))


@pytest.fixture(scope="module")
def growth():
    return train(transform=Transform("log", "nav"))


def test_one_column_a_level_never_decreasing(plain):
    rng = np.random.default_rng(0)
    odd = table(400, 2).assign(**{"a b": rng.normal(size=400) * 100, "größe": rng.integers(-99, 99, 400)})
    q = plain.predict(odd)
    assert list(q.columns) == list(plain.columns) == ["q0.05", "q0.5", "q0.95"]
    assert (np.diff(q.to_numpy(), axis=1) >= 0).all()
    assert len(q) == 400 and np.isfinite(q.to_numpy()).all()


@pytest.mark.parametrize(
    ("level", "name"), [(0.05, "q0.05"), (0.5, "q0.5"), (0.9999999, "q0.9999999"), (0.1, "q0.1")]
)
def test_level_names(level, name):
    assert level_name(level) == name


def test_the_index_is_kept(plain):
    rows = table(4)
    for index in (["w", "x", "x", "z"], pd.date_range("2024-01-01", periods=4), pd.RangeIndex(5, 9)):
        q = plain.predict(rows.set_axis(pd.Index(index, name="key"), axis=0))
        pd.testing.assert_index_equal(q.index, pd.Index(index, name="key"))


def test_any_kind_of_table_gives_the_same(plain, tmp_path):
    rows = table(40, 3)
    expected = plain.predict(rows).to_numpy()
    rows.to_csv(tmp_path / "rows.csv", index=False)
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), tmp_path / "rows.parquet")
    given = [
        pl.from_pandas(rows),
        pa.Table.from_pandas(rows),
        tmp_path / "rows.csv",
        str(tmp_path / "rows.parquet"),
    ]
    for data in given:
        np.testing.assert_allclose(plain.predict(data).to_numpy(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(plain, growth, rows):
    some = table(50, 4)
    for made in (plain, growth):
        full = made.predict(some).iloc[:rows]
        for data in (
            some.iloc[:rows],
            pl.from_pandas(some.iloc[:rows]),
            pa.Table.from_pandas(some).slice(0, rows),
        ):
            q = made.predict(data)
            assert list(q.columns) == list(made.columns)
            assert (q.dtypes == np.float64).all()
            np.testing.assert_allclose(q.to_numpy(), full.to_numpy(), rtol=0, atol=1e-9)
    assert list(plain.predict(some.iloc[:rows]).index) == list(some.index[:rows])


def test_order_and_number_of_columns_do_not_matter(plain):
    rows = table(20)
    expected = plain.predict(rows)
    pd.testing.assert_frame_equal(plain.predict(rows[rows.columns[::-1]].assign(more=1)), expected)


def test_a_single_column_is_enough_where_the_model_has_one():
    made = train(columns=("a b",))
    rows = table(9)
    np.testing.assert_array_equal(made.predict(rows[["a b"]]), made.predict(rows))


def test_what_is_missing_or_unseen_is_told_and_forecast(plain):
    rows = table(20)
    with pytest.warns(UserWarning, match="'größe'"):
        without = plain.predict(rows.drop(columns="größe"))
    assert np.isfinite(without.to_numpy()).all()
    with pytest.warns(UserWarning, match="shop"):
        unseen = plain.predict(rows.assign(shop="elsewhere"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        missing = plain.predict(rows.assign(shop=None))
    pd.testing.assert_frame_equal(unseen, missing)
    with pytest.raises(DataError, match="none of the model's columns"):
        plain.predict(pd.DataFrame({"x": [1], "y": [2]}))
    with pytest.raises(DataError, match="rows to predict"):
        plain.predict("/nowhere.csv")


def test_growth_is_told_in_the_units_of_its_anchor(growth):
    rows = table(20)
    twice = growth.predict(rows.assign(nav=rows["nav"] * 2))
    np.testing.assert_allclose(twice, 2 * growth.predict(rows))
    whole = rows.assign(nav=7)
    np.testing.assert_allclose(growth.predict(whole), growth.predict(rows.assign(nav=7.0)))
    np.testing.assert_allclose(growth.predict(rows.assign(nav="7.0")), growth.predict(whole))


def test_without_its_anchor_growth_has_no_forecast(growth):
    rows = table(6)
    with pytest.raises(DataError, match="column 'nav' is missing; the model predicts growth relative to it"):
        growth.predict(rows.drop(columns="nav"))
    for bad in ("much", [[1]] * 6, pd.Timestamp("2024-01-01"), [b"x"] * 6):
        with pytest.raises(DataError, match="column 'nav' must hold numbers"):
            growth.predict(rows.assign(nav=bad))


def test_rows_without_a_usable_anchor_are_told_and_empty(growth):
    rows = table(6).assign(nav=[1.0, np.nan, 0.0, -3.0, np.inf, 2.0])
    with pytest.warns(UserWarning, match="'nav': 4 values are missing or not above 0; no forecast"):
        q = growth.predict(rows)
    assert list(q.isna().all(axis=1)) == [False, True, True, True, True, False]
    assert np.isfinite(q.iloc[[0, 5]].to_numpy()).all()


def test_several_members_are_averaged_on_the_modelled_scale():
    both = train(("lightgbm", "xgboost"), Transform("log"))
    single = [replace(both, members=(member,)) for member in both.members]
    rows = Frame(both.encoder.transform(pa.Table.from_pandas(table(30))).features, both.encoder.categorical)
    mean = np.mean([s.raw(rows) for s in single], axis=0)
    np.testing.assert_allclose(both.raw(rows), mean)
    np.testing.assert_allclose(both.finish(both.raw(rows), None), np.exp(np.sort(mean, axis=1)))


def test_importance_is_a_share_of_each_feature(plain):
    shares = plain.feature_importance()
    assert set(shares) == {"a b", "größe", "shop"}
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_without_rows_gets_a_table_without_rows(plain, tmp_path, ending):
    path = tmp_path / f"none.{ending}"
    none = table().head(0)
    write = {"csv": none.to_csv, "parquet": none.to_parquet}[ending]
    write(path, index=False)
    predicted = plain.predict(path)
    assert predicted.shape == (0, 3)
    assert list(predicted.columns) == ["q0.05", "q0.5", "q0.95"]


def test_an_object_without_rows_gets_a_table_without_rows(plain, growth):
    assert plain.predict(table().head(0)).shape == (0, 3)
    assert growth.predict(table().head(0)).shape == (0, 3)


def sold(rows, seed):
    """Return rows as ``train`` learns from them with their target, which spreads wider than it has seen."""
    frame = table(rows, seed)
    noise = np.random.default_rng(seed).normal(size=rows) * np.where(frame["shop"] == "s", 9.0, 1.0)
    sums = frame["nav"] * np.exp(0.1 * frame["a b"]) + noise
    return frame.assign(**{"nav ahead": np.maximum(sums, 0.5)})


def held(forecaster, frame):
    q = forecaster.predict(frame).to_numpy()
    return float(((frame["nav ahead"] >= q[:, 0]) & (frame["nav ahead"] <= q[:, -1])).mean())


@pytest.mark.parametrize("which", ["plain", "growth"])
def test_other_rows_calibrate_it_without_training(request, which, tmp_path):
    before = request.getfixturevalue(which)
    after = before.recalibrate(sold(1500, 1), kind="marginal")
    assert after.members == before.members
    new = sold(1500, 2)
    assert abs(held(after, new) - 0.9) < 0.03 < abs(held(before, new) - 0.9)
    assert load_forecaster(after.save(tmp_path / "m")) == after
    assert held(load_forecaster(tmp_path / "m"), new) == held(after, new)
    assert after.recalibrate(sold(50, 3)).calibrator.rows == 50


def test_each_group_can_be_calibrated_by_itself(plain, tmp_path):
    by_shop = replace(plain, group="shop").recalibrate(sold(3000, 1), kind="group")
    new = sold(3000, 2)
    for shop in ("n", "s", "w"):
        assert abs(held(by_shop, new[new["shop"] == shop]) - 0.9) < 0.04
    with pytest.warns(UserWarning, match="'shop' is missing: all rows are calibrated alike"):
        assert len(by_shop.predict(new.drop(columns="shop"))) == 3000
    unknown = by_shop.predict(new.head(2).assign(shop=["never", None]))
    assert np.isfinite(unknown.to_numpy()).all()


@pytest.mark.parametrize(
    ("frame", "kind", "told"),
    [
        (sold(9, 0).drop(columns="nav ahead"), None, "'nav ahead', the target, is missing"),
        (sold(9, 0).assign(**{"nav ahead": np.nan}), None, "no row has a value of 'nav ahead'"),
        (sold(9, 0), "sideways", "calibration: got 'sideways', must be one of 'none', 'marginal'"),
    ],
)
def test_rows_that_cannot_calibrate_are_refused(plain, frame, kind, told):
    with pytest.raises(DataError, match=told):
        plain.recalibrate(frame, kind)


def test_the_group_is_among_the_columns_that_are_read_even_where_it_is_no_feature():
    frame = table()
    dropped = train(columns=("a b", "größe"), frame=frame)
    assert dict(replace(dropped, group="shop").input_columns)["shop"] == "string"
    assert "shop" not in dropped.input_columns


def test_rows_of_weight_0_calibrate_nothing(plain):
    weighted = replace(plain, weight="w")
    frame = sold(300, 1)
    frame.loc[:49, "nav ahead"] = 1e6
    by_all = weighted.recalibrate(frame.assign(w=np.where(frame.index < 50, 0.0, 1.0)), "steady")
    np.testing.assert_allclose(
        by_all.calibrator.offsets, plain.recalibrate(frame.iloc[50:], "steady").calibrator.offsets
    )


def test_calibration_by_group_is_refused_where_there_is_none(plain):
    with pytest.raises(DataError, match="the model knows of no groups"):
        plain.recalibrate(sold(50, 0), "group")
    with pytest.raises(DataError, match="column 'shop' is missing"):
        replace(plain, group="shop").recalibrate(sold(50, 0).drop(columns="shop"), "group")


def test_groups_that_another_file_writes_otherwise_have_their_own_offsets(plain):
    numbers = {"n": "1", "s": "2", "w": "3"}
    frame = sold(3000, 1)
    by_shop = replace(plain, group="g").recalibrate(frame.assign(g=frame["shop"].map(numbers)), "group")
    new = sold(100, 2)
    known = by_shop.predict(new.assign(g=new["shop"].map(numbers)))
    again = by_shop.predict(new.assign(g=new["shop"].map(numbers) + ".0"))
    np.testing.assert_array_equal(again, known)
