"""The conductor: how many trials, which are stopped, what is tried again, what is kept."""

from __future__ import annotations

import dataclasses
import math
import time

import pytest
from optuna.trial import TrialState
from study_made_up import begin, finish, limits, propose, rung, same, small_space

from raysearch.errors import StudyError


def fail(study, reason="ValueError: no"):
    spec = propose(study)
    study.conductor.failed(spec.key, reason)
    return spec.key


def test_trials_that_finished_or_were_stopped_count(tmp_path):
    study = begin(tmp_path, limits(3, scheduler="asha"))
    finish(study, 1.0, 10)
    spec = propose(study)
    assert not study.conductor.reached(spec.key, rung(10, 2.0))
    study.conductor.stopped(spec.key)
    fail(study)
    assert (study.conductor.wants(), study.conductor.stopped_by) == ("more", "")
    finish(study, 3.0)
    assert (study.conductor.wants(), study.conductor.stopped_by) == ("done", "trials")
    states = [result.state for result in study.ledger.results]
    assert states == ["finished", "stopped", "failed", "finished"]


def test_no_more_trials_are_begun_than_asked_for(tmp_path):
    study = begin(tmp_path, limits(2))
    spec = propose(study)
    assert study.conductor.wants() == "more"
    propose(study)
    assert study.conductor.wants() == "wait"
    study.conductor.failed(spec.key, "no")
    assert study.conductor.wants() == "more"


def test_failed_trials_are_replaced_at_most_n_times(tmp_path):
    study = begin(tmp_path, limits(3))
    for _ in range(3):
        fail(study)
        assert study.conductor.wants() == "more"
    fail(study)
    assert (study.conductor.wants(), study.conductor.stopped_by) == ("done", "failures")


def test_without_a_number_of_trials_a_search_that_only_fails_ends(tmp_path):
    study = begin(tmp_path, limits(None))
    for _ in range(11):
        assert study.conductor.wants() == "more"
        fail(study)
    assert study.conductor.stopped_by == "failures"


def test_failures_of_earlier_runs_count(tmp_path):
    study = begin(tmp_path, limits(2))
    fail(study)
    fail(study)
    resumed = begin(tmp_path, limits(2))
    assert resumed.conductor.wants() == "more"
    fail(resumed)
    assert resumed.conductor.stopped_by == "failures"


def test_patience_counts_trials_without_gain(tmp_path):
    study = begin(tmp_path, limits(99, patience=2))
    for score in (2.0, 3.0, 1.0, 1.0):
        finish(study, score)
        assert study.conductor.wants() == "more"
    fail(study)  # teaches nothing, and so counts for nothing
    assert study.conductor.wants() == "more"
    finish(study, 1.5)
    assert (study.conductor.wants(), study.conductor.stopped_by) == ("done", "patience")


def test_patience_begins_anew_where_a_study_is_gone_on_with(tmp_path):
    study = begin(tmp_path, limits(99, patience=2))
    for score in (1.0, 2.0, 2.0):
        finish(study, score)
    assert study.conductor.stopped_by == "patience"
    resumed = begin(tmp_path, limits(99, patience=2))
    finish(resumed, 2.0)
    assert resumed.conductor.wants() == "more"
    finish(resumed, 2.0)
    assert resumed.conductor.stopped_by == "patience"


def test_a_late_gain_of_a_running_trial_does_not_revive_a_search_that_has_ended(tmp_path):
    study = begin(tmp_path, limits(99, patience=2))
    finish(study, 2.0)
    late = propose(study)
    finish(study, 3.0)
    finish(study, 3.0)
    assert study.conductor.wants() == "done"
    study.conductor.finished(late.key, rung(40, 1.0))
    assert (study.conductor.wants(), study.conductor.stopped_by) == ("done", "patience")
    assert study.conductor.best.key == late.key


