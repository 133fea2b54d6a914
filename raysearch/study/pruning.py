"""Which trials are stopped early. Pure rules on scores at one rung; lower scores are better."""

from __future__ import annotations

import bisect
import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from raysearch.records import Rung

_ETA = 2  # of the trials that reach a rung, the better 1/_ETA go on
_ETA_FIRST_FOLD = 6  # of those whose first fold has ended: its ranking is nearly that of all folds
_FEWEST_PAIRS, _LEAST_AGREEMENT = 8, 0.5
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


class Rungs:
    """Where trials report, and which of them stop there.

    Attributes:
        milestones: boosting rounds at which trials are compared, beside the end of the first fold.
    """

    def __init__(self, scheduler: str, max_rounds: int) -> None:
        self._scheduler = scheduler
        self.milestones = milestones(max_rounds)
        self._peers: defaultdict[int, Peers] = defaultdict(Peers)

    def add(self, key: str, rung: Rung) -> None:
        """Take in a trial's score at a rung."""
        self._peers[rung.stage].add(key, rung.score)

    def stop(self, rung: Rung) -> bool:
        """Tell whether a trial that has not been added yet stops at a rung."""
        first_fold = bool(rung.folds)
        if not first_fold and rung.step not in self.milestones:
            return False
        return self._peers[rung.stage].stop(self._scheduler, rung.score, first_fold=first_fold)


class Agreement:
    """Whether trials' first folds rank them as all folds do: what the first one stops is lost to the others.

    Only trials that their first fold let go on have both scores. Among these few of the best the ranks agree
    less than among all; Spearman's correlation is corrected for that (Thorndike's case 2 of range
    restriction, 1949). Taken for granted until eight trials tell; once it fails, it has failed for good.
    """

    def __init__(self) -> None:
        self._seen: list[float] = []
        self._pairs: list[tuple[float, float]] = []
        self.rank_correlation = 1.0

    @property
    def holds(self) -> bool:
        return self.rank_correlation >= _LEAST_AGREEMENT

    @property
    def note(self) -> str:
        """What the reader of the result should know; empty where first folds are still asked."""
        if self.holds:
            return ""
        return (
            "Trials were no longer stopped by their first fold: it ranked those that finished otherwise "
            f"than all folds do (rank correlation {self.rank_correlation:.2f})."
        )

    def add(self, first: float, all_folds: float | None) -> None:
        """Take in a trial's score on its first fold, and on all; None: it was stopped there."""
        bisect.insort(self._seen, first)
        if all_folds is None:
            return
        self._pairs.append((first, all_folds))
        if self.holds and len(self._pairs) >= _FEWEST_PAIRS:
            self.rank_correlation = self._corrected()

    def _corrected(self) -> float:
        firsts, scores = (np.asarray(one) for one in zip(*self._pairs, strict=True))
        places = np.searchsorted(self._seen, firsts).astype(float)
        ranks = np.argsort(np.argsort(scores, kind="stable"), kind="stable")
        if np.ptp(places) == 0:
            return 1.0  # first folds that are all alike stop none
        found = float(np.corrcoef(places, ranks)[0, 1])
        wider = max(1.0, float(np.std(np.arange(len(self._seen))) / np.std(places)))
        return found * wider / math.sqrt(1.0 + found**2 * (wider**2 - 1.0))


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
