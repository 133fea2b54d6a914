"""How good the model is on the rows that are told of: by itself, by parts, and beside what it must beat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysearch.errors import StudyError
from raysearch.evaluation import (
    Forecast,
    Forecasts,
    constant_quantiles,
    levels_collapse,
    make_rivals,
    make_slices,
    same_for_all,
)
from raysearch.flow.choosing import in_objectives
from raysearch.flow.job import Job
from raysearch.forecaster import Forecaster
from raysearch.metrics import Array, crossed
from raysearch.objectives import objective_metrics
from raysearch.recipe import ANCHOR, TARGET, WEIGHT
from raysearch.records import Comparison, Evaluation, Rival, Slice
from raysearch.scoring import COLLAPSED

_LOOKED_AT = 5000  # validation rows on which the kept model is looked at


@dataclass(frozen=True)
class Told:
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


@dataclass(frozen=True)
class Findings:
    """All that is told of the model.

    Attributes:
        modelled: the evaluation on the modelled scale, where the target is transformed.
    """

    evaluation: Evaluation
    modelled: Evaluation | None
    rivals: tuple[Rival, ...]
    slices: tuple[Slice, ...]

    @property
    def comparison(self) -> Comparison | None:
        """The tuned model against the untuned default, where there is one."""
        return next((rival.comparison for rival in self.rivals if rival.name == "default"), None)


def find(job: Job, tuned: Told, default: Told | None) -> Findings:
    """Score the tuned model, and compare it with the untuned default (if there is one) and a constant."""
    groups, times = of_part(job, job.dataset.groups), of_part(job, job.dataset.times)
    constant = constant_forecast(job, tuned)
    rivals = {} if default is None else {"default": Forecast(default.q, crossed(default.raw))}
    rivals["constant"] = Forecast(constant, np.zeros(len(constant), dtype=bool))
    forecasts = _forecasts(job, (tuned.y, tuned.q), tuned, rivals)
    modelled, transform = None, job.dataset.transform
    if transform.kind != "none":
        z, q = (transform.forward(values, tuned.anchor) for values in (tuned.y, tuned.q))
        other = _forecasts(job, (z, q), tuned, {})
        modelled = other.evaluate(other.tuned, groups)
    return Findings(
        _with_objectives(job, forecasts, forecasts.evaluate(forecasts.tuned, groups)),
        modelled,
        tuple(_in_objectives(job, forecasts, rival) for rival in make_rivals(forecasts)),
        make_slices(forecasts, groups, times),
    )


def _forecasts(job: Job, scale: tuple[Array, Array], tuned: Told, rivals: dict[str, Forecast]) -> Forecasts:
    y, q = scale
    levels = job.config.search.levels
    return Forecasts(
        job.scored_part, levels, y, Forecast(q, crossed(tuned.raw)), rivals, blocks_of(job), weights_of(job)
    )


def weights_of(job: Job) -> Array | None:
    """Return how much each evaluated row counts, [rows]; None: all alike."""
    table = job.dataset.table
    return of_part(job, table[WEIGHT].to_numpy()) if WEIGHT in table.column_names else None


def _with_objectives(job: Job, forecasts: Forecasts, found: Evaluation) -> Evaluation:
    """Return the evaluation with what else trials were scored by."""
    told = (found.metrics, forecasts.y, forecasts.tuned.q, forecasts.levels, forecasts.weights)
    return replace(found, metrics={**found.metrics, **objective_metrics(job.config.objectives, *told)})


def _in_objectives(job: Job, forecasts: Forecasts, rival: Rival) -> Rival:
    """Return a rival whose comparison tells the two models' other objectives too."""
    qs = (forecasts.tuned.q, forecasts.rivals[rival.name].q)
    found = replace(rival.comparison, objectives=in_objectives(job, forecasts.y, *qs, forecasts.weights))
    return replace(rival, scores={**rival.scores, "pinball_loss_avg": found})


def constant_forecast(job: Job, told: Told) -> Array:
    """Return the quantiles of the target in the rows learnt from, for each evaluated row [rows, levels].

    They are those of the modelled scale: where growth is modelled, the growth is the same for all rows. Test
    rows get those of training and validation rows together, rows of a fold those of its training rows.
    """
    dataset, levels = job.dataset, job.config.search.levels
    known = slice(0, dataset.parts["valid"][1])
    anchor = dataset.table[ANCHOR].to_numpy()[known] if ANCHOR in dataset.table.column_names else None
    z = dataset.transform.forward(dataset.table[TARGET].to_numpy()[known], anchor)
    weights = dataset.table[WEIGHT].to_numpy()[known] if WEIGHT in dataset.table.column_names else None

    def constant(parts: Sequence[tuple[int, int]], rows: int) -> Array:
        own = None if weights is None else np.concatenate([weights[slice(*part)] for part in parts])
        learnt = np.concatenate([z[slice(*part)] for part in parts])
        return np.tile(constant_quantiles(learnt, levels, own), (rows, 1))

    if job.scored_part == "test":
        q = constant([(0, len(z))], len(told.y))
    else:
        of_folds = [constant(fold.train, fold.watch[1] - fold.watch[0]) for fold in dataset.fits]
        q = np.concatenate(of_folds)[dataset.folds.told]
    return dataset.transform.inverse(q, told.anchor)


def refuse_collapsed(job: Job, forecaster: Forecaster) -> None:
    """Refuse to keep a model whose levels are all alike though the truth varies.

    Raises:
        StudyError: with what to change.
    """
    stop = job.dataset.parts["valid"][1]
    start = max(job.dataset.parts["valid"][0], stop - _LOOKED_AT)
    truth = job.modelled("valid")[start - job.dataset.parts["valid"][0] :]
    if levels_collapse(truth, forecaster.raw(job.slice(start, stop)), forecaster.levels):
        raise StudyError(f"study {job.about.name!r}: the model cannot be kept: {COLLAPSED}")


def same_for_all_note(tuned: Told) -> tuple[str, ...]:
    """Return a note where the model forecasts every row alike, before it is told by its calibration."""
    if not same_for_all(tuned.raw):
        return ()
    return (
        "The model forecasts the same for every row: its trees found no split, so it knows no more than the "
        "constant forecast. More rows, other features or a lower min_data_in_leaf or min_child_weight help.",
    )


def blocks_of(job: Job) -> NDArray[Any] | None:
    """Return the block of each evaluated row: blocks are independent, rows of one need not be.

    A split says what rows depend on: those near in time, or those of a group, which are then one block each;
    a random one says that they do not.
    """
    by, times = job.config.split.by, of_part(job, job.dataset.times)
    if by in ("time", "auto") and times is not None:
        return blocks_in_time(times, job.dataset.purge + 1)
    return of_part(job, job.dataset.groups) if by == "group" else None


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


def of_part(job: Job, values: NDArray[Any] | None) -> NDArray[Any] | None:
    """Return those of values [all rows] that belong to the evaluated rows."""
    if values is None:
        return None
    found = values[job.rows(job.scored_part)]
    return found if job.scored_part == "test" else found[job.dataset.folds.told]
