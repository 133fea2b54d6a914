"""The comparison's scores, by numbers worked by hand, and its splits, on tables made up here."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
score = importlib.import_module("quality_score")
tables = importlib.import_module("quality_tables")
sources = importlib.import_module("quality_sources")

LEVELS = [0.05, 0.5, 0.95]


def test_a_score_tells_loss_as_delivered_and_in_order() -> None:
    truth = np.array([2.0, 10.0])
    quantiles = np.array([[1.0, 2.0, 4.0], [3.0, 1.0, 5.0]])
    told = score.score(truth, quantiles, LEVELS)
    # row 1: .05*1, 0, .05*2; row 2: .05*7, .5*9, .95*5, in order .05*9, .5*7, .95*5
    assert told["pinball"] == pytest.approx((0.05 + 0 + 0.1 + 0.35 + 4.5 + 4.75) / 6)
    assert told["pinball_sorted"] == pytest.approx((0.05 + 0 + 0.1 + 0.45 + 3.5 + 4.75) / 6)
    assert told["coverage"] == 0.5
    assert told["width"] == pytest.approx((3 + 2) / 2)
    assert told["crossing"] == 0.5


def test_a_score_of_missing_quantiles_is_refused() -> None:
    with pytest.raises(ValueError, match="not all finite"):
        score.score(np.zeros(1), np.array([[0.0, np.nan, 1.0]]), LEVELS)


def result(table: str, kind: str, side: str, loss: float, seed: int = 0) -> dict:
    told = {"table": table, "kind": kind, "side": side, "seed": seed, "rows": (8, 2), "pinball": loss}
    told |= {"pinball_sorted": loss, "coverage": 0.9, "crossing": 0.0, "fit_s": 1.0, "predict_s": 0.1}
    return told | {"cpu_s": 1.0, "machine_cpu_s": 1.5}


def test_means_are_geometric_and_told_by_kind() -> None:
    results = [result("a", "iid", "raysearch", 2), result("a", "iid", "autogluon", 4)]
    results += [result("b", "time", "raysearch", 1), result("b", "time", "autogluon", 8)]
    results += [{"table": "b", "kind": "time", "side": "flaml", "seed": 0, "rows": (8, 2), "error": "killed"}]
    lines = score.losses(results)
    assert lines[2].endswith("| 2, 90.0 %, 0 % | 4, 90.0 %, 0 % | - | 0.500 | - |")
    ends = {line.split("|")[1].strip(): line.split("|")[-3].strip() for line in lines[4:]}
    assert ends["geometric mean, all tables"] == "0.250"  # of 1/2 and 1/8
    assert ends["geometric mean, exchangeable rows"] == "0.500"
    assert ends["geometric mean, rows in time"] == "0.125"
    assert "flaml failed on b, seed 0: killed" in "\n".join(score.times(results))


def test_only_seeds_that_both_sides_have_are_compared() -> None:
    results = [result("a", "iid", "raysearch", 1, 0), result("a", "iid", "raysearch", 9, 1)]
    results += [result("a", "iid", "flaml", 2, 0)]
    assert score.ratio(score.by_table(results)["a"], "flaml") == pytest.approx(0.5)


def test_no_group_and_no_moment_is_torn_apart() -> None:
    frame = pd.DataFrame({"y": range(50), "g": np.arange(50) % 10, "t": np.arange(50) // 3})
    train, test = tables.split(tables.Table("x", "group", "", "y", group="g"), frame, seed=0)
    assert not set(train["g"]) & set(test["g"])
    assert test["g"].nunique() == 2
    train, test = tables.split(tables.Table("x", "time", "", "y", time="t"), frame.iloc[::-1], seed=0)
    assert train["t"].max() < test["t"].min()
    assert len(train) + len(test) == 50


def test_lags_go_by_the_clock() -> None:
    frame = pd.DataFrame({"time": pd.to_datetime(["2011-01-01", "2011-01-02", "2011-01-04"]), "y": [1, 2, 4]})
    found = sources._with_lags(frame, "y", {"before": "1D"})["y_before"]
    assert found.isna().tolist() == [True, False, True]
    assert found[1] == 1


def test_the_digest_tells_other_rows() -> None:
    frame = pd.DataFrame({"y": [1.0, 2.0], "c": ["a", None]})
    assert tables.digest((frame, frame)) == tables.digest((frame.copy(), frame.copy()))
    assert tables.digest((frame, frame)) != tables.digest((frame, frame.assign(y=[1.0, 3.0])))
