"""LightGBM in training: one booster a level, round by round."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lightgbm as lgb
import numpy as np
from lightgbm.basic import _LIB, _safe_call

from raysearch.metrics import Array
from raysearch.models.protocol import FitSettings, Frame
from raysearch.models.tunables import OWN, TUNABLE, adds_up

_ROUNDS = TUNABLE["lightgbm"].rounds
FILE = "level_{:03d}.txt"
_TREES = "trees.json"
_MOST_CELLS = 2_000_000  # of watched rows, of which a copy costs little: predicting them takes a quarter less
_SMALL_ROWS = 30_000  # below, histograms by row are the faster ones


def base_params(settings: FitSettings, rows: int) -> dict[str, Any]:
    return {
        "objective": "quantile",
        # Levels are trained beside each other; only threads beyond one a level are the library's own.
        "num_threads": max(1, settings.of_a_tree // len(settings.levels)),
        "seed": settings.seed,
        "deterministic": True,
        # The library's automatic choice between the two is timed, and so would not repeat.
        "force_row_wise" if rows < _SMALL_ROWS else "force_col_wise": True,
        "feature_pre_filter": False,  # else trials with a smaller min_data_in_leaf could not share the bins
        "verbosity": -1,
        **_together(settings),
    }


def _together(settings: FitSettings) -> dict[str, Any]:
    """Return what makes one training of those of several processes.

    The network is the thread's that has opened it: levels are trained in turns, each by all threads.
    """
    if settings.workers == 1:
        return {}
    return {
        "tree_learner": "data",
        "pre_partition": True,
        "num_machines": settings.workers,
        "num_threads": settings.of_a_tree,
    }


def _constraints(settings: FitSettings) -> dict[str, Any]:
    """Return what keeps forecasts monotone: LightGBM's own quantile objective refuses it.

    It sets a leaf to the quantile of its rows' residuals, whatever the constraint allowed. Trees that follow
    the plain gradient of the pinball loss keep the values that the constraint has allowed them.
    """
    if not settings.monotone:
        return {}
    return {"objective": "none", "monotone_constraints": list(settings.monotone)}


def _pinball_gradient(level: float) -> Callable[[Array, lgb.Dataset], tuple[Array, Array]]:
    """Return the gradient of the pinball loss, and as its curvature, which is none, one a row.

    A leaf then moves by the learning rate times the share of its rows that lie on the wrong side, in units of
    the target's spread.
    """

    def gradient(q: Array, known: lgb.Dataset) -> tuple[Array, Array]:
        weights = known.get_weight()
        counts = np.ones(len(q)) if weights is None else np.asarray(weights, dtype=np.float64)
        return np.where(q >= known.get_label(), 1.0 - level, -level) * counts, counts

    return gradient


def _quiet_thread() -> None:
    """LightGBM's verbosity is a thread's own, and is set only where a thread reads parameters."""
    lgb.Dataset(np.zeros((2, 1)), params={"verbosity": -1}).construct()


def _continued(
    params: dict[str, Any], binned: lgb.Dataset, earlier: lgb.Booster, frame: Frame
) -> lgb.Booster:
    """Return a booster that goes on where ``earlier`` ended.

    The library's own way (``init_model``) needs the rows as they were before, inside of the dataset.
    """
    binned.set_field("init_score", earlier.predict(frame.features, num_threads=params["num_threads"]))
    try:
        booster = lgb.Booster(params, binned)
    finally:
        binned.set_field("init_score", None)  # other trials share the dataset; set_init_score keeps a copy
    _safe_call(_LIB.LGBM_BoosterMerge(booster._handle, earlier._handle))
    return booster


class Fit:
    def __init__(
        self,
        binned: lgb.Dataset,
        params: Mapping[str, Any],
        settings: FitSettings,
        watched: Frame,
        saved: tuple[Mapping[str, bytes], Frame] | None = None,
    ) -> None:
        own = {name: value for name, value in params.items() if name not in (_ROUNDS, *OWN)}
        shared = {**base_params(settings, binned.num_data()), **own, **_constraints(settings)}
        of_levels = [{**shared, "alpha": level} for level in settings.levels]
        self._gradients = [
            _pinball_gradient(level) if settings.monotone else None for level in settings.levels
        ]
        small = watched.rows * watched.features.num_columns <= _MOST_CELLS
        self._watched = np.ascontiguousarray(watched.view().matrix) if small else watched.features
        self._sums: Array = np.zeros((watched.rows, len(settings.levels)))
        self._predicted = [0] * len(settings.levels)
        self._trees: list[list[int]] = [[0] for _ in settings.levels]  # by rounds: one can be without a split
        if saved is None:
            self._boosters = [lgb.Booster(one, binned) for one in of_levels]
        else:
            files, frame = saved
            earlier = [lgb.Booster(model_str=files[FILE.format(i)].decode()) for i in range(len(of_levels))]
            self._boosters = [
                _continued(one, binned, booster, frame)
                for one, booster in zip(of_levels, earlier, strict=True)
            ]
            self._trees = json.loads(files[_TREES])
        self._threads = settings.threads
        self._in_turns = settings.threads == 1 or settings.workers > 1
        self.additive = adds_up(params)
        self.rounds = len(self._trees[0]) - 1

    def advance(self, rounds: int) -> None:
        def train(booster: lgb.Booster, gradient: Any, trees: list[int]) -> None:
            # A round without a split is no end: with sampled columns or rows the next can find one.
            for _ in range(self.rounds, rounds):
                booster.update(fobj=gradient)
                trees.append(booster.current_iteration())

        if self._in_turns:
            for level in zip(self._boosters, self._gradients, self._trees, strict=True):
                train(*level)
        else:
            # Training leaves Python's lock alone; threads within a tree wait for each other, of levels not.
            with ThreadPoolExecutor(self._threads, initializer=_quiet_thread) as pool:
                list(pool.map(train, self._boosters, self._gradients, self._trees))
        self.rounds = rounds

    def predict_watched(self, rounds: int | None = None) -> Array:
        if not len(self._sums):
            return self._sums.copy()
        if rounds not in (None, self.rounds):
            return np.column_stack([self._predict_first(rounds, i) for i in range(len(self._boosters))])
        if not self.additive:
            return np.column_stack([self._predict(b, 0, -1) for b in self._boosters])
        for i, booster in enumerate(self._boosters):
            done = booster.current_iteration()
            if done > self._predicted[i]:
                self._sums[:, i] += self._predict(booster, self._predicted[i], done - self._predicted[i])
                self._predicted[i] = done
        return self._sums.copy()

    def _predict_first(self, rounds: int | None, i: int) -> Array:
        count = self._trees[i][rounds or 0]  # the library takes 0 trees for all
        return self._predict(self._boosters[i], 0, count) if count else np.zeros(len(self._sums))

    def _predict(self, booster: lgb.Booster, start: int, count: int) -> Array:
        values = booster.predict(
            self._watched, start_iteration=start, num_iteration=count, num_threads=self._threads
        )
        return np.asarray(values, dtype=np.float64)

    def dump(self, rounds: int | None = None) -> dict[str, bytes]:
        kept = self.rounds if rounds is None else rounds
        return {
            FILE.format(i): booster.model_to_string(num_iteration=trees[kept] or -1).encode()
            for i, (booster, trees) in enumerate(zip(self._boosters, self._trees, strict=True))
        }

    def save(self) -> dict[str, bytes]:
        return {**self.dump(), _TREES: json.dumps(self._trees).encode()}
