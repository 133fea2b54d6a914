"""What a study leaves behind for later ones, as one text that fits into a tag of its run."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raysearch.objectives import parse_objectives

VERSION = 1
_MOST_LETTERS = 8000  # of a tag, as MLflow's stores keep it
_LARGEST = 1e15  # likewise the bound of a search space
_SPLITS = ("time", "group", "random")


@dataclass(frozen=True)
class MetaFeatures:
    """What data is like, by figures that need neither its names nor its units.

    Attributes:
        rows: to learn from and to be scored on, without the test.
        columns: features, as trials see them.
        numbers, categories, dates: share of the columns in use, by kind; booleans are categories.
        missing: share of the cells in these columns.
        skew: of the modelled target, (q95 + q5 - 2 q50) / (q95 - q5): from -1 to 1.
        tails: log2 of (q99 - q1) / (q75 - q25) of the modelled target; 1.8 for a normal one.
        repeated: share of rows with its commonest value.
        noise: share of the target's variation that a quick linear model leaves open, from 0 to 1.
        split: how rows are parted: "time", "group" or "random".
    """

    rows: int
    columns: int
    numbers: float
    categories: float
    dates: float
    missing: float
    skew: float
    tails: float
    repeated: float
    noise: float
    split: str


@dataclass(frozen=True)
class PastPoint:
    """One of the best points of a study.

    Attributes:
        params: by the library's own names, without those of a space that joins several.
        ratio: its score on the validation rows as a share of the default's: 0.9 is 10 % better.
    """

    model: str
    params: Mapping[str, Any]
    ratio: float


@dataclass(frozen=True)
class PastStudy:
    """What a study that has ended with a result knows.

    Attributes:
        run_id: of its run in MLflow; ended_s: when it ended, seconds since the epoch.
        target: the forecast column; table: its name.
        objectives: words of what trials were scored by, the first one first.
        space: digest of what was searched.
        fixed: by library, the values that held for all trials.
        ranges: by parameter, as trials name it, (low, high, 1 where searched in logs, else 0).
        points: the best ones, the best first; they differ from each other.
        importance: share of the score's variation by parameter, as trials name it; may be empty.
        gain_percent: of the model over the untuned default on ``part``; None where that is not known.
        default_to_constant: loss of the untuned default as a share of a constant forecast's; None likewise.
    """

    study: str
    target: str
    table: str
    levels: tuple[float, ...]
    objectives: tuple[str, ...]
    space: str
    fixed: Mapping[str, Mapping[str, Any]]
    ranges: Mapping[str, tuple[float, float, float]]
    features: MetaFeatures
    points: tuple[PastPoint, ...]
    importance: Mapping[str, float]
    part: str
    gain_percent: float | None = None
    default_to_constant: float | None = None
    run_id: str = ""
    ended_s: float = 0.0


def to_text(past: PastStudy) -> str:
    """Return the study as JSON of at most 8,000 letters; "" where not even its best point fits.

    The worst points are left out until it does, then what only tells. Where the run is and when it ended, the
    record itself knows.
    """
    content: dict[str, Any] = {"version": VERSION, **dataclasses.asdict(past)}
    del content["run_id"], content["ended_s"]
    points = list(content["points"])
    changes: list[dict[str, Any]] = [{"points": points[:count]} for count in range(len(points), 0, -1)]
    for change in (*changes, {"points": points[:1], "ranges": {}, "importance": {}}):
        text = json.dumps({**content, **change}, ensure_ascii=False, separators=(",", ":"), default=str)
        if len(text) <= _MOST_LETTERS:
            return text
    return ""


def parse_past(text: str, run_id: str = "", ended_s: float = 0.0) -> PastStudy | None:
    """Return what ``to_text`` wrote; None for anything else: of another version, damaged, or foreign."""
    try:
        content = json.loads(text)
        return _study(content, run_id, ended_s) if content["version"] == VERSION else None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def _study(content: Mapping[str, Any], run_id: str, ended_s: float) -> PastStudy:
    points = tuple(
        PastPoint(_text(point["model"]), _params(point["params"]), _above_zero(point["ratio"]))
        for point in content["points"]
    )
    return PastStudy(
        study=_name(content["study"]),
        target=_text(content["target"]),
        table=_text(content["table"]),
        levels=tuple(_number(level) for level in content["levels"]),
        objectives=tuple(_objective(word) for word in content["objectives"]),
        space=_text(content["space"]),
        fixed={_text(model): _params(values) for model, values in content["fixed"].items()},
        ranges={_text(name): _range(values) for name, values in content["ranges"].items()},
        features=_features(content["features"]),
        points=points,
        importance={_text(name): _number(share) for name, share in content["importance"].items()},
        part=_text(content["part"]),
        gain_percent=_perhaps(content["gain_percent"]),
        default_to_constant=_perhaps(content["default_to_constant"]),
        run_id=run_id,
        ended_s=ended_s,
    )


def _features(content: Mapping[str, Any]) -> MetaFeatures:
    names = [field.name for field in dataclasses.fields(MetaFeatures) if field.name != "split"]
    found: dict[str, Any] = {name: _number(content[name]) for name in names}
    found |= {name: int(found[name]) for name in ("rows", "columns")}
    if content["split"] not in _SPLITS or min(found["rows"], found["columns"]) < 1:
        raise ValueError(content)
    return MetaFeatures(**found, split=content["split"])


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _name(value: Any) -> str:
    if not _text(value):
        raise ValueError(value)
    return str(value)


def _objective(value: Any) -> str:
    (found,) = parse_objectives(_text(value))
    return found.word


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        raise ValueError(value)
    return float(value)


def _above_zero(value: Any) -> float:
    if not 0 < _number(value) < math.inf:
        raise ValueError(value)
    return float(value)


def _perhaps(value: Any) -> float | None:
    return None if value is None else _number(value)


def _range(values: Any) -> tuple[float, float, float]:
    low, high, log = map(_number, values)
    if low > high or (log and low <= 0):
        raise ValueError(values)
    return low, high, log


def _params(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values by name; whole numbers stay whole."""
    found = {_text(name): value for name, value in values.items()}
    for value in found.values():
        if not isinstance(value, str | bool):
            _number(value)
    return found
