"""The sides of benchmarks/overhead.py: overhead_sides.py SIDE JOB.json runs one, and writes told.json.

All train the same parameters on the same rows, score them on the same later rows, and run as many trials at
once as there are cores.
"""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Rows = tuple[np.ndarray, np.ndarray]


def rows_of(path: str) -> Rows:
    """Return features [rows, columns] and truth [rows]."""
    frame = pd.read_parquet(path)
    return frame.drop(columns="y").to_numpy(np.float32), frame["y"].to_numpy()


def loss_of(params: dict[str, Any], train: Rows, valid: Rows, levels: list[float]) -> float:
    """Return the mean pinball loss of a LightGBM model a level, as its documentation trains them."""
    import lightgbm as lgb

    losses = []
    for level in levels:
        own = {"objective": "quantile", "alpha": level, "verbosity": -1, "num_threads": 1, **params}
        rounds = own.pop("num_boost_round")
        booster = lgb.train(own, lgb.Dataset(*train), rounds)
        error = valid[1] - booster.predict(valid[0])
        losses.append(float(np.mean(np.maximum(level * error, (level - 1) * error))))
    return float(np.mean(losses))


def documentation(job: dict, place: Path, *, reuse: bool = False) -> list[tuple[float, float]]:
    """Run Ray Tune as its documentation shows it: with_parameters, OptunaSearch and MLflowLoggerCallback."""
    import ray
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.tune.search.optuna import OptunaSearch

    ray.init(address="local", num_cpus=job["cores"])

    def trainable(config: dict[str, Any], train: Rows, valid: Rows) -> None:
        started = time.time()
        loss = loss_of(config, train, valid, job["levels"])
        tune.report({"loss": loss, "started": started, "ended": time.time()})

    first = job["params"][0]
    space = {name: tune.choice([point[name] for point in job["params"]]) for name in first}
    tuner = tune.Tuner(
        tune.with_parameters(trainable, train=rows_of(job["train"]), valid=rows_of(job["valid"])),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            num_samples=len(job["params"]),
            search_alg=OptunaSearch(points_to_evaluate=job["params"], seed=0),
            max_concurrent_trials=job["cores"],
            reuse_actors=reuse,
        ),
        run_config=tune.RunConfig(
            storage_path=str(place / "tune"),
            callbacks=[MLflowLoggerCallback(f"sqlite:///{place}/mlflow.db", experiment_name="overhead")],
        ),
    )
    results = tuner.fit()
    return [(result.metrics["started"], result.metrics["ended"]) for result in results]


def _optimise(job: dict, place: str, trials: int) -> None:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    train, valid = rows_of(job["train"]), rows_of(job["valid"])

    def objective(trial: optuna.Trial) -> float:
        names = job["params"][0]
        choices = {name: [point[name] for point in job["params"]] for name in names}
        params = {name: trial.suggest_categorical(name, sorted(set(choices[name]))) for name in names}
        return loss_of(params, train, valid, job["levels"])

    study = optuna.load_study(study_name="overhead", storage=JournalStorage(JournalFileBackend(place)))
    study.optimize(objective, n_trials=trials)


def plain_optuna(job: dict, place: Path) -> list[tuple[float, float]]:
    """Run Optuna alone, in as many processes as there are cores, with its journal of trials."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    journal = str(place / "journal.log")
    study = optuna.create_study(study_name="overhead", storage=JournalStorage(JournalFileBackend(journal)))
    for point in job["params"]:
        study.enqueue_trial(point)
    context = multiprocessing.get_context("spawn")
    shares = [len(part) for part in np.array_split(np.arange(len(job["params"])), job["cores"])]
    workers = [context.Process(target=_optimise, args=(job, journal, share)) for share in shares]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    trials = _finished(journal)
    return [(trial.datetime_start.timestamp(), trial.datetime_complete.timestamp()) for trial in trials]


def raysearch(job: dict, place: Path) -> list[tuple[float, float]]:
    """Run raysearch's command line, with its record in MLflow and its calibration."""
    import yaml

    points = job["params"]
    ranges = {
        "num_leaves": ("int", 2, 1000),
        "learning_rate": ("float", 0.001, 1.0),
        "feature_fraction": ("float", 0.1, 1.0),
        "bagging_fraction": ("float", 0.1, 1.0),
        "num_boost_round": ("int", 1, 1000),
    }
    space = {
        "model": "lightgbm",
        "parameters": {
            n: {"type": kind, "low": low, "high": high} for n, (kind, low, high) in ranges.items()
        },
        "fixed": {"bagging_freq": points[0]["bagging_freq"]},
        "start": [{name: point[name] for name in ranges} for point in points],
    }
    (place / "space.yaml").write_text(yaml.safe_dump(space))
    words = {
        "data": job["both"],
        "target": "y",
        "home": place,
        "study": "s",
        "space": place / "space.yaml",
        "trials": len(points) + 1,  # and the library's defaults
        "levels": ",".join(map(str, job["levels"])),
        "test-size": 0,
        "cv": 1,
        "valid-size": job["share"],
        "scheduler": "none",
        "ensemble": 1,
        "max-concurrent": job["cores"],
        "tracking-uri": f"sqlite:///{place}/mlflow.db",
    }
    options = [word for name, value in words.items() for word in (f"--{name}", str(value))]
    subprocess.run([sys.executable, "-m", "raysearch", "tune", *options], check=True)
    trials = _finished(str(place / "s" / "ledger.log"))
    own = [
        trial.user_attrs["raysearch"] for trial in trials
    ]  # when its worker stood, not when it was proposed
    return [(about["started_s"], about["ended_s"]) for about in own]


def _finished(journal: str) -> list[Any]:
    """Return the finished trials of the study in an Optuna journal."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(journal))
    (study,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=study, storage=storage).get_trials(
        states=(optuna.trial.TrialState.COMPLETE,)
    )


SIDES = {
    "raysearch": raysearch,
    "documentation": documentation,
    "reuse_actors": lambda job, place: documentation(job, place, reuse=True),
    "optuna": plain_optuna,
}


def main() -> None:
    side, path = sys.argv[1], Path(sys.argv[2])
    job = json.loads(path.read_text())
    began = time.time()
    spans = SIDES[side](job, path.parent)
    (path.parent / "told.json").write_text(json.dumps({"began": began, "spans": spans}))


if __name__ == "__main__":
    main()
