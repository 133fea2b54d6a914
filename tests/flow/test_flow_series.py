"""A study of series: the test rows' targets change the evaluation and nothing that was learnt."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from raysearch import load_forecaster
from raysearch.flow import resume

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_report")]

SERIES = {
    "data__time": "day",
    "data__group": "store",
    "data__horizon": 5,
    "data__lags": [1, 7],
    "data__windows": [7],
}


def sales(days=120):
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "day": pd.date_range("2024-01-01", periods=days),
                "store": store,
                "demand": 20 + 5 * np.sin(np.arange(days) * 2 * np.pi / 7) + rng.normal(size=days),
            }
        )
        for store in ("Nord", "Q 4")
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("model", ["lightgbm", "xgboost"])
def test_targets_of_test_rows_change_no_model(study, model_files, model):
    frame = sales()
    before = study(frame, **SERIES, search__model=model, study__name="a")
    late = frame["day"] >= frame["day"].max() - pd.Timedelta(days=22)  # the test has 24 days
    changed = frame.assign(demand=frame["demand"].where(~late, 1e6 * np.arange(len(frame))))
    after = study(changed, **SERIES, search__model=model, study__name="b")
    assert model_files(before) == model_files(after)
    assert before.result.evaluation.metrics != after.result.evaluation.metrics


@pytest.mark.parametrize("cv", [1, 3])
def test_a_study_is_kept_continued_and_forecasts(study, cv):
    done = study(sales(), **SERIES, split__cv=cv)
    more = resume("s", overrides={"search": {"trials": 3}})
    assert len(more.leaderboard) == 3
    told = load_forecaster(done.model_path).forecast(sales())
    assert told["day"].min() == pd.Timestamp("2024-04-30") and len(told) == 10
    assert told["q0.5"].between(10, 30).all()
