"""What ranks trials nearly as their whole training does, for less of its seconds?

    python benchmarks/ranking.py --home DIR [--only diamonds,flights,deliveries] [--models lightgbm]
        [--trials 24]

`--home` is where `benchmarks/quality.py --setup DIR` put the tables, of which those that are split at random
serve. Points drawn from the shipped space are trained as trials are, with a single validation part and to
their end; and in parts: a quarter of their rounds, the median level alone, a quarter of the rows. Told are
Spearman's correlation of each part's scores with those of the whole, its share of the seconds, and the
regret: by how much the best of the third that it would let go on is worse than the best of all. What the
location takes is left out: it is learnt once for all trials.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import quality_tables

from raysearch.bench import Bench
from raysearch.config import load_config
from raysearch.data import prepare
from raysearch.flow.job import Job
from raysearch.flow.space import suited
from raysearch.models import TUNABLE
from raysearch.recipe import Recipe
from raysearch.reports import reports
from raysearch.space import load_space
from raysearch.trial import TrialSpec

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
PARTS = ("a quarter of the rounds", "the median alone", "a quarter of the rows")


def points(space: object, trials: int) -> list[tuple[str, dict]]:
    """Return points of a space, drawn by chance."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.to_fit(space.suggest(study.ask())) for _ in range(trials)]


def less(recipe: Recipe, part: str) -> Recipe:
    """Return what trains a part of a trial."""
    if part == PARTS[1]:
        return replace(recipe, settings=replace(recipe.settings, levels=(0.5,)))
    if part == PARTS[2]:
        fits = [
            replace(fold, train=tuple((a, a + (b - a) // 4) for a, b in fold.train)) for fold in recipe.fits
        ]
        return replace(recipe, fits=tuple(fits))
    return recipe


def scores(bench: Bench, model: str, params: dict) -> list[tuple[float, float]]:
    """Return score and seconds at a quarter of the rounds, and at the end."""
    rounds = TUNABLE[model].rounds_of(params)
    bench.prepare(0, model, params)
    begun = time.perf_counter()
    found = []
    for report in reports(TrialSpec(0, "k", model, params, (rounds // 4, rounds)), bench):
        if report.failure:
            raise SystemExit(report.failure)
        found.append((report.rung.score, time.perf_counter() - begun))
    return [found[0], found[-1]]  # one that has stalled before a quarter of them has ended there


def measured(name: str, model: str, options: argparse.Namespace) -> dict[str, tuple[float, float, float]]:
    """Return rank correlation, share of the seconds and regret of each part."""
    table = quality_tables.write(name, 0, options.home / "packages", options.home / "tables")
    data = {"path": table.train, "target": table.target}
    words = {"data": data, "split": {"cv": 1, "test_size": 0.0}, "search": {"model": model, "levels": LEVELS}}
    config = load_config(flags=words)
    dataset = prepare(config, None)
    space = suited(config, load_space(model), dataset)
    recipe = Job(config, space, dataset, None, None, None).recipe()
    benches = {part: Bench(dataset.table, less(recipe, part)) for part in PARTS}
    found = {part: [] for part in ("all", *PARTS)}
    for model_name, params in points(space, options.trials):
        quarter, whole = scores(benches[PARTS[0]], model_name, params)
        found["all"].append(whole)
        found[PARTS[0]].append(quarter)
        for part in PARTS[1:]:
            found[part].append(scores(benches[part], model_name, params)[1])
        print(name, model_name, *(f"{found[part][-1][0]:.6g}" for part in found), file=sys.stderr, flush=True)
    return {part: compared(found["all"], found[part]) for part in PARTS}


def compared(whole: list[tuple[float, float]], part: list[tuple[float, float]]) -> tuple[float, float, float]:
    (full, seconds), (cheap, spent) = np.array(whole).T, np.array(part).T
    places = [np.argsort(np.argsort(one)) for one in (full, cheap)]
    kept = np.argsort(cheap)[: -(-len(cheap) // 3)]
    regret = full[kept].min() / full.min() - 1
    return float(np.corrcoef(*places)[0, 1]), float(spent.sum() / seconds.sum()), float(regret)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, required=True, help="where quality.py --setup made the tables")
    parser.add_argument("--only", default="diamonds,flights,deliveries")
    parser.add_argument("--models", default="lightgbm")
    parser.add_argument("--trials", type=int, default=24)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(
        "| table | library | part | rank correlation | share of the seconds | regret, % |\n"
        "|---|---|---|---|---|---|"
    )
    regrets: dict[str, list[float]] = {part: [] for part in PARTS}
    for name in options.only.split(","):
        for model in options.models.split(","):
            for part, (ranks, share, regret) in measured(name, model, options).items():
                regrets[part].append(100 * regret)
                cells = (name, model, part, f"{ranks:.2f}", f"{share:.2f}", f"{100 * regret:.2f}")
                print(f"| {' | '.join(cells)} |", flush=True)
    told = ", ".join(f"{part} {statistics.median(found):.2f}" for part, found in regrets.items())
    print(f"\nmedian regret, %: {told}")


if __name__ == "__main__":
    main()
