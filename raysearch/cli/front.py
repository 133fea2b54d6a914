"""The Pareto front of several objectives in the terminal."""

from __future__ import annotations

import shlex

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raysearch.errors import resume_command
from raysearch.objectives import titles
from raysearch.records import StudyResult, TrialResult
from raysearch.report.wording import number

_MOST = 8  # rows: the others are in the report


def tell_front(console: Console, result: StudyResult, home: str) -> None:
    """Print the front with the picked trial marked, and how to pick another; nothing for one objective."""
    if not result.pareto:
        return
    best = result.best
    console.print(_table(result))
    left = len(result.pareto) - len(_shown(result))
    if left > 0:
        console.print(f"and {left:,} more, in the report and its files")
    console.print(f"picked: trial {best.number}, {escape(result.picked)}")
    word = result.objectives[-1]
    again = resume_command(result.study, home, f"--pick {shlex.quote(word)}")
    console.print(f"pick another: {escape(again)} (or a trial's number, knee, '{escape(word)}<=...')")


def _shown(result: StudyResult) -> list[TrialResult]:
    """Return at most as many as are shown: spread over the front, with its ends and the picked one."""
    leading, best = list(result.pareto), result.best
    if len(leading) > _MOST:
        step = (len(leading) - 1) / (_MOST - 1)
        leading = [leading[round(place * step)] for place in range(_MOST)]
        if best not in leading:
            leading[_MOST // 2] = best
    elif best not in leading:
        leading.append(best)
    return sorted(leading, key=lambda trial: (trial.score or 0.0, trial.number))


def _table(result: StudyResult) -> Table:
    ended = sum(result.trials.get(state, 0) for state in ("finished", "cut"))
    told = f"Pareto front: {len(result.pareto):,} of {ended:,} trials with a model"
    table = Table(
        box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, title=told,
        title_justify="left",
    )  # fmt: skip
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("library", no_wrap=True)
    for title in titles(result.objectives).values():
        table.add_column(title, justify="right", overflow="fold")
    table.add_column("", no_wrap=True)
    for trial in _shown(result):
        values = (number(value) for value in trial.objectives.values())
        marks = ["picked"] * (trial.key == result.best.key) + ["untuned default"] * trial.default
        style = "bold" if trial.key == result.best.key else ""
        table.add_row(str(trial.number), trial.model, *values, ", ".join(marks), style=style)
    return table
