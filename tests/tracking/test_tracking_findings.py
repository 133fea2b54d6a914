"""Rivals and slices as metrics: their names, and that there are never too many."""

from __future__ import annotations

import numpy as np
import pytest

from raysearch.evaluation import Forecast, Forecasts, make_rivals, make_slices
from raysearch.records import StudyResult
from raysearch.tracking.findings import rival_metrics, slice_metrics
from raysearch.tracking.names import metric_key


def result(rows=4000, groups=200) -> StudyResult:
    rng = np.random.default_rng(0)
    levels = (0.1, 0.5, 0.9)
    y = rng.normal(size=rows)
    flags = np.zeros(rows, dtype=bool)
    q = np.tile([-1.3, 0.0, 1.3], (rows, 1)) + rng.normal(size=(rows, 1)) / 10
    rivals = {"default": Forecast(q + 1, flags), "constant": Forecast(q * 2, flags)}
    told = Forecasts("test", levels, y, Forecast(q, flags), rivals)
    names = np.array([f"s{i % groups}" for i in range(rows)])
    times = np.datetime64("2021-01-01", "us") + np.arange(rows) * np.timedelta64(4, "h")
    return StudyResult(
        "s", None, None, {}, None, None, told.evaluate(told.tuned), None, "", "", "trials", 1.0,
        rivals=make_rivals(told), slices=make_slices(told, names, times),
    )  # fmt: skip


def test_rivals_and_slices_have_names_of_their_own():
    done = result()
    found = {**rival_metrics(done), **slice_metrics(done, "store")}
    assert found["test_constant_pinball_loss_avg"] == pytest.approx(done.rival("constant").comparison.other)
    assert found["against_constant/gain_percent"] == done.rival("constant").comparison.gain_percent
    assert found["against_default/p_value"] < 0.001
    assert "against_default/gain_percent q0.1" in found and "by_time/coverage_80=2021-Q1" in found
    assert "by_forecast/pinball_loss_avg=lowest tenth of medians" in found
    assert "by_outcome/gain_percent_constant=truth above constant q0.9" in found
    assert "pinball_loss_avg/store=s0" in found
    keys = [metric_key(name) for name in found]
    assert len(set(keys)) == len(keys)


def test_of_many_groups_only_the_largest_are_metrics():
    found = slice_metrics(result(), "store")
    assert sum(name.startswith("pinball_loss_avg/store=") for name in found) == 50
    assert len(found) < 250
