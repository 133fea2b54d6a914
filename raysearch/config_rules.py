"""The values of settings that make sense, alone and together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from raysearch.addresses import hide_secrets
from raysearch.config_kinds import told_value
from raysearch.errors import Problems, listing, nearest
from raysearch.objectives import parse_objectives, unmet
from raysearch.pareto import parse_pick

if TYPE_CHECKING:
    from raysearch.config import ComputeConfig, Config, DataConfig, SearchConfig, StudyConfig

MODELS = ("lightgbm", "xgboost", "both")
TRANSFORMS = ("auto", "none", "log", "log1p", "asinh", "change")
SPLITS = ("auto", "random", "time", "group")
WINDOWS = ("expanding", "sliding", "both")
SCHEDULERS = ("asha", "median", "none")
SAMPLERS = ("tpe", "random")
WARM_STARTS = ("off", "auto")
CALIBRATIONS = ("auto", "marginal", "steady", "width", "group", "time", "none")
ENGINES = ("ray", "inline")
LEDGER_VARIABLE = "RAYSEARCH_LEDGER"  # the ledger's address, where it must not be kept or shown

_NAME_BYTES = 150  # file systems allow 255; endings and temporary names are added


def check_values(config: Config, problems: Problems, in_memory: bool) -> None:
    """Note every value that makes no sense.

    Args:
        in_memory: the table is handed over as an object, so that no path is needed.
    """
    _check_data(config.data, problems, in_memory)
    _check_monotone(config, problems)
    _check_split(config, problems)
    _check_search(config.search, problems)
    _check_compute(config.compute, config.search.model, problems)
    _check_study(config.study, problems)
    if config.search.warm_start == "auto" and not config.tracking.enabled:
        problems.add(
            "search.warm_start: 'auto' looks for earlier studies in the MLflow store, and without a record "
            "there is none; leave out --no-tracking, or --warm-start"
        )


def _check_study(study: StudyConfig, problems: Problems) -> None:
    if study.name is not None and not is_study_name(study.name):
        problems.add(
            f"study.name: got {told_value(study.name)}, must be 1 to 100 letters, digits, '-', '_' or '.', "
            "beginning with a letter or digit"
        )
    if not study.home:
        problems.add("study.home: got '', must be a directory or an address")
    if "://" in study.home and not ledger_of(study):
        problems.add(
            f"study.ledger: home is the address {hide_secrets(study.home)}, which cannot hold a journal "
            f"file; give a database, e.g. --ledger postgresql+psycopg://user@host/db, or {LEDGER_VARIABLE}"
        )


def ledger_of(study: StudyConfig) -> str | None:
    """Return the database that a study's trials are written to; None: a file of the study's own."""
    return study.ledger or os.environ.get(LEDGER_VARIABLE) or None


def is_study_name(name: str) -> bool:
    """Tell whether ``name`` can be a study's name: it becomes a directory and must not leave its home."""
    allowed = all(letter.isalnum() or letter in "-_." for letter in name)
    short = 1 <= len(name) <= 100 and len(name.encode(errors="replace")) <= _NAME_BYTES
    return short and allowed and name[0].isalnum()


def _check_choice(name: str, value: str, known: Sequence[str], problems: Problems) -> None:
    if value not in known:
        problems.add(
            f"{name}: got {told_value(value)}, must be one of {listing(known)}{nearest(value, known)}"
        )


def _check_compute(compute: ComputeConfig, model: str, problems: Problems) -> None:
    _check_choice("compute.engine", compute.engine, ENGINES, problems)
    if compute.cpus_per_trial < 1:
        problems.add(f"compute.cpus_per_trial: got {compute.cpus_per_trial}, must be at least 1")
    if compute.workers_per_trial < 1:
        problems.add(f"compute.workers_per_trial: got {compute.workers_per_trial}, must be at least 1")
    if compute.workers_per_trial > 1 and compute.engine == "inline":
        problems.add("compute.workers_per_trial: several workers a trial need Ray; leave out --engine inline")
    if compute.gpus_per_trial < 0:
        problems.add(f"compute.gpus_per_trial: got {compute.gpus_per_trial}, must not be negative")
    if compute.gpus_per_trial > 0 and model != "xgboost":
        problems.add("compute.gpus_per_trial: only --model xgboost trains on a GPU")
    if compute.max_concurrent is not None and compute.max_concurrent < 1:
        problems.add(f"compute.max_concurrent: got {compute.max_concurrent}, must be at least 1")
    if compute.trial_timeout_s is not None and compute.trial_timeout_s <= 0:
        problems.add(f"compute.trial_timeout_s: got {compute.trial_timeout_s}, must be above 0")
    if compute.checkpoint_after_s < 0:
        problems.add(f"compute.checkpoint_after_s: got {compute.checkpoint_after_s}, must not be negative")
    if compute.wait_for_nodes_s < 0:
        problems.add(f"compute.wait_for_nodes_s: got {compute.wait_for_nodes_s}, must not be negative")


