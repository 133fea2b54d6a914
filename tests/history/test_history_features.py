"""What a table is like: the same every time, without the test rows, and in the right order."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from raysearch.config import load_config
from raysearch.data import prepare
from raysearch.history import CUT_OFF, MetaFeatures, distance
from raysearch.history.features import describe


def table(rows: int = 1000, seed: int = 0, noise: float = 0.5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=rows)
    return pd.DataFrame(
        {
            "a": a,
            "b": np.where(rng.random(rows) < 0.25, np.nan, rng.normal(size=rows)),
            "store": rng.choice(["N", "S", "Q"], rows),
            "day": pd.date_range("2020-01-01", periods=rows),
            "y": 5 + 2 * a + noise * rng.normal(size=rows),
        }
    )


def described(frame: pd.DataFrame, **words) -> MetaFeatures:
    flags = {"data": {"target": "y"}}
    for word, value in words.items():
        section, _, key = word.partition("__")
        flags.setdefault(section, {})[key] = value
    config = load_config(flags=flags, in_memory=True)
    return describe(config, prepare(config, frame))


def test_the_figures_are_those_of_the_table():
    found = described(table())
    assert found == described(table())
    assert found.rows == 800  # without the test
    assert (found.numbers, found.categories, found.dates) == (0.5, 0.25, 0.25)
    assert found.missing == pytest.approx(0.25 / 4, abs=0.01)
    assert abs(found.skew) < 0.1
    assert found.tails == pytest.approx(math.log2(4.65 / 1.35), abs=0.2)  # a normal target
    assert found.split == "random"
    assert described(table(), data__time="day").split == "time"
    assert described(table(), data__group="store", split__by="group").split == "group"


def test_test_rows_tell_nothing():
    one, other = table(), table()
    config = load_config(flags={"data": {"target": "y"}}, in_memory=True)
    start, stop = prepare(config, one).parts["test"]
    rows = prepare(config, one).positions[start:stop]
    other.loc[rows, "y"] += 1000 * np.arange(len(rows))
    assert described(one) == described(other)


def test_more_noise_is_more_noise():
    shares = [described(table(noise=noise)).noise for noise in (0.1, 1.0, 4.0, 100.0)]
    assert shares == sorted(shares)
    assert shares[0] < 0.2 and shares[-1] > 0.9


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_do_not_matter(scale):
    one = described(table())
    assert distance(one, described(table().assign(y=table()["y"] * scale))) < 0.001


def test_another_draw_of_the_same_is_alike_and_other_data_is_not():
    one = described(table())
    assert distance(one, described(table(1400, seed=1))) < CUT_OFF
    rng = np.random.default_rng(2)
    other = pd.DataFrame({f"c{i}": rng.choice(["u", "v"], 1000) for i in range(30)})
    assert distance(one, described(other.assign(y=rng.lognormal(sigma=2, size=1000)))) > CUT_OFF


def test_a_target_that_piles_up_at_a_value():
    frame = table()
    frame["y"] = np.where(np.arange(1000) % 10 < 8, 0.0, frame["y"])
    found = described(frame)
    assert found.repeated == pytest.approx(0.8, abs=0.02)
    assert math.isfinite(found.tails)
