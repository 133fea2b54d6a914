"""Who watches a search on Ray's dashboard sees which trials run, and how far they are."""

from __future__ import annotations

import pytest
from study_made_up import begin, limits
from study_on_ray import run

from raysearch.records import Rung
from raysearch.study import ray_engine
from raysearch.study.live import name_step, step_name
from raysearch.trial import TrialSpec

SPEC = TrialSpec(7, "k", "lightgbm", {}, (10, 500))


def test_a_step_is_called_by_study_trial_and_progress():
    assert step_name("sales", SPEC) == "sales: trial 7 lightgbm"
    assert step_name("sales", SPEC, Rung(120, 0.43217, {})) == (
        "sales: trial 7 lightgbm, 120 of at most 500 rounds, score 0.4322"
    )
    first = Rung(120, 0.43217, {}, folds=1)
    assert step_name("sales", SPEC, first) == "sales: trial 7 lightgbm, first fold done, score 0.4322"


def test_a_worker_of_another_ray_is_left_as_it_is():
    class Handle:
        __slots__ = ()

    name_step(Handle(), "sales", SPEC)


@pytest.mark.slow
def test_every_trial_that_runs_is_seen_by_its_name_though_workers_stay(tmp_path, local_ray, monkeypatch):
    names: list[str] = []

    class TrialWorker(ray_engine.TrialWorker):
        def step(self):
            report = super().step()
            report["name"] = local_ray.get_runtime_context().get_task_name()
            return report

    monkeypatch.setattr(ray_engine, "TrialWorker", TrialWorker)
    told = ray_engine.Steps.on_trial_result

    def heard(self, iteration, trials, trial, result, **info):
        names.append(result["name"])
        told(self, iteration, trials, trial, result, **info)

    monkeypatch.setattr(ray_engine.Steps, "on_trial_result", heard)
    study = begin(tmp_path, limits(4))
    run(study, slots=1)
    for result in study.ledger.results:
        name = f"made-up: trial {result.number} {result.model}"
        steps = [told for told in names if told == name or told.startswith(f"{name}, ")]
        assert steps[0] == name
        assert all(" rounds, score " in step for step in steps[1:])
    assert sum(len(result.history) for result in study.ledger.results) <= len(names)
    assert all(name.startswith("made-up: trial ") for name in names)
