"""Is the tracking store there? Asked before the search starts, without importing MLflow."""

from __future__ import annotations

import os
import socket
import sqlite3
import ssl
import threading
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from raysearch.addresses import hide_secrets, without_secrets
from raysearch.errors import TrackingError
from raysearch.tracking.address import DATABASES, WITHOUT, refuse_file_store, scheme, sqlite_path

_TIMEOUT_S = 3.0
# Looking up a host's name has no timeout of its own, so the whole question gets one.
_WHOLE_S = 4.5
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}


def check_reachable(uri: str) -> None:
    """Return when the store at ``uri`` answers, within 5 s.

    Raises:
        TrackingError: nobody is there, or what is there is not an MLflow store; the message offers the fix.
    """
    failures: list[TrackingError] = []

    def ask() -> None:
        try:
            refuse_file_store(uri)
            _ask(uri)
        except TrackingError as error:
            failures.append(error)
        except Exception as error:  # an address that some library cannot take apart
            failures.append(_nobody(uri, without_secrets(str(error) or type(error).__name__, uri)))

    thread = threading.Thread(target=ask, name="raysearch-preflight", daemon=True)
    thread.start()
    thread.join(_WHOLE_S)
    if thread.is_alive():
        raise _nobody(uri, f"no answer within {_WHOLE_S:g} s")
    if failures:
        raise failures[0]


def _ask(uri: str) -> None:
    kind = scheme(uri)
    path = sqlite_path(uri)
    if path is not None:
        _ask_sqlite(uri, path)
    elif kind in ("http", "https"):
        _ask_server(uri)
    elif kind in DATABASES:
        _ask_database(uri)


def _nobody(uri: str, why: str) -> TrackingError:
    return TrackingError(
        f"no MLflow store answers at {hide_secrets(uri)}: {why}. "
        f"Start it ('mlflow server'), or give another address (--set tracking.uri=...). {WITHOUT}"
    )


def _connect(uri: str) -> None:
    parts = urlsplit(uri)
    try:
        port = parts.port or _PORTS[scheme(uri)]
        with socket.create_connection((parts.hostname or "localhost", port), timeout=_TIMEOUT_S):
            return
    except ValueError as error:
        raise _nobody(uri, without_secrets(str(error), uri)) from None
    except OSError as error:
        raise _nobody(uri, error.strerror or str(error)) from None


def _ask_server(uri: str) -> None:
    parts = urlsplit(uri)
    if not parts.hostname:
        raise _nobody(uri, "the address names no host")
    proxied = parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(parts.hostname)
    if not proxied:
        _connect(uri)
    answers = [_get(uri, "/health"), _get(uri, "/version")]
    if any(answer == 200 for answer in answers):
        return
    told = " and ".join(
        f"{path} answers {answer}" for path, answer in zip(("/health", "/version"), answers, strict=True)
    )
    raise TrackingError(
        f"what answers at {hide_secrets(uri)} is not an MLflow tracking server ({told}). "
        f"Check the address, its path and who may use it. {WITHOUT}"
    )


def _get(uri: str, path: str) -> int | str:
    """Return the status that the server gives for a path, or the reason why it gives none."""
    parts = urlsplit(uri)
    # urllib takes "user:password@" for a part of the host's name; these two paths need no password.
    host = parts.netloc.rpartition("@")[2]
    address = f"{parts.scheme}://{host}{parts.path.rstrip('/')}{path}"
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S / 2, context=trust(parts.scheme)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def trust(kind: str) -> ssl.SSLContext | None:
    """Return how to trust the server, by MLflow's own variables."""
    if kind != "https":
        return None
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return ssl._create_unverified_context()
    return ssl.create_default_context(cafile=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None)


def _ask_database(uri: str) -> None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        make_url(uri).get_dialect().import_dbapi()
    except (ImportError, SQLAlchemyError) as error:
        hint = "pip install 'raysearch[postgres]'" if scheme(uri) == "postgresql" else "install its driver"
        raise TrackingError(
            f"tracking address {hide_secrets(uri)} needs a database driver: "
            f"{without_secrets(str(error), uri)}; {hint}. {WITHOUT}"
        ) from None
    _connect(uri)


def _ask_sqlite(uri: str, path: Path) -> None:
    folder, shown = path.parent, hide_secrets(uri)
    if not folder.is_dir():
        raise TrackingError(
            f"tracking address {shown}: there is no directory {folder}; make it first. {WITHOUT}"
        )
    if not path.exists():
        if not os.access(folder, os.W_OK | os.X_OK):
            raise TrackingError(
                f"tracking address {shown}: the directory {folder} cannot be written to. {WITHOUT}"
            )
        return
    if not path.is_file():
        raise TrackingError(f"tracking address {shown}: {path} is not a file. {WITHOUT}")
    # SQLite writes its journal beside the database.
    if not (os.access(path, os.R_OK | os.W_OK) and os.access(folder, os.W_OK | os.X_OK)):
        raise TrackingError(f"tracking address {shown}: {path} cannot be written to. {WITHOUT}")
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_TIMEOUT_S)
        try:
            tables = {
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"tracking address {shown}: {path} is not a SQLite database ({error}). {WITHOUT}"
        ) from None
    if tables and not {"alembic_version", "experiments"} <= tables:
        raise TrackingError(
            f"tracking address {shown}: {path} is a database of something other than MLflow; "
            f"name another file. {WITHOUT}"
        )
