"""Numbers, sentences and the leaderboard."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest
from matplotlib.text import Text
from report_made_up import make_trial, make_trials

from raysearch.evaluation import evaluate
from raysearch.records import Interval
from raysearch.report import write_leaderboard
from raysearch.report.canvas import Sheet, name_ticks, number_ticks
from raysearch.report.plots_forecast import choose_groups, group_coverage, reliability
from raysearch.report.plots_search import _draw_best, history, parallel, slices
from raysearch.report.scales import ranked, scales, scored, searched_in_logs
from raysearch.report.summary import coverage_sentence
from raysearch.report.tables import group_table, level_table, ranking
from raysearch.report.wording import duration, number, shorten


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"),
        (0.0, "0"),
        (12, "12"),
        (1234567, "1,234,567"),
        (1234.5678, "1,235"),
        (0.0123456, "0.01235"),
        (1.2e-7, "1.2e-7"),
        (3.5e15, "3.5e15"),
        (999_999_999.0, "999,999,999"),
        (2481109738037061970034688.0, "2.481e24"),
        (2481109738037061970034688, "2.481e24"),
        (1e300, "1e300"),
        (-1e10, "-1e10"),
        (10**400, "∞"),
        (-0.5, "-0.5"),
        (None, "–"),
        (float("nan"), "–"),
        (float("inf"), "∞"),
        (np.int64(7000), "7,000"),
        (np.float32(0.5), "0.5"),
        (True, "True"),
        ("gbtree", "gbtree"),
    ],
)
def test_numbers_are_told_shortly(value, told) -> None:
    assert number(value) == told


def test_durations_are_told_in_fitting_units() -> None:
    told = [duration(s).replace("\u00a0", " ") for s in (0.25, 59.0, 97.4, 7500)]
    assert told == ["0.2 s", "59.0 s", "1 min 37 s", "2 h 5 min"]


def test_when_a_name_is_long_then_both_its_ends_stay() -> None:
    assert shorten("short", 10) == "short"
    assert shorten("a" * 20 + "z" * 20, 12) == "aaaaaaa…zzz"
    assert shorten("東" * 20, 12) == "東東東…東"


@pytest.mark.parametrize(
    ("coverage", "low", "high", "word", "tone"),
    [
        (0.9, 0.88, 0.92, "as it should", "good"),
        (0.8, 0.78, 0.82, "it is too narrow", "warn"),
        (0.895, 0.893, 0.897, "a little too narrow", "warn"),
        (0.97, 0.96, 0.98, "wider than it needs to be", "warn"),
        (0.7, 0.4, 0.92, "a gap that chance alone could explain", ""),
        (
            0.7,
            None,
            None,
            "too few independent blocks of rows to tell its confidence limits), so whether",
            "",
        ),
    ],
)
def test_coverage_is_judged_by_its_limits(coverage, low, high, word, tone) -> None:
    sentence = coverage_sentence(Interval(0.9, coverage, low, high, 1.0, 100), "test")
    assert word in sentence.text and sentence.tone == tone
    assert "allowing for" not in sentence.text
    in_blocks = coverage_sentence(Interval(0.9, coverage, low, high, 1.0, 100), "test", 20)
    assert ("allowing for rows that resemble each other" in in_blocks.text) == (low is not None)
    assert in_blocks.tone == tone


def test_scores_after_fewer_rounds_are_not_ranked_with_final_ones() -> None:
    trials = (
        make_trial(0, 1.4),
        make_trial(1, 1.1, state="stopped"),
        make_trial(2, 1.2),
        make_trial(3, None),
        make_trial(4, 1.0, state="stopped"),
        make_trial(5, 1.2),
    )
    assert [trial.number for trial in ranked(trials)] == [2, 5, 0]
    assert [trial.number for trial in scored(trials)] == [2, 5, 0, 4, 1]
    table = ranking(trials)
    assert [row.cells[:2] for row in table.rows] == [
        ("1", "2"),
        ("2", "5"),
        ("3", "0"),
        ("–", "4"),
        ("–", "1"),
    ]
    assert [row.cells[3] for row in table.rows] == [
        "finished", "finished", "untuned default", "stopped early", "stopped early",
    ]  # fmt: skip
    assert "stopped early have no rank" in table.note


def test_trials_cut_by_time_are_ranked_but_not_beside_what_took_their_place() -> None:
    cut = make_trial(1, 0.9, state="cut")
    again = make_trial(2, 0.8, again=cut.key)
    trials = (make_trial(0, 1.4), cut, make_trial(3, 1.0, state="cut"))
    assert [trial.number for trial in ranked(trials)] == [1, 3, 0]
    assert [row.cells[3] for row in ranking(trials).rows] == ["cut by time", "cut by time", "untuned default"]
    assert "cut by time might have become better" in ranking(trials).note
    assert [trial.number for trial in ranked((*trials, again))] == [2, 3, 0]
    assert [row.cells[0] for row in ranking((*trials, again)).rows] == ["1", "2", "3", "–"]
    plot = history(trials)
    assert "0.9 at best" in plot.alt and "hollow" not in plot.caption


def test_the_best_so_far_is_that_of_a_finished_trial() -> None:
    trials = (make_trial(0, 1.4), make_trial(1, 0.9, state="stopped"), make_trial(2, 1.2))
    plot = history(trials)
    assert "1.4 at first, 1.2 at best" in plot.alt and "Grey hollow dots were stopped early" in plot.caption
    assert "hollow" not in history(trials[::2]).caption
    axes = Sheet(2.0).axes(1, 0.5, 4, 1)
    _draw_best(axes, np.arange(4), np.array([np.inf, 1.4, np.inf, 1.2]), 2.0)
    [line] = axes.get_lines()
    assert line.get_xdata().tolist() == [1, 2, 3] and line.get_ydata().tolist() == [1.4, 1.4, 1.2]


def test_when_no_trial_finished_then_what_needs_ranks_is_left_out() -> None:
    trials = tuple(make_trial(n, 1.0 + n / 10, state="stopped") for n in range(4))
    assert history(trials) is not None and "at best" not in history(trials).alt
    assert parallel(trials, {}) is slices(trials, {}) is None
    assert [row.cells[0] for row in ranking(trials).rows] == ["–"] * 4


def test_what_is_not_known_of_a_group_is_neither_good_nor_bad() -> None:
    unknown = Interval(0.9, 0.2, None, None, 1.0, 50)
    groups = {
        "fine": (Interval(0.9, 0.9, 0.85, 0.95, 1.0, 100),),
        "bad": (Interval(0.9, 0.0, 0.0, 0.3, 1.0, 90),),
        "unknown": (unknown,),
    }
    choice = choose_groups(groups)
    assert (choice.total, choice.judged, choice.outside) == (3, 2, 1)
    told = [(row.cells[0], row.cells[3], row.tone) for row in group_table(choice).rows]
    assert told == [
        ("fine", "85.0 to 95.0", "good"),
        ("bad", "0.0 to 30.0", "warn"),
        ("unknown", "not known", ""),
    ]
    plot = group_coverage(choice, 20)
    assert "more than chance explains" in plot.caption and "allowing for rows that resemble" in plot.caption
    assert "Grey groups hold fewer than 20 rows, or too few independent blocks" in plot.caption
    assert "1 of the 2 that can be judged miss" in plot.alt
    alone = group_coverage(choose_groups({"unknown": (unknown,)}), 3)
    assert "bar" not in alone.caption and "orange" not in alone.caption


def test_levels_are_judged_by_the_limits_of_their_blocks() -> None:
    rng = np.random.default_rng(0)
    days = np.arange(2000) // 5
    y = rng.normal(size=2000) + 1.5 * rng.normal(size=20)[days // 20]
    q = np.tile(np.array([-1.645, 0.0, 1.645]), (2000, 1))
    tones = {}
    for name, blocks in (("apart", None), ("blocks", days // 20), ("few", days // 100)):
        evaluation = evaluate("test", y, q, (0.05, 0.5, 0.95), None, blocks)
        rows = level_table(evaluation, (0.05, 0.5, 0.95)).rows
        tones[name] = [row.tone for row in rows[:3]]
        caption = reliability(evaluation, "test").caption
        assert ("allowing for rows that resemble" in caption) == (name == "blocks")
        assert ("too few independent blocks" in caption) == (name == "few")
        assert [row.cells[3] == "not known" for row in rows[:3]] == [name == "few"] * 3
    assert tones["few"] == [""] * 3
    assert tones["apart"].count("warn") > tones["blocks"].count("warn")


def test_leaderboard_is_sorted_with_failed_last(tmp_path) -> None:
    trials = (*make_trials(9), make_trial(9, 1e-9, params={"ünï": "a,b\n"}), make_trial(10, float("nan")))
    path = tmp_path / "new" / "leaderboard.csv"
    write_leaderboard(trials, path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:9] == [
        "rank", "trial", "model", "state", "score", "rounds", "seconds", "default", "reason",
    ]  # fmt: skip
    assert rows[0]["trial"] == "9" and rows[0]["ünï"] == "a,b\n" and float(rows[0]["score"]) == 1e-9
    # Of the eleven one failed, one has no number for its score, and two were stopped early.
    assert [row["rank"] for row in rows] == [*map(str, range(1, 8)), "", "", "", ""]
    assert [row["state"] for row in rows[7:9]] == ["stopped"] * 2 and float(rows[7]["score"]) > 0
    assert {row["trial"] for row in rows[-2:]} == {"7", "10"} and rows[-2]["reason"].startswith(
        "LightGBMError"
    )
    assert [path.name for path in path.parent.iterdir()] == ["leaderboard.csv"]


def test_scales_tell_choices_logarithms_and_what_is_not_used() -> None:
    trials = [
        make_trial(n, 1.0 + n, params={"c": "ab"[n % 2], "x": 10.0**n, "k": 3, "only": n if n else None})
        for n in range(4)
    ]
    found = {scale.name: scale for scale in scales(scored(trials), {"x": 0.9}, 8)}
    assert list(found) == ["x", "c", "only"]
    assert found["x"].places == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert found["c"].places.tolist() == [0, 1, 0, 1]
    assert found["only"].conditional and np.isnan(found["only"].places[0])


def test_when_groups_are_many_then_the_largest_and_the_worst_are_chosen() -> None:
    fine = Interval(0.9, 0.9, 0.85, 0.95, 1.0, 100)
    groups = {f"g{i}": (dataclasses.replace(fine, rows=100 + i),) for i in range(100)}
    groups["small and bad"] = (Interval(0.9, 0.2, 0.1, 0.4, 1.0, 50),)
    groups["empty"] = (Interval(0.9, float("nan"), 0.0, 1.0, 1.0, 0),)
    choice = choose_groups(groups)
    assert len(choice.shown) == 30 and choice.total == 101 and choice.outside == 1
    assert choice.shown[0][0] == "g99" and choice.shown[-1][0] == "small and bad"
    assert choice.worst == 1


def test_letters_that_the_font_lacks_are_in_the_svg_and_never_stand_ins_in_the_picture() -> None:
    sheet = Sheet(2.0)
    axes = sheet.axes(1, 0.5, 4, 1)
    name_ticks(axes.yaxis, [0, 1], [sheet.label("東京 a"), sheet.label("$b$")])
    axes.set_ylim(-1, 2)
    axes.set_title(sheet.label("京 #1c2530"))
    plot = sheet.finish("x", "X", "", "")
    assert "東京 a" in plot.svg and "京 #1c2530" in plot.svg and "$b$" in plot.svg
    texts = "".join(text.get_text() for text in sheet.figure.findobj(Text))
    assert " a" in texts and not [letter for letter in texts if 0x2800 <= ord(letter) < 0x2900]


def test_a_parameter_searched_in_logarithms_is_drawn_so_however_little_it_varied() -> None:
    trials = tuple(
        make_trial(n, 1.0 + n, params={"learning_rate": 0.05 * 2**n, "num_leaves": 8 * 2**n})
        for n in range(3)
    )
    logs = searched_in_logs({"search": {"model": "lightgbm", "space": None}})
    assert "learning_rate" in logs
    assert "num_leaves" not in logs
    assert "xgboost.learning_rate" in searched_in_logs({"search": {"model": "both"}})
    assert searched_in_logs({"search": {"model": "lightgbm", "space": "gone.yaml"}}) == frozenset()
    assert searched_in_logs({}) == frozenset()
    found = {scale.name: scale for scale in scales(scored(trials), {}, 8, logs)}
    assert found["learning_rate"].places == pytest.approx([0, 0.5, 1])
    assert found["num_leaves"].places == pytest.approx([0, 1 / 3, 1])


def test_a_default_above_the_drawn_range_is_told_in_words() -> None:
    trials = (make_trial(0, 1234.5), *(make_trial(n, 1 + n / 100) for n in range(1, 20)))
    plot = history(trials)
    assert "The untuned default is off the scale, at 1,234." in plot.caption and "↑ 1,234" in plot.svg
    assert "1 much worse trial drawn at the upper edge" in slices(trials, {}).caption
    assert "off the scale" not in history(tuple(make_trial(n, 1.4 - n / 10) for n in range(3))).caption
    axes = Sheet(2.0).axes(1, 0.5, 4, 1)
    _draw_best(axes, np.arange(3), np.array([1234.5, 1.4, 1.2]), 2.0)
    [line] = axes.get_lines()
    assert line.get_xdata().tolist() == [1, 2]


@pytest.mark.parametrize(("low", "high"), [(1234.51, 1234.58), (0, 1e-8), (1e6, 4e6), (-3e12, 5e12), (0, 1)])
def test_ticks_can_be_told_apart(low, high) -> None:
    axes = Sheet(2.0).axes(1, 0.5, 4, 1)
    axes.set_ylim(low, high)
    number_ticks(axes.yaxis)
    told = [label.get_text() for label in axes.get_yticklabels()]
    assert len(told) == len(set(told)) > 2 and max(map(len, told)) < 10
