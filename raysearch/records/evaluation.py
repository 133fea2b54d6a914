"""How a forecast does on rows, and beside others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

SliceKind = Literal["group", "time", "forecast", "outcome"]


@dataclass(frozen=True)
class Interval:
    """Coverage of one interval, with what it claims.

    Attributes:
        nominal: share of rows that should lie inside, e.g. 0.9.
        low, high: 95 % confidence limits of the coverage; None where the rows hold too few independent
            blocks to tell them.
        width: mean width, in the target's units.
    """

    nominal: float
    coverage: float
    low: float | None
    high: float | None
    width: float
    rows: int

    @property
    def limits(self) -> tuple[float, float] | None:
        """The confidence limits, or None where they are not known."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True)
class Evaluation:
    """How a forecaster does on rows, in the target's original units.

    Attributes:
        part: "test", or "valid" where no rows were held out for a test.
        metrics: flat names (``pinball_loss_avg``, ``coverage_90``, ...) and sections (``pinball/q0.05``),
            without the part's prefix.
        reliability: for each level the share of rows at or below its quantile.
        groups: by group value, its intervals (widest first).
        reliability_limits: for each level the 95 % confidence limits of its share; None where not known.
        blocks: independent blocks that the limits take the rows to be; None: every row is independent.
    """

    part: str
    rows: int
    metrics: Mapping[str, float]
    intervals: tuple[Interval, ...]
    reliability: Mapping[float, float]
    groups: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)
    reliability_limits: Mapping[float, tuple[float, float] | None] = field(default_factory=dict)
    blocks: int | None = None


@dataclass(frozen=True)
class Comparison:
    """The tuned model against another forecast of the same rows, paired row by row.

    Attributes:
        tuned, other: average loss of either, the pinball loss over all levels where nothing else is said.
        gain_percent: by how much the tuned model's loss is lower.
        low_percent, high_percent: 95 % interval of the gain by a block bootstrap; None where there are too
            few independent blocks of rows for one.
        objectives: by word of each objective other than pinball, the tuned model's value and the default's.
        p_value: of a paired test that the two losses are the same; None likewise.
    """

    part: str
    tuned: float
    other: float
    gain_percent: float
    low_percent: float | None
    high_percent: float | None
    p_value: float | None = None
    objectives: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def limits(self) -> tuple[float, float] | None:
        """The interval of the gain, or None where there is none."""
        if self.low_percent is None or self.high_percent is None:
            return None
        return self.low_percent, self.high_percent


@dataclass(frozen=True)
class Rival:
    """A forecast that the tuned model must beat, on the same rows.

    Attributes:
        name: "default": the library's untuned defaults; "constant": the same quantiles for every row, those
            of the target in the rows learnt from.
        evaluation: how it does itself.
        scores: the tuned model against it, by metric: ``pinball_loss_avg``, at single levels
            (``pinball/q0.05``), ``interval_score_90``. Scores of the outermost levels tell of the tails.
    """

    name: str
    evaluation: Evaluation
    scores: Mapping[str, Comparison]

    @property
    def comparison(self) -> Comparison:
        """The tuned model against it, by the average pinball loss."""
        return self.scores["pinball_loss_avg"]


@dataclass(frozen=True)
class Slice:
    """Some of the evaluated rows: how the tuned model does there, beside its rivals.

    Attributes:
        kind: what the rows were chosen by: "group"; "time", in its order; "forecast", what the model said of
            them; or "outcome", what happened. Only of "outcome" coverage says nothing on whether intervals
            hold what they claim: it was looked at to choose the rows.
        rivals: the tuned model against each, by name.
    """

    kind: SliceKind
    name: str
    evaluation: Evaluation
    rivals: Mapping[str, Comparison]
