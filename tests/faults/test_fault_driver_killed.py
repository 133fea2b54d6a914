"""The command is killed again and again, at moments drawn by chance; what it leaves is gone on with."""

from __future__ import annotations

import random
import signal
import time

import pytest
from fault_rig import Study, make_table

pytestmark = pytest.mark.slow
TRIALS, KILLS = 60, 10


def test_ten_kills_cost_no_trial_that_had_ended_and_leave_nothing(tmp_path):
    study = Study(tmp_path, make_table(tmp_path, 1500), f"sqlite:///{tmp_path}/mlflow.db", TRIALS)
    chance, best, struck = random.Random(0), float("inf"), 0
    for turn in range(KILLS):
        before = {result.key for result in study.ended()}
        driver = study.start()
        if turn % 2:  # while it starts, or later
            time.sleep(chance.uniform(0.5, 8.0))
        else:
            study.wait_for(len(before) + 1, driver)
            time.sleep(chance.uniform(0.0, 0.7))
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
        now = study.ended()
        assert before <= {result.key for result in now}
        struck += len(before) < len(now) < TRIALS
        best = min((result.score for result in now if result.state == "finished"), default=best)
    assert struck >= 4, "no search was struck"
    driver = study.start()
    _, errors = driver.communicate(timeout=300)
    assert driver.returncode == 0, errors
    study.check_trials()
    study.check_record("FINISHED")
    assert min(result.score for result in study.ended() if result.state == "finished") <= best
    study.check_nothing_runs()