def _check_data(data: DataConfig, problems: Problems, in_memory: bool) -> None:
    if data.path and data.builtin:
        problems.add("data.path and data.builtin: both are given, name one")
    if (data.path or data.builtin or in_memory) and not data.target:
        problems.add("data.target: name the column to forecast, e.g. --target demand")
    _check_choice("data.transform", data.transform, TRANSFORMS, problems)
    if data.lower is not None and data.upper is not None and data.lower >= data.upper:
        problems.add(f"data.lower: got {data.lower:g}, must be below data.upper, {data.upper:g}")
    if data.anchor and data.transform not in ("log", "change"):
        problems.add(f"data.anchor: needs transform 'log' or 'change', got {data.transform!r}")
    if data.transform == "change" and not data.anchor and data.horizon is None:
        problems.add("data.transform: 'change' needs --horizon, or --anchor with the column to start from")
    if data.target is None:
        return
    if data.target in data.drop:
        problems.add(f"data.drop: {data.target!r} is the target")
    if data.features is not None and data.target in data.features:
        problems.add(f"data.features: {data.target!r} is the target and cannot be a feature")
    for role in ("group", "time", "anchor", "weight"):
        if getattr(data, role) == data.target:
            problems.add(f"data.{role}: {data.target!r} is the target and cannot be the {role} column too")
    if data.features is not None and data.weight in data.features:
        problems.add(f"data.features: {data.weight!r} holds the row weights and cannot be a feature")


def _check_monotone(config: Config, problems: Problems) -> None:
    data = config.data
    if data.monotone and config.search.model != "lightgbm":
        problems.add(
            "data.monotone: XGBoost sets the values of leaves anew after it has seen to the constraint, so "
            "that forecasts would fall where they must rise; use --model lightgbm"
        )
    for column, sign in data.monotone.items():
        name = f"data.monotone: {column!r}"
        if sign not in (-1, 1):
            problems.add(f"{name}: got {sign}, must be 1 (rises) or -1 (falls); leave out what is free")
        if column in (data.target, data.weight):
            problems.add(f"{name} is the {'target' if column == data.target else 'row weight'}, no feature")
        elif column in data.drop:
            problems.add(f"{name} is dropped; take it out of data.drop or data.monotone")
        elif data.features is not None and column not in data.features:
            problems.add(f"{name} is not among data.features{nearest(column, data.features)}")
        if column == data.group and config.search.calibrate == "group":
            problems.add(f"{name}: offsets by group move its forecasts apart; use --calibrate marginal")
        if column == data.anchor and sign == -1:
            problems.add(f"{name} is the anchor: forecasts are growth times it, and cannot fall with it")


def _check_split(config: Config, problems: Problems) -> None:
    split, data = config.split, config.data
    _check_choice("split.by", split.by, SPLITS, problems)
    if not 0 <= split.test_size < 1:
        problems.add(f"split.test_size: got {split.test_size}, must be at least 0 and below 1")
    if not 0 < split.valid_size < 1:
        problems.add(f"split.valid_size: got {split.valid_size}, must be above 0 and below 1")
    if split.cv is not None and not 1 <= split.cv <= 20:
        problems.add(f"split.cv: got {split.cv}, must be from 1 (a single validation part) to 20 folds")
    if split.purge < 0:
        problems.add(f"split.purge: got {split.purge}, must not be negative")
    _check_window(config, problems)
    if config.search.calibrate == "group" and not data.group:
        problems.add("search.calibrate: 'group' needs the group column, e.g. --group store")
    kind = config.search.calibrate
    if kind in ("steady", "width", "time") and not data.time:
        problems.add(f"search.calibrate: {kind!r} needs the column that orders the rows, e.g. --time date")
    elif kind in ("steady", "width", "time") and not config.by_time:
        problems.add(
            f"search.calibrate: {kind!r} needs rows that are split in order of time, not by {split.by!r}; "
            "leave --split out, or use --calibrate marginal"
        )
    if split.by == "time" and not data.time:
        problems.add("split.by: 'time' needs the column that orders the rows, e.g. --time date")
    if split.by == "group" and not data.group:
        problems.add("split.by: 'group' needs the group column, e.g. --group store")
    if split.purge > 0 and split.by in ("random", "group"):
        problems.add(f"split.purge: only a split by time can be purged, got split.by {split.by!r}")
    if split.purge > 0 and split.by == "auto" and not data.time:
        problems.add("split.purge: only a split by time can be purged; name its column, e.g. --time date")