def test_time_halts_what_runs(tmp_path):
    study = begin(tmp_path, limits(9, deadline_s=time.monotonic() + 0.2))
    finish(study, 1.0)
    spec = propose(study)
    assert not study.conductor.halted
    time.sleep(0.25)
    assert study.conductor.halted
    assert (study.conductor.wants(), study.conductor.stopped_by) == ("done", "time")
    study.conductor.release()
    assert study.watcher.told[-1] == ("interrupted", spec.key)
    assert study.ledger.study.trials[1].state == TrialState.WAITING


def test_a_search_that_has_all_its_trials_was_not_ended_by_time(tmp_path):
    study = begin(tmp_path, limits(1, deadline_s=time.monotonic() + 0.1))
    finish(study, 1.0)
    time.sleep(0.15)
    assert study.conductor.halted
    assert study.conductor.stopped_by == "trials"


def test_an_interrupt_ends_the_search_whatever_else_does(tmp_path):
    study = begin(tmp_path, limits(1))
    finish(study, 1.0)
    study.conductor.interrupt()
    assert study.conductor.halted
    assert (study.conductor.wants(), study.conductor.stopped_by) == ("done", "interrupt")


def test_defaults_are_never_stopped_early(tmp_path):
    study = begin(tmp_path, limits(9, scheduler="asha"))
    default, *others = [propose(study) for _ in range(4)]
    for i, other in enumerate(others):
        study.conductor.reached(other.key, rung(10, 0.1 * (3 - i)))
    assert study.conductor.reached(default.key, rung(10, 99.0))
    assert default.default


def test_trials_are_compared_at_the_same_rung_only(tmp_path):
    study = begin(tmp_path, limits(9, scheduler="asha"))
    finish(study, 1.0, 20)
    spec = propose(study)
    assert study.conductor.reached(spec.key, rung(10, 5.0))  # the first that is seen at 10
    assert not study.conductor.reached(spec.key, rung(20, 5.0))
    study.conductor.stopped(spec.key)
    result = study.ledger.results[-1]
    assert (result.state, result.rounds, result.score) == ("stopped", 20, 5.0)
    assert [one.step for one in result.history] == [10, 20]


def test_nothing_is_stopped_between_the_rungs(tmp_path):
    study = begin(tmp_path, limits(9, scheduler="asha"))
    finish(study, 1.0, 7)
    spec = propose(study)
    assert study.conductor.reached(spec.key, rung(7, 5.0))


def test_after_a_resume_the_rungs_of_earlier_trials_are_known(tmp_path):
    study = begin(tmp_path, limits(9, scheduler="asha"))
    finish(study, 1.0, 10, 20)
    spec = propose(study)
    assert not study.conductor.reached(spec.key, rung(10, 2.0))
    study.conductor.stopped(spec.key)
    propose(study)
    resumed = begin(tmp_path, limits(9, scheduler="asha"))
    spec = propose(resumed)
    assert spec.number == 2
    assert not resumed.conductor.reached(spec.key, rung(10, 3.0))


def test_a_trial_that_lost_its_worker_is_next_under_the_same_key_and_reports_once(tmp_path):
    study = begin(tmp_path, limits(2, scheduler="asha"))
    finish(study, 1.0, 10)
    spec = propose(study)
    assert study.conductor.wants() == "wait"
    assert study.conductor.reached(spec.key, rung(10, 0.5))
    study.conductor.lost(spec.key, "its worker died")
    assert (study.conductor.wants(), study.conductor.running) == ("more", 0)
    again = propose(study)
    assert (again.key, again.number, again.fit_params) == (spec.key, spec.number, spec.fit_params)
    assert study.conductor.reached(again.key, rung(10, 0.5))
    study.conductor.finished(again.key, rung(40, 0.4))
    result = study.ledger.results[-1]
    assert [one.step for one in result.history] == [10, 40]
    assert study.ledger.study.trials[1].intermediate_values == {10: 0.5, 40: 0.4}
    assert study.watcher.told[2:] == [("started", spec.key), ("finished", spec.key)]
    assert study.conductor.stopped_by == "trials"


