"""Tables of the page that hold the forecaster against its rivals: overall, and by parts of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raysearch.metrics import level_name, nominal_name
from raysearch.records import Comparison, Interval, Rival, Slice, StudyResult
from raysearch.report.tables import Row, Table
from raysearch.report.verdict import group_verdict
from raysearch.report.wording import (
    DASH,
    RIVALS,
    claimed,
    gain_words,
    headline_interval,
    number,
    p_words,
    percent,
    shorten,
    span,
)

_MOST_LEVELS = 12  # told one by one; of more the outermost and every so many between


def rival_table(result: StudyResult, levels: Sequence[float]) -> Table | None:
    """Every score beside the rivals', with the gain and the paired test; None where there is no rival."""
    if not result.rivals:
        return None
    rows = [_score_row("average pinball loss", "pinball_loss_avg", result)]
    told = [_score_row(f"pinball loss at {level:g}", _pinball(level), result) for level in _few(levels)]
    rows += [*told, _plain_row("WIS (twice the average)", "wis", result)]
    for interval in result.evaluation.intervals:
        name, words = nominal_name(interval.nominal), claimed(interval.nominal)
        rows.append(_score_row(f"{words} interval score", f"interval_score_{name}", result))
        rows.append(_plain_row(f"{words} interval: rows inside", f"coverage_{name}", result, share=True))
        rows.append(_plain_row(f"{words} interval: mean width", f"width_{name}", result))
    crossing = "crossing_rate_before_ordering"
    rows.append(_plain_row("rows crossed before ordering", crossing, result, share=True))
    head = ["score", "tuned"]
    for rival in result.rivals:
        head += [RIVALS.get(rival.name, rival.name), "gain (95 %)", "p"]
    note = (
        "The gain is by how much the tuned model's loss is lower; p is that of a paired test, row by row, "
        "that the two are the same. Where many are looked at, one in twenty lies below 0.05 by chance."
    )
    return Table("Against its rivals", tuple(head), tuple(rows), note=note)


def _few(levels: Sequence[float]) -> list[float]:
    step = -(-len(levels) // _MOST_LEVELS)
    return [level for i, level in enumerate(levels) if i % step == 0 or i == len(levels) - 1]


def _pinball(level: float) -> str:
    return f"pinball/{level_name(level)}"


def _score_row(words: str, metric: str, result: StudyResult) -> Row:
    cells = [words, number(result.evaluation.metrics.get(metric))]
    for rival in result.rivals:
        found = rival.scores.get(metric)
        cells += [number(rival.evaluation.metrics.get(metric)), gain_words(found), p_words(found)]
    return Row(tuple(cells), "best" if metric == "pinball_loss_avg" else "")


def _plain_row(words: str, metric: str, result: StudyResult, share: bool = False) -> Row:
    def told(rival: Rival | StudyResult) -> str:
        value = rival.evaluation.metrics.get(metric)
        return DASH if value is None else percent(value) if share else number(value)

    cells = [words, told(result)]
    for rival in result.rivals:
        cells += [told(rival), "", ""]
    return Row(tuple(cells))


def slice_table(name: str, first: str, slices: Sequence[Slice], note: str = "") -> Table | None:
    """One row a slice: loss, gain on each rival, and coverage, judged unless outcomes were chosen."""
    if not slices:
        return None
    rivals = list(slices[0].rivals)
    rows = []
    for part in slices:
        interval = headline_interval(part.evaluation.intervals)
        cells = [shorten(part.name, 48) or "(empty)", number(part.evaluation.rows)]
        cells += [*gain_cells(part, rivals), *_coverage_cells(interval)]
        judged = interval is not None and part.kind != "outcome"
        rows.append(Row(tuple(cells), group_verdict(interval) if judged and interval else ""))
    head = (first, "rows", *gain_heads(rivals), "rows inside", "95 % limits", "mean width")
    return Table(name, head, tuple(rows), note=note)


def gain_heads(rivals: Sequence[str]) -> list[str]:
    """Return the heads of the columns of ``gain_cells``."""
    return ["pinball loss", *(f"gain on {RIVALS.get(rival, rival)}" for rival in rivals)]


def gain_cells(part: Slice | None, rivals: Sequence[str]) -> list[str]:
    """Return the loss of a slice and its gain on each rival; dashes where it is not known."""
    if part is None:
        return [DASH] * (1 + len(rivals))
    found: Mapping[str, Comparison] = part.rivals
    loss = number(part.evaluation.metrics.get("pinball_loss_avg"))
    return [loss, *(gain_words(found.get(rival)) for rival in rivals)]


def _coverage_cells(interval: Interval | None) -> list[str]:
    if interval is None:
        return [DASH] * 3
    return [percent(interval.coverage), span(interval.limits), number(interval.width)]
