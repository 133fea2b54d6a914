"""Several objectives in the study: the front leads, its models are kept, and Optuna knows all values."""

from __future__ import annotations

import dataclasses

import optuna
import pytest
from optuna.trial import TrialState
from study_made_up import begin, limits, propose, same, small_job, small_space

from raysearch.objectives import parse_objectives
from raysearch.pareto import Pick, front, with_models
from raysearch.records import Rung
from raysearch.study.conductor import Conductor
from raysearch.study.importance import parameter_importance
from raysearch.study.inline import run_inline
from raysearch.study.kept import KeptModels
from raysearch.study.ledger import Ledger, ended_trials, open_storage
from raysearch.study.sampler import make_sampler

WORDS = ("pinball", "coverage_gap")


class Study:
    """A study of two objectives that is ready to run."""

    def __init__(self, place, pick=None, database=None, **asked):
        self.space = small_space()
        storage = open_storage(place / "ledger.log", database)
        self.ledger = Ledger.open(storage, "made-up", self.space, 2)
        self.ledger.use_sampler(make_sampler(self.space, 0, self.ledger.begun))
        self.ledger.release_lost()
        self.kept = KeptModels(place / "kept")
        self.conductor = Conductor(
            self.ledger, limits(**{"trials": 9, **asked}, pick=pick or Pick()), self.kept
        )

    def finish(self, *values):
        spec = propose(self)
        rung = Rung(spec.rungs[-1], values[0], {}, dict(zip(WORDS, values, strict=True)))
        self.conductor.finished(spec.key, rung, {"model.txt": b"x"})
        return spec.key


@pytest.mark.parametrize("database", [None, "sqlite"])
def test_the_front_leads_and_its_models_are_kept(tmp_path, database):
    address = f"sqlite:///{tmp_path}/trials.db" if database else None
    study = Study(tmp_path, database=address)
    values = [[2.0, 0.3], [1.0, 0.2], [1.2, 0.05], [3.0, 0.0], [1.2, 0.06]]
    keys = [study.finish(*pair) for pair in values]
    assert study.conductor.best.number == 2
    kept = {key for key in keys if study.kept.get(key)}
    assert kept == {keys[0], *keys[1:4]}  # the default's, and those of the front
    again = Study(tmp_path, Pick("best", "coverage_gap"), address)
    assert again.conductor.best.number == 3
    assert [r.objectives for r in again.ledger.results] == [r.objectives for r in study.ledger.results]
    assert list(again.ledger.results[0].objectives) == list(WORDS)
    assert again.ledger.results[0].history == study.ledger.results[0].history
    trials = again.ledger.study.get_trials(states=(TrialState.COMPLETE,))
    assert [t.values for t in trials] == values
    assert [t.number for t in again.ledger.study.best_trials] == [1, 2, 3]  # as Optuna itself sees it
    assert set(parameter_importance(again.ledger.study)) <= {"num_leaves", "learning_rate", "num_boost_round"}


def test_every_trial_sends_its_model_along(tmp_path):
    study = Study(tmp_path)
    study.finish(1.0, 0.1)
    assert propose(study).bar == float("inf")


def test_a_trial_that_is_picked_by_its_number_keeps_its_model(tmp_path):
    study = Study(tmp_path, Pick("trial", number=1))
    keys = [study.finish(*values) for values in ((2.0, 0.3), (1.9, 0.2), (1.0, 0.0))]
    assert study.conductor.best.number == 1
    assert study.kept.get(keys[1]) and study.kept.get(keys[2])


def test_a_new_place_on_the_front_is_a_gain(tmp_path):
    study = Study(tmp_path, patience=2)
    for values in ((2.0, 0.3), (3.0, 0.4), (3.0, 0.1), (4.0, 0.2)):
        study.finish(*values)
        assert study.conductor.wants() == "more"
    study.finish(5.0, 0.1)
    assert study.conductor.stopped_by == "patience"


def test_rungs_are_kept_but_stop_nothing_and_optuna_is_not_asked(tmp_path):
    study = Study(tmp_path, scheduler="none")
    study.finish(1.0, 0.1)
    spec = propose(study)
    step = Rung(10, 9.0, {}, {"pinball": 9.0, "coverage_gap": 0.9})
    assert study.conductor.reached(spec.key, step)
    study.conductor.finished(spec.key, Rung(20, 8.0, {}, {"pinball": 8.0, "coverage_gap": 0.8}))
    assert [rung.step for rung in study.ledger.results[-1].history] == [10, 20]
    (found,) = [r for r in ended_trials(study.ledger.study) if r.number == 1]
    assert found.history == study.ledger.results[-1].history


def test_a_value_that_is_not_finite_is_a_failure(tmp_path):
    study = Study(tmp_path)
    study.finish(1.0, float("nan"))
    assert study.ledger.results[0].state == "failed"
    assert study.ledger.results[0].reason.startswith("the coverage_gap after")
    assert study.ledger.results[0].reason.endswith("is nan")


def test_tpe_searches_over_several_objectives(tmp_path):
    study = Study(tmp_path, trials=14)
    table, recipe = small_job()
    recipe = dataclasses.replace(recipe, objectives=parse_objectives("pinball,coverage_gap"))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    run_inline(study.conductor, study.ledger, study.space, table, recipe)
    assert study.conductor.stopped_by == "trials"
    assert len(study.ledger.results) == 14
    assert all(list(result.objectives) == list(WORDS) for result in study.ledger.results)
    assert all(result.score == result.objectives["pinball"] for result in study.ledger.results)
    assert study.conductor.best.key in {result.key for result in study.ledger.results}


