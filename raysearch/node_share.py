"""What the processes of a study make once for all those of their node: files that end with their maker.

A process (a worker, the head start, the driver) that has made something keeps it in an open file without a
name, which others reach through the maker's entry in /proc; a note says where, and which file must be there.
So one that is killed leaves nothing behind but a note. Where there is no /proc, each makes its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

T = TypeVar("T")

_STALE_S = 3600.0  # after which a study's place without anything in it is taken for one that has ended


class NodeShare:
    """The things that one study's workers on this node have made."""

    def __init__(self, study: str) -> None:
        """Join the others.

        Args:
            study: what no other study, and no other run of this one, is called; empty: nothing is shared.
        """
        self._place = _place(study) if study and can_share() else None
        self._kept: dict[str, IO[bytes]] = {}

    def once(
        self, key: object, make: Callable[[], T], save: Callable[[T, Path], None], load: Callable[[Path], T]
    ) -> T:
        """Return what another worker of this node has made for ``key``, or make it for all of them.

        Whoever comes while it is made waits for it. What cannot be shared, for want of room or of rights, is
        made anew.
        """
        if self._place is None:
            return make()
        note = self._place / _name(key)
        with contextlib.ExitStack() as turn:
            try:
                turn.enter_context(_turn(note))
            except OSError:
                return make()
            with contextlib.suppress(Exception), _file_of(note) as found:  # or its maker has ended
                return load(found)
            made = make()
            with contextlib.suppress(Exception):  # it is here all the same
                self._keep(note, lambda path: save(made, path))
            return made

    def forget(self, key: object) -> None:
        """Give up what this worker has made for ``key``; who has loaded it keeps it."""
        file = self._kept.pop(_name(key), None)
        if file is None or self._place is None:
            return
        note = self._place / _name(key)
        with contextlib.suppress(OSError), _turn(note):
            if note.read_text() == _told_of(file):
                note.write_text("")
        file.close()

    def _keep(self, note: Path, save: Callable[[Path], None]) -> None:
        written = note.with_suffix(f".{os.getpid()}")
        try:
            save(written)
            file = written.open("rb")
        finally:
            written.unlink(missing_ok=True)
        self._kept[note.name] = file
        note.write_text(_told_of(file))


def end_share(study: str) -> None:
    """Remove what is left on this node when a study's workers have ended."""
    if study and can_share():
        shutil.rmtree(_home() / study, ignore_errors=True)


def _name(key: object) -> str:
    return hashlib.sha256(repr(key).encode()).hexdigest()[:24]


@contextlib.contextmanager
def _turn(note: Path) -> Iterator[None]:
    """Hold a note for oneself; the lock ends with the process at the latest."""
    import fcntl  # not on Windows

    with note.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _told_of(file: IO[bytes]) -> str:
    """Return where others find an open file, and what tells it from any other that may come to be there."""
    return f"/proc/{os.getpid()}/fd/{file.fileno()} {_identity(file.fileno())}"


def _identity(number: int) -> str:
    facts = os.fstat(number)
    return f"{facts.st_dev}-{facts.st_ino}-{facts.st_mtime_ns}"


@contextlib.contextmanager
def _file_of(note: Path) -> Iterator[Path]:
    """Open what a note tells of, and yield a path to it that stays the same file.

    Raises:
        OSError: the file is gone, or the number that it had belongs to another one.
    """
    place, _, identity = note.read_text().partition(" ")
    if not place:
        raise FileNotFoundError(note)
    with Path(place).open("rb") as file:
        if _identity(file.fileno()) != identity:
            raise FileNotFoundError(place)
        yield Path(f"/proc/self/fd/{file.fileno()}")


def _is_there(note: Path) -> bool:
    # ValueError: it is no note, but what one was killed over that had begun to write it.
    with contextlib.suppress(OSError, ValueError), _file_of(note):
        return True
    return False


def can_share() -> bool:
    """Tell whether processes of this machine can share what they have made."""
    return Path("/proc/self/fd").is_dir()


def _home() -> Path:
    return Path(tempfile.gettempdir()) / f"raysearch-{os.getuid()}"


def _place(study: str) -> Path | None:
    home = _home()
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        if home.is_symlink() or home.stat().st_uid != os.getuid():
            return None  # someone else could put files there
        _sweep(home)
        (home / study).mkdir(exist_ok=True)
    except OSError:
        return None
    return home / study


def _sweep(home: Path) -> None:
    """Remove the places of studies that have ended: on other nodes than the driver's nobody else does."""
    for place in home.iterdir():
        with contextlib.suppress(OSError):
            old = time.time() - place.stat().st_mtime > _STALE_S
            if old and not any(_is_there(note) for note in place.iterdir()):
                shutil.rmtree(place, ignore_errors=True)
