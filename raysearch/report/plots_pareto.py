"""The section of several objectives: the Pareto front, drawn and as a table."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from raysearch.errors import resume_command
from raysearch.objectives import titles
from raysearch.pareto import with_models
from raysearch.records import TrialResult
from raysearch.report.canvas import BLUE, GREY, INK, MUTED, ORANGE, PAPER, Plot, Sheet, legend, number_ticks
from raysearch.report.material import ReportMaterial
from raysearch.report.record import Section
from raysearch.report.tables import Row, Table, write_leaderboard
from raysearch.report.wording import LIBRARIES, number, several

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_PANELS = 3  # objectives drawn against the first one
_MOST_ROWS = 50
_ROOM = 1.5  # of the front's span is drawn behind it: a few useless trials must not press it into a corner
_VECTORS = 250  # more dots than this are embedded as a picture
FRONT_FILE = "pareto.csv"


def write_front(front: Sequence[TrialResult], path: Path) -> None:
    """Write the trials of a Pareto front as CSV; without a front there is no file."""
    if front:
        write_leaderboard(front, path)
    else:
        path.unlink(missing_ok=True)


def front_sections(material: ReportMaterial) -> Iterator[Section]:
    """The front with its pick and the way to another one; nothing where there is a single objective."""
    result = material.result
    if not result.pareto:
        return
    named = ", ".join(titles(result.objectives).values())
    home = str(material.config.get("study", {}).get("home") or "studies")
    again = resume_command(result.study, home, f"--pick {shlex.quote(result.objectives[-1])}")
    plot = front_plot(material)
    yield Section(
        "pareto",
        "The Pareto front",
        f"Trials were scored by {named} on the validation rows; lower is better in each. On the front are "
        f"those that no other trial matches in all and beats in one. Trial {result.best.number} was picked: "
        f"{result.picked}. No trial was stopped early, for no single number tells which ones trail.",
        plots=(plot,) if plot else (),
        tables=(front_table(material),),
        code=(("Pick another trial, by an objective, a bound, a number or as the knee:", again),),
    )


def front_table(material: ReportMaterial) -> Table:
    """The trials of the front, the best by the first objective first, with the picked one marked."""
    result = material.result
    shown = [*result.pareto[:_MOST_ROWS]]
    if result.best not in shown:
        shown.append(result.best)
    rows = []
    for trial in shown:
        marks = ["picked"] * (trial.key == result.best.key) + ["untuned default"] * trial.default
        marks += ["not on the front"] * (trial not in result.pareto)
        library = LIBRARIES.get(trial.model, trial.model)
        values = map(number, trial.objectives.values())
        cells = (str(trial.number), library, *values, ", ".join(marks))
        rows.append(Row(cells, "best" if trial.key == result.best.key else ""))
    left = len(result.pareto) - _MOST_ROWS
    note = f"{several(left, 'more trial')} in {FRONT_FILE}, beside this page." if left > 0 else ""
    head = ("trial", "library", *titles(result.objectives).values(), "")
    return Table("Trials of the front", head, tuple(rows), frozenset({1, len(head) - 1}), note)


def front_plot(material: ReportMaterial) -> Plot | None:
    """Each trial with a model by the first objective and each of the others, with the front as a line."""
    result = material.result
    told = [trial for trial in with_models(material.trials) if trial.objectives]
    others = list(titles(result.objectives).items())[1 : 1 + _MOST_PANELS]
    if not told:
        return None
    first_word, first_title = next(iter(titles(result.objectives).items()))
    sheet = Sheet(3.6, wide=True)
    step = (11.0 - 0.2) / len(others)
    outside = 0
    for column, (word, title) in enumerate(others):
        axes = sheet.axes(0.95 + column * step, 0.5, step - 1.1, 2.75)
        outside = max(outside, _draw_panel(axes, material, told, (word, first_word)))
        axes.set_xlabel(sheet.label(title, 40), color=MUTED, fontsize=9)
        axes.set_ylabel(sheet.label(first_title, 30), color=MUTED, fontsize=9)
        if not column:
            legend(axes)
    left_out = f" {several(outside, 'trial')} farther off drawn at the edge." if outside else ""
    line = "the line joins those of the front" if len(result.objectives) == 2 else "blue: the front"
    return sheet.finish(
        "pareto",
        "What is traded for what",
        f"Each dot is a trial, lower and further to the left is better; {line}, the orange one was "
        f"picked.{left_out}",
        f"{several(len(told), 'trial')} by {first_title} and {', '.join(title for _, title in others)}; "
        f"{len(result.pareto):,} on the Pareto front, trial {result.best.number} picked.",
    )


def _draw_panel(
    axes: Axes, material: ReportMaterial, told: Sequence[TrialResult], words: tuple[str, str]
) -> int:
    """Draw the trials by two objectives; return how many lie outside and are drawn at the edge."""
    result = material.result
    leading = {trial.key for trial in result.pareto}
    points = np.array([[trial.objectives[word] for word in words] for trial in told], dtype=float)
    on = np.array([trial.key in leading for trial in told])
    low, high = _limits(points, points[on] if on.any() else points)
    outside = int((points > high).any(axis=1).sum())
    shown = np.minimum(points, high)
    dense = len(told) > _VECTORS
    axes.plot(*shown[~on].T, "o", color=GREY, markersize=4, alpha=0.8, label="others", rasterized=dense)
    if len(result.objectives) == 2:
        line = points[on][np.argsort(points[on][:, 0])]
        axes.step(*line.T, where="post", color=BLUE, linewidth=1.2, alpha=0.7)
    axes.plot(
        *shown[on].T, "o", color=BLUE, markersize=6, markeredgecolor=PAPER, markeredgewidth=0.6,
        label="Pareto front", rasterized=dense,
    )  # fmt: skip
    for trial, place in zip(told, shown, strict=True):
        if trial.default:
            axes.plot(
                *place, "D", markersize=9, markerfacecolor="none", markeredgecolor=INK, markeredgewidth=1.3,
                label="untuned default", clip_on=False,
            )  # fmt: skip
        if trial.key == result.best.key:
            axes.plot(*place, "o", color=ORANGE, markersize=9, label=f"picked: trial {trial.number}")
    margin = 0.06 * (high - low)
    axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
    axes.set_ylim(low[1] - margin[1], high[1] + margin[1])
    number_ticks(axes.xaxis)
    number_ticks(axes.yaxis)
    return outside


def _limits(points: np.ndarray, leading: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest values drawn in place, [2] each: the front and some room behind it."""
    low, top = points.min(axis=0), leading.max(axis=0)
    span = np.maximum(top - low, 0.02 * np.abs(top))
    high = np.minimum(points.max(axis=0), top + _ROOM * span)
    flat = high <= low
    return np.where(flat, low - 0.5 * np.abs(low) - 1e-9, low), np.where(flat, high + 1e-9, high)
