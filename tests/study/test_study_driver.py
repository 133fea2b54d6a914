"""Drivers with an own local Ray, in processes of their own: killed, out of time, interrupted."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from optuna.trial import TrialState
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayActorError, RayTaskError
from study_made_up import begin, compute, limits, small_job

from raysearch.errors import ClusterError, StudyError
from raysearch.study.cluster import check_address, connected
from raysearch.study.guard import first_interrupt_waits, process_left_alone
from raysearch.study.loss import error_of, losses_survived, why_lost
from raysearch.study.ray_engine import run_on_ray
from raysearch.study.reading import LedgerReader

DRIVER = Path(__file__).parent / "study_driver.py"


def start(place, what):
    command = [sys.executable, str(DRIVER), str(place), what]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def descendants(pid):
    """Return the processes below ``pid``, with when each began: an id alone can be another's later."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        stat = fields(int(path.parent.name))
        if stat:
            children.setdefault(int(stat[1]), []).append(int(path.parent.name))
    found, todo = {}, [pid]
    while todo:
        for child in children.get(todo.pop(), ()):
            todo.append(child)
            found[child] = (fields(child) or [""] * 20)[19]
    return found


def fields(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def words_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def alive(processes, seconds=90.0):
    """Return those that still run, after a while for them to go by themselves."""
    until = time.monotonic() + seconds
    left = processes
    while left:
        left = {pid: began for pid, began in left.items() if (fields(pid) or [""] * 20)[19] == began}
        left = {pid: began for pid, began in left.items() if (fields(pid) or ["Z"])[0] != "Z"}
        if time.monotonic() > until:
            break
        time.sleep(0.1)
    return left


def end_leftovers(processes):
    """Give what a killed driver left behind time to go by itself, then end it, by its ids only."""
    for pid in alive(processes, 10.0):
        with contextlib.suppress(ProcessLookupError):  # the end of one of Ray's ends others
            os.kill(pid, signal.SIGKILL)


def ended(place):
    try:
        return LedgerReader(place / "ledger.log", None, "made-up").results()
    except StudyError:  # none yet
        return ()


@pytest.mark.slow
def test_a_killed_driver_s_study_goes_on_to_exactly_the_asked_number(tmp_path, local_ray):
    driver = start(tmp_path, "kill")
    try:
        while len(ended(tmp_path)) < 3:
            assert driver.poll() is None, driver.stdout.read()
            time.sleep(0.1)
        below = descendants(driver.pid)
        driver.kill()
        driver.wait()
    finally:
        driver.kill()
        end_leftovers(below)
    before = ended(tmp_path)
    assert 3 <= len(before) < 24
    study = begin(tmp_path, limits(24))
    trials = study.ledger.study.trials
    assert any(trial.state == TrialState.WAITING for trial in trials)
    # A trial that was proposed, but not begun yet when the kill came, has no key.
    about = [trial.user_attrs.get("raysearch", {}) for trial in trials]
    keys = {attributes["key"] for attributes in about if "key" in attributes}
    with connected(compute(2)) as cluster:
        place = (cluster, compute(2))
        run_on_ray(study.conductor, study.ledger, study.space, small_job(), place)
    after = ended(tmp_path)
    assert len(after) == len({result.key for result in after}) == 24
    assert after[: len(before)] == before
    assert keys <= {result.key for result in after}
    assert [trial.state for trial in study.ledger.study.trials] == [TrialState.COMPLETE] * 24
    params = [tuple(trial.params.values()) for trial in study.ledger.study.trials]
    assert len(set(params)) == 24


@pytest.mark.slow
def test_an_own_ray_is_left_at_once_when_time_is_up_and_at_an_interrupt(tmp_path):
    driver = start(tmp_path, "halts")
    below = {}
    try:
        assert until(driver, "connected")
        for _ in range(300):  # until both workers are busy
            time.sleep(0.1)
            below = descendants(driver.pid)
            if sum(": trial " in name(pid) for pid in below) == 2:
                break
        else:
            pytest.fail("no two workers run trials")
        sent = time.time()
        driver.send_signal(signal.SIGINT)
        _, why, when = until(driver, "halted")
        assert why == "interrupt"
        assert float(when) - sent < 50  # 2 s where nothing else runs; a step takes 100
        assert until(driver, "connected")  # a second search in the same process
        below |= descendants(driver.pid)
        _, why, late = until(driver, "halted")
        assert why == "time"
        assert float(late) < 50
        assert until(driver, "loaded") == ["loaded", "False"]  # nothing was asked to be recorded
        driver.wait(120)
    finally:
        driver.kill()
        end_leftovers(below)
    states = {trial.state for trial in begin(tmp_path, limits(1)).ledger.study.trials}
    assert states <= {TrialState.WAITING, TrialState.COMPLETE}


@pytest.mark.slow
def test_ray_is_left_whole_while_another_thread_makes_garbage_of_its_objects(tmp_path):
    driver = start(tmp_path, "litters")
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0, said
    assert said.splitlines()[-1] == "left True"


@pytest.mark.slow
def test_an_own_ray_that_does_not_start_leaves_no_process(tmp_path):
    said, _ = start(tmp_path, "fails").communicate(timeout=120)
    assert "node True\n" in said
    assert "an own local Ray: cannot connect: no dashboard today" in said
    assert said.splitlines()[-1] == "children 0"


@pytest.mark.slow
def test_an_interrupt_while_ray_starts_ends_it_whole(tmp_path):
    driver = start(tmp_path, "interrupted")
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0, said
    assert said.splitlines()[-2:] == ["interrupted", "children 0"]


@pytest.mark.slow
def test_ctrl_c_of_the_whole_terminal_while_the_dashboard_starts_ends_it_whole(tmp_path):
    command = [sys.executable, str(DRIVER), str(tmp_path), "connects"]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic() + 300
    while not any("multiprocessing.forkserver" in words_of(pid) for pid in descendants(driver.pid)):
        if driver.poll() is not None:
            pytest.skip("the dashboard of this version of Ray has no processes of its own")
        assert time.monotonic() < until, "Ray does not start"
        time.sleep(0.02)
    begun, below = time.monotonic(), descendants(driver.pid)
    os.killpg(driver.pid, signal.SIGINT)
    said, _ = driver.communicate(timeout=120)
    assert time.monotonic() - begun < 30, "Ray waited for a dashboard that is half started"
    assert said.splitlines()[-2:] == ["interrupted", "children 0"]
    assert alive(below) == {}


@pytest.mark.slow
def test_an_own_ray_that_is_left_before_its_dashboard_stands_leaves_no_process(tmp_path):
    driver = start(tmp_path, "leaves")
    assert until(driver, "connected")
    below: dict[int, str] = {}
    while driver.poll() is None:
        below |= descendants(driver.pid)
        time.sleep(0.02)
    assert len(below) >= 3  # Ray's
    assert alive(below) == {}


def test_a_first_interrupt_waits_and_a_second_does_not():
    answer, reached = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt), first_interrupt_waits():
        signal.raise_signal(signal.SIGINT)
        reached.append("the first one waited")
    with pytest.raises(KeyboardInterrupt), first_interrupt_waits():
        signal.raise_signal(signal.SIGINT)
        reached.append("and so did this")
        signal.raise_signal(signal.SIGINT)
        reached.append("not reached")
    assert reached == ["the first one waited", "and so did this"]
    assert signal.getsignal(signal.SIGINT) is answer


