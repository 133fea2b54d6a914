"""What a search began with of earlier studies, and what that brought: for the terminal and the page."""

from __future__ import annotations

from collections.abc import Iterator

from raysearch.records import TrialResult, WarmOutcome, WarmPoint, WarmStart
from raysearch.report.record import Section
from raysearch.report.tables import Row, Table
from raysearch.report.wording import DASH, number, percent, points, several


def begin_words(start: WarmStart) -> str:
    """Return in a line what a search begins with, or why with nothing of earlier studies."""
    if start.note:
        return f"no warm start: {start.note}"
    if not start.looked_at:
        return "warm start: no earlier study with these levels and objectives in the store"
    if not start.alike:
        told = several(start.looked_at, "earlier study", "earlier studies")
        return f"warm start: none has data like this ({told} with these levels and objectives)"
    alike = several(start.alike, "earlier study", "earlier studies")
    if not start.points:
        return f"warm start: {alike} on data like this, none with a point that helped there and is new here"
    return (
        f"warm start: {several(len(start.points), 'point')} of {_sources(start)} ({alike} on data like this)"
    )


def warm_words(warm: WarmOutcome) -> str:
    """Return in a line what the points of earlier studies brought."""
    if not warm.start.points:
        return begin_words(warm.start)
    tried = several(len(warm.trials), "trial")
    if warm.of:
        tried = f"{len(warm.trials)} of {several(warm.of, 'trial')} ({percent(len(warm.trials) / warm.of)})"
    told = f"warm start: {tried} with points of {_sources(warm.start)}"
    if not warm.trials:
        return f"{told}; time was over before"
    if warm.best is None:
        return f"{told}: none of them was trained to its end"
    told += f": the best, trial {warm.best.number}, scores {number(warm.best.score)}"
    gain = warm.gain_percent
    if warm.other is None or gain is None:
        return told
    way = "below" if gain >= 0 else "above"
    return f"{told}, {points(abs(gain))} % {way} the best of the others ({number(warm.other.score)})"


def warm_sections(warm: WarmOutcome | None) -> Iterator[Section]:
    """The section of the page; none where a warm start was not asked for."""
    if warm is None:
        return
    words = warm_words(warm)
    tables = (_table(warm),) if warm.start.points else ()
    yield Section("warm", "What earlier studies brought", f"{words[0].upper()}{words[1:]}.", tables=tables)


def _sources(start: WarmStart) -> str:
    names = list(dict.fromkeys(point.study for point in start.points))
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _table(warm: WarmOutcome) -> Table:
    names = list(dict.fromkeys(name for point in warm.start.points for name in point.params))
    by_params = [(dict(trial.params), trial) for trial in warm.trials]
    rows = [
        _row(point, next((trial for params, trial in by_params if params == dict(point.params)), None), names)
        for point in warm.start.points
    ]
    head = (
        "study",
        "distance of its data",
        "score there, default = 1",
        "trial here",
        "state",
        "score",
        *names,
    )
    note = (
        "The distance is the mean difference of what the data is like (rows, columns, kinds of columns, "
        "shape and noise of the target), each as a share of its range."
    )
    return Table("Points of earlier studies", head, tuple(rows), frozenset({0, 4}), note)


def _row(point: WarmPoint, trial: TrialResult | None, names: list[str]) -> Row:
    told = (DASH, "not tried", DASH)
    if trial is not None:
        told = (str(trial.number), trial.state, number(trial.score, 5))
    values = tuple(number(point.params.get(name)) for name in names)
    return Row((point.study, number(point.distance), number(point.ratio), *told, *values))
