"""A table in parts: whose rows are whose, and that no file of them stays."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_made_up import small_job

from raysearch.config import StudyConfig
from raysearch.errors import ClusterError, StudyError
from raysearch.records import FoldRows
from raysearch.study import shards as module
from raysearch.study.home import Home
from raysearch.study.shards import POSITION, check_seen, is_there, own_recipe, put_together, sharded
from raysearch.study.spread import to_be_scored

ABOUT = {"version": "0", "digest": "d", "in_memory": False, "config": {}, "spaces": []}


def spread_job(workers=2, rows=240):
    table, recipe = small_job(rows)
    return table, replace(recipe, settings=replace(recipe.settings, workers=workers))


def new_home(place: Path | str) -> tuple[Home, str]:
    home = Home(str(place))
    return home, home.create(StudyConfig(None, str(place), None), ABOUT, "spread").name


@given(
    st.integers(1, 7),
    st.lists(st.integers(0, 40), min_size=3, max_size=3),
    st.integers(1, 30),
)
def test_what_workers_say_of_their_own_rows_comes_together_in_order(workers, sizes, watched):
    """Each worker says where its watched rows stand; the whole is then all of them, one after the other."""
    edges = np.cumsum([sizes[0], watched, sizes[1] + 1, watched]).tolist()
    fits = (
        FoldRows(((0, edges[0]), (edges[1], edges[3])), (edges[0], edges[1])),
        FoldRows(((0, edges[1]),), (edges[1], edges[3])),
    )
    _, recipe = spread_job(workers)
    recipe = replace(recipe, fits=fits)
    said, learnt = [], []
    for rank in range(workers):
        own, part = own_recipe(recipe, rank), np.arange(rank, recipe.end, workers)
        said.append(np.concatenate([part[slice(*fold.watch)] for fold in own.fits])[:, None].astype(float))
        learnt.append([part[slice(*stretch)] for fold in own.fits for stretch in fold.train])
    whole = put_together(recipe, said)
    assert whole[:, 0].tolist() == list(range(edges[0], edges[3]))
    for i, (start, stop) in enumerate(stretch for fold in fits for stretch in fold.train):
        assert sorted(np.concatenate([parts[i] for parts in learnt])) == list(range(start, stop))


def test_parts_are_written_with_their_positions_and_taken_away(tmp_path):
    home, name = new_home(tmp_path)
    table, recipe = spread_job(3)
    directory = home.paths(name).shards
    with sharded(table, recipe, home, name) as parts:
        assert sorted(path.name for path in directory.iterdir()) == ["0.parquet", "1.parquet", "2.parquet"]
        read = [pq.read_table(address) for address in parts.addresses]
        for rank, part in enumerate(read):
            rows = part[POSITION].to_numpy()
            assert rows.tolist() == parts.positions(rank).tolist()
            assert part.drop_columns([POSITION]).equals(table.take(rows))
    assert not directory.exists()
    with sharded(table, replace(recipe, settings=replace(recipe.settings, workers=1)), home, name) as none:
        assert none is None
        assert not directory.exists()


def test_what_a_killed_run_has_left_is_taken_away_and_a_full_disk_is_told(tmp_path, monkeypatch):
    home, name = new_home(tmp_path)
    table, recipe = spread_job()
    directory = home.paths(name).shards
    directory.mkdir()
    (directory / "7.parquet").touch()
    with sharded(table, recipe, home, name):
        assert len(list(directory.iterdir())) == 2

    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(module, "_write", full)
    with (
        pytest.raises(StudyError, match="parts cannot be written: No space left"),
        sharded(table, recipe, home, name),
    ):
        pass
    assert not directory.exists()


def test_parts_that_a_killed_run_has_left_go_when_one_worker_goes_on(tmp_path):
    home, name = new_home(tmp_path)
    table, recipe = spread_job()
    directory = home.paths(name).shards
    directory.mkdir()
    (directory / "0.parquet").touch()
    with sharded(table, replace(recipe, settings=replace(recipe.settings, workers=1)), home, name) as parts:
        assert parts is None
    assert not directory.exists()


def test_the_one_that_scores_gets_no_features_and_no_other_rows():
    table, recipe = spread_job()
    rows = to_be_scored(table, recipe)
    assert rows.column_names == ["target"]
    assert rows["target"].to_pylist() == table["target"].to_pylist()[160:240]


def test_parts_of_a_home_at_an_address_lie_there_alone(tmp_path):
    from raysearch.study.group_worker import _steps

    home, name = new_home(f"file://{tmp_path}/far")
    table, recipe = spread_job()
    there = tmp_path / "far" / name / "shards"
    with sharded(table, recipe, home, name) as parts:
        assert sorted(path.name for path in there.iterdir()) == ["0.parquet", "1.parquet"]
        assert not home.paths(name).shards.exists()
        assert all(is_there(address) for address in parts.addresses)
        (rows,) = _steps(parts.addresses[1])
        assert rows[POSITION].to_pylist() == list(range(1, 240, 2))
    assert not there.exists()
    assert not is_there(parts.addresses[0])


@pytest.mark.slow
def test_a_home_that_some_node_does_not_see_is_refused_with_the_fix(tmp_path, local_ray, monkeypatch):
    home, name = new_home(tmp_path)
    check_seen(home, name)  # a node alone sees what it has
    node = local_ray.get_runtime_context().get_node_id()
    (told,) = [node for node in local_ray.nodes() if node["Alive"]]
    two = [told, {**told, "NodeID": "e" * 56, "NodeManagerAddress": "10.9.9.9"}]
    monkeypatch.setattr("ray.nodes", lambda: two)
    monkeypatch.setattr(module, "_ANSWER_S", 60.0)
    assert module._blind([node], home.seen_at(home.paths(name).about)) == []
    with pytest.raises(ClusterError, match=r"1 of 2 nodes do not see it \('10\.9\.9\.9'\).*NFS.*s3://"):
        check_seen(home, name)
    assert not home.paths(name).shards.exists()
    assert not is_there(str(home.paths(name).shards / "marker"))
