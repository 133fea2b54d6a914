"""Going on with a study, ending it by patience, and the list of studies."""

from __future__ import annotations

import importlib
import itertools
import json
from pathlib import Path

import pytest

from raysearch.errors import ConfigError, DataError, StudyError
from raysearch.flow import list_studies, open_study, resume
from raysearch.study.home import Home
from raysearch.tracking import NullTracker

pytestmark = pytest.mark.usefixtures("no_report")


def test_a_study_goes_on_with_its_history(study, table):
    first = study(table)
    more = resume("s", overrides={"search": {"trials": 5}})
    assert [t.key for t in more.trials[:2]] == [t.key for t in first.trials]
    assert len(more.trials) == len({t.key for t in more.trials}) == 5
    assert more.best.score <= first.best.score
    assert more.result.trials["finished"] + more.result.trials["stopped"] == 5


def test_a_table_in_memory_is_kept_for_it(study, table):
    study(table)
    assert Path("studies/s/table.arrow").is_file()
    assert len(resume("s", overrides={"search": {"trials": 3}}).trials) == 3


def test_a_space_that_was_edited_since_changes_nothing(study, table):
    Path("own.yaml").write_text("parameters:\n  num_leaves: {low: 4, high: 6}\nfixed: {num_boost_round: 9}\n")
    study(table, search__space="own.yaml")
    Path("own.yaml").write_text("parameters:\n  num_leaves: {low: 40, high: 60}\n")
    more = resume("s", overrides={"search": {"trials": 6}})
    assert all(4 <= trial.params["num_leaves"] <= 6 for trial in more.trials)
    assert {trial.fit_params["num_boost_round"] for trial in more.trials} == {9}
    Path("own.yaml").unlink()
    assert len(resume("s", overrides={"search": {"trials": 7}}).trials) == 7


def test_a_table_that_has_changed_is_refused(study, table, tmp_path):
    table.to_csv("t.csv", index=False)
    study(data__path="t.csv")
    table.assign(a=0.5).to_csv("t.csv", index=False)
    with pytest.raises(DataError, match=r"t.csv has changed since the study began"):
        resume("s", overrides={"search": {"trials": 3}})
    Path("t.csv").unlink()
    with pytest.raises(DataError, match=r"no file .*t.csv"):
        resume("s")
    assert [row.state for row in list_studies()] == ["done"]


def test_bad_words_are_refused_and_change_nothing(study, table):
    study(table)
    before = Path("studies/s/study.json").read_text()
    with pytest.raises(ConfigError, match="trials"):
        resume("s", overrides={"search": {"trials": 0}})
    assert Path("studies/s/study.json").read_text() == before


@pytest.mark.parametrize("home", ["studies", "elsewhere"])
def test_a_study_that_is_not_there_is_told(settings, home):
    with pytest.raises(StudyError, match=rf"no study 'x' in {home} .*--home"):
        resume("x", home)
    with pytest.raises(StudyError, match=rf"no study 'x' in {home}"):
        open_study("x", home)
    assert list_studies(home) == []
    assert not Path(home).exists()


def test_patience_ends_a_search_without_gain(study, table):
    done = study(table, search__trials=60, search__patience=3)
    assert done.result.stopped_by == "patience"
    assert len(done.trials) < 60
    since = len(done.trials) - 1 - done.best.number
    assert since >= 3
    assert [row.state for row in list_studies()] == ["done"]


def test_a_damaged_study_is_told_and_not_listed(study, table):
    study(table)
    Path("studies/s/study.json").write_text("{")
    with pytest.raises(StudyError, match="damaged"):
        resume("s")
    assert list_studies() == []


def test_a_study_that_runs_is_not_run_twice(study, table):
    study(table)
    with Home("studies").locked("s"):
        assert [row.state for row in list_studies()] == ["running"]
        with pytest.raises(StudyError, match="another process"):
            resume("s", overrides={"search": {"trials": 3}})


def test_names_are_made_up_and_never_shared(study, table):
    names = {study(table, study__name=None).name for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("lightgbm-demand-") for name in names)


def test_passwords_stay_out_of_what_is_kept(study, table, monkeypatch):
    """The record's address may hold one; what is shown, and kept, does not."""
    uri = "http://me:secret@tracking.example:5000"

    class Elsewhere(NullTracker):
        def __init__(self) -> None:
            self.uri = uri

    tune = importlib.import_module("raysearch.flow.tune")
    for knock in ("check_reachable", "check_experiment"):
        monkeypatch.setattr(f"raysearch.flow.places.{knock}", lambda *address: None)
    monkeypatch.setattr(tune, "open_tracker", lambda *words: Elsewhere())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    done = study(table, tracking__enabled=True)
    assert done.result.tracking_uri == "http://me:***@tracking.example:5000"
    kept = [path for path in Path("studies/s").rglob("*") if path.is_file()]
    assert not [path for path in kept if b"secret" in path.read_bytes()]
    assert json.loads(Path("studies/s/result.json").read_text())["tracking_uri"].endswith(":5000")


def test_the_leaderboard_has_the_best_first(study, table):
    board = study(table, search__trials=4).leaderboard
    assert list(board["state"]) == sorted(board["state"], key=["finished", "stopped", "failed"].index)
    finished = board[board["state"] == "finished"]["valid_pinball_loss_avg"]
    assert list(finished) == sorted(finished)
    assert "params.num_leaves" in board.columns


def test_a_study_without_a_record_gets_one_where_a_store_is_named(study, table, tmp_path):
    study(table)
    store = f"sqlite:///{tmp_path}/late.db"
    more = resume("s", overrides={"search": {"trials": 3}, "tracking": {"uri": store}})
    assert more.result.parent_run_id
    import mlflow

    runs = mlflow.MlflowClient(store).search_runs(["1"], "tags.`raysearch.role` = 'trial'")
    assert len(runs) == 3
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}


@pytest.mark.slow
def test_a_trial_that_time_has_cut_is_a_model_and_a_resume_tries_it_in_full(
    study, table, tmp_path, monkeypatch
):
    from mlflow import MlflowClient

    from raysearch.study.limits import TimeLeft

    promise, begun = TimeLeft.promise, itertools.count()
    monkeypatch.setattr(TimeLeft, "promise", lambda *words: 0.0 if next(begun) == 1 else promise(*words))
    fixed = "fixed: {num_boost_round: 60, learning_rate: 0.02}\n"
    Path("own.yaml").write_text(f"parameters:\n  num_leaves: {{low: 4, high: 6}}\n{fixed}")
    store = f"sqlite:///{tmp_path}/mlflow.db"
    record = {"tracking__enabled": True, "tracking__uri": store}
    first = study(table, search__space="own.yaml", search__trials=3, **record)
    assert dict(first.result.trials) == {"finished": 3, "stopped": 0, "cut": 1, "failed": 0}
    cut = first.trials[1]
    assert (cut.state, cut.rounds) == ("cut", 10) and cut.score is not None
    assert set(first.leaderboard["state"]) == {"finished", "cut"}
    run = MlflowClient(store).search_runs(["1"], "tags.`raysearch.state` = 'cut'")[0]
    assert run.info.status == "KILLED" and run.data.tags["raysearch.stopped_at_step"] == "10"
    more = resume("s", overrides={"search": {"trials": 4}})
    again = more.trials[4]
    assert again.params == cut.params and again.state == "finished" and again.rounds > cut.rounds
    assert again.score < cut.score
    assert len(resume("s", overrides={"search": {"trials": 5}}).trials) == 6
