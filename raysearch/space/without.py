"""A space without what would change nothing in a study, or would serve nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raysearch.space.dimensions import Parameter, SearchSpace, Space
from raysearch.space.read import parse_space


def without_choice(space: SearchSpace, name: str) -> SearchSpace:
    """Return the space without a parameter that would change nothing; as it is where others hang on it."""
    return SearchSpace(tuple(_without(part, name) for part in space.spaces))


def without_value(space: SearchSpace, name: str, value: Any) -> SearchSpace:
    """Return the space without one of a parameter's choices, and without the start points that have it.

    As it is where other parameters hang on the choice, or fewer than two others are left: who searched for
    nothing else wants it.
    """
    return SearchSpace(tuple(_without_value(part, name, value) for part in space.spaces))


def with_most(space: SearchSpace, name: str, most: int) -> SearchSpace:
    """Return the space with a parameter of at most ``most``, in its start points too.

    A range that begins higher begins at 1 then; without the parameter where that is no range any more.
    """
    return SearchSpace(tuple(_with_most(part, name, most) for part in space.spaces))


def with_start(space: SearchSpace, name: str, most: float) -> SearchSpace:
    """Return the space with start points that have a parameter of at most ``most``, or of its least value."""
    return SearchSpace(tuple(_with_start(part, name, most) for part in space.spaces))


def _with_most(space: Space, name: str, most: int) -> Space:
    found = _number(space, name)
    if found is None or found.high <= most:
        return space
    if most <= 1:
        return _without(space, name)
    ends = {"low": found.low if found.low < most else 1, "high": most}
    content = dict(space.content)
    content["parameters"] = {**content["parameters"], name: {**content["parameters"][name], **ends}}
    return parse_space(_clipped(content, name, most))


def _with_start(space: Space, name: str, most: float) -> Space:
    found = _number(space, name)
    return space if found is None else parse_space(_clipped(space.content, name, found.nearest_to(most)))


def _number(space: Space, name: str) -> Parameter | None:
    return next((p for p in space.parameters if p.name == name and p.kind != "choice"), None)


def _clipped(content: Mapping[str, Any], name: str, most: float) -> dict[str, Any]:
    """Return a space's plain values with start points of at most ``most``."""
    start = [
        {key: min(value, most) if key == name else value for key, value in point.items()}
        for point in content.get("start") or []
    ]
    return {**content, "start": start} if start else dict(content)


def _without_value(space: Space, name: str, value: Any) -> Space:
    choices = [choice for p in space.parameters if p.name == name for choice in p.choices]
    left = [choice for choice in choices if choice != value]
    hanging = any(value in other.when.get(name, ()) for other in space.parameters)
    if hanging or len(left) < 2 or len(left) == len(choices):
        return space
    content = dict(space.content)
    content["parameters"] = {**content["parameters"], name: {**content["parameters"][name], "choices": left}}
    content["start"] = [point for point in content.get("start") or [] if point.get(name) != value]
    return parse_space(content)


def _without(space: Space, name: str) -> Space:
    others = [parameter for parameter in space.parameters if parameter.name != name]
    if not others or len(others) == len(space.parameters) or any(name in other.when for other in others):
        return space
    content = dict(space.content)
    content["parameters"] = {k: v for k, v in content["parameters"].items() if k != name}
    if content.get("start"):
        content["start"] = [{k: v for k, v in point.items() if k != name} for point in content["start"]]
    return parse_space(content)
