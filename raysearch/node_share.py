"""What the workers of a node make once for all of them, such as binned rows: files that end with their maker.

A worker that has made something keeps it in an open file without a name, which others reach through the
maker's entry in /proc; a link leads there. So a worker that is killed leaves nothing behind but a link. Where
there is no /proc, each worker makes its own.
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
        self._place = _place(study) if study and _works() else None
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
        name = hashlib.sha256(repr(key).encode()).hexdigest()[:24]
        with contextlib.ExitStack() as turn:
            try:
                turn.enter_context(_turn(self._place / f"{name}.lock"))
            except OSError:
                return make()
            with contextlib.suppress(Exception):  # nothing there, or its maker has ended
                return load(self._place / name)
            made = make()
            with contextlib.suppress(Exception):  # it is here all the same
                self._keep(name, lambda path: save(made, path))
            return made

    def forget(self, key: object) -> None:
        """Give up what this worker has made for ``key``; who has loaded it keeps it."""
        file = self._kept.pop(hashlib.sha256(repr(key).encode()).hexdigest()[:24], None)
        if file is not None:
            file.close()

    def _keep(self, name: str, save: Callable[[Path], None]) -> None:
        assert self._place is not None
        written, link = self._place / f"{name}.{os.getpid()}", self._place / name
        try:
            save(written)
            file = written.open("rb")
        finally:
            written.unlink(missing_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(f"/proc/{os.getpid()}/fd/{file.fileno()}")
        self._kept[name] = file


def end_share(study: str) -> None:
    """Remove what is left on this node when a study's workers have ended."""
    if study and _works():
        shutil.rmtree(_home() / study, ignore_errors=True)


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    import fcntl  # not on Windows

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # ends with the process at the latest
        yield


def _works() -> bool:
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
            if old and not any(one.is_symlink() and one.exists() for one in place.iterdir()):
                shutil.rmtree(place, ignore_errors=True)
