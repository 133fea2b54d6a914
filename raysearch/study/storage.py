"""Where a ledger is written: the study's own journal file, or a database. What fails is told in words."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from raysearch.errors import StudyError


def open_storage(journal: Path, database: str | None) -> BaseStorage:
    """Return the storage: the study's journal file, or a database shared by studies.

    Raises:
        StudyError: when the database cannot be opened.
    """
    if database is None:
        try:
            _mend_journal(journal)
            return JournalStorage(JournalFileBackend(str(journal.absolute())))
        except (OSError, ValueError, KeyError) as error:
            raise StudyError(f"ledger: {journal} cannot be read: {_first_line(error)}") from None
    try:
        return RDBStorage(database, engine_kwargs=_engine_settings(database))
    except ImportError as error:
        raise StudyError(
            f"ledger: the driver for {_shown(database)} is not installed ({error.name}); "
            "for PostgreSQL: pip install 'raysearch[postgres]'"
        ) from None
    except Exception as error:
        reason = _without_secrets(_first_line(error), database)
        raise StudyError(f"ledger: cannot open the database {_shown(database)}: {reason}") from None


def open_storage_to_read(journal: Path, database: str | None) -> BaseStorage | None:
    """Return the storage without mending or making anything; None where it cannot be read."""
    if database is None and not journal.exists():
        return None
    try:
        if database is None:
            return JournalStorage(JournalFileBackend(str(journal.absolute())))
        if (
            database.startswith("sqlite")
            and not Path(database.partition(":///")[2].partition("?")[0]).is_file()
        ):
            return None  # SQLite would make the file
        return RDBStorage(database, engine_kwargs=_engine_settings(database), skip_table_creation=True)
    except Exception:
        return None


def _engine_settings(database: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"pool_pre_ping": True}
    if database.startswith(("postgresql:", "postgresql+psycopg")):
        settings["connect_args"] = {"connect_timeout": 10}  # else minutes, where nobody answers
    return settings


def _shown(database: str) -> str:
    """Return the address without user, password and query: they belong in no message."""
    scheme, found, rest = database.partition("://")
    if not found:
        return "(an address such as sqlite:////path/trials.db or postgresql+psycopg://user@host/db is needed)"
    return f"{scheme}://{re.split('[?&]', rest.rpartition('@')[2])[0]}"


def _without_secrets(text: str, database: str) -> str:
    """Return ``text`` without what of the database's address is secret, however a driver has quoted it."""
    rest = database.partition("://")[2] or database
    secrets = {database, rest, rest.rpartition("@")[0].partition(":")[2], *re.split("[?&]", rest)[1:]}
    secrets |= {unquote(secret) for secret in secrets}
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _first_line(error: BaseException) -> str:
    lines = str(error.__cause__ or error).strip().splitlines()
    return lines[0] if lines else type(error.__cause__ or error).__name__


@contextlib.contextmanager
def storage_errors_told() -> Iterator[None]:
    """Tell a failing storage in words, and without the statement, which is long, or the address."""
    try:
        yield
    except Exception as error:
        library = type(error).__module__.partition(".")[0]
        if not isinstance(error, OSError) and library not in ("optuna", "sqlalchemy"):
            raise
        raise StudyError(
            f"ledger: a trial cannot be written down: {_first_line(error)}; "
            "`python -m raysearch resume` goes on when that is mended"
        ) from error


def _mend_journal(journal: Path) -> None:
    """Take away what a killed process can leave: half a last line, and the lock file.

    Optuna would append to the half line and could never read the journal again. Whoever calls this holds the
    study's lock, so no other process writes.
    """
    with contextlib.suppress(FileNotFoundError):
        content = journal.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with journal.open("rb+") as file:
                file.truncate(len(whole))
    for left in journal.parent.glob(
        f"{journal.name}.lock*"
    ):  # the lock, and its names while it is given back
        left.unlink(missing_ok=True)
