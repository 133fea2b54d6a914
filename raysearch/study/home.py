"""Where studies live: a directory, or an address to which a study's files are copied."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from raysearch.addresses import below, hide_secrets
from raysearch.config import StudyConfig, is_study_name
from raysearch.errors import RaysearchError, StudyError, listing, nearest, resume_command
from raysearch.study.paths import StudyPaths
from raysearch.study.remote import RemoteFiles, errors_told
from raysearch.whole_file import write_whole

_LOOKS = 5  # tries to lock: `is_locked` of another process holds a lock for a moment


@dataclass(frozen=True)
class StudyAbout:
    """What ``study.json`` says: all that is needed to go on with a study.

    Attributes:
        id: unique for ever.
        in_memory: the table was handed over as an object and is kept with the study.
        spaces: the search space of each model, as plain values: a file that is edited later changes nothing.
        split_digest: of which rows serve for what; empty in a study of a version that did not keep it.
        warm: what it began with of earlier studies, as plain values (``WarmStart``); None: that was not asked
            for.
    """

    id: str
    name: str
    created_s: float
    version: str
    digest: str
    in_memory: bool
    config: Mapping[str, Mapping[str, Any]]
    spaces: Sequence[Mapping[str, Any]]
    split_digest: str = ""
    warm: Mapping[str, Any] | None = None

    @property
    def ledger_name(self) -> str:
        """The study's name in its Optuna storage; unique where several homes share a database."""
        return f"{self.name}-{self.id[:8]}"


class Home:
    """All studies of one home.

    A home at an address (``s3://...``) is worked on in a scratch directory; ``push`` copies a study there.
    Its ledger is a database, and its lock keeps no other process away.
    """

    def __init__(self, home: str) -> None:
        self._address = home.rstrip("/")
        self.address = hide_secrets(self._address)  # as it is told
        self.root = Path(home).expanduser()
        self.remote: RemoteFiles | None = None  # where it is at an address
        if "://" in home:
            self._scratch = tempfile.TemporaryDirectory(prefix="raysearch-home-")  # goes with this object
            self.root = Path(self._scratch.name)
            self.remote = RemoteFiles(self._address, self.root)

    def paths(self, name: str) -> StudyPaths:
        """Return the local paths of a study; the name was checked not to lead out of the home."""
        if not is_study_name(name):
            raise StudyError(f"study {name!r}: a name has letters, digits, '-', '_' and '.' only")
        return StudyPaths(self.root / name)

    def told_path(self, path: Path) -> str:
        """Return where the user finds ``path``: its place at the address, for a remote home."""
        return below(self.address, str(path.relative_to(self.root))) if self.remote else str(path)

    def names(self) -> list[str]:
        """Return the names of the studies, sorted."""
        if self.remote:
            return sorted(filter(is_study_name, self.remote.directories()))
        if not self.root.is_dir():
            return []
        return sorted(p.parent.name for p in self.root.glob("*/study.json"))

    def check_free(self, name: str | None) -> set[str]:
        """Check that a study of that name, or of a made-up one, can be made here; return the names taken.

        Raises:
            StudyError: when there is a study of that name already, or the home cannot be written.
        """
        taken = set(self.names())
        if name in taken:
            raise StudyError(
                f"study {name!r} is there already in {self.address}; `{resume_command(name, self.address)}` "
                "goes on with it, another --study NAME makes a new one"
            )
        if not self.remote:
            _check_writable(self.root.absolute(), self.address)
        return taken

    def create(self, config: StudyConfig, about: Mapping[str, Any], fallback: str) -> StudyAbout:
        """Make a study's directory with its ``study.json``.

        Raises:
            StudyError: when there is a study of that name already, or the directory cannot be written.
        """
        taken = self.check_free(config.name)
        name = config.name or free_name(fallback, taken | self._entries())
        made = StudyAbout(id=uuid.uuid4().hex, name=name, created_s=time.time(), **about)
        paths = self.paths(name)
        with errors_told(self._address, "written"):
            _claim(paths.root)
            paths.artifacts.mkdir()
        self.update(made)
        self.push(name)
        return made

    def update(self, about: StudyAbout) -> None:
        """Write a study's ``study.json`` anew, whole or not at all."""
        paths = self.paths(about.name)
        with errors_told(self._address, "written"):
            write_whole(paths.about, json.dumps(asdict(about), indent=1, ensure_ascii=False))

    def discard(self, name: str) -> None:
        """Remove a study in which nothing has run."""
        shutil.rmtree(self.paths(name).root, ignore_errors=True)
        if self.remote:
            with contextlib.suppress(StudyError):
                self.remote.remove(self.paths(name).root)

    def read(self, name: str) -> StudyAbout:
        """Return what ``study.json`` says, after copying a remote study here.

        Raises:
            StudyError: when there is no such study.
        """
        paths = self.paths(name)
        if self.remote and not paths.about.exists():
            self.remote.pull(name, paths.about.name)
        try:
            return StudyAbout(**json.loads(paths.about.read_text(encoding="utf-8")))
        except FileNotFoundError:
            names = self.names()
            known = f"known: {listing(names)}" if names else "there are none; --home names another place"
            raise StudyError(f"no study {name!r} in {self.address} ({known}){nearest(name, names)}") from None
        except (ValueError, TypeError):  # not JSON, not UTF-8, or not the keys of a study
            raise StudyError(f"study {name!r}: {self.told_path(paths.about)} is damaged") from None

    def read_anew(self, name: str) -> None:
        """Copy a study here once more, where its home is at an address.

        Raises:
            StudyError: its settings have changed since it was read.
        """
        if self.remote is None:
            return
        about = self.paths(name).about
        before = about.read_bytes()
        self.remote.pull(name, about.name)
        if about.read_bytes() != before:
            raise StudyError(f"study {name!r}: another process has just changed it; give the command again")

    @contextlib.contextmanager
    def held(self, holds: Callable[[], bool | None]) -> Iterator[None]:
        """Write to the home's address only while ``holds`` tells that the study is this process's."""
        assert self.remote is not None
        before, self.remote.holds = self.remote.holds, holds
        try:
            yield
        finally:
            if holds():  # else it stays another process's
                self.remote.holds = before

    def holds(self) -> bool | None:
        """Tell whether the study that was ``held`` is this process's to write; None: not known now."""
        return self.remote.holds() if self.remote else True

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[StudyPaths]:
        """Hold the study for this process; a second process that wants it is told no."""
        paths = self.paths(name)
        with errors_told(self._address, "written"):
            file = paths.lock.open("w")
        with file:
            with errors_told(self._address, "locked"):
                held = _lock(file)
            if not held:
                raise StudyError(f"study {name!r} is being run by another process; wait for it, or stop it")
            yield paths

    def is_locked(self, name: str) -> bool:
        """Tell whether some process runs the study now, on a machine that has this directory."""
        try:
            with self.paths(name).lock.open("r") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def push(self, name: str, only: Path | None = None) -> None:
        """Copy a study's files, or one file or directory of them, to the home's address, where it is one."""
        if not self.remote:
            return
        try:
            self.remote.push(only or self.paths(name).root)
        except RaysearchError as error:
            if only is not None:
                raise
            raise StudyError(f"{error}; the study's files are kept in {self._keep_scratch(name)}") from error

    def remove(self, path: Path) -> None:
        """Remove a file or a directory of a study, at the home's address too; it may not be there."""
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        if self.remote:
            self.remote.remove(path)

    def seen_at(self, path: Path) -> str:
        """Return where other machines find a file of a study, with its secrets; a local one: might."""
        if self.remote:
            return below(self._address, path.relative_to(self.root).as_posix())
        return str(path.absolute())

    def _keep_scratch(self, name: str) -> Path:
        """Copy a study out of the scratch directory, which goes with this process."""
        kept = Path(tempfile.mkdtemp(prefix="raysearch-kept-")) / name
        shutil.copytree(self.paths(name).root, kept)
        return kept

    def _entries(self) -> set[str]:
        """Return the names of all that lies in the home, studies or not."""
        return {path.name for path in self.root.iterdir()} if self.root.is_dir() else set()


