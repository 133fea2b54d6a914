"""How many trials should go on behind their first fold?

    python benchmarks/stopping.py --home DIR [--only ames,deliveries,loans,wages] [--trials 50]
    python benchmarks/stopping.py --data FILE --target COLUMN [--cv 3]

`--home` is where `benchmarks/quality.py --setup DIR` put the tables, of which those with folds at random or
by group serve. Searches in which every trial is trained to its end are replayed, trial by trial, as if only
the best 1/eta of all seen so far went on behind the first fold. Told are the shares of the trials and of
the seconds that this takes, and by how much the best trial, and the mean of the four best, are then worse
than those of the whole search. What the proposals would have learnt of fewer finished trials is left out.
"""

from __future__ import annotations

import argparse
import bisect
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import quality_tables

import raysearch
from raysearch.records import TrialResult
from raysearch.study import pruning

ETAS = (3, 4, 6, 8, 12)
BEST = 4  # trials, about as many as an ensemble is of


def searched(data: str, target: str, trials: int, **words: Any) -> list[TrialResult]:
    """Return the trials of a search in which each told of its first fold, and was trained to its end."""
    pruning._ETA_FIRST_FOLD = 1
    with tempfile.TemporaryDirectory() as home:
        study = raysearch.tune(data, target=target, trials=trials, tracking=False, home=home, **words)
    return [trial for trial in study.trials if trial.state == "finished"]


def first_fold(trial: TrialResult) -> tuple[float, float] | None:
    """Return score and seconds of a trial's first fold; None: it has not been asked."""
    return next(((rung.score, rung.seconds) for rung in trial.history if rung.folds), None)


def replayed(trials: Sequence[TrialResult], eta: int) -> tuple[int, float, list[float]]:
    """Return how many trials go on, the seconds of all, and the scores of those that went on, rising."""
    seen: list[float] = []
    spent, scores = 0.0, []
    for trial in trials:
        told = first_fold(trial)
        if told is not None and pruning.should_stop("asha", told[0], seen, eta):
            spent += told[1]
        else:
            spent += trial.seconds
            bisect.insort(scores, trial.score)
        if told is not None:
            bisect.insort(seen, told[0])
    return len(scores), spent, scores


def rows(name: str, trials: Sequence[TrialResult]) -> Iterator[str]:
    """Return the lines of one search: one an eta."""
    _, seconds, scores = replayed(trials, 1)
    for eta in ETAS:
        going, spent, kept = replayed(trials, eta)
        worse = [100 * (np.mean(kept[:n]) / np.mean(scores[:n]) - 1) for n in (1, BEST)]
        shares = (going / len(trials), spent / seconds)
        cells = [name, str(eta), *(f"{share:.2f}" for share in shares), *(f"{loss:.2f}" for loss in worse)]
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, help="where quality.py --setup made the tables")
    parser.add_argument("--only", default="ames,deliveries,loans,wages")
    parser.add_argument("--data", help="a table of your own, in place of those")
    parser.add_argument("--target", help="its target")
    parser.add_argument("--cv", type=int, help="its folds")
    parser.add_argument("--trials", type=int, default=50)
    options = parser.parse_args()
    if (options.home is None) == (options.data is None):
        parser.error("give either --home or --data with --target")
    print(f"| table | eta | trials that go on | seconds | best, % worse | best {BEST}, % worse |")
    print("|---|---|---|---|---|---|", flush=True)
    if options.data is not None:
        found = searched(options.data, options.target, options.trials, cv=options.cv)
        print(*rows(Path(options.data).stem, found), sep="\n")
        return
    for name in options.only.split(","):
        table = quality_tables.write(name, 0, options.home / "packages", options.home / "tables")
        split = {"group": table.group, "split": "group"} if table.kind == "group" else {}
        found = searched(table.train, table.target, options.trials, test_size=0.0, **split)
        print(*rows(name, found), sep="\n", flush=True)


if __name__ == "__main__":
    main()
