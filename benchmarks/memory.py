"""Does a search take the memory that it counts before it starts? And does binned data load in milliseconds?

    python benchmarks/memory.py [--rows 1000000] [--columns 20] [--models lightgbm,xgboost] [--repeats 2]
    python benchmarks/memory.py --rows 10000000 --models lightgbm --repeats 1     # about ten minutes

For each library a made-up table is tuned with a few short trials, on as many workers as there are cores. Told
are the most that the driver, a worker and all processes of the command took at one moment (proportional set
size: what processes share counts once), what was counted for a worker, and the ratio of the two: never above
1. Below that: seconds in which a worker bins the rows, and in which a later worker loads what that one has
binned.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from raysearch.calibration import make_folds
from raysearch.data import Transform
from raysearch.memory import worker_bytes
from raysearch.models import FitSettings, Frame, get_model
from raysearch.recipe import Recipe
from raysearch.records import FoldRows
from raysearch.space import load_space

MARK = "RAYSEARCH_MEMORY"
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
ROUNDS = {"lightgbm": "num_boost_round", "xgboost": "n_estimators"}
STEP = 1_000_000
LOOK_S = 0.25

WORKER = re.compile(r"ray::(TrialWorker|.*: trial \d)")  # the name of its class, or of the trial that it runs


@dataclass(frozen=True)
class Peak:
    """Bytes at most: of all processes together, of the driver, of one worker."""

    whole: float = 0.0
    driver: float = 0.0
    worker: float = 0.0


def write_table(path: Path, rows: int, columns: int) -> None:
    """Write a table of float32 columns whose target hangs on a few of them."""
    rng = np.random.default_rng(0)
    names = [*(f"x{i}" for i in range(columns)), "y"]
    with pq.ParquetWriter(path, pa.schema([(name, pa.float32()) for name in names])) as file:
        for start in range(0, rows, STEP):
            x = rng.standard_normal((columns, min(STEP, rows - start)), dtype=np.float32)
            y = 2 * x[0] + np.sin(3 * x[1]) + np.abs(x[2]) * rng.standard_normal(x.shape[1], dtype=np.float32)
            file.write_table(pa.table(dict(zip(names, [*x, y], strict=True))))


def write_space(path: Path, model: str, rounds: int) -> None:
    """Write a space of short trials, with and without a location model."""
    location = [{ROUNDS[model]: rounds, "location": value} for value in (True, False)]
    space = {
        "model": model,
        "parameters": {
            ROUNDS[model]: {"type": "int", "low": 2, "high": rounds},
            "location": {"choices": [True, False]},
        },
        "start": location,
    }
    path.write_text(yaml.safe_dump(space))


def watched(words: list[str]) -> tuple[Peak, float]:
    """Run a command and return what its processes took at most, and its seconds."""
    mark = f"{MARK}={uuid.uuid4().hex}"
    name, _, value = mark.partition("=")
    begun = time.monotonic()
    process = subprocess.Popen(words, env={**os.environ, name: value}, stdout=subprocess.DEVNULL)
    peak, ours = Peak(), dict[str, bool]()
    while process.poll() is None:
        sizes = _sizes(mark.encode(), ours)
        driver = sizes.get(str(process.pid), (0.0, ""))[0]
        workers = [size for size, command in sizes.values() if WORKER.match(command)]
        whole = sum(size for size, _ in sizes.values())
        peak = Peak(
            max(peak.whole, whole), max(peak.driver, driver), max(peak.worker, max(workers, default=0.0))
        )
        time.sleep(LOOK_S)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return peak, time.monotonic() - begun


def _sizes(mark: bytes, ours: dict[str, bool]) -> dict[str, tuple[float, str]]:
    """Return bytes and command of each process that has the mark in its environment."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if entry.name not in ours:
                ours[entry.name] = mark in (entry / "environ").read_bytes().split(b"\0")
            if ours[entry.name]:
                lines = (entry / "smaps_rollup").read_text().splitlines()
                size = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
                found[entry.name] = (1024.0 * size, (entry / "cmdline").read_bytes().decode())
        except (OSError, StopIteration):
            continue
    return found