def _check_writable(root: Path, told: str) -> None:
    """Refuse a directory that cannot be made or written, without making it."""
    there = next(path for path in (root, *root.parents) if path.exists())
    if not there.is_dir():
        raise StudyError(f"--home {told}: cannot be written: {there} is a file, must be a directory")
    if not os.access(there, os.W_OK | os.X_OK):
        raise StudyError(f"--home {told}: cannot be written: no permission to write in {there}")


def _claim(root: Path) -> None:
    """Make a study's directory; of two processes that want the same name one gets it."""
    try:
        root.mkdir(parents=True)
    except FileExistsError:
        if not root.is_dir() or any(root.iterdir()):
            raise StudyError(
                f"{root} is there already and is no study; take it away, or give another --study NAME"
            ) from None


def _lock(file: IO[str]) -> bool:
    """Lock an open file; False where another process holds it, and not just for the moment of a look."""
    for _ in range(_LOOKS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False


def free_name(fallback: str, taken: Container[str]) -> str:
    """Return a readable name that is not taken: what is in it, and when it was made."""
    now = time.strftime("%m%d-%H%M")
    clean = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in fallback)
    clean = clean[:60].strip("-_.")
    while clean and not is_study_name(f"{clean}-{now}-9999"):  # letters of several bytes make names too long
        clean = clean[:-1]
    stem = f"{clean.rstrip('-_.') or 'study'}-{now}"
    names = (stem, *(f"{stem}-{i}" for i in range(2, 10_000)))
    return next(name for name in names if name not in taken)
