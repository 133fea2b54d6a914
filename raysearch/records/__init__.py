"""The nouns: frozen records that travel between the rooms, without behaviour of their own."""

from raysearch.records.data import ColumnQuality, DataQuality, DatasetFacts, FoldFacts, FoldRows
from raysearch.records.evaluation import Comparison, Evaluation, Interval, Rival, Slice, SliceKind
from raysearch.records.study import Ensemble, Profile, StudyResult, WarmOutcome, WarmPoint, WarmStart
from raysearch.records.trial import Rung, TrialResult, TrialState

__all__ = [
    "ColumnQuality",
    "Comparison",
    "DataQuality",
    "DatasetFacts",
    "Ensemble",
    "Evaluation",
    "FoldFacts",
    "FoldRows",
    "Interval",
    "Profile",
    "Rival",
    "Rung",
    "Slice",
    "SliceKind",
    "StudyResult",
    "TrialResult",
    "TrialState",
    "WarmOutcome",
    "WarmPoint",
    "WarmStart",
]
