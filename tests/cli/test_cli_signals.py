"""Ctrl-C, SIGTERM, kills, and the time budget, on real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

SLOW = "parameters:\n  num_leaves: {low: 4, high: 16}\nfixed:\n  num_boost_round: 400\n"
TRIALS = 60
INTERRUPTED = (130, -signal.SIGINT)  # shells call both 130; Python ends by the signal where C code met it
ENDS_WITHIN_S = 60.0  # report and record included, on a machine that is busy with other tests


@pytest.fixture
def slow_words(place, store):
    """Words of a study whose trials take long enough to be interrupted."""
    (place.root / "slow.yaml").write_text(SLOW)
    return [
        "tune",
        *place.data,
        "--drop",
        "day",
        "--space",
        "slow.yaml",
        "--study",
        "s",
        "--engine",
        "inline",
    ]


def ended(place) -> int:
    """Return how many trials the ledger has as ended."""
    from raysearch.flow import list_studies

    rows = list_studies(str(place.root / "studies"))
    return rows[0].trials if rows else 0


def until(place, trials: int, process) -> None:
    """Wait until the study has so many ended trials."""
    deadline = time.monotonic() + 300
    while ended(place) < trials:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_killed_and_an_interrupted_study_go_on_to_exactly_n(place, slow_words, told):
    process = place.start(*slow_words, "--trials", str(TRIALS))
    until(place, 3, process)
    process.kill()
    process.communicate()
    assert ("study", "RUNNING") in place.runs()

    process = place.start("resume", "s", "--json")
    until(place, 5, process)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    out, err = process.communicate(timeout=180)
    assert time.monotonic() - began < ENDS_WITHIN_S
    assert process.returncode in INTERRUPTED, err
    best_so_far = told(out)
    assert best_so_far["stopped_by"] == "interrupt"
    assert "interrupted: keeping the best so far" in err
    assert "RUNNING" not in {status for _, status in place.runs()}
    assert place.runs()[0] == ("study", "KILLED")
    model = place.root / "studies/s/model/forecaster.json"
    assert model.is_file()
    assert json.loads((place.root / "studies/s/result.json").read_text())["stopped_by"] == "interrupt"

    last = place.command("resume", "s", "--json", timeout=600)
    assert last.returncode == 0, last.stderr
    result = told(last.stdout)
    assert result["trials"]["finished"] + result["trials"]["stopped"] == TRIALS
    assert result["best"]["valid_pinball_loss_avg"] <= best_so_far["best"]["valid_pinball_loss_avg"]
    _one_run_a_key(place)


def _one_run_a_key(place) -> None:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(place.root / "studies/s/ledger.log")))
    [summary] = optuna.get_all_study_summaries(storage)
    trials = optuna.load_study(study_name=summary.study_name, storage=storage).get_trials()
    keys = [trial.user_attrs["raysearch"]["key"] for trial in trials if trial.state.is_finished()]
    assert len(keys) == len(set(keys)) == TRIALS
    assert place.runs().count(("study", "FINISHED")) == 1
    runs = [status for role, status in place.runs() if role == "trial"]
    assert len(runs) == TRIALS
    assert "RUNNING" not in runs


def test_ctrl_c_before_any_trial_has_finished_says_how_to_go_on(place, slow_words):
    process = place.start(*slow_words, "--trials", "5", "--set", "search.refit=false")
    while not (place.root / "studies/s/ledger.log").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=180)
    assert process.returncode in INTERRUPTED, err
    assert out == ""
    assert "Traceback" not in err
    assert "RUNNING" not in {status for _, status in place.runs()}


def test_sigterm_ends_a_study_like_ctrl_c(place, slow_words, told):
    process = place.start(*slow_words, "--trials", "200", "--json", "--no-tracking")
    until(place, 2, process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=180)
    assert process.returncode in INTERRUPTED, err
    assert told(out)["stopped_by"] == "interrupt"


def test_ctrl_c_of_the_whole_terminal_ends_a_study_on_ray(place, slow_words, told):
    """A terminal sends the signal to every process of the group, Ray's too."""
    words = [word for word in slow_words if word not in ("--engine", "inline")]
    process = place.start(*words, "--trials", "300", "--json", "--no-tracking", start_new_session=True)
    until(place, 3, process)
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    out, err = process.communicate(timeout=180)
    assert time.monotonic() - began < ENDS_WITHIN_S
    assert process.returncode in INTERRUPTED, err
    result = told(out)
    assert result["stopped_by"] == "interrupt"
    assert result["trials"]["finished"] >= 1
    assert (place.root / "studies/s/model/forecaster.json").is_file()
    assert "Traceback" not in err


def test_the_time_budget_is_that_of_the_whole_command(place, slow_words, told):
    began = time.monotonic()
    done = place.command(*slow_words, "--time-budget", "25s", "--json")
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    result = told(done.stdout)
    assert result["stopped_by"] == "time"
    assert took < 45
    assert result["wall_s"] > 12  # and most of it was used
    assert "RUNNING" not in {status for _, status in place.runs()}


IN_THE_CLOSING = """
import importlib, os, signal, sys, time
closing = importlib.import_module("raysearch.flow.closing")
def stopped_by_a_scheduler(*told):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)
closing.write_report = stopped_by_a_scheduler
from raysearch.__main__ import main
sys.argv[0] = "raysearch"
main()
"""


def test_sigterm_after_ray_has_ended_closes_the_record_and_leaves_the_model(place):
    """Ray takes the answer to SIGTERM over, and takes it along when it ends."""
    words = ["tune", *place.data, "--space", "quick.yaml", "--trials", "2", "--study", "s"]
    done = subprocess.run(
        [sys.executable, "-c", IN_THE_CLOSING, *words],
        cwd=place.root,
        env=place.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in INTERRUPTED, done.stderr
    assert "interrupted; `python -m raysearch resume s` goes on" in done.stderr
    assert (place.root / "studies/s/model/forecaster.json").is_file()
    assert (place.root / "studies/s/result.json").is_file()
    assert ("study", "KILLED") in place.runs()
    assert "RUNNING" not in {status for _, status in place.runs()}
