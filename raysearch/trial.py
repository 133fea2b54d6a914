"""One set of parameters becomes one score: a plain function, without Ray, MLflow or a network."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from raysearch.calibration import Folds, Ints, cross_calibrated
from raysearch.data import Transform
from raysearch.evaluation import levels_collapse
from raysearch.metrics import Array, pinball_loss_avg, score_metrics, with_prefix
from raysearch.models import (
    Fit,
    FitSettings,
    FoldFit,
    Frame,
    LocatedFit,
    Location,
    get_model,
    join,
    locate,
    wants_location,
    with_location,
)
from raysearch.objectives import PINBALL, Objective, objective_metrics
from raysearch.records import FoldRows, Rung

TARGET, ANCHOR, GROUP, WEIGHT = "target", "anchor", "group", "weight"
WATCHED = "watched.npy"
COLLAPSED = (
    "all its quantile levels are alike, though the truth varies: its trees found nothing to learn; lower "
    "min_data_in_leaf or min_child_weight in the search space, or bring more rows"
)
_ROUNDS_A_LOOK = 5  # between two looks whether the trial is given up
_BINNED_KEPT = 4  # binned datasets a worker keeps; the least recently used goes first
_LEAST_STRIDE, _STRIDES = 10, 10  # rounds between two looks at the loss: a tenth of those done, at least ten
_LEAST_PATIENCE = 20  # rounds without gain, beside half of those at the best look, after which a trial ends


@dataclass(frozen=True)
class Recipe:
    """What a worker must know of the shared table to train and score on it.

    Attributes:
        categorical: for each feature column whether it holds codes of categories.
        fits: the trainings of a trial, one or one a fold; the rows that they are scored on follow each other.
        folds: which of the rows to score on calibrate which.
        calibrate: how, see ``raysearch.calibration``.
        part: "valid" or "test", the prefix of the scores' names.
        objectives: what the trial is scored by; the first one is its score.
    """

    categorical: tuple[bool, ...]
    fits: tuple[FoldRows, ...]
    transform: Transform
    settings: FitSettings
    folds: Folds
    calibrate: str = "marginal"
    part: str = "valid"
    objectives: tuple[Objective, ...] = (PINBALL,)


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
        self._locations: dict[Hashable, Location | None] = {}
        names = [name for name in table.column_names if name not in (TARGET, ANCHOR, GROUP, WEIGHT)]
        frame = Frame(table.select(names), recipe.categorical)
        end = max(
            stop for fold in recipe.fits for _, stop in (*fold.train, fold.watch)
        )  # test rows lie behind
        y = table[TARGET].to_numpy()[:end]
        anchor = table[ANCHOR].to_numpy()[:end] if ANCHOR in table.column_names else None
        weights = table[WEIGHT].to_numpy()[:end] if WEIGHT in table.column_names else None
        z = recipe.transform.standardise(recipe.transform.forward(y, anchor))
        self._learnt = [
            (
                join([frame.slice(*part) for part in fold.train]),
                np.concatenate([z[slice(*p)] for p in fold.train]),
                None if weights is None else np.concatenate([weights[slice(*p)] for p in fold.train]),
            )
            for fold in recipe.fits
        ]
        self._watched = [frame.slice(*fold.watch) for fold in recipe.fits]
        low, high = recipe.fits[0].watch[0], recipe.fits[-1].watch[1]
        self.watched_y: Array = y[low:high]
        self._watched_anchor = anchor[low:high] if anchor is not None else None
        self._watched_z = z[low:high]
        self._watched_weights = None if weights is None else weights[low:high]
        self._groups = table[GROUP].to_numpy()[low:high].astype(str) if GROUP in table.column_names else None

    def begin(self, model_name: str, fit_params: Mapping[str, Any]) -> Fit:
        """Start a training of all levels; rows that were binned alike before are not binned again."""
        fits = [self._begin(fold, model_name, fit_params) for fold in range(len(self._learnt))]
        return fits[0] if len(fits) == 1 else FoldFit(fits)

    @property
    def trainings(self) -> int:
        """Trainings of a trial, one or one a fold."""
        return len(self._learnt)

    def prepare(self, fold: int, model_name: str, fit_params: Mapping[str, Any]) -> None:
        """Do what takes longest before the first round of one training, and is kept for later trials."""
        if wants_location(fit_params):
            self._location(fold, model_name)

    def _begin(self, fold: int, model_name: str, fit_params: Mapping[str, Any]) -> Fit:
        model, settings = get_model(model_name), self.recipe.settings
        location = self._location(fold, model_name) if wants_location(fit_params) else None
        key = (model_name, model.bin_key(fit_params), location is not None, fold)
        if key not in self._binned:
            while len(self._binned) >= _BINNED_KEPT * len(self._learnt):
                self._binned.popitem(last=False)
            rows, z, weights = self._learnt[fold]
            if location is not None:
                rows, z = with_location(rows, location.learnt), z - location.learnt
            self._binned[key] = model.bin(rows, z, fit_params, settings, weights)
        self._binned.move_to_end(key)
        if location is None:
            return model.start(self._binned[key], fit_params, settings, self._watched[fold])
        watched = with_location(self._watched[fold], location.watched)
        if settings.monotone:  # what rises with the location rises with all that moves it
            settings = replace(settings, monotone=(*settings.monotone, 1))
        return LocatedFit(model.start(self._binned[key], fit_params, settings, watched), location)

    def _location(self, fold: int, model_name: str) -> Location | None:
        """Return the location of a fold's rows; it is the same for all trials of a library."""
        key = (model_name, fold)
        if key not in self._locations:
            rows, z, weights = self._learnt[fold]
            model, settings = get_model(model_name), self.recipe.settings
            self._locations[key] = locate(model, rows, z, self._watched[fold], settings, weights)
        return self._locations[key]

    def loss(self, raw: Array) -> float:
        """Return the pinball loss of quantiles of the watched rows, neither ordered nor calibrated."""
        return self.loss_of(raw, np.arange(len(raw)))

    def loss_of(self, raw: Array, rows: Ints) -> float:
        """Return the same of some of the watched rows, by their numbers; ``raw`` is [those rows, levels]."""
        anchor = None if self._watched_anchor is None else self._watched_anchor[rows]
        q = self.recipe.transform.inverse(self.recipe.transform.restore(raw), anchor)
        weights = None if self._watched_weights is None else self._watched_weights[rows]
        return pinball_loss_avg(self.watched_y[rows], q, self.recipe.settings.levels, weights)

    def quantiles(self, raw: Array) -> Array:
        """Return the quantiles of the rows that are told of, [rows, levels], as the user will get them.

        In order, calibrated by rows that neither the model nor the row itself knows, in original units.

        Args:
            raw: what the boosters say of the watched rows, [rows, levels].
        """
        recipe = self.recipe
        levels, told = recipe.settings.levels, recipe.folds.told
        z = cross_calibrated(recipe.calibrate, self._watched_z, raw, levels, recipe.folds, self._groups)
        anchor = None if self._watched_anchor is None else self._watched_anchor[told]
        return recipe.transform.inverse(recipe.transform.restore(z), anchor)

    def refuse_collapsed(self, raw: Array) -> None:
        """Raise TrialError where all levels of the watched rows are alike, though the truth varies."""
        if levels_collapse(self._watched_z, raw, self.recipe.settings.levels):
            raise TrialError(COLLAPSED)

    def score(self, raw: Array, rounds: int) -> Rung:
        """Score the watched rows that can be told of, on the quantiles that the user will get."""
        q = self.quantiles(raw) if np.isfinite(raw).all() else raw
        if not np.isfinite(q).all():
            raise TrialError(f"the model predicts values that are not finite after {rounds} rounds")
        y, objectives = self.watched_y[self.recipe.folds.told], self.recipe.objectives
        levels = self.recipe.settings.levels
        weights = None if self._watched_weights is None else self._watched_weights[self.recipe.folds.told]
        metrics = score_metrics(y, q, levels, weights)
        metrics |= objective_metrics(objectives, metrics, y, q, levels, weights)
        values = {objective.word: metrics[objective.metric] for objective in objectives}
        score = next(iter(values.values()))
        return Rung(rounds, score, with_prefix(self.recipe.part, metrics), values)


