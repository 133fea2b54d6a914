"""Confidence limits of shares where rows depend on each other: by hand, and against a known truth."""

from __future__ import annotations

import math
import statistics
import time

import numpy as np
import pytest

from raysearch import evaluation


def hits_in_time(rng, rows, share, keep):
    """Hits of a process in which each value keeps so much of the one before (a Gaussian AR(1))."""
    noise = rng.normal(size=rows) * math.sqrt(1 - keep**2)
    values = np.empty(rows)
    last = rng.normal()
    for i, step in enumerate(noise):
        last = values[i] = keep * last + step
    return values <= statistics.NormalDist().inv_cdf(share)


@pytest.mark.parametrize(
    ("freedom", "point"), [(4, 2.7764), (7, 2.3646), (19, 2.0930), (60, 2.0003), (1e9, 1.95996)]
)
def test_points_of_student(freedom, point):
    assert evaluation.student_95(freedom) == pytest.approx(point, rel=1e-3)


def test_limits_by_hand():
    # Six blocks of two rows: three hit twice, one once, two not at all; the share is 7 / 12.
    hits = np.array([1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], dtype=bool)
    blocks = np.arange(12) // 2
    # Hits less expected: three times 5/6, once -1/6, twice -7/6; the squares sum to 174 / 36.
    variance = 6 / 5 * (174 / 36) / 144
    effective = (7 / 12) * (5 / 12) / variance
    assert effective == pytest.approx(6.0345, abs=1e-4)  # of twelve rows: the design effect is 1.99
    t, share = 2.5706, 7 / 12  # five degrees of freedom
    middle = (share + t**2 / (2 * effective)) / (1 + t**2 / effective)
    half = t * math.sqrt(share * (1 - share) / effective + t**2 / (4 * effective**2)) / (1 + t**2 / effective)
    limits = evaluation.share_limits(hits, blocks)
    assert limits == pytest.approx((middle - half, middle + half), abs=1e-3)
    assert limits == pytest.approx((0.1807, 0.8988), abs=1e-4)


def test_rows_that_balance_each_other_count_as_no_more_than_they_are():
    hits = np.tile([True, False], 50)  # every block has the very same share: the variance between them is 0
    assert evaluation.share_limits(hits, np.arange(100) // 2) == pytest.approx(
        evaluation.wilson_limits(50, 100, evaluation.student_95(49))
    )


@pytest.mark.parametrize("share", [0, 1])
def test_where_all_rows_hit_or_none_a_block_counts_as_one_row(share):
    hits = np.full(1000, bool(share))
    limits = evaluation.share_limits(hits, np.arange(1000) // 100)
    assert limits == pytest.approx(evaluation.wilson_limits(10 * share, 10, evaluation.student_95(9)))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_too_few_blocks_give_no_limits(count):
    assert evaluation.share_limits(np.tile([True, False], 60), np.arange(120) % count) is None


def test_a_block_that_holds_nearly_all_rows_gives_no_limits():
    blocks = np.minimum(np.arange(1000), 9)
    assert evaluation.share_limits(np.arange(1000) % 3 > 0, blocks) is None


def test_no_rows_give_no_limits():
    assert evaluation.share_limits(np.zeros(0, bool)) is None
    assert evaluation.share_limits(np.zeros(0, bool), np.zeros(0, np.int64)) is None


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_rows_that_are_blocks_of_their_own_have_about_the_limits_of_wilson(share):
    hits = np.random.default_rng(0).random(2000) < share
    plain = evaluation.wilson_limits(hits.sum(), 2000)
    assert evaluation.share_limits(hits) == plain
    assert evaluation.share_limits(hits, np.arange(2000)) == pytest.approx(plain, abs=2e-4)


@pytest.mark.parametrize(("rows", "block", "keep"), [(2200, 110, 0.9), (2200, 110, 0.95), (1000, 50, 0.8)])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_limits_hold_the_truth_where_rows_in_time_resemble_each_other(rows, block, keep, share):
    rng = np.random.default_rng(1)
    blocks = np.arange(rows) // block
    held = naive = 0
    for _ in range(200):
        hits = hits_in_time(rng, rows, share, keep)
        low, high = evaluation.share_limits(hits, blocks)
        held += low <= share <= high
        low, high = evaluation.share_limits(hits)
        naive += low <= share <= high
    assert held / 200 >= 0.88
    assert naive / 200 <= 0.75


@pytest.mark.parametrize(("blocks", "each"), [(8, 30), (20, 100), (60, 10)])
def test_limits_hold_the_truth_where_groups_differ(blocks, each):
    """Every group has a share of its own, 0.8 on average."""
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(blocks), each)
    held = 0
    for _ in range(300):
        own = rng.beta(8, 2, size=blocks)
        low, high = evaluation.share_limits(rng.random(len(labels)) < own[labels], labels)
        held += low <= 0.8 <= high
    assert 0.9 <= held / 300 <= 0.995


