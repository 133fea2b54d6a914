"""The steps that series advance by, found in their times, so that a gap is so many steps without a row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

# Of a unit's step: microseconds, months, business days (Monday to Friday), or numbers.
FIXED, MONTHS, BUSINESS, NUMBERS = "us", "month", "business day", "number"
_SECOND = 1_000_000
_MINUTE, _HOUR, _DAY = 60 * _SECOND, 3600 * _SECOND, 86400 * _SECOND
_WORDS = ((7 * _DAY, "week"), (_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute"), (_SECOND, "second"))
_LETTERS: Mapping[str, tuple[str, float]] = {
    "s": (FIXED, _SECOND),
    "min": (FIXED, _MINUTE),
    "t": (FIXED, _MINUTE),
    "h": (FIXED, _HOUR),
    "d": (FIXED, _DAY),
    "b": (BUSINESS, 1),
    "w": (FIXED, 7 * _DAY),
    "m": (MONTHS, 1),
    "ms": (MONTHS, 1),
    "me": (MONTHS, 1),
    "q": (MONTHS, 3),
    "qs": (MONTHS, 3),
    "qe": (MONTHS, 3),
    "y": (MONTHS, 12),
    "ys": (MONTHS, 12),
    "ye": (MONTHS, 12),
    "a": (MONTHS, 12),
}
_MONDAY = 4 * _DAY  # of the first week after 1970-01-01, a Thursday: weeks begin there
_CALENDAR = (
    "its numbers look like dates, 20240131 or 202401; write them as 2024-01-31, for months are not alike"
)
_STRAY = 0.05  # of the distances: fewer that do not fit are mistakes, more are the grid's own
_LEAST_NEXT = 0.01  # of the rows must follow their neighbour by one step


@dataclass(frozen=True)
class Grid:
    """A regular grid of times.

    Attributes:
        unit: "us" (microseconds), "month", "business day" or "number".
        step: units from one step to the next.
        month_end: the months' times are their last days.
    """

    unit: str
    step: float
    month_end: bool = False

    @property
    def word(self) -> str:
        """What one step is, e.g. "1 hour", "15 minutes", "1 month"."""
        if self.unit == FIXED:
            size, name = next((pair for pair in _WORDS if self.step % pair[0] == 0), (1, "microsecond"))
            count = self.step / size
        elif self.unit == MONTHS:
            size, name = {3: (3, "quarter"), 12: (12, "year")}.get(int(self.step), (1, "month"))
            count = self.step / size
        else:
            count, name = self.step, "business day" if self.unit == BUSINESS else "unit"
        return f"{count:g} {name}{'' if count == 1 else 's'}"

    def index(self, times: Any) -> Ints:
        """Return the step of each time [rows]; times within one step share it."""
        if self.unit == NUMBERS:
            return np.asarray(np.floor(np.asarray(times, np.float64) / self.step + 1e-6), dtype=np.int64)
        stamps = np.asarray(times, dtype="datetime64[us]")
        if self.unit == MONTHS:
            return np.asarray(stamps.astype("datetime64[M]").astype(np.int64) // int(self.step))
        if self.unit == BUSINESS:
            return np.asarray(np.busday_count(np.datetime64("1970-01-01"), stamps.astype("datetime64[D]")))
        start = _MONDAY if self.step % (7 * _DAY) == 0 else 0
        return np.asarray((stamps.astype(np.int64) - start) // int(self.step))

    def ahead(self, times: Any, steps: Ints) -> Any:
        """Return the times so many steps after ``times`` [rows]."""
        if self.unit == NUMBERS:
            return np.asarray(times, np.float64) + steps * self.step
        stamps = np.asarray(times, dtype="datetime64[us]")
        if self.unit == FIXED:
            return stamps + (steps * int(self.step)).astype("timedelta64[us]")
        days = stamps.astype("datetime64[D]")
        clock = stamps - days
        if self.unit == BUSINESS:
            return np.busday_offset(days, steps, roll="backward").astype("datetime64[us]") + clock
        months = stamps.astype("datetime64[M]")
        target = months + (steps * int(self.step)).astype("timedelta64[M]")
        length = ((target + 1).astype("datetime64[D]") - target.astype("datetime64[D]")).astype(np.int64)
        day = (days - months.astype("datetime64[D]")).astype(np.int64)
        day = length - 1 if self.month_end else np.minimum(day, length - 1)
        return (target.astype("datetime64[D]") + day).astype("datetime64[us]") + clock

    def to_json(self) -> dict[str, Any]:
        """Return plain types, fit for JSON."""
        return asdict(self)


def parse_frequency(text: str) -> Grid | None:
    """Return the grid of a frequency as pandas writes it (15min, h, D, B, W, MS, Q), or of a number.

    None where it is neither.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)?\s*([A-Za-z]*)(?:-[A-Za-z]{3})?", text.strip())
    if not found or not (found[1] or found[2]):
        return None
    count = float(found[1] or 1)
    if count <= 0:
        return None
    if not found[2]:
        return Grid(NUMBERS, count)
    known = _LETTERS.get(found[2].lower())
    if known is None or count != int(count) or (known[0] == BUSINESS and count != 1):
        return None
    return Grid(known[0], known[1] * count, month_end=found[2].lower() in ("me", "qe", "ye"))


