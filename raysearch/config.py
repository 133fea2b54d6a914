"""YAML, ``--set`` and flags become one frozen Config, or one ConfigError that lists everything wrong."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysearch.config_kinds import coerce
from raysearch.config_layers import given_flags, overlay, parse_settings, read_file, read_layer
from raysearch.config_rules import (
    ENGINES,
    MODELS,
    SAMPLERS,
    SCHEDULERS,
    SPLITS,
    TRANSFORMS,
    check_levels,
    check_values,
    is_study_name,
    window_steps,
)
from raysearch.config_series import check_series, settled
from raysearch.errors import ConfigError, Problems
from raysearch.objectives import Objective, parse_objectives
from raysearch.pareto import Pick, parse_pick
from raysearch.shipped import shipped

__all__ = [
    "ENGINES",
    "MODELS",
    "SAMPLERS",
    "SCHEDULERS",
    "SPLITS",
    "TRANSFORMS",
    "ComputeConfig",
    "Config",
    "DataConfig",
    "SearchConfig",
    "SplitConfig",
    "StudyConfig",
    "TrackingConfig",
    "check_levels",
    "is_study_name",
    "load_config",
    "make_config",
    "window_steps",
]

DEFAULT_EXPERIMENT = "nav_baseline"


@dataclass(frozen=True)
class StudyConfig:
    name: str | None
    home: str
    ledger: str | None


@dataclass(frozen=True)
class DataConfig:
    path: str | None
    builtin: str | None
    target: str | None
    group: str | None
    time: str | None
    test_path: str | None
    features: tuple[str, ...] | None
    drop: tuple[str, ...]
    transform: str
    anchor: str | None
    monotone: Mapping[str, int]
    weight: str | None
    lower: float | None
    upper: float | None
    strict: bool
    horizon: int | None = None
    lags: tuple[int, ...] = ()
    windows: tuple[int, ...] = ()
    frequency: str | None = None
    past: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitConfig:
    by: str
    test_size: float
    valid_size: float
    purge: int
    cv: int | None = None
    window: str = "expanding"
    embargo: int = 0


@dataclass(frozen=True)
class SearchConfig:
    model: str
    space: str | None
    levels: tuple[float, ...]
    trials: int | None
    time_budget_s: float | None
    patience: int | None
    scheduler: str
    seed: int
    refit: bool
    calibrate: str
    ensemble: int = 8
    max_predict_ms: float | None = None
    objective: str = "pinball"
    pick: str | None = None
    sampler: str = "tpe"
    warm_start: str = "off"


@dataclass(frozen=True)
class ComputeConfig:
    address: str | None
    cpus_per_trial: int
    gpus_per_trial: float
    max_concurrent: int | None
    engine: str
    trial_timeout_s: float | None = None
    checkpoint_after_s: float = 60.0
    wait_for_nodes_s: float = 600.0
    workers_per_trial: int = 1

    @property
    def cores_of_trial(self) -> int:
        """Cores of all workers of a trial."""
        return self.cpus_per_trial * self.workers_per_trial


@dataclass(frozen=True)
class TrackingConfig:
    enabled: bool
    uri: str | None
    experiment: str


@dataclass(frozen=True)
class Config:
    """All settings of a study, checked. ``config/default.yaml`` says what each one means."""

    study: StudyConfig
    data: DataConfig
    split: SplitConfig
    search: SearchConfig
    compute: ComputeConfig
    tracking: TrackingConfig

    @property
    def calibration(self) -> str:
        """How quantiles are calibrated, "auto" decided.

        In time the errors of one stretch may be turned round in the next, even where all stretches of the
        past agree (a season that none of them holds): a shift widens, and shifts nothing.
        """
        if self.search.calibrate != "auto":
            return self.search.calibrate
        return "width" if self.by_time else "marginal"

    @property
    def by_time(self) -> bool:
        """Whether the rows are split in order of time."""
        return self.split.by == "time" or (self.split.by == "auto" and self.data.time is not None)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What trials are scored by, the first one first."""
        return parse_objectives(self.search.objective)

    @property
    def pick(self) -> Pick | None:
        """How the model is chosen from the front of several objectives; None: there is one objective."""
        words = [objective.word for objective in self.objectives]
        return parse_pick(self.search.pick, words) if len(words) > 1 else None

    @property
    def early_stopping(self) -> str:
        """The scheduler; "none" with several objectives: no single number tells which trials trail."""
        return self.search.scheduler if len(self.objectives) == 1 else "none"

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return plain sections of plain values, fit for YAML, JSON and ``make_config``."""
        return {
            section: {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
            for section, values in dataclasses.asdict(self).items()
        }

    def replace(self, section: str, **changes: Any) -> Config:
        """Return a copy with ``changes`` in one section."""
        part = dataclasses.replace(getattr(self, section), **changes)
        return dataclasses.replace(self, **{section: part})


def load_config(
    file: str | Path | None = None,
    *,
    settings: typing.Sequence[str] = (),
    flags: Mapping[str, Mapping[str, Any]] | None = None,
    in_memory: bool = False,
) -> Config:
    """Merge the defaults, ``file``, ``section.key=value`` settings and ``flags``, and check the whole.

    Without a table of the user's own the experiment ``nav_baseline`` is what runs.

    Args:
        file: a YAML file, or the name of a shipped one (``mlflow``, ``nav_baseline``).
        settings: the ``--set`` words.
        flags: by section; a value of None means that the flag was not given.
        in_memory: the table is handed over as an object, so that no path is needed.

    Raises:
        ConfigError: with all problems at once.
    """
    problems = Problems("config")
    given: dict[str, dict[str, Any]] = {}
    for layer in (
        read_file(file, problems),
        parse_settings(settings, _kinds(), problems),
        given_flags(flags or {}),
    ):
        overlay(given, layer)
    own_table = in_memory or any(given.get("data", {}).get(key) is not None for key in ("path", "builtin"))
    merged: dict[str, dict[str, Any]] = {}
    if not own_table:
        overlay(merged, read_file(DEFAULT_EXPERIMENT, problems))
    overlay(merged, given)
    search = given.get("search", {})
    budget = search.get("time_budget_s")
    if isinstance(budget, int | float) and math.isfinite(budget) and "trials" not in search:
        # Who gives only a time wants as many trials as it allows.
        merged["search"]["trials"] = None
    return make_config(merged, problems, in_memory=in_memory)


def make_config(
    sections: Mapping[str, Mapping[str, Any]], problems: Problems | None = None, *, in_memory: bool = False
) -> Config:
    """Turn plain sections (``Config.to_dict``) into a checked Config; a setting not given has its default.

    Raises:
        ConfigError: with all problems at once.
    """
    problems = problems or Problems("config")
    defaults = read_layer(shipped("config") / "default.yaml", problems)
    merged = {section: dict(values) for section, values in defaults.items()}
    overlay(merged, sections, problems)
    if merged["search"]["warm_start"] is False:
        merged["search"]["warm_start"] = "off"  # as YAML reads the word
    parts: dict[str, Any] = {}
    broken = []
    for section, kind in typing.get_type_hints(Config).items():
        values: dict[str, Any] = {}
        for key, annotation in typing.get_type_hints(kind).items():
            name, before = f"{section}.{key}", len(problems.found)
            values[key] = coerce(name, merged[section][key], annotation, problems)
            if len(problems.found) > before:
                # The default takes its place, so that all else can still be checked and told at once.
                values[key] = coerce(name, defaults[section][key], annotation, problems)
                broken.append(f"{name}:")
        parts[section] = kind(**values)
    config = Config(**parts)
    wrong = Problems(problems.about)
    check_values(config, wrong, in_memory)
    check_series(config, wrong)
    problems.found.extend(text for text in wrong.found if not text.startswith(tuple(broken)))
    problems.raise_as(ConfigError)
    return settled(config)


def _kinds() -> dict[str, dict[str, Any]]:
    return {section: typing.get_type_hints(kind) for section, kind in typing.get_type_hints(Config).items()}
