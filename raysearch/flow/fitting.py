"""The models that come out of a search: the one that is kept, and the untuned default to compare it with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

import raysearch
from raysearch.bench import Bench
from raysearch.calibration import calibrate, no_calibration, shortages
from raysearch.flow.averaging import said_by_mean
from raysearch.flow.blending import Chosen, choose_trials, search_files
from raysearch.flow.display import Display
from raysearch.flow.job import Job
from raysearch.forecaster import Forecaster, Member
from raysearch.memory import lean
from raysearch.metrics import Array
from raysearch.models import by_fold, get_model, load_located
from raysearch.node_share import NodeShare
from raysearch.records import TrialResult
from raysearch.study.conductor import Conductor
from raysearch.study.kept import Files

_SEARCHED = "training rows"  # what the models of the search itself were fitted on
_REFITTED = f"{_SEARCHED} and validation rows"
_EXACT = "finite samples, where new rows are like those that calibrated"
_CLOSE = "approximate: the model was fitted again on rows that calibrated"


@dataclass(frozen=True)
class Made:
    """What came out of a search.

    Attributes:
        final: the model to keep.
        scored: the model whose scores may be told: another than the final one only where no test rows were
            held out, for then that one has seen the rows that are scored.
        watched: what the scored one says of the validation rows, no row having a say in it, [rows, levels],
            on the boosters' scale, neither ordered nor calibrated.
        chosen: the trials behind both.
        notes: for the reader.
    """

    final: Forecaster
    scored: Forecaster
    watched: Array
    chosen: Chosen
    notes: tuple[str, ...]


class Trainer:
    """Trains parameters anew; what one trial has binned, or learnt of the location, serves the next."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._benches: dict[bool, Bench] = {}

    def fit(self, result: TrialResult, *, refit: bool) -> Files:
        """Train a trial's parameters on the training rows alone or with the validation rows."""
        fit = self._bench(refit).begin(result.model, result.fit_params)
        fit.advance(result.rounds)
        return fit.dump()

    def watched(self, result: TrialResult, files: Files | None = None) -> Array:
        """Return what a trial's boosters say of the validation rows, new to each of them [rows, levels]."""
        job = self.job
        parts = by_fold(files or self.fit(result, refit=False), len(job.dataset.fits))
        model, levels = get_model(result.model), job.config.search.levels
        told = [
            load_located(model, part, levels)(job.slice(*fold.watch))
            for part, fold in zip(parts, job.dataset.fits, strict=True)
        ]
        return np.concatenate(told)

    def _bench(self, refit: bool) -> Bench:
        if refit not in self._benches:
            job = self.job
            recipe = job.refit_recipe() if refit else job.recipe(threads=job.refit_threads)
            self._benches[refit] = Bench(job.dataset.table, lean(recipe, job.space), NodeShare(job.share))
        return self._benches[refit]


def make_models(trainer: Trainer, conductor: Conductor, display: Display) -> Made:
    """Choose the trials that become the model, calibrate them, and fit them again where that is wanted."""
    job = trainer.job
    chosen = choose_trials(job, conductor.leading, trainer.watched)
    parts = [(trial, search_files(job, trial) or trainer.fit(trial, refit=False)) for trial in chosen.trials]
    scored = calibrated(job, _forecaster(job, chosen, parts, _SEARCHED), chosen.watched)
    notes = [*_notes(job, scored), *chosen.notes, *conductor.notes]
    refitted = _refitted(trainer, conductor, chosen, display)
    if not refitted:
        if job.refit_wanted:
            interrupted = conductor.stopped_by == "interrupt"
            why = "the study was interrupted" if interrupted else "no time was left to refit"
            notes.append(f"The model is the search's own, fitted on the training rows only: {why}.")
        return Made(scored, scored, chosen.watched, chosen, tuple(notes))
    if len(refitted) < len(chosen.trials):
        notes.append(
            f"{len(refitted)} of {len(chosen.trials)} trials of the model were fitted again on all rows; no "
            "time was left for the others, which are the search's own."
        )
    # No row is left that the new models do not know: they keep what was learnt of the search's own ones.
    parts = [(trial, refitted.get(trial.key, files)) for trial, files in parts]
    final = _forecaster(job, chosen, parts, _REFITTED, frozenset(refitted))
    final = replace(final, calibrator=scored.calibrator)
    told = final if job.scored_part == "test" else scored
    return Made(final, told, chosen.watched, chosen, tuple(notes))


