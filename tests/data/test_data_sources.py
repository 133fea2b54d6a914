"""One encoding whatever the rows come in: a frame, a file of any kind, texts; all rows or a single one."""

from __future__ import annotations

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raysearch.config import load_config
from raysearch.data import Encoder, dates, prepare, read_table
from raysearch.data.values import as_numbers

N = 60


def made_up():
    rng = np.random.default_rng(0)

    def pick(*values):
        return [values[i] for i in rng.integers(0, len(values), N)]

    return pd.DataFrame(
        {
            "words": pick("NA", "x", "None", "?", "nil", None),
            "codes": pick("01", "1", "02", "NA"),
            "versions": pick("1.10", "1.1", "beta", None),
            "spellings": pick("1e5", "100000", "abc"),
            "truths": pick("true", "True", "maybe"),
            "spaces": pick(" x", "x", " "),
            "numbers with NA": pick("1", "2.5", "NA", None, "-", "nil"),
            "whole": list(range(N)),
            "whole or null": pd.array(pick(1, 2, None), dtype="Int64"),
            "float": rng.normal(size=N),
            "decimal": [decimal.Decimal(i) / 8 + decimal.Decimal("0.1") for i in range(N)],
            "bool": pick(True, False),
            "bool or null": pick(True, False, None),
            "bool text": pick("True", "false", "NA"),
            "date": [dt.date(2020, 1, 1) + dt.timedelta(days=i) for i in range(N)],
            "stamp": pd.date_range("2020-01-01 05:07", periods=N, freq="7h"),
            "zoned": pd.date_range("2020-03-01", periods=N, freq="17h", tz="Europe/Berlin"),
            "offsets": [str(t) for t in pd.date_range("2020-03-01", periods=N, freq="17h", tz="Asia/Tokyo")],
            "short offsets": [f"2020-01-{1 + i % 28:02} {i % 24:02}:30-05" for i in range(N)],
            "hours": [f"2020-01-{1 + i % 28:02} {i % 24:02}" for i in range(N)],
            "own format": [f"{1 + i % 28:02}.{1 + i % 12:02}.2020" for i in range(N)],
            "clock": [dt.time(i % 24, i % 60) for i in range(N)],
            "duration": pd.to_timedelta(rng.integers(0, 10**6, N), unit="s"),
            "category": pd.Categorical(pick("a", "b", "NA")),
            "category of numbers": pd.Categorical(pick(1, 2, 10)),
            "category of truths": pd.Categorical(pick(True, False)),
            "mixed": pick(1, "a", 2.5, None),
        }
    )


def from_csv(frame, folder):
    frame.to_csv(folder / "t.csv", index=False)
    return read_table(folder / "t.csv", "rows to predict", least_columns=1, least_rows=0)


def from_training_csv(frame, folder):
    frame.to_csv(folder / "t.csv", index=False)
    return read_table(folder / "t.csv")


def from_parquet(frame, folder):
    mixed = frame["mixed"].map(lambda value: None if value is None else str(value))
    pq.write_table(pa.Table.from_pandas(frame.assign(mixed=mixed)), folder / "t.parquet")
    return read_table(folder / "t.parquet")


def from_polars(frame, folder):
    return read_table(pl.from_arrow(from_parquet(frame, folder)))


def from_texts(frame, _):
    texts = {name: [None if pd.isna(v) else str(v) for v in frame[name]] for name in frame}
    return read_table(pd.DataFrame(texts))


def features(encoder, table):
    encoded = encoder.transform(table)
    assert encoded.warnings == ()
    return {name: encoded.features.column(i).to_numpy() for i, name in enumerate(encoder.names)}


@pytest.mark.slow
@pytest.mark.parametrize("trained", [from_training_csv, from_parquet, from_texts, None])
def test_every_source_is_encoded_the_same(tmp_path, trained):
    frame = made_up()
    table = read_table(frame) if trained is None else trained(frame, tmp_path)
    encoder = Encoder.fit(table, table.column_names)
    for rows in (frame, *(frame.iloc[[i]] for i in range(12))):
        expected = features(encoder, read_table(rows))
        for source in (from_csv, from_parquet, from_polars, from_texts):
            got = features(encoder, source(rows, tmp_path))
            for name, values in expected.items():
                np.testing.assert_array_equal(got[name], values, err_msg=f"{source.__name__} {name}")


