"""Lags and windows, worked by hand and against pandas; nothing later is ever looked at."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysearch.data import past
from raysearch.data.past import History, Rows, drawn_steps, lagged, window_statistics
from raysearch.errors import DataError


def rows(codes, index):
    return Rows(np.asarray(codes, np.int64), np.asarray(index, np.int64))


def history(codes, index, values):
    return History(rows(codes, index), np.asarray(values, float))


# Steps 0 to 9 hold 0, 10, ..., 90, but step 5 has no row and step 7 no value.
STEPS = [0, 1, 2, 3, 4, 6, 7, 8, 9]
KNOWN = history([0] * 9, STEPS, [0, 10, 20, 30, 40, 60, np.nan, 80, 90])


@pytest.mark.parametrize(
    ("lag", "ahead", "value", "mean"),
    [
        (1, 1, 90, (90 + 80 + 60) / 3),  # steps 9, 8, 7 and 6: one is missing
        (1, 2, 80, (80 + 60) / 2),
        (1, 3, np.nan, (60 + 40) / 2),
        (3, 1, np.nan, (40 + 10) / 2),  # steps 7, 4, 1, -2
        (3, 3, np.nan, (40 + 10) / 2),
        (3, 4, 40, (40 + 10) / 2),  # three steps before is not known yet: six are
        (4, 2, 60, (60 + 20) / 2),
        (10, 10, 0, 0),
        (11, 1, np.nan, np.nan),
    ],
)
def test_lags_by_hand(lag, ahead, value, mean):
    found = lagged(KNOWN, rows([0], [10]), np.asarray([ahead]), lag)
    assert found[0][0] == pytest.approx(value, nan_ok=True)
    assert found[1][0] == pytest.approx(mean, nan_ok=True)


def test_windows_by_hand():
    names = ("mean", "deviation", "q0.1", "q0.5", "q0.9")
    found = window_statistics(KNOWN, rows([0, 0], [10, 10]), np.asarray([1, 4]), (4, 2))
    told = {
        f"{name} {length}": cells
        for (length, name), cells in zip([(n, w) for n in (4, 2) for w in names], found, strict=True)
    }
    # One step ahead steps 6 to 9 hold 60, nothing, 80, 90; four ahead 3 to 6 hold 30, 40, nothing, 60.
    assert told["mean 4"] == pytest.approx([230 / 3, 130 / 3])
    assert told["deviation 4"] == pytest.approx([np.std([60, 80, 90], ddof=1), np.std([30, 40, 60], ddof=1)])
    assert told["q0.5 4"] == pytest.approx([80, 40])
    assert told["q0.1 4"] == pytest.approx([64, 32])
    assert told["mean 2"] == pytest.approx([85, 60])
    assert told["deviation 2"] == pytest.approx([np.std([80, 90], ddof=1), np.nan], nan_ok=True)


def test_full_windows_are_those_of_pandas(monkeypatch):
    monkeypatch.setattr(past, "_CELLS", 100)  # several blocks
    y = pd.Series(np.random.default_rng(0).normal(size=200))
    found = window_statistics(
        history([0] * 200, range(200), y), rows([0] * 200, range(200)), np.ones(200, int), (7,)
    )
    rolling = y.shift(1).rolling(7, min_periods=1)
    for cells, expected in zip(
        found, [rolling.mean(), rolling.std(), *(rolling.quantile(q) for q in past.QUANTILES)], strict=True
    ):
        np.testing.assert_allclose(cells, expected, atol=1e-12)


def test_series_are_apart():
    both = history([0, 1, 1], [5, 4, 5], [1.0, 2.0, 3.0])
    ask = rows([0, 1, 2], [6, 6, 6])
    newest, mean = lagged(both, ask, np.ones(3, int), 1)
    assert newest.tolist()[:2] == [1.0, 3.0] and np.isnan(newest[2])
    assert mean.tolist()[:2] == [1.0, 2.5]
    assert window_statistics(both, ask, np.ones(3, int), (9,))[0][:2].tolist() == [1.0, 2.5]
    assert both.latest(ask.codes, np.asarray([9, 5, 9])).tolist() == [4, 1, 0]


def test_nothing_known_is_missing():
    empty = history([0], [3], [np.nan])
    ask = rows([0], [4])
    assert np.isnan(lagged(empty, ask, np.ones(1, int), 1)).all()
    assert np.isnan(window_statistics(empty, ask, np.ones(1, int), (2, 3))).all()
    assert empty.latest(ask.codes, ask.index).tolist() == [0]


def test_times_across_too_many_steps_are_refused():
    with pytest.raises(DataError, match="too many steps"):
        history([0, 5], [0, 2**61], [1.0, 2.0])


def test_steps_are_drawn_evenly_and_by_the_row_alone():
    many = rows(np.repeat([0, 1], 7000), np.tile(np.arange(7000), 2))
    steps = drawn_steps(many, ["a", "ü b"], 14)
    counts = np.bincount(steps, minlength=15)
    assert counts[0] == 0 and counts[1:].min() > 850 and counts[1:].max() < 1150
    by_weekday = [np.bincount(steps[many.index % 7 == day], minlength=15)[1:].min() for day in range(7)]
    assert min(by_weekday) > 90  # no step belongs to a day of the week
    assert (steps[:7000] != steps[7000:]).mean() > 0.8
    other = drawn_steps(rows([1], [123]), ["new", "a"], 14)
    assert other[0] == steps[123]
    assert (drawn_steps(many, ["a", "b"], 1) == 1).all()


series = st.lists(st.tuples(st.integers(0, 3), st.integers(-40, 40)), min_size=1, max_size=60, unique=True)


@settings(deadline=None)
@given(series, st.integers(1, 9), st.integers(1, 12), st.integers(2, 12), st.randoms(use_true_random=False))
def test_what_lies_after_the_origin_changes_no_bit(places, ahead, lag, window, random):
    codes, index = (np.asarray(part, np.int64) for part in zip(*places, strict=True))
    values = np.asarray([random.choice([random.gauss(0, 1e3), np.nan]) for _ in places])
    origin = random.randint(-40, 40)
    row = rows([random.randint(0, 3)], [origin + ahead])
    steps = np.asarray([ahead])

    def features(known):
        return [*lagged(known, row, steps, lag), *window_statistics(known, row, steps, (window, 2 * window))]

    before = features(history(codes, index, values))
    later = index > origin
    changed = np.where(later, [random.gauss(0, 1e9) for _ in places], values)
    mixed = np.asarray(random.sample(range(len(places)), len(places)))
    for known in (
        history(codes, index, changed),
        history(codes[~later], index[~later], values[~later]),  # the future is not there at all
        history(codes[mixed], index[mixed], values[mixed]),
        history(codes, index, np.where(codes == row.codes[0], values, changed / 7)),  # nor other series
    ):
        for old, new in zip(before, features(known), strict=True):
            assert old.tobytes() == new.tobytes()
