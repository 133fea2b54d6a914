"""Bad input gets one message that names what was wrong, got and right, and leaves nothing behind."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

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


@pytest.mark.parametrize(
    ("make", "words", "expected"), _cases(("file", FILES), ("column", COLUMNS), ("setting", SETTINGS))
)
def test_bad_input_is_refused(place, invoke, make, words, expected, refused):
    make(place, pd.read_csv("t.csv"))
    refused(invoke("tune", *words), expected)
    place.check_nothing_left()


@pytest.mark.parametrize(("make", "space", "expected"), _cases(("space", SPACES)))
def test_a_bad_space_is_refused(place, invoke, make, space, expected, refused):
    make(place, None)
    refused(invoke("tune", *place.data, "--space", space), expected)
    place.check_nothing_left()


@pytest.mark.parametrize("command", ["tune", "check"])
def test_json_gets_an_error_object_and_the_message(place, invoke, told, command):
    result = invoke(command, "--data", "tt.csv", "--target", "demand", "--json")
    assert result.exit_code == 1
    error = told(result.stdout)
    assert "no file tt.csv" in error["error"]
    assert error["kind"] == "DataError"
    assert "no file tt.csv" in result.stderr
    place.check_nothing_left()


def test_all_problems_of_the_settings_are_told_at_once(place, invoke, refused):
    words = [*place.data, "--trials", "0", "--levels", "0.9,0.1", "--model", "catboost"]
    message = refused(invoke("tune", *words), ["search.trials", "search.levels", "search.model"])
    assert "3 problems" in message


def test_debug_adds_the_traceback(place, invoke):
    result = invoke("tune", "--data", "tt.csv", "--target", "demand", "--debug")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "error: " in result.stderr
