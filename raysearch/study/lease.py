"""One driver a study at a time, where its home lies at an address and no lock is seen: told by its ledger.

A driver writes who it is, and every few seconds that it still lives. Another one that finds it alive is told
no. One that was cut off or stopped for longer than that may find that another has taken its study over.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import optuna

from raysearch.errors import StudyError, TakenOverError
from raysearch.study.storage import storage_errors_told

_ATTRIBUTE = "raysearch.driver"
_BEAT_S, _DEAD_AFTER_S = 10.0, 60.0
_SETTLES_S = 1.0  # in which of two drivers that begin at once the one sees the other
_LOOK_S = 0.5
_held: set[str] = set()  # by this process, now: one whose end the database has missed is over nevertheless


@dataclass(frozen=True)
class Driver:
    """The process that runs a study, as the study's database knows it.

    Attributes:
        id: unique for ever.
        seen_from: from where its process number can be looked up.
        process: number and start of the process.
        beat_s: when it last told that it lives, by its own clock, in seconds since the epoch.
    """

    id: str
    host: str
    seen_from: str
    process: str
    beat_s: float

    @property
    def told(self) -> str:
        return f"{self.host}, process {self.process.partition(' ')[0]}"

    @property
    def lives(self) -> bool | None:
        """Tell whether the process is there; None: it runs where that cannot be seen from here."""
        if not self.seen_from or self.seen_from != _seen_from():
            return None
        if self.process == _process(os.getpid()):
            return self.id in _held
        return _process(self.process.partition(" ")[0]) == self.process

    @property
    def seems_to_live(self) -> bool:
        """Tell whether it runs, as far as two machines' clocks agree."""
        lives = self.lives
        return time.time() - self.beat_s < _DEAD_AFTER_S if lives is None else lives


def driver_of(study: optuna.Study) -> Driver | None:
    """Return the driver that has the study, whether it lives or not; None: the last one has left it."""
    with storage_errors_told():
        told: dict[str, Any] = study._storage.get_study_user_attrs(study._study_id).get(_ATTRIBUTE) or {}
    return Driver(**told) if told else None


class Unshared:
    """Stands for a lease where the lock of the study's directory keeps all others away."""

    when_lost: Callable[[], None]

    def check(self) -> None:
        """Refuse nothing."""

    def taken_over(self) -> bool:
        """Tell that nobody else has it."""
        return False


class Lease:
    """Holds a study for this process, from entering its context to leaving it.

    Args:
        name: of the study, for its user.
        tell: told why entering takes long.

    Attributes:
        when_lost: called from a thread when another driver has taken the study over.

    Raises:
        StudyError: when entered, while another driver has the study.
    """

    def __init__(
        self, study: optuna.Study, name: str, tell: Callable[[str], None] = lambda why: None
    ) -> None:
        self.when_lost: Callable[[], None] = lambda: None
        self._study, self._name, self._tell = study, name, tell
        self._own = Driver(uuid.uuid4().hex, socket.gethostname(), _seen_from(), _process(os.getpid()), 0.0)
        self._taken_by = ""
        self._confirmed_s = 0.0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="raysearch-lease", daemon=True)

    def __enter__(self) -> Lease:
        found = driver_of(self._study)
        if found is not None and self._lives(found):
            raise StudyError(
                f"study {self._name!r} is being run by another process ({found.told}); "
                "wait for it, or stop it"
            )
        self._write()
        time.sleep(_SETTLES_S)
        self.confirm()
        _held.add(self._own.id)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        _held.discard(self._own.id)
        with contextlib.suppress(StudyError):  # whoever goes on with it waits a little longer
            if self._is_own():
                self._set(None)

    def check(self) -> None:
        """Refuse to go on where another driver has the study; the database is asked where that may be new.

        Raises:
            TakenOverError: it has.
        """
        if self._taken_by or _clock_s() - self._confirmed_s > _DEAD_AFTER_S:
            self.confirm()

    def taken_over(self) -> bool:
        """Tell whether another driver has the study; not where that cannot be known now."""
        with contextlib.suppress(StudyError):
            self.check()
        return bool(self._taken_by)

    def confirm(self) -> None:
        """Ask the database whether this process still has the study, and tell it that it lives.

        Raises:
            TakenOverError: another has it.
            StudyError: the database does not answer.
        """
        if not self._is_own():
            raise TakenOverError(
                f"study {self._name!r} has been taken over by another process ({self._taken_by}): "
                "this one has stopped"
            )
        self._write()

    def _beat(self) -> None:
        while not self._ends.wait(_BEAT_S):
            try:
                self.confirm()
            except TakenOverError:
                self.when_lost()
                return
            except StudyError:  # it does not answer now
                continue

    def _is_own(self) -> bool:
        found = driver_of(self._study)
        if found is not None and found.id != self._own.id:
            self._taken_by = found.told
        return not self._taken_by

    def _write(self) -> None:
        self._set(replace(self._own, beat_s=time.time()))
        self._confirmed_s = _clock_s()

    def _set(self, driver: Driver | None) -> None:
        with storage_errors_told():
            about = asdict(driver) if driver else None
            self._study._storage.set_study_user_attr(self._study._study_id, _ATTRIBUTE, about)

    def _lives(self, found: Driver) -> bool:
        """Tell whether a driver lives: where clocks may differ, by waiting for its next sign of life."""
        if found.lives is not None:
            return found.lives
        # Where its last beat is old that is rather a dead driver than a wrong clock.
        old = abs(time.time() - found.beat_s) > _DEAD_AFTER_S
        wait_s = 1.5 * _BEAT_S if old else _DEAD_AFTER_S
        self._tell(f"waiting for a sign of life of the process that ran this study ({found.told})")
        until = time.monotonic() + wait_s
        while time.monotonic() < until:
            time.sleep(_LOOK_S)
            now = driver_of(self._study)
            if now is None:
                return False
            if now != found:
                return True
        return False


def _seen_from() -> str:
    """Return what is the same for all processes that see each other's numbers; empty: none can be seen."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():
        return ""
    return f"{boot.read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"


def _process(number: int | str) -> str:
    """Return a process's number, with when it began where there is one: numbers are given out again."""
    try:
        about = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return str(number)
    return f"{number} {about.rpartition(')')[2].split()[19]}"


def _clock_s() -> float:
    """Return seconds that go on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
