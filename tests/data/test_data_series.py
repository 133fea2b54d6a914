"""Features of the past in a prepared table: of the past only, of the own group only, named, told, refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from raysearch.config import load_config
from raysearch.data import prepare
from raysearch.data.series import Series
from raysearch.data.series_fit import fit_series
from raysearch.errors import DataError

DAYS = 120


def settings(split=None, **data):
    given = {
        "target": "y",
        "time": "日期",
        "group": "shop a",
        "horizon": 5,
        "lags": [1, 7],
        "windows": [7],
        "transform": "none",
        **data,
    }
    return load_config(flags={"data": given, "split": {"cv": 1, **(split or {})}}, in_memory=True)


def sales(days=DAYS, shops=("ä b", "c", "d"), seed=0):
    rng = np.random.default_rng(seed)
    parts = [
        pd.DataFrame(
            {
                "日期": pd.date_range("2024-01-01", periods=days),
                "shop a": shop,
                "price": rng.normal(size=days),
                "weather": rng.normal(size=days),
                "lag 1": rng.normal(size=days),
                "y": rng.normal(size=days).cumsum() + 10,
            }
        )
        for shop in shops
    ]
    return pd.concat(parts, ignore_index=True)


def made_of(dataset):
    """Return the made features by row of the user's table."""
    names = dataset.encoder.names
    cells = {
        name: dataset.table.column(names.index(name)).to_numpy()
        for name in dataset.series.names
        if name in names
    }
    return pd.DataFrame(cells, index=dataset.positions).sort_index()


def refusal(frame, **data):
    with pytest.raises(DataError) as caught:
        prepare(settings(**data), frame)
    return str(caught.value)


def test_values_by_hand():
    frame = sales()
    made = made_of(prepare(settings(), frame))
    y = frame["y"].to_numpy()
    for at in made.index[made.index % DAYS > 40][::7]:
        ahead = int(made.loc[at, "steps ahead"])
        assert 1 <= ahead <= 5
        assert made.loc[at, "y lag 1"] == y[at - ahead]  # the newest known value
        assert made.loc[at, "y lag 7"] == y[at - 7]
        assert made.loc[at, "y mean of lags 7"] == pytest.approx(
            y[[at - 7, at - 14, at - 21, at - 28]].mean()
        )
        window = y[at - ahead - 6 : at - ahead + 1]
        assert made.loc[at, "y mean of last 7"] == pytest.approx(window.mean())
        assert made.loc[at, "y deviation of last 7"] == pytest.approx(window.std(ddof=1))
        assert made.loc[at, "y q0.9 of last 7"] == pytest.approx(np.quantile(window, 0.9))


def test_the_change_is_modelled_unless_told_otherwise():
    assert settings(transform=None).data.transform == "change"
    assert load_config(flags={"data": {"target": "y"}}, in_memory=True).data.transform == "none"


def test_the_first_rows_are_kept_with_what_is_known():
    made = made_of(prepare(settings(split={"test_size": 0}), sales()))
    assert made.loc[[0, DAYS], "y lag 7"].isna().all() and 0 in made.index


@pytest.mark.parametrize("shift", [0, 1, 17])
def test_a_changed_future_changes_no_feature_of_the_rows_before_it(shift):
    frame = sales()
    frame.loc[frame.index % 11 == 3, "y"] = np.nan
    frame = frame.drop(index=frame.index[frame.index % 13 == 5]).reset_index(drop=True)
    before = made_of(prepare(settings(past=["weather"]), frame))
    day = frame["日期"].min() + pd.Timedelta(days=60 + shift)
    later = frame["日期"] >= day
    changed = frame.copy()
    rng = np.random.default_rng(9)
    for name in ("y", "weather"):
        changed.loc[later, name] = np.where(
            frame.loc[later, name].isna(), np.nan, rng.normal(size=later.sum()) * 1e9
        )
    after = made_of(prepare(settings(past=["weather"]), changed))
    # Rows up to that day look at nothing of it, not even at that day's own value.
    rows = before.index[(frame.loc[before.index, "日期"] <= day).to_numpy()]
    assert before.loc[rows].to_numpy().tobytes() == after.loc[rows].to_numpy().tobytes()
    assert not before.equals(after)


