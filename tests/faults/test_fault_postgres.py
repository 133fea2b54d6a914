"""A team's record: the production server on PostgreSQL, which is restarted in the midst of a study."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from fault_rig import Study, free_port, make_table, wait_until
from postgres import PASSWORD, Postgres, binaries
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from raysearch.errors import TakenOverError
from raysearch.study import driver as drivers
from raysearch.study import lease
from raysearch.study.ledger import study_in
from raysearch.study.reading import LedgerReader
from raysearch.study.storage import holds_study, open_storage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(binaries() is None, reason="needs Debian's package: apt-get install -y postgresql"),
    pytest.mark.skipif(
        importlib.util.find_spec("flask_wtf") is None or importlib.util.find_spec("psycopg") is None,
        reason="needs pip install 'raysearch[server]'",
    ),
]
ADMIN = "admin-s3cret-word"


@pytest.fixture
def postgres(tmp_path):
    made = Postgres(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def server(tmp_path, postgres, monkeypatch):
    """The production server's address; MLflow's variables have the admin's name and password."""
    postgres.create("mlflow")
    port = free_port()
    secrets = {"MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN, "MLFLOW_FLASK_SERVER_SECRET_KEY": "k" * 32}
    store = {"MLFLOW_TRACKING_URI": postgres.uri("mlflow")}
    words = ["ui", "--production", "--port", str(port), "--folder", str(tmp_path / "server")]
    process = subprocess.Popen(
        [sys.executable, "-m", "raysearch", *words],
        cwd=tmp_path,
        env={**os.environ, **secrets, **store},
        stdout=(tmp_path / "server.log").open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    uri = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN)

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "server.log").read_text()
        try:
            return urllib.request.urlopen(f"{uri}/health", timeout=2).status == 200
        except OSError:
            return False

    wait_until(answers, "the production server answers")
    yield uri
    process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def asked(uri: str, host: str | None = None) -> int:
    """Return the status that a question without a password has."""
    question = urllib.request.Request(f"{uri}/api/2.0/mlflow/experiments/search?max_results=5")
    if host:
        question.add_header("Host", host)
    try:
        return urllib.request.urlopen(question, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_study_outlives_a_restart_of_postgresql_behind_its_record(tmp_path, postgres, server):
    assert asked(server) == 401
    assert asked(server, "evil.example") == 403
    study = Study(tmp_path, make_table(tmp_path), server, 120)
    driver = study.start()
    study.wait_for(10, driver)
    postgres.stop()
    study.wait_for(len(study.ended()) + 10, driver)  # the search goes on
    postgres.start()
    _, errors = driver.communicate(timeout=900)
    assert driver.returncode == 0, errors
    assert "is not complete" not in errors
    study.check_trials()
    study.check_record("FINISHED")
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        if "pg" not in path.relative_to(tmp_path).parts[0]:
            content = path.read_bytes()
            assert ADMIN.encode() not in content, path
            assert PASSWORD.encode() not in content, path


def test_a_ledger_that_goes_away_ends_the_study_in_words_and_nothing_is_lost(tmp_path, postgres, monkeypatch):
    postgres.create("trials")
    monkeypatch.setenv("RAYSEARCH_LEDGER", postgres.uri("trials"))
    study = Study(tmp_path, make_table(tmp_path), f"sqlite:///{tmp_path}/mlflow.db", 40)
    study = replace(study, ledger=postgres.uri("trials"))
    driver = study.start()
    study.wait_for(8, driver)
    postgres.stop()
    began = time.monotonic()
    _, errors = driver.communicate(timeout=300)
    assert time.monotonic() - began < 60
    assert driver.returncode == 1
    assert "ledger" in errors and PASSWORD not in errors
    postgres.start()
    before = {result.key for result in study.ended()}
    assert len(before) >= 8
    driver = study.start()
    _, errors = driver.communicate(timeout=900)
    assert driver.returncode == 0, errors
    assert before <= {result.key for result in study.ended()}
    study.check_trials()
    study.check_record("FINISHED")


def test_a_new_database_is_opened_by_all_who_begin_at_once_and_read_through_few_connections(
    postgres, tmp_path
):
    postgres.create("trials")
    open_storage(tmp_path, f"sqlite:///{tmp_path}/before.db")  # SQLAlchemy is not imported by threads at once
    uri, ready = postgres.uri("trials"), threading.Barrier(4)

    def opened(number: int) -> str:
        ready.wait()
        return study_in(open_storage(tmp_path, uri), f"s{number}", 1).study_name

    with ThreadPoolExecutor(4) as threads:
        names = list(threads.map(opened, range(4)))
    for _ in range(40):
        assert all(holds_study(uri, name) for name in names)
        LedgerReader(tmp_path / "none", uri, names[0]).results()

    def few() -> bool:
        asked = "select count(*) from pg_stat_activity where datname = 'trials'"
        with create_engine(uri, poolclass=NullPool).connect() as connection:
            return connection.scalar(text(asked)) <= 12  # two of each that writes or reads, and this one

    wait_until(few, "few connections are left")  # the server ends them after the client


def test_of_two_drivers_of_one_study_in_postgresql_one_goes_on(postgres, tmp_path, monkeypatch):
    """Nothing is there yet, both write who they are at once; then one is frozen and the other takes over."""
    for name, seconds in (("_BEAT_S", 0.2), ("_UNASKED_S", 1.0), ("_LOOK_S", 0.1)):
        monkeypatch.setattr(lease, name, seconds)
    monkeypatch.setattr(drivers, "DEAD_AFTER_S", 2.0)
    postgres.create("trials")
    uri = postgres.uri("trials")
    studies = [study_in(open_storage(tmp_path, uri), "s", 1) for _ in range(2)]
    leases = [lease.Lease(study, "s") for study in studies]
    ready, refused = threading.Barrier(2), []

    def enter(one):
        ready.wait()
        try:
            one.__enter__()
        except TakenOverError as error:
            refused.append((one, error))

    threads = [threading.Thread(target=enter, args=(one,)) for one in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((lost, error),) = refused
    assert "is being run by another process" in str(error)
    (held,) = (one for one in leases if one is not lost)
    held.check()

    held._ends.set()  # frozen: it says nothing more, also nothing that it had begun
    held._thread.join()
    held._ends.clear()
    monkeypatch.setattr(drivers, "seen_from", lambda: "another machine")
    found = drivers.driver_of(held._study)
    with lease.Lease(lost._study, "s") as successor:
        assert not held._swap(found, replace(found, beat_s=time.time()))  # what it had begun to write
        monkeypatch.undo()
        with pytest.raises(TakenOverError, match="has been taken over"):
            held.confirm()
        successor.confirm()
    held.__exit__()
    assert drivers.driver_of(held._study) is None
