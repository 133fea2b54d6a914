"""Texts that are dates, points in time, and the calendar features that are made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Times = npt.NDArray[np.datetime64]

ISO = "ISO8601"
_OFFSET = r"(Z|UTC|[+-]\d{2}(:?\d{2})?)"
_ISO_SHAPE = r"^\s*\d{4}-\d{2}-\d{2}([T ]\d{2}(:\d{2}(:\d{2}([.,]\d{1,9})?)?)?( ?" + _OFFSET + r")?)?\s*$"
_ISO_WITH_OFFSET = r"^\s*\d{4}-\d{2}-\d{2}[T ][\d:.,]+ ?" + _OFFSET + r"\s*$"
_IN_UTC = r"(Z|UTC|[+-]00(:?00)?)\s*$"
_SHAPE = (
    r"^\s*(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|(19|20)\d\d[-/]\d{1,2}\s*$|\d{1,2}/(19|20)\d\d\s*$"
    r"|\d{1,2}[- ][A-Za-z]{3,9}[- ]\d{4}|[A-Za-z]{3,9} \d{1,2}, \d{4})"
)
_DAYS = ("%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_OTHERS = ("%Y-%m", "%Y/%m", "%m/%Y", "%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y")
_SHORT = ("%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%d-%m-%y")
FORMATS = (ISO, *(day + clock for clock in _CLOCKS for day in _DAYS), *_OTHERS, *_SHORT)
PARTS = ("year", "month", "day", "weekday", "day of year", "hour", "minute")


def find_format(texts: Any, share: float = 0.99) -> str | None:
    """Return the one of ``FORMATS`` that reads most of the texts, or None where none reads ``share`` of them.

    Args:
        texts: pa.Array of distinct strings, without nulls.
    """
    if not len(texts):
        return None
    sample = texts.slice(0, 100)
    if pc.mean(pc.match_substring_regex(sample, _SHAPE).cast(pa.int8())).as_py() < share - 0.02:
        return None
    # The sample may hold one odd text more than the whole; formats that are no better are not tried again.
    shares = {form: _share_read(sample, form) for form in FORMATS}
    likely = [form for form in FORMATS if shares[form] >= share - 0.02 and shares[form] > 0]
    whole = {form: shares[form] if len(texts) == len(sample) else _share_read(texts, form) for form in likely}
    best = max(whole, key=lambda form: whole[form], default=None)
    return best if best is not None and whole[best] >= share else None


def misread(texts: Any, form: str) -> str | None:
    """Return the format with day and month the other way round, where it reads all texts just as well."""
    other = form.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m")
    return other if other != form and other in FORMATS and _share_read(texts, other) == 1.0 else None


def _share_read(texts: Any, form: str) -> float:
    return 1.0 - float(np.isnat(parse(texts, form)).mean())


def parse(texts: Any, form: str, zone: str | None = None) -> Times:
    """Return datetime64[us] of each text, NaT where it is not a date of that format.

    Texts that name their offset from UTC (ISO only) are instants: they become the wall clock in ``zone``,
    or in UTC where there is none. All others are a wall clock already.
    """
    found = np.full(len(texts), np.datetime64("NaT", "us"))
    words = texts.to_numpy(zero_copy_only=False)
    if form == ISO:
        fits = pc.match_substring_regex(texts, _ISO_SHAPE).to_numpy(zero_copy_only=False).astype(bool)
        named = with_offset(texts)
        # Apart: older pandas lets the offset of one text slip into the next one that has none.
        for some in (fits & named, fits & ~named):
            if some.any():
                plain = pc.utf8_trim_whitespace(texts.filter(pa.array(some)))
                plain = pc.replace_substring_regex(plain, " ?UTC$", "Z").to_numpy(zero_copy_only=False)
                found[some] = _naive(pd.to_datetime(plain, format=ISO, errors="coerce", utc=True))
        if zone is not None and named.any():
            found[named] = in_zone(found[named], zone)
        return found
    read = pd.to_datetime(pd.Series(words, dtype=object).str.strip(), format=form, errors="coerce")
    return _naive(pd.DatetimeIndex(read))


def with_offset(texts: Any) -> npt.NDArray[np.bool_]:
    """Return [rows] whether a text is an ISO date and time that names its offset from UTC."""
    named = pc.fill_null(pc.match_substring_regex(texts, _ISO_WITH_OFFSET), False)
    return np.asarray(named.to_numpy(zero_copy_only=False), dtype=bool)


def off_utc(texts: Any) -> npt.NDArray[np.bool_]:
    """Return [rows] whether a text names an offset from UTC other than zero."""
    in_utc = pc.fill_null(pc.match_substring_regex(texts, _IN_UTC), False).to_numpy(zero_copy_only=False)
    return np.asarray(with_offset(texts) & ~in_utc.astype(bool), dtype=bool)


def _naive(index: Any) -> Times:
    if index.tz is not None:
        index = index.tz_convert("UTC").tz_localize(None)
    return np.asarray(index.as_unit("us").to_numpy(), dtype="datetime64[us]")


def instants(array: Any) -> Times:
    """Return datetime64[us] of a date or timestamp array; those with a time zone in UTC."""
    kind = array.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        array = array.cast(pa.timestamp(kind.unit))
    plain = array.cast(pa.timestamp("us"), safe=False)
    return np.asarray(plain.to_numpy(zero_copy_only=False), dtype="datetime64[us]")


def in_zone(times: Times, zone: str) -> Times:
    """Return the wall clock in ``zone`` of times that are in UTC."""
    # pandas brings its own time zone data; pyarrow needs the system's, which slim containers lack.
    local = pd.DatetimeIndex(times).tz_localize("UTC").tz_convert(zone).tz_localize(None)
    return np.asarray(local.as_unit("us").to_numpy(), dtype="datetime64[us]")


def calendar(times: Times, part: str) -> npt.NDArray[np.float64]:
    """Return one of ``PARTS`` for each time, NaN where there is none; weekday counts from Monday = 0."""
    functions = {
        "year": pc.year,
        "month": pc.month,
        "day": pc.day,
        "weekday": pc.day_of_week,
        "day of year": pc.day_of_year,
        "hour": pc.hour,
        "minute": pc.minute,
    }
    values = functions[part](pa.array(times)).cast(pa.float64())
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
