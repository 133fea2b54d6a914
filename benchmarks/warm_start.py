"""What do points of earlier studies bring? Searches of one half of a table, with and without them, in turns.

    python benchmarks/warm_start.py --home DIR [--only ames,bikes,funds] [--history same,others] [--trials 30]
        [--seeds 1] [--rows 4000] [--engine ray|inline] [--out warm_start.json]
    python benchmarks/warm_start.py --home DIR --distances   # how far tables are apart; nothing is tuned

`--home` is where `benchmarks/quality.py --setup DIR` put the tables; `funds` are those that ship with
raysearch. Each table is parted in two: in time the earlier and the later rows, else by chance (whole groups
stay whole). The first half makes history: one study a table and seed. The second half is searched cold, and
warm with the history of its own first half (`same`) or of all other tables (`others`). All are scored on the
table's test rows.

Told are, as ratios warm to cold, so that below 1 is in favour of a warm start: the best validation score
after 10 and all trials, the test loss, and the trials until the cold search's best score is reached (`>`: it
is not; it then counts with one trial more than there were). Where no study is alike a warm search is the cold
one, and is not run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import quality_tables

from raysearch.config import Config, load_config
from raysearch.data import load_builtin, prepare
from raysearch.flow import Study, tune
from raysearch.history import CUT_OFF, PastStudy, distance, to_text
from raysearch.history.features import describe
from raysearch.tracking import PastReader
from raysearch.tracking.past import HISTORY
from raysearch.tracking.store import open_store

FUNDS = "funds"
TABLES = (*quality_tables.TABLES, FUNDS)


class Case:
    """One table: its two halves, its test rows, and how it is tuned."""

    def __init__(self, name: str, options: argparse.Namespace, seed: int) -> None:
        self.name, self.seed, self._options = name, seed, options
        if name == FUNDS:
            frame, self._flags = load_builtin("factor_nav").to_pandas(), _funds()
            frame = frame.sort_values("date", kind="stable")
            cut = frame["date"].quantile(0.8)
            train, self.test = frame[frame["date"] < cut], frame[frame["date"] >= cut]
            by, kind = "date", "time"
        else:
            table = quality_tables.write(name, 0, options.home / "packages", options.home / "tables")
            train, self.test = pd.read_parquet(table.train), pd.read_parquet(table.test)
            by, kind = table.time or table.group, table.kind
            roles = {"target": table.target, "time": table.time, "group": table.group}
            self._flags: dict[str, dict[str, Any]] = {"data": roles, "split": {}}
            if kind == "group":
                self._flags["data"]["drop"] = [table.group]
                self._flags["split"]["by"] = "group"
        self.halves = halves(train, by, kind, options.rows, seed)

    def config(self, half: str, place: Path | None = None, **search: Any) -> Config:
        """Return the settings of a study of the first half, or of the second with the table's test rows."""
        flags = {section: dict(values) for section, values in self._flags.items()}
        flags["split"] = {**flags.get("split", {}), **({"test_size": 0.1} if half == "past" else {})}
        flags["search"] = {"seed": self.seed, "trials": self._options.trials, **search}
        flags["compute"] = {"engine": self._options.engine}
        if place is not None:
            flags["study"] = {"home": str(place / "studies"), "name": f"{self.name}-{half}-{self.seed}"}
            flags["tracking"] = {"uri": f"sqlite:///{place / 'mlflow.db'}"}
            if half == "now":
                self.test.to_parquet(place / "test.parquet")
                flags["data"]["test_path"] = str(place / "test.parquet")
        return load_config(flags=flags, in_memory=True)


def _funds() -> dict[str, dict[str, Any]]:
    roles = {"target": "nav_ahead", "group": "strategy", "time": "date", "transform": "log", "anchor": "nav"}
    return {"data": {**roles, "drop": ["fund", "nav"]}, "split": {"by": "time", "purge": 21}}