def test_independent_rows_in_blocks_are_covered_too():
    rng = np.random.default_rng(3)
    blocks = np.arange(1000) // 50
    held = 0
    for _ in range(300):
        low, high = evaluation.share_limits(rng.random(1000) < 0.9, blocks)
        held += low <= 0.9 <= high
    assert 0.93 <= held / 300 <= 1.0


def test_evaluate_uses_the_blocks_everywhere():
    rng = np.random.default_rng(4)
    days = np.repeat(np.arange(300), 4)
    shift = np.repeat(rng.normal(size=20), 60)  # what all rows of fifteen days have in common
    y = rng.normal(size=1200) + 2 * shift
    q = np.tile([-2.0, 0.0, 2.0], (1200, 1))
    groups = np.where(days < 60, "short", "long")
    blocks = days // 15
    levels = (0.1, 0.5, 0.9)
    apart = evaluation.evaluate("test", y, q, levels, groups)
    told = evaluation.evaluate("test", y, q, levels, groups, blocks)
    assert (apart.blocks, told.blocks) == (None, 20)
    assert told.metrics == apart.metrics and told.reliability == apart.reliability
    inside = (y >= -2) & (y <= 2)
    assert told.intervals[0].limits == evaluation.share_limits(inside, blocks)
    assert told.reliability_limits[0.5] == evaluation.share_limits(y <= 0, blocks)
    assert told.intervals[0].high - told.intervals[0].low > 3 * (
        apart.intervals[0].high - apart.intervals[0].low
    )
    # Of the group "short" only four blocks are known, of "long" the other sixteen.
    assert told.groups["short"][0].limits is None
    assert told.groups["short"][0].coverage == apart.groups["short"][0].coverage
    assert told.groups["long"][0].limits == evaluation.share_limits(
        inside[days >= 60], blocks[days >= 60] - 4
    )


def test_a_group_that_is_one_block_has_no_limits_of_its_own():
    rng = np.random.default_rng(5)
    groups = np.array([f"store {i % 10}" for i in range(500)])
    told = evaluation.evaluate(
        "test", rng.normal(size=500), np.tile([-1.0, 1.0], (500, 1)), (0.1, 0.9), groups, groups
    )
    assert told.blocks == 10 and told.intervals[0].limits is not None
    assert [parts[0].limits for parts in told.groups.values()] == [None] * 10


def test_many_rows_groups_and_blocks_are_told_in_no_time():
    rng = np.random.default_rng(6)
    y, q = rng.normal(size=200_000), np.sort(rng.normal(size=(200_000, 5)), axis=1)
    groups = rng.integers(0, 20_000, 200_000).astype(str)
    started = time.perf_counter()
    told = evaluation.evaluate("test", y, q, (0.05, 0.25, 0.5, 0.75, 0.95), groups, groups)
    assert told.blocks == len(told.groups)
    assert time.perf_counter() - started < 15  # about 2 s alone on a core; room for a busy machine
