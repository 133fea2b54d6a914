"""Files that are there whole or not at all, whatever ends the process, or the machine."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a text in place of what a file held before.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    write_whole_bytes(path, text.encode("utf-8", errors="replace"))


def write_whole_bytes(path: Path, content: bytes) -> None:
    """Write bytes in place of what a file held before.

    Raises:
        OSError: they cannot be written; what was there stays.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)  # on a full disk each byte counts
        raise OSError(error.errno, error.strerror, str(path)) from error  # a write tells no name
