"""After the search: keep the model, score it on rows nobody looked at, write the report and the record."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from raysearch.addresses import hide_secrets
from raysearch.calibration import cross_calibrated
from raysearch.errors import InterruptedStudyError, StudyError, resume_command
from raysearch.flow.blending import predict_ms
from raysearch.flow.choosing import picked
from raysearch.flow.display import Display
from raysearch.flow.evaluating import Findings, Told, find, of_part, refuse_collapsed, same_for_all_note
from raysearch.flow.fitting import Made, Trainer, default_model, make_models
from raysearch.flow.job import Job
from raysearch.flow.profile import profile_of
from raysearch.flow.study import Study, to_json
from raysearch.flow.warm import remember, warm_outcome
from raysearch.forecaster import Forecaster
from raysearch.metrics import Array
from raysearch.recipe import TARGET
from raysearch.records import Ensemble, StudyResult, TrialResult, TrialState
from raysearch.report import ReportMaterial, ranked, write_front, write_leaderboard, write_report
from raysearch.study.conductor import Conductor
from raysearch.study.importance import parameter_importance
from raysearch.study.ledger import Ledger
from raysearch.tracking import Tracker
from raysearch.whole_file import write_whole

# The result, forecasts of the evaluated rows, the model, and each parameter's importance.
Material = tuple[StudyResult, Told, Forecaster, dict[str, float]]


def close_study(
    job: Job, conductor: Conductor, ledger: Ledger, tracker: Tracker, display: Display
) -> tuple[Study, str]:
    """Make and keep the best model, tell how good it is, and close the record.

    Returns:
        The study, and the status its run was closed with.

    Raises:
        StudyError: when no trial finished; the message holds the first failure's reason. Or when the model's
            levels are all alike.
        InterruptedStudyError: when no trial finished because the user stopped the search.
    """
    watch = job.clock.watch
    if conductor.best is None:
        raise _nothing(job, ledger.results, conductor.stopped_by)
    try:
        made, told, other = _settle(job, conductor, display)
    except KeyboardInterrupt:
        # The search's own models are there already: what Ctrl-C gives up is fitting them anew.
        conductor.interrupt()
        display.phase("interrupted: keeping the search's own model")
        made, told, other = _settle(job, conductor, display)
    final = made.final
    notes = tuple(filter(None, (picked(job, ledger.results)[2], *made.notes)))
    final.save(job.paths.model)
    with watch.part("evaluation"):
        result = _result(job, conductor, ledger.results, find(job, told, other), tracker)
    result = replace(result, ensemble=_timed(job, made), profile=profile_of(job, conductor))
    _write_result(job, result)  # before what may fail and is worth less than the model
    display.phase("writing the report")
    with watch.part("report"):
        shares = parameter_importance(ledger.study)
        failure = _try_report(job, ledger.results, (result, told, final, shares), notes)
    if failure:
        result, notes = replace(result, report_path=""), (*notes, failure)
    display.phase("closing the record")
    status = "KILLED" if conductor.stopped_by == "interrupt" else "FINISHED"
    result = replace(result, wall_s=job.clock.elapsed_s, profile=profile_of(job, conductor))
    _write_result(job, result)
    remember(job, ledger.results, shares, result, tracker)
    tracker.study_ended(status, result, ranked(ledger.results), job.paths.artifacts, job.paths.model)
    return Study(result, _in_order(ledger.results), final, notes, job.home.address), status


def timed_whole(job: Job, conductor: Conductor, study: Study) -> Study:
    """Tell again how long the study took and where the time went, now that its record is complete."""
    result = replace(study.result, wall_s=job.clock.elapsed_s, profile=profile_of(job, conductor))
    with contextlib.suppress(OSError):  # a full disk: it is there as it was before
        _write_result(job, result)
    return replace(study, result=result)


def _nothing(job: Job, results: Sequence[TrialResult], stopped_by: str) -> StudyError:
    name, home = job.about.name, job.home.address
    if stopped_by == "interrupt":
        return InterruptedStudyError(
            f"study {name!r}: stopped before any trial finished; `{resume_command(name, home)}` goes on"
        )
    failed = [result for result in results if result.state == "failed"]
    stopped = sum(result.state == "stopped" for result in results)
    first = f"; the first failure: {failed[0].reason}" if failed else ""
    counts = [f"{len(failed)} failed"] * bool(failed) + [f"{stopped} stopped early"] * bool(stopped)
    if stopped_by == "time":
        budget = job.config.search.time_budget_s or 0
        longer = resume_command(name, home, f"--time-budget {2 * budget:g}s")
        before = f" ({', '.join(counts)}{first})" if counts else ""
        return StudyError(
            f"study {name!r}: the time budget of {budget:g} s ended before any trial finished{before}; "
            f"`{longer}` goes on with a longer one"
        )
    if failed and not stopped:
        return StudyError(f"study {name!r}: all {len(failed)} trials failed; the first: {failed[0].reason}")
    return StudyError(f"study {name!r}: no trial finished ({', '.join(counts) or 'none ended'}){first}")


def _settle(job: Job, conductor: Conductor, display: Display) -> tuple[Made, Told, Told | None]:
    """Return the model to keep, its forecasts of the evaluated rows, and the default's."""
    trainer = Trainer(job)
    with job.clock.watch.part("model"):
        made, default = make_models(trainer, conductor, display), conductor.default
    if made.final is not made.scored or not job.folds_are_averaged:
        refuse_collapsed(job, made.final)  # all folds of the search's own trials were looked at as they ended
    told = _tell(job, made.scored, made.watched)
    made = replace(made, notes=(*made.notes, *same_for_all_note(told)))
    if default is None:
        return made, told, None
    display.phase("comparing with the untuned default")
    with job.clock.watch.part("evaluation"):
        return made, told, _tell(job, *default_model(trainer, default, made))


