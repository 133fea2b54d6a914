"""AutoGluon's side of benchmarks/quality.py: quality_autogluon.py JOB.json, in its own environment.

`best_quality`, the preset for the best accuracy, with the validation that its documentation gives for rows of
groups or in time (`validation_structure`), all cores and the seconds as `time_limit`. Stacking is off: its
trial run (`dynamic_stacking`) spends a quarter of the seconds, and `fit` failed where it made no model.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from autogluon.common import __version__
from autogluon.tabular import TabularPredictor

PRESETS = ("best_quality", "medium_quality")  # the next one where the seconds were too few for any model


def validation(table: dict) -> dict:
    """Return the words of `fit` that tell it how the rows are split."""
    if table["kind"] == "group":
        return {"validation_structure": {"group_on": table["group"]}}
    if table["kind"] == "time":
        return {"validation_structure": {"time_on": table["time"]}}
    return {}


def fit(preset: str, train: pd.DataFrame, job: dict, scratch: Path) -> TabularPredictor:
    """Return a predictor fitted in the job's seconds.

    Raises:
        RuntimeError: no model was done by then.
    """
    table = job["table"]
    # A group's name never seen tells nothing: only for the folds, as on the other sides.
    ignored = [table["group"]] if table["kind"] == "group" else []
    predictor = TabularPredictor(
        label=table["target"],
        problem_type="quantile",
        quantile_levels=job["levels"],
        path=str(scratch / preset),
        verbosity=2,
        learner_kwargs={"ignored_columns": ignored},
    )
    words = {"presets": preset, "time_limit": job["seconds"], "num_cpus": job["cores"], "num_gpus": 0}
    words |= {"dynamic_stacking": False, "num_stack_levels": 0}
    return predictor.fit(train, **{**words, **validation(table), **job["more"]})


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    table, scratch = job["table"], Path(sys.argv[1]).parent
    train, test = (pd.read_parquet(table[part]) for part in ("train", "test"))
    for preset in PRESETS:
        started = time.perf_counter()
        try:
            predictor = fit(preset, train, job, scratch)
            break
        except RuntimeError as error:
            if "No models were trained" not in str(error) or preset == PRESETS[-1]:
                raise
    fitted = time.perf_counter()
    quantiles = predictor.predict(test.drop(columns=table["target"])).to_numpy(float)
    done = time.perf_counter()
    np.save(scratch / "quantiles.npy", quantiles)
    told = {"fit_s": fitted - started, "predict_s": done - fitted, "version": __version__, "preset": preset}
    told["models"] = predictor.leaderboard().head(12)[["model", "score_val", "fit_time"]].to_dict("records")
    (scratch / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
