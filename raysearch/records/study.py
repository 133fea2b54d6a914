"""What comes out of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raysearch.records.evaluation import Comparison, Evaluation, Rival, Slice, SliceKind
from raysearch.records.trial import TrialResult


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
        of: trials that have ended, these included.
    """

    start: WarmStart
    trials: tuple[TrialResult, ...] = ()
    best: TrialResult | None = None
    other: TrialResult | None = None
    of: int = 0

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
