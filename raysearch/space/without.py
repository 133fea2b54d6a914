"""A space without what would change nothing in a study, or serve nobody."""

from __future__ import annotations

from typing import Any

from raysearch.space.dimensions import SearchSpace, Space
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

    Without the parameter where that is no range any more.
    """
    return SearchSpace(tuple(_with_most(part, name, most) for part in space.spaces))


def _with_most(space: Space, name: str, most: int) -> Space:
    found = next((p for p in space.parameters if p.name == name), None)
    if found is None or found.kind == "choice" or found.high <= most:
        return space
    if found.low >= most:
        return _without(space, name)
    content = dict(space.content)
    content["parameters"] = {**content["parameters"], name: {**content["parameters"][name], "high": most}}
    if content.get("start"):
        content["start"] = [
            {key: min(value, most) if key == name else value for key, value in point.items()}
            for point in content["start"]
        ]
    return parse_space(content)


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