def test_a_trial_that_loses_every_worker_fails_with_its_reason_and_is_replaced(tmp_path):
    study = begin(tmp_path, limits(2))
    finish(study, 1.0)
    keys = set()
    for _ in range(3):
        spec = propose(study)
        keys.add(spec.key)
        study.conductor.lost(spec.key, "its worker process died")
    assert len(keys) == 1
    result = study.ledger.results[-1]
    assert (result.state, result.reason) == ("failed", "its worker process died; tried 3 times")
    assert study.conductor.wants() == "more"
    assert propose(study).key not in keys


def test_a_lost_trial_that_is_not_tried_again_waits_for_the_next_session(tmp_path):
    study = begin(tmp_path, limits(2))
    spec = propose(study)
    study.conductor.lost(spec.key, "its worker died")
    study.conductor.interrupt()
    study.conductor.release()
    assert study.watcher.told == [("started", spec.key), ("interrupted", spec.key)]
    assert propose(begin(tmp_path, limits(2))).key == spec.key


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_a_failure(tmp_path, score):
    study = begin(tmp_path, limits(9, scheduler="asha"))
    at_rung, at_end = propose(study), propose(study)
    assert not study.conductor.reached(at_rung.key, rung(10, score))
    study.conductor.stopped(at_rung.key)
    study.conductor.finished(at_end.key, rung(40, score), {"model.txt": b"x"})
    assert [result.state for result in study.ledger.results] == ["failed", "failed"]
    assert study.ledger.results[0].reason == f"the score after 10 rounds is {score}"
    assert study.conductor.best is None
    assert study.kept.get(at_end.key) is None
    finish(study, 5.0, 10)  # nothing of the failed is a peer


def test_a_resumed_conductor_knows_what_the_first_one_knew(tmp_path):
    study = begin(tmp_path, limits(9), small_space())
    for score in (3.0, 1.0, 2.0):
        finish(study, score, 10)
    fail(study)
    resumed = begin(tmp_path, limits(9))
    assert same(resumed.conductor.best, study.conductor.best)
    assert same(resumed.conductor.default, study.conductor.default)
    scores = [
        {step: peers._by_key for step, peers in one.conductor._rungs._peers.items()}
        for one in (resumed, study)
    ]
    assert scores[0] == scores[1] != {}


def test_a_ledger_that_fails_on_release_still_closes_the_watchers_runs(tmp_path, monkeypatch):
    study = begin(tmp_path, limits(2))
    spec = propose(study)

    def broken():
        raise StudyError("ledger: gone")

    monkeypatch.setattr(study.ledger, "release", broken)
    with pytest.raises(StudyError, match="gone"):
        study.conductor.release()
    assert study.watcher.told[-1] == ("interrupted", spec.key)


def test_scores_are_compared_only_with_those_after_as_many_rounds(tmp_path):
    """Rows, folds and levels are one study's own and fixed; rounds differ, and a rung has its own scores."""
    study = begin(tmp_path, limits(9, scheduler="asha"))  # rungs at 10 and 20 of 40 rounds
    finish(study, 1.0, 10)  # which was 1.0 at its end as well
    late = propose(study)
    assert study.conductor.reached(late.key, rung(20, 5.0))  # nobody else was seen after 20 rounds
    other = propose(study)
    assert not study.conductor.reached(other.key, rung(10, 2.0))  # worse than 1.0 after 10
    third = propose(study)
    assert study.conductor.reached(third.key, rung(20, 4.0))  # better than 5.0 after 20, worse than any 10


def test_a_trial_is_told_when_to_end_so_that_it_is_heard(tmp_path):
    for place in "abc":
        (tmp_path / place).mkdir()
    assert propose(begin(tmp_path / "a", limits(9))).left_s == math.inf
    ahead = {"deadline_s": time.monotonic() + 100, "refit_most_s": 20.0}
    plain = propose(begin(tmp_path / "b", limits(9, **ahead)))
    assert plain.left_s == pytest.approx(98, abs=1)
    kept = propose(begin(tmp_path / "c", limits(9, refit_scale=1.0, **ahead)))
    assert kept.left_s == pytest.approx(78, abs=1)  # nothing tells yet how long refits take


