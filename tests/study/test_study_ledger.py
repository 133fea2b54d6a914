"""The ledger: every trial is written down, Optuna's tools can read it, and nothing is lost by a kill."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from study_made_up import both_spaces, open_ledger, rung, small_space

from raysearch.errors import StudyError, TakenOverError
from raysearch.models import TUNABLE
from raysearch.records import TrialResult
from raysearch.study.ledger import Ledger
from raysearch.study.reading import LedgerReader
from raysearch.study.storage import open_storage, open_storage_to_read


@pytest.fixture(params=["journal", "sqlite"])
def database(request, tmp_path):
    return None if request.param == "journal" else f"sqlite:///{tmp_path}/trials.db"


def accept(ledger, space):
    trial = ledger.ask()
    return ledger.accept(trial, space.suggest(trial))


def result_of(ledger, proposal, state, score=None, history=(), reason="", ended_s=None):
    return TrialResult(
        proposal.number,
        proposal.key,
        proposal.model,
        proposal.params,
        proposal.fit_params,
        state,
        score,
        history[-1].step if history else 0,
        history[-1].metrics if history and state != "failed" else {},
        tuple(history),
        ledger.started_s(proposal.number),
        time.time() if ended_s is None else ended_s,
        reason,
        proposal.default,
    )


def end(ledger, proposal, state, *history, reason=""):
    for one in history:
        ledger.report(proposal.number, one)
    score = None if state == "failed" else history[-1].score
    ledger.tell(result_of(ledger, proposal, state, score, history, reason))


def optunas_view(tmp_path, database):
    backend = JournalStorage(JournalFileBackend(str(tmp_path / "ledger.log")))
    storage = RDBStorage(database) if database else backend
    return optuna.load_study(study_name="made-up", storage=storage).trials


def test_the_librarys_defaults_are_the_first_trial(tmp_path):
    space = small_space()
    ledger = open_ledger(tmp_path, space)
    first, second = accept(ledger, space), accept(ledger, space)
    assert first.number == 0
    assert first.default
    assert first.fit_params["learning_rate"] == TUNABLE["lightgbm"].defaults["learning_rate"]
    assert not second.default


def test_both_libraries_defaults_are_the_first_trials(tmp_path):
    space = both_spaces()
    ledger = open_ledger(tmp_path, space)
    proposals = [accept(ledger, space) for _ in range(4)]
    assert [p.model for p in proposals[:2]] == ["lightgbm", "xgboost"]
    assert [p.default for p in proposals] == [True, True, False, False]
    assert proposals[1].fit_params["max_depth"] == 6


def test_what_waits_is_told_in_order_and_as_it_will_run(tmp_path, database):
    space = small_space(lambda_l1={"type": "float", "low": 1e-8, "high": 10.0, "log": True})
    ledger = open_ledger(tmp_path, space, database=database)
    ledger.study.enqueue_trial({"num_leaves": 5})  # the sampler has the rest to say
    begin = {"num_leaves": 4, "learning_rate": 0.1, "num_boost_round": 20, "lambda_l1": 1.0}
    ledger.study.enqueue_trial(begin)
    told = ledger.waiting()
    assert [model for model, _ in told] == ["lightgbm"] * 3
    assert told[0][1]["lambda_l1"] == 0.0, "the library's default, which lies outside of the space"
    assert [params["num_leaves"] for _, params in told] == [31, 5, 4]
    assert dict(told[2][1]) == begin
    run = [accept(ledger, space) for _ in range(3)]
    assert dict(run[2].fit_params) == begin
    assert ledger.waiting() == []
    ledger.give_back(run[1].number)
    assert [dict(params) for _, params in ledger.waiting()] == [dict(run[1].fit_params)]


def test_a_kill_between_the_defaults_of_two_libraries_loses_neither(tmp_path):
    space = both_spaces()
    storage = open_storage(tmp_path / "ledger.log", None)
    study = optuna.create_study(storage=storage, study_name="made-up")
    point = space.default_points()[0]
    about = {"default": True, "fit_params": dict(point.fit_params)}
    study.enqueue_trial(dict(point.params), user_attrs={"raysearch": about})
    ledger = Ledger.open(storage, "made-up", space)
    assert [accept(ledger, space).model for _ in range(2)] == ["lightgbm", "xgboost"]
    again = Ledger.open(storage, "made-up", space)
    # The defaults, and the spaces' own points to begin with.
    assert len(again.study.trials) == 2 + len(space.start_points())
    begun = [accept(again, space).params["model"] for _ in space.start_points()]
    assert begun == [*["lightgbm"] * len(space.spaces[0].start), "xgboost"]


def test_defaults_outside_the_space_run_as_they_are_and_optuna_sees_a_point_inside(tmp_path, database):
    space = small_space(lambda_l1={"type": "float", "low": 1e-8, "high": 10.0, "log": True})
    ledger = open_ledger(tmp_path, space, database=database)
    proposal = accept(ledger, space)
    assert proposal.fit_params["lambda_l1"] == 0.0
    assert proposal.fit_params["num_leaves"] == 31  # the space ends at 8
    end(ledger, proposal, "finished", rung(40, 1.0))
    seen = optunas_view(tmp_path, database)[0]
    assert seen.params["lambda_l1"] == 1e-8
    assert seen.params["num_leaves"] == 8
    assert open_ledger(tmp_path, space, database=database).results[0].fit_params["lambda_l1"] == 0.0


def test_optuna_sees_how_each_trial_really_ended(tmp_path, database):
    space = small_space()
    ledger = open_ledger(tmp_path, space, database=database)
    finished, stopped, failed, _open = [accept(ledger, space) for _ in range(4)]
    end(ledger, finished, "finished", rung(10, 2.0), rung(20, 1.5))
    end(ledger, stopped, "stopped", rung(10, 4.0))
    end(ledger, failed, "failed", rung(10, 3.0), reason="ValueError: no")
    trials = optunas_view(tmp_path, database)
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING]
    assert [trial.state for trial in trials] == states
    assert [trial.values for trial in trials] == [[1.5], [4.0], None, None]
    assert trials[0].intermediate_values == {10: 2.0, 20: 1.5}
    assert trials[1].intermediate_values == {10: 4.0}
    assert trials[1].last_step == 10
    assert trials[2].user_attrs["raysearch"]["reason"] == "ValueError: no"


def test_results_survive_reopening_with_all_fields(tmp_path, database):
    space = both_spaces()
    ledger = open_ledger(tmp_path, space, database=database)
    proposals = [accept(ledger, space) for _ in range(4)]
    end(ledger, proposals[2], "finished", rung(10, 0.1 + 0.2), rung(20, 1 / 3))
    end(ledger, proposals[0], "stopped", rung(10, 4.0))
    end(ledger, proposals[1], "failed", reason="Überlauf: 東京")
    assert open_ledger(tmp_path, space, database=database).results == ledger.results
    assert LedgerReader(tmp_path / "ledger.log", database, "made-up").results() == ledger.results
    with pytest.raises(StudyError, match="'another' has no trials yet"):
        LedgerReader(tmp_path / "ledger.log", database, "another")
    assert [result.number for result in ledger.results] == [2, 0, 1]  # in the order in which they ended


def test_a_released_trial_is_asked_again_with_number_key_and_params(tmp_path, database):
    space = small_space()
    ledger = open_ledger(tmp_path, space, database=database)
    before = [accept(ledger, space) for _ in range(3)]
    ledger.report(before[1].number, rung(10, 2.0))
    assert ledger.release() == tuple(p.key for p in before)
    assert [accept(ledger, space) for _ in range(3)] == before
    ledger.give_back(before[1].number)
    assert accept(ledger, space) == before[1]
    end(ledger, before[1], "finished", rung(10, 2.0), rung(20, 1.0))
    # A killed process releases nothing; who opens the ledger next does.
    storage = open_storage(tmp_path / "ledger.log", database)
    resumed = Ledger.open(storage, "made-up", space)
    assert resumed.release_lost() == (before[0].key, before[2].key)
    assert [accept(resumed, space) for _ in range(2)] == [before[0], before[2]]
    assert all(trial.state != TrialState.WAITING for trial in resumed.study.trials)


def test_after_a_resume_the_sampler_repeats_no_earlier_point(tmp_path, database):
    space = small_space()
    seen = []
    for _ in range(4):  # each session is killed with one trial ended and one open
        ledger = open_ledger(tmp_path, space, database=database)
        ended, _open = accept(ledger, space), accept(ledger, space)
        end(ledger, ended, "finished", rung(4, 1.0))
    ledger = open_ledger(tmp_path, space, database=database)
    seen = [tuple(sorted(trial.params.items())) for trial in ledger.study.trials]
    assert len(set(seen)) == len(seen) == 5


def test_a_kill_before_any_trial_ended_repeats_no_point_either(tmp_path):
    space = small_space()
    ledger = open_ledger(tmp_path, space)
    _default, drawn = accept(ledger, space), accept(ledger, space)
    resumed = open_ledger(tmp_path, space)
    again = [accept(resumed, space) for _ in range(3)]
    assert again[1] == drawn
    assert again[2].params["learning_rate"] != drawn.params["learning_rate"]


def test_the_same_seed_draws_the_same_trials(tmp_path):
    def run(name, seed):
        (tmp_path / name).mkdir()
        space = small_space()
        ledger = open_ledger(tmp_path / name, space, seed)
        drawn = []
        for _ in range(14):  # TPE takes over from chance after ten
            proposal = accept(ledger, space)
            end(ledger, proposal, "finished", rung(4, proposal.fit_params["learning_rate"]))
            drawn.append(dict(proposal.params))
        return drawn

    assert run("a", 1) == run("b", 1) != run("c", 2)


def test_half_a_last_line_is_taken_away_and_nothing_whole_is_lost(tmp_path):
    space = small_space()
    ledger = open_ledger(tmp_path, space)
    end(ledger, accept(ledger, space), "finished", rung(4, 1.0))
    journal = tmp_path / "ledger.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":8,"worker_id":"x","tri')
    Path(f"{journal}.lock").symlink_to(journal)
    Path(f"{journal}.lock1234.rename").symlink_to(journal)
    began = time.monotonic()
    resumed = open_ledger(tmp_path, space)
    end(resumed, accept(resumed, space), "finished", rung(4, 2.0))
    assert time.monotonic() - began < 10  # Optuna would wait 30 s for the lock that nobody holds
    assert journal.read_bytes().startswith(whole)
    assert [json.loads(line) for line in journal.read_text().splitlines()]
    assert [result.score for result in open_ledger(tmp_path, space).results] == [1.0, 2.0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger.log"]


def test_every_cut_of_the_journal_can_be_opened(tmp_path):
    space = small_space()
    ledger = open_ledger(tmp_path, space)
    end(ledger, accept(ledger, space), "finished", rung(2, 2.0), rung(4, 1.0))
    accept(ledger, space)
    content = (tmp_path / "ledger.log").read_bytes()
    for i, length in enumerate(range(0, len(content) + 1, 97)):
        place = tmp_path / f"cut{i}"
        place.mkdir()
        (place / "ledger.log").write_bytes(content[:length])
        resumed = open_ledger(place, space)
        assert accept(resumed, space).number in (0, 1)
        assert len(resumed.results) <= 1


def test_a_journal_that_is_none_is_told(tmp_path):
    (tmp_path / "ledger.log").write_text("not a journal\nat all\n")
    with pytest.raises(StudyError, match=r"ledger.log cannot be read"):
        open_ledger(tmp_path, small_space())
    with pytest.raises(StudyError, match=r"ledger.log cannot be read"):
        open_storage_to_read(tmp_path / "ledger.log", None)


def test_looking_for_a_journal_makes_none(tmp_path):
    assert open_storage_to_read(tmp_path / "ledger.log", None) is None
    assert not list(tmp_path.iterdir())


def test_a_database_that_fails_later_is_told(tmp_path):
    space = small_space()
    database = f"sqlite:///{tmp_path}/trials.db"
    ledger = open_ledger(tmp_path, space, database=database)
    proposal = accept(ledger, space)
    with sqlite3.connect(tmp_path / "trials.db") as connection:
        connection.execute("drop table trial_user_attributes")
        connection.execute("drop table trial_intermediate_values")
    with pytest.raises(StudyError, match="cannot be written down"):
        ledger.report(proposal.number, rung(4, 1.0))
    with pytest.raises(StudyError, match="cannot be written down"):
        ledger.tell(result_of(ledger, proposal, "finished", 1.0, [rung(4, 1.0)]))
    assert ledger.results == ()


def test_a_trial_that_is_opened_when_another_process_has_the_study_is_left_to_that_one(tmp_path):
    space = small_space()
    ledger = open_ledger(tmp_path, space)
    trial = ledger.ask()

    def taken():
        raise TakenOverError("by another process")

    ledger.check = taken
    with pytest.raises(TakenOverError):
        ledger.accept(trial, space.suggest(trial))
    assert ledger.study.trials[trial.number].state == TrialState.WAITING
    other = open_ledger(tmp_path, space)
    assert other.ask().number == trial.number


def test_a_trial_that_another_process_has_taken_is_told_in_words(tmp_path):
    space, database = small_space(), f"sqlite:///{tmp_path}/trials.db"
    ledger = Ledger.open(open_storage(tmp_path, database), "made-up", space)
    proposal = accept(ledger, space)
    Ledger.open(open_storage(tmp_path, database), "made-up", space).release_lost()
    with pytest.raises(StudyError, match="another process has changed it"):
        end(ledger, proposal, "finished", rung(4, 1.0))


def test_a_trial_that_was_cut_is_pruned_to_optuna_and_tried_once_more(tmp_path, database):
    space = small_space()
    ledger = open_ledger(tmp_path, space, database=database)
    end(ledger, accept(ledger, space), "finished", rung(20, 2.0))
    cut = accept(ledger, space)
    ledger.report(cut.number, rung(10, 1.5))
    # The best rounds may lie before a rung: Optuna's value of it would be the later one.
    ledger.tell(result_of(ledger, cut, "cut", 1.2, (rung(8, 1.2), rung(10, 1.5))))
    seen = optunas_view(tmp_path, database)[1]
    assert seen.state == TrialState.PRUNED and seen.params == cut.params
    for _ in range(2):
        resumed = open_ledger(tmp_path, space, database=database)
        resumed.try_cut_again()
    told = resumed.results[1]
    assert (told.state, told.score, told.key) == ("cut", 1.2, cut.key)
    again, other = accept(resumed, space), accept(resumed, space)
    assert again.params == cut.params and again.fit_params == cut.fit_params and again.key != cut.key
    assert again.again == cut.key and other.again == ""
    assert other.params != cut.params, "once, however often the study is opened"
    resumed.tell(result_of(resumed, again, "cut", 1.1, (rung(9, 1.1),)))
    end(resumed, other, "finished", rung(40, 3.0))
    last = open_ledger(tmp_path, space, database=database)
    last.try_cut_again()
    assert accept(last, space).params != cut.params, "nor for ever, where it is too slow for every budget"


def test_a_kill_between_the_two_writes_of_a_cut_trial_leaves_it_whole(tmp_path, monkeypatch):
    space = small_space()
    ledger = open_ledger(tmp_path, space)
    end(ledger, accept(ledger, space), "finished", rung(20, 2.0))
    cut = accept(ledger, space)
    monkeypatch.setattr(ledger.study, "tell", lambda *a, **k: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(StudyError, match="full"):
        ledger.tell(result_of(ledger, cut, "cut", 1.2, (rung(8, 1.2),)))
    resumed = open_ledger(tmp_path, space)
    resumed.try_cut_again()
    again = accept(resumed, space)
    assert again.key == cut.key
    end(resumed, again, "finished", rung(40, 1.0))
    assert [r.state for r in open_ledger(tmp_path, space).results] == ["finished", "finished"]
    assert [t.state for t in optunas_view(tmp_path, None)] == [TrialState.COMPLETE] * 2


def test_entries_that_belong_together_are_written_together_and_read_meanwhile(tmp_path, monkeypatch):
    space, synced = small_space(), []
    ledger = open_ledger(tmp_path, space)
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(number) or sync(number))
    for number in range(4):
        with ledger.together():
            proposal = accept(ledger, space)
            assert len(ledger.study.get_trials()) == number + 1
            if number == 2:
                end(ledger, proposal, "finished", rung(10, 1.0), rung(20, 2.0))
        assert len(synced) == number + 1
        seen = optunas_view(tmp_path, None)
        assert [t.state.is_finished() for t in seen] == [i == 2 for i in range(number + 1)]
    with pytest.raises(RuntimeError, match="inside"), ledger.together():
        accept(ledger, space)
        raise RuntimeError("inside")
    assert len(optunas_view(tmp_path, None)) == 5, "what was told before an error is not lost"
    assert seen[1].params == ledger.study.trials[1].params
    # Another process may write between two of them.
    optunas = optuna.load_study(
        study_name="made-up", storage=JournalStorage(JournalFileBackend(str(tmp_path / "ledger.log")))
    )
    optunas.set_user_attr("note", "from elsewhere")
    with ledger.together():
        end(ledger, accept(ledger, space), "finished", rung(20, 2.0))
    assert ledger.study.user_attrs["note"] == "from elsewhere"
    assert [t.state for t in optunas_view(tmp_path, None)] == [t.state for t in ledger.study.trials]


def test_a_full_disk_leaves_no_half_line_behind_what_is_written_later(tmp_path, monkeypatch):
    space = small_space()
    ledger = open_ledger(tmp_path, space)
    end(ledger, accept(ledger, space), "finished", rung(20, 2.0))
    sync = os.fsync

    def full(number):
        os.truncate(number, os.fstat(number).st_size - 30)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StudyError, match="No space left"), ledger.together():
        accept(ledger, space)
    monkeypatch.setattr(os, "fsync", sync)
    ledger.release()
    ledger.study.set_user_attr("note", "there is room again")
    again = open_ledger(tmp_path, space)
    assert [result.score for result in again.results] == [2.0]
    end(again, accept(again, space), "finished", rung(20, 1.0))
    assert len(open_ledger(tmp_path, space).results) == 2


def test_trials_that_another_process_has_queued_are_run(tmp_path):
    space = small_space()
    ledger = open_ledger(tmp_path, space)
    end(ledger, accept(ledger, space), "finished", rung(20, 2.0))
    backend = JournalStorage(JournalFileBackend(str(tmp_path / "ledger.log")))
    wish = {"num_leaves": 5, "learning_rate": 0.123, "num_boost_round": 7}
    optuna.load_study(study_name="made-up", storage=backend).enqueue_trial(wish)
    assert accept(ledger, space).params == wish
    assert accept(ledger, space).params != wish
