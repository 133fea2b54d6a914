"""Importance of parameters: from enough trials, of a bounded number of them, and never an error."""

from __future__ import annotations

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from raysearch.study import importance
from raysearch.study.importance import parameter_importance

RANGES = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}


def study_of(points, score, objectives=1):
    study = optuna.create_study(directions=["minimize"] * objectives)
    for x, y in points:
        values = [score(x, y)] + [y] * (objectives - 1)
        study.add_trial(create_trial(values=values, params={"x": x, "y": y}, distributions=RANGES))
    return study


def points(count):
    return [((0.37 * i) % 1.0, (0.73 * i) % 1.0) for i in range(count)]


@pytest.mark.parametrize("objectives", [1, 2])
def test_what_moves_the_score_matters_most_once_there_are_four_trials(objectives):
    assert parameter_importance(study_of(points(3), lambda x, y: x, objectives)) == {}
    shares = parameter_importance(study_of(points(15), lambda x, y: x + 0.1 * y, objectives))
    assert shares["x"] > 0.8
    assert sum(shares.values()) == pytest.approx(1.0)


def test_nothing_is_told_where_all_trials_score_alike():
    shares = parameter_importance(study_of(points(6), lambda x, y: 1.0))
    assert all(share == share for share in shares.values())


def test_of_many_trials_a_bounded_number_is_looked_at_from_best_to_worst(monkeypatch):
    seen = []
    theirs = optuna.importance.get_param_importances

    def noted(study, **more):
        seen.append(sorted(trial.value for trial in study.trials))
        return theirs(study, **more)

    monkeypatch.setattr(optuna.importance, "get_param_importances", noted)
    shares = parameter_importance(study_of(points(1000), lambda x, y: x + 0.1 * y))
    assert shares["x"] > 0.8
    (scores,) = seen
    every = sorted(x + 0.1 * y for x, y in points(1000))
    assert len(scores) == 150
    assert (scores[0], scores[-1]) == (every[0], every[-1])
    # Evenly: each hundredth part of the trials is looked at.
    assert all(
        any(low <= s <= high for s in scores) for low, high in zip(every[::10], every[9::10], strict=True)
    )


def test_its_failure_costs_nothing(monkeypatch):
    def broken(*given, **more):
        raise TypeError("a newer scikit-learn")

    monkeypatch.setattr(optuna.importance, "get_param_importances", broken)
    assert parameter_importance(study_of(points(6), lambda x, y: x)) == {}
    assert importance.spread_out([]) == []
