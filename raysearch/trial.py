"""One set of parameters becomes one score: a plain function, without Ray, MLflow or a network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from raysearch.calibration import Folds, cross_calibrated
from raysearch.data import Transform
from raysearch.evaluation import levels_collapse
from raysearch.metrics import Array, score_metrics, with_prefix
from raysearch.models import Fit, FitSettings, FoldFit, Frame, get_model, join
from raysearch.records import FoldRows, Rung

TARGET, ANCHOR, GROUP = "target", "anchor", "group"
COLLAPSED = (
    "all its quantile levels are alike, though the truth varies: its trees found nothing to learn; lower "
    "min_data_in_leaf or min_child_weight in the search space, or bring more rows"
)
_ROUNDS_A_LOOK = 5  # between two looks whether the trial is given up
_BINNED_KEPT = 2  # binned datasets a worker keeps; the least recently used goes first


@dataclass(frozen=True)
class Recipe:
    """What a worker must know of the shared table to train and score on it.

    Attributes:
        categorical: for each feature column whether it holds codes of categories.
        fits: the trainings of a trial, one or one a fold; the rows that they are scored on follow each other.
        folds: which of the rows to score on calibrate which.
        calibrate: how, see ``raysearch.calibration``.
        part: "valid" or "test", the prefix of the scores' names.
    """

    categorical: tuple[bool, ...]
    fits: tuple[FoldRows, ...]
    transform: Transform
    settings: FitSettings
    folds: Folds
    calibrate: str = "marginal"
    part: str = "valid"


@dataclass(frozen=True)
class TrialSpec:
    """One trial as it is sent to a worker.

    Attributes:
        rungs: boosting rounds at which the trial reports and may be stopped, rising; its last is its end.
        bar: the best score so far; a trial that ends below it sends its model along.
        default: the library's untuned defaults; sends its model along in any case.
    """

    number: int
    key: str
    model: str
    fit_params: Mapping[str, Any]
    rungs: tuple[int, ...]
    bar: float = float("inf")
    default: bool = False


class TrialError(Exception):
    """A trial cannot be scored; the message is its recorded reason."""


class Bench:
    """A worker's place: the shared table, and the binned data that is kept from trial to trial."""

    def __init__(self, table: pa.Table, recipe: Recipe) -> None:
        self.recipe = recipe
        self._binned: OrderedDict[Hashable, Any] = OrderedDict()
        names = [name for name in table.column_names if name not in (TARGET, ANCHOR, GROUP)]
        frame = Frame(table.select(names), recipe.categorical)
        end = max(
            stop for fold in recipe.fits for _, stop in (*fold.train, fold.watch)
        )  # test rows lie behind
        y = table[TARGET].to_numpy()[:end]
        anchor = table[ANCHOR].to_numpy()[:end] if ANCHOR in table.column_names else None
        z = recipe.transform.standardise(recipe.transform.forward(y, anchor))
        self._learnt = [
            (
                join([frame.slice(*part) for part in fold.train]),
                np.concatenate([z[slice(*p)] for p in fold.train]),
            )
            for fold in recipe.fits
        ]
        self._watched = [frame.slice(*fold.watch) for fold in recipe.fits]
        low, high = recipe.fits[0].watch[0], recipe.fits[-1].watch[1]
        self.watched_y: Array = y[low:high]
        self._watched_anchor = anchor[low:high] if anchor is not None else None
        self._watched_z = z[low:high]
        self._groups = table[GROUP].to_numpy()[low:high].astype(str) if GROUP in table.column_names else None

    def begin(self, model_name: str, fit_params: Mapping[str, Any]) -> Fit:
        """Start a training of all levels; rows that were binned alike before are not binned again."""
        fits = [self._begin(fold, model_name, fit_params) for fold in range(len(self._learnt))]
        return fits[0] if len(fits) == 1 else FoldFit(fits)

    def _begin(self, fold: int, model_name: str, fit_params: Mapping[str, Any]) -> Fit:
        model, settings = get_model(model_name), self.recipe.settings
        key = (model_name, model.bin_key(fit_params), fold)
        if key not in self._binned:
            while len(self._binned) >= _BINNED_KEPT * len(self._learnt):
                self._binned.popitem(last=False)
            rows, z = self._learnt[fold]
            self._binned[key] = model.bin(rows, z, fit_params, settings)
        self._binned.move_to_end(key)
        return model.start(self._binned[key], fit_params, settings, self._watched[fold])

    def quantiles(self, fit: Fit) -> Array:
        """Return the quantiles of the rows that are told of, [rows, levels], as the user will get them.

        In order, calibrated by rows that neither the model nor the row itself knows, in original units.
        """
        recipe = self.recipe
        raw = fit.predict_watched()
        if not np.isfinite(raw).all():
            raise TrialError(f"the model predicts values that are not finite after {fit.rounds} rounds")
        levels, told = recipe.settings.levels, recipe.folds.told
        z = cross_calibrated(recipe.calibrate, self._watched_z, raw, levels, recipe.folds, self._groups)
        anchor = None if self._watched_anchor is None else self._watched_anchor[told]
        return recipe.transform.inverse(recipe.transform.restore(z), anchor)

    def refuse_collapsed(self, fit: Fit) -> None:
        """Raise TrialError where all levels of the watched rows are alike, though the truth varies."""
        if levels_collapse(self._watched_z, fit.predict_watched(), self.recipe.settings.levels):
            raise TrialError(COLLAPSED)

    def score(self, fit: Fit) -> Rung:
        """Score the watched rows that can be told of, on the quantiles that the user will get."""
        q = self.quantiles(fit)
        if not np.isfinite(q).all():
            raise TrialError(f"the model predicts values that are not finite after {fit.rounds} rounds")
        y = self.watched_y[self.recipe.folds.told]
        metrics = score_metrics(y, q, self.recipe.settings.levels)
        return Rung(fit.rounds, metrics["pinball_loss_avg"], with_prefix(self.recipe.part, metrics))


