"""What the tests on a local Ray share: a search on it, workers that misbehave, and a look at what is left."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from study_made_up import compute, small_job

from raysearch.study import ray_engine
from raysearch.study.cluster import connected

RAY_S_OWN = ("AutoscalingCoordinator", "PlacementGroupCleaner", "StatsActor", "UsageCollection")


def run(study, slots=2, job=None, timeout_s=None):
    asked = replace(compute(slots), trial_timeout_s=timeout_s)
    with connected(asked) as cluster:
        assert not cluster.own
        assert cluster.slots == slots
        ray_engine.run_on_ray(
            study.conductor, study.ledger, study.space, job or small_job(), (cluster, asked)
        )


def acting(monkeypatch, place, before=None, after=None):
    """Let the workers do something before and after each step; they note which process ran which trial."""
    base = ray_engine.TrialWorker

    class TrialWorker(base):
        def reset_config(self, new_config):
            self.spec, self.count = new_config["spec"], 0
            self.goes_on = new_config["begun"] is not None
            return super().reset_config(new_config)

        def step(self):
            with Path(place, "pids").open("a") as file:
                file.write(f"{self.spec.number} {os.getpid()}\n")
            if before:
                before(self)
            result = super().step()
            self.count += 1
            if after:
                after(self, result)
            return result

    monkeypatch.setattr(ray_engine, "TrialWorker", TrialWorker)
    return lambda: [tuple(map(int, line.split())) for line in Path(place, "pids").read_text().splitlines()]


def live_actors(ray):
    """Return the actors that live, but for those that Ray keeps once Ray Data or Train has run."""
    live = [a for a in ray._private.state.actors().values() if a["State"] not in ("DEAD", 4)]
    return [a for a in live if not any(own in a["ActorClassName"] for own in RAY_S_OWN)]


def left_behind(ray):
    """Return the live actors and placement groups, after giving them a moment to go."""
    for _ in range(600):
        actors = live_actors(ray)
        groups = [g for g in ray.util.placement_group_table().values() if g["state"] != "REMOVED"]
        if not actors and not groups and ray.available_resources().get("CPU") == 2:
            return []
        time.sleep(0.1)
    return [*actors, *groups, ray.available_resources()]


def states(study):
    return [trial.state for trial in study.ledger.study.trials]
