"""Numbers, sentences and the leaderboard."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest
from matplotlib.text import Text
from report_made_up import make_trial, make_trials

from raysearch.records import Interval
from raysearch.report import write_leaderboard
from raysearch.report.canvas import Sheet, name_ticks, number_ticks
from raysearch.report.plots_forecast import choose_groups
from raysearch.report.scales import scales, scored
from raysearch.report.wording import coverage_sentence, duration, masked, number, shorten


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


def test_when_an_address_holds_secrets_then_they_are_hidden() -> None:
    assert masked("postgresql://me:secret@host/db") == "postgresql://me:***@host/db"
    assert masked("s3://bucket/x?token=abc&region=eu") == "s3://bucket/x?token=***&region=eu"
    assert masked("C:\\data\\a:b@c.csv") == "C:\\data\\a:b@c.csv"


@pytest.mark.parametrize(
    ("coverage", "low", "high", "word", "tone"),
    [
        (0.9, 0.88, 0.92, "as it should", "good"),
        (0.8, 0.78, 0.82, "it is too narrow", "warn"),
        (0.895, 0.893, 0.897, "a little too narrow", "warn"),
        (0.97, 0.96, 0.98, "wider than it needs to be", "warn"),
    ],
)
def test_coverage_is_judged_by_its_limits(coverage, low, high, word, tone) -> None:
    sentence = coverage_sentence(Interval(0.9, coverage, low, high, 1.0, 100), "test")
    assert word in sentence.text and sentence.tone == tone


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
    assert [row["rank"] for row in rows] == [*map(str, range(1, 10)), "", ""]
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
    groups["small and bad"] = (Interval(0.9, 0.2, 0.1, 0.4, 1.0, 5),)
    groups["empty"] = (Interval(0.9, float("nan"), 0.0, 1.0, 1.0, 0),)
    choice = choose_groups(groups)
    assert len(choice.shown) == 30 and choice.total == 101 and choice.outside == 1
    assert choice.shown[0][0] == "g99" and choice.shown[15][0] == "small and bad"


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


@pytest.mark.parametrize(("low", "high"), [(1234.51, 1234.58), (0, 1e-8), (1e6, 4e6), (-3e12, 5e12), (0, 1)])
def test_ticks_can_be_told_apart(low, high) -> None:
    axes = Sheet(2.0).axes(1, 0.5, 4, 1)
    axes.set_ylim(low, high)
    number_ticks(axes.yaxis)
    told = [label.get_text() for label in axes.get_yticklabels()]
    assert len(told) == len(set(told)) > 2 and max(map(len, told)) < 10
