"""The Ray engine on a connection that goes on: what it finds, what it survives, what it leaves behind."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest
from optuna.trial import TrialState
from study_made_up import SMALL, begin, compute, limits, same, small_job

from raysearch.errors import ClusterError, StudyError
from raysearch.space import SearchSpace
from raysearch.space.read import parse_space
from raysearch.study import ray_engine
from raysearch.study.cluster import connected
from raysearch.study.inline import run_inline
from raysearch.trial import Report

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]


def run(study, slots=2, job=None):
    with connected(compute(slots)) as cluster:
        assert not cluster.own
        assert cluster.slots == slots
        ray_engine.run_on_ray(
            study.conductor, study.ledger.study, study.space, job or small_job(), (cluster, compute(slots))
        )


def acting(monkeypatch, place, before=None, after=None):
    """Let the workers do something before and after each step; they note which process ran which trial."""
    base = ray_engine.TrialWorker

    class TrialWorker(base):
        def reset_config(self, new_config):
            self.spec, self.count = new_config["spec"], 0
            return super().reset_config(new_config)

        def step(self):
            with Path(place, "pids").open("a") as file:
                file.write(f"{self.spec.number} {os.getpid()}\n")
            if before:
                before(self)
            result = super().step()
            self.count += 1
            if after:
                after(self, result)
            return result

    monkeypatch.setattr(ray_engine, "TrialWorker", TrialWorker)
    return lambda: [tuple(map(int, line.split())) for line in Path(place, "pids").read_text().splitlines()]


def left_behind(ray):
    """Return the live actors and placement groups, after giving them a moment to go."""
    for _ in range(50):
        actors = [a for a in ray._private.state.actors().values() if a["State"] not in ("DEAD", 4)]
        groups = [g for g in ray.util.placement_group_table().values() if g["state"] != "REMOVED"]
        if not actors and not groups and ray.available_resources().get("CPU") == 2:
            return []
        time.sleep(0.1)
    return [*actors, *groups, ray.available_resources()]


def settings():
    return {name: value for name, value in os.environ.items() if name.startswith(("TUNE_", "RAY_"))}


def states(study):
    return [trial.state for trial in study.ledger.study.trials]


@pytest.fixture
def places(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    return tmp_path / "a", tmp_path / "b"


def test_one_at_a_time_finds_bit_for_bit_what_the_inline_twin_finds(places, local_ray, capfd, monkeypatch):
    asked = limits(13, scheduler="asha")
    table, recipe = small_job()
    here, there = begin(places[0], asked), begin(places[1], asked)
    run_inline(here.conductor, here.ledger, here.space, table, recipe)
    monkeypatch.setenv("TUNE_RESULT_DIR", "/x")  # settings of the surroundings do not bend the search
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "1")
    before = settings(), signal.getsignal(signal.SIGUSR1)
    capfd.readouterr()
    run(there, slots=1)
    assert [r.state for r in here.ledger.results].count("stopped") > 0
    pairs = zip(here.ledger.results, there.ledger.results, strict=True)
    assert all(same(a, b) for a, b in pairs)
    assert here.kept.get(here.conductor.best.key) == there.kept.get(there.conductor.best.key)
    assert there.conductor.stopped_by == "trials"
    assert (settings(), signal.getsignal(signal.SIGUSR1)) == before
    assert left_behind(local_ray) == []
    assert capfd.readouterr().out == ""


def test_two_at_once_finish_the_number_asked_for_on_warm_workers(tmp_path, monkeypatch, local_ray):
    pids = acting(monkeypatch, tmp_path)
    study = begin(tmp_path, limits(12, scheduler="asha"))
    run(study)
    assert len(study.ledger.results) == 12
    assert len({number for number, _ in pids()}) == 12
    assert len({pid for _, pid in pids()}) <= 2
    told = states(study)
    assert set(told) == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in study.ledger.study.trials:
        if trial.state == TrialState.PRUNED:
            assert trial.value == trial.intermediate_values[trial.last_step]
            assert trial.last_step in (10, 20)
    assert left_behind(local_ray) == []


def test_the_table_is_shared_and_given_back(tmp_path, monkeypatch, local_ray):
    rows = 1_500_000
    table, recipe = small_job()
    padding = pa.array(range(rows), pa.float64())
    big = pa.table(
        {name: pa.concat_arrays([table[name].combine_chunks(), padding]) for name in table.column_names}
    )

    def note(self):
        kept = self._bench._watched.features.column(0).chunk(0).buffers()[1]
        maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
        for line in maps:
            low, high = (int(end, 16) for end in line[0].split("-"))
            if low <= kept.address < high:
                Path(tmp_path, f"map-{os.getpid()}").write_text(" ".join(line[5:]))

    acting(monkeypatch, tmp_path, note)
    study = begin(tmp_path, limits(3))
    before = local_ray.available_resources()["object_store_memory"]
    run(study, job=(big, recipe))
    seen = [path.read_text() for path in tmp_path.glob("map-*")]
    assert seen
    assert all("plasma" in name or "/dev/shm" in name or "ray" in name for name in seen)
    for _ in range(40):
        gc.collect()
        if local_ray.available_resources()["object_store_memory"] >= before - 2**20:
            break
        time.sleep(0.1)
    assert local_ray.available_resources()["object_store_memory"] >= before - 2**20


def test_a_killed_worker_s_trial_is_tried_again_under_its_key(tmp_path, monkeypatch, local_ray):
    def kill_once(self):
        mark = Path(tmp_path, "killed")
        if self.spec.number == 2 and self.count == 1 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), 9)

    pids = acting(monkeypatch, tmp_path, kill_once)
    study = begin(tmp_path, limits(5))
    run(study)
    assert states(study) == [TrialState.COMPLETE] * 5
    assert len({pid for number, pid in pids() if number == 2}) == 2
    started = [key for what, key in study.watcher.told if what == "started"]
    assert len(started) == len(set(started)) == 5
    two = next(result for result in study.ledger.results if result.number == 2)
    assert [one.step for one in two.history] == sorted({one.step for one in two.history})
    assert left_behind(local_ray) == []


def test_a_worker_that_dies_between_two_trials_costs_no_trial(tmp_path, monkeypatch):
    def die_soon(self, result):
        if self.spec.number == 0 and result["done"]:
            threading.Timer(0.02, os.kill, (os.getpid(), 9)).start()

    pids = acting(monkeypatch, tmp_path, after=die_soon)
    study = begin(tmp_path, limits(4))
    run(study, slots=1)
    assert states(study) == [TrialState.COMPLETE] * 4
    assert len({pid for _, pid in pids()}) == 2


def test_a_trial_whose_worker_always_dies_fails_with_its_reason_and_is_replaced(tmp_path, monkeypatch):
    def kill(self):
        if self.spec.number == 1:
            os.kill(os.getpid(), 9)

    acting(monkeypatch, tmp_path, kill)
    study = begin(tmp_path, limits(3))
    run(study, slots=1)
    assert states(study) == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert "worker process died" in study.ledger.results[1].reason
    assert "3 times" in study.ledger.results[1].reason


def test_trials_that_raise_or_give_nan_fail_with_their_reason_and_the_study_goes_on(tmp_path, monkeypatch):
    def spoil(self):
        if self.spec.number == 1:
            self._reports = iter([Report(failure="ValueError: bad parameters")])

    def nan(self, result):
        if self.spec.number == 2 and result["done"]:
            object.__setattr__(result["report"].rung, "score", float("nan"))

    pids = acting(monkeypatch, tmp_path, spoil, nan)
    study = begin(tmp_path, limits(3))
    run(study, slots=1)
    reasons = {result.number: result.reason for result in study.ledger.results}
    assert reasons[1] == "ValueError: bad parameters"
    assert reasons[2].endswith("rounds is nan")
    assert [r.number for r in study.ledger.results if r.state == "finished"] == [0, 3, 4]
    assert len({pid for _, pid in pids()}) == 1  # a failed trial costs no worker


def test_workers_that_cannot_start_are_told_once(tmp_path, monkeypatch, local_ray):
    class TrialWorker(ray_engine.TrialWorker):
        def setup(self, config):
            raise ModuleNotFoundError("No module named 'raysearch'")

    monkeypatch.setattr(ray_engine, "TrialWorker", TrialWorker)
    study = begin(tmp_path, limits(30))
    with pytest.raises(ClusterError, match=r"no worker can start.*No module named 'raysearch'"):
        run(study)
    assert TrialState.RUNNING not in states(study)
    assert left_behind(local_ray) == []


@pytest.mark.parametrize("how", ["time", "interrupt"])
def test_a_halt_takes_seconds_and_leaves_nothing_running(tmp_path, monkeypatch, local_ray, how):
    def sleep(self):
        if self.spec.number > 0:
            Path(tmp_path, "sleeping").touch()
            time.sleep(100)

    acting(monkeypatch, tmp_path, sleep)
    study = begin(tmp_path, limits(9))
    halted, since = type(study.conductor).halted.fget, []

    def halting(self):
        if not since and Path(tmp_path, "sleeping").exists() and self.best:
            since.append(time.monotonic())
            if how == "interrupt":
                self.interrupt()
            else:
                object.__setattr__(self._limits, "deadline_s", time.monotonic())
        return halted(self)

    monkeypatch.setattr(type(study.conductor), "halted", property(halting))
    run(study)
    assert time.monotonic() - since[0] < 6
    assert study.conductor.stopped_by == how
    assert set(states(study)) == {TrialState.COMPLETE, TrialState.WAITING}
    assert left_behind(local_ray) == []
    told = {
        what: {key for word, key in study.watcher.told if word == what} for what in ("started", "interrupted")
    }
    assert told["interrupted"] == told["started"] - {result.key for result in study.ledger.results}


def test_a_ledger_that_fails_ends_the_search_with_its_own_words(tmp_path, monkeypatch, local_ray):
    study = begin(tmp_path, limits(9))
    tell = study.ledger.tell

    def broken(result):
        if result.number == 1:
            raise StudyError("ledger: the database has gone")
        tell(result)

    monkeypatch.setattr(study.ledger, "tell", broken)
    with pytest.raises(StudyError, match="the database has gone"):
        run(study)
    assert left_behind(local_ray) == []


def test_an_error_of_tune_s_own_begins_its_loop_anew(tmp_path, monkeypatch, local_ray):
    from ray.tune.execution.tune_controller import TuneController

    step, raised = TuneController.step, []

    def breaking(self):
        if study.ledger.results and not raised:
            raised.append(1)
            raise RuntimeError("inner trouble")
        return step(self)

    monkeypatch.setattr(TuneController, "step", breaking)
    study = begin(tmp_path, limits(4))
    run(study)
    assert raised
    assert states(study) == [TrialState.COMPLETE] * 4
    assert len({result.key for result in study.ledger.results}) == 4
    assert left_behind(local_ray) == []


def test_a_tune_that_always_fails_is_told(tmp_path, monkeypatch):
    study = begin(tmp_path, limits(4))

    def broken(*args):
        trial = study.ledger.ask()
        study.conductor.start(trial, study.space.suggest(trial))
        raise RuntimeError("long story\ninner trouble")

    monkeypatch.setattr(ray_engine, "_run_tune", broken)
    with pytest.raises(ClusterError, match="Ray Tune failed 3 times: inner trouble"):
        run(study)
    assert states(study) == [TrialState.WAITING]


def test_a_loop_that_something_else_has_ended_counts_as_interrupted(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_engine, "_run_tune", lambda *args: None)
    study = begin(tmp_path, limits(4))
    run(study)
    assert study.conductor.stopped_by == "interrupt"


def test_both_libraries_in_one_search_on_a_database(tmp_path):
    trees = {"n_estimators": {"type": "int", "low": 4, "high": 20}}
    space = SearchSpace((parse_space(SMALL), parse_space({"model": "xgboost", "parameters": trees})))
    study = begin(tmp_path, limits(6), space, database=f"sqlite:///{tmp_path}/trials.db")
    run(study)
    assert {result.model for result in study.ledger.results} == {"lightgbm", "xgboost"}
    assert sum(result.default for result in study.ledger.results) == 2
    assert study.conductor.default.default


def test_another_address_than_the_connection_s_is_refused(local_ray):
    with (
        pytest.raises(ClusterError, match="connected to the Ray cluster at"),
        connected(compute().__class__("10.1.2.3:6379", 1, 0, None, "ray")),
    ):
        pass
    with (
        pytest.raises(ClusterError, match="can hold a trial of 64 CPUs"),
        connected(compute().__class__(None, 64, 0, None, "ray")),
    ):
        pass
    address = local_ray.get_runtime_context().gcs_address
    with connected(compute().__class__(f"127.0.0.1:{address.rpartition(':')[2]}", 1, 0, 1, "ray")) as cluster:
        assert (cluster.slots, cluster.cpus, cluster.own) == (1, 2.0, False)
