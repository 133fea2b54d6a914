"""Grids of times: found, told and continued; what is no grid is told in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysearch.config import load_config
from raysearch.data.grid import BUSINESS, FIXED, MONTHS, NUMBERS, Grid, find_grid, parse_frequency
from raysearch.data.series_fit import fit_series


def stamps(*args, **words):
    return pd.date_range(*args, **words).as_unit("us").to_numpy("datetime64[us]")


def one(times):
    return find_grid(times, np.zeros(len(times), np.int64))


@pytest.mark.parametrize(
    ("frequency", "word", "unit"),
    [
        ("15min", "15 minutes", FIXED),
        ("h", "1 hour", FIXED),
        ("D", "1 day", FIXED),
        ("2D", "2 days", FIXED),
        ("B", "1 business day", BUSINESS),
        ("W-TUE", "1 week", FIXED),
        ("MS", "1 month", MONTHS),
        ("ME", "1 month", MONTHS),
        ("QS", "1 quarter", MONTHS),
        ("QE", "1 quarter", MONTHS),
        ("YS", "1 year", MONTHS),
        ("YE", "1 year", MONTHS),
    ],
)
def test_the_usual_frequencies_are_found_and_continued(frequency, word, unit):
    times = stamps("2019-11-04", periods=40, freq=frequency)
    grid = one(times)
    assert (grid.word, grid.unit) == (word, unit)
    index = grid.index(times)
    assert np.array_equal(np.diff(index), np.ones(39))
    assert np.array_equal(grid.ahead(times[:1].repeat(39), np.arange(1, 40)), times[1:])
    assert Grid(**grid.to_json()) == grid


def test_gaps_are_so_many_steps_and_the_order_of_rows_does_not_matter():
    times = stamps("2024-01-01", periods=100, freq="D")
    kept = np.delete(times, [3, 4, 50])
    assert one(kept) == one(times[::-1]) == one(times)
    assert one(kept).index(kept[[2, 3]]).tolist() == [one(times).index(times[2]), one(times).index(times[5])]


def test_series_may_begin_and_end_anywhere_and_be_shifted():
    times = np.concatenate(
        [stamps("2024-01-01", periods=9, freq="h"), stamps("2024-03-01 00:30", periods=9, freq="h")]
    )
    grid = find_grid(times, np.repeat([0, 1], 9))
    assert grid.word == "1 hour" and np.array_equal(np.diff(grid.index(times))[[0, 9]], [1, 1])


def test_sparse_days_are_still_days():
    rng = np.random.default_rng(0)
    times = stamps("2024-01-01", periods=2000, freq="D")[np.sort(rng.choice(2000, 300, replace=False))]
    assert one(times).word == "1 day"


def test_numbers():
    assert one(np.arange(50.0)) == Grid(NUMBERS, 1.0)
    assert one(np.arange(50.0) * 10 + 3) == Grid(NUMBERS, 10.0)
    tenth = one(np.arange(50) * 0.1)
    assert tenth.index(np.arange(50) * 0.1).tolist() == list(range(50))
    assert tenth.ahead(np.asarray([4.9]), np.asarray([1]))[0] == pytest.approx(5.0)


@pytest.mark.parametrize("stray", ["2024-01-03 07:13", "2024-01-03 12:00"])
def test_a_time_between_the_steps_is_told(stray):
    times = np.append(stamps("2024-01-01", periods=60, freq="D"), np.datetime64(stray, "us"))
    told = one(times)
    assert "the usual step is 1 day" in told and stray.replace(" ", "T") in told and "--frequency" in told


def test_one_row_a_series_is_no_grid():
    times = stamps("2024-01-01", periods=3, freq="D")
    assert find_grid(times, np.arange(3)) == "no series has two different times"


@pytest.mark.parametrize(
    ("text", "grid"),
    [
        ("h", Grid(FIXED, 3600e6)),
        ("15min", Grid(FIXED, 900e6)),
        ("W-SUN", Grid(FIXED, 7 * 86400e6)),
        ("M", Grid(MONTHS, 1)),
        ("2Q", Grid(MONTHS, 6)),
        ("ME", Grid(MONTHS, 1, month_end=True)),
        ("b", Grid(BUSINESS, 1)),
        ("0.5", Grid(NUMBERS, 0.5)),
        ("", None),
        ("0", None),
        ("fortnight", None),
        ("1.5h", None),
        ("2B", None),
        ("-1D", None),
    ],
)
def test_frequencies_as_pandas_writes_them(text, grid):
    assert parse_frequency(text) == grid


def test_times_within_a_named_step_share_it():
    grid = parse_frequency("h")
    times = np.asarray(["2024-01-01T10:00:03", "2024-01-01T10:59:59", "2024-01-01T11:00"], "datetime64[us]")
    assert np.diff(grid.index(times)).tolist() == [0, 1]


def test_weeks_begin_on_monday_and_months_keep_their_day():
    week = parse_frequency("W").index(
        np.asarray(["2024-01-01", "2024-01-07", "2024-01-08"], "datetime64[us]")
    )
    assert np.diff(week).tolist() == [0, 1]
    month = parse_frequency("MS").ahead(np.asarray(["2024-01-31T06:00"], "datetime64[us]"), np.asarray([1]))
    assert str(month[0]) == "2024-02-29T06:00:00.000000"


@given(st.integers(1, 400), st.lists(st.integers(1, 30), min_size=3, max_size=30))
def test_every_time_lies_where_its_distance_says(step, apart):
    times = np.cumsum(np.asarray([1, *apart, 1, 1, 1]) * step).astype(float)
    grid = one(times)
    if isinstance(grid, Grid):
        assert np.array_equal(np.diff(grid.index(times)) * grid.step, np.diff(times))


@pytest.mark.parametrize("frequency", ["M", "Q", "Y"])
def test_a_frequency_in_months_ends_months_where_the_times_do(frequency):
    ends = pd.date_range("2015-01-31", periods=120, freq={"M": "ME", "Q": "QE", "Y": "YE"}[frequency])
    frame = pd.DataFrame({"t": ends, "y": np.arange(120.0)})
    data = {"target": "y", "time": "t", "horizon": 1, "lags": [1], "windows": [3], "frequency": frequency}
    series = fit_series(pa.Table.from_pandas(frame), load_config(flags={"data": data}, in_memory=True).data)
    assert series.grid.month_end
    begins = frame.assign(t=ends + pd.Timedelta(days=1))
    series = fit_series(pa.Table.from_pandas(begins), load_config(flags={"data": data}, in_memory=True).data)
    assert not series.grid.month_end


@pytest.mark.parametrize(("form", "freq"), [("%Y%m%d", "D"), ("%Y%m", "MS")])
def test_dates_written_as_numbers_are_no_grid(form, freq):
    days = pd.date_range("2023-11-01", periods=90, freq=freq)
    numbers = days.strftime(form).astype(float).to_numpy()
    told = find_grid(numbers, np.zeros(90, np.int64))
    assert isinstance(told, str) and "write them as 2024-01-31" in told


@pytest.mark.parametrize("first", [0, 1, 190_001, 20_240_131, 20_240_100])
def test_plain_numbers_stay_numbers(first):
    found = find_grid(np.arange(first, first + 400.0), np.zeros(400, np.int64))
    assert found == Grid(NUMBERS, 1.0)
