"""One parameter of a search space, as it stands in YAML."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from raysearch.errors import Problems, listing, nearest
from raysearch.space.dimensions import Parameter

_KEYS = ("type", "low", "high", "log", "step", "choices", "when")


def parse_parameter(name: str, entry: Any, problems: Problems) -> Parameter | None:
    """Return one entry of a space's parameters, checked; None where it has problems."""
    if not isinstance(entry, dict):
        problems.add(f"{name}: got {reprlib.repr(entry)}, must be {{low: .., high: ..}} or {{choices: [..]}}")
        return None
    for key in entry:
        if key not in _KEYS:
            problems.add(f"{name}: unknown key {key!r}{nearest(str(key), _KEYS)} (known: {listing(_KEYS)})")
    when = _parse_when(name, entry.get("when"), problems)
    if "choices" in entry:
        choices = entry["choices"]
        others = [key for key in ("low", "high", "log", "step") if key in entry]
        if others:
            problems.add(f"{name}: choices stand alone, without {listing(others)}")
        plain = isinstance(choices, list) and all(isinstance(c, bool | str) or is_number(c) for c in choices)
        # 1, 1.0 and true are equal, and could not be told apart again.
        if not plain or not choices or len(set(choices)) < len(choices):
            given = reprlib.repr(choices)
            problems.add(
                f"{name}: choices: got {given}, must be a list of different numbers, words or booleans"
            )
            return None
        return Parameter(name, "choice", choices=tuple(choices), when=when)
    return _parse_range(name, entry, when, problems)


def _parse_range(
    name: str, entry: Mapping[str, Any], when: Mapping[str, tuple[Any, ...]], problems: Problems
) -> Parameter | None:
    low, high, step, log = (entry.get(key) for key in ("low", "high", "step", "log"))
    numbers = [n for n in (low, high, step) if n is not None]
    if low is None or high is None or not all(is_number(n) for n in numbers):
        given = f"low {reprlib.repr(low)}, high {reprlib.repr(high)}, step {reprlib.repr(step)}"
        problems.add(f"{name}: got {given}; low and high must be numbers")
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
    if len(problems.found) > before:
        return None
    if step is not None:
        # Optuna would cut the end of the range as well, with a warning in each trial.
        first, last, width = (Decimal(str(n)) for n in (low, high, step))
        high = first + (last - first) // width * width
    number = int if kind == "int" else float
    return Parameter(
        name, kind, number(low), number(high), bool(log), None if step is None else number(step), (), when
    )


def is_number(value: Any) -> bool:
    """Tell whether a plain value is a number that a range can end with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= 1e15  # beyond, whole numbers and fractions cannot be told apart; not for NaN


def _parse_when(name: str, when: Any, problems: Problems) -> dict[str, tuple[Any, ...]]:
    if when is None:
        return {}
    if not isinstance(when, dict):
        given = reprlib.repr(when)
        problems.add(f"{name}: when: got {given}, must be {{parameter: value}} or {{parameter: [values]}}")
        return {}
    return {str(k): tuple(v) if isinstance(v, list) else (v,) for k, v in when.items()}


def check_when(parameter: Parameter, earlier: Sequence[Parameter], problems: Problems) -> None:
    """Check that what a parameter hangs on are choices of those above it."""
    known = {p.name: p for p in earlier}
    for other, values in parameter.when.items():
        if other not in known or known[other].kind != "choice":
            problems.add(
                f"{parameter.name}: when: {other!r} must be a parameter with choices that stands above"
                + nearest(other, known)
            )
            continue
        if not values:
            problems.add(f"{parameter.name}: when: no value of {other!r} is named, it would never exist")
        for value in values:
            if value not in known[other].choices:
                choices = listing(map(str, known[other].choices))
                problems.add(
                    f"{parameter.name}: when: {other!r} has no choice {reprlib.repr(value)} ({choices})"
                )
