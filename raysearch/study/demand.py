"""Whether a search wants more trials, and why it takes none any more."""

from __future__ import annotations

import math
from typing import Literal

from raysearch.study.limits import Limits, TimeLeft
from raysearch.study.tally import Tally

Wish = Literal["more", "wait", "done"]


class Demand:
    """What is still asked of a search, by the trials that have ended and the time that is left."""

    def __init__(self, limits: Limits, tally: Tally, time_left: TimeLeft) -> None:
        self._limits, self._tally, self._time = limits, tally, time_left
        self._interrupted = self._timed_out = False

    def wants(self, running: int) -> Wish:
        """Tell whether to take another trial beside those that run, to wait for them, or to end."""
        late = self._too_late(running)
        self._timed_out |= late and not running
        if self.stopped_by:
            return "done"
        if late:
            return "wait"
        trials = self._limits.trials
        if trials is None:
            return "more"
        return "wait" if self._tally.good + running >= trials else "more"

    def useful(self, running: int) -> float:
        """Return for how many trials there is work at once, those that run included; inf: for any number."""
        if self.stopped_by or self._too_late(running):
            return running
        return math.inf if self._limits.trials is None else self._limits.trials - self._tally.good

    @property
    def stopped_by(self) -> str:
        """Return why the search takes no more trials: trials, patience, failures, time or interrupt."""
        if self._interrupted:
            return "interrupt"
        if self._limits.trials is not None and self._tally.good >= self._limits.trials:
            return "trials"
        return self._tally.over or ("time" if self._timed_out else "")

    @property
    def halted(self) -> bool:
        """Tell whether running trials are to be given up now: out of time, or interrupted."""
        self._timed_out = self._timed_out or self._time.is_over(self._tally.leading, self._tally.default)
        return self._timed_out or self._interrupted

    def interrupt(self) -> None:
        """End the search as soon as possible; may be called from a signal handler."""
        self._interrupted = True

    def _too_late(self, running: int) -> bool:
        """Tell whether a trial that began now would have less time than the quickest that has finished.

        Where none has, trials begin as long as there is time at all.
        """
        left = self._time.of_next_s(self._tally.leading, self._tally.default)
        if math.isfinite(self._tally.quickest_s):
            return self._tally.quickest_s > left
        return left <= 0 and bool(running or self._tally.ended)
