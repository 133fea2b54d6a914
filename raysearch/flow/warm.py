"""Points of earlier studies: looked for before a search, told of after it, and left behind for later ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from raysearch.config import Config
from raysearch.data import Dataset
from raysearch.errors import TrackingError
from raysearch.flow.display import Display
from raysearch.flow.job import Job
from raysearch.history import (
    Here,
    PastStudy,
    best_points,
    choose,
    most_points,
    space_digest,
    to_text,
)
from raysearch.history.features import describe
from raysearch.history.points import ranges
from raysearch.records import StudyResult, TrialResult, WarmOutcome, WarmPoint, WarmStart
from raysearch.report import ranked
from raysearch.space import SearchSpace
from raysearch.tracking import PastReader, Tracker, resolve_uri

_FEW = "of fewer than 10 trials none is left to try points of earlier studies"


def look_back(config: Config) -> PastReader | None:
    """Begin to read what earlier studies of the store know, where the settings ask for it."""
    uri = resolve_uri(config.tracking)
    if config.search.warm_start != "auto" or uri is None:
        return None
    return PastReader(uri) if _most(config) else None


def warm_start(
    config: Config, space: SearchSpace, dataset: Dataset, reader: PastReader | None, display: Display
) -> WarmStart | None:
    """Return the points that the search begins with; None where they are not asked for.

    What keeps them from being found costs no study: it begins cold, with a warning.
    """
    if config.search.warm_start != "auto":
        return None
    if reader is None:
        start = WarmStart(note=_FEW)
    else:
        display.phase("looking for earlier studies on data like this")
        try:
            start = choose(_here(config, space, dataset), reader.result(), _most(config))
        except TrackingError as error:
            start = WarmStart(note=str(error))
    if start.note:
        display.warn(f"no warm start: {start.note}")
    return start


def _most(config: Config) -> int:
    return most_points(config.search.trials, config.search.time_budget_s)


def _here(config: Config, space: SearchSpace, dataset: Dataset) -> Here:
    words = tuple(objective.word for objective in config.objectives)
    return Here(space, config.search.levels, words, describe(config, dataset))


def kept_start(plain: Mapping[str, Any] | None) -> WarmStart | None:
    """Return what ``study.json`` says of the points that a study began with."""
    if plain is None:
        return None
    return WarmStart(**{**plain, "points": tuple(WarmPoint(**point) for point in plain["points"])})


def warm_outcome(job: Job, results: Sequence[TrialResult]) -> WarmOutcome | None:
    """Return what points of earlier studies brought; None where they were not asked for."""
    start = kept_start(job.about.warm)
    if start is None:
        return None
    tried = {result.key for result in results if result.warm}
    mine: list[TrialResult] = []
    others: list[TrialResult] = []
    for trial in ranked(results):
        (mine if trial.warm or trial.again in tried else others).append(trial)
    trials = sorted((result for result in results if result.warm), key=lambda result: result.number)
    best, other = (next(iter(found), None) for found in (mine, others))
    return WarmOutcome(start, tuple(trials), best, other, len(results))


def remember(
    job: Job,
    results: Sequence[TrialResult],
    importance: Mapping[str, float],
    result: StudyResult,
    tracker: Tracker,
) -> None:
    """Leave behind in the record what later studies may use; a failure costs nothing else."""
    if tracker.uri is None:
        return
    try:
        text = to_text(_past(job, results, importance, result))
    except Exception:
        logging.getLogger("raysearch").exception("what later studies may use could not be gathered")
        return
    if text:
        tracker.remember(text)


def _past(
    job: Job, results: Sequence[TrialResult], importance: Mapping[str, float], result: StudyResult
) -> PastStudy:
    config, gain, constant = job.config, result.comparison, result.rival("constant")
    default = result.rival("default")
    ratio = None
    if default and constant and constant.comparison.other > 0:
        ratio = round(default.comparison.other / constant.comparison.other, 6)
    return PastStudy(
        study=result.study,
        target=config.data.target or "",
        table=job.dataset.facts.name,
        levels=config.search.levels,
        objectives=result.objectives,
        space=space_digest(job.space),
        fixed={part.model: part.fixed for part in job.space.spaces},
        ranges=ranges(job.space),
        features=describe(config, job.dataset),
        points=best_points(job.space, result.pareto or ranked(results), result.default),
        importance={name: round(share, 4) for name, share in importance.items()},
        part=result.evaluation.part,
        gain_percent=round(gain.gain_percent, 3) if gain else None,
        default_to_constant=ratio,
    )


def plain_start(start: WarmStart | None) -> dict[str, Any] | None:
    """Return it as ``study.json`` keeps it."""
    return None if start is None else asdict(start)
