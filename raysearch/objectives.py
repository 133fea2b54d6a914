"""What a trial is scored by: one number or several, all of them better where they are lower.

``pinball``, ``wis``, ``crps``, ``interval_90`` (the interval score at a nominal of 90 %) and ``width_90``
(the mean width of that interval) are in the target's units. ``coverage_gap`` is a share: by how much the
coverage of the intervals is off what they claim, on average over the intervals, 0.03 for 3 points. Words
joined by ``+`` make a sum, in which the gap counts in units of the losses: ``pinball + 0.5*coverage_gap`` is
``pinball * (1 + 0.5 * coverage_gap)``, so that each point of gap costs as much as 0.5 % of the loss, whatever
the target's units are. Commas part objectives that are weighed against each other by a Pareto front.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raysearch.errors import listing, nearest
from raysearch.metrics import (
    Array,
    crps_from_quantiles,
    interval_pairs,
    interval_score,
    nominal_name,
    score_metrics,
    weighted_interval_score,
)

GAP = "coverage_gap"
# The word of a measure: its metric's name, and what it is called. Those of an interval end in its nominal.
_MEASURES = {
    "pinball": ("pinball_loss_avg", "pinball loss"),
    "wis": ("wis", "WIS"),
    "crps": ("crps", "CRPS"),
    GAP: (GAP, "coverage gap"),
}
_OF_INTERVAL = {"interval": ("interval_score", "interval score"), "width": ("width", "mean width")}
_NOMINAL = re.compile(r"(interval|interval_score|width)_(\d+(?:\.\d+)?)")
_TERM = re.compile(r"(?:([^*]*)\*)?([^*]*)")


@dataclass(frozen=True)
class Objective:
    """One number that trials are compared by.

    Attributes:
        terms: (weight, measure) of the sum; a measure alone has weight 1.
    """

    terms: tuple[tuple[float, str], ...]

    @property
    def word(self) -> str:
        """As it is written in settings, e.g. "pinball+0.5*coverage_gap"."""
        return "+".join(f"{_factor(weight)}*{name}" if weight != 1 else name for weight, name in self.terms)

    @property
    def metric(self) -> str:
        """Its name among metrics, without a part's prefix: pinball_loss_avg, interval_score_90."""
        if len(self.terms) == 1 and self.terms[0][0] == 1:
            return _metric(self.terms[0][1])
        return self.word.replace("+", "_plus_").replace("*", "_")

    @property
    def title(self) -> str:
        """What readers are told that it is: "pinball loss", "interval score at 90 %"."""
        return " + ".join(
            f"{_factor(weight)} × {_title(name)}" if weight != 1 else _title(name)
            for weight, name in self.terms
        )

    def value(self, measured: Mapping[str, float]) -> float:
        """Return the number, from that of each measure by its word."""
        losses = [weight * measured[name] for weight, name in self.terms if name != GAP]
        gap = sum(weight * measured[name] for weight, name in self.terms if name == GAP)
        return sum(losses) * (1 + gap) if losses else gap


PINBALL = Objective(((1.0, "pinball"),))


def parse_objectives(text: str) -> tuple[Objective, ...]:
    """Return the objectives of "pinball", "pinball,coverage_gap" or "pinball + 0.5*coverage_gap".

    Raises:
        ValueError: with what is wrong, and what would be right.
    """
    found = tuple(_parse(part) for part in text.split(","))
    words = [objective.word for objective in found]
    if twice := [word for word in words if words.count(word) > 1]:
        raise ValueError(f"{twice[0]!r} stands twice")
    return found


def _parse(text: str) -> Objective:
    terms = tuple(_term(term) for term in text.split("+"))
    names = [name for _, name in terms]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]!r} stands twice in the sum {text.strip()!r}")
    return Objective(terms)


def _term(text: str) -> tuple[float, str]:
    matched = _TERM.fullmatch("".join(text.split()).lower())
    weight, name = matched.groups() if matched else (None, text.strip())
    try:
        factor = 1.0 if weight is None else float(weight)
    except ValueError:
        factor = math.nan
    if not 0 < factor < math.inf:
        raise ValueError(f"{text.strip()!r}: a weight is a number above 0, e.g. pinball + 0.5*coverage_gap")
    return factor, _known(name)


