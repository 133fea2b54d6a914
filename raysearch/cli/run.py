"""A study in the terminal: progress while it runs, its result at the end."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import typer

from raysearch.cli.guard import INTERRUPTED
from raysearch.cli.outcome import tell_study
from raysearch.cli.progress import TerminalDisplay
from raysearch.cli.words import print_json, tell_profile
from raysearch.flow.display import Display
from raysearch.flow.study import Study, to_json


def run_study(run: Callable[[Display, float], Study], *, json: bool, profile: bool = False) -> None:
    """Run a study with a display on the error stream and print its result on the output stream.

    ``run`` is given the display and the seconds that the command has taken so far.
    """
    with _streams() as (errors, redirect):
        display = TerminalDisplay(errors, redirect)
        try:
            study = run(display, _process_age_s())
        finally:
            display.close()
    for warning in study.warnings:
        typer.secho(f"note: {warning}", err=True, fg="yellow")
    if json:
        print_json(to_json(study.result))
    else:
        tell_study(study)
    if profile and study.result.profile:
        tell_profile(study.result.profile, err=json)
    if study.result.stopped_by == "interrupt":
        raise typer.Exit(INTERRUPTED)


def _process_age_s() -> float:
    """Return the seconds since this process was started; 0 where the system does not tell."""
    try:
        # The 22nd field, counted behind the name in brackets, which may hold blanks.
        ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, IndexError, ValueError):
        return 0.0
    # A clock that a container shifts would give nonsense.
    return age if 0 <= age < 60 else 0.0


@contextlib.contextmanager
def _streams() -> Iterator[tuple[TextIO, Callable[[Path], None]]]:
    """Keep the terminal for ourselves: descriptors 1 and 2 can be sent to a log, for C++ writes past logging.

    Yields:
        A stream to the user's terminal, and a function that sends all else that is written to a file.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)

    def redirect(path: Path) -> None:
        with path.open("ab") as file:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)

    terminal = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")
    try:
        yield terminal, redirect
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        terminal.close()
        for descriptor, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, descriptor)
            os.close(copy)
