"""The Ray cluster that trials run on: an own local one, or one that is already there."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raysearch.config import ComputeConfig
from raysearch.errors import ClusterError
from raysearch.memory import Room, trials_at_once
from raysearch.study.guard import SignalHandlers, environment, first_interrupt_waits
from raysearch.study.own_ray import ALONE, SETTINGS, OwnRay, Stands, garbage_left
from raysearch.study.scaling import Asks, Growth, asking, lacking

# Telemetry is off, and Ray's drivers must not silence what CUDA shows to processes without GPUs.
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", **SETTINGS}
_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # what Ray tells the driver of a job


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to.

    Attributes:
        dashboard: address of the Ray dashboard with its scheme; empty where there is none, or not yet.
        slots: trials that can run at once.
        own: the connection ends with the search, and with it all that the search has left there.
        grows: nodes may join and leave.
        rooms: what each node has for trials.
        asks: by what more nodes are asked for; None: nothing starts any.
        worker_bytes: memory that is set aside for each worker of a trial; 0: none is.
        desk_bytes: the same for the process that scores a trial of several workers.
    """

    address: str
    dashboard: str
    cpus: float
    gpus: float
    slots: int
    own: bool
    rooms: tuple[Room, ...] = ()
    worker_bytes: int = 0
    grows: bool = False
    asks: Asks | None = None
    desk_bytes: int = 0


def check_address(address: str | None) -> None:
    """Refuse an address where nobody listens, before anything heavy is imported.

    Raises:
        ClusterError: names the address and what would be right.
    """
    if address is None or address == "auto":
        return
    if "://" in address:
        raise ClusterError(
            f"--address {address}: give HOST:PORT of the cluster's head (Ray Client addresses are not "
            "supported, for Ray Tune does not run over them)"
        )
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise ClusterError(f"--address {address}: must be HOST:PORT such as 10.0.0.5:6379, or auto")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=3) as connection:
            answers = _speaks_grpc(connection)
    except (OSError, UnicodeError) as error:  # UnicodeError: no name of a host, such as a..b
        raise ClusterError(
            f"--address {address}: no Ray cluster answers there ({error}); start one with `ray start "
            "--head`, or leave --address out for an own local Ray"
        ) from None
    if not answers:
        raise ClusterError(
            f"--address {address}: something that is no Ray cluster's head listens there; give the port of "
            "`ray start --head` (6379 unless told otherwise; 8265 is the dashboard's)"
        )


def check_fits(compute: ComputeConfig) -> None:
    """Refuse a trial of more than this machine has, where it would run here.

    Raises:
        ClusterError: names both.
    """
    cores = os.cpu_count() or 1
    if compute.gpus_per_trial > 0 and compute.address is None and not _has_gpu():
        raise ClusterError(
            f"--gpus-per-trial {compute.gpus_per_trial:g}: this machine has no NVIDIA GPU; leave it out, or "
            "give --address of a cluster that has"
        )
    asked, workers = compute.cpus_per_trial, compute.workers_per_trial
    if compute.engine == "ray" and compute.address is None and asked * workers > cores:
        many = f"--workers-per-trial {workers} of " if workers > 1 else ""
        raise ClusterError(
            f"{many}--cpus-per-trial {asked}: this machine has {cores} cores; give at most as "
            "many, or --address of a larger cluster"
        )


def _has_gpu() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()  # the latter: Windows' Linux


def _speaks_grpc(connection: socket.socket) -> bool:
    """Tell whether the other side greets as a gRPC server does; Ray waits minutes for one that does not."""
    if os.environ.get("RAY_USE_TLS", "0") == "1":
        return True  # it would not greet before a handshake with certificates
    connection.settimeout(10)
    try:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        return connection.recv(9)[3:4] == b"\x04"  # a frame of settings
    except OSError:
        return False


def starts(compute: ComputeConfig) -> bool:
    """Tell whether ``connected`` will start a Ray of its own."""
    ray = sys.modules.get("ray")
    return compute.address is None and not (ray is not None and ray.is_initialized())


@contextlib.contextmanager
def connected(
    compute: ComputeConfig, stands: Stands = lambda address: None, growth: Growth | None = None
) -> Iterator[Cluster]:
    """Connect to ``compute.address``, or start an own local Ray; what was started is ended again.

    Args:
        stands: told the address of the dashboard of an own Ray once it answers, from a thread; empty: it
            does not start.
        growth: how far the cluster is to grow, where it can; None: it is taken as it is.

    Raises:
        ClusterError: when there is no cluster, or it cannot hold a single trial.
    """
    settings = {**_SETTINGS, **({} if compute.address else ALONE)}
    settings = {name: os.environ.get(name, value) for name, value in settings.items()}
    with environment({**settings, **_job_alone()}):
        import ray

        if not ray.is_initialized():
            yield from _own_connection(compute, stands, growth)
            return
    # The caller's own connection, in a notebook or a test: used, and left as it was.
    _check_same(compute.address, ray.get_runtime_context().gcs_address)
    with asking(compute, growth) as asks:
        yield _describe(compute, "", asks, own=False)


