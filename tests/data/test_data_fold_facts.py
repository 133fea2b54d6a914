"""The record of folds: what it says, and that other folds have another digest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from raysearch.config import load_config
from raysearch.data import folds_csv, prepare, write_folds
from raysearch.errors import StudyError


def frame(rows=100):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=rows),
            "shop, old": np.resize(["a", "b", "ü"], rows),
            "x": rng.normal(size=rows),
            "y": rng.normal(size=rows),
        }
    )


def facts(table=None, *, seed=0, data=None, **split):
    flags = {
        "data": {"target": "y", **(data or {"time": "day", "group": "shop, old"})},
        "split": split,
        "search": {"seed": seed},
    }
    return prepare(load_config(flags=flags, in_memory=True), frame() if table is None else table).facts


def test_each_fold_is_told_with_rows_times_and_groups():
    found = facts(cv=2, purge=3, test_size=0.2)
    # 80 times before the test less the purge: 77, of which the later half is two folds.
    assert [(f.learnt_rows, f.learnt_first, f.learnt_last) for f in found.folds] == [
        (35, "2024-01-01", "2024-02-04"),
        (55, "2024-01-01", "2024-02-24"),
    ]
    assert [(f.scored_rows, f.scored_first, f.scored_last) for f in found.folds] == [
        (20, "2024-02-08", "2024-02-27"),
        (19, "2024-02-28", "2024-03-17"),
    ]
    assert {(f.learnt_groups, f.scored_groups) for f in found.folds} == {(3, 3)}
    lines = folds_csv(found).splitlines()
    assert lines[0].startswith("fold,learnt_rows,learnt_first") and len(lines) == 3
    assert lines[1] == "0,35,2024-01-01,2024-02-04,3,20,2024-02-08,2024-02-27,3"


def test_a_single_validation_part_is_one_line_and_rows_without_times_have_none():
    (line,) = facts(data={"drop": ["day"]}, cv=1).folds
    assert (line.fold, line.learnt_rows, line.scored_rows) == (0, 64, 16)
    assert (line.learnt_first, line.scored_last, line.learnt_groups) == ("", "", None)


def test_numbers_and_times_of_day_are_told_plainly():
    table = frame().assign(day=np.arange(100) / 4)
    assert facts(table, cv=2).folds[0].scored_first == "10"
    table = frame().assign(day=pd.date_range("2024-01-01 06:30", periods=100, freq="h"))
    assert facts(table, cv=2).folds[0].learnt_first == "2024-01-01 06:30:00"


@pytest.mark.parametrize(
    "other",
    [
        {"cv": 4},
        {"cv": 3, "purge": 1},
        {"cv": 3, "window": "sliding"},
        {"cv": 3, "window": "20"},
        {"cv": 3, "window": "both"},
        {"cv": 3, "window": "both", "embargo": 2},
        {"cv": 3, "test_size": 0.3},
        {"cv": 3, "by": "group"},
    ],
)
def test_other_folds_have_another_digest_and_the_table_keeps_its_own(other):
    first, second = facts(cv=3), facts(**other)
    assert first == facts(cv=3)
    assert first.digest == second.digest
    assert first.split_digest != second.split_digest
    assert first.data_digest != second.data_digest
    assert len(first.split_digest) == len(first.data_digest) == 36


def test_another_seed_makes_other_random_folds_and_other_features_the_same_ones():
    by_chance = {"drop": ["day"]}
    first = facts(data=by_chance, cv=3)
    assert facts(data=by_chance, cv=3, seed=1).split_digest != first.split_digest
    assert facts(data={"drop": ["day", "x"]}, cv=3).split_digest == first.split_digest
    changed = facts(frame().assign(x=1.0), data=by_chance, cv=3)
    assert changed.split_digest == first.split_digest and changed.data_digest != first.data_digest


def test_a_record_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "report").write_text("in the way")
    with pytest.raises(StudyError, match=r"folds\.csv: cannot be written"):
        write_folds(facts(), tmp_path / "report")
