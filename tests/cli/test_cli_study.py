"""A whole study by the real command, on an own local Ray, and what MLflow and the disk hold afterwards."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow

CHATTER = re.compile(
    r"INFO|WARN|ray::|[Oo]ptuna|alembic|Traceback|\[I |\[LightGBM\]|Warning|mlflow\.[a-ce-z]"
)
WORDS = ["--group", "store", "--time", "day", "--space", "quick.yaml", "--trials", "3", "--study", "s"]


@pytest.fixture(scope="module")
def ended(module_place):
    """One study by the command on Ray: (place, the finished process)."""
    done = module_place.command("tune", *module_place.data, *WORDS, "--json", timeout=180)
    assert done.returncode == 0, done.stderr
    return module_place, done


def test_the_json_holds_what_it_promises(ended, told):
    place, done = ended
    result = told(done.stdout)
    assert result["study"] == "s"
    assert result["parent_run_id"]
    assert result["tracking_uri"] == f"sqlite:///{place.root}/mlflow.db"
    assert set(result["trials"]) == {"finished", "stopped", "cut", "failed"}
    assert result["trials"]["finished"] + result["trials"]["stopped"] == 3
    assert result["best"]["params"]["num_leaves"] >= 4
    assert 0 < result["best"]["valid_pinball_loss_avg"] < 5
    test = result["test"]
    assert test["pinball_loss_avg"] > 0
    assert set(test["coverage"]) == {"0.5", "0.9"}
    assert all(0 <= share <= 1 for share in test["coverage"].values())
    assert test["crossing_rate"] == 0
    assert set(test["groups"]) == {"Nord", "Süd/West", "Q 4"}
    assert result["valid"] is None
    assert (place.root / result["model_path"] / "forecaster.json").is_file()
    assert (place.root / result["report_path"]).stat().st_size > 10_000
    assert result["wall_s"] > 0
    kept = json.loads((place.root / "studies/s/result.json").read_text())
    assert {**kept, "wall_s": 0} == {**result, "wall_s": 0}


def test_the_terminal_shows_the_study_and_no_chatter(ended):
    _, done = ended
    for word in ("study s", "200 rows", "2 trials at once", "MLflow: sqlite", "trials 3/3", "best "):
        assert word in done.stderr
    noise = [line for line in done.stderr.splitlines() if CHATTER.search(line)]
    assert noise == []


def test_mlflow_holds_a_parent_and_a_nested_run_a_trial(ended, told):
    _, done = ended
    result = told(done.stdout)
    client = mlflow.MlflowClient(tracking_uri=result["tracking_uri"])
    parent = client.get_run(result["parent_run_id"])
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["test_pinball_loss_avg"] == pytest.approx(result["test"]["pinball_loss_avg"])
    runs = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    assert len(runs) == 3
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
    scores = [run.data.metrics["valid_pinball_loss_avg"] for run in runs if run.info.status == "FINISHED"]
    assert min(scores) == pytest.approx(result["best"]["valid_pinball_loss_avg"])
    artifacts = {entry.path for entry in client.list_artifacts(parent.info.run_id)}
    assert {"report.html", "leaderboard.csv", "config.yaml"} <= artifacts


def test_the_logged_model_and_predict_answer_alike(ended, told, mlflow_at):
    place, done = ended
    result = told(done.stdout)
    new = pd.read_csv(place.root / "t.csv").tail(17)
    new.to_csv(place.root / "new.csv", index=False)
    predicted = place.command("predict", "--study", "s", "--data", "new.csv", "--out", "p.parquet", "--json")
    assert predicted.returncode == 0, predicted.stderr
    assert told(predicted.stdout)["rows"] == 17
    table = pd.read_parquet(place.root / "p.parquet")
    assert list(table.columns) == ["q0.05", "q0.25", "q0.5", "q0.75", "q0.95"]
    assert (np.diff(table.to_numpy(), axis=1) >= 0).all()
    mlflow_at(result["tracking_uri"])
    logged = mlflow.pyfunc.load_model(f"runs:/{result['parent_run_id']}/model").predict(new)
    assert np.allclose(logged.to_numpy(), table.to_numpy())


def test_without_tracking_the_search_is_the_same_and_mlflow_is_not_imported(ended, told):
    """One trial at a time on both sides, where the same seed gives the same bits."""
    place, _ = ended
    base = ["tune", *place.data, "--time", "day", *place.quick, "--json"]
    script = (
        "import sys; from raysearch.__main__ import main\n"
        "try: main()\n"
        "finally: print([m for m in ('mlflow', 'ray') if m in sys.modules], file=sys.stderr)"
    )
    bare = subprocess.run(
        [sys.executable, "-c", script, *base, "--study", "bare", "--no-tracking"],
        cwd=place.root,
        env=place.environment(),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert bare.returncode == 0, bare.stderr
    assert bare.stderr.rstrip().endswith("[]")
    recorded = place.command(*base, "--study", "recorded")
    without, with_record = told(bare.stdout), told(recorded.stdout)
    assert without["best"] == with_record["best"]
    assert without["test"] == with_record["test"]
    assert without["parent_run_id"] is None
    assert without["tracking_uri"] is None
    reports = [place.root / "studies" / name / "report" / "report.html" for name in ("bare", "recorded")]
    assert all(path.stat().st_size > 10_000 for path in reports)
    assert sorted(p.name for p in Path(reports[0].parent / "plots").iterdir()) == sorted(
        p.name for p in Path(reports[1].parent / "plots").iterdir()
    )


def test_the_study_goes_on_with_more_trials_and_other_words(ended, told):
    place, done = ended
    first = told(done.stdout)
    again = place.command("resume", "s", "--trials", "5", "--engine", "inline", "--json")
    assert again.returncode == 0, again.stderr
    result = told(again.stdout)
    assert result["trials"]["finished"] + result["trials"]["stopped"] == 5
    assert result["parent_run_id"] == first["parent_run_id"]
    assert result["best"]["valid_pinball_loss_avg"] <= first["best"]["valid_pinball_loss_avg"]
    client = mlflow.MlflowClient(tracking_uri=result["tracking_uri"])
    experiment = client.get_run(result["parent_run_id"]).info.experiment_id
    runs = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{result['parent_run_id']}'")
    assert len({run.data.tags["raysearch.trial_key"] for run in runs}) == len(runs) == 5
    assert "RUNNING" not in {status for _, status in place.runs()}


def test_several_objectives_give_a_front_from_which_another_is_picked(module_place, told):
    place = module_place
    words = ["--objective", "pinball,coverage_gap", "--space", "quick.yaml", "--trials", "6", "--study", "f"]
    done = place.command("tune", *place.data, *words, "--json", timeout=180)
    assert done.returncode == 0, done.stderr
    assert "Pareto front of: pinball loss, coverage gap (no trial is stopped early)" in done.stderr
    result = told(done.stdout)
    assert result["trials"]["finished"] == 6 and result["picked"] == "the knee of the front"
    front = [point["number"] for point in result["pareto"]]
    assert result["best"]["number"] in front
    refused = place.command("resume", "f", "--pick", "wis")
    assert refused.returncode == 1 and "must be 'knee', an objective" in refused.stderr
    again = place.command("resume", "f", "--pick", str(front[-1]))
    assert again.returncode == 0, again.stderr
    assert f"picked: trial {front[-1]}, as asked for" in again.stdout
    assert "Ray dashboard" not in again.stderr and "no more are asked for" in again.stderr
    report = place.root / "studies" / "f" / "report"
    assert "The Pareto front" in (report / "report.html").read_text(encoding="utf-8")
    assert (report / "pareto.csv").is_file() and (report / "plots" / "pareto.png").is_file()
    client = mlflow.MlflowClient(tracking_uri=result["tracking_uri"])
    parent = client.get_run(result["parent_run_id"])
    assert parent.data.params["search.objective"] == "pinball,coverage_gap"
    assert parent.data.tags["raysearch.best_trial"] == str(front[-1])
    assert {"pareto.json", "pareto.csv"} <= {
        entry.path for entry in client.list_artifacts(parent.info.run_id)
    }
    words = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' and tags.`raysearch.pareto` = 'true'"
    runs = client.search_runs([parent.info.experiment_id], words)
    assert sorted(int(run.data.tags["raysearch.trial"]) for run in runs) == sorted(front)
    assert all("valid_coverage_gap" in run.data.metrics for run in runs)
