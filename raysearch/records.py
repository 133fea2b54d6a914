"""The nouns: frozen records that travel between the rooms, without behaviour of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

TrialState = Literal["finished", "stopped", "cut", "failed"]
SliceKind = Literal["group", "time", "forecast", "outcome"]


@dataclass(frozen=True)
class ColumnQuality:
    """What one column of the user's table looks like.

    Attributes:
        kind: number, boolean, category, datetime, time, duration, nested or empty.
        missing: rows without a value (null or NaN).
        distinct: distinct values, missing not counted.
        note: why the column is left out of the features or deserves a look; empty when nothing is odd.
    """

    name: str
    kind: str
    missing: int
    distinct: int
    used: bool
    note: str = ""


@dataclass(frozen=True)
class DataQuality:
    """The data quality report: rows are those of the user's table, before any were left out."""

    rows: int
    columns: tuple[ColumnQuality, ...]
    duplicate_rows: int
    rows_without_target: int
    constant_columns: tuple[str, ...]
    id_like_columns: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoldFacts:
    """What one fold learns from and is scored on: rows, first and last time, groups.

    Attributes:
        learnt_first, learnt_last, scored_first, scored_last: times as text; empty without a time column.
        learnt_groups, scored_groups: distinct groups; None without a group column.
    """

    fold: int
    learnt_rows: int
    learnt_first: str
    learnt_last: str
    learnt_groups: int | None
    scored_rows: int
    scored_first: str
    scored_last: str
    scored_groups: int | None


@dataclass(frozen=True)
class DatasetFacts:
    """What identifies a dataset in the record.

    Attributes:
        digest: 36 hexadecimal characters of the SHA-256 of all cells, names and types.
        schema: (column, Arrow type) in the table's order.
        split: rows by part, e.g. {"train": 6000, "valid": 1500, "test": 1900, "purged": 210}.
        folds: what each fold learns from and is scored on; one line without folds.
        split_digest: 36 hexadecimal characters of the SHA-256 of which rows serve for what, fold by fold.
    """

    name: str
    source: str
    digest: str
    rows: int
    schema: tuple[tuple[str, str], ...]
    split: Mapping[str, int]
    folds: tuple[FoldFacts, ...] = ()
    split_digest: str = ""

    @property
    def data_digest(self) -> str:
        """Return what tells data apart as trials see it: other cells or other folds give another."""
        both = hashlib.sha256(f"{self.digest} {self.split_digest}".encode()).hexdigest()
        return both[: len(self.digest)] if self.split_digest else self.digest


@dataclass(frozen=True)
class FoldRows:
    """One training of a trial: the rows to learn from and those to score on, in the shared table.

    Attributes:
        train: (start, stop) of the stretches of rows to learn from.
        watch: (start, stop) of the rows to score on, which are in none of them.
    """

    train: tuple[tuple[int, int], ...]
    watch: tuple[int, int]


@dataclass(frozen=True)
class Rung:
    """A trial's score at one step of its training.

    Attributes:
        step: boosting rounds done.
        metrics: flat names, in the target's original units, e.g. {"valid_pinball_loss_avg": 0.9}.
        objectives: value by objective's word, e.g. {"pinball": 0.9}; the score is the first one's.
        seconds: that it has taken so far, binning and scoring included; 0: not known.
        spent: what these went into, by part.
        folds: of how many folds, where not of all; 0: of all. Only scores of as many folds compare.
    """

    step: int
    score: float
    metrics: Mapping[str, float]
    objectives: Mapping[str, float] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)
    spent: Mapping[str, float] = field(default_factory=dict, compare=False)
    folds: int = 0

    @property
    def stage(self) -> int:
        """Return what scores are compared at: the boosting rounds, or 0 where not all folds are scored.

        It is also the step that Optuna is told, which takes later ones to tell more.
        """
        return 0 if self.folds else self.step


@dataclass(frozen=True)
class TrialResult:
    """One trial, when it has ended.

    Attributes:
        number: the trial's number in its study, from 0.
        key: unique for ever; a trial that is tried again after a fault keeps it.
        model: "lightgbm" or "xgboost".
        params: as sampled (with "model" and prefixed names where the library is part of the search).
        fit_params: as given to the library.
        state: finished: trained to its end; stopped: early, for it was worse than others after as many
            rounds; cut: the time budget left it none for more, it is the model of the rounds that served best
            so far; failed.
        score: value of the first objective, lower is better; by default valid_pinball_loss_avg, in the
            target's original units. None when failed.
        metrics: final metrics, flat names and sections.
        history: scores at the rungs.
        objectives: final value by objective's word, in the order asked for; empty when failed.
        started_s, ended_s: seconds since the epoch.
        again: key of the trial that was cut and whose parameters this one tries anew; empty: none.
        warm: the earlier study whose point this one tries; empty: none.
    """

    number: int
    key: str
    model: str
    params: Mapping[str, Any]
    fit_params: Mapping[str, Any]
    state: TrialState
    score: float | None
    rounds: int
    metrics: Mapping[str, float]
    history: tuple[Rung, ...]
    started_s: float
    ended_s: float
    reason: str = ""
    default: bool = False
    objectives: Mapping[str, float] = field(default_factory=dict)
    again: str = ""
    warm: str = ""

    @property
    def has_model(self) -> bool:
        """Whether its score is that of a model which can be kept."""
        return self.state in ("finished", "cut")

    @property
    def counts(self) -> bool:
        """Whether it is one of the trials asked for: one that was cut is tried once more by a resume."""
        return self.state in ("finished", "stopped")

    @property
    def seconds(self) -> float:
        """Wall seconds from start to end."""
        return self.ended_s - self.started_s


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
class Ensemble:
    """The trials that are the model together.

    Attributes:
        weights: by trial's number; they sum to 1.
        score: of their mean on the validation rows, each row with weights and a calibration that it has no
            say in; for rows in time the mean of the pinball losses as it is and as calibrated by all of them.
        best_score: of the best trial alone, among those that predict within the bound if there is one.
        best: that trial's number.
        models: trained models in the forecaster, one a trial, or one a trial and fold.
        predict_ms: milliseconds in which it predicts 1,000 rows; None where that was not timed.
        calibrated: whether the scores are those after calibration by other rows alone.
    """

    weights: Mapping[int, float]
    score: float
    best_score: float
    best: int
    models: int = 0
    predict_ms: float | None = None
    calibrated: bool = True

    @property
    def gain_percent(self) -> float:
        """By how much the score of all is lower than the best trial's alone."""
        return 100.0 * (1.0 - self.score / self.best_score) if self.best_score else 0.0


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


