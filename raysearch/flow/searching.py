"""Where a search runs, in how much memory, and with what."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace

from raysearch.flow.display import Display
from raysearch.flow.job import Job
from raysearch.flow.signals import first_signal
from raysearch.memory import WORKER, Plan, Room, free_memory, plan_memory
from raysearch.models import location_kind
from raysearch.recipe import Recipe
from raysearch.study.cluster import Cluster, connected, starts
from raysearch.study.conductor import Conductor
from raysearch.study.head_start import head_start
from raysearch.study.ledger import Ledger
from raysearch.study.scaling import Growth
from raysearch.study.shards import check_seen, clear_parts, sharded


def _needs_cluster(job: Job, conductor: Conductor) -> bool:
    return job.config.compute.engine != "inline" and conductor.wants() != "done"


@contextlib.contextmanager
def learnt_ahead(job: Job, conductor: Conductor, ledger: Ledger) -> Iterator[str]:
    """Let the locations of the first trials be learnt while an own Ray starts, and those of their refits.

    Where no trial waits, a study is gone on with: there the best one's.

    Yields:
        What they are shared under, for workers and for the refit; empty: they are not.
    """
    compute = job.config.compute
    # A graphics card is Ray's to give.
    if compute.gpus_per_trial or not (_needs_cluster(job, conductor) and starts(compute)):
        yield ""
        return
    points = ledger.waiting() or [(best.model, best.fit_params) for best in conductor.leading[:1]]
    located = [(model, fit_params) for model, fit_params in points if location_kind(fit_params)]
    recipes = [job.recipe(), *([job.refit_recipe()] if job.refit_wanted else [])]
    with head_start(job.dataset.table, recipes, located) as share:
        yield share


@contextlib.contextmanager
def connection(job: Job, conductor: Conductor, display: Display) -> Iterator[Cluster | None]:
    """Hold the cluster that the trials will run on; None where there is none, or nothing to run."""
    if not _needs_cluster(job, conductor):
        yield None
        return
    display.phase("starting Ray" if job.config.compute.address is None else "connecting to Ray")
    with contextlib.ExitStack() as held:
        with job.clock.watch.part("Ray"):
            growth = Growth(conductor.useful, _wait_s(job), display.phase)
            opened = connected(job.config.compute, display.dashboard_stands, growth)
            cluster = held.enter_context(opened)
        yield cluster
        with job.clock.watch.part("Ray"):
            held.close()


def _wait_s(job: Job) -> float:
    """Return the seconds that a first node is waited for: not beyond those that the search has."""
    wait_s, deadline_s = job.config.compute.wait_for_nodes_s, job.clock.search_deadline_s
    return wait_s if deadline_s is None else min(wait_s, max(0.0, deadline_s - time.monotonic()))


def planned(job: Job, conductor: Conductor, cluster: Cluster | None) -> tuple[Cluster | None, Plan]:
    """Return how the trials fit into the memory that there is, and what the cluster can run of them at once.

    Raises:
        DataError: not even one fits, and some are to be run.
        ClusterError: trials have several workers, and not all nodes see the study's home.
    """
    if conductor.wants() == "done":
        return cluster, Plan(job.recipe(), 0, 0)
    if cluster is None:
        return None, plan_memory(job.recipe(), job.space, [Room(free_memory() + WORKER, 1)])
    plan = plan_memory(job.recipe(), job.space, cluster.rooms, cluster.slots)
    if job.spread:
        check_seen(job.home, job.about.name)
    return replace(cluster, slots=plan.slots, worker_bytes=plan.worker, desk_bytes=plan.desk), plan


def search(job: Job, conductor: Conductor, ledger: Ledger, recipe: Recipe, cluster: Cluster | None) -> None:
    """Run trials until the conductor wants no more."""
    table = job.dataset.table
    conductor.first_fold = recipe.first is not None
    with first_signal(conductor.interrupt), conductor.watch.part("engine"):
        if conductor.wants() == "done":
            clear_parts(job.home, job.about.name)
            return  # an earlier run has reached what was asked
        if cluster is None:
            from raysearch.study.inline import run_inline

            run_inline(conductor, ledger, job.space, table, recipe, job.config.compute.trial_timeout_s)
        else:
            from raysearch.study.ray_engine import run_on_ray

            where = (cluster, job.config.compute)
            with sharded(table, recipe, job.home, job.about.name) as shards:
                run_on_ray(conductor, ledger, job.space, (table, recipe), where, job.share, shards)
