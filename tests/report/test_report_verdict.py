"""When a claim counts as missed: against binomial probabilities summed by hand, and by drawing."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from report_made_up import make_material

from raysearch.evaluation import evaluate, wilson_limits
from raysearch.outcome import untuned
from raysearch.records import Ensemble, Evaluation, Interval
from raysearch.report.plots_forecast import choose_groups, group_coverage
from raysearch.report.verdict import (
    chance_of_miss,
    fitting_hits,
    group_verdict,
    independent_rows,
    judged,
    miss_words,
    side_words,
    verdict,
)


def seen(hits: int, rows: int, nominal: float = 0.9) -> Interval:
    return Interval(nominal, hits / rows, *wilson_limits(hits, rows), 1.0, rows)


@pytest.mark.parametrize("rows", [1, 2, 7, 20, 57, 300])
@pytest.mark.parametrize("claim", [0.05, 0.5, 0.8, 0.9, 0.99])
def test_what_passes_is_what_an_exact_test_lets_pass(rows, claim) -> None:
    chances = [math.comb(rows, k) * claim**k * (1 - claim) ** (rows - k) for k in range(rows + 1)]
    p = [sum(c for c in chances if c <= chances[k] * (1 + 1e-7)) for k in range(rows + 1)]
    passing = [k for k in range(rows + 1) if p[k] > 0.05 * (1 + 1e-9)]
    outside = sum(chances[k] for k in range(rows + 1) if k not in passing)
    fewest, most, chance = fitting_hits(rows, claim)
    assert (fewest, most) == (passing[0], passing[-1])
    assert chance == pytest.approx(outside, abs=1e-9) and chance < 0.0500001


def test_very_many_rows_are_no_trouble() -> None:
    fewest, most, chance = fitting_hits(10**9, 0.9)
    sd = math.sqrt(10**9 * 0.09)
    assert fewest == pytest.approx(9e8 - 1.96 * sd, abs=0.01 * sd)
    assert most == pytest.approx(9e8 + 1.96 * sd, abs=0.01 * sd)
    assert chance == pytest.approx(0.05, abs=1e-3)


@pytest.mark.parametrize(("hits", "rows"), [(0, 1), (1, 1), (0, 40), (37, 40), (450, 500), (500, 500)])
def test_limits_tell_how_many_independent_rows_there_are(hits, rows) -> None:
    limits = wilson_limits(hits, rows)
    assert independent_rows(hits / rows, limits) == rows
    wider = wilson_limits(hits / rows * 30, 30)
    assert independent_rows(hits / rows, wider) == 30  # as where rows of blocks count as 30


def test_a_share_is_judged_by_its_independent_rows() -> None:
    assert judged(0.9, 0.8, wilson_limits(400, 500)) == "warn"
    assert judged(0.9, 0.8, wilson_limits(16, 20)) == "good"
    assert judged(0.9, 0.8, None) == ""


@pytest.mark.parametrize(
    ("hits", "rows", "words"),
    [
        (515, 600, "too narrow"),  # 85.8 %, limits 82.8 to 88.4
        (268_500, 300_000, "a little too narrow"),  # 89.5 %
        (270_000, 300_000, ""),
        (590, 600, "wider than it needs to be"),
        (272_000, 300_000, "a little wider than it needs to be"),
        (17, 20, ""),
    ],
)
def test_a_miss_is_worded_by_its_size(hits, rows, words) -> None:
    assert miss_words(seen(hits, rows)) == words


def test_groups_of_few_rows_get_no_verdict() -> None:
    assert verdict(seen(0, 19)) == "warn" and group_verdict(seen(0, 19)) == ""
    assert group_verdict(seen(0, 20)) == "warn" and group_verdict(seen(18, 20)) == "good"
    groups = {str(n): (seen(n % 10 > 0, 1),) for n in range(600)}
    choice = choose_groups(groups)
    assert (choice.judged, choice.outside, choice.by_chance, choice.worst) == (0, 0, 0, 0)
    caption = group_coverage(choice).caption
    assert "orange" not in caption and "chance alone" not in caption
    assert "Shown are the 30 largest of 600 groups." in caption


def test_as_many_groups_miss_as_chance_is_said_to_make() -> None:
    rng = np.random.default_rng(0)
    found = made = 0.0
    for _ in range(20):
        groups = {f"{rows}": (seen(int(rng.binomial(rows, 0.9)), rows),) for rows in range(20, 320)}
        choice = choose_groups(groups)
        assert choice.by_chance == pytest.approx(sum(chance_of_miss(i) for (i,) in groups.values()))
        found, made = found + choice.outside, made + choice.by_chance
    assert made == pytest.approx(found, rel=0.15)
    assert made < 0.05 * 300 * 20
    words = f"Of the 300 groups that can be judged {choice.outside} miss; chance alone would make about "
    assert words in group_coverage(choice).caption


def one_sided(above: int, below: int, rows: int = 400) -> Evaluation:
    y = np.zeros(rows)
    y[:above], y[above : above + below] = 9.0, -9.0
    return evaluate("test", y, np.tile([-1.0, 0.0, 1.0], (rows, 1)), (0.05, 0.5, 0.95))


@pytest.mark.parametrize(
    ("above", "below", "words"),
    [
        (380, 1, "above the 90 % interval: these rows lie higher"),
        (3, 300, "below the 90 % interval: these rows lie lower"),
    ],
)
def test_misses_on_one_side_are_told(above, below, words) -> None:
    evaluation = one_sided(above, below)
    told = side_words(evaluation, evaluation.intervals[0], False)
    assert words in told and "--transform log with --anchor" in told
    assert "--transform" not in side_words(evaluation, evaluation.intervals[0], True)


@pytest.mark.parametrize(
    ("above", "below", "rows"),
    [
        (100, 100, 400),
        (90, 11, 400),  # not plain
        (19, 0, 60),  # too few misses
        (40, 0, 400),  # as many as claimed
        (44, 0, 400),  # not more than chance explains
    ],
)
def test_misses_that_show_no_side_plainly_are_not_explained(above, below, rows) -> None:
    evaluation = one_sided(above, below, rows)
    assert side_words(evaluation, evaluation.intervals[0], False) == ""


def test_levels_that_stand_to_one_side_miss_there_by_design() -> None:
    y = np.arange(1000) / 1000
    evaluation = evaluate("test", y, np.tile([0.01, 0.02, 0.3], (1000, 1)), (0.01, 0.3, 0.6))
    assert miss_words(evaluation.intervals[0]) == "too narrow"
    assert side_words(evaluation, evaluation.intervals[0], False) == ""
    unknown = dataclasses.replace(evaluation, reliability={})
    assert side_words(unknown, evaluation.intervals[0], False) == ""


def test_defaults_that_nothing_else_had_time_to_beat_are_told_with_what_helps():
    made = make_material(trials=4).result
    best = dataclasses.replace(made.best, default=True)
    short = dataclasses.replace(made, best=best, trials={"finished": 1}, stopped_by="time")
    assert untuned(short).endswith("nothing was tuned: give more time.")
    cut = dataclasses.replace(short, trials={"finished": 1, "cut": 3})
    assert "no trial that was cut did better: give more time" in untuned(cut)


def test_the_defaults_together_with_other_trials_are_more_than_the_defaults():
    made = make_material(trials=4)
    best = dataclasses.replace(made.result.best, default=True)
    alone = dataclasses.replace(made.result, best=best, ensemble=Ensemble({0: 1.0}, 1.0, 1.0, 0))
    assert "the model is the defaults" in untuned(alone)
    assert untuned(dataclasses.replace(alone, ensemble=Ensemble({0: 0.5, 2: 0.5}, 0.9, 1.0, 0))) == ""
