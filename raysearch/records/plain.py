"""Records as plain values that JSON holds, and back again by their types."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin

_R = TypeVar("_R")


def to_plain(value: Any) -> Any:
    """Return a record as dicts, lists, text and numbers, in which nothing tells the types."""
    if dataclasses.is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[_R], plain: Mapping[str, Any]) -> _R:
    """Return the record of a class from what ``to_plain`` made of it; what is unknown to it is left out.

    Raises:
        KeyError, TypeError, ValueError: it was not made of such a record.
    """
    hints = typing.get_type_hints(kind)
    named = [field.name for field in dataclasses.fields(kind) if field.name in plain]  # type: ignore[arg-type]
    return kind(**{name: _typed(hints[name], plain[name]) for name in named})


def _typed(hint: Any, value: Any) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [one for one in inner if one is not type(None)]
        return None if value is None else _typed(kinds[0], value)
    if dataclasses.is_dataclass(hint):
        return from_plain(typing.cast(type, hint), value)
    if origin is tuple:
        one_kind = len(inner) == 2 and inner[1] is ...
        kinds = [inner[0]] * len(value) if one_kind else list(inner)
        return tuple(_typed(kind, item) for kind, item in zip(kinds, value, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {_typed(inner[0], key): _typed(inner[1], item) for key, item in value.items()}
    return hint(value) if hint in (int, float) else value
