"""What a cluster's autoscaler is asked for, by whom, and for how long."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from study_made_up import begin, compute, finish, limits, propose

from raysearch.errors import ClusterError
from raysearch.memory import Room
from raysearch.study import scaling
from raysearch.study.cluster import connected
from raysearch.study.scaling import Asks, Growth, asking, lacking

FULL = Room(8e9, 1)


@pytest.mark.parametrize(
    ("trials", "most", "rooms", "slots", "asked"),
    [
        (6, None, [], 0, 6),
        (6, 4, [], 0, 4),
        (6, None, [FULL, FULL], 2, 4),
        (6, 2, [FULL, FULL], 2, 0),
        (1, None, [FULL, FULL], 2, 0),  # the last trial runs
        (math.inf, None, [FULL], 1, 100),
        (math.inf, 5, [FULL], 1, 4),
        (6, None, [FULL, Room(8e9, 0)], 1, 5),  # a head without cores
        (6, None, [FULL, Room(1e9, 1)], 1, 0),  # a node came that lacks the memory
    ],
)
def test_room_is_asked_for_what_there_is_work_for(trials, most, rooms, slots, asked):
    assert lacking(trials, compute(most), rooms, slots, int(2e9)) == asked


def test_a_search_has_work_for_what_is_left_of_it(tmp_path):
    study = begin(tmp_path, limits(3))
    assert study.conductor.useful == 3
    finish(study, 0.5)
    propose(study)
    assert study.conductor.useful == 2
    study.conductor.interrupt()
    assert study.conductor.useful == 1  # what runs
    (tmp_path / "other").mkdir()
    assert begin(tmp_path / "other", limits(None, patience=5)).conductor.useful == math.inf


@pytest.fixture
def groups(monkeypatch):
    """Placement groups as Ray keeps them: their bundle and state, by number."""
    ray_groups = importlib.import_module("ray.util.placement_group")  # the name is a function's too

    table = {}

    def made(bundles):
        number = str(len(table))
        table[number] = {"bundle": bundles[0], "state": "PENDING"}
        return SimpleNamespace(id=SimpleNamespace(hex=lambda: number))

    monkeypatch.setattr(ray_groups, "placement_group", made)
    monkeypatch.setattr(
        ray_groups, "remove_placement_group", lambda group: table[group.id.hex()].update(state="REMOVED")
    )
    monkeypatch.setattr(ray_groups, "placement_group_table", lambda: table)
    return SimpleNamespace(
        table=table, asked=lambda: [one["bundle"] for one in table.values() if one["state"] == "PENDING"]
    )


def growth(wait_s=600.0, told=None):
    return Growth(3, wait_s, [].append if told is None else told.append)


def test_as_many_as_lack_are_asked_for_and_no_more(groups):
    asks = Asks(replace(compute(), cpus_per_trial=2, gpus_per_trial=0.5), growth())
    asks.keep(3)
    assert groups.asked() == [{"CPU": 2.0, "GPU": 0.5}] * 3
    asks.keep(1)
    assert len(groups.asked()) == 1
    asks.keep(2, int(3e9))  # now it is known how much memory a trial takes
    assert groups.asked() == [{"CPU": 2.0, "GPU": 0.5, "memory": 3e9}] * 2
    asks.keep(0, int(3e9))
    assert groups.asked() == []


def test_room_that_has_come_is_left_to_trials_first(groups):
    asks = Asks(compute(), growth())
    asks.keep(3)
    groups.table["1"]["state"] = "CREATED"
    asks.keep(2)
    assert {one["state"] for one in groups.table.values()} == {"REMOVED"}
    asks.keep(2)
    assert groups.asked() == [{"CPU": 1.0}] * 2


def test_a_node_is_waited_for_and_then_nothing_is_held(groups, monkeypatch):
    monkeypatch.setattr(scaling.time, "sleep", lambda seconds: None)
    looks, told = iter([False, False, False, True]), []
    assert Asks(compute(2), growth(told=told)).wait_for_room(lambda: next(looks)) == ""
    assert told == [
        "waiting for a node, 600 s at most: the cluster's autoscaler is asked for room for 2 trials"
    ]
    assert len(groups.table) == 2 and groups.asked() == []


@pytest.mark.parametrize(
    ("wait_s", "refused", "told"),
    [
        (0.0, False, "--wait-for-nodes 10m waits for one"),
        (600.0, False, "none has come in 600 s"),
        (600.0, True, "its autoscaler starts none for that"),
        (5.0, True, "none has come in 5 s"),
    ],
)
def test_it_is_told_why_no_node_has_come(groups, monkeypatch, wait_s, refused, told):
    seconds = iter(range(10_000))
    monkeypatch.setattr(
        scaling, "time", SimpleNamespace(sleep=lambda s: None, monotonic=lambda: next(seconds))
    )
    monkeypatch.setattr(Asks, "_starts_none", lambda self: refused)
    assert told in Asks(compute(), growth(wait_s)).wait_for_room(lambda: False)
    assert bool(groups.table) is (wait_s > 0)


@pytest.mark.parametrize(
    ("told", "none"),
    [
        (None, False),  # Ray's older autoscaler
        ({}, True),  # one that only looks on
        ({"pending_instance_requests": [{"count": 1}]}, False),
        ({"pending_instances": [{"instance_id": "i"}]}, False),
        ({"failed_instance_requests": [{"count": 1}]}, False),  # no spot machine is to be had
        (
            {
                "infeasible_gang_resource_requests": [
                    {"details": "0:PACK|PENDING"},
                    {"details": "1:PACK|PENDING"},
                ]
            },
            True,
        ),
        (
            {
                "pending_instances": [{"instance_id": "head"}],
                "infeasible_gang_resource_requests": [
                    {"details": "0:PACK|PENDING"},
                    {"details": "1:PACK|PENDING"},
                ],
            },
            True,
        ),
        (
            {
                "pending_instances": [{"instance_id": "i"}],
                "infeasible_gang_resource_requests": [{"details": "1:PACK|PENDING"}],
            },
            False,  # for one of two a node starts
        ),
    ],
)
def test_an_autoscaler_that_starts_none_is_told_by_its_state(groups, monkeypatch, told, none):
    from ray.core.generated.autoscaler_pb2 import AutoscalingState, GetClusterStatusReply
    from ray.experimental import internal_kv

    state = None if told is None else AutoscalingState(**told)
    reply = GetClusterStatusReply(autoscaling_state=state).SerializeToString()
    store = SimpleNamespace(get_cluster_status=lambda timeout_s: reply)
    monkeypatch.setattr(internal_kv, "internal_kv_get_gcs_client", lambda: store)
    asks = Asks(compute(), growth())
    asks.keep(2)
    assert asks._starts_none() is none


@pytest.mark.parametrize(
    ("types", "starts"),
    [
        ({"head", "worker"}, True),
        ({"headgroup"}, True),
        ({"node_cpu"}, True),
        ({"", "worker"}, True),
        ({""}, False),  # `ray start` by hand, as Ray's newer autoscaler tells of it
        ({f"node_{'0f' * 28}"}, False),  # the same, as the older one does
        ({"local.cluster.node"}, False),
        (set(), False),
    ],
)
def test_an_autoscaler_is_known_by_the_types_of_its_nodes(groups, monkeypatch, types, starts):
    monkeypatch.setattr(scaling, "_types", lambda: types)
    with asking(compute(), growth()) as asks:
        assert (asks is not None) is starts
        if asks:
            asks.keep(2)
    assert groups.asked() == []
    with asking(compute(), None) as asks:
        assert asks is None


def test_what_was_asked_for_is_withdrawn_after_an_error(groups, monkeypatch):
    monkeypatch.setattr(scaling, "_types", lambda: {"worker"})
    with pytest.raises(KeyboardInterrupt), asking(compute(), growth()) as asks:
        asks.keep(2)
        raise KeyboardInterrupt
    assert groups.asked() == []


def test_another_version_of_ray_has_no_autoscaler(monkeypatch):
    monkeypatch.setattr(scaling, "_types", lambda: 1 / 0)
    with asking(compute(), growth()) as asks:
        assert asks is None


@pytest.mark.slow
def test_a_cluster_without_an_autoscaler_refuses_at_once(local_ray):
    told = []
    large = replace(compute(), cpus_per_trial=64)
    with (
        pytest.raises(ClusterError, match=r"the cluster has 2 CPUs and 0 GPUs in all$"),
        connected(large, growth=growth(told=told)),
    ):
        pass
    with connected(compute(), growth=growth(told=told)) as cluster:
        assert cluster.asks is None
    assert told == []
