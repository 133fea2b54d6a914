"""Which trials are stopped early. Pure rules on scores at one rung; lower scores are better."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np

_ETA = 2  # of the trials that reach a rung, the better 1/_ETA go on
_ETA_FIRST_FOLD = 3  # of those whose first fold has ended: its ranking is nearly that of all folds
_FEWEST_PAIRS, _LEAST_AGREEMENT = 10, 0.5
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

    def stop(self, scheduler: str, score: float, *, first_fold: bool = False) -> bool:
        """Tell whether another trial with ``score`` stops here; see ``should_stop``."""
        return should_stop(scheduler, score, self._rising, _ETA_FIRST_FOLD if first_fold else _ETA)


class Agreement:
    """Whether trials' first folds rank them as all folds do: what the first one stops is lost to the others.

    Known of the trials that have finished; until there are ten of them it is taken for granted.
    """

    def __init__(self) -> None:
        self._pairs: list[tuple[float, float]] = []

    def add(self, first: float, all_folds: float) -> None:
        """Take in a finished trial's score on its first fold and on all."""
        self._pairs.append((first, all_folds))

    @property
    def rank_correlation(self) -> float:
        """Spearman's; 1 where fewer than ten trials tell."""
        if len(self._pairs) < _FEWEST_PAIRS:
            return 1.0
        first, all_folds = (np.argsort(np.argsort(one)) for one in zip(*self._pairs, strict=True))
        return float(np.corrcoef(first, all_folds)[0, 1])

    @property
    def holds(self) -> bool:
        return self.rank_correlation >= _LEAST_AGREEMENT


def should_stop(scheduler: str, score: float, peers: Sequence[float], eta: int = _ETA) -> bool:
    """Tell whether a trial with ``score`` stops at a rung where ``peers`` (others' scores, rising) were seen.

    asha: it is not among the best 1/eta of all seen at this rung so far (asynchronous successive halving,
    Li et al., 2020); median: it is worse than the median of at least five others; none: never.
    """
    if scheduler == "asha":
        going = max(1, -(-(len(peers) + 1) // eta))
        return bisect.bisect_left(peers, score) >= going
    if scheduler == "median":
        half = len(peers) // 2
        middle = (peers[half] + peers[-1 - half]) / 2 if peers else score
        return len(peers) >= _MEDIAN_PEERS and score > middle
    return False
