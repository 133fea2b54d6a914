"""raysearch's side of benchmarks/quality.py: its command line, then the saved model. Takes JOB.json."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

import raysearch


def version() -> str:
    """Return raysearch's version and, where it runs from a checkout, its commit."""
    command = ["git", "-C", str(Path(raysearch.__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git
        return raysearch.__version__
    return f"{raysearch.__version__} {done.stdout.strip()}".strip()


def words(job: dict, scratch: Path) -> list[str]:
    """Return the command that a user would give for this table."""
    table = job["table"]
    command = [sys.executable, "-m", "raysearch", "tune", "--no-tracking", "--json", "--study", "quality"]
    command += ["--data", table["train"], "--test", table["test"], "--target", table["target"]]
    command += ["--levels", ",".join(map(str, job["levels"])), "--time-budget", f"{job['seconds']}s"]
    command += ["--seed", str(job["seed"]), "--home", str(scratch)]
    if table["kind"] == "group":  # a name never seen tells nothing: only for the folds
        command += ["--split", "group", "--group", table["group"], "--drop", table["group"]]
    elif table["group"]:
        command += ["--group", table["group"]]
    if table["time"]:
        command += ["--time", table["time"]]
    return [*command, *job["words"]]


def main() -> None:
    scratch = Path(sys.argv[1]).parent
    job = json.loads(Path(sys.argv[1]).read_text())
    started = time.perf_counter()
    done = subprocess.run(words(job, scratch), capture_output=True, text=True, check=False)
    fitted = time.perf_counter()
    if done.returncode:
        sys.exit(done.stderr)
    forecaster = raysearch.load_forecaster(scratch / "quality" / "model")
    test = pd.read_parquet(job["table"]["test"]).drop(columns=job["table"]["target"])
    before = time.perf_counter()
    quantiles = forecaster.predict(test).to_numpy(float)
    told = {"predict_s": time.perf_counter() - before, "fit_s": fitted - started, "version": version()}
    np.save(scratch / "quantiles.npy", quantiles)
    result = json.loads(done.stdout)
    told["models"] = {key: result.get(key) for key in ("trials", "best", "test", "ensemble")}
    (scratch / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
