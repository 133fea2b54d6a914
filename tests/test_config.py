"""Settings from files, words and flags become one checked Config, or one message with all that is wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from raysearch.config import is_study_name, load_config, make_config, window_steps
from raysearch.errors import ConfigError

OWN = {"data": {"path": "sales.csv", "target": "demand"}}


def message(*words, file=None, flags=OWN, **more):
    with pytest.raises(ConfigError) as caught:
        load_config(file, settings=words, flags=flags, **more)
    return str(caught.value)


def own(*words, **more):
    return load_config(settings=words, flags=OWN, **more)


def test_without_a_table_nav_baseline_runs():
    config = load_config()
    assert (config.data.builtin, config.data.target, config.data.anchor) == ("factor_nav", "nav_ahead", "nav")
    assert (config.split.by, config.split.purge, config.data.group) == ("time", 21, "strategy")
    assert config == load_config("nav_baseline")


@pytest.mark.parametrize("more", [{"flags": OWN}, {"flags": {"data": {"target": "y"}}, "in_memory": True}])
def test_with_an_own_table_nothing_of_nav_baseline_is_left(more):
    config = load_config(**more)
    assert (config.data.builtin, config.data.group, config.data.transform) == (None, None, "none")
    assert config.split.purge == 0


def test_a_flag_for_the_default_experiment_leaves_the_rest_of_it():
    config = load_config(flags={"data": {"path": None, "group": None}, "search": {"trials": 3}})
    assert (config.search.trials, config.data.builtin, config.data.group) == (3, "factor_nav", "strategy")


def test_levels_are_a_tuple_and_lists_stay_lists_outside():
    config = own("search.levels=[0.1, 0.9]", "data.drop=[a, b]", "data.features=[x]")
    assert config.search.levels == (0.1, 0.9)
    assert (config.data.drop, config.data.features) == (("a", "b"), ("x",))
    assert config.to_dict()["search"]["levels"] == [0.1, 0.9]


def test_a_list_may_be_one_value_and_levels_may_be_words():
    config = own("search.levels=0.05, 0.5,0.95", "data.drop=a")
    assert config.search.levels == (0.05, 0.5, 0.95)
    assert config.data.drop == ("a",)
    assert own("search.levels=0.5").search.levels == (0.5,)


def test_later_layers_win(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("search: {trials: 5, seed: 5, patience: 5}\n", encoding="utf-8")
    config = load_config(
        file, settings=["search.seed=6", "search.patience=6"], flags={"search": {"patience": 7}}
    )
    assert (config.search.trials, config.search.seed, config.search.patience) == (5, 6, 7)


def test_a_file_may_name_the_table(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("data:\n  path: x.csv\n  target: ü y\nsearch:\n", encoding="utf-8-sig")
    config = load_config(file)
    assert (config.data.path, config.data.target, config.data.builtin) == ("x.csv", "ü y", None)


def test_only_a_time_means_as_many_trials_as_it_allows():
    assert own("search.time_budget_s=60").search.trials is None
    assert load_config(flags={"search": {"time_budget_s": 60.0}}).search.trials is None
    both = own("search.time_budget_s=60", "search.trials=5").search
    assert (both.time_budget_s, both.trials) == (60.0, 5)


def test_round_trip_through_plain_values():
    for config in (load_config(), own("search.levels=[0.5]", "data.drop=[a]", "study.name=x")):
        plain = yaml.safe_load(yaml.safe_dump(config.to_dict()))
        assert make_config(plain) == config


def test_settings_of_an_older_study_get_todays_defaults():
    plain = own().to_dict()
    del plain["search"]["refit"], plain["tracking"]
    assert make_config(plain) == own()


def test_make_config_refuses_what_it_does_not_know():
    plain = own().to_dict()
    plain["search"]["warp"] = 9
    with pytest.raises(ConfigError, match=r"unknown key 'search\.warp'"):
        make_config(plain)


def test_replace_changes_one_section():
    config = own()
    changed = config.replace("search", trials=9)
    assert (changed.search.trials, config.search.trials, changed.data) == (9, 30, config.data)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("study.name=../x", "study.name: got '../x', must be 1 to 100 letters"),
        ("study.name=''", "study.name: got ''"),
        ("study.name=.hidden", "beginning with a letter or digit"),
        ("study.home=''", "study.home: got ''"),
        ("study.home=s3://bucket/x", "study.ledger: home is the address s3://bucket/x"),
        ("data.builtin=factor_nav", "data.path and data.builtin: both are given"),
        ("data.transform=lg", "data.transform: got 'lg', must be one of 'auto', 'none', 'log', 'log1p'"),
        ("data.anchor=x", "data.anchor: needs transform 'log' or 'change', got 'auto'"),
        ("data.drop=[demand]", "data.drop: 'demand' is the target"),
        ("data.features=[a, demand]", "data.features: 'demand' is the target"),
        ("data.group=demand", "data.group: 'demand' is the target"),
        ("data.time=demand", "data.time: 'demand' is the target"),
        ("split.by=tim", "split.by: got 'tim', must be one of 'auto', 'random', 'time', 'group'; did"),
        ("split.by=time", "split.by: 'time' needs the column that orders the rows"),
        ("split.by=group", "split.by: 'group' needs the group column"),
        ("split.test_size=1", "split.test_size: got 1.0, must be at least 0 and below 1"),
        ("split.test_size=-0.1", "split.test_size: got -0.1"),
        ("split.valid_size=0", "split.valid_size: got 0.0, must be above 0 and below 1"),
        ("split.purge=-1", "split.purge: got -1, must not be negative"),
        ("split.purge=3", "split.purge: only a split by time can be purged"),
        ("search.model=lightgmb", "got 'lightgmb', must be one of 'lightgbm', 'xgboost', 'both'"),
        ("search.levels=[]", "search.levels: got none"),
        ("search.levels=[0.5, 1]", "search.levels: got 0.5, 1; each must lie between 0 and 1"),
        ("search.levels=[0, 0.5]", "each must lie between 0 and 1"),
        ("search.levels=[0.5, 0.5]", "a level stands twice"),
        ("search.levels=[0.5, 0.50000000000001]", "a level stands twice"),
        ("search.levels=[1e-12, 0.5]", "each must lie between 0 and 1"),
        ("search.levels=[0.9, 0.1]", "must be in rising order: 0.1,0.9"),
        ("search.levels=0.1,x", "search.levels: got 'x', must be a number"),
        ("search.levels=null", "search.levels: got None, must be a number"),
        ("search.trials=0", "search.trials: got 0, must be at least 1"),
        ("search.trials=null", "search.trials: give a number of trials, a time budget, or both"),
        ("search.trials=1.5", "search.trials: got 1.5, must be a whole number"),
        ("search.trials=true", "search.trials: got True, must be a whole number"),
        ("search.trials=.inf", "search.trials: got inf, must be a whole number"),
        ("search.trials=.nan", "search.trials: got nan, must be a whole number"),
        ("search.trials=[1]", "search.trials: got [1], must be a whole number"),
        ("search.time_budget_s=0", "search.time_budget_s: got 0.0, must be above 0"),
        ("search.time_budget_s=.nan", "search.time_budget_s: got nan, must be a number"),
        ("search.patience=0", "search.patience: got 0"),
        ("search.scheduler=hyperband", "search.scheduler: got 'hyperband', must be one of"),
        ("search.seed=-1", "search.seed: got -1, must be from 0 to 2147483647"),
        ("search.refit=maybe", "search.refit: got 'maybe', must be true or false"),
        ("compute.cpus_per_trial=0", "compute.cpus_per_trial: got 0, must be at least 1"),
        ("compute.gpus_per_trial=-1", "compute.gpus_per_trial: got -1.0, must not be negative"),
        ("compute.gpus_per_trial=1", "only --model xgboost trains on a GPU"),
        ("compute.max_concurrent=0", "compute.max_concurrent: got 0"),
        ("compute.wait_for_nodes_s=-1", "compute.wait_for_nodes_s: got -1"),
        ("compute.engine=dask", "compute.engine: got 'dask', must be one of 'ray', 'inline'"),
        ("tracking.enabled=1", "tracking.enabled: got 1, must be true or false"),
        ("search.trails=5", "unknown key 'search.trails'; did you mean 'trials'?"),
        ("compute.trials=5", "unknown key 'compute.trials'; did you mean 'search.trials'?"),
        ("search.qqq=5", "unknown key 'search.qqq' (known in search: 'model',"),
        ("serch.trials=5", "unknown section 'serch'; did you mean 'search'?"),
        (".trials=5", "unknown section ''"),
        ("search.=5", "unknown key 'search.'"),
        ("trials=5", "--set trials=5: expected section.key=value"),
        ("search.trials", "--set search.trials: expected section.key=value"),
        ("search.trials=[1", "--set search.trials=[1: the value is not valid YAML"),
        ("search.trials=2024-13-40", "the value is not valid YAML: month must be in 1..12"),
        ("search.trials=0x_", "--set search.trials=0x_: the value is not valid YAML"),
    ],
)  # fmt: skip
def test_bad_values(word, told):
    text = message(word)
    assert told in text
    assert text.startswith("config: ")
    assert "problems" not in text, text  # one mistake, one problem


def test_a_target_is_needed_for_a_table_that_ships_too():
    assert "data.target: name the column" in message("data.builtin=factor_nav", flags=None)
    assert "data.target: name the column" in message("data.path=x.csv", "data.target=''", flags=None)
    assert "data.target: name the column" in message(flags=None, in_memory=True)


def test_purge_needs_time_only_where_it_is_not_by_time():
    assert own("split.purge=3", "data.time=t").split.purge == 3
    assert "only a split by time" in message("split.purge=3", "split.by=random", "data.time=t")


@pytest.mark.parametrize("kind", ["steady", "width", "time"])
def test_calibration_in_time_needs_rows_in_time(kind):
    asked = f"search.calibrate={kind}"
    assert f"{kind!r} needs the column that orders the rows" in message(asked)
    assert f"{kind!r} needs rows that are split in order of time" in message(
        asked, "split.by=random", "data.time=t"
    )


def test_several_problems_are_told_at_once():
    text = message(
        "search.trials=abc", "search.seed=-1", "data.transform=x", "serch.x=1", "bad", "split.test_size=2"
    )
    assert text.startswith("config: 6 problems\n")
    for part in ("search.trials", "search.seed", "data.transform", "'serch'", "--set bad", "split.test_size"):
        assert part in text


def test_texts_are_meant_as_they_are_written():
    for word in ("007", "1.10", "yes", "1e3", "2024-01-01", "a: b", "%x", "-", "{a", "x=y"):
        assert own(f"data.group={word}").data.group == word
    assert own("data.group=null").data.group is None
    assert own("data.group='null'").data.group == "null"
    assert own("data.group=2020").data.group == "2020"


def test_numbers_as_people_write_them():
    assert own("search.time_budget_s=1e3", "search.trials=1").search.time_budget_s == 1000.0
    assert own("search.trials=1e2").search.trials == 100
    assert own("search.trials=5.0").search.trials == 5


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=30))
def test_any_word_is_taken_or_refused(text):
    for name in ("search.trials", "search.levels", "data.drop", "compute.gpus_per_trial", "tracking.enabled"):
        try:
            own(f"{name}={text}")
        except ConfigError as error:
            assert str(error).startswith("config: ")


@pytest.mark.parametrize("name", ["a", "lightgbm-demand-1", "Ä.b_c", "9", "x" * 100, "統" * 50])
def test_study_names(name):
    assert is_study_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a b", "-x", "x" * 101, "a\\b", "a\n", "a\0", "統" * 51, "_x"]
)
def test_no_study_names(name):
    assert not is_study_name(name)


@pytest.mark.parametrize(
    ("search", "told"),
    [
        (
            {"objective": "interval_80"},
            "search.objective: 'interval_80': the levels hold no interval of 80 %",
        ),
        ({"objective": "winkler"}, "search.objective: got 'winkler', must be one of 'pinball', 'wis'"),
        ({"pick": "knee"}, "search.pick: got 'knee', but a single objective has a best trial"),
        (
            {"objective": "pinball,crps", "pick": "wis"},
            "search.pick: got 'wis', must be 'knee'",
        ),
        ({"objective": "pinball,coverage_gap", "levels": [0.5]}, "needs two levels"),
    ],
)
def test_an_objective_or_pick_that_cannot_be_is_refused(search, told):
    with pytest.raises(ConfigError, match=re.escape(told)):
        load_config(flags={"search": search})


def test_several_objectives_stop_no_trial_early_and_have_a_pick():
    config = load_config(settings=["search.objective=pinball, coverage_gap", "search.pick=7"])
    assert [objective.word for objective in config.objectives] == ["pinball", "coverage_gap"]
    assert (config.early_stopping, config.pick.number) == ("none", 7)
    single = load_config()
    assert (single.early_stopping, single.pick) == ("asha", None)
    assert [objective.word for objective in single.objectives] == ["pinball"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("split.window=slidin", "data.time=t"), "split.window: got 'slidin', must be one of"),
        (("split.window=0", "data.time=t"), "a number of time steps, e.g. 365"),
        (("split.window=-3", "data.time=t"), "a number of time steps, e.g. 365"),
        (("split.window=sliding",), "split.window: only a split by time has one"),
        (("split.window=sliding", "data.time=t", "split.by=group", "data.group=g"), "only a split by time"),
        (("split.window=both", "data.time=t", "split.cv=1"), "split.window: 'both' needs folds"),
        (("split.embargo=2",), "split.embargo: only a split by time has one"),
        (("split.embargo=-1", "data.time=t"), "split.embargo: got -1, must not be negative"),
    ],
)
def test_windows_that_make_no_sense_are_refused(words, told):
    assert told in message(*words)


def test_a_window_is_a_word_or_a_number_of_steps():
    assert own("split.window=365", "data.time=t").split.window == "365"
    assert own("split.window=both", "split.cv=5", "split.embargo=3", "data.time=t").split.embargo == 3
    assert (window_steps("365"), window_steps("sliding"), window_steps("٣")) == (365, None, None)


def test_calibration_is_decided_by_how_rows_are_split():
    assert own("split.by=random").calibration == own().calibration == "marginal"
    assert own("data.time=t").calibration == own("data.time=t", "split.cv=1").calibration == "width"
    assert own("data.time=t", "split.by=random", "split.cv=1").calibration == "marginal"
    assert own("data.time=t", "split.cv=1", "search.calibrate=steady").calibration == "steady"


def test_numbers_of_numpy_are_numbers():
    config = make_config({"data": {"target": "y"}, "search": {"seed": np.int64(3)}}, in_memory=True)
    assert config.search.seed == 3 and type(config.search.seed) is int
    config = make_config({"data": {"target": "y"}, "split": {"test_size": np.float32(0.25)}}, in_memory=True)
    assert config.split.test_size == 0.25
