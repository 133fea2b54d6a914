"""What settings are made of: files, ``--set`` words and flags, each a layer of plain sections."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raysearch.addresses import hide_secrets
from raysearch.config_kinds import wanted_kind
from raysearch.errors import Problems, listing, nearest
from raysearch.shipped import shipped
from raysearch.yaml_text import YamlError, read_yaml

Layer = dict[str, dict[str, Any]]


def given_flags(flags: Mapping[str, Mapping[str, Any]]) -> Layer:
    """Return the flags that were given: those that were not are None."""
    return {section: {k: v for k, v in part.items() if v is not None} for section, part in flags.items()}


def read_file(file: str | Path | None, problems: Problems) -> Layer:
    """Return the layer of a YAML file, or of a shipped one by its name."""
    if file is None:
        return {}
    path = Path(file)
    names = {
        p.stem: p for p in [*shipped("config").glob("*.yaml"), *shipped("config").glob("experiments/*.yaml")]
    }
    if not path.is_file():
        if str(file) not in names:
            problems.add(
                f"no config file '{file}'; give a YAML file or one of the shipped {listing(sorted(names))}"
                + nearest(str(file), names)
            )
            return {}
        path = names[str(file)]
    return read_layer(path, problems)


def read_layer(path: Path, problems: Problems) -> Layer:
    """Return the layer of a YAML file; empty, with a problem noted, where it is none."""
    try:
        content = read_yaml(path.read_text(encoding="utf-8-sig"))
    except (YamlError, UnicodeDecodeError) as error:
        problems.add(f"{path} is not valid YAML: {error}")
        return {}
    except OSError as error:
        problems.add(f"{path} cannot be read: {error.strerror or error}")
        return {}
    content = {} if content is None else content
    if not isinstance(content, dict) or not all(isinstance(v, dict | None) for v in content.values()):
        problems.add(f"{path}: expected sections with keys below them, as in config/default.yaml")
        return {}
    return {str(section): dict(part or {}) for section, part in content.items()}


def parse_settings(
    settings: typing.Sequence[str], kinds: Mapping[str, Mapping[str, Any]], problems: Problems
) -> Layer:
    """Return the layer of ``section.key=value`` words; ``kinds``: what each known key holds."""
    parsed: Layer = {}
    for setting in settings:
        told = hide_secrets(setting)
        name, equals, text = setting.partition("=")
        section, dot, key = name.strip().partition(".")
        if not (equals and dot):
            problems.add(f"--set {told}: expected section.key=value, e.g. --set search.trials=50")
            continue
        kind = kinds.get(section, {}).get(key)
        try:
            parsed.setdefault(section, {})[key] = _parse_value(text, kind)
        except YamlError as error:
            problems.add(f"--set {told}: the value is not valid YAML: {hide_secrets(str(error))}")
    return parsed


def _parse_value(text: str, kind: Any) -> Any:
    if kind is None or wanted_kind(kind) is not str:
        return read_yaml(text)
    try:
        value = read_yaml(text)
    except YamlError:
        return text.strip()
    # A column named 007, 1.10 or yes is meant as it is written; quotes and null are YAML's.
    return value if value is None or isinstance(value, str) else text.strip()


def overlay(base: Layer, layer: Mapping[str, Mapping[str, Any]], problems: Problems | None = None) -> None:
    """Write ``layer`` over ``base``; with ``problems``, only what ``base`` knows is let in."""
    for section, values in layer.items():
        if problems is not None and section not in base:
            problems.add(f"unknown section '{section}'{nearest(section, base)} (known: {listing(base)})")
            continue
        for key, value in values.items():
            if problems is not None and key not in base[section]:
                elsewhere = [f"{s}.{key}" for s, part in base.items() if key in part]
                hint = f"; did you mean '{elsewhere[0]}'?" if elsewhere else nearest(key, base[section])
                problems.add(
                    f"unknown key '{section}.{key}'{hint} (known in {section}: {listing(base[section])})"
                )
                continue
            base.setdefault(section, {})[key] = value