def _check_window(config: Config, problems: Problems) -> None:
    split = config.split
    if split.window not in WINDOWS and not window_steps(split.window):
        near = nearest(split.window, WINDOWS)
        told = f"must be one of {listing(WINDOWS)}, or a number of time steps, e.g. 365{near}"
        problems.add(f"split.window: got {told_value(split.window)}, {told}")
    if split.embargo < 0:
        problems.add(f"split.embargo: got {split.embargo}, must not be negative")
    if split.window == "both" and split.cv == 1:
        problems.add("split.window: 'both' needs folds to learn from the rows around, e.g. --cv 5")
    for key, asked in (("window", split.window != "expanding"), ("embargo", split.embargo > 0)):
        if asked and not config.by_time:
            problems.add(f"split.{key}: only a split by time has one; name its column, e.g. --time date")


def window_steps(window: str) -> int | None:
    """Return the time steps of a window that is given by its length; None for another one."""
    return int(window) if window.isascii() and window.isdigit() and int(window) > 0 else None


def _check_search(search: SearchConfig, problems: Problems) -> None:
    _check_choice("search.model", search.model, MODELS, problems)
    _check_choice("search.scheduler", search.scheduler, SCHEDULERS, problems)
    _check_choice("search.sampler", search.sampler, SAMPLERS, problems)
    _check_choice("search.warm_start", search.warm_start, WARM_STARTS, problems)
    _check_choice("search.calibrate", search.calibrate, CALIBRATIONS, problems)
    check_levels(search.levels, problems)
    _check_objective(search, problems)
    if search.trials is None and search.time_budget_s is None:
        problems.add("search.trials: give a number of trials, a time budget, or both")
    if search.trials is not None and search.trials < 1:
        problems.add(f"search.trials: got {search.trials}, must be at least 1")
    if search.time_budget_s is not None and search.time_budget_s <= 0:
        problems.add(f"search.time_budget_s: got {search.time_budget_s}, must be above 0")
    if search.patience is not None and search.patience < 1:
        problems.add(f"search.patience: got {search.patience}, must be at least 1")
    if not 1 <= search.ensemble <= 50:
        problems.add(f"search.ensemble: got {search.ensemble}, must be from 1 (the best trial) to 50 trials")
    if search.max_predict_ms is not None and search.max_predict_ms <= 0:
        problems.add(f"search.max_predict_ms: got {search.max_predict_ms}, must be above 0")
    if not 0 <= search.seed < 2**31:
        problems.add(f"search.seed: got {search.seed}, must be from 0 to 2147483647")


def _check_objective(search: SearchConfig, problems: Problems) -> None:
    try:
        objectives = parse_objectives(search.objective)
    except ValueError as error:
        problems.add(f"search.objective: {error}")
        return
    if search.levels and (reason := unmet(objectives, search.levels)):
        problems.add(f"search.objective: {reason}")
    if search.pick is None:
        return
    if len(objectives) == 1:
        problems.add(
            f"search.pick: got {told_value(search.pick)}, but a single objective has a best trial; give "
            "several, e.g. --objective pinball,coverage_gap"
        )
        return
    try:
        parse_pick(search.pick, [objective.word for objective in objectives])
    except ValueError as error:
        problems.add(f"search.pick: {error}")


def check_levels(levels: Sequence[float], problems: Problems) -> None:
    """Note levels that are outside (0, 1), doubled or out of order; they are told apart by ten digits."""
    told = ", ".join(f"{level:.10g}" for level in levels)
    rounded = [round(level, 10) for level in levels]
    if not levels:
        problems.add("search.levels: got none, give at least one, e.g. 0.05,0.5,0.95")
    if not all(0 < level < 1 for level in rounded):
        problems.add(f"search.levels: got {told}; each must lie between 0 and 1, both excluded")
    elif len(set(rounded)) < len(levels):
        problems.add(f"search.levels: got {told}; a level stands twice")
    elif list(levels) != sorted(levels):
        right = ",".join(f"{level:.10g}" for level in sorted(levels))
        problems.add(f"search.levels: got {told}; must be in rising order: {right}")
