"""What Ray's dashboard, and ``ray list tasks``, show of the trials that run now."""

from __future__ import annotations

import contextlib
import weakref
from typing import Any

from raysearch.records import Rung
from raysearch.trial import TrialSpec

_STEP = "train"  # the method by which Tune lets a worker take the next step of its trial


class _NamedStep:
    """A worker's step under a name of its own. It does not hold the worker, which holds it."""

    def __init__(self, worker: Any, name: str) -> None:
        self._worker = weakref.ref(worker)
        self._name = name

    def remote(self, *words: Any, **more: Any) -> Any:
        """Let the worker take the step."""
        return _step_of(self._worker()).options(name=self._name).remote(*words, **more)


def _step_of(worker: Any) -> Any:
    return type(worker).__getattr__(worker, _STEP)  # what an attribute of that name hides


def name_step(worker: Any, study: str, spec: TrialSpec, rung: Rung | None = None) -> None:
    """Call the next step of a worker by its trial. By itself it has the name of the worker's class for ever.

    Args:
        worker: the actor that runs the trial, as Tune holds it.
        rung: the last one that the trial has reached.
    """
    with contextlib.suppress(AttributeError, TypeError):  # another version of Ray: then it goes without
        _step_of(worker)
        setattr(worker, _STEP, _NamedStep(worker, step_name(study, spec, rung)))


def step_name(study: str, spec: TrialSpec, rung: Rung | None = None) -> str:
    """Return e.g. "sales: trial 7 lightgbm, 120 of at most 500 rounds, score 0.432"."""
    name = f"{study}: trial {spec.number} {spec.model}"
    if rung is None:
        return name
    if rung.folds:
        return f"{name}, first fold done, score {rung.score:.4g}"
    return f"{name}, {rung.step} of at most {spec.rungs[-1]} rounds, score {rung.score:.4g}"
