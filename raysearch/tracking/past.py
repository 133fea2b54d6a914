"""Earlier studies of a store, by the tag in which each left what later ones may use.

Only this tag is read: the whole runs of 1,000 studies would take seconds, their tags some milliseconds.
MLflow is not imported, so that a search can look back before anything else has begun.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from raysearch.addresses import hide_secrets, without_secrets
from raysearch.errors import TrackingError
from raysearch.history import PastStudy, parse_past
from raysearch.tracking.address import DATABASES, scheme, sqlite_path
from raysearch.tracking.experiment import login
from raysearch.tracking.preflight import trust

HISTORY = "raysearch.history"
MOST = 2000  # studies of a database that are read, the latest ones
MOST_OF_SERVER, _PAGE = 100, 100  # a server sends whole runs, some 70 a second where they have 150 metrics
_WHOLE_S, _ANSWER_S = 15.0, 10.0
_ENDED = "FINISHED"

_Row = tuple[str, float, str]  # run's id, end in seconds since the epoch, text


class PastReader:
    """Reads earlier studies on a thread of its own, while something else is done.

    Args:
        uri: as ``resolve_uri`` returns it.
        of_server: how many are read of a server, the latest ones.
    """

    def __init__(self, uri: str, of_server: int = MOST_OF_SERVER) -> None:
        self._uri = uri
        self._of_server = of_server
        self._found: tuple[PastStudy, ...] = ()
        self._failure = ""
        self._until = time.monotonic() + _WHOLE_S
        self._thread = threading.Thread(target=self._read, name="raysearch-past", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            rows = _rows(self._uri, self._of_server)
            found = (parse_past(text, run_id, ended_s) for run_id, ended_s, text in rows)
            self._found = tuple(past for past in found if past is not None)
        except Exception as error:  # whatever a driver or a server does
            reason = " ".join(str(error).split()) or type(error).__name__
            self._failure = without_secrets(reason, self._uri)[:300]

    def result(self) -> tuple[PastStudy, ...]:
        """Return the studies that ended with a result, the latest first; what tells nothing is left out.

        Raises:
            TrackingError: the store could not be read within 15 s of the beginning.
        """
        self._thread.join(max(0.0, self._until - time.monotonic()))
        failure = f"no answer within {_WHOLE_S:g} s" if self._thread.is_alive() else self._failure
        if failure:
            raise TrackingError(f"earlier studies cannot be read from {hide_secrets(self._uri)}: {failure}")
        return self._found


def _rows(uri: str, of_server: int) -> Iterator[_Row]:
    path, kind = sqlite_path(uri), scheme(uri)
    if path is not None:
        if path.exists() and path.stat().st_size:  # to connect would make it
            yield from _of_database(uri)
    elif kind in DATABASES:
        yield from _of_database(uri)
    elif kind in ("http", "https"):
        yield from islice(_of_server(uri), of_server)
    else:
        raise TrackingError(f"earlier studies are found in databases and at servers, not at {kind}")


def _of_database(uri: str) -> Iterator[_Row]:
    from sqlalchemy import BigInteger, String, and_, column, create_engine, select, table
    from sqlalchemy.pool import NullPool

    tags = table("tags", column("key", String), column("value", String), column("run_uuid", String))
    runs = table(
        "runs",
        *(column(name, String) for name in ("run_uuid", "status", "lifecycle_stage")),
        column("end_time", BigInteger),
        column("experiment_id"),
    )
    experiments = table("experiments", column("experiment_id"), column("lifecycle_stage", String))
    question = (
        select(runs.c.run_uuid, runs.c.end_time, tags.c.value)
        .join_from(tags, runs, tags.c.run_uuid == runs.c.run_uuid)
        .join(experiments, experiments.c.experiment_id == runs.c.experiment_id)
        .where(
            and_(
                tags.c.key == HISTORY,
                runs.c.status == _ENDED,
                runs.c.lifecycle_stage == "active",
                experiments.c.lifecycle_stage == "active",
            )
        )
        .order_by(runs.c.end_time.desc())
        .limit(MOST)
    )
    engine = create_engine(uri, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            found = connection.execute(question).all()
    finally:
        engine.dispose()
    for run_id, ended_ms, text in found:
        yield str(run_id), float(ended_ms or 0) / 1000, str(text)


def _of_server(uri: str) -> Iterator[_Row]:
    names = [one["experiment_id"] for one in _pages(uri, "experiments/search", {}, "experiments")]
    if not names:
        return
    question = {
        "experiment_ids": names,
        "filter": f"tags.`{HISTORY}` LIKE '{{%' and attributes.status = '{_ENDED}'",
        "order_by": ["attributes.start_time DESC"],
    }
    for run in _pages(uri, "runs/search", question, "runs"):
        tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", ())}
        if HISTORY in tags:
            yield str(run["info"]["run_id"]), float(run["info"].get("end_time", 0)) / 1000, str(tags[HISTORY])


def _pages(uri: str, path: str, question: dict[str, Any], what: str) -> Iterator[dict[str, Any]]:
    token = ""
    while True:
        more = {"max_results": _PAGE, **({"page_token": token} if token else {})}
        answer = _ask(uri, path, {**question, **more})
        yield from answer.get(what, ())
        token = answer.get("next_page_token", "")
        if not token:
            return


def _ask(uri: str, path: str, question: dict[str, Any]) -> dict[str, Any]:
    parts = urlsplit(uri)
    user, _, host = parts.netloc.rpartition("@")
    address = f"{parts.scheme}://{host}{parts.path.rstrip('/')}/api/2.0/mlflow/{path}"
    headers = {"Content-Type": "application/json", **login(user)}
    asked = urllib.request.Request(address, json.dumps(question).encode(), headers)
    with urllib.request.urlopen(asked, timeout=_ANSWER_S, context=trust(parts.scheme)) as answer:
        found: dict[str, Any] = json.load(answer)
    return found
