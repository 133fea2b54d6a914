"""A ledger's database: looked at without a trace, opened by many at once, refused before anything is made."""

from __future__ import annotations

import contextlib
import gc
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import IntegrityError, OperationalError

from raysearch.errors import NoTrialsError, StudyError
from raysearch.study import database as module
from raysearch.study.database import check_database, open_to_read, open_to_write
from raysearch.study.reading import LedgerReader
from raysearch.study.storage import holds_study, open_storage_to_read

JOURNAL = Path("no-ledger.log")


@pytest.fixture
def database(tmp_path):
    return f"sqlite:///{tmp_path}/trials.db"


def wrapped(error):
    told = StorageInternalError("as Optuna tells some")
    told.__cause__ = error
    return told


def with_study(database, name="s"):
    study = optuna.create_study(storage=open_to_write(database), study_name=name)
    study.add_trial(optuna.trial.create_trial(value=1.0))


@pytest.mark.parametrize("opened", [open_to_write, open_to_read, check_database])
@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg2://me:s3cr%40et@127.0.0.1:1/db?password=s3cr@et",
        "mysql://me:s3cr%40et@127.0.0.1:1/db",
        "nosuch://me:s3cr%40et@host/db",
        "s3cr@et.db",
        "://",
        "",
    ],
)
def test_what_cannot_be_opened_is_told_without_passwords(address, opened):
    with pytest.raises(StudyError, match=r"^ledger: ") as caught:
        opened(address)
    told = str(caught.value)
    assert "cr%40et" not in told
    assert "cr@et" not in told
    assert "\n" not in told


def test_a_driver_that_is_not_installed_is_named():
    with pytest.raises(StudyError, match=r"is not installed \(\w+\)"):
        open_to_write("mysql://me@127.0.0.1:1/db")


def test_looking_makes_no_file(tmp_path, database):
    check_database(database)
    assert open_to_read(database) is None
    with pytest.raises(NoTrialsError, match=r"'s' is not there: nothing is at sqlite:////.*trials\.db"):
        LedgerReader(JOURNAL, database, "s")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x.db?uri=true"])
def test_what_no_other_process_could_read_is_refused(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=r"a ledger is a file: sqlite:////path/trials\.db"):
        check_database(address)
    assert not list(tmp_path.iterdir())


def test_a_directory_is_no_ledger(tmp_path):
    with pytest.raises(StudyError, match="is not a file"):
        check_database(f"sqlite:///{tmp_path}")


def test_a_relative_address_is_read_where_one_stands(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        with_study("sqlite:///trials.db", name)
    for name in ("a", "b"):
        monkeypatch.chdir(tmp_path / name)
        assert holds_study("sqlite:///trials.db", name)


def test_the_store_of_mlflow_is_no_ledger_and_stays_as_it_is(tmp_path):
    store = f"sqlite:///{tmp_path}/mlflow.db"
    mlflow.MlflowClient(tracking_uri=store).search_experiments()
    before = tables_of(tmp_path / "mlflow.db")
    for opened in (check_database, open_to_read, open_to_write):
        with pytest.raises(
            StudyError, match=r"another program's tables, such as MLflow's; give the ledger a"
        ):
            opened(store)
    assert tables_of(tmp_path / "mlflow.db") == before
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as other:
        other.execute("create table studies (study_id integer)")  # as an earlier try left it
    with pytest.raises(StudyError, match="another program's tables"):
        check_database(store)


def tables_of(file):
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return sorted(connection.execute("select name from sqlite_master"))


def test_a_schema_of_another_version_is_refused_before_anything_is_made(tmp_path, database):
    with_study(database)
    with contextlib.closing(sqlite3.connect(tmp_path / "trials.db")) as other:
        other.execute("update alembic_version set version_num = 'v99.0.0'")
        other.commit()
    with pytest.raises(StudyError, match=r"^ledger: cannot open .* no longer compatible"):
        check_database(database)


def test_a_new_one_that_many_open_at_once_is_opened_by_all(tmp_path, database):
    open_to_write(f"sqlite:///{tmp_path}/before.db")  # SQLAlchemy is not imported by threads at once
    ready = threading.Barrier(4)

    def opened(_):
        ready.wait()
        return open_to_write(database).get_all_studies()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(opened, range(4))) == [[]] * 4


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("CREATE TABLE", {}, Exception("table studies already exists")),
        OperationalError("CREATE TABLE", {}, Exception("database is locked")),
        IntegrityError("INSERT", {}, Exception("duplicate key")),
        wrapped(OperationalError("INSERT", {}, Exception("database is locked"))),
    ],
)
def test_one_whose_tables_another_makes_is_opened_again(database, monkeypatch, error):
    errors = [error, error]

    def opened(*words, **settings):
        if errors:
            raise errors.pop()
        return RDBStorage(*words, **settings)

    monkeypatch.setattr(module, "RDBStorage", opened)
    monkeypatch.setattr(module, "_LOOK_S", 0.0)
    assert open_to_write(database).get_all_studies() == []
    assert errors == []


