"""What a worker sends of a trial: its score at each rung, at its end its model, or why it failed."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from raysearch.checkpoint import Checkpoint
from raysearch.metrics import Array
from raysearch.models import Fit, adds_up
from raysearch.records import Rung
from raysearch.trial import Place, Stand, TrialSpec, run_trial

WATCHED = "watched.npy"


@dataclass(frozen=True)
class Report:
    """What a worker sends back at a rung.

    Attributes:
        final: the trial trains no further.
        files: the boosters, and in WATCHED what they say of the watched rows, where the trial ended below
            its bar.
        failure: why the trial failed; empty when it did not.
        cut: it trains no further for want of time.
        saved: what is needed to go on with it elsewhere, a packed ``Checkpoint``; empty: not worth it.
    """

    rung: Rung | None = None
    final: bool = False
    files: Mapping[str, bytes] | None = field(default=None, repr=False)  # Tune writes out what it gets
    failure: str = ""
    cut: bool = False
    saved: bytes = field(default=b"", repr=False)


def reports(
    spec: TrialSpec, bench: Place, given_up: Callable[[], bool] | None = None, since_s: float | None = None
) -> Iterator[Report]:
    """Run a trial and yield its reports; whatever it raises becomes a last report with the failure."""
    saved_s = time.monotonic()
    try:
        for stand, fit in run_trial(spec, bench, given_up, since_s):
            rung, files, saved = stand.rung, None, b""
            if stand.ended and (spec.default or rung.score < spec.bar):
                with bench.watch.part("sending"):
                    files = {**fit.dump(rung.step), WATCHED: _pack(stand.raw)}
                rung = replace(rung, spent=bench.watch.seconds)
            if (
                not stand.ended
                and time.monotonic() - saved_s >= spec.checkpoint_after_s
                and adds_up(spec.fit_params)
            ):
                saved, saved_s = _saved(stand, fit), time.monotonic()
            yield Report(rung, stand.ended, files, cut=stand.cut, saved=saved)
    except Exception as error:
        yield Report(failure=_reason(error))


def _saved(stand: Stand, fit: Fit) -> bytes:
    """Return what is needed to go on with a trial; one whose later trees change the earlier ones cannot."""
    first = bool(stand.rung.folds)
    return Checkpoint(
        stand.rung.step if not first else 0, first, stand.rung.seconds, fit.save(), *stand.best
    ).pack()


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
