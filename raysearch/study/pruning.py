"""Which trials are stopped early. Pure rules on scores at one rung; lower scores are better."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

_ETA = 2  # of the trials that reach a rung, the better 1/_ETA go on
_MEDIAN_PEERS = 5  # trials that the median rule wants to see before it stops any


def milestones(max_rounds: int) -> tuple[int, ...]:
    """Return the rungs: boosting rounds at which trials report and are compared.

    The first lies at a quarter of the longest trial: earlier, a small learning rate looks bad only for being
    slow.
    """
    steps = (max_rounds // _ETA**2, max_rounds // _ETA)
    return tuple(dict.fromkeys(step for step in steps if step >= 1))


class Peers:
    """Scores of all trials that were seen at a rung."""

    def __init__(self) -> None:
        self._by_key: dict[str, float] = {}
        self._rising: list[float] = []

    def add(self, key: str, score: float) -> None:
        """Take in a trial's score; one that is tried again after a fault takes its own place."""
        if key in self._by_key:
            self._rising.pop(bisect.bisect_left(self._rising, self._by_key[key]))
        self._by_key[key] = score
        bisect.insort(self._rising, score)

    def stop(self, scheduler: str, score: float) -> bool:
        """Tell whether another trial with ``score`` stops here; see ``should_stop``."""
        return should_stop(scheduler, score, self._rising)


def should_stop(scheduler: str, score: float, peers: Sequence[float]) -> bool:
    """Tell whether a trial with ``score`` stops at a rung where ``peers`` (others' scores, rising) were seen.

    asha: it is not among the better half of all seen at this rung so far (asynchronous successive halving,
    Li et al., 2020); median: it is worse than the median of at least five others; none: never.
    """
    if scheduler == "asha":
        going = max(1, -(-(len(peers) + 1) // _ETA))
        return bisect.bisect_left(peers, score) >= going
    if scheduler == "median":
        half = len(peers) // 2
        middle = (peers[half] + peers[-1 - half]) / 2 if peers else score
        return len(peers) >= _MEDIAN_PEERS and score > middle
    return False
