"""What does a search cost beyond its training? Trials a second beside the scripts that everyone writes.

Each side trains the same LightGBM parameters for three levels on the same number of rows, one thread a
trial, as many trials at once as there are cores, none stopped early:

    documentation   Ray Tune as documented: with_parameters, OptunaSearch, MLflowLoggerCallback (sqlite)
    reuse_actors    the same with reuse_actors=True
    optuna          Optuna in as many processes as there are cores: no cluster, tracking or calibration
    raysearch       its command line, with tracking (sqlite), calibration, ordering, model and report

    python benchmarks/overhead.py [--rows 10000,50000] [--trials 50] [--repeats 3] [--sides A,B] [--out FILE]

The sides take turns. Told are, from the start of the first trial to the end of the last, trials a second, the
share of the time in which the machine's cores were at work, and the core-seconds that all processes of the
command took for a trial; and the seconds of the whole command, and of these until the first trial began.
Ratios are of one turn, their median and range over the turns. raysearch runs one trial more, the library's
defaults. Last is told what its processes beside the workers took for a trial: the driver, with the record,
and Ray's own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
from memory import WORKER

HERE = Path(__file__).parent
SIDES = ("raysearch", "documentation", "reuse_actors", "optuna")
LEVELS = [0.05, 0.5, 0.95]
COLUMNS, SHARE = 10, 0.2
LOOK_S, HERTZ = 0.5, os.sysconf("SC_CLK_TCK")


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


class Meter(threading.Thread):
    """Reads now and then what the machine's cores, and the processes with a mark, have worked."""

    def __init__(self, mark: str) -> None:
        super().__init__(daemon=True)
        self._mark, self._ours, self._ends = mark.encode(), dict[str, bool](), threading.Event()
        self._seconds: dict[str, tuple[bool, float]] = {}  # by process: whether it is a worker
        self._read: list[tuple[float, ...]] = []  # moment; machine at work, and in all; workers; others

    def run(self) -> None:
        while not self._ends.wait(LOOK_S):
            self._look()

    def end(self) -> None:
        self._ends.set()
        self.join()

    def between(self, start: float, end: float) -> list[float]:
        """Return by how much each of the four figures has grown, in seconds."""
        moments, *figures = np.array(self._read).T
        return [float(np.interp(end, moments, one) - np.interp(start, moments, one)) for one in figures]

    def _look(self) -> None:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError, IndexError):
                    self._look_at(entry)
        ticks = list(map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9]))
        machine = [sum(ticks) - ticks[3] - ticks[4], sum(ticks)]  # without idle, and waiting for a disk
        ours = [sum(s for kind, s in self._seconds.values() if kind is worker) for worker in (True, False)]
        self._read.append((time.time(), *(tick / HERTZ for tick in machine), *ours))

    def _look_at(self, entry: Path) -> None:
        if entry.name not in self._ours:
            self._ours[entry.name] = self._mark in (entry / "environ").read_bytes().split(b"\0")
        if self._ours[entry.name]:
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().decode()
            worker = self._seconds.get(entry.name, (False,))[0] or bool(WORKER.match(command))
            self._seconds[entry.name] = worker, (int(stat[11]) + int(stat[12])) / HERTZ


def run(side: str, job: dict) -> dict[str, float]:
    """Run one side once; return what is told of it."""
    with tempfile.TemporaryDirectory(prefix="overhead-", ignore_cleanup_errors=True) as place:
        path = Path(place) / "job.json"
        path.write_text(json.dumps(job))
        env = {**os.environ, "RAY_AIR_NEW_OUTPUT": "0", "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0"}
        name, value = "RAYSEARCH_OVERHEAD", uuid.uuid4().hex
        command = [sys.executable, str(HERE / "overhead_sides.py"), side, str(path)]
        meter = Meter(f"{name}={value}")
        meter.start()
        began = time.time()
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**env, name: value}, cwd=place
        )
        whole = time.time() - began
        meter.end()
        if done.returncode:
            sys.exit(f"{side} failed:\n{done.stderr[-2000:]}")
        spans = json.loads((Path(place) / "told.json").read_text())["spans"]
    first, last = min(start for start, _ in spans), max(end for _, end in spans)
    at_work, in_all, workers, others = meter.between(first, last)
    count = len(spans)
    return {
        "trials": count,
        "rate": count / (last - first),
        "whole_s": whole,
        "first_s": first - began,
        "at_work": at_work / in_all,
        "trial_s": (workers + others) / count,
        "beside_s": others / count,
    }


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
        cells += [spread([one["first_s"] for one in own], "{:.1f}")]
        cells += [spread([100 * one["at_work"] for one in own], "{:.0f}")]
        cells += [spread([one["trial_s"] for one in own])]
        cells += [spread(rates), spread(wholes)] if rates and side != "raysearch" else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    if mine := found.get("raysearch"):
        beside = spread([1000 * one["beside_s"] for one in mine], "{:.0f}")
        lines.append(f"\n{rows:,} rows: beside its workers raysearch took {beside} ms of a core a trial\n")
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
    head = (
        "| rows | side | trials a second | whole command, s | until the first trial, s | cores at work, % "
        "| core-seconds a trial | raysearch's rate / its | its seconds / raysearch's |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
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
        print("\n".join((head, *told(found, rows, sides))), flush=True)


if __name__ == "__main__":
    main()
