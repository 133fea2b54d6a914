"""Plots of the search: how the score fell, and where good values of the parameters lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from raysearch.records import TrialResult
from raysearch.report.canvas import (
    BLUE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    RED,
    Plot,
    Sheet,
    legend,
    name_ticks,
    number_ticks,
)
from raysearch.report.scales import ParameterScale, ranked, scales, scored
from raysearch.report.wording import number, several

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_VECTORS = 250  # more marks than this are embedded as a picture, which keeps the page small
_UNUSED = -0.16  # where trials that do not use a parameter are drawn, and those without a rank
_FINISHED: dict[str, Any] = {"color": BLUE, "markeredgecolor": PAPER, "markeredgewidth": 0.6}
_CUT: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": BLUE, "markeredgewidth": 1.0}
_STOPPED: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": GREY, "markeredgewidth": 1.0}
_HOLLOW = " Grey hollow dots were stopped early: their score is that after fewer rounds, and never the best."


def history(trials: Sequence[TrialResult], measure: str = "average pinball loss") -> Plot | None:
    """Score by trial, with the best so far among those that were not stopped early.

    Args:
        measure: what the score is called.
    """
    told = sorted(scored(trials), key=lambda trial: trial.number)
    if not told:
        return None
    sheet = Sheet(3.5, wide=True)
    axes = sheet.axes(0.95, 0.5, 9.85, 2.65)
    scores = np.array([trial.score for trial in told], dtype=float)
    numbers = np.array([trial.number for trial in told])
    floor, top, high = _score_limits(scores)
    shown = np.minimum(scores, top)
    stopped, cut_short = (np.array([trial.state == state for trial in told]) for state in ("stopped", "cut"))
    dense = len(told) > _VECTORS
    for mask, style, name in (
        (~stopped & ~cut_short, _FINISHED, "trained to the end"),
        (cut_short, _CUT, "cut when time was over"),
        (stopped, _STOPPED, "stopped early"),
    ):
        if mask.any():
            axes.plot(numbers[mask], shown[mask], "o", markersize=5, label=name, rasterized=dense, **style)
    _draw_best(axes, numbers, np.where(stopped, np.inf, scores), top)
    off = _mark_default(axes, told, top)
    failed = [trial.number for trial in trials if trial.state == "failed"]
    first = [trial.number for trial in trials if trial.state == "stopped" and trial.score is None]
    if first:
        told_of = "stopped by the first fold"
        axes.plot(first, [floor] * len(first), "|", color=MUTED, markersize=4, label=told_of, clip_on=False)
    if failed:
        axes.plot(failed, [floor] * len(failed), "x", color=RED, markersize=6, label="failed", clip_on=False)
    axes.set_ylim(floor, high)
    last = max(trial.number for trial in trials)
    axes.set_xlim(-0.6 - 0.01 * last, last + 0.6 + 0.01 * last)
    number_ticks(axes.xaxis, 12, lambda v: number(round(v)) if abs(v - round(v)) < 1e-6 else "")
    number_ticks(axes.yaxis)
    axes.set_xlabel("trial", color=MUTED, fontsize=9)
    axes.set_ylabel("score (lower is better)", color=MUTED, fontsize=9)
    legend(axes)
    cut = _cut(scores, top)
    cut += f" The untuned default is off the scale, at {number(off)}." if off is not None else ""
    cut += _HOLLOW if stopped.any() else ""
    best = ranked(told)
    reached = f", {number(best[0].score)} at best" if best else ""
    return sheet.finish(
        "history",
        "How the search went",
        f"Each dot is one setting that was tried and its score, the {measure} on the validation "
        f"rows; the line is the best score so far, so where it runs flat more trials gained nothing.{cut}",
        f"Score of {several(len(told), 'trial')} in order: {number(scores[0])} at first{reached}.",
    )


def _cut(scores: np.ndarray, top: float) -> str:
    """Say how many trials are not drawn in place."""
    above = int((scores > top).sum())
    return f" {several(above, 'much worse trial')} drawn at the upper edge." if above else ""


def _draw_best(axes: Axes, numbers: np.ndarray, scores: np.ndarray, top: float) -> None:
    """Draw the lowest score so far as steps, from where it lies in the drawn range.

    A score that is infinite does not count.
    """
    best = np.minimum.accumulate(scores)
    known = np.isfinite(best) & (best <= top)
    if known.any():
        axes.step(
            numbers[known], best[known], where="post", color=ORANGE, linewidth=1.8,
            label="best so far", zorder=1.9,
        )  # fmt: skip


def _score_limits(scores: np.ndarray) -> tuple[float, float, float]:
    """Return the lower edge, the highest score drawn in place and the upper edge."""
    low, middle = float(scores.min()), float(np.median(scores))
    top = min(float(scores.max()), low + max(5 * (middle - low), 1e-12 * abs(low)) or float(scores.max()))
    if top <= low:
        top = float(scores.max())
    span = (top - low) or abs(low) * 0.1 or 1.0
    return low - 0.1 * span, top, top + 0.08 * span


def _mark_default(axes: Axes, told: Sequence[TrialResult], top: float) -> float | None:
    """Mark the untuned default, in words where it lies above the drawn range; return its score then."""
    for trial in told:
        if trial.default and trial.score is not None:
            axes.plot(
                [trial.number], [min(trial.score, top)], "D", markersize=8, markerfacecolor="none",
                markeredgecolor=INK, markeredgewidth=1.4, label="untuned default", clip_on=False,
            )  # fmt: skip
            if trial.score <= top:
                return None
            axes.annotate(
                f"↑ {number(trial.score)}", (trial.number, top), (8, -2), textcoords="offset points",
                va="center", fontsize=8.5, color=INK,
                bbox={"boxstyle": "round,pad=0.12", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.8},
            )  # fmt: skip
            return trial.score
    return None


def parallel(
    trials: Sequence[TrialResult], importance: Mapping[str, float], logs: Set[str] = frozenset()
) -> Plot | None:
    """Each scored trial as a line over its parameters and its rank; trials stopped early have none."""
    told = scored(trials)
    axes_of = scales(told, importance, 8, logs)
    best = len(ranked(told))
    if not best or len(told) < 2 or not axes_of:
        return None
    sheet = Sheet(3.6, wide=True)
    axes = sheet.axes(0.75, 0.1, 9.5, 2.85, grid="none")
    places = np.column_stack([scale.places for scale in axes_of])
    stopped = len(told) - best
    ranks = np.append(np.linspace(1, 0, best), np.full(stopped, _UNUSED))
    lines = np.column_stack([np.where(np.isnan(places), _UNUSED, places), ranks])
    good = _good(best)
    _draw_lines(axes, lines, good)
    columns = lines.shape[1]
    axes.vlines(range(columns), 0, 1, color=MUTED, linewidth=1, zorder=3)
    for column, scale in enumerate(axes_of):
        _draw_scale(axes, sheet, column, scale)
    for place, word in ((1, "best"), (0, "worst"), *(((_UNUSED, "stopped"),) if stopped else ())):
        axes.annotate(
            word, (columns - 1, place), (6, 0), textcoords="offset points", va="center", fontsize=8.5,
            color=INK,
        )  # fmt: skip
    _head(axes, columns - 1, "rank", 0)
    axes.set_xlim(-0.05, columns - 1 + 0.05)
    unused = any(scale.conditional for scale in axes_of)
    if unused:
        axes.text(0, _UNUSED, "not used ", ha="right", va="center", fontsize=8.5, color=MUTED)
    axes.set_ylim(_UNUSED - 0.06 if unused or stopped else -0.05, 1.05)
    axes.axis("off")
    low = " A line at the bottom does not use that parameter." if unused else ""
    low += " Those that end at the bottom were stopped early and have no rank." if stopped else ""
    return sheet.finish(
        "parallel_coordinates",
        "Settings side by side",
        "Each line is one trial and crosses every axis at its value: the best in orange, "
        f"the {good} next in blue; where coloured lines meet, good values lie.{low}",
        f"Parallel coordinates of {several(len(told), 'trial')} over "
        f"{', '.join(scale.name for scale in axes_of)} and the rank of the score.",
    )


def _good(count: int) -> int:
    """Return how many of so many ranked trials are shown as good after the best one."""
    return max(min(max(round(count * 0.1), 4), 20, count - 1), 0)


def _draw_lines(axes: Axes, lines: np.ndarray, good: int) -> None:
    from matplotlib.collections import LineCollection

    points = np.stack([np.broadcast_to(np.arange(lines.shape[1]), lines.shape), lines], axis=2)
    layers = (
        (points[good + 1 :], GREY, 0.8, 0.35, 1),
        (points[1 : good + 1], BLUE, 1.3, 0.8, 2),
        (points[:1], ORANGE, 2.4, 1.0, 4),
    )
    for segments, colour, width, alpha, order in layers:
        if len(segments):
            collection = LineCollection(
                list(segments), colors=colour, linewidths=width, alpha=alpha, zorder=order
            )
            collection.set_rasterized(len(segments) > 60)
            axes.add_collection(collection)


def _draw_scale(axes: Axes, sheet: Sheet, column: int, scale: ParameterScale) -> None:
    _head(axes, column, sheet.label(scale.name, 22), column % 2)
    for place, told in scale.ticks:
        axes.annotate(
            sheet.label(told, 12), (column, place), (4, 0), textcoords="offset points", va="center",
            fontsize=8, color=INK, zorder=5,
            bbox={"boxstyle": "round,pad=0.12", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.8},
        )  # fmt: skip


def _head(axes: Axes, column: int, text: str, step: int) -> None:
    """Write the name over an axis, every second one higher, so that long names do not meet."""
    axes.annotate(
        text, (column, 1), (0, 10 + 15 * step), textcoords="offset points", ha="center", fontsize=9,
        fontweight="bold", color=INK, annotation_clip=False,
    )  # fmt: skip


def slices(
    trials: Sequence[TrialResult], importance: Mapping[str, float], logs: Set[str] = frozenset()
) -> Plot | None:
    """Score against each of the most important parameters."""
    told = scored(trials)
    found = scales(told, importance, 8, logs)
    best = len(ranked(told))
    if not best or len(told) < 2 or not found:
        return None
    down = -(-len(found) // 4)
    across = -(-len(found) // down)
    sheet = Sheet(0.15 + 2.15 * down, wide=True)
    scores = np.array([trial.score for trial in told], dtype=float)
    floor, top, high = _score_limits(scores)
    step = (11.0 - 0.85) / across
    for index, scale in enumerate(found):
        row, column = divmod(index, across)
        bottom = sheet.size[1] - 2.15 * (row + 1) + 0.35
        axes = sheet.axes(0.85 + column * step, bottom, step - 0.25, 1.5)
        _draw_slice(axes, scale, np.minimum(scores, top), best)
        axes.set_ylim(floor, high)
        axes.set_xlim(-0.06, 1.06)
        names = [sheet.label(told, 12) for _, told in scale.ticks]
        name_ticks(axes.xaxis, [place for place, _ in scale.ticks], names, labelsize=8)
        axes.set_title(
            sheet.label(scale.name, 26), fontsize=9, color=INK, loc="left", fontweight="bold", pad=4
        )
        number_ticks(axes.yaxis, 4, None if column == 0 else lambda _: "")
    return sheet.finish(
        "slices",
        "Score by parameter",
        "Each dot is one trial: to the side its value of the parameter, upwards its score (lower is better); "
        f"a cloud that falls to one side says where to search on.{_cut(scores, top)}"
        f"{_HOLLOW if best < len(told) else ''}",
        f"Score against {', '.join(scale.name for scale in found)}, one small plot each.",
    )


def _draw_slice(axes: Axes, scale: ParameterScale, scores: np.ndarray, best: int) -> None:
    """Draw the trials; the first ``best`` are ranked, the others were stopped early."""
    dense, good = len(scores) > _VECTORS // 4, _good(best)
    axes.plot(scale.places[best:], scores[best:], "o", markersize=4.0, rasterized=dense, **_STOPPED)
    groups = ((slice(good + 1, best), GREY, 4.0), (slice(1, good + 1), BLUE, 5.0), (slice(0, 1), ORANGE, 8.0))
    for part, colour, size in groups:
        axes.plot(
            scale.places[part], scores[part], "o", color=colour, markersize=size, markeredgecolor=PAPER,
            markeredgewidth=0.5, rasterized=dense and size == 4.0,
        )  # fmt: skip