def test_training_from_any_source_learns_the_same_but_for_what_csv_cannot_tell(tmp_path):
    frame = made_up().drop(columns=["codes", "zoned", "category of numbers", "category of truths"])
    plans = [
        {plan.column: plan.kind for plan in Encoder.fit(table, table.column_names).plans}
        for table in (read_table(frame), from_training_csv(frame, tmp_path), from_parquet(frame, tmp_path))
    ]
    assert plans[0] == plans[1] == plans[2]
    assert plans[0]["words"] == "category" and plans[0]["numbers with NA"] == "number"
    assert plans[0]["duration"] == "seconds"


def test_a_category_called_na_is_kept_by_every_source(tmp_path, excel):
    names = ["NA", "DE", None, "None", "?"] * 12
    frame = pd.DataFrame({"country": names, "x": range(60)})
    excel(tmp_path / "t.xlsx", [["country", "x"], *frame.values.tolist()])
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "t.parquet")
    tables = [read_table(frame), from_training_csv(frame, tmp_path)]
    tables += [read_table(tmp_path / name) for name in ("t.xlsx", "t.parquet")]
    encoders = [Encoder.fit(table, ["country"]) for table in tables]
    assert [set(encoder.plans[0].categories) for encoder in encoders] == [{"NA", "DE", "None", "?"}] * 4
    expected = features(encoders[0], tables[0])["country"]
    for table in tables:
        np.testing.assert_array_equal(features(encoders[0], table)["country"], expected)
    only = frame.iloc[[0]]
    assert not np.isnan(features(encoders[0], from_csv(only, tmp_path))["country"]).any()


def test_a_category_called_na_survives_a_test_file_too(tmp_path):
    rows = [f"{('NA', 'x', '1')[i % 3]},{i % 7},{i}" for i in range(90)]
    (tmp_path / "a.csv").write_text("\n".join(["c,x,y", *rows]))
    (tmp_path / "b.csv").write_text("c,x,y\nNA,1,1\n1,2,2\nNA,1,3\n")
    paths = {"path": str(tmp_path / "a.csv"), "test_path": str(tmp_path / "b.csv"), "target": "y"}
    made = prepare(load_config(flags={"data": paths}))
    tested = made.table[made.encoder.features[0]].to_numpy()[slice(*made.parts["test"])]
    codes = made.encoder.plans[0].categories
    assert tested.tolist() == [codes.index("NA"), codes.index("1"), codes.index("NA")]
    assert made.table["target"].to_pylist()[-3:] == [1.0, 2.0, 3.0]


def test_cells_of_a_workbook_are_what_the_sheet_says(tmp_path, excel):
    excel(tmp_path / "t.xlsx", [["zip", "n", "m"], ["01", 1, 1], ["02", "NA", 2.5], ["NA", 3, None]])
    table = read_table(tmp_path / "t.xlsx")
    assert table["zip"].to_pylist() == ["01", "02", "NA"]
    assert table["m"].to_pylist() == [1.0, 2.5, None]
    assert as_numbers(table["n"].combine_chunks()).values.tolist()[::2] == [1.0, 3.0]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("a\n1\n\n3\n", ["1", None, "3"]),
        ("a\r\n1\r\n\r\n3\r\n", ["1", None, "3"]),
        ("\n\na\n1\n\n3", ["1", None, "3"]),
        ("a\n1\n   \n3\n", ["1", "   ", "3"]),
        ('a\n1\n""\n3\n', ["1", None, "3"]),
        ("a\n\n\n", [None, None]),
        ("a\nx\n\n", ["x", None]),
        ("a\n", []),
    ],
)
def test_an_empty_line_of_a_lone_column_is_a_row(tmp_path, text, cells):
    path = tmp_path / "one.csv"
    path.write_bytes(text.encode())
    table = read_table(path, least_columns=1, least_rows=0)
    assert table.column_names == ["a"] and table["a"].to_pylist() == cells
    encoder = Encoder.fit(pa.table({"a": [1.0, 2.0, 3.0]}), ["a"])
    encoded = encoder.transform(table)
    assert encoded.features.num_rows == len(cells)
    assert not [told for told in encoded.warnings if "x" not in text]


