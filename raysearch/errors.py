"""What raysearch raises. Every message names what was wrong, what was got and what would be right."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable


class RaysearchError(Exception):
    """Base of all errors that a user can mend. The command line prints the message and exits with 1."""


class ConfigError(RaysearchError):
    """A setting is unknown, of the wrong kind or out of range."""


class SpaceError(RaysearchError):
    """A search space cannot be used as written."""


class DataError(RaysearchError):
    """A table cannot be read, or cannot be tuned on."""


class ClusterError(RaysearchError):
    """No Ray cluster answers at the address, or it lacks what was asked for."""


class TrackingError(RaysearchError):
    """No MLflow store answers at the tracking address."""


class StudyError(RaysearchError):
    """A study cannot be made, found, continued or finished."""


class NoForecasterError(StudyError):
    """There is no forecaster where one was looked for."""


class NoTrialsError(StudyError):
    """A study's ledger is not there, or knows nothing of the study."""


class TakenOverError(StudyError):
    """Another process runs the study that this one ran."""


class InterruptedStudyError(StudyError):
    """A study was stopped by its user before it had anything to show; it can be continued."""


class Problems:
    """Gathers everything that is wrong, to tell it at once.

    Example:
        problems = Problems("config")
        problems.add("trials: got 0, must be at least 1")
        problems.raise_as(ConfigError)
    """

    def __init__(self, about: str) -> None:
        self.about = about
        self.found: list[str] = []

    def add(self, problem: str) -> None:
        self.found.append(problem)

    def raise_as(self, error: type[RaysearchError]) -> None:
        """Raise ``error`` with all problems, or return when there are none."""
        if not self.found:
            return
        found = list(dict.fromkeys(self.found))  # one mistake can be met twice
        if len(found) == 1:
            raise error(f"{self.about}: {found[0]}")
        listed = "\n".join(f"  - {problem}" for problem in found)
        raise error(f"{self.about}: {len(found)} problems\n{listed}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint such as ``; did you mean 'trials'?``, or an empty string."""
    match = difflib.get_close_matches(str(name), list(map(str, known)), n=1, cutoff=0.6)
    return f"; did you mean '{match[0]}'?" if match else ""


def listing(names: Iterable[str], most: int = 12) -> str:
    """Return the names, comma separated, cut after ``most`` with the number left out."""
    names = list(names)
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def sync_command(name: str, home: str = "studies") -> str:
    """Return the command that sends what a study's record lacks, ready to be pasted into a shell."""
    return resume_command(name, home).replace(" resume ", " sync ", 1)


def resume_command(name: str, home: str = "studies", options: str = "") -> str:
    """Return the command that goes on with a study, ready to be pasted into a shell."""
    place = "" if home == "studies" else f" --home {shlex.quote(home)}"
    return f"python -m raysearch resume {shlex.quote(name)}{place}{' ' if options else ''}{options}"
