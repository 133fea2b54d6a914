"""How long until the forecast is as good as plain Optuna's after 50 trials?

    python benchmarks/quality.py --setup DIR        # once: FLAML's environment, and the tables
    python benchmarks/time_to_quality.py --home DIR [--only ames,loans,wages,deliveries,bikes] [--trials 50]
        [--repeats 1] [--cores 2] [--out time.json]

All sides get the same files. Plain Optuna (quality_optuna.py) runs its trials; the pinball loss of its
forecast of the test rows, each row put in order, is what the others must reach. raysearch is run anew with
longer and longer time budgets, from 8 s in small steps, until its forecast is as good; its seconds are
those of that whole command, with start, calibration, evaluation and report. FLAML (quality_flaml.py) gets
twice these seconds and, where that suffices, just as many. Told are seconds, and raysearch's as a share of
theirs: of Optuna's until all its trials have ended; of those until its best trial has, as if one had known;
of FLAML's.
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
# In steps of a twelfth at most: what is told is rounded up to the next one.
BUDGETS_S = (
    *range(8, 19), 20, 22, 24, 26, 28, 30, 32, 34, 37, 40, 43, 46, 50, 54, 58, 63, 68, 74, 80, 87, 94, 102,
    110, 120, 130, 140, 150, 165, 180, 195, 210, 230, 250, 270, 290, 315, 340, 360,
)  # fmt: skip


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


def compared(table: Table, options: argparse.Namespace, seed: int) -> dict:
    """Return the seconds in which each side reaches what plain Optuna's trials have reached."""
    plain = run("optuna", table, options, 0, seed)
    found = {"table": table.name, "seed": seed, "target": plain["loss"], "optuna_s": plain["wall_s"]}
    found |= {"optuna_found_s": plain["found_s"], "optuna_coverage": plain["coverage"]}
    for budget in BUDGETS_S:
        ours = run("raysearch", table, options, budget, seed)
        if ours is None:
            continue  # no trial was done in so few seconds
        found |= {"raysearch_s": ours["wall_s"], "raysearch_reached": ours["loss"] <= plain["loss"]}
        found |= {"raysearch_coverage": ours["coverage"]}
        if found["raysearch_reached"] or budget > plain["wall_s"]:
            break
    found["flaml_s"], found["flaml_reached"] = math.nan, False
    for times in (2, 1):
        theirs = run("flaml", table, options, times * found["raysearch_s"], seed)
        if theirs["loss"] > plain["loss"]:
            found.setdefault("flaml_tried_s", theirs["wall_s"])
            break
        found |= {"flaml_s": theirs["wall_s"], "flaml_reached": True}
    return found


def table_of(results: list[dict]) -> list[str]:
    """Return the table of seconds and ratios."""
    lines = [
        "| table | loss to reach | raysearch, s | Optuna's trials, s | ratio | until its best, s | ratio | "
        "FLAML, s | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    ratios: dict[str, list[float]] = {"optuna_s": [], "optuna_found_s": [], "flaml_s": []}
    for one in results:
        cells = [one["table"], f"{one['target']:.5g}"]
        cells.append(
            f"{one['raysearch_s']:.0f}" if one["raysearch_reached"] else f"not in {one['raysearch_s']:.0f}"
        )
        for side in ("optuna_s", "optuna_found_s"):
            ratio = one["raysearch_s"] / one[side] if one["raysearch_reached"] else math.inf
            ratios[side].append(ratio)
            cells += [f"{one[side]:.0f}", f"{ratio:.2f}"]
        tried = one["flaml_s"] if one["flaml_reached"] else one["flaml_tried_s"]
        ratio = one["raysearch_s"] / tried if one["raysearch_reached"] else math.inf
        ratios["flaml_s"].append(ratio)
        mark = ("", "") if one["flaml_reached"] else ("not in ", "< ")
        cells += [f"{mark[0]}{tried:.0f}", f"{mark[1]}{ratio:.2f}"]
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
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("time_to_quality.json"))
    options = parser.parse_args()
    options.home, options.only = options.home.resolve(), options.only.split(",")
    if unknown := set(options.only) - set(TABLES):
        parser.error(f"no table is called {', '.join(sorted(unknown))}; tables: {', '.join(TABLES)}")
    quality.keep_to(options.cores)
    results: list[dict] = []
    for seed in range(options.repeats):
        for name in options.only:
            table = quality_tables.write(name, 0, options.home / "packages", options.home / "tables")
            results.append(compared(table, options, seed))
            options.out.write_text(json.dumps(results, indent=1))
    print("\n".join(table_of(results)))


if __name__ == "__main__":
    main()
