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


class GroupsLeft:
    """What a search's trials have reserved: placement groups that actors of this driver make from now on."""

    def __init__(self) -> None:
        self._others = {group.placement_group_id for group in _groups()}

    def give_back(self) -> None:
        """Give back what those have reserved that are dead."""
        for group in self._own():
            if group.creator_actor_dead:
                with contextlib.suppress(Exception):  # the head does not answer: the next time
                    _remove(group)

    def wait(self) -> None:
        """Wait until all of it is given back, for some seconds at most."""
        until = time.monotonic() + _WAIT_S
        while time.monotonic() < until and self._own():
            self.give_back()
            time.sleep(_LOOK_S)

    def _own(self) -> list[Any]:
        return [group for group in _groups() if group.placement_group_id not in self._others]


def _groups() -> Iterator[Any]:
    """Yield the placement groups that actors of this driver have made for as long as they live."""
    with contextlib.suppress(Exception):  # another version of Ray
        from ray.core.generated.gcs_pb2 import PlacementGroupTableData as Table

        own, state = ray.get_runtime_context().get_job_id(), ray._private.state.state
        for entry in state._connect_and_get_accessor().get_placement_group_table():
            group = Table.FromString(entry)
            made = group.creator_actor_id.strip(_NOBODY) and group.creator_job_id.hex() == own
            if made and not group.is_detached and group.state != Table.PlacementGroupState.REMOVED:
                yield group


def _remove(group: Any) -> None:
    from ray.util.placement_group import PlacementGroup, remove_placement_group

    remove_placement_group(PlacementGroup(ray.PlacementGroupID(group.placement_group_id)))
