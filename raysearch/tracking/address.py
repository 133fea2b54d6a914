"""Where the record is kept: the tracking address, whether somebody is there, and how to look at it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from raysearch.addresses import hide_secrets
from raysearch.config import TrackingConfig
from raysearch.errors import TrackingError

DEFAULT_URI = "sqlite:///mlflow.db"
DATABASES = ("postgresql", "mysql", "mssql")
WITHOUT = "Or go without a record: --no-tracking."
_SQLITE = "sqlite:///"


def resolve_uri(config: TrackingConfig) -> str | None:
    """Return the store's address: the setting, else MLFLOW_TRACKING_URI, else a local file; None when off.

    A relative SQLite path is made absolute, so that the address holds from any directory.
    """
    if not config.enabled:
        return None
    uri = (config.uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI).strip()
    path = sqlite_path(uri)
    return uri if path is None else f"{_SQLITE}{path}"


def scheme(uri: str) -> str:
    """Return an address's scheme without its driver: ``postgresql`` for ``postgresql+psycopg://...``."""
    return (
        uri.partition("://")[0].partition("+")[0].lower() if "://" in uri else uri.partition(":")[0].lower()
    )


def sqlite_path(uri: str) -> Path | None:
    """Return the database file of a SQLite address, absolute; None for any other address.

    Raises:
        TrackingError: the address names no file.
    """
    if scheme(uri) != "sqlite":
        return None
    if not uri.startswith(_SQLITE):
        raise TrackingError(
            f"tracking address {hide_secrets(uri)}: expected sqlite:///FILE, e.g. {DEFAULT_URI}. {WITHOUT}"
        )
    name = uri[len(_SQLITE) :].partition("?")[0]
    if not name or name == ":memory:":
        raise TrackingError(
            f"tracking address {hide_secrets(uri)}: a database in memory is lost at the end; name a file, "
            f"e.g. {DEFAULT_URI}. {WITHOUT}"
        )
    return Path(os.path.normpath(Path.cwd() / name))


def artifact_root(uri: str) -> str | None:
    """Return where artifacts of new experiments go, as an address; None where the server decides.

    Without one, MLflow would use ``mlruns`` below whatever directory the process is in.
    """
    path = sqlite_path(uri)
    if path is not None:
        return (path.parent / "mlartifacts").as_uri()
    return (Path.cwd() / "mlartifacts").as_uri() if scheme(uri) in DATABASES else None


def ui_command(uri: str, host: str, port: int) -> list[str]:
    """Return the command that opens MLflow's UI on the store at ``uri``.

    A tracking server has its UI at its own address, which is opened in the browser. For a database a server
    with one worker is started, without MLflow's job runner, which would take a dozen processes and 2 GB.
    """
    if scheme(uri) in ("http", "https"):
        return [sys.executable, "-m", "webbrowser", uri]
    command = ["env", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", "MLFLOW_DISABLE_TELEMETRY=true"]
    command += [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    root = artifact_root(uri)
    if root is not None:
        # The UI reads the artifacts itself. With a proxy for them, experiments made in the UI could not be
        # written to without that server.
        command += ["--no-serve-artifacts", "--default-artifact-root", root]
    return [*command, "--host", host, "--port", str(port), "--workers", "1"]


def refuse_file_store(uri: str) -> None:
    """Raise for addresses that are directories or no addresses at all.

    Raises:
        TrackingError: with the address that was probably meant.
    """
    known = scheme(uri)
    if known in ("http", "https", "sqlite", "databricks", *DATABASES):
        return
    shown = hide_secrets(uri)
    if known == "postgres":
        raise TrackingError(
            f"tracking address {shown}: write postgresql:// instead of postgres://. {WITHOUT}"
        )
    if known == "file" or ("://" not in uri and (Path(uri).is_dir() or os.sep in uri)):
        folder = Path(unquote(urlsplit(uri).path) if known == "file" else uri).absolute()
        database = f"{_SQLITE}{folder.parent / 'mlflow.db'}"
        raise TrackingError(
            f"tracking address {shown}: MLflow no longer keeps its record in plain files; use a database, "
            f"e.g. {database} ('mlflow migrate-filestore --source {folder} --target {database}' "
            f"takes the old runs along). {WITHOUT}"
        )
    fix = (
        f"http://{uri}"
        if known in ("localhost", "127.0.0.1") or uri.rpartition(":")[2].isdigit()
        else DEFAULT_URI
    )
    if uri.endswith((".db", ".sqlite")):
        fix = f"{_SQLITE}{uri}"
    raise TrackingError(
        f"tracking address {shown}: expected http(s)://, sqlite:/// or postgresql://, e.g. {fix}. {WITHOUT}"
    )
