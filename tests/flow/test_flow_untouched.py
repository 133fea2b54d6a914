"""Nothing that is chosen depends on the test rows, and the same seed gives the same bits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from raysearch.data import prepare

pytestmark = pytest.mark.usefixtures("no_report")


def trials_of(study):
    """Everything that a search has decided and measured, without its times."""
    return [
        (t.number, t.model, dict(t.params), t.state, t.score, t.rounds, dict(t.metrics), t.history)
        for t in study.trials
    ]


def _changed(table, rows):
    """Change features and target of some rows beyond recognition, other columns' ranges included."""
    other = table.copy()
    rng = np.random.default_rng(9)
    other.loc[rows, "a"] = rng.normal(size=len(rows)) * 1e6
    other.loc[rows, "b c"] = np.nan
    other.loc[rows, "store"] = "a store of the test only"
    other.loc[rows, "demand"] = 1e5 + rng.normal(size=len(rows))
    return other


@pytest.mark.parametrize(
    ("model", "by", "refit"),
    [
        ("lightgbm", "random", True),
        ("lightgbm", "random", False),
        ("lightgbm", "time", True),
        ("lightgbm", "time", False),
        ("xgboost", "random", True),
        ("xgboost", "time", False),
    ],
)
def test_test_rows_change_the_evaluation_and_nothing_else(
    study, settings, table, model_files, model, by, refit
):
    words = {
        "search__refit": refit,
        "search__trials": 3,
        "search__model": model,
        "split__by": by,
        "data__group": "store",
        "data__time": "day" if by == "time" else None,
        "data__drop": [] if by == "time" else ["day"],
    }
    dataset = prepare(settings(**words), table)
    held_out = dataset.positions[slice(*dataset.parts["test"])]
    assert len(held_out) == 40
    first = study(table, study__name="first", **words)
    second = study(_changed(table, held_out), study__name="second", **words)
    assert trials_of(first) == trials_of(second)
    assert model_files(first) == model_files(second)
    assert first.best.key != second.best.key
    assert first.test.metrics != second.test.metrics
    assert first.test.part == "test"


def test_rows_of_a_test_file_change_the_evaluation_and_nothing_else(study, table, model_files, tmp_path):
    main, test = table.head(150), table.tail(50)
    test.to_csv(tmp_path / "test.csv", index=False)
    words = {"data__drop": ["day"], "data__test_path": str(tmp_path / "test.csv")}
    first = study(main, study__name="first", **words)
    _changed(test, test.index).to_csv(tmp_path / "test.csv", index=False)
    second = study(main, study__name="second", **words)
    assert trials_of(first) == trials_of(second)
    assert model_files(first) == model_files(second)
    assert first.test.rows == second.test.rows == 50
    assert first.test.metrics != second.test.metrics


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lightgbm", "xgboost", "both"])
def test_the_same_seed_gives_the_same_bits(study, table, model_files, model):
    words = {"search__model": model, "search__trials": 4, "search__seed": 7}
    first = study(table, study__name="first", **words)
    second = study(table, study__name="second", **words)
    other = study(table, study__name="other", **{**words, "search__seed": 8})
    assert trials_of(first) == trials_of(second)
    assert model_files(first) == model_files(second)
    assert first.test == second.test
    assert first.result.comparison == second.result.comparison
    assert trials_of(first) != trials_of(other)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lightgbm", "xgboost"])
def test_more_threads_give_the_same_bits_again(study, model_files, model):
    """Large enough for the refit to take two cores."""
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(5100, 10)), columns=list("abcdefghij"))
    wide["demand"] = wide["a"] * wide["b"] + rng.normal(size=len(wide))
    first, second = (study(wide, search__model=model, search__trials=1, study__name=name) for name in "xy")
    assert model_files(first) == model_files(second)
    assert first.test == second.test
