"""Where the seconds of a study went: of the command, of its workers, and of the process that drives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from raysearch.records import Profile
from raysearch.report.canvas import BLUE, MUTED, ORANGE, Plot, Sheet, bars, margin, number_ticks
from raysearch.report.record import Section
from raysearch.report.tables import Row, Table
from raysearch.report.wording import number, percent, several

_MEANINGS = {
    "starting": "workers: until they stood",
    "binning": "workers: features put into bins, once for all trials",
    "location": "workers: where the target lies, once for all trials",
    "training": "workers: boosting rounds",
    "prediction": "workers: what the rounds say of the validation rows",
    "calibration": "workers: quantiles put in order and calibrated",
    "scoring": "workers: scores, and losses between the rungs",
    "sending": "workers: models written out",
    "idle": "workers: waiting for the driver or each other, and trials that failed",
    "proposals": "driver: what to try next, and writing it down",
    "ledger": "driver: results written down",
    "tracking": "driver: MLflow",
    "engine": "driver: Ray Tune",
}


@dataclass(frozen=True)
class Part:
    """Some of the seconds.

    Attributes:
        share: of all that this kind of seconds comes to.
        a_trial: milliseconds for each trial of the run; None where it has nothing to do with trials.
    """

    name: str
    seconds: float
    share: float
    a_trial: float | None


def parts(profile: Profile) -> dict[str, list[Part]]:
    """Return the parts of the command, the workers and the driver, each with the largest first."""
    kinds = {
        "the command, on the clock": (profile.phases, False),
        f"{several(profile.slots, 'worker')} during the search": (profile.workers, True),
        "the driver's processor during the search": (profile.driver, True),
    }
    return {title: _parts(*kind, profile.trials) for title, kind in kinds.items()}


def _parts(seconds: Mapping[str, float], by_trial: bool, trials: int) -> list[Part]:
    whole = sum(seconds.values())
    told = sorted(seconds.items(), key=lambda item: -item[1])
    return [
        Part(name, value, value / whole, 1000 * value / trials if by_trial and trials else None)
        for name, value in told
        if value > 0
    ]


def profile_sections(profile: Profile | None) -> Iterator[Section]:
    """The section of the page; none where nothing was measured."""
    if profile is None:
        return
    tables = []
    for title, told in parts(profile).items():
        rows = tuple(
            Row((one.name, number(one.seconds), percent(one.share), _milliseconds(one), _meaning(one.name)))
            for one in told
        )
        head = (title, "seconds", "share", "ms a trial", "")
        tables.append(Table(title[0].upper() + title[1:], head, rows, frozenset({0, 4})))
    yield Section(
        "profile",
        "Where the time went",
        f"Of the last run, with {several(profile.trials, 'trial')}, until this page was written.",
        plots=(_plot(profile),),
        tables=tuple(tables),
    )


def _milliseconds(part: Part) -> str:
    return "" if part.a_trial is None else number(part.a_trial)


def _meaning(name: str) -> str:
    return _MEANINGS.get(name, "").partition(": ")[2]


def _plot(profile: Profile) -> Plot:
    """Bars of the command's phases, and of what workers did meanwhile."""
    command, workers, _ = parts(profile).values()
    sheet = Sheet(0.95 + 0.27 * max(len(command), len(workers)), wide=True)
    for column, (told, colour, title) in enumerate(
        ((command, BLUE, "seconds of the command"), (workers, ORANGE, "seconds of all workers"))
    ):
        labels = [sheet.label(one.name) for one in told]
        left = margin(labels) if labels else 0.5
        start = 5.5 * column
        axes = sheet.axes(start + left, 0.55, 5.5 - left - 0.75, sheet.size[1] - 0.7, grid="x")
        seconds, shares = [one.seconds for one in told], [percent(one.share) for one in told]
        bars(axes, labels, seconds, shares, colour)
        number_ticks(axes.xaxis, 4)
        axes.set_xlabel(title, color=MUTED, fontsize=9)
    largest = ", ".join(f"{one.name} {percent(one.share)}" for one in workers[:3])
    return sheet.finish(
        "profile",
        "Where the time went",
        "Left what the command took on the clock, right what its workers did during the search, together.",
        f"Bars of seconds; of the workers' most went into: {largest}.",
    )
