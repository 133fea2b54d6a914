"""What is kept of a time budget, and how many threads a refit has."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from raysearch.flow import job as jobs
from raysearch.flow.job import Clock, Job
from raysearch.records import FoldRows
from raysearch.space import load_space
from raysearch.study.limits import Limits, TimeLeft


@pytest.fixture
def cores(monkeypatch):
    monkeypatch.setattr(jobs.os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


def job(rows, features=20, cpus=1, space="lightgbm"):
    """Return a job whose trials learn once from a half of the rows."""
    dataset = SimpleNamespace(
        parts={"valid": (rows // 2, rows)},
        encoder=SimpleNamespace(names=["x"] * features),
        fits=(FoldRows(((0, rows // 2),), (rows // 2, rows)),),
    )
    config = SimpleNamespace(
        compute=SimpleNamespace(cpus_per_trial=cpus, workers_per_trial=1), search=SimpleNamespace(refit=True)
    )
    return Job(config, load_space(space), dataset, None, None, None)


@pytest.mark.parametrize(
    ("rows", "threads"),
    [(100, (1, 1)), (20_000, (16, 1)), (99_999, (16, 1)), (200_000, (16, 4)), (10**7, (16, 16))],
)
def test_threads_that_wait_for_each_other_are_for_large_tables(cores, rows, threads):
    assert job(rows).refit_threads == threads


def test_a_refit_on_fewer_threads_than_a_trial_is_expected_to_take_longer(cores):
    assert job(20_000, cpus=1).refit_scale == pytest.approx(2 / (0.8 * 8))
    assert job(1_000, cpus=8).refit_scale == pytest.approx(2 * 8)
    # One booster for all levels: only threads within a tree.
    assert job(20_000, cpus=1, space="xgboost").refit_scale == pytest.approx(2)
    assert job(20_000, cpus=4, space="both").refit_scale == pytest.approx(2 * 4)


def test_more_is_kept_for_the_end_of_a_command_the_more_rows_there_are():
    small, middle, large = (Clock.start(60.0).for_rows(rows) for rows in (1_000, 50_000, 10**6))
    assert small.closing_s < middle.closing_s < large.closing_s == Clock.start(60.0).closing_s
    assert small.last_words_s < middle.last_words_s == large.last_words_s


def test_more_is_kept_for_last_words_the_more_trials_are_cut_at_once():
    limits = Limits(None, time.monotonic() + 100.0, None, "none", 40, last_words_s=1.0)
    left = []
    for slots in (1, 64):
        asked = TimeLeft(limits)
        asked.slots = slots
        left.append(asked.promise("a", (), None))
        assert not asked.is_over((), None)
    assert left[0] == pytest.approx(99.0, abs=0.2)
    assert left[0] - left[1] == pytest.approx(63 * 0.04, abs=0.2)


def test_trials_are_given_up_a_second_later_where_none_has_left_a_model(monkeypatch):
    asked, leading = TimeLeft(Limits(None, 100.0, None, "none", 40)), SimpleNamespace(key="a", seconds=1.0)
    over = []
    for now in (99.9, 100.1, 100.9, 101.1):
        monkeypatch.setattr(time, "monotonic", lambda now=now: now)
        over.append((asked.is_over((), None), asked.is_over((leading,), None)))
    assert over == [(False, False), (False, True), (False, True), (True, True)]
