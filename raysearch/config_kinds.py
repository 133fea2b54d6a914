"""The kind that each setting is of: a number, a text, several of them, or columns with their values."""

from __future__ import annotations

import math
import reprlib
import types
import typing
from collections.abc import Mapping
from typing import Any

from raysearch.errors import Problems

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def wanted_kind(annotation: Any) -> Any:
    """Return the annotated kind without its ``None``."""
    options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return next(option for option in options if option is not type(None))


def coerce(name: str, value: Any, annotation: Any, problems: Problems) -> Any:
    """Return ``value`` as the annotated kind, or note what would be right."""
    if value is None and isinstance(annotation, types.UnionType):
        return None
    value = value.item() if hasattr(value, "dtype") and not getattr(value, "ndim", 1) else value  # numpy's
    wanted = wanted_kind(annotation)
    if typing.get_origin(wanted) is tuple:
        inner = typing.get_args(wanted)[0]
        if inner in (float, int) and isinstance(value, str):
            value = [_number(word) for word in value.split(",")]  # --set search.levels=0.1,0.5,0.9
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(coerce(name, item, inner, problems) for item in items)
    if typing.get_origin(wanted) is Mapping:
        return _coerce_mapping(name, value, typing.get_args(wanted)[1], problems)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is bool and isinstance(value, bool):
        return value
    if wanted is int and number and math.isfinite(value) and value == int(value):
        return int(value)
    if wanted is float and number and math.isfinite(value):
        return float(value)
    if wanted is str and (number or isinstance(value, str)):
        return str(value)
    hint = "; put it in quotes" if wanted is str and value is not None else ""
    problems.add(f"{name}: got {told_value(value)}, must be {_WORDS[wanted]}{hint}")
    return None


def _coerce_mapping(name: str, value: Any, annotation: Any, problems: Problems) -> dict[str, Any]:
    if not isinstance(value, Mapping | None):
        problems.add(
            f"{name}: got {told_value(value)}, must be columns with their values, e.g. {{price: -1}}"
        )
        return {}
    given = {coerce(name, key, str, problems): item for key, item in (value or {}).items()}
    return {key: coerce(f"{name}.{key}", item, annotation, problems) for key, item in given.items()}


def _number(word: str) -> Any:
    try:
        return float(word)
    except ValueError:
        return word.strip()


def told_value(value: Any) -> str:
    """Return a value as it was given, cut to a line: YAML can hold anything."""
    return reprlib.repr(value)
