"""Which trial of several objectives' Pareto front becomes the model, and what may be asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raysearch.config import Config
from raysearch.errors import ConfigError, StudyError
from raysearch.flow.job import Job
from raysearch.metrics import Array
from raysearch.objectives import PINBALL, objective_metrics
from raysearch.pareto import choose, front
from raysearch.records import TrialResult

_MORE = ("trials", "time_budget_s", "patience")  # who asks for these asks for trials


def refuse_number(config: Config) -> None:
    """Refuse the number of a trial where none has run.

    Raises:
        ConfigError: with the way to pick one.
    """
    if config.pick is not None and config.pick.kind == "trial":
        raise ConfigError(
            f"config: search.pick: got {config.pick.number}, but trials get their numbers as they run; "
            f"`python -m raysearch resume NAME --pick {config.pick.number}` picks one then"
        )


def picks_only(overrides: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether a study is gone on with only to pick another trial: then none is run."""
    search = overrides.get("search", {})
    return search.get("pick") is not None and all(search.get(key) is None for key in _MORE)


def check_pick(job: Job, results: Sequence[TrialResult]) -> None:
    """Refuse to pick a trial that has not finished, where no trials are to come.

    Raises:
        StudyError: with the numbers that can be picked.
    """
    pick = job.config.pick
    finished = {result.number for result in results if result.has_model}
    if pick is None or pick.kind != "trial" or not job.picks_only or pick.number in finished:
        return
    leading = ", ".join(str(trial.number) for trial in front(results)) or "none"
    raise StudyError(
        f"study {job.about.name!r}: no trial {pick.number} has finished; on its Pareto front: {leading}"
    )


def picked(job: Job, results: Sequence[TrialResult]) -> tuple[tuple[TrialResult, ...], str, str]:
    """Return the front, how the best trial was chosen of it, and a note; empty with a single objective."""
    pick = job.config.pick
    if pick is None:
        return (), "", ""
    _, note = choose(results, pick)
    return front(results), pick.words, note


def in_objectives(
    job: Job, y: Array, tuned: Array, default: Array, weights: Array | None
) -> dict[str, tuple[float, float]]:
    """Return by word of each objective but pinball, which is told anyway, two models' values.

    Args:
        y: truth [rows].
        tuned, default: quantiles in order [rows, levels].
    """
    levels, objectives = job.config.search.levels, job.config.objectives
    mine, theirs = (objective_metrics(objectives, {}, y, q, levels, weights) for q in (tuned, default))
    return {o.word: (mine[o.metric], theirs[o.metric]) for o in objectives if o != PINBALL}
