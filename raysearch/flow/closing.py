"""After the search: the model that is kept, its evaluation on rows nobody looked at, the report and the record."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

import raysearch
from raysearch.errors import StudyError
from raysearch.flow.display import Display
from raysearch.flow.job import Job
from raysearch.flow.study import Study, to_json
from raysearch.forecaster import Forecaster, Member
from raysearch.metrics import Array, compare, evaluate, pinball_losses
from raysearch.records import Comparison, Evaluation, StudyResult, TrialResult
from raysearch.report import ReportMaterial, write_leaderboard, write_report
from raysearch.study.conductor import Conductor
from raysearch.study.kept import Files, KeptModels
from raysearch.study.ledger import Ledger, parameter_importance
from raysearch.tracking import Tracker
from raysearch.trial import ANCHOR, TARGET, Bench

RANKED = 20  # trials that carry their rank in the record


@dataclass(frozen=True)
class _Told:
    """One model's forecasts of the evaluated rows: truth [rows], quantiles [rows, levels], original units."""

    y: Array
    raw: Array
    anchor: Array | None

    @property
    def q(self) -> Array:
        return np.sort(self.raw, axis=1)


def close_study(
    job: Job, conductor: Conductor, ledger: Ledger, tracker: Tracker, display: Display
) -> tuple[Study, str]:
    """Make and keep the best model, tell how good it is, and close the record; return the study and its status.

    Raises:
        StudyError: when no trial finished; the message holds the first failure's reason.
    """
    best, default = conductor.best, conductor.default
    if best is None:
        raise StudyError(_why_nothing(job, ledger.results, conductor.stopped_by))
    final, scored, notes = _make_models(job, conductor, best, display)
    told = _tell(job, scored)
    comparison = None
    if default is not None:
        display.phase("comparing with the untuned default")
        other = _default_model(job, conductor, default, best, scored)
        comparison = _compare(job, told, _tell(job, other))
    groups = _part(job, job.dataset.groups)
    evaluation = evaluate(job.scored_part, told.y, told.raw, job.config.search.levels, groups)
    final.save(job.paths.model)
    result = _result(job, conductor, ledger.results, (evaluation, comparison), tracker)
    display.phase("writing the report")
    _write_report(job, ledger, (result, told, final), notes)
    display.phase("closing the record")
    status = "KILLED" if conductor.stopped_by == "interrupt" else "FINISHED"
    tracker.study_ended(status, result, _ranked(ledger.results), job.paths.artifacts, job.paths.model)
    result = replace(result, wall_s=job.clock.elapsed_s)
    _write_result(job, result)
    return Study(result, _in_order(ledger.results), final, notes), status


def _why_nothing(job: Job, results: Sequence[TrialResult], stopped_by: str) -> str:
    name = job.about.name
    failed = [result for result in results if result.state == "failed"]
    if failed:
        return f"study {name!r}: all {len(failed)} trials failed; the first: {failed[0].reason}"
    if stopped_by == "interrupt":
        return f"study {name!r}: stopped before any trial finished; `python -m raysearch resume {name}` goes on"
    budget = job.config.search.time_budget_s or 0
    return (
        f"study {name!r}: the time budget of {budget:g} s ended before any trial finished; "
        f"`python -m raysearch resume {name} --time-budget {2 * budget:g}s` goes on with a longer one"
    )


def _make_models(
    job: Job, conductor: Conductor, best: TrialResult, display: Display
) -> tuple[Forecaster, Forecaster, tuple[str, ...]]:
    """Return the model to keep, the model whose scores may be told, and notes for the reader.

    They differ only where no test rows were held out: then the kept model has seen the rows that are scored.
    """
    searched = "training rows"
    refit = _refits(job, conductor)
    notes = []
    if job.scored_part == "valid":
        notes.append(
            "No test rows were held out: the evaluation is the validation's, on rows that the search has "
            "chosen by, so it is better than on new rows."
        )
    if job.config.search.refit and not refit:
        notes.append("The model is the search's own, fitted on the training rows only: no time was left to refit.")
    if refit:
        display.phase("fitting the best parameters on training and validation rows")
        final = _forecaster(job, best, _fit(job, best, refit=True), f"{searched} and validation rows")
        if job.scored_part == "test":
            return final, final, tuple(notes)
    scored = _forecaster(job, best, _search_files(job, best), searched)
    return (final if refit else scored), scored, tuple(notes)


def _refits(job: Job, conductor: Conductor) -> bool:
    wanted = job.config.search.refit and conductor.stopped_by != "interrupt"
    return wanted and conductor.refit_s <= job.clock.refit_most_s and job.clock.allows(conductor.refit_s)


def _default_model(
    job: Job, conductor: Conductor, default: TrialResult, best: TrialResult, scored: Forecaster
) -> Forecaster:
    """Return the untuned default, fitted on the same rows as the model that it is compared with."""
    if default.key == best.key:
        return scored
    refitted = job.scored_part == "test" and _refits(job, conductor)
    files = _fit(job, default, refit=True) if refitted else _search_files(job, default)
    return _forecaster(job, default, files, str(scored.about["fitted_on"]))


