"""Faults of whole nodes, injected into studies on three hosts, and how soon trials end again."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cluster_rig import hosts_up, missing, page, wait_for
from cluster_study import Up, bring_up

_TRIALS = 60


def run_on_hosts() -> list[tuple[str, float]]:
    """Start a cluster, and run a study for each fault, which must end whole.

    Returns:
        Each fault, and the seconds until a trial ended again.
    """
    if why := missing():
        raise SystemExit(why)
    with tempfile.TemporaryDirectory(prefix="laptop-") as home, hosts_up(Path(home)) as rig:
        up = bring_up(rig, Path(home))
        return [(name, fault(up)) for name, fault in FAULTS.items()]


def _killed(up: Up) -> float:
    return _while_it_runs(up, "killed", 3, lambda: up.rig.hosts("kill", "3"), lambda: up.rig.hosts("up", "3"))


def _cut(up: Up) -> float:
    return _while_it_runs(up, "cut", 2, lambda: up.rig.hosts("cut", "2"), lambda: up.rig.hosts("heal", "2"))


def _while_it_runs(
    up: Up, name: str, host: int, fault: Callable[[], object], mend: Callable[[], object]
) -> float:
    running = up.study(name, _TRIALS)
    wait_for(lambda: up.ended(name) >= 6 and up.workers(host) > 0, "the node runs trials")
    fault()
    took = _next(up, name)
    up.whole(running, name, _TRIALS)
    mend()
    wait_for(lambda: up.nodes() == 3, "the node is back", 120)
    return took


def _head(up: Up) -> float:
    running = up.study("headless", _TRIALS)
    wait_for(lambda: up.ended("headless") >= 6, "trials have ended")
    begun = time.monotonic()
    up.rig.hosts("kill", "1")
    running.communicate(timeout=60)
    up.rig.hosts("up", "1")
    up.type(page()[1])
    wait_for(lambda: up.nodes() >= 1, "the new head is there", 120)
    running = up.resume("headless")
    _next(up, "headless")
    took = time.monotonic() - begun
    up.whole(running, "headless", _TRIALS)
    wait_for(lambda: up.nodes() == 3, "all nodes are back", 120)
    return took


def _next(up: Up, name: str) -> float:
    """Return the seconds until another trial of a study has ended."""
    before, begun = up.ended(name), time.monotonic()
    wait_for(lambda: up.ended(name) > before, "a trial ends again")
    return time.monotonic() - begun


FAULTS: dict[str, Callable[[Up], float]] = {
    "one of three nodes killed": _killed,
    "one of three nodes cut off, then healed": _cut,
    "the head killed; `ray up`, then `resume`": _head,
}
