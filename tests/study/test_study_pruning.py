"""Which trials are stopped early: by hand-made numbers, and what holds for all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysearch.study.pruning import Agreement, Peers, milestones, should_stop
from raysearch.trial import rungs_for

scores = st.floats(0, 100, allow_nan=False)
schedulers = st.sampled_from(["asha", "median", "none"])


@pytest.mark.parametrize(("rounds", "steps"), [(500, (125, 250)), (4, (1, 2)), (3, (1,)), (2, (1,)), (1, ())])
def test_rungs_lie_at_a_quarter_and_a_half(rounds, steps):
    assert milestones(rounds) == steps


@pytest.mark.parametrize(
    ("score", "peers", "stops"),
    [
        (1.0, [], False),
        (1.0, [2.0], False),
        (2.0, [1.0], True),
        (2.0, [1.0, 3.0], False),  # of three, two go on
        (3.0, [1.0, 2.0], True),
        (1.0, [1.0, 1.0, 1.0], False),  # as good as the last that goes on
    ],
)
def test_asha_lets_the_better_half_go_on(score, peers, stops):
    assert should_stop("asha", score, peers) is stops


def test_median_waits_for_five_others():
    assert not should_stop("median", 9.0, [1, 2, 3, 4])
    assert should_stop("median", 9.0, [1, 2, 3, 4, 5])
    assert not should_stop("median", 3.0, [1, 2, 3, 4, 5])


@given(schedulers, scores, st.lists(st.tuples(st.sampled_from("abcdef"), scores)))
def test_a_rung_knows_the_last_score_of_each_trial_in_order(scheduler, score, told):
    peers = Peers()
    for key, seen in told:
        peers.add(key, seen)
    assert peers.stop(scheduler, score) == should_stop(scheduler, score, sorted(dict(told).values()))


@given(scores, st.lists(scores))
def test_none_stops_nothing(score, peers):
    assert not should_stop("none", score, peers)


@given(schedulers, st.lists(scores))
def test_the_best_so_far_always_goes_on(scheduler, peers):
    assert not should_stop(scheduler, min(peers, default=1.0), sorted(peers))


@given(schedulers, scores, scores, st.lists(scores))
def test_a_better_score_never_stops_where_a_worse_one_goes_on(scheduler, a, b, peers):
    peers = sorted(peers)
    assert should_stop(scheduler, min(a, b), peers) <= should_stop(scheduler, max(a, b), peers)


@given(st.lists(st.integers(), min_size=1, unique=True))
def test_at_least_half_of_all_seen_go_on_under_asha(seen):
    seen = [float(score) for score in seen]
    going = [
        score
        for i, score in enumerate(seen)
        if not should_stop("asha", score, sorted([*seen[:i], *seen[i + 1 :]]))
    ]
    assert len(going) == max(1, -(-len(seen) // 2))


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_a_trial_reports_at_rungs_below_its_end_and_at_its_end(rounds, most):
    steps = rungs_for(rounds, milestones(most))
    assert steps[-1] == rounds
    assert list(steps) == sorted(set(steps))
    assert all(step >= 1 for step in steps)


def goes_on(correlation: float, gain: float, trials: int, seed: int) -> bool:
    """Tell whether a study still stops by first folds that rank its trials so well at its end.

    Args:
        gain: by how much the last proposals are better than the first ones, in standard deviations.
    """
    random, agreement, peers = np.random.default_rng(seed), Agreement(), Peers()
    for key in range(trials):
        first, noise = random.normal(size=2)
        first -= gain * key / trials
        stopped = peers.stop("asha", first, first_fold=True)
        peers.add(str(key), first)
        whole = correlation * first + np.sqrt(1 - correlation**2) * noise
        agreement.add(first, None if stopped else whole)
    return agreement.holds


@pytest.mark.parametrize(
    ("correlation", "gain", "trials", "least", "most"),
    [
        (0.0, 2.0, 30, 0.0, 0.25),
        (0.0, 2.0, 60, 0.0, 0.1),
        (0.3, 2.0, 60, 0.0, 0.35),
        (0.9, 2.0, 60, 0.9, 1.0),
        (0.97, 2.0, 60, 0.95, 1.0),
        (0.0, 0.0, 60, 0.0, 0.4),  # by chance a sixth goes on, which tells less
        (0.97, 0.0, 60, 0.95, 1.0),
    ],
)
def test_first_folds_that_do_not_tell_are_found_out_and_those_that_do_are_kept(
    correlation, gain, trials, least, most
):
    """Although only those that the first fold has let go on, the best by its score, have both scores."""
    assert least <= np.mean([goes_on(correlation, gain, trials, seed) for seed in range(60)]) <= most
