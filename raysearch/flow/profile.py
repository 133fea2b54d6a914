"""Where the seconds of a study went."""

from __future__ import annotations

from raysearch.flow.job import Job
from raysearch.records import Profile
from raysearch.study.conductor import Conductor
from raysearch.study.inline import TRIALS

_SEARCH = "search"


def profile_of(job: Job, conductor: Conductor) -> Profile:
    """Return what was measured so far; what no part accounts for is "other", and "idle" of workers."""
    phases = job.clock.watch.seconds
    phases["other"] = max(0.0, job.clock.elapsed_s - sum(phases.values()))
    workers = dict(conductor.spent)
    idle = conductor.slots * phases.get(_SEARCH, 0.0) - sum(workers.values())
    workers["idle"] = max(0.0, idle)
    driver = {part: seconds for part, seconds in conductor.watch.seconds.items() if part != TRIALS}
    return Profile(phases, workers, driver, conductor.slots, conductor.ended_now)
