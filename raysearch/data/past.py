"""What was known of a series so many steps before a row: lags, and statistics of the newest values."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raysearch.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

QUANTILES = (0.1, 0.5, 0.9)
PHASES = 4  # values of one phase, e.g. Mondays, that are averaged
_CELLS = 4_000_000  # of a block of windows held at once
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Rows:
    """Rows of series, each in its series and at its step.

    Attributes:
        codes: [rows] which series.
        index: [rows] which step of the grid.
    """

    codes: Ints
    index: Ints

    def __len__(self) -> int:
        return len(self.codes)


class History:
    """Known values of several series, looked up by series and step: gaps are gaps, in any order of rows."""

    def __init__(self, rows: Rows, values: Floats) -> None:
        """Take the known ones of ``values`` [rows]; no two rows may share series and step."""
        known = np.isfinite(values)
        codes, index = rows.codes[known], rows.index[known]
        # One number a series and step; 0 and width - 1 are steps that no series has.
        self._first = int(index.min()) - 1 if len(index) else 0
        self._width = int(index.max()) - self._first + 2 if len(index) else 2
        if (int(codes.max()) + 1 if len(codes) else 1) * self._width >= 2**62:
            raise DataError(
                "series: the times reach across too many steps; give the frequency in larger ones"
            )
        keys = self._keys(codes, index)
        order = np.argsort(keys, kind="stable")
        self._sorted, self._values = keys[order], values[known][order]

    def _keys(self, codes: Ints, index: Ints) -> Ints:
        return codes * self._width + np.clip(index - self._first, 0, self._width - 1)

    def at(self, codes: Ints, index: Ints) -> Floats:
        """Return the values at so many steps [rows]; NaN where none is known."""
        if not len(self._sorted):
            return np.full(len(codes), np.nan)
        keys = self._keys(codes, index)
        place = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        return np.where(self._sorted[place] == keys, self._values[place], np.nan)

    def latest(self, codes: Ints, before: Ints) -> Ints:
        """Return the newest known step before ``before`` in each row's series; -1 steps where there is none.

        Returns:
            [rows] steps back from ``before``, at least 1; 0 where the series has no earlier value.
        """
        if not len(self._sorted):
            return np.zeros(len(codes), dtype=np.int64)
        place = np.searchsorted(self._sorted, self._keys(codes, before)) - 1
        found = self._sorted[np.maximum(place, 0)]
        known = (place >= 0) & (found // self._width == codes)
        return np.where(known, before - (found % self._width + self._first), 0)

    def windows(self, codes: Ints, last: Ints, lengths: Sequence[int]) -> Iterator[tuple[slice, int, Floats]]:
        """Yield (rows, length, values [rows, length]) of the windows that end at the step ``last``.

        The newest value comes first; behind the last known one of a window stand NaN.
        """
        longest = max(lengths, default=0)
        size = max(1, _CELLS // max(1, longest))
        back = np.arange(1, longest + 1)
        for start in range(0, len(codes), size):
            rows = slice(start, min(start + size, len(codes)))
            ends = np.searchsorted(self._sorted, self._keys(codes[rows], last[rows]), side="right")
            places = ends[:, None] - back
            safe = np.maximum(places, 0)
            for length in lengths:
                least = self._keys(codes[rows], last[rows] - length + 1)
                some, there = safe[:, :length], places[:, :length] >= 0
                if not len(self._sorted):
                    yield rows, length, np.full(some.shape, np.nan)
                    continue
                there &= self._sorted[some] >= least[:, None]
                yield rows, length, np.where(there, self._values[some], np.nan)


def lagged(history: History, rows: Rows, steps: Ints, lag: int) -> tuple[Floats, Floats]:
    """Return the value ``lag`` steps before each row, as far as that is known ``steps`` before it.

    Where ``lag`` is shorter than ``steps``, it is the nearest multiple that is known: for lag 1 the newest
    value, for lag 7 and a Monday in two weeks the value of the last Monday.

    Returns:
        [rows] the value, and [rows] the mean of it and of those one, two and three lags before it; NaN where
        none is known.
    """
    nearest = -(-steps // lag) * lag
    newest = history.at(rows.codes, rows.index - nearest)
    total, known = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.int64)
    for more in range(PHASES):
        value = newest if more == 0 else history.at(rows.codes, rows.index - nearest - more * lag)
        there = ~np.isnan(value)
        total, known = total + np.where(there, value, 0.0), known + there
    with np.errstate(invalid="ignore", divide="ignore"):
        return newest, total / known


def window_statistics(history: History, rows: Rows, steps: Ints, lengths: Sequence[int]) -> list[Floats]:
    """Return mean, deviation and ``QUANTILES`` of the newest values known ``steps`` before the rows.

    Returns:
        For each length and statistic [rows]; NaN where no value (for the deviation: fewer than two) is known.
    """
    found = [np.full(len(rows), np.nan) for _ in lengths for _ in range(2 + len(QUANTILES))]
    per = 2 + len(QUANTILES)
    at = {length: i * per for i, length in enumerate(lengths)}
    for part, length, values in history.windows(rows.codes, rows.index - steps, lengths):
        for i, column in enumerate(_statistics(values)):
            found[at[length] + i][part] = column
    return found


def _statistics(values: Floats) -> list[Floats]:
    """Return mean, deviation and quantiles of each row of [rows, length].

    Sums run from the newest value to the oldest: a row's bits hang on its own window only.
    """
    there = ~np.isnan(values)
    counts = there.sum(axis=1)
    filled = np.where(there, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.cumsum(filled, axis=1)[:, -1] / counts
        gaps = np.where(there, values - mean[:, None], 0.0)
        deviation = np.sqrt(np.cumsum(gaps * gaps, axis=1)[:, -1] / (counts - 1))
    deviation[counts < 2] = np.nan
    ordered = np.sort(values, axis=1)  # NaN last
    rows, last = np.arange(len(values)), np.maximum(counts - 1, 0)
    quantiles = []
    for level in QUANTILES:
        place = level * last
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, last)
        a, b = ordered[rows, low], ordered[rows, high]
        quantiles.append(a + (b - a) * (place - low))
    return [mean, deviation, *quantiles]


def drawn_steps(rows: Rows, names: Any, horizon: int) -> Ints:
    """Return how many steps before each row its forecast is made, 1 to ``horizon`` [rows].

    Each row draws its own, by its series' name and its step alone, so that it is the same in every table.

    Args:
        names: [series] str.
    """
    salt = np.asarray([zlib.crc32(str(name).encode("utf-8", "surrogatepass")) for name in names], np.uint64)
    mixed = rows.index.astype(np.uint64) * _MIX + salt[rows.codes] * np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return np.asarray(1 + (mixed % np.uint64(horizon)).astype(np.int64))