@dataclass(frozen=True)
class Profile:
    """Where the seconds of a study's last run went.

    Attributes:
        phases: seconds on the clock by phase of the command.
        workers: seconds of all workers during the search, by part; "idle": what they waited.
        driver: processor seconds of the driving process during the search, by part.
        slots: workers at once.
        trials: that ended in this run.
    """

    phases: Mapping[str, float]
    workers: Mapping[str, float]
    driver: Mapping[str, float]
    slots: int
    trials: int


@dataclass(frozen=True)
class WarmPoint:
    """A point of an earlier study that a search begins with.

    Attributes:
        params: as this search samples them.
        study, run_id: where it comes from.
        distance: of that study's data from this one's, 0 for the same.
        ratio: its score there as a share of the untuned default's.
    """

    params: Mapping[str, Any]
    study: str
    run_id: str
    distance: float
    ratio: float


@dataclass(frozen=True)
class WarmStart:
    """What a search began with of what earlier studies know.

    Attributes:
        looked_at: earlier studies with the same levels and objectives.
        alike: those of them whose data is alike.
        note: what kept it from looking, in words; empty: nothing.
    """

    looked_at: int = 0
    alike: int = 0
    points: tuple[WarmPoint, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class WarmOutcome:
    """What the points of earlier studies brought.

    Attributes:
        trials: those that tried one, in order of number.
        best: the best of them that became a model; None where none did.
        other: the best of all other trials that became a model; None likewise.
    """

    start: WarmStart
    trials: tuple[TrialResult, ...] = ()
    best: TrialResult | None = None
    other: TrialResult | None = None

    @property
    def gain_percent(self) -> float | None:
        """By how much the best of them scores lower than the best of the others; None where not known."""
        if self.best is None or self.other is None or self.best.score is None or not self.other.score:
            return None
        return 100.0 * (1.0 - self.best.score / self.other.score)


@dataclass(frozen=True)
class StudyResult:
    """A study that has ended, as told at the end, in ``result.json`` and by ``--json``.

    Attributes:
        modelled: the evaluation on the modelled scale, where the target is transformed; None otherwise.
        modelled_name: what that scale is called, e.g. "nav_log".
        stopped_by: "trials", "time", "patience", "failures" or "interrupt".
        wall_s: seconds of the whole command.
        objectives: words of what trials were scored by.
        pareto: with several objectives the trials that no other is better than by all, the best by the first
            objective first; empty with a single one.
        ensemble: the trials that are the model.
        picked: how ``best`` was chosen among them, in words; empty with a single objective.
        comparison: the tuned model against the untuned default; None where that failed.
        rivals: what the tuned model was compared with, in full.
        slices: its scores by group, by time, and in the tails.
        profile: where the time went, as far as the report.
        warm: what points of earlier studies brought; None where they were not asked for.
    """

    study: str
    parent_run_id: str | None
    tracking_uri: str | None
    trials: Mapping[str, int]
    best: TrialResult
    default: TrialResult | None
    evaluation: Evaluation
    comparison: Comparison | None
    model_path: str
    report_path: str
    stopped_by: str
    wall_s: float
    modelled: Evaluation | None = None
    modelled_name: str | None = None
    objectives: tuple[str, ...] = ("pinball",)
    pareto: tuple[TrialResult, ...] = ()
    picked: str = ""
    ensemble: Ensemble | None = None
    rivals: tuple[Rival, ...] = ()
    slices: tuple[Slice, ...] = ()
    profile: Profile | None = None
    warm: WarmOutcome | None = None

    def rival(self, name: str) -> Rival | None:
        """Return "default" or "constant", or None where there is none."""
        return next((rival for rival in self.rivals if rival.name == name), None)

    def sliced(self, *kinds: SliceKind) -> tuple[Slice, ...]:
        """Return the slices of some kinds, in their order."""
        return tuple(part for part in self.slices if part.kind in kinds)
