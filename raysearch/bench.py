"""A worker's place: the shared table, and what it has binned and learnt of it."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from raysearch.models import (
    LINEAR,
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
    by_fold,
    get_model,
    join,
    load_location,
    locate,
    locate_linear,
    location_kind,
    save_location,
    with_location,
)
from raysearch.node_share import NodeShare
from raysearch.recipe import ANCHOR, GROUP, TARGET, WEIGHT, Recipe
from raysearch.scoring import Scored, Scorer
from raysearch.stopwatch import Stopwatch


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
        scored = Scored.of(table.slice(0, recipe.end), recipe)
        z, weights = scored.z, scored.weights
        self._learnt = [
            (
                join([frame.slice(*part) for part in fold.train]),
                np.concatenate([z[slice(*p)] for p in fold.train]),
                None if weights is None else np.concatenate([weights[slice(*p)] for p in fold.train]),
            )
            for fold in recipe.fits
        ]
        self._watched = [frame.slice(*fold.watch) for fold in recipe.fits]
        self.scorer = Scorer(scored.slice(*recipe.watched), recipe)
        self.first: Scorer | None = None  # of the first fold alone
        if recipe.first is not None:
            rows = scored.slice(*recipe.fits[0].watch)
            self.first = Scorer(rows, replace(recipe, folds=recipe.first))

    def begin(
        self,
        model_name: str,
        fit_params: Mapping[str, Any],
        first: Fit | None = None,
        saved: Mapping[str, bytes] | None = None,
    ) -> Fit:
        """Start a training of all levels; rows that were binned alike before are not binned again.

        Args:
            first: the training of the first fold, where it was begun before.
            saved: files of such a training, to go on with; None: from the first round on.
        """
        of_folds = [None] * self.trainings if saved is None else by_fold(saved, self.trainings)
        done = [first] if first is not None else []
        fits = done + [
            self.begin_fold(i, model_name, fit_params, of_folds[i]) for i in range(len(done), self.trainings)
        ]
        return fits[0] if len(fits) == 1 else FoldFit(fits)

    @property
    def trainings(self) -> int:
        """Trainings of a trial, one or one a fold."""
        return len(self._learnt)

    def prepare(self, fold: int, model_name: str, fit_params: Mapping[str, Any]) -> None:
        """Do what takes longest before the first round of one training, and is kept for later trials."""
        self._location(fold, model_name, fit_params)

    def _rows_and_way(self, fold: int) -> tuple[Hashable, ...]:
        """Return what tells things made of a fold's rows from those of another, or of another recipe."""
        return self.recipe.fits[fold], self.recipe.settings

    def _seen_only(self, fit_params: Mapping[str, Any]) -> bool:
        return bool(fit_params.get(SEEN_ONLY, False) and self.recipe.unseen)

    def _known(self, fold: int, seen_only: bool) -> Known:
        """Return what a fold's training learns from: features, targets, weights."""
        rows, z, weights = self._learnt[fold]
        return rows.without(self.recipe.unseen) if seen_only else rows, z, weights

    def begin_fold(
        self,
        fold: int,
        model_name: str,
        fit_params: Mapping[str, Any],
        saved: Mapping[str, bytes] | None = None,
    ) -> Fit:
        """Start the training of one fold, or go on with one that was saved."""
        model = get_model(model_name)
        settings = replace(self.recipe.settings, interleaved=self.trainings > 1)
        seen = self._seen_only(fit_params)
        location = self._location(fold, model_name, fit_params)
        kind = location_kind(fit_params)
        key = (model_name, model.bin_key(fit_params), kind, seen, *self._rows_and_way(fold))
        if key not in self._binned:
            while len(self._binned) >= self.recipe.kept * len(self._learnt):
                self._share.forget(self._binned.popitem(last=False)[0])
            with self.watch.part("binning"):
                self._binned[key] = self._bin(key, model, self._known(fold, seen), location, fit_params)
        self._binned.move_to_end(key)
        watched = self._watched[fold]
        if location is not None:
            if settings.monotone:  # what rises with the location rises with all that moves it
                settings = replace(settings, monotone=(*settings.monotone, 1))
            watched = with_location(watched, location.watched)
        fit = None
        if saved and not self.recipe.in_turns:  # which has no room for all boosters at once
            rows = self._known(fold, seen)[0]
            rows = rows if location is None else with_location(rows, location.learnt)
            with contextlib.suppress(Exception):  # of another version of the library: begun anew
                fit = model.restore(saved, (self._binned[key], rows), fit_params, settings, watched)
        if fit is None:
            fit = self._start(model, self._binned[key], fit_params, settings, watched)
        return fit if location is None else LocatedFit(fit, location)

    def _bin(
        self,
        key: Hashable,
        model: QuantileModel,
        known: Known,
        location: Location | None,
        fit_params: Mapping[str, Any],
    ) -> Any:
        """Return a fold's rows as the library bins them, or as another worker of the node has."""
        settings = self.recipe.settings
        rows, z, weights = known
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

    def _location(self, fold: int, model_name: str, fit_params: Mapping[str, Any]) -> Location | None:
        """Return the location of a fold's rows: the same for all trials of a library with these features."""
        kind = location_kind(fit_params)
        if not kind:
            return None
        # A line goes on with features whose later values were never seen, to where nothing is known.
        seen_only = self._seen_only(fit_params) or (kind == LINEAR and bool(self.recipe.unseen))
        name = model_name if kind != LINEAR else ""
        key = ("location", kind, name, seen_only, *self._rows_and_way(fold))
        if key not in self._locations:
            like = self._location(0, model_name, fit_params) if fold else None
            rows, z, weights = self._known(fold, seen_only)
            model, settings, watched = get_model(model_name), self.recipe.settings, self._watched[fold]
            with self.watch.part("location"):
                self._locations[key] = self._share.once(
                    key,
                    lambda: (
                        locate_linear(rows, z, watched, settings, weights)
                        if kind == LINEAR
                        else locate(model, rows, z, watched, settings, weights, like)
                    ),
                    save_location,
                    load_location,
                )
        return self._locations[key]
