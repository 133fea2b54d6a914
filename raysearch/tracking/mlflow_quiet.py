"""MLflow imported late, without telemetry and chatter, and its settings put back afterwards."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import threading
from typing import Any

# These hold for the whole process: they only ever turn something off, and must stand before the import.
_BEFORE_IMPORT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# MLflow repeats each call up to seven times over four minutes, creation of a run included, so that a lost
# answer leaves a second run behind. The writer repeats by itself, and looks before it creates again.
_WHILE_OPEN = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def begin_to_load(with_database: bool) -> threading.Thread:
    """Import MLflow on a thread of its own, while this one waits for something else.

    Args:
        with_database: also what it needs for a store that is a database.
    """
    _set_before_import()  # here: another process may be started meanwhile, with a copy of the surroundings
    modules = ["mlflow", *["mlflow.store.tracking.sqlalchemy_store"] * with_database]
    thread = threading.Thread(target=_import, args=(modules,), name="raysearch-mlflow", daemon=True)
    thread.start()
    return thread


def _import(modules: list[str]) -> None:
    with contextlib.suppress(Exception):  # it is told where MLflow is used
        for module in modules:
            importlib.import_module(module)


def _set_before_import() -> None:
    for name, value in _BEFORE_IMPORT.items():
        os.environ.setdefault(name, value)


def load_mlflow() -> Any:
    """Import MLflow (1 to 2 s the first time) with telemetry off and only its warnings shown."""
    _set_before_import()
    import mlflow

    for logger in ("mlflow", "alembic"):
        if logging.getLogger(logger).level < logging.WARNING:
            logging.getLogger(logger).setLevel(logging.WARNING)
    return mlflow


class Settings:
    """MLflow's settings in the environment, while at least one tracker is open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: dict[str, str | None] = {}

    def hold(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = {name: os.environ.get(name) for name in _WHILE_OPEN}
                os.environ.update(_WHILE_OPEN)
            self._users += 1

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users > 0:
                return
            for name, value in self._before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


SETTINGS = Settings()
