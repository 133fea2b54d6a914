"""Plots of the forecaster: do its levels and intervals hold what they claim, overall and by group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from raysearch.metrics import interval_pairs
from raysearch.records import Evaluation, Interval
from raysearch.report.canvas import (
    BLUE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    Plot,
    Sheet,
    margin,
    name_ticks,
    number_ticks,
)
from raysearch.report.material import ReportMaterial
from raysearch.report.verdict import LEAST_ROWS, chance_of_miss, group_verdict, judged
from raysearch.report.wording import claimed, headline_interval, number, percent, several

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_GROUPS = 30
_COLOURS = {"good": BLUE, "warn": ORANGE, "": GREY}  # grey: no limits, no verdict


def reliability(evaluation: Evaluation, part: str) -> Plot | None:
    """What each level claims against what was observed."""
    told = sorted((level, share) for level, share in evaluation.reliability.items() if math.isfinite(share))
    if not told:
        return None
    levels = np.array([level for level, _ in told])
    shares = np.array([share for _, share in told])
    known = [evaluation.reliability_limits.get(level) for level, _ in told]
    # A level without limits is drawn as a dot without a bar.
    limits = np.array([pair or (share, share) for pair, share in zip(known, shares, strict=True)])
    tones = np.array(
        [judged(float(level), share, pair) for (level, share), pair in zip(told, known, strict=True)]
    )
    sheet = Sheet(3.3, wide=True)
    left, right = sheet.axes(0.8, 0.55, 2.5, 2.5), sheet.axes(4.35, 0.55, 6.4, 2.5)
    left.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    for axes, shift in ((left, 0.0 * levels), (right, levels)):
        _draw_levels(axes, levels, shares - shift, limits - shift[:, None], tones)
    left.set_ylim(-0.02, 1.02)
    number_ticks(left.yaxis, 5, claimed)
    left.set_ylabel("observed share", color=MUTED, fontsize=9)
    _style_gap(right, max(float(np.nanmax(np.abs(limits - levels[:, None]))), 1e-4))
    worst = int(np.argmax(np.abs(shares - levels)))
    return sheet.finish(
        "reliability",
        "Does every level hold what it claims?",
        f"Left: of the {part} rows, the share at or below each level, which should lie on the dashed line; "
        f"right: the gap between the two, enlarged. {_bars_words(evaluation, tones)}",
        f"Observed share by level; the largest gap is at level {levels[worst]:g}, "
        f"observed {percent(shares[worst])}.",
    )


def _bars_words(evaluation: Evaluation, tones: np.ndarray) -> str:
    if not tones.any():
        return "The rows hold too few independent blocks to tell confidence limits."
    allowing = "" if evaluation.blocks is None else ", allowing for rows that resemble each other"
    return f"Bars are 95 % confidence limits{allowing}; orange levels miss theirs."


def _draw_levels(
    axes: Axes, levels: np.ndarray, values: np.ndarray, bars: np.ndarray, tones: np.ndarray
) -> None:
    reach = np.abs(np.stack([values - bars[:, 0], bars[:, 1] - values]))
    for tone, colour in _COLOURS.items():
        mask = tones == tone
        axes.errorbar(
            levels[mask], values[mask], yerr=reach[:, mask] if tone else None, fmt="o", color=colour,
            markersize=6, markeredgecolor=PAPER, markeredgewidth=0.7, elinewidth=1.5, capsize=3,
        )  # fmt: skip
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("level: share that should lie below", color=MUTED, fontsize=9)
    number_ticks(axes.xaxis, 5, claimed)


def _style_gap(axes: Axes, reach: float) -> None:
    axes.axhline(0, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_ylim(-1.15 * reach, 1.15 * reach)
    number_ticks(axes.yaxis, 6, lambda v: f"{100 * v:+.3g}" if abs(v) > 1e-9 else "0")
    axes.set_ylabel("too high or low by (points)", color=MUTED, fontsize=9)


@dataclass(frozen=True)
class GroupChoice:
    """The groups worth showing: (name, widest interval), largest first.

    Attributes:
        judged: groups with enough rows and known limits; ``outside`` of them miss their claim.
        by_chance: how many would if all held what they claim.
        worst: of those shown the ones that are not among the largest.
    """

    shown: tuple[tuple[str, Interval], ...]
    total: int
    outside: int
    judged: int
    by_chance: float = 0.0
    worst: int = 0

    @property
    def left_out(self) -> int:
        """Groups that are not shown."""
        return self.total - len(self.shown)


def choose_groups(groups: Mapping[str, tuple[Interval, ...]]) -> GroupChoice:
    """Return all groups, or of very many the largest and those furthest from what their interval claims."""
    told = [(name, interval) for name, parts in groups.items() if (interval := headline_interval(parts))]
    told = [
        (name, interval) for name, interval in told if interval.rows > 0 and math.isfinite(interval.coverage)
    ]
    by_size = sorted(told, key=lambda item: -item[1].rows)
    judged_ones = [item for item in by_size if group_verdict(item[1])]
    missing = [item for item in judged_ones if group_verdict(item[1]) == "warn"]
    chosen, worst = by_size[:_MOST_GROUPS], []
    if len(told) > _MOST_GROUPS:
        names = {name for name, _ in by_size[: _MOST_GROUPS // 2]}
        worst = sorted((item for item in missing if item[0] not in names), key=lambda item: -_miss(item[1]))
        worst = worst[: _MOST_GROUPS // 2]
        names = {name for name, _ in worst}
        chosen = [item for item in by_size if item[0] not in names][: _MOST_GROUPS - len(worst)] + worst
    by_chance = sum(chance_of_miss(interval) for _, interval in judged_ones)
    return GroupChoice(tuple(chosen), len(told), len(missing), len(judged_ones), by_chance, len(worst))


def _miss(interval: Interval) -> float:
    """Return by how much an interval misses beyond its limits."""
    low, high = interval.limits or (0.0, 1.0)
    return max(low - interval.nominal, interval.nominal - high)


def group_coverage(choice: GroupChoice, blocks: int | None = None) -> Plot | None:
    """Coverage of the widest interval by group, with its confidence limits.

    Args:
        blocks: as in ``Evaluation``.
    """
    if not choice.shown:
        return None
    sheet = Sheet(max(0.85 + 0.235 * len(choice.shown), 1.9))
    labels = [sheet.label(name or "(empty)", 26) for name, _ in choice.shown]
    left = margin(labels)
    axes = sheet.axes(left, 0.55, 5.4 - left - 0.25, sheet.size[1] - 0.65, grid="x")
    rows = np.arange(len(labels))[::-1]
    nominal = choice.shown[0][1].nominal
    draw_coverage(axes, rows, [interval for _, interval in choice.shown])
    name_ticks(axes.yaxis, rows.tolist(), labels, labelcolor=INK)
    shares = [interval.coverage for _, interval in choice.shown]
    return sheet.finish(
        "coverage_by_group",
        "Coverage by group",
        f"Each dot is the share of a group's rows inside the {claimed(nominal)} interval"
        f"{_group_words(choice, blocks)}",
        f"Coverage of {several(len(labels), 'group')} from {percent(min(shares))} to {percent(max(shares))}; "
        f"{choice.outside:,} of the {choice.judged:,} that can be judged miss.",
    )


def draw_coverage(axes: Axes, rows: np.ndarray, intervals: Sequence[Interval]) -> None:
    """Draw a dot and its limits for each interval at its row, and the line of what all claim."""
    for row, interval in zip(rows, intervals, strict=True):
        colour = _COLOURS[group_verdict(interval)]
        if interval.limits:
            axes.hlines(row, *interval.limits, color=colour, linewidth=2, alpha=0.75)
        axes.plot(
            interval.coverage,
            row,
            "o",
            color=colour,
            markersize=6,
            markeredgecolor=PAPER,
            markeredgewidth=0.7,
        )
    nominal = intervals[0].nominal
    axes.axvline(nominal, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_ylim(-0.7, len(intervals) - 0.3)
    bars = [interval.limits or (interval.coverage, interval.coverage) for interval in intervals]
    low, high = min(bar[0] for bar in bars), max(bar[1] for bar in bars)
    pad = 0.04 * max(high - low, 0.01)
    axes.set_xlim(max(min(low, nominal) - pad, -0.02), min(max(high, nominal) + pad, 1.02))
    number_ticks(axes.xaxis, 5, claimed)
    axes.set_xlabel(f"rows inside the {claimed(nominal)} interval", color=MUTED, fontsize=9)


def _group_words(choice: GroupChoice, blocks: int | None) -> str:
    """Return what bars and colours mean, and which groups are shown; it ends the caption's first sentence."""
    allowing = "" if blocks is None else ", allowing for rows that resemble each other"
    barred = any(interval.limits for _, interval in choice.shown)
    words = f", the bar its 95 % confidence limits{allowing}" if barred else ""
    words += "; orange groups miss the dashed line by more than chance explains." if choice.judged else "."
    if choice.judged < choice.total:
        words += (
            f" Grey groups hold fewer than {LEAST_ROWS} rows, or too few independent blocks, to be judged."
        )
    if choice.left_out:
        worst = f" and the {choice.worst} that miss most" if choice.worst else ""
        words += (
            f" Shown are the {len(choice.shown) - choice.worst} largest of {choice.total:,} groups{worst}."
        )
    if choice.judged and (choice.left_out or choice.outside):
        chance = f"about {round(choice.by_chance):,}" if choice.by_chance >= 0.5 else "hardly one"
        words += (
            f" Of the {several(choice.judged, 'group')} that can be judged {choice.outside:,} miss; chance "
            f"alone would make {chance} do so."
        )
    return words


