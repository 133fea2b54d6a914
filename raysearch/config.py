"""YAML, ``--set`` and flags become one frozen Config, or one ConfigError that lists everything wrong."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from raysearch.errors import ConfigError, Problems, listing, nearest
from raysearch.shipped import shipped

DEFAULT_EXPERIMENT = "nav_baseline"
MODELS = ("lightgbm", "xgboost", "both")
TRANSFORMS = ("none", "log", "log1p", "asinh")
SPLITS = ("auto", "random", "time", "group")
SCHEDULERS = ("asha", "median", "none")
ENGINES = ("ray", "inline")


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


@dataclass(frozen=True)
class SplitConfig:
    by: str
    test_size: float
    valid_size: float
    purge: int


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


@dataclass(frozen=True)
class ComputeConfig:
    address: str | None
    cpus_per_trial: int
    gpus_per_trial: float
    max_concurrent: int | None
    engine: str


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
    for layer in (_read_file(file, problems), _parse_settings(settings, problems), _drop_none(flags or {})):
        _overlay(given, layer)
    own_table = in_memory or any(given.get("data", {}).get(key) is not None for key in ("path", "builtin"))
    merged = _read_yaml(shipped("config") / "default.yaml", problems)
    if not own_table:
        _overlay(
            merged, _read_yaml(shipped("config") / "experiments" / f"{DEFAULT_EXPERIMENT}.yaml", problems)
        )
    _overlay(merged, given, problems)
    search = given.get("search", {})
    if search.get("time_budget_s") is not None and "trials" not in search:
        merged["search"]["trials"] = None  # who gives only a time wants as many trials as it allows
    return make_config(merged, problems, in_memory=in_memory)


def make_config(
    sections: Mapping[str, Mapping[str, Any]], problems: Problems | None = None, *, in_memory: bool = False
) -> Config:
    """Turn complete plain sections (``Config.to_dict``) into a checked Config."""
    problems = problems or Problems("config")
    hints = typing.get_type_hints(Config)
    parts: dict[str, Any] = {}
    for section, kind in hints.items():
        fields = typing.get_type_hints(kind)
        values = {k: _coerce(f"{section}.{k}", sections[section][k], t, problems) for k, t in fields.items()}
        parts[section] = kind(**values)
    problems.raise_as(ConfigError)
    config = Config(**parts)
    _check_values(config, problems, in_memory)
    problems.raise_as(ConfigError)
    return config


def _drop_none(flags: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {section: {k: v for k, v in part.items() if v is not None} for section, part in flags.items()}


def _read_file(file: str | Path | None, problems: Problems) -> dict[str, dict[str, Any]]:
    if file is None:
        return {}
    path = Path(file)
    names = {
        p.stem: p for p in [*shipped("config").glob("*.yaml"), *shipped("config").glob("experiments/*.yaml")]
    }
    if not path.is_file():
        if str(file) not in names:
            problems.add(
                f"no config file '{file}'; give a YAML file or one of the shipped {listing(sorted(names))}"
                + nearest(str(file), names)
            )
            return {}
        path = names[str(file)]
    return _read_yaml(path, problems)


def _read_yaml(path: Path, problems: Problems) -> dict[str, dict[str, Any]]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.add(f"{path} is not valid YAML: {' '.join(str(error).split())}")
        return {}
    if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
        problems.add(f"{path}: expected sections with keys below them, as in config/default.yaml")
        return {}
    return content


def _parse_settings(settings: typing.Sequence[str], problems: Problems) -> dict[str, dict[str, Any]]:
    parsed: dict[str, dict[str, Any]] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        section, dot, key = name.strip().partition(".")
        if not (equals and dot):
            problems.add(f"--set {setting}: expected section.key=value, e.g. --set search.trials=50")
            continue
        try:
            parsed.setdefault(section, {})[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            problems.add(f"--set {setting}: the value is not valid YAML")
    return parsed


def _overlay(
    base: dict[str, dict[str, Any]], layer: Mapping[str, Mapping[str, Any]], problems: Problems | None = None
) -> None:
    """Write ``layer`` over ``base``; with ``problems``, only what ``base`` knows is let in."""
    for section, values in layer.items():
        if problems and section not in base:
            problems.add(f"unknown section '{section}'{nearest(section, base)} (known: {listing(base)})")
            continue
        for key, value in values.items():
            if problems and key not in base[section]:
                known = [f"{s}.{k}" for s, part in base.items() for k in part]
                elsewhere = [name for name in known if name.endswith(f".{key}")]
                hint = (
                    f"; did you mean '{elsewhere[0]}'?" if elsewhere else nearest(f"{section}.{key}", known)
                )
                problems.add(
                    f"unknown key '{section}.{key}'{hint} (known in {section}: {listing(base[section])})"
                )
                continue
            base.setdefault(section, {})[key] = value


def _coerce(name: str, value: Any, kind: Any, problems: Problems) -> Any:
    """Return ``value`` as the annotated ``kind``, or note what would be right."""
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if value is None and type(None) in options:
        return None
    wanted = next(option for option in options if option is not type(None))
    if typing.get_origin(wanted) is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_coerce(name, item, typing.get_args(wanted)[0], problems) for item in items)
    if wanted is bool and isinstance(value, bool):
        return value
    if (
        wanted is int
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and value == int(value)
    ):
        return int(value)
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if wanted is str and isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    problems.add(f"{name}: got {value!r}, must be {words[wanted]}")
    return None


def _check_values(config: Config, problems: Problems, in_memory: bool) -> None:
    _check_data(config.data, problems, in_memory)
    _check_split(config, problems)
    _check_search(config.search, problems)
    compute = config.compute
    if compute.cpus_per_trial < 1:
        problems.add(f"compute.cpus_per_trial: got {compute.cpus_per_trial}, must be at least 1")
    if compute.gpus_per_trial < 0:
        problems.add(f"compute.gpus_per_trial: got {compute.gpus_per_trial}, must not be negative")
    if compute.gpus_per_trial > 0 and config.search.model != "xgboost":
        problems.add("compute.gpus_per_trial: only --model xgboost trains on a GPU")
    if compute.max_concurrent is not None and compute.max_concurrent < 1:
        problems.add(f"compute.max_concurrent: got {compute.max_concurrent}, must be at least 1")
    _check_choice("compute.engine", compute.engine, ENGINES, problems)
    name = config.study.name
    if name is not None and not is_study_name(name):
        problems.add(
            f"study.name: got {name!r}, must be 1 to 100 letters, digits, '-', '_' or '.', beginning with a letter or digit"
        )
    if "://" in config.study.home and not config.study.ledger:
        problems.add(
            f"study.ledger: home is the address {config.study.home}, which cannot hold a journal file; "
            "give a database, e.g. --ledger postgresql+psycopg://user@host/db"
        )


def is_study_name(name: str) -> bool:
    """Tell whether ``name`` can be a study's name: it becomes a directory and must not leave its home."""
    allowed = all(letter.isalnum() or letter in "-_." for letter in name)
    return 1 <= len(name) <= 100 and allowed and name[0].isalnum()


