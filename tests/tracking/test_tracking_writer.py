"""The writer: in order, behind the search's back, with patience that ends."""

from __future__ import annotations

import threading
import time

from raysearch.tracking.writer import Writer


def make(alive=lambda: True, refused=lambda error: isinstance(error, ValueError), **settings) -> Writer:
    return Writer(alive, refused, **settings)


def test_entries_are_written_in_order_and_without_waiting():
    written, go = [], threading.Event()
    writer = make()
    writer.put("first", lambda _: go.wait(5))
    started = time.monotonic()
    for number in range(100):
        writer.put(f"entry {number}", lambda _, number=number: written.append(number))
    assert time.monotonic() - started < 0.5
    go.set()
    assert writer.close() == ()
    assert written == list(range(100))
    writer.put("too late", lambda _: written.append("late"))
    assert writer.close() == ()
    assert written == list(range(100))


def test_what_is_refused_is_told_and_the_rest_written():
    written = []

    def refuse(_):
        raise ValueError("not\nlike this")

    writer = make()
    writer.put("the odd one", refuse)
    writer.put("the next", written.append)
    assert writer.close() == ("MLflow did not take the odd one: not like this",)
    assert written == [False]


def test_a_record_that_another_process_keeps_is_left_alone():
    written, taken = [], threading.Event()

    def write(_):
        written.append("first")
        taken.set()

    writer = make(holds=lambda: not taken.is_set(), take_back=lambda: written.append("taken back"))
    writer.put("the first", write)
    writer.put("the second", lambda _: written.append("second"))
    (told,) = writer.close()
    assert written == ["first", "taken back"]
    assert told == "another process runs the study now, and keeps its record"


def test_while_it_is_not_known_whose_record_it_is_nothing_is_written():
    written, known = [], threading.Event()
    writer = make(holds=lambda: True if known.is_set() else None)
    writer.put("the first", written.append)
    time.sleep(0.3)
    assert written == []
    known.set()
    assert writer.close() == ()
    assert written == [True]

    writer = make(holds=lambda: None, grace_s=0.2)
    writer.put("the first", written.append)
    (told,) = writer.close()
    assert told.startswith("the study's ledger has not answered since")
    assert "1 entries, from the first on, are not in MLflow's record" in told


def test_a_lost_answer_is_tried_again_and_says_so():
    tries = []

    def lose_once(again):
        tries.append(again)
        if len(tries) == 1:
            raise ConnectionError

    writer = make()
    writer.put("entry", lose_once)
    assert writer.close() == ()
    assert tries == [False, True]


def test_what_always_fails_does_not_hold_up_the_rest():
    written, tries = [], []

    def fail(again):
        tries.append(again)
        raise ConnectionError("disk full")

    writer = make()
    writer.put("the big one", fail)
    writer.put("the next", written.append)
    (told,) = writer.close()
    assert "the big one: disk full" in told
    assert len(tries) == 3
    assert written == [False]


def test_entries_wait_for_a_store_that_comes_back():
    up, written = threading.Event(), []

    def write(again):
        if not up.is_set():
            raise ConnectionError("refused")
        written.append(again)

    writer = make(alive=up.is_set)
    writer.put("one", write)
    writer.put("two", write)
    time.sleep(1.5)
    assert written == []
    up.set()
    assert writer.close() == ()
    assert written == [True, False]


def test_a_store_that_stays_away_is_given_up():
    def fail(_):
        raise ConnectionError("connection refused")

    writer = make(alive=lambda: False, grace_s=0.5)
    for number in range(20):
        writer.put(f"the end of trial {number}", fail)
    started = time.monotonic()
    (told,) = writer.close()
    assert time.monotonic() - started < 3
    assert "20 entries, from the end of trial 0 on" in told
    assert "connection refused" in told


def test_a_call_that_hangs_is_given_up():
    done = threading.Event()
    writer = make(stall_s=0.3)
    writer.put("the model", lambda _: done.wait(10))
    (told,) = writer.close()
    assert "1 entries, from the model on" in told
    done.set()


def test_many_refusals_are_counted_not_listed():
    def refuse(_):
        raise ValueError("no")

    writer = make()
    for number in range(50):
        writer.put(f"entry {number}", refuse)
    told = writer.close()
    assert len(told) == 9
    assert told[-1] == "and 42 more that MLflow did not take"