def test_the_order_of_rows_changes_nothing():
    frame = sales()
    mixed = frame.sample(frac=1, random_state=1)
    before = made_of(prepare(settings(), frame))
    after = made_of(prepare(settings(), mixed.reset_index(drop=True)))
    after.index = mixed.index[after.index]
    pd.testing.assert_frame_equal(before, after.sort_index(), check_exact=True)


def test_groups_know_nothing_of_each_other():
    frame = sales()
    one = frame["shop a"] == "c"
    changed = frame.copy()
    changed.loc[~one, "y"] *= -100
    before, after = (made_of(prepare(settings(), part)) for part in (frame, changed))
    rows = [row for row in before.index if one[row]]
    pd.testing.assert_frame_equal(before.loc[rows], after.loc[rows], check_exact=True)


def test_one_series_needs_no_group():
    frame = sales(shops=("x",)).drop(columns="shop a")
    assert prepare(settings(group=None), frame).series.group is None


def test_names_like_those_of_the_table_are_told_apart():
    frame = sales().rename(columns={"lag 1": "y lag 1", "price": "steps ahead"})
    made = prepare(settings(), frame)
    assert {"y lag 1", "y lag 1 (made)", "steps ahead", "steps ahead (made)"} <= set(made.encoder.names)
    assert len(set(made.encoder.names)) == len(made.encoder.names)


def test_columns_of_the_past_enter_by_their_past_alone():
    made = prepare(settings(past=["weather"]), sales())
    assert "weather" not in made.encoder.names
    assert {"weather lag 1", "weather lag 7", "weather mean of last 7"} <= set(made.encoder.names)
    assert not any("weather" in text for text in made.quality.warnings if "series:" not in text)


def test_chosen_features_leave_the_past_in():
    made = prepare(settings(features=["price"]), sales())
    assert made.encoder.names == ("price", *made.series.names)


def test_what_is_found_and_chosen_is_told():
    assert (
        "a step is 1 day; forecasts of 1 to 5 steps ahead from lags 1, 7 and windows 7"
        in prepare(settings(), sales()).quality.warnings[0]
    )
    chosen = prepare(settings(lags=[], windows=[]), sales()).series
    assert (chosen.lags, chosen.windows) == ((1, 7, 28), (3, 7, 28))


@pytest.mark.parametrize(
    ("frequency", "rows", "lags", "windows"),
    [
        ("h", 1000, (1, 24, 168), (3, 24, 168)),
        ("15min", 3000, (1, 96, 672), (3, 96, 672)),
        ("D", 1000, (1, 7, 28, 364), (3, 7, 28)),
        ("D", 40, (1, 7), (3, 7)),
        ("B", 500, (1, 5, 21), (3, 5, 21)),
        ("W", 300, (1, 4, 52), (3, 4, 13)),
        ("MS", 100, (1, 12), (3, 12)),
        ("QE", 80, (1, 4), (3, 4)),
        ("YE", 40, (1,), (2, 3)),
        ("28D", 100, (1, 13), (3, 13)),
    ],
)
def test_lags_and_windows_by_the_frequency(frequency, rows, lags, windows):
    frame = pd.DataFrame(
        {"日期": pd.date_range("1990-01-31", periods=rows, freq=frequency), "y": np.arange(rows) % 5.0}
    )
    made = fit_series(pa.Table.from_pandas(frame), settings(group=None, lags=[], windows=[], horizon=2).data)
    assert (made.lags, made.windows) == (lags, windows)


def test_a_horizon_of_one_has_no_steps_to_tell():
    made = prepare(settings(horizon=1, lags=[1]), sales())
    assert "steps ahead" not in made.encoder.names and "y lag 1" in made.encoder.names


def test_the_purge_follows_the_horizon():
    assert settings().split.purge == 4
    assert settings(split={"purge": 9}).split.purge == 9
    made = prepare(settings(), sales())
    learnt = made.times[slice(*made.parts["train"])].max()
    scored = made.times[slice(*made.parts["valid"])].min()
    # The earliest origin of a validation row lies at the last row that was learnt from.
    assert scored - np.timedelta64(5, "D") >= learnt


