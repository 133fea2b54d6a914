"""Memory is counted before the start, by figures worked by hand, and nothing that does not fit is begun."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysearch.calibration import make_folds
from raysearch.data import Transform
from raysearch.errors import DataError
from raysearch.memory import (
    WORKER,
    Room,
    desk_bytes,
    free_memory,
    lean,
    plan_memory,
    trials_at_once,
    worker_bytes,
)
from raysearch.models import FitSettings
from raysearch.recipe import Recipe
from raysearch.records import FoldRows
from raysearch.space import SearchSpace, load_space, parse_space

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
ROWS, VALID = 6_400_000, 1_600_000


def recipe(rows=ROWS, valid=VALID, columns=20, folds=1, **more):
    fits = tuple(FoldRows(((0, rows),), (rows + i * valid, rows + (i + 1) * valid)) for i in range(folds))
    return Recipe((False,) * columns, fits, Transform(), FitSettings(LEVELS), make_folds(4), **more)


def space(model="lightgbm", **parameters):
    return SearchSpace((parse_space({"model": model, "parameters": {**ROUNDS[model], **parameters}}),))


ROUNDS = {
    "lightgbm": {"num_boost_round": {"type": "int", "low": 5, "high": 50}},
    "xgboost": {"n_estimators": {"type": "int", "low": 5, "high": 50}},
}


def test_bytes_by_hand():
    """6.4 million rows of 20 features and a location, 5 levels, 1.6 million rows to score."""
    binned = ROWS * (21 * 2 + 16)
    boosters = ROWS * 5 * 45
    watched = VALID * 5 * 8 * 10
    bench = (ROWS + VALID) * 24
    own = 160_000_000 + 200_000 * 21 * 8  # of the process, and a sample of rows for the bins' edges
    assert worker_bytes(recipe(), space()) == own + binned + boosters + watched + bench
    in_turns = worker_bytes(recipe(kept=1, in_turns=True), space())
    location = ROWS * (21 * 2 + 16 + 45)  # bins once more, which takes more than a booster of one level
    assert in_turns == own + binned + location + watched + bench


def test_bytes_of_xgboost_by_hand():
    binned, boosters = ROWS * (21 * 7 + 16), ROWS * 5 * 25
    rest = 160_000_000 + 200_000 * 21 * 8 + VALID * 5 * 8 * 10 + (ROWS + VALID) * 24
    location = ROWS * (21 * 7 + 16 + 25)
    assert worker_bytes(recipe(), space("xgboost")) == rest + binned + max(boosters, location)


def test_each_choice_of_bins_is_kept_beside_the_others_up_to_a_bound():
    one = worker_bytes(recipe(), space())
    row = 21 * 2 + 16
    choices = {"choices": [31, 63, 127, 255]}
    assert worker_bytes(recipe(), space(max_bin=choices)) - one == 3 * ROWS * row
    many = {"choices": [15, 31, 63, 127, 200, 255]}
    assert worker_bytes(recipe(), space(max_bin=many)) - one == 3 * ROWS * row
    assert worker_bytes(recipe(kept=1), space(max_bin=many)) == one
    assert worker_bytes(recipe(), space(location={"choices": [True, False]})) - one == ROWS * row
    seen = space(seen_only={"choices": [True, False]})
    assert worker_bytes(recipe(), seen) == one
    assert worker_bytes(recipe(unseen=(3,)), seen) - one == ROWS * row
    wide = {"choices": [511]}
    assert worker_bytes(recipe(), space(max_bin=wide)) - one == ROWS * 21
    assert worker_bytes(recipe(), space(max_bin={"type": "int", "low": 63, "high": 300})) > one


def test_of_several_libraries_the_hungrier_counts_beside_the_binned_data_of_all():
    both = SearchSpace((*space().spaces, *space("xgboost").spaces))
    assert worker_bytes(recipe(), both) == worker_bytes(recipe(), space()) + ROWS * (21 * 7 + 16)
    one, other = (worker_bytes(recipe(kept=1), each) for each in (space(), space("xgboost")))
    assert worker_bytes(recipe(kept=1), both) == max(one, other)
    choices = {"choices": [31, 63, 127, 255]}  # four are kept: those that take most
    both = SearchSpace((*space(max_bin=choices).spaces, *space("xgboost", max_bin=choices).spaces))
    assert worker_bytes(recipe(), both) == worker_bytes(recipe(), space("xgboost", max_bin=choices))


def test_small_tables_have_room_for_all():
    plan = plan_memory(recipe(800, 200, folds=5), load_space("lightgbm"), [Room(8e9, 16)])
    assert (plan.slots, plan.told, plan.recipe.in_turns, plan.recipe.kept) == (16, "", False, 4)


def test_kept_bins_go_first_then_boosters_are_trained_in_turns_then_fewer_trials_run():
    bins = space(max_bin={"choices": [31, 63, 127, 255]})
    all_kept, one_kept, in_turns = (
        worker_bytes(recipe(kept=kept, in_turns=turns), bins) for kept, turns in ((4, 0), (1, 0), (1, 1))
    )
    assert all_kept > one_kept > in_turns

    def found(each, slots=2):
        plan = plan_memory(recipe(), bins, [Room(each * slots, slots)])
        return plan.recipe.kept, plan.recipe.in_turns, plan.slots

    assert found(all_kept) == (4, False, 2)
    assert found(all_kept - 1) == (1, False, 2)
    assert found(one_kept - 1) == (1, True, 2)
    assert found(in_turns / 2) == (1, True, 1)
    plan = plan_memory(recipe(), bins, [Room(in_turns, 2)])
    assert "trained one after the other" in plan.told
    assert "1 trial at once, not 2" in plan.told


def test_no_trial_is_slowed_for_others_that_are_not_asked_for():
    """All levels at once fit one trial; a second one beside it would have to train them in turns."""
    need = worker_bytes(recipe(kept=1), space())
    assert plan_memory(recipe(), space(), [Room(1.9 * need, 2)]).recipe.in_turns
    plan = plan_memory(recipe(), space(), [Room(1.9 * need, 2)], most=1)
    assert (plan.slots, plan.recipe.in_turns, plan.told) == (1, False, "")


def test_where_nobody_knows_the_memory_all_trials_run():
    plan = plan_memory(recipe(), space(), [Room(math.inf, 3)])
    assert (plan.slots, plan.told, plan.recipe.in_turns) == (3, "", False)


def test_a_trial_alone_with_all_boosters_at_once_is_better_than_one_in_turns():
    plan = plan_memory(recipe(kept=1), space(), [Room(worker_bytes(recipe(kept=1), space()), 1)])
    assert not plan.recipe.in_turns


def test_what_does_not_fit_is_refused_with_both_figures():
    with pytest.raises(DataError) as told:
        plan_memory(recipe(), space(), [Room(1e9, 4), Room(64e9, 0)])
    need = worker_bytes(recipe(kept=1, in_turns=True), space())
    assert f"{need / 1e9:.1f} GB" in str(told.value)
    assert "1.0 GB" in str(told.value)
    assert "6,400,000 rows of 20 features" in str(told.value)


@given(
    st.integers(1, 50_000_000),
    st.integers(1, 300),
    st.integers(1, 5),
    st.lists(st.tuples(st.floats(1e8, 1e12), st.integers(0, 64)), min_size=1, max_size=4),
)
def test_no_node_is_given_more_than_it_has(rows, columns, folds, nodes):
    rooms = [Room(*node) for node in nodes]
    asked = recipe(rows, max(1, rows // 4), columns, folds)
    try:
        plan = plan_memory(asked, load_space("lightgbm"), rooms)
    except DataError:
        least = worker_bytes(replace(asked, kept=1, in_turns=True), load_space("lightgbm"))
        assert all(least > room.memory or not room.slots for room in rooms)
        return
    assert plan.worker == worker_bytes(plan.recipe, load_space("lightgbm"))
    fits = [min(room.slots, math.floor(room.memory / plan.worker)) for room in rooms]
    assert plan.slots == sum(fits) >= 1


def test_free_memory_is_what_the_machine_tells(monkeypatch, tmp_path):
    assert 1e6 < free_memory() < 1e15
    limit, used, parts = (tmp_path / name for name in ("max", "current", "stat"))
    limit.write_text("3000000\n")
    used.write_text("2500000\n")
    parts.write_text(
        "anon 7\ninactive_file 1500000\nactive_file 9\n"
    )  # what files left there can be had back
    container = (*map(str, (limit, used, parts)), "inactive_file")
    monkeypatch.setattr("raysearch.memory._CONTAINER", (container,))
    assert free_memory() == 2_000_000
    used.write_text("9000000\n")
    assert free_memory() == 0
    limit.write_text("max\n")
    assert free_memory() > 2_000_000


def test_this_process_trains_as_quickly_as_its_memory_allows(monkeypatch):
    asked, bins = recipe(), space(max_bin={"choices": [31, 63, 127, 255]})
    all_kept, one_kept = (worker_bytes(replace(asked, kept=kept), bins) for kept in (4, 1))

    def found(free):
        monkeypatch.setattr("raysearch.memory.free_memory", lambda: free - WORKER)  # what it has is not free
        way = lean(asked, bins)
        return way.kept, way.in_turns

    assert [found(all_kept), found(all_kept - 1), found(one_kept), found(one_kept - 1), found(1e6)] == [
        (4, False),
        (1, False),
        (1, False),
        (1, True),
        (1, True),
    ]


def test_in_turns_no_stage_lies_between_the_rungs():
    asked = recipe(first=make_folds(4))
    assert plan_memory(asked, space(), [Room(1e12, 1)]).recipe.first is not None
    tight = worker_bytes(recipe(kept=1, in_turns=True), space())
    assert plan_memory(asked, space(), [Room(tight, 1)]).recipe.first is None


def group(workers, **more):
    asked = recipe(**more)
    return replace(asked, settings=replace(asked.settings, workers=workers))


def test_bytes_of_a_worker_of_a_group_by_hand():
    """A fourth of 6.4 million rows of 20 features; no location, no scoring, but its part of the rows."""
    rows, watched = ROWS / 4, VALID / 4
    own = 160_000_000 + 200_000_000 + 200_000 * 21 * 8
    part = (rows + watched) * (20 + 3) * 8  # with target and at most an anchor and a weight
    training = rows * (21 * 2 + 16) + rows * 5 * 45 + watched * 5 * 8 * 4 + (rows + watched) * 24
    assert worker_bytes(group(4), space()) == own + part + training
    assert desk_bytes(group(4)) == 160_000_000 + 600_000_000 + VALID * (5 * 8 * 10 + 24)
    assert desk_bytes(recipe()) == 0


def test_a_table_that_no_worker_holds_is_trained_by_several():
    rows = 4 * ROWS
    least = worker_bytes(recipe(rows, kept=1, in_turns=True), space())
    rooms = [Room(0.95 * least, 4)] * 8
    with pytest.raises(DataError, match="--workers-per-trial"):
        plan_memory(recipe(rows), space(), rooms)
    plan = plan_memory(group(8, rows=rows), space(), rooms)
    assert (plan.slots, plan.recipe.in_turns) == (1, False)
    assert plan.desk == desk_bytes(group(8, rows=rows))
    with pytest.raises(DataError, match=r"for each of its 16 workers.*spread it over more workers"):
        plan_memory(group(16), space(), [Room(3e8, 4)] * 4)


def test_trials_at_once_are_whole_groups_wherever_their_desks_lie():
    rooms = [Room(10.0, 4), Room(10.0, 4), Room(3.0, 4)]
    assert trials_at_once(rooms, 2.0, 0.0, 1, 99) == 4 + 4 + 1
    assert trials_at_once(rooms, 2.0, 0.0, 3, 99) == 3
    assert (
        trials_at_once(rooms, 2.0, 1.5, 3, 99) == 2
    )  # with a desk of two trials 7 is left of 10: three workers
    assert trials_at_once(rooms, 2.0, 9.0, 3, 99) == 0
    assert trials_at_once(rooms, 0.0, 0.0, 3, 2) == 2