def test_one_that_stays_locked_is_told(database, monkeypatch):
    def opened(*words, **settings):
        raise OperationalError("CREATE TABLE", {}, Exception("database is locked"))

    monkeypatch.setattr(module, "RDBStorage", opened)
    monkeypatch.setattr(module, "_MADE_WITHIN_S", 0.1)
    with pytest.raises(StudyError, match="database is locked"):
        open_to_write(database)


def test_reading_one_that_is_being_made_writes_nothing_there(tmp_path, database):
    open_to_write(database)
    with contextlib.closing(sqlite3.connect(tmp_path / "trials.db")) as maker:
        for table in ("alembic_version", "version_info"):  # the last that Optuna writes
            maker.execute(f"delete from {table}")
        maker.commit()
        assert open_to_read(database) is None
        assert maker.execute("select count(*) from version_info").fetchone() == (0,)


def test_reading_again_and_again_leaves_no_connection(database):
    with_study(database)

    def connections() -> int:
        found = 0
        for file in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):  # another thread has closed it
                found += file.readlink().name == "trials.db"
        return found

    gc.collect()
    gc.disable()
    try:
        before = connections()
        for _ in range(3):
            assert len(LedgerReader(JOURNAL, database, "s")._study.trials) == 1
            assert holds_study(database, "s")
        assert connections() == before
    finally:
        gc.enable()


def test_a_file_in_place_of_another_is_read(tmp_path, database):
    with_study(database, "first")
    assert holds_study(database, "first")
    with_study(f"sqlite:///{tmp_path}/other.db", "second")
    (tmp_path / "other.db").rename(tmp_path / "trials.db")
    assert holds_study(database, "second")
    assert not holds_study(database, "first")


def test_what_fails_while_it_is_read_is_told_as_that(tmp_path, database):
    with_study(database)
    with contextlib.closing(sqlite3.connect(tmp_path / "trials.db")) as other:
        other.execute("drop table trials")
        other.execute("alter table studies rename column study_name to name")
        other.commit()
    with pytest.raises(StudyError, match=r"^ledger: it cannot be read: .*no such column"):
        holds_study(database, "s")
    with pytest.raises(StudyError, match=r"^ledger: it cannot be read: .*no such column"):
        LedgerReader(JOURNAL, database, "s")


def test_braces_in_an_address_are_themselves(tmp_path):
    (tmp_path / "a{b}c").mkdir()
    database = f"sqlite:///{tmp_path}/a{{b}}c/trials.db"
    with_study(database)
    assert holds_study(database, "s")
    assert (tmp_path / "a{b}c" / "trials.db").is_file()


def test_a_secret_that_is_not_kept_comes_from_the_environment(database, monkeypatch):
    with_study(database)
    kept = "postgresql://me:***@host/db"
    monkeypatch.delenv("RAYSEARCH_LEDGER", raising=False)
    with pytest.raises(StudyError, match="lacks a secret; set RAYSEARCH_LEDGER"):
        open_storage_to_read(JOURNAL, kept)
    monkeypatch.setenv("RAYSEARCH_LEDGER", database)
    assert len(open_storage_to_read(JOURNAL, kept).get_all_studies()) == 1