def test_the_purge_counts_steps_where_the_clocks_of_groups_differ():
    frame = sales()
    frame.loc[frame["shop a"] == "c", "日期"] += pd.Timedelta(hours=7)
    made = prepare(settings(), frame)
    learnt = made.times[slice(*made.parts["train"])].max()
    assert made.times[slice(*made.parts["valid"])].min() - np.timedelta64(4, "D") > learnt


def test_the_purge_counts_the_most_clocks_of_a_step_where_series_join_later():
    """Few sensors for long and many at the end: the mean number of clocks would leave out hours, not days."""
    early, late = sales(400, [f"s{i}" for i in range(3)]), sales(90, [f"t{i}" for i in range(12)])
    late["日期"] += pd.Timedelta(days=310)
    frame = pd.concat([early, late], ignore_index=True)
    frame["日期"] += pd.to_timedelta(frame.groupby("shop a").ngroup() * 7, unit="min")
    made = prepare(settings(), frame)
    learnt = made.times[slice(*made.parts["train"])].max()
    assert made.times[slice(*made.parts["valid"])].min() - learnt >= np.timedelta64(4, "D")
    assert made.purge == 4 * 15  # of 15 clocks; what blocks of rows in time are as long as


def test_window_and_embargo_count_steps_where_the_clocks_of_groups_differ():
    frame = sales(300)
    frame.loc[frame["shop a"] == "c", "日期"] += pd.Timedelta(hours=7)
    made = prepare(settings(split={"cv": 2, "window": "60"}), frame)
    for fold in made.fits:
        times = made.times[slice(*fold.train[0])]
        assert np.timedelta64(58, "D") < times.max() - times.min() <= np.timedelta64(60, "D")
    made = prepare(settings(split={"cv": 3, "window": "both", "embargo": 10}), frame)
    first = made.fits[0]
    behind = made.times[slice(*first.train[0])].min() - made.times[slice(*first.watch)].max()
    assert behind >= np.timedelta64(13, "D")


def test_a_smooth_series_is_not_accused_of_its_own_past():
    frame = sales()
    frame["y"] = np.sin(np.arange(len(frame)) % DAYS / 20) + frame["shop a"].map({"ä b": 0, "c": 2, "d": 4})
    made = prepare(settings(strict=True, horizon=2), frame)
    assert not any("y lag" in text or "of last" in text for text in made.quality.warnings)
    rising = frame.assign(y=np.arange(len(frame)) % DAYS * 1.0)
    made = prepare(settings(strict=True, horizon=1), rising[rising["shop a"] == "c"].reset_index(drop=True))
    assert not any("number of the row" in text for text in made.quality.warnings)


@pytest.mark.parametrize("transform", ["none", "change"])
@pytest.mark.parametrize(("noise", "told"), [(0.0, "holds the values of 'y'"), (1e-3, "nearly gives 'y'")])
def test_copies_of_the_target_are_still_accused(transform, noise, told):
    copy = sales().assign(price=lambda f: f["y"] + noise * f["weather"])
    with pytest.raises(DataError, match=f"'price' {told}"):
        prepare(settings(strict=True, transform=transform), copy)


def test_rows_of_a_test_file_look_back_into_the_data(tmp_path):
    frame = sales()
    cut = frame["日期"] >= frame["日期"].min() + pd.Timedelta(days=100)
    frame[cut].to_parquet(tmp_path / "t.parquet")
    apart = prepare(settings(test_path=str(tmp_path / "t.parquet")), frame[~cut].reset_index(drop=True))
    whole = made_of(prepare(settings(), frame))
    tested = made_of(apart).loc[apart.positions[slice(*apart.parts["test"])]].sort_index()
    expected = whole.loc[frame.index[cut]]
    shared = [name for name in tested if name in expected]
    assert np.array_equal(tested[shared], expected[shared], equal_nan=True)


def test_a_test_file_that_overlaps_counts_where_it_does(tmp_path):
    frame = sales()
    late = frame[frame["日期"] >= frame["日期"].min() + pd.Timedelta(days=90)]
    late.to_parquet(tmp_path / "t.parquet")
    made = prepare(settings(test_path=str(tmp_path / "t.parquet")), frame)
    assert made.parts["test"][1] - made.parts["test"][0] == len(late)


