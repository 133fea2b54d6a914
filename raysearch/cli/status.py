"""How a study is doing, in the terminal: anew each second until it ends, or once."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from raysearch.cli.words import duration, number, print_json
from raysearch.flow.status import Status, StatusReader, age_s

_EVERY_S = 1.0


def tell_status(name: str | None, home: str, *, once: bool, json: bool) -> None:
    """Print a study's status; on a terminal until the study ends, unless it is asked for once."""
    reader = StatusReader(name, home)
    status = reader.read()
    if json:
        print_json(_json(status))
        return
    console = Console(highlight=False, soft_wrap=True)
    if once or not console.is_terminal or status.state != "running":
        console.print(_view(status))
        return
    with Live(_view(status), console=console, auto_refresh=False) as live:
        while status.state == "running":
            time.sleep(_EVERY_S)
            status = reader.read()
            live.update(_view(status), refresh=True)


def _view(status: Status) -> Group:
    asked = "" if status.asked is None else f"/{status.asked}"
    parts = [f"trials {status.done}{asked}"]
    parts += [f"{count} {state}" for state, count in status.trials.items() if count]
    lines = [f"[bold]{escape(status.study)}[/bold] {status.state}: {', '.join(parts)}"]
    if status.best is not None and status.best.score is not None:
        lines.append(f"best {number(status.best.score)} (trial {status.best.number}, {status.best.model})")
    lines.append(f"{status.per_minute:.1f} trials a minute, {status.cores} cores at work")
    return Group(*lines, *([_running(status)] if status.running else []))


def _running(status: Status) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name in ("trial", "model", "rounds", "score", "running for"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for one in status.running:
        score = "" if one.score is None else number(one.score)
        table.add_row(
            str(one.number), one.model, f"{one.rounds or '?'}/{one.of}", score, duration(age_s(one))
        )
    return table


def _json(status: Status) -> dict[str, Any]:
    best = status.best
    return {
        "study": status.study,
        "state": status.state,
        "trials": status.trials,
        "asked": status.asked,
        "best": None if best is None else {"number": best.number, "model": best.model, "score": best.score},
        "running": [dataclasses.asdict(one) | {"seconds": age_s(one)} for one in status.running],
        "cores": status.cores,
        "trials_per_minute": status.per_minute,
    }
