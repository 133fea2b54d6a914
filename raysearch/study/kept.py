"""Models of trials that are worth keeping while a search goes on, on disk, so that no kill loses the best."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from raysearch.errors import StudyError

Files = Mapping[str, bytes]


class KeptModels:
    """Booster files by trial key, below one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, files: Files) -> None:
        """Write the files of one trial; they are there whole or not at all.

        Raises:
            StudyError: when they cannot be written.
        """
        part, whole = self._root / f"{key}.part", self._root / key
        shutil.rmtree(part, ignore_errors=True)
        try:
            part.mkdir(parents=True)
            for name, content in files.items():
                (part / name).write_bytes(content)
            shutil.rmtree(whole, ignore_errors=True)
            part.rename(whole)
        except OSError as error:
            raise StudyError(f"a trial's model cannot be kept in {self._root}: {error.strerror}") from error

    def get(self, key: str) -> dict[str, bytes] | None:
        """Return the files of a trial, or None where they were not kept."""
        directory = self._root / key
        if not directory.is_dir():
            return None
        return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}

    def keep_only(self, keys: set[str]) -> None:
        """Delete all but the models of ``keys``."""
        for directory in self._root.iterdir() if self._root.is_dir() else ():
            if directory.name not in keys:
                shutil.rmtree(directory, ignore_errors=True)
