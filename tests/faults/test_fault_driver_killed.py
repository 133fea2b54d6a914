"""The command is killed again and again, at moments drawn by chance; what it leaves is gone on with."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from raysearch.study.ledger import read_results
from raysearch.study.storage import open_storage_to_read

pytestmark = pytest.mark.slow
TRIALS, KILLS = 60, 10


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(1500, 4)), columns=list("abcd"))
    frame["y"] = frame["a"] + rng.normal(size=1500) * (1 + frame["b"].abs())
    frame.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def command(place: Path, table: Path) -> list[str]:
    """Return what begins the study, or goes on with it."""
    base = [sys.executable, "-m", "raysearch"]
    record = ["--tracking-uri", f"sqlite:///{place}/mlflow.db", "--json"]
    if (place / "studies" / "s" / "study.json").is_file():
        return [*base, "resume", "s", "--home", str(place / "studies"), *record]
    words = ["tune", "--data", str(table), "--target", "y", "--trials", str(TRIALS), "--study", "s"]
    return [*base, *words, "--home", str(place / "studies"), *record]


def ended(place: Path) -> list:
    storage = open_storage_to_read(place / "studies" / "s" / "ledger.log", None)
    name = next((study.study_name for study in storage.get_all_studies()), "") if storage else ""
    return list(read_results(storage, name)) if name else []


def family(session: int) -> list[int]:
    """Return the processes of a session that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its, *_ = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(its) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_until(holds, driver: subprocess.Popen, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert driver.poll() is None and time.monotonic() < until, "the search did not come so far"
        time.sleep(0.05)


def test_ten_kills_cost_no_trial_that_had_ended_and_leave_nothing(tmp_path, table):
    chance, best, sessions, struck = random.Random(0), float("inf"), [], 0
    for turn in range(KILLS):
        driver = subprocess.Popen(
            command(tmp_path, table),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        sessions.append(driver.pid)
        before = {result.key for result in ended(tmp_path)}
        if turn % 2:  # while it starts, or later
            time.sleep(chance.uniform(0.5, 8.0))
        else:
            wait_until(lambda before=before: len(ended(tmp_path)) > len(before), driver)
            time.sleep(chance.uniform(0.0, 0.7))
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        now = ended(tmp_path)
        assert before <= {result.key for result in now}
        struck += len(before) < len(now) < TRIALS
        best = min((result.score for result in now if result.state == "finished"), default=best)
    assert struck >= 4, "no search was struck"
    done = subprocess.run(command(tmp_path, table), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["trials"]["finished"] + result["trials"]["stopped"] == TRIALS
    results = ended(tmp_path)
    keys = [one.key for one in results]
    assert len(keys) == len(set(keys)) == sum(result["trials"].values())
    params = [tuple(one.params.items()) for one in results]
    assert len(params) == len(set(params))
    assert min(one.score for one in results if one.state == "finished") <= best
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    parents = client.search_runs(["1"], "tags.`raysearch.role` = 'study'")
    runs = client.search_runs(["1"], "tags.`raysearch.role` = 'trial'")
    assert len(parents) == 1
    assert sorted(run.data.tags["raysearch.trial_key"] for run in runs) == sorted(keys)
    assert {run.info.status for run in (*parents, *runs)} <= {"FINISHED", "KILLED"}
    until = time.monotonic() + 60
    while any(family(session) for session in sessions):
        assert time.monotonic() < until, [family(session) for session in sessions]
        time.sleep(0.5)
