"""Everything that ``tune`` does before it computes, and what it would take."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from raysearch.config import Config
from raysearch.data import prepare
from raysearch.flow.choosing import refuse_number
from raysearch.flow.places import knock, with_ledger
from raysearch.flow.space import suited
from raysearch.models import TUNABLE
from raysearch.records import DataQuality, DatasetFacts
from raysearch.space import SearchSpace, load_space
from raysearch.study.home import Home
from raysearch.tracking import resolve_uri

# Measured on two cores with trials of the default spaces: nanoseconds of one core for each row, feature,
# level and boosting round. Wide and deep parameters take longer, early stopping makes it shorter: an order of
# magnitude.
_NS = {"lightgbm": 7.0, "xgboost": 25.0}
_WORKER_MB = 400.0  # a warm worker before it holds any data


@dataclass(frozen=True)
class Plan:
    """What a study would run.

    Attributes:
        slots: trials at once, as far as it is known before a cluster answers.
        seconds: likely seconds of the search, to an order of magnitude; the time budget where
            that is shorter.
        memory_gb: likely peak of all workers of this machine together.
    """

    facts: DatasetFacts
    quality: DataQuality
    features: tuple[str, ...]
    space: SearchSpace
    slots: int
    seconds: float
    memory_gb: float
    tracking_uri: str | None


def check(config: Config, table: Any = None) -> Plan:
    """Validate settings, space, data and addresses as ``tune`` would, and return what would run.

    Raises:
        RaysearchError: as ``tune`` would.
    """
    refuse_number(config)
    space = load_space(config.search.model, config.search.space)
    knock(with_ledger(config))
    Home(config.study.home).check_free(config.study.name)
    dataset = prepare(config, table)
    space = suited(config, space, dataset)
    slots = _slots(config)
    learnt = sum(stop - start for fold in dataset.fits for start, stop in fold.train)
    cells = learnt * len(dataset.encoder.names)
    return Plan(
        facts=dataset.facts,
        quality=dataset.quality,
        features=tuple(dataset.encoder.names),
        space=space,
        slots=slots,
        seconds=_seconds(config, space, cells, slots),
        memory_gb=_memory_gb(dataset.table.nbytes, cells, slots, len(config.search.levels)),
        tracking_uri=resolve_uri(config.tracking),
    )


def _slots(config: Config) -> int:
    if config.compute.engine == "inline":
        return 1
    slots = max(1, (os.cpu_count() or 1) // config.compute.cores_of_trial)
    return min(slots, config.compute.max_concurrent or slots)


def _seconds(config: Config, space: SearchSpace, cells: int, slots: int) -> float:
    search = config.search
    trial = 0.0
    for part in space.spaces:
        rounds = space.max_rounds / 2 if space.max_rounds else TUNABLE[part.model].rounds_of({})
        trial += _NS[part.model] * 1e-9 * cells * rounds * len(search.levels) / len(space.spaces)
    trial /= config.compute.cores_of_trial
    share = 0.6 if config.early_stopping == "asha" else 1.0
    total = trial * share * (search.trials or 1e9) / slots
    return min(total, search.time_budget_s or float("inf"))


def _memory_gb(table_bytes: int, cells: int, slots: int, levels: int) -> float:
    # One byte a binned value, gradients and scores of each level, and the workers themselves.
    worker = cells * 1.5 + cells / 10 * 24 * levels
    return (table_bytes + slots * (worker + _WORKER_MB * 2**20)) / 2**30
