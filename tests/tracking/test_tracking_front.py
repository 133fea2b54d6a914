"""A study of several objectives in MLflow."""

from __future__ import annotations

import dataclasses
import json

import pytest

from raysearch.config import TrackingConfig
from raysearch.pareto import front
from raysearch.tracking import open_tracker, resolve_uri
from raysearch.tracking.entries import best_so_far

pytestmark = pytest.mark.slow

WORDS = ("interval_90", "coverage_gap")


def test_the_front_is_tagged_and_kept_as_a_table(info, trial, outcome, tmp_path, mlflow_at):
    import mlflow

    config = TrackingConfig(True, f"sqlite:///{tmp_path}/mlflow.db", "fronts")
    search = {**info.config["search"], "objective": "interval_90,coverage_gap"}
    info = dataclasses.replace(info, config={**info.config, "search": search})
    values = [(3.0, 0.3), (1.0, 0.2), (2.0, 0.1)]
    trials = [
        trial(n, score=v[0], objectives=dict(zip(WORDS, v, strict=True)), key=f"k{n}")
        for n, v in enumerate(values)
    ]
    client = mlflow.MlflowClient(tracking_uri=resolve_uri(config))

    def record(trials, tracker):
        tracker.study_started(info)
        tracker.reconcile(trials, ())
        leading = front(trials)
        result = dataclasses.replace(
            outcome(leading[-1]), objectives=WORDS, pareto=leading, picked="the best by coverage_gap"
        )
        gain = dataclasses.replace(result.comparison, objectives={"interval_90": (4.0, 5.0)})
        tracker.study_ended("FINISHED", dataclasses.replace(result, comparison=gain), trials, None, None)
        assert tracker.close() == ()
        experiment = client.get_experiment_by_name("fronts").experiment_id
        runs = client.search_runs([experiment], "tags.`raysearch.role` = 'trial'")
        marked = {run.data.tags["raysearch.trial_key"] for run in runs if "raysearch.pareto" in run.data.tags}
        return tracker.parent_run_id, marked

    parent_id, marked = record(trials, open_tracker(config))
    assert marked == {"k1", "k2"}
    parent = client.get_run(parent_id)
    assert parent.data.params["search.objective"] == "interval_90,coverage_gap"
    assert parent.data.tags["raysearch.objectives"] == "interval_90,coverage_gap"
    assert parent.data.tags["raysearch.picked"] == "the best by coverage_gap"
    assert parent.data.metrics["best_valid_interval_score_90"] == 1.0
    assert parent.data.metrics["best_valid_coverage_gap"] == 0.1
    assert parent.data.metrics["test_default_interval_score_90"] == 5.0
    note = parent.data.tags["mlflow.note.content"]
    assert "**Picked: trial 2 (lightgbm), the best by coverage_gap**, valid interval score at 90 % 2," in note
    mlflow_at(resolve_uri(config))
    table = client.load_table(parent.info.experiment_id, "pareto.json", [parent_id])
    assert list(table["trial"]) == [1, 2] and list(table["picked"]) == [False, True]
    assert list(table["coverage_gap"]) == [0.2, 0.1]
    assert json.loads(parent.data.tags["mlflow.loggedArtifacts"]) == [
        {"path": "pareto.json", "type": "table"}
    ]

    better = trial(3, score=0.5, objectives={"interval_90": 0.5, "coverage_gap": 0.05}, key="k3")
    again_id, marked = record([*trials, better], open_tracker(config))
    assert again_id == parent_id and marked == {"k3"}
    assert list(client.load_table(parent.info.experiment_id, "pareto.json", [parent_id])["trial"]) == [3]


def test_the_curve_of_the_best_score_bears_the_objectives_name(trial):
    from raysearch.objectives import parse_objectives

    states = ("finished", "cut", "finished")
    trials = [trial(n, s, float(3 - n), objectives={"wis": float(3 - n)}) for n, s in enumerate(states)]
    points = best_so_far(trials, parse_objectives("wis"))
    assert [(p.key, p.value, p.step) for p in points] == [
        ("best_valid_wis", 3.0, 1),
        ("best_valid_wis", 2.0, 2),
        ("best_valid_wis", 1.0, 3),
    ]
