"""Who runs a study, as its ledger's database knows it, and whether that process still lives."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import optuna

from raysearch.errors import StudyError
from raysearch.study.storage import storage_errors_told

DRIVER_ATTRIBUTE = "raysearch.driver"
DEAD_AFTER_S = 30.0  # without a sign of life
held: set[str] = set()  # by this process, now: one whose end the database has missed is over nevertheless


@dataclass(frozen=True)
class Driver:
    """The process that runs a study, as the study's database knows it.

    Attributes:
        id: unique for ever.
        seen_from: from where its process number can be looked up.
        process: number and start of the process.
        beat_s: when it last told that it lives, by its own clock, in seconds since the epoch.
    """

    id: str = ""
    host: str = ""
    seen_from: str = ""
    process: str = ""
    beat_s: float = 0.0

    @property
    def told(self) -> str:
        return f"{self.host}, process {self.process.partition(' ')[0]}"

    @property
    def lives(self) -> bool | None:
        """Tell whether it runs; None: that is not seen from here, or it has given no sign of life lately."""
        if not self.seen_from or self.seen_from != seen_from():
            return None
        if self.process == process_of(os.getpid()):
            return self.id in held
        if process_of(self.process.partition(" ")[0]) != self.process:
            return False
        return True if self._is_fresh else None

    @property
    def seems_to_live(self) -> bool:
        """Tell whether it runs, as far as two machines' clocks agree."""
        lives = self.lives
        return self._is_fresh if lives is None else lives

    @property
    def _is_fresh(self) -> bool:
        return abs(time.time() - self.beat_s) < DEAD_AFTER_S


def driver_of(study: optuna.Study) -> Driver | None:
    """Return the driver that has the study, whether it lives or not; None: the last one has left it.

    Raises:
        StudyError: the database does not answer.
    """
    try:
        with storage_errors_told():
            told: dict[str, Any] = (
                study._storage.get_study_user_attrs(study._study_id).get(DRIVER_ATTRIBUTE) or {}
            )
    except KeyError:
        raise StudyError("the study is not in the ledger's database any more") from None
    known = {field.name for field in fields(Driver)}  # those of another version may be others
    return Driver(**{name: value for name, value in told.items() if name in known}) if told else None


def seen_from() -> str:
    """Return what is the same for all processes that see each other's numbers; empty: none can be seen."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    # It may not be there, or be mounted so that users see their own processes alone.
    if not (os.access(boot, os.R_OK) and os.access("/proc/1/stat", os.R_OK)):
        return ""
    return f"{boot.read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"


def process_of(number: int | str) -> str:
    """Return a process's number, with when it began where it lives: numbers are given out again."""
    try:
        state, *about = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return str(number)
    return str(number) if state == "Z" else f"{number} {about[18]}"