def run_trial(
    spec: TrialSpec, bench: Bench, given_up: Callable[[], bool] | None = None
) -> Iterator[tuple[Rung, Fit]]:
    """Train one set of parameters rung by rung, all levels together.

    Args:
        given_up: asked every few rounds; true ends the training at once, without another score.

    Yields:
        The score at each rung with the fit so far; the caller may stop at any of them.

    Raises:
        TrialError: when a score is not finite, or at the end all levels are alike.
    """
    fit = bench.begin(spec.model, spec.fit_params)
    for rounds in spec.rungs:
        while fit.rounds < rounds:
            if given_up and given_up():
                return
            fit.advance(min(rounds, fit.rounds + _ROUNDS_A_LOOK) if given_up else rounds)
        if rounds == spec.rungs[-1]:
            bench.refuse_collapsed(fit)
        yield bench.score(fit), fit


@dataclass(frozen=True)
class Report:
    """What a worker sends back at a rung.

    Attributes:
        final: the trial has trained all its rounds.
        files: the boosters, where the trial ended below its bar.
        failure: why the trial failed; empty when it did not.
    """

    rung: Rung | None = None
    final: bool = False
    files: Mapping[str, bytes] | None = None
    failure: str = ""


def reports(spec: TrialSpec, bench: Bench, given_up: Callable[[], bool] | None = None) -> Iterator[Report]:
    """Run a trial and yield its reports; whatever it raises becomes a last report with the failure."""
    try:
        for rung, fit in run_trial(spec, bench, given_up):
            final = rung.step == spec.rungs[-1]
            keep = final and (spec.default or rung.score < spec.bar)
            yield Report(rung, final, fit.dump() if keep else None)
    except Exception as error:
        yield Report(failure=_reason(error))


def _reason(error: Exception) -> str:
    # XGBoost writes its C++ stack below the message: of no use to whoever reads a trial's reason.
    told = str(error).partition("Stack trace:")[0].strip()
    return f"{type(error).__name__}: {told}" if told else type(error).__name__


def rungs_for(rounds: int, milestones: tuple[int, ...]) -> tuple[int, ...]:
    """Return where a trial of ``rounds`` rounds reports: the milestones below it, and its end."""
    return (*(step for step in milestones if step < rounds), rounds)
