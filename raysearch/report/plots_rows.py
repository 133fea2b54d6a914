"""The intervals against the truth, row by row: over time where there is one, else by the forecast."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raysearch.metrics import interval_pairs
from raysearch.report.canvas import BLUE, INK, MUTED, ORANGE, PAPER, Plot, Sheet, legend, number_ticks
from raysearch.report.material import ReportMaterial, middle_level
from raysearch.report.wording import claimed, several

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANELS = 3
_SERIES_ROWS = 360  # drawn of one unbroken series
_LOOSE_ROWS = 150  # drawn one by one where many rows share a time, or there is none


@dataclass(frozen=True)
class Panel:
    """What one strip shows.

    Attributes:
        rows: indices of the drawn rows, in order.
        x: their places.
        series: whether they follow each other in time one by one, so that they can be joined.
        total: rows that could have been drawn.
    """

    title: str
    rows: np.ndarray
    x: np.ndarray
    series: bool
    total: int


def intervals_against_truth(material: ReportMaterial) -> Plot | None:
    """Draw one to three groups, thinned to what the eye can tell apart."""
    usable = np.isfinite(material.y) & np.isfinite(material.quantiles).all(axis=1)
    times = _usable_times(material.times)
    if times is not None:
        usable &= np.isfinite(times)
    if not usable.any():
        return None
    panels = _panels(material, np.flatnonzero(usable), times)
    foot = 0.15 if times is not None else 0.0
    sheet = Sheet(0.35 + 2.05 * len(panels) - foot, wide=True)
    for index, panel in enumerate(panels):
        bottom = sheet.size[1] - 0.3 - 2.05 * (index + 1) + 0.43
        axes = sheet.axes(0.95, bottom, 9.85, 1.62)
        _draw(axes, material, panel)
        if panel.title:
            axes.text(
                1, 1.03, sheet.label(panel.title, 48), transform=axes.transAxes, fontsize=9, color=INK,
                fontweight="bold", ha="right",
            )  # fmt: skip
        if index == 0:
            legend(axes)
        _place_x(axes, panel, material.times if times is not None else None)
        # The year under every strip would meet the next one's title.
        axes.xaxis.get_offset_text().set_visible(index == len(panels) - 1)
    if times is None:
        axes.set_xlabel("rows, sorted by their median forecast", color=MUTED, fontsize=9)
    return sheet.finish(
        "intervals", "Intervals against the truth", *_words(material, panels, times is not None)
    )


def _usable_times(times: np.ndarray | None) -> np.ndarray | None:
    """Return the times as numbers that an axis can place, or None where it cannot."""
    if times is None:
        return None
    if np.issubdtype(times.dtype, np.datetime64):
        days = times.astype("datetime64[ms]").astype(np.float64) / 86_400_000
        days[np.isnat(times)] = np.nan
        known = days[np.isfinite(days)]
        # Beyond these years matplotlib has no calendar.
        return days if len(known) and known.min() > -719_000 and known.max() < 2_900_000 else None
    try:
        return times.astype(np.float64)
    except (TypeError, ValueError):
        return None


def _panels(material: ReportMaterial, rows: np.ndarray, times: np.ndarray | None) -> list[Panel]:
    """Choose the largest groups where there is a time, else all rows together."""
    if times is None:
        order = rows[np.argsort(material.quantiles[rows, middle_level(material.levels)], kind="stable")]
        kept = _thin(order, _LOOSE_ROWS)
        return [Panel("", kept, np.arange(len(kept), dtype=float), False, len(rows))]
    parts: list[tuple[str, np.ndarray]] = [("", rows)]
    if material.groups is not None:
        names = material.groups[rows].tolist()
        largest = Counter(names).most_common(_PANELS)
        parts = [
            (str(key), rows[np.fromiter((n == key for n in names), bool, len(names))]) for key, _ in largest
        ]
        parts = [(key, part) for key, part in parts if len(part)] or [("", rows)]
    return [_timed(title, part, times) for title, part in parts]


def _timed(title: str, rows: np.ndarray, times: np.ndarray) -> Panel:
    order = rows[np.argsort(times[rows], kind="stable")]
    series = len(np.unique(times[order])) >= 0.9 * len(order)
    kept = _thin(order, _SERIES_ROWS if series else _LOOSE_ROWS)
    return Panel(title, kept, times[kept] if series else _side_by_side(times[kept]), series, len(rows))


def _side_by_side(times: np.ndarray) -> np.ndarray:
    """Return rising times with those that are equal moved apart, as far as the next time leaves room."""
    known, first, counts = np.unique(times, return_index=True, return_counts=True)
    if len(known) < 2:
        return times + np.linspace(-0.4, 0.4, len(times))
    room = 0.8 * float(np.diff(known).min())
    index = np.arange(len(times)) - np.repeat(first, counts)
    each = np.repeat(counts, counts)
    return np.asarray(times + room * ((index + 0.5) / each - 0.5))


def _thin(rows: np.ndarray, most: int) -> np.ndarray:
    if len(rows) <= most:
        return rows
    return np.asarray(rows[np.linspace(0, len(rows) - 1, most).round().astype(int)])


def _draw(axes: Axes, material: ReportMaterial, panel: Panel) -> None:
    y, q = material.y[panel.rows].astype(float), material.quantiles[panel.rows].astype(float)
    pairs = interval_pairs(material.levels)
    _draw_ranges(axes, panel, q, pairs if len(pairs) < 3 else [pairs[0], pairs[len(pairs) // 2]])
    middle = middle_level(material.levels)
    level = material.levels[middle]
    if panel.series or not pairs:
        name = "median" if abs(level - 0.5) < 1e-9 else f"level {level:g}"
        axes.plot(panel.x, q[:, middle], color=BLUE, linewidth=1.3, label=name)
    low, high = _limits(axes, y, q)
    shown = np.clip(y, low, high)
    out = (y < q[:, pairs[0][0]]) | (y > q[:, pairs[0][1]]) if pairs else np.zeros(len(y), bool)
    size = 3.2 if panel.series else 4.2
    for mask, colour, told in ((~out, INK, "truth"), (out, ORANGE, "truth outside the widest interval")):
        if mask.any():
            axes.plot(
                panel.x[mask], shown[mask], "o", color=colour, markersize=size, markeredgecolor=PAPER,
                markeredgewidth=0.4, label=told, clip_on=False,
            )  # fmt: skip
    number_ticks(axes.yaxis, 5)


def _draw_ranges(axes: Axes, panel: Panel, q: np.ndarray, pairs: list[tuple[int, int, float]]) -> None:
    for (low, high, nominal), alpha, line in zip(pairs, (0.25, 0.45), (2.0, 4.0), strict=False):
        style: dict[str, Any] = {"color": BLUE, "alpha": alpha, "label": f"{claimed(nominal)} interval"}
        if panel.series:
            axes.fill_between(panel.x, q[:, low], q[:, high], linewidth=0, **style)
        else:
            axes.vlines(panel.x, q[:, low], q[:, high], linewidth=line, **style)


def _limits(axes: Axes, y: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    """Set limits that a few far rows cannot squash; return them."""
    low, high = (float(v) for v in np.percentile(np.concatenate([q[:, 0], q[:, -1], y]), [1, 99]))
    span = (high - low) or abs(high) * 0.1 or 1.0
    everything = np.concatenate([y, q[:, 0], q[:, -1]])
    low = max(float(everything.min()), low - 0.5 * span)
    high = min(float(everything.max()), high + 0.5 * span)
    pad = 0.04 * ((high - low) or span)
    axes.set_ylim(low - pad, high + pad)
    return low - pad, high + pad


def _place_x(axes: Axes, panel: Panel, times: np.ndarray | None) -> None:
    pad = 0.01 * (float(panel.x.max() - panel.x.min()) or 1.0)
    axes.set_xlim(float(panel.x.min()) - pad, float(panel.x.max()) + pad)
    if times is None:
        axes.set_xticks([])
    elif np.issubdtype(times.dtype, np.datetime64):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator(minticks=3, maxticks=9)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.xaxis.get_offset_text().set(color=MUTED, fontsize=9)
    else:
        number_ticks(axes.xaxis, 9)


def _words(material: ReportMaterial, panels: list[Panel], timed: bool) -> tuple[str, str]:
    """Return the caption and the alternative text."""
    shade = "shaded" if panels[0].series else "drawn as a bar"
    caption = (
        f"Each dot is what really happened on one {material.part} row; the range forecast for it is {shade}, "
    )
    caption += "and dots in orange fell outside the widest interval."
    if material.groups is not None and timed and len(set(material.groups.tolist())) > len(panels):
        caption += f" Shown are the {several(len(panels), 'group')} with most rows."
    drawn, total = sum(len(panel.rows) for panel in panels), sum(panel.total for panel in panels)
    if drawn < total:
        caption += f" To stay readable, {drawn:,} of {total:,} rows are drawn, evenly picked."
    what = "over time" if timed else "sorted by the median forecast"
    return (
        caption,
        f"Truth and forecast intervals {what}, {several(drawn, 'row')} in {several(len(panels), 'strip')}.",
    )
