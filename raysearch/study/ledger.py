"""The ledger: an Optuna study in a storage, in which every trial is written down before anything else.

Optuna's own tools (its dashboard, its plots) open it. What Optuna has no field for lies in the trial's user
attribute ``raysearch``.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext as nothing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from raysearch.errors import StudyError, TakenOverError
from raysearch.records import Rung, TrialResult, WarmPoint
from raysearch.space import SearchSpace
from raysearch.study.journal import Journal
from raysearch.study.storage import open_storage as open_storage
from raysearch.study.storage import storage_errors_told
from raysearch.study.trial_attributes import ATTRIBUTE, STATES, attributes_of, to_result

_FIXED = "fixed_params"  # where Optuna keeps the parameters of a trial that was put in its queue


@dataclass(frozen=True)
class Proposal:
    """A trial that the ledger has opened and that is to be run."""

    number: int
    key: str
    params: Mapping[str, Any]
    model: str
    fit_params: Mapping[str, Any]
    default: bool
    again: str = ""
    warm: str = ""


class Ledger:
    """Opens, reports and closes trials in one Optuna study.

    Attributes:
        check: called before each write of a study that runs: it raises where this process may write no more.
    """

    def __init__(
        self, study: optuna.Study, space: SearchSpace, later: Sequence[WarmPoint] = (), one_in: int = 0
    ) -> None:
        self._study = study
        self._space = space
        self._open: dict[int, optuna.Trial] = {}
        self._about: dict[int, dict[str, Any]] = {}  # of open trials, as it was written
        self.check: Callable[[], None] = lambda: None
        # Kept here too: reading a database again for each question would grow with the study.
        self._results = ended_trials(study)
        self._later, self._one_in = list(later), one_in  # points of earlier studies that are not waiting yet
        self._warmed = _warmed(_abouts(study))

    @classmethod
    def open(
        cls,
        storage: BaseStorage,
        name: str,
        space: SearchSpace,
        objectives: int = 1,
        warm: Sequence[WarmPoint] = (),
        one_in: int = 0,
    ) -> Ledger:
        """Open the study ``name``, making it where it is new: its first trials are then the defaults.

        Args:
            objectives: how many numbers a trial is scored by; all are minimised.
            warm: points of earlier studies, which follow the defaults.
            one_in: of so many trials one tries such a point, the first at once; 0: they all come first.
        """
        study = study_in(storage, name, objectives)
        with storage_errors_told():
            attributes = _abouts(study)
            known = sum(bool(about.get("default")) for about in attributes)
            for point in space.default_points()[known:]:  # a kill can come between two of them
                about = {"default": True, "fit_params": dict(point.fit_params)}
                study.enqueue_trial(dict(point.params), user_attrs={ATTRIBUTE: about})
            warmed = _warmed(attributes)
            first = 1 if one_in else len(warm)
            for found in warm[warmed:first]:
                _enqueue_warm(study, found)
            begun = sum(bool(about.get("start")) for about in attributes)
            for params in space.start_points()[begun:]:
                study.enqueue_trial(params, user_attrs={ATTRIBUTE: {"start": True}})
            return cls(study, space, warm[max(first, warmed) :], one_in)

    @property
    def study(self) -> optuna.Study:
        """The Optuna study behind the ledger."""
        return self._study

    def use_sampler(self, sampler: optuna.samplers.BaseSampler) -> None:
        """Let ``sampler`` propose the trials that ``ask`` opens."""
        self._study.sampler = sampler

    @property
    def results(self) -> tuple[TrialResult, ...]:
        """All ended trials in the order in which they ended."""
        return tuple(self._results)

    @property
    def begun(self) -> int:
        """How many trials the sampler was asked for, with those that wait to be tried again."""
        trials = self._study.get_trials(deepcopy=False)
        return sum(trial.state != TrialState.WAITING or bool(trial.params) for trial in trials)

    def release_lost(self) -> tuple[str, ...]:
        """Put trials that a killed process left running back in the queue; return all keys that wait."""
        self.check()
        with storage_errors_told():
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                self._study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
            waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return tuple(
            t.user_attrs[ATTRIBUTE]["key"] for t in waiting if "key" in t.user_attrs.get(ATTRIBUTE, {})
        )

    def try_cut_again(self) -> None:
        """Put the parameters of trials that were cut in the queue, each once, behind all that waits.

        They are new trials: Optuna opens none again that has ended.
        """
        self.check()
        again = {result.again for result in self._results}
        with storage_errors_told():
            waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING, TrialState.RUNNING))
            again |= {trial.user_attrs.get(ATTRIBUTE, {}).get("again", "") for trial in waiting}
            for result in self._results:
                if result.state == "cut" and not result.again and result.key not in again:
                    about = {"again": result.key, **({"warm": result.warm} if result.warm else {})}
                    self._study.enqueue_trial(dict(result.params), user_attrs={ATTRIBUTE: about})

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Write what is told inside at once, where the storage can: each write waits for the disk."""
        self.check()
        storage = self._study._storage
        with storage_errors_told(), storage.together() if isinstance(storage, Journal) else nothing():
            yield

    def waiting(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return the trials that wait, in order: each one's model, and what its library will be given."""
        with storage_errors_told():
            trials = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        found = []
        for trial in trials:
            about = trial.user_attrs.get(ATTRIBUTE, {})
            with contextlib.suppress(KeyError):  # a point that names some of the parameters
                model, fit_params = self._space.to_fit({**trial.params, **trial.system_attrs.get(_FIXED, {})})
                found.append((model, about.get("fit_params", fit_params)))
        return found

    def ask(self) -> optuna.Trial:
        """Open a trial: one that waits, else a new one."""
        with storage_errors_told():
            return self._study.ask()

    def accept(self, trial: optuna.Trial, params: Mapping[str, Any]) -> Proposal:
        """Write down what an opened trial will run; one that was begun before keeps its key."""
        attributes = dict(trial.user_attrs.get(ATTRIBUTE, {}))
        model, fit_params = self._space.to_fit(params)
        attributes.setdefault("key", uuid.uuid4().hex)
        attributes.setdefault("fit_params", fit_params)
        attributes.update(model=model, started_s=time.time())
        self._open[trial.number], self._about[trial.number] = trial, attributes
        try:
            self.check()
        except TakenOverError:  # by the time it was opened: it is for whoever has the study now
            with contextlib.suppress(Exception):
                self._put_back(trial)
            raise
        with storage_errors_told():
            trial.set_user_attr(ATTRIBUTE, attributes)
            if self._later and len(self._results) + len(self._open) >= self._one_in * self._warmed:
                _enqueue_warm(self._study, self._later.pop(0))
                self._warmed += 1
        return Proposal(
            trial.number,
            attributes["key"],
            dict(params),
            model,
            attributes["fit_params"],
            attributes.get("default", False),
            attributes.get("again", ""),
            attributes.get("warm", ""),
        )

    def started_s(self, number: int) -> float:
        """Return when an open trial was begun, in seconds since the epoch."""
        return float(self._about[number]["started_s"])

    def report(self, number: int, rung: Rung) -> None:
        """Write down an intermediate score; TPE learns from it even where the trial is stopped there."""
        self.check()
        if len(self._study.directions) > 1:
            return  # Optuna takes none of several objectives; ``tell`` keeps them
        trial = self._open[number]
        with storage_errors_told(), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # a trial tried again after a fault reports steps twice
            trial.report(rung.score, rung.stage)

    def tell(self, result: TrialResult) -> None:
        """Close a trial with its result."""
        trial = self._open[result.number]
        attributes = {**self._about[result.number], **attributes_of(result)}
        state = STATES[result.state]
        if attributes["cut"] and len(self._study.directions) > 1:
            state = TrialState.FAIL  # TPE of Optuna 4 cannot do with a pruned trial of several objectives
        # Optuna takes a pruned trial's last report as its value.
        value: float | list[float] | None = result.score if result.state == "finished" else None
        if value is not None and len(self._study.directions) > 1:
            value = list(result.objectives.values())
        self.check()
        with storage_errors_told():
            trial.set_user_attr(ATTRIBUTE, attributes)
            try:
                self._study.tell(trial, value, state=state)
            except ValueError as error:  # it waits, or has ended: not by this process
                raise StudyError(
                    f"ledger: trial {result.number} cannot be written down: another process has changed it "
                    f"({error})"
                ) from None
        self._close(result.number)
        self._results.append(result)

    def give_back(self, number: int) -> None:
        """Put an open trial back in the queue: it is the next that ``ask`` opens."""
        self.check()
        with storage_errors_told():
            self._put_back(self._open[number])
        self._close(number)

    def _put_back(self, trial: optuna.Trial) -> None:
        self._study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)

    def _close(self, number: int) -> None:
        del self._open[number], self._about[number]

    def release(self) -> tuple[str, ...]:
        """Put all open trials back in the queue, where a resumed study finds them; return their keys."""
        keys = tuple(about["key"] for about in self._about.values())
        with contextlib.suppress(TakenOverError):  # then whoever has the study has put them there
            for number in list(self._open):
                self.give_back(number)
        return keys


