"""How the history of a store is told in the terminal."""

from __future__ import annotations

import dataclasses
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raysearch.flow.history import History
from raysearch.report.history import agreement_words, overview, params_words, title
from raysearch.report.wording import several

_SHOWN = 6  # columns that fit a terminal; the others stand in lines below


def tell_history(found: History) -> None:
    """Print a table of the kinds of data, and what the studies of each agree on."""
    console = Console(highlight=False, soft_wrap=True)
    if not found.kinds:
        console.print(f"no study at {escape(found.address)} has left anything behind yet: run tune")
    else:
        _tell_kinds(console, found)
    if found.page:
        console.print(f"page: {escape(found.page)}")


def _tell_kinds(console: Console, found: History) -> None:
    told = overview(found.kinds)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for position, name in enumerate(told.head[:_SHOWN]):
        table.add_column(name, justify="left" if position in told.text else "right")
    for row in told.rows:
        table.add_row(*map(escape, row.cells[:_SHOWN]))
    console.print(f"{several(len(found.studies), 'study', 'studies')} at {escape(found.address)}")
    console.print(table)
    for kind in found.kinds:
        best = kind.best
        console.print(f"\n[bold]{escape(title(kind))}[/bold]")
        console.print(escape(f"best ({best.study}): {params_words(best.points[0].params)}"))
        console.print(escape(agreement_words(kind)))
    console.print(f"\n{told.note}")


def history_json(found: History) -> dict[str, Any]:
    """Return the history as plain values."""
    return {
        "tracking_uri": found.address,
        "page": found.page or None,
        "kinds": [
            {
                "rows": kind.size,
                "split": kind.split,
                "model": kind.model,
                "objective": kind.objective,
                "gain_percent": kind.gain_percent,
                "best_study": kind.best.study,
                "best_params": dict(kind.best.points[0].params),
                "parameters": [{**dataclasses.asdict(one), "agree": one.agree} for one in kind.parameters],
                "studies": [dataclasses.asdict(study) for study in kind.studies],
            }
            for kind in found.kinds
        ],
    }
