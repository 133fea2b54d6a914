"""One set of parameters becomes one score: a plain function, without Ray, MLflow or a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from raysearch.checkpoint import Checkpoint
from raysearch.looks import Looks
from raysearch.metrics import Array
from raysearch.models import AheadFit, Fit
from raysearch.recipe import Recipe
from raysearch.records import Rung
from raysearch.scoring import Scorer
from raysearch.stopwatch import Stopwatch

_ROUNDS_A_LOOK = 5  # between two looks whether the trial is given up
_DUMPED_S = 0.0001  # in which a tree of some sixty leaves is written out


@dataclass(frozen=True)
class TrialSpec:
    """One trial as it is sent to a worker.

    Attributes:
        rungs: boosting rounds at which the trial reports and may be stopped, rising; its last is its end.
        bar: the best score so far; a trial that ends below it sends its model along.
        default: the library's untuned defaults; sends its model along in any case, and has all its rounds.
        left_s: seconds after which it ends, cut, with the rounds that served best so far.
        sent_s: when it was sent, on the driver's ``time.time``.
        first_fold: it reports first how its first fold alone has ended, and may be stopped there.
        checkpoint_after_s: seconds of training after which the next rung sends along what is needed to go on.
        begun: what it sent along before it lost its worker, to go on with; empty: it begins anew.
    """

    number: int
    key: str
    model: str
    fit_params: Mapping[str, Any]
    rungs: tuple[int, ...]
    bar: float = float("inf")
    default: bool = False
    left_s: float = float("inf")
    sent_s: float = 0.0
    first_fold: bool = False
    checkpoint_after_s: float = float("inf")
    begun: bytes = field(default=b"", repr=False)


class Place(Protocol):
    """Where trials are trained and scored: a ``Bench``, or the workers of a group together.

    Attributes:
        recipe: what is done.
        watch: where the time of a trial goes.
        scorer: scores what a trial says of the watched rows.
        first: the same of the first fold alone; None: trials are not scored on it before the others.
    """

    recipe: Recipe
    watch: Stopwatch
    scorer: Scorer
    first: Scorer | None

    @property
    def trainings(self) -> int:
        """Trainings of a trial, one or one a fold."""

    def prepare(self, fold: int, model_name: str, fit_params: Mapping[str, Any]) -> None:
        """Do what takes longest before the first round of one training."""

    def begin_fold(
        self,
        fold: int,
        model_name: str,
        fit_params: Mapping[str, Any],
        saved: Mapping[str, bytes] | None = None,
    ) -> Fit:
        """Start the training of one fold, or go on with one that was saved."""

    def begin(
        self,
        model_name: str,
        fit_params: Mapping[str, Any],
        first: Fit | None = None,
        saved: Mapping[str, bytes] | None = None,
    ) -> Fit:
        """Start a training of all levels and folds, or go on with one that was saved.

        Args:
            first: the training of the first fold, where it was begun before.
        """


@dataclass(frozen=True)
class Stand:
    """How far a trial has come.

    Attributes:
        rung: its score.
        raw: what the boosters say of the watched rows at that score, [rows, levels].
        ended: it trains no further.
        cut: it has ended for want of time.
        best: the rounds that served best so far, and what the boosters say after these; 0: none were sought.
    """

    rung: Rung
    raw: Array
    ended: bool
    cut: bool = False
    best: tuple[int, Array] = (0, np.empty((0, 0)))


def run_trial(
    spec: TrialSpec, bench: Place, given_up: Callable[[], bool] | None = None, since_s: float | None = None
) -> Iterator[tuple[Stand, Fit]]:
    """Train one set of parameters rung by rung, all levels and folds together.

    It ends where more rounds have not helped for long, or where no time is left for more, with the model of
    the rounds that served best; the library's defaults, and boosters whose later trees change the earlier
    ones, train all their rounds.

    Args:
        given_up: asked every few rounds; true ends the training at once, without another score.
        since_s: moment on ``time.monotonic`` from which the time that it has counts; None: now.

    Yields:
        Where it stands at each rung, and the fit; the caller may stop at any of them.

    Raises:
        TrialError: when a score is not finite, or at the end all levels are alike.
    """
    started_s = time.monotonic()
    until_s = (started_s if since_s is None else since_s) + spec.left_s
    bench.watch.reset()
    bench.watch.add("starting", 0.0 if since_s is None else started_s - since_s)
    begun = _begun(spec, bench)
    run = _Run(spec, bench, given_up, started_s, until_s, begun)
    first = None
    if begun is not None and begun.first:
        first = run.first_fold_again(begun)
    elif begun is None and spec.first_fold and bench.first is not None:
        first = yield from run.first_fold(bench.first)
        if first is None:
            return
    yield from run.all_folds(first)


def _begun(spec: TrialSpec, bench: Place) -> Checkpoint | None:
    """Return how far the trial had come; None where it begins anew: all else would cost more than that."""
    if not spec.begun:
        return None
    try:
        begun = Checkpoint.unpack(spec.begun)
    except Exception:  # damaged, or of another version
        return None
    # Where memory is short, and where several workers train it, no fold goes ahead of the others.
    return None if begun.first and bench.first is None else begun


@dataclass(frozen=True)
class _Run:
    """A trial that is being trained.

    Attributes:
        started_s: moment on ``time.monotonic``; ``until_s``: when it should have ended.
        begun: how far it had come before it lost its worker; None: it begins anew.
    """

    spec: TrialSpec
    bench: Place
    given_up: Callable[[], bool] | None
    started_s: float
    until_s: float
    begun: Checkpoint | None = None

    def first_fold_again(self, begun: Checkpoint) -> Fit:
        """Return the first fold as it had ended before."""
        self.bench.prepare(0, self.spec.model, self.spec.fit_params)
        with self.bench.watch.part("training"):
            fit = AheadFit(self.bench.begin_fold(0, self.spec.model, self.spec.fit_params, begun.boosters))
        fit.wait()
        return fit

    def first_fold(self, scorer: Scorer) -> Generator[tuple[Stand, Fit], None, Fit | None]:
        """Train the first fold to its end, tell where it stands, and return it; None: it was given up.

        Where time is too short for its end, nothing is told: its score would not compare with others'.
        """
        bench, spec, last = self.bench, self.spec, self.spec.rungs[-1]
        started_s = time.monotonic()
        if not self._prepared(range(1)):
            return None
        with bench.watch.part("training"):
            begun = bench.begin_fold(0, spec.model, spec.fit_params)
        if not begun.additive:
            return begun  # it has no rounds that served best: it is scored with the others, at the end
        fit = AheadFit(begun)
        looks = Looks(scorer, bench.watch, fit)
        others, late = bench.trainings - 1, False
        while fit.rounds < last and not looks.stalled and not late:
            stride_s = self._strode(fit, looks, last)
            if stride_s is None:
                return None
            now = time.monotonic()
            late = now + stride_s + others * (now + stride_s - started_s) > self.until_s
        if fit.rounds == last or looks.stalled:
            with bench.watch.part("scoring"):
                rung = scorer.score(looks.raw, looks.rounds, bench.watch)
            yield Stand(self._timed(replace(rung, folds=1)), looks.raw, False), fit
        fit.wait()
        return fit

    def all_folds(self, first: Fit | None) -> Iterator[tuple[Stand, Fit]]:
        """Train all folds together, rung by rung, and tell where they stand at each."""
        bench, spec, last = self.bench, self.spec, self.spec.rungs[-1]
        if not self._prepared(range(int(first is not None), bench.trainings)):
            return
        begun = self.begun if first is None else None  # else it was of the first fold alone
        with bench.watch.part("training"):
            fit = bench.begin(spec.model, spec.fit_params, first, begun.boosters if begun else None)
        looks = None if spec.default or not fit.additive else Looks(bench.scorer, bench.watch, fit)
        if looks and begun and begun.best:
            looks.go_on(begun.best, begun.raw)
        late = False
        for rounds in (rung for rung in spec.rungs if begun is None or rung > begun.rounds):
            while fit.rounds < rounds and not (looks and looks.stalled) and not late:
                stride_s = self._strode(fit, looks, rounds)
                if stride_s is None:
                    return
                late = looks is not None and time.monotonic() + stride_s + self._dump_s(fit) > self.until_s
            stalled = looks is not None and looks.stalled and fit.rounds < last
            cut = late and not stalled and fit.rounds < last
            ended = stalled or cut or rounds == last
            stand = self._stand(fit, looks if ended else None, ended=ended, cut=cut)
            yield replace(stand, best=(looks.rounds, looks.raw)) if looks and not ended else stand, fit
            if ended:
                return

    def _dump_s(self, fit: Fit) -> float:
        """Return about how long it takes to write out the model of all folds."""
        return _DUMPED_S * fit.rounds * len(self.bench.recipe.settings.levels) * self.bench.trainings

    def _prepared(self, folds: range) -> bool:
        """Do what folds need before their first round; return False where the trial was given up before."""
        for fold in folds:
            if self.given_up and self.given_up():
                return False
            self.bench.prepare(fold, self.spec.model, self.spec.fit_params)
        return True

    def _strode(self, fit: Fit, looks: Looks | None, rounds: int) -> float | None:
        """Train to the next look, and look; return how long the stride after it will take.

        None: the trial was given up before.
        """
        begun_s, before = time.monotonic(), fit.rounds
        with self.bench.watch.part("training"):
            if not self._advanced(fit, min(rounds, looks.next) if looks else rounds):
                return None
        if not looks:
            return 0.0
        looks.look()
        then = min(looks.next, self.spec.rungs[-1])
        return (then - fit.rounds) / (fit.rounds - before) * (time.monotonic() - begun_s)

    def _advanced(self, fit: Fit, rounds: int) -> bool:
        """Train until ``rounds`` rounds are done; return False where the trial was given up before."""
        # Boosters in turns begin anew with each step.
        step = rounds if self.given_up is None or self.bench.recipe.in_turns else _ROUNDS_A_LOOK
        while fit.rounds < rounds:
            if self.given_up and self.given_up():
                return False
            fit.advance(min(rounds, fit.rounds + step))
        return True

    def _stand(self, fit: Fit, looks: Looks | None, *, ended: bool, cut: bool) -> Stand:
        """Return where all folds stand: at the rounds that served best where there were looks."""
        watch, scorer = self.bench.watch, self.bench.scorer
        with watch.part("prediction"):
            raw, rounds = (looks.raw, looks.rounds) if looks else (fit.predict_watched(), fit.rounds)
        with watch.part("scoring"):
            if ended:
                scorer.refuse_collapsed(raw)
            rung = scorer.score(raw, rounds, watch)
        return Stand(self._timed(rung), raw, ended, cut)

    def _timed(self, rung: Rung) -> Rung:
        before_s = self.begun.seconds if self.begun else 0.0
        seconds = before_s + time.monotonic() - self.started_s
        return replace(rung, seconds=seconds, spent=self.bench.watch.seconds)


def rungs_for(rounds: int, milestones: tuple[int, ...]) -> tuple[int, ...]:
    """Return where a trial of ``rounds`` rounds reports: the milestones below it, and its end."""
    return (*(step for step in milestones if step < rounds), rounds)
