"""Does a search stay as quick as it begins? Thousands of trials of no work, and many workers at once.

    python benchmarks/scale.py trials [--trials 10000] [--sampler random|tpe] [--workers 2] [--repeats 3]
    python benchmarks/scale.py workers [--workers 64] [--seconds 5] [--trials 1536] [--repeats 3]

`trials`: what is left is the search's own cost: the engine, the ledger, the sampler (tracking is off). Told
are trials a second, also of the last tenth as a share of the first one's, the driver's memory at most, and
the seconds in which a new process opens the study again.
`workers`: Ray is told that it has as many CPUs as there are workers; trials sleep. Told is the share of the
time in which workers were busy, once all were.
Each search is run in a process of its own; of several, medians are told (least to most).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from raysearch.calibration import make_folds
from raysearch.config import ComputeConfig
from raysearch.data import Transform
from raysearch.metrics import score_metrics, with_prefix
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

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def worker_that(sleeps_s: float) -> type:
    """Return a worker whose trials sleep and are scored by their parameters, in as many metrics as any."""
    metrics = with_prefix("valid", score_metrics(np.arange(9.0), np.zeros((9, 5)), LEVELS))

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
            told = {**metrics, "process": os.getpid()}
            rung = Rung(self.spec.rungs[-1], score, told, {}, time.perf_counter() - begun)
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


def opened(place: Path, options: argparse.Namespace, watchers: tuple[Any, ...] = ()) -> tuple[Any, Any, Any]:
    """Open the study; return its conductor, its ledger and its space."""
    space = load_space("lightgbm")
    ledger = Ledger.open(open_storage(place / "ledger.log", None), "scale", space)
    ledger.use_sampler(make_sampler(space, 0, ledger.begun, options.sampler))
    asked = Limits(options.trials, None, None, "none", space.max_rounds)
    return Conductor(ledger, asked, KeptModels(place / "kept"), watchers), ledger, space


def search(place: Path, options: argparse.Namespace) -> list[tuple[float, float, float]]:
    """Run a study; return which process ran each trial, from when to when."""
    import ray

    noted = Noted()
    conductor, ledger, space = opened(place, options, (noted,))
    ray_engine.TrialWorker = worker_that(options.seconds)
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
    return noted.spans


def many_trials(spans: list[tuple[float, float, float]]) -> dict[str, Any]:
    """Return trials a second, of the whole and by tenths, and the driver's memory at most, in GB."""
    ends = sorted(end for _, _, end in spans)
    size = max(1, len(ends) // 10)
    tenths = [size / (ends[i + size - 1] - ends[i]) for i in range(0, len(ends) - size + 1, size)]
    memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9
    return {"rate": len(ends) / (ends[-1] - ends[0]), "tenths": tenths, "memory": memory}


def many_workers(spans: list[tuple[float, float, float]]) -> dict[str, Any]:
    """Return after how many seconds all workers stood, and the share of time in which they were busy then."""
    first: dict[float, float] = {}
    for process, began, _ in sorted(spans, key=lambda span: span[1]):
        first.setdefault(process, began)
    all_stood = max(first.values())
    last = max(began for _, began, _ in spans)  # from here on some have nothing left to do
    busy = sum(max(0.0, min(end, last) - max(began, all_stood)) for _, began, end in spans)
    stood_s = all_stood - min(first.values())
    return {"workers": len(first), "stood_s": stood_s, "busy": busy / (len(first) * (last - all_stood))}


def once(step: str, place: str, words: list[str]) -> dict[str, Any]:
    """Do one step of a search in a new process; return what it tells."""
    command = [sys.executable, __file__, *words, "--step", step, "--place", place]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run_step(options: argparse.Namespace) -> dict[str, Any]:
    place = Path(options.place)
    if options.step == "open":
        begun = time.perf_counter()
        opened(place, options)
        return {"again_s": time.perf_counter() - begun}
    spans = search(place, options)
    return (many_trials if options.what == "trials" else many_workers)(spans)


def told(what: str, found: list[dict[str, Any]]) -> str:
    """Return the line of the table."""

    def spread(values: list[float], form: str) -> str:
        middle, least, most = (
            form.format(one) for one in (statistics.median(values), min(values), max(values))
        )
        return middle if len(values) < 2 else f"{middle} ({least}-{most})"

    if what == "workers":
        busy, stood = ([one[key] for one in found] for key in ("busy", "stood_s"))
        return f"| {found[0]['workers']} | {spread(stood, '{:.0f}')} | {spread(busy, '{:.1%}')} |"
    flat = [one["tenths"][-1] / one["tenths"][0] for one in found]
    cells = [spread([one["rate"] for one in found], "{:.0f}"), spread(flat, "{:.2f}")]
    cells += [
        spread([one["memory"] for one in found], "{:.2f}"),
        spread([one["again_s"] for one in found], "{:.1f}"),
    ]
    return f"| {' | '.join(cells)} |"


HEADS = {
    "trials": "| trials a second | last tenth / first | driver's memory, GB | opened again, s |",
    "workers": "| workers | all stood after, s | then busy |",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("trials", "workers"))
    parser.add_argument("--trials", type=int)
    parser.add_argument("--sampler", choices=("random", "tpe"), default="random")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--step", choices=("search", "open"), help=argparse.SUPPRESS)
    parser.add_argument("--place", help=argparse.SUPPRESS)
    options = parser.parse_args()
    many = options.what == "workers"
    if options.seconds is None:
        options.seconds = 5.0 if many else 0.0
    options.workers = options.workers or (64 if many else 2)
    options.trials = options.trials or (24 * options.workers if many else 10_000)
    if options.step:
        print(json.dumps(run_step(options)))
        return
    found = []
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory(prefix="scale-") as place:
            one = once("search", place, sys.argv[1:])
            found.append(one if many else one | once("open", place, sys.argv[1:]))
        print(found[-1], file=sys.stderr, flush=True)
    head = HEADS[options.what]
    print("\n".join((head, "|" + "---|" * (head.count("|") - 1), told(options.what, found))))


if __name__ == "__main__":
    main()
