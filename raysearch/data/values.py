"""Arrow columns of any type become numpy arrays: numbers, times, or codes of categories."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from raysearch.data import dates

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Words for "nothing" among numbers, dates and truths; in a column of texts they are texts like any other.
NULL_WORDS = (
    *("", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "none", "NaT", "nil"),
    *("<NA>", "#NA", "#N/A", "#N/A N/A", "?", "-", "--", "."),
    *("1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
_BLANKS = frozenset(word.lower() for word in NULL_WORDS)
_TRUTHS = {"true": 1.0, "false": 0.0}
_TRUE = {"true": 1.0, "yes": 1.0, "t": 1.0, "y": 1.0, "1": 1.0, "1.0": 1.0}
_FALSE = {"false": 0.0, "no": 0.0, "f": 0.0, "n": 0.0, "0": 0.0, "0.0": 0.0}
_BOOLEANS = {**_TRUE, **_FALSE}


@dataclass(frozen=True)
class Read:
    """Numbers (or times) read from a column.

    Attributes:
        values: [rows] float64 with NaN, or datetime64[us] with NaT, where there is none.
        failed: rows that hold a value which could not be read.
        example: one of those values.
    """

    values: Any
    failed: int = 0
    example: str = ""


@dataclass(frozen=True)
class Texts:
    """A column as texts.

    Attributes:
        codes: [rows] index into values, -1 where missing.
        values: pa.Array of distinct strings.
    """

    codes: Ints
    values: Any

    def spread(self, by_value: Any, missing: Any) -> Any:
        """Return [rows] of what each distinct value became."""
        if not len(by_value):
            return np.full(len(self.codes), missing)
        return np.where(self.codes >= 0, by_value[self.codes], missing)

    def counts(self) -> Ints:
        """Return [distinct] rows of each value."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.values)).astype(np.int64)


