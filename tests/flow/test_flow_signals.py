"""Ctrl-C is heard even where a library swallows what it raises."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from raysearch.flow.signals import no_interrupt_lost, termination_as_interrupt


def swallowed(number):
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), number)
        time.sleep(5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_a_library_swallows_is_raised_again(number):
    done = []
    with termination_as_interrupt():
        before = signal.getsignal(number)
        with pytest.raises(KeyboardInterrupt), no_interrupt_lost():
            swallowed(number)
            done.append("what was under way goes on to its end")
        assert signal.getsignal(number) is before
    assert done


def test_an_interrupt_that_comes_through_is_raised_once():
    with pytest.raises(KeyboardInterrupt), no_interrupt_lost():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    with no_interrupt_lost():
        pass


def test_a_callers_own_handling_is_left_alone():
    heard = []
    before = signal.signal(signal.SIGINT, lambda *told: heard.append(told))
    try:
        with no_interrupt_lost():
            os.kill(os.getpid(), signal.SIGINT)
        assert len(heard) == 1
    finally:
        signal.signal(signal.SIGINT, before)
