"""How what a model says of validation rows is scored: in order, calibrated, in the target's own units."""

from __future__ import annotations

from contextlib import nullcontext as nothing
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from raysearch.calibration import Groups, calibrate, cross_calibrated
from raysearch.evaluation import levels_collapse
from raysearch.metrics import Array, Ints, pinball_loss_avg, score_metrics, with_prefix
from raysearch.objectives import objective_metrics
from raysearch.recipe import ANCHOR, GROUP, TARGET, WEIGHT, Recipe
from raysearch.records import Rung
from raysearch.stopwatch import Stopwatch

COLLAPSED = (
    "all its quantile levels are alike, though the truth varies: its trees found nothing to learn; lower "
    "min_data_in_leaf or min_child_weight in the search space, or bring more rows"
)


class TrialError(Exception):
    """A trial cannot be scored; the message is its recorded reason."""


@dataclass(frozen=True)
class Scored:
    """Rows that models are scored on.

    Attributes:
        y: truth [rows]; ``z``: the same on the boosters' scale.
        anchor: what the transform hangs on [rows], or None; ``weights`` and ``groups`` likewise.
    """

    y: Array
    z: Array
    anchor: Array | None = None
    weights: Array | None = None
    groups: Groups | None = None

    @classmethod
    def of(cls, table: pa.Table, recipe: Recipe) -> Scored:
        """Return the rows of a prepared table."""
        y = table[TARGET].to_numpy()
        anchor, weights, groups = (
            table[name].to_numpy() if name in table.column_names else None for name in (ANCHOR, WEIGHT, GROUP)
        )
        z = recipe.transform.standardise(recipe.transform.forward(y, anchor))
        return cls(y, z, anchor, weights, groups)

    def slice(self, start: int, stop: int) -> Scored:
        """Return the rows from ``start`` to ``stop``."""
        groups = None if self.groups is None else self.groups[start:stop].astype(str)
        parts = [None if v is None else v[start:stop] for v in (self.anchor, self.weights)]
        return Scored(self.y[start:stop], self.z[start:stop], parts[0], parts[1], groups)


class Scorer:
    """Scores what models say of some rows."""

    def __init__(self, rows: Scored, recipe: Recipe) -> None:
        self._rows, self.recipe = rows, recipe
        self.y = rows.y

    def loss(self, raw: Array) -> float:
        """Return the pinball loss of quantiles of the rows, neither ordered nor calibrated."""
        return self.loss_of(raw, np.arange(len(raw)))

    def loss_of(self, raw: Array, rows: Ints) -> float:
        """Return the same of some of the rows, by their numbers; ``raw`` is [those rows, levels]."""
        anchor = None if self._rows.anchor is None else self._rows.anchor[rows]
        q = self.recipe.transform.inverse(self.recipe.transform.restore(raw), anchor)
        weights = None if self._rows.weights is None else self._rows.weights[rows]
        return pinball_loss_avg(self.y[rows], q, self.recipe.settings.levels, weights)

    def calibrated_by_itself(self, raw: Array) -> Array:
        """Return quantiles of the rows with the offsets of these very rows, [rows, levels]."""
        kind, levels = self.recipe.calibrate, self.recipe.settings.levels
        weights = self.recipe.folds.weights
        return calibrate(kind, self._rows.z, raw, levels, self._rows.groups, weights).apply(
            raw, self._rows.groups
        )

    def quantiles(self, raw: Array) -> Array:
        """Return the quantiles of the rows that are told of, [rows, levels], as the user will get them.

        In order, calibrated by rows that neither the model nor the row itself knows, in original units.

        Args:
            raw: what the boosters say of the rows, [rows, levels].
        """
        recipe = self.recipe
        levels, told = recipe.settings.levels, recipe.folds.told
        z = cross_calibrated(recipe.calibrate, self._rows.z, raw, levels, recipe.folds, self._rows.groups)
        anchor = None if self._rows.anchor is None else self._rows.anchor[told]
        return recipe.transform.inverse(recipe.transform.restore(z), anchor)

    def refuse_collapsed(self, raw: Array) -> None:
        """Raise TrialError where all levels of the rows are alike, though the truth varies."""
        if levels_collapse(self._rows.z, raw, self.recipe.settings.levels):
            raise TrialError(COLLAPSED)

    def score(self, raw: Array, rounds: int, watch: Stopwatch | None = None) -> Rung:
        """Score the rows that can be told of, on the quantiles that the user will get."""
        with watch.part("calibration") if watch else nothing():
            q = self.quantiles(raw) if np.isfinite(raw).all() else raw
        if not np.isfinite(q).all():
            raise TrialError(f"the model predicts values that are not finite after {rounds} rounds")
        y, objectives = self.y[self.recipe.folds.told], self.recipe.objectives
        levels = self.recipe.settings.levels
        weights = None if self._rows.weights is None else self._rows.weights[self.recipe.folds.told]
        metrics = score_metrics(y, q, levels, weights)
        metrics |= objective_metrics(objectives, metrics, y, q, levels, weights)
        values = {objective.word: metrics[objective.metric] for objective in objectives}
        score = next(iter(values.values()))
        return Rung(rounds, score, with_prefix(self.recipe.part, metrics), values)
