"""Which trials are stopped early. Pure rules on scores at one rung; lower scores are better."""

from __future__ import annotations

import statistics
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


def should_stop(scheduler: str, score: float, peers: Sequence[float]) -> bool:
    """Tell whether a trial with ``score`` stops at a rung where ``peers`` (others' scores) were seen.

    asha: it is not among the better half of all seen at this rung so far (asynchronous successive halving,
    Li et al., 2020); median: it is worse than the median of at least five others; none: never.
    """
    if scheduler == "asha":
        seen = sorted([*peers, score])
        return score > seen[max(1, -(-len(seen) // _ETA)) - 1]
    if scheduler == "median":
        return len(peers) >= _MEDIAN_PEERS and score > statistics.median(peers)
    return False
