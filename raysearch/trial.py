"""One set of parameters becomes one score: a plain function, without Ray, MLflow or a network."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from raysearch.bench import Bench
from raysearch.metrics import Array
from raysearch.models import Fit
from raysearch.records import Rung

WATCHED = "watched.npy"
_ROUNDS_A_LOOK = 5  # between two looks whether the trial is given up
_LEAST_STRIDE, _STRIDES = 10, 10  # rounds between two looks at the loss: a tenth of those done, at least ten
_LEAST_PATIENCE = 20  # rounds without gain, beside half of those at the best look, after which a trial ends


@dataclass(frozen=True)
class TrialSpec:
    """One trial as it is sent to a worker.

    Attributes:
        rungs: boosting rounds at which the trial reports and may be stopped, rising; its last is its end.
        bar: the best score so far; a trial that ends below it sends its model along.
        default: the library's untuned defaults; sends its model along in any case, and has all its rounds.
        left_s: seconds after which it ends, cut, with the rounds that served best so far.
        sent_s: when it was sent, on the driver's ``time.time``.
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


@dataclass(frozen=True)
class Stand:
    """How far a trial has come.

    Attributes:
        rung: its score.
        raw: what the boosters say of the watched rows at that score, [rows, levels].
        ended: it trains no further.
        cut: it has ended for want of time.
    """

    rung: Rung
    raw: Array
    ended: bool
    cut: bool = False


class _Looks:
    """Looks at the loss now and then, and remembers the best: more rounds than that help no more."""

    def __init__(self, bench: Bench, fit: Fit) -> None:
        self._bench, self._fit = bench, fit
        self._loss = float("inf")
        self.rounds, self.raw = 0, np.empty((0, 0))

    @property
    def next(self) -> int:
        return self._fit.rounds + max(_LEAST_STRIDE, self._fit.rounds // _STRIDES)

    def look(self) -> None:
        with self._bench.watch.part("prediction"):
            raw = self._fit.predict_watched()
        with self._bench.watch.part("scoring"):
            loss = self._bench.loss(raw)
        if not self.rounds or loss < self._loss:
            self._loss, self.rounds, self.raw = loss, self._fit.rounds, raw

    @property
    def stalled(self) -> bool:
        return bool(self.rounds) and self._fit.rounds >= 1.5 * self.rounds + _LEAST_PATIENCE


def run_trial(
    spec: TrialSpec, bench: Bench, given_up: Callable[[], bool] | None = None, since_s: float | None = None
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
    watch = bench.watch
    watch.reset()
    watch.add("starting", 0.0 if since_s is None else started_s - since_s)
    for fold in range(bench.trainings):
        if given_up and given_up():
            return
        bench.prepare(fold, spec.model, spec.fit_params)
    with watch.part("training"):
        fit = bench.begin(spec.model, spec.fit_params)
    looks = None if spec.default or not fit.additive else _Looks(bench, fit)
    late = False
    for rounds in spec.rungs:
        while fit.rounds < rounds and not (looks and looks.stalled) and not late:
            begun, before = time.monotonic(), fit.rounds
            ahead = min(rounds, looks.next) if looks else rounds
            with watch.part("training"):
                if not _advance(fit, ahead, given_up):
                    return
            if looks:
                looks.look()
                now, then = time.monotonic(), min(looks.next, spec.rungs[-1])
                share = (then - fit.rounds) / (fit.rounds - before)
                late = now + share * (now - begun) > until_s  # the next stride would end behind it
        stalled = looks is not None and looks.stalled and fit.rounds < spec.rungs[-1]
        cut = late and not stalled and fit.rounds < spec.rungs[-1]
        ended = stalled or cut or rounds == spec.rungs[-1]
        best = ended and looks is not None
        with watch.part("prediction"):
            raw, done = (looks.raw, looks.rounds) if best and looks else (fit.predict_watched(), fit.rounds)
        with watch.part("scoring"):
            if ended:
                bench.refuse_collapsed(raw)
            rung = bench.score(raw, done)
        rung = replace(rung, seconds=time.monotonic() - started_s, spent=watch.seconds)
        yield Stand(rung, raw, ended, cut), fit
        if ended:
            return


def _advance(fit: Fit, rounds: int, given_up: Callable[[], bool] | None) -> bool:
    """Train until ``rounds`` rounds are done; return False where the trial was given up before."""
    while fit.rounds < rounds:
        if given_up and given_up():
            return False
        fit.advance(min(rounds, fit.rounds + _ROUNDS_A_LOOK) if given_up else rounds)
    return True


@dataclass(frozen=True)
class Report:
    """What a worker sends back at a rung.

    Attributes:
        final: the trial trains no further.
        files: the boosters, and in WATCHED what they say of the watched rows, where the trial ended below
            its bar.
        failure: why the trial failed; empty when it did not.
        cut: it trains no further for want of time.
    """

    rung: Rung | None = None
    final: bool = False
    files: Mapping[str, bytes] | None = field(default=None, repr=False)  # Tune writes out what it gets
    failure: str = ""
    cut: bool = False


def reports(
    spec: TrialSpec, bench: Bench, given_up: Callable[[], bool] | None = None, since_s: float | None = None
) -> Iterator[Report]:
    """Run a trial and yield its reports; whatever it raises becomes a last report with the failure."""
    try:
        for stand, fit in run_trial(spec, bench, given_up, since_s):
            rung, files = stand.rung, None
            if stand.ended and (spec.default or rung.score < spec.bar):
                with bench.watch.part("sending"):
                    files = {**fit.dump(rung.step), WATCHED: _pack(stand.raw)}
                rung = replace(rung, spent=bench.watch.seconds)
            yield Report(rung, stand.ended, files, cut=stand.cut)
    except Exception as error:
        yield Report(failure=_reason(error))


def _pack(raw: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, raw.astype(np.float32), allow_pickle=False)
    return file.getvalue()


def unpack(files: Mapping[str, bytes]) -> tuple[dict[str, bytes], Array]:
    """Return a trial's boosters, and what they say of the watched rows [rows, levels]."""
    boosters = {name: data for name, data in files.items() if name != WATCHED}
    return boosters, np.load(io.BytesIO(files[WATCHED]), allow_pickle=False).astype(np.float64)


def _reason(error: Exception) -> str:
    # XGBoost writes its C++ stack below the message: of no use to whoever reads a trial's reason.
    told = str(error).partition("Stack trace:")[0].strip()
    return f"{type(error).__name__}: {told}" if told else type(error).__name__


def rungs_for(rounds: int, milestones: tuple[int, ...]) -> tuple[int, ...]:
    """Return where a trial of ``rounds`` rounds reports: the milestones below it, and its end."""
    return (*(step for step in milestones if step < rounds), rounds)
