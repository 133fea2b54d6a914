"""After the search: keep the model, score it on rows nobody looked at, write the report and the record."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysearch.addresses import hide_secrets
from raysearch.calibration import cross_calibrated
from raysearch.errors import InterruptedStudyError, StudyError, resume_command
from raysearch.flow.choosing import in_objectives, picked
from raysearch.flow.display import Display
from raysearch.flow.fitting import Made, default_model, make_models
from raysearch.flow.job import Job
from raysearch.flow.study import Study, to_json
from raysearch.forecaster import Forecaster
from raysearch.metrics import Array, compare, crossing_rate, evaluate, pinball_losses
from raysearch.objectives import objective_metrics
from raysearch.records import Comparison, Ensemble, Evaluation, StudyResult, TrialResult
from raysearch.report import ReportMaterial, ranked, write_front, write_leaderboard, write_report
from raysearch.study.conductor import Conductor
from raysearch.study.ledger import Ledger, parameter_importance
from raysearch.tracking import Tracker
from raysearch.trial import TARGET, WEIGHT


@dataclass(frozen=True)
class _Told:
    """One model's forecasts of the evaluated rows.

    Attributes:
        y: truth [rows], in the target's units.
        q: quantiles as users get them [rows, levels], in the target's units.
        raw: quantiles as the boosters gave them, neither ordered nor calibrated, on their scale.
        anchor: [rows], where the transform has one.
    """

    y: Array
    q: Array
    raw: Array
    anchor: Array | None


def close_study(
    job: Job, conductor: Conductor, ledger: Ledger, tracker: Tracker, display: Display
) -> tuple[Study, str]:
    """Make and keep the best model, tell how good it is, and close the record.

    Returns:
        The study, and the status its run was closed with.

    Raises:
        StudyError: when no trial finished; the message holds the first failure's reason.
        InterruptedStudyError: when no trial finished because the user stopped the search.
    """
    if conductor.best is None:
        raise _nothing(job, ledger.results, conductor.stopped_by)
    try:
        made, told, comparison = _settle(job, conductor, display)
    except KeyboardInterrupt:
        # The search's own models are there already: what Ctrl-C gives up is fitting them anew.
        conductor.interrupt()
        display.phase("interrupted: keeping the search's own model")
        made, told, comparison = _settle(job, conductor, display)
    final = made.final
    evaluation, modelled = _evaluate(job, told)
    notes = tuple(filter(None, (picked(job, ledger.results)[2], *made.notes)))
    final.save(job.paths.model)
    result = _result(job, conductor, ledger.results, (evaluation, modelled, comparison), tracker)
    result = replace(result, ensemble=_timed(job, made))
    _write_result(job, result)  # before what may fail and is worth less than the model
    display.phase("writing the report")
    failure = _try_report(job, ledger, (result, told, final), notes)
    if failure:
        result, notes = replace(result, report_path=""), (*notes, failure)
    display.phase("closing the record")
    status = "KILLED" if conductor.stopped_by == "interrupt" else "FINISHED"
    result = replace(result, wall_s=job.clock.elapsed_s)
    _write_result(job, result)
    tracker.study_ended(status, result, ranked(ledger.results), job.paths.artifacts, job.paths.model)
    return Study(result, _in_order(ledger.results), final, notes, job.home.address), status


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


def _settle(job: Job, conductor: Conductor, display: Display) -> tuple[Made, _Told, Comparison | None]:
    """Return the model to keep, its forecasts of the evaluated rows, and its gain on the default."""
    made, default = make_models(job, conductor, display), conductor.default
    told = _tell(job, made.scored, made.watched)
    if default is None:
        return made, told, None
    display.phase("comparing with the untuned default")
    return made, told, _compare(job, told, _tell(job, *default_model(job, default, made)))


def _timed(job: Job, made: Made) -> Ensemble | None:
    """Return what is told of the ensemble, with its size and how long it takes to predict."""
    facts = made.chosen.facts
    start, stop = job.dataset.parts["valid"]
    frame = job.slice(start, min(stop, start + 1000))
    begun = time.perf_counter()
    made.final.raw(frame)  # loads the models
    begun = time.perf_counter()
    made.final.raw(frame)
    spent = 1000.0 * (time.perf_counter() - begun) * 1000 / max(1, frame.rows)
    return facts and replace(facts, models=len(made.final.members), predict_ms=spent)


def _tell(job: Job, forecaster: Forecaster, watched: Array | None) -> _Told:
    """Return a model's forecasts; ``watched``: what it says of the validation rows, where these are told."""
    part, groups = job.scored_part, job.dataset.groups if forecaster.group else None
    y, anchor = job.dataset.table[TARGET].to_numpy()[job.rows(part)], job.anchor(part)
    raw = forecaster.raw(job.frame(part)) if watched is None or part == "test" else watched
    groups = None if groups is None else groups[job.rows(part)]
    if part == "test":
        return _Told(y, forecaster.finish(raw, anchor, groups), raw, anchor)
    # The forecaster was calibrated by these very rows: they are told as calibrated by each other.
    folds, kind = job.dataset.folds, forecaster.calibrator.kind
    z = cross_calibrated(kind, job.modelled(part), raw, forecaster.levels, folds, groups)
    rows = folds.told
    anchor = None if anchor is None else anchor[rows]
    transform = forecaster.transform
    return _Told(y[rows], transform.inverse(transform.restore(z), anchor), raw[rows], anchor)


