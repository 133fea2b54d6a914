"""How far long trials have come, kept with the study: a lost node costs a trial no more than one rung."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from raysearch.records import Rung
from raysearch.study.copies import Copies
from raysearch.study.trial_attributes import read_rung, written_rung
from raysearch.whole_file import write_whole_bytes

_HISTORY, _TRIAL = "history.json", "trial.zip"


@dataclass(frozen=True)
class Begun:
    """A trial that lost its worker.

    Attributes:
        trial: how far it had come, a packed ``Checkpoint``.
        history: its rungs until then.
    """

    trial: bytes = field(repr=False)
    history: tuple[Rung, ...]


class Checkpoints:
    """One file a trial that runs, below one directory.

    Args:
        copies: brings them to where the study lives, where that is elsewhere.
    """

    def __init__(self, root: Path, copies: Copies | None = None) -> None:
        self._root, self._copies = root, copies
        self._there = {file.stem for file in root.glob("*.zip")} if root.is_dir() else set()
        self._unwritten = ""

    @property
    def trouble(self) -> str:
        """Return why it could not always be written how far trials had come; empty: it could."""
        return self._unwritten or (self._copies.trouble if self._copies else "")

    def put(self, key: str, trial: bytes, history: Sequence[Rung]) -> None:
        """Write how far a trial has come, in place of what was written before."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(_HISTORY, json.dumps([written_rung(rung) for rung in history]))
            archive.writestr(_TRIAL, trial)
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            write_whole_bytes(self._file(key), packed.getvalue())
        except OSError as error:  # a full disk
            self._unwritten = str(error)
            return
        self._there.add(key)
        self._changed(self._file(key))

    def get(self, key: str) -> Begun | None:
        """Return how far a trial had come; None where that is not known, or the file is damaged."""
        if key not in self._there:
            return None
        try:
            with zipfile.ZipFile(self._file(key)) as archive:
                history = tuple(read_rung(entry) for entry in json.loads(archive.read(_HISTORY)))
                return Begun(archive.read(_TRIAL), history)
        except Exception:  # damaged, or of another version
            return None

    def drop(self, key: str) -> None:
        """Forget a trial that has ended."""
        if key in self._there:
            self._there.discard(key)
            with contextlib.suppress(OSError):
                self._file(key).unlink(missing_ok=True)
                if not self._there:
                    self._root.rmdir()
            self._changed(self._file(key))
            if not self._there:
                self._changed(self._root)

    def _changed(self, path: Path) -> None:
        if self._copies:
            self._copies.changed(path)

    def _file(self, key: str) -> Path:
        return self._root / f"{key}.zip"
