"""Studies whose trials several workers train together: what they end with, and what is refused or told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raysearch.errors import ClusterError, ConfigError, SpaceError
from raysearch.flow import resume
from raysearch.flow.display import Silent
from raysearch.forecaster import load_forecaster

SPREAD = {"compute__engine": "ray", "compute__workers_per_trial": 2}


def larger_table(rows):
    random = np.random.default_rng(0)
    a, b = random.normal(size=rows), random.normal(size=rows)
    store = random.choice(["Nord", "Süd/West", "Q 4"], rows)
    demand = 20 + 3 * a + (store == "Q 4") + random.normal(size=rows) * (1 + (b > 0))
    return pd.DataFrame({"a": a, "b c": b, "store": store, "demand": demand})


class Listening(Silent):
    def __init__(self):
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "folds"), [("lightgbm", 3), ("xgboost", 1)])
def test_a_study_ends_with_a_forecaster_that_serves(study, local_ray, no_report, model, folds):
    frame, display = larger_table(900), Listening()
    done = study(frame, display=display, search__model=model, split__cv=folds, search__trials=4, **SPREAD)
    assert len(done.trials) == 4
    assert {trial.state for trial in done.trials} <= {"finished", "stopped"}
    assert all(0 < trial.score < 2 for trial in done.trials if trial.state == "finished")
    told = load_forecaster(done.model_path).predict(frame.drop(columns="demand").tail(50))
    levels = np.asarray(told)
    assert np.isfinite(levels).all() and (np.diff(levels, axis=1) >= 0).all()
    assert done.test.metrics["pinball_loss_avg"] < 1
    (note,) = [text for text in display.warnings if "2 workers together" in text]
    assert "fitted again" in note and "location" in note
    assert any("2 workers together" in text for text in done.warnings)
    assert done.forecaster.about["fitted_on"] == "training rows"
    assert not Path("studies/s/shards").exists()


@pytest.mark.slow
def test_more_workers_than_the_cluster_has_room_for_are_refused_with_the_figures(
    study, table, local_ray, monkeypatch
):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    with pytest.raises(ClusterError, match=r"room for 2 workers of 1 CPUs and 0 GPUs, and a trial takes 3"):
        study(table, compute__engine="ray", compute__workers_per_trial=3)
    assert [path for path in Path("studies").rglob("*") if path.is_file()] == []


def test_more_workers_than_cores_are_refused_before_anything_is_made(study, table, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    with pytest.raises(ClusterError, match=r"--workers-per-trial 3 of --cpus-per-trial 2: .*has 4 cores"):
        study(table, compute__engine="ray", compute__workers_per_trial=3, compute__cpus_per_trial=2)
    assert not Path("studies").exists()


def test_no_worker_and_workers_without_ray_are_refused(settings):
    with pytest.raises(ConfigError, match="workers_per_trial: got 0, must be at least 1"):
        settings(compute__workers_per_trial=0)
    with pytest.raises(ConfigError, match="several workers a trial need Ray; leave out --engine inline"):
        settings(compute__workers_per_trial=2)


def test_a_space_that_asks_for_a_location_is_refused(study, table, tmp_path):
    rounds = "parameters:\n  num_boost_round: {low: 8, high: 24}\n"
    (tmp_path / "located.yaml").write_text(f"model: lightgbm\n{rounds}fixed:\n  location: true\n")
    with pytest.raises(SpaceError, match=r"search space of lightgbm asks for one.*take it out of the space"):
        study(table, search__space="located.yaml", **SPREAD)


def test_a_study_that_has_searched_for_a_location_is_not_gone_on_with_by_several(study, table, tmp_path):
    text = "parameters:\n  num_boost_round: {low: 8, high: 24}\n  location: {choices: [true, false]}\n"
    (tmp_path / "located.yaml").write_text(f"model: lightgbm\n{text}")
    study(table, search__space="located.yaml")
    with pytest.raises(SpaceError, match="--workers-per-trial"):
        resume("s", overrides={"search": {"trials": 4}, "compute": {"engine": "ray", "workers_per_trial": 2}})
