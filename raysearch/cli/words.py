"""What commands print: plans, studies, profiles, what was sent; one line, or one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raysearch.addresses import hide_secrets
from raysearch.config import Config
from raysearch.flow.check import Plan
from raysearch.flow.study import StudyRow, plain
from raysearch.flow.sync import Synced
from raysearch.records import Profile
from raysearch.report.profile import parts
from raysearch.report.wording import number as number


def tell(text: str) -> None:
    """Print one line of result."""
    typer.echo(text)


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object; what JSON cannot hold (NaN, infinity) becomes null."""
    text = json.dumps(plain(value), ensure_ascii=False, default=str)
    typer.echo(text.encode("utf-8", "replace").decode("utf-8"))


def duration(seconds: float) -> str:
    """Return "1:05" or "2:03:00": a clock that keeps its width while it runs, unlike the report's words."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def tell_synced(done: Sequence[Synced], home: str) -> None:
    """Print a line for each study, and what could not be sent."""
    console = Console(highlight=False, soft_wrap=True)
    if not done:
        console.print(
            f"nothing to send: the record of every study in {escape(hide_secrets(home))} is complete"
        )
    for one in done:
        how = "[yellow]not all of it could be sent[/yellow]" if one.left else "complete"
        console.print(f"[bold]{escape(one.study)}[/bold]: {one.trials} trials, {how} ({escape(one.uri)})")
        for note in one.left:
            console.print(f"  {escape(note)}")


def tell_profile(profile: Profile, *, err: bool) -> None:
    """Print where the seconds went, as tables; on the error stream where the other is for JSON."""
    console = Console(highlight=False, soft_wrap=True, stderr=err)
    for title, told in parts(profile).items():
        table = Table(
            box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, title=f"\n{title}",
            title_justify="left",
        )  # fmt: skip
        table.add_column("", no_wrap=True)
        for name in ("seconds", "share", "ms a trial"):
            table.add_column(name, justify="right")
        for one in told:
            by_trial = "" if one.a_trial is None else f"{one.a_trial:.1f}"
            table.add_row(one.name, f"{one.seconds:.2f}", f"{100 * one.share:.1f} %", by_trial)
        console.print(table)


def objectives_line(named: Sequence[str]) -> str:
    """Return in words what trials are scored by."""
    if len(named) == 1:
        return f"trials are scored by: {named[0]}"
    return f"Pareto front of: {', '.join(named)} (no trial is stopped early)"


def plan_json(plan: Plan, config: Config) -> dict[str, Any]:
    """Return what ``check`` found as plain values."""
    return {
        "rows": plan.facts.rows,
        "split": dict(plan.facts.split),
        "features": list(plan.features),
        "warnings": list(plan.quality.warnings),
        "space": {space.model: [p.name for p in space.parameters] for space in plan.space.spaces},
        "trials": config.search.trials,
        "concurrent": plan.slots,
        "likely_seconds": plan.seconds,
        "likely_memory_gb": plan.memory_gb,
        "tracking_uri": hide_secrets(plan.tracking_uri) if plan.tracking_uri else None,
        "config": {
            section: {k: hide_secrets(v) if isinstance(v, str) else v for k, v in values.items()}
            for section, values in config.to_dict().items()
        },
    }


def tell_plan(plan: Plan, config: Config) -> None:
    """Print what would run."""
    console = Console(highlight=False, soft_wrap=True)
    split = ", ".join(f"{part} {count:,}" for part, count in plan.facts.split.items() if count)
    console.print(f"table: {escape(plan.facts.source)}, {plan.facts.rows:,} rows ({split})")
    console.print(
        f"target: {escape(config.data.target or '')}; {len(plan.features)} features: "
        f"{escape(', '.join(plan.features[:20]))}{' ...' if len(plan.features) > 20 else ''}"
    )
    for warning in plan.quality.warnings:
        console.print(f"[yellow]note: {escape(warning)}[/yellow]")
    for space in plan.space.spaces:
        console.print(f"space of {space.model}: {escape(', '.join(p.name for p in space.parameters))}")
    trials = f"{config.search.trials} trials" if config.search.trials else "as many trials as the time allows"
    levels = ", ".join(f"{level:g}" for level in config.search.levels)
    console.print(f"would run: {trials} at levels {levels}, {plan.slots} at once")
    console.print(escape(objectives_line([objective.title for objective in config.objectives])))
    console.print(
        f"likely time: about {duration(plan.seconds)} (order of magnitude), start and closing aside"
    )
    console.print(f"likely memory: {plan.memory_gb:.1f} GB on this machine")
    console.print(f"record: {escape(hide_secrets(plan.tracking_uri or 'none (--no-tracking)'))}")
    console.print("all is in order")


def tell_studies(rows: Sequence[StudyRow], home: str) -> None:
    """Print the list of studies."""
    if not rows:
        tell(f"no studies in {hide_secrets(home)}")
        return
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for title in ("study", "state", "model", "target", "trials", "best score", "created"):
        names = title in ("study", "target")
        right = title in ("trials", "best score")
        table.add_column(
            title,
            justify="right" if right else "left",
            no_wrap=not names,
            overflow="fold",
            min_width=8 * names,
        )
    for row in rows:
        asked = f"/{row.asked}" if row.asked else ""
        score = "" if row.score is None else number(row.score)
        cells = (row.state, row.model, escape(row.target), f"{row.trials}{asked}", score, _day(row.created_s))
        table.add_row(escape(row.name), *cells)
    Console(highlight=False).print(table)


def _day(seconds: float) -> str:
    """Return "11-24 23:01", or the date where that is of another year."""
    import datetime

    made, now = datetime.datetime.fromtimestamp(seconds), datetime.datetime.now()
    return made.strftime("%m-%d %H:%M" if made.year == now.year else "%Y-%m-%d")
