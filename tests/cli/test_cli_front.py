"""How the terminal tells a study of other objectives, and of several."""

from __future__ import annotations

import dataclasses

import pytest

from raysearch.cli.outcome import tell_study
from raysearch.cli.words import objectives_line
from raysearch.flow.study import Study
from raysearch.records import Comparison, Evaluation, StudyResult, TrialResult

WORDS = ("pinball", "coverage_gap")


def trial(number, *values, words=WORDS, default=False):
    objectives = dict(zip(words, values, strict=True))
    return TrialResult(
        number, f"k{number}", "lightgbm", {"x": 1}, {}, "finished", values[0], 10, {}, (), 0.0, 1.0,
        default=default, objectives=objectives,
    )  # fmt: skip


def outcome(best, default, front, words=WORDS, **objectives):
    return StudyResult(
        study="s",
        parent_run_id=None,
        tracking_uri=None,
        trials={"finished": 30, "stopped": 0, "failed": 0},
        best=best,
        default=default,
        evaluation=Evaluation("test", 10, {"pinball_loss_avg": 1.0}, (), {}),
        comparison=Comparison("test", 1.0, 2.0, 50.0, None, None, objectives=objectives),
        model_path="studies/s/model",
        report_path="",
        stopped_by="trials",
        wall_s=1.0,
        objectives=words,
        pareto=front,
        picked="the knee of the front" if front else "",
    )


def told_of(result, capsys):
    tell_study(Study(result, (), None))
    return capsys.readouterr().out


def test_another_objective_is_called_by_its_name(capsys):
    words = ("interval_90",)
    result = outcome(
        trial(3, 6.0, words=words),
        trial(0, 8.0, words=words, default=True),
        (),
        words,
        interval_90=(7.0, 10.0),
    )
    told = told_of(result, capsys)
    assert "validation interval score at 90 %: 6, 25.0 % below the untuned default's 8\n" in told
    assert "test pinball loss: 1, 50.0 % below" in told
    assert "test interval score at 90 %: 7, 30.0 % below the untuned default's 10\n" in told
    assert "Pareto" not in told and "best parameters (trial 3" in told


def test_a_front_is_told_with_its_pick_and_the_way_to_another(capsys):
    front = (trial(5, 1.0, 0.2), trial(7, 1.1, 0.02), trial(0, 1.2, 0.0, default=True))
    told = told_of(outcome(front[1], front[2], front, coverage_gap=(0.01, 0.1)), capsys)
    assert "validation pinball loss: 1.1, 8.3 % below the untuned default's 1.2\n" in told
    assert "validation coverage gap: 0.02\n" in told  # a default of 0 leaves nothing to be below of
    assert "test coverage gap: 0.01, 90.0 % below the untuned default's 0.1\n" in told
    assert "Pareto front: 3 of 30 trials with a model" in told
    lines = {line.split()[0]: line for line in told.splitlines() if line.strip()[:1].isdigit()}
    assert lines["7"].rstrip().endswith("picked") and lines["0"].rstrip().endswith("untuned default")
    assert "picked: trial 7, the knee of the front" in told
    assert "pick another: python -m raysearch resume s --pick coverage_gap (or" in told
    assert "parameters picked (trial 7, lightgbm): x=1" in told


@pytest.mark.parametrize("place", [0, 13, 29])
def test_a_long_front_is_cut_to_eight_rows_with_the_picked_one(capsys, place, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    front = tuple(trial(n, 1.0 + n, 1.0 - n / 100) for n in range(30))
    told = told_of(outcome(front[place], None, front), capsys)
    assert "and 22 more, in the report and its files" in told
    lines = [line for line in told.splitlines() if "lightgbm" in line and line.strip()[0].isdigit()]
    assert len(lines) == 8 and sum("picked" in line for line in lines) == 1


def test_words_that_a_shell_would_change_are_quoted(capsys):
    words = ("width_90", "pinball+0.5*coverage_gap")
    front = (trial(1, 1.0, 0.2, words=words),)
    told = told_of(outcome(front[0], None, front, words), capsys)
    assert "--pick 'pinball+0.5*coverage_gap'" in told
    assert "validation pinball loss + 0.5 × coverage gap: 0.2" in told


def test_a_picked_default_is_called_so(capsys):
    front = (trial(0, 1.0, 0.2, default=True), trial(1, 2.0, 0.1))
    told = told_of(dataclasses.replace(outcome(front[0], front[0], front)), capsys)
    assert "The trial that was picked from the Pareto front is the library's untuned default." in told


def test_what_trials_are_scored_by_in_words():
    assert objectives_line(["WIS"]) == "trials are scored by: WIS"
    assert objectives_line(["WIS", "CRPS"]) == "Pareto front of: WIS, CRPS (no trial is stopped early)"
