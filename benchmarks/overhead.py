"""What does a search cost beyond its training? Trials a second beside the scripts that everyone writes.

Each side trains the same LightGBM parameters for three levels on the same number of rows, one thread a
trial, as many trials at once as there are cores, none stopped early:

    documentation   Ray Tune as documented: with_parameters, OptunaSearch, MLflowLoggerCallback (sqlite)
    reuse_actors    the same with reuse_actors=True
    optuna          Optuna in as many processes as there are cores: no cluster, tracking or calibration
    raysearch       its command line, with tracking (sqlite), calibration, ordering, model and report

    python benchmarks/overhead.py [--rows 10000,50000] [--trials 50] [--repeats 3] [--sides A,B] [--out FILE]

The sides take turns. Told are trials a second from the start of the first trial to the end of the last, and
the seconds of the whole command; ratios are of one turn, their median and range over the turns. raysearch
runs one trial more, the library's defaults.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
SIDES = ("raysearch", "documentation", "reuse_actors", "optuna")
LEVELS = [0.05, 0.5, 0.95]
COLUMNS, SHARE = 10, 0.2


def write_rows(rows: int, place: Path) -> dict[str, str]:
    """Write a made-up table whole and in two parts; return their paths."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, COLUMNS)).astype(np.float32)
    y = x[:, 0] + np.sin(2 * x[:, 1]) * x[:, 2] + rng.normal(size=rows) * (0.5 + np.abs(x[:, 3]))
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(COLUMNS)]).assign(y=y)
    cut = round(rows * (1 - SHARE))
    parts = {"both": frame, "train": frame.iloc[:cut], "valid": frame.iloc[cut:]}
    for name, part in parts.items():
        part.to_parquet(place / f"{name}.parquet", index=False)
    return {name: str(place / f"{name}.parquet") for name in parts}


def points(trials: int) -> list[dict]:
    """Return parameters of trials that gain by each of their rounds, so that no side trains fewer."""
    rng = np.random.default_rng(0)
    return [
        {
            "num_leaves": int(rng.integers(10, 64)),
            "learning_rate": float(np.exp(rng.uniform(np.log(0.01), np.log(0.04)))),
            "feature_fraction": float(rng.uniform(0.5, 1.0)),
            "bagging_fraction": float(rng.uniform(0.5, 1.0)),
            "bagging_freq": 1,
            "num_boost_round": int(rng.integers(80, 160)),
        }
        for _ in range(trials)
    ]


def run(side: str, job: dict) -> dict[str, float]:
    """Run one side once; return trials a second, and the seconds of the whole command."""
    with tempfile.TemporaryDirectory(prefix="overhead-", ignore_cleanup_errors=True) as place:
        path = Path(place) / "job.json"
        path.write_text(json.dumps(job))
        env = {**os.environ, "RAY_AIR_NEW_OUTPUT": "0", "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0"}
        command = [sys.executable, str(HERE / "overhead_sides.py"), side, str(path)]
        before = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=place)
        whole = time.perf_counter() - before
        if done.returncode:
            sys.exit(f"{side} failed:\n{done.stderr[-2000:]}")
        spans = json.loads((Path(place) / "told.json").read_text())["spans"]
    seconds = max(end for _, end in spans) - min(start for start, _ in spans)
    return {"trials": len(spans), "rate": len(spans) / seconds, "whole_s": whole}


def told(found: dict[str, list[dict[str, float]]], rows: int, sides: list[str]) -> list[str]:
    """Return the table's lines for one number of rows."""

    def spread(values: list[float], form: str = "{:.2f}") -> str:
        middle, least, most = statistics.median(values), min(values), max(values)
        return f"{form} ({form}-{form})".format(middle, least, most)

    lines = []
    for side in sides:
        mine, own = found.get("raysearch", []), found[side]
        rates = [a["rate"] / b["rate"] for a, b in zip(mine, own, strict=False)]
        wholes = [b["whole_s"] / a["whole_s"] for a, b in zip(mine, own, strict=False)]
        cells = [f"{rows:,}", side, spread([one["rate"] for one in own])]
        cells += [spread([one["whole_s"] for one in own], "{:.1f}")]
        cells += [spread(rates), spread(wholes)] if rates and side != "raysearch" else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default="10000,50000")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--out", type=Path, default=Path("overhead.json"))
    options = parser.parse_args()
    sides = options.sides.split(",")
    print(
        "| rows | side | trials a second | whole command, s | raysearch's rate / its "
        "| its seconds / raysearch's |"
    )
    print("|---|---|---|---|---|---|", flush=True)
    kept: dict[str, dict[str, list[dict[str, float]]]] = {}
    for rows in map(int, options.rows.split(",")):
        found = kept.setdefault(str(rows), {side: [] for side in sides})
        with tempfile.TemporaryDirectory(prefix="overhead-") as place:
            job = {"levels": LEVELS, "params": points(options.trials), "cores": os.cpu_count() or 1}
            job |= {"share": SHARE, **write_rows(rows, Path(place))}
            for turn in range(options.repeats):
                first = turn % len(sides)
                for side in sides[first:] + sides[:first]:
                    found[side].append(run(side, job))
                    print(rows, side, found[side][-1], file=sys.stderr, flush=True)
                    options.out.write_text(json.dumps(kept, indent=1))
        print("\n".join(told(found, rows, sides)), flush=True)


if __name__ == "__main__":
    main()
