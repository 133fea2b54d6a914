"""Two commands that want the same study at once, where its home is an address: there no lock is seen."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import time
from dataclasses import replace

import pytest
from fault_rig import Study, make_table

pytestmark = pytest.mark.slow
TRIALS = 24
# As on a machine of its own, whose processes are not seen, and in less time.
ON_MACHINE = """
from raysearch.study import driver, lease
driver.seen_from = lambda: {name!r}
lease._BEAT_S, lease._UNASKED_S, driver.DEAD_AFTER_S = 0.5, 2.0, 4.0
"""


@pytest.fixture
def study(tmp_path):
    ledger = f"sqlite:///{tmp_path}/trials.db"
    options = ("--engine", "inline", "--ledger", ledger, "--checkpoint-after", "0s")
    store = f"sqlite:///{tmp_path}/mlflow.db"
    return Study(
        tmp_path, make_table(tmp_path, 1000), store, TRIALS, options, ledger=ledger, scheme="file://"
    )


def ends_well(study, driver):
    said, errors = driver.communicate(timeout=300)
    assert driver.returncode == 0, errors
    assert json.loads(said)["trials"]["finished"] + json.loads(said)["trials"]["stopped"] == study.trials
    study.check_trials()
    study.check_record("FINISHED")
    assert not (study.home / "s" / "checkpoints").exists()
    study.check_nothing_runs()


def state(study):
    said, errors = study.command("status", "s").communicate(timeout=60)
    return json.loads(said)["state"], errors


def test_the_second_is_told_no_and_a_killed_one_keeps_nobody_away(study):
    study = replace(study, trials=4 * TRIALS)  # two commands begin and end while it runs
    first = study.start()
    study.wait_for(3, first)
    second = study.start()
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 1
    assert "is being run by another process" in errors and f"process {first.pid})" in errors
    assert state(study)[0] == "running"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    before = len(study.ended())
    assert 3 <= before < study.trials
    assert state(study)[0] == "ended"
    ends_well(study, study.start())


def freeze(driver, *databases):
    """Stop a driver where it stands, but not while it reads or writes: it would keep SQLite's file locked."""
    for _ in range(100):
        driver.send_signal(signal.SIGSTOP)
        if not any(map(is_locked, databases)):
            return
        driver.send_signal(signal.SIGCONT)
        time.sleep(0.05)
    raise AssertionError("it reads or writes all the time")


def is_locked(database):
    with contextlib.closing(sqlite3.connect(database, timeout=0.1)) as file:
        try:
            file.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return True
        return False


def test_one_that_was_frozen_while_another_went_on_steps_aside(study, tmp_path):
    # On Ray, whose workers go on; with trials enough for all the moments at which it cannot be stopped.
    study = replace(study, options=study.options[2:], trials=4 * TRIALS)
    frozen = study.start(ON_MACHINE.format(name="the first"))
    study.wait_for(3, frozen)
    freeze(frozen, tmp_path / "trials.db", tmp_path / "mlflow.db")
    try:
        before = len(study.ended())
        assert before < study.trials - 3
        second = study.start(ON_MACHINE.format(name="the second"))
        study.wait_for(before + 3, second)
    finally:
        frozen.send_signal(signal.SIGCONT)
    _, errors = frozen.communicate(timeout=60)
    assert frozen.returncode == 1
    assert "has been taken over by another process" in errors and f"process {second.pid})" in errors
    ends_well(study, second)
