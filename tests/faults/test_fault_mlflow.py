"""The MLflow server goes away in the middle of a study, and comes back: nothing of the record is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
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
TRIALS = 40


class Server:
    """A tracking server that can be killed and started again."""

    def __init__(self, place: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.uri, self._place, self._port = f"http://127.0.0.1:{port}", place, port
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self._port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self._place}/server.db"]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self._process = subprocess.Popen(
            [*command, "--artifacts-destination", f"{self._place}/kept"],
            cwd=self._place,
            env={**os.environ, **quiet},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until = time.monotonic() + 90
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < until and self._process.poll() is None
                time.sleep(0.3)

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(3000, 4)), columns=list("abcd"))
    frame["y"] = frame["a"] + rng.normal(size=3000) * (1 + frame["b"].abs())
    frame.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def begin(place: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "raysearch", *words, "--json", "--home", str(place / "studies")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def tune(place: Path, table: Path, uri: str, trials: int = TRIALS) -> subprocess.Popen[str]:
    words = ["tune", "--data", str(table), "--target", "y", "--study", "s", "--trials", str(trials)]
    return begin(place, *words, "--tracking-uri", uri)


def ended(place: Path) -> list:
    storage = open_storage_to_read(place / "studies" / "s" / "ledger.log", None)
    name = next((study.study_name for study in storage.get_all_studies()), "") if storage else ""
    return list(read_results(storage, name)) if name else []


def wait_for(place: Path, trials: int, driver: subprocess.Popen) -> None:
    until = time.monotonic() + 90
    while len(ended(place)) < trials:
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


def check_record(place: Path, uri: str, status: str) -> None:
    """Each trial of the ledger has exactly one run, in its final state; the study's run is complete."""
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("raysearch").experiment_id
    (parent,) = client.search_runs([experiment], "tags.`raysearch.role` = 'study'")
    runs = client.search_runs([experiment], "tags.`raysearch.role` = 'trial'")
    by_key = {run.data.tags["raysearch.trial_key"]: run for run in runs}
    results = ended(place)
    assert len(runs) == len(by_key) == len(results)
    states = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
    for result in results:
        run = by_key[result.key]
        assert run.info.status == states[result.state]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        if result.state == "finished":
            assert run.data.metrics["valid_pinball_loss_avg"] == pytest.approx(result.score)
    assert parent.info.status == status
    if status == "FINISHED":
        assert "test_pinball_loss_avg" in parent.data.metrics
        assert "raysearch.history" in parent.data.tags
        files = {file.path for file in client.list_artifacts(parent.info.run_id)}
        assert {"report.html", "leaderboard.csv", "config.yaml"} <= files
        assert client.search_logged_models([experiment], f"source_run_id = '{parent.info.run_id}'")


def test_a_server_that_is_away_for_a_while_costs_no_time_and_no_run(tmp_path, table, server):
    driver = tune(tmp_path, table, server.uri, 150)
    wait_for(tmp_path, 10, driver)
    server.kill()
    before = len(ended(tmp_path))
    wait_for(tmp_path, before + 20, driver)  # the search goes on without it
    server.start()
    said, errors = driver.communicate(timeout=240)
    assert driver.returncode == 0, errors
    assert "is not complete" not in errors
    assert json.loads(said)["trials"]["failed"] == 0
    check_record(tmp_path, server.uri, "FINISHED")


def test_what_a_server_that_stays_away_has_missed_is_sent_by_sync(tmp_path, table, server):
    driver = tune(tmp_path, table, server.uri)
    wait_for(tmp_path, 5, driver)
    server.kill()
    said, errors = driver.communicate(timeout=240)
    assert driver.returncode == 0, errors
    assert json.loads(said)["trials"]["finished"] > 0
    assert f"`python -m raysearch sync s --home {tmp_path}/studies` sends what is missing" in errors

    away = begin(tmp_path, "sync")
    said, _ = away.communicate(timeout=120)
    assert away.returncode == 1
    (told,) = json.loads(said)["studies"]
    assert told["study"] == "s"
    assert told["left"]

    server.start()
    done = begin(tmp_path, "sync")
    said, errors = done.communicate(timeout=120)
    assert done.returncode == 0, errors
    assert json.loads(said)["studies"] == [{"study": "s", "trials": TRIALS, "uri": server.uri, "left": []}]
    check_record(tmp_path, server.uri, "FINISHED")

    again = begin(tmp_path, "sync", "s")  # however often
    assert again.wait(120) == 0
    check_record(tmp_path, server.uri, "FINISHED")
    said, _ = begin(tmp_path, "sync").communicate(timeout=120)
    assert json.loads(said)["studies"] == []


def test_a_killed_study_s_trials_are_sent_by_sync_and_it_goes_on(tmp_path, table, server):
    driver = tune(tmp_path, table, server.uri)
    wait_for(tmp_path, 5, driver)
    server.kill()
    wait_for(tmp_path, 10, driver)
    driver.kill()
    driver.wait()
    server.start()
    done = begin(tmp_path, "sync", "s")
    said, errors = done.communicate(timeout=120)
    assert done.returncode == 0, errors
    check_record(tmp_path, server.uri, "KILLED")
    last = begin(tmp_path, "resume", "s")
    said, errors = last.communicate(timeout=240)
    assert last.returncode == 0, errors
    trials = json.loads(said)["trials"]
    assert trials["finished"] + trials["stopped"] == TRIALS
    check_record(tmp_path, server.uri, "FINISHED")
