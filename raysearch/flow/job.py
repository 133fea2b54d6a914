"""What is settled before the first trial, and the clock of the whole command."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from raysearch.config import Config
from raysearch.data import Dataset
from raysearch.metrics import Array
from raysearch.models import TUNABLE, FitSettings, Frame, sees_gpu
from raysearch.recipe import ANCHOR, TARGET, WEIGHT, Recipe
from raysearch.records import FoldRows
from raysearch.space import SearchSpace
from raysearch.stopwatch import Stopwatch
from raysearch.study.home import Home, StudyAbout
from raysearch.study.kept import Files
from raysearch.study.paths import StudyPaths

# Ending Ray, ensemble, evaluation, report and record, measured on two cores: seconds, and up to how many rows
# they grow with these.
_CLOSING = ((3.0, 0), (1.0, 10_000), (5.0, 200_000))
_LAST_WORDS = ((0.7, 0), (1.3, 50_000))  # cut trials are scored and sent, in the same terms
_ENDING_RAY_SHARE = 0.35  # of it, until the trials that run are given up, Ray has ended and trials are chosen
# Rows times features below which one more thread does not pay: for another level, and within a tree. There
# threads gain a third at best, and on a busy machine take several times as long as one.
_CELLS_A_THREAD, _CELLS_WITHIN = 20_000, 1_000_000
_REFIT_SHARE = 0.2  # of the time budget at most: beyond it the search's own model is kept


@dataclass(frozen=True)
class Clock:
    """The time of the command, on ``time.monotonic``.

    Attributes:
        deadline_s: when the command is to be over; None: no budget.
        watch: the phases that its time went into.
        closing_s: what is kept for all that comes after the search; ``last_words_s``: for trials that are cut
            before it.
    """

    started_s: float
    deadline_s: float | None
    watch: Stopwatch = field(default_factory=Stopwatch)
    closing_s: float = sum(seconds for seconds, _ in _CLOSING)
    last_words_s: float = sum(seconds for seconds, _ in _LAST_WORDS)

    @classmethod
    def start(cls, budget_s: float | None, spent_s: float = 0.0) -> Clock:
        """Start the clock; ``spent_s`` are seconds that the command has taken so far, e.g. to be loaded."""
        begun = time.monotonic() - spent_s
        clock = cls(begun, None if budget_s is None else begun + budget_s)
        clock.watch.add("start", spent_s)
        return clock

    def for_rows(self, rows: int) -> Clock:
        """Return the clock of a table of so many rows: its end takes the longer the more there are."""
        return replace(self, closing_s=_for(rows, _CLOSING), last_words_s=_for(rows, _LAST_WORDS))

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started_s

    @property
    def search_deadline_s(self) -> float | None:
        """When the search must end for what comes after it, the refit left out."""
        return None if self.deadline_s is None else self.deadline_s - self.closing_s

    @property
    def refit_most_s(self) -> float:
        """How long a refit may take to be worth its time; longer ones are left out."""
        return float("inf") if self.deadline_s is None else _REFIT_SHARE * (self.deadline_s - self.started_s)

    def allows(self, seconds: float) -> bool:
        """Tell whether something of so many seconds still fits before the closing."""
        deadline = self.search_deadline_s
        # Part of what is kept for the closing, the end of Ray, is over when this is asked.
        return deadline is None or time.monotonic() + seconds <= deadline + _ENDING_RAY_SHARE * self.closing_s


def _for(rows: int, parts: Sequence[tuple[float, int]]) -> float:
    """Return the seconds for a table: of each part all from so many rows on, below them their share."""
    return sum(seconds * min(1.0, rows / most if most else 1.0) for seconds, most in parts)


@dataclass(frozen=True)
class Job:
    """A study that is ready to run.

    Attributes:
        picks_only: no trial is run; the model is chosen anew from those that have ended.
        share: under which processes of this machine find what others have made for the study; empty: nowhere.
    """

    config: Config
    space: SearchSpace
    dataset: Dataset
    home: Home
    about: StudyAbout
    clock: Clock
    picks_only: bool = False
    share: str = ""

    @property
    def paths(self) -> StudyPaths:
        return self.home.paths(self.about.name)

    @property
    def refit_threads(self) -> tuple[int, int]:
        """Threads of the driver's own fits when the search is over: all, and those within a tree.

        They are the cores that have something to do.
        """
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        cells = self.dataset.parts["valid"][1] * len(self.dataset.encoder.names)
        whole, within = (min(cores, cells // least) for least in (_CELLS_A_THREAD, _CELLS_WITHIN))
        return max(1, whole), max(1, within)

    @property
    def scored_part(self) -> str:
        """The rows that the result is told on: "test", or "valid" where none were held out."""
        start, stop = self.dataset.parts["test"]
        return "test" if stop > start else "valid"

    def rows(self, part: str) -> slice:
        """Return where the rows of one part lie in the table."""
        return slice(*self.dataset.parts[part])

    def anchor(self, part: str) -> Array | None:
        """Return the anchor of the rows of one part, where the transform has one."""
        table = self.dataset.table
        return table[ANCHOR].to_numpy()[self.rows(part)] if ANCHOR in table.column_names else None

    def weights(self, part: str) -> Array | None:
        """Return how much each row of one part counts, where the rows have weights."""
        table = self.dataset.table
        return table[WEIGHT].to_numpy()[self.rows(part)] if WEIGHT in table.column_names else None

    def modelled(self, part: str) -> Array:
        """Return the truth of the rows of one part on the scale of the boosters, [rows]."""
        transform, y = self.dataset.transform, self.dataset.table[TARGET].to_numpy()[self.rows(part)]
        return transform.standardise(transform.forward(y, self.anchor(part)))

    def recipe(self, threads: tuple[int, int] | None = None) -> Recipe:
        """Return what trials do: learn from the training rows, score on the validation rows.

        Args:
            threads: of a fit, and within a tree; None: those of a trial.
        """
        search, compute = self.config.search, self.config.compute
        return Recipe(
            categorical=self.dataset.encoder.categorical,
            fits=self.dataset.fits,
            transform=self.dataset.transform,
            settings=FitSettings(
                levels=search.levels,
                seed=search.seed,
                threads=threads[0] if threads else compute.cpus_per_trial,
                within=threads[1] if threads else None,
                # The driver's own fits do without where it has none; a trial was given one.
                gpu=compute.gpus_per_trial > 0 and (threads is None or sees_gpu()),
                monotone=self.dataset.monotone,
                workers=1 if threads else compute.workers_per_trial,
            ),
            folds=self.dataset.folds,
            calibrate=self.config.calibration,
            objectives=self.config.objectives,
            unseen=self.dataset.unseen,
            first=self.dataset.first if self.config.early_stopping != "none" and not self.spread else None,
        )

    def refit_recipe(self) -> Recipe:
        """Return what a fit on training and validation rows together does."""
        # No rows are scored on any more; a single one keeps the fit's shape.
        first = self.dataset.recent
        whole = FoldRows(((first, self.dataset.parts["valid"][1]),), (first, first + 1))
        return replace(self.recipe(threads=self.refit_threads), fits=(whole,))

    def frame(self, part: str) -> Frame:
        """Return the encoded features of one part, without copying them."""
        return self.slice(*self.dataset.parts[part])

    def slice(self, start: int, stop: int) -> Frame:
        """Return the encoded features of some rows, without copying them."""
        names = self.dataset.table.column_names[: len(self.dataset.encoder.categorical)]
        return Frame(self.dataset.table.select(names), self.dataset.encoder.categorical).slice(start, stop)

    @property
    def spread(self) -> bool:
        """Tell whether each trial is trained by several workers together."""
        return self.config.compute.workers_per_trial > 1

    @property
    def spread_note(self) -> str:
        """What the user should know of trials over several workers; empty where they have one each."""
        if not self.spread:
            return ""
        left_out = ["quantiles are learnt around no location", "no trial is judged by its first fold alone"]
        if self.config.search.refit:
            left_out.append("the model is not fitted again on all rows")
        return (
            f"Each trial is trained by {self.config.compute.workers_per_trial} workers together. Its leaves "
            "hold the mean of their quantiles, so that its model is not that of a single worker. Left out: "
            f"{'; '.join(left_out)}."
        )

    @property
    def refit_wanted(self) -> bool:
        """Tell whether the best parameters are to be fitted again on all rows.

        Models of folds need no refit: their mean is the better forecast, and has its calibration. Only in
        time it lacks the latest rows. What takes several workers does not fit in this process.
        """
        return self.config.search.refit and not self.folds_are_averaged and not self.spread

    @property
    def folds_are_averaged(self) -> bool:
        """Tell whether each fold's model has learnt from rows on both sides of it: not so in time."""
        return any(fold.train[-1][1] > fold.watch[0] for fold in self.dataset.fits)

    def members_of(self, parts: Sequence[Files]) -> Sequence[Files]:
        """Return which of the folds' models of a trial are in the forecaster.

        In time it is the last, which has learnt from most rows.
        """
        return parts if self.folds_are_averaged else parts[-1:]

    @property
    def refit_scale(self) -> float:
        """Seconds of a refit on training and validation rows for each second of a trial, roughly."""
        if not self.refit_wanted:
            return 0.0
        learnt = sum(stop - start for fold in self.dataset.fits for start, stop in fold.train)
        rows = self.dataset.parts["valid"][1] / max(1, learnt)
        apart = all(TUNABLE[space.model].levels_apart for space in self.space.spaces)
        threads = min(self.refit_threads[0 if apart else 1], 8) / self.config.compute.cpus_per_trial
        return rows / (threads if threads < 1 else max(1.0, 0.8 * threads))
