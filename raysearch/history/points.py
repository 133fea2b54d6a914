"""Points of a search space: which are valid in it, which are much the same, and the best of a study."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from raysearch.history.record import PastPoint
from raysearch.records import TrialResult
from raysearch.space import Parameter, SearchSpace

MOST_KEPT = 5  # points of a study
_NEAR = 0.05  # of a parameter's range: points that are no farther apart in any are the same


def space_digest(space: SearchSpace) -> str:
    """Return 16 hexadecimal characters that tell what is searched from anything else; not where it begins."""
    content = [
        [part.model, [dataclasses.asdict(parameter) for parameter in part.parameters], dict(part.fixed)]
        for part in space.spaces
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def ranges(space: SearchSpace) -> dict[str, tuple[float, float, float]]:
    """Return (low, high, 1 where searched in logs) of parameters that are numbers, as trials name them."""
    return {
        name: (float(parameter.low), float(parameter.high), float(parameter.log))
        for name, parameter in space.by_name.items()
        if parameter.kind != "choice"
    }


def place(value: float, low: float, high: float, log: float) -> float:
    """Return where in its range a value lies, from 0 to 1."""
    if high <= low:
        return 0.0
    if log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def alike(space: SearchSpace, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two points of the space are the same, or so near that trying both is one trial lost."""
    return one.keys() == other.keys() and all(
        _near(space.by_name.get(name), value, other[name]) for name, value in one.items()
    )


def _near(parameter: Parameter | None, one: Any, other: Any) -> bool:
    if parameter is None or parameter.kind == "choice":
        return bool(one == other)
    bounds = (parameter.low, parameter.high, parameter.log)
    return abs(place(one, *bounds) - place(other, *bounds)) <= _NEAR


def is_new(space: SearchSpace, point: Mapping[str, Any], known: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether a point is none of those that are known, nor much the same as one."""
    return not any(alike(space, point, other) for other in known)


def best_points(
    space: SearchSpace, ranked: Sequence[TrialResult], default: TrialResult | None
) -> tuple[PastPoint, ...]:
    """Return the best few points of a study that differ from each other, the best first.

    Args:
        ranked: trials, best first. Only those trained to the end count; defaults are no points.
        default: what scores are told relative to. Without one that has a score above 0 there are no points.
    """
    if default is None or not default.score or not 0 < default.score < math.inf:
        return ()
    chosen: list[TrialResult] = []
    for trial in ranked:
        if trial.state != "finished" or trial.default or not trial.score or not 0 < trial.score < math.inf:
            continue
        if is_new(space, trial.params, (other.params for other in chosen)):
            chosen.append(trial)
        if len(chosen) == MOST_KEPT:
            break
    return tuple(
        PastPoint(*space.own(trial.params), round((trial.score or 0.0) / default.score, 6))
        for trial in chosen
    )
