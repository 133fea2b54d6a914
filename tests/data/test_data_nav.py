"""The shipped table looks at the past only, except for its target."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest

from raysearch.data import load_builtin
from raysearch.data.nav import AHEAD, nav_table
from raysearch.errors import DataError


@pytest.fixture(scope="module")
def prices():
    rng = np.random.default_rng(1)
    steps = rng.normal(0, 0.01, size=(420, 5))
    index = pd.bdate_range("2020-01-01", periods=420)
    return pd.DataFrame(50 * np.exp(steps.cumsum(axis=0)), index=index, columns=list("ABCDE"))


def test_one_row_a_fund_and_day():
    table = load_builtin("factor_nav")
    assert table.num_rows == (2264 - AHEAD) * 5
    assert set(table["strategy"].unique().to_pylist()) == {
        "momentum",
        "quality",
        "size",
        "minimum_volatility",
        "value",
    }
    assert str(table.schema.field("date").type) == "date32[day]"
    assert table["nav_ahead"].null_count == 0 and table["nav"].null_count == 0


def test_nav_ahead_is_the_nav_21_trading_days_later():
    table = load_builtin("factor_nav")
    one = table.filter(pc.equal(table["fund"], "MTUM"))
    nav, ahead = one["nav"].to_numpy(), one["nav_ahead"].to_numpy()
    assert np.array_equal(ahead[:-AHEAD], nav[AHEAD:])


def test_features_do_not_change_when_the_future_does(prices):
    before = nav_table(prices)
    changed = prices.copy()
    today = 300
    changed.iloc[today + 1 :] *= np.random.default_rng(2).uniform(
        0.5, 2.0, size=changed.iloc[today + 1 :].shape
    )
    after = nav_table(changed)
    rows = (today + 1) * 5
    for name in before.column_names:
        if name == "nav_ahead":
            continue
        assert before[name].slice(0, rows).equals(after[name].slice(0, rows)), name
    assert not before["return_1d"].equals(after["return_1d"])


def test_features_are_what_their_names_say(prices):
    table = nav_table(prices)
    at = 300 * 5 + 2  # day 300, fund C
    past = prices["C"].to_numpy()[:301]
    logs = np.log(past)
    got = {name: table[name][at].as_py() for name in table.column_names}
    assert got["return_21d"] == pytest.approx(logs[-1] - logs[-22])
    assert got["volatility_63d"] == pytest.approx(np.diff(logs)[-63:].std(ddof=1) * np.sqrt(252))
    assert got["momentum_12_1"] == pytest.approx(logs[-22] - logs[-253])
    assert got["drawdown_63d"] == pytest.approx(logs[-1] - logs[-63:].max())
    assert got["drawdown_all"] == pytest.approx(logs[-1] - logs.max())
    assert got["over_mean_21d"] == pytest.approx(past[-1] / past[-21:].mean() - 1)
    all_logs = np.log(prices.to_numpy()[:301])
    assert got["market_return_21d"] == pytest.approx((all_logs[-1] - all_logs[-22]).mean())


def test_an_unknown_table_is_refused_with_the_known_ones():
    with pytest.raises(DataError, match="did you mean 'factor_nav'"):
        load_builtin("factor_navs")
