"""prepare: one table of floats in the order train, valid, test, untouched by what test rows hold."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raysearch.config import load_config, make_config
from raysearch.data import Encoder, prepare
from raysearch.errors import DataError

N = 400


def config(split=None, search=None, **data):
    flags = {"data": {"target": "y [€]", **data}, "split": {"cv": 1, **(split or {})}, "search": search or {}}
    return load_config(flags=flags, in_memory=True)


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 120, N), unit="D")
    frame = pd.DataFrame(
        {
            "day": days,
            'it\'s "odd" [x]': rng.normal(size=N),
            "store": rng.choice(["ä", "b", "c"], N),
            "size, m": rng.integers(0, 9, N),
            "open": rng.random(N) < 0.5,
            "const": 1,
            "y [€]": rng.lognormal(size=N),
        }
    )
    frame.loc[rng.random(N) < 0.1, "store"] = None
    frame.loc[:4, "y [€]"] = np.nan
    return frame


def rows_of(dataset, part):
    start, stop = dataset.parts[part]
    return dataset.table.slice(start, stop - start)


def test_a_dataset_by_time(frame):
    made = prepare(config(time="day", group="store", split={"purge": 2}), frame)
    parts = [made.parts[name] for name in ("train", "valid", "test")]
    assert parts[0][0] == 0 and parts[0][1] == parts[1][0] and parts[1][1] == parts[2][0]
    assert parts[2][1] == made.table.num_rows == len(made.times) == len(made.groups) == len(made.positions)
    assert made.table.column_names == [*made.encoder.features, "target"]
    assert set(made.table.schema.types) <= {pa.float32(), pa.float64()}
    assert made.table["target"].num_chunks == 1
    taken = frame.iloc[made.positions]
    assert np.array_equal(taken["y [€]"], made.table["target"].to_numpy())
    assert np.array_equal(taken["day"].to_numpy("datetime64[us]"), made.times)
    assert np.array_equal(taken["store"].fillna("(missing)").to_numpy(str), made.groups)
    odd = made.encoder.names.index('it\'s "odd" [x]')
    assert np.array_equal(made.table.column(odd).to_numpy(), taken['it\'s "odd" [x]'])
    assert "day: month" in made.encoder.names and "store" in made.encoder.names
    assert made.facts.rows == N and sum(made.facts.split.values()) == N - 5
    assert made.facts.split["purged"] > 0 and made.facts.source == "in memory (pandas)"
    assert made.quality.rows == N and made.quality.rows_without_target == 5
    assert made.quality.constant_columns == ("const",)


@pytest.mark.parametrize("by", ["time", "random", "group"])
def test_test_rows_change_nothing_for_training_and_validation(frame, by):
    settings = config(time="day", group="store", split={"by": by})
    before = prepare(settings, frame)
    test = before.positions[slice(*before.parts["test"])]
    changed = frame.copy()
    rng = np.random.default_rng(5)
    changed.loc[test, 'it\'s "odd" [x]'] = rng.normal(size=len(test)) * 1e9 + 0.1
    changed.loc[test, "size, m"] = 777
    changed["open"] = changed["open"].astype(object)
    changed.loc[test, "open"] = "perhaps"  # the whole column becomes text
    changed.loc[test, "const"] = rng.integers(0, 5, len(test))
    changed.loc[test, "y [€]"] = rng.lognormal(size=len(test)) * 1e6
    if by != "group":
        changed.loc[test, "store"] = "new"
    after = prepare(settings, changed)
    assert after.encoder.plans == before.encoder.plans
    seen = before.parts["valid"][1]
    assert before.parts == after.parts
    assert np.array_equal(before.positions[:seen], after.positions[:seen])
    for name in before.table.column_names:
        old, new = (made.table[name].slice(0, seen).to_numpy() for made in (before, after))
        assert np.array_equal(old, new, equal_nan=True), name
    assert before.facts.digest != after.facts.digest


def test_a_stray_test_cell_that_makes_a_csv_column_text_changes_nothing(tmp_path):
    rows = [
        f"{i % 50},{i * 0.5},2024-01-{1 + i % 28:02},{'true' if i % 3 else 'false'},{i % 24}:30,{i}"
        for i in range(100)
    ]
    (tmp_path / "a.csv").write_text("\n".join(["n,f,d,b,c,y", *rows]))
    before = prepare(load_config(flags={"data": {"path": str(tmp_path / "a.csv"), "target": "y"}}))
    at = int(before.positions[-1])
    rows[at] = f"oops,oops,oops,oops,oops,{at}"
    (tmp_path / "b.csv").write_text("\n".join(["n,f,d,b,c,y", *rows]))
    after = prepare(load_config(flags={"data": {"path": str(tmp_path / "b.csv"), "target": "y"}}))
    assert before.encoder.names == after.encoder.names
    seen = before.parts["valid"][1]
    assert before.table.slice(0, seen).equals(after.table.slice(0, seen))


def test_the_shipped_experiment():
    made = prepare(load_config(settings=["split.cv=1"]))
    assert made.transform.name("nav_ahead") == "nav_log"
    assert made.table.column_names[-2:] == ["target", "anchor"]
    assert "nav" not in made.encoder.columns and "fund" not in made.encoder.columns
    assert made.facts.name == "factor_nav" and made.facts.source == "builtin:factor_nav"
    days = np.unique(made.times)
    train, valid, test = (made.times[slice(*made.parts[name])] for name in ("train", "valid", "test"))
    assert train.max() < valid.min() and valid.max() < test.min()
    assert made.facts.split["purged"] == 2 * 21 * 5 and len(days) == 2264 - 21 - 42
    assert prepare(load_config(settings=["split.cv=1"])).facts.digest == made.facts.digest


def test_paths_frames_and_tables_give_the_same(frame, tmp_path):
    frame.to_parquet(tmp_path / "my sales.parquet")
    made = [
        prepare(config(), source)
        for source in (
            frame,
            pa.Table.from_pandas(frame),
            pl.from_pandas(frame),
            tmp_path / "my sales.parquet",
        )
    ]
    for other in made[1:]:
        assert other.encoder == made[0].encoder
        assert np.array_equal(other.positions, made[0].positions)
    assert made[3].facts.name == "my sales" and made[3].facts.source.endswith("my sales.parquet")


def test_seed_decides_the_random_split(frame):
    one, same, other = (prepare(config(search={"seed": seed}), frame) for seed in (1, 1, 2))
    assert np.array_equal(one.positions, same.positions) and not np.array_equal(
        one.positions, other.positions
    )


def test_dropped_and_chosen_features(frame):
    made = prepare(config(group="store", drop=["store", "day"]), frame)
    assert "store" not in made.encoder.columns and made.groups is not None
    assert made.encoder.left_out["day"] == "dropped by the settings"
    made = prepare(config(features=["store", "open"]), frame)
    assert made.encoder.columns == ("store", "open")
    with pytest.raises(DataError, match="no column is left to learn from"):
        prepare(config(features=["const"]), frame)


def test_a_numeric_time_orders_but_is_no_feature(frame):
    frame["t"] = np.arange(N)[::-1]
    made = prepare(config(time="t"), frame)
    assert "t" not in made.encoder.columns and "running number" in made.encoder.left_out["t"]
    assert (np.diff(made.times) >= 0).all()


def test_years_in_text_order_but_are_no_feature(frame):
    frame["t"] = [str(1000 + i) for i in range(N)]
    made = prepare(config(time="t"), frame)
    assert "t" not in made.encoder.columns and made.times.dtype == np.float64


def test_no_test_rows(frame):
    made = prepare(config(split={"test_size": 0}), frame)
    start, stop = made.parts["test"]
    assert start == stop == made.table.num_rows == N - 5


def test_a_test_table_of_its_own(frame, tmp_path):
    later = frame.iloc[50:90].drop(columns=["open"]).assign(day=pd.Timestamp("2023-06-01"), extra=1)
    later["size, m"] = later["size, m"].astype(str)
    later.to_parquet(tmp_path / "later.parquet")
    made = prepare(config(time="day", test_path=str(tmp_path / "later.parquet")), frame)
    start, stop = made.parts["test"]
    assert stop - start == 40 and made.facts.rows == N + 40
    assert made.positions[start:].tolist() == list(range(N, N + 40))
    assert np.array_equal(made.table["target"].to_numpy()[start:], later["y [€]"])
    assert np.array_equal(
        made.table.column(made.encoder.names.index("size, m")).to_numpy()[start:], frame["size, m"][50:90]
    )
    assert any(
        text.startswith("test data: columns not there") and "'open'" in text for text in made.quality.warnings
    )


def test_a_test_table_is_checked_too(frame, tmp_path):
    frame.drop(columns=["y [€]"]).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"test data: .*no target column"):
        prepare(config(test_path=str(tmp_path / "t.parquet")), frame)
    with pytest.raises(DataError, match="test data: there is no file"):
        prepare(config(test_path=str(tmp_path / "u.parquet")), frame)
    frame.assign(day=range(N)).to_parquet(tmp_path / "n.parquet")
    with pytest.raises(DataError, match="holds numbers, in the data it holds dates"):
        prepare(config(time="day", test_path=str(tmp_path / "n.parquet")), frame)


@pytest.mark.parametrize("purge", [0, 7])
def test_rows_not_before_a_test_table_are_left_out_and_told(frame, tmp_path, purge):
    begin = pd.Timestamp("2022-03-15")
    test = frame[frame["day"] >= begin].sample(frac=1, random_state=0)
    test.to_parquet(tmp_path / "t.parquet")
    settings = config(
        time="day", group="store", split={"purge": purge}, test_path=str(tmp_path / "t.parquet")
    )
    made = prepare(settings, frame)
    seen = slice(0, made.parts["valid"][1])
    assert made.times[seen].max() < np.datetime64(begin - pd.Timedelta(days=purge))
    after = int((frame["day"][frame["y [€]"].notna()] >= begin).sum())
    assert made.facts.split["purged"] >= after and (purge > 0) == (made.facts.split["purged"] > after)
    told = [text for text in made.quality.warnings if text.startswith("test data: begins at 2022-03-15")]
    assert len(told) == 1 and f"{after:,} rows of the data are not before it" in told[0]


def test_rows_of_a_test_table_come_in_order_of_time_with_all_that_belongs_to_them(frame, tmp_path):
    later = frame.assign(day=frame["day"] + pd.Timedelta(days=365)).sample(frac=1, random_state=1)
    later = later.reset_index(drop=True)
    later.to_parquet(tmp_path / "t.parquet")
    made = prepare(config(time="day", group="store", test_path=str(tmp_path / "t.parquet")), frame)
    start, stop = made.parts["test"]
    assert stop - start == N - 5 and (np.diff(made.times[start:]) >= np.timedelta64(0)).all()
    rows = later.iloc[made.positions[start:] - N]
    equal = rows["day"].to_numpy()[1:] == rows["day"].to_numpy()[:-1]
    assert (np.diff(rows.index)[equal] > 0).all()  # equal times stay in the order of the file
    assert np.array_equal(rows["day"].to_numpy("datetime64[us]"), made.times[start:])
    assert np.array_equal(rows["y [€]"].to_numpy(), made.table["target"].to_numpy()[start:])
    assert np.array_equal(rows["store"].fillna("(missing)").to_numpy(str), made.groups[start:])
    odd = made.encoder.names.index('it\'s "odd" [x]')
    assert np.array_equal(rows['it\'s "odd" [x]'].to_numpy(), made.table.column(odd).to_numpy()[start:])
    at_random = prepare(
        config(time="day", split={"by": "random"}, test_path=str(tmp_path / "t.parquet")), frame
    )
    assert (np.diff(at_random.positions[start:]) > 0).all()


def test_no_table_at_all_is_refused():
    with pytest.raises(DataError, match="no table is given"):
        prepare(config())


def test_the_encoder_of_a_dataset_encodes_the_users_rows_again(frame):
    made = prepare(config(time="day"), frame)
    encoder = Encoder.from_json(json.loads(json.dumps(made.encoder.to_json())))
    again = encoder.transform(pa.Table.from_pandas(frame.iloc[made.positions], preserve_index=False))
    for i, name in enumerate(encoder.features):
        assert np.array_equal(
            again.features.column(i).to_numpy(), made.table[name].to_numpy(), equal_nan=True
        )


def test_three_thousand_rows_of_seventy_mixed_columns(tmp_path):
    rng = np.random.default_rng(3)
    n = 3000
    columns = {
        f"число {i} (m²)": rng.normal(size=n).astype([np.float32, np.float64][i % 2]) for i in range(40)
    }
    columns |= {f"kind/{i}": rng.choice(["x", "y, z", 'q"'], n) for i in range(20)}
    columns |= {
        f"when {i}": [dt.datetime(2020, 1, 1) + dt.timedelta(hours=int(h)) for h in rng.integers(0, 9999, n)]
        for i in range(5)
    }
    columns |= {f"whole {i}": rng.integers(-(10**12), 10**12, n) for i in range(5)}
    table = pa.table({**columns, "y [€]": rng.normal(size=n)})
    pq.write_table(table, tmp_path / "t.parquet")
    pd.DataFrame(table.to_pandas()).to_csv(tmp_path / "t.csv", index=False)
    for name in ("t.parquet", "t.csv"):
        made = prepare(config(path=str(tmp_path / name)), None)
        assert len(made.encoder.columns) == 70 and made.table.num_rows == n


def test_days_and_months_of_a_test_file_are_those_of_the_data(tmp_path):
    """02/01/2024 to 12/01/2024 would read as months, but the data have days above 12 in that place."""
    day = pd.Series(pd.date_range("2023-06-01", "2024-01-12"))
    frame = pd.DataFrame({"day": day.dt.strftime("%d/%m/%Y"), "x": np.arange(len(day)) % 7})
    frame["y"] = frame["x"] + np.random.default_rng(0).normal(size=len(day))
    frame[:-11].to_csv(tmp_path / "d.csv", index=False)
    frame[-11:].to_csv(tmp_path / "t.csv", index=False)
    data = {
        "path": str(tmp_path / "d.csv"),
        "test_path": str(tmp_path / "t.csv"),
        "target": "y",
        "time": "day",
    }
    made = prepare(make_config({"data": data}))
    tested = made.times[slice(*made.parts["test"])]
    assert tested.min() == np.datetime64("2024-01-02") and tested.max() == np.datetime64("2024-01-12")
    assert made.times[: made.parts["valid"][1]].max() == np.datetime64("2024-01-01")
    assert not any("would read it as well" in told for told in made.quality.warnings)
