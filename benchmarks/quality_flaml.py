"""FLAML's side of benchmarks/quality.py: quality_flaml.py JOB.json, in its own environment.

FLAML has no quantile task. As its documentation does with objectives of one's own, its learners are given the
quantile objective and the search the pinball loss as its metric: one search a level, the seconds shared.
The search is over LightGBM and CatBoost, in time over LightGBM alone: with more it got less far there.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from flaml import AutoML
from flaml.automl.model import CatBoostEstimator, LGBMEstimator, XGBoostLimitDepthEstimator
from flaml.version import __version__


def learners(level: float) -> dict[str, type]:
    """Return FLAML's boosters, each with the quantile objective of one level."""

    class Lightgbm(LGBMEstimator):
        def __init__(self, task="regression", **config):
            super().__init__(task, **{**config, "objective": "quantile", "alpha": level})

    class Xgboost(XGBoostLimitDepthEstimator):
        def __init__(self, task="regression", **config):
            super().__init__(task, **config)
            self.params.update(objective="reg:quantileerror", quantile_alpha=level)

    class Catboost(CatBoostEstimator):
        def __init__(self, task="regression", **config):
            super().__init__(task, **config)
            self.params.update(loss_function=f"Quantile:alpha={level}")

    return {"lightgbm": Lightgbm, "xgboost": Xgboost, "catboost": Catboost}


def pinball(level: float):
    """Return the metric of one level in the form that FLAML asks for."""

    def metric(x_val, y_val, estimator, labels, x_train, y_train, *_, **__):
        error = np.asarray(y_val, float) - np.asarray(estimator.predict(x_val), float)
        loss = float(np.mean(np.maximum(level * error, (level - 1) * error)))
        return loss, {"pinball": loss}

    return metric


def as_categories(train: pd.DataFrame, test: pd.DataFrame) -> None:
    """Turn text into categories, those of the training rows, in place."""
    for column in train.select_dtypes(["object", "string", "bool"]):
        train[column] = train[column].astype("category")
        test[column] = pd.Categorical(test[column], categories=train[column].cat.categories)


def search(level: float, train: pd.DataFrame, target: pd.Series, job: dict, groups) -> AutoML:
    """Return one level's finished search."""
    automl, kind = AutoML(), job["table"]["kind"]
    names = ["lightgbm"] if kind == "time" else ["lightgbm", "catboost"]
    words = {"estimator_list": names, "seed": job["seed"] + 1, "verbose": 2, **job["more"]}
    for name, learner in learners(level).items():
        automl.add_learner(name, learner)
    split = {"time": {"split_type": "time"}, "group": {"split_type": "group", "groups": groups}}.get(kind, {})
    automl.fit(
        X_train=train,
        y_train=target,
        task="regression",
        metric=pinball(level),
        time_budget=job["seconds"] / len(job["levels"]),
        n_jobs=job["cores"],
        **split,
        **words,
    )
    return automl


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    table, scratch = job["table"], Path(sys.argv[1]).parent
    train, test = (pd.read_parquet(table[part]) for part in ("train", "test"))
    target = train.pop(table["target"])
    test = test.drop(columns=table["target"])
    groups = None
    if table["kind"] == "group":  # a name never seen tells nothing: only for the folds
        groups = train.pop(table["group"]).to_numpy()
        test = test.drop(columns=table["group"])
    as_categories(train, test)
    started = time.perf_counter()
    found = [search(level, train, target, job, groups) for level in job["levels"]]
    fitted = time.perf_counter()
    quantiles = np.column_stack([automl.predict(test) for automl in found])
    done = time.perf_counter()
    np.save(scratch / "quantiles.npy", quantiles)
    told = {"fit_s": fitted - started, "predict_s": done - fitted, "version": __version__}
    told["models"] = [
        {
            "level": level,
            "best": automl.best_estimator,
            "config": automl.best_config,
            "loss": automl.best_loss,
        }
        for level, automl in zip(job["levels"], found, strict=True)
    ]
    (scratch / "told.json").write_text(json.dumps(told, default=str))


if __name__ == "__main__":
    main()