def on_month_ends(times: Any) -> bool:
    """Tell whether all times [rows] datetime64[us] are the last days of their months."""
    days = times.astype("datetime64[D]")
    return bool(len(days)) and bool(((days + 1).astype("datetime64[M]") > days.astype("datetime64[M]")).all())


def find_grid(times: Any, codes: Ints) -> Grid | str:
    """Return the grid on which all series lie, or tell in words why there is none.

    Args:
        times: [rows] datetime64[us] or float64, none missing.
        codes: [rows] which series a row belongs to.
    """
    order = np.lexsort((times, codes))
    times, codes = times[order], codes[order]
    within = (codes[1:] == codes[:-1]) & (times[1:] > times[:-1])
    if not within.any():
        return "no series has two different times"
    if times.dtype.kind == "f":
        return _CALENDAR if _are_dates(times) else _numbers(times, within)
    stamps = times.astype("datetime64[us]")
    return _months(stamps, within) or _business(stamps, within) or _fixed(stamps, within)


def _are_dates(numbers: Any) -> bool:
    """Tell whether numbers [rows] are dates such as 20240131 or 202401, whose steps are not alike."""
    for width in (10_000, 100):  # what the year stands in front of
        years, rest = np.divmod(numbers, width)
        months, days = np.divmod(rest, 100) if width > 100 else (rest, np.ones(len(rest)))
        plausible = (
            (years >= 1900) & (years < 2200) & (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)
        )
        if (
            plausible.all()
            and (numbers == np.floor(numbers)).all()
            and len(np.unique(years * 100 + months)) > 1
        ):
            return bool(width > 100 or len(np.unique(years)) > 1)
    return False


def _months(stamps: Any, within: Any) -> Grid | None:
    days = stamps.astype("datetime64[D]")
    months = stamps.astype("datetime64[M]")
    if (np.diff(days)[within] < np.timedelta64(28, "D")).any() or len(np.unique(stamps - days)) > 1:
        return None
    ends = on_month_ends(stamps)
    day = days - months.astype("datetime64[D]")
    if not ends and (day != day[0]).any():
        return None
    apart = np.diff(months.astype(np.int64))[within]
    return Grid(MONTHS, int(np.gcd.reduce(apart)), month_end=ends)


def _business(stamps: Any, within: Any) -> Grid | None:
    days = stamps.astype("datetime64[D]")
    daily = len(np.unique(stamps - days)) == 1 and np.diff(days)[within].min() == np.timedelta64(1, "D")
    if not daily or not np.is_busday(days).all():
        return None
    return Grid(BUSINESS, 1) if days.max() - days.min() >= np.timedelta64(13, "D") else None


def _fixed(stamps: Any, within: Any) -> Grid | str:
    apart = np.diff(stamps.astype(np.int64))[within]
    step, stray = _step(apart)
    grid = Grid(FIXED, step)
    if stray is None:
        return grid
    first = np.flatnonzero(within)[stray]
    return _irregular(stamps[first], stamps[first + 1], grid)


def _numbers(times: Any, within: Any) -> Grid | str:
    apart = np.diff(times)[within]
    if (times == np.rint(times)).all() and np.abs(times).max() < 2**53:
        whole, stray = _step(apart.astype(np.int64))
        step = float(whole)
    else:
        step = float(np.median(apart))
        off = np.abs(apart / step - np.rint(apart / step)) > 1e-3
        stray = int(np.argmax(off)) if off.any() else None
    grid = Grid(NUMBERS, step)
    if stray is None:
        return grid
    first = np.flatnonzero(within)[stray]
    return _irregular(times[first], times[first + 1], grid)


def _step(apart: Ints) -> tuple[int, int | None]:
    """Return the step of which distances are multiples, and the place of one that is none."""
    values, counts = np.unique(apart, return_counts=True)
    usual = int(values[np.argmax(counts)])
    off = apart % usual != 0
    if not off.any():
        return usual, None
    common = int(np.gcd.reduce(values))
    if off.mean() > _STRAY and (apart == common).mean() >= _LEAST_NEXT:
        return common, None
    return usual, int(np.argmax(off))


def _irregular(before: Any, after: Any, grid: Grid) -> str:
    return (
        f"the usual step is {grid.word}, but {after} follows {before} by no whole number of them; correct "
        "the times, or name the step with --frequency, e.g. h, D or M: times within one step count as equal"
    )
