"""Parts of GPUs: trials share one as Ray deals it out, and one that the library does not see is no GPU.

Ray is told of a GPU that need not be there. What XGBoost computes on a real one is not tested here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb
from study_made_up import small_job

from raysearch.bench import Bench
from raysearch.models import sees_gpu

pytestmark = pytest.mark.slow
DRIVER = Path(__file__).parent / "gpu_driver.py"
PARAMS = {"max_depth": 3, "learning_rate": 0.1, "n_estimators": 4}


def search(place, gpus, how):
    words = [sys.executable, str(DRIVER), str(place), str(gpus), how]
    done = subprocess.run(words, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    given = [json.loads(line) for line in (place / "given").read_text().splitlines()]
    return json.loads(done.stdout.splitlines()[-1]), given


def at_once(given):
    """Return how many processes trained at one moment at most."""
    return max(sum(b <= begun < e for _, _, b, e in given) for _, _, begun, _ in given)


def test_trials_share_a_gpu_by_parts(tmp_path):
    told, given = search(tmp_path, 0.5, "seen")
    assert told["slots"] == 2
    assert told["states"] == ["finished"] * 6
    assert {device for device, *_ in given} == {"0"}
    assert at_once(given) == len({pid for _, pid, *_ in given}) == 2


@pytest.mark.skipif(sees_gpu(), reason="there is a GPU")
def test_a_gpu_that_the_library_does_not_see_fails_trials_in_words(tmp_path):
    told, _ = search(tmp_path, 0.5, "asked")
    assert set(told["states"]) == {"failed"}
    (reason,) = told["reasons"]
    assert "XGBoost sees no GPU here, though the trial was given one" in reason
    assert told["stopped_by"] == "failures"


@pytest.mark.skipif(sees_gpu(), reason="there is a GPU")
@pytest.mark.parametrize(("cuda", "told"), [(True, "nvidia-smi"), (False, "built without CUDA")])
def test_without_a_gpu_none_is_pretended(cuda, told, monkeypatch):
    monkeypatch.setattr(xgb, "build_info", lambda: {"USE_CUDA": cuda})
    table, recipe = small_job()
    bench = Bench(table, replace(recipe, settings=replace(recipe.settings, gpu=True)))
    with pytest.raises(RuntimeError, match=told):
        bench.begin("xgboost", PARAMS)


@pytest.mark.skipif(not sees_gpu(), reason="needs an NVIDIA GPU that XGBoost can use")
def test_a_model_of_the_gpu_forecasts_as_well_as_one_of_the_processor():
    table, recipe = small_job(3000)
    truth = table["target"].to_numpy()[2000:]
    losses = []
    for gpu in (False, True):
        fit = Bench(table, replace(recipe, settings=replace(recipe.settings, gpu=gpu))).begin(
            "xgboost", {**PARAMS, "n_estimators": 40}
        )
        fit.advance(40)
        error = truth[:, None] - fit.predict_watched()
        losses.append((error * (np.array([0.1, 0.5, 0.9]) - (error < 0))).mean())
    assert losses[1] == pytest.approx(losses[0], rel=0.03)
