"""Where a ledger is written: the study's own journal file, or a database. What fails is told in words."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from raysearch.addresses import hide_secrets, is_incomplete, without_secrets
from raysearch.config_rules import LEDGER_VARIABLE
from raysearch.errors import StudyError
from raysearch.study.journal import Journal

_TRIES = 10  # to open a new database, where other processes make the tables at the same moment
_TRIED_AGAIN_S = 0.2


def open_storage(journal: Path, database: str | None) -> BaseStorage:
    """Return the storage: the study's journal file, or a database shared by studies.

    Raises:
        StudyError: when the database cannot be opened.
    """
    if database is None:
        try:
            _mend_journal(journal)
            return Journal(str(journal.absolute()))
        except (OSError, ValueError, KeyError) as error:
            raise StudyError(f"ledger: {journal} cannot be read: {_first_line(error)}") from None
    for tries_left in reversed(range(_TRIES)):
        try:
            return RDBStorage(database, engine_kwargs=_engine_settings(database))
        except Exception as error:
            if not (tries_left and _comes_into_being(error)):
                raise _refused(database, error) from None
        time.sleep(_TRIED_AGAIN_S)
    raise AssertionError("the last try returns or raises")


def _comes_into_being(error: Exception) -> bool:
    """Tell whether another process was making Optuna's tables in the same new database at that moment."""
    from sqlalchemy.exc import DatabaseError, IntegrityError

    made = isinstance(error, DatabaseError) and "already exists" in str(error)
    return made or isinstance(error, IntegrityError)


def check_database(database: str) -> None:
    """Knock at the database of a ledger; nothing is made there.

    Raises:
        StudyError: when it cannot be reached, or written.
    """
    from sqlalchemy import create_engine, inspect
    from sqlalchemy.engine import make_url

    try:
        address = make_url(database)
        in_file = address.get_backend_name() == "sqlite" and address.database not in (None, "", ":memory:")
        if in_file and not _check_file(Path(str(address.database))):
            return  # SQLite would make the file
        engine = create_engine(database, **_engine_settings(database))
        try:
            inspect(engine).get_table_names()
        finally:
            engine.dispose()
    except Exception as error:
        raise _refused(database, error) from None


def holds_study(journal: Path, database: str | None, name: str) -> bool:
    """Tell whether a ledger has the Optuna study of that name.

    Raises:
        StudyError: the ledger cannot be read.
    """
    storage = open_storage_to_read(journal, database)
    try:
        with storage_errors_told():
            return storage is not None and storage.get_study_id_from_name(name) >= 0
    except KeyError:
        return False


def _check_file(path: Path) -> bool:
    """Tell whether the file of a SQLite database is there.

    Raises:
        OSError: it cannot be made, or not be written.
    """
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OSError(f"the directory {path.parent} is not there, or cannot be written")
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise OSError(f"{path} cannot be written")
    return path.exists()


def _refused(database: str, error: Exception) -> StudyError:
    """Return in words why a database cannot be used."""
    if isinstance(error, ImportError):
        return StudyError(
            f"ledger: the driver for {_shown(database)} is not installed ({error.name}); "
            "for PostgreSQL: pip install 'raysearch[postgres]'"
        )
    reason = without_secrets(_first_line(error), database)
    return StudyError(f"ledger: cannot open the database {_shown(database)}: {reason}")


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


def open_storage_to_read(journal: Path, database: str | None) -> BaseStorage | None:
    """Return the storage without mending or making anything; None where nothing has been written yet.

    Raises:
        StudyError: it cannot be read.
    """
    if is_incomplete(database):
        database = os.environ.get(LEDGER_VARIABLE)
        if not database:
            raise StudyError(f"ledger: the address of its database lacks a secret; set {LEDGER_VARIABLE}")
    if database is None:
        return _open_journal_to_read(journal) if journal.exists() else None
    from sqlalchemy.pool import NullPool

    # Who reads again and again would leave a connection each time, and a server gives a hundred to all.
    settings = {**_engine_settings(database), "poolclass": NullPool}
    try:
        if not _has_tables(database, settings):
            return None
        return RDBStorage(database, engine_kwargs=settings, skip_table_creation=True)
    except Exception as error:
        raise _refused(database, error) from None


def _open_journal_to_read(journal: Path) -> BaseStorage:
    try:
        return JournalStorage(JournalFileBackend(str(journal.absolute())))
    except Exception as error:
        raise StudyError(f"ledger: {journal} cannot be read: {_first_line(error)}") from None


def _has_tables(database: str, settings: dict[str, Any]) -> bool:
    """Tell whether Optuna has made its tables in a database; a SQLite file is not made by looking."""
    from sqlalchemy import create_engine, inspect, text
    from sqlalchemy.engine import make_url

    address = make_url(database)
    if address.get_backend_name() == "sqlite" and not Path(str(address.database)).is_file():
        return False
    with create_engine(database, **settings).connect() as connection:
        # The last that is written; before, whoever opens the storage writes it, and is in its maker's way.
        last = "alembic_version"
        made = inspect(connection).has_table(last)
        return made and bool(connection.scalar(text(f"select count(*) from {last}")))


def _engine_settings(database: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"pool_pre_ping": True}
    if database.startswith(("postgresql:", "postgresql+psycopg")):
        # Else minutes or hours, where nobody answers: in seconds, and in milliseconds. The server too asks
        # after a silent client: one that died would keep others from the rows that it had begun to write.
        settings["connect_args"] = {"connect_timeout": 10, "tcp_user_timeout": 15_000}
        settings["connect_args"] |= {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2}
        if "options=" not in database:
            settings["connect_args"]["options"] = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5"
    return settings


def _shown(database: str) -> str:
    """Return the address as it may be told."""
    if "://" not in database:
        return "(an address such as sqlite:////path/trials.db or postgresql+psycopg://user@host/db is needed)"
    return hide_secrets(database)


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
