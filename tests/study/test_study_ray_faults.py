"""The Ray engine when something goes wrong: workers, parameters, time, the ledger, Tune itself."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from optuna.trial import TrialState
from study_made_up import begin, limits
from study_on_ray import acting, left_behind, run, states

from raysearch.errors import ClusterError, StudyError
from raysearch.reports import Report
from raysearch.study import ray_engine

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]


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
    mark = tmp_path / "died"

    def die_soon(self, result):
        if self.spec.number == 0 and result["done"] and not mark.exists():
            mark.touch()  # once: a busy machine may end it before its answer is out, and the trial runs again
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
    assert time.monotonic() - since[0] < 50
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


def test_a_trial_that_hangs_is_given_up_after_its_time(tmp_path, monkeypatch, local_ray):
    def hang(self):
        if self.spec.number == 1:
            time.sleep(1000)

    acting(monkeypatch, tmp_path, hang)
    study = begin(tmp_path, limits(4))
    begun = time.monotonic()
    run(study, timeout_s=30.0)
    assert time.monotonic() - begun < 200
    assert states(study).count(TrialState.COMPLETE) == 4
    (failed,) = [result for result in study.ledger.results if result.state == "failed"]
    assert (failed.number, failed.reason) == (1, "it took longer than the 30 s of --trial-timeout")
    assert left_behind(local_ray) == []


def test_a_trial_that_crashes_in_c_or_takes_all_memory_costs_itself_alone(tmp_path, monkeypatch):
    def spoil(self):
        if self.spec.number == 1:
            os.kill(os.getpid(), 11)  # as a segmentation fault of a library does
        if self.spec.number == 2:
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))
            bytearray(2**34)

    acting(monkeypatch, tmp_path, spoil)
    study = begin(tmp_path, limits(4))
    run(study)
    assert states(study).count(TrialState.COMPLETE) == 4
    reasons = {result.number: result.reason for result in study.ledger.results if result.state == "failed"}
    assert set(reasons) == {1, 2}
    assert "worker process died" in reasons[1] and "3 times" in reasons[1]
    assert "MemoryError" in reasons[2]
