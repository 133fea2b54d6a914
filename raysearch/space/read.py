"""search_spaces/*.yaml and users' own files become a checked SearchSpace, or one SpaceError."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from raysearch.errors import Problems, SpaceError, listing, nearest
from raysearch.models import MODEL_NAMES, TUNABLE, Tunable
from raysearch.shipped import shipped
from raysearch.space.dimensions import Parameter, SearchSpace, Space

_KEYS = ("type", "low", "high", "log", "step", "choices", "when")
_SECTIONS = ("model", "parameters", "fixed")


def load_space(model: str, source: str | None = None) -> SearchSpace:
    """Read and check the search space of ``model``.

    Args:
        model: "lightgbm", "xgboost" or "both".
        source: a YAML file or the name of a shipped space; for "both" two of them with a comma between, or
            "wide" for each model's wide one. None: each model's own space.

    Raises:
        SpaceError: with all problems at once.
    """
    models = list(MODEL_NAMES) if model == "both" else [model]
    if source is None:
        sources = models
    elif source == "wide":
        sources = [f"{name}_wide" for name in models]
    else:
        sources = [part.strip() for part in source.split(",")]
    if len(sources) != len(models):
        raise SpaceError(
            f"space: got {len(sources)} for --model {model}, must be {len(models)}: "
            f"{','.join(f'{name}.yaml' for name in models)}"
        )
    spaces = [_read_space(part, model if model != "both" else None) for part in sources]
    by_model = {space.model: space for space in spaces}
    if sorted(by_model) != sorted(models):
        raise SpaceError(
            f"space: --model {model} needs a space for {' and '.join(models)}, got {list(by_model)}"
        )
    return SearchSpace(tuple(by_model[name] for name in models))


def _read_space(source: str, model: str | None) -> Space:
    path = Path(source)
    if not path.is_file():
        names = {p.stem: p for p in shipped("search_spaces").glob("*.yaml")}
        if source not in names:
            raise SpaceError(
                f"space: no file '{source}'; give a YAML file or one of the shipped {listing(sorted(names))}"
                + nearest(source, names)
            )
        path = names[source]
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpaceError(f"space {path}: not valid YAML: {' '.join(str(error).split())}") from None
    return parse_space(content, model, str(path))


def parse_space(content: Any, model: str | None = None, about: str = "") -> Space:
    """Check a space given as plain values; ``model`` is used where the space names none.

    Raises:
        SpaceError: with all problems at once.
    """
    problems = Problems(f"space {about}".strip())
    if not isinstance(content, dict) or not isinstance(content.get("parameters"), dict):
        raise SpaceError(
            f"{problems.about}: expected a mapping with a section 'parameters' of named parameters"
        )
    for key in content:
        if key not in _SECTIONS:
            problems.add(
                f"unknown section {key!r}{nearest(str(key), _SECTIONS)} (known: {listing(_SECTIONS)})"
            )
    named = content.get("model", model)
    if model and named != model:
        problems.add(f"model: the space is for {named!r}, the study for {model!r}")
    if named not in MODEL_NAMES:
        problems.add(
            f"model: got {named!r}, must be one of {listing(MODEL_NAMES)}{nearest(str(named), MODEL_NAMES)}"
        )
        problems.raise_as(SpaceError)
    fixed = content.get("fixed") or {}
    tunable = TUNABLE[named]
    for name in [*content["parameters"], *fixed]:
        _check_name(str(name), tunable, problems)
    for name in set(content["parameters"]) & set(fixed):
        problems.add(f"{name}: stands under 'parameters' and under 'fixed'")
    if not content["parameters"]:
        problems.add("'parameters' is empty: nothing to search")
    parameters = []
    for name, entry in content["parameters"].items():
        parameter = _parse_parameter(str(name), entry, problems)
        if parameter:
            _check_when(parameter, parameters, problems)
            parameters.append(parameter)
    _check_rounds(tunable, parameters, fixed, problems)
    problems.raise_as(SpaceError)
    return Space(named, tuple(parameters), fixed)


def _check_name(name: str, tunable: Tunable, problems: Problems) -> None:
    if name in tunable.reserved:
        problems.add(f"{name}: is set by raysearch itself ({tunable.reserved[name]})")
    elif name not in tunable.known:
        problems.add(f"{name}: not a parameter of {tunable.library}{nearest(name, tunable.known)}")


def _check_rounds(
    tunable: Tunable, parameters: Sequence[Parameter], fixed: Mapping[str, Any], problems: Problems
) -> None:
    values = [v for p in parameters if p.name == tunable.rounds for v in (p.choices or (p.low, p.high))]
    values += [fixed[tunable.rounds]] if tunable.rounds in fixed else []
    for value in values:
        if not isinstance(value, int | float) or value != int(value) or value < 1:
            problems.add(f"{tunable.rounds}: got {value!r}, must be a whole number of at least 1")


def _parse_parameter(name: str, entry: Any, problems: Problems) -> Parameter | None:
    if not isinstance(entry, dict):
        problems.add(f"{name}: got {entry!r}, must be {{low: .., high: ..}} or {{choices: [..]}}")
        return None
    for key in entry:
        if key not in _KEYS:
            problems.add(f"{name}: unknown key {key!r}{nearest(str(key), _KEYS)} (known: {listing(_KEYS)})")
    when = _parse_when(name, entry.get("when"), problems)
    if "choices" in entry:
        choices = entry["choices"]
        plain = isinstance(choices, list) and all(isinstance(c, bool | int | float | str) for c in choices)
        if not plain or not choices or len({(type(c), c) for c in choices}) < len(choices):
            problems.add(
                f"{name}: choices: got {choices!r}, must be a list of different numbers, words or booleans"
            )
            return None
        return Parameter(name, "choice", choices=tuple(choices), when=when)
    return _parse_range(name, entry, when, problems)


def _parse_range(
    name: str, entry: Mapping[str, Any], when: Mapping[str, tuple[Any, ...]], problems: Problems
) -> Parameter | None:
    low, high, step, log = (entry.get(key) for key in ("low", "high", "step", "log"))
    numbers = [n for n in (low, high, step) if n is not None]
    if low is None or high is None or not all(_is_number(n) for n in numbers):
        problems.add(f"{name}: got low {low!r}, high {high!r}, step {step!r}; low and high must be numbers")
        return None
    whole = all(float(n) == int(n) for n in numbers)
    kind = entry.get("type", "int" if all(isinstance(n, int) for n in numbers) else "float")
    before = len(problems.found)
    if kind not in ("int", "float"):
        problems.add(f"{name}: type: got {kind!r}, must be 'int' or 'float'")
    if kind == "int" and not whole:
        problems.add(f"{name}: an int needs whole numbers, got low {low}, high {high}, step {step}")
    if low > high:
        problems.add(f"{name}: low {low} is above high {high}")
    if log and low <= 0:
        problems.add(f"{name}: log needs low above 0, got {low}")
    if log and step:
        problems.add(f"{name}: log and step cannot be used together")
    if step is not None and step <= 0:
        problems.add(f"{name}: step: got {step}, must be above 0")
    if not isinstance(log, bool | None):
        problems.add(f"{name}: log: got {log!r}, must be true or false")
    return (
        None if len(problems.found) > before else Parameter(name, kind, low, high, bool(log), step, (), when)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _parse_when(name: str, when: Any, problems: Problems) -> dict[str, tuple[Any, ...]]:
    if when is None:
        return {}
    if not isinstance(when, dict):
        problems.add(f"{name}: when: got {when!r}, must be {{parameter: value}} or {{parameter: [values]}}")
        return {}
    return {str(k): tuple(v) if isinstance(v, list) else (v,) for k, v in when.items()}


def _check_when(parameter: Parameter, earlier: Sequence[Parameter], problems: Problems) -> None:
    known = {p.name: p for p in earlier}
    for other, values in parameter.when.items():
        if other not in known or known[other].kind != "choice":
            problems.add(
                f"{parameter.name}: when: {other!r} must be a parameter with choices that stands above"
                + nearest(other, known)
            )
            continue
        for value in values:
            if value not in known[other].choices:
                problems.add(
                    f"{parameter.name}: when: {other!r} has no choice {value!r} ({listing(map(str, known[other].choices))})"
                )
