"""Tables of the page, and the leaderboard as CSV."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raysearch.metrics import level_name
from raysearch.objectives import titles
from raysearch.records import DataQuality, Evaluation, TrialResult
from raysearch.report.material import ReportMaterial
from raysearch.report.plots_forecast import GroupChoice
from raysearch.report.scales import ranked, scored
from raysearch.report.verdict import group_verdict, judged, verdict
from raysearch.report.wording import (
    DASH,
    LIBRARIES,
    claimed,
    duration,
    number,
    percent,
    shorten,
    span,
)

_LEADERBOARD = ("rank", "trial", "model", "state", "score", "rounds", "seconds", "default", "reason")
_BEST = 20
_PINBALL = "valid_pinball_loss_avg"  # stands in the leaderboard whatever trials are scored by
GROUPS_FILE = "coverage_by_group.csv"
_STATES = {"stopped": "stopped early", "cut": "cut by time"}


@dataclass(frozen=True)
class Row:
    """One row; ``tone`` is "best", "good", "warn", "quiet" or empty."""

    cells: tuple[str, ...]
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """A table; ``text`` tells the columns that hold words and stand at the left."""

    name: str
    head: tuple[str, ...]
    rows: tuple[Row, ...]
    text: frozenset[int] = frozenset({0})
    note: str = ""


def write_leaderboard(trials: Iterable[TrialResult], path: Path) -> None:
    """Write all trials as CSV in UTF-8: those with a model by rank, then the others with a score."""
    trials = tuple(trials)
    names, words = _param_names(trials), _other_words(trials)
    told = scored(trials)
    keys = {trial.number for trial in told}
    best = len(ranked(told))
    ordered = [
        *((rank if rank <= best else "", trial) for rank, trial in enumerate(told, 1)),
        *(("", trial) for trial in trials if trial.number not in keys),
    ]
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="", errors="replace") as file,
    ):
        writer = csv.writer(file)
        writer.writerow([*_LEADERBOARD, *words, *[_PINBALL] * bool(words), *names])
        for rank, t in ordered:
            score = t.score if t.number in keys else ""
            cells = [
                rank,
                t.number,
                t.model,
                t.state,
                score,
                t.rounds,
                round(t.seconds, 3),
                t.default,
                t.reason,
            ]
            cells += [t.objectives.get(word, "") for word in words]
            cells += [t.metrics.get(_PINBALL, "")] * bool(words)
            writer.writerow([*cells, *(t.params.get(name, "") for name in names)])


def write_groups(evaluation: Evaluation, path: Path) -> None:
    """Write rows, coverage with its limits and width of every group and interval, the largest group first.

    Without groups there is no file.
    """
    if not any(evaluation.groups.values()):
        path.unlink(missing_ok=True)
        return
    largest = sorted(evaluation.groups.items(), key=lambda item: -max((i.rows for i in item[1]), default=0))
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="", errors="replace") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["group", "interval", "rows", "coverage", "low", "high", "mean_width"])
        for name, intervals in largest:
            for i in intervals:
                low, high = i.limits or ("", "")
                writer.writerow([name, f"{i.nominal:g}", i.rows, i.coverage, low, high, i.width])


class replacing:  # noqa: N801  (reads as the verb it is)
    """Give a temporary path beside the target, moved onto it when the block ends well."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def __enter__(self) -> Path:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        os.close(handle)
        self.temporary = Path(name)
        return self.temporary

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            # mkstemp makes files for the owner alone; a report is for others to read.
            self.temporary.chmod(0o644)
            self.temporary.replace(self.path)
        else:
            self.temporary.unlink(missing_ok=True)


def _other_words(trials: Sequence[TrialResult]) -> list[str]:
    """Return the words of the objectives, where trials are scored by else than the pinball loss alone."""
    words = list(dict.fromkeys(word for trial in trials for word in trial.objectives))
    return [] if words == ["pinball"] else words


def _param_names(trials: Sequence[TrialResult]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in trial.params))


def ranking(trials: Sequence[TrialResult]) -> Table:
    """The best twenty with their parameters, and the untuned default wherever it stands.

    Where fewer have a model, those that were stopped early follow, without a rank.
    """
    told = scored(trials)
    best = len(ranked(told))
    shown = [item for item in enumerate(told, 1) if item[0] <= _BEST or item[1].default]
    names, words = _param_names([trial for _, trial in shown]), _other_words(trials)[1:]
    rows = [_ranking_row(rank if rank <= best else None, trial, (words, names)) for rank, trial in shown]
    others = titles(words).values() if words else ()
    head = ("rank", "trial", "library", "state", "score", *others, "rounds", "time", *names)
    notes = []
    if any(trial.state == "stopped" for _, trial in shown):
        notes.append("Trials that were stopped early have no rank: their score is that after fewer rounds.")
    if any(trial.state == "cut" for _, trial in shown):
        notes.append("Trials cut by time might have become better with more rounds.")
    if len(told) > len(shown):
        notes.append(f"{len(told) - len(shown):,} more scored trials are in the leaderboard.")
    return Table("The best trials", head, tuple(rows), frozenset({2, 3}), " ".join(notes))


