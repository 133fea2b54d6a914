"""The evaluated rows in time: what the forecaster and its rivals lost, and what the intervals held."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from raysearch.records import Slice
from raysearch.report.canvas import (
    BLUE,
    GREEN,
    GREY,
    MUTED,
    PAPER,
    Plot,
    Sheet,
    legend,
    margin,
    name_ticks,
    number_ticks,
)
from raysearch.report.plots_forecast import draw_coverage
from raysearch.report.wording import RIVALS, headline_interval, percent, several

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"default": GREEN, "constant": GREY}


def over_time(slices: Sequence[Slice], target: str) -> Plot | None:
    """Loss by period beside the rivals', and coverage of the widest interval with its limits."""
    told = [part for part in slices if math.isfinite(part.evaluation.metrics["pinball_loss_avg"])]
    if len(told) < 2:
        return None
    sheet = Sheet(1.15 + 0.26 * len(told), wide=True)
    labels = [sheet.label(part.name, 30) for part in told]
    left = margin(labels)
    half, height = (11.0 - left - 0.6) / 2, sheet.size[1] - 0.95
    rows = np.arange(len(told))[::-1]
    losses = sheet.axes(left, 0.55, half, height, grid="x")
    _draw_losses(losses, told, rows)
    name_ticks(losses.yaxis, rows.tolist(), labels)
    losses.set_xlabel(f"average pinball loss, in units of {sheet.label(target, 24)}", color=MUTED, fontsize=9)
    found = [headline_interval(part.evaluation.intervals) for part in told]
    intervals = [interval for interval in found if interval]
    if len(intervals) == len(told):
        coverage = sheet.axes(left + half + 0.35, 0.55, half, height, grid="x")
        draw_coverage(coverage, rows, intervals)
        coverage.set_yticks([])
    lost = [part.evaluation.metrics["pinball_loss_avg"] for part in told]
    worst = told[int(np.argmax(lost))].name
    caption = "Left: what was lost in each period, beside the rivals on the same rows; lower is better. "
    if intervals:
        caption += (
            "Right: the share of rows inside the widest interval, the bar its 95 % confidence limits where "
            "they can be told; orange periods miss the dashed line by more than chance explains."
        )
    shares = [interval.coverage for interval in intervals]
    held = f", coverage from {percent(min(shares))} to {percent(max(shares))}" if shares else ""
    alt = f"Loss and coverage of {several(len(told), 'period')}; the largest loss is that of {worst}{held}."
    return sheet.finish("over_time", "Loss and coverage over time", caption, alt)


def _draw_losses(axes: Axes, told: Sequence[Slice], rows: np.ndarray) -> None:
    for name in reversed(list(told[0].rivals)):
        lost = [part.rivals[name].other for part in told]
        axes.plot(
            lost, rows, "o", color=_COLOURS.get(name, GREY), markersize=5, markeredgecolor=PAPER,
            markeredgewidth=0.7, label=RIVALS.get(name, name),
        )  # fmt: skip
    own = [part.evaluation.metrics["pinball_loss_avg"] for part in told]
    axes.plot(
        own, rows, "o", color=BLUE, markersize=6, markeredgecolor=PAPER, markeredgewidth=0.7, label="tuned"
    )
    axes.set_ylim(-0.7, len(told) - 0.3)
    number_ticks(axes.xaxis, 5)
    legend(axes)
