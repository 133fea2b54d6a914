"""Forecasts of the steps behind a history: the features of training, the future untouched, what is told."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from raysearch.calibration import no_calibration
from raysearch.config import load_config
from raysearch.data import prepare
from raysearch.data.series_ahead import rows_ahead
from raysearch.errors import DataError
from raysearch.forecaster import Forecaster, Member, load_forecaster
from raysearch.models import FitSettings, Frame, get_model

LEVELS = (0.1, 0.5, 0.9)
HORIZON = 6


def sales(days=90, shops=("ä b", "c"), start="2024-01-01"):
    rng = np.random.default_rng(1)
    parts = [
        pd.DataFrame(
            {
                "day": pd.date_range(start, periods=days),
                "shop": shop,
                "size": 10 * len(shop),
                "promo": rng.integers(0, 2, days),
                "y": 20 + 5 * np.sin(np.arange(days) * 2 * np.pi / 7) + rng.normal(size=days),
            }
        )
        for shop in shops
    ]
    return pd.concat(parts, ignore_index=True)


def fit(frame, **data):
    given = {
        "target": "y",
        "time": "day",
        "group": "shop",
        "horizon": HORIZON,
        "lags": [1, 7],
        "windows": [7],
        **data,
    }
    made = prepare(load_config(flags={"data": given, "split": {"test_size": 0.1}}, in_memory=True), frame)
    names = list(made.encoder.features)
    rows = Frame(made.table.select(names), made.encoder.categorical)
    model, settings = get_model("lightgbm"), FitSettings(LEVELS)
    anchor = made.table["anchor"].to_numpy() if made.transform.anchor else None
    y = made.transform.standardise(made.transform.forward(made.table["target"].to_numpy(), anchor))
    fit = model.start(model.bin(rows, y, {"min_data_in_leaf": 5}, settings), {}, settings, rows)
    fit.advance(20)
    forecaster = Forecaster(
        target="y",
        levels=LEVELS,
        members=(Member("lightgbm", fit.dump()),),
        encoder=made.encoder,
        transform=made.transform,
        calibrator=no_calibration(LEVELS),
        series=made.series,
    )
    return forecaster, made


@pytest.fixture(scope="module")
def fitted():
    return fit(sales())


def quiet(call, *args, **words):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*args, **words)


def test_a_forecast_has_the_next_steps_of_each_group(fitted):
    told = quiet(fitted[0].forecast, sales())
    assert list(told.columns) == ["shop", "day", "q0.1", "q0.5", "q0.9"]
    assert told["shop"].tolist() == ["c"] * HORIZON + ["ä b"] * HORIZON
    assert told["day"].tolist() == list(pd.date_range("2024-03-31", periods=HORIZON)) * 2
    assert (np.diff(told[["q0.1", "q0.5", "q0.9"]], axis=1) >= 0).all()
    short = quiet(fitted[0].forecast, sales(), steps=2)
    pd.testing.assert_frame_equal(
        short.reset_index(drop=True), told.groupby("shop").head(2).reset_index(drop=True), check_exact=True
    )


def test_features_of_a_forecast_are_those_of_training(fitted):
    """Every row of training, forecast anew from a history that ends where its own forecast was made."""
    from raysearch.data import read_table

    _, made = fitted
    frame, names = sales(), made.encoder.names
    for row in range(0, made.table.num_rows, 7):
        at = frame.iloc[made.positions[row]]
        cells = {name: made.table.column(names.index(name)).to_numpy()[row] for name in made.series.names}
        ahead = int(cells["steps ahead"])
        known = frame[frame["day"] <= at["day"] - pd.Timedelta(days=ahead)]
        if not (known["shop"] == at["shop"]).any():
            continue
        rows = rows_ahead(made.series, read_table(known), ahead, None, ["shop", "day", "size"])
        mine = (rows.groups.to_pandas() == at["shop"]) & (rows.times == at["day"])
        assert mine.sum() == 1
        again = [rows.table[name].to_numpy()[mine.to_numpy()][0] for name in made.series.names]
        wanted = np.asarray(list(cells.values()))
        assert np.asarray(again).astype(wanted.dtype).tobytes() == wanted.tobytes()


def test_predictions_of_rows_without_a_target_are_forecasts(fitted):
    forecaster, _ = fitted
    history = sales()
    told = quiet(forecaster.forecast, history)
    ahead = told[["shop", "day"]].assign(size=told["shop"].map({"ä b": 30, "c": 10}), y=np.nan)
    both = pd.concat([history, ahead], ignore_index=True).assign(promo=np.nan)
    mixed = both.sample(frac=1, random_state=3)
    predicted = quiet(forecaster.predict, mixed).loc[ahead.index + len(history)]
    assert np.array_equal(predicted.to_numpy(), told[list(predicted.columns)].to_numpy())


def test_rows_with_a_target_are_predicted_as_in_training(fitted):
    forecaster, made = fitted
    predicted = quiet(forecaster.predict, sales())
    frame = Frame(made.table.select(list(made.encoder.features)), made.encoder.categorical)
    told = forecaster.finish(forecaster.raw(frame), made.table["anchor"].to_numpy())
    assert np.array_equal(predicted.iloc[made.positions].to_numpy(), told)


def test_what_comes_after_changes_no_forecast(fitted):
    forecaster, _ = fitted
    history = sales()
    known = history[history["day"] < "2024-03-01"]
    before = quiet(forecaster.forecast, known)
    later = history[history["day"] >= "2024-03-01"].assign(y=np.nan, promo=777)
    pd.testing.assert_frame_equal(
        before, quiet(forecaster.forecast, pd.concat([later, known])), check_exact=True
    )


def test_what_the_future_holds_is_given_or_told_to_be_missing(fitted):
    forecaster, _ = fitted
    with pytest.warns(UserWarning, match="what 'promo' will be is not told") as caught:
        forecaster.forecast(sales())
    assert len(caught) == 1  # 'size' never changes within a shop
    future = quiet(forecaster.forecast, sales())[["shop", "day"]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = forecaster.forecast(sales(), future=future.assign(promo=1).sample(frac=1, random_state=0))
    assert len(told) == 2 * HORIZON
    with pytest.warns(UserWarning, match="none of its rows is one of those to forecast"):
        forecaster.forecast(sales(), future=future.assign(promo=1, day=pd.Timestamp("2030-01-01"))[:1])
    with pytest.raises(DataError, match="future: rows 1 and 2 have the same time"):
        forecaster.forecast(sales(), future=pd.concat([future[:1]] * 2))


def test_files_are_histories_too(fitted, tmp_path):
    forecaster, _ = fitted
    sales().to_csv(tmp_path / "h.csv", index=False)
    pd.testing.assert_frame_equal(
        quiet(forecaster.forecast, tmp_path / "h.csv"), quiet(forecaster.forecast, sales()), check_dtype=False
    )


def test_groups_go_on_from_their_own_latest_row(fitted):
    history = sales()
    history = history[(history["shop"] != "c") | (history["day"] < "2024-02-11")]
    told = quiet(fitted[0].forecast, history)
    assert told.groupby("shop")["day"].min().to_dict() == {
        "c": pd.Timestamp("2024-02-11"),
        "ä b": pd.Timestamp("2024-03-31"),
    }


def test_a_saved_forecaster_forecasts_the_same_bits(fitted, tmp_path):
    forecaster, _ = fitted
    again = load_forecaster(forecaster.save(tmp_path / "m"))
    assert again.series == forecaster.series
    pd.testing.assert_frame_equal(
        quiet(again.forecast, sales()), quiet(forecaster.forecast, sales()), check_exact=True
    )


def test_a_forecaster_without_series_is_saved_as_before(fitted, tmp_path):
    import dataclasses

    plain = dataclasses.replace(fitted[0], series=None)
    content = json.loads((plain.save(tmp_path / "m") / "forecaster.json").read_text())
    assert "series" not in content and content["format"] == 1
    with pytest.raises(DataError, match="made without --horizon; ask it with predict"):
        load_forecaster(tmp_path / "m").forecast(sales())


def test_the_columns_that_a_service_is_sent(fitted):
    assert dict(fitted[0].input_columns) == {
        "day": "datetime",
        "y": "double",
        "shop": "string",
        "size": "double",
        "promo": "double",
    }


@pytest.mark.parametrize(
    ("change", "words", "told"),
    [
        (lambda f: f, {"steps": 7}, "got 7 steps, must be from 1 to 6"),
        (lambda f: f, {"steps": 0}, "got 0 steps"),
        (lambda f: f.drop(columns="y"), {}, "history: columns 'y' are missing"),
        (lambda f: f.assign(y=np.nan), {}, "no row has a time and a value of 'y'"),
        (lambda f: pd.concat([f, f]), {}, "history: rows 91 and 271 of shop 'c' have the same time"),
    ],
)
def test_what_cannot_be_is_refused(fitted, change, words, told):
    with pytest.raises(DataError) as caught:
        fitted[0].forecast(change(sales()), **words)
    assert told in str(caught.value)


def test_predict_without_the_past_is_refused_and_too_far_is_told(fitted):
    with pytest.raises(DataError, match="so bring the rows before those to predict"):
        fitted[0].predict(sales().drop(columns="y"))
    far = pd.DataFrame({"day": [pd.Timestamp("2024-06-01")], "shop": "c", "y": [np.nan]})
    with pytest.warns(UserWarning, match="1 rows lie more than 6 steps"):
        fitted[0].predict(pd.concat([sales(), far]))
    with pytest.warns(UserWarning, match="have no value of 'y' before them"):
        fitted[0].predict(far)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC"])
@pytest.mark.parametrize("frequency", ["D", "h"])
def test_zones_come_back_as_they_went_in(zone, frequency):
    frame = sales(shops=("c", "d"), start="2024-03-01").assign(
        day=lambda f: np.tile(pd.date_range("2024-03-29", periods=90, freq=frequency, tz=zone), 2)
    )
    forecaster, _ = fit(frame)
    told = quiet(forecaster.forecast, frame)
    expected = pd.date_range("2024-03-29", periods=90 + HORIZON, freq=frequency, tz=zone)[-HORIZON:]
    assert [str(time) for time in told["day"][:HORIZON]] == [str(time) for time in expected]


def test_numbers_are_times():
    frame = sales().assign(day=np.tile(np.arange(90) * 2, 2))
    forecaster, _ = fit(frame)
    assert quiet(forecaster.forecast, frame)["day"][:3].tolist() == [180.0, 182.0, 184.0]


def test_calibration_rows_bring_their_past(fitted):
    again = fitted[0].recalibrate(sales(), "marginal")
    assert again.calibrator.kind == "marginal" and again.series == fitted[0].series


def test_a_trend_is_carried_on_as_a_change():
    """Rising by 1 a day: the level of the next days was never seen, the change from the newest week was."""
    days = np.arange(90)
    frame = pd.concat(
        [sales().iloc[:90].assign(shop=s, y=days + base) for s, base in (("a", 0.0), ("b", 500.0))]
    )
    frame["y"] += np.random.default_rng(0).normal(size=180) * 0.1
    forecaster, made = fit(frame)
    told = quiet(forecaster.forecast, frame)
    assert told["q0.5"].to_numpy() == pytest.approx(np.r_[90:96, 590:596], abs=2.5)
    assert made.transform.name("y") == "change of y"
    assert "y mean of last 7" not in forecaster.input_columns
    empty = pd.DataFrame({"day": [pd.Timestamp("2024-06-01")], "shop": "c", "y": [np.nan]})
    with pytest.warns(UserWarning, match="1 values are missing; no forecast for their rows"):
        assert forecaster.predict(empty).isna().all(axis=None)