def test_a_ledger_from_before_objectives_goes_on(tmp_path):
    space = small_space()
    first = Ledger.open(open_storage(tmp_path / "ledger.log", None), "made-up", space)
    trial = first.ask()
    first.accept(trial, space.suggest(trial))
    about = dict(trial.user_attrs["raysearch"])
    about.update(history=[[4, 1.5, {"valid_pinball_loss_avg": 1.5}]], rounds=4, ended_s=2.0, metrics={})
    trial.set_user_attr("raysearch", about)
    first.study.tell(trial, 1.5)
    again = Ledger.open(open_storage(tmp_path / "ledger.log", None), "made-up", space)
    conductor = Conductor(again, limits(3), KeptModels(tmp_path / "kept"))
    assert conductor.best.score == 1.5
    assert again.results[0].history == (Rung(4, 1.5, {"valid_pinball_loss_avg": 1.5}),)


@pytest.mark.slow
def test_on_ray_several_objectives_find_bit_for_bit_what_the_inline_twin_finds(tmp_path, local_ray):
    from study_on_ray import left_behind, run

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    table, recipe = small_job()
    recipe = dataclasses.replace(recipe, objectives=parse_objectives("pinball,coverage_gap"))
    here, there = Study(tmp_path / "a", trials=13), Study(tmp_path / "b", trials=13)
    run_inline(here.conductor, here.ledger, here.space, table, recipe)
    run(there, slots=1, job=(table, recipe))
    for one, other in zip(here.ledger.results, there.ledger.results, strict=True):
        assert same(one, other) and one.objectives == other.objectives
    assert there.conductor.best.number == here.conductor.best.number
    assert there.kept.get(there.conductor.best.key) == here.kept.get(here.conductor.best.key)
    assert left_behind(local_ray) == []


def test_with_several_objectives_a_trial_that_was_cut_may_stand_on_the_front(tmp_path):
    study = Study(tmp_path, trials=99)
    study.finish(2.0, 0.3)
    cut = Rung(8, 1.0, {}, dict(zip(WORDS, (1.0, 0.1), strict=True)))
    for _ in range(14):  # more than TPE draws at random
        spec = propose(study)
        study.conductor.finished(spec.key, cut, {"model.txt": b"x"}, cut=True)
    assert study.conductor.best.state == "cut" and study.kept.get(study.conductor.best.key)
    again = Study(tmp_path, trials=99)
    assert again.conductor.best == study.conductor.best
    propose(again)  # TPE has no values of them


def test_a_trial_that_had_all_its_time_takes_the_place_of_the_one_that_was_cut(tmp_path):
    for pick, name in ((Pick(), "several"), (None, "one")):
        (tmp_path / name).mkdir()
        study = begin(tmp_path / name, limits(9, candidates=4)) if pick is None else Study(tmp_path / name)
        values = dict(zip(WORDS, (1.0, 0.1), strict=True))
        spec = propose(study)
        study.conductor.finished(spec.key, Rung(9, 2.0, {}, dict.fromkeys(WORDS, 2.0)), {"m": b""})
        spec = propose(study)
        study.conductor.finished(spec.key, Rung(8, 1.0, {}, values), {"m": b""}, cut=True)
        first = study.conductor.best
        study.ledger.try_cut_again()
        spec = propose(study)
        study.conductor.finished(spec.key, Rung(8, 1.0, {}, values), {"m": b""})
        last = study.ledger.results[-1]
        assert (first.key, last.again) == (study.ledger.results[1].key, first.key)
        assert study.conductor.best == last
        assert first not in study.conductor._tally.leaders.trials and study.kept.get(first.key) is None
        told = with_models(study.ledger.results)
        assert last in told and first not in told
        if pick:
            assert front(study.ledger.results) == (last,)


@pytest.mark.parametrize("candidates", [1, 2])
def test_what_a_cut_trial_had_pushed_out_comes_back_when_its_second_try_is_worse(tmp_path, candidates):
    study = begin(tmp_path, limits(9, candidates=candidates))

    def end(score, **words):
        spec = propose(study)
        study.conductor.finished(spec.key, Rung(9, score, {}), {"m": b""}, **words)

    end(2.0), end(1.0), end(0.9, cut=True)
    study.ledger.try_cut_again()
    end(1.8, cut=True)
    assert study.conductor.best.score == 0.9, "cut again it had no more time than before"
    assert [trial.score for trial in with_models(study.ledger.results)] == [2.0, 1.0, 0.9, 1.8]
    again = begin(tmp_path, limits(9, candidates=candidates))
    assert again.conductor.best.score == 0.9


def test_a_second_try_in_full_that_is_worse_leaves_the_best_of_the_others(tmp_path):
    for pick, name in ((Pick(), "several"), (None, "one")):
        (tmp_path / name).mkdir()
        study = begin(tmp_path / name, limits(9)) if pick is None else Study(tmp_path / name)
        for score, cut in ((2.0, False), (1.0, False), (0.9, True)):
            spec = propose(study)
            rung = Rung(9, score, {}, dict.fromkeys(WORDS, score))
            study.conductor.finished(spec.key, rung, {"m": b""}, cut=cut)
        study.ledger.try_cut_again()
        spec = propose(study)
        study.conductor.finished(spec.key, Rung(9, 1.8, {}, dict.fromkeys(WORDS, 1.8)), {"m": b""})
        assert study.conductor.best.score == 1.0
        assert min(trial.score for trial in with_models(study.ledger.results)) == 1.0
