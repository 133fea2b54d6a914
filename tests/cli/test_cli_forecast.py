"""``--horizon`` from the command line: checked, searched, forecast to a file, refused in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

SERIES = ["--time", "day", "--group", "store", "--horizon", "3", "--lags", "1,7", "--windows", "7"]


@pytest.fixture
def series(place):
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=80).strftime("%Y-%m-%d")
    frames = [pd.DataFrame({"day": days, "store": s, "demand": rng.normal(size=80)}) for s in ("Nord", "Q 4")]
    pd.concat(frames).to_csv(place.root / "t.csv", index=False)
    return place


def test_check_tells_what_was_found(invoke, series):
    result = invoke("check", *series.data, *SERIES, *series.quick, "--no-tracking")
    assert result.exit_code == 0, result.stderr
    told = " ".join(result.stdout.split())
    assert "a step is 1 day; forecasts of 1 to 3 steps ahead from lags 1, 7 and windows 7" in told
    assert "demand lag 7" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--horizon", "3"], ["data.horizon: needs the column that orders the rows, e.g. --time date"]),
        (["--lags", "1,7"], ["data.lags: needs the steps ahead to forecast, e.g. --horizon 14"]),
        ([*SERIES, "--split", "random"], ["cannot be split at random"]),
        ([*SERIES, "--past", "rain"], ["no column 'rain' for data.past"]),
        (["--time", "day", "--horizon", "3"], ["have the same time", "--group"]),
    ],
)
def test_refusals(invoke, refused, series, words, told):
    refused(invoke("check", *series.data, *words, *series.quick, "--no-tracking"), told)


def test_lists_that_are_none_are_told(invoke, series):
    result = invoke("check", *series.data, "--lags", "1,x")
    assert result.exit_code == 2 and "not a list of whole numbers" in result.stderr


def test_forecast_needs_one_model(invoke, refused, series):
    refused(invoke("forecast", "--data", "t.csv", "--out", "o.csv"), ["forecast: name one of --study NAME"])


@pytest.mark.slow
def test_a_study_forecasts_to_a_file(invoke, series, told):
    done = invoke("tune", *series.data, *SERIES, *series.quick, "--no-tracking", "--study", "s")
    assert done.exit_code == 0, done.stderr
    result = invoke(
        "forecast", "--study", "s", "--data", "t.csv", "--out", "next.csv", "--steps", "2", "--json"
    )
    assert result.exit_code == 0, result.stderr
    assert told(result.stdout)["rows"] == 4
    frame = pd.read_csv("next.csv", dtype=str)
    assert list(frame.columns[:2]) == ["store", "day"]
    assert frame["day"].tolist() == ["2024-03-21", "2024-03-22"] * 2
    more = invoke("resume", "s", "--trials", "3", "--json")
    assert more.exit_code == 0, more.stderr
    assert told(more.stdout)["trials"]["finished"] >= 1