def widths(material: ReportMaterial) -> Plot | None:
    """How wide the intervals are, from the narrow rows to the wide ones."""
    pairs = interval_pairs(material.levels)
    quantiles = material.quantiles[np.isfinite(material.quantiles).all(axis=1)]
    if not pairs or not len(quantiles):
        return None
    sheet = Sheet(max(0.95 + 0.42 * len(pairs), 2.0))
    axes = sheet.axes(0.85, 0.55, 4.3, sheet.size[1] - 0.65, grid="x")
    reach, told = 0.0, []
    for row, (low, high, nominal) in enumerate(reversed(pairs)):
        parts = np.percentile(quantiles[:, high] - quantiles[:, low], [5, 25, 50, 75, 95])
        axes.hlines(row, parts[0], parts[4], color=BLUE, linewidth=2, alpha=0.5)
        axes.hlines(row, parts[1], parts[3], color=BLUE, linewidth=9)
        axes.plot(parts[2], row, "o", color=PAPER, markersize=5, markeredgecolor=INK, markeredgewidth=1.2)
        reach = max(reach, float(parts[4]))
        told.append((claimed(nominal), float(parts[2])))
    name_ticks(axes.yaxis, range(len(pairs)), [name for name, _ in told], labelcolor=INK)
    axes.set_ylim(-0.6, len(pairs) - 0.4)
    axes.set_xlim(0, reach * 1.04 or 1)
    number_ticks(axes.xaxis, 5)
    axes.set_xlabel(f"width, in units of {sheet.label(material.target, 24)}", color=MUTED, fontsize=9)
    return sheet.finish(
        "interval_width",
        "How wide are the intervals?",
        "For each interval the dot is the width on a middling row, the thick bar holds half of the rows and "
        "the thin line nine in ten; a long line means that the forecaster knows when it is unsure.",
        "Widths of the intervals; in the middle "
        + ", ".join(f"{name}: {number(width)}" for name, width in told)
        + ".",
    )
