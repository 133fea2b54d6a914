"""How far the data of two studies is apart."""

from __future__ import annotations

import math

from raysearch.history.record import MetaFeatures

CUT_OFF = 0.1  # beyond it data is not alike; see benchmarks/warm_start.py --distances
_DECADES = {"rows": 3.0, "columns": 2.0}  # powers of ten that count as wholly different
_SPANS = {
    "numbers": 1.0,
    "categories": 1.0,
    "dates": 1.0,
    "missing": 0.5,
    "skew": 1.0,
    "tails": 2.0,
    "repeated": 0.5,
    "noise": 0.5,
}


def distance(one: MetaFeatures, other: MetaFeatures) -> float:
    """Return how far data is apart: 0 for the same, 1 for wholly different; infinite where one is in time.

    The mean of the absolute differences of meta-features, each scaled to [0, 1]: the L1 distance by which
    Feurer, Springenberg and Hutter, "Initializing Bayesian hyperparameter optimization via meta-learning"
    (AAAI 2015), find the data sets whose best settings a search begins with. The scales are fixed, so that
    what is alike does not depend on which studies a store holds. Rows in time are scored on what comes after
    them, where other settings serve: they are never alike to rows at random or by group, which differ in one
    feature.
    """
    if (one.split == "time") != (other.split == "time"):
        return math.inf
    parts = [float(one.split != other.split)]
    for name, decades in _DECADES.items():
        parts.append(abs(math.log10(getattr(one, name)) - math.log10(getattr(other, name))) / decades)
    parts += [abs(getattr(one, name) - getattr(other, name)) / span for name, span in _SPANS.items()]
    return sum(min(1.0, part) for part in parts) / len(parts)