def _notes(job: Job, scored: Forecaster) -> list[str]:
    notes = [job.spread_note] if job.spread else []
    if job.scored_part == "valid":
        notes.append(
            "No test rows were held out: the evaluation is the validation's, on rows that the search has "
            "chosen by, so it is better than on new rows."
        )
    return [*notes, *shortages(scored.calibrator, scored.levels)]


def calibrated(job: Job, forecaster: Forecaster, watched: Array) -> Forecaster:
    """Return the search's own model as calibrated by the validation rows.

    Args:
        watched: what it says of them [rows, levels], no row having a say in it.
    """
    if job.config.calibration == "none":
        return forecaster
    learnt = calibrate(
        job.config.calibration,
        job.modelled("valid"),
        said_by_mean(job, forecaster, watched),
        forecaster.levels,
        job.dataset.groups[job.rows("valid")] if forecaster.group else None,
        job.weights("valid"),
    )
    return replace(forecaster, calibrator=learnt)


def _refitted(trainer: Trainer, conductor: Conductor, chosen: Chosen, display: Display) -> dict[str, Files]:
    """Return the files of the trials that were fitted again on all rows, the weightiest first, by key."""
    job = trainer.job
    if not job.refit_wanted or conductor.stopped_by == "interrupt":
        return {}
    display.phase("fitting the best parameters on training and validation rows")
    found: dict[str, Files] = {}
    default = conductor.default.seconds if conductor.default else 0.0
    order = np.argsort(-chosen.weights, kind="stable").tolist()
    for trial in (chosen.trials[i] for i in order):
        seconds = job.refit_scale * (trial.seconds + default)  # the default is fitted again after them
        if seconds <= job.clock.refit_most_s and job.clock.allows(seconds):
            found[trial.key] = trainer.fit(trial, refit=True)
    return found


def default_model(trainer: Trainer, default: TrialResult, made: Made) -> tuple[Forecaster, Array | None]:
    """Return the untuned default as its library gives it, and what it says of the validation rows.

    It is put in order but not calibrated, and fitted on the same rows as the model that it is compared with.
    """
    job, scored = trainer.job, made.scored
    if [default.key] == [trial.key for trial in made.chosen.trials]:
        return replace(scored, calibrator=no_calibration(scored.levels)), made.watched
    refitted = scored.about["fitted_on"] != _SEARCHED  # time may have run short since that was decided
    kept = None if refitted else search_files(job, default)
    files = kept or trainer.fit(default, refit=refitted)
    model = _forecaster(job, Chosen.alone(default), [(default, files)], str(scored.about["fitted_on"]))
    return model, None if refitted else trainer.watched(default, files)


def _forecaster(
    job: Job,
    chosen: Chosen,
    parts: Sequence[tuple[TrialResult, Files]],
    fitted_on: str,
    refitted: frozenset[str] = frozenset(),
) -> Forecaster:
    """Return the forecaster of the chosen trials, not calibrated.

    Args:
        parts: each trial with its files.
        refitted: keys of the trials whose files are one model, not one a fold.
    """
    heaviest = chosen.trials[int(np.argmax(chosen.weights))]
    whole = fitted_on != _SEARCHED and not refitted
    return Forecaster(
        target=job.config.data.target or "",
        levels=job.config.search.levels,
        members=tuple(
            member
            for (trial, files), weight in zip(parts, chosen.weights.tolist(), strict=True)
            for member in _members(job, trial, files, weight, whole or trial.key in refitted)
        ),
        encoder=job.dataset.encoder,
        transform=job.dataset.transform,
        calibrator=no_calibration(job.config.search.levels),
        group=job.config.data.group if job.config.calibration == "group" else None,
        weight=job.config.data.weight,
        series=job.dataset.series,
        about={
            "study": job.about.name,
            "study_id": job.about.id,
            "trial": heaviest.number,
            "trial_key": heaviest.key,
            "trials": {str(t.number): w for t, w in zip(chosen.trials, chosen.weights.tolist(), strict=True)},
            "params": dict(heaviest.fit_params),
            "fitted_on": fitted_on,
            "guarantee": _EXACT if fitted_on == _SEARCHED else _CLOSE,
            "dataset": job.dataset.facts.name,
            "digest": job.dataset.facts.digest,
            "raysearch": raysearch.__version__,
        },
    )


def _members(job: Job, trial: TrialResult, files: Files, weight: float, whole: bool) -> list[Member]:
    """Return a trial's models: one, or one a fold."""
    parts = job.members_of(by_fold(files, 1 if whole else len(job.dataset.fits)))
    return [Member(trial.model, part, weight / len(parts)) for part in parts]
