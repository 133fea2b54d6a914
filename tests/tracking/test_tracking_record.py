"""A study's record in a local store, read back with MLflow's own client."""

from __future__ import annotations

import json
import math
import os
import threading
from pathlib import Path

import pytest

from raysearch.config import TrackingConfig
from raysearch.records import Evaluation, Interval, Rung
from raysearch.tracking import open_tracker, resolve_uri
from raysearch.tracking.entries import trial_metrics
from raysearch.tracking.study_run import evaluation_metrics
from raysearch.tracking.trial_runs import TrialRuns

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made_store(tmp_path_factory) -> Path:
    """A store that is made once: making its tables takes seconds."""
    from raysearch.tracking.store import open_store

    folder = tmp_path_factory.mktemp("store with ä space")
    open_store(f"sqlite:///{folder}/mlflow.db", "first")
    return folder


@pytest.fixture
def config(made_store, tmp_path) -> TrackingConfig:
    return TrackingConfig(True, f"sqlite:///{made_store}/mlflow.db", f"experiment {tmp_path.name}")


@pytest.fixture
def client(config):
    import mlflow

    return mlflow.MlflowClient(tracking_uri=resolve_uri(config))


def runs_of(client, study_id: str, role: str = "trial", view: int = 1) -> list:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    words = f"tags.`raysearch.study_id` = '{study_id}' and tags.`raysearch.role` = '{role}'"
    return sorted(
        client.search_runs(experiments, words), key=lambda run: run.data.tags.get("raysearch.trial", "")
    )


def run_all(tracker, trials) -> None:
    for result in trials:
        tracker.trial_started(result.number, result.key, result.model, result.params)
        tracker.trial_ended(result)


def test_a_whole_study(config, client, info, trial, outcome, tmp_path, forecaster_dir, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    trials = [trial(0), trial(1, "stopped"), trial(2, "failed"), trial(3, score=0.5)]
    ranked = [trials[3], trials[0]]
    artifacts = tmp_path / "artifacts"
    (artifacts / "plots").mkdir(parents=True)
    (artifacts / "plots" / "history.png").write_bytes(b"png")
    (artifacts / "report.html").write_text("<p>")
    tracker = open_tracker(config)
    tracker.study_started(info)
    run_all(tracker, trials)
    tracker.study_ended("FINISHED", outcome(trials[3]), ranked, artifacts, forecaster_dir)
    assert tracker.close() == ()
    assert tracker.close() == ()
    leaked = {name for name in set(os.environ) - set(before) if name.startswith("MLFLOW")}
    assert leaked <= {"MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"}
    assert not (tmp_path / "mlruns").exists()
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""

    _check_children(client, info, tracker.parent_run_id, trials)
    _check_parent(client, info, tracker.parent_run_id, trials)


def _check_children(client, info, parent_run_id, trials):
    children = runs_of(client, info.study_id)
    assert [run.info.status for run in children] == ["FINISHED", "KILLED", "FAILED", "FINISHED"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent_run_id}
    assert [run.data.tags["raysearch.trial_key"] for run in children] == [result.key for result in trials]
    first, stopped, failed, best = children
    assert first.data.params["lightgbm.num_leaves"] == "31"
    assert first.data.tags["raysearch.default"] == "true"
    assert first.data.tags["mlflow.source.git.commit"] == "abc123"
    assert first.info.run_name == "trial 000 lightgbm"
    assert first.info.end_time == 1_700_000_002_000
    assert stopped.data.tags["raysearch.stopped_at_step"] == "40"
    assert failed.data.tags["raysearch.reason"] == "bagging_fraction too small"
    assert failed.data.metrics == {}
    assert (best.data.tags["raysearch.rank"], first.data.tags["raysearch.rank"]) == ("1", "2")
    assert "raysearch.rank" not in stopped.data.tags
    history = client.get_metric_history(best.info.run_id, "valid_pinball_loss_avg")
    assert [(point.step, point.value) for point in history] == [(20, 1.8), (40, 1.6), (60, 0.5)]
    assert [point.step for point in client.get_metric_history(stopped.info.run_id, "valid_coverage_90")] == [
        20,
        40,
    ]
    assert any(key.startswith("coverage/store:Nord_Süd 50_") for key in best.data.metrics)
    for run in children:
        (used,) = run.inputs.dataset_inputs
        assert (used.dataset.name, used.dataset.digest) == ("cheese", info.facts.data_digest)
        assert used.tags[0].value == "train"


def _check_parent(client, info, parent_run_id, trials):
    (parent,) = runs_of(client, info.study_id, "study")
    assert (parent.info.run_id, parent.info.status, parent.info.run_name) == (
        parent_run_id,
        "FINISHED",
        "cheese-1",
    )
    assert "mlflow.parentRunId" not in parent.data.tags
    assert parent.data.params["search.levels"] == "[0.05, 0.5, 0.95]"
    assert parent.data.params["study.ledger"] == "postgresql+psycopg://me:***@db/ledger"
    values = parent.data.metrics
    assert (values["test_pinball_loss_avg"], values["test_coverage_90"], values["pinball/q0.05"]) == (
        1.25,
        0.89,
        0.4,
    )
    assert values["coverage/store:Nord"] == 0.89
    assert values["gain_percent"] == 16.7
    curve = client.get_metric_history(parent_run_id, "best_valid_pinball_loss_avg")
    assert [(point.step, point.value) for point in curve] == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 0.5)]
    assert parent.data.tags["raysearch.best_trial_key"] == trials[3].key
    assert "Best: trial 3" in parent.data.tags["mlflow.note.content"]
    dataset = parent.inputs.dataset_inputs[0].dataset
    assert json.loads(dataset.profile)["num_rows"] == 900
    assert [column["type"] for column in json.loads(dataset.schema)["mlflow_colspec"]] == [
        "datetime",
        "double",
        "string",
        "long",
    ]
    kept = {file.path for file in client.list_artifacts(parent_run_id)}
    assert kept >= {
        "config.yaml",
        "environment.json",
        "quality.json",
        "folds.csv",
        "leaderboard.csv",
        "plots",
        "report.html",
    }
    experiment = client.get_experiment(parent.info.experiment_id)
    assert experiment.tags["mlflow.experiment.primaryMetric.name"] == "valid_pinball_loss_avg"
    assert "mlartifacts" in experiment.artifact_location


