"""The Pareto front of trials, and which of them is picked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysearch.pareto import Pick, choose, dominates, front, nearest_to_ideal, parse_pick
from raysearch.records import TrialResult

WORDS = ("pinball", "coverage_gap")


def trial(number, *values, state="finished", words=WORDS):
    objectives = dict(zip(words, values, strict=True)) if values else {}
    score = values[0] if values else None
    return TrialResult(
        number, f"k{number}", "lightgbm", {}, {}, state, score, 10, {}, (), 0.0, 1.0, objectives=objectives
    )


# 0 and 4 are dominated; 1, 2, 3 are the front; 5 failed.
TRIALS = (
    trial(0, 2.0, 0.30),
    trial(1, 1.0, 0.20),
    trial(2, 1.2, 0.04),
    trial(3, 3.0, 0.00),
    trial(4, 1.2, 0.05),
    trial(5, state="failed"),
)


def test_the_front_is_what_no_other_trial_beats():
    assert [t.number for t in front(TRIALS)] == [1, 2, 3]
    assert [t.number for t in front(reversed(TRIALS))] == [1, 2, 3]
    assert front(()) == ()


def test_equal_trials_are_both_on_the_front():
    assert [t.number for t in front([trial(1, 1.0, 0.2), trial(0, 1.0, 0.2)])] == [0, 1]


def test_the_knee_by_hand():
    # Scaled: (0, 1), (0.1, 0.2), (1, 0): at 1, 0.224 and 1 from the ideal.
    assert nearest_to_ideal(front(TRIALS)).number == 2
    assert nearest_to_ideal([trial(7, 1.0, 0.5)]).number == 7
    assert (
        nearest_to_ideal([trial(1, 1.0, 0.5), trial(0, 2.0, 0.1)]).number == 1
    )  # alike: the first objective
    assert nearest_to_ideal([trial(3, 1.0, 0.5), trial(2, 1.0, 0.5)]).number == 2


@pytest.mark.parametrize(
    ("text", "number", "note"),
    [
        (None, 2, ""),
        ("KNEE", 2, ""),
        ("pinball", 1, ""),
        ("coverage_gap", 3, ""),
        ("coverage_gap<=0.04", 2, ""),
        ("coverage_gap <= 0.5", 1, ""),
        ("pinball<1.1", 1, ""),
        ("pinball<=0.5", 1, "No trial holds pinball<=0.5: trial 1 was picked, which has 1."),
        ("3", 3, ""),
        ("4", 4, "Trial 4 is not on the Pareto front: by no objective is it better than trial 2."),
        ("5", 2, "No trial 5 has finished: trial 2, the knee, was picked."),
        ("99", 2, "No trial 99 has finished: trial 2, the knee, was picked."),
    ],
)
def test_picks(text, number, note):
    found, told = choose(TRIALS, parse_pick(text, WORDS))
    assert (found.number, told) == (number, note)


def test_a_sum_can_be_picked_by_as_it_was_written():
    words = ("pinball+0.5*coverage_gap", "width_90")
    assert parse_pick("pinball + 0.50*coverage_gap <= 3", words) == Pick("bound", words[0], 3.0)
    assert parse_pick("Width_90", words) == Pick("best", "width_90")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nee", "'knee'"),
        ("wis", "an objective \\('pinball', 'coverage_gap'\\)"),
        ("coverage_gap<=", "must be"),
        ("coverage_gap<=few", "the bound must be a number"),
        ("coverage_gap<=nan", "the bound must be a number"),
        ("-3", "a trial's number"),
    ],
)
def test_what_is_no_pick_is_refused(text, told):
    with pytest.raises(ValueError, match=told):
        parse_pick(text, WORDS)


points = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12)


@given(points)
def test_a_front_holds_exactly_what_nothing_dominates(values):
    trials = [trial(n, *map(float, v), words=("a", "b", "c")) for n, v in enumerate(values)]
    leading = front(trials)
    for one in trials:
        assert (one in leading) == (not any(dominates(other, one) for other in trials))
    assert nearest_to_ideal(leading) in leading


@given(points)
def test_the_knee_does_not_hang_on_units(values):
    trials = [trial(n, *map(float, v), words=("a", "b", "c")) for n, v in enumerate(values)]
    scaled = [
        trial(n, 8.0 * v[0], v[1] / 4, 2.0 * v[2] + 16, words=("a", "b", "c")) for n, v in enumerate(values)
    ]
    assert nearest_to_ideal(front(trials)).number == nearest_to_ideal(front(scaled)).number
