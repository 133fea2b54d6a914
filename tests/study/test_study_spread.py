"""Trials over several workers on a local Ray: what they find, what dies with them, and what stays behind."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState
from study_made_up import SMALL, begin, compute, limits, small_job
from study_on_ray import live_actors, states
from test_study_shards import new_home, spread_job

from raysearch.bench import Bench
from raysearch.models import by_fold, get_model
from raysearch.models.protocol import Frame
from raysearch.records import FoldRows
from raysearch.space import SearchSpace
from raysearch.space.read import parse_space
from raysearch.study import ray_engine
from raysearch.study.cluster import connected
from raysearch.study.shards import sharded
from raysearch.study.spread import SpreadBench, to_be_scored

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]

TREES = {"model": "xgboost", "parameters": {"n_estimators": {"type": "int", "low": 4, "high": 20}}}
PARAMS = {
    "lightgbm": {"num_leaves": 15, "learning_rate": 0.1, "feature_fraction": 0.9},
    "xgboost": {"max_depth": 4, "learning_rate": 0.1, "subsample": 0.9},
}


def run(study, place, timeout_s=None, job=None):
    home, name = new_home(place / "home")
    asked = replace(compute(), workers_per_trial=2, trial_timeout_s=timeout_s)
    table, recipe = job or spread_job()
    with connected(asked) as cluster, sharded(table, recipe, home, name) as shards:
        assert cluster.slots == 1
        ray_engine.run_on_ray(
            study.conductor, study.ledger, study.space, (table, recipe), (cluster, asked), shards=shards
        )
    assert not home.paths(name).shards.exists()


def lives(pid):
    """Tell whether a process is there, and not just its entry."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def workers():
    """Return the processes of groups that this process's Ray has."""
    parents, names = {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pid = int(place.name)
            parents[pid] = int(Path(place, "stat").read_text().rpartition(")")[2].split()[1])
            names[pid] = Path(place, "cmdline").read_bytes()

    def is_below(pid):
        return pid == os.getpid() or (pid in parents and is_below(parents[pid]))

    return [pid for pid, name in names.items() if b"RayTrainWorker" in name and is_below(pid)]


def left_behind(ray):
    """Return live actors beside those that Ray keeps one of a cluster, after giving them time to go."""
    for _ in range(600):
        actors = live_actors(ray)
        groups = [g for g in ray.util.placement_group_table().values() if g["state"] != "REMOVED"]
        if not actors and not groups and not workers() and ray.available_resources().get("CPU") == 2:
            return []
        time.sleep(0.2)
    return [*actors, *groups, *workers(), ray.available_resources()]


def test_trials_over_two_workers_end_as_asked_and_leave_nothing(tmp_path, local_ray, capfd):
    study = begin(tmp_path, limits(5, scheduler="asha"), SearchSpace((parse_space(SMALL),)))
    capfd.readouterr()
    run(study, tmp_path)
    assert capfd.readouterr() == ("", "")
    assert len(study.ledger.results) == 5
    assert set(states(study)) <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert 0 < study.conductor.best.score < 0.3  # the noise's own loss is about a tenth
    assert set(study.kept.get(study.conductor.best.key))
    assert left_behind(local_ray) == []


def test_both_libraries_take_turns_in_one_study(tmp_path, local_ray):
    space = SearchSpace((parse_space(SMALL), parse_space(TREES)))
    study = begin(tmp_path, limits(2), space)
    run(study, tmp_path)
    assert {result.model for result in study.ledger.results} == {"lightgbm", "xgboost"}
    assert {result.state for result in study.ledger.results} == {"finished"}
    assert left_behind(local_ray) == []


def larger_job(folds, workers):
    """Return a table of 6,000 rows whose spread hangs on a feature, and two folds or one."""
    random = np.random.default_rng(3)
    table, recipe = small_job(6000)
    y = table["f0"].to_numpy() + 0.5 * random.normal(size=6000) * (1 + (table["f1"].to_numpy() > 0))
    table = table.set_column(2, "target", [y]).append_column("weight", [np.where(y > 0, 1.25, 0.75)])
    fits = (FoldRows(((0, 4000),), (4000, 6000)),)
    if folds == 2:
        fits = (FoldRows(((0, 4000), (5001, 6000)), (4000, 5001)), FoldRows(((0, 5001),), (5001, 6000)))
    return table, replace(recipe, fits=fits, settings=replace(recipe.settings, workers=workers))


@pytest.mark.parametrize(("model", "folds"), [("lightgbm", 2), ("xgboost", 1)])
def test_the_model_is_nearly_that_of_one_worker_and_its_forecasts_are_its_own(tmp_path, model, folds):
    from raysearch.calibration import make_folds

    table, recipe = larger_job(folds, 2)
    recipe = replace(recipe, folds=make_folds(2000))
    home, name = new_home(tmp_path)
    plain = Bench(table, replace(recipe, settings=replace(recipe.settings, workers=1)))
    fit = plain.begin(model, PARAMS[model])
    fit.advance(60)
    alone = plain.scorer.score(fit.predict_watched(), 60).score
    with sharded(table, recipe, home, name) as shards:
        bench = SpreadBench(to_be_scored(table, recipe), recipe, shards, {"CPU": 1})
        try:
            assert len(set(bench.stand(model))) == 2
            spread = bench.begin(model, PARAMS[model])
            spread.advance(25)
            saved = spread.save()
            spread.advance(60)
            said, files = spread.predict_watched(), spread.dump()
            early = spread.dump(25)
            gone_on = bench.begin(model, PARAMS[model], None, saved)  # as after a loss
            assert gone_on.rounds == 25
            gone_on.advance(60)
            later = bench.scorer.score(gone_on.predict_watched(), 60).score
        finally:
            bench.end()
    together = bench.scorer.score(said, 60).score
    assert 0.95 < together / alone < 1.05
    assert 0.98 < later / together < 1.02  # columns are drawn anew
    features = Frame(table.select(["f0", "f1"]), recipe.categorical)
    for kept in (files, early):
        loaded = [
            get_model(model).load(part, recipe.settings.levels)(features.slice(*fold.watch))
            for part, fold in zip(by_fold(kept, folds), recipe.fits, strict=True)
        ]
        if kept is files:
            assert np.concatenate(loaded) == pytest.approx(said, abs=1e-6)


def test_parameters_that_the_library_refuses_fail_their_trial_alone(tmp_path, local_ray):
    home, name = new_home(tmp_path)
    table, recipe = spread_job()
    with sharded(table, recipe, home, name) as shards:
        bench = SpreadBench(to_be_scored(table, recipe), recipe, shards, {"CPU": 1})
        try:
            with pytest.raises(Exception, match="LightGBMError"):
                bench.begin("lightgbm", {"num_leaves": -5})
            assert bench.lost == ""
            fit = bench.begin("lightgbm", {"num_leaves": 5})
            fit.advance(3)
            assert fit.predict_watched().shape == (80, 3)
        finally:
            bench.end()
    assert left_behind(local_ray) == []


def test_a_killed_worker_s_trial_is_tried_again_under_its_key(tmp_path, monkeypatch, local_ray):
    base = ray_engine.TrialWorker

    class TrialWorker(base):
        def reset_config(self, new_config):
            self.spec = new_config["spec"]
            return super().reset_config(new_config)

        def step(self):
            mark = Path(tmp_path, "killed")
            if self.spec.number == 1 and not mark.exists():
                (victim, other) = self._spread.stand(self.spec.model)
                mark.write_text(f"{victim} {other}")
                threading.Timer(0.05, os.kill, (victim, signal.SIGKILL)).start()
            return super().step()

    monkeypatch.setattr(ray_engine, "TrialWorker", TrialWorker)
    rounds = {"num_boost_round": {"type": "int", "low": 200, "high": 400}}
    space = SearchSpace((parse_space({**SMALL, "parameters": {**SMALL["parameters"], **rounds}}),))
    study = begin(tmp_path, limits(3), space)
    run(study, tmp_path, job=spread_job(rows=9000))
    assert states(study) == [TrialState.COMPLETE] * 3
    started = [key for what, key in study.watcher.told if what == "started"]
    assert len(started) == len(set(started)) == 3
    for pid in map(int, Path(tmp_path, "killed").read_text().split()):
        assert not lives(pid)
    assert left_behind(local_ray) == []


def test_a_trial_that_hangs_is_given_up_with_its_workers(tmp_path, monkeypatch, local_ray):
    base = ray_engine.TrialWorker

    class TrialWorker(base):
        def reset_config(self, new_config):
            self.spec = new_config["spec"]
            return super().reset_config(new_config)

        def step(self):
            if self.spec.number == 1:
                time.sleep(1000)
            return super().step()

    monkeypatch.setattr(ray_engine, "TrialWorker", TrialWorker)
    study = begin(tmp_path, limits(2))
    run(study, tmp_path, timeout_s=60.0)
    assert states(study).count(TrialState.COMPLETE) == 2
    (failed,) = [result for result in study.ledger.results if result.state == "failed"]
    assert failed.number == 1 and "--trial-timeout" in failed.reason
    assert left_behind(local_ray) == []


def test_a_study_that_is_interrupted_ends_its_workers(tmp_path, monkeypatch, local_ray):
    base = ray_engine.TrialWorker

    class TrialWorker(base):
        def step(self):
            if Path(tmp_path, "first").exists():
                Path(tmp_path, "sleeping").touch()
                time.sleep(100)
            Path(tmp_path, "first").touch()
            return super().step()

    monkeypatch.setattr(ray_engine, "TrialWorker", TrialWorker)
    study = begin(tmp_path, limits(5))
    halted = type(study.conductor).halted.fget

    def halting(self):
        if Path(tmp_path, "sleeping").exists():
            self.interrupt()
        return halted(self)

    monkeypatch.setattr(type(study.conductor), "halted", property(halting))
    run(study, tmp_path)
    assert study.conductor.stopped_by == "interrupt"
    assert TrialState.RUNNING not in states(study)
    assert left_behind(local_ray) == []
