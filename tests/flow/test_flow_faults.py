"""What breaks after the search must not cost the study; what breaks in it must leave no run open."""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from raysearch.errors import InterruptedStudyError, StudyError
from raysearch.flow import list_studies, open_study, resume
from raysearch.flow.display import Silent
from raysearch.forecaster import Forecaster, load_forecaster

pytestmark = pytest.mark.slow

closing = importlib.import_module("raysearch.flow.closing")
fitting = importlib.import_module("raysearch.flow.fitting")


def _full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory) -> Path:
    from raysearch.tracking.store import open_store

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    open_store(f"sqlite:///{path}", "unused")
    return path


@pytest.fixture
def record(tmp_path, empty_store):
    """Words that keep a record, and a function that returns (role, status) of its runs."""
    path = Path(shutil.copyfile(empty_store, tmp_path / "mlflow.db"))

    def runs() -> list[tuple[str, str]]:
        words = (
            "select t.value, r.status from runs r join tags t on t.run_uuid = r.run_uuid "
            "and t.key = 'raysearch.role' order by r.start_time"
        )
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return list(connection.execute(words))

    return {"tracking__enabled": True, "tracking__uri": f"sqlite:///{path}"}, runs


@pytest.mark.parametrize("failure", [_full_disk, lambda *a: 1 / 0], ids=["full disk", "a bug"])
def test_a_report_that_fails_costs_no_study(study, table, record, monkeypatch, failure):
    words, runs = record
    with monkeypatch.context() as patched:
        patched.setattr(closing, "write_report", failure)
        done = study(table, **words)
    [warning] = [text for text in done.warnings if "report" in text]
    assert "could not be written" in warning
    assert "resume s" in warning
    kept = json.loads(Path("studies/s/result.json").read_text())
    assert kept["best"]["params"] == dict(done.best.params)
    assert kept["report_path"] is None
    assert load_forecaster(done.model_path).predict(table).shape == (200, 5)
    assert ("study", "FINISHED") in runs()
    assert "RUNNING" not in dict(runs()).values()
    assert "could not be written" in Path("studies/s/raysearch.log").read_text()

    again = resume("s")
    assert Path(again.report_path).is_file()
    assert not [text for text in again.warnings if "report" in text]


def test_a_record_that_fails_costs_no_study(study, table, record, monkeypatch):
    from raysearch.tracking.study_run import StudyRun

    words, _ = record
    monkeypatch.setattr(StudyRun, "log_model", _full_disk)
    monkeypatch.setattr(closing, "write_report", lambda material, directory: None)
    done = study(table, **words)
    assert any("record" in warning and "not complete" in warning for warning in done.warnings)
    assert json.loads(Path("studies/s/result.json").read_text())["study"] == "s"
    assert open_study("s").predict(table).shape == (200, 5)


@pytest.mark.parametrize("where", ["model", "result", "ledger"])
@pytest.mark.usefixtures("no_report")
def test_a_full_disk_is_told_and_leaves_no_run_open(study, table, record, monkeypatch, where):
    from raysearch.study.ledger import Ledger

    words, runs = record
    broken = {
        "model": (Forecaster, "save"),
        "result": (closing, "_write_result"),
        "ledger": (Ledger, "tell"),
    }
    with monkeypatch.context() as patched, pytest.raises((OSError, StudyError), match="No space left"):
        patched.setattr(*broken[where], _full_disk)
        study(table, **words)
    assert ("study", "FAILED") in runs()
    assert "RUNNING" not in dict(runs()).values()
    assert [row.state for row in list_studies()] == ["unfinished"]

    done = resume("s")
    assert done.result.trials["finished"] + done.result.trials["stopped"] == 2
    assert ("study", "FINISHED") in runs()
    assert len([role for role, _ in runs() if role == "trial"]) == 2


def test_a_table_in_memory_that_cannot_be_kept_leaves_nothing(study, table, monkeypatch):
    monkeypatch.setattr("pyarrow.feather.write_feather", _full_disk)
    with pytest.raises(OSError, match="No space left"):
        study(table)
    assert not list(Path("studies").iterdir())


