"""Addresses with nobody there, homes that cannot be used, studies that are not there, words that are none."""

from __future__ import annotations

import contextlib
import importlib
import socket
import time

import pytest

from raysearch.errors import ClusterError, TrackingError
from raysearch.study import cluster
from raysearch.tracking import mlflow_tracker


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("command", ["tune", "check"])
@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:{port}", ["no Ray cluster answers", "127.0.0.1:{port}", "ray start"]),
        ("127.0.0.1", ["HOST:PORT"]),
        ("ray://127.0.0.1:10001", ["ray://127.0.0.1:10001", "HOST:PORT"]),
    ],
)
def test_a_cluster_with_nobody_there_is_refused(place, invoke, command, address, expected, refused):
    port = _closed_port()
    began = time.monotonic()
    result = invoke(command, *place.data, "--address", address.format(port=port))
    assert time.monotonic() - began < 8
    refused(result, [word.format(port=port) for word in expected])
    place.check_nothing_left()


@pytest.mark.parametrize("command", ["tune", "check"])
def test_a_tracking_server_with_nobody_there_is_refused(place, invoke, command, refused):
    port = _closed_port()
    began = time.monotonic()
    result = invoke(command, *place.data, "--tracking-uri", f"http://me:secret@127.0.0.1:{port}")
    assert time.monotonic() - began < 8
    message = refused(result, ["no MLflow store", str(port), "--no-tracking"])
    assert "secret" not in message
    place.check_nothing_left()


@pytest.mark.slow
def test_a_tracking_server_that_never_answers_is_refused(place, invoke, refused):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        result = invoke("tune", *place.data, "--tracking-uri", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert time.monotonic() - began < 8
    refused(result, ["--no-tracking"])
    place.check_nothing_left()


def test_a_home_that_cannot_be_written_is_refused(place, invoke, refused):
    (place.root / "taken").write_text("a file")
    result = invoke("tune", *place.data, *place.quick, "--no-tracking", "--home", "taken")
    refused(result, ["--home taken"])


def test_a_record_that_refuses_the_study_leaves_nothing(place, invoke, monkeypatch, refused):
    def no(*args):
        raise TrackingError("the experiment was deleted")

    monkeypatch.setattr(mlflow_tracker, "open_store", no)
    refused(invoke("tune", *place.data, *place.quick), ["the experiment was deleted"])
    place.check_nothing_left()


def test_a_cluster_that_breaks_while_connecting_leaves_nothing(place, store, invoke, monkeypatch, refused):
    @contextlib.contextmanager
    def broken(compute, stands, growth):
        raise ClusterError("no node can hold a trial")
        yield

    monkeypatch.setattr(importlib.import_module("raysearch.flow.searching"), "connected", broken)
    refused(invoke("tune", *place.data, "--space", "quick.yaml"), ["no node can hold a trial"])
    place.check_nothing_left()


@pytest.mark.parametrize("command", ["tune", "check"])
def test_a_trial_larger_than_this_machine_is_refused(place, invoke, command, refused):
    words = [command, *place.data, "--space", "quick.yaml", "--no-tracking", "--cpus-per-trial", "5000"]
    refused(invoke(*words), ["--cpus-per-trial 5000", "cores", "--address"])
    place.check_nothing_left()


@pytest.mark.parametrize("engine", ["ray", "inline"])
def test_a_gpu_that_this_machine_lacks_is_refused(place, invoke, monkeypatch, engine, refused):
    monkeypatch.setattr(cluster, "_has_gpu", lambda: False)
    words = ["tune", *place.data, "--model", "xgboost", "--no-tracking", "--gpus-per-trial", "1"]
    refused(invoke(*words, "--engine", engine), ["--gpus-per-trial 1", "no NVIDIA GPU", "--address"])
    place.check_nothing_left()


def test_what_is_refused_leaves_nothing_in_a_shared_ledger(place, invoke, monkeypatch, refused):
    import optuna

    @contextlib.contextmanager
    def broken(compute, stands, growth):
        raise ClusterError("no node can hold a trial")
        yield

    monkeypatch.setattr(importlib.import_module("raysearch.flow.searching"), "connected", broken)
    database = f"sqlite:///{place.root}/ledger.db"
    words = ["tune", *place.data, "--space", "quick.yaml", "--no-tracking", "--ledger", database]
    refused(invoke(*words), ["no node can hold a trial"])
    assert optuna.get_all_study_names(database) == []


@pytest.mark.parametrize(
    "words",
    [
        ["tune", "--trials", "many"],
        ["tune", "--no-such-flag"],
        ["tune", "--levels", "a,b"],
        ["tune", "--time-budget", "soon"],
        ["predict", "--data", "t.csv"],
        ["resume"],
        ["tuna"],
    ],
    ids=" ".join,
)
def test_a_command_line_that_cannot_be_parsed_exits_2(place, invoke, words):
    result = invoke(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    place.check_nothing_left()


@pytest.mark.parametrize(
    "command", [["resume", "nme"], ["predict", "--study", "nme", "--data", "t.csv", "--out", "p.csv"]]
)
def test_an_unknown_study_is_refused_with_the_nearest(place, invoke, command, refused):
    result = invoke("tune", *place.data, *place.quick, "--no-tracking", "--study", "name")
    assert result.exit_code == 0, result.stderr
    refused(invoke(*command), ["'nme'", "'name'", "studies"])
    refused(invoke(*command, "--home", "elsewhere"), ["'nme'", "elsewhere", "--home"])
    refused(invoke("tune", *place.data, *place.quick, "--no-tracking", "--study", "name"), ["resume name"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--data", "t.csv", "--out", "p.csv"], ["--study NAME", "--model-path"]),
        (["--study", "x", "--model-path", "y", "--data", "t.csv", "--out", "p.csv"], ["--study NAME"]),
        (["--model-path", "nowhere", "--data", "t.csv", "--out", "p.csv"], ["nowhere"]),
        (["--study", "../x", "--data", "t.csv", "--out", "p.csv"], ["'../x'"]),
    ],
)
def test_predict_refuses_what_it_cannot_do(place, invoke, words, expected, refused):
    refused(invoke("predict", *words), expected)
