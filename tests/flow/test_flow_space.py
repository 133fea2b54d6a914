"""The search space as it suits a table: nothing that changes nothing there, no leaves that cannot be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from raysearch.data import prepare
from raysearch.flow.space import refuse_location, suited
from raysearch.space import load_space


def names(space):
    return {parameter.name for parameter in space.spaces[0].parameters}


def suited_to(settings, table, source=None, **words):
    config = settings(search__space=source, **words)
    return suited(config, load_space(config.search.model, source), prepare(config, table))


@pytest.mark.parametrize(
    ("categories", "narrow", "own"), [(0, False, False), (30, False, True), (31, True, True)]
)
def test_cat_smooth_is_searched_only_where_a_column_has_many_categories(
    settings, table, tmp_path, categories, narrow, own
):
    table = table.drop(columns=["store", "day"])
    if categories:
        table["agent"] = [f"agent {row % categories}" for row in range(len(table))]
    words = {"data__drop": ()}
    for source in (None, "lightgbm", "wide", "lightgbm_wide"):
        assert ("cat_smooth" in names(suited_to(settings, table, source, **words))) == narrow
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "model: lightgbm\nparameters: {cat_smooth: {low: 5, high: 9}, num_leaves: {low: 4, high: 9}}\n"
    )
    assert ("cat_smooth" in names(suited_to(settings, table, str(mine), **words))) == own


@pytest.mark.parametrize("model", ["lightgbm", "xgboost"])
def test_a_leaf_never_asks_for_more_rows_than_leave_some_leaves(settings, table, model, tmp_path):
    name = {"lightgbm": "min_data_in_leaf", "xgboost": "min_child_weight"}[model]
    space = suited_to(settings, table, search__model=model)
    most = space.by_name[name].high
    assert most == 128 // 8  # training rows: 200 less a fifth, less a fifth of the rest
    assert all(point.get(name, 0) <= most for point in space.start_points())
    large = suited_to(settings, table.loc[np.arange(5000) % len(table)], search__model=model)
    assert large.by_name[name].high == load_space(model).by_name[name].high
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"model: {model}\nparameters: {{{name}: {{low: 1, high: 99}}}}\n")
    assert suited_to(settings, table, str(mine), search__model=model).by_name[name].high == 99


def test_leaves_of_the_smallest_tables_are_smaller_than_any_that_the_space_begins_with(settings, table):
    leaf = suited_to(settings, table.head(60)).by_name["min_data_in_leaf"]
    assert (leaf.low, leaf.high) == (1, 4)


def test_each_part_of_a_joined_space_is_shipped_or_the_users_own(settings, table, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("model: xgboost\nparameters: {min_child_weight: {low: 1, high: 99}}\n")
    space = suited_to(settings, table, f"lightgbm,{mine}", search__model="both")
    assert space.by_name["lightgbm.min_data_in_leaf"].high == 16
    assert "lightgbm.cat_smooth" not in space.by_name
    assert space.by_name["xgboost.min_child_weight"].high == 99


def test_start_points_of_a_small_table_tell_its_categories_apart(settings):
    """A target that a column of forty categories gives, of which each has a few dozen rows."""
    rng = np.random.default_rng(0)
    codes = rng.permutation(np.arange(1500) % 40)
    frame = pd.DataFrame({"agent": [f"agent {code}" for code in codes], "a": rng.normal(size=1500)})
    frame["demand"] = rng.normal(size=40)[codes] * 5 + 0.1 * rng.normal(size=1500)
    words = {"data__drop": (), "data__group": None, "data__time": None}
    config = settings(**words, search__space=None)
    dataset = prepare(config, frame)
    space = suited(config, load_space("lightgbm"), dataset)
    rows = min(sum(stop - start for start, stop in fold.train) for fold in dataset.fits)
    assert space.by_name["cat_smooth"].high == rows // 8
    starts = [point["cat_smooth"] for point in space.start_points()]
    assert starts and max(starts) <= rows / 40 / 2
    default = load_space("lightgbm").start_points()
    assert max(point["cat_smooth"] for point in default) == 300


def test_no_first_trial_of_a_small_table_is_lost(study, table, no_report):
    done = study(
        table.head(150).drop(columns="day"),
        search__space=None,
        search__trials=4,
        search__scheduler="none",
        data__monotone={"a": 1},
    )
    assert [trial.state for trial in done.trials] == ["finished"] * 4
    scores = [trial.score for trial in done.trials]
    assert max(scores[1:]) < 1.5 * scores[0]


@pytest.mark.parametrize("source", [None, "wide"])
@pytest.mark.parametrize("model", ["lightgbm", "xgboost"])
def test_trials_over_several_workers_learn_no_location(settings, table, model, source):
    """Whatever ships with raysearch serves them, start points included."""
    words = {"search__model": model, "compute__engine": "ray", "compute__workers_per_trial": 2}
    config = settings(search__space=source, **words)
    space = suited(config, load_space(model, source), prepare(config, table))
    assert "location" in names(load_space(model, source)) and "location" not in names(space)
    assert not any("location" in point for point in space.spaces[0].start)
    refuse_location(config, space)
