"""Material for the tests of the record: a study, its trials, and a small saved forecaster."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from raysearch.records import (
    ColumnQuality,
    Comparison,
    DataQuality,
    DatasetFacts,
    Evaluation,
    FoldFacts,
    Interval,
    Rung,
    StudyResult,
    TrialResult,
)
from raysearch.tracking import StudyInfo

STANDIN = '''
"""A forecaster in a few lines: quantiles around the sum of two columns."""
import json
from dataclasses import dataclass
from pathlib import Path
import pandas as pd

@dataclass(frozen=True)
class Member:
    model: str

def level_name(level):
    return f"q{level:.10g}"

@dataclass(frozen=True)
class Forecaster:
    levels: tuple
    input_columns: dict
    members: tuple = (Member("lightgbm"),)

    def predict(self, data):
        def column(name):
            return pd.to_numeric(data[name]).astype("float64").fillna(0.0) if name in data else 0.0
        middle = column("a") + 10 * column("b c") + pd.Series(0.0, index=data.index)
        if "day" in data:
            middle = middle + pd.to_datetime(data["day"]).dt.year.fillna(0)
        return pd.DataFrame({level_name(level): middle + level for level in self.levels})

def load_forecaster(path):
    content = json.loads((Path(path) / "forecaster.json").read_text())
    return Forecaster(tuple(content["levels"]), content["input_columns"])
'''


@pytest.fixture
def forecaster_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A saved stand-in; the package copied beside a logged model has the stand-in's code too."""
    from raysearch.tracking import model

    source = tmp_path / "standin" / "forecaster.py"
    source.parent.mkdir()
    source.write_text(STANDIN)
    spec = importlib.util.spec_from_file_location("raysearch.forecaster", source)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "raysearch.forecaster", module)
    spec.loader.exec_module(module)

    copy_package = model._copy_package

    def copy_with_standin(folder: Path) -> Path:
        copy = copy_package(folder)
        (copy / "forecaster.py").write_text(STANDIN)
        return copy

    monkeypatch.setattr(model, "_copy_package", copy_with_standin)
    folder = tmp_path / "study" / "model"
    folder.mkdir(parents=True)
    columns = {"a": "double", "b c": "double", "day": "datetime"}
    (folder / "forecaster.json").write_text(json.dumps({"levels": [0.05, 0.5], "input_columns": columns}))
    return folder


@pytest.fixture
def info() -> StudyInfo:
    schema = (
        ("day", "timestamp[us]"),
        ("käse (kg)", "double"),
        ("store", "dictionary<string>"),
        ("n", "int64"),
    )
    return StudyInfo(
        name="cheese-1",
        study_id=uuid4().hex,
        config={
            "data": {"target": "käse (kg)", "group": "store", "path": None},
            "search": {"levels": (0.05, 0.5, 0.95), "model": "both", "trials": 4, "seed": 0},
            "study": {"name": "cheese-1", "ledger": "postgresql+psycopg://me:secret@db/ledger"},
        },
        facts=DatasetFacts(
            "cheese",
            "/data/cheese.csv",
            "0123456789abcdef0123456789abcdef0123",
            900,
            schema,
            {"train": 600, "valid": 150, "test": 150},
            folds=(FoldFacts(0, 600, "", "", None, 150, "", "", None),),
            split_digest="f" * 36,
        ),
        quality=DataQuality(
            900,
            (ColumnQuality("n", "number", 0, 900, False, "id-like"),),
            3,
            0,
            (),
            ("n",),
            ("n looks like an id",),
        ),
        environment={"python": "3.11.7", "raysearch": "0.1.0", "git_revision": "abc123"},
    )


def make_trial(number: int, state: str = "finished", score: float | None = None, **changes) -> TrialResult:
    """A trial with two rungs that ran for two seconds."""
    score = 1.0 + number / 10 if score is None and state != "failed" else score
    history = tuple(
        Rung(step, 2.0 - step / 100, {"valid_pinball_loss_avg": 2.0 - step / 100, "valid_coverage_90": 0.8})
        for step in ((20, 40) if state != "failed" else ())
    )
    metrics = {"valid_pinball_loss_avg": score, "valid_coverage_90": 0.91, "coverage/store=Nord/Süd 50%": 0.5}
    result = TrialResult(
        number=number,
        key=uuid4().hex,
        model="lightgbm",
        params={"model": "lightgbm", "lightgbm.num_leaves": 31 + number, "lightgbm.learning_rate": 0.1},
        fit_params={},
        state=state,
        score=score,
        rounds={"finished": 60, "stopped": 40, "cut": 40, "failed": 0}[state],
        metrics=metrics if state != "failed" else {},
        history=history,
        started_s=1_700_000_000.0 + 10 * number,
        ended_s=1_700_000_002.0 + 10 * number,
        reason="bagging_fraction too small" if state == "failed" else "",
        default=number == 0,
    )
    return dataclasses.replace(result, **changes)


@pytest.fixture
def trial():
    return make_trial


@pytest.fixture
def outcome(info: StudyInfo):
    """Makes a study's result from its best trial."""

    def make(best: TrialResult, trials: int = 3) -> StudyResult:
        interval = Interval(0.9, 0.89, 0.85, 0.93, 4.0, 150)
        evaluation = Evaluation(
            "test",
            150,
            {"pinball_loss_avg": 1.25, "coverage_90": 0.89, "pinball/q0.05": 0.4},
            (interval,),
            {0.05: 0.06, 0.5: 0.5, 0.95: 0.95},
            {"Nord": (interval,), "Süd=West": (dataclasses.replace(interval, coverage=0.87),)},
        )
        return StudyResult(
            info.name,
            None,
            None,
            {"finished": trials, "stopped": 1, "failed": 1},
            best,
            None,
            evaluation,
            Comparison("test", 1.25, 1.5, 16.7, 10.0, 22.0),
            "model",
            "report.html",
            "trials",
            12.5,
        )

    return make
