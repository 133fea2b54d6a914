"""Is the forecast better than that of AutoGluon and FLAML, in the same seconds on the same rows?

For each table (quality_tables.py) every side gets the same training and test rows, seconds and cores, one
after the other, in an order that turns with the table. Each runs in its own process and environment and hands
over one column a quantile, which this script scores, for all alike (quality_score.py).

    python benchmarks/quality.py --setup DIR               # once: the environments and tables, about 3 GB
    python benchmarks/quality.py --home DIR [--seconds 60] [--seeds 1] [--cores 2] [--only ames,bikes]
        [--sides raysearch,autogluon,flaml] [--out results.json] [--reuse results.json]
        [--python PYTHON] [--raysearch="--cv 5 --model both"]
        [--more '{"autogluon": {"num_stack_levels": 1}}']

PYTHONPATH=CHECKOUT (absolute) runs another checkout of raysearch, --python one in another environment.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import quality_score
import quality_setup
import quality_tables
from quality_tables import TABLES, Table

HERE = Path(__file__).parent
LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]


def processor_seconds() -> float:
    """Return what this process's finished children have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def machine_seconds() -> float:
    """Return the processor seconds of all that runs on the machine; not a number where nothing tells them."""
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except OSError:
        return math.nan
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")  # all but idle and waiting for disks


def work(command: list[str], scratch: Path, env: dict[str, str], limit: float) -> str | None:
    """Run one worker in a session of its own, end what hangs, and return the tail of its log if it failed."""
    with (scratch / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, cwd=scratch, env=env, start_new_session=True
        )
        try:
            failed = process.wait(limit) != 0
        except BaseException as error:  # Ctrl-C must not leave a search behind that slows the next run
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return f"not done after {limit:.0f} s"
    return "\n".join((scratch / "log").read_text().strip().splitlines()[-12:]) if failed else None


def environment(side: str) -> dict[str, str]:
    """Return the environment variables of a side: PYTHONPATH names a checkout of raysearch."""
    return {name: value for name, value in os.environ.items() if side == "raysearch" or name != "PYTHONPATH"}


def run(side: str, table: Table, options: argparse.Namespace, scratch: Path) -> dict:
    """Run one side's worker on one table and return its score, or the error."""
    python = options.python if side == "raysearch" else str(quality_setup.python_of(options.home, side))
    job = {"table": asdict(table), "levels": LEVELS, "seconds": options.seconds, "cores": options.cores}
    job |= {"seed": table.seed, "words": shlex.split(options.raysearch), "more": options.more.get(side, {})}
    (scratch / "job.json").write_text(json.dumps(job))
    told = {key: getattr(table, key) for key in ("kind", "rows", "seed", "digest")}
    told |= {"table": table.name, "side": side, "words": job["words"], "more": job["more"]}
    told |= {"seconds": options.seconds, "cores": options.cores}
    before, all_before, started = processor_seconds(), machine_seconds(), time.perf_counter()
    command = [python, str(HERE / f"quality_{side}.py"), str(scratch / "job.json")]
    error = work(command, scratch, environment(side), limit=600 + 10 * options.seconds)
    told |= {"wall_s": time.perf_counter() - started, "cpu_s": processor_seconds() - before}
    told |= {"machine_cpu_s": machine_seconds() - all_before}
    if error is not None:
        return told | {"error": error}
    told |= json.loads((scratch / "told.json").read_text())
    truth = pd.read_parquet(table.test, columns=[table.target])[table.target].to_numpy(float)
    return told | quality_score.score(truth, np.load(scratch / "quantiles.npy"), LEVELS)


def kept(options: argparse.Namespace, tables: list[Table]) -> list[dict]:
    """Return earlier results on the same rows, seconds and cores, of the sides that are not asked for now."""
    if options.reuse is None:
        return []
    asked = {(table.name, table.seed, table.digest, options.seconds, options.cores) for table in tables}
    keys = ("table", "seed", "digest", "seconds", "cores")
    found = json.loads(options.reuse.read_text())
    same = [result for result in found if tuple(result.get(key) for key in keys) in asked]
    if found and not same:
        sys.exit(f"{options.reuse} has nothing with these tables, seeds, --seconds and --cores")
    return [result for result in same if result["side"] not in options.sides]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--setup", type=Path, metavar="DIR", help="make environments and tables there, and end"
    )
    parser.add_argument("--home", type=Path, metavar="DIR", help="where --setup made them")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument(
        "--seeds", type=int, default=1, help="splits of the tables without time; seeds of all sides"
    )
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--only", default=",".join(TABLES))
    parser.add_argument("--sides", default=",".join(quality_score.SIDES))
    parser.add_argument("--out", type=Path, default=Path("quality.json"))
    parser.add_argument("--reuse", type=Path, help="results of the sides that --sides leaves out")
    parser.add_argument("--python", default=sys.executable, help="interpreter of raysearch's side")
    parser.add_argument("--raysearch", default="", metavar="WORDS", help="more words for raysearch tune")
    parser.add_argument(
        "--more", type=json.loads, default={}, metavar="JSON", help="more arguments of fit, by competitor"
    )
    options = parser.parse_args()
    options.only, options.sides = options.only.split(","), options.sides.split(",")
    unknown = (set(options.only) - set(TABLES)) | (set(options.sides) - set(quality_score.SIDES))
    if unknown:
        parser.error(f"no table or side is called {', '.join(sorted(unknown))}; tables: {', '.join(TABLES)}")
    if options.setup is None and options.home is None:
        parser.error("give --home DIR, where --setup DIR made the environments")
    return options


def keep_to(cores: int) -> None:
    """Keep this process and all that it starts to so many cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def main() -> None:
    options = parse()
    if options.setup is not None:
        quality_setup.set_up(options.setup)
        return
    options.home = options.home.resolve()
    keep_to(options.cores)
    tables = [
        quality_tables.write(name, seed, options.home / "packages", options.home / "tables")
        for seed in range(options.seeds)
        for name in options.only
    ]
    results = kept(options, tables)
    for position, table in enumerate(tables):
        turn = position % len(options.sides)
        for side in options.sides[turn:] + options.sides[:turn]:
            scratch = Path(tempfile.mkdtemp(prefix="quality-"))
            results.append(run(side, table, options, scratch))
            shutil.rmtree(scratch, ignore_errors=True)
            options.out.write_text(json.dumps(results, indent=1, default=str))
            keys = (
                "table",
                "seed",
                "side",
                "pinball",
                "coverage",
                "crossing",
                "fit_s",
                "cpu_s",
                "machine_cpu_s",
                "error",
            )
            told = {key: results[-1][key] for key in keys if key in results[-1]}
            print(told, file=sys.stderr, flush=True)
    print("\n".join([*quality_score.losses(results), "", *quality_score.times(results)]))


if __name__ == "__main__":
    main()
