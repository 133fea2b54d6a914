"""Seconds by part: each second counts once."""

from __future__ import annotations

import itertools

import pytest

from raysearch.stopwatch import Stopwatch


def test_what_a_part_holds_of_another_counts_for_that_alone():
    ticks = itertools.chain([0.0, 1.0, 3.0, 7.0, 8.0, 20.0, 21.5])
    watch = Stopwatch(lambda: next(ticks))  # made at 0
    with watch.part("outer"), watch.part("inner"):  # from 1 and from 3
        pass  # to 7 and to 8
    with watch.part("outer"):  # from 20
        pass  # to 21.5
    assert watch.seconds == {"outer": 2.0 + 1.0 + 1.5, "inner": 4.0}
    assert list(watch.seconds) == ["outer", "inner"]


def test_what_was_measured_elsewhere_is_added_and_a_reset_forgets_all():
    watch = Stopwatch(lambda: 0.0)
    watch.add("a", 2.0)
    watch.add("a", 0.5)
    assert watch.seconds == {"a": 2.5}
    watch.reset()
    assert watch.seconds == {}


def test_an_error_ends_its_part():
    ticks = iter([0.0, 1.0, 2.0, 10.0, 11.0])
    watch = Stopwatch(lambda: next(ticks))
    with pytest.raises(ValueError), watch.part("a"):
        raise ValueError
    with watch.part("b"):
        pass
    assert watch.seconds == {"a": 1.0, "b": 1.0}
