"""Material becomes one self-contained page and a folder of plots."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raysearch.objectives import titles
from raysearch.outcome import untuned
from raysearch.records import Comparison, Evaluation
from raysearch.report import (
    plots_forecast,
    plots_importance,
    plots_rows,
    plots_search,
    tables,
)
from raysearch.report.canvas import Plot
from raysearch.report.markup import Card, Head, render
from raysearch.report.material import ReportMaterial
from raysearch.report.plots_pareto import front_sections
from raysearch.report.profile import profile_sections
from raysearch.report.record import Section, record_sections
from raysearch.report.scales import searched_in_logs
from raysearch.report.sections_slices import group_scores, rival_sections, slice_sections
from raysearch.report.slice_files import write_slices
from raysearch.report.summary import summary
from raysearch.report.tables import replacing
from raysearch.report.verdict import verdict
from raysearch.report.warm import warm_sections
from raysearch.report.wording import (
    NO_GAIN_INTERVAL,
    claimed,
    confidence,
    duration,
    ensemble_words,
    headline_interval,
    number,
    percent,
    points,
)


def write_report(material: ReportMaterial, directory: Path) -> Path:
    """Write ``directory/report.html``, ``directory/plots/*.png`` and scores by parts of the rows as CSV.

    The page needs no other file and no network. Each file is written under a temporary name and then
    moved, so that nobody opens half a page.

    Returns:
        The path of the page.

    Raises:
        OSError: if the directory cannot be written to.
    """
    directory = Path(directory)
    sections = tuple(_sections(material))
    plots = directory / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    written = {f"{plot.name}.png": plot.png for section in sections for plot in section.plots}
    for name, png in written.items():
        with replacing(plots / name) as temporary:
            temporary.write_bytes(png)
    for old in set(plots.glob("*.png")) - {plots / name for name in written}:
        old.unlink()  # of an earlier report, when the study was shorter
    tables.write_groups(material.result.evaluation, directory / tables.GROUPS_FILE)
    write_slices(material.result, directory)
    page = directory / "report.html"
    with replacing(page) as temporary:
        temporary.write_text(_render(material, sections), encoding="utf-8", errors="replace")
    return page


def _render(material: ReportMaterial, sections: tuple[Section, ...]) -> str:
    head = Head(
        material.result.study,
        "raysearch report",
        summary(material),
        _notes(material),
        _cards(material),
        "Written by raysearch. Loss, width and forecasts are in the target's own units unless a scale is "
        "named.",
    )
    return render(head, sections)


def _notes(material: ReportMaterial) -> list[str]:
    notes = list(material.notes)
    if material.result.evaluation.part != "test":
        notes.insert(
            0,
            "No rows were held out for a test. All figures below are measured on the validation rows, by "
            "which the search chose the best trial, so they are likely to look better than the forecaster "
            "will do on new rows.",
        )
    return list(dict.fromkeys(notes))


def _cards(material: ReportMaterial) -> list[Card]:
    result = material.result
    evaluation, comparison = result.evaluation, result.comparison
    cards = [
        Card(
            "Average pinball loss",
            number(evaluation.metrics.get("pinball_loss_avg")),
            f"{material.part} rows",
        )
    ]
    if same := untuned(result):
        cards.append(Card("Against the untuned default", "the same", same))
    elif comparison and math.isfinite(comparison.gain_percent):
        cards.append(_gain_card(comparison, "the untuned default"))
    constant = result.rival("constant")
    if constant and math.isfinite(constant.comparison.gain_percent):
        cards.append(_gain_card(constant.comparison, "a constant forecast"))
    cards += _objective_cards(material)
    if result.ensemble and len(result.ensemble.weights) > 1:
        told = ensemble_words(result.ensemble, result.best.number)
        cards.append(Card("Trials in the model", f"{len(result.ensemble.weights)}", told))
    interval = headline_interval(evaluation.intervals)
    if interval:
        name = f"Inside the {claimed(interval.nominal)} interval"
        detail = confidence(interval.limits, evaluation.blocks)
        cards.append(Card(name, percent(interval.coverage), detail, verdict(interval)))
        cards.append(
            Card(f"Mean width of it ({claimed(interval.nominal)})", number(interval.width), material.target)
        )
    states = [trial.state for trial in material.trials]
    cut = f"{states.count('cut'):,} cut by time, " if "cut" in states else ""
    detail = f"{states.count('stopped'):,} stopped early, {cut}{states.count('failed'):,} failed"
    cards.append(Card("Trials", number(len(states)), detail))
    cards.append(Card("Time taken", duration(result.wall_s), "from start to saved model"))
    return cards


def _objective_cards(material: ReportMaterial) -> list[Card]:
    """Tell what else than the pinball loss trials were scored by, on the evaluated rows."""
    comparison, named = material.result.comparison, titles(material.result.objectives)
    found = comparison.objectives if comparison else {}
    return [
        Card(
            f"{title[0].upper()}{title[1:]}",
            number(found[word][0]),
            f"{material.part} rows; untuned default: {number(found[word][1])}",
        )
        for word, title in named.items()
        if word in found
    ]


def _gain_card(comparison: Comparison, rival: str) -> Card:
    way = "lower" if comparison.gain_percent >= 0 else "higher"
    limits = comparison.limits
    return Card(
        f"Against {rival}",
        f"{points(abs(comparison.gain_percent))}\u00a0% {way}",
        f"95 % interval of the gain {points(limits[0])} to {points(limits[1])}\u00a0%"
        if limits
        else NO_GAIN_INTERVAL,
        "good" if limits and limits[0] > 0 else "warn",
    )


def _some(*parts: Any) -> tuple[Any, ...]:
    """Return the parts that are there."""
    return tuple(part for part in parts if part is not None)


def _sections(material: ReportMaterial) -> Iterator[Section]:
    yield from _forecast_sections(material)
    yield from _search_sections(material)
    yield from profile_sections(material.result.profile)
    yield from record_sections(material)


def _forecast_sections(material: ReportMaterial) -> Iterator[Section]:
    evaluation = material.result.evaluation
    rows = plots_rows.intervals_against_truth(material)
    none = "" if rows else "No row has both a truth and a forecast."
    yield Section("intervals", "Forecasts and what happened", none, plots=_some(rows))
    yield Section(
        "reliability",
        "Can the levels and intervals be trusted?",
        f"A level of 0.9 claims that 90 % of the rows lie below it. This was checked on {evaluation.rows:,} "
        f"{material.part} rows. {_independence(material)}{_crossing(evaluation)}",
        plots=_some(plots_forecast.reliability(evaluation, material.part), plots_forecast.widths(material)),
        tables=_some(tables.level_table(evaluation, material.levels), tables.interval_table(evaluation)),
    )
    yield from rival_sections(material)
    choice = plots_forecast.choose_groups(evaluation.groups)
    yield Section(
        "groups",
        "Group by group",
        _group_words(material, choice),
        plots=_some(plots_forecast.group_coverage(choice, evaluation.blocks)),
        tables=_some(group_scores(material, choice) or tables.group_table(choice)),
    )
    yield from slice_sections(material)
    scales = tables.scale_table(material)
    if scales:
        told = f"{material.target} was forecast through its transform {material.modelled_name or ''}".rstrip()
        yield Section(
            "scales", "Both scales", f"{told}; the figures above are on the original scale.", tables=(scales,)
        )


def _independence(material: ReportMaterial) -> str:
    """Say what the confidence limits take as independent."""
    blocks = material.result.evaluation.blocks
    if blocks is None:
        return "All confidence limits take rows as independent."
    by_group = material.config.get("split", {}).get("by") == "group"
    alike, made = ("of one group", "its groups") if by_group else ("near in time", "stretches of time")
    return (
        f"Rows {alike} resemble each other and tell less than their number: all confidence limits take only "
        f"{made} ({blocks:,} blocks of rows) as independent, and fewer than about five give none."
    )


def _crossing(evaluation: Evaluation) -> str:
    """Say how often quantiles had to be put in order, where they did."""
    share = evaluation.metrics.get("crossing_rate_before_ordering", 0.0)
    if not share > 0:
        return ""
    return f" On {percent(share)} of the rows some levels came out crossed; all were put in order."


def _group_words(material: ReportMaterial, choice: plots_forecast.GroupChoice) -> str:
    if not choice.shown:
        return "No group column was named, or no level pair bounds an interval."
    if material.config.get("split", {}).get("by") == "group":
        return (
            "The split keeps each group's rows together because they may resemble each other. How far a "
            "single group's coverage is chance can then not be told."
        )
    return ""


def _search_sections(material: ReportMaterial) -> Iterator[Section]:
    trials, shares = material.trials, material.parameter_importance
    logs = searched_in_logs(material.config)
    history = plots_search.history(trials, material.measure)
    yield Section("search", "The search", "" if history else "No trial has a score.", plots=_some(history))
    yield from front_sections(material)
    yield from warm_sections(material.result.warm)
    plots = _some(
        plots_importance.parameter_importance(shares),
        plots_importance.feature_importance(material.feature_importance),
        plots_search.parallel(trials, shares, logs),
        plots_search.slices(trials, shares, logs),
    )
    yield Section("importance", "What mattered", _lacking(plots), plots=plots)
    yield Section(
        "leaderboard",
        "Rank table",
        f"The score is the {material.measure} on the validation rows; lower is better. Trials that "
        "were stopped early are not ranked.",
        tables=_some(tables.ranking(trials), tables.failures(trials)),
    )


def _lacking(plots: tuple[Plot, ...]) -> str:
    """Say why a plot of this section is not there."""
    names, told = {plot.name for plot in plots}, []
    if "parameter_importance" not in names:
        told.append("How much each parameter mattered cannot be told from this search.")
    if "feature_importance" not in names:
        told.append("The forecaster gave no importance of its features.")
    if "slices" not in names:
        told.append("Too few different settings were scored to compare values of the parameters.")
    return " ".join(told)
