"""A search on a Ray that was told of a GPU, which need not be there: ``gpu_driver.py PLACE GPUS HOW``.

HOW "seen": workers take what Ray gives them for a GPU, and XGBoost trains without. "asked": they look.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import ray

from raysearch.study import ray_engine
from raysearch.study.cluster import connected

sys.path.insert(0, str(Path(__file__).parent))
from study_made_up import SMALL, begin, compute, limits, small_job

from raysearch.space import SearchSpace
from raysearch.space.read import parse_space

SPACE = SearchSpace(
    (
        parse_space(
            {
                "model": "xgboost",
                "parameters": {
                    "max_depth": {"type": "int", "low": 2, "high": 4},
                    "learning_rate": SMALL["parameters"]["learning_rate"],
                    "n_estimators": {"type": "int", "low": 4, "high": 40},
                },
            }
        ),
    )
)


def noting(place, seen):
    """Return workers that write down which GPU they were given, and when."""

    class TrialWorker(ray_engine.TrialWorker):
        def _wait_for_another(self):
            (place / f"worker-{os.getpid()}").touch()
            until = time.monotonic() + 60
            while len(list(place.glob("worker-*"))) < 2 and time.monotonic() < until:
                time.sleep(0.05)

        def step(self):
            if seen:
                from raysearch.models import xgboost

                xgboost._on_gpu = lambda booster: True
            self._wait_for_another() if seen else None
            begun = time.time()
            time.sleep(0.3)
            result = super().step()
            given = os.environ.get("CUDA_VISIBLE_DEVICES")
            with (place / "given").open("a") as file:
                file.write(json.dumps([given, os.getpid(), begun, time.time()]) + "\n")
            return result

    return TrialWorker


def main():
    place, gpus, how = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    context = ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    ray_engine.TrialWorker = noting(place, how == "seen")
    asked = replace(compute(), address=context.address_info["gcs_address"], gpus_per_trial=gpus)
    table, recipe = small_job()
    recipe = replace(recipe, settings=replace(recipe.settings, gpu=True))
    study = begin(place, limits(6), SPACE)
    with connected(asked) as cluster:
        ray_engine.run_on_ray(study.conductor, study.ledger, study.space, (table, recipe), (cluster, asked))
        told = {
            "slots": cluster.slots,
            "states": [result.state for result in study.ledger.results],
            "reasons": sorted({result.reason for result in study.ledger.results}),
            "stopped_by": study.conductor.stopped_by,
        }
    ray.shutdown()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