def decode(column: Any) -> Any:
    """Return one plain pa.Array of a pa.ChunkedArray, dictionaries resolved."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
        return decode(column)
    if pa.types.is_string(column.type) and column.nbytes > 1 << 30:
        column = column.cast(pa.large_string())
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array


def coded(column: Any) -> Any:
    """Return what ``decode`` does, but texts that come as codes stay so, which ``as_texts`` takes."""
    kind = column.type
    if pa.types.is_dictionary(kind) and kind_of(kind.value_type) == "category" and column.num_chunks == 1:
        return column.chunk(0)
    return decode(column)


def kind_of(kind: Any) -> str:
    """Return number, boolean, category, datetime, time, duration, nested or empty for an Arrow type."""
    types = pa.types
    if types.is_dictionary(kind):
        inner = kind_of(kind.value_type)
        return "category" if inner in ("number", "boolean", "category") else inner
    tests = (
        ("empty", types.is_null),
        ("boolean", types.is_boolean),
        ("number", lambda t: types.is_integer(t) or types.is_floating(t) or types.is_decimal(t)),
        ("category", lambda t: types.is_string(t) or types.is_large_string(t)),
        ("datetime", lambda t: types.is_date(t) or types.is_timestamp(t)),
        ("time", types.is_time),
        ("duration", types.is_duration),
    )
    return next((name for name, test in tests if test(kind)), "nested")


def missing_mask(array: Any) -> npt.NDArray[np.bool_]:
    """Return [rows] whether the cell is null or NaN."""
    if not array.null_count and not pa.types.is_floating(array.type):
        return np.zeros(len(array), dtype=bool)
    if pa.types.is_float16(array.type):
        array = array.cast(pa.float32())
    return np.asarray(pc.is_null(array, nan_is_null=True).to_numpy(zero_copy_only=False), dtype=bool)


def as_texts(array: Any) -> Texts:
    """Read texts; numbers get their shortest form, so that 1, 1.0 and "1" are one category."""
    if pa.types.is_float16(array.type):
        array = array.cast(pa.float32())
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    codes = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    words = _words(encoded.dictionary)
    blank = pc.fill_null(pc.equal(words, ""), True).to_numpy(zero_copy_only=False).astype(bool)
    if blank.any():
        codes = np.where(np.append(blank, False)[codes], -1, codes)
    return Texts(np.asarray(codes, dtype=np.int64), words)


def _words(values: Any) -> Any:
    kind = values.type
    if pa.types.is_string(kind):
        return values
    if pa.types.is_large_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return values.cast(pa.string())
    return pa.array([_word(value) for value in values.to_pylist()], pa.string())


def _word(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, Decimal):
        text = format(value, "f")
        return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
    return str(value)


def spoken(words: Any) -> Any:
    """Return the texts that are no words for "nothing"."""
    return words.filter(pa.array(~blank_mask(words)))


def blank_mask(words: Any) -> npt.NDArray[np.bool_]:
    """Return [rows] whether a text is null or a word for "nothing"."""
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(words))
    nothing = pc.or_(pc.is_null(words), pc.is_in(lower, value_set=pa.array(sorted(_BLANKS))))
    return np.asarray(nothing.to_numpy(zero_copy_only=False), dtype=bool)


def as_numbers(array: Any, *, truths: bool = False) -> Read:
    """Read numbers; infinite ones count as failed.

    Args:
        truths: the texts true and false are 1 and 0, as booleans are.
    """
    kind = kind_of(array.type)
    if kind == "category":
        if (plain := _plain_numbers(array)) is not None:
            return Read(plain)
        texts = as_texts(array)
        numbers = parse_numbers(texts.values)
        if truths:
            words = texts.values.to_pylist()
            for i in np.flatnonzero(np.isnan(numbers)):
                numbers[i] = _TRUTHS.get((words[i] or "").strip().lower(), np.nan)
        return _from_texts(texts, numbers, np.nan)
    if kind == "boolean":
        array = array.cast(pa.uint8())
    if kind in ("time", "duration"):
        return as_seconds(array)
    if kind == "empty":
        return Read(np.full(len(array), np.nan))
    if kind not in ("number", "boolean"):
        return _all_failed(array)
    if pa.types.is_float16(array.type):
        array = array.cast(pa.float32())
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.string())  # Arrow's own way to a float is not the nearest one
    values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    infinite = np.isinf(values)
    failed = int(infinite.sum())
    if failed:
        example = "-inf" if values[infinite][0] < 0 else "inf"
        return Read(np.where(infinite, np.nan, values), failed, example)
    return Read(values)


def _plain_numbers(array: Any) -> Floats | None:
    """Return [rows] float64 of texts that are finite numbers or nothing; None where others are among them.

    It is many times faster than looking at each distinct text.
    """
    try:
        numbers = pc.if_else(pa.array(blank_mask(array)), None, pc.utf8_trim_whitespace(array))
        values = numbers.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    return None if np.isinf(values).any() else np.asarray(values, dtype=np.float64)


def parse_numbers(words: Any) -> Floats:
    """Return [distinct] float64 of texts, NaN where one is no finite number."""
    objects = words.to_numpy(zero_copy_only=False)
    numbers = np.asarray(pd.to_numeric(pd.Series(objects, dtype=object), errors="coerce"), dtype=np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def as_booleans(array: Any) -> Read:
    """Read 0.0 and 1.0 from booleans, the numbers 0 and 1, and words such as yes and no."""
    if pa.types.is_boolean(array.type) or pa.types.is_null(array.type):
        return as_numbers(array)
    if kind_of(array.type) not in ("number", "category"):
        return _all_failed(array)
    texts = as_texts(array)
    known = [_BOOLEANS.get((word or "").strip().lower(), math.nan) for word in texts.values.to_pylist()]
    return _from_texts(texts, np.asarray(known, dtype=np.float64), np.nan)


def as_seconds(array: Any) -> Read:
    """Read seconds from times of day, durations, numbers (taken as seconds) and texts such as 12:30."""
    kind = kind_of(array.type)
    if kind in ("time", "duration"):
        per_second = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[array.type.unit]
        wide = pa.int32() if array.type.bit_width == 32 else pa.int64()
        whole = array.cast(wide).cast(pa.float64(), safe=False)
        return Read(whole.to_numpy(zero_copy_only=False) / per_second)
    if kind == "category":
        texts = as_texts(array)
        words = [word.strip() if word else "" for word in texts.values.to_pylist()]
        full = [word + ":00" if word.count(":") == 1 else word for word in words]
        deltas = pd.to_timedelta(pd.Series(full, dtype=object), errors="coerce")
        seconds = deltas.dt.total_seconds().to_numpy(dtype=np.float64)
        numbers = parse_numbers(texts.values)  # which pandas would take as nanoseconds
        return _from_texts(texts, np.where(np.isnan(numbers), seconds, numbers), np.nan)
    return as_numbers(array) if kind in ("number", "empty") else _all_failed(array)


def as_times(array: Any, form: str | None, zone: str | None) -> Read:
    """Read datetime64[us], the wall clock in ``zone``; texts by ``form``.

    Time stamps with a zone and texts with an offset are instants and are taken to ``zone``, or to UTC where
    there is none, so that an instant is one however it is written. All others are a wall clock already.
    """
    kind = kind_of(array.type)
    nothing = np.datetime64("NaT", "us")
    if kind == "datetime":
        times = dates.instants(array)
        placed = zone is not None and getattr(array.type, "tz", None) is not None
        return Read(dates.in_zone(times, str(zone)) if placed else times)
    if kind == "category":
        texts = as_texts(array)
        form = form or dates.find_format(spoken(texts.values)) or dates.ISO
        parsed = dates.parse(texts.values, form, zone)
        if form != dates.ISO:
            parsed = np.where(np.isnat(parsed), dates.parse(texts.values, dates.ISO, zone), parsed)
        return _from_texts(texts, parsed, nothing)
    if kind == "empty":
        return Read(np.full(len(array), nothing))
    return Read(np.full(len(array), nothing), *_failures(array))


def _from_texts(texts: Texts, by_value: Any, missing: Any) -> Read:
    """Spread what the distinct values became; those that became nothing have failed, unless blank."""
    rows = texts.spread(by_value, missing)
    bad = np.isnat(by_value) if by_value.dtype.kind == "M" else np.isnan(by_value)
    if not bad.any():
        return Read(rows)
    counts = texts.counts()
    words = texts.values
    failed = np.flatnonzero(bad & ~blank_mask(words) & (counts > 0))
    if not len(failed):
        return Read(rows)
    return Read(rows, int(counts[failed].sum()), words[int(failed[0])].as_py()[:60])


def _all_failed(array: Any) -> Read:
    return Read(np.full(len(array), np.nan), *_failures(array))


def _failures(array: Any) -> tuple[int, str]:
    present = array.drop_null()
    return (len(present), str(present[0].as_py())[:60]) if len(present) else (0, "")