@pytest.mark.parametrize(
    ("change", "words", "told"),
    [
        (
            lambda f: pd.concat([f, f.iloc[[5]]], ignore_index=True),
            {},
            "rows 6 and 361 of shop a 'ä b' have the same",
        ),
        (lambda f: f, {"group": None}, "--group"),
        (lambda f: f, {"lags": [1, 500]}, "data.lags: 500 look further back"),
        (lambda f: f, {"windows": [7, 400, 500]}, "data.windows: 400, 500 look further back"),
        (lambda f: f, {"horizon": 300}, "give a shorter --horizon"),
        (lambda f: f, {"frequency": "soon"}, "data.frequency: got 'soon'"),
        (lambda f: f, {"frequency": "2"}, "holds dates"),
        (lambda f: f, {"frequency": "W"}, "have the same time"),
        (lambda f: f, {"past": ["rain"]}, "no column 'rain' for data.past"),
        (
            lambda f: f.assign(日期=f["日期"] + pd.to_timedelta((f.index == 8) * 7, unit="min")),
            {},
            "the usual step is 1 day, but 2024-01-09T00:07",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(change, words, told):
    assert told in refusal(change(sales()), **words)


def test_missing_times_and_targets_and_tiny_groups():
    frame = sales()
    frame.loc[3, "日期"] = pd.NaT
    frame.loc[10:30, "y"] = np.nan
    frame.loc[50, "shop a"] = None
    tiny = pd.DataFrame({"日期": [pd.Timestamp("2024-03-01")], "shop a": "one", "y": 3.0})
    made = prepare(settings(), pd.concat([frame, tiny], ignore_index=True))
    cells = made_of(made)
    assert np.isnan(cells.loc[360, "y lag 1"]) and np.isnan(cells.loc[50, "y lag 1"])
    assert 3 not in cells.index and 10 not in cells.index


def test_texts_numbers_and_zones_are_times_too():
    frame = sales()
    before = made_of(prepare(settings(), frame))
    forms = {
        "text": frame["日期"].dt.strftime("%d.%m.%Y"),
        # Days of Berlin, of which one has 23 hours.
        "zone": frame["日期"].dt.tz_localize("Europe/Berlin"),
    }
    for stamps in forms.values():
        made = prepare(settings(), frame.assign(日期=stamps))
        assert made.series.grid.word == "1 day"
        pd.testing.assert_frame_equal(before, made_of(made), check_exact=True)
    numbers = prepare(settings(), frame.assign(日期=(frame["日期"] - frame["日期"].min()).dt.days))
    assert numbers.series.grid.word == "1 unit"


def test_the_recipe_survives_json():
    made = prepare(settings(past=["weather"]), sales()).series
    assert Series.from_json(made.to_json()) == made
    assert made.static == ("shop a",)


@pytest.mark.parametrize(
    ("lags", "windows", "base"),
    [
        ([1, 7], [3, 7, 28], "y mean of last 7"),
        ([1], [3, 14, 28], "y mean of last 14"),
        ([1], [2, 3], "y mean of last 2"),
        ([7], [28, 7], "y mean of last 7"),
    ],
)
def test_changes_are_told_from_the_newest_season(lags, windows, base):
    made = prepare(settings(transform="change", lags=lags, windows=windows), sales())
    assert made.series.base == base == made.transform.anchor
    at = made.encoder.names.index(base)
    assert np.allclose(made.table["anchor"].to_numpy(), made.table.column(at).to_numpy())
    assert any("rows have no past" in text for text in made.quality.warnings)
    assert np.isfinite(made.table["anchor"].to_numpy()).all()


def test_changes_in_a_test_file(tmp_path):
    frame = sales()
    cut = frame["日期"] >= frame["日期"].min() + pd.Timedelta(days=100)
    frame[cut].to_parquet(tmp_path / "t.parquet")
    given = settings(transform="change", test_path=str(tmp_path / "t.parquet"))
    made = prepare(given, frame[~cut].reset_index(drop=True))
    assert made.parts["test"][1] - made.parts["test"][0] == cut.sum()
