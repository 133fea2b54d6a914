"""A real tracking server that dies in the middle of a search, and one file that many open at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raysearch.config import TrackingConfig
from raysearch.errors import TrackingError
from raysearch.tracking import check_reachable, open_tracker

pytestmark = pytest.mark.slow


def start_server(folder: Path, port: int) -> subprocess.Popen:
    """Start a server that also stores the artifacts, in a process group of its own; wait until it answers."""
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
    ]
    server = subprocess.Popen(
        [*command, "--artifacts-destination", f"{folder}/kept", "--port", str(port), "--workers", "1"],
        cwd=folder,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + 60
    while True:
        try:
            check_reachable(f"http://127.0.0.1:{port}")
            return server
        except TrackingError:
            if time.monotonic() > until or server.poll() is not None:
                stop(server)
                raise
            time.sleep(0.3)


def stop(server: subprocess.Popen) -> None:
    """Kill the server and its worker, as a crash would."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
    server.wait(10)


def test_a_server_that_dies_holds_nobody_up_and_resume_completes_the_record(
    tmp_path, info, trial, outcome, forecaster_dir, monkeypatch, mlflow_at
):
    import mlflow

    monkeypatch.chdir(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = TrackingConfig(True, f"http://127.0.0.1:{port}", "served")
    trials = [trial(number) for number in range(6)]
    server = start_server(tmp_path, port)
    try:
        tracker = open_tracker(config)
        tracker.study_started(info)
        report(tracker, trials[0])
        until = time.monotonic() + 20
        client = mlflow.MlflowClient(tracking_uri=config.uri)
        while not finished(client, info) and time.monotonic() < until:
            time.sleep(0.1)
        stop(server)

        started = time.monotonic()
        for result in trials[1:]:
            report(tracker, result)
        tracker.study_ended("FINISHED", outcome(trials[0]), trials, None, forecaster_dir)
        assert time.monotonic() - started < 0.5
        told = tracker.close()
        assert time.monotonic() - started < 15
        assert "`python -m raysearch sync cheese-1` sends what is missing" in told[0]
        assert "has not answered" in told[-1]
        assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ

        started = time.monotonic()
        with pytest.raises(TrackingError, match="--no-tracking"):
            open_tracker(config).study_started(info)
        assert time.monotonic() - started < 5

        server = start_server(tmp_path, port)
        again = open_tracker(config)
        again.study_started(info)
        assert again.parent_run_id == tracker.parent_run_id
        again.reconcile(trials, [])
        again.study_ended("FINISHED", outcome(trials[0]), trials, None, forecaster_dir)
        assert again.close() == ()
        assert finished(client, info) == 6
        assert client.get_run(again.parent_run_id).info.status == "FINISHED"
        (model,) = client.search_logged_models(
            [client.get_run(again.parent_run_id).info.experiment_id], "name = 'model'"
        )
        assert (model.source_run_id, str(model.status)) == (again.parent_run_id, "READY")
        mlflow_at(config.uri)
        loaded = mlflow.pyfunc.load_model(f"runs:/{again.parent_run_id}/model")
        assert loaded.metadata.run_id == again.parent_run_id
        assert loaded.metadata.metadata["input_columns"] == {
            "a": "double",
            "b c": "double",
            "day": "datetime",
        }
    finally:
        stop(server)


def report(tracker, result) -> None:
    tracker.trial_started(result.number, result.key, result.model, result.params)
    tracker.trial_ended(result)


def finished(client, info) -> int:
    experiment = client.get_experiment_by_name("served")
    words = f"tags.`raysearch.study_id` = '{info.study_id}' and tags.`raysearch.role` = 'trial'"
    runs = client.search_runs([experiment.experiment_id], words)
    assert len({run.data.tags["raysearch.trial_key"] for run in runs}) == len(runs)
    return sum(run.info.status == "FINISHED" for run in runs)


def test_processes_that_make_one_store_at_once_do_not_break_it(tmp_path):
    code = """
import sys
from raysearch.tracking.store import open_store
print(open_store(sys.argv[1], "shared").experiment_id)
"""
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path}/mlflow.db"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert len(set(answers)) == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"mlflow.db", "mlflow.db-wal", "mlflow.db-shm"}
    assert (tmp_path / "mlflow.db").read_bytes()[18] == 2  # SQLite's mark of a file in WAL mode


def test_what_is_left_of_a_database_that_was_taken_away_is_not_mixed_with_a_new_one(tmp_path):
    code = """
import os, sys
from raysearch.tracking.store import open_store
store = open_store(sys.argv[1], sys.argv[2])
print(*sorted(one.name for one in store.client.search_experiments()), flush=True)
store.create_run("a run", {"a": "b"}, 0)
os._exit(0)  # as a kill: what was written last is beside the database
"""

    def told(experiment):
        command = [sys.executable, "-c", code, f"sqlite:///{tmp_path}/mlflow.db", experiment]
        return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout.split()

    assert told("first") == ["Default", "first"]
    assert (tmp_path / "mlflow.db-wal").stat().st_size > 0
    (tmp_path / "mlflow.db").unlink()
    assert told("second") == ["Default", "second"]
