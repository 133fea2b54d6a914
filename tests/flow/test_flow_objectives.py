"""Studies that are scored by other objectives, or by several at once."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import raysearch
from raysearch.errors import ConfigError, StudyError
from raysearch.flow import check, list_studies, open_study, resume
from raysearch.flow.study import to_json
from raysearch.metrics import weighted_interval_score
from raysearch.pareto import dominates

pytestmark = pytest.mark.usefixtures("no_report")

SEVERAL = "pinball,coverage_gap"


@pytest.mark.parametrize(
    ("objective", "metric"),
    [
        ("wis", "wis"),
        ("interval_50", "interval_score_50"),
        ("pinball + 0.5*coverage_gap", "pinball_plus_0.5_coverage_gap"),
    ],
)
def test_another_objective_is_what_trials_are_compared_by(study, table, objective, metric):
    done = study(table, search__objective=objective, search__trials=4)
    best = min(done.trials, key=lambda trial: trial.score)
    assert done.best == best
    assert best.score == best.metrics[f"valid_{metric}"]
    assert "valid_pinball_loss_avg" in best.metrics
    word = objective.replace(" ", "")
    assert done.result.objectives == (word,)
    tuned, default = done.result.comparison.objectives[word]
    assert tuned == pytest.approx(done.test.metrics[metric])
    assert default > 0
    assert done.result.comparison.tuned == pytest.approx(done.test.metrics["pinball_loss_avg"])
    told = to_json(done.result)
    assert told["best"]["score"] == best.score
    assert told["best"]["valid_pinball_loss_avg"] == best.metrics["valid_pinball_loss_avg"]
    assert (told["pareto"], told["picked"]) == ([], None)
    board = done.leaderboard
    assert list(board["score"]) == sorted(board["score"])
    assert board["valid_pinball_loss_avg"].notna().all()


def test_the_test_rows_are_told_by_the_objective_as_the_user_gets_the_quantiles(study, table):
    last = table.tail(40)  # in time the test rows are the last
    done = study(table, search__objective="wis", data__time="day", study__name="t")
    q = done.forecaster.predict(last).to_numpy()
    expected = weighted_interval_score(last["demand"].to_numpy(), q, done.forecaster.levels)
    assert done.test.metrics["wis"] == pytest.approx(expected)
    assert done.result.comparison.objectives["wis"][0] == pytest.approx(expected)


def test_of_several_objectives_the_front_is_told_and_its_knee_is_the_model(study, table):
    done = study(table, search__objective=SEVERAL, search__trials=8)
    leading = done.result.pareto
    assert leading and done.best in leading and done.result.picked == "the knee of the front"
    for trial in done.trials:
        beaten = any(dominates(other, trial) for other in done.trials)
        assert (trial in leading) == (not beaten)
    assert {trial.state for trial in done.trials} == {"finished"}  # asha, the default, is off
    kept = json.loads(Path("studies/s/result.json").read_text())
    assert [point["number"] for point in kept["pareto"]] == [trial.number for trial in leading]
    assert set(kept["pareto"][0]["objectives"]) == {"pinball", "coverage_gap"}
    assert kept["objectives"] == ["pinball", "coverage_gap"]
    assert open_study("s").about["trial"] == done.best.number
    assert {"objectives.pinball", "objectives.coverage_gap"} <= set(done.leaderboard.columns)
    (row,) = list_studies()
    assert row.state == "done" and row.score == min(trial.score for trial in done.trials)


def test_another_pick_runs_no_trial_and_changes_the_model(study, table):
    done = study(table, search__objective=SEVERAL, search__trials=8)
    by_gap = resume("s", overrides={"search": {"pick": "coverage_gap"}})
    assert len(by_gap.trials) == 8
    assert by_gap.best.objectives["coverage_gap"] == min(t.objectives["coverage_gap"] for t in done.trials)
    assert open_study("s").about["trial"] == by_gap.best.number
    other = next(trial for trial in done.trials if trial.number != by_gap.best.number)
    by_number = resume("s", overrides={"search": {"pick": str(other.number)}})
    assert by_number.best == other
    assert open_study("s").about["trial"] == other.number
    assert math.isfinite(by_number.test.metrics["pinball_loss_avg"])
    again = resume("s", overrides={"search": {"trials": 9}})  # what was picked stays picked
    assert len(again.trials) == 9 and again.best.number == other.number
    assert resume("s", overrides={"search": {"pick": "knee"}}).result.picked == "the knee of the front"


@pytest.mark.slow
def test_a_pick_runs_no_trial_in_a_study_without_a_number_of_trials(study, table):
    done = study(table, search__objective=SEVERAL, search__trials=None, search__time_budget_s=12.0)
    assert done.result.stopped_by == "time"
    again = raysearch.resume("s", pick="pinball")
    assert len(again.trials) == len(done.trials)
    assert again.best.score == min(t.score for t in done.trials)


def test_a_bound_that_no_trial_holds_is_told(study, table):
    done = study(table, search__objective=SEVERAL, search__pick="coverage_gap<=-1")
    (note,) = [warning for warning in done.warnings if "No trial holds" in warning]
    assert note.startswith("No trial holds coverage_gap<=-1: trial ")


def test_a_trial_that_has_not_finished_cannot_be_picked(study, table, settings):
    with pytest.raises(ConfigError, match="resume NAME --pick 3"):
        study(table, search__objective=SEVERAL, search__pick="3")
    with pytest.raises(ConfigError, match="resume NAME --pick 3"):
        check(settings(search__objective=SEVERAL, search__pick="3"), table)
    assert not Path("studies/s").exists()
    done = study(table, search__objective=SEVERAL)
    front = ", ".join(str(trial.number) for trial in done.result.pareto)
    with pytest.raises(StudyError, match=f"no trial 99 has finished; on its Pareto front: {front}$"):
        resume("s", overrides={"search": {"pick": "99"}})
    assert open_study("s").about["trial"] == done.best.number


def test_a_single_objective_has_nothing_to_pick(study, table):
    study(table)
    with pytest.raises(ConfigError, match="a single objective has a best trial"):
        resume("s", overrides={"search": {"pick": "knee"}})


def test_a_study_from_before_objectives_goes_on(study, table):
    study(table)
    file = Path("studies/s/study.json")
    about = json.loads(file.read_text())
    for key in ("objective", "pick"):
        del about["config"]["search"][key]
    file.write_text(json.dumps(about))
    more = resume("s", overrides={"search": {"trials": 3}})
    assert len(more.trials) == 3 and more.result.objectives == ("pinball",)


def test_objectives_from_python(table, settings):
    done = raysearch.tune(
        table,
        target="demand",
        trials=3,
        space="lightgbm.yaml",
        objective=["interval_90", "width_50"],
        pick="width_50",
        tracking=False,
        config={"compute": {"engine": "inline"}},
        study="p",
    )
    assert done.best.objectives["width_50"] == min(t.objectives["width_50"] for t in done.trials)
    with pytest.raises(ConfigError, match="got '5', must be one of"):
        raysearch.tune(table, target="demand", objective=5)
    number = done.trials[0].number
    assert raysearch.resume("p", pick=number).best.number == number


def test_with_a_transform_objectives_are_in_the_targets_units(study, table):
    done = study(table, search__objective="crps", data__transform="log")
    assert done.test.metrics["crps"] > 5 * done.result.modelled.metrics["crps"]
    assert np.isfinite(done.best.score)
