"""Trials that are judged by their first fold: compared with each other alone, and only while that tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from optuna.trial import TrialState
from study_made_up import begin, limits, propose, rung, small_space

from raysearch.study.pruning import Agreement
from raysearch.study.tally import Tally


def first(step, score):
    return replace(rung(step, score), folds=1)


def start(place, *, scheduler="asha"):
    study = begin(place, limits(None, scheduler=scheduler))
    study.conductor.first_fold = True
    return study


def run(study, score, last=None, step=7):
    """Run the next trial: its first fold and, where it goes on, its end; return what it came to."""
    spec = propose(study)
    if spec.first_fold and not study.conductor.reached(spec.key, first(step, score)):
        study.conductor.stopped(spec.key)
    else:
        study.conductor.finished(spec.key, rung(spec.rungs[-1], score if last is None else last))
    return study.ledger.results[-1]


def test_the_best_sixth_goes_on(tmp_path):
    study = start(tmp_path)
    assert not propose(study).first_fold  # the library's defaults are trained to their end
    goes_on = [run(study, score).state == "finished" for score in (5.0, 6.0, 4.0, 4.5, 3.0, 3.5, 3.2)]
    # Of one to six the best, of seven the best two.
    assert goes_on == [True, False, True, False, True, False, True]


def test_scores_of_the_first_fold_are_no_peers_of_others(tmp_path):
    study = start(tmp_path)
    propose(study)
    run(study, 1.0, last=90.0)
    spec = propose(study)
    assert spec.rungs == (spec.rungs[-1],)  # no other stage before the end
    assert not study.conductor.reached(spec.key, first(30, 1.5))  # whatever its rounds
    study.conductor.stopped(spec.key)
    result = study.ledger.results[-1]
    assert (result.state, result.score, result.rounds) == ("stopped", None, 30)
    assert (dict(result.metrics), dict(result.objectives)) == ({}, {})
    assert result.history == (first(30, 1.5),)


def test_optuna_is_told_of_it_at_a_step_before_all_others(tmp_path):
    study = start(tmp_path)
    propose(study)
    run(study, 1.0)
    run(study, 2.0, step=30)
    done, stopped = study.ledger.study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    assert (stopped.state, stopped.intermediate_values) == (TrialState.PRUNED, {0: 2.0})
    assert done.intermediate_values[0] == 1.0 and len(done.intermediate_values) == 2


def test_a_study_that_goes_on_knows_its_first_folds(tmp_path):
    before = start(tmp_path)
    propose(before)
    for score in (1.0, 2.0, 3.0):
        run(before, score)
    after = start(tmp_path)
    known = {result.key: result.history for result in before.ledger.results}
    assert {result.key: result.history for result in after.ledger.results} == known
    propose(after)  # what was running
    assert [run(after, score).state for score in (1.6, 0.9)] == ["stopped", "finished"]


def test_where_first_folds_tell_nothing_trials_are_no_longer_judged_by_them(tmp_path):
    study = start(tmp_path)
    propose(study)
    for i in range(10):
        assert run(study, 10.0 - i, last=10.0 + i).state == "finished"
    spec = propose(study)
    assert not spec.first_fold
    assert study.conductor.notes == (
        "Trials were no longer stopped by their first fold: it ranked those that finished otherwise than all "
        "folds do (rank correlation -1.00).",
    )
    again = start(tmp_path)
    propose(again)
    propose(again)
    assert not propose(again).first_fold


def test_agreement_by_hand():
    agreement = Agreement()
    for i in range(7):
        agreement.add(i, -i)
    assert agreement.rank_correlation == 1.0 and agreement.holds  # too few to tell
    agreement.add(7, -7)
    assert agreement.rank_correlation == pytest.approx(-1.0)
    assert not agreement.holds
    for i in range(100):
        agreement.add(i, i)
    assert not agreement.holds  # for good
    pairs = Agreement()
    for one, all_ in zip(range(10), (1, 0, 3, 2, 5, 4, 7, 6, 9, 8), strict=True):
        pairs.add(one, 100 * all_)
    assert pairs.rank_correlation == pytest.approx(1 - 6 * 10 / (10 * 99))


def test_agreement_among_the_best_stands_for_agreement_among_all():
    """Of thirty the best ten went on: their places are a third as wide as those of all."""
    agreement, ranks = Agreement(), (4, 1, 7, 0, 3, 2, 9, 5, 8, 6)
    for i in range(20):
        agreement.add(100.0 + i, None)  # stopped
    for one, all_ in enumerate(ranks):
        agreement.add(one, all_)
    found = 1 - 6 * sum((one - all_) ** 2 for one, all_ in enumerate(ranks)) / 990
    wider = np.std(np.arange(30)) / np.std(np.arange(10))
    expected = found * wider / np.sqrt(1 + found**2 * (wider**2 - 1))
    assert agreement.rank_correlation == pytest.approx(expected)
    assert expected > found


def test_boosters_whose_rounds_do_not_add_up_stop_at_rungs(tmp_path):
    space = small_space(boosting={"choices": ["dart"]})
    study = begin(tmp_path, limits(None, scheduler="asha"), space)
    study.conductor.first_fold = True
    propose(study)
    spec = propose(study)
    assert not spec.first_fold
    assert spec.rungs[:-1] == tuple(step for step in (10, 20) if step < spec.rungs[-1])


def test_a_trial_that_was_told_to_stop_stops_when_it_is_tried_again(tmp_path):
    study = start(tmp_path)
    propose(study)
    run(study, 1.0)
    spec = propose(study)
    assert not study.conductor.reached(spec.key, first(7, 9.0))
    study.conductor.lost(spec.key, "killed before it was stopped")
    again = propose(study)
    assert again.key == spec.key
    assert not study.conductor.reached(spec.key, first(7, 9.0))
    study.conductor.stopped(spec.key)
    assert study.ledger.results[-1].state == "stopped"


def test_what_is_not_asked_for_is_not_done(tmp_path):
    study = begin(tmp_path, limits(None, scheduler="asha"))
    propose(study)
    assert not propose(study).first_fold


def test_a_trial_that_began_at_rungs_goes_on_at_rungs(tmp_path):
    study = begin(tmp_path, limits(None, scheduler="asha"))
    propose(study)
    spec = propose(study)
    assert study.conductor.reached(spec.key, rung(10, 2.0))
    study.conductor.lost(spec.key, "its node was lost")
    study.conductor.first_fold = True
    again = propose(study)
    assert (again.key, again.first_fold, again.rungs) == (spec.key, False, spec.rungs)


def test_what_was_stopped_later_tells_nothing_of_all_folds(tmp_path):
    study = start(tmp_path)
    propose(study)
    done = run(study, 1.0)
    tally = Tally(limits(None))
    for i in range(10):
        history = (first(7, float(i)), rung(10, 5.0))
        tally.add(replace(done, state="stopped", history=history, score=5.0 - i))
    assert tally.agreement.rank_correlation == 1.0
    for i in range(10):
        tally.add(replace(done, history=(first(7, float(i)),), score=5.0 - i))
    assert tally.agreement.rank_correlation < 0