def _search_files(job: Job, result: TrialResult) -> Files:
    return KeptModels(job.paths.kept).get(result.key) or _fit(job, result, refit=False)


def _fit(job: Job, result: TrialResult, *, refit: bool) -> Files:
    """Train a trial's parameters anew, on the training rows alone or with the validation rows."""
    parts = job.dataset.parts
    recipe = job.recipe(threads=job.cores)
    if refit:
        # The rows to score on are the model's own business no more; a single one keeps the fit's shape.
        first = parts["train"][0]
        recipe = replace(recipe, train=(first, parts["valid"][1]), watch=(first, first + 1))
    fit = Bench(job.dataset.table, recipe).begin(result.model, result.fit_params)
    fit.advance(result.rounds)
    return fit.dump()


def _forecaster(job: Job, result: TrialResult, files: Files, fitted_on: str) -> Forecaster:
    return Forecaster(
        target=job.config.data.target or "",
        levels=job.config.search.levels,
        members=(Member(result.model, files),),
        encoder=job.dataset.encoder,
        transform=job.dataset.transform,
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


def _tell(job: Job, forecaster: Forecaster) -> _Told:
    table, (start, stop) = job.dataset.table, job.dataset.parts[job.scored_part]
    anchor = table[ANCHOR].to_numpy()[start:stop] if ANCHOR in table.column_names else None
    raw = forecaster.raw(job.frame(job.scored_part), anchor)
    return _Told(table[TARGET].to_numpy()[start:stop], raw, anchor)


def _compare(job: Job, tuned: _Told, default: _Told) -> Comparison:
    levels = job.config.search.levels
    losses = [pinball_losses(told.y, told.q, levels).mean(axis=1) for told in (tuned, default)]
    return compare(job.scored_part, *losses, ordered=job.dataset.times is not None)


def _part(job: Job, values: np.ndarray | None) -> np.ndarray | None:
    start, stop = job.dataset.parts[job.scored_part]
    return None if values is None else values[start:stop]


def _in_order(results: Sequence[TrialResult]) -> tuple[TrialResult, ...]:
    return tuple(sorted(results, key=lambda result: result.number))


def _ranked(results: Sequence[TrialResult]) -> tuple[TrialResult, ...]:
    finished = [result for result in results if result.state == "finished"]
    return tuple(sorted(finished, key=lambda result: result.score or 0.0)[:RANKED])


def _result(
    job: Job,
    conductor: Conductor,
    results: Sequence[TrialResult],
    told: tuple[Evaluation, Comparison | None],
    tracker: Tracker,
) -> StudyResult:
    states = [result.state for result in results]
    assert conductor.best is not None  # checked where the closing begins
    return StudyResult(
        study=job.about.name,
        parent_run_id=tracker.parent_run_id,
        tracking_uri=tracker.uri,
        trials={state: states.count(state) for state in ("finished", "stopped", "failed")},  # type: ignore[arg-type]
        best=conductor.best,
        default=conductor.default,
        evaluation=told[0],
        comparison=told[1],
        model_path=job.home.told_path(job.paths.model),
        report_path=job.home.told_path(job.paths.report),
        stopped_by=conductor.stopped_by,
        wall_s=job.clock.elapsed_s,
    )


def _write_report(
    job: Job, ledger: Ledger, material: tuple[StudyResult, _Told, Forecaster], notes: tuple[str, ...]
) -> None:
    result, told, final = material
    trials = _in_order(ledger.results)
    write_leaderboard(trials, job.paths.artifacts / "leaderboard.csv")
    transform = job.dataset.transform
    target = job.config.data.target or ""
    modelled = None
    if transform.kind != "none":
        z, zq = transform.forward(told.y, told.anchor), transform.forward(told.q, told.anchor)
        modelled = evaluate(job.scored_part, z, zq, job.config.search.levels, _part(job, job.dataset.groups))
    write_report(
        ReportMaterial(
            result=result,
            trials=trials,
            facts=job.dataset.facts,
            quality=job.dataset.quality,
            config=job.config.to_dict(),
            parameter_importance=parameter_importance(ledger.study),
            feature_importance=final.feature_importance(),
            levels=job.config.search.levels,
            y=told.y,
            quantiles=told.q,
            groups=_part(job, job.dataset.groups),
            times=_part(job, job.dataset.times),
            modelled=modelled,
            modelled_name=transform.name(target) if modelled else None,
            notes=notes,
        ),
        job.paths.artifacts,
    )


def _write_result(job: Job, result: StudyResult) -> None:
    part = job.paths.result.with_suffix(".part")
    part.write_text(json.dumps(to_json(result), indent=1, ensure_ascii=False, default=str), encoding="utf-8")
    os.replace(part, job.paths.result)
