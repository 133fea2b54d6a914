"""Earlier studies of a store: found in a database or at a server, whatever else stands there."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from history_made_up import past

from raysearch.errors import TrackingError
from raysearch.history import to_text
from raysearch.tracking import PastReader
from raysearch.tracking.past import HISTORY

TABLES = (
    "CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, lifecycle_stage TEXT);"
    "CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, status TEXT, lifecycle_stage TEXT, end_time INTEGER,"
    " experiment_id INTEGER);"
    "CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT, PRIMARY KEY (key, run_uuid));"
    "INSERT INTO experiments VALUES (1, 'active'), (2, 'deleted'), (3, 'active');"
)


@pytest.fixture
def store(tmp_path: Path):
    """The tables of a store, as far as they are read; add(name, ...) adds a study's run."""
    path = tmp_path / "mlflow.db"
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.executescript(TABLES)

    def add(name: str, *, status="FINISHED", stage="active", experiment=1, text=None, ended=10_000):
        with contextlib.closing(sqlite3.connect(path)) as file, file:
            file.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", (name, status, stage, ended, experiment))
            told = to_text(past(name)) if text is None else text
            file.execute("INSERT INTO tags VALUES (?, ?, ?)", (HISTORY, told, name))
            file.execute("INSERT INTO tags VALUES ('raysearch.role', 'study', ?)", (name,))

    add.uri = f"sqlite:///{path}"
    return add


def found(uri: str) -> list[str]:
    return [study.study for study in PastReader(uri).result()]


def test_studies_of_all_experiments_are_found_the_latest_first(store):
    store("a", ended=1000)
    store("b", ended=3000, experiment=3)
    store("c", ended=2000)
    assert found(store.uri) == ["b", "c", "a"]
    (_, c, _) = PastReader(store.uri).result()
    assert (c.run_id, c.ended_s) == ("c", 2.0)
    assert c.points == past("c").points


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "RUNNING"},
        {"status": "KILLED"},
        {"status": "FAILED"},
        {"stage": "deleted"},
        {"experiment": 2},
        {"text": "{"},
        {"text": '{"version": 99}'},
        {"text": "somebody else's"},
    ],
)
def test_what_did_not_end_well_was_deleted_or_is_damaged_is_left_out(store, changes):
    store("bad", **changes)
    store("good")
    assert found(store.uri) == ["good"]


def test_studies_that_left_nothing_are_passed_over(store):
    with contextlib.closing(sqlite3.connect(store.uri.removeprefix("sqlite:///"))) as file, file:
        file.execute("INSERT INTO runs VALUES ('old', 'FINISHED', 'active', 1, 1)")
        file.execute("INSERT INTO tags VALUES ('raysearch.role', 'study', 'old')")
    assert found(store.uri) == []


def test_no_store_is_no_studies_and_none_is_made(tmp_path):
    assert found(f"sqlite:///{tmp_path}/new.db") == []
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty.db").touch()
    assert found(f"sqlite:///{tmp_path}/empty.db") == []


def test_a_store_that_cannot_be_read_is_told_without_its_password(tmp_path, monkeypatch):
    (tmp_path / "other.db").write_bytes(b"no database at all, but long enough to look like one" * 40)
    with pytest.raises(TrackingError, match=r"earlier studies cannot be read from sqlite.*other.db"):
        found(f"sqlite:///{tmp_path}/other.db")
    with pytest.raises(TrackingError, match=r"cannot be read") as caught:
        found("postgresql+nodriver://me:secret@nowhere.invalid/db")
    assert "secret" not in str(caught.value)

    def fails(uri, most):
        raise OSError(f"no route to {uri}")

    monkeypatch.setattr("raysearch.tracking.past._rows", fails)
    with pytest.raises(TrackingError, match="no route") as caught:
        found("postgresql://me:secret@nowhere.invalid/db")
    assert "secret" not in str(caught.value)
    monkeypatch.undo()
    with pytest.raises(TrackingError, match="in databases and at servers"):
        found("databricks://profile")


def test_a_store_that_does_not_answer_is_not_waited_for(monkeypatch, store):
    from raysearch.tracking import past as module

    held = threading.Event()
    monkeypatch.setattr(module, "_rows", lambda uri, most: iter(held.wait, True))
    monkeypatch.setattr(module, "_WHOLE_S", 0.05)
    with pytest.raises(TrackingError, match=r"no answer within 0\.05 s"):
        found(store.uri)
    held.set()


class Server(BaseHTTPRequestHandler):
    """A tracking server with three studies on two pages, which wants a login."""

    asked: list[tuple[str, dict]]

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, question, self.headers.get("Authorization")))
        if self.path.endswith("experiments/search"):
            answer = {"experiments": [{"experiment_id": "1"}, {"experiment_id": "7"}]}
        elif "page_token" in question:
            answer = {"runs": [self._run("c", to_text(past("c")))]}
        else:
            runs = [self._run("a", to_text(past("a"))), self._run("b", None), self._run("d", "{")]
            answer = {"runs": runs, "next_page_token": "more"}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def _run(self, name, text):
        tags = [{"key": HISTORY, "value": text}] if text is not None else []
        return {"info": {"run_id": name, "end_time": 5000}, "data": {"tags": tags}}

    def log_message(self, *words):
        pass


@pytest.fixture
def server():
    Server.asked = []
    answering = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=answering.serve_forever, daemon=True).start()
    yield answering
    answering.shutdown()
    answering.server_close()


def test_studies_at_a_server_are_found_page_by_page(server):
    assert found(f"http://me:pass@127.0.0.1:{server.server_port}/ml") == ["a", "c"]
    paths, questions, logins = zip(*Server.asked, strict=True)
    assert set(paths) == {"/ml/api/2.0/mlflow/experiments/search", "/ml/api/2.0/mlflow/runs/search"}
    assert questions[1]["experiment_ids"] == ["1", "7"]
    assert HISTORY in questions[1]["filter"] and "FINISHED" in questions[1]["filter"]
    assert set(logins) == {"Basic bWU6cGFzcw=="}
    Server.asked.clear()
    assert len(PastReader(f"http://127.0.0.1:{server.server_port}", of_server=1).result()) == 1
    assert len(Server.asked) == 2  # the second page is not asked for


def test_a_server_that_refuses_is_told(server, monkeypatch):
    monkeypatch.setattr(Server, "do_POST", lambda self: self.send_error(500, "broken"))
    with pytest.raises(TrackingError, match=r"127.0.0.1.*broken"):
        found(f"http://127.0.0.1:{server.server_port}")
