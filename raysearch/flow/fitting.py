"""The models that come out of a search: the one that is kept, and the untuned default to compare it with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import raysearch
from raysearch.calibration import calibrate, no_calibration, shortages
from raysearch.flow.averaging import said_by_mean
from raysearch.flow.display import Display
from raysearch.flow.job import Job
from raysearch.forecaster import Forecaster, Member
from raysearch.metrics import Array
from raysearch.models import by_fold
from raysearch.records import FoldRows, TrialResult
from raysearch.study.conductor import Conductor
from raysearch.study.kept import Files, KeptModels
from raysearch.trial import Bench

_SEARCHED = "training rows"  # what the models of the search itself were fitted on


def make_models(
    job: Job, conductor: Conductor, best: TrialResult, display: Display
) -> tuple[Forecaster, Forecaster, tuple[str, ...]]:
    """Return the model to keep, the model whose scores may be told, and notes for the reader.

    They differ only where no test rows were held out: then the kept model has seen the rows that are scored.
    """
    refit = _refits(job, conductor)
    notes = []
    if job.scored_part == "valid":
        notes.append(
            "No test rows were held out: the evaluation is the validation's, on rows that the search has "
            "chosen by, so it is better than on new rows."
        )
    if job.refit_wanted and not refit:
        why = (
            "the study was interrupted"
            if conductor.stopped_by == "interrupt"
            else "no time was left to refit"
        )
        notes.append(f"The model is the search's own, fitted on the training rows only: {why}.")
    scored = calibrated(job, _forecaster(job, best, _search_files(job, best), _SEARCHED))
    notes += shortages(scored.calibrator, scored.levels)
    if not refit:
        return scored, scored, tuple(notes)
    display.phase("fitting the best parameters on training and validation rows")
    final = _forecaster(job, best, _fit(job, best, refit=True), f"{_SEARCHED} and validation rows")
    # No row is left that the new model does not know: it keeps what was learnt of the search's own one.
    final = replace(final, calibrator=scored.calibrator)
    return final, (final if job.scored_part == "test" else scored), tuple(notes)


def calibrated(job: Job, forecaster: Forecaster) -> Forecaster:
    """Return the search's own model as calibrated by the validation rows."""
    if job.config.calibration == "none":
        return forecaster
    learnt = calibrate(
        job.config.calibration,
        job.modelled("valid"),
        said_by_mean(job, forecaster, out_of_fold(job, forecaster)),
        forecaster.levels,
        job.dataset.groups[job.rows("valid")] if forecaster.group else None,
    )
    return replace(forecaster, calibrator=learnt)


def out_of_fold(job: Job, forecaster: Forecaster) -> Array:
    """Return what the search's own models say of the validation rows, each of those new to it.

    Returns:
        [rows, levels], on the boosters' scale, neither ordered nor calibrated.
    """
    told = [
        replace(forecaster, members=(member,)).raw(job.slice(*fold.watch))
        for member, fold in zip(forecaster.members, job.dataset.fits, strict=True)
    ]
    return np.concatenate(told)


def _refits(job: Job, conductor: Conductor) -> bool:
    wanted = job.refit_wanted and conductor.stopped_by != "interrupt"
    return wanted and conductor.refit_s <= job.clock.refit_most_s and job.clock.allows(conductor.refit_s)


def default_model(job: Job, default: TrialResult, best: TrialResult, scored: Forecaster) -> Forecaster:
    """Return the untuned default as its library gives it, put in order but not calibrated.

    It is fitted on the same rows as the model that it is compared with.
    """
    if default.key == best.key:
        return replace(scored, calibrator=no_calibration(scored.levels))
    fitted_on = str(scored.about["fitted_on"])  # time may have run short since that was decided
    refitted = fitted_on != _SEARCHED
    files = _fit(job, default, refit=True) if refitted else _search_files(job, default)
    return _forecaster(job, default, files, fitted_on)


def _search_files(job: Job, result: TrialResult) -> Files:
    return KeptModels(job.paths.kept).get(result.key) or _fit(job, result, refit=False)


def _fit(job: Job, result: TrialResult, *, refit: bool) -> Files:
    """Train a trial's parameters anew, on the training rows alone or with the validation rows."""
    parts = job.dataset.parts
    recipe = job.recipe(threads=job.refit_threads)
    if refit:
        # The rows to score on are the model's own business no more; a single one keeps the fit's shape.
        first = job.dataset.recent
        whole = FoldRows(((first, parts["valid"][1]),), (first, first + 1))
        recipe = replace(recipe, fits=(whole,))
    fit = Bench(job.dataset.table, recipe).begin(result.model, result.fit_params)
    fit.advance(result.rounds)
    return fit.dump()


def _forecaster(job: Job, result: TrialResult, files: Files, fitted_on: str) -> Forecaster:
    folds = len(job.dataset.fits) if fitted_on == _SEARCHED else 1
    return Forecaster(
        target=job.config.data.target or "",
        levels=job.config.search.levels,
        members=tuple(Member(result.model, part) for part in by_fold(files, folds)),
        encoder=job.dataset.encoder,
        transform=job.dataset.transform,
        calibrator=no_calibration(job.config.search.levels),
        group=job.config.data.group if job.config.calibration == "group" else None,
        about={
            "study": job.about.name,
            "study_id": job.about.id,
            "trial": result.number,
            "trial_key": result.key,
            "params": dict(result.fit_params),
            "fitted_on": fitted_on,
            "dataset": job.dataset.facts.name,
            "digest": job.dataset.facts.digest,
            "raysearch": raysearch.__version__,
        },
    )