def test_odd_names_long_values_and_nan_are_stored(config, client, info, trial):
    metrics = {
        "valid_pinball_loss_avg": float("nan"),
        "wide": float("inf"),
        "coverage/store=../etc": 1.0,
        "coverage/store=": 0.0,
        "coverage/store=a:b=c": 0.3,
        "coverage/store=" + "long" * 100: 0.4,
        "coverage/store=😀": 0.2,
        **{f"coverage/store={number}": 0.1 for number in range(1200)},
    }
    params = {"long": "x" * 7000, "empty": "", "käse (kg) = 1%": None, "nul\0": "a\0b"}
    odd = trial(0, metrics=metrics, params=params, reason="r" * 9000)
    tracker = open_tracker(config)
    tracker.study_started(info)
    run_all(tracker, [odd])
    tracker.study_ended("FAILED", None, [], None, None)
    assert tracker.close() == ()
    (run,) = runs_of(client, info.study_id)
    assert run.info.status == "FINISHED"
    assert len(run.data.metrics) == len(metrics) + 1
    assert math.isnan(run.data.metrics["valid_pinball_loss_avg"])
    assert math.isnan(run.data.metrics["wide"])
    assert len(run.data.params["long"]) == 6000
    assert run.data.params["empty"] == ""
    assert len(run.data.tags["raysearch.reason"]) == 5000
    assert runs_of(client, info.study_id, "study")[0].info.status == "FAILED"


def test_resume_leaves_one_final_run_for_each_key(config, client, info, trial, outcome):
    done, unwritten, half, cut, lost = trial(0), trial(1, "stopped"), trial(2), trial(3), trial(4)
    first = open_tracker(config)
    first.study_started(info)
    run_all(first, [done])
    for result in (half, cut, lost):
        first.trial_started(result.number, result.key, result.model, result.params)
    first.trial_interrupted(cut.key)
    first.study_ended("KILLED", None, [done], None, None)
    first.close()
    parent = first.parent_run_id
    # The process is killed now: the ledger has three ended trials, the store one; two runs stay RUNNING.
    for run in runs_of(client, info.study_id):
        if run.data.tags["raysearch.trial_key"] in (half.key, lost.key):
            client.update_run(run.info.run_id, "RUNNING")
    twin = client.create_run(
        client.get_run(parent).info.experiment_id,
        tags={
            "raysearch.study_id": info.study_id,
            "raysearch.role": "trial",
            "raysearch.trial_key": done.key,
        },
    )

    again = open_tracker(config)
    again.study_started(info)
    assert again.parent_run_id == parent
    assert client.get_run(parent).info.status == "RUNNING"
    again.reconcile([done, unwritten, half], [cut.key])
    run_all(again, [cut])
    again.study_ended("FINISHED", outcome(cut), [cut, half], None, None)
    assert again.close() == ()

    children = runs_of(client, info.study_id)
    assert [run.data.tags["raysearch.trial"] for run in children] == ["0", "1", "2", "3", "4"]
    assert [run.info.status for run in children] == ["FINISHED", "KILLED", "FINISHED", "FINISHED", "KILLED"]
    assert [run.data.tags.get("raysearch.interrupted") for run in children] == ["false"] * 4 + ["true"]
    assert [run.data.tags.get("raysearch.rank") for run in children] == [None, None, "2", "1", None]
    assert client.get_run(twin.info.run_id).info.lifecycle_stage == "deleted"
    assert client.get_run(parent).info.status == "FINISHED"
    points = client.get_metric_history(children[0].info.run_id, "valid_pinball_loss_avg")
    assert len(points) == 3
    curve = client.get_metric_history(parent, "best_valid_pinball_loss_avg")
    assert [point.step for point in curve] == [1, 2, 3, 4]