def test_no_trial_begins_that_could_not_end(tmp_path):
    study = begin(tmp_path, limits(9, deadline_s=time.monotonic() + 2.5))
    first, second = propose(study), propose(study)
    assert study.conductor.wants() == "more"  # none has ended: even a little is better than nothing
    time.sleep(0.6)
    study.conductor.finished(first.key, rung(10, 1.0))
    assert study.conductor.wants() == "wait"
    study.conductor.finished(second.key, rung(10, 2.0))
    assert (study.conductor.wants(), study.conductor.stopped_by) == ("done", "time")
    assert len(study.ledger.results) == 2


def test_a_trial_that_was_cut_is_a_model_but_not_one_of_those_asked_for(tmp_path):
    study = begin(tmp_path, limits(2, patience=2))
    finish(study, 2.0)
    for score in (1.0, 3.0, 4.0):
        spec = propose(study)
        study.conductor.finished(spec.key, rung(10, score), {"model": b"of 10 rounds"}, cut=True)
    cut = study.ledger.results[1]
    assert study.conductor.best == cut and (cut.state, cut.score, cut.rounds) == ("cut", 1.0, 10)
    assert study.kept.get(cut.key) == {"model": b"of 10 rounds"}
    assert (study.conductor.wants(), study.conductor.stopped_by) == ("more", ""), "nor trials, nor patience"
    finish(study, 5.0)
    assert study.conductor.stopped_by == "trials"


def test_what_was_promised_to_running_trials_outlasts_refits_that_grow(tmp_path, monkeypatch):
    study = begin(tmp_path, limits(9, refit_scale=1.0, refit_most_s=60.0, deadline_s=time.monotonic() + 50))
    first = propose(study)
    monkeypatch.setattr(study.ledger, "started_s", lambda number: time.time() - 1)
    study.conductor.finished(first.key, rung(40, 2.0))
    long = propose(study)  # told to be back about a second before the deadline
    slow = propose(study)
    monkeypatch.setattr(study.ledger, "started_s", lambda number: time.time() - 55)
    study.conductor.finished(slow.key, rung(40, 1.0))
    assert study.conductor.refit_s > 50 and not study.conductor.halted
    study.conductor.finished(long.key, rung(40, 3.0))
    assert study.conductor.halted and study.conductor.stopped_by == "time"


def test_an_interrupt_is_not_taken_for_the_end_of_time(tmp_path):
    study = begin(tmp_path, limits(9, deadline_s=time.monotonic() - 1))
    assert study.conductor.halted and study.conductor.stopped_by == "time"
    study.conductor.interrupt()
    assert study.conductor.halted and study.conductor.stopped_by == "interrupt"


def test_where_nothing_finishes_no_trial_begins_without_time(tmp_path):
    study = begin(tmp_path, limits(9, deadline_s=time.monotonic() + 2.2))
    spec = propose(study)
    study.conductor.failed(spec.key, "bad parameters")
    assert study.conductor.wants() == "more"
    time.sleep(0.3)
    assert (study.conductor.wants(), study.conductor.stopped_by) == ("done", "time")


def test_a_trial_takes_the_seconds_that_its_worker_has_measured(tmp_path):
    study = begin(tmp_path, limits(9))
    spec = propose(study)
    study.conductor.finished(spec.key, dataclasses.replace(rung(40, 1.0), seconds=12.5))
    assert study.ledger.results[0].seconds == pytest.approx(12.5)
    again = begin(tmp_path, limits(9)).ledger.results[0]
    assert again.seconds == pytest.approx(12.5) and again.history[0].seconds == 12.5


def test_a_result_is_written_before_anybody_acts_on_it(tmp_path, monkeypatch):
    study = begin(tmp_path, limits(9))
    first = finish(study, 2.0)
    study.kept.put(first, {"m": b"best so far"})
    spec = propose(study)
    monkeypatch.setattr(study.ledger, "tell", lambda result: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises((OSError, StudyError)):
        study.conductor.finished(spec.key, rung(40, 1.0), {"m": b"better"})
    assert study.kept.get(first) and study.watcher.told[-1] == ("started", spec.key)
