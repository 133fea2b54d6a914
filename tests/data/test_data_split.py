"""Splits: parts never share what they must not share, whatever the rows are."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from raysearch.config import SplitConfig
from raysearch.data.split import Keys, folds_by_size, split_rows
from raysearch.errors import DataError


def cut(by="auto", test_size=0.2, valid_size=0.2, purge=0, cv=1):
    return SplitConfig(by=by, test_size=test_size, valid_size=valid_size, purge=purge, cv=cv)


def assert_disjoint(split, rows):
    everything = np.concatenate([split.train, split.valid, split.test])
    assert len(np.unique(everything)) == len(everything)
    assert len(everything) + split.purged == rows
    assert everything.min() >= 0 and everything.max() < rows


@settings(deadline=None)
@given(
    rows=st.integers(40, 500), test=st.floats(0.1, 0.5), valid=st.floats(0.1, 0.5), seed=st.integers(0, 99)
)
def test_random_parts_are_disjoint_and_sized(rows, test, valid, seed):
    split = split_rows(Keys(rows), cut("random", test, valid), seed)
    assert_disjoint(split, rows)
    assert len(split.test) == round(rows * test)
    again = split_rows(Keys(rows), cut("random", test, valid), seed)
    assert np.array_equal(split.train, again.train)


@settings(deadline=None)
@given(
    times=st.lists(st.integers(0, 60), min_size=60, max_size=300),
    test=st.sampled_from([0.0, 0.1, 0.3]),
    valid=st.floats(0.1, 0.4),
    purge=st.integers(0, 5),
)
def test_times_rise_from_part_to_part_with_the_purge_between(times, test, valid, purge):
    times = np.array(times, dtype=np.float64)
    try:
        split = split_rows(Keys(len(times), times=times), cut("time", test, valid, purge), 0)
    except DataError:
        assume(False)
    assert_disjoint(split, len(times))
    moments = np.unique(times)
    parts = [part for part in (split.train, split.valid, split.test) if len(part)]
    for earlier, later in itertools.pairwise(parts):
        last, first = times[earlier].max(), times[later].min()
        assert last < first
        assert ((moments > last) & (moments < first)).sum() >= purge
    for part in parts:
        assert (np.diff(times[part]) >= 0).all()


@settings(deadline=None)
@given(groups=st.lists(st.integers(0, 12), min_size=60, max_size=300), test=st.sampled_from([0.0, 0.2, 0.4]))
def test_no_group_is_in_two_parts(groups, test):
    groups = np.array([f"g{g}" for g in groups])
    try:
        split = split_rows(Keys(len(groups), groups=groups), cut("group", test), 3)
    except DataError:
        assume(False)
    assert_disjoint(split, len(groups))
    parts = [set(groups[part]) for part in (split.train, split.valid, split.test)]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])


def test_group_shares_are_near_the_wanted_ones():
    groups = np.repeat([f"g{i}" for i in range(50)], 20)
    split = split_rows(Keys(1000, groups=groups), cut("group"), 0)
    assert abs(len(split.test) - 200) <= 20 and abs(len(split.valid) - 160) <= 20


def test_auto_goes_by_time_where_there_is_one():
    times = np.arange(100)[::-1].astype("datetime64[us]")
    split = split_rows(Keys(100, times=times), cut(), 0)
    assert split.by == "time" and list(split.test) == list(range(19, -1, -1))
    assert split_rows(Keys(100), cut(), 0).by == "random"


def test_equal_times_stay_in_the_order_of_the_table():
    times = np.repeat(np.arange(10.0), 10)
    split = split_rows(Keys(100, times=times), cut("time"), 0)
    assert list(split.train) == list(range(len(split.train)))
    assert len(split.test) == 20 and len(split.valid) == 20


def test_purge_before_a_test_table_that_begins_later():
    times = np.arange(100.0)
    keys = Keys(100, times=times, test_times=np.arange(100.0, 120.0))
    split = split_rows(keys, cut("time", purge=5), 0, test=False)
    assert split.valid.max() == 94 and not len(split.test) and split.purged == 10


@settings(deadline=None)
@given(
    times=st.lists(st.integers(0, 60), min_size=60, max_size=300),
    begin=st.integers(20, 80),
    purge=st.integers(0, 21),
)
def test_rows_not_before_a_test_table_or_within_its_purge_serve_for_nothing(times, begin, purge):
    times = np.array(times, dtype=np.float64)
    keys = Keys(len(times), times=times, test_times=np.array([begin + 3.0, begin]))
    try:
        split = split_rows(keys, cut("time", purge=purge), 0, test=False)
    except DataError:
        assume(False)
    assert_disjoint(split, len(times))
    last = times[np.concatenate([split.train, split.valid])].max()
    moments = np.unique(times)
    assert last < begin and ((moments > last) & (moments < begin)).sum() == purge


def test_a_test_table_that_leaves_nothing_is_refused():
    times = np.arange(100.0)
    for begin, purge in ((0.0, 0), (1.0, 0), (22.0, 21), (-5.0, 0)):
        keys = Keys(100, times=times, test_times=np.array([begin]))
        with pytest.raises(DataError, match=f"test table begins at {begin}.*bring rows from before the test"):
            split_rows(keys, cut("time", purge=purge), 0, test=False)


@pytest.mark.parametrize(
    ("keys", "settings_", "told"),
    [
        (Keys(40, times=np.zeros(40)), cut("time"), "1 different times are too few"),
        (Keys(40, times=np.arange(40.0)), cut("time", purge=30), "lower split.purge"),
        (Keys(40, times=np.arange(40.0)), cut("time", purge=10), "lower split.test_size, split.valid_size"),
        (Keys(40, groups=np.array(["a", "b"] * 20)), cut("group"), "2 group"),
        (Keys(40), cut("random", 0.01), "raise split.test_size"),
        (Keys(40), cut("random", 0.2, 0.01), "raise split.valid_size"),
        (Keys(40), cut("random", 0.8), "lower split.test_size"),
    ],
)
def test_too_few_rows_times_or_groups_name_the_fix(keys, settings_, told):
    with pytest.raises(DataError) as caught:
        split_rows(keys, settings_, 0)
    assert told in str(caught.value)


def learnt(fold):
    return np.concatenate([np.arange(start, stop) for start, stop in fold.train])


@settings(deadline=None, max_examples=60)
@given(st.integers(60, 400), st.integers(2, 8), st.integers(0, 99), st.booleans())
def test_each_row_is_scored_by_one_fold_that_has_not_learnt_it(rows, cv, seed, grouped):
    groups = np.random.default_rng(seed).integers(0, 12, rows).astype(str) if grouped else None
    assume(groups is None or len(set(groups)) >= 3)
    split = split_rows(Keys(rows, groups=groups), cut("group" if grouped else "random", cv=cv), seed)
    assert_disjoint(split, rows)
    assert split.purged == 0 and not len(split.valid)
    scored = np.concatenate([np.arange(*fold.watch) for fold in split.folds])
    assert scored.tolist() == list(range(len(split.train)))
    for fold in split.folds:
        inside = np.arange(*fold.watch)
        assert sorted([*inside, *learnt(fold)]) == list(range(len(split.train)))
        if grouped:
            assert not set(groups[split.train[inside]]) & set(groups[split.train[learnt(fold)]])


@settings(deadline=None, max_examples=60)
@given(st.integers(200, 500), st.integers(2, 5), st.integers(0, 9), st.integers(0, 99))
def test_folds_in_time_learn_from_what_lies_a_purge_before(rows, cv, purge, seed):
    times = np.random.default_rng(seed).integers(0, 150, rows)
    split = split_rows(Keys(rows, times=times), cut("time", purge=purge, cv=cv), seed)
    assert_disjoint(split, rows)
    at = times[split.train]
    assert (np.diff(at) >= 0).all()
    assert len(split.folds) == cv
    assert split.folds[-1].watch[1] == len(split.train)
    for fold, after in itertools.pairwise(split.folds):
        assert fold.watch[1] == after.watch[0]
    moments = np.unique(times).tolist()
    for fold in split.folds:
        first, last = at[fold.watch[0]], at[learnt(fold)].max()
        assert moments.index(first) - moments.index(last) == purge + 1
    if purge:
        assert moments.index(times[split.test].min()) - moments.index(at[-1]) == purge + 1


def test_too_few_times_or_groups_for_the_folds_are_refused():
    with pytest.raises(DataError, match="too few for 8 folds with a purge of 3; lower --cv or --purge"):
        split_rows(Keys(108, times=np.repeat(np.arange(12), 9)), cut("time", purge=3, cv=8), 0)
    few = np.repeat(["a", "b", "c"], [40, 12, 12])
    assert len(split_rows(Keys(64, groups=few), cut("group", cv=5), 0).folds) == 2


@pytest.mark.parametrize(
    ("rows", "folds"), [(40, 5), (10_000, 5), (10_001, 3), (40_000, 3), (40_001, 1), (1_000_000, 1)]
)
def test_small_tables_are_validated_in_folds_where_nothing_is_said(rows, folds):
    assert folds_by_size(rows) == folds


def test_folds_by_size_are_made_of_what_there_is():
    settings = SplitConfig("random", 0.2, 0.2, 0)
    assert len(split_rows(Keys(500), settings, 0).folds) == 5
    assert len(split_rows(Keys(500, times=np.arange(500)), replace(settings, by="time"), 0).folds) == 5
    groups = np.repeat(["a", "b", "c"], 100)
    assert len(split_rows(Keys(300, groups=groups), replace(settings, by="group"), 0).folds) == 2
    few = split_rows(Keys(300, times=np.arange(300) // 75), replace(settings, by="time"), 0)
    assert few.folds == () and len(few.valid), "four times are too few for folds, and nobody asked for any"


def test_a_fold_of_groups_that_would_learn_from_a_handful_of_rows_is_refused_or_not_made():
    groups = np.asarray(["A"] * 900 + ["B"] * 4 + ["C"] * 50)
    with pytest.raises(DataError, match="a fold would learn from"):
        for seed in range(9):
            split_rows(Keys(954, groups=groups), cut("group", cv=2), seed)
    for seed in range(9):
        split = split_rows(Keys(954, groups=groups), cut("group", cv=None), seed)
        assert all(sum(b - a for a, b in fold.train) >= 10 for fold in split.folds)