def test_a_line_of_blanks_is_no_row_where_there_are_several_columns(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n\n   \n,\n3,4\n")
    for least in (1, 2):
        assert read_table(tmp_path / "t.csv", least_columns=least).num_rows == 3


def test_empty_rows_inside_a_workbook_are_rows(tmp_path, excel):
    empty = [None, None]
    excel(tmp_path / "t.xlsx", [empty, ["a", "b"], [1, "x"], empty, empty, [2, "y"], empty, empty])
    table = read_table(tmp_path / "t.xlsx", least_columns=1, least_rows=0)
    assert table["a"].to_pylist() == [1, None, None, 2] and table["b"].to_pylist() == ["x", None, None, "y"]
    excel(tmp_path / "u.xlsx", [["a", "b"], empty])
    assert read_table(tmp_path / "u.xlsx", least_rows=0).num_rows == 0


def test_decimal_commas_beside_words_for_nothing(tmp_path):
    (tmp_path / "t.csv").write_text("a;b\n1,5;x\nNA;y\n-2,25;NA\n")
    for least in (1, 2):
        table = read_table(tmp_path / "t.csv", least_columns=least)
        assert table["a"].to_pylist() == [1.5, None, -2.25] and table["b"].to_pylist() == ["x", "y", "NA"]


def test_numbers_of_all_types_are_the_nearest_floats():
    words = [f"{i}.{i * 7919 % 10**6:06}" for i in range(2000)]
    wanted = [float(word) for word in words]
    for array in (
        pa.array(words),
        pa.array([*words[:-1], f"{words[-1]} "]),
        pa.array([decimal.Decimal(word) for word in words]),
        pa.array([decimal.Decimal(word) for word in words], pa.decimal256(50, 6)),
    ):
        assert as_numbers(array).values.tolist() == wanted


def test_truths_and_plain_seconds_in_text():
    encoder = Encoder.fit(
        pa.table(
            {"n": [0.0, 1.0, None], "b": [True, False, None], "s": pa.array([90, 5, 7], pa.duration("s"))}
        ),
        ["n", "b", "s"],
    )
    later = features(
        encoder, pa.table({"n": ["True", "0"], "b": ["1.0", "0"], "s": ["90", "0 days 00:00:05"]})
    )
    assert {name: values.tolist() for name, values in later.items()} == {
        "n": [1.0, 0.0],
        "b": [1.0, 0.0],
        "s": [90.0, 5.0],
    }


@pytest.mark.parametrize(
    ("form", "parts"),
    [
        ("%Y-%m", ("year", "month")),
        ("%m/%Y", ("year", "month")),
        ("%d %b %Y", ("year", "month", "day")),
        ("%b %d, %Y", ("year", "month", "day")),
        ("%d/%m/%y", ("year", "month", "day")),
    ],
)
def test_months_and_spelt_dates_are_dates(form, parts):
    days = pd.date_range("2019-01-31", periods=400, freq="D")
    read = dates.parse(pa.array(days.strftime(form)), dates.find_format(pa.array(days.strftime(form))))
    for part in parts:
        assert (dates.calendar(read, part) == getattr(days, part)).all()


@pytest.mark.parametrize("text", ["3-4-5", "2012-13", "12/3", "may 5", "A 1, 2020", "1900-1-x"])
def test_what_only_looks_like_a_date_is_none(text):
    assert dates.find_format(pa.array([text, text + "0"])) is None


def test_a_month_orders_rows_in_time_and_an_open_reading_is_told():
    months = pd.date_range("2010-01-01", periods=60, freq="MS")
    frame = pd.DataFrame({"month": months.strftime("%Y-%m"), "x": np.arange(60.0) % 7, "y": np.arange(60.0)})
    words = {"data": {"target": "y", "time": "month"}}
    made = prepare(load_config(flags=words, in_memory=True), frame)
    assert made.times[-1] == np.datetime64("2014-12-01")
    open_days = frame.assign(month=months.strftime("%d/%m/%Y"))
    told = prepare(load_config(flags=words, in_memory=True), open_days).quality.warnings
    assert any("%m/%d/%Y" in text and "%d/%m/%Y" in text for text in told)
