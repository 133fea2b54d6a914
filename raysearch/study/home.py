"""Where studies live: a directory, or an address to which a study's files are copied."""

from __future__ import annotations

import contextlib
import fcntl
import json
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raysearch.config import StudyConfig, is_study_name
from raysearch.errors import StudyError, listing, nearest
from raysearch.study.paths import StudyPaths


@dataclass(frozen=True)
class StudyAbout:
    """What ``study.json`` says: all that is needed to go on with a study.

    Attributes:
        id: unique for ever.
        in_memory: the table was handed over as an object and is kept with the study.
    """

    id: str
    name: str
    created_s: float
    version: str
    digest: str
    in_memory: bool
    config: Mapping[str, Mapping[str, Any]]

    @property
    def ledger_name(self) -> str:
        """The study's name in its Optuna storage; unique where several homes share a database."""
        return f"{self.name}-{self.id[:8]}"


class Home:
    """All studies of one home.

    A home at an address (``s3://...``) is worked on in a scratch directory; ``push`` copies a study there.
    """

    def __init__(self, home: str) -> None:
        self.address = home.rstrip("/")
        self._remote = "://" in home
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        if self._remote:
            self._scratch = tempfile.TemporaryDirectory(prefix="raysearch-home-")
        self.root = Path(self._scratch.name) if self._scratch else Path(home)

    def paths(self, name: str) -> StudyPaths:
        """Return the local paths of a study; the name was checked not to lead out of the home."""
        if not is_study_name(name):
            raise StudyError(f"study {name!r}: a name has letters, digits, '-', '_' and '.' only")
        return StudyPaths(self.root / name)

    def told_path(self, path: Path) -> str:
        """Return where the user finds ``path``: its place at the address, for a remote home."""
        return f"{self.address}/{path.relative_to(self.root)}" if self._remote else str(path)

    def names(self) -> list[str]:
        """Return the names of the studies, sorted."""
        if self._remote:
            files, prefix = self._filesystem()
            from pyarrow.fs import FileSelector, FileType

            entries = files.get_file_info(FileSelector(prefix, allow_not_found=True))
            found = [entry.base_name for entry in entries if entry.type == FileType.Directory]
            return sorted(name for name in found if is_study_name(name))
        if not self.root.is_dir():
            return []
        return sorted(p.parent.name for p in self.root.glob("*/study.json"))

    def create(self, config: StudyConfig, about: Mapping[str, Any], fallback: str) -> StudyAbout:
        """Make a study's directory with its ``study.json``.

        Raises:
            StudyError: when there is a study of that name already, or the directory cannot be written.
        """
        taken = set(self.names())
        name = config.name or _free_name(fallback, taken)
        if name in taken:
            raise StudyError(
                f"study {name!r} is there already in {self.address}; `python -m raysearch resume {name}` goes on "
                "with it, another --study NAME makes a new one"
            )
        made = StudyAbout(id=uuid.uuid4().hex, name=name, created_s=time.time(), **about)
        paths = self.paths(name)
        try:
            paths.artifacts.mkdir(parents=True, exist_ok=True)
            paths.about.write_text(json.dumps(asdict(made), indent=1, ensure_ascii=False), encoding="utf-8")
        except OSError as error:
            raise StudyError(f"--home {self.address}: cannot be written: {error.strerror}") from None
        self.push(name)
        return made

    def read(self, name: str) -> StudyAbout:
        """Return what ``study.json`` says, after copying a remote study here.

        Raises:
            StudyError: when there is no such study.
        """
        paths = self.paths(name)
        self._pull(name)
        try:
            return StudyAbout(**json.loads(paths.about.read_text(encoding="utf-8")))
        except FileNotFoundError:
            names = self.names()
            known = f"known: {listing(names)}" if names else "there are none"
            raise StudyError(f"no study {name!r} in {self.address} ({known}){nearest(name, names)}") from None
        except (json.JSONDecodeError, TypeError):
            raise StudyError(f"study {name!r}: {self.told_path(paths.about)} is damaged") from None

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[StudyPaths]:
        """Hold the study for this process; a second process that wants it is told no."""
        paths = self.paths(name)
        with paths.lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StudyError(f"study {name!r} is being run by another process; wait for it, or stop it") from None
            yield paths

    def is_locked(self, name: str) -> bool:
        """Tell whether some process runs the study now (on this machine, or one that shares the directory)."""
        try:
            with self.paths(name).lock.open("r") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def push(self, name: str) -> None:
        """Copy a study's files to the home's address; nothing to do where the home is a directory."""
        if not self._remote:
            return
        from pyarrow.fs import LocalFileSystem, copy_files

        files, prefix = self._filesystem()
        copy_files(
            str(self.paths(name).root),
            f"{prefix}/{name}",
            source_filesystem=LocalFileSystem(),
            destination_filesystem=files,
        )

    def _pull(self, name: str) -> None:
        if not self._remote or self.paths(name).about.exists():
            return
        from pyarrow.fs import FileType, LocalFileSystem, copy_files

        files, prefix = self._filesystem()
        if files.get_file_info(f"{prefix}/{name}/study.json").type != FileType.File:
            return
        copy_files(
            f"{prefix}/{name}",
            str(self.paths(name).root),
            source_filesystem=files,
            destination_filesystem=LocalFileSystem(),
        )

    def _filesystem(self) -> tuple[Any, str]:
        from raysearch.data import open_filesystem

        return open_filesystem(self.address)


def _free_name(fallback: str, taken: set[str]) -> str:
    clean = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in fallback)
    stem = f"{clean[:60].strip('-_.') or 'study'}-{time.strftime('%m%d-%H%M')}"
    names = (stem, *(f"{stem}-{i}" for i in range(2, 10_000)))
    return next(name for name in names if name not in taken)
