"""Which models are kept while a search goes on, and the time that is kept back to fit the best anew."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from study_made_up import begin, finish, limits, propose, rung

from raysearch.errors import StudyError
from raysearch.records import TrialResult
from raysearch.study.kept import KeptModels
from raysearch.study.leaders import Leaders, kind_of


def test_only_the_best_and_the_defaults_stay_kept(tmp_path):
    study = begin(tmp_path, limits(9))
    keys = []
    for score in (3.0, 2.0, 1.0, 5.0):
        spec = propose(study)
        keep = spec.default or score < spec.bar
        files = {"level_000.txt": str(score).encode()} if keep else None
        study.conductor.finished(spec.key, rung(40, score), files)
        keys.append(spec.key)
    assert study.kept.get(keys[0]) == {"level_000.txt": b"3.0"}
    assert study.kept.get(keys[2]) == {"level_000.txt": b"1.0"}
    assert sorted(p.name for p in (tmp_path / "kept").iterdir()) == sorted([keys[0], keys[2]])
    # A kill between a model and the record of its trial leaves something over; the next end clears it.
    (tmp_path / "kept" / "left.part").mkdir()
    (tmp_path / "kept" / "left").mkdir()
    resumed = begin(tmp_path, limits(9))
    finish(resumed, 9.0)
    assert sorted(p.name for p in (tmp_path / "kept").iterdir()) == sorted([keys[0], keys[2]])
    assert (resumed.conductor.best.key, resumed.conductor.default.key) == (keys[2], keys[0])


def test_a_model_that_cannot_be_kept_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="cannot be kept"):
        KeptModels(tmp_path / "file").put("key", {"a": b""})


def test_a_model_is_kept_whole_over_an_older_one(tmp_path):
    kept = KeptModels(tmp_path / "kept")
    kept.put("key", {"a": b"1", "b": b"2"})
    kept.put("key", {"a": b"3"})
    assert kept.get("key") == {"a": b"3"}
    assert kept.get("other") is None


def test_time_for_a_refit_is_kept_back_unless_it_would_be_too_long(tmp_path, monkeypatch):
    study = begin(tmp_path, limits(9, refit_scale=2.0, refit_most_s=60.0, deadline_s=time.monotonic() + 50))
    assert study.conductor.refit_s == 0
    for i, seconds in enumerate((4.0, 3.0)):
        spec = propose(study)
        monkeypatch.setattr(study.ledger, "started_s", lambda number, s=seconds: time.time() - s)
        study.conductor.finished(spec.key, rung(40, 2.0 - i))
    assert study.conductor.refit_s == pytest.approx(14.0, abs=0.5)  # the default and the best
    assert not study.conductor.halted
    spec = propose(study)
    monkeypatch.setattr(study.ledger, "started_s", lambda number: time.time() - 25)
    study.conductor.finished(spec.key, rung(40, 0.5))
    assert study.conductor.refit_s == pytest.approx(58.0, abs=0.5)
    assert study.conductor.halted


def test_time_is_kept_for_several_refits_but_no_more_than_they_are_worth(tmp_path, monkeypatch):
    kept = []
    for most in (60.0, 9.0, 6.0):
        words = limits(9, refit_scale=1.0, refit_most_s=most, deadline_s=time.monotonic() + 900, candidates=8)
        words = replace(words, members=3)
        (tmp_path / str(most)).mkdir()
        study = begin(tmp_path / str(most), words)
        for i, seconds in enumerate((2.0, 3.0, 4.0, 5.0)):
            spec = propose(study)
            monkeypatch.setattr(study.ledger, "started_s", lambda number, s=seconds: time.time() - s)
            study.conductor.finished(spec.key, rung(40, 5.0 - i))
        kept.append(study.conductor.refit_s)
    assert kept == pytest.approx([14.0, 9.0, 0.0], abs=0.5)  # best 5, next 4 and 3, default 2


def test_one_trial_that_is_default_and_best_is_refitted_once(tmp_path, monkeypatch):
    study = begin(tmp_path, limits(9, refit_scale=1.0, refit_most_s=5.0, deadline_s=time.monotonic() + 7))
    spec = propose(study)
    monkeypatch.setattr(study.ledger, "started_s", lambda number: time.time() - 4)
    study.conductor.finished(spec.key, rung(40, 1.0))
    assert study.conductor.refit_s == pytest.approx(4.0, abs=0.5)
    finish(study, 0.5)
    assert study.conductor.refit_s == 0.0
    assert not study.conductor.halted  # more than a refit is worth: no time is kept for it


def made(number, score, kind=None, model="lightgbm"):
    params = {"num_leaves": 9 + number, **({} if kind is None else {"extra_trees": kind})}
    return TrialResult(number, f"k{number}", model, params, params, "finished", score, 9, {}, (), 0.0, 1.0)


def test_the_best_trial_of_each_kind_is_kept_beside_the_best_of_all():
    leaders = Leaders(None, room=2)
    assert leaders.bar(kind_of("lightgbm", {"extra_trees": False})) == float("inf")
    for number, (score, kind) in enumerate(
        [(4.0, False), (1.0, True), (1.5, True), (1.2, True), (5.0, False)]
    ):
        leaders.add(made(number, score, kind))
    assert [trial.number for trial in leaders.trials] == [1, 3, 0]  # 0 is the best without extra trees
    assert leaders.bar(kind_of("lightgbm", {"extra_trees": True})) == 1.2
    assert leaders.bar(kind_of("lightgbm", {"extra_trees": False})) == 4.0
    assert leaders.bar(kind_of("xgboost", {"max_depth": 4})) == float("inf")  # none of the kind so far
    leaders.add(made(5, 3.0, False))
    leaders.add(made(6, 9.0, model="xgboost"))
    assert [trial.number for trial in leaders.trials] == [1, 3, 5, 6]


def test_only_a_few_kinds_are_kept_and_none_where_one_trial_is_the_model():
    leaders, alone = Leaders(None, room=2), Leaders(None, room=1)
    for number in range(12):
        for one in (leaders, alone):
            one.add(made(number, float(number), f"kind {number}"))
    assert [trial.number for trial in leaders.trials] == [0, 1, 2, 3, 4, 5]
    assert [trial.number for trial in alone.trials] == [0]
    assert alone.bar(kind_of("lightgbm", {"extra_trees": "never seen"})) == 0.0


def test_numbers_make_no_kind():
    assert kind_of("lightgbm", {"num_leaves": 3, "max_bin": 63}) == kind_of("lightgbm", {"num_leaves": 9})
    assert kind_of("lightgbm", {"location": True}) != kind_of("lightgbm", {"location": False})
    assert kind_of("lightgbm", {}) != kind_of("xgboost", {})
