"""The command history: a table in the terminal, plain values, and a page that needs nothing else."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

import pytest
from history_made_up import features, past, point

from raysearch.history import to_text
from raysearch.tracking.past import HISTORY


@pytest.fixture
def filled(place):
    """A store with four studies of two kinds of data."""
    studies = [past(f"s{i}", point(0.9 - i / 100, num_leaves=8 + i)) for i in range(3)]
    odd = "<b>odd</b>"
    studies.append(past(odd, point(0.97), features=features(rows=50_000, split="time"), target="<i>y"))
    with contextlib.closing(sqlite3.connect(place.root / "mlflow.db")) as file, file:
        file.executescript(
            "CREATE TABLE alembic_version (v TEXT);"
            "CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, lifecycle_stage TEXT);"
            "CREATE TABLE runs (run_uuid TEXT, status TEXT, lifecycle_stage TEXT, end_time INTEGER,"
            " experiment_id INTEGER);"
            "CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);"
            "INSERT INTO experiments VALUES (1, 'active');"
        )
        for number, study in enumerate(studies):
            file.execute("INSERT INTO runs VALUES (?, 'FINISHED', 'active', ?, 1)", (str(number), number))
            file.execute("INSERT INTO tags VALUES (?, ?, ?)", (HISTORY, to_text(study), str(number)))
    return place


def test_it_tells_what_works_for_which_kind_of_data(filled, invoke):
    told = invoke("history")
    assert told.exit_code == 0, told.stderr
    for word in ("4 studies", "1,000 to 10,000", "10,000 to 100,000", "at random", "in time", "LightGBM"):
        assert word in told.stdout
    assert "best (s2): boosting=gbdt, num_leaves=10" in told.stdout
    assert "matters most: num_leaves 70" in told.stdout
    assert re.search(r"agree: .*num_leaves 8 to 10", told.stdout)
    assert "a single study" in told.stdout
    assert sorted(path.name for path in filled.root.iterdir()) == ["mlflow.db", "quick.yaml", "t.csv"]


def test_as_json(filled, invoke, told):
    content = told(invoke("history", "--json").stdout)
    first, second = content["kinds"]
    assert (first["rows"], first["split"], first["model"]) == ("1,000 to 10,000", "random", "lightgbm")
    assert first["best_study"] == "s2" and first["gain_percent"] == pytest.approx(11.0)
    assert [study["study"] for study in first["studies"]] == ["s2", "s1", "s0"]
    assert second["studies"][0]["features"]["rows"] == 50_000
    assert {one["name"]: one["agree"] for one in first["parameters"]}["num_leaves"] is True


def test_the_page_needs_nothing_else_and_escapes_names(filled, invoke):
    told = invoke("history", "--html", "h.html")
    assert told.exit_code == 0 and "page: h.html" in told.stdout
    page = Path("h.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!#)', page) and "http" not in page and "<script" not in page
    assert "<b>odd</b>" not in page and "&lt;b&gt;odd" in page
    for word in ("raysearch history", "What works for which kind of data", "num_leaves", "s2", "agree"):
        assert word in page
    assert page.count("<section") == 3
    assert page.count('<tr class="good">') == 1  # num_leaves, on which three studies agree


def test_a_store_without_studies_says_so(place, invoke, told):
    assert "has left anything behind yet" in invoke("history").stdout
    assert told(invoke("history", "--json").stdout)["kinds"] == []
    assert not (place.root / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--tracking-uri", "http://127.0.0.1:9"], ["no MLflow store answers"]),
        (["--tracking-uri", "mlruns/"], ["sqlite:///"]),
        (["--html", "nowhere/h.html"], ["--html nowhere/h.html", "no directory", "make it first"]),
    ],
)
def test_it_refuses_early(place, invoke, refused, words, expected):
    refused(invoke("history", *words), expected)


def test_no_warm_start_without_a_record(place, invoke, refused):
    told = ["search.warm_start", "leave out --no-tracking"]
    refused(invoke("tune", *place.data, *place.quick, "--no-tracking", "--warm-start", "auto"), told)
    refused(invoke("check", *place.data, *place.quick, "--no-tracking", "--warm-start", "auto"), told)
    place.check_nothing_left()


def test_help_teaches_with_an_example(invoke):
    assert "python -m raysearch history --tracking-uri" in invoke("history", "--help").stdout
    assert "--warm-start auto" in invoke("tune", "--help").stdout
