"""YAML as people write it: ``1e-3`` is a number, and a key that stands twice is a mistake."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from raysearch.errors import RaysearchError


class YamlError(RaysearchError):
    """A text is not valid YAML; the message is the reason in one line, for the caller to say where."""


class _Loader(yaml.SafeLoader):
    """Plain values only; SafeLoader itself reads ``1e-3`` as a word and lets the last of equal keys win."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            # Merged keys (<<) may be written over; that is what they are for.
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if name is not None and name in seen and key.tag != "tag:yaml.org,2002:merge":
                raise YamlError(f"the key '{key.value}' stands twice (line {key.start_mark.line + 1})")
            seen.add(name)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9]*(?:\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def read_yaml(text: str) -> Any:
    """Return the plain values that ``text`` holds; None for an empty one.

    Raises:
        YamlError: with the reason, in one line.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise YamlError(" ".join(str(error).split())) from None
    except RecursionError:
        raise YamlError("it is nested too deeply") from None
    except (ValueError, TypeError, OverflowError) as error:  # such as the date 2024-13-40
        raise YamlError(str(error)) from None