def _check_choice(name: str, value: str, known: typing.Sequence[str], problems: Problems) -> None:
    if value not in known:
        problems.add(f"{name}: got {value!r}, must be one of {listing(known)}{nearest(value, known)}")


def _check_data(data: DataConfig, problems: Problems, in_memory: bool) -> None:
    if data.path and data.builtin:
        problems.add("data.path and data.builtin: both are given, name one")
    if (data.path or in_memory) and not data.target:
        problems.add("data.target: name the column to forecast, e.g. --target demand")
    _check_choice("data.transform", data.transform, TRANSFORMS, problems)
    if data.anchor and data.transform != "log":
        problems.add(f"data.anchor: needs transform 'log', got {data.transform!r}")
    for role in ("target", "time"):
        column = getattr(data, role)
        if column is not None and role == "target" and column in data.drop:
            problems.add(f"data.drop: {column!r} is the target")
    if data.features is not None and data.target in data.features:
        problems.add(f"data.features: {data.target!r} is the target and cannot be a feature")
    if data.target is not None and data.target in (data.group, data.time):
        problems.add(f"data.target: {data.target!r} is also the group or time column")


def _check_split(config: Config, problems: Problems) -> None:
    split, data = config.split, config.data
    _check_choice("split.by", split.by, SPLITS, problems)
    if not 0 <= split.test_size < 1:
        problems.add(f"split.test_size: got {split.test_size}, must be at least 0 and below 1")
    if not 0 < split.valid_size < 1:
        problems.add(f"split.valid_size: got {split.valid_size}, must be above 0 and below 1")
    if split.purge < 0:
        problems.add(f"split.purge: got {split.purge}, must not be negative")
    if split.by == "time" and not data.time:
        problems.add("split.by: 'time' needs the column that orders the rows, e.g. --time date")
    if split.by == "group" and not data.group:
        problems.add("split.by: 'group' needs the group column, e.g. --group store")
    if split.purge and split.by not in ("time", "auto"):
        problems.add(f"split.purge: only a split by time can be purged, got split.by {split.by!r}")


def _check_search(search: SearchConfig, problems: Problems) -> None:
    _check_choice("search.model", search.model, MODELS, problems)
    _check_choice("search.scheduler", search.scheduler, SCHEDULERS, problems)
    check_levels(search.levels, problems)
    if search.trials is None and search.time_budget_s is None:
        problems.add("search.trials: give a number of trials, a time budget, or both")
    if search.trials is not None and search.trials < 1:
        problems.add(f"search.trials: got {search.trials}, must be at least 1")
    if search.time_budget_s is not None and search.time_budget_s <= 0:
        problems.add(f"search.time_budget_s: got {search.time_budget_s}, must be above 0")
    if search.patience is not None and search.patience < 1:
        problems.add(f"search.patience: got {search.patience}, must be at least 1")
    if not 0 <= search.seed < 2**31:
        problems.add(f"search.seed: got {search.seed}, must be from 0 to 2147483647")


def check_levels(levels: typing.Sequence[float], problems: Problems) -> None:
    """Note levels that are outside (0, 1), doubled or out of order."""
    told = ", ".join(f"{level:g}" for level in levels)
    if not levels:
        problems.add("search.levels: got none, give at least one, e.g. 0.05,0.5,0.95")
    outside = [level for level in levels if not 0 < level < 1]
    if outside:
        problems.add(f"search.levels: got {told}; each must lie between 0 and 1, both excluded")
    elif len(set(levels)) < len(levels):
        problems.add(f"search.levels: got {told}; a level stands twice")
    elif list(levels) != sorted(levels):
        right = ",".join(f"{level:g}" for level in sorted(levels))
        problems.add(f"search.levels: got {told}; must be in rising order: {right}")
