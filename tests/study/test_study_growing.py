"""Studies on a cluster that has no room for them yet: Ray's autoscaler starts nodes, and ends them again."""

from __future__ import annotations

import json
import os
import signal

import pytest
from fault_rig import make_table, wait_until
from growing_cluster import growing_cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[False, True], ids=["older", "newer"])
def cluster(request, tmp_path_factory):
    with growing_cluster(tmp_path_factory.mktemp("grows"), newer=request.param) as made:
        yield made


@pytest.fixture
def table(tmp_path):
    return ["--data", str(make_table(tmp_path, 400)), "--target", "y"]


def test_a_cluster_without_a_node_starts_some_for_a_study_and_ends_them(cluster, tmp_path, table):
    study = cluster.tune(tmp_path, *table, "--trials", "6", "--cv", "1", "--json")
    out, errors = study.communicate(timeout=300)
    assert study.returncode == 0, errors
    assert "waiting for a node, 600 s at most: the cluster's autoscaler is asked for room for 6 tri" in errors
    result = json.loads(out)
    assert result["trials"] == {"finished": 6, "stopped": 0, "cut": 0, "failed": 0}
    cluster.wait_until_not_asked()
    wait_until(lambda: cluster.nodes() == 0, "idle nodes have ended")


def test_a_search_asks_for_more_nodes_while_it_runs(cluster, tmp_path):
    search = cluster.drive(tmp_path)
    try:
        out, _ = search.communicate(timeout=300)
    finally:
        search.kill()
    assert search.returncode == 0, out
    assert "asked for room for 1 trial\nbegins with 1\n" in out
    assert f"ended with 2 {['finished'] * 16}\n" in out
    assert len(set((tmp_path / "nodes").read_text().split())) == 2
    cluster.wait_until_not_asked()


def test_what_no_node_can_hold_is_refused(cluster, tmp_path, table):
    """Ray's newer autoscaler says so; with the older one the wait is bounded."""
    wait, told = ("600", "its autoscaler starts none for that") if cluster.newer else ("3", "in 3 s: `ray st")
    study = cluster.tune(tmp_path, *table, "--cpus-per-trial", "2", "--wait-for-nodes", wait)
    _, errors = study.communicate(timeout=300)
    assert study.returncode == 1
    assert "no node of the cluster can hold a trial of 2 CPUs and 0 GPUs" in errors
    assert told in errors
    cluster.wait_until_not_asked()
    assert not list((tmp_path / "studies").glob("*"))  # nothing has run


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_who_is_ended_while_it_waits_asks_for_nothing(cluster, tmp_path, table, end):
    if cluster.newer:
        pytest.skip("it does not wait for what cannot come")
    study = cluster.tune(tmp_path, *table, "--cpus-per-trial", "2", "--max-concurrent", "3")
    try:
        wait_until(cluster.is_asked, "it asks")
        os.kill(study.pid, end)
        study.communicate(timeout=300)
    finally:
        study.kill()
    assert study.returncode in ((130, -end) if end == signal.SIGINT else (-end,))
    cluster.wait_until_not_asked()