def halves(frame: pd.DataFrame, by: str | None, kind: str, rows: int, seed: int) -> dict[str, pd.DataFrame]:
    """Return what history is made from ("past") and what is searched ("now"), at most so many rows each."""
    rng = np.random.default_rng(seed)
    if kind == "time":
        frame = frame.sort_values(by, kind="stable")
        first = (frame[by] < frame[by].iloc[len(frame) // 2]).to_numpy()
    elif kind == "group":
        names = rng.permutation(frame[by].unique())
        first = frame[by].isin(names[: len(names) // 2]).to_numpy()
    else:
        first = rng.uniform(size=len(frame)) < 0.5
    parts = {"past": frame[first], "now": frame[~first]}
    return {
        name: part.iloc[np.linspace(0, len(part) - 1, min(rows, len(part))).astype(int)].reset_index(
            drop=True
        )
        for name, part in parts.items()
    }


def run(case: Case, half: str, empty: Path, past: list[PastStudy], warm: bool = False) -> tuple[Study, list]:
    """Run a study with the studies of the past in its store; return it with what it leaves behind."""
    with tempfile.TemporaryDirectory(prefix="warm-") as place:
        store = Path(place) / "mlflow.db"
        shutil.copyfile(empty, store)
        fill(store, past)
        config = case.config(half, Path(place), warm_start="auto" if warm else "off")
        study = tune(config, case.halves[half])
        left = PastReader(f"sqlite:///{store}").result()
        return study, [one for one in left if one.study == study.name]


def fill(store: Path, past: list[PastStudy]) -> None:
    """Put what studies left behind into a store, each as a run of its own."""
    if not past:
        return
    opened = open_store(f"sqlite:///{store}", "history")
    for study in past:
        run_id = opened.create_run(study.study, {"raysearch.role": "study"}, 0)
        opened.client.set_tag(run_id, HISTORY, to_text(study))
        opened.client.set_terminated(run_id, "FINISHED")


def curve(study: Study) -> list[float]:
    """Return the best score of a model so far, one a trial, in the order in which they were proposed."""
    scores = [t.score if t.state == "finished" and t.score is not None else math.inf for t in study.trials]
    return list(itertools.accumulate(scores, min))


def compare(cold: Study, warm: Study) -> dict[str, Any]:
    """Return the ratios of a warm search to the cold one."""
    mine, theirs = curve(warm), curve(cold)
    best = theirs[-1]
    reached = next((i for i, score in enumerate(mine, 1) if score <= best), None)
    needed = theirs.index(best) + 1
    start = warm.result.warm.start
    return {
        "points": len(start.points),
        "from": sorted({point.study for point in start.points}),
        "after 10": mine[min(9, len(mine) - 1)] / theirs[min(9, len(theirs) - 1)],
        "after all": mine[-1] / best,
        "test": warm.test.metrics["pinball_loss_avg"] / cold.test.metrics["pinball_loss_avg"],
        "trials": (reached or len(mine) + 1) / needed,
        "reached": reached,
        "cold": needed,
    }


def row(found: dict[str, Any]) -> str:
    """Return one line of the table."""
    head = f"| {found['table']} | {found['seed']} | {found['history']} | {found['alike']} |"
    if "points" not in found:
        return f"{head} 0 | | | | |"
    trials = f"{found['reached'] or '>'} / {found['cold']}"
    ratios = " | ".join(f"{found[name]:.4f}" for name in ("after 10", "after all", "test"))
    return f"{head} {found['points']} | {ratios} | {trials} |"


def summary(results: list[dict[str, Any]]) -> None:
    """Print geometric means with the least and the most, by kind of history."""
    for history in dict.fromkeys(found["history"] for found in results):
        told = [found for found in results if found["history"] == history and "points" in found]
        if not told:
            continue
        words = []
        for name in ("after 10", "after all", "test", "trials"):
            values = [found[name] for found in told]
            mean = statistics.geometric_mean(values)
            words.append(f"{name} {mean:.4f} ({min(values):.3f} to {max(values):.3f})")
        reached = sum(found["reached"] is not None for found in told)
        print(f"{history}, {len(told)} searches: {'; '.join(words)}; the cold best reached in {reached}")


def search(options: argparse.Namespace) -> None:
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="warm-") as place:
        empty = Path(place) / "empty.db"
        open_store(f"sqlite:///{empty}", "raysearch")
        cases = [Case(name, options, seed) for seed in range(options.seeds) for name in options.only]
        past = {(case.name, case.seed): run(case, "past", empty, [])[1] for case in cases}
        print("| table | seed | history | studies alike | points | after 10 | after all | test | trials |")
        print("|---|---|---|---|---|---|---|---|---|")
        for position, case in enumerate(cases):
            kept = {"same": past[case.name, case.seed]}
            others = [past[other] for other in past if other[0] != case.name and other[1] == case.seed]
            kept["others"] = list(itertools.chain.from_iterable(others))
            results += rounds(case, position, empty, {name: kept[name] for name in options.history})
            options.out.write_text(json.dumps(results, indent=1))
    summary(results)


def rounds(case: Case, position: int, empty: Path, kept: dict[str, list[PastStudy]]) -> list[dict[str, Any]]:
    """Search one table cold and warm, the cold one first at every other table."""
    config = case.config("now")
    here = describe(config, prepare(config, case.halves["now"]))
    alike = {name: [s for s in past if distance(here, s.features) <= CUT_OFF] for name, past in kept.items()}
    sides = ["cold", *(name for name, past in alike.items() if past)]
    sides = sides if position % 2 == 0 else sides[::-1]
    done = {side: run(case, "now", empty, kept.get(side, []), warm=side != "cold")[0] for side in sides}
    results = []
    for name, past in alike.items():
        found = {"table": case.name, "seed": case.seed, "history": name, "alike": len(past)}
        if name in done and done[name].result.warm.start.points:
            found |= compare(done["cold"], done[name])
        print(row(found), flush=True)
        results.append(found)
    return results


def distances(options: argparse.Namespace) -> None:
    """Print how far the halves of each table are apart, and which other tables count as alike."""
    found = {}
    for name in options.only:
        case = Case(name, options, 0)
        config = case.config("now")
        found |= {(name, half): describe(config, prepare(config, case.halves[half])) for half in case.halves}
    for name in options.only:
        far = {other: distance(found[name, "now"], found[other, "past"]) for other in options.only}
        near = sorted((value, other) for other, value in far.items() if other != name and value <= CUT_OFF)
        told = ", ".join(f"{other} {value:.3f}" for value, other in near)
        print(f"{name}: its other half {far[name]:.3f}; alike: {told or 'none'}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, required=True, help="as of benchmarks/quality.py")
    parser.add_argument("--only", default="ames,loans,deliveries,checks,pupils,bikes,ridership,homes,funds")
    parser.add_argument("--history", default="same,others")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rows", type=int, default=4000, help="of a half, at most")
    parser.add_argument("--engine", choices=("ray", "inline"), default="inline")
    parser.add_argument("--out", type=Path, default=Path("warm_start.json"))
    parser.add_argument("--distances", action="store_true")
    options = parser.parse_args()
    options.home, options.only = options.home.resolve(), options.only.split(",")
    options.history = options.history.split(",")
    if unknown := set(options.only) - set(TABLES):
        parser.error(f"no table is called {', '.join(sorted(unknown))}; tables: {', '.join(TABLES)}")
    if unknown := set(options.history) - {"same", "others"}:
        parser.error(f"--history: got {', '.join(sorted(unknown))}, must be same, others or both")
    (distances if options.distances else search)(options)


if __name__ == "__main__":
    main()