FEW_LEAVES = "parameters:\n  num_leaves: {low: 2, high: 4}\nfixed:\n  num_boost_round: 60\n"


@pytest.mark.usefixtures("no_report")
def test_ctrl_c_while_refitting_keeps_the_searchs_own_model(study, table, record, monkeypatch):
    words, runs = record
    fit = fitting.Trainer.fit
    asked = []

    def interrupted(trainer, result, *, refit):
        asked.append(refit)
        if len(asked) == 2:  # the best is fitted, the default is being fitted
            raise KeyboardInterrupt
        return fit(trainer, result, refit=refit)

    monkeypatch.setattr(fitting.Trainer, "fit", interrupted)
    Path("few.yaml").write_text(FEW_LEAVES)
    done = study(table, search__trials=6, search__space="few.yaml", **words)
    assert len(asked) == 2, "the default was the best trial, so nothing else was fitted"
    assert done.result.stopped_by == "interrupt"
    assert done.forecaster.about["fitted_on"] == "training rows"
    assert any("interrupted" in warning for warning in done.warnings)
    assert open_study("s").predict(table).shape == (200, 5)
    assert ("study", "KILLED") in runs()
    assert "RUNNING" not in dict(runs()).values()
    assert [row.state for row in list_studies()] == ["unfinished"]


class _Interrupts(Silent):
    """Presses Ctrl-C when something begins."""

    def __init__(self, phase: str = "", ended: int = 0) -> None:
        self._phase, self._ended = phase, ended

    def phase(self, text):
        if self._phase and text.startswith(self._phase):
            raise KeyboardInterrupt

    def trial_ended(self, result):
        if self._ended and result.number + 1 == self._ended:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("no_report")
def test_ctrl_c_in_the_search_keeps_the_best_so_far(study, table, record):
    words, runs = record
    done = study(table, search__trials=50, display=_Interrupts(ended=3), **words)
    assert done.result.stopped_by == "interrupt"
    assert len(done.trials) == 3
    assert ("study", "KILLED") in runs()
    assert "RUNNING" not in dict(runs()).values()
    assert resume("s", overrides={"search": {"trials": 5}}).result.trials["finished"] >= 1
    assert len([role for role, _ in runs() if role == "trial"]) == 5


def test_ctrl_c_while_the_report_is_written_closes_the_record(study, table, record):
    words, runs = record
    with pytest.raises(KeyboardInterrupt):
        study(table, display=_Interrupts("writing the report"), **words)
    assert ("study", "KILLED") in runs()
    assert "RUNNING" not in dict(runs()).values()
    assert Path("studies/s/result.json").is_file()


def test_ctrl_c_before_anything_has_begun_leaves_nothing(study, table):
    with pytest.raises(KeyboardInterrupt):
        study(table, display=_Interrupts("starting Ray"), compute__engine="ray")
    assert not list(Path("studies").iterdir())


class _AtOnce(Silent):
    def trial_started(self, number, key, model, params):
        signal.raise_signal(signal.SIGINT)


SLOW_RUNG = "parameters:\n  num_leaves: {low: 4, high: 16}\nfixed:\n  num_boost_round: 40\n"


def test_ctrl_c_before_a_trial_has_finished_is_told_with_the_way_on(study, table, record, tmp_path):
    words, runs = record
    (tmp_path / "rungs.yaml").write_text(SLOW_RUNG)
    with pytest.raises(InterruptedStudyError, match="resume s"):
        study(table, display=_AtOnce(), search__space="rungs.yaml", **words)
    assert ("study", "KILLED") in runs()
    assert "RUNNING" not in dict(runs()).values()
    assert [row.state for row in list_studies()] == ["unfinished"]


def test_a_study_in_which_every_trial_failed_tells_the_first_reason(study, table, record, monkeypatch):
    from raysearch import bench

    words, runs = record
    monkeypatch.setattr(bench.Bench, "begin", lambda *args: 1 / 0)
    with pytest.raises(StudyError, match="division by zero") as caught:
        study(table, **words)
    assert "trials failed" in str(caught.value)
    assert ("study", "FAILED") in runs()
    assert {status for role, status in runs() if role == "trial"} == {"FAILED"}
