"""Settings of series: alone and together, each mistake told with the way out."""

from __future__ import annotations

import pytest

from raysearch.config import load_config, make_config
from raysearch.errors import ConfigError

OWN = {"data": {"path": "t.csv", "target": "y", "time": "day", "horizon": 14}}


def told(*words, **data):
    with pytest.raises(ConfigError) as caught:
        load_config(settings=words, flags={"data": {**OWN["data"], **data}})
    return str(caught.value)


def test_lists_are_words_lists_or_one_number():
    for words in ("data.lags=1,7,28", "data.lags=[1, 7, 28]"):
        assert load_config(settings=[words], flags=OWN).data.lags == (1, 7, 28)
    assert load_config(settings=["data.windows=7"], flags=OWN).data.windows == (7,)


def test_nothing_changes_without_a_horizon():
    config = load_config(flags={"data": {"path": "t.csv", "target": "y", "time": "day"}})
    assert (config.data.horizon, config.data.lags, config.split.purge) == (None, (), 0)


def test_the_purge_reaches_as_far_as_forecasts_do_and_stays_so():
    config = load_config(flags=OWN)
    assert config.split.purge == 13
    assert make_config(config.to_dict()) == config
    assert (
        load_config(
            flags={**OWN, "split": {"by": "group"}, "data": {**OWN["data"], "group": "g"}}
        ).split.purge
        == 0
    )


@pytest.mark.parametrize(
    ("words", "data", "text"),
    [
        ((), {"horizon": 0}, "data.horizon: got 0, must be from 1"),
        ((), {"time": None}, "data.horizon: needs the column that orders the rows, e.g. --time date"),
        (("split.by=random",), {}, "cannot be split at random; use --split time"),
        ((), {"lags": [0, 7]}, "data.lags: got 0; each must be from 1"),
        ((), {"lags": [7, 7]}, "data.lags: got 7, 7; one stands twice"),
        ((), {"windows": [1]}, "data.windows: got 1; each must be from 2"),
        (("data.lags=1,x",), {}, "data.lags: got 'x', must be a whole number"),
        ((), {"horizon": None, "lags": [1], "past": ["a"]}, "data.lags: needs the steps ahead"),
        ((), {"transform": "change", "horizon": None}, "needs --horizon, or --anchor"),
        ((), {"past": ["y"]}, "data.past: 'y' is the target column"),
    ],
)
def test_mistakes_are_told(words, data, text):
    assert text in told(*words, **data)
