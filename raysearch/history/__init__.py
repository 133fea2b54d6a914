"""What earlier studies know: their data, their best points, and which of these fit a new study."""

from raysearch.history.choose import ONE_IN, Here, choose, most_points
from raysearch.history.kinds import Kind, ParameterAgreement, kinds_of
from raysearch.history.likeness import CUT_OFF, distance
from raysearch.history.points import best_points, space_digest
from raysearch.history.record import MetaFeatures, PastPoint, PastStudy, parse_past, to_text

__all__ = [
    "CUT_OFF",
    "ONE_IN",
    "Here",
    "Kind",
    "MetaFeatures",
    "ParameterAgreement",
    "PastPoint",
    "PastStudy",
    "best_points",
    "choose",
    "distance",
    "kinds_of",
    "most_points",
    "parse_past",
    "space_digest",
    "to_text",
]
