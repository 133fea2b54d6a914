"""Small studies for the tests of this room: a table, a space, and trials whose scores are made up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from raysearch.calibration import make_folds
from raysearch.config import ComputeConfig
from raysearch.data import Transform
from raysearch.models import FitSettings
from raysearch.recipe import Recipe
from raysearch.records import FoldRows, Rung, TrialResult
from raysearch.reports import Report
from raysearch.space import SearchSpace
from raysearch.space.read import load_space, parse_space
from raysearch.study.conductor import Conductor, Limits
from raysearch.study.kept import KeptModels
from raysearch.study.ledger import Ledger, open_storage
from raysearch.study.sampler import make_sampler
from raysearch.trial import TrialSpec

SMALL = {
    "model": "lightgbm",
    "parameters": {
        "num_leaves": {"type": "int", "low": 3, "high": 8},
        "learning_rate": {"type": "float", "low": 0.01, "high": 0.3, "log": True},
        "num_boost_round": {"type": "int", "low": 4, "high": 40},
    },
}


def small_space(**parameters: Any) -> SearchSpace:
    return SearchSpace((parse_space({**SMALL, "parameters": {**SMALL["parameters"], **parameters}}),))


def both_spaces() -> SearchSpace:
    return load_space("both")


def small_job(rows: int = 240) -> tuple[pa.Table, Recipe]:
    random = np.random.default_rng(7)
    x = random.normal(size=(rows, 2))
    y = x[:, 0] + 0.3 * random.normal(size=rows)
    table = pa.table({"f0": x[:, 0], "f1": x[:, 1], "target": y})
    third = rows // 3
    recipe = Recipe(
        (False, False),
        (FoldRows(((0, 2 * third),), (2 * third, rows)),),
        Transform(),
        FitSettings((0.1, 0.5, 0.9)),
        make_folds(rows - 2 * third),
    )
    return table, recipe


class Watching:
    """A watcher that writes down all it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def trial_started(self, number: int, key: str, model: str, params: Any) -> None:
        self.told.append(("started", key))

    def trial_ended(self, result: TrialResult) -> None:
        self.told.append((result.state, result.key))

    def trial_interrupted(self, key: str) -> None:
        self.told.append(("interrupted", key))


def open_ledger(place: Path, space: SearchSpace, seed: int = 0, database: str | None = None) -> Ledger:
    """Open a study's ledger as the product does, after a kill too."""
    ledger = Ledger.open(open_storage(place / "ledger.log", database), "made-up", space)
    ledger.use_sampler(make_sampler(space, seed, ledger.begun))
    ledger.release_lost()
    return ledger


def limits(trials: int | None = None, **others: Any) -> Limits:
    settings = {"deadline_s": None, "patience": None, "scheduler": "none", "max_rounds": 40}
    settings |= {"last_words_s": 2.0, **others}
    return Limits(trials=trials, **settings)


def begin(
    place: Path, asked: Limits, space: SearchSpace | None = None, seed: int = 0, database: Any = None
) -> Any:
    """Return a study that is ready to run: space, ledger, conductor, watcher, kept models."""
    space = space or small_space()
    ledger = open_ledger(place, space, seed, database)
    watcher = Watching()
    kept = KeptModels(place / "kept")
    conductor = Conductor(ledger, asked, kept, (watcher,))
    return SimpleNamespace(space=space, ledger=ledger, conductor=conductor, watcher=watcher, kept=kept)


def propose(study: Any) -> TrialSpec:
    """Open the next trial of a study, as an engine does."""
    trial = study.ledger.ask()
    spec = study.conductor.start(trial, study.space.suggest(trial))
    study.conductor.started(spec.key)
    return spec


def rung(step: int, score: float) -> Rung:
    return Rung(step, score, {"valid_pinball_loss_avg": score})


def finish(study: Any, score: float, *steps: int) -> str:
    """Run the next trial to its end with one score; return its key."""
    spec = propose(study)
    for step in steps:
        assert study.conductor.reached(spec.key, rung(step, score))
    study.conductor.finished(spec.key, rung(spec.rungs[-1], score))
    return spec.key


def made_up_reports(score: Callable[[TrialSpec, int], float]) -> Callable[..., Iterator[Report]]:
    """Return a stand-in for ``reports``: it trains nothing, and ``score`` may raise."""

    def reports(spec: TrialSpec, bench: Any, given_up: Any = None) -> Iterator[Report]:
        try:
            for step in spec.rungs:
                found = rung(step, score(spec, step))
                final = step == spec.rungs[-1]
                keep = final and (spec.default or found.score < spec.bar)
                yield Report(found, final, {"model.txt": spec.key.encode()} if keep else None)
        except Exception as error:
            yield Report(failure=f"{type(error).__name__}: {error}")

    return reports


def by_rate(spec: TrialSpec, step: int) -> float:
    """Return a made-up score: best at a learning rate of 0.05, and a little better with every round."""
    return abs(math.log(spec.fit_params["learning_rate"] / 0.05)) + 1 / step


def compute(slots: int | None = None) -> ComputeConfig:
    return ComputeConfig(address=None, cpus_per_trial=1, gpus_per_trial=0, max_concurrent=slots, engine="ray")


def same(a: TrialResult, b: TrialResult) -> bool:
    """Tell whether two trials came to the same, whenever and under whatever key they ran."""

    def plain(r: TrialResult) -> tuple[Any, ...]:
        return (r.number, r.params, r.fit_params, r.state, r.score, r.rounds, r.metrics, r.history, r.default)

    return plain(a) == plain(b)
