"""A tracking server for a team: PostgreSQL behind it, a password before it, artifacts through it."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raysearch.addresses import hide_secrets
from raysearch.errors import Problems, TrackingError
from raysearch.tracking.address import scheme

_SECRETS = {
    "MLFLOW_AUTH_ADMIN_PASSWORD": "the password of the user admin, 12 letters or more",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "a long text by chance (openssl rand -hex 32), the same at each start",
}
_PACKAGES = {"flask_wtf": "mlflow[auth]", "psycopg": "psycopg[binary]"}
# Each request brings its password, whose check takes a quarter of a second: it is remembered for a minute.
_AUTH = """[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/auth.db
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""
_ENVIRONMENT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # would take a dozen processes and 2 GB, for other things
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@dataclass(frozen=True)
class ServerCommand:
    """How to start the server: the secrets are in its environment alone."""

    words: Sequence[str]
    environment: Mapping[str, str]


def production_server(
    uri: str, folder: Path, listen: tuple[str, int], workers: int, hosts: Sequence[str]
) -> ServerCommand:
    """Return the command of a server on a PostgreSQL database, and make the folder that it needs.

    Args:
        folder: keeps the artifacts and who may use the server.
        listen: address and port.
        hosts: names by which it is called, beside localhost and ``listen``.

    Raises:
        TrackingError: with all that is missing.
    """
    problems = Problems("ui --production")
    if scheme(uri) != "postgresql":
        problems.add(
            f"--tracking-uri {hide_secrets(uri)}: a team's record wants PostgreSQL, e.g. "
            "postgresql+psycopg://USER:PASSWORD@HOST/mlflow, best given as MLFLOW_TRACKING_URI"
        )
    for module, package in _PACKAGES.items():
        if importlib.util.find_spec(module) is None:
            problems.add(f"{package} is not installed: pip install 'raysearch[server]'")
    for name, meaning in _SECRETS.items():
        if not os.environ.get(name):
            problems.add(f"{name} is not set in the environment: {meaning}")
    problems.raise_as(TrackingError)
    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    settings = folder / "auth.ini"
    if not settings.exists():  # a team may have changed it
        settings.write_text(_AUTH.format(folder=str(folder.absolute()).replace("%", "%%")))
    host, port = listen
    names = [
        f"{name}{port_part}" for name in ("localhost", "127.0.0.1", host, *hosts) for port_part in ("", ":*")
    ]
    words = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"]
    words += ["--host", host, "--port", str(port), "--workers", str(workers)]
    words += ["--artifacts-destination", str(folder.absolute() / "artifacts")]
    words += ["--allowed-hosts", ",".join(dict.fromkeys(names))]
    secret = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_AUTH_CONFIG_PATH": str(settings.absolute())}
    return ServerCommand(words, {**os.environ, **_ENVIRONMENT, **secret})