def test_a_lost_answer_makes_no_second_run(config, client, info, trial, monkeypatch):
    from raysearch.tracking.store import Store

    create, calls = Store.create_run, []

    def lose_the_first_answer(self, name, tags, start_ms):
        run_id = create(self, name, tags, start_ms)
        calls.append(name)
        if len(calls) == 2:  # the first trial's
            raise ConnectionError("the answer was lost")
        return run_id

    monkeypatch.setattr(Store, "create_run", lose_the_first_answer)
    tracker = open_tracker(config)
    tracker.study_started(info)
    run_all(tracker, [trial(0), trial(1)])
    tracker.study_ended("FINISHED", None, [], None, None)
    assert tracker.close() == ()
    children = runs_of(client, info.study_id)
    assert [run.info.status for run in children] == ["FINISHED", "FINISHED"]
    assert all(len(run.inputs.dataset_inputs) == 1 for run in children)


def test_a_run_that_is_made_by_a_process_that_has_lost_the_study_is_taken_away(
    config, client, info, trial, monkeypatch
):
    lost, start = threading.Event(), TrialRuns.start

    def frozen(self, opening, again):
        start(self, opening, again)
        if opening.key == "late":
            lost.set()

    monkeypatch.setattr(TrialRuns, "start", frozen)
    tracker = open_tracker(config)
    tracker.prepare(lambda: not lost.is_set())
    tracker.study_started(info)
    for number, key in enumerate(("before", "late")):
        tracker.trial_started(number, key, "lightgbm", {})
    (told,) = tracker.close()
    assert "another process runs the study now" in told
    assert [run.data.tags["raysearch.trial_key"] for run in runs_of(client, info.study_id)] == ["before"]


def test_what_mlflow_refuses_is_told_and_the_rest_is_written(config, client, info, trial, tmp_path):
    tracker = open_tracker(config)
    tracker.study_started(info)
    good = trial(0)
    run_all(tracker, [good])
    tracker.study_ended("FINISHED", None, [good], None, tmp_path / "no-model-here")
    told = tracker.close()
    assert any("the model" in line for line in told)
    assert f"sync {info.name}" in told[0]
    assert runs_of(client, info.study_id, "study")[0].info.status == "FINISHED"
    assert runs_of(client, info.study_id)[0].data.tags["raysearch.rank"] == "1"


def test_an_experiment_of_a_server_is_refused_before_the_search(config, client, info):
    from raysearch.errors import TrackingError

    client.create_experiment("served", artifact_location="mlflow-artifacts:/1")
    deleted = client.create_experiment("deleted")
    client.delete_experiment(deleted)
    for name in ("served", "deleted"):
        tracker = open_tracker(TrackingConfig(True, config.uri, name))
        with pytest.raises(TrackingError, match="--no-tracking"):
            tracker.study_started(info)
        assert tracker.close() == ()


def test_what_the_first_fold_scored_is_no_point_of_the_curve(trial):
    """Though it served best after more rounds than all folds did."""
    rungs = (Rung(90, 3.0, {}, seconds=0.5, folds=1), Rung(60, 1.5, {"valid_coverage_90": 0.8}, seconds=2.0))
    result = trial(1, score=1.5, rounds=60, history=rungs)
    told = [(one.key, one.step, one.value) for one in trial_metrics(result)]
    name = "first_fold/valid_pinball_loss_avg"
    assert [one for one in told if one[0] == name] == [(name, 90, 3.0)]
    assert [one for one in told if one[0] == "valid_pinball_loss_avg"] == [
        ("valid_pinball_loss_avg", 60, 1.5)
    ]
    moments = {one.key: one.timestamp for one in trial_metrics(result)}
    assert moments[name] == 1000 * result.started_s + 500


def test_of_many_groups_only_the_largest_are_metrics():
    groups = {f"s{n}": (Interval(0.9, n / 5000, 0.0, 1.0, 1.0, n),) for n in range(1, 5001)}
    evaluation = Evaluation("test", 10, {"pinball_loss_avg": 1.0}, (), {}, groups)
    found = evaluation_metrics(evaluation, "store")
    told = [name for name in found if name.startswith("coverage/")]
    assert told == [f"coverage/store=s{n}" for n in range(5000, 4950, -1)]
    assert found["coverage/store=s5000"] == 1.0 and found["test_pinball_loss_avg"] == 1.0
