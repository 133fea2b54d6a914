"""The addresses of a study: knocked at in time, kept without secrets, and asked for again in words."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sqlite3
from pathlib import Path

import pytest

from raysearch.errors import ClusterError, ConfigError, DataError, StudyError, TrackingError
from raysearch.flow import check, list_studies, resume
from raysearch.flow.places import complete, to_keep
from raysearch.study.home import StudyAbout
from raysearch.tracking import check_experiment

SECRET = "hunter2"


def about_of(config, in_memory=False) -> StudyAbout:
    return StudyAbout("0" * 32, "s", 0.0, "0", "d", in_memory, to_keep(config).to_dict(), [])


def kept_of(config):
    """The settings as ``resume`` finds them."""
    return to_keep(config)


@pytest.fixture
def asked(settings):
    """Settings whose every address holds a secret."""
    return settings(
        data__path=f"s3://AK:{SECRET}/x@b/t.csv",
        data__test_path=f"https://h/t.csv?X-Amz-Signature={SECRET}",
        study__ledger=f"postgresql://me:{SECRET}@127.0.0.1:1/db",
        study__home=f"s3://AK:{SECRET}@b/home?region=eu",
        tracking__enabled=True,
        tracking__uri=f"http://me:{SECRET}@tracking.example:5000",
    )


def test_no_secret_is_kept(asked):
    kept = to_keep(asked)
    assert SECRET not in json.dumps(kept.to_dict())
    assert kept.study.home == "s3://AK:***@b/home?region=eu"
    assert kept.data.path == "s3://AK:***@b/t.csv"
    off = asked.replace("tracking", enabled=False)
    assert SECRET not in json.dumps(to_keep(off).to_dict())


def test_addresses_without_secrets_are_kept_as_they_are(settings, tmp_path):
    (tmp_path / "t.csv").write_text("a")
    config = settings(
        data__path="t.csv",
        study__ledger="postgresql+psycopg://me@h/db?sslmode=require",
        tracking__enabled=True,
        tracking__uri="http://tracking.example:5000",
    )
    kept = to_keep(config)
    assert kept.data.path == str(tmp_path / "t.csv")
    assert (kept.study, kept.tracking) == (config.study, config.tracking)
    assert complete(kept, about_of(config)) == kept


def test_what_is_not_kept_is_asked_for_with_the_flag(asked, monkeypatch):
    monkeypatch.delenv("RAYSEARCH_LEDGER", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(StudyError, match=r"study 's': 4 problems") as caught:
        complete(kept_of(asked), about_of(asked))
    for word in ("--data", "--test", "--ledger", "RAYSEARCH_LEDGER", "--tracking-uri", "MLFLOW_TRACKING_URI"):
        assert word in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_record_that_is_off_and_a_table_in_memory_need_no_secret(settings):
    config = settings(tracking__uri=f"http://me:{SECRET}@h", tracking__enabled=False)
    kept = kept_of(config)
    assert complete(kept, about_of(config, in_memory=True)) == kept


def test_the_environment_gives_the_secrets_again(settings, tmp_path, monkeypatch):
    ledger = f"sqlite:///{tmp_path}/l.db?key={SECRET}"
    config = settings(
        study__ledger=ledger, tracking__enabled=True, tracking__uri=f"http://me:{SECRET}@tracking.example"
    )
    monkeypatch.setattr("raysearch.flow.places.check_database", lambda address: None)
    monkeypatch.setattr("raysearch.flow.places.holds_study", lambda address, name: name == "s-00000000")
    monkeypatch.setenv("RAYSEARCH_LEDGER", ledger)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:other@tracking.example")
    done = complete(kept_of(config), about_of(config, in_memory=True))
    assert done.study.ledger == ledger
    assert done.tracking.uri == "http://me:other@tracking.example"


@pytest.mark.usefixtures("no_report")
def test_a_study_with_a_secret_ledger_goes_on(study, table, tmp_path, monkeypatch):
    ledger = f"sqlite:///{tmp_path}/trials.db?cache_key={SECRET}"
    study(table, study__ledger=ledger)
    kept = [path for path in Path("studies/s").rglob("*") if path.is_file()]
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]
    with pytest.raises(StudyError, match=r"its ledger.*--ledger ADDRESS or RAYSEARCH_LEDGER"):
        resume("s")
    more = {"search": {"trials": 3}, "study": {"ledger": ledger}}
    assert sum(resume("s", overrides=more).result.trials.values()) == 3
    monkeypatch.setenv("RAYSEARCH_LEDGER", ledger)
    done = resume("s", overrides={"search": {"trials": 4}})
    assert sum(done.result.trials.values()) == 4
    assert [row.trials for row in list_studies()] == [4]
    assert SECRET not in Path("studies/s/study.json").read_text()


@pytest.mark.usefixtures("no_report")
def test_another_ledger_is_refused_on_resume(study, table, tmp_path, monkeypatch):
    study(table)
    elsewhere = {"study": {"ledger": f"sqlite:///{tmp_path}/other.db"}}
    with pytest.raises(StudyError, match="in a file of its own"):
        resume("s", overrides=elsewhere)
    monkeypatch.setenv("RAYSEARCH_LEDGER", "nonsense")  # is about new studies
    assert resume("s").result.trials["finished"] >= 1
    study(table, study__name="t", study__ledger=f"sqlite:///{tmp_path}/trials.db")
    with pytest.raises(StudyError, match=r"its trials are not at sqlite.*other\.db"):
        resume("t", overrides=elsewhere)
    assert not (tmp_path / "other.db").exists()


@pytest.mark.usefixtures("no_report")
def test_the_environment_names_the_ledger_of_a_new_study(study, table, tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSEARCH_LEDGER", f"sqlite:///{tmp_path}/env.db")
    study(table)
    assert (tmp_path / "env.db").is_file()
    assert not Path("studies/s/ledger.log").exists()


def test_a_home_at_an_address_may_have_its_ledger_in_the_environment(settings, monkeypatch):
    monkeypatch.delenv("RAYSEARCH_LEDGER", raising=False)
    with pytest.raises(ConfigError, match="RAYSEARCH_LEDGER") as caught:
        settings(study__home=f"s3://AK:{SECRET}@b/x")
    assert SECRET not in str(caught.value)
    monkeypatch.setenv("RAYSEARCH_LEDGER", "postgresql://h/db")
    assert settings(study__home="s3://b/x").study.home == "s3://b/x"


@pytest.mark.parametrize("how", ["check", "tune"])
@pytest.mark.parametrize(
    ("ledger", "words"),
    [
        ("nonsense", "sqlite:////path/trials.db"),
        (f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/db", "127.0.0.1"),
        (f"nosuch://me:{SECRET}@h/db", "nosuch"),
        ("sqlite:////no/such/place/t.db", "/no/such/place"),
    ],
)
def test_a_ledger_that_cannot_be_reached_is_refused_before_the_table_is_read(
    settings, study, ledger, words, how, monkeypatch
):
    module = importlib.import_module(f"raysearch.flow.{how}")
    monkeypatch.setattr(module, "prepare", lambda *given: pytest.fail("the table was read"))
    with pytest.raises(StudyError, match=r"^ledger: ") as caught:
        if how == "check":
            check(settings(study__ledger=ledger))
        else:
            study(None, study__ledger=ledger)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)
    assert not Path("studies").exists()


@pytest.mark.parametrize(
    ("ledger", "store"),
    [
        ("sqlite:///mlflow.db", None),
        ("sqlite+pysqlite:///there/../both.db?timeout=3", "sqlite:///both.db"),
        ("postgresql+psycopg://me@127.0.0.1:1/db", "postgresql://127.0.0.1:1/db"),
    ],
)
def test_one_database_for_ledger_and_record_is_refused_before_anything_is_made(
    settings, table, tmp_path, ledger, store, monkeypatch
):
    monkeypatch.setattr("raysearch.flow.places.check_database", lambda address: None)
    config = settings(study__ledger=ledger, tracking__enabled=True, tracking__uri=store)
    with pytest.raises(StudyError, match=r"is MLflow's store too; give the ledger a database of its own"):
        check(config, table)
    assert not list(tmp_path.glob("*.db"))


def test_a_study_with_a_secret_ledger_that_has_not_begun_goes_on(settings, tmp_path):
    config = settings(study__ledger=f"sqlite:///{tmp_path}/l.db?key={SECRET}")
    kept = about_of(kept_of(config), in_memory=True)
    assert complete(config, kept).study.ledger == config.study.ledger


def test_a_file_that_is_no_database_is_refused_and_a_new_one_is_not_made(settings, table, tmp_path):
    (tmp_path / "words.db").write_text("These are words, and not a database. " * 20)
    with pytest.raises(StudyError, match="not a database"):
        check(settings(study__ledger="sqlite:///words.db"), table)
    check(settings(study__ledger="sqlite:///new.db"), table)
    assert not (tmp_path / "new.db").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_database_file_that_cannot_be_written_is_refused(settings, table, tmp_path):
    sqlite3.connect(tmp_path / "l.db").close()
    (tmp_path / "l.db").chmod(0o400)
    with pytest.raises(StudyError, match="cannot be written"):
        check(settings(study__ledger="sqlite:///l.db"), table)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ({"tracking__enabled": True, "tracking__uri": "http://[::1"}, TrackingError),
        ({"tracking__enabled": True, "tracking__uri": f"http://me:{SECRET}/x@h:5000"}, TrackingError),
        ({"compute__engine": "ray", "compute__address": "a..b:6379"}, ClusterError),
        ({"compute__engine": "ray", "compute__address": "h:²"}, ClusterError),
        ({"data__path": "http://[::1/x.csv"}, DataError),
        ({"data__path": f"s3://AK:{SECRET}/x@b/t.csv"}, DataError),
        ({"study__home": "s3://[::1", "study__ledger": "sqlite:///l.db"}, DataError),
        ({"study__home": f"s3://AK:{SECRET}/x@b", "study__ledger": "sqlite:///l.db"}, DataError),
    ],
)
def test_an_address_that_cannot_be_taken_apart_is_refused_in_words(settings, words, kind):
    with pytest.raises(kind) as caught:
        check(settings(**words))
    assert SECRET not in str(caught.value)


def test_a_table_that_its_server_refuses_is_not_told_to_be_missing(settings, server, monkeypatch):
    server.handler.status = 403
    address = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(DataError, match="no permission to read") as caught:
        check(settings(data__path=f"{address}/t.csv?sig={SECRET}"))
    assert SECRET not in str(caught.value)
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DataError, match=r"no permission to read s3://bucket/t\.csv"):
        check(settings(data__path="s3://bucket/t.csv"))


def test_a_deleted_experiment_at_a_server_is_refused(server):
    server.handler.status = 403
    uri = f"http://me:{SECRET}@127.0.0.1:{server.server_port}"
    check_experiment(uri, "raysearch")  # what the server does not tell is no refusal
    server.handler.status = 200
    told = {"experiment_id": "7", "name": "raysearch", "lifecycle_stage": "deleted"}
    server.handler.content = json.dumps({"experiment": told}).encode()
    with pytest.raises(TrackingError, match=r"'raysearch'.*was deleted") as caught:
        check_experiment(uri, "raysearch")
    assert SECRET not in str(caught.value)
    server.handler.content = json.dumps({"experiment": {**told, "lifecycle_stage": "active"}}).encode()
    check_experiment(uri, "raysearch")


def test_a_deleted_experiment_is_refused_by_check(settings, table, tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "m.db")) as file:
        file.execute("create table alembic_version (version_num)")
        file.execute("create table experiments (experiment_id, name, lifecycle_stage, artifact_location)")
        file.execute(
            "insert into experiments values (3, 'gone', 'deleted', '/x'), (4, 'here', 'active', '/x')"
        )
        file.commit()
    words = {"tracking__enabled": True, "tracking__uri": f"sqlite:///{tmp_path}/m.db"}
    with pytest.raises(TrackingError, match=r"'gone'.*was deleted.*--experiment-id 3"):
        check(settings(**words, tracking__experiment="gone"), table)
    for name in ("here", "new"):
        check(settings(**words, tracking__experiment=name), table)
