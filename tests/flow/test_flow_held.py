"""A new study that another process takes before it has begun is that one's: nothing of it is taken away."""

from __future__ import annotations

import importlib
import time
from dataclasses import replace

import optuna
import pytest

from raysearch.errors import TakenOverError
from raysearch.flow import opening
from raysearch.study import lease
from raysearch.study.lease import Driver, driver_of

pytestmark = pytest.mark.slow
tune = importlib.import_module("raysearch.flow.tune")  # the function has its module's name


def take(study):
    """Let another driver of this machine, which is alive, have a study."""
    other = Driver("other", "there", lease._seen_from(), lease._process(1), time.time())
    study._storage.set_study_user_attr(study._study_id, lease._ATTRIBUTE, vars(other))


@pytest.fixture
def words(tmp_path):
    return {"study__home": f"file://{tmp_path}/there", "study__ledger": f"sqlite:///{tmp_path}/trials.db"}


def check_left(tmp_path, words):
    assert (tmp_path / "there" / "s" / "study.json").is_file()
    (name,) = optuna.get_all_study_names(words["study__ledger"])
    found = driver_of(optuna.load_study(study_name=name, storage=words["study__ledger"]))
    assert replace(found, beat_s=0.0) == Driver("other", "there", lease._seen_from(), lease._process(1))


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