def tuned(place: Path, model: str, options: argparse.Namespace) -> tuple[Peak, float]:
    """Tune the table once."""
    words = {
        "model": model,
        "space": place / f"{model}.yaml",
        "data": place / "table.parquet",
        "target": "y",
        "cv": 1,
        "trials": options.trials,
        "ensemble": 1,
        "home": place / uuid.uuid4().hex,
    }
    told = [text for word, value in words.items() for text in (f"--{word}", str(value))]
    return watched([sys.executable, "-m", "raysearch", "tune", *told, "--no-tracking"])


def counted(place: Path, model: str, options: argparse.Namespace) -> int:
    """Return what raysearch counts for a worker: 64 % of the rows are learnt from, 16 % scored on."""
    learnt, scored = int(0.64 * options.rows), int(0.16 * options.rows)
    fits = (FoldRows(((0, learnt),), (learnt, learnt + scored)),)
    kinds, settings = (False,) * options.columns, FitSettings(LEVELS)
    recipe = Recipe(kinds, fits, Transform(), settings, make_folds(4))
    return worker_bytes(recipe, load_space(model, str(place / f"{model}.yaml")))


def binning(place: Path) -> tuple[float, float, int]:
    """Return the seconds of binning the rows and of loading what was binned, and the rows."""
    model, settings = get_model("lightgbm"), FitSettings(LEVELS)
    table = pq.read_table(place / "table.parquet")
    target = table["y"].to_numpy().astype(float)
    table = table.drop_columns("y").combine_chunks()
    frame = Frame(table.rename_columns([f"f{i}" for i in range(table.num_columns)]), ())
    begun = time.perf_counter()
    binned = model.bin(frame, target, {}, settings)
    made = time.perf_counter()
    model.save_binned(binned, place / "binned")
    saved = time.perf_counter()
    model.load_binned(place / "binned", frame, {}, settings)
    loaded = time.perf_counter()
    (place / "binned").unlink()
    return made - begun, loaded - saved, frame.rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--models", default="lightgbm,xgboost")
    parser.add_argument("--rounds", type=int, default=30, help="of the longest trial")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    models = options.models.split(",")
    found: dict[str, list[tuple[Peak, float]]] = {model: [] for model in models}
    with tempfile.TemporaryDirectory(prefix="memory-") as folder:
        place = Path(folder)
        write_table(place / "table.parquet", options.rows, options.columns)
        for model in models:
            write_space(place / f"{model}.yaml", model, options.rounds)
        for _ in range(options.repeats):
            for model in models:
                found[model].append(tuned(place, model, options))
        expected = {model: counted(place, model, options) for model in models}
        bins = [binning(place) for _ in range(options.repeats)]
    print(f"{options.rows:,} rows, {options.columns} columns, {options.trials} trials; GB at most")
    print("| library | all processes | driver | a worker | counted for it | ratio | seconds |")
    print("|---|---|---|---|---|---|---|")
    for model in models:
        print(_row(model, found[model], expected[model]))
    made, loaded = (statistics.median(times) for times in list(zip(*bins, strict=True))[:2])
    print(f"{bins[0][2]:,} rows are binned in {made:.2f} s; what was binned loads in {1000 * loaded:.0f} ms")


def _row(model: str, runs: list[tuple[Peak, float]], counted_for: int) -> str:
    def spread(values: list[float], form: str) -> str:
        low, high = (format(value, form) for value in (min(values), max(values)))
        return low if low == high else f"{low} to {high}"

    cells = [
        spread([getattr(peak, part) / 1e9 for peak, _ in runs], ".2f")
        for part in ("whole", "driver", "worker")
    ]
    ratio = spread([peak.worker / counted_for for peak, _ in runs], ".2f")
    seconds = spread([wall for _, wall in runs], ".0f")
    return f"| {model} | {' | '.join(cells)} | {counted_for / 1e9:.2f} | {ratio} | {seconds} |"


if __name__ == "__main__":
    main()
