"""A forecaster's directory: the libraries' own files and one JSON; nothing is pickled."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysearch.errors import NoForecasterError, StudyError
from raysearch.metrics import Array
from raysearch.models import MODEL_NAMES, Frame, get_model, load_located

FORMAT = 1
_FILE = "forecaster.json"


@dataclass(frozen=True)
class Member:
    """One trained model: its library, its files in the library's own format, and its share in the mean."""

    model: str
    files: Mapping[str, bytes]
    weight: float = 1.0

    def predictor(self, levels: tuple[float, ...]) -> Callable[[Frame], Array]:
        """Return a function from a frame to quantiles [rows, levels]; the models are loaded once.

        Raises:
            ValueError: when the models are of another number of levels.
        """
        loaded: dict[tuple[float, ...], Callable[[Frame], Array]] = self.__dict__.setdefault("_loaded", {})
        if levels not in loaded:
            loaded[levels] = load_located(get_model(self.model), self.files, levels)
        return loaded[levels]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_loaded"}


def write_directory(path: str | Path, content: Mapping[str, Any], members: Sequence[Member]) -> Path:
    """Write ``content`` and the members' files to the directory ``path``, replacing a forecaster there.

    Whoever reads it meanwhile, or after a crash, finds the old one or the new one, whole.

    Raises:
        StudyError: when something else is there: it is never deleted.
    """
    path = Path(path).absolute()
    part, old = _beside(path)
    if path.is_file() or (path.is_dir() and any(path.iterdir()) and not (path / _FILE).is_file()):
        raise StudyError(f"{path} is there and is no forecaster; name another directory, or remove it first")
    if old.exists() and not path.exists():
        old.replace(path)  # a crash came between the two moves below
    for leftover in (part, old):
        shutil.rmtree(leftover, ignore_errors=True)
    part.mkdir(parents=True)
    listed = []
    for i, member in enumerate(members):
        directory = part / "members" / f"{i:03d}"
        directory.mkdir(parents=True)
        for name, data in member.files.items():
            (directory / name).write_bytes(data)
        digests = {name: _digest(member.files[name]) for name in sorted(member.files)}
        listed.append({"model": member.model, "weight": member.weight, "files": digests})
    text = json.dumps(
        {"format": FORMAT, **content, "members": listed}, indent=1, ensure_ascii=False, default=str
    )
    (part / _FILE).write_text(text, encoding="utf-8")
    if path.exists():
        path.replace(old)
    part.replace(path)
    shutil.rmtree(old, ignore_errors=True)
    return path


def read_directory(path: str | Path) -> tuple[Path, dict[str, Any]]:
    """Return the directory that is whole, and the content of its JSON.

    Raises:
        StudyError: when there is none, it is damaged, or it is of a newer format.
    """
    path = Path(path).absolute()
    old = _beside(path)[1]
    if not path.exists() and (old / _FILE).is_file():
        path = old  # a crash came while a new one was put in its place
    try:
        content = json.loads((path / _FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise NoForecasterError(f"no forecaster in {path}: {_FILE} is not there") from None
    except (json.JSONDecodeError, RecursionError, UnicodeDecodeError):
        raise StudyError(f"the forecaster in {path} is damaged: {_FILE} is not valid JSON") from None
    except OSError as error:
        raise StudyError(f"the forecaster in {path} cannot be read: {error.strerror or error}") from None
    try:
        newer = content["format"] > FORMAT
    except (KeyError, TypeError) as error:
        raise damaged(path, error) from None
    if newer:
        raise StudyError(f"the forecaster in {path} was written by a newer raysearch; update this one")
    return path, dict(content)


def damaged(path: Path, error: Exception) -> StudyError:
    """Return what to raise where the JSON lacks what belongs there."""
    told = f"{type(error).__name__}: {error}"
    return StudyError(f"the forecaster in {path} is damaged: {_FILE} lacks what belongs there ({told})")


def read_members(path: Path, listed: Sequence[Mapping[str, Any]]) -> tuple[Member, ...]:
    """Return the members that the JSON lists, each file checked to be what was saved."""
    return tuple(_read_member(path, i, entry) for i, entry in enumerate(listed))


def _beside(path: Path) -> tuple[Path, Path]:
    """Return where a new forecaster is written, and where the old one waits until the new one is in place."""
    return path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.old")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_member(path: Path, position: int, entry: Mapping[str, Any]) -> Member:
    if entry["model"] not in MODEL_NAMES:
        raise StudyError(
            f"the forecaster in {path} holds a model {entry['model']!r}, which is not known here"
        )
    files = {}
    for name, digest in entry["files"].items():
        # Names come from a file that a user may have been handed: they must not lead out of the directory.
        if name != Path(name).name or name in ("", ".", "..") or "\\" in name:
            raise StudyError(
                f"the forecaster in {path} names a file {name!r}, which leads out of its directory"
            )
        file = path / "members" / f"{position:03d}" / name
        try:
            files[name] = file.read_bytes()
        except OSError as error:
            raise StudyError(
                f"the forecaster in {path} is damaged: {file}: {error.strerror or error}"
            ) from None
        # LightGBM ends the whole process on a file that was cut off; so none is handed to it.
        if _digest(files[name]) != digest:
            raise StudyError(f"the forecaster in {path} is damaged: {file} is not what was saved")
    return Member(entry["model"], files, float(entry.get("weight", 1.0)))
