"""Bad input gets one message that names what was wrong, got and right, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import gzip
import importlib
import socket
import time

import numpy as np
import pandas as pd
import pytest

from raysearch.errors import ClusterError, TrackingError
from raysearch.tracking import mlflow_tracker

SPACE = "model: lightgbm\nparameters:\n  num_leaves: {low: 4, high: 16}\n"


def _column(name: str, values):
    """Return a maker that puts ``values`` into column ``name`` of the table."""

    def make(place, frame):
        frame[name] = values(frame) if callable(values) else values
        frame.to_csv(place.root / "t.csv", index=False)

    return make


def _write(name: str, content: bytes | str):
    def make(place, frame):
        path = place.root / name
        path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content)

    return make


def _nothing(place, frame):
    pass


def _infinite(frame):
    return frame["demand"].where(frame.index != 7, np.inf)


DATA = ["--data", "t.csv", "--target", "demand"]

FILES = {
    "not there": (_nothing, ["--data", "tt.csv", "--target", "demand"], ["no file tt.csv", "t.csv"]),
    "no folder": (_nothing, ["--data", "x/t.csv", "--target", "demand"], ["no file x/t.csv", "folder x"]),
    "a folder": (
        lambda place, frame: (place.root / "d.csv").mkdir(),
        ["--data", "d.csv", "--target", "demand"],
        ["d.csv is a folder"],
    ),
    "empty": (_write("e.csv", ""), ["--data", "e.csv", "--target", "demand"], ["e.csv is empty"]),
    "only a header": (_write("h.csv", "a,demand\n"), ["--data", "h.csv", "--target", "demand"], ["no rows"]),
    "text that says parquet": (
        _write("t.parquet", "a,b\n1,2\n"),
        ["--data", "t.parquet", "--target", "b"],
        ["t.parquet", "Parquet", "text"],
    ),
    "parquet that says csv": (
        lambda place, frame: frame.to_parquet(place.root / "p.csv", engine="pyarrow"),
        ["--data", "p.csv", "--target", "demand"],
        ["p.csv", "Parquet"],
    ),
    "text that says gzip": (
        _write("t.csv.gz", "a,b\n1,2\n"),
        ["--data", "t.csv.gz", "--target", "b"],
        ["t.csv.gz", "gzip"],
    ),
    "cut off gzip": (
        _write("c.csv.gz", gzip.compress(b"a,demand\n" + b"1,2\n" * 5000)[:-40]),
        ["--data", "c.csv.gz", "--target", "demand"],
        ["c.csv.gz"],
    ),
    "text that says xlsx": (
        _write("t.xlsx", "a,b\n1,2\n"),
        ["--data", "t.xlsx", "--target", "b"],
        ["t.xlsx", "text"],
    ),
    "unknown ending": (
        _write("t.json", "[]"),
        ["--data", "t.json", "--target", "b"],
        ["'.json'", ".parquet"],
    ),
    "one column": (
        _write("o.csv", "demand\n" + "1\n2\n" * 50),
        ["--data", "o.csv", "--target", "demand"],
        ["one column", "'demand'", "at least one more"],
    ),
    "too few rows": (
        _write("few.csv", "a,demand\n" + "1,2\n3,4\n" * 5),
        ["--data", "few.csv", "--target", "demand"],
        ["10 usable rows", "at least"],
    ),
}

COLUMNS = {
    "target missing": (_nothing, ["--data", "t.csv", "--target", "demnd"], ["'demnd'", "'demand'"]),
    "target not named": (_nothing, ["--data", "t.csv"], ["data.target", "--target"]),
    "target is text": (
        _nothing,
        ["--data", "t.csv", "--target", "store"],
        ["'store'", "number", "200 values"],
    ),
    "target is a date": (_nothing, ["--data", "t.csv", "--target", "day"], ["'day'", "number"]),
    "target constant": (_column("demand", 5), DATA, ["'demand'", "constant", "5"]),
    "target infinite": (_column("demand", _infinite), DATA, ["'demand'", "infinite", "row 8"]),
    "target all null": (_column("demand", None), DATA, ["'demand'", "no value"]),
    "group missing": (_nothing, [*DATA, "--group", "shop"], ["group column", "'shop'", "'store'"]),
    "time missing": (_nothing, [*DATA, "--time", "days"], ["time column", "'days'", "'day'"]),
    "time is no time": (_nothing, [*DATA, "--time", "store"], ["'store'", "date"]),
    "dropped column missing": (_nothing, [*DATA, "--drop", "aa"], ["'aa'"]),
    "feature missing": (_nothing, [*DATA, "--features", "a,zz"], ["'zz'"]),
    "target dropped": (_nothing, [*DATA, "--drop", "demand"], ["'demand'", "target"]),
    "log of a target below zero": (
        _column("demand", lambda frame: frame["demand"] - 21),
        [*DATA, "--transform", "log"],
        ["'log'", "above 0", "asinh"],
    ),
    "test file not there": (_nothing, [*DATA, "--test", "test.csv"], ["test data", "test.csv"]),
}

SETTINGS = {
    "level 1": (_nothing, [*DATA, "--levels", "0.5,1"], ["search.levels", "0.5, 1", "between 0 and 1"]),
    "level 0": (_nothing, [*DATA, "--levels", "0,0.5"], ["search.levels", "0, 0.5"]),
    "levels doubled": (_nothing, [*DATA, "--levels", "0.1,0.1,0.9"], ["search.levels", "twice"]),
    "levels out of order": (_nothing, [*DATA, "--levels", "0.9,0.1"], ["search.levels", "0.1,0.9"]),
    "no levels": (_nothing, [*DATA, "--levels", ","], ["search.levels"]),
    "unknown key by --set": (_nothing, [*DATA, "--set", "search.trails=5"], ["search.trails", "trials"]),
    "unknown section": (_nothing, [*DATA, "--set", "serch.trials=5"], ["'serch'", "'search'"]),
    "key of another section": (_nothing, [*DATA, "--set", "data.trials=5"], ["search.trials"]),
    "unknown key in a file": (
        _write("c.yaml", "search:\n  trails: 5\n"),
        [*DATA, "--config", "c.yaml"],
        ["search.trails", "trials"],
    ),
    "config is no YAML": (_write("c.yaml", "a: ]["), [*DATA, "--config", "c.yaml"], ["c.yaml"]),
    "config not there": (_nothing, [*DATA, "--config", "cc.yaml"], ["cc.yaml"]),
    "value of the wrong kind": (
        _nothing,
        [*DATA, "--set", "search.trials=many"],
        ["search.trials", "'many'"],
    ),
    "unknown model": (_nothing, [*DATA, "--model", "lightgmb"], ["'lightgmb'", "'lightgbm'"]),
    "unknown transform": (_nothing, [*DATA, "--transform", "sqrt"], ["'sqrt'", "'log1p'"]),
    "unknown split": (_nothing, [*DATA, "--split", "rows"], ["'rows'", "'random'"]),
    "split by time without time": (_nothing, [*DATA, "--split", "time"], ["--time"]),
    "trials 0": (_nothing, [*DATA, "--trials", "0"], ["search.trials", "got 0", "at least 1"]),
    "trials below 0": (_nothing, [*DATA, "--trials", "-3"], ["search.trials", "got -3"]),
    "patience 0": (_nothing, [*DATA, "--patience", "0"], ["search.patience", "got 0"]),
    "no time": (_nothing, [*DATA, "--time-budget", "0s"], ["time_budget"]),
    "test size 1": (_nothing, [*DATA, "--test-size", "1"], ["split.test_size", "below 1"]),
    "study name with a slash": (_nothing, [*DATA, "--study", "../x"], ["study.name", "'../x'"]),
}

SPACES = {
    "not there": (_nothing, "s.yaml", ["'s.yaml'", "lightgbm"]),
    "unknown parameter": (
        _write("s.yaml", SPACE.replace("num_leaves", "num_leave")),
        "s.yaml",
        ["num_leave", "'num_leaves'"],
    ),
    "unknown key": (_write("s.yaml", SPACE.replace("low", "lo")), "s.yaml", ["'lo'", "'low'"]),
    "low above high": (
        _write("s.yaml", SPACE.replace("low: 4", "low: 40")),
        "s.yaml",
        ["num_leaves", "low 40", "high 16"],
    ),
    "log of zero": (
        _write("s.yaml", "parameters:\n  lambda_l1: {low: 0.0, high: 1.0, log: true}\n"),
        "s.yaml",
        ["lambda_l1", "log", "above 0"],
    ),
    "of the other model": (_write("s.yaml", SPACE.replace("lightgbm", "xgboost")), "s.yaml", ["'xgboost'"]),
    "no YAML": (_write("s.yaml", "a: ]["), "s.yaml", ["s.yaml", "YAML"]),
    "no parameters": (_write("s.yaml", "model: lightgbm\n"), "s.yaml", ["parameters"]),
}


def _cases(*groups):
    for name, cases in groups:
        for about, case in cases.items():
            yield pytest.param(*case, id=f"{name}: {about}")


def refused(result, expected: list[str]) -> str:
    """Check what every refusal looks like, and return its message."""
    assert result.exit_code == 1, result.stderr
    assert result.stdout == ""
    assert result.stderr.count("error: ") == 1
    assert "Traceback" not in result.stderr
    for word in expected:
        assert word in result.stderr, f"{word!r} is not in {result.stderr!r}"
    return str(result.stderr)


def nothing_left(place) -> None:
    assert place.studies() == []
    assert place.runs() == []


@pytest.mark.parametrize(
    ("make", "words", "expected"), _cases(("file", FILES), ("column", COLUMNS), ("setting", SETTINGS))
)
def test_bad_input_is_refused(place, invoke, make, words, expected):
    make(place, pd.read_csv("t.csv"))
    refused(invoke("tune", *words), expected)
    nothing_left(place)


@pytest.mark.parametrize(("make", "space", "expected"), _cases(("space", SPACES)))
def test_a_bad_space_is_refused(place, invoke, make, space, expected):
    make(place, None)
    refused(invoke("tune", *place.data, "--space", space), expected)
    nothing_left(place)


@pytest.mark.parametrize("command", ["tune", "check"])
def test_json_gets_an_error_object_and_the_message(place, invoke, told, command):
    result = invoke(command, "--data", "tt.csv", "--target", "demand", "--json")
    assert result.exit_code == 1
    error = told(result.stdout)
    assert "no file tt.csv" in error["error"]
    assert error["kind"] == "DataError"
    assert "no file tt.csv" in result.stderr
    nothing_left(place)


def test_all_problems_of_the_settings_are_told_at_once(place, invoke):
    words = [*place.data, "--trials", "0", "--levels", "0.9,0.1", "--model", "catboost"]
    message = refused(invoke("tune", *words), ["search.trials", "search.levels", "search.model"])
    assert "3 problems" in message


def test_debug_adds_the_traceback(place, invoke):
    result = invoke("tune", "--data", "tt.csv", "--target", "demand", "--debug")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "error: " in result.stderr


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
def test_a_cluster_with_nobody_there_is_refused(place, invoke, command, address, expected):
    port = _closed_port()
    began = time.monotonic()
    result = invoke(command, *place.data, "--address", address.format(port=port))
    assert time.monotonic() - began < 8
    refused(result, [word.format(port=port) for word in expected])
    nothing_left(place)


@pytest.mark.parametrize("command", ["tune", "check"])
def test_a_tracking_server_with_nobody_there_is_refused(place, invoke, command):
    port = _closed_port()
    began = time.monotonic()
    result = invoke(command, *place.data, "--tracking-uri", f"http://me:secret@127.0.0.1:{port}")
    assert time.monotonic() - began < 8
    message = refused(result, ["no MLflow store", str(port), "--no-tracking"])
    assert "secret" not in message
    nothing_left(place)


def test_a_tracking_server_that_never_answers_is_refused(place, invoke):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        result = invoke("tune", *place.data, "--tracking-uri", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert time.monotonic() - began < 8
    refused(result, ["--no-tracking"])
    nothing_left(place)


def test_a_home_that_cannot_be_written_is_refused(place, invoke):
    (place.root / "taken").write_text("a file")
    result = invoke("tune", *place.data, *place.quick, "--no-tracking", "--home", "taken")
    refused(result, ["--home taken"])


def test_a_record_that_refuses_the_study_leaves_nothing(place, invoke, monkeypatch):
    def no(*args):
        raise TrackingError("the experiment was deleted")

    monkeypatch.setattr(mlflow_tracker, "open_store", no)
    refused(invoke("tune", *place.data, *place.quick), ["the experiment was deleted"])
    nothing_left(place)


def test_a_cluster_that_breaks_while_connecting_leaves_nothing(place, store, invoke, monkeypatch):
    @contextlib.contextmanager
    def broken(compute):
        raise ClusterError("no node can hold a trial")
        yield

    monkeypatch.setattr(importlib.import_module("raysearch.flow.tune"), "connected", broken)
    refused(invoke("tune", *place.data, "--space", "quick.yaml"), ["no node can hold a trial"])
    nothing_left(place)


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
    nothing_left(place)


@pytest.mark.parametrize(
    "command", [["resume", "nme"], ["predict", "--study", "nme", "--data", "t.csv", "--out", "p.csv"]]
)
def test_an_unknown_study_is_refused_with_the_nearest(place, invoke, command):
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
def test_predict_refuses_what_it_cannot_do(place, invoke, words, expected):
    refused(invoke("predict", *words), expected)