def _factor(weight: float) -> str:
    """Return a weight as it can be read again: a plus would part the sum."""
    return f"{weight:.10g}".replace("e+", "e")


def _known(name: str) -> str:
    """Return the word of a measure that is named by it or by its metric's name."""
    by_metric = {metric: word for word, (metric, _) in _MEASURES.items()}
    if found := _NOMINAL.fullmatch(name):
        return f"{found[1].partition('_')[0]}_{float(found[2]):.10g}"
    if name in _MEASURES or name in by_metric:
        return by_metric.get(name, name)
    known = (*_MEASURES, *(f"{kind}_90" for kind in _OF_INTERVAL))
    raise ValueError(f"got {name!r}, must be one of {listing(known)}{nearest(name, known)}")


def titles(words: Sequence[str]) -> dict[str, str]:
    """Return by word of each objective what it is called."""
    return {objective.word: objective.title for objective in parse_objectives(",".join(words))}


def unmet(objectives: Sequence[Objective], levels: Sequence[float]) -> str:
    """Return in words what keeps the objectives from being told of these levels; "" where nothing does."""
    held = [nominal_name(nominal) for _, _, nominal in interval_pairs(levels)]
    for objective in objectives:
        for _, name in objective.terms:
            kind, _, nominal = name.rpartition("_")
            if name == GAP and not held:
                return f"{GAP!r} needs two levels, which bound an interval"
            if kind in _OF_INTERVAL and nominal not in held:
                has = listing(f"{kind}_{one}" for one in held) if held else "no interval"
                return f"{name!r}: the levels hold no interval of {nominal} %, they hold {has}"
    (only, *others) = objectives
    if not others and all(name == GAP or name.startswith("width_") for _, name in only.terms):
        return f"{only.word!r} alone is met by useless forecasts; add a loss, e.g. pinball,{only.word}"
    return ""


def objective_metrics(
    objectives: Sequence[Objective],
    known: Mapping[str, float],
    y: Array,
    q: Array,
    levels: Sequence[float],
    weights: Array | None = None,
) -> dict[str, float]:
    """Return the objectives and the terms of their sums by their metrics' names, without a part's prefix.

    Args:
        known: what ``score_metrics`` says of the same rows; empty: it is asked.
        y: truth [rows].
        q: quantiles in order [rows, levels].
        weights: how much each row counts [rows]; None: all alike.
    """
    known = known or score_metrics(y, q, levels, weights)
    names = dict.fromkeys(name for objective in objectives for _, name in objective.terms)
    measured = {name: _measure(name, known, (y, q, weights), levels) for name in names}
    found = {_metric(name): value for name, value in measured.items()}
    return found | {objective.metric: objective.value(measured) for objective in objectives}


def scores(objectives: Sequence[Objective], y: Array, q: Array, levels: Sequence[float]) -> tuple[float, ...]:
    """Return the number of each objective for truth ``y`` [rows] and ordered quantiles [rows, levels]."""
    found = objective_metrics(objectives, {}, y, q, levels)
    return tuple(found[objective.metric] for objective in objectives)


def _measure(
    name: str, known: Mapping[str, float], rows: tuple[Array, Array, Array | None], levels: Sequence[float]
) -> float:
    if _metric(name) in known:
        return known[_metric(name)]
    pairs = {nominal_name(nominal): (low, high, nominal) for low, high, nominal in interval_pairs(levels)}
    if name == GAP:
        gaps = [abs(known[f"coverage_{shown}"] - pair[2]) for shown, pair in pairs.items()]
        return sum(gaps) / len(gaps)
    y, q, weights = rows
    kind, _, nominal = name.rpartition("_")
    if kind in _OF_INTERVAL:
        low, high, share = pairs[nominal]
        return interval_score(y, q[:, low], q[:, high], share, weights)
    whole = {"wis": weighted_interval_score, "crps": crps_from_quantiles}
    return whole[name](y, q, levels, weights)


def _metric(name: str) -> str:
    kind, _, nominal = name.rpartition("_")
    return f"{_OF_INTERVAL[kind][0]}_{nominal}" if kind in _OF_INTERVAL else _MEASURES[name][0]


def _title(name: str) -> str:
    kind, _, nominal = name.rpartition("_")
    return f"{_OF_INTERVAL[kind][1]} at {nominal} %" if kind in _OF_INTERVAL else _MEASURES[name][1]
