"""What proposes trials: Optuna's TPE, which models a bounded choice of them, or chance."""

from __future__ import annotations

import contextlib
import warnings
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import nullcontext as nothing
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from raysearch.space import SearchSpace

_MOST, _RENEWED = 500, 50  # trials that are modelled; of these the latest, all of them
_BEST = 25  # that TPE takes for good ones, at most
_AT_RANDOM = 10  # trials before TPE models any
_REMEMBERED = 5 * _MOST  # rows, of trials that are modelled and of some that are no longer
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


def make_sampler(
    space: SearchSpace, seed: int, begun: int, kind: str = "tpe", warm: int = 0
) -> optuna.samplers.BaseSampler:
    """Return the sampler. A study that goes on after ``begun`` trials must not draw the first numbers again.

    Args:
        kind: "tpe" or "random".
        warm: points of earlier studies that come first. As many trials more are drawn by chance before
            TPE models any, so that all come that would come without these points.
    """
    seed = (seed + 1_000_003 * begun) % 2**32
    if kind == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        # `group` is what lets TPE model conditional parameters; it is marked experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _BoundedTPE(
            seed=seed,
            n_startup_trials=_AT_RANDOM + warm,
            multivariate=True,
            group=space.conditional,
            constant_liar=True,
        )


@contextlib.contextmanager
def _in_arrays() -> Iterator[None]:
    """Let TPE compute the normal distribution in arrays inside: Optuna does so number by number.

    That is half of the time of a proposal, and more the closer together trials lie.
    """
    from scipy.special import log_ndtr, ndtr

    try:
        from optuna.samplers._tpe import _truncnorm

        own = _truncnorm._ndtr, _truncnorm._log_ndtr
    except (ImportError, AttributeError):  # another version of Optuna: then it is slower
        yield
        return
    _truncnorm._ndtr, _truncnorm._log_ndtr = ndtr, log_ndtr
    try:
        yield
    finally:
        _truncnorm._ndtr, _truncnorm._log_ndtr = own


class _BoundedTPE(optuna.samplers.TPESampler):  # type: ignore[misc]
    """TPE (Bergstra et al., 2011) at a cost that does not grow with the study.

    Beyond 500 trials it models the best ones, which are all that its model of good parameters is made of
    (with several objectives the front), the latest ones, and every n-th of the others, which tell where the
    rest lies.
    """

    def __init__(self, **words: Any) -> None:
        super().__init__(**words)
        self._ended: list[FrozenTrial] = []
        self._open: dict[int, FrozenTrial] = {}  # seen while they ran or waited, by number
        self._looked = -1  # number of the trial at whose proposal they were looked at
        self._next = 0  # number of the first trial that was not seen
        self._chosen: list[_Modelled] = []  # of those that have ended, but for the latest
        self._known = 0  # trials that had ended when they were chosen
        self._part: Any = None  # the study with the trials that are modelled
        # Parameters of ended trials as TPE models them, by the parameters' names and the trial's number.
        self._rows: defaultdict[tuple[str, ...], dict[int, tuple[float, ...]]] = defaultdict(dict)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        return dict(super().infer_relative_search_space(self._bounded(study, trial), trial))

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        # Before, nothing is modelled; later SciPy is there, for both boosters load it.
        with _in_arrays() if trial.number >= _AT_RANDOM else nothing():
            return dict(super().sample_relative(self._bounded(study, trial), trial, search_space))

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, name: str, values: Any) -> Any:
        return super().sample_independent(self._bounded(study, trial), trial, name, values)

    def _bounded(self, study: optuna.Study, trial: FrozenTrial) -> Any:
        if trial.number <= _MOST:
            return study
        if trial.number > self._looked:
            self._look(study, trial.number)
            self._looked = trial.number
            self._part = self._modelled(study)
        return self._part

    def _modelled(self, study: optuna.Study) -> Any:
        """Return the study with the trials to model; itself where these are all."""
        if len(self._ended) <= _MOST:
            return study
        if not self._chosen or len(self._ended) - self._known > _RENEWED:
            self._known = len(self._ended)
            chosen = _choice(self._ended, _MOST - _RENEWED, len(study.directions))
            self._chosen = [_Modelled(trial) for trial in chosen]
        trials = [*self._chosen, *self._ended[self._known :], *self._open.values()]
        return _Part(study, sorted(trials, key=lambda one: one.number))

    def _get_internal_repr(
        self,
        trials: list[FrozenTrial],
        search_space: Mapping[str, BaseDistribution],
        *others: Any,
        **named: Any,
    ) -> dict[str, np.ndarray]:
        """Return the parameters of trials that have all of them, by name, as TPE models them.

        Optuna's own puts them together anew for each proposal, a fifth of its time.
        """
        known = self._rows[tuple(search_space)]
        if len(known) > _REMEMBERED:
            known.clear()
        rows = []
        for trial in trials:
            row = known.get(trial.number)
            if row is None:
                one = super()._get_internal_repr([trial], search_space, *others, **named)
                row = tuple(value for values in one.values() for value in values)
                if trial.state.is_finished():
                    known[trial.number] = row
            if row:
                rows.append(row)
        columns = np.asarray(rows, float).reshape(-1, len(search_space)).T
        return dict(zip(search_space, columns, strict=True))

    def _look(self, study: optuna.Study, before: int) -> None:
        """Take in what has changed of the trials ``before`` a number, without a look at all of them."""
        storage = study._storage
        for number in [*self._open, *range(self._next, before)]:
            trial_id = storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
            self._open[number] = trial = storage.get_trial(trial_id)
            if trial.state.is_finished():
                del self._open[number]
                self._ended += [trial] * (trial.state in _ENDED)
        self._next = max(self._next, before)


