"""The tuned model beside what it must beat, on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysearch.evaluation.limits import Blocks, Labels, joined
from raysearch.evaluation.overall import evaluate
from raysearch.evaluation.paired import compare
from raysearch.metrics import Array, interval_pairs, interval_scores, level_name, nominal_name, pinball_losses
from raysearch.records import Evaluation, Rival

_HEADLINE = "pinball_loss_avg"
_MOST_DRAWN = 200  # blocks, where there are many comparisons: their intervals take a tenth of the time


@dataclass(frozen=True)
class Forecast:
    """What one model says of some rows.

    Attributes:
        q: quantiles as users get them, in order [rows, levels].
        crossed: whether the levels had to be put in order [rows].
    """

    q: Array
    crossed: NDArray[np.bool_]


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of the same rows by the tuned model and by its rivals, by name.

    Attributes:
        part: "test" or "valid".
        y: truth [rows].
        blocks: [rows], or None where rows are independent.
        weights: how much each row counts [rows]; None: all alike.
    """

    part: str
    levels: tuple[float, ...]
    y: Array
    tuned: Forecast
    rivals: Mapping[str, Forecast] = field(default_factory=dict)
    blocks: Labels = None
    weights: Array | None = None

    def at(self, rows: NDArray[Any]) -> Forecasts:
        """Return the forecasts of some of the rows."""

        def of(forecast: Forecast) -> Forecast:
            return Forecast(forecast.q[rows], forecast.crossed[rows])

        rivals = {name: of(forecast) for name, forecast in self.rivals.items()}
        blocks = None if self.blocks is None else self.blocks[rows]
        weights = None if self.weights is None else self.weights[rows]
        return replace(
            self, y=self.y[rows], tuned=of(self.tuned), rivals=rivals, blocks=blocks, weights=weights
        )

    def weighted(self, losses: Array) -> Array:
        """Return losses [rows] whose plain mean is the weighted one."""
        if self.weights is None or not len(losses):
            return losses
        return np.asarray(losses * self.weights / self.weights.mean())

    def evaluate(self, forecast: Forecast, groups: Labels = None) -> Evaluation:
        """Return the scores of one of the forecasts; ``groups``: as in ``evaluate``."""
        found = evaluate(self.part, self.y, forecast.q, self.levels, groups, self.blocks, self.weights)
        share = float(forecast.crossed.mean()) if len(self.y) else 0.0
        return replace(found, metrics={**found.metrics, "crossing_rate_before_ordering": share})


def make_rivals(forecasts: Forecasts) -> tuple[Rival, ...]:
    """Return how each rival does, and the tuned model against it by each score that has a loss a row.

    The WIS is twice the average pinball loss, so that gain and test are the same.
    """
    tuned = row_losses(forecasts.y, forecasts.tuned.q, forecasts.levels)
    few = coarse_blocks(forecasts.blocks, len(forecasts.y))
    found = []
    for name, forecast in forecasts.rivals.items():
        other = row_losses(forecasts.y, forecast.q, forecasts.levels)
        scores = {
            metric: compare(
                forecasts.part,
                forecasts.weighted(loss),
                forecasts.weighted(other[metric]),
                blocks=forecasts.blocks if metric == _HEADLINE else few,
            )
            for metric, loss in tuned.items()
        }
        found.append(Rival(name, forecasts.evaluate(forecast), scores))
    return tuple(found)


def row_losses(y: Array, q: Array, levels: Sequence[float]) -> dict[str, Array]:
    """Return the loss of each row [rows] by metric; the metric is its mean."""
    pinball = pinball_losses(y, q, levels)
    losses = {_HEADLINE: pinball.mean(axis=1)}
    losses |= {f"pinball/{level_name(level)}": pinball[:, i] for i, level in enumerate(levels)}
    for low, high, nominal in interval_pairs(levels):
        scores = interval_scores(y, q[:, low], q[:, high], nominal)
        losses[f"interval_score_{nominal_name(nominal)}"] = scores
    return losses


def coarse_blocks(blocks: Labels, rows: int) -> Blocks:
    """Return blocks [rows] that are few enough to be redrawn often; independent rows are joined to some."""
    return joined(np.arange(rows) if blocks is None else blocks, _MOST_DRAWN)
