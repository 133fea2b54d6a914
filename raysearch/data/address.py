"""Where a table lies: a local file, or an address that pyarrow or fsspec can open."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pyarrow as pa
import pyarrow.fs as pafs

from raysearch.addresses import hide_secrets, without_secrets
from raysearch.errors import DataError, listing, nearest

ENDINGS = (".csv", ".csv.gz", ".parquet", ".pq", ".arrow", ".feather", ".ipc", ".xlsx")
_HINTS = {
    ".xls": "save it as .xlsx",
    ".tsv": "rename it to .csv, tabs are recognised",
    ".txt": "if it is a table of text, rename it to .csv",
    ".json": "save it as .csv or .parquet",
    ".zip": "unpack it first",
    ".gz": "a packed CSV file must end in .csv.gz",
    ".ods": "save it as .xlsx",
    ".pkl": "pickles are not read, for they can run code; save it as .parquet",
}
_TIMEOUT_S = 10.0
_MOST_TOLD = 200


@dataclass(frozen=True)
class Source:
    """A table file that exists and is not empty.

    Attributes:
        address: as told to people, without passwords.
        ending: one of ``ENDINGS``.
        path: the local file; None for a remote one, whose ``content`` was fetched.
    """

    address: str
    ending: str
    path: Path | None
    content: Any = None

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Open for reading as a ``pyarrow.NativeFile``."""
        file = pa.BufferReader(self.content) if self.path is None else pa.OSFile(str(self.path), "rb")
        try:
            yield file
        finally:
            file.close()

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes."""
        with self.open() as file:
            return bytes(file.read(size))


def find_source(address: str | os.PathLike[str], role: str) -> Source:
    """Find the file, or tell why it cannot be used.

    Raises:
        DataError: unknown ending, not there, a folder, empty, no permission, or a remote without answer.
    """
    text = os.fspath(address)
    shown = hide_secrets(text)
    scheme = _scheme(text)
    if not text.strip() or "\0" in text:
        raise DataError(f"{role}: {text!r} is no file name; give a file that ends in {listing(ENDINGS)}")
    _check_readable(text, shown, role)
    ending = _ending(urlsplit(text).path if scheme else text, shown, role)
    if scheme in ("", "file"):
        path = Path(url2pathname(urlsplit(text).path)) if scheme else Path(text).expanduser()
        _check_local(path, shown, role)
        return Source(shown, ending, path)
    content = _fetch(text, scheme, shown, role)
    if content.size == 0:
        raise DataError(f"{role}: {shown} is empty (0 bytes)")
    return Source(shown, ending, None, content)


def _check_readable(address: str, shown: str, role: str) -> None:
    """Refuse an address that no library can take apart, or would take apart in the midst of a secret."""
    try:
        _ = urlsplit(address).port if _scheme(address) else None
    except ValueError:
        raise DataError(
            f"{role}: {shown} is no address; give https://host/t.csv or s3://bucket/t.csv, with "
            "'/', '?', '#' and '@' in a key or password written as %2F, %3F, %23 and %40"
        ) from None


def _scheme(text: str) -> str:
    scheme, found, _ = text.partition("://")
    return scheme.lower() if found and scheme.replace("+", "").isalnum() else ""


def _ending(path: str, shown: str, role: str) -> str:
    lower = path.lower()
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if lower.endswith(ending):
            return ending
    suffix = Path(lower).suffix
    got = f"the ending {suffix!r}" if suffix else "no ending"
    hint = _HINTS.get(suffix, "")
    raise DataError(
        f"{role}: {shown} has {got}, known are {listing(ENDINGS)}" + (f"; {hint}" if hint else "")
    )


def _check_local(path: Path, shown: str, role: str) -> None:
    try:
        size = path.stat().st_size
        is_file = path.is_file()
    except OSError as error:
        if isinstance(error, PermissionError):
            raise DataError(f"{role}: no permission to read {shown}") from error
        raise DataError(f"{role}: {_not_there(path, shown)}") from error
    if path.is_dir():
        raise DataError(f"{role}: {shown} is a folder, give one file")
    if not is_file:
        raise DataError(f"{role}: {shown} is no regular file")
    if size == 0:
        raise DataError(f"{role}: {shown} is empty (0 bytes)")
    try:
        with path.open("rb"):
            pass
    except PermissionError as error:
        raise DataError(f"{role}: no permission to read {shown}; allow it, e.g. chmod u+r") from error
    except OSError as error:
        raise DataError(f"{role}: {shown} cannot be opened: {error.strerror}") from error


def _not_there(path: Path, shown: str) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no file {shown}, nor the folder {folder}"
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        names = []
    tables = [name for name in names if name.lower().endswith(ENDINGS)]
    hint = nearest(path.name, names)
    if not hint and tables:
        hint = f"; the folder holds {listing(tables, 6)}"
    return f"there is no file {shown}{hint}"


def _fetch(address: str, scheme: str, shown: str, role: str) -> Any:
    """Read a remote file whole: tables are small beside what training on them needs."""
    try:
        opened = _arrow_filesystem(address, scheme)
    except pa.ArrowInvalid:  # pyarrow does not know the scheme
        opened = None
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DataError(f"{role}: {_failed(error, address, shown)}") from error
    if opened is None:
        return _fetch_fsspec(address, scheme, shown, role)
    filesystem, path = opened
    try:
        with filesystem.open_input_file(path) as file:
            return file.read_buffer()
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DataError(f"{role}: {_failed(error, address, shown)}") from error


def _failed(error: BaseException, address: str, shown: str) -> str:
    """Tell why a remote file cannot be read."""
    if _is_refusal(error):
        return f"no permission to read {shown}: the server refuses; give keys that may read it"
    if isinstance(error, FileNotFoundError):
        return f"there is no file {shown}"
    return f"{shown} cannot be read: {brief(error, address)}"


def _is_refusal(error: BaseException | None) -> bool:
    """Tell whether a server has refused to give a file; libraries tell of it as of one that is not there."""
    while error is not None:
        words = str(error)
        if getattr(error, "status", None) in (401, 403) or isinstance(error, PermissionError):
            return True
        if "ACCESS_DENIED" in words or re.search(r"\bHTTP (status )?40[13]\b", words, re.IGNORECASE):
            return True
        error = error.__cause__ or error.__context__
    return False


def open_filesystem(address: str) -> tuple[Any, str]:
    """Return the pyarrow filesystem of an address such as s3://bucket/folder, and the path in it.

    Raises:
        DataError: the scheme is not known, or the service does not answer.
    """
    shown = hide_secrets(address)
    _check_readable(address, shown, "home")
    try:
        return _arrow_filesystem(address, _scheme(address))
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DataError(f"{shown}: cannot be opened: {brief(error, address)}") from error


def _arrow_filesystem(address: str, scheme: str) -> tuple[Any, str]:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if scheme != "s3" or "@" in urlsplit(address).netloc or urlsplit(address).query:
        filesystem, path = pafs.FileSystem.from_uri(address)
        return filesystem, str(path)
    options: dict[str, Any] = {"connect_timeout": _TIMEOUT_S, "request_timeout": 60.0}
    if endpoint:
        parts = urlsplit(endpoint)
        options |= {"endpoint_override": parts.netloc or parts.path, "scheme": parts.scheme or "https"}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region and endpoint:
        region = "us-east-1"  # a server of one's own has no region to look up
    if not region:
        region = pafs.resolve_s3_region(urlsplit(address).netloc)
    return pafs.S3FileSystem(region=region, **options), address.partition("://")[2]


def _fetch_fsspec(address: str, scheme: str, shown: str, role: str) -> Any:
    try:
        import fsspec  # type: ignore[import-untyped,unused-ignore]

        with fsspec.open(address, "rb") as file:
            return pa.py_buffer(file.read())
    except ImportError as error:
        raise DataError(
            f"{role}: {shown} needs a library for {scheme}:// that is not installed: {brief(error, address)}"
        ) from error
    except Exception as error:  # each fsspec backend raises errors of its own library
        raise DataError(f"{role}: {_failed(error, address, shown)}") from error


def brief(error: BaseException, address: str = "") -> str:
    """Return the error's message in one line of at most 200 characters, without the address's secrets."""
    text = without_secrets(" ".join(str(error).split()), address) or type(error).__name__
    return text if len(text) <= _MOST_TOLD else text[: _MOST_TOLD - 1] + "…"
