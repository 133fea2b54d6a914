"""The tables that ship with raysearch: ``factor_nav``, the NAV of five factor funds 21 trading days ahead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from raysearch.errors import DataError, listing, nearest

AHEAD = 21  # trading days, about a month
STRATEGIES = {
    "MTUM": "momentum",
    "QUAL": "quality",
    "SIZE": "size",
    "USMV": "minimum_volatility",
    "VLUE": "value",
}
_YEAR = 252  # trading days
_PRICES = Path(__file__).parent / "factor_etf_prices.csv.gz"
_RETURN_DAYS = (1, 5, 21, 63, 126, _YEAR)
_RISK_DAYS = (21, 63, _YEAR)
_TREND_DAYS = (21, 63, _YEAR)
_MARKET_DAYS = (21, 63, _YEAR)


def load_builtin(name: str) -> pa.Table:
    """Return a table that ships with raysearch.

    Args:
        name: "factor_nav".

    Raises:
        DataError: no table of that name ships.
    """
    builders: dict[str, Callable[[], pa.Table]] = {"factor_nav": _factor_nav}
    if name not in builders:
        raise DataError(
            f"data.builtin: got {name!r}, what ships is {listing(builders)}{nearest(name, builders)}"
        )
    return builders[name]()


def _factor_nav() -> pa.Table:
    prices = pd.read_csv(_PRICES, index_col="Date", parse_dates=["Date"])
    return nav_table(prices)


def nav_table(prices: pd.DataFrame) -> pa.Table:
    """Build one row a fund and day, ordered by date, then fund.

    Args:
        prices: [days, funds] in US dollars, rising dates as index.

    Returns:
        pa.Table with date, fund, strategy, nav (US dollars a share), features computed from that day's and
        earlier prices only (null where the past is too short), and nav_ahead, the NAV ``AHEAD`` trading days
        later. The last ``AHEAD`` days have no row.
    """
    columns = {"nav": prices, **_past(prices), "nav_ahead": prices.shift(-AHEAD)}
    days = len(prices) - AHEAD
    funds = list(prices.columns)
    arrays: dict[str, pa.Array] = {
        "date": pa.array(np.repeat(prices.index[:days].to_numpy("datetime64[D]"), len(funds))),
        "fund": pa.array(funds * days, pa.string()),
        "strategy": pa.array([STRATEGIES.get(fund, fund) for fund in funds] * days, pa.string()),
    }
    for name, values in columns.items():
        cells = values.to_numpy(dtype=np.float64)[:days].reshape(-1)
        arrays[name] = pa.array(cells, from_pandas=True)
    return pa.table(arrays)


def _past(prices: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return features by name, each [days, funds]; row t looks at prices up to t."""
    log = pd.DataFrame(np.log(prices.to_numpy()), index=prices.index, columns=prices.columns)
    daily = log.diff()
    features = {f"return_{days}d": log.diff(days) for days in _RETURN_DAYS}
    features["momentum_12_1"] = log.shift(21) - log.shift(_YEAR)
    annual = np.sqrt(_YEAR)
    for days in _RISK_DAYS:
        features[f"volatility_{days}d"] = daily.rolling(days).std() * annual
    for days in _RISK_DAYS[1:]:
        losses = daily.clip(upper=0.0)
        features[f"downside_{days}d"] = (losses**2).rolling(days).mean().pow(0.5) * annual
    for days in (63, _YEAR):
        features[f"drawdown_{days}d"] = log - log.rolling(days).max()
    features["drawdown_all"] = log - log.cummax()
    for days in _TREND_DAYS:
        features[f"over_mean_{days}d"] = prices / prices.rolling(days).mean() - 1.0
    market = {
        f"market_{kind}_{days}d": _across(features[f"{kind}_{days}d"], prices)
        for kind in ("return", "volatility")
        for days in _MARKET_DAYS
        if f"{kind}_{days}d" in features
    }
    market["market_drawdown_252d"] = _across(features["drawdown_252d"], prices)
    relative = {
        f"relative_return_{days}d": features[f"return_{days}d"] - market[f"market_return_{days}d"]
        for days in (21, 63, _YEAR)
    }
    return {**features, **market, **relative}


def _across(feature: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over the funds of each day, the same for every fund."""
    mean = feature.mean(axis=1).to_numpy()
    return pd.DataFrame(
        np.repeat(mean[:, None], like.shape[1], axis=1), index=like.index, columns=like.columns
    )
