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
    monotone: Mapping[str, int] | None = None,
    weight: str | None = None,
    lower: float | None = None,
    upper: float | None = None,
    cv: int | None = None,
    calibrate: str | None = None,
    strict: bool | None = None,
    horizon: int | None = None,
    lags: Sequence[int] | None = None,
    windows: Sequence[int] | None = None,
    frequency: str | None = None,
    past: Sequence[str] | None = None,
    space: str | os.PathLike[str] | None = None,
    seed: int | None = None,
    warm_start: str | None = None,
    objective: str | Sequence[str] | None = None,
    pick: str | int | None = None,
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
        monotone: columns that every quantile rises (1) or falls (-1) with, e.g. ``{"price": -1}``
            (LightGBM only).
        weight: a column of row weights, for fitting, calibrating and scoring.
        lower, upper: bounds that forecasts stay within.
        cv: folds that take turns in validation; 1: a single part (default: by size).
        calibrate: "auto" (default), "marginal", "steady", "width", "group", "time" or "none".
        strict: True: signs of leakage are refused instead of told.
        space: the search space: a YAML file, the name of a shipped one, or "wide".
        seed: the same seed gives the same bits where one trial runs at a time.
        warm_start: "auto": begin with the best points of earlier studies of the same MLflow store whose data
            is alike, at most a tenth of the trials; "off" (default).
        objective: what trials are scored by: "pinball" (default), "wis", "crps", "interval_90", "width_90",
            "coverage_gap", a sum such as "pinball + 0.5*coverage_gap", or several of them.
        pick: which trial of several objectives' Pareto front becomes the model: "knee" (default), an
            objective, or a bound such as "coverage_gap<=0.02"; of ``resume`` also a trial's number.
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
            "monotone": None if monotone is None else _columns(monotone),
            "weight": weight,
            "lower": _plain(lower),
            "upper": _plain(upper),
            "strict": strict,
            "horizon": horizon,
            "lags": None if lags is None else _numbers(lags),
            "windows": None if windows is None else _numbers(windows),
            "frequency": frequency,
            "past": _names(past),
        },
        "split": {"by": split, "test_size": test_size, "cv": cv},
        "search": {
            "model": model,
            "space": _text(space),
            "levels": None if levels is None else _numbers(levels),
            "trials": trials,
            "time_budget_s": time_budget_s,
            "patience": patience,
            "seed": seed,
            "warm_start": warm_start,
            "objective": _joined(objective),
            "pick": pick,
            "calibrate": calibrate,
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
    pick: str | int | None = None,
    display: Display | None = None,
) -> Study:
    """Go on with a study, also one that was killed; no finished trial runs again.

    Args:
        name: the study's name.
        home: where it lives.
        trials: trials that the study is to have in all; None: as asked before.
        time_budget_s: seconds for this call.
        pick: another choice from the Pareto front; alone it runs no trials.

    Raises:
        StudyError: when there is no such study, or another process runs it.
        DataError: when its table has changed.
    """
    overrides = {"search": {"trials": trials, "time_budget_s": time_budget_s, "pick": pick}}
    return resume_study(name, os.fspath(home), overrides, display)


def _text(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(path)


def _names(columns: Sequence[str] | None) -> list[str] | None:
    """Return column names as a list; a single text is one name, not its letters."""
    return None if columns is None else [columns] if isinstance(columns, str) else list(columns)


def _joined(objective: str | Sequence[str] | None) -> Any:
    """Return several objectives as one text; what is neither is refused with the settings."""
    listed = isinstance(objective, Iterable) and not isinstance(objective, str)
    return ",".join(map(str, objective)) if objective is not None and listed else objective


def _numbers(levels: Sequence[float]) -> list[Any]:
    """Return levels as plain numbers, also those of an array; what is none is refused with the settings."""
    items = list(levels) if isinstance(levels, Iterable) and not isinstance(levels, str) else [levels]
    return [_plain(item) for item in items]


def _plain(number: Any) -> Any:
    """Return a number of any library as a plain one; what is none is refused with the settings."""
    return float(number) if isinstance(number, SupportsFloat) and not isinstance(number, bool) else number


def _columns(given: Any) -> Any:
    """Return columns with their directions as plain values; what are none is refused with the settings."""
    return {name: _plain(sign) for name, sign in given.items()} if isinstance(given, Mapping) else given


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
