"""Where a search runs, in how much memory, and with what."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from raysearch.flow.display import Display
from raysearch.flow.job import Job
from raysearch.flow.signals import first_signal
from raysearch.memory import WORKER, Plan, Room, free_memory, plan_memory
from raysearch.recipe import Recipe
from raysearch.study.cluster import Cluster, connected
from raysearch.study.conductor import Conductor
from raysearch.study.ledger import Ledger


@contextlib.contextmanager
def connection(job: Job, conductor: Conductor, display: Display) -> Iterator[Cluster | None]:
    """Hold the cluster that the trials will run on; None where there is none, or nothing to run."""
    if job.config.compute.engine == "inline" or conductor.wants() == "done":
        yield None
        return
    display.phase("starting Ray" if job.config.compute.address is None else "connecting to Ray")
    with contextlib.ExitStack() as held:
        with job.clock.watch.part("Ray"):
            cluster = held.enter_context(connected(job.config.compute))
        yield cluster
        with job.clock.watch.part("Ray"):
            held.close()


def planned(job: Job, conductor: Conductor, cluster: Cluster | None) -> tuple[Cluster | None, Plan]:
    """Return how the trials fit into the memory that there is, and what the cluster can run of them at once.

    Raises:
        DataError: not even one fits, and some are to be run.
    """
    if conductor.wants() == "done":
        return cluster, Plan(job.recipe(), 0, 0)
    if cluster is None:
        return None, plan_memory(job.recipe(), job.space, [Room(free_memory() + WORKER, 1)])
    plan = plan_memory(job.recipe(), job.space, cluster.rooms, cluster.slots)
    return replace(cluster, slots=plan.slots, worker_bytes=plan.worker), plan


def search(job: Job, conductor: Conductor, ledger: Ledger, recipe: Recipe, cluster: Cluster | None) -> None:
    """Run trials until the conductor wants no more."""
    table = job.dataset.table
    conductor.first_fold = recipe.first is not None
    with first_signal(conductor.interrupt), conductor.watch.part("engine"):
        if conductor.wants() == "done":
            return  # an earlier run has reached what was asked
        if cluster is None:
            from raysearch.study.inline import run_inline

            run_inline(conductor, ledger, job.space, table, recipe)
        else:
            from raysearch.study.ray_engine import run_on_ray

            where = (cluster, job.config.compute)
            run_on_ray(conductor, ledger, job.space, (table, recipe), where)
