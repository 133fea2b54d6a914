"""The twin of the Ray engine: one trial at a time in this process, the same conductor and ledger."""

from __future__ import annotations

import math
import time

import pyarrow as pa

from raysearch.bench import Bench
from raysearch.recipe import Recipe
from raysearch.reports import reports
from raysearch.space import SearchSpace
from raysearch.study.conductor import Conductor
from raysearch.study.ledger import Ledger
from raysearch.trial import TrialSpec

TRIALS = "trials"  # what is told of the driver's time: here it is the worker too


def run_inline(
    conductor: Conductor,
    ledger: Ledger,
    space: SearchSpace,
    table: pa.Table,
    recipe: Recipe,
    timeout_s: float | None = None,
) -> None:
    """Run trials until the conductor wants no more.

    Args:
        timeout_s: after which a trial is given up where it next can be; None: never.
    """
    bench = Bench(table, recipe)
    try:
        while conductor.wants() == "more" and not conductor.halted:
            with ledger.together(), conductor.watch.part("proposals"):
                trial = ledger.ask()
                spec = conductor.start(trial, space.suggest(trial))
            conductor.started(spec.key)
            with conductor.watch.part(TRIALS):
                _run_one(conductor, spec, bench, timeout_s)
    finally:
        conductor.release()


def _run_one(conductor: Conductor, spec: TrialSpec, bench: Bench, timeout_s: float | None) -> None:
    until = time.monotonic() + (timeout_s or math.inf)

    def given_up() -> bool:
        return conductor.halted or time.monotonic() > until

    for report in reports(spec, bench, given_up):
        if report.rung is None:
            conductor.failed(spec.key, report.failure)
        elif report.final:
            conductor.finished(spec.key, report.rung, report.files, cut=report.cut)
        elif not conductor.reached(spec.key, report.rung, report.saved):
            conductor.stopped(spec.key)
            return
        if conductor.halted or report.final or report.rung is None:
            return
    if timeout_s is not None and not conductor.halted:
        conductor.give_up(spec.key, timeout_s)
        conductor.lost(spec.key, "")
