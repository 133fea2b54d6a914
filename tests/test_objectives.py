"""What trials are scored by, against numbers worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raysearch.evaluation import evaluate
from raysearch.metrics import score_metrics
from raysearch.objectives import PINBALL, objective_metrics, parse_objectives, scores, titles, unmet

LEVELS = (0.1, 0.5, 0.9)
Y = np.array([1.0, 5.0])
Q = np.array([[0.0, 2.0, 4.0], [0.0, 2.0, 4.0]])
# Pinball of the first row: 0.1, 0.5, 0.3; of the second: 0.5, 1.5, 0.9. By level: 0.3, 1.0, 0.6.
PINBALL_AVG = 1.9 / 3
# One of two rows lies inside the 80 % interval [0, 4], which the second exceeds by 1.
GAP, WIDTH, INTERVAL = 0.3, 4.0, 4 + (2 / 0.2) * 0.5
# Trapezoids of the losses 0, 0.3, 1.0, 0.6, 0 at 0, 0.1, 0.5, 0.9, 1, twice.
CRPS = 2 * (0.1 * 0.15 + 0.4 * 0.65 + 0.4 * 0.8 + 0.1 * 0.3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pinball", [PINBALL_AVG]),
        ("wis", [2 * PINBALL_AVG]),
        ("crps", [CRPS]),
        ("interval_80", [INTERVAL]),
        ("coverage_gap, width_80", [GAP, WIDTH]),
        ("pinball + 0.5*coverage_gap", [PINBALL_AVG * (1 + 0.5 * GAP)]),
        ("2*crps + 0.1*width_80 + coverage_gap", [(2 * CRPS + 0.1 * WIDTH) * (1 + GAP)]),
        ("pinball,0.5*coverage_gap", [PINBALL_AVG, 0.5 * GAP]),
    ],
)
def test_scores_worked_by_hand(text, expected):
    assert scores(parse_objectives(text), Y, Q, LEVELS) == pytest.approx(expected)


def test_the_gap_is_the_mean_over_the_intervals():
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    q = np.tile([-3.0, -1.0, 0.0, 1.0, 3.0], (4, 1))
    y = np.array([0.0, 0.5, 2.0, 9.0])  # 3 of 4 in the interval of 90 %, 2 of 4 in that of 50 %
    found = scores(parse_objectives("pinball,coverage_gap"), y, q, levels)
    assert found[1] == pytest.approx((0.15 + 0.0) / 2)


def test_words_metrics_and_titles():
    told = [
        (objective.word, objective.metric, objective.title)
        for objective in parse_objectives("Pinball, WIS ,interval_90.0,width_50, crps+2e-1 * coverage_gap")
    ]
    assert told == [
        ("pinball", "pinball_loss_avg", "pinball loss"),
        ("wis", "wis", "WIS"),
        ("interval_90", "interval_score_90", "interval score at 90 %"),
        ("width_50", "width_50", "mean width at 50 %"),
        ("crps+0.2*coverage_gap", "crps_plus_0.2_coverage_gap", "CRPS + 0.2 × coverage gap"),
    ]
    assert parse_objectives("pinball_loss_avg,interval_score_90") == parse_objectives("pinball,interval_90")
    assert parse_objectives("pinball") == (PINBALL,)


@pytest.mark.parametrize("text", ["1e20*pinball", "1e-7*pinball+1e12*width_90", "0.1*crps+0.30*coverage_gap"])
def test_a_word_reads_as_the_objective_it_names(text):
    (objective,) = parse_objectives(text)
    assert parse_objectives(objective.word) == (objective,)
    assert titles([objective.word]) == {objective.word: objective.title}
    assert not set("+*") & set(objective.metric)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pinbal", "did you mean 'pinball'"),
        ("", "must be one of 'pinball', 'wis'"),
        ("pinball,,wis", "got ''"),
        ("pinball+", "got ''"),
        ("interval", "interval_90"),
        ("-1*pinball", "a number above 0"),
        ("0*pinball", "a number above 0"),
        ("nan*pinball", "a number above 0"),
        ("x*pinball", "a number above 0"),
        ("2*3*pinball", "must be one of"),
        ("pinball,pinball_loss_avg", "'pinball' stands twice"),
        ("wis+wis", "stands twice in the sum 'wis\\+wis'"),
    ],
)
def test_what_is_no_objective_is_refused_with_what_would_be_one(text, told):
    with pytest.raises(ValueError, match=told):
        parse_objectives(text)


@pytest.mark.parametrize(
    ("text", "levels", "told"),
    [
        ("interval_90", LEVELS, "no interval of 90 %, they hold 'interval_80'"),
        ("pinball+width_60", (0.1, 0.25, 0.75, 0.9), "they hold 'width_80', 'width_50'"),
        ("interval_80", (0.5,), "they hold no interval"),
        ("pinball,coverage_gap", (0.5,), "needs two levels"),
        ("coverage_gap", LEVELS, "add a loss, e.g. pinball,coverage_gap"),
        ("width_80", LEVELS, "alone is met by useless forecasts"),
        ("interval_80,coverage_gap,width_80", LEVELS, ""),
        ("interval_99.5", (0.0025, 0.9975), ""),
        ("wis", (0.5,), ""),
    ],
)
def test_an_objective_needs_levels_that_hold_it(text, levels, told):
    reason = unmet(parse_objectives(text), levels)
    assert told in reason and bool(reason) == bool(told)


def test_metrics_of_a_sum_tell_its_terms_too():
    found = objective_metrics(parse_objectives("pinball+coverage_gap"), {}, Y, Q, LEVELS)
    assert set(found) == {"pinball_loss_avg", "coverage_gap", "pinball_plus_coverage_gap"}


ALL = parse_objectives("pinball,wis,crps,interval_80,width_80,coverage_gap,pinball+0.5*coverage_gap")


@given(
    y=arrays(float, 7, elements=st.floats(-1e3, 1e3)),
    q=arrays(float, (7, 3), elements=st.floats(-1e3, 1e3)),
)
def test_what_other_rooms_measured_is_the_same(y, q):
    q = np.sort(q, axis=1)
    alone = scores(ALL, y, q, LEVELS)
    for known in (score_metrics(y, q, LEVELS), evaluate("valid", y, q, LEVELS).metrics):
        found = objective_metrics(ALL, known, y, q, LEVELS)
        assert [found[objective.metric] for objective in ALL] == pytest.approx(alone, abs=1e-9)
    assert all(value >= 0 for value in alone)


@given(
    y=arrays(float, 7, elements=st.floats(-100, 100)),
    q=arrays(float, (7, 3), elements=st.floats(-100, 100)),
    unit=st.floats(0.01, 1000),
)
def test_a_sum_with_the_gap_orders_trials_alike_in_all_units(y, q, unit):
    (objective,) = parse_objectives("pinball + 2*coverage_gap")
    q = np.sort(np.round(q), axis=1)
    y = np.round(y) + 0.5  # no truth lies on a quantile: scaling could push it over
    (small,), (large,) = (scores((objective,), u * y, u * q, LEVELS) for u in (1.0, unit))
    assert math.isclose(large, unit * small, rel_tol=1e-9)
