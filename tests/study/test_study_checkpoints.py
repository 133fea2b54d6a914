"""How far long trials have come is kept with the study, and gone on from after a loss."""

from __future__ import annotations

import errno
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from study_made_up import begin, limits, propose, rung, small_space
from study_on_ray import acting, run, states

from raysearch.errors import StudyError
from raysearch.study.checkpoints import Checkpoints
from raysearch.study.conductor import Conductor
from raysearch.study.copies import Copies


def with_checkpoints(place, asked, space=None):
    """Return a study that keeps how far its trials come, as after a kill where there was one before."""
    study = begin(place, asked, space)
    kept = Checkpoints(place / "checkpoints")
    study.conductor = Conductor(study.ledger, asked, study.kept, (study.watcher,), kept)
    study.checkpoints = kept
    return study


def test_a_file_is_read_as_it_was_written_and_goes_with_its_trial(tmp_path):
    kept = Checkpoints(tmp_path / "c")
    history = (replace(rung(0, 3.0), folds=1), rung(10, 2.0))
    assert kept.get("k") is None
    kept.put("k", b"trial", history)
    assert kept.trouble == ""
    again = Checkpoints(tmp_path / "c").get("k")
    assert (again.trial, again.history) == (b"trial", history)
    kept.drop("k")
    assert kept.get("k") is None
    assert not (tmp_path / "c").exists()


def test_a_damaged_file_counts_as_none(tmp_path):
    kept = Checkpoints(tmp_path)
    kept.put("k", b"trial", ())
    (tmp_path / "k.zip").write_bytes(b"half")
    assert Checkpoints(tmp_path).get("k") is None


class Elsewhere:
    """A slow place, for files that are copied there; what happened is in ``said``."""

    def __init__(self):
        self.said, self.open, self.asked = [], threading.Event(), threading.Event()

    def push(self, source):
        self.asked.set()
        assert self.open.wait(30)
        self.said.append(source.read_bytes() if source.is_file() else source)

    def remove(self, path):
        assert self.open.wait(30)
        self.said.append(path)


def test_a_slow_place_holds_nobody_up_and_gets_the_newest_state(tmp_path):
    place = Elsewhere()
    with Copies(place) as copies:
        file = tmp_path / "a"
        file.write_text("first")
        copies.changed(file)
        assert place.asked.wait(30)  # it is being copied, and that takes long
        for text in ("second", "third"):
            (tmp_path / "b").write_text(text)
            copies.changed(tmp_path / "b")
        (tmp_path / "c").write_text("gone again")
        copies.changed(tmp_path / "c")
        (tmp_path / "c").unlink()
        copies.changed(tmp_path / "c")
        assert place.said == []
        place.open.set()
    assert place.said == [b"first", b"third", tmp_path / "c"]
    assert copies.trouble == ""


def test_what_is_forgotten_is_removed_elsewhere_and_the_directory_with_the_last(tmp_path):
    place, root = Elsewhere(), tmp_path / "checkpoints"
    with Copies(place) as copies:
        kept = Checkpoints(root, copies)
        kept.put("k", b"trial", ())
        assert place.asked.wait(30)
        kept.put("l", b"trial", ())
        kept.drop("l")
        kept.drop("k")
        place.open.set()
    assert place.said[-3:] == [root / "l.zip", root / "k.zip", root]


def test_what_goes_with_an_interrupted_command_stays_elsewhere(tmp_path):
    class Real(Elsewhere):
        def push(self, source):
            self.asked.set()
            assert self.open.wait(30)
            self.said.append(source.read_bytes())  # raises where there is no such file

    place = Real()
    copies = Copies(place)
    copies.__enter__()
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
        copies.changed(tmp_path / name)
    assert place.asked.wait(30)
    for name in ("b", "c"):
        (tmp_path / name).unlink()  # the directory in which a study is worked on goes with its command
    place.open.set()
    copies.__exit__()
    assert place.said == [b"a"]
    assert copies.trouble == ""


