"""Features whose later values are none of the earlier ones are found, and others are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from raysearch.config import make_config
from raysearch.data import prepare
from raysearch.data.unseen import unseen_features, unseen_share
from raysearch.records import FoldRows


@pytest.mark.parametrize(
    ("earlier", "later", "codes", "share"),
    [
        ([1, 2, 3], [2, 3, 4, 5], False, 0.5),  # few numbers: each by itself
        ([1, 3], [2, 2, 1, 3], False, 0.5),
        (range(100), [50.5, 99, 100, -1], False, 0.5),  # many: their range
        (range(100), [50.5, 99, 7, 8], False, 0.0),
        ([0, 1, 2], [3, 4, 0, np.nan], True, 0.5),  # missing values count as seen
        ([1, np.nan], [np.nan, np.nan], False, 0.0),
        ([np.nan], [1, 2], False, 1.0),
        ([1], [], False, 0.0),
    ],
)
def test_the_share_of_values_never_seen(earlier, later, codes, share):
    assert unseen_share(np.asarray(earlier, float), np.asarray(later, float), codes) == share


def test_a_feature_counts_where_most_later_rows_are_new_in_the_mean_of_the_folds():
    rows = np.arange(80.0)
    table = pa.table({"f0": rows, "f1": rows % 7, "f2": np.where(rows < 60, 0.0, rows), "f3": rows // 40})
    fits = (FoldRows(((0, 40),), (40, 60)), FoldRows(((0, 60),), (60, 80)))
    # f2 is new in the second fold alone: half of the later rows, not more. f3 is new in the first alone.
    assert unseen_features(table, (False, False, False, True), fits) == (0,)


def days(rows=400):
    rng = np.random.default_rng(0)
    day = pd.date_range("2024-01-01", periods=rows, freq="D")
    x = rng.normal(size=rows)
    return pd.DataFrame({"day": day, "x": x, "number": np.arange(rows), "y": x + rng.normal(size=rows)})


def test_in_time_they_are_found_and_told_and_elsewhere_not():
    config = {"data": {"target": "y", "time": "day"}}
    dataset = prepare(make_config(config, in_memory=True), days())
    named = [dataset.encoder.names[i] for i in dataset.unseen]
    assert "number" in named and "x" not in named and "day: weekday" not in named
    told = [text for text in dataset.quality.warnings if "none of the earlier ones" in text]
    assert len(told) == 1 and "'number'" in told[0]
    config["split"] = {"by": "random"}
    assert prepare(make_config(config, in_memory=True), days()).unseen == ()


def test_test_rows_have_no_say():
    config = make_config({"data": {"target": "y", "time": "day"}}, in_memory=True)
    changed = days()
    changed.loc[320:, ["x"]] = np.arange(80) + 1e6
    assert prepare(config, changed).unseen == prepare(config, days()).unseen