def _abouts(study: optuna.Study) -> list[Mapping[str, Any]]:
    return [trial.user_attrs.get(ATTRIBUTE, {}) for trial in study.get_trials(deepcopy=False)]


def _warmed(abouts: Sequence[Mapping[str, Any]]) -> int:
    """Return how many points of earlier studies have been tried or wait; one that is tried again is one."""
    return sum(bool(about.get("warm")) and not about.get("again") for about in abouts)


def _enqueue_warm(study: optuna.Study, found: WarmPoint) -> None:
    study.enqueue_trial(dict(found.params), user_attrs={ATTRIBUTE: {"warm": found.study}})


def study_in(storage: BaseStorage, name: str, objectives: int) -> optuna.Study:
    """Return the Optuna study of that name, made where it is not there."""
    logging.getLogger("optuna").setLevel(logging.WARNING)
    with storage_errors_told():
        return optuna.create_study(
            storage=storage, study_name=name, directions=["minimize"] * objectives, load_if_exists=True
        )


def is_new(study: optuna.Study) -> bool:
    """Tell whether a study has no trials yet, not even some that wait."""
    with storage_errors_told():
        return not study.get_trials(deepcopy=False)


def ended_trials(study: optuna.Study) -> list[TrialResult]:
    """Return the ended trials in the order in which they ended."""
    trials = [to_result(t) for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
    return sorted(trials, key=lambda result: result.ended_s)


def forget(database: str | None, name: str) -> None:
    """Take a study in which nothing has run out of the database; a journal goes with its directory."""
    if database is None:
        return
    # What kept the study from beginning may be the database itself.
    with contextlib.suppress(Exception):
        optuna.delete_study(study_name=name, storage=open_storage(Path(), database))
