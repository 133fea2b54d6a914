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
    words = ["--trials", "6", "--cv", "1", "--set", "search.refit=false", "--json"]
    study = cluster.tune(tmp_path, *table, *words)
    out, errors = study.communicate(timeout=120)
    assert study.returncode == 0, errors
    assert (
        "waiting for a node, 600 s at most: the cluster's autoscaler is asked for room for 6 trials" in errors
    )
    result = json.loads(out)
    assert sum(result["trials"].values()) == 6 and not result["trials"].get("failed")
    assert not cluster.is_asked()
    wait_until(lambda: cluster.nodes() == 0, "idle nodes have ended", 60)


def test_what_no_node_can_hold_is_refused(cluster, tmp_path, table):
    study = cluster.tune(tmp_path, *table, "--cpus-per-trial", "2", "--wait-for-nodes", "3")
    _, errors = study.communicate(timeout=120)
    assert study.returncode == 1
    assert "no node of the cluster can hold a trial of 2 CPUs and 0 GPUs" in errors
    assert "none has come in 3 s: `ray status` on the head tells more" in errors
    assert not cluster.is_asked()
    assert not list((tmp_path / "studies").glob("*"))  # nothing has run


def test_who_waits_in_vain_asks_for_nothing_when_ended(cluster, tmp_path, table):
    study = cluster.tune(tmp_path, *table, "--cpus-per-trial", "2", "--max-concurrent", "3")
    try:
        wait_until(cluster.is_asked, "it asks")
        if cluster.newer:
            _, errors = study.communicate(timeout=60)
            assert study.returncode == 1
            assert "its autoscaler says that no node which it may start holds one" in errors
        else:
            study.send_signal(signal.SIGINT)
            study.communicate(timeout=60)
            assert study.returncode == 130
    finally:
        study.kill()
    wait_until(lambda: not cluster.is_asked(), "nothing is asked for", 20)


def test_a_killed_study_asks_for_nothing(cluster, tmp_path, table):
    study = cluster.tune(tmp_path, *table, "--cpus-per-trial", "2", "--max-concurrent", "1")
    try:
        wait_until(cluster.is_asked, "it asks")
    finally:
        os.kill(study.pid, signal.SIGKILL)
        study.communicate()
    wait_until(lambda: not cluster.is_asked(), "nothing is asked for", 30)
