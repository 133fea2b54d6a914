"""The Python door: the same sentences as the command line, with tables as objects."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, SupportsFloat

from raysearch.config import load_config
from raysearch.errors import ConfigError, Problems
from raysearch.flow import Display, Study
from raysearch.flow import resume as resume_study
from raysearch.flow import tune as tune_study


def tune(
    data: Any = None,
    *,
    target: str | None = None,
    model: str | None = None,
    trials: int | None = None,
    time_budget_s: float | None = None,
    patience: int | None = None,
    levels: Sequence[float] | None = None,
    group: str | None = None,
    time: str | None = None,
    split: str | None = None,
    test_size: float | None = None,
    test: str | os.PathLike[str] | None = None,
    drop: Sequence[str] | None = None,
    features: Sequence[str] | None = None,
    transform: str | None = None,
    horizon: int | None = None,
    lags: Sequence[int] | None = None,
    windows: Sequence[int] | None = None,
    frequency: str | None = None,
    past: Sequence[str] | None = None,
    space: str | os.PathLike[str] | None = None,
    seed: int | None = None,
    address: str | None = None,
    study: str | None = None,
    home: str | os.PathLike[str] | None = None,
    tracking: bool | str | None = None,
    config: str | os.PathLike[str] | Mapping[str, Mapping[str, Any]] | None = None,
    display: Display | None = None,
) -> Study:
    """Find the best quantile model for a table, and keep it with its report and the record of every trial.

    Args:
        data: a path or address (.csv, .csv.gz, .parquet, .feather, .arrow, .xlsx), a pandas or polars
            DataFrame, or an Arrow table; None: the experiment ``nav_baseline`` that ships with raysearch.
        target: the column to forecast.
        model: "lightgbm" (default), "xgboost" or "both".
        trials: trials that must finish or be stopped early (default 30; with only a time budget: no limit).
        time_budget_s: seconds for the whole call, from start to saved model and report.
        patience: end after so many trials without gain.
        levels: quantile levels in (0, 1), rising (default 0.05, 0.25, 0.5, 0.75, 0.95).
        group: a column by which results are also told; it stays a feature.
        time: a column that orders the rows in time; the split is then by time.
        split: "random", "time" or "group".
        test_size: share of rows that nothing looks at until the end (default 0.2; 0: none).
        test: a file with the test rows.
        drop, features: columns to leave out, or to learn from only.
        transform: "none", "log", "log1p", "asinh" or "change" of the target is what is modelled (default
            "none", with a horizon "change").
        horizon: series: forecast 1 to so many steps ahead; features are then made of each group's past.
        lags: values so many steps before the row (default: by the frequency).
        windows: means, deviations and quantiles of the newest so many steps (default: by the frequency).
        frequency: what one step is, e.g. "15min", "h", "D", "MS" (default: found in the times).
        past: columns that are known only afterwards, as the target is: they enter by their past.
        space: the search space: a YAML file, the name of a shipped one, or "wide".
        seed: the same seed gives the same bits where one trial runs at a time.
        address: a running Ray cluster; None: an own local Ray, or the one this process is connected to.
        study: the study's name; None: a readable one is made up.
        home: the directory or address where studies live (default "studies").
        tracking: False: no MLflow; a text: the address of the MLflow store.
        config: a YAML file or nested mapping with any other setting (``config/default.yaml`` lists them).
        display: told of everything that happens; None: silent.

    Returns:
        The study, with ``best`` (a TrialResult), ``forecaster``, ``test`` (an Evaluation), ``leaderboard``
        and the paths of model and report. Scores are in the target's units.

    Raises:
        RaysearchError: bad settings, data, cluster or tracking address, before the search starts; or
            a study in which every trial failed. The message names the fix.
    """
    is_path = isinstance(data, str | os.PathLike)
    _check_types(test, tracking, config)
    given: dict[str, dict[str, Any]] = {
        "study": {"name": study, "home": _text(home)},
        "data": {
            "path": _text(data) if is_path else None,
            "target": target,
            "group": group,
            "time": time,
            "test_path": _text(test),
            "drop": _names(drop),
            "features": _names(features),
            "transform": transform,
            "horizon": horizon,
            "lags": None if lags is None else _numbers(lags),
            "windows": None if windows is None else _numbers(windows),
            "frequency": frequency,
            "past": _names(past),
        },
        "split": {"by": split, "test_size": test_size},
        "search": {
            "model": model,
            "space": _text(space),
            "levels": None if levels is None else _numbers(levels),
            "trials": trials,
            "time_budget_s": time_budget_s,
            "patience": patience,
            "seed": seed,
        },
        "compute": {"address": address},
        "tracking": {
            "enabled": tracking if isinstance(tracking, bool) else None,
            "uri": tracking if isinstance(tracking, str) else None,
        },
    }
    if isinstance(config, Mapping):
        for section, values in config.items():
            named = given.setdefault(section, {})  # what has a parameter of its own goes before
            named.update({key: value for key, value in values.items() if named.get(key) is None})
    file = None if isinstance(config, Mapping) else _text(config)
    in_memory = data is not None and not is_path
    settings = load_config(file, flags=given, in_memory=in_memory)
    return tune_study(settings, data if in_memory else None, display)


def resume(
    name: str,
    home: str | os.PathLike[str] = "studies",
    *,
    trials: int | None = None,
    time_budget_s: float | None = None,
    display: Display | None = None,
) -> Study:
    """Go on with a study, also one that was killed; no finished trial runs again.

    Args:
        name: the study's name.
        home: where it lives.
        trials: trials that the study is to have in all; None: as asked before.
        time_budget_s: seconds for this call.

    Raises:
        StudyError: when there is no such study, or another process runs it.
        DataError: when its table has changed.
    """
    overrides = {"search": {"trials": trials, "time_budget_s": time_budget_s}}
    return resume_study(name, os.fspath(home), overrides, display)


def _text(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(path)


def _names(columns: Sequence[str] | None) -> list[str] | None:
    """Return column names as a list; a single text is one name, not its letters."""
    return None if columns is None else [columns] if isinstance(columns, str) else list(columns)


def _numbers(levels: Sequence[float]) -> list[Any]:
    """Return levels as plain numbers, also those of an array; what is none is refused with the settings."""
    items = list(levels) if isinstance(levels, Iterable) and not isinstance(levels, str) else [levels]
    return [float(item) if isinstance(item, SupportsFloat) else item for item in items]


def _check_types(test: Any, tracking: Any, config: Any) -> None:
    """Refuse objects in places that take none, before their contents end in a message."""
    problems = Problems("tune")
    if not isinstance(test, str | os.PathLike | None):
        problems.add(f"test: got a {type(test).__name__}, must be the path of a file with the test rows")
    if not isinstance(tracking, bool | str | None):
        problems.add(f"tracking: got a {type(tracking).__name__}, must be True, False or an address")
    if isinstance(config, Mapping):
        for section, values in config.items():
            if not isinstance(values, Mapping):
                problems.add(f"config: section {section!r}: got {values!r}, must be a mapping of settings")
    elif not isinstance(config, str | os.PathLike | None):
        problems.add(f"config: got a {type(config).__name__}, must be a file or a mapping of sections")
    problems.raise_as(ConfigError)
