"""The files of a home at an address (``s3://...``): copied there, read from there, taken away there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from raysearch.addresses import hide_secrets, is_incomplete, without_secrets
from raysearch.errors import StudyError


class RemoteFiles:
    """What lies at an address, beside its copy in a local directory of the same structure.

    Every method raises StudyError where the address cannot be read or written.

    Attributes:
        holds: tells whether the study is this process's to write; None: not known now.
    """

    def __init__(self, address: str, root: Path) -> None:
        self.holds: Callable[[], bool | None] = lambda: True
        self._address, self._root = address, root

    def directories(self) -> list[str]:
        """Return the names of the directories at the address itself."""
        from pyarrow.fs import FileSelector, FileType

        files, prefix = self._opened
        with self._errors_told("read"):
            entries = files.get_file_info(FileSelector(prefix, allow_not_found=True))
        return [entry.base_name for entry in entries if entry.type == FileType.Directory]

    def push(self, source: Path) -> None:
        """Copy a local file or directory to its place at the address."""
        from pyarrow.fs import LocalFileSystem, copy_files

        self._check_held()
        files, _ = self._opened
        with self._errors_told("written"):
            there = self._there(source)
            # `copy_files` makes the directories below it alone.
            files.create_dir(there if source.is_dir() else there.rpartition("/")[0])
            copy_files(str(source), there, source_filesystem=LocalFileSystem(), destination_filesystem=files)

    def pull(self, name: str, sign: str) -> None:
        """Copy a directory from the address; not where the file ``sign`` is missing in it."""
        from pyarrow.fs import FileType, LocalFileSystem, copy_files

        files, prefix = self._opened
        with self._errors_told("read"):
            if files.get_file_info(f"{prefix}/{name}/{sign}").type == FileType.File:
                copy_files(
                    f"{prefix}/{name}",
                    str(self._root / name),
                    source_filesystem=files,
                    destination_filesystem=LocalFileSystem(),
                )

    def remove(self, path: Path) -> None:
        """Remove a file or a directory at the address; it may not be there."""
        from pyarrow.fs import FileType

        self._check_held()
        files, _ = self._opened
        with self._errors_told("written"), contextlib.suppress(FileNotFoundError):
            there = self._there(path)
            if files.get_file_info(there).type == FileType.Directory:
                files.delete_dir(there)
            else:
                files.delete_file(there)

    def _check_held(self) -> None:
        if not self.holds():
            raise StudyError(
                f"--home {hide_secrets(self._address)}: left as it is: another process runs the study now, "
                "or its ledger does not answer"
            )

    def _there(self, path: Path) -> str:
        _, prefix = self._opened
        return f"{prefix}/{path.relative_to(self._root).as_posix()}"

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        from raysearch.data import open_filesystem

        if is_incomplete(self._address):
            told = hide_secrets(self._address)
            raise StudyError(f"--home {told}: *** stands where a secret was; give the whole address")
        return open_filesystem(self._address)

    def _errors_told(self, done: str) -> contextlib.AbstractContextManager[None]:
        return errors_told(self._address, done)


@contextlib.contextmanager
def errors_told(home: str, done: str) -> Iterator[None]:
    """Tell what the system says of a home as the user's error, without the secrets of its address."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or without_secrets(str(error), home)
        raise StudyError(f"--home {hide_secrets(home)}: cannot be {done}: {reason}") from None
