"""How a study is doing, while it runs and after."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from raysearch.errors import StudyError
from raysearch.flow.status import StatusReader, age_s


class Waits:
    """A display that holds a study up when its second trial has ended, until it has been looked at."""

    def __init__(self):
        self.reached, self.go_on, self.ended = threading.Event(), threading.Event(), 0

    def __getattr__(self, name):
        return lambda *words, **named: None

    def trial_ended(self, result):
        self.ended += 1
        if self.ended == 2:
            self.reached.set()
            assert self.go_on.wait(60)


def test_a_study_is_told_while_it_runs_and_after(study, table):
    display = Waits()
    running = threading.Thread(target=lambda: study(table, display=display, search__trials=3), daemon=True)
    running.start()
    assert display.reached.wait(60)
    status = StatusReader().read()
    assert (status.study, status.state, status.done, status.asked) == ("s", "running", 2, 3)
    assert status.best.score > 0 < status.per_minute
    display.go_on.set()
    running.join(60)
    done = StatusReader("s").read()
    assert (done.state, done.done, done.running, done.cores) == ("ended", 3, (), 0)
    assert done.best.score <= status.best.score


def test_trials_that_run_are_told_with_their_progress(study, table, monkeypatch):
    from raysearch.study.conductor import Conductor

    reached, seen = Conductor.reached, []

    def looking(self, key, rung, saved):
        goes_on = reached(self, key, rung, saved)
        seen.append(StatusReader("s").read())
        return goes_on

    monkeypatch.setattr(Conductor, "reached", looking)
    Path("long.yaml").write_text(
        "model: lightgbm\nparameters:\n  num_leaves: {low: 4, high: 16}\nfixed:\n  num_boost_round: 300\n"
    )
    study(table, search__space="long.yaml")
    (one,) = seen[0].running
    assert (one.number, one.model, one.of) == (0, "lightgbm", 300)
    assert 0 < one.rounds < 300
    assert one.score > 0
    assert 0 <= age_s(one) < 60
    assert (seen[0].cores, seen[0].trials["running"]) == (1, 1)


def test_without_a_study_it_says_so(tmp_path):
    with pytest.raises(StudyError, match="there is no study in"):
        StatusReader(None, str(tmp_path))