def _job_alone() -> dict[str, str]:
    """Return what keeps a Ray job's files and environment to its driver.

    Ray would copy them to each node, table included, and make an environment there before a worker starts.
    """
    told = os.environ.get(_JOB)
    if not told:
        return {}
    return {_JOB: json.dumps({key: value for key, value in json.loads(told).items() if key != "runtime_env"})}


def _own_connection(compute: ComputeConfig, stands: Stands, growth: Growth | None) -> Iterator[Cluster]:
    import ray

    handlers, own = SignalHandlers(), OwnRay(lambda address: stands(_with_scheme(address)))
    try:
        with first_interrupt_waits(), own.starting():
            context = ray.init(
                address=compute.address or "local",
                include_dashboard=None if compute.address else True,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
            )
        with first_interrupt_waits():
            own.started()
    except BaseException as error:
        own.left()
        with garbage_left():
            ray.shutdown()  # what was started before the error, or before Ctrl-C
        if not isinstance(error, Exception):
            raise
        where = f"--address {compute.address}" if compute.address else "an own local Ray"
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ClusterError(f"{where}: cannot connect: {reason}") from error
    finally:
        handlers.put_back()
    try:
        with asking(compute, growth if compute.address else None) as asks:
            yield _describe(compute, context.dashboard_url or "", asks, own=True)
    finally:
        try:
            own.left()
        finally:
            with garbage_left():
                ray.shutdown()
            handlers.put_back()


def _check_same(address: str | None, connected_to: str) -> None:
    """Refuse an address that is not the one that this process is connected to."""
    if address in (None, "auto", connected_to):
        return
    (host, _, port), (there, _, its_port) = str(address).rpartition(":"), connected_to.rpartition(":")
    with contextlib.suppress(OSError, UnicodeError):
        found = socket.gethostbyname(host.strip("[]"))
        if port == its_port and (found.startswith("127.") or found == socket.gethostbyname(there)):
            return
    raise ClusterError(
        f"--address {address}: this process is connected to the Ray cluster at {connected_to} already; "
        "call ray.shutdown() first, or leave the address out"
    )


def _describe(compute: ComputeConfig, dashboard: str, asks: Asks | None, *, own: bool) -> Cluster:
    import ray

    why_none = asks.wait_for_room(lambda: _trials_fit(compute) > 0) if asks else ""
    context = ray.get_runtime_context()
    resources = ray.cluster_resources()
    cpus, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    rooms = _rooms(compute)
    workers = sum(room.slots for room in rooms)
    slots = workers // compute.workers_per_trial
    if workers and not slots:
        raise ClusterError(
            f"the cluster has room for {workers} workers of {compute.cpus_per_trial} CPUs and "
            f"{compute.gpus_per_trial:g} GPUs, and a trial takes {compute.workers_per_trial} of them "
            f"(--workers-per-trial); it has {cpus:g} CPUs and {gpus:g} GPUs in all{why_none}"
        )
    if slots < 1:
        raise ClusterError(
            f"no node of the cluster can hold a trial of {compute.cpus_per_trial} CPUs and "
            f"{compute.gpus_per_trial:g} GPUs; the cluster has {cpus:g} CPUs and {gpus:g} GPUs in all"
            f"{why_none}"
        )
    wanted = compute.max_concurrent or slots
    url = _with_scheme(dashboard)
    grows = not own or compute.address is not None
    slots = min(slots, wanted)
    return Cluster(context.gcs_address, url, cpus, gpus, slots, own, rooms, grows=grows, asks=asks)


def _with_scheme(address: str) -> str:
    return f"http://{address}" if address else ""


def slots_now(compute: ComputeConfig, worker_bytes: int, desk_bytes: int = 0) -> int:
    """Return how many trials can run at once on the nodes that the connected cluster has now.

    Args:
        worker_bytes: memory that is set aside for each of their workers, and ``desk_bytes`` beside them; 0:
            none is.
    """
    rooms, workers = _rooms(compute), compute.workers_per_trial
    most = min(sum(room.slots for room in rooms) // workers, compute.max_concurrent or sys.maxsize)
    return trials_at_once(rooms, worker_bytes, desk_bytes, workers, most)


def more_wanted(compute: ComputeConfig, worker_bytes: int, desk_bytes: int, trials: float) -> int:
    """Return for how many more trials the connected cluster is to be asked for nodes.

    Args:
        worker_bytes: memory that is set aside for each of their workers, and ``desk_bytes`` beside them.
        trials: that there is work for at once; inf: as many as there may be.
    """
    # A search runs one at least, and Tune asks for that.
    slots = max(1, slots_now(compute, worker_bytes, desk_bytes))
    return lacking(trials, compute, _rooms(compute), slots, worker_bytes)


def _trials_fit(compute: ComputeConfig) -> int:
    return sum(room.slots for room in _rooms(compute)) // compute.workers_per_trial


def _rooms(compute: ComputeConfig) -> tuple[Room, ...]:
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return tuple(Room(node.get("memory", math.inf), _slots(node, compute)) for node in nodes)


def _slots(resources: dict[str, float], compute: ComputeConfig) -> int:
    slots = resources.get("CPU", 0.0) // compute.cpus_per_trial
    if compute.gpus_per_trial:
        slots = min(slots, resources.get("GPU", 0.0) // compute.gpus_per_trial)
    return int(slots)
