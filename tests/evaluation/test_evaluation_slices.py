"""Parts of the rows and rivals: who is in which, and figures by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysearch.evaluation import Forecast, Forecasts, make_rivals, make_slices
from raysearch.evaluation.slices import by_forecast, by_group, by_outcome, by_time
from raysearch.metrics import pinball_losses

LEVELS = (0.1, 0.5, 0.9)
HOURS = np.arange(24) * np.timedelta64(1, "h")


def days(count, start="2021-01-01", step=1):
    return np.datetime64(start, "us") + np.arange(count) * np.timedelta64(step, "D")


def forecast(q):
    return Forecast(q, np.zeros(len(q), dtype=bool))


def made_up(rows=400, blocks=None, **rivals):
    rng = np.random.default_rng(0)
    x = rng.normal(size=rows)
    y = x + rng.normal(size=rows)
    q = x[:, None] + np.array([-1.2816, 0.0, 1.2816])
    constant = np.tile(np.quantile(y, LEVELS), (rows, 1))
    told = {"default": forecast(q + 0.5), "constant": forecast(constant), **rivals}
    return Forecasts("test", LEVELS, y, forecast(q), told, blocks)


@pytest.mark.parametrize(
    ("times", "names"),
    [
        (days(365), ["2021-01", "2021-12"]),
        (days(1000), ["2021-Q1", "2023-Q3"]),
        (days(3200), ["2021", "2029"]),
        (np.repeat(days(4), 30), ["2021-01-01", "2021-01-04"]),
        (days(1) + np.repeat(HOURS[:5], 60), ["2021-01-01 00h", "2021-01-01 04h"]),
        (days(1000, "1965-02-01"), ["1965-Q1", "1967-Q4"]),
    ],
)  # fmt: skip
def test_times_are_told_by_calendar_where_that_fits(times, names):
    found = by_time(times)
    assert 3 <= len(found) <= 12
    assert [found[0][0], found[-1][0]] == names
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in found]), np.arange(len(times)))


def test_other_times_are_told_by_stretches_of_like_size():
    # Fifty days are no calendar periods of at least twenty rows: two stretches, of 25 days each.
    assert [name for name, _ in by_time(days(50))] == ["2021-01-01 to 2021-01-25", "2021-01-26 to 2021-02-19"]
    found = by_time(np.arange(1000) // 7 / 2)
    assert [name for name, _ in found][:2] == ["0 to 6.5", "7 to 14"]
    assert all(90 <= len(rows) <= 110 for _, rows in found) and len(found) == 10


def test_equal_times_stay_together_and_rows_without_a_time_are_in_no_period():
    times = days(400)
    times[::7] = np.datetime64("NaT")
    found = by_time(times)
    assert sorted(np.concatenate([rows for _, rows in found])) == np.flatnonzero(~np.isnat(times)).tolist()
    assert by_time(np.repeat(3.0, 500)) == []
    assert by_time(np.full(100, np.nan)) == [] and by_time(days(0)) == []
    assert by_time(days(30)) == []  # too few rows for two parts


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=0, max_size=300))
def test_every_row_is_in_one_period_at_most_and_periods_follow_each_other(values):
    times = np.asarray(values, dtype=float)
    found = by_time(times)
    rows = np.concatenate([rows for _, rows in found]) if found else np.empty(0)
    assert len(set(rows.tolist())) == len(rows) == (len(times) if found else 0)
    for (_, before), (_, after) in pairwise(found):
        assert times[before].max() < times[after].min()
    assert len({name for name, _ in found}) == len(found) <= 10


def test_groups_are_told_the_largest_first():
    found = by_group(np.array(["b", "a", "c", "c", "", "b", "c"]))
    assert [(name, rows.tolist()) for name, rows in found] == [
        ("c", [2, 3, 6]), ("b", [0, 5]), ("", [4]), ("a", [1]),
    ]  # fmt: skip


def test_rows_by_their_forecast_by_hand():
    width, middle = np.arange(200.0), np.arange(200.0)[::-1]
    found = dict(by_forecast(np.column_stack([middle - width, middle, middle + width]), LEVELS))
    assert {name: (rows.min(), rows.max(), len(rows)) for name, rows in found.items()} == {
        "narrowest tenth of intervals": (0, 19, 20),
        "widest tenth of intervals": (180, 199, 20),
        "lowest tenth of medians": (180, 199, 20),
        "highest tenth of medians": (0, 19, 20),
    }
    assert len(by_forecast(middle[:, None], (0.5,))) == 2  # no interval, no width
    assert by_forecast(np.zeros((300, 3)), LEVELS) == []  # all alike: there is no tenth
    assert by_forecast(np.zeros((0, 3)), LEVELS) == []


def test_rows_by_their_outcome_by_hand():
    y = np.array([-1.0, 0.0, 5.0, 9.0, 9.1])
    constant = np.tile([0.0, 5.0, 9.0], (5, 1))
    found = by_outcome(y, constant, LEVELS)
    assert [(name, rows.tolist()) for name, rows in found] == [
        ("truth below constant q0.1", [0]), ("truth above constant q0.9", [4]),
    ]  # fmt: skip
    assert by_outcome(y, constant - 100, LEVELS)[0][0] == "truth above constant q0.9"


def test_a_slice_has_the_scores_of_its_rows_and_its_gain_on_each_rival():
    told = made_up()
    groups = np.where(np.arange(400) < 150, "small", "large")
    found = [part for part in make_slices(told, groups) if part.kind == "group"]
    assert [(part.name, part.evaluation.rows) for part in found] == [("large", 250), ("small", 150)]
    rows = slice(0, 150)
    own = pinball_losses(told.y[rows], told.tuned.q[rows], LEVELS).mean()
    other = pinball_losses(told.y[rows], told.rivals["default"].q[rows], LEVELS).mean()
    against = found[1].rivals["default"]
    assert found[1].evaluation.metrics["pinball_loss_avg"] == pytest.approx(own) == against.tuned
    assert against.other == pytest.approx(other)
    assert against.gain_percent == pytest.approx(100 * (1 - own / other))
    assert against.low_percent < against.gain_percent < against.high_percent and against.p_value < 0.05


def test_slices_of_few_blocks_have_no_interval():
    told = made_up(blocks=np.arange(400) // 40)
    times = days(400)
    parts = [part for part in make_slices(told, times=times) if part.kind == "time"]
    assert parts and all(part.rivals["constant"].limits is None for part in parts)
    assert all(part.evaluation.intervals[0].limits is None for part in parts)


def test_what_was_chosen_by_its_forecast_covers_what_it_claims_and_by_its_outcome_does_not():
    """The forecaster knows the true quantiles; only rows chosen by what happened make it look bad."""
    by_kind: dict[str, list[float]] = {"forecast": [], "outcome": []}
    for part in make_slices(made_up(20_000)):
        by_kind[part.kind].append(part.evaluation.intervals[0].coverage)
    assert all(abs(share - 0.8) < 0.03 for share in by_kind["forecast"])
    assert len(by_kind["outcome"]) == 2 and all(share < 0.55 for share in by_kind["outcome"])


def test_crossing_is_that_of_the_model_in_each_part():
    told = made_up()
    crossed = np.arange(400) < 30
    told = Forecasts("test", LEVELS, told.y, Forecast(told.tuned.q, crossed), told.rivals)
    parts = {part.name: part for part in make_slices(told, np.where(crossed, "a", "b"))}
    share = "crossing_rate_before_ordering"
    assert (parts["a"].evaluation.metrics[share], parts["b"].evaluation.metrics[share]) == (1.0, 0.0)
    assert told.evaluate(told.tuned).metrics[share] == pytest.approx(30 / 400)


def test_rivals_are_told_by_every_score_by_hand():
    y = np.array([1.0, 5.0])
    tuned = np.array([[0.0, 2.0, 3.0], [1.0, 2.0, 4.0]])
    constant = np.tile([0.0, 3.0, 6.0], (2, 1))
    (rival,) = make_rivals(Forecasts("test", LEVELS, y, forecast(tuned), {"constant": forecast(constant)}))
    # The constant loses 0.1, 1.0, 0.5 in the first row and 0.5, 1.0, 0.1 in the second.
    assert {name: (found.tuned, found.other) for name, found in rival.scores.items()} == {
        "pinball_loss_avg": (pytest.approx(0.6), pytest.approx(3.2 / 6)),
        "pinball/q0.1": (pytest.approx(0.25), pytest.approx(0.3)),
        "pinball/q0.5": (pytest.approx(1.0), pytest.approx(1.0)),
        "pinball/q0.9": (pytest.approx(0.55), pytest.approx(0.3)),
        "interval_score_80": (pytest.approx(8.0), pytest.approx(6.0)),
    }
    assert rival.comparison.gain_percent == pytest.approx(100 * (1 - 3.6 / 3.2))
    assert rival.evaluation.metrics["coverage_80"] == 1.0 and rival.comparison.limits is None


def test_a_model_that_is_the_constant_gains_nothing():
    told = made_up()
    same = Forecasts("test", LEVELS, told.y, told.rivals["constant"], {"constant": told.rivals["constant"]})
    (rival,) = make_rivals(same)
    assert all(found.gain_percent == 0.0 and found.p_value == 1.0 for found in rival.scores.values())


def test_many_groups_are_told_in_bounded_time_and_only_the_largest_with_an_interval():
    told = made_up(6000)
    groups = (np.arange(6000) % 1500).astype(str)
    groups[:4000:2] = "one"
    found = [part for part in make_slices(told, groups) if part.kind == "group"]
    assert len(found) == 1000 and found[0].name == "one"
    assert found[0].rivals["constant"].limits and found[999].rivals["constant"].limits is None