def _evaluate(job: Job, told: _Told) -> tuple[Evaluation, Evaluation | None]:
    """Return the evaluation in the target's units, and on the modelled scale where there is one."""
    part, levels, groups = job.scored_part, job.config.search.levels, _part(job, job.dataset.groups)
    blocks, weights = _blocks(job), _part(job, _all_weights(job))

    def scored(y: Array, q: Array) -> Evaluation:
        found = evaluate(part, y, q, levels, groups, blocks, weights)
        crossing = {"crossing_rate_before_ordering": crossing_rate(told.raw)}
        objectives = objective_metrics(
            job.config.objectives, found.metrics, y, np.sort(q, axis=1), levels, weights
        )
        return replace(found, metrics={**found.metrics, **objectives, **crossing})

    transform = job.dataset.transform
    if transform.kind == "none":
        return scored(told.y, told.q), None
    z, q = transform.forward(told.y, told.anchor), transform.forward(told.q, told.anchor)
    return scored(told.y, told.q), scored(z, q)


def _compare(job: Job, tuned: _Told, default: _Told) -> Comparison:
    levels = job.config.search.levels
    losses = [pinball_losses(told.y, told.q, levels).mean(axis=1) for told in (tuned, default)]
    weights = _part(job, _all_weights(job))
    if weights is not None:
        losses = [loss * weights / weights.mean() for loss in losses]
    found = compare(job.scored_part, *losses, blocks=_blocks(job))
    return replace(found, objectives=in_objectives(job, tuned.y, tuned.q, default.q, weights))


def _blocks(job: Job) -> NDArray[Any] | None:
    """Return the block of each evaluated row: blocks are independent, rows of one need not be.

    A split says what rows depend on: those near in time, or those of a group, which are then one block each;
    a random one says that they do not.
    """
    by, times = job.config.split.by, _part(job, job.dataset.times)
    if by in ("time", "auto") and times is not None:
        return blocks_in_time(times, job.config.split.purge + 1)
    return _part(job, job.dataset.groups) if by == "group" else None


def blocks_in_time(times: NDArray[Any], least_steps: int) -> NDArray[np.int64]:
    """Join the distinct times, in their order, to blocks; return the block of each row [rows], from 0.

    A block has at least as many times as targets reach across, so that no two but neighbours share any, and
    the square root of the rows: blocks then grow with the table, in length as in number.
    """
    _, step_of_row, rows_at = np.unique(times, return_inverse=True, return_counts=True)
    least_rows = math.sqrt(len(times))
    block_of_step = np.zeros(len(rows_at), dtype=np.int64)
    block = steps = rows = 0
    for step, count in enumerate(rows_at.tolist()):
        if steps >= least_steps and rows >= least_rows:
            block, steps, rows = block + 1, 0, 0
        block_of_step[step] = block
        steps, rows = steps + 1, rows + count
    if steps < least_steps or rows < least_rows:  # what is left at the end belongs to the block before
        block_of_step = np.minimum(block_of_step, max(block - 1, 0))
    return np.asarray(block_of_step[step_of_row])


def _part(job: Job, values: NDArray[Any] | None) -> NDArray[Any] | None:
    if values is None:
        return None
    found = values[job.rows(job.scored_part)]
    return found if job.scored_part == "test" else found[job.dataset.folds.told]


def _all_weights(job: Job) -> Array | None:
    return job.dataset.table[WEIGHT].to_numpy() if WEIGHT in job.dataset.table.column_names else None


def _in_order(results: Sequence[TrialResult]) -> tuple[TrialResult, ...]:
    return tuple(sorted(results, key=lambda result: result.number))


def _result(
    job: Job,
    conductor: Conductor,
    results: Sequence[TrialResult],
    told: tuple[Evaluation, Evaluation | None, Comparison | None],
    tracker: Tracker,
) -> StudyResult:
    evaluation, modelled, comparison = told
    states = [result.state for result in results]
    leading, how, _ = picked(job, results)
    assert conductor.best is not None  # checked where the closing begins
    return StudyResult(
        study=job.about.name,
        parent_run_id=tracker.parent_run_id,
        tracking_uri=hide_secrets(tracker.uri) if tracker.uri else None,
        trials={state: states.count(state) for state in ("finished", "stopped", "failed")},
        best=conductor.best,
        default=conductor.default,
        evaluation=evaluation,
        comparison=comparison,
        model_path=job.home.told_path(job.paths.model),
        report_path=job.home.told_path(job.paths.report),
        stopped_by=conductor.stopped_by,
        wall_s=job.clock.elapsed_s,
        modelled=modelled,
        modelled_name=job.dataset.transform.name(job.config.data.target or "") if modelled else None,
        objectives=tuple(objective.word for objective in job.config.objectives),
        pareto=leading,
        picked=how,
    )


def _try_report(
    job: Job, ledger: Ledger, material: tuple[StudyResult, _Told, Forecaster], notes: tuple[str, ...]
) -> str:
    """Write the report; return in words what kept it from being written, or nothing.

    Whatever it is, it must not cost a finished study: the model is worth more than its pictures.
    """
    try:
        _write_report(job, ledger, material, notes)
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
    job: Job, ledger: Ledger, material: tuple[StudyResult, _Told, Forecaster], notes: tuple[str, ...]
) -> None:
    result, told, final = material
    trials = _in_order(ledger.results)
    write_leaderboard(trials, job.paths.artifacts / "leaderboard.csv")
    write_front(result.pareto, job.paths.artifacts / "pareto.csv")
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
            modelled=result.modelled,
            modelled_name=result.modelled_name,
            notes=notes,
        ),
        job.paths.artifacts,
    )


def _write_result(job: Job, result: StudyResult) -> None:
    part = job.paths.result.with_suffix(".part")
    text = json.dumps(to_json(result), indent=1, ensure_ascii=False, default=str)
    part.write_text(text, encoding="utf-8", errors="replace")
    part.replace(job.paths.result)
