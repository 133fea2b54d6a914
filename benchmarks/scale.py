"""Does a search stay as quick as it begins? Thousands of trials of no work, and many workers at once.

    python benchmarks/scale.py trials [--trials 10000] [--sampler random|tpe] [--workers 2]
    python benchmarks/scale.py workers [--workers 64] [--seconds 5] [--trials 1536]

`trials`: what is left is the search's own cost: the engine, the ledger, the sampler (tracking is off). Told
are trials a second by tenths of the search, the driver's memory, and the seconds in which it opens again.
`workers`: Ray is told that it has as many CPUs as there are workers; trials sleep. Told is the share of the
time in which workers were busy, once all were.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from raysearch.calibration import make_folds
from raysearch.config import ComputeConfig
from raysearch.data import Transform
from raysearch.models import FitSettings
from raysearch.recipe import Recipe
from raysearch.records import FoldRows, Rung
from raysearch.reports import Report
from raysearch.space import load_space
from raysearch.study import ray_engine
from raysearch.study.cluster import connected
from raysearch.study.conductor import Conductor
from raysearch.study.kept import KeptModels
from raysearch.study.ledger import Ledger, open_storage
from raysearch.study.limits import Limits
from raysearch.study.sampler import make_sampler


def worker_that(sleeps_s: float) -> type:
    """Return a worker whose trials sleep and are scored by their parameters."""

    class NoWork(ray_engine.TrialWorker):
        def setup(self, config: dict[str, Any]) -> None:
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.spec = new_config["spec"]
            return True

        def step(self) -> dict[str, Any]:
            begun = time.perf_counter()
            time.sleep(sleeps_s)
            params = self.spec.fit_params
            score = abs(params["learning_rate"] - 0.05) + abs(params["num_leaves"] - 40) / 100
            rung = Rung(self.spec.rungs[-1], score, {"process": os.getpid()}, {}, time.perf_counter() - begun)
            return {"score": score, "report": Report(rung, True), "done": True}

    return NoWork


def nothing() -> tuple[pa.Table, Recipe]:
    """Return a table and a recipe that nobody looks at."""
    fits = (FoldRows(((0, 5),), (5, 10)),)
    recipe = Recipe((), fits, Transform(), FitSettings((0.5,)), make_folds(5))
    return pa.table({"target": list(range(10))}), recipe


class Noted:
    """A watcher that notes which process ran each trial, from when to when."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float, float]] = []

    def trial_started(self, number: int, key: str, model: str, params: Any) -> None:
        pass

    def trial_ended(self, result: Any) -> None:
        self.spans.append((result.metrics["process"], result.started_s, result.ended_s))

    def trial_interrupted(self, key: str) -> None:
        pass


def search(place: Path, options: argparse.Namespace, sleeps_s: float) -> tuple[Noted, Callable[[], Any]]:
    """Run a study; return what was noted, and how it is opened again."""
    import ray

    space = load_space("lightgbm")

    def opened() -> tuple[Conductor, Ledger]:
        ledger = Ledger.open(open_storage(place / "ledger.log", None), "scale", space)
        ledger.use_sampler(make_sampler(space, 0, ledger.begun, options.sampler))
        asked = Limits(options.trials, None, None, "none", space.max_rounds)
        return Conductor(ledger, asked, KeptModels(place / "kept"), (noted,)), ledger

    noted = Noted()
    conductor, ledger = opened()
    ray_engine.TrialWorker = worker_that(sleeps_s)
    ray.init(
        address="local",
        num_cpus=options.workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    compute = ComputeConfig(None, 1, 0, None, "ray")
    with connected(compute) as cluster:
        ray_engine.run_on_ray(conductor, ledger, space, nothing(), (cluster, compute))
    ray.shutdown()
    return noted, opened


def trials(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="scale-") as place:
        noted, opened = search(Path(place), options, 0.0)
        ends = sorted(end for _, _, end in noted.spans)
        size = max(1, len(ends) // 10)
        rates = [size / (ends[i + size - 1] - ends[i]) for i in range(0, len(ends) - size + 1, size)]
        whole = len(ends) / (ends[-1] - ends[0])
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        begun = time.perf_counter()
        opened()
        again = time.perf_counter() - begun
    told = " ".join(f"{rate:.0f}" for rate in rates)
    print(f"{options.sampler}: {len(ends):,} trials, {whole:.1f} a second; by tenths: {told}")
    print(f"driver's memory at most {memory:,.0f} MB; opened again in {again:.1f} s")


def workers(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="scale-") as place:
        noted, _ = search(Path(place), options, options.seconds)
    first: dict[float, float] = {}
    for process, began, _ in sorted(noted.spans, key=lambda span: span[1]):
        first.setdefault(process, began)
    all_stood = max(first.values())
    last = max(began for _, began, _ in noted.spans)  # from here on some have nothing left to do
    busy = sum(max(0.0, min(end, last) - max(began, all_stood)) for _, began, end in noted.spans)
    share = busy / (options.workers * (last - all_stood))
    print(
        f"{len(first)} workers, trials of {options.seconds:g} s: all stood after "
        f"{all_stood - min(first.values()):.0f} s, then busy {100 * share:.1f} % of {last - all_stood:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("trials", "workers"))
    parser.add_argument("--trials", type=int)
    parser.add_argument("--sampler", choices=("random", "tpe"), default="random")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    many = options.what == "workers"
    options.workers = options.workers or (64 if many else 2)
    options.trials = options.trials or (24 * options.workers if many else 10_000)
    (workers if many else trials)(options)


if __name__ == "__main__":
    main()
