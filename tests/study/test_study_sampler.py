"""What proposes trials: TPE as it is while there are few, and at a bounded cost when there are many."""

from __future__ import annotations

import inspect

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial
from study_made_up import both_spaces, small_space

from raysearch.study.sampler import _choice, make_sampler

SPACE = {"x": FloatDistribution(0.0, 1.0)}


def study_of(trials, states=None):
    """Return a study with trials whose value is the distance of x from 0.3, in an order without meaning."""
    study = optuna.create_study(sampler=make_sampler(small_space(), 0, 0))
    places = [(i * 0.6180339887) % 1 for i in range(trials)]
    states = states or [TrialState.COMPLETE] * trials
    study.add_trials(
        create_trial(
            state=state,
            value=abs(x - 0.3) if state == TrialState.COMPLETE else None,
            params={"x": x},
            distributions=SPACE,
            intermediate_values={5: abs(x - 0.3)} if state == TrialState.PRUNED else {},
        )
        for x, state in zip(places, states, strict=True)
    )
    return study


def proposals(study, count=5):
    return [study.ask(SPACE).params["x"] for _ in range(count)]


@pytest.mark.parametrize("trials", [5, 90, 300])
def test_few_trials_are_all_modelled(trials):
    study, plain = study_of(trials), study_of(trials)
    plain.sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, constant_liar=True)
    assert proposals(study) == pytest.approx(proposals(plain), abs=1e-9)


def test_of_many_trials_the_best_the_latest_and_some_of_the_others_are_modelled(monkeypatch):
    study = study_of(2500)
    counted = []
    split = optuna.samplers._tpe.sampler._split_trials

    def counting(study, trials, *others):
        counted.append([trial.number for trial in trials])
        return split(study, trials, *others)

    monkeypatch.setattr(optuna.samplers._tpe.sampler, "_split_trials", counting)
    found = proposals(study, 20)
    assert max(map(len, counted)) <= 500 + 20  # and those that run
    best = sorted(study.trials[:2500], key=lambda trial: trial.value)[:25]
    assert {trial.number for trial in best} <= set(counted[-1])
    assert sum(abs(x - 0.3) < 0.05 for x in found) > 10
    assert len(study.trials) == 2520, "the study keeps all"
    study.add_trials([create_trial(value=0.0, params={"x": 0.9}, distributions=SPACE) for _ in range(3)])
    proposals(study, 1)
    assert {2520, 2521, 2522} <= set(counted[-1])


def test_the_normal_distribution_in_arrays_is_optunas(monkeypatch):
    from optuna.samplers._tpe import _truncnorm

    places = np.concatenate([np.linspace(-120, 120, 997), [-6.0, -20.0, 0.0, 6.0]])
    own = np.array([_truncnorm._log_ndtr_single(place) for place in places])
    names, used = ("_ndtr", "_log_ndtr"), []
    originals = [getattr(_truncnorm, name) for name in names]
    rvs = _truncnorm.rvs

    def watched(*words, **named):
        used.append([getattr(_truncnorm, name) for name in names])
        return rvs(*words, **named)

    monkeypatch.setattr(_truncnorm, "rvs", watched)
    proposals(study_of(10), 1)
    assert used[-1] != originals, "proposals are slow with this Optuna"
    assert [getattr(_truncnorm, name) for name in names] == originals, "other studies are left as they are"
    ndtr, log_ndtr = used[-1]
    np.testing.assert_allclose(log_ndtr(places), own, rtol=1e-12, atol=1e-15)
    inner = abs(places) < 5
    np.testing.assert_allclose(np.log(ndtr(places[inner])), own[inner], rtol=1e-9)


def test_parameters_are_remembered_as_optuna_models_them():
    study = study_of(30)
    study.add_trial(create_trial(value=1.0, params={"y": 0.5}, distributions={"y": SPACE["x"]}))
    sampler, trials = study.sampler, study.get_trials()
    study.ask(SPACE)  # open: its parameters can still change
    trials.append(study.trials[-1])
    plain = optuna.samplers.TPESampler(multivariate=True, constant_liar=True)
    others = (study,) if "study" in inspect.signature(plain._get_internal_repr).parameters else ()
    for names in ("x", "y", "x"):
        space = {names: SPACE["x"]}
        for _ in range(2):
            found = sampler._get_internal_repr(trials, space, *others)
            asked = plain._get_internal_repr(trials, space, *others)
            assert list(found) == list(asked)
            np.testing.assert_array_equal(found[names], asked[names])


def test_trials_that_were_stopped_early_are_none_of_the_best():
    states = [TrialState.PRUNED if i % 2 else TrialState.COMPLETE for i in range(3000)]
    chosen = [trial.number for trial in _choice(study_of(3000, states).trials, 800, 1)]
    assert len(chosen) == len(set(chosen)) == 800
    assert all(number % 2 == 0 for number in chosen[:25])
    rest = chosen[25:]
    assert rest == sorted(rest) and rest[0] < 20 and rest[-1] > 2950


def test_of_several_objectives_the_front_is_modelled_whole():
    study = optuna.create_study(directions=["minimize"] * 2)
    study.add_trials(
        create_trial(values=[x, 1 - x + (i % 40 > 0)], params={"x": x}, distributions=SPACE)
        for i, x in enumerate((i * 0.6180339887) % 1 for i in range(2000))
    )
    chosen = _choice(study.trials, 800, 2)
    front = {trial.number for trial in study.best_trials}
    assert len(front) == 50 and front <= {trial.number for trial in chosen} and len(chosen) == 800


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_a_seed_repeats_and_a_study_that_goes_on_draws_anew(kind):
    def first(seed, begun):
        study = optuna.create_study(sampler=make_sampler(both_spaces(), seed, begun, kind))
        return [both_spaces().suggest(study.ask()) for _ in range(3)]

    assert first(1, 0) == first(1, 0)
    assert first(1, 0) != first(2, 0)
    assert first(1, 0) != first(1, 7)
