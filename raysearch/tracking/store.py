"""An open MLflow store: its client, the experiment, and runs found by their tags."""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysearch.addresses import hide_secrets, without_secrets
from raysearch.errors import TrackingError
from raysearch.tracking.address import WITHOUT, artifact_root, sqlite_path
from raysearch.tracking.experiment import Experiment, refuse
from raysearch.tracking.mlflow_quiet import load_mlflow
from raysearch.tracking.names import MAX_TAG, text

HEADLINE = "valid_pinball_loss_avg"
_PAGE = 1000


@dataclass(frozen=True)
class Store:
    """What all writing goes through: an explicit client, so that MLflow's global state stays as it was.

    Attributes:
        client: an ``mlflow.MlflowClient``.
    """

    uri: str
    client: Any
    experiment_id: str

    def create_run(self, name: str, tags: Mapping[str, Any], start_ms: int) -> str:
        """Open a run with its tags and return its id."""
        cleaned = {key: text(value, MAX_TAG) for key, value in tags.items()}
        run = self.client.create_run(
            self.experiment_id, start_time=start_ms, tags=cleaned, run_name=text(name, MAX_TAG)
        )
        return str(run.info.run_id)

    def find_runs(self, tags: Mapping[str, str]) -> list[Any]:
        """Return all runs with these tags, oldest first."""
        words = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        found: list[Any] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], words, max_results=_PAGE, order_by=["start_time ASC"], page_token=token
            )
            found.extend(page)
            token = page.token
            if not token:
                return found

    def set_tag(self, run_id: str, key: str, value: Any) -> None:
        self.client.set_tag(run_id, key, text(value, MAX_TAG))

    def terminate(self, run_id: str, status: str, end_ms: int) -> None:
        self.client.set_terminated(run_id, status, end_ms)


def open_store(uri: str, experiment: str) -> Store:
    """Open the store, make it if it is a new local file, and find or make the experiment.

    Raises:
        TrackingError: in words for the user, whatever MLflow says.
    """
    mlflow = load_mlflow()
    try:
        path = sqlite_path(uri)
        if path is not None and not path.exists():
            _make_database(path)
        client = mlflow.MlflowClient(tracking_uri=uri)
        return Store(uri, client, _experiment_id(client, uri, experiment))
    except TrackingError:
        raise
    except Exception as error:
        raise TrackingError(
            f"the MLflow store at {hide_secrets(uri)} cannot be used: {_in_words(error, uri)}. {WITHOUT}"
        ) from error


def _in_words(error: Exception, uri: str) -> str:
    return without_secrets(" ".join(str(error).split()), uri)[:1000]


def refused(error: Exception) -> bool:
    """Tell whether MLflow refused a call for what it says, so that the same call will be refused again."""
    import requests
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        again = (
            "INTERNAL_ERROR",
            "TEMPORARILY_UNAVAILABLE",
            "REQUEST_LIMIT_EXCEEDED",
            "DEADLINE_EXCEEDED",
            "CANCELLED",
        )
        return error.error_code not in again
    return not isinstance(error, OSError | requests.RequestException)


def _make_database(path: Path) -> None:
    """Make a new database beside ``path`` and move it there whole.

    Two processes that make the tables of one file at the same time break each other; this way one of them
    wins and the other one uses what is there. Writing ahead (WAL) lets the UI read while the search writes;
    it is a property of the file.
    """
    import sqlalchemy
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    uri = f"sqlite:///{path}"
    made = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        store = SqlAlchemyStore(f"sqlite:///{made}", artifact_root(uri))
        with store.engine.connect() as connection:
            connection.execute(sqlalchemy.text("PRAGMA journal_mode=WAL"))
        store.engine.dispose()
        with _alone(path.parent):
            if not path.exists():
                for end in ("-wal", "-shm"):  # of one that was taken away: SQLite would mix the two
                    path.with_name(path.name + end).unlink(missing_ok=True)
                made.rename(path)
    finally:
        for left in path.parent.glob(f"{made.name}*"):
            left.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep other processes away that do the same in a directory."""
    held = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system that locks no directories
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _experiment_id(client: Any, uri: str, name: str) -> str:
    """Return the experiment's id; whoever loses the race to make it uses the winner's."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        # The UI compares runs by this metric, and need not guess that these are not traces of a chatbot.
        tags = {
            "mlflow.experiment.primaryMetric.name": HEADLINE,
            "mlflow.experimentKind": "custom_model_development",
        }
        try:
            return str(client.create_experiment(name, artifact_location=artifact_root(uri), tags=tags))
        except MlflowException as error:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise error from None
    location = str(found.artifact_location)
    refuse(Experiment(str(found.experiment_id), found.name, found.lifecycle_stage, location), uri)
    if "mlflow.experiment.primaryMetric.name" not in found.tags:
        client.set_experiment_tag(found.experiment_id, "mlflow.experiment.primaryMetric.name", HEADLINE)
    return str(found.experiment_id)
