"""One driver a study at a time, also where no lock of a file is seen."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import optuna
import pytest

from raysearch.errors import StudyError, TakenOverError
from raysearch.study import driver as drivers
from raysearch.study import lease as module
from raysearch.study.driver import Driver, driver_of
from raysearch.study.lease import Lease

pytestmark = pytest.mark.slow


@pytest.fixture
def database(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_BEAT_S", 0.1)
    monkeypatch.setattr(module, "_UNASKED_S", 0.5)
    monkeypatch.setattr(drivers, "DEAD_AFTER_S", 3.0)
    monkeypatch.setattr(module, "_SETTLES_S", 0.1)
    monkeypatch.setattr(module, "_LOOK_S", 0.05)
    return f"sqlite:///{tmp_path}/trials.db?timeout=60"


def opened(database):
    return optuna.create_study(storage=database, study_name="s", load_if_exists=True)


def elsewhere(monkeypatch):
    """From now on this process is on another machine than before."""
    monkeypatch.setattr(drivers, "seen_from", lambda: "another machine")


def test_a_second_driver_is_told_no_until_the_first_has_left(database):
    assert driver_of(opened(database)) is None
    with Lease(opened(database), "s") as first:
        first.check()
        with (
            pytest.raises(
                StudyError, match=rf"'s' is being run by another process \(.+, process {os.getpid()}\)"
            ),
            Lease(opened(database), "s"),
        ):
            pass
        assert driver_of(opened(database)).lives
        first.check()
    assert driver_of(opened(database)) is None
    with Lease(opened(database), "s"):
        pass


def test_a_driver_on_another_machine_is_seen_by_its_beats(database, monkeypatch):
    with Lease(opened(database), "s") as first:
        elsewhere(monkeypatch)
        assert driver_of(opened(database)).lives is None
        assert driver_of(opened(database)).seems_to_live
        told = []
        with (
            pytest.raises(StudyError, match="is being run by another process"),
            Lease(opened(database), "s", told.append),
        ):
            pass
        assert "waiting for a sign of life" in told[0]
        first.check()


def test_one_whose_clock_is_wrong_is_seen_too(database, monkeypatch):
    with Lease(opened(database), "s"):
        elsewhere(monkeypatch)
        right = time.time
        monkeypatch.setattr(module.time, "time", lambda: right() + 3600)
        with pytest.raises(StudyError, match="is being run"), Lease(opened(database), "s"):
            pass


def test_a_killed_driver_keeps_nobody_away(database, monkeypatch):
    script = (
        "import optuna, time\nfrom raysearch.study import lease\nfrom raysearch.study.lease import Lease\n"
        "lease._BEAT_S = 0.1\n"
        f"study = optuna.load_study(storage={database!r}, study_name='s')\n"
        "with Lease(study, 's'):\n    print('held', flush=True)\n    time.sleep(600)\n"
    )
    opened(database)
    driver = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert driver.stdout.readline() == "held\n"
    with pytest.raises(StudyError, match=f"process {driver.pid}"), Lease(opened(database), "s"):
        pass
    driver.kill()
    driver.communicate()
    assert not driver_of(opened(database)).seems_to_live
    told = []
    with Lease(opened(database), "s", told.append):
        assert told == []  # its number is not there any more: no beat is waited for


def test_a_number_that_was_given_out_again_is_no_driver():
    parent = Driver("d", "host", drivers.seen_from(), drivers.process_of(os.getppid()), time.time())
    assert parent.lives
    assert not replace(parent, process=f"{os.getppid()} 1").lives


def test_a_database_that_is_away_at_the_end_keeps_this_process_from_nothing(database, monkeypatch):
    study = opened(database)
    with Lease(study, "s") as first, monkeypatch.context() as patch:
        patch.setattr(first, "_swap", lambda found, written: True)
        first.__exit__()
        assert driver_of(study).id == first._own.id
        with Lease(study, "s"):
            pass


def test_one_that_gave_no_sign_for_long_is_replaced_and_steps_aside(database, monkeypatch):
    lost = threading.Event()
    with Lease(opened(database), "s") as first:
        first.when_lost = lost.set
        first._ends.set()  # it is stopped, or cut off
        first._thread.join()
        elsewhere(monkeypatch)
        with Lease(opened(database), "s") as second:
            with pytest.raises(TakenOverError, match="has been taken over by another process"):
                first.confirm()
            with pytest.raises(TakenOverError):
                first.check()
            first._ends.clear()
            first._beat()  # it goes on
            assert lost.is_set()
            second.confirm()
        first._ends.set()
    assert driver_of(opened(database)) is None


def test_after_a_long_silence_of_its_own_a_driver_asks_before_it_writes(database, monkeypatch):
    with Lease(opened(database), "s") as first:
        first._ends.set()
        first._thread.join()
        other = Driver("other", "there", "another machine", "1 1", time.time())
        first._study._storage.set_study_user_attr(
            first._study._study_id, drivers.DRIVER_ATTRIBUTE, vars(other)
        )
        monkeypatch.setattr(module, "_clock_s", lambda: first._confirmed_s + 0.1)
        first.check()  # it was there a moment ago
        assert first.holds()
        monkeypatch.setattr(module, "_clock_s", lambda: first._confirmed_s + 0.6)
        with pytest.raises(TakenOverError, match="there, process 1"):
            first.check()
        assert first.holds() is False
    assert driver_of(opened(database)) == other


def test_one_that_was_frozen_in_the_midst_of_its_sign_of_life_overwrites_nobody(database, monkeypatch):
    with Lease(opened(database), "s") as first:
        first._ends.set()
        first._thread.join()
        first._ends.clear()
        swap = first._swap
        other = Driver("other", "there", "another machine", "1 1", time.time())

        def frozen(found, written):
            first._study._storage.set_study_user_attr(
                first._study._study_id, drivers.DRIVER_ATTRIBUTE, vars(other)
            )
            return swap(found, written)

        monkeypatch.setattr(first, "_swap", frozen)
        with pytest.raises(TakenOverError, match="there, process 1"):
            first.confirm()
        first._ends.set()
    assert driver_of(opened(database)) == other


def test_threads_of_one_driver_that_confirm_at_once_keep_it(database):
    with Lease(opened(database), "s") as first:
        with ThreadPoolExecutor(3) as threads:
            for told in [threads.submit(first.confirm) for _ in range(60)]:
                told.result()
        assert first.holds()
        assert driver_of(opened(database)).id == first._own.id


def test_one_whose_other_threads_come_between_each_time_keeps_it(database, monkeypatch):
    with Lease(opened(database), "s") as first:
        first._ends.set()
        first._thread.join()
        first._ends.clear()
        swap = first._swap

        def late(found, written):
            assert swap(found, replace(found, beat_s=found.beat_s + 1))
            return swap(found, written)

        monkeypatch.setattr(first, "_swap", late)
        first._confirmed_s = 0.0
        first.confirm()
        assert first._confirmed_s > 0
        first._ends.set()
        monkeypatch.setattr(first, "_swap", swap)


def test_a_database_that_does_not_keep_a_sign_of_life_is_told(database, monkeypatch):
    with Lease(opened(database), "s") as first:
        first._ends.set()
        first._thread.join()
        first._ends.clear()
        monkeypatch.setattr(first, "_swap", lambda found, written: False)
        with pytest.raises(StudyError, match="does not keep what is written to it"):
            first.confirm()
        first._ends.set()


def test_one_that_has_just_left_is_told_so(database, monkeypatch):
    study = opened(database)
    first = Lease(study, "s")
    first.__enter__()
    elsewhere(monkeypatch)

    def leave(why):
        first.__exit__()

    with pytest.raises(TakenOverError, match="has just left it; give the command again"):
        Lease(opened(database), "s", leave).__enter__()


def test_one_that_was_frozen_until_another_had_come_and_gone_has_lost_it(database, monkeypatch):
    with Lease(opened(database), "s") as first:
        first._ends.set()
        first._thread.join()
        first._ends.clear()  # frozen
        with monkeypatch.context() as patch:
            elsewhere(patch)
            with Lease(opened(database), "s"):
                pass
        assert driver_of(opened(database)) is None
        with pytest.raises(TakenOverError, match="which has ended since"):
            first.confirm()
        assert first.holds() is False
        first._ends.set()
    assert driver_of(opened(database)) is None


def test_a_lease_that_was_given_back_stays_so(database, monkeypatch):
    with Lease(opened(database), "s") as first:
        pass
    monkeypatch.setattr(module, "_clock_s", lambda: first._confirmed_s + 60.0)
    first.confirm()
    assert first.holds()
    assert driver_of(opened(database)) is None


def test_a_database_that_does_not_answer_is_not_asked_again_and_again(database, monkeypatch):
    asked = []

    def away(study):
        asked.append(study)
        raise StudyError("it does not answer")

    monkeypatch.setattr(module, "_BEAT_S", 5.0)
    told = []
    with Lease(opened(database), "s", told.append) as first, monkeypatch.context() as patch:
        patch.setattr(module, "driver_of", away)
        patch.setattr(module, "_clock_s", lambda: first._confirmed_s + 0.1)
        assert first.holds()  # it has just been told
        patch.setattr(module, "_clock_s", lambda: first._confirmed_s + 0.6)
        assert [first.holds() for _ in range(5)] == [None] * 5
        assert len(asked) == 1
        with pytest.raises(StudyError):
            first.check()
        begun = time.monotonic()
        first.wait_for_answer()  # and then lets it be
        assert 2.9 < time.monotonic() - begun < 9.0
        assert told == ["waiting for the ledger's database, which does not answer"]


def test_one_that_is_interrupted_leaves_nothing(database, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt), Lease(opened(database), "s"):
            pass
    assert driver_of(opened(database)) is None


def test_what_another_version_has_written_is_read(database):
    study = opened(database)
    study._storage.set_study_user_attr(
        study._study_id, drivers.DRIVER_ATTRIBUTE, {"host": "h", "mood": "good"}
    )
    assert driver_of(study) == Driver(host="h")


def test_a_process_of_this_machine_that_hangs_is_no_driver_for_ever():
    parent = Driver("d", "host", drivers.seen_from(), drivers.process_of(os.getppid()), time.time() - 3600)
    assert parent.lives is None
    assert not parent.seems_to_live


def test_of_two_that_begin_at_once_one_goes_on(database, monkeypatch):
    monkeypatch.setattr(module, "_SETTLES_S", 1.0)
    opened(database)
    ready, refused, held = threading.Barrier(2), [], []

    def drive():
        study = opened(database)
        ready.wait()
        try:
            with Lease(study, "s"):
                held.append(study)
                time.sleep(1.0)
        except StudyError as error:
            refused.append(error)

    drivers = [threading.Thread(target=drive) for _ in range(2)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert (len(held), len(refused)) == (1, 1)