def _ranking_row(rank: int | None, trial: TrialResult, columns: tuple[Sequence[str], Sequence[str]]) -> Row:
    words, names = columns
    state = "untuned default" if trial.default else _STATES.get(trial.state, trial.state)
    told = (
        DASH if rank is None else str(rank),
        str(trial.number),
        LIBRARIES.get(trial.model, trial.model),
        state,
    )
    values = (number(trial.score, 5), *(number(trial.objectives.get(word), 5) for word in words))
    cost = (*values, number(trial.rounds), duration(trial.seconds))
    params = tuple(number(trial.params.get(name)) for name in names)
    quiet = trial.default or rank is None
    return Row(told + cost + params, "best" if rank == 1 else "quiet" if quiet else "")


def failures(trials: Sequence[TrialResult]) -> Table | None:
    """Why trials failed, or None where none did."""
    by_reason: dict[str, list[int]] = {}
    for trial in trials:
        if trial.state == "failed":
            by_reason.setdefault(trial.reason or "no reason was given", []).append(trial.number)
    rows = []
    for reason, numbers in sorted(by_reason.items(), key=lambda item: -len(item[1]))[:_BEST]:
        told = ", ".join(map(str, numbers[:8])) + (" …" if len(numbers) > 8 else "")
        rows.append(Row((shorten(reason, 400), f"{len(numbers):,}", told)))
    note = f"The {_BEST} most common of {len(by_reason):,} reasons." if len(by_reason) > _BEST else ""
    head = ("reason", "trials", "which")
    return Table("Failed trials", head, tuple(rows), frozenset({0, 2}), note) if rows else None


def level_table(evaluation: Evaluation, levels: Sequence[float]) -> Table:
    """Every level: what it claims, what was observed, its pinball loss."""
    rows = []
    for level in levels:
        share = evaluation.reliability.get(level)
        loss = evaluation.metrics.get(f"pinball/{level_name(level)}")
        if share is None:
            rows.append(Row((f"{level:g}", percent(level), DASH, DASH, number(loss))))
            continue
        limits = evaluation.reliability_limits.get(level)
        told = (f"{level:g}", percent(level), percent(share), span(limits), number(loss))
        rows.append(Row(told, judged(level, share, limits)))
    rows.append(Row(("all", "", "", "", number(evaluation.metrics.get("pinball_loss_avg"))), "best"))
    head = ("level", "should lie below", "observed", "95 % limits", "pinball loss")
    return Table("Every level", head, tuple(rows))


def interval_table(evaluation: Evaluation) -> Table | None:
    """Every interval: coverage with its limits, and width; None for a single level."""
    rows = tuple(
        Row(
            (
                claimed(part.nominal),
                percent(part.coverage),
                span(part.limits),
                number(part.width),
            ),
            verdict(part),
        )
        for part in evaluation.intervals
    )
    head = ("interval", "rows inside", "95 % limits", "mean width")
    return Table("Every interval", head, rows) if rows else None


def group_table(choice: GroupChoice) -> Table | None:
    """The groups that are shown, with rows, coverage and width."""
    rows = tuple(
        Row(
            (
                shorten(name, 48) or "(empty)",
                number(part.rows),
                percent(part.coverage),
                span(part.limits),
                number(part.width),
            ),
            group_verdict(part),
        )
        for name, part in choice.shown
    )
    note = f"{choice.left_out:,} groups are not shown. All are in {GROUPS_FILE}, beside this page."
    note *= bool(choice.left_out)
    head = ("group", "rows", "rows inside", "95 % limits", "mean width")
    return Table("By group", head, rows, note=note) if rows else None


def scale_table(material: ReportMaterial) -> Table | None:
    """The same figures on the original and on the modelled scale; None without a transform."""
    modelled, told = material.modelled, material.result.evaluation
    if modelled is None:
        return None
    pairs = [("average pinball loss", "pinball_loss_avg")]
    named = ((f"{level:g}", f"pinball/{level_name(level)}") for level in material.levels)
    pairs += [(f"pinball loss at level {level}", metric) for level, metric in named]
    pairs += [("weighted interval score (WIS)", "wis"), ("CRPS, from the quantiles", "crps")]
    rows = [
        Row((name, number(told.metrics.get(key)), number(modelled.metrics.get(key)))) for name, key in pairs
    ]
    for left, right in zip(told.intervals, modelled.intervals, strict=False):
        name = claimed(left.nominal)
        rows.append(Row((f"mean width of the {name} interval", number(left.width), number(right.width))))
        rows.append(
            Row((f"coverage of the {name} interval", percent(left.coverage), percent(right.coverage)))
        )
    head = (
        "figure",
        f"original scale: {material.target}",
        f"modelled scale: {material.modelled_name or 'transformed'}",
    )
    note = "Coverage is the same on both: a monotone transform moves truth and quantiles together."
    return Table("On both scales", head, tuple(rows), note=note)


def quality_table(quality: DataQuality) -> Table:
    """Every column of the user's table: kind, missing, distinct, used or why not."""
    rows = tuple(
        Row(
            (
                column.name,
                column.kind,
                f"{column.missing:,} ({percent(column.missing / quality.rows)})"
                if column.missing and quality.rows
                else "0",
                number(column.distinct),
                "yes" if column.used else "no",
                column.note,
            ),
            "" if column.used else "quiet",
        )
        for column in quality.columns
    )
    head = ("column", "kind", "missing", "distinct values", "feature", "remark")
    return Table(f"Columns ({len(rows):,})", head, rows, frozenset({0, 1, 4, 5}))
