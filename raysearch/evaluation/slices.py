"""Parts of the evaluated rows: by group, by time, and in the tails.

Two kinds tell of the tails. Rows chosen by their forecast, such as those of the widest intervals, were chosen
before anything happened: their coverage can be held against what is claimed. Rows chosen by their outcome
cannot: a perfect forecaster, too, misses most of the extreme truths, and one that cries wolf looks well on
them ("the forecaster's dilemma", Lerch et al., 2017). They are told since their losses matter to users. What
compares forecasts of the tails honestly are the losses at the outermost levels on all rows (Gneiting and
Ranjan, 2011): see ``Rival.scores``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysearch.evaluation.limits import Labels
from raysearch.evaluation.paired import compare
from raysearch.evaluation.rivals import Forecasts, coarse_blocks
from raysearch.metrics import Array, interval_pairs, level_name, pinball_losses
from raysearch.records import Slice, SliceKind

Ints = NDArray[np.int64]
Chosen = tuple[str, Ints]  # name, and which rows

_LEAST_ROWS = 20  # of a stretch of time, or of rows chosen by their forecast
_FEWEST_PERIODS, _MOST_PERIODS, _STRETCHES = 3, 12, 10
_UNITS = ("Y", "Q", "M", "D", "h")  # calendar periods; of those that fit the finest that tells more apart
_TENTH = 0.1
_MOST_TENTH = 0.15  # where more rows share the forecast at its edge, a tenth cannot be told apart
_MOST_GROUPS = 1000  # the largest: each takes about a millisecond
_MOST_DRAWN = 100  # groups with an interval of their gain, the largest


def make_slices(forecasts: Forecasts, groups: Labels = None, times: Labels = None) -> tuple[Slice, ...]:
    """Return the scores of the parts of the rows; of groups those of the 1,000 largest, the largest first.

    Args:
        groups, times: of each row [rows], or None; rows without a time (NaT, NaN) are in no period.
    """
    q, levels, constant = forecasts.tuned.q, forecasts.levels, forecasts.rivals.get("constant")
    found: list[Slice] = []
    parts: list[tuple[SliceKind, list[Chosen]]] = [
        ("time", [] if times is None else by_time(times)),
        ("forecast", by_forecast(q, levels)),
        ("outcome", [] if constant is None else by_outcome(forecasts.y, constant.q, levels)),
        ("group", [] if groups is None else by_group(groups)[:_MOST_GROUPS]),
    ]
    losses = {
        name: pinball_losses(forecasts.y, forecast.q, levels).mean(axis=1)
        for name, forecast in {"": forecasts.tuned, **forecasts.rivals}.items()
    }
    for kind, chosen in parts:
        for place, (name, rows) in enumerate(chosen):
            drawn = kind != "group" or place < _MOST_DRAWN
            found.append(_slice((kind, name), rows, forecasts, losses, drawn))
    return tuple(found)


def _slice(
    what: tuple[SliceKind, str], rows: Ints, forecasts: Forecasts, losses: dict[str, Array], drawn: bool
) -> Slice:
    here = forecasts.at(rows)
    blocks = coarse_blocks(here.blocks, len(rows)) if drawn else np.zeros(len(rows))
    tuned = here.weighted(losses[""][rows])
    against = {
        name: compare(here.part, tuned, here.weighted(losses[name][rows]), blocks=blocks)
        for name in forecasts.rivals
    }
    return Slice(*what, here.evaluate(here.tuned), against)


def by_group(groups: NDArray[Any]) -> list[Chosen]:
    """Return the rows of each group, the largest first, then by name."""
    order = np.argsort(groups, kind="stable")
    names, starts = np.unique(groups[order], return_index=True)
    parts = [(str(name), rows) for name, rows in zip(names, np.split(order, starts[1:]), strict=True)]
    return sorted(parts, key=lambda part: -len(part[1]))


def by_time(times: NDArray[Any]) -> list[Chosen]:
    """Return the rows of consecutive periods: calendar ones where 3 to 12 fit, else stretches of like size.

    A unit fits where no period has fewer than a quarter of the rows that they have on average.
    """
    missing = np.isnat(times) if times.dtype.kind == "M" else np.isnan(times.astype(float))
    known = np.flatnonzero(~missing)
    found = _calendar(times[known]) if times.dtype.kind == "M" else []
    return [(name, known[rows]) for name, rows in found or _stretches(times[known])]


def _calendar(times: NDArray[Any]) -> list[Chosen]:
    found: list[Chosen] = []
    for unit in _UNITS:
        number = times.astype(f"M8[{'M' if unit == 'Q' else unit}]").astype(np.int64)
        number = number // 3 if unit == "Q" else number
        periods, first, of_row, counts = np.unique(number, True, True, True)
        if not max(_FEWEST_PERIODS, len(found) + 1) <= len(periods) <= _MOST_PERIODS:
            continue
        if counts.min() >= max(_LEAST_ROWS, len(times) / len(periods) / 4):
            names = [_period_name(time, unit) for time in times[first]]
            found = [(name, np.flatnonzero(of_row == i)) for i, name in enumerate(names)]
    return found


def _period_name(time: Any, unit: str) -> str:
    """Return "2021", "2021-Q3", "2021-03", "2021-03-05" or "2021-03-05 14h"."""
    if unit == "Q":
        year, month = str(time.astype("M8[M]")).rsplit("-", 1)
        return f"{year}-Q{(int(month) + 2) // 3}"
    return str(time.astype(f"M8[{unit}]")).replace("T", " ") + ("h" if unit == "h" else "")


def _stretches(times: NDArray[Any]) -> list[Chosen]:
    """Return at most ten stretches of about equally many rows; equal times stay together."""
    count = min(_STRETCHES, len(times) // _LEAST_ROWS)
    if count < 2:
        return []
    moments, of_row, rows_at = np.unique(times, return_inverse=True, return_counts=True)
    middle = np.cumsum(rows_at) - rows_at / 2
    stretch = np.minimum((middle * count / len(times)).astype(np.int64), count - 1)[of_row]
    parts = [np.flatnonzero(stretch == i) for i in np.unique(stretch)]
    if len(parts) < 2:
        return []
    fine = times.dtype.kind == "M" and bool(np.ptp(moments) < np.timedelta64(len(parts) * 2, "D"))
    return [(_span_name(times[rows], fine), rows) for rows in parts]


def _span_name(times: NDArray[Any], fine: bool) -> str:
    def name(time: Any) -> str:
        if times.dtype.kind != "M":
            return f"{float(time):.10g}"
        return str(time.astype("M8[s]" if fine else "M8[D]")).replace("T", " ")

    first, last = name(times.min()), name(times.max())
    return first if first == last else f"{first} to {last}"


def by_forecast(q: Array, levels: tuple[float, ...]) -> list[Chosen]:
    """Return rows of extreme forecasts: a tenth each of widest and narrowest intervals, and of the medians.

    There is none where too few rows are left, or too many have the forecast at the edge.
    """
    middle = min(range(len(levels)), key=lambda i: abs(levels[i] - 0.5))
    told = [("medians", q[:, middle], "lowest", "highest")]
    if pairs := interval_pairs(levels):
        low, high, _ = pairs[0]
        told.insert(0, ("intervals", q[:, high] - q[:, low], "narrowest", "widest"))
    found = []
    for what, values, least, most in told:
        for name, signed in ((least, values), (most, -values)):
            found += [(f"{name} tenth of {what}", rows) for rows in _lowest_tenth(signed)]
    return found


def _lowest_tenth(values: Array) -> Iterator[Ints]:
    if not len(values):
        return
    rows = np.flatnonzero(values <= np.quantile(values, _TENTH))
    if _LEAST_ROWS <= len(rows) <= _MOST_TENTH * len(values):
        yield rows


def by_outcome(y: Array, constant: Array, levels: tuple[float, ...]) -> list[Chosen]:
    """Return the rows whose truth lies outside the outermost levels of the constant forecast."""
    low, high = level_name(levels[0]), level_name(levels[-1])
    told = [
        (f"truth below constant {low}", np.flatnonzero(y < constant[:, 0])),
        (f"truth above constant {high}", np.flatnonzero(y > constant[:, -1])),
    ]
    return [(name, rows) for name, rows in told if len(rows)]
