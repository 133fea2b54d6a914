"""The MLflow experiment that runs go to: can it take them? Asked without importing MLflow."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sqlite3
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from raysearch.addresses import hide_secrets
from raysearch.errors import TrackingError
from raysearch.tracking.address import WITHOUT, scheme, sqlite_path
from raysearch.tracking.preflight import trust

_TIMEOUT_S = 3.0


@dataclass(frozen=True)
class Experiment:
    """What a store says of an experiment; ``stage`` is "active" or "deleted"."""

    id: str
    name: str
    stage: str
    artifacts: str


def check_experiment(uri: str, name: str) -> None:
    """Refuse an experiment that cannot take runs; what is not known now is told when a study opens it.

    Raises:
        TrackingError: it was deleted, or its files are only in reach of a server.
    """
    found = None
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, sqlite3.Error):
        path = sqlite_path(uri)
        if path is not None:
            found = _in_file(path, name)
        elif scheme(uri) in ("http", "https"):
            found = _at_server(uri, name)
    if found is not None:
        refuse(found, uri)


def refuse(found: Experiment, uri: str) -> None:
    """Raise for an experiment that cannot take runs.

    Raises:
        TrackingError: with the fix.
    """
    shown = hide_secrets(uri)
    if found.stage != "active":
        raise TrackingError(
            f"the MLflow experiment {found.name!r} at {shown} was deleted: name another one "
            f"(--set tracking.experiment=NAME), or bring it back ('mlflow experiments restore "
            f"--experiment-id {found.id}' with MLFLOW_TRACKING_URI={shown}). {WITHOUT}"
        )
    if found.artifacts.startswith("mlflow-artifacts:") and scheme(uri) not in ("http", "https"):
        raise TrackingError(
            f"the MLflow experiment {found.name!r} at {shown} was made through a tracking server, and only "
            "through it can artifacts be stored there: give its address (--set tracking.uri=http://...), or "
            f"name another experiment (--set tracking.experiment=NAME). {WITHOUT}"
        )


def _in_file(path: Path, name: str) -> Experiment | None:
    if not path.is_file():
        return None
    words = "SELECT experiment_id, name, lifecycle_stage, artifact_location FROM experiments WHERE name = ?"
    with contextlib.closing(
        sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_TIMEOUT_S)
    ) as file:
        row = file.execute(words, (name,)).fetchone()
    return Experiment(*(str(value or "") for value in row)) if row else None


def _at_server(uri: str, name: str) -> Experiment:
    parts = urlsplit(uri)
    user, _, host = parts.netloc.rpartition("@")
    address = f"{parts.scheme}://{host}{parts.path.rstrip('/')}/api/2.0/mlflow/experiments/get-by-name"
    question = urllib.request.Request(f"{address}?experiment_name={quote(name)}", headers=login(user))
    with urllib.request.urlopen(question, timeout=_TIMEOUT_S, context=trust(parts.scheme)) as answer:
        told = json.load(answer)["experiment"]
    return Experiment(
        str(told["experiment_id"]),
        str(told["name"]),
        str(told["lifecycle_stage"]),
        str(told.get("artifact_location", "")),
    )


def login(user: str) -> dict[str, str]:
    """Return who asks, by the address or else by MLflow's own variables."""
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    name = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if not user and not name:
        return {"Authorization": f"Bearer {token}"} if token else {}
    words = unquote(user) if user else f"{name}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
    return {"Authorization": f"Basic {base64.b64encode(words.encode()).decode('ascii')}"}
