"""One driver a study at a time, where its home lies at an address and no lock is seen: told by its ledger.

A driver writes who it is, and every few seconds that it still lives. Another one that finds it alive is told
no. One that was stopped or cut off for longer than that may find that another has taken its study over: it
writes nothing any more that it has not asked for.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace

import optuna

from raysearch.errors import StudyError, TakenOverError
from raysearch.study import driver
from raysearch.study.driver import DRIVER_ATTRIBUTE, Driver, driver_of
from raysearch.study.storage import storage_errors_told, swap_attribute

_BEAT_S = 5.0
_UNASKED_S = 15.0  # for which a driver writes without asking whether it still has the study
_SETTLES_S = 1.0  # in which of two drivers that begin at once the one sees the other
_LOOK_S = 0.5
_LEAVES = 3  # tries to leave: a sign of life that was on its way may come between


class Unshared:
    """Stands for a lease where the lock of the study's directory keeps all others away."""

    when_lost: Callable[[], None]

    def check(self) -> None:
        """Refuse nothing."""

    def wait_for_answer(self) -> None:
        """Refuse nothing."""

    def holds(self) -> bool:
        """Tell that nobody else has it."""
        return True


class Lease:
    """Holds a study for this process, from entering its context to leaving it.

    Args:
        name: of the study, for its user.
        tell: told why entering takes long.

    Attributes:
        when_lost: called from a thread when another driver has taken the study over.

    Raises:
        TakenOverError: when entered, while another driver has the study.
    """

    def __init__(
        self, study: optuna.Study, name: str, tell: Callable[[str], None] = lambda why: None
    ) -> None:
        self.when_lost: Callable[[], None] = lambda: None
        self._study, self._name, self._tell = study, name, tell
        self._own = Driver(
            uuid.uuid4().hex, socket.gethostname(), driver.seen_from(), driver.process_of(os.getpid())
        )
        self._taken_by = ""
        self._confirmed_s = self._failed_s = -driver.DEAD_AFTER_S
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="raysearch-lease", daemon=True)

    def __enter__(self) -> Lease:
        found = driver_of(self._study)
        if found is not None and self._lives(found):
            self._taken_by = found.told
            raise self._refused(just_left=driver_of(self._study) is None)
        try:
            self._write_first()
            self._confirmed_s = _clock_s()
            time.sleep(_SETTLES_S)
            self.confirm()
            driver.held.add(self._own.id)
            self._thread.start()
        except TakenOverError:
            raise self._refused() from None
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        driver.held.discard(self._own.id)
        if self._thread.ident is not None:
            self._thread.join(_BEAT_S)
        if not self._thread.is_alive():  # else it hangs in a database that does not answer
            self._leave()

    def check(self) -> None:
        """Refuse to go on where another driver has the study; the database is asked where that may be new.

        Raises:
            TakenOverError: it has.
            StudyError: that cannot be known: the database does not answer.
        """
        if self._taken_by or _clock_s() - self._confirmed_s > _UNASKED_S:
            self.confirm()

    def wait_for_answer(self) -> None:
        """Like ``check``, but a database that does not answer is waited for half a minute, and then let be.

        Raises:
            TakenOverError: another driver has the study.
        """
        until, told = time.monotonic() + driver.DEAD_AFTER_S, False
        while self.holds() is None and time.monotonic() < until:
            if not told:
                self._tell("waiting for the ledger's database, which does not answer")
                told = True
            time.sleep(_LOOK_S)
        if self._taken_by:
            self.check()

    def holds(self) -> bool | None:
        """Tell whether this process has the study; None: the database does not answer."""
        if self._taken_by:
            return False
        silent = _clock_s() - self._failed_s < _BEAT_S  # it takes its time for not answering
        try:
            if not (silent and _clock_s() - self._confirmed_s > _UNASKED_S):
                self.check()
                return True
        except TakenOverError:
            return False
        except Exception:
            self._failed_s = _clock_s()
        return None

    def confirm(self) -> None:
        """Ask the database whether this process still has the study, and tell it that it lives.

        Raises:
            TakenOverError: another has it.
            StudyError: the database does not answer, or does not keep what is written to it.
        """
        asked_s = _clock_s()
        found = self._found()
        if found is None or self._ends.is_set():
            return
        # Only in place of what was found: this process may be stopped here for as long as it takes another
        # one to take the study over. Where its own threads came between, they have told that it lives.
        written = self._swap(found, replace(self._own, beat_s=time.time()))
        if not written and self._found() == found:
            raise StudyError(
                f"study {self._name!r}: the ledger's database does not keep what is written to it"
            )
        self._confirmed_s = asked_s

    def _beat(self) -> None:
        while not self._ends.wait(_BEAT_S):
            try:
                self.confirm()
            except TakenOverError:
                self.when_lost()
                return
            except StudyError:  # it does not answer now
                continue

    def _found(self) -> Driver | None:
        """Return what the database tells of this process; None: it has left the study.

        Raises:
            TakenOverError: it tells of another one.
        """
        found = None if self._taken_by else driver_of(self._study)
        if found is not None and found.id != self._own.id:
            self._taken_by = found.told
        elif found is None and not self._taken_by and not self._ends.is_set():
            self._taken_by = "which has ended since"  # only another one takes away what this one has written
        if self._taken_by:
            raise TakenOverError(
                f"study {self._name!r} has been taken over by another process ({self._taken_by}): "
                "this one has stopped"
            )
        return found

    def _leave(self) -> None:
        """Tell that nobody has the study; where that fails, the next driver waits for a sign of life."""
        with contextlib.suppress(StudyError):
            for _ in range(_LEAVES):
                found = self._found()
                if found is None or self._swap(found, None):
                    return

    def _write_first(self) -> None:
        with storage_errors_told():
            about = asdict(replace(self._own, beat_s=time.time()))
            self._study._storage.set_study_user_attr(self._study._study_id, DRIVER_ATTRIBUTE, about)

    def _swap(self, found: Driver, written: Driver | None) -> bool:
        """Write in place of what was found; False: something else is there by now."""
        after = asdict(written) if written else None
        return swap_attribute(self._study, DRIVER_ATTRIBUTE, asdict(found), after)

    def _lives(self, found: Driver) -> bool:
        """Tell whether a driver lives, where that cannot be seen by waiting for its next sign of life."""
        if found.lives is not None:
            return found.lives
        self._tell(f"waiting for a sign of life of the process that ran this study ({found.told})")
        until = time.monotonic() + driver.DEAD_AFTER_S
        while time.monotonic() < until:
            time.sleep(_LOOK_S)
            if driver_of(self._study) != found:
                return True  # also where it has just left: what it has left behind is read anew
        return False

    def _refused(self, *, just_left: bool = False) -> TakenOverError:
        if just_left:
            return TakenOverError(
                f"study {self._name!r}: another process ({self._taken_by}) has just left it; "
                "give the command again"
            )
        return TakenOverError(
            f"study {self._name!r} is being run by another process ({self._taken_by}); "
            "wait for it, or stop it"
        )


def _clock_s() -> float:
    """Return seconds that go on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
