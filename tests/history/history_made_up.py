"""Made-up studies of the past, spaces with all kinds of parameters, and points of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from raysearch.history import Here, MetaFeatures, PastPoint, PastStudy
from raysearch.space import SearchSpace, parse_space

LEVELS = (0.05, 0.5, 0.95)
PARAMETERS = {
    "boosting": {"choices": ["gbdt", "dart"]},
    "num_leaves": {"low": 4, "high": 64},
    "learning_rate": {"low": 0.01, "high": 0.3, "log": True},
    "drop_rate": {"low": 0.0, "high": 0.5, "when": {"boosting": "dart"}},
    "extra_trees": {"choices": [True, False]},
    "max_bin": {"low": 15, "high": 255, "step": 16},
}
POINT = {"boosting": "gbdt", "num_leaves": 8, "learning_rate": 0.05, "extra_trees": True, "max_bin": 31}


def made_space(*, start: list[dict[str, Any]] | None = None, **changes: Any) -> SearchSpace:
    content = {"model": "lightgbm", "parameters": {**PARAMETERS, **changes}, "start": start}
    return SearchSpace((parse_space(content),))


def both() -> SearchSpace:
    trees = {"model": "xgboost", "parameters": {"max_depth": {"low": 2, "high": 8}}}
    return SearchSpace((*made_space().spaces, parse_space(trees)))


def features(**changes: Any) -> MetaFeatures:
    told = {
        "rows": 1000, "columns": 10, "numbers": 0.8, "categories": 0.2, "dates": 0.0, "missing": 0.0,
        "skew": 0.1, "tails": 1.8, "repeated": 0.01, "noise": 0.4, "split": "random",
    }  # fmt: skip
    return MetaFeatures(**{**told, **changes})


def past(name: str = "old", *points: PastPoint, **changes: Any) -> PastStudy:
    told = {
        "study": name, "target": "y", "table": "t", "levels": LEVELS, "objectives": ("pinball",),
        "space": "d",
        "fixed": {"lightgbm": {}}, "ranges": {"num_leaves": (4.0, 64.0, 0.0)}, "features": features(),
        "points": points or (point(),), "importance": {"num_leaves": 0.7}, "part": "test",
        "gain_percent": 3.0, "default_to_constant": 0.6, "run_id": f"run-{name}", "ended_s": 10.0,
    }  # fmt: skip
    return PastStudy(**{**told, **changes})


def point(ratio: float = 0.9, model: str = "lightgbm", **changes: Any) -> PastPoint:
    return PastPoint(model, {**POINT, **changes}, ratio)


def here(space: SearchSpace | None = None, **changes: Any) -> Here:
    return Here(space or made_space(), LEVELS, ("pinball",), features(**changes))


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(list(POINT.values()))
)
JSONS = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@st.composite
def points(draw: Any) -> PastPoint:
    """Points of which many are valid in ``made_space`` and many nearly."""
    params = {
        "boosting": draw(st.sampled_from(["gbdt", "dart", "goss", True])),
        "num_leaves": draw(st.integers(3, 66) | st.floats(4, 64)),
        "learning_rate": draw(st.floats(0.005, 0.4) | st.sampled_from([0.01, 0.3, 1])),
        "extra_trees": draw(st.sampled_from([True, False, 1, 0])),
        "max_bin": draw(st.sampled_from([15, 31, 47, 48, 255, 239])),
    }
    if draw(st.booleans()):
        params["drop_rate"] = draw(st.floats(-0.1, 0.6))
    for name in draw(st.sets(st.sampled_from(sorted(params)), max_size=1)):
        del params[name]
    if draw(st.integers(0, 9)) == 0:
        params["bagging_freq"] = 1
    return PastPoint(
        draw(st.sampled_from(["lightgbm", "lightgbm", "xgboost", "other"])), params, draw(st.floats(0.5, 1.2))
    )
