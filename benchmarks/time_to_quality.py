"""How long until the forecast is as good as plain Optuna's after 50 trials?

    python benchmarks/quality.py --setup DIR        # once: FLAML's environment, and the tables
    python benchmarks/time_to_quality.py --home DIR [--only ames,loans,wages,deliveries,bikes] [--trials 50]
        [--repeats 3] [--cores 2] [--out time.json]

All sides get the same files. Plain Optuna (quality_optuna.py) runs its trials with each seed; the median of
the pinball losses of its forecasts of the test rows, each row put in order, is what the others must reach.
raysearch is run with longer and longer time budgets, from 8 s in steps of a tenth, and has reached it where
most of its seeds do with one budget: a single lucky run doesn't count. Its seconds are the median of those
of whole commands, with start, calibration, evaluation and report. FLAML (quality_flaml.py) gets twice these
seconds and, where most of its seeds reach it so, just as many. Told are seconds (least to most), and
raysearch's as a share of theirs: of Optuna's until all its trials have ended; of those until its best trial
has, as if one had known; of FLAML's.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import quality
import quality_score
import quality_setup
import quality_tables
from quality_tables import TABLES, Table

CHOSEN = "ames,loans,wages,deliveries,bikes"
BUDGETS_S = [round(8 * 1.1**step, 1) for step in range(41)]


def run(side: str, table: Table, options: argparse.Namespace, seconds: float, seed: int) -> dict | None:
    """Run one side once; return its loss on the test rows, its whole seconds and what it told.

    None: raysearch had too few seconds for a single trial.
    """
    python = sys.executable if side != "flaml" else str(quality_setup.python_of(options.home, side))
    scratch = Path(tempfile.mkdtemp(prefix="quality-"))
    job = {"table": asdict(table), "levels": quality.LEVELS, "seconds": seconds, "cores": options.cores}
    job |= {"seed": seed, "words": [], "more": {}, "trials": options.trials}
    (scratch / "job.json").write_text(json.dumps(job))
    command = [python, str(quality.HERE / f"quality_{side}.py"), str(scratch / "job.json")]
    begun = time.perf_counter()
    error = quality.work(command, scratch, quality.environment(side), limit=7200)
    wall = time.perf_counter() - begun
    if error is not None and "ended before any trial finished" in error:
        return None
    if error is not None:
        raise SystemExit(f"{side} on {table.name}: {error}")
    truth = pd.read_parquet(table.test, columns=[table.target])[table.target].to_numpy(float)
    told = json.loads((scratch / "told.json").read_text())
    scored = quality_score.score(truth, np.load(scratch / "quantiles.npy"), quality.LEVELS)
    shutil.rmtree(scratch, ignore_errors=True)
    loss = scored["pinball_sorted"]
    print(f"{table.name} {side} {seconds:.0f}: {loss:.6g} in {wall:.1f} s", file=sys.stderr, flush=True)
    return {"loss": loss, "wall_s": wall, "coverage": scored["coverage"], **told}


def most(side: str, table: Table, options: argparse.Namespace, seconds: float, target: float) -> dict:
    """Run one side with seed after seed until most of them have reached the target, or cannot any more."""
    runs: list[dict | None] = []
    reached = 0
    while 2 * reached <= options.repeats and 2 * (len(runs) - reached) < options.repeats:
        runs.append(run(side, table, options, seconds, len(runs)))
        reached += runs[-1] is not None and runs[-1]["loss"] <= target
    return {"reached": 2 * reached > options.repeats, "runs": [one for one in runs if one is not None]}


def compared(table: Table, options: argparse.Namespace) -> dict:
    """Return the runs in which each side reaches what plain Optuna's trials have reached."""
    plain = [run("optuna", table, options, 0, seed) for seed in range(options.repeats)]
    target = statistics.median(one["loss"] for one in plain)
    for budget in BUDGETS_S:
        ours = most("raysearch", table, options, budget, target)
        if ours["reached"] or budget > statistics.median(seconds(plain)):
            break
    found = {"table": table.name, "target": target, "budget_s": budget, "optuna": plain, "raysearch": ours}
    for times in (2, 1):
        theirs = most("flaml", table, options, times * statistics.median(seconds(ours["runs"])), target)
        if theirs["reached"] or "flaml" not in found:
            found["flaml"] = theirs
        if not theirs["reached"]:
            break
    return found


def seconds(runs: list[dict], which: str = "wall_s") -> list[float]:
    return [one[which] for one in runs]


def spread(values: list[float], digits: int = 0) -> str:
    """Return the median, and the least and the most where there are several."""
    told = f"{statistics.median(values):.{digits}f}"
    return told if len(values) < 2 else f"{told} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def table_of(results: list[dict]) -> list[str]:
    """Return the table of seconds and ratios."""
    lines = [
        "| table | loss to reach | raysearch, s | Optuna's trials, s | ratio | until its best, s | ratio | "
        "FLAML, s | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    ratios: dict[str, list[float]] = {"all": [], "best": [], "flaml": []}
    for one in results:
        ours, flaml = one["raysearch"], one["flaml"]
        sides = {"all": seconds(one["optuna"]), "best": seconds(one["optuna"], "found_s")}
        sides["flaml"] = seconds(flaml["runs"])
        cells = [one["table"], f"{one['target']:.5g}"]
        cells.append(("" if ours["reached"] else "not in ") + spread(seconds(ours["runs"])))
        for side, theirs in sides.items():
            ratio = statistics.median(seconds(ours["runs"])) / statistics.median(theirs)
            ratios[side].append(ratio if ours["reached"] else math.inf)
            least = side == "flaml" and not flaml["reached"]
            cells += [
                ("not in " if least else "") + spread(theirs),
                ("< " if least else "") + f"{ratios[side][-1]:.2f}",
            ]
        lines.append(f"| {' | '.join(cells)} |")
    medians = [f"{statistics.median(found):.2f}" for found in ratios.values()]
    lines.append(f"| median | | | | {medians[0]} | | {medians[1]} | | {medians[2]} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, required=True, help="where quality.py --setup made environments")
    parser.add_argument("--only", default=CHOSEN)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3, help="seeds of each side (3)")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("time_to_quality.json"))
    options = parser.parse_args()
    options.home, options.only = options.home.resolve(), options.only.split(",")
    if unknown := set(options.only) - set(TABLES):
        parser.error(f"no table is called {', '.join(sorted(unknown))}; tables: {', '.join(TABLES)}")
    quality.keep_to(options.cores)
    results: list[dict] = []
    for name in options.only:
        table = quality_tables.write(name, 0, options.home / "packages", options.home / "tables")
        results.append(compared(table, options))
        options.out.write_text(json.dumps(results, indent=1))
    print("\n".join(table_of(results)))


if __name__ == "__main__":
    main()