def _timed(job: Job, made: Made) -> Ensemble | None:
    """Return what is told of the ensemble, with its size and how long it takes to predict."""
    facts = made.chosen.facts
    return facts and replace(
        facts, models=len(made.final.members), predict_ms=predict_ms(job, made.final.raw)
    )


def _tell(job: Job, forecaster: Forecaster, watched: Array | None) -> Told:
    """Return a model's forecasts; ``watched``: what it says of the validation rows, where these are told."""
    part, groups = job.scored_part, job.dataset.groups if forecaster.group else None
    y, anchor = job.dataset.table[TARGET].to_numpy()[job.rows(part)], job.anchor(part)
    raw = forecaster.raw(job.frame(part)) if watched is None or part == "test" else watched
    groups = None if groups is None else groups[job.rows(part)]
    if part == "test":
        return Told(y, forecaster.finish(raw, anchor, groups), raw, anchor)
    # The forecaster was calibrated by these very rows: they are told as calibrated by each other.
    folds, kind = job.dataset.folds, forecaster.calibrator.kind
    z = cross_calibrated(kind, job.modelled(part), raw, forecaster.levels, folds, groups)
    rows = folds.told
    anchor = None if anchor is None else anchor[rows]
    transform = forecaster.transform
    return Told(y[rows], transform.inverse(transform.restore(z), anchor), raw[rows], anchor)


def _in_order(results: Sequence[TrialResult]) -> tuple[TrialResult, ...]:
    return tuple(sorted(results, key=lambda result: result.number))


def _result(
    job: Job,
    conductor: Conductor,
    results: Sequence[TrialResult],
    found: Findings,
    tracker: Tracker,
) -> StudyResult:
    states = [result.state for result in results]
    leading, how, _ = picked(job, results)
    assert conductor.best is not None  # checked where the closing begins
    return StudyResult(
        study=job.about.name,
        parent_run_id=tracker.parent_run_id,
        tracking_uri=hide_secrets(tracker.uri) if tracker.uri else None,
        trials={state: states.count(state) for state in get_args(TrialState)},
        best=conductor.best,
        default=conductor.default,
        evaluation=found.evaluation,
        comparison=found.comparison,
        model_path=job.home.told_path(job.paths.model),
        report_path=job.home.told_path(job.paths.report),
        stopped_by=conductor.stopped_by,
        wall_s=job.clock.elapsed_s,
        modelled=found.modelled,
        modelled_name=job.dataset.transform.name(job.config.data.target or "") if found.modelled else None,
        objectives=tuple(objective.word for objective in job.config.objectives),
        pareto=leading,
        picked=how,
        rivals=found.rivals,
        slices=found.slices,
        warm=warm_outcome(job, results),
    )


def _try_report(job: Job, results: Sequence[TrialResult], material: Material, notes: tuple[str, ...]) -> str:
    """Write the report; return in words what kept it from being written, or nothing.

    Whatever it is, it must not cost a finished study: the model is worth more than its pictures.
    """
    try:
        _write_report(job, results, material, notes)
    except Exception as error:
        logging.getLogger("raysearch").exception("the report could not be written")
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        again = resume_command(job.about.name, job.home.address)
        return (
            f"the report could not be written ({reason or type(error).__name__}); "
            f"model and result are saved, and `{again}` writes it anew"
        )
    return ""


def _write_report(
    job: Job, results: Sequence[TrialResult], material: Material, notes: tuple[str, ...]
) -> None:
    result, told, final, shares = material
    trials = _in_order(results)
    write_leaderboard(trials, job.paths.artifacts / "leaderboard.csv")
    write_front(result.pareto, job.paths.artifacts / "pareto.csv")
    write_report(
        ReportMaterial(
            result=result,
            trials=trials,
            facts=job.dataset.facts,
            quality=job.dataset.quality,
            config=job.config.to_dict(),
            parameter_importance=shares,
            feature_importance=final.feature_importance(),
            levels=job.config.search.levels,
            y=told.y,
            quantiles=told.q,
            groups=of_part(job, job.dataset.groups),
            times=of_part(job, job.dataset.times),
            modelled=result.modelled,
            modelled_name=result.modelled_name,
            notes=notes,
        ),
        job.paths.artifacts,
    )


def _write_result(job: Job, result: StudyResult) -> None:
    text = json.dumps(to_json(result), indent=1, ensure_ascii=False, default=str)
    write_whole(job.paths.result, text)
