"""Where rows are exchangeable, do intervals cover what they claim, as far as chance allows?

Over many seeded splits of a table: search, ensemble and calibration on four fifths of the rows, coverage of
the outer interval on the rest. Told are the mean over the splits, how far one may lie from nominal by chance,
and how many splits (and groups) lie outside their 99 % band. That is beta-binomial, from the numbers of
calibration and test rows (Vovk, 2012); for groups it is widened by their number (Bonferroni).

    python benchmarks/coverage.py [--splits 20] [--trials 6] [--only made-up,flights,groups]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from calibrated import all_flights
from scipy import stats

import raysearch

NOMINAL, OUTSIDE = 0.9, 0.01
LEVELS = "0.05,0.25,0.5,0.75,0.95"


def made_up() -> pd.DataFrame:
    """Return 3,000 rows of Friedman's function (1991) with noise that varies."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(3000, 8))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(8)])
    return frame.assign(y=y + rng.normal(size=3000) * (1 + 2 * x[:, 5]))


def flights() -> pd.DataFrame:
    """Return 8,000 flights with what is known the day before."""
    later = ["dep_time", "dep_delay", "arr_time", "air_time", "time_hour"]
    table = all_flights().drop(columns=later)
    return table[table["arr_delay"].notna()].sample(8000, random_state=0).rename(columns={"arr_delay": "y"})


def groups() -> pd.DataFrame:
    """Return 6,000 rows of ten groups of unlike size and noise."""
    rng = np.random.default_rng(1)
    group = rng.choice(10, 6000, p=np.arange(1, 11) / 55)
    x = rng.normal(size=(6000, 4))
    y = x[:, 0] + np.sin(x[:, 1]) + rng.normal(size=6000) * (0.5 + 0.3 * group) * np.exp(0.3 * x[:, 2])
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(4)])
    return frame.assign(group=[f"g{g}" for g in group], y=y)


TABLES = {
    "made-up": (made_up, []),
    "flights": (flights, []),
    "groups": (groups, ["--calibrate", "group", "--group", "group"]),
}


def forecast(
    parts: tuple[pd.DataFrame, pd.DataFrame], words: list[str], trials: int, seed: int
) -> np.ndarray:
    """Return the quantiles of the test rows [rows, levels] of one study."""
    with tempfile.TemporaryDirectory() as place:
        paths = [Path(place) / f"{name}.parquet" for name in ("train", "test")]
        for part, path in zip(parts, paths, strict=True):
            part.to_parquet(path, index=False)
        command = [sys.executable, "-m", "raysearch", "tune", "--no-tracking", "--engine", "inline"]
        command += ["--data", str(paths[0]), "--test", str(paths[1]), "--target", "y", "--levels", LEVELS]
        command += ["--split", "random", "--trials", str(trials), "--seed", str(seed), "--study", "s"]
        done = subprocess.run(
            [*command, "--home", place, *words], capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(done.stderr)
        model = raysearch.load_forecaster(Path(place) / "s" / "model")
        return model.predict(parts[1].drop(columns="y")).to_numpy(float)


def outside(hits: int, tested: int, calibrated: int, share: float) -> bool:
    """Tell whether so many of the tested rows lie outside the band that holds all but ``share`` by chance."""
    inside = NOMINAL * (calibrated + 1)
    band = stats.betabinom(tested, inside, calibrated + 1 - inside)
    return bool(min(band.cdf(hits), band.sf(hits - 1)) < share / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--only", default=",".join(TABLES))
    options = parser.parse_args()
    print("| table | rows | mean coverage (chance allows) | least, most | outside the 99 % band |")
    print("|---|---|---|---|---|", flush=True)
    for name in options.only.split(","):
        make, words = TABLES[name]
        table, covered, beyond, cells = make(), [], 0, 0
        for seed in range(options.splits):
            order = np.random.default_rng(seed).permutation(len(table))
            cut = len(table) * 4 // 5
            train, test = table.iloc[order[:cut]], table.iloc[order[cut:]]
            q = forecast((train, test), words, options.trials, seed)
            hit = (test["y"].to_numpy() >= q[:, 0]) & (test["y"].to_numpy() <= q[:, -1])
            covered.append(hit.mean())
            if "group" not in table:
                beyond, cells = beyond + outside(hit.sum(), len(test), len(train), OUTSIDE), cells + 1
                continue
            own = table["group"].unique()
            for group in own:
                rows = (test["group"] == group).to_numpy()
                known = int((train["group"] == group).sum())
                beyond += outside(hit[rows].sum(), rows.sum(), known, OUTSIDE / len(own))
                cells += 1
        test_rows, train_rows = len(table) - len(table) * 4 // 5, len(table) * 4 // 5
        # Splits share rows: that of their mean is at least the spread of one table's truth, told as for one.
        chance = 1.96 * np.sqrt(NOMINAL * (1 - NOMINAL) * (1 / test_rows + 1 / train_rows))
        found = np.asarray(covered)
        print(
            f"| {name} | {len(table):,} | {found.mean():.2%} (one split: ±{chance:.1%}) | "
            f"{found.min():.1%}, {found.max():.1%} | {beyond} of {cells} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