def test_an_interrupted_wait_leaves_what_is_not_there_yet(tmp_path, monkeypatch):
    place = Elsewhere()
    copies = Copies(place)
    copies.__enter__()
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        copies.changed(tmp_path / name)
    assert place.asked.wait(30)
    thread = copies._thread

    class Interrupted:
        def join(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(copies, "_thread", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        copies.__exit__()
    place.open.set()
    thread.join(30)
    assert place.said == [b"a"]


def test_a_place_that_does_not_answer_is_told(tmp_path):
    class Away(Elsewhere):
        def push(self, source):
            raise StudyError("it does not answer")

    with Copies(Away()) as copies:
        kept = Checkpoints(tmp_path, copies)
        kept.put("k", b"trial", ())
    assert kept.trouble == "it does not answer"
    assert kept.get("k").trial == b"trial"


def test_a_trial_that_lost_its_worker_goes_on_where_it_was(tmp_path):
    study = with_checkpoints(tmp_path, limits(1, checkpoint_after_s=5.0))
    spec = propose(study)
    assert (spec.checkpoint_after_s, spec.begun) == (5.0, b"")
    assert study.conductor.reached(spec.key, rung(10, 2.0), b"so far")
    study.conductor.lost(spec.key, "its node died")
    again = propose(study)
    assert (again.key, again.begun) == (spec.key, b"so far")
    study.conductor.finished(again.key, rung(again.rungs[-1], 1.0))
    (result,) = study.ledger.results
    assert [step.step for step in result.history] == [10, again.rungs[-1]]
    assert study.checkpoints.get(spec.key) is None


def test_so_it_does_after_the_study_was_killed_with_the_history_of_its_rungs(tmp_path):
    study = with_checkpoints(tmp_path, limits(1, checkpoint_after_s=5.0))
    spec = propose(study)
    assert study.conductor.reached(spec.key, rung(10, 2.0), b"so far")
    del study

    study = with_checkpoints(tmp_path, limits(1, checkpoint_after_s=5.0))
    again = propose(study)
    assert (again.key, again.begun) == (spec.key, b"so far")
    assert study.conductor.reached(again.key, rung(20, 1.5))
    study.conductor.finished(again.key, rung(again.rungs[-1], 1.0))
    (result,) = study.ledger.results
    assert [(step.step, step.score) for step in result.history][:2] == [(10, 2.0), (20, 1.5)]


def test_a_trial_that_is_stopped_at_its_rung_is_not_saved(tmp_path):
    study = with_checkpoints(tmp_path, limits(scheduler="asha", checkpoint_after_s=5.0))
    default = propose(study)
    assert study.conductor.reached(default.key, rung(10, 1.0), b"so far")
    other = propose(study)
    assert not study.conductor.reached(other.key, rung(10, 2.0), b"so far")
    assert study.checkpoints.get(other.key) is None


def test_files_of_trials_that_have_ended_are_cleared_away(tmp_path):
    study = with_checkpoints(tmp_path, limits(2, checkpoint_after_s=5.0))
    spec = propose(study)
    study.conductor.finished(spec.key, rung(spec.rungs[-1], 1.0))
    study.checkpoints.put(spec.key, b"so far", ())  # as if the kill had come between
    study = with_checkpoints(tmp_path, limits(2, checkpoint_after_s=5.0))
    assert not (tmp_path / "checkpoints").exists()


def test_a_full_disk_costs_no_trial_and_is_told(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("raysearch.study.checkpoints.write_whole_bytes", full)
    study = with_checkpoints(tmp_path, limits(1, checkpoint_after_s=5.0))
    spec = propose(study)
    assert study.conductor.reached(spec.key, rung(10, 2.0), b"so far")
    (note,) = study.conductor.notes
    assert "No space left on device" in note
    study.conductor.lost(spec.key, "its node died")
    assert propose(study).begun == b""


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_a_worker_killed_behind_a_rung_costs_no_more_than_what_followed_it(tmp_path, monkeypatch):
    space = small_space(num_boost_round={"type": "int", "low": 39, "high": 40})
    asked = limits(3, checkpoint_after_s=0.0)
    study = with_checkpoints(tmp_path, asked, space)
    begun = Path(tmp_path, "begun")

    def before(worker):
        if worker.count == 0:
            with begun.open("a") as file:
                file.write(f"{worker.spec.number} {worker.goes_on}\n")
        if worker.spec.number == 1 and worker.count == 2 and not Path(tmp_path, "killed").exists():
            Path(tmp_path, "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    ran = acting(monkeypatch, tmp_path, before)
    run(study, 2)
    lines = [line.split() for line in begun.read_text().splitlines()]
    assert [goes_on for number, goes_on in lines if number == "1"] == ["False", "True"]
    assert [state.name for state in states(study)] == ["COMPLETE"] * 3
    result = next(one for one in study.ledger.results if one.number == 1)
    assert [step.step for step in result.history][:2] == [10, 20]
    pids = [pid for number, pid in ran() if number == 1]
    assert (pids.count(pids[0]), pids.count(pids[-1])) == (3, 1)  # two rungs and its end; the end alone
    assert not (tmp_path / "checkpoints").exists()
