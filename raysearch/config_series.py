"""What is right for the settings of series, and what they mean for the split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raysearch.errors import Problems

if TYPE_CHECKING:
    from raysearch.config import Config

_MOST = 100_000  # steps; more than a year of five minutes
_MOST_HORIZON = 10_000


def check_series(config: Config, problems: Problems) -> None:
    """Note settings of series that make no sense, alone or together."""
    data = config.data
    if data.horizon is None:
        for name in ("lags", "windows", "past", "frequency"):
            if getattr(data, name):
                problems.add(f"data.{name}: needs the steps ahead to forecast, e.g. --horizon 14")
        return
    if not 1 <= data.horizon <= _MOST_HORIZON:
        problems.add(f"data.horizon: got {data.horizon}, must be from 1 to {_MOST_HORIZON} steps")
    if data.time is None:
        problems.add("data.horizon: needs the column that orders the rows, e.g. --time date")
    if config.split.by == "random":
        problems.add("data.horizon: rows that look into the past cannot be split at random; use --split time")
    for name, least in (("lags", 1), ("windows", 2)):
        values = getattr(data, name)
        wrong = [value for value in values if not least <= value <= _MOST]
        if wrong:
            told = ", ".join(map(str, wrong))
            problems.add(f"data.{name}: got {told}; each must be from {least} to {_MOST} steps")
        elif len(set(values)) < len(values):
            problems.add(f"data.{name}: got {', '.join(map(str, values))}; one stands twice")
    for role in ("target", "time", "group", "anchor"):
        column = getattr(data, role)
        if column is not None and column in data.past:
            problems.add(f"data.past: {column!r} is the {role} column")


def settled(config: Config) -> Config:
    """Return the settings with what follows from those of series: the transform and the purge.

    Trees do not carry a level on that they have not seen, so series are modelled by their change.

    A forecast is made up to ``horizon`` steps before its row. Were rows from there on learnt from, the model
    would know targets that were not there yet when it had to be ready: so that many times are left out.
    """
    data, split = config.data, config.split
    if data.transform == "auto":
        config = config.replace("data", transform="none" if data.horizon is None else "change")
    if data.horizon is None or not config.by_time:
        return config
    return config.replace("split", purge=max(split.purge, data.horizon - 1))
