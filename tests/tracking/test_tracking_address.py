"""The tracking address, and the question whether somebody is there."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from pathlib import Path

import pytest

from raysearch.config import TrackingConfig
from raysearch.errors import TrackingError
from raysearch.tracking import check_reachable, resolve_uri, ui_command


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_the_address_is_the_setting_then_the_environment_then_a_local_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert resolve_uri(TrackingConfig(True, "sqlite:///sub/../own.db", "e")) == f"sqlite:///{tmp_path}/own.db"
    assert resolve_uri(TrackingConfig(True, None, "e")) == "http://tracking:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert resolve_uri(TrackingConfig(True, None, "e")) == f"sqlite:///{tmp_path}/mlflow.db"
    assert resolve_uri(TrackingConfig(False, "http://tracking:5000", "e")) is None


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("file:///tmp/mlruns", "sqlite:////tmp/mlflow.db"),
        ("./mlruns", "migrate-filestore"),
        ("localhost:5000", "http://localhost:5000"),
        ("mlflow.db", "sqlite:///mlflow.db"),
        ("postgres://me:secret@host/db", "postgresql://"),
        ("sqlite://", "sqlite:///FILE"),
        ("sqlite:///:memory:", "name a file"),
        ("ftp://host", "http"),
        ("http://", "names no host"),
        ("http://127.0.0.1:123456", "range"),
        ("sqlite:////not/there/mlflow.db", "no directory /not/there"),
    ],
)
def test_addresses_that_cannot_work_are_refused_with_the_fix(uri, words):
    with pytest.raises(TrackingError) as caught:
        check_reachable(uri)
    assert words in str(caught.value)
    assert "--no-tracking" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid", "10.255.255.1"])
def test_nobody_there_is_told_within_five_seconds(host):
    uri = f"http://{host}:{free_port()}"
    started = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        check_reachable(uri)
    assert time.monotonic() - started < 5
    assert uri in str(caught.value)
    assert "--no-tracking" in str(caught.value)


@pytest.mark.slow
def test_a_listener_that_never_answers_is_told_within_five_seconds():
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        started = time.monotonic()
        with pytest.raises(TrackingError, match="no-tracking"):
            check_reachable(f"http://127.0.0.1:{mute.getsockname()[1]}")
        assert time.monotonic() - started < 5


def test_a_web_server_that_is_not_mlflow_is_refused(server):
    uri = f"http://me:secret@127.0.0.1:{server.server_port}"
    check_reachable(uri)
    server.handler.status = 404
    with pytest.raises(TrackingError, match="not an MLflow tracking server") as caught:
        check_reachable(uri)
    assert "secret" not in str(caught.value)


def test_a_database_server_that_is_not_there_is_told():
    with pytest.raises(TrackingError, match="--no-tracking"):
        check_reachable(f"postgresql+psycopg2://me:secret@127.0.0.1:{free_port()}/db")


def test_files_that_are_no_store_are_refused(tmp_path):
    (tmp_path / "words.db").write_text(
        "These are words, and more than a hundred of them are needed here." * 20
    )
    (tmp_path / "empty.db").touch()
    (tmp_path / "folder.db").mkdir()
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE customers (name TEXT)")
    other.close()
    check_reachable(f"sqlite:///{tmp_path}/new.db")
    check_reachable(f"sqlite:///{tmp_path}/empty.db")
    for name, words in (("words", "not a SQLite"), ("folder", "not a file"), ("other", "something other")):
        with pytest.raises(TrackingError, match=words):
            check_reachable(f"sqlite:///{tmp_path}/{name}.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "empty.db",
        "folder.db",
        "other.db",
        "words.db",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written_to_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(TrackingError, match="cannot be written to"):
        check_reachable(f"sqlite:///{tmp_path}/mlflow.db")


def test_the_ui_is_opened_on_the_store(tmp_path: Path):
    command = ui_command(f"sqlite:///{tmp_path}/mlflow.db", "127.0.0.1", 5005)
    words = " ".join(command)
    assert f"--backend-store-uri sqlite:///{tmp_path}/mlflow.db" in words
    assert "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false" in words
    assert "--host 127.0.0.1 --port 5005 --workers 1" in words
    assert ui_command("https://tracking/mlflow", "127.0.0.1", 5005)[1:] == [
        "-m",
        "webbrowser",
        "https://tracking/mlflow",
    ]
