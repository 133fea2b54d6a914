"""Rows that count more than others, targets with bounds, and forecasts that rise or fall with a column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from raysearch.config import load_config
from raysearch.data import prepare
from raysearch.errors import ConfigError, DataError
from raysearch.forecaster import load_forecaster

pytestmark = pytest.mark.usefixtures("no_report")

N = 300


def shop(**columns):
    """A table with odd names, a target that falls with the price, and gaps."""
    rng = np.random.default_rng(0)
    price, size = rng.uniform(0, 10, N), rng.normal(size=N)
    y = 20 - 2 * price + 1.5 * np.sin(2 * price) + 2 * size + rng.normal(size=N) * (1 + price / 5)
    table = pd.DataFrame({"price, €": price, "size": size, "demand": y})
    table.loc[::17, "size"] = np.nan
    return table.assign(**columns)


def prepared(table, **data):
    flags = {"data": {"target": "demand", **data}, "split": {"cv": 1}}
    return prepare(load_config(flags=flags, in_memory=True), table)


def refused(table, **data):
    with pytest.raises((ConfigError, DataError)) as caught:
        prepared(table, **data)
    return str(caught.value)


def test_forecasts_stay_inside_the_bounds(study):
    table = shop(demand=np.clip(shop()["demand"], 5, 15))
    done = study(table, data__lower=5, data__upper=15)
    for forecaster in (done.forecaster, load_forecaster(done.model_path)):
        q = forecaster.predict(shop()).to_numpy()
        assert q.min() >= 5 and q.max() <= 15
        assert (q == 5).any() and (np.diff(q, axis=1) >= 0).all()
    assert done.test.metrics["crossing_rate"] == 0


def test_targets_outside_the_bounds_are_refused_with_the_way_out():
    text = refused(shop(), lower=5.0)
    below = int((shop()["demand"] < 5).sum())
    assert f"is below data.lower, 5, in {below} rows" in text
    assert "set --lower to" in text
    assert "must be below data.upper" in refused(shop(), lower=5.0, upper=5.0)


def test_a_row_of_weight_two_counts_as_two_in_scores_and_coverage(study):
    weights = np.where(np.arange(N) % 3 == 0, 2.0, 1.0)
    done = study(shop(w=weights), data__weight="w")
    assert "w" not in done.forecaster.encoder.names
    table = shop(w=weights)
    dataset = prepared(table, weight="w")
    rows = dataset.positions[slice(*dataset.parts["test"])]
    q = done.forecaster.predict(table.iloc[rows]).to_numpy()
    y, levels = table["demand"].to_numpy()[rows], np.asarray(done.forecaster.levels)
    error = y[:, None] - q
    losses = np.maximum(levels * error, (levels - 1) * error).mean(axis=1)
    counted = np.repeat(np.arange(len(rows)), weights[rows].astype(int))
    assert done.test.metrics["pinball_loss_avg"] == pytest.approx(losses[counted].mean())
    inside = (y >= q[:, 0]) & (y <= q[:, -1])
    assert done.test.metrics["coverage_90"] == pytest.approx(inside[counted].mean())
    assert done.result.comparison.tuned == pytest.approx(losses[counted].mean())


def test_only_ratios_of_weights_count(study):
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.5, 3, N)
    first = study(shop(w=weights), data__weight="w")
    second = study(shop(w=1000 * weights), data__weight="w", study__name="t")
    assert [t.score for t in first.trials] == pytest.approx([t.score for t in second.trials], rel=1e-9)


def test_rows_of_weight_zero_are_left_out_and_bad_weights_refused():
    weights = np.where(np.arange(N) < 60, 0.0, 1.0)
    made = prepared(shop(w=weights), weight="w")
    assert made.table.num_rows == N - 60
    assert any("60 rows of weight 0 in 'w' are left out" in text for text in made.quality.warnings)
    assert "negative" in refused(shop(w=np.where(np.arange(N) < 2, -1.0, 1.0)), weight="w")
    assert "2 rows" in refused(shop(w=np.where(np.arange(N) < 2, np.nan, 1.0)), weight="w")
    assert "0 in every usable row" in refused(shop(w=np.zeros(N)), weight="w")
    assert "no weight column 'v'" in refused(shop(w=weights), weight="v")
    assert "holds the row weights and cannot be a feature" in refused(
        shop(w=weights), weight="w", features=["w", "size"]
    )


@pytest.mark.parametrize("location", [True, False])
@pytest.mark.slow
def test_forecasts_rise_and_fall_as_they_must(study, location, tmp_path):
    (tmp_path / "own.yaml").write_text(
        "model: lightgbm\nparameters:\n  num_leaves: {low: 8, high: 16}\n"
        f"fixed: {{num_boost_round: 60, location: {str(location).lower()}}}\n"
    )
    must = {"price, €": -1, "size": 1}
    done = study(shop(), data__monotone=must, search__space="own.yaml", split__cv=3)
    free = study(shop(), search__space="own.yaml", split__cv=3, study__name="f")
    grids = {"price, €": np.linspace(-1, 11, 60), "size": np.linspace(-3, 3, 60)}

    def breaches(forecaster):
        worst = 0.0
        for column, sign in must.items():
            for row in range(0, N, 30):
                lines = pd.concat([shop().iloc[[row]]] * 60).assign(**{column: grids[column]})
                worst = max(worst, float(-(sign * np.diff(forecaster.predict(lines), axis=0)).min()))
        return worst

    assert breaches(done.forecaster) <= 1e-9
    assert breaches(load_forecaster(done.model_path)) <= 1e-9
    assert breaches(free.forecaster) > 0.1, "the truth itself is not monotone"
    assert abs(done.test.metrics["coverage_90"] - 0.9) < 0.15


def test_what_cannot_be_monotone_is_refused():
    table = shop(store=["a", "b"] * (N // 2))
    assert "is learnt from as categories" in refused(table, monotone={"store": 1})
    assert "'sise' is no feature" in refused(table, monotone={"sise": 1}) or "did you mean" in refused(
        table, monotone={"sise": 1}
    )
    with pytest.raises(ConfigError, match="use --model lightgbm"):
        load_config(
            flags={"data": {"target": "y", "monotone": {"x": 1}}, "search": {"model": "xgboost"}},
            in_memory=True,
        )
    with pytest.raises(ConfigError, match="must be 1"):
        load_config(flags={"data": {"target": "y", "monotone": {"x": 2}}}, in_memory=True)
