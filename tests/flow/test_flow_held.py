"""A new study that another process takes before it has begun is that one's: nothing of it is taken away."""

from __future__ import annotations

import fcntl
import importlib
import time
from dataclasses import replace

import optuna
import pytest

from raysearch.errors import StudyError, TakenOverError
from raysearch.flow import opening
from raysearch.study import driver as drivers
from raysearch.study import home, lease
from raysearch.study.driver import Driver, driver_of

pytestmark = pytest.mark.slow
tune = importlib.import_module("raysearch.flow.tune")  # the function has its module's name


def take(study):
    """Let another driver of this machine, which is alive, have a study."""
    other = Driver("other", "there", drivers.seen_from(), drivers.process_of(1), time.time())
    study._storage.set_study_user_attr(study._study_id, drivers.DRIVER_ATTRIBUTE, vars(other))


@pytest.fixture
def words(tmp_path):
    return {"study__home": f"file://{tmp_path}/there", "study__ledger": f"sqlite:///{tmp_path}/trials.db"}


def check_left(tmp_path, words):
    assert (tmp_path / "there" / "s" / "study.json").is_file()
    (name,) = optuna.get_all_study_names(words["study__ledger"])
    found = driver_of(optuna.load_study(study_name=name, storage=words["study__ledger"]))
    assert replace(found, beat_s=0.0) == Driver("other", "there", drivers.seen_from(), drivers.process_of(1))


def test_before_it_is_held(study, table, tmp_path, words, monkeypatch):
    made = opening.study_in

    def taken(*args):
        found = made(*args)
        take(found)
        return found

    monkeypatch.setattr(opening, "study_in", taken)
    with pytest.raises(TakenOverError, match=r"is being run by another process \(there, process 1\)"):
        study(table, **words)
    check_left(tmp_path, words)


def test_before_its_record_begins(study, table, tmp_path, words, monkeypatch):
    begun = tune.learnt_ahead

    def taken(job, conductor, ledger):
        take(ledger.study)
        monkeypatch.setattr(lease, "_UNASKED_S", -1.0)
        return begun(job, conductor, ledger)

    monkeypatch.setattr(tune, "learnt_ahead", taken)
    with pytest.raises(TakenOverError, match="has been taken over by another process"):
        study(table, **words)
    check_left(tmp_path, words)


def test_while_it_searches(study, table, tmp_path, words, monkeypatch):
    closed = []
    search = tune.search

    def taken(job, conductor, ledger, *more):
        search(job, conductor, ledger, *more)
        (tmp_path / "there" / "s" / "study.json").write_text("another's")
        take(ledger.study)
        monkeypatch.setattr(lease, "_UNASKED_S", -1.0)

    monkeypatch.setattr(tune, "search", taken)
    monkeypatch.setattr(tune, "close_study", lambda *args: closed.append(args))
    with pytest.raises(TakenOverError, match="has been taken over by another process"):
        study(table, **words)
    assert closed == []
    assert (tmp_path / "there" / "s" / "study.json").read_text() == "another's"


def test_where_another_has_run_it_and_left_meanwhile(study, table, tmp_path, words, monkeypatch):
    made = opening.study_in

    def run_by_another(*args):
        found = made(*args)
        found.add_trial(optuna.trial.create_trial(value=1.0))
        (tmp_path / "there" / "s" / "study.json").write_text("another's")
        return found

    monkeypatch.setattr(opening, "study_in", run_by_another)
    with pytest.raises(StudyError, match="another process has just changed it"):
        study(table, **words)
    (name,) = optuna.get_all_study_names(words["study__ledger"])
    assert len(optuna.load_study(study_name=name, storage=words["study__ledger"]).trials) == 1
    assert (tmp_path / "there" / "s" / "study.json").read_text() == "another's"


def test_where_another_has_run_it_and_its_ledger_cannot_be_read_now(
    study, table, tmp_path, words, monkeypatch
):
    made = opening.study_in

    def cut_off(*args):
        made(*args)
        (tmp_path / "there" / "s" / "study.json").write_text("another's")
        (tmp_path / "trials.db").write_bytes(b"away for a moment" * 99)
        raise StudyError("the database does not answer")

    monkeypatch.setattr(opening, "study_in", cut_off)
    with pytest.raises(StudyError, match="the database does not answer"):
        study(table, **words)
    assert (tmp_path / "there" / "s" / "study.json").read_text() == "another's"


def test_in_a_directory_whose_lock_another_has(study, table, tmp_path, monkeypatch):
    made = home.Home.create
    locks = []

    def taken(self, *args, **more):
        about = made(self, *args, **more)
        locks.append(self.paths(about.name).lock.open("w"))
        fcntl.flock(locks[0], fcntl.LOCK_EX)
        return about

    monkeypatch.setattr(home.Home, "create", taken)
    with pytest.raises(StudyError, match="is being run by another process"):
        study(table, study__home=str(tmp_path / "here"))
    assert (tmp_path / "here" / "s" / "study.json").is_file()
    locks[0].close()


def test_its_files_are_kept_where_the_record_is_not_waited_for(study, table, tmp_path, words, monkeypatch):
    made = tune.open_tracker

    def opened(*words):
        def impatient():
            raise KeyboardInterrupt

        tracker = made(*words)
        monkeypatch.setattr(tracker, "close", impatient)
        return tracker

    monkeypatch.setattr(tune, "open_tracker", opened)
    with pytest.raises(KeyboardInterrupt):
        study(table, **words)
    assert (tmp_path / "there" / "s" / "result.json").is_file()
    assert (tmp_path / "there" / "s" / "model").is_dir()
