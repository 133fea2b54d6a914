"""Plain Optuna's side of benchmarks/time_to_quality.py: quality_optuna.py JOB.json.

What everyone writes by hand: a validation part fit for the table, TPE in as many processes as there are
cores, a LightGBM booster a level, and the best parameters fitted again on all training rows. The search space
is that of search_spaces/lightgbm.yaml without raysearch's own switches.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from pathlib import Path

import lightgbm as lgb
import numpy as np
import optuna
import pandas as pd
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

VALID_SHARE = 0.2


def encoded(table: dict) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray]:
    """Return features and target of the training rows, the test rows, and which training rows validate."""
    train, test = (pd.read_parquet(table[part]) for part in ("train", "test"))
    if table["time"]:
        train = train.sort_values(table["time"], kind="stable").reset_index(drop=True)
    rows, chance = len(train), np.random.default_rng(0)
    if table["kind"] == "time":
        held = np.arange(rows) >= int(rows * (1 - VALID_SHARE))
    elif table["kind"] == "group":
        names = chance.permutation(train[table["group"]].unique())
        held = train[table["group"]].isin(names[: round(len(names) * VALID_SHARE)]).to_numpy()
    else:
        held = chance.uniform(size=rows) < VALID_SHARE
    target = train.pop(table["target"]).to_numpy(float)
    test = test.drop(columns=table["target"])
    if table["kind"] == "group":
        train, test = (frame.drop(columns=table["group"]) for frame in (train, test))
    for name in train.columns:
        if train[name].dtype.kind == "M":
            for frame in (train, test):
                moment = frame.pop(name)
                for part in ("month", "day", "dayofweek", "hour"):
                    frame[f"{name} {part}"] = getattr(moment.dt, part)
                frame[name] = moment.astype("int64") / 1e9
        elif train[name].dtype.kind not in "ifub":
            train[name] = train[name].astype("category")
            test[name] = pd.Categorical(test[name], categories=train[name].cat.categories)
    return train, target, test, held


def fitted(params: dict, x: pd.DataFrame, y: np.ndarray, levels: list[float]) -> list[lgb.Booster]:
    """Return a booster a level."""
    own = {"objective": "quantile", "verbosity": -1, "num_threads": 1, "bagging_freq": 1, **params}
    rounds = own.pop("num_boost_round")
    return [lgb.train({**own, "alpha": level}, lgb.Dataset(x, y), rounds) for level in levels]


def predicted(boosters: list[lgb.Booster], x: pd.DataFrame) -> np.ndarray:
    return np.column_stack([booster.predict(x, num_threads=1) for booster in boosters])


def optimise(job: dict, journal: str, trials: int, seed: int) -> None:
    x, y, _, held = encoded(job["table"])
    levels = job["levels"]
    many = any(x[name].nunique() > 30 for name in x.columns[x.dtypes == "category"])

    def objective(trial: optuna.Trial) -> float:
        params = {
            "num_leaves": trial.suggest_int("num_leaves", 10, 100),
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "feature_fraction": trial.suggest_float("feature_fraction", 0.5, 1.0),
            "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
            "num_boost_round": trial.suggest_int("num_boost_round", 50, 500),
            "extra_trees": trial.suggest_categorical("extra_trees", [False, True]),
            "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 5, 300, log=True),
        }
        if many:
            params["cat_smooth"] = trial.suggest_float("cat_smooth", 5, 2000, log=True)
        error = y[held, None] - predicted(fitted(params, x[~held], y[~held], levels), x[held])
        return float(np.maximum(np.array(levels) * error, (np.array(levels) - 1) * error).mean())

    storage = JournalStorage(JournalFileBackend(journal))
    sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    optuna.load_study(study_name="plain", storage=storage, sampler=sampler).optimize(
        objective, n_trials=trials
    )


def main() -> None:
    started = time.time()
    scratch = Path(sys.argv[1]).parent
    job = json.loads(Path(sys.argv[1]).read_text())
    journal = str(scratch / "journal.log")
    study = optuna.create_study(study_name="plain", storage=JournalStorage(JournalFileBackend(journal)))
    context = multiprocessing.get_context("spawn")
    shares = [len(part) for part in np.array_split(np.arange(job["trials"]), job["cores"])]
    seeds = range(10 * job["seed"], 10 * job["seed"] + job["cores"])
    workers = [
        context.Process(target=optimise, args=(job, journal, share, seed))
        for share, seed in zip(shares, seeds, strict=True)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    searched = time.time()
    study = optuna.load_study(study_name="plain", storage=JournalStorage(JournalFileBackend(journal)))
    x, y, test, _ = encoded(job["table"])
    np.save(scratch / "quantiles.npy", predicted(fitted(study.best_params, x, y, job["levels"]), test))
    done = time.time()
    told = {
        "version": optuna.__version__,
        "trials": len(study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))),
        "refit_s": done - searched,
        # When who knew that no later trial would be better could have stopped, and fitted again.
        "found_s": study.best_trial.datetime_complete.timestamp() - started + done - searched,
    }
    (scratch / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