def test_what_tune_counts_is_put_back(monkeypatch):
    from ray.air._internal import usage

    counted = usage.tag_callbacks
    one, other = process_left_alone(), process_left_alone()
    one.__enter__()
    other.__enter__()  # another study of the process, that ends later
    assert usage.tag_callbacks([]) is False
    one.__exit__(None, None, None)
    other.__exit__(None, None, None)
    assert usage.tag_callbacks is counted
    monkeypatch.delattr(usage, "tag_callbacks")  # another version of Ray
    with process_left_alone():
        assert not hasattr(usage, "tag_callbacks")


def until(driver, word):
    for line in driver.stdout:
        if line.startswith(word):
            return line.split()
    raise AssertionError(f"the driver ended without {word!r}")


def name(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ray://head:10001", "Ray Client"),
        ("head", "must be HOST:PORT"),
        ("head:x", "must be HOST:PORT"),
        ("head:0", "must be HOST:PORT"),
        (":6379", "must be HOST:PORT"),
        ("127.0.0.1:1", "no Ray cluster answers there"),
        ("no-such-host.invalid:6379", "no Ray cluster answers there"),
    ],
)
def test_an_address_where_nobody_is_is_told(address, told):
    with pytest.raises(ClusterError, match=told):
        check_address(address)


def test_no_address_needs_no_check():
    check_address(None)


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 505 No\r\n\r\n", b""])
def test_a_port_on_which_something_else_listens_is_told(greeting):
    """Ray itself would wait for minutes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            with server.accept()[0] as connection:
                connection.recv(100)
                connection.sendall(greeting)

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(ClusterError, match="something that is no Ray cluster's head"):
            check_address(f"127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.slow
def test_a_head_is_taken_for_what_it_is(local_ray):
    check_address(local_ray.get_runtime_context().gcs_address)


def raised_in_the_constructor():
    cause = RayTaskError(
        "TrialWorker.__init__", "Traceback\n  File x\nValueError: no bins", ValueError("no bins")
    )
    return ActorDiedError(cause)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, "its worker was lost"),
        (RayTaskError("step", "Traceback", MemoryError("1 GB")), "MemoryError: 1 GB"),
        (raised_in_the_constructor(), "no bins"),
        (
            RayActorError("id", "The actor died.\nTask was killed due to the node running low on memory."),
            "low on memory",
        ),
        (RayActorError("id", "The actor died because its node has died."), "the node of its worker died"),
        (RayActorError("id", "The actor is dead: SIGKILL"), "its worker process died"),
        (ValueError("a\nb"), "its worker was lost: b"),
    ],
)
def test_why_a_worker_was_lost_is_told(error, told, tmp_path):
    assert told in why_lost(error)
    file = tmp_path / "error.pkl"
    file.write_bytes(pickle.dumps("no error") if error is None else pickle.dumps(ValueError("kept")))
    assert (error_of(str(file)) is None) is (error is None)
    assert error_of(str(tmp_path / "nothing")) is error_of(None) is None


def test_a_worker_that_is_killed_for_memory_costs_one_trial_only(monkeypatch):
    seen = []
    monkeypatch.setattr(RayActorManager, "_actor_task_failed", lambda self, task, error: seen.append(error))
    stock = RayActorManager._actor_task_failed
    known = RayActorError("id", "died")
    with losses_survived():
        for error in (OutOfMemoryError("killed, node running low on memory"), known):
            RayActorManager._actor_task_failed(None, tracked_actor_task=None, exception=error)
    assert RayActorManager._actor_task_failed is stock
    assert why_lost(seen[0]) == "its worker was killed, for the node ran low on memory"
    assert seen[1] is known
