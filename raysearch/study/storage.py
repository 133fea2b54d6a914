"""Where a ledger is written: the study's own journal file, or a database. What fails is told in words."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from raysearch.addresses import is_incomplete
from raysearch.config_rules import LEDGER_VARIABLE
from raysearch.errors import StudyError
from raysearch.study.database import first_line, open_to_read, open_to_write
from raysearch.study.journal import Journal


def open_storage(journal: Path, database: str | None) -> BaseStorage:
    """Return the storage: the study's journal file, or a database shared by studies.

    Raises:
        StudyError: when the database cannot be opened.
    """
    if database is not None:
        return open_to_write(database)
    try:
        _mend_journal(journal)
        return Journal(str(journal.absolute()))
    except (OSError, ValueError, KeyError) as error:
        raise StudyError(f"ledger: {journal} cannot be read: {first_line(error)}") from None


def open_storage_to_read(journal: Path, database: str | None) -> BaseStorage | None:
    """Return the storage without mending or making anything; None where nothing has been written yet.

    Raises:
        StudyError: it cannot be read.
    """
    if database is not None:
        return open_to_read(whole_address(database))
    if not journal.exists():
        return None
    try:
        return JournalStorage(JournalFileBackend(str(journal.absolute())))
    except Exception as error:
        raise StudyError(f"ledger: {journal} cannot be read: {first_line(error)}") from None


def whole_address(database: str) -> str:
    """Return a database's address with the secret that a study does not keep.

    Raises:
        StudyError: the environment does not give it.
    """
    address = os.environ.get(LEDGER_VARIABLE) if is_incomplete(database) else database
    if not address:
        raise StudyError(f"ledger: the address of its database lacks a secret; set {LEDGER_VARIABLE}")
    return address


def holds_study(database: str, name: str) -> bool:
    """Tell whether a database has the Optuna study of that name.

    Raises:
        StudyError: it cannot be read.
    """
    storage = open_to_read(database)
    try:
        with storage_errors_told(reading=True):
            return storage is not None and storage.get_study_id_from_name(name) >= 0
    except KeyError:
        return False


def swap_attribute(study: optuna.Study, name: str, before: Any, after: Any) -> bool:
    """Write an attribute of a study in a database anew, where it still is ``before``; tell whether it was.

    That is one statement, so that nothing comes between the look and the writing.
    """
    from optuna.storages._rdb.models import StudyUserAttributeModel as Row
    from sqlalchemy import update

    backend = getattr(study._storage, "_backend", study._storage)  # Optuna caches what a database tells
    here = (Row.study_id == study._study_id, Row.key == name, Row.value_json == json.dumps(before))
    with storage_errors_told(), backend.engine.begin() as connection:
        done = connection.execute(update(Row).where(*here).values(value_json=json.dumps(after)))
    return bool(done.rowcount)


@contextlib.contextmanager
def storage_errors_told(*, reading: bool = False) -> Iterator[None]:
    """Tell a failing storage in words, and without the statement, which is long, or the address."""
    try:
        yield
    except Exception as error:
        library = type(error).__module__.partition(".")[0]
        if not isinstance(error, OSError) and library not in ("optuna", "sqlalchemy"):
            raise
        if reading:
            raise StudyError(f"ledger: it cannot be read: {first_line(error)}") from error
        raise StudyError(
            f"ledger: a trial cannot be written down: {first_line(error)}; "
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
