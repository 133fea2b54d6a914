"""The Python door: tables as objects, a study as an answer, and errors of one family."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import raysearch
from raysearch import RaysearchError, Study, load_forecaster, resume, tune

QUICK = {
    "search": {"space": "quick.yaml"},
    "compute": {"engine": "inline"},
}


@pytest.fixture
def table(tmp_path, monkeypatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.yaml").write_text(
        "parameters:\n  num_leaves: {low: 4, high: 16}\n  num_boost_round: {low: 8, high: 24}\n"
    )
    rng = np.random.default_rng(0)
    a = rng.normal(size=200)
    frame = pd.DataFrame(
        {"a": a, "store": rng.choice(["x", "y"], 200), "demand": 3 * a + rng.normal(size=200)}
    )
    frame.to_csv("t.csv", index=False)
    return frame


@pytest.mark.parametrize(
    "make",
    [
        lambda frame: frame,
        lambda frame: pl.from_pandas(frame),
        lambda frame: pa.Table.from_pandas(frame),
        lambda frame: Path("t.csv"),
        lambda frame: "t.csv",
    ],
    ids=["pandas", "polars", "arrow", "path", "text"],
)
@pytest.mark.usefixtures("no_report")
@pytest.mark.slow
def test_every_kind_of_table_gives_the_same_study(table, make):
    study = tune(make(table), target="demand", group="store", trials=3, tracking=False, config=QUICK)
    assert isinstance(study, Study)
    assert study.best.params["num_leaves"] >= 4
    assert study.best.score == pytest.approx(0.29, abs=0.2)
    predicted = study.forecaster.predict(make(table))
    assert list(predicted.columns) == ["q0.05", "q0.25", "q0.5", "q0.75", "q0.95"]
    assert len(predicted) == 200
    assert (np.diff(predicted.to_numpy(), axis=1) >= 0).all()
    assert len(study.leaderboard) == 3
    assert set(study.test.groups) == {"x", "y"}


@pytest.mark.usefixtures("no_report")
def test_a_study_is_kept_loaded_and_continued(table):
    study = tune(table, target="demand", trials=2, study="mine", home=Path("h"), tracking=False, config=QUICK)
    assert study.name == "mine"
    assert Path(study.model_path) == Path("h/mine/model")
    index = table.set_index(np.arange(1000, 1200))
    predicted = load_forecaster(study.model_path).predict(index)
    assert list(predicted.index) == list(index.index)
    assert predicted.reset_index(drop=True).equals(study.forecaster.predict(table))
    more = resume("mine", Path("h"), trials=4)
    assert len(more.trials) == 4
    assert more.best.score <= study.best.score


@pytest.mark.usefixtures("no_report")
def test_arrays_and_paths_are_taken_where_lists_and_texts_are(table):
    table.head(50).to_csv("test.csv", index=False)
    study = tune(
        table,
        target="demand",
        trials=2,
        levels=np.array([0.1, 0.9], dtype=np.float32),
        test=Path("test.csv"),
        drop="store",
        space=Path("quick.yaml"),
        tracking=False,
        config={"compute": {"engine": "inline"}, "search": {"trials": 99}},
    )
    assert len(study.trials) == 2  # what has a parameter of its own goes before the config
    assert study.test.rows == 50
    assert len(study.forecaster.columns) == 2
    assert "store" not in study.forecaster.input_columns


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"target": "demnd"}, "'demand'"),
        ({}, "target"),
        ({"target": "demand", "trials": 0}, "at least 1"),
        ({"target": "demand", "levels": [0.9, 0.1]}, "0.1,0.9"),
        ({"target": "demand", "levels": ["low"]}, "search.levels"),
        ({"target": "demand", "levels": 2}, "between 0 and 1"),
        ({"target": "demand", "model": "catboost"}, "'catboost'"),
        ({"target": "demand", "config": {"serch": {"trials": 2}}}, "'search'"),
        ({"target": "demand", "config": {"search": 5}}, "section 'search'"),
        ({"target": "demand", "config": 5}, "config: got a int"),
        ({"target": "demand", "test": pd.DataFrame({"a": [1]})}, "test: got a DataFrame"),
        ({"target": "demand", "tracking": "nowhere"}, "nowhere"),
        ({"target": "demand", "address": "127.0.0.1"}, "HOST:PORT"),
    ],
)
def test_mistakes_are_raysearch_errors_and_leave_nothing(table, words, expected):
    with pytest.raises(RaysearchError, match=expected):
        tune(table, **{"tracking": False, **words})
    assert not Path("studies").exists()
    assert not Path("mlflow.db").exists()


@pytest.mark.parametrize(
    "data", [[1, 2, 3], {"a": [1]}, 5, np.zeros((3, 2))], ids=["list", "dict", "int", "array"]
)
def test_what_is_no_table_is_told(table, data):
    with pytest.raises(RaysearchError, match="data"):
        tune(data, target="demand", tracking=False)


def test_resume_tells_what_is_not_there(table):
    with pytest.raises(RaysearchError, match="no study 'x'"):
        resume("x")
    with pytest.raises(RaysearchError, match="no forecaster"):
        load_forecaster("nowhere")


def test_every_public_name_is_there():
    for name in raysearch.__all__:
        assert getattr(raysearch, name) is not None
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = raysearch.nothing_such
    assert set(raysearch.__all__) <= set(dir(raysearch))


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        (
            "import raysearch",
            ("ray", "mlflow", "lightgbm", "xgboost", "optuna", "pandas", "pyarrow", "typer"),
        ),
        ("import raysearch.cli", ("ray", "mlflow", "matplotlib", "lightgbm", "xgboost")),
        ("from raysearch import tune", ("ray", "mlflow")),
    ],
)
def test_imports_load_only_what_they_need(statement, absent):
    code = f"{statement}\nimport sys\nprint(*[m for m in {absent!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout.split() == []
