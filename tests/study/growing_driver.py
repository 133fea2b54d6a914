"""A search that asks for one node before it begins, and for more while it runs: ``PLACE ADDRESS``."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import ray

from raysearch.study import ray_engine
from raysearch.study.cluster import connected
from raysearch.study.scaling import Growth

sys.path.insert(0, str(Path(__file__).parent))
from study_made_up import begin, compute, limits, small_job


class TrialWorker(ray_engine.TrialWorker):
    def step(self):
        nodes = Path(PLACE, "nodes")
        with nodes.open("a") as file:
            file.write(f"{ray.get_runtime_context().get_node_id()}\n")
        until = time.monotonic() + 200
        while len(set(nodes.read_text().split())) < 2 and time.monotonic() < until:
            time.sleep(0.5)
        return super().step()


def main(place, address):
    ray_engine.TrialWorker = TrialWorker
    asked = replace(compute(), address=address)
    study = begin(place, limits(16))
    with connected(asked, growth=Growth(1, 60.0, print)) as cluster:
        print(f"begins with {cluster.slots}")
        ray_engine.run_on_ray(study.conductor, study.ledger, study.space, small_job(), (cluster, asked))
        print(f"ended with {study.conductor.slots} {[result.state for result in study.ledger.results]}")


if __name__ == "__main__":
    PLACE = Path(sys.argv[1])
    main(PLACE, sys.argv[2])
