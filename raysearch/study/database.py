"""The database of a ledger: knocked at, opened to write, opened to read. What fails is told in words.

SQLAlchemy is Optuna's way to it; it is imported where it is needed, for most ledgers are files.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage

from raysearch.addresses import hide_secrets, without_secrets
from raysearch.errors import StudyError

_MADE_WITHIN_S = 10.0  # tables, where other processes make them at the same moment
_LOOK_S = 0.2


def check_database(database: str) -> None:
    """Knock at a database; nothing is made there.

    Raises:
        StudyError: it cannot be reached or written, or holds what Optuna cannot work with.
    """
    from sqlalchemy.engine import make_url

    with _told(database):
        address = make_url(database)
        if address.get_backend_name() == "sqlite":
            _check_file(address.database)
    open_to_read(database)


def open_to_write(database: str) -> RDBStorage:
    """Return Optuna's storage in a database, with its tables made where they are not there.

    Raises:
        StudyError: it cannot be opened.
    """
    with _told(database):
        if not _has_tables(database):
            _make_tables(database)
        return RDBStorage(_as_template(database), engine_kwargs=_engine_settings(database))


def open_to_read(database: str) -> RDBStorage | None:
    """Return Optuna's storage in a database; None where it has no tables yet. Nothing is made.

    Raises:
        StudyError: it cannot be read.
    """
    with _told(database):
        return _opened_to_read(database) if _has_tables(database) else None


def _opened_to_read(database: str) -> RDBStorage:
    # A file may have come in place of another, and a relative address means another one elsewhere.
    is_file = database.startswith("sqlite")
    return _made_to_read(database) if is_file else _made_to_read_once(database)


def _made_to_read(database: str) -> RDBStorage:
    return RDBStorage(_as_template(database), engine_kwargs=_unpooled(database), skip_table_creation=True)


_made_to_read_once = functools.lru_cache(maxsize=16)(_made_to_read)  # each asks the server for its schema


def is_same_place(database: str, other: str) -> bool:
    """Tell whether two addresses are those of one database."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        one, another = make_url(database), make_url(other)
    except ArgumentError:  # a web address, or none
        return False
    if one.get_backend_name() != another.get_backend_name():
        return False
    if one.get_backend_name() == "sqlite":
        return Path(one.database or "").resolve() == Path(another.database or "").resolve()
    places = [(url.host, url.port, url.database, url.query.get("options")) for url in (one, another)]
    return places[0] == places[1]


def _has_tables(database: str) -> bool:
    """Tell whether Optuna's tables are there and complete.

    Raises:
        StudyError: another program's are there.
    """
    from sqlalchemy import create_engine, inspect, text
    from sqlalchemy.engine import make_url

    address = make_url(database)
    if address.get_backend_name() == "sqlite" and not Path(str(address.database)).is_file():
        return False  # SQLite would make the file
    with create_engine(database, **_unpooled(database)).connect() as connection:
        tables, version = inspect(connection), "alembic_version"
        # Optuna writes this row last. RDBStorage writes it where it is missing, in the way of who makes the
        # tables at that moment.
        complete = tables.has_table(version) and bool(
            connection.scalar(text(f"select count(*) from {version}"))
        )
        if complete and (not tables.has_table("studies") or tables.has_table("experiments")):
            raise StudyError(
                f"ledger: the database {_shown(database)} holds another program's tables, such as MLflow's; "
                "give the ledger a database of its own"
            )
    return complete


def _make_tables(database: str) -> None:
    """Let Optuna make its tables, also where other processes do so at the same moment."""
    until = time.monotonic() + _MADE_WITHIN_S
    while True:
        try:
            RDBStorage(_as_template(database), engine_kwargs=_unpooled(database))
            return
        except Exception as error:
            if not _comes_into_being(error) or time.monotonic() > until:
                raise
        time.sleep(_LOOK_S)


def _comes_into_being(error: BaseException) -> bool:
    """Tell whether another process was making Optuna's tables in the same new database at that moment."""
    from sqlalchemy.exc import DatabaseError, IntegrityError

    if not isinstance(error, DatabaseError):  # Optuna wraps some
        return error.__cause__ is not None and _comes_into_being(error.__cause__)
    # PostgreSQL's words are in any language.
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    told = any(words in str(error) for words in ("already exists", "database is locked"))
    return told or isinstance(error, IntegrityError) or state in ("42P07", "42710")


def _check_file(name: str | None) -> None:
    """Refuse a SQLite database that cannot be made or written.

    Raises:
        OSError: it cannot.
        ValueError: it is no file that others can open.
    """
    if name in (None, "", ":memory:") or str(name).startswith("file:"):
        raise ValueError("a ledger is a file: sqlite:////path/trials.db")
    path = Path(str(name))
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OSError(f"the directory {path.parent} is not there, or cannot be written")
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not a file")
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise OSError(f"{path} cannot be written")


@contextlib.contextmanager
def _told(database: str) -> Iterator[None]:
    """Tell in words why a database cannot be used."""
    try:
        yield
    except StudyError:
        raise
    except ImportError as error:
        missing = getattr(error.__cause__, "name", None) or error.name or "unknown"
        raise StudyError(
            f"ledger: the driver for {_shown(database)} is not installed ({missing}); "
            "for PostgreSQL: pip install 'raysearch[postgres]'"
        ) from None
    except Exception as error:
        reason = without_secrets(first_line(error), database)
        raise StudyError(f"ledger: cannot open the database {_shown(database)}: {reason}") from None


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


def _unpooled(database: str) -> dict[str, Any]:
    """Return settings with which no connection is kept: a look would leave it until garbage is collected."""
    from sqlalchemy.pool import NullPool

    return {**_engine_settings(database), "poolclass": NullPool}


def _as_template(database: str) -> str:
    """Return the address as Optuna reads it: it fills in what stands in braces."""
    return database.replace("{", "{{").replace("}", "}}")


def _shown(database: str) -> str:
    """Return the address as it may be told."""
    if "://" not in database:
        return "(an address such as sqlite:////path/trials.db or postgresql+psycopg://user@host/db is needed)"
    return hide_secrets(database)


def first_line(error: BaseException) -> str:
    lines = str(error.__cause__ or error).strip().splitlines()
    return lines[0] if lines else type(error.__cause__ or error).__name__
