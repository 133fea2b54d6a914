"""The words of the command line as values: durations, numbers, names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import typer

_NAME = re.compile(r'(?:^|,)\s*(?:"([^"]*)"\s*(?=,|$)|([^,]*))')
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> float:
    """Return the seconds of "90", "90s", "10m", "1h30m"."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip().lower())
    whole = "".join(number + unit for number, unit in parts)
    if not parts or whole != text.strip().lower().replace(" ", ""):
        raise typer.BadParameter(f"{text!r} is not a duration; give e.g. 90s, 10m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def parse_levels(text: str) -> list[float]:
    """Return the numbers of "0.05,0.5,0.95"; whether they are levels is checked with all settings."""
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of numbers; give e.g. 0.05,0.5,0.95") from None


def parse_steps(text: str) -> list[int]:
    """Return the whole numbers of "1,7,28"."""
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of whole numbers; give e.g. 1,7,28") from None


def split_names(values: Sequence[str] | None) -> list[str] | None:
    """Return column names from repeated and comma-separated values; quotes keep commas and blanks."""
    if not values:
        return None
    found = [pair for value in values for pair in _NAME.findall(value)]
    return [quoted or bare.strip() for quoted, bare in found if quoted or bare.strip()]


def parse_monotone(values: Sequence[str] | None) -> dict[str, Any] | None:
    """Return the column and direction of "price=-1", "size=+1", repeated or separated by commas."""
    found: dict[str, Any] = {}
    for word in split_names(values) or ():
        name, equals, sign = word.rpartition("=")
        if not (equals and name.strip()):
            raise typer.BadParameter(f"{word!r} is no column with its direction; give e.g. price=-1,size=+1")
        try:
            found[name.strip()] = int(sign)
        except ValueError:
            found[name.strip()] = sign.strip()  # refused with all other settings
    return found or None