@dataclass(frozen=True)
class Stand:
    """How far a trial has come.

    Attributes:
        rung: its score.
        raw: what the boosters say of the watched rows at that score, [rows, levels].
        ended: it trains no further.
    """

    rung: Rung
    raw: Array
    ended: bool


class _Looks:
    """Looks at the loss now and then, and remembers the best: more rounds than that help no more."""

    def __init__(self, bench: Bench, fit: Fit) -> None:
        self._bench, self._fit = bench, fit
        self._loss = float("inf")
        self.rounds, self.raw = 0, np.empty((0, 0))

    @property
    def next(self) -> int:
        return self._fit.rounds + max(_LEAST_STRIDE, self._fit.rounds // _STRIDES)

    def look(self) -> None:
        raw = self._fit.predict_watched()
        loss = self._bench.loss(raw)
        if not self.rounds or loss < self._loss:
            self._loss, self.rounds, self.raw = loss, self._fit.rounds, raw

    @property
    def stalled(self) -> bool:
        return bool(self.rounds) and self._fit.rounds >= 1.5 * self.rounds + _LEAST_PATIENCE


def run_trial(
    spec: TrialSpec, bench: Bench, given_up: Callable[[], bool] | None = None
) -> Iterator[tuple[Stand, Fit]]:
    """Train one set of parameters rung by rung, all levels and folds together.

    It ends where more rounds have not helped for long, with the model of the rounds that served best; the
    library's defaults, and boosters whose later trees change the earlier ones, train all their rounds.

    Args:
        given_up: asked every few rounds; true ends the training at once, without another score.

    Yields:
        Where it stands at each rung, and the fit; the caller may stop at any of them.

    Raises:
        TrialError: when a score is not finite, or at the end all levels are alike.
    """
    for fold in range(bench.trainings):
        if given_up and given_up():
            return
        bench.prepare(fold, spec.model, spec.fit_params)
    fit = bench.begin(spec.model, spec.fit_params)
    looks = None if spec.default or not fit.additive else _Looks(bench, fit)
    for rounds in spec.rungs:
        while fit.rounds < rounds and not (looks and looks.stalled):
            ahead = min(rounds, looks.next) if looks else rounds
            if not _advance(fit, ahead, given_up):
                return
            if looks:
                looks.look()
        stalled = looks is not None and looks.stalled and fit.rounds < spec.rungs[-1]
        ended = stalled or rounds == spec.rungs[-1]
        best = ended and looks is not None
        raw, done = (looks.raw, looks.rounds) if best and looks else (fit.predict_watched(), fit.rounds)
        if ended:
            bench.refuse_collapsed(raw)
        yield Stand(bench.score(raw, done), raw, ended), fit
        if ended:
            return


def _advance(fit: Fit, rounds: int, given_up: Callable[[], bool] | None) -> bool:
    """Train until ``rounds`` rounds are done; return False where the trial was given up before."""
    while fit.rounds < rounds:
        if given_up and given_up():
            return False
        fit.advance(min(rounds, fit.rounds + _ROUNDS_A_LOOK) if given_up else rounds)
    return True


@dataclass(frozen=True)
class Report:
    """What a worker sends back at a rung.

    Attributes:
        final: the trial trains no further.
        files: the boosters, and in WATCHED what they say of the watched rows, where the trial ended below
            its bar.
        failure: why the trial failed; empty when it did not.
    """

    rung: Rung | None = None
    final: bool = False
    files: Mapping[str, bytes] | None = None
    failure: str = ""


def reports(spec: TrialSpec, bench: Bench, given_up: Callable[[], bool] | None = None) -> Iterator[Report]:
    """Run a trial and yield its reports; whatever it raises becomes a last report with the failure."""
    try:
        for stand, fit in run_trial(spec, bench, given_up):
            rung = stand.rung
            if stand.ended and (spec.default or rung.score < spec.bar):
                yield Report(rung, True, {**fit.dump(rung.step), WATCHED: _pack(stand.raw)})
            else:
                yield Report(rung, stand.ended)
    except Exception as error:
        yield Report(failure=_reason(error))


def _pack(raw: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, raw.astype(np.float32), allow_pickle=False)
    return file.getvalue()


def unpack(files: Mapping[str, bytes]) -> tuple[dict[str, bytes], Array]:
    """Return a trial's boosters, and what they say of the watched rows [rows, levels]."""
    boosters = {name: data for name, data in files.items() if name != WATCHED}
    return boosters, np.load(io.BytesIO(files[WATCHED]), allow_pickle=False).astype(np.float64)


def _reason(error: Exception) -> str:
    # XGBoost writes its C++ stack below the message: of no use to whoever reads a trial's reason.
    told = str(error).partition("Stack trace:")[0].strip()
    return f"{type(error).__name__}: {told}" if told else type(error).__name__


def rungs_for(rounds: int, milestones: tuple[int, ...]) -> tuple[int, ...]:
    """Return where a trial of ``rounds`` rounds reports: the milestones below it, and its end."""
    return (*(step for step in milestones if step < rounds), rounds)
