"""How one column becomes features: decided once, on the rows that are fitted on, and kept for prediction."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysearch.data import dates
from raysearch.data.values import (
    Floats,
    Read,
    Texts,
    as_booleans,
    as_numbers,
    as_seconds,
    as_texts,
    as_times,
    coded,
    decode,
    kind_of,
    parse_numbers,
    spoken,
)

MOST_CATEGORIES = 1000
_ID_DISTINCT, _ID_SHARE = 50, 0.95
_NUMBER_SHARE = 0.95
# A time of day, or a duration as pandas writes it: "1 days 02:03:04.5", "-1 days +23:00:00".
_CLOCK = r"^\s*(-?\d+ days? [+]?)?([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d([.]\d{1,9})?)?\s*$"
_UTC = ("UTC", "Etc/UTC", "GMT", "Z", "+00:00")


@dataclass(frozen=True)
class Plan:
    """One column's way to features.

    Attributes:
        kind: number, boolean, seconds, category or date.
        dtype: float32 where that holds the fitted values exactly, else float64.
        categories: texts by code, the most frequent first.
        parts: the calendar parts that differ in the fitted rows.
        form: the format of dates that are texts.
        zone: the time zone in which calendar parts are taken; None where the fitted dates named none.
    """

    column: str
    kind: str
    dtype: str = "float32"
    categories: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    form: str | None = None
    zone: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What people call the features: ``carrier``, ``date: month``."""
        return (
            tuple(f"{self.column}: {part}" for part in self.parts) if self.kind == "date" else (self.column,)
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain types, fit for JSON."""
        plain = dataclasses.asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Plan:
        """Rebuild what ``to_json`` returned."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
        return cls(**values)


def plan_column(name: str, column: Any) -> Plan | str:
    """Decide how a pa.ChunkedArray becomes features, or tell in words why it is left out."""
    array = decode(column)
    kind = kind_of(column.type)
    if kind == "empty" or array.null_count == len(array):
        return "no values"
    if kind == "nested":
        return f"cells of type {_short(column.type)} are not used"
    if kind == "category":
        return _plan_texts(name, as_texts(array), declared=pa.types.is_dictionary(column.type))
    if kind == "datetime":
        zone = getattr(array.type, "tz", None)
        return _plan_dates(name, as_times(array, None, zone), None, zone)
    if kind == "boolean":
        return _plan_numbers(name, "boolean", as_booleans(array).values)
    if kind in ("time", "duration"):
        return _plan_numbers(name, "seconds", as_seconds(array).values)
    return _plan_numbers(name, "number", as_numbers(array).values)


def outputs(plan: Plan, column: Any) -> tuple[list[Floats], str]:
    """Return the features of a pa.ChunkedArray, each [rows] float64, and what could not be read, in words."""
    if plan.kind == "category":
        codes, complaint = _codes(plan, coded(column))
        return [codes], complaint
    array = decode(column)
    if plan.kind == "date":
        times = as_times(array, plan.form, plan.zone)
        told = [_complaint(times, "dates"), _zone_complaint(plan, array)]
        return [dates.calendar(times.values, part) for part in plan.parts], "; ".join(filter(None, told))
    readers: dict[str, tuple[Callable[[Any], Read], str]] = {
        "number": (functools.partial(as_numbers, truths=True), "finite numbers"),
        "boolean": (as_booleans, "yes or no"),
        "seconds": (as_seconds, "times or durations"),
    }
    reader, what = readers[plan.kind]
    read = reader(array)
    return [read.values], _complaint(read, what)


def _complaint(read: Read, what: str) -> str:
    if not read.failed:
        return ""
    values = "1 value is" if read.failed == 1 else f"{read.failed:,} values are"
    return f"{values} not read as {what} and taken as missing, e.g. {read.example!r}"


def _zone_complaint(plan: Plan, array: Any) -> str:
    """Tell that instants come where the fitted dates were a wall clock of a place not known."""
    if plan.zone is not None:
        return ""
    if kind_of(array.type) == "category":
        placed = bool(dates.off_utc(as_texts(array).values).any())
    else:
        placed = getattr(array.type, "tz", None) not in (None, *_UTC)
    told = "times with a time zone are taken in UTC, for the model was fitted on times without one"
    return told if placed else ""


def _plan_numbers(name: str, kind: str, values: Floats) -> Plan | str:
    present = values[~np.isnan(values)]
    if not len(present):
        return "no finite values"
    if len(present) == len(values) and present.min() == present.max():
        return f"constant: every value is {present[0]:g}"
    with np.errstate(over="ignore"):
        narrow = bool((present.astype(np.float32).astype(np.float64) == present).all())
    return Plan(name, kind, "float32" if narrow else "float64")


def _plan_dates(name: str, times: Read, form: str | None, zone: str | None) -> Plan | str:
    parts = []
    for part in dates.PARTS:
        present = dates.calendar(times.values, part)
        present = present[~np.isnan(present)]
        if len(present) and present.min() != present.max():
            parts.append(part)
    if parts:
        return Plan(name, "date", parts=tuple(parts), form=form, zone=zone)
    return (
        "constant: every date has the same calendar parts" if (~np.isnat(times.values)).any() else "no values"
    )


def _plan_texts(name: str, texts: Texts, declared: bool) -> Plan | str:
    counts = texts.counts()
    rows = int(counts.sum())
    if not rows:
        return "no values"
    words = spoken(texts.values)
    if not len(words):
        return f"no values but {texts.values[0].as_py()!r}"
    if not declared and (plan := _plan_readable(name, texts, words)) is not None:
        return plan
    if (form := dates.find_format(words)) is not None:
        # Offsets are no time zone: they change with the seasons. So what has some is told in UTC.
        zone = "UTC" if form == dates.ISO and dates.with_offset(words).any() else None
        times = dates.parse(texts.values, form, zone)
        return _plan_dates(name, Read(texts.spread(times, np.datetime64("NaT", "us"))), form, zone)
    present = np.flatnonzero(counts)
    if len(present) == 1 and rows == len(texts.codes):
        return f"constant: every value is {texts.values[int(present[0])].as_py()[:40]!r}"
    if not declared and len(present) > _ID_DISTINCT and len(present) > _ID_SHARE * rows:
        return f"id-like: {len(present):,} different values in {rows:,} rows"
    known = sorted((-int(counts[i]), texts.values[int(i)].as_py()) for i in present)[:MOST_CATEGORIES]
    return Plan(name, "category", categories=tuple(word for _, word in known))


def _plan_readable(name: str, texts: Texts, words: Any) -> Plan | str | None:
    """Plan a column of texts that are truths, times of day or numbers; None where they are none of these."""
    lower = set(pc.utf8_lower(words).to_pylist()) if len(words) <= 4 else set()
    if lower and lower <= {"true", "false"}:
        truths = np.asarray(
            [{"true": 1.0, "false": 0.0}.get((w or "").lower(), np.nan) for w in texts.values.to_pylist()]
        )
        return _plan_numbers(name, "boolean", texts.spread(truths, np.nan))
    if pc.all(pc.match_substring_regex(words, _CLOCK)).as_py():
        seconds = as_seconds(texts.values).values
        return _plan_numbers(name, "seconds", texts.spread(seconds, np.nan))
    if np.isnan(parse_numbers(words.slice(0, 200))).mean() > 2 * (1 - _NUMBER_SHARE):
        return None
    numbers = parse_numbers(texts.values)
    readable = int(texts.counts()[~np.isnan(numbers)].sum())
    spoken_all = int((~np.isnan(numbers)).sum()) == len(words)
    codes_with_zeros = bool(pc.any(pc.match_substring_regex(words, r"^\s*0\d")).as_py())
    many = len(words) > _ID_DISTINCT and readable >= _NUMBER_SHARE * int(texts.counts().sum())
    if codes_with_zeros or not (spoken_all or many):
        return None
    return _plan_numbers(name, "number", texts.spread(numbers, np.nan))


def _codes(plan: Plan, array: Any) -> tuple[Floats, str]:
    """Return [rows] codes, NaN for missing and unknown ones, and a word on values never seen."""
    rows = np.full(len(array), np.nan)
    if kind_of(array.type) in ("nested", "empty"):
        failed = len(array) - array.null_count
        return rows, f"{failed:,} values of type {_short(array.type)} are taken as missing" if failed else ""
    texts = as_texts(array)
    if not len(texts.values):
        return rows, ""
    index = pc.index_in(texts.values, value_set=pa.array(plan.categories, pa.string()))
    codes = index.cast(pa.float64()).to_numpy(zero_copy_only=False).copy()
    unknown = np.flatnonzero(np.isnan(codes) & (texts.counts() > 0))
    if len(unknown) and len(unknown) <= 10 * MOST_CATEGORIES:
        same = {canonical(word): code for code, word in reversed(list(enumerate(plan.categories)))}
        for i in unknown:
            codes[i] = same.get(canonical(texts.values[int(i)].as_py()), np.nan)
        unknown = unknown[np.isnan(codes[unknown])]
    complaint = ""
    # Where categories were cut off, an unknown one need not be new.
    if len(unknown) and len(plan.categories) < MOST_CATEGORIES:
        count = int(texts.counts()[unknown].sum())
        first = texts.codes[np.isin(texts.codes, unknown)][0]  # of the rows: a dictionary has its own order
        example = texts.values[int(first)].as_py()[:60]
        complaint = f"{count:,} values were not seen in training and are taken as missing, e.g. {example!r}"
    return texts.spread(codes, np.nan), complaint


def canonical(word: str) -> str:
    """Return one spelling for texts that mean one number or truth: 1, 1.0 and 1e0; True and true."""
    lower = word.strip().lower()
    if lower in ("true", "false"):
        return lower
    if not lower[:1].isdigit() and lower[:1] not in "+-.":
        return word
    number = parse_numbers(pa.array([word]))[0] if _numeric(lower) else np.nan
    return word if np.isnan(number) else repr(float(number))


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _short(kind: Any) -> str:
    text = str(kind)
    return text if len(text) <= 40 else text[:39] + "…"
