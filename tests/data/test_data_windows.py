"""Folds in time: growing and sliding windows, and windows on both sides with purge and embargo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from raysearch.config import SplitConfig
from raysearch.data.split import Keys, split_rows, without_effect
from raysearch.data.windows import time_folds
from raysearch.errors import DataError


def cut(window="expanding", cv=4, purge=0, embargo=0, test_size=0.2):
    return SplitConfig("time", test_size, 0.2, purge, cv, window, embargo)


def learnt(fold):
    return np.concatenate([np.arange(start, stop) for start, stop in fold.train])


def test_windows_worked_by_hand():
    """Forty times of one row; the folds are the later twenty rows, in fives."""
    times = np.arange(40.0)
    at = {
        name: [(fold.train, fold.watch) for fold in time_folds(times, cut(name, purge=2))]
        for name in ("expanding", "sliding", "12")
    }
    watched = [(20, 25), (25, 30), (30, 35), (35, 40)]
    assert at["expanding"] == [(((0, start - 2),), (start, stop)) for start, stop in watched]
    assert at["sliding"] == [(((start - 20, start - 2),), (start, stop)) for start, stop in watched]
    assert at["12"] == [(((start - 14, start - 2),), (start, stop)) for start, stop in watched]
    both = time_folds(times, cut("both", purge=2, embargo=1))
    assert [(fold.train, fold.watch) for fold in both] == [
        (((13, 40),), (0, 10)),
        (((0, 8), (23, 40)), (10, 20)),
        (((0, 18), (33, 40)), (20, 30)),
        (((0, 28),), (30, 40)),
    ]


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 5), st.integers(0, 6), st.integers(10, 40), st.integers(0, 99))
def test_a_sliding_window_holds_its_steps_and_ends_a_purge_before_the_fold(cv, purge, steps, seed):
    times = np.sort(np.random.default_rng(seed).integers(0, 120, 400))
    moments = np.unique(times).tolist()
    for fold in time_folds(times, cut(str(steps), cv, purge)):
        inside = times[learnt(fold)]
        assert len(np.unique(inside)) == steps
        assert moments.index(times[fold.watch[0]]) - moments.index(inside.max()) == purge + 1


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 6), st.integers(0, 5), st.integers(0, 8), st.integers(0, 99))
def test_on_both_sides_purge_and_embargo_are_kept(cv, purge, embargo, seed):
    times = np.sort(np.random.default_rng(seed).integers(0, 120, 400))
    moments = np.unique(times).tolist()
    folds = time_folds(times, cut("both", cv, purge, embargo))
    assert np.concatenate([np.arange(*fold.watch) for fold in folds]).tolist() == list(range(400))
    for fold in folds:
        first, last = (moments.index(times[row]) for row in (fold.watch[0], fold.watch[1] - 1))
        at = {moments.index(time) for time in times[learnt(fold)]}
        before, behind = range(first - purge), range(last + 1 + purge + embargo, len(moments))
        assert at == {*before, *behind}


def test_rows_before_the_window_are_not_learnt_from_in_a_single_split_either():
    times = np.repeat(np.arange(100.0), 2)
    grown = split_rows(Keys(200, times=times), cut(cv=1), 0)
    slid = split_rows(Keys(200, times=times), cut("30", cv=1), 0)
    assert slid.valid.tolist() == grown.valid.tolist() and slid.test.tolist() == grown.test.tolist()
    assert slid.train.tolist() == grown.train[-60:].tolist()
    assert slid.purged == grown.purged + len(grown.train) - 60
    again = np.concatenate([slid.train, slid.valid])[slid.recent :]
    assert len(np.unique(times[again])) == 30 and again[-1] == slid.valid[-1]
    assert grown.recent == 0


@pytest.mark.parametrize(("window", "steps"), [("expanding", 80), ("both", 80), ("sliding", 37), ("25", 25)])
def test_a_model_fitted_anew_learns_from_the_latest_rows_of_its_window(window, steps):
    times = np.arange(100.0)
    split = split_rows(Keys(100, times=times), cut(window, purge=2), 0)
    assert len(split.train) == 78
    assert len(split.train) - split.recent == min(steps, 78)


def test_a_window_longer_than_what_there_is_is_refused():
    times = np.arange(100.0)
    with pytest.raises(DataError, match="window of 38 times is longer than the 37 before the first fold"):
        split_rows(Keys(100, times=times), cut("38", purge=2), 0)
    with pytest.raises(DataError, match="window of 65 times is longer than the 64 before the first valid"):
        split_rows(Keys(100, times=times), cut("65", cv=1), 0)
    with pytest.raises(DataError, match=r"would learn from 5 rows, at least 10 are needed.*--window"):
        split_rows(Keys(100, times=times), cut("5"), 0)
    with pytest.raises(DataError, match="a purge of 20 and an embargo of 30 leave a fold nothing to learn"):
        time_folds(np.arange(60.0), cut("both", 2, purge=20, embargo=30))


def test_an_embargo_without_effect_is_told():
    assert without_effect(cut("both", embargo=3)) == without_effect(cut()) == ()
    (told,) = without_effect(cut("sliding", embargo=3))
    assert "split.embargo: 3 leaves nothing out" in told and "--window both" in told


@settings(deadline=None, max_examples=80)
@given(
    rows=st.integers(60, 400),
    names=st.integers(3, 40),
    cv=st.integers(1, 10),
    uneven=st.floats(0, 3),
    seed=st.integers(0, 99),
)
def test_no_group_is_in_two_folds(rows, names, cv, uneven, seed):
    rng = np.random.default_rng(seed)
    shares = np.arange(1, names + 1) ** -uneven
    groups = rng.choice(names, rows, p=shares / shares.sum()).astype(str)
    assume(len(set(groups)) >= 3)
    try:
        split = split_rows(Keys(rows, groups=groups), SplitConfig("group", 0.2, 0.2, 0, cv), seed)
    except DataError:
        assume(False)
    parts = [split.train[slice(*fold.watch)] for fold in split.folds] or [split.train, split.valid]
    names_of = [set(groups[part]) for part in (*parts, split.test)]
    assert sum(map(len, names_of)) == len(set.union(*names_of)) == len(set(groups))
