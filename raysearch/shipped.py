"""Where the files lie that ship with the package: configuration, experiments and search spaces."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def shipped(folder: str) -> Path:
    """Return the directory ``config`` or ``search_spaces``: inside an installed wheel, else a checkout's."""
    inside = _PACKAGE / "shipped" / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder
