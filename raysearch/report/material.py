"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raysearch.objectives import titles
from raysearch.records import DataQuality, DatasetFacts, Evaluation, StudyResult, TrialResult


@dataclass(frozen=True)
class ReportMaterial:
    """Everything the page tells, gathered by the caller.

    Attributes:
        trials: all ended trials in order of number.
        config: the resolved settings, by section.
        parameter_importance: share of the score's variation by parameter, summing to 1; may be empty.
        feature_importance: share by feature, under names a human knows; may be empty.
        levels: rising, each in (0, 1).
        y: truth of the evaluated rows [rows], in original units.
        quantiles: predictions for the same rows [rows, levels].
        groups: group of each row [rows], or None.
        times: datetime64 or float [rows], or None.
        modelled: the same evaluation on the scale the model was fitted on, where there is a transform.
        modelled_name: that scale's name, e.g. "nav_log".
        notes: what a reader must know.

    Raises:
        ValueError: if the arrays do not have one row each for the same rows.
    """

    result: StudyResult
    trials: tuple[TrialResult, ...]
    facts: DatasetFacts
    quality: DataQuality
    config: Mapping[str, Mapping[str, Any]]
    parameter_importance: Mapping[str, float]
    feature_importance: Mapping[str, float]
    levels: tuple[float, ...]
    y: np.ndarray
    quantiles: np.ndarray
    groups: np.ndarray | None
    times: np.ndarray | None
    modelled: Evaluation | None
    modelled_name: str | None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        rows = len(self.y)
        if self.quantiles.shape != (rows, len(self.levels)):
            raise ValueError(
                f"quantiles: got shape {self.quantiles.shape}, must be [rows, levels] = "
                f"({rows}, {len(self.levels)})"
            )
        for name in ("groups", "times"):
            values = getattr(self, name)
            if values is not None and len(values) != rows:
                raise ValueError(f"{name}: got {len(values)} rows, must be {rows} as in y")

    @property
    def target(self) -> str:
        """Name of the forecast column, or plain words where the settings do not tell it."""
        return str(self.config.get("data", {}).get("target") or "the target")

    @property
    def measure(self) -> str:
        """What the score of a trial is called: the first objective."""
        first = next(iter(titles(self.result.objectives).values()))
        return "average pinball loss" if first == "pinball loss" else first

    @property
    def part(self) -> str:
        """What the evaluated rows are called: "test" or "validation"."""
        return "test" if self.result.evaluation.part == "test" else "validation"


def middle_level(levels: tuple[float, ...]) -> int:
    """Return the index of the level nearest to the median."""
    return min(range(len(levels)), key=lambda index: abs(levels[index] - 0.5))
