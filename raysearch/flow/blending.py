"""The trials that are the model together: chosen by what each of them says of rows that are new to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raysearch.bench import Bench
from raysearch.ensemble import blended, choose_weights, chosen_by_stretches, cross_fitted
from raysearch.flow.job import Job
from raysearch.metrics import Array, Ints
from raysearch.models import Frame, by_fold, get_model, join, load_located
from raysearch.records import Ensemble, TrialResult
from raysearch.reports import unpack
from raysearch.study.kept import Files, KeptModels

_NEAR_IN_TIME = 1.01  # of the best trial's score, up to which a mean is preferred to it
_TIMED_ROWS = 1000  # that predictions are timed on; also the unit of the bound
_QUICK_S = 0.3  # below it one try tells more of the machine than of the model

Watched = Callable[[TrialResult], Array]


@dataclass(frozen=True)
class Chosen:
    """Trials and what they weigh.

    Attributes:
        weights: of each trial, summing to 1.
        watched: what they say of the validation rows together [rows, levels], on the boosters' scale; no row
            has a say in the weights that it is told with.
        facts: what the record tells of it.
    """

    trials: tuple[TrialResult, ...]
    weights: Array
    watched: Array
    facts: Ensemble | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def alone(cls, trial: TrialResult, watched: Array | None = None) -> Chosen:
        """Return a single trial."""
        return cls((trial,), np.ones(1), np.empty((0, 0)) if watched is None else watched)


@dataclass(frozen=True)
class Judge:
    """Tells how well trials, or their mean, serve the validation rows.

    In time the first folds have few rows before them whose offsets could tell. There quantiles are judged as
    they are and as calibrated by all rows, both in the mean: as they are, a bias would decide that
    calibration takes away; calibrated, one that it is blind to.

    Attributes:
        rounds: told with the score.
    """

    bench: Bench
    in_time: bool
    rounds: int

    def saying(self, raw: Array) -> Array:
        """Return what is judged of quantiles [rows, levels]: themselves, in time both [rows, 2 * levels]."""
        if not self.in_time:
            return raw
        raw = np.sort(raw, axis=1)
        return np.concatenate([raw, self.bench.scorer.calibrated_by_itself(raw)], axis=1)

    def loss(self, said: Array, rows: Ints) -> float:
        """Return the pinball loss by which weights are chosen; ``said`` is that of the rows alone."""
        parts = np.split(said, 2, axis=1) if self.in_time else [said]
        return float(np.mean([self.bench.scorer.loss_of(part, rows) for part in parts]))

    def score(self, said: Array) -> float:
        """Return the score by which the mean of several is taken or not."""
        if self.in_time:
            return self.loss(said, np.arange(len(said)))
        return self.bench.scorer.score(said, self.rounds).score


def search_files(job: Job, trial: TrialResult) -> dict[str, bytes] | None:
    """Return the boosters that the search has trained in a trial, or None where they were not kept."""
    kept = KeptModels(job.paths.kept).get(trial.key)
    return unpack(kept)[0] if kept else None


def choose_trials(job: Job, leading: Sequence[TrialResult], watched: Watched) -> Chosen:
    """Choose trials and weights by the pinball loss on the validation rows.

    The mean of several is taken only where its score is better than the best trial's, each row scored with
    weights and a calibration in which it has no say. In time, judged as in ``Judge``, it is taken where it is
    not worse by more than 1 %: the best of the past by so little is no better in what comes.

    Args:
        leading: the trials that may become the model, the best first.
        watched: what a trial whose models were not kept says of the validation rows.
    """
    bench = Bench(job.dataset.table, job.recipe())
    kept = KeptModels(job.paths.kept)
    files = {trial.key: kept.get(trial.key) for trial in leading}
    known = [trial for i, trial in enumerate(leading) if i == 0 or files[trial.key]]
    most, bound = job.config.search.ensemble, job.config.search.max_predict_ms
    notes: tuple[str, ...] = ()
    costs: list[float] = []
    if bound is not None:
        known, costs, notes = _within(job, known, files, bound)
    raws = np.stack([_said(trial, files[trial.key], watched) for trial in known])
    in_time, rows = job.config.by_time, np.arange(raws.shape[1])
    judge = Judge(bench, in_time, known[0].rounds)
    sayings = np.stack([judge.saying(raw) for raw in raws])

    def chosen_by(rows: Ints) -> Array:
        return choose_weights(judge.loss, sayings, rows, most, costs)

    best = judge.score(sayings[0])
    facts = Ensemble({known[0].number: 1.0}, best, best, best=known[0].number, calibrated=not in_time)
    alone = Chosen((known[0],), np.ones(1), raws[0], facts, notes)
    if most == 1 or len(known) == 1:
        return alone
    if in_time:
        weights, parts = chosen_by_stretches(chosen_by, len(rows), most, costs)
    else:
        weights, parts = chosen_by(rows), cross_fitted(chosen_by, job.dataset.folds.pairs())
    score = judge.score(blended(parts, sayings))
    if not score < best * (_NEAR_IN_TIME if in_time else 1.0):
        return alone
    inside = np.flatnonzero(weights).tolist()
    if len(inside) == 1:
        parts, score = [(rows, weights)], judge.score(sayings[inside[0]])
    trials = [known[i] for i in inside]
    named = {trial.number: float(weights[i]) for i, trial in zip(inside, trials, strict=True)}
    facts = replace(facts, weights=named, score=score)
    return Chosen(tuple(trials), weights[inside], blended(parts, raws), facts, notes)


def _said(trial: TrialResult, files: Files | None, watched: Watched) -> Array:
    return unpack(files)[1] if files else watched(trial)


def _within(
    job: Job, trials: Sequence[TrialResult], files: dict[str, dict[str, bytes] | None], bound_ms: float
) -> tuple[list[TrialResult], list[float], tuple[str, ...]]:
    """Return the trials that predict within the bound by themselves, and the share of it that each takes."""
    timed = [
        (trial, _predict_ms(job, trial, unpack(kept)[0])) for trial in trials if (kept := files[trial.key])
    ]
    if not timed:
        note = f"The model was not held to {bound_ms:g} ms: its trial was the only one to choose from."
        return [trials[0]], [], (note,)
    within = [(trial, ms / bound_ms) for trial, ms in timed if ms <= bound_ms]
    if within:
        return [trial for trial, _ in within], [cost for _, cost in within], ()
    fastest, ms = min(timed, key=lambda item: item[1])
    note = (
        f"No trial's models predict {_TIMED_ROWS:,} rows within {bound_ms:g} ms: the fastest, which is the "
        f"model, take {ms:.0f} ms. --cv 1, fewer rounds or fewer leaves make them faster."
    )
    return [fastest], [], (note,)


def _predict_ms(job: Job, trial: TrialResult, files: Files) -> float:
    """Return the milliseconds in which a trial's part of the forecaster predicts rows of the unit."""
    levels, model = job.config.search.levels, get_model(trial.model)
    parts = by_fold(files, len(job.dataset.fits))
    loaded = [load_located(model, part, levels) for part in job.members_of(parts)]
    return predict_ms(job, lambda frame: [predict(frame) for predict in loaded])


def predict_ms(job: Job, predict: Callable[[Frame], Any]) -> float:
    """Return the milliseconds in which something predicts 1,000 rows, of what is quick the better of two."""
    start, stop = job.dataset.parts["valid"]
    stop = min(stop, start + _TIMED_ROWS)
    seconds: list[float] = []
    while len(seconds) < 2 and max(seconds, default=0.0) < _QUICK_S:
        # Another frame each time: the models of locations remember what they have said of the last one.
        frame = join([job.slice(start, stop)] * -(-_TIMED_ROWS // max(1, stop - start)))
        begun = time.perf_counter()
        predict(frame)
        seconds.append(time.perf_counter() - begun)
    return 1000.0 * _TIMED_ROWS / max(1, frame.rows) * min(seconds)
