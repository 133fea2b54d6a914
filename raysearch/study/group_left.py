"""What the workers of a killed trial held is given back.

Ray keeps a placement group that an actor has made until both the actor and its driver have ended, and Ray
Train's own help against that asks the dashboard, which is not always there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import ray

_WAIT_S = 10.0  # at most, until the workers of trials that were given up have ended
_LOOK_S = 0.2
_NOBODY = b"\xff"


def give_back_left() -> None:
    """Give back what this driver's actors that are dead have reserved."""
    for group in _groups():
        if group.creator_actor_dead:
            _remove(group)


def wait_for_groups() -> None:
    """Wait until all that this driver's actors had reserved is given back, for some seconds at most."""
    until = time.monotonic() + _WAIT_S
    while time.monotonic() < until and any(True for _ in _groups()):
        give_back_left()
        time.sleep(_LOOK_S)


def _groups() -> Iterator[Any]:
    """Yield the placement groups that actors of this driver have made, and nobody has removed."""
    with contextlib.suppress(Exception):  # another version of Ray
        from ray.core.generated.gcs_pb2 import PlacementGroupTableData as Table

        own, state = ray.get_runtime_context().get_job_id(), ray._private.state.state
        for entry in state._connect_and_get_accessor().get_placement_group_table():
            group = Table.FromString(entry)
            made = group.creator_actor_id.strip(_NOBODY) and group.creator_job_id.hex() == own
            if made and group.state != Table.PlacementGroupState.REMOVED:
                yield group


def _remove(group: Any) -> None:
    from ray.util.placement_group import PlacementGroup, remove_placement_group

    remove_placement_group(PlacementGroup(ray.PlacementGroupID(group.placement_group_id)))
