"""How much each parameter matters for the score of a study's trials."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

_FEWEST = 4
_MOST = 150  # trials that are looked at: the seconds of fANOVA grow with the square of their number


def parameter_importance(study: optuna.Study) -> dict[str, float]:
    """Return each parameter's share in the differences of the score (fANOVA, Hutter et al., 2014).

    Of several objectives the first one is the score. Of more than 150 finished trials as many are looked at,
    evenly from the best to the worst. Empty where there are too few to tell.
    """
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(finished) < _FEWEST:
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shares = optuna.importance.get_param_importances(
                _of_one_score(spread_out(finished)),
                evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
            )
    except (ValueError, RuntimeError):  # e.g. all scores are equal, or no parameter is common to all
        return {}
    except Exception:  # of a finished study, which it must not cost
        logging.getLogger("raysearch").exception("the importance of parameters could not be computed")
        return {}
    return {name: float(share) for name, share in shares.items()}


def spread_out(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Return at most 150 of the trials, evenly from the best to the worst, with these two."""
    if len(trials) <= _MOST:
        return trials
    rising = sorted(trials, key=lambda trial: trial.values[0])
    return [rising[place] for place in np.linspace(0, len(rising) - 1, _MOST).round().astype(int)]


def _of_one_score(trials: list[FrozenTrial]) -> optuna.Study:
    """Return a study in memory of these trials, with their first objective alone."""
    study = optuna.create_study()
    study.add_trials(
        optuna.trial.create_trial(value=one.values[0], params=one.params, distributions=one.distributions)
        for one in trials
    )
    return study
