"""The parts of the page that hold the forecaster against its rivals, over time and in the tails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from raysearch.report.material import ReportMaterial
from raysearch.report.plots_forecast import GroupChoice
from raysearch.report.plots_time import over_time
from raysearch.report.record import Section
from raysearch.report.tables import GROUPS_FILE, Table
from raysearch.report.tables_rivals import rival_table, slice_table

_MOST_GROUPS = 30  # with their scores on the page

_RIVALS = (
    "The untuned default is the library as it comes, fitted on the same rows. The constant forecasts for "
    "every row the quantiles of the target in the rows learnt from (of its growth, where that is modelled), "
    "so that the gain on it is what the features are worth. What compares forecasts of the tails are the "
    "losses of the outermost levels."
)


def rival_sections(material: ReportMaterial) -> Iterator[Section]:
    """The forecaster beside the untuned default and a constant forecast."""
    if rivals := rival_table(material.result, material.levels):
        yield Section("rivals", "Against the defaults and a constant", _RIVALS, tables=(rivals,))


def slice_sections(material: ReportMaterial) -> Iterator[Section]:
    """By time and in the tails, where there is something to tell."""
    if times := material.result.sliced("time"):
        yield Section(
            "time",
            "Over time",
            f"The {material.part} rows in their order of time. All figures are in by_time.csv.",
            plots=_there(over_time(times, material.target)),
            tables=_there(slice_table("By time", "period", times)),
        )
    if material.result.sliced("forecast", "outcome"):
        by_forecast = slice_table("By what was forecast", "rows", material.result.sliced("forecast"))
        by_outcome = slice_table("By what happened", "rows", material.result.sliced("outcome"), _DILEMMA)
        told = " All figures are in tails.csv, beside this page."
        yield Section("tails", "In the tails", _TAILS + told, tables=_there(by_forecast, by_outcome))


_TAILS = (
    "Rows of extreme forecasts were chosen before anything happened, so their intervals should hold what "
    "they claim there too."
)
_DILEMMA = (
    "These rows were chosen by their truth. Most extreme truths fall outside any honest interval, so their "
    "coverage is no fault of the forecaster, and is not judged; the gains on them reward whoever cries wolf."
)


def _there(*parts: Any) -> tuple[Any, ...]:
    return tuple(part for part in parts if part is not None)


def group_scores(material: ReportMaterial, choice: GroupChoice) -> Table | None:
    """The scores of the groups that are shown, beside the rivals'; None where there are none."""
    shown = [name for name, _ in choice.shown]
    by_name = {part.name: part for part in material.result.sliced("group")}
    found = [by_name[name] for name in shown or by_name if name in by_name][:_MOST_GROUPS]
    note = "All scores of the largest groups are in by_group.csv, beside this page."
    if choice.left_out:
        note = f"{choice.left_out:,} groups are not shown. {note} The coverage of all is in {GROUPS_FILE}."
    return slice_table("By group", "group", found, note)
