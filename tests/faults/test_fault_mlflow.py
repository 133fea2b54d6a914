"""The MLflow server goes away in the middle of a study, and comes back: nothing of the record is lost."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from fault_rig import Server, Study, make_table

pytestmark = pytest.mark.slow
TRIALS = 40


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def study(tmp_path, server):
    return Study(tmp_path, make_table(tmp_path), server.uri, TRIALS)


def test_a_server_that_is_away_for_a_while_costs_no_time_and_no_run(study, server):
    study = replace(study, trials=100)
    driver = study.start()
    study.wait_for(10, driver)
    server.kill()
    before = len(study.ended())
    study.wait_for(before + 20, driver)  # the search goes on without it
    server.start()
    said, errors = driver.communicate(timeout=240)
    assert driver.returncode == 0, errors
    assert "is not complete" not in errors
    assert json.loads(said)["trials"]["failed"] == 0
    study.check_record("FINISHED")


def test_what_a_server_that_stays_away_has_missed_is_sent_by_sync(study, server):
    driver = study.start()
    study.wait_for(5, driver)
    server.kill()
    said, errors = driver.communicate(timeout=240)
    assert driver.returncode == 0, errors
    assert json.loads(said)["trials"]["finished"] > 0
    assert f"`python -m raysearch sync s --home {study.home}` sends what is missing" in errors

    away = study.command("sync")
    said, _ = away.communicate(timeout=120)
    assert away.returncode == 1
    (told,) = json.loads(said)["studies"]
    assert told["study"] == "s"
    assert told["left"]

    server.start()
    done = study.command("sync")
    said, errors = done.communicate(timeout=120)
    assert done.returncode == 0, errors
    assert json.loads(said)["studies"] == [{"study": "s", "trials": TRIALS, "uri": server.uri, "left": []}]
    study.check_record("FINISHED")

    again = study.command("sync", "s")  # however often
    assert again.wait(120) == 0
    study.check_record("FINISHED")
    said, _ = study.command("sync").communicate(timeout=120)
    assert json.loads(said)["studies"] == []


def test_a_killed_study_s_trials_are_sent_by_sync_and_it_goes_on(study, server):
    driver = study.start()
    study.wait_for(5, driver)
    server.kill()
    study.wait_for(10, driver)
    driver.kill()
    driver.wait()
    server.start()
    done = study.command("sync", "s")
    said, errors = done.communicate(timeout=120)
    assert done.returncode == 0, errors
    study.check_record("KILLED")
    last = study.command("resume", "s")
    said, errors = last.communicate(timeout=240)
    assert last.returncode == 0, errors
    trials = json.loads(said)["trials"]
    assert trials["finished"] + trials["stopped"] == TRIALS
    study.check_record("FINISHED")
