"""What the first trials share, learnt by a process of its own: found by workers, gone with its driver."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from study_made_up import small_job

from raysearch import bench as benches
from raysearch.bench import Bench
from raysearch.models import MODEL_NAMES, get_model
from raysearch.node_share import NodeShare, _home
from raysearch.records import FoldRows
from raysearch.study import head_start as begun
from raysearch.study.head_start import head_start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="there is no /proc"),
]
LOCATED = {"num_leaves": 6, "location": True}


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def folds():
    """Return the small job in two folds, and as the refit would have it: one fit of all rows."""
    table, recipe = small_job(400)
    two = (FoldRows(((200, 400),), (0, 200)), FoldRows(((0, 200),), (200, 400)))
    return table, replace(recipe, fits=two), replace(recipe, fits=(FoldRows(((0, 400),), (0, 1)),))


def within(seconds, holds):
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.05)
    return holds()


def is_there(pid):
    """Tell whether a process runs; one that has ended and that nobody has asked for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def located(bench, model):
    return [bench._location(fold, model, LOCATED) for fold in range(bench.trainings)]


def open_pipes():
    """Return how many pipes this process has; its connections come and go."""
    pipes = 0
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # it has been closed meanwhile
            pipes += str(file.readlink()).startswith("pipe:")
    return pipes


def notes(name):
    return [note for note in (_home() / name).iterdir() if note.suffix == "" and note.read_text()]


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_workers_find_what_it_has_learnt(model, monkeypatch):
    table, search, whole = folds()
    monkeypatch.setattr(sys, "path", [*sys.path, Path("/of/a/notebook")])
    with head_start(table, [search, whole], [("no-model", LOCATED), (model, LOCATED)]) as name:
        assert name
        assert within(300, lambda: (_home() / name).is_dir() and len(notes(name)) == 3)
        get_model(model)
        with monkeypatch.context() as patch:
            patch.setattr(benches, "locate", lambda *words: pytest.fail("learnt once more"))
            found = [Bench(table, recipe, NodeShare(name)) for recipe in (search, whole)]
            locations = [location for bench in found for location in located(bench, model)]
        plain = [Bench(table, recipe) for recipe in (search, whole)]
        own = [location for bench in plain for location in located(bench, model)]
        for learnt, expected in zip(locations, own, strict=True):
            np.testing.assert_array_equal(learnt.learnt, expected.learnt)
            assert learnt.kind == expected.kind is not None
    assert not (_home() / name).exists()


def test_rows_of_one_fit_are_never_taken_for_those_of_another():
    table, search, _ = folds()
    turned = replace(search, fits=search.fits[::-1])  # as many rows, and other ones under each number
    share = NodeShare("one-study")
    params = {**LOCATED, "num_boost_round": 5}
    for recipe in (search, turned):
        shared, alone = (Bench(table, recipe, one) for one in (share, None))
        for fold in range(2):
            fits = [bench.begin_fold(fold, "lightgbm", params) for bench in (shared, alone)]
            for fit in fits:
                fit.advance(5)
            np.testing.assert_array_equal(*(fit.predict_watched() for fit in fits))


def test_it_ends_with_its_block(monkeypatch):
    table, search, _ = folds()
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        begun.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1]
    )
    open_before = open_pipes()
    with pytest.raises(KeyError), head_start(table, [search], [("lightgbm", LOCATED)]) as name:
        assert is_there(started[0].pid)
        raise KeyError
    assert not is_there(started[0].pid)
    assert not (_home() / name).exists()
    assert open_pipes() == open_before


def test_it_ends_with_a_driver_that_is_killed(place):
    program = """
import sys, time
sys.path.insert(0, sys.argv[1])
from test_study_head_start import folds, LOCATED
from raysearch.study import head_start
popen = head_start.subprocess.Popen
def told(*words, **more):
    process = popen(*words, **more)
    print(process.pid, flush=True)
    return process
head_start.subprocess.Popen = told
table, search, _ = folds()
with head_start.head_start(table, [search], [("lightgbm", LOCATED)]):
    time.sleep(600)
"""
    here = str(Path(__file__).parent)
    driver = subprocess.Popen([sys.executable, "-c", program, here], stdout=subprocess.PIPE, text=True)
    pid = int(driver.stdout.readline())
    assert is_there(pid)
    assert within(300, lambda: any(place.glob("raysearch-*/*")))
    os.kill(pid, signal.SIGINT)  # Ctrl-C goes to both, and is for the driver to answer
    time.sleep(0.3)
    assert is_there(pid)
    driver.kill()
    driver.communicate()
    assert within(60, lambda: not is_there(pid))


def test_where_it_is_not_worth_it_or_cannot_be_nothing_is_begun(monkeypatch):
    table, search, _ = folds()
    with head_start(table, [search], []) as name:
        assert name == ""
    many = pa.table({"f0": np.zeros(2_000_001), "target": np.zeros(2_000_001)})
    with head_start(many, [search], [("lightgbm", LOCATED)]) as name:
        assert name == ""
    open_before = open_pipes()
    for no_python in ("/no/python", None):
        monkeypatch.setattr(sys, "executable", no_python)
        with head_start(table, [search], [("lightgbm", LOCATED)]) as name:
            assert name == ""
    assert open_pipes() == open_before


def test_one_that_fails_costs_nothing(monkeypatch):
    table, search, _ = folds()
    monkeypatch.setattr(begun, "_PROGRAM", "raise SystemExit(1)")
    with head_start(table, [search], [("lightgbm", LOCATED)]) as name:
        bench = Bench(table, search, NodeShare(name))
        assert bench._location(0, "lightgbm", LOCATED) is not None
