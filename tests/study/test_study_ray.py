"""The Ray engine on a connection that goes on: what it finds, and that it leaves nothing behind."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from optuna.trial import TrialState
from study_made_up import SMALL, begin, compute, limits, same, small_job
from study_on_ray import acting, left_behind, run, states

from raysearch.errors import ClusterError
from raysearch.node_share import _home, end_share
from raysearch.space import SearchSpace
from raysearch.space.read import parse_space
from raysearch.study import ray_engine
from raysearch.study.cluster import connected
from raysearch.study.inline import run_inline

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]


def settings():
    return {name: value for name, value in os.environ.items() if name.startswith(("TUNE_", "RAY_"))}


@pytest.fixture
def places(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    return tmp_path / "a", tmp_path / "b"


def test_one_at_a_time_finds_bit_for_bit_what_the_inline_twin_finds(places, local_ray, capfd, monkeypatch):
    asked = limits(13, scheduler="asha")
    table, recipe = small_job()
    here, there = begin(places[0], asked), begin(places[1], asked)
    run_inline(here.conductor, here.ledger, here.space, table, recipe)
    monkeypatch.setenv("TUNE_RESULT_DIR", "/x")  # settings of the surroundings do not bend the search
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "1")
    before = settings(), signal.getsignal(signal.SIGUSR1)
    capfd.readouterr()
    run(there, slots=1)
    assert [r.state for r in here.ledger.results].count("stopped") > 0
    pairs = zip(here.ledger.results, there.ledger.results, strict=True)
    assert all(same(a, b) for a, b in pairs)
    assert here.kept.get(here.conductor.best.key) == there.kept.get(there.conductor.best.key)
    assert there.conductor.stopped_by == "trials"
    assert (settings(), signal.getsignal(signal.SIGUSR1)) == before
    assert left_behind(local_ray) == []
    assert capfd.readouterr().out == ""


def test_two_at_once_finish_the_number_asked_for_on_warm_workers(tmp_path, monkeypatch, local_ray):
    pids = acting(monkeypatch, tmp_path)
    study = begin(tmp_path, limits(12, scheduler="asha"))
    run(study)
    assert len(study.ledger.results) == 12
    assert len({number for number, _ in pids()}) == 12
    assert len({pid for _, pid in pids()}) <= 2
    told = states(study)
    assert set(told) == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in study.ledger.study.trials:
        if trial.state == TrialState.PRUNED:
            assert trial.value == trial.intermediate_values[trial.last_step]
            assert trial.last_step in (10, 20)
    assert left_behind(local_ray) == []


def test_the_table_is_shared_and_given_back(tmp_path, monkeypatch, local_ray):
    rows = 1_500_000
    table, recipe = small_job()
    padding = pa.array(range(rows), pa.float64())
    big = pa.table(
        {name: pa.concat_arrays([table[name].combine_chunks(), padding]) for name in table.column_names}
    )

    def note(self):
        kept = self._bench._watched[0].features.column(0).chunk(0).buffers()[1]
        maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
        for line in maps:
            low, high = (int(end, 16) for end in line[0].split("-"))
            if low <= kept.address < high:
                Path(tmp_path, f"map-{os.getpid()}").write_text(" ".join(line[5:]))

    acting(monkeypatch, tmp_path, note)
    study = begin(tmp_path, limits(3))
    before = local_ray.available_resources()["object_store_memory"]
    run(study, job=(big, recipe))
    seen = [path.read_text() for path in tmp_path.glob("map-*")]
    assert seen
    assert all("plasma" in name or "/dev/shm" in name or "ray" in name for name in seen)
    for _ in range(300):
        gc.collect()
        if local_ray.available_resources()["object_store_memory"] >= before - 2**20:
            break
        time.sleep(0.1)
    assert local_ray.available_resources()["object_store_memory"] >= before - 2**20


def test_both_libraries_in_one_search_on_a_database(tmp_path):
    trees = {"n_estimators": {"type": "int", "low": 4, "high": 20}}
    space = SearchSpace((parse_space(SMALL), parse_space({"model": "xgboost", "parameters": trees})))
    study = begin(tmp_path, limits(6), space, database=f"sqlite:///{tmp_path}/trials.db")
    run(study)
    assert {result.model for result in study.ledger.results} == {"lightgbm", "xgboost"}
    assert sum(result.default for result in study.ledger.results) == 2
    assert study.conductor.default.default


def test_another_address_than_the_connection_s_is_refused(local_ray):
    with (
        pytest.raises(ClusterError, match="connected to the Ray cluster at"),
        connected(compute().__class__("10.1.2.3:6379", 1, 0, None, "ray")),
    ):
        pass
    with (
        pytest.raises(ClusterError, match="can hold a trial of 64 CPUs"),
        connected(compute().__class__(None, 64, 0, None, "ray")),
    ):
        pass
    address = local_ray.get_runtime_context().gcs_address
    with connected(compute().__class__(f"127.0.0.1:{address.rpartition(':')[2]}", 1, 0, 1, "ray")) as cluster:
        assert (cluster.slots, cluster.cpus, cluster.own) == (1, 2.0, False)


def test_a_worker_that_starts_slower_than_trials_end_is_waited_for(tmp_path, monkeypatch):
    base = ray_engine.TrialWorker

    class Slow(base):
        def setup(self, config):
            try:
                Path(tmp_path, "first").touch(exist_ok=False)
            except FileExistsError:
                time.sleep(2)
            super().setup(config)

    monkeypatch.setattr(ray_engine, "TrialWorker", Slow)
    pids = acting(monkeypatch, tmp_path, lambda self: time.sleep(0.15))
    study = begin(tmp_path, limits(40))
    run(study)
    counts = Counter(pid for _, pid in pids())
    assert len(counts) == 2 and min(counts.values()) > 5


def test_what_one_worker_has_binned_the_other_loads(tmp_path, monkeypatch):
    """Two workers bin as many times as one alone would, and leave no file."""
    base = ray_engine.TrialWorker

    class TrialWorker(base):
        def setup(self, config):
            from raysearch.models.lightgbm import LightGBM

            original = LightGBM.bin

            def noted(*words):
                with Path(tmp_path, "binned").open("a") as file:
                    file.write(f"{os.getpid()}\n")
                return original(*words)

            LightGBM.bin = noted
            super().setup(config)

    monkeypatch.setattr(ray_engine, "TrialWorker", TrialWorker)
    trained = acting(monkeypatch, tmp_path, lambda self: time.sleep(0.3))  # so that both get some
    ended = []
    monkeypatch.setattr(ray_engine, "end_share", lambda name: (ended.append(name), end_share(name)))
    run(begin(tmp_path, limits(24)))
    assert len({pid for _, pid in trained()}) == 2
    assert len(Path(tmp_path, "binned").read_text().split()) == 1
    assert ended
    assert not [name for name in ended if (_home() / name).exists()]