def _choice(ended: Sequence[FrozenTrial], most: int, directions: int) -> list[FrozenTrial]:
    """Return the best trials and some of the others, evenly: more of those that are nearly as good would tell
    TPE that where they lie is where the others lie."""
    whole = [trial for trial in ended if trial.state == TrialState.COMPLETE]
    best = _front(whole, most // 2) if directions > 1 else sorted(whole, key=_values)[:_BEST]
    known = {trial.number for trial in best}
    others = sorted((t for t in ended if t.number not in known), key=lambda trial: trial.number)
    left = most - len(best)
    step = max(1.0, len(others) / left)
    return [*best, *(others[int(i * step)] for i in range(min(left, len(others))))]


def _values(trial: FrozenTrial) -> tuple[float, ...]:
    return tuple(trial.values)


def _front(trials: Sequence[FrozenTrial], most: int) -> list[FrozenTrial]:
    """Return the trials that none is better than by all objectives; of more than ``most`` some, evenly."""
    told = sorted(trials, key=_values)  # none can be better by all than one before it
    values, left, front = np.asarray([trial.values for trial in told]), np.arange(len(told)), []
    while len(left):
        front.append(told[left[0]])
        left = left[(values[left] < values[left[0]]).any(axis=1)]
    return [front[i] for i in np.unique(np.linspace(0, len(front) - 1, min(most, len(front))).astype(int))]


class _Modelled:
    """An ended trial as TPE reads it, made together with the others that are modelled.

    Optuna's own are strewn over the memory of a long study, so that reading some of them takes longer the
    longer the study is; and each asks anew what its constraints are.
    """

    __slots__ = (
        "_trial", "constraints", "distributions", "intermediate_values", "number", "params", "state",
        "value", "values",
    )  # fmt: skip

    def __init__(self, trial: FrozenTrial) -> None:
        self._trial = trial
        self.number, self.state, self.params = trial.number, trial.state, trial.params
        self.distributions, self.intermediate_values = trial.distributions, trial.intermediate_values
        self.values = trial.values
        self.value = self.values[0] if self.values else None
        self.constraints = getattr(trial, "constraints", None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)


class _Part:
    """A study with some of its trials; all else is the study's own."""

    def __init__(self, study: optuna.Study, trials: Sequence[FrozenTrial | _Modelled]) -> None:
        self._study, self._trials = study, trials

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial | _Modelled]:
        return [trial for trial in self._trials if states is None or trial.state in states]
