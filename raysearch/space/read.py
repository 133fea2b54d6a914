"""search_spaces/*.yaml and users' own files become a checked SearchSpace, or one SpaceError."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from raysearch.errors import Problems, SpaceError, listing, nearest
from raysearch.models import MODEL_NAMES, TUNABLE, Tunable
from raysearch.shipped import shipped
from raysearch.space.dimensions import Parameter, SearchSpace, Space
from raysearch.space.entry import check_when, is_number, parse_parameter
from raysearch.yaml_text import YamlError, read_yaml

_SECTIONS = ("model", "parameters", "fixed", "start")


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
    elif len(models) == 1 and source != "wide":
        sources = [source]
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
    own = path.is_file()
    if not own:
        names = {p.stem: p for p in shipped("search_spaces").glob("*.yaml")}
        if source not in names:
            raise SpaceError(
                f"space: no file '{source}'; give a YAML file or one of the shipped {listing(sorted(names))}"
                + nearest(source, names)
            )
        path = names[source]
    try:
        content = read_yaml(path.read_text(encoding="utf-8-sig"))
    except (YamlError, UnicodeDecodeError) as error:
        raise SpaceError(f"space {path}: not valid YAML: {error}") from None
    except OSError as error:
        raise SpaceError(f"space {path}: cannot be read: {error.strerror or error}") from None
    return replace(parse_space(content, model, str(path)), shipped=not own)


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
    named: Any = content.get("model", model)
    if model and named != model:
        problems.add(f"model: the space is for {named!r}, the study for {model!r}")
    if named not in MODEL_NAMES:
        problems.add(
            f"model: got {named!r}, must be one of {listing(MODEL_NAMES)}{nearest(str(named), MODEL_NAMES)}"
        )
        problems.raise_as(SpaceError)
    tunable = TUNABLE[named]
    fixed = _parse_fixed(content.get("fixed"), tunable, problems)
    for name in [*content["parameters"], *fixed]:
        _check_name(str(name), tunable, problems)
    for name in content["parameters"]:
        if name in fixed:
            problems.add(f"{name}: stands under 'parameters' and under 'fixed'")
    if not content["parameters"]:
        problems.add("'parameters' is empty: nothing to search")
    parameters: list[Parameter] = []
    for name, entry in content["parameters"].items():
        parameter = parse_parameter(str(name), entry, problems)
        if parameter:
            check_when(parameter, parameters, problems)
            _check_values(parameter, tunable, problems)
            parameters.append(parameter)
    _check_rounds(tunable, parameters, fixed, problems)
    start = _parse_start(content.get("start"), parameters, problems)
    problems.raise_as(SpaceError)
    return Space(named, tuple(parameters), fixed, {**content, "model": named}, start)


def _parse_start(
    points: Any, parameters: Sequence[Parameter], problems: Problems
) -> tuple[Mapping[str, Any], ...]:
    """Return the points to be tried before any is sampled: what one leaves out is sampled."""
    if points is None:
        return ()
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        problems.add(f"start: got {reprlib.repr(points)}, must be a list of points, {{parameter: value}}")
        return ()
    known = {parameter.name: parameter for parameter in parameters}
    for point in points:
        for name, value in point.items():
            if name not in known:
                told = (
                    f"start: {name!r} is not searched{nearest(str(name), known)} (searched: {listing(known)})"
                )
                problems.add(told)
            elif not known[name].holds(value):
                problems.add(f"start: {name}: {value!r} lies outside what is searched")
    return tuple({str(name): value for name, value in point.items()} for point in points)


def _parse_fixed(fixed: Any, tunable: Tunable, problems: Problems) -> dict[str, Any]:
    if fixed is None:
        return {}
    if not isinstance(fixed, dict):
        problems.add(f"fixed: got {reprlib.repr(fixed)}, must be a mapping of names to values")
        return {}
    for name, value in fixed.items():
        if not isinstance(value, bool | str) and not is_number(value):
            problems.add(f"{name}: got {reprlib.repr(value)}, must be a number, a word or a boolean")
        elif str(name) != tunable.rounds:  # rounds are checked with those that are searched
            _check_kind(str(name), [value], tunable, problems)
    return {str(name): value for name, value in fixed.items()}


def _check_values(parameter: Parameter, tunable: Tunable, problems: Problems) -> None:
    """Note values that the library would refuse in every trial."""
    if parameter.kind == "choice":
        _check_kind(parameter.name, parameter.choices, tunable, problems)
    elif parameter.kind == "float" and _is_whole(parameter.name, tunable):
        problems.add(f"{parameter.name}: takes whole numbers only; give type: int")
    elif isinstance(tunable.defaults.get(parameter.name), str | bool):
        _check_kind(parameter.name, [parameter.low, parameter.high], tunable, problems)


def _is_whole(name: str, tunable: Tunable) -> bool:
    default = tunable.defaults.get(name)
    return isinstance(default, int) and not isinstance(default, bool)


def _check_kind(name: str, values: Sequence[Any], tunable: Tunable, problems: Problems) -> None:
    default = tunable.defaults.get(name)
    if default is None:
        return  # an unknown name, told already
    words = tunable.words.get(name)
    for value in values:
        if isinstance(default, str):
            right = words is None or value in words
            wanted = f"one of {listing(words or ())}"
        elif isinstance(default, bool):
            right = isinstance(value, bool) or value in (words or ())
            wanted = " or ".join(["true", "false", *(words or ())])
        elif _is_whole(name, tunable):
            right, wanted = is_number(value) and value == int(value), "a whole number"
        else:
            right, wanted = is_number(value), "a number"
        if not right:
            problems.add(f"{name}: got {value!r}, must be {wanted}{nearest(str(value), words or ())}")


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
        if not is_number(value) or value != int(value) or value < 1:
            problems.add(f"{tunable.rounds}: got {value!r}, must be a whole number of at least 1")
