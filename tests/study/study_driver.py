"""A driver of its own, for the tests that kill or halt one: ``study_driver.py PLACE WHAT``."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from raysearch.errors import ClusterError
from raysearch.study import own_ray, ray_engine
from raysearch.study.cluster import connected
from raysearch.study.own_ray import _STEPS

sys.path.insert(0, str(Path(__file__).parent))
from study_made_up import begin, compute, limits, small_job

# A dashboard that gives way to all others is not there in time where much else runs.
own_ray._DASHBOARD_NICENESS, own_ray._LONGEST_START_S = 0, 300.0


def slow(seconds):
    class TrialWorker(ray_engine.TrialWorker):
        def step(self):
            time.sleep(seconds)
            return super().step()

    return TrialWorker


def search(place, asked, seconds, handler=None):
    ray_engine.TrialWorker = slow(seconds) if seconds else ray_engine.TrialWorker
    study = begin(place, asked)
    if handler:
        signal.signal(signal.SIGINT, lambda number, frame: study.conductor.interrupt())
    with connected(compute()) as cluster:
        assert cluster.own
        token = Path.home() / ".ray" / "auth_token"
        assert not token.exists() or token.stat().st_mode & 0o077 == 0
        print(f"connected {cluster.address} {cluster.dashboard}", flush=True)
        ray_engine.run_on_ray(study.conductor, study.ledger, study.space, small_job(), (cluster, compute()))
    return study


class Cycle:
    """Holds itself, and an object of Ray's: it goes when garbage is collected, whichever thread does that."""

    def __init__(self, reference):
        self.held = (self, reference)


def litter(references, left):
    while not left.is_set():
        Cycle(references.pop())
        for _ in range(2000):
            alone = []
            alone.append(alone)
        time.sleep(0.001)


def leave_while_another_thread_litters():
    import ray
    from ray._private.node import Node

    left, methods = threading.Event(), [getattr(Node, name) for name in _STEPS]
    told = queue.Queue()
    with connected(compute(), told.put):
        assert [getattr(Node, name) for name in _STEPS] == methods
        place = urlsplit(told.get(timeout=300))
        socket.create_connection((place.hostname, place.port), timeout=5).close()  # it is there
        references = [ray.put(i) for i in range(20_000)]
        thread = threading.Thread(target=litter, args=(references, left))
        thread.start()
    left.set()
    thread.join()
    print(f"left {0 < len(references) < 20_000}", flush=True)


def children():
    """Return how many processes of its own this one has."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            state, parent, *_ = path.read_text().rpartition(")")[2].split()
            found += int(parent) == os.getpid() and state != "Z"
    return found


def tell_what_is_left():
    """Say how many processes are left, after giving them a moment to go."""
    until = time.monotonic() + 30
    while children() and time.monotonic() < until:
        time.sleep(0.1)
    print(f"children {children()}", flush=True)


def start_without_dashboard():
    from ray._private import services

    def broken(*words, **more):
        print(f"node {children() >= 2}", flush=True)
        raise RuntimeError("no dashboard today")

    services.start_api_server = broken
    try:
        with connected(compute()):
            pass
    except ClusterError as error:
        print(error, flush=True)
    tell_what_is_left()


def interrupted_while_it_starts():
    import ray._raylet

    made = ray._raylet.CoreWorker

    def interrupted(*words, **more):
        worker = made(*words, **more)
        os.kill(os.getpid(), signal.SIGINT)
        return worker

    ray._raylet.CoreWorker = interrupted
    connect_until_interrupted()


def connect_until_interrupted(seconds=0):
    try:
        with connected(compute()):
            print("connected", flush=True)
            time.sleep(seconds)
            print("went on", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    tell_what_is_left()


def main(place, what):
    if what == "connects":
        connect_until_interrupted(600)
        return
    if what == "leaves":
        connect_until_interrupted()
        return
    if what == "interrupted":
        interrupted_while_it_starts()
        return
    if what == "fails":
        start_without_dashboard()
        return
    if what == "litters":
        leave_while_another_thread_litters()
        return
    if what == "kill":
        search(place, limits(24), 0.3)
        return
    study = search(place, limits(None), 100, handler=True)
    print(f"halted {study.conductor.stopped_by} {time.time():.2f}", flush=True)
    deadline = time.monotonic() + 12
    study = search(place, limits(None, deadline_s=deadline), 100)
    print(f"halted {study.conductor.stopped_by} {time.monotonic() - deadline:.2f}", flush=True)
    print(f"loaded {'mlflow' in sys.modules}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
