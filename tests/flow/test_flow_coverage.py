"""Whole studies with real boosters: the 90 % interval holds nine in ten of very many new rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_report")]
SEEDS = 6
SPACE = "parameters:\n  num_leaves: {low: 7, high: 31}\nfixed: {num_boost_round: 60, learning_rate: 0.1}\n"


def made_up(rows, seed):
    """A table of exchangeable rows whose noise varies, on which boosters of few rows are too sure."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 5))
    y = x[:, 0] + np.sin(2 * x[:, 1]) + np.exp(x[:, 2] / 2) * rng.normal(size=rows) / 2
    return pd.DataFrame(x, columns=list("abcde")).assign(demand=y)


@pytest.mark.parametrize("cv", [1, 5])
def test_new_rows_are_covered_as_claimed(study, cv):
    Path("own.yaml").write_text(SPACE)
    new = made_up(20_000, 10_000)
    covered = []
    for seed in range(SEEDS):
        done = study(
            made_up(800, seed),
            study__name=f"s{seed}",
            split__cv=cv,
            split__test_size=0,
            search__space="own.yaml",
            search__seed=seed,
        )
        q = done.forecaster.predict(new).to_numpy()
        assert (np.diff(q, axis=1) >= 0).all()
        covered.append(((new.demand >= q[:, 0]) & (new.demand <= q[:, -1])).mean())
    # Offsets from few rows differ from table to table; the mean of the tables is known that well.
    error = np.std(covered, ddof=1) / SEEDS**0.5
    assert np.mean(covered) == pytest.approx(0.9, abs=0.01 + 2 * error)
