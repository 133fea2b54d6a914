"""A parameter's values as places on an axis: linear, logarithmic or a choice, with a place for "not used"."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from raysearch.pareto import with_models
from raysearch.records import TrialResult
from raysearch.report.wording import number

_LOG_FROM = 20.0  # a range this many times its least value is read on a logarithmic axis


@dataclass(frozen=True)
class ParameterScale:
    """One parameter over all trials.

    Attributes:
        places: position in [0, 1] by trial [trials]; NaN where the trial did not use the parameter.
        ticks: (position, label), from low to high.
    """

    name: str
    places: np.ndarray
    ticks: tuple[tuple[float, str], ...]

    @property
    def conditional(self) -> bool:
        """Whether some trials did not use the parameter."""
        return bool(np.isnan(self.places).any())


def scored(trials: Iterable[TrialResult]) -> tuple[TrialResult, ...]:
    """Return the trials that have a score: those with a model, best first, then the others.

    Scores after fewer rounds cannot be ranked with final ones. Ties stand in order of number.
    """
    told = [trial for trial in trials if trial.score is not None and math.isfinite(trial.score)]
    first = {trial.key for trial in with_models(told)}
    return tuple(sorted(told, key=lambda trial: (trial.key not in first, trial.score, trial.number)))


def ranked(trials: Iterable[TrialResult]) -> tuple[TrialResult, ...]:
    """Return the trials that have a model and a score, best first."""
    return scored(with_models(trials))


def searched_in_logs(config: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """Return the parameters that the settings' space searches on a logarithmic scale, as trials name them.

    None are known where the space cannot be read any more: the values then tell by themselves.
    """
    from raysearch.errors import RaysearchError
    from raysearch.space import load_space

    search = config.get("search", {})
    if not search.get("model"):
        return frozenset()
    try:
        space = load_space(search["model"], search.get("space"))
    except (RaysearchError, OSError, ValueError):
        return frozenset()
    found = ((f"{part.model}." if space.joined else "", p) for part in space.spaces for p in part.parameters)
    return frozenset(f"{prefix}{parameter.name}" for prefix, parameter in found if parameter.log)


def scales(
    trials: Sequence[TrialResult],
    importance: Mapping[str, float],
    most: int,
    logs: Set[str] = frozenset(),
) -> tuple[ParameterScale, ...]:
    """Return the parameters that varied, the most important first, at most ``most``.

    Args:
        logs: those that are placed on a logarithmic axis, however little they varied.
    """
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    names.sort(key=lambda name: -_known(importance.get(name)))
    found: list[ParameterScale] = []
    for name in names:
        scale = _scale(name, [trial.params.get(name) for trial in trials], name in logs)
        if scale is not None and len(found) < most:
            found.append(scale)
    return tuple(found)


def finite_shares(shares: Mapping[str, float], most: int) -> list[tuple[str, float]]:
    """Return the largest shares; what is not a number is left out."""
    told = [(name, float(share)) for name, share in shares.items() if math.isfinite(_known(share, math.nan))]
    return sorted(told, key=lambda item: -item[1])[:most]


def _known(share: Any, otherwise: float = 0.0) -> float:
    return float(share) if isinstance(share, int | float) and math.isfinite(share) else otherwise


def _scale(name: str, values: Sequence[Any], in_logs: bool) -> ParameterScale | None:
    told = [value for value in values if not _missing(value)]
    if len({str(value) for value in told}) < 2:
        return None
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in told):
        return _numeric(name, np.array([math.nan if _missing(v) else float(v) for v in values]), in_logs)
    choices = sorted({str(value) for value in told})
    step = 1 / (len(choices) - 1)
    where = {choice: index * step for index, choice in enumerate(choices)}
    places = np.array([math.nan if _missing(value) else where[str(value)] for value in values])
    stride = -(-len(choices) // 8)
    return ParameterScale(name, places, tuple((where[choice], choice) for choice in choices[::stride]))


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _numeric(name: str, values: np.ndarray, in_logs: bool) -> ParameterScale:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    logarithmic = low > 0 and (in_logs or high / low >= _LOG_FROM)
    if logarithmic:
        marks = np.geomspace(low, high, 4)
        places = (np.log(values) - math.log(low)) / (math.log(high) - math.log(low))
    else:
        marks = np.linspace(low, high, 4)
        places = (values - low) / (high - low)
    digits = 2 if logarithmic or high - low > 0.02 * max(abs(low), abs(high)) else 5
    told = [number(int(m) if abs(m) >= 1000 else _rounded(float(m), digits)) for m in marks]
    return ParameterScale(name, places, tuple(zip(np.linspace(0, 1, 4).tolist(), told, strict=True)))


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{max(digits, 3 if abs(value) >= 100 else digits)}g}")
