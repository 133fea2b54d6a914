"""Nodes that a cluster's autoscaler can start: a search asks for them, and waits for a first one.

It asks by placement groups of one trial each, and gives back those that find room. Ray's
``request_resources`` would be a single call. But Ray's newer autoscaler then starts nothing where it cannot
start all that is asked for, and no driver can know how much that is; the whole cluster has one such request,
which studies would take from each other; and it outlives a driver that is killed. Placement groups do not.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from raysearch.config import ComputeConfig
from raysearch.memory import Room

_MOST_ASKED = 100  # at a time: when they have come, more is asked for
_LOOK_EVERY_S = 1.0
_SURE_S = (
    20.0  # for which the autoscaler must start none: it looks every few seconds, and counts nodes that end
)
_RPC_S = 5
# Types of nodes that no autoscaler starts: by hand, where Ray makes a type of each, and of provider local.
_GIVEN = re.compile(r"(node_[0-9a-f]{56}|local\.cluster\.node)?")
_TYPE = "ray.io/node-group"  # a node's label
# Why no node has come, as the end of a sentence.
_NOT_WAITED = "; its autoscaler can start nodes: --wait-for-nodes 10m waits for one"
_STARTS_NONE = (
    "; its autoscaler starts none for that: ask for less (--cpus-per-trial, --gpus-per-trial), or let it "
    "start larger ones"
)
_NONE_CAME = (
    "; its autoscaler was asked for a node, and none has come in {:.0f} s: `ray status` on the head tells "
    "more, and --wait-for-nodes waits longer"
)


@dataclass(frozen=True)
class Growth:
    """How far a search would have a cluster grow.

    Attributes:
        trials: that it has work for at once, had it the room.
        wait_s: seconds to wait for a first node where none can hold a trial.
        tell: told in words what is waited for.
    """

    trials: float
    wait_s: float
    tell: Callable[[str], None]


def lacking(
    trials: float, compute: ComputeConfig, rooms: Sequence[Room] = (), slots: int = 0, worker_bytes: int = 0
) -> int:
    """Return for how many more trials than fit to ask for room.

    0 where a node has the cores for a trial and lacks the memory: more of its kind would not help.

    Args:
        trials: that there is work for at once.
        rooms: what each node has.
        slots: trials that fit on them.
        worker_bytes: memory that is set aside for a trial; 0: none is.
    """
    if any(room.slots and room.memory < worker_bytes for room in rooms):
        return 0
    wanted = min(trials, compute.max_concurrent or math.inf)
    return int(min(max(0.0, wanted - slots), _MOST_ASKED))


class Asks:
    """Room for trials that the connected cluster's autoscaler is asked for, and that has not come yet."""

    def __init__(self, compute: ComputeConfig, growth: Growth) -> None:
        self._compute = compute
        self._growth = growth
        self._groups: list[Any] = []
        self._bundle: dict[str, float] = {}

    def wait_for_room(self, there: Callable[[], bool]) -> str:
        """Ask for nodes where none can hold a trial, and wait until one can.

        Args:
            there: tells whether one can.

        Returns:
            Why none has come, as the end of a sentence; empty: one has.
        """
        if there():
            return ""
        wait_s, count = self._growth.wait_s, lacking(self._growth.trials, self._compute)
        if wait_s <= 0:
            return _NOT_WAITED
        self._growth.tell(
            f"waiting for a node, {wait_s:.0f} s at most: the cluster's autoscaler is asked for room for "
            f"{count} trial{'s' * (count > 1)}"
        )
        until_s, sure_s = time.monotonic() + wait_s, math.inf
        while not there():
            self.keep(count)
            now_s = time.monotonic()
            sure_s = min(sure_s, now_s + _SURE_S) if self._starts_none() else math.inf
            if now_s >= min(sure_s, until_s):
                return _STARTS_NONE if now_s >= sure_s else _NONE_CAME.format(wait_s)
            time.sleep(_LOOK_EVERY_S)
        self.withdraw()
        return ""

    def keep(self, count: int, worker_bytes: int = 0) -> None:
        """Ask for room for so many trials, in place of what was asked for before.

        Where some of it has come, all is given back until the next call: trials would find it taken.

        Args:
            worker_bytes: memory that is set aside for each of their workers; 0: none is.
        """
        from ray.util.placement_group import placement_group, remove_placement_group

        needs = {"CPU": self._compute.cpus_per_trial, "GPU": self._compute.gpus_per_trial}
        bundle = {name: float(need) for name, need in {**needs, "memory": worker_bytes}.items() if need}
        came = self._some_came()
        if came or bundle != self._bundle:
            self.withdraw()
        if came:
            return
        self._bundle = bundle
        while len(self._groups) > count:
            remove_placement_group(self._groups.pop())
        while len(self._groups) < count:
            self._groups.append(placement_group([bundle] * self._compute.workers_per_trial))

    def withdraw(self) -> None:
        """Ask for nothing any more."""
        from ray.util.placement_group import remove_placement_group

        while self._groups:
            remove_placement_group(self._groups.pop())

    def _some_came(self) -> bool:
        from ray.util.placement_group import placement_group_table

        table = placement_group_table() if self._groups else {}
        return any(table.get(group.id.hex(), {}).get("state") == "CREATED" for group in self._groups)

    def _starts_none(self) -> bool:
        """Tell whether the autoscaler has a node for none of it, or starts none all the same.

        Ray's older autoscaler does not tell; where a newer one only looks on, there is nothing to start.
        """
        with contextlib.suppress(Exception):  # another version of Ray
            from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply
            from ray.experimental.internal_kv import internal_kv_get_gcs_client

            told = internal_kv_get_gcs_client().get_cluster_status(timeout_s=_RPC_S)
            reply = GetClusterStatusReply.FromString(told)
            state = reply.autoscaling_state
            refused = {one.details.partition(":")[0] for one in state.infeasible_gang_resource_requests}
            begun = (
                state.pending_instance_requests or state.pending_instances or state.failed_instance_requests
            )
            if reply.HasField("autoscaling_state"):
                return not begun or all(group.id.hex() in refused for group in self._groups)
        return False


@contextlib.contextmanager
def asking(compute: ComputeConfig, growth: Growth | None) -> Iterator[Asks | None]:
    """Ask the connected cluster's autoscaler for nodes inside, and for none any more afterwards.

    Yields:
        What to ask by; None: the cluster is to be taken as it is, or nothing starts nodes there.
    """
    asks = Asks(compute, growth) if growth is not None and _scales() else None
    try:
        yield asks
    finally:
        if asks is not None:
            with contextlib.suppress(Exception):  # the cluster is gone, and what was asked of it
                asks.withdraw()


def _scales() -> bool:
    """Tell whether the connected cluster has an autoscaler that starts nodes."""
    with contextlib.suppress(Exception):  # it has told nothing yet, or this is another version of Ray
        return any(not _GIVEN.fullmatch(kind) for kind in _types())
    return False


def _types() -> set[str]:
    """Return the types of the nodes that run, as the cluster's autoscaler knows them."""
    import ray
    from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
    from ray.autoscaler.v2.utils import is_autoscaler_v2
    from ray.experimental.internal_kv import _internal_kv_get

    if is_autoscaler_v2(fetch_from_server=True):
        return {node["Labels"].get(_TYPE, "") for node in ray.nodes() if node["Alive"]}
    return set(json.loads(_internal_kv_get(DEBUG_AUTOSCALING_STATUS))["autoscaler_report"]["active_nodes"])
