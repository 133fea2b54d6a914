"""What the terminal shows while a study runs: one moving line, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from raysearch.cli.words import duration, number, objectives_line
from raysearch.flow.display import SearchBegins
from raysearch.records import TrialResult
from raysearch.report.warm import begin_words
from raysearch.report.wording import several

_LINE_EVERY_S = 5.0


class TerminalDisplay:
    """Shows trials done, the best score and the time left."""

    def __init__(self, stream: TextIO, redirect: Callable[[Path], None]) -> None:
        self._console = Console(file=stream, highlight=False)
        # A pipe has no width to wrap at.
        self._console.soft_wrap = not self._console.is_terminal
        self._redirect = redirect
        self._live: Live | None = None
        self._about: SearchBegins | None = None
        self._begun_s = self._told_s = 0.0
        self._done = self._failed = self._before = 0
        self._running: set[str] = set()
        self._best: float | None = None
        self._default: float | None = None

    # -- what happens ----------------------------------------------------------------------------------------

    def study_made(self, name: str, log: Path) -> None:
        self._console.print(f"study [bold]{escape(name)}[/bold] (log: {escape(str(log))})")
        self._redirect(log)

    def phase(self, text: str) -> None:
        self._console.print(f"{escape(text)} ...", style="dim")

    def warn(self, text: str) -> None:
        self._console.print(f"warning: {escape(text)}", style="yellow")

    def search_begins(self, about: SearchBegins) -> None:
        self._about = about
        self._begun_s = self._told_s = time.monotonic()
        for result in about.ended:
            self._count(result)
        self._before = self._done
        for line in _opening(about):
            self._console.print(line)
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._line, console=self._console, refresh_per_second=4, transient=True
            )
            self._live.start()

    def dashboard_stands(self, url: str) -> None:
        if url:
            self._console.print(_dashboard(url))
        else:
            self.warn("Ray's dashboard does not start; the search goes on without it")

    def trial_started(self, number: int, key: str, model: str, params: Mapping[str, Any]) -> None:
        self._running.add(key)

    def trial_ended(self, result: TrialResult) -> None:
        self._running.discard(result.key)
        self._count(result)
        if result.state == "failed":
            self._console.print(f"trial {result.number} failed: {escape(result.reason)}", style="yellow")
        if self._live is None and time.monotonic() - self._told_s >= _LINE_EVERY_S:
            self._told_s = time.monotonic()
            self._console.print(self._words(left=True))

    def trial_interrupted(self, key: str) -> None:
        self._running.discard(key)

    def search_ends(self, stopped_by: str) -> None:
        self._stop_live()
        reasons = {
            "trials": "all trials are done",
            "time": "the time budget is used",
            "patience": "no gain for the trials of --patience",
            "failures": "too many trials failed",
            "interrupt": "interrupted: keeping the best so far",
            "pick": "no more are asked for",
        }
        self._console.print(f"{self._words(left=False)}; {reasons.get(stopped_by, stopped_by)}")

    def close(self) -> None:
        self._stop_live()

    # -- how it is told --------------------------------------------------------------------------------------

    def _stop_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _count(self, result: TrialResult) -> None:
        if result.state == "failed":
            self._failed += 1
            return
        self._done += result.counts
        if not result.has_model or result.score is None:
            return
        if result.default:
            self._default = result.score if self._default is None else min(self._default, result.score)
        self._best = result.score if self._best is None else min(self._best, result.score)

    def _left_s(self) -> float | None:
        """Return the likely seconds to the end of the search, or None where nothing is known yet."""
        about = self._about
        if about is None:
            return None
        ends = [] if about.deadline_s is None else [about.deadline_s - time.monotonic()]
        fresh = self._done - self._before
        if about.trials is not None and fresh:
            ends.append((time.monotonic() - self._begun_s) / fresh * (about.trials - self._done))
        return max(0.0, min(ends)) if ends else None

    def _words(self, *, left: bool) -> str:
        about = self._about
        asked = f"/{about.trials}" if about and about.trials is not None else ""
        words = [f"trials {self._done}{asked}"]
        if self._best is not None:
            named = f"{about.objectives[0]} " if about and len(about.objectives) > 1 else ""
            words.append(f"best {named}{number(self._best)}{self._gain()}")
        if self._failed:
            words.append(f"{self._failed} failed")
        if self._running:
            words.append(f"{len(self._running)} running")
        seconds = self._left_s() if left else None
        if seconds is not None:
            words.append(f"{duration(seconds)} left")
        return ", ".join(words)

    def _gain(self) -> str:
        if self._default is None or self._best is None or not self._default:
            return ""
        if self._best == self._default:
            return " (the untuned default)"
        gain = 100 * (1 - self._best / self._default)
        return f" ({gain:.1f} % below the default's {number(self._default)})"

    def _line(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        about = self._about
        cells: list[Any] = [Spinner("dots")]
        if about and about.trials is not None:
            cells.append(ProgressBar(total=about.trials, completed=self._done, width=24))
        grid.add_row(*cells, Text(self._words(left=True), overflow="ellipsis", no_wrap=True))
        return grid


def _opening(about: SearchBegins) -> list[str]:
    rows = ", ".join(f"{part} {count:,}" for part, count in about.facts.split.items() if count)
    lines = [f"table: {escape(about.facts.name)}, {about.facts.rows:,} rows ({rows})"]
    lines += [f"[yellow]note: {escape(warning)}[/yellow]" for warning in about.quality.warnings]
    if about.objectives != SearchBegins.objectives:
        lines.append(escape(objectives_line(about.objectives)))
    if about.dashboard:
        lines.append(_dashboard(about.dashboard))
    lines.append(f"{several(about.slots, 'trial', 'trials')} at once")
    if about.tracking_uri:
        lines.append(f"MLflow: {escape(about.tracking_uri)}")
    if about.warm and not about.warm.note:  # a note was told as a warning
        lines.append(escape(begin_words(about.warm)))
    return lines


def _dashboard(url: str) -> str:
    return f"Ray dashboard: {url} (if it asks for a token: `ray get-auth-token`)"
