"""What the page tells where trials were scored by another objective, or by several."""

from __future__ import annotations

import csv
import dataclasses
import re

import numpy as np
import pytest
from report_made_up import make_material, make_trial

from raysearch.pareto import front
from raysearch.report import write_front, write_leaderboard, write_report
from raysearch.report.plots_pareto import front_plot, front_sections, front_table

WORDS = ("pinball", "coverage_gap", "width_90", "interval_50", "crps")


def several(count=2, trials=40, **changes):
    """Return material of a study with the first ``count`` objectives."""
    material, words = make_material(rows=300, trials=trials), WORDS[:count]
    rng = np.random.default_rng(0)
    told = tuple(
        dataclasses.replace(
            t,
            objectives={}
            if t.score is None
            else dict(zip(words, [t.score, *(0.1 * rng.random(count - 1))], strict=True)),
            state="failed" if t.score is None else "finished",
        )
        for t in material.trials
    )
    leading = front(told)
    comparison = dataclasses.replace(material.result.comparison, objectives={"coverage_gap": (0.02, 0.11)})
    changes = {"best": leading[-1], "pareto": leading, "picked": "the best by coverage_gap", **changes}
    result = dataclasses.replace(material.result, objectives=words, comparison=comparison, **changes)
    return dataclasses.replace(material, result=result, trials=told)


def page_of(material, tmp_path):
    text = write_report(material, tmp_path).read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text.partition("</style>")[2]))


def test_the_front_is_drawn_and_told_with_its_pick_and_the_way_to_another(tmp_path):
    material = several()
    text = page_of(material, tmp_path)
    assert "The Pareto front" in text and (tmp_path / "plots" / "pareto.png").stat().st_size > 5000
    best = material.result.best.number
    assert f"Trial {best} was picked: the best by coverage_gap." in text
    assert "resume keen-otter-41 --pick coverage_gap" in text
    assert f"trial {best} was picked from the Pareto front of pinball loss and coverage gap" in text
    assert "Coverage gap 0.02 test rows; untuned default: 0.11" in text
    assert "The score is the average pinball loss" in text


@pytest.mark.parametrize("count", [2, 3, 5])
def test_each_further_objective_has_its_panel_and_its_column(count):
    material = several(count)
    plot, table = front_plot(material), front_table(material)
    assert len(table.head) == 3 + count and len(table.rows) == len(material.result.pareto)
    (picked,) = [row for row in table.rows if "picked" in row.cells[-1]]
    assert picked.tone == "best"
    assert plot.svg.count("pinball loss") == min(count - 1, 3)  # drawn against at most three others
    assert ("the line joins" in plot.caption) == (count == 2)


def test_a_front_of_one_and_trials_far_off_are_drawn():
    alike = tuple(make_trial(n, 1.0, objectives={"pinball": 1.0, "coverage_gap": 0.0}) for n in range(2))
    far = make_trial(2, 1e9, objectives={"pinball": 1e9, "coverage_gap": 0.5})
    material = several()
    for trials in (alike[:1], alike, (*alike, far)):
        result = dataclasses.replace(material.result, best=alike[0], pareto=front(trials))
        plot = front_plot(dataclasses.replace(material, trials=trials, result=result))
        assert ("1 trial farther off" in plot.caption) == (far in trials)


def test_a_long_front_is_cut_and_a_picked_trial_off_it_is_shown():
    trials = tuple(
        make_trial(n, 1.0 + n, objectives={"pinball": 1.0 + n, "coverage_gap": 100.0 - n}) for n in range(70)
    )
    off = make_trial(99, 500.0, objectives={"pinball": 500.0, "coverage_gap": 500.0})
    material = several()
    result = dataclasses.replace(material.result, best=off, pareto=front(trials), picked="as asked for")
    table = front_table(dataclasses.replace(material, trials=(*trials, off), result=result))
    assert len(table.rows) == 51 and table.note == "20 more trials in pareto.csv, beside this page."
    assert table.rows[-1].cells[-1] == "picked, not on the front"


def test_with_one_objective_there_is_no_front(tmp_path):
    material = make_material(rows=300, trials=8)
    assert list(front_sections(material)) == []
    assert "Pareto" not in page_of(material, tmp_path)
    write_front((), tmp_path / "pareto.csv")
    assert not (tmp_path / "pareto.csv").exists()


def test_another_single_objective_is_called_by_its_name(tmp_path):
    material = make_material(rows=300, trials=8, objectives=("interval_90",))
    text = page_of(material, tmp_path)
    assert "The score is the interval score at 90 % on the validation rows" in text
    assert "its score, the interval score at 90 %" in text
    assert "did best on the validation rows by its interval score at 90" in text


def test_the_leaderboard_tells_all_objectives_and_the_pinball_loss(tmp_path):
    material = several(3)
    write_leaderboard(material.trials, tmp_path / "leaderboard.csv")
    rows = list(csv.DictReader((tmp_path / "leaderboard.csv").open(encoding="utf-8")))
    assert {"score", "pinball", "coverage_gap", "width_90", "valid_pinball_loss_avg"} <= set(rows[0])
    assert all(row["score"] == row["pinball"] for row in rows if row["rank"])
    write_front(material.result.pareto, tmp_path / "pareto.csv")
    leading = list(csv.DictReader((tmp_path / "pareto.csv").open(encoding="utf-8")))
    assert [int(row["trial"]) for row in leading] == [trial.number for trial in material.result.pareto]
    plain = make_material(rows=300, trials=8)
    write_leaderboard(plain.trials, tmp_path / "plain.csv")
    assert "pinball" not in (tmp_path / "plain.csv").read_text().partition("\n")[0]
