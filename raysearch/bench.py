"""A worker's place: the shared table, what it has binned, and how what a model says of it is scored."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from raysearch.calibration import Folds, calibrate, cross_calibrated
from raysearch.data import Transform
from raysearch.evaluation import levels_collapse
from raysearch.metrics import Array, Ints, pinball_loss_avg, score_metrics, with_prefix
from raysearch.models import (
    SEEN_ONLY,
    TUNABLE,
    Fit,
    FitInTurns,
    FitSettings,
    FoldFit,
    Frame,
    Known,
    LocatedFit,
    Location,
    QuantileModel,
    get_model,
    join,
    load_location,
    locate,
    save_location,
    wants_location,
    with_location,
)
from raysearch.node_share import NodeShare
from raysearch.objectives import PINBALL, Objective, objective_metrics
from raysearch.records import FoldRows, Rung
from raysearch.stopwatch import Stopwatch

TARGET, ANCHOR, GROUP, WEIGHT = "target", "anchor", "group", "weight"
COLLAPSED = (
    "all its quantile levels are alike, though the truth varies: its trees found nothing to learn; lower "
    "min_data_in_leaf or min_child_weight in the search space, or bring more rows"
)
BINNED_KEPT = 4  # binned datasets that a worker keeps for each fold where there is room


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
        unseen: feature columns whose values in later rows are none of the earlier ones: what a trial with
            ``seen_only`` does not learn from.
        kept: binned datasets that a worker keeps for each training; the least recently used goes first.
        in_turns: the levels and folds of a trial are trained one after the other, for want of memory.
    """

    categorical: tuple[bool, ...]
    fits: tuple[FoldRows, ...]
    transform: Transform
    settings: FitSettings
    folds: Folds
    calibrate: str = "marginal"
    part: str = "valid"
    objectives: tuple[Objective, ...] = (PINBALL,)
    unseen: tuple[int, ...] = ()
    kept: int = BINNED_KEPT
    in_turns: bool = False


class TrialError(Exception):
    """A trial cannot be scored; the message is its recorded reason."""


class Bench:
    """A worker's place: the shared table, and the binned data that is kept from trial to trial."""

    def __init__(self, table: pa.Table, recipe: Recipe, share: NodeShare | None = None) -> None:
        """Take the shared table.

        Args:
            share: what other workers of the node have made of it; None: there are none.
        """
        self.recipe = recipe
        self._share = share or NodeShare("")
        self.watch = Stopwatch()
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
            self._location(fold, model_name, self._seen_only(fit_params))

    def _seen_only(self, fit_params: Mapping[str, Any]) -> bool:
        return bool(fit_params.get(SEEN_ONLY, False) and self.recipe.unseen)

    def _known(self, fold: int, seen_only: bool) -> Known:
        """Return what a fold's training learns from: features, targets, weights."""
        rows, z, weights = self._learnt[fold]
        return rows.without(self.recipe.unseen) if seen_only else rows, z, weights

    def _begin(self, fold: int, model_name: str, fit_params: Mapping[str, Any]) -> Fit:
        model = get_model(model_name)
        settings = replace(self.recipe.settings, interleaved=self.trainings > 1)
        seen = self._seen_only(fit_params)
        location = self._location(fold, model_name, seen) if wants_location(fit_params) else None
        key = (model_name, model.bin_key(fit_params), location is not None, seen, fold)
        if key not in self._binned:
            while len(self._binned) >= self.recipe.kept * len(self._learnt):
                self._share.forget(self._binned.popitem(last=False)[0])
            with self.watch.part("binning"):
                self._binned[key] = self._bin(key, location, fit_params)
        self._binned.move_to_end(key)
        watched = self._watched[fold]
        if location is None:
            return self._start(model, self._binned[key], fit_params, settings, watched)
        if settings.monotone:  # what rises with the location rises with all that moves it
            settings = replace(settings, monotone=(*settings.monotone, 1))
        watched = with_location(watched, location.watched)
        return LocatedFit(self._start(model, self._binned[key], fit_params, settings, watched), location)

    def _bin(self, key: tuple[Any, ...], location: Location | None, fit_params: Mapping[str, Any]) -> Any:
        """Return a fold's rows as the library bins them, or as another worker of the node has."""
        model_name, *_, seen, fold = key
        model, settings = get_model(model_name), self.recipe.settings
        rows, z, weights = self._known(fold, seen)
        if location is not None:
            rows, z = with_location(rows, location.learnt), z - location.learnt
        return self._share.once(
            key,
            lambda: model.bin(rows, z, fit_params, settings, weights),
            model.save_binned,
            lambda path: model.load_binned(path, rows, fit_params, settings),
        )

    def _start(
        self,
        model: QuantileModel,
        binned: Any,
        fit_params: Mapping[str, Any],
        settings: FitSettings,
        watched: Frame,
    ) -> Fit:
        if not self.recipe.in_turns:
            return model.start(binned, fit_params, settings, watched)
        levels = settings.levels
        parts = [(level,) for level in levels] if TUNABLE[model.name].levels_apart else [levels]
        begin = [
            partial(model.start, binned, fit_params, replace(settings, levels=part), watched)
            for part in parts
        ]
        return FitInTurns(model, begin)

    def _location(self, fold: int, model_name: str, seen_only: bool) -> Location | None:
        """Return the location of a fold's rows: the same for all trials of a library with these features."""
        key = (model_name, fold, seen_only)
        if key not in self._locations:
            rows, z, weights = self._known(fold, seen_only)
            model, settings = get_model(model_name), self.recipe.settings
            with self.watch.part("location"):
                self._locations[key] = self._share.once(
                    ("location", *key),
                    lambda: locate(model, rows, z, self._watched[fold], settings, weights),
                    save_location,
                    load_location,
                )
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

    def calibrated_by_itself(self, raw: Array) -> Array:
        """Return quantiles of the watched rows with the offsets of these very rows, [rows, levels]."""
        kind, levels = self.recipe.calibrate, self.recipe.settings.levels
        weights = self.recipe.folds.weights
        return calibrate(kind, self._watched_z, raw, levels, self._groups, weights).apply(raw, self._groups)

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
