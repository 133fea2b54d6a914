"""What came out of a study, in the terminal: gain, coverage, parameters, and where everything is."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raysearch.cli.front import tell_front
from raysearch.cli.words import duration
from raysearch.errors import resume_command
from raysearch.flow.study import Study
from raysearch.objectives import titles
from raysearch.outcome import untuned
from raysearch.records import Comparison, Evaluation, Interval, StudyResult, TrialResult
from raysearch.report.verdict import miss_words, side_words
from raysearch.report.warm import warm_words
from raysearch.report.wording import (
    NO_GAIN_INTERVAL,
    confidence,
    ensemble_words,
    number,
    p_words,
    points,
    span,
)

_MOST_GROUPS = 12
_STATES = {"stopped": "stopped early", "cut": "cut by time"}
_MOST_INTERVALS = 4  # more columns do not fit a terminal of 80


def tell_study(study: Study) -> None:
    """Print what came out: gain, coverage, parameters, and where everything is."""
    console = Console(highlight=False, soft_wrap=True)
    result = study.result
    counts = ", ".join(f"{n} {_STATES.get(state, state)}" for state, n in result.trials.items() if n)
    console.print(f"\n[bold]{escape(result.study)}[/bold]: {counts}, in {duration(result.wall_s)}")
    _tell_gain(console, study)
    _tell_coverage(console, result)
    tell_front(console, result, study.home)
    params = ", ".join(f"{name}={_short(value)}" for name, value in result.best.params.items())
    chosen = "parameters picked" if result.pareto else "best parameters"
    console.print(f"{chosen} (trial {result.best.number}, {result.best.model}): {escape(params)}")
    if result.ensemble:
        console.print(f"the model is {ensemble_words(result.ensemble, result.best.number)}")
    if result.warm:
        console.print(escape(warm_words(result.warm)))
    console.print(f"model: {escape(result.model_path)}")
    if result.report_path:
        console.print(f"report: {escape(result.report_path)}")
    if result.tracking_uri:
        console.print(
            f"MLflow: python -m raysearch ui --tracking-uri {escape(shlex.quote(result.tracking_uri))}"
        )
    more = 2 * sum(count for state, count in result.trials.items() if state != "failed")
    console.print(f"continue: {escape(resume_command(result.study, study.home, f'--trials {more}'))}")


def _tell_gain(console: Console, study: Study) -> None:
    result, comparison = study.result, study.result.comparison
    same, named = untuned(result), titles(result.objectives)
    mine, theirs = _by_objective(result.best), _by_objective(result.default)
    for word, title in named.items():
        value = mine.get(word, mine[""])
        if value is not None:
            default = None if same else theirs.get(word, theirs[""])
            console.print(f"validation {escape(title)}: {number(value)}{_against(value, default)}")
    if comparison and comparison.part == "test":
        line = f"test pinball loss: {number(comparison.tuned)}"
        if math.isfinite(comparison.gain_percent) and not same:
            line += f", {_below(comparison.gain_percent)} the untuned default's {number(comparison.other)} "
            line += f"({_interval_words(comparison)})"
        console.print(line)
        for word, (tuned, default) in comparison.objectives.items():
            told = _against(tuned, None if same else default)
            console.print(f"test {escape(named.get(word, word))}: {number(tuned)}{told}")
    if same:
        console.print(same)
    constant = result.rival("constant")
    if constant and math.isfinite(constant.comparison.gain_percent):
        found = constant.comparison
        line = f"this is {_below(found.gain_percent)} a constant forecast's {number(found.other)}"
        worse = found.limits is not None and found.limits[1] < 0
        console.print(f"{line} ({_interval_words(found)})", style="yellow" if worse else None)
    if result.modelled:
        scale, loss = escape(str(result.modelled_name)), result.modelled.metrics["pinball_loss_avg"]
        console.print(f"{result.modelled.part} pinball loss on the scale of {scale}: {number(loss)}")


def _by_objective(trial: TrialResult | None) -> dict[str, float | None]:
    """Return a trial's values by their objectives' words, and its score under "" for want of one."""
    return {"": trial.score, **trial.objectives} if trial else {"": None}


def _against(value: float, default: float | None) -> str:
    """Return how a value compares with the untuned default's; "" where there is none to compare with."""
    if not default:
        return ""
    return f", {_below(100 * (1 - value / default))} the untuned default's {number(default)}"


def _interval_words(comparison: Comparison) -> str:
    limits = comparison.limits
    if not limits:
        return NO_GAIN_INTERVAL
    told = f"95 % interval of the gain {points(limits[0])} to {points(limits[1])} %"
    return told if comparison.p_value is None else f"{told}; p {_equals(p_words(comparison))}"


def _equals(words: str) -> str:
    return words if words.startswith("<") else f"= {words}"


def _below(gain_percent: float) -> str:
    return f"{points(abs(gain_percent))} % {'below' if gain_percent >= 0 else 'above'}"


def _tell_coverage(console: Console, result: StudyResult) -> None:
    evaluation = result.evaluation
    if not evaluation.intervals:
        return
    largest = sorted(evaluation.groups.items(), key=lambda item: -item[1][0].rows)
    console.print(_coverage_table(evaluation, largest[:_MOST_GROUPS]))
    left_out = [(len(largest) - _MOST_GROUPS, "more group")]
    left_out.append((len(evaluation.intervals) - _MOST_INTERVALS, "narrower interval"))
    told = [f"{count:,} {noun}{'s' * (count > 1)}" for count, noun in left_out if count > 0]
    if told:
        console.print(f"and {' and '.join(told)}, in the report and its files")
    if evaluation.rows and not any(interval.limits for interval in evaluation.intervals):
        console.print("these rows are too few independent blocks to tell confidence limits")
    for interval in evaluation.intervals[:_MOST_INTERVALS]:
        if words := miss_words(interval):
            sure = confidence(interval.limits, evaluation.blocks)
            console.print(
                f"[yellow]the {100 * interval.nominal:g} % interval is {words}: it held "
                f"{_covered(interval)} of these rows ({sure})[/yellow]"
            )
    if side := side_words(evaluation, evaluation.intervals[0], result.modelled is not None):
        console.print(f"[yellow]{side}[/yellow]")


def _coverage_table(evaluation: Evaluation, groups: Sequence[tuple[str, tuple[Interval, ...]]]) -> Table:
    rows = (
        "untouched test rows" if evaluation.part == "test" else "validation rows (no test rows were held out)"
    )
    shown = evaluation.intervals[:_MOST_INTERVALS]
    table = Table(title=f"coverage of the intervals on {evaluation.rows:,} {rows}", title_justify="left")
    table.add_column("interval", overflow="fold")
    table.add_column("rows", justify="right", no_wrap=True)
    for interval in shown:
        table.add_column(f"{100 * interval.nominal:g} %", justify="right", no_wrap=True)
    table.add_row("all", f"{evaluation.rows:,}", *map(_covered, shown))
    if any(interval.limits for interval in shown):
        spans = (span(interval.limits).replace(" to ", "–") for interval in shown)
        table.add_row("95 % limits", "", *spans, style="dim")
    for name, intervals in groups:
        told = map(_covered, intervals[:_MOST_INTERVALS])
        table.add_row(escape(name), f"{intervals[0].rows:,}", *told)
    return table


def _covered(interval: Interval) -> str:
    return f"{100 * interval.coverage:.1f} %"


def _short(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**9:
        return number(float(value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
