"""The encoder: any column becomes plain floats, and the same at prediction whatever comes."""

from __future__ import annotations

import datetime as dt
import decimal
import itertools
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysearch.data import Encoder
from raysearch.errors import DataError

N = 60
RNG = np.random.default_rng(0)


def fit(columns, names=None):
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    encoder = Encoder.fit(table, names or table.column_names)
    return encoder, encoder.transform(table)


def column(encoded, at=0):
    return encoded.features.column(at).to_numpy()


def kinds():
    """Return a column of every Arrow type that a table may hold."""
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=i) for i in range(N)]
    moments = [dt.datetime(2020, 1, 1, 5) + dt.timedelta(hours=7 * i) for i in range(N)]
    clocks = [dt.time(i % 24, i % 60) for i in range(N)]
    spans = [dt.timedelta(seconds=90 * i) for i in range(N)]
    words = [f"w{i % 4}" for i in range(N)]
    found = {
        str(t): pa.array([i % 50 for i in range(N)], t)
        for t in (pa.int8(), pa.uint16(), pa.int64(), pa.uint64())
    }
    found |= {
        "half": pa.array(np.arange(N, dtype=np.float16)),
        "float": pa.array(RNG.normal(size=N), pa.float32()),
        "double": pa.array(RNG.normal(size=N)),
        "bool": pa.array([i % 3 == 0 for i in range(N)]),
        "decimal": pa.array([decimal.Decimal(i) / 4 for i in range(N)], pa.decimal128(10, 2)),
        "decimal256": pa.array([decimal.Decimal(i) / 4 for i in range(N)], pa.decimal256(50, 2)),
        "null": pa.nulls(N),
        "text": pa.array(words),
        "large text": pa.array(words, pa.large_string()),
        "id text": pa.array([f"id {i}" for i in range(N)]),
        "number text": pa.array([str(i / 2) for i in range(N)]),
        "date text": pa.array([day.isoformat() for day in days]),
        "dictionary": pa.array(words).dictionary_encode(),
        "dictionary of numbers": pa.array([i % 5 for i in range(N)]).dictionary_encode(),
        "dictionary of dates": pa.array(days).dictionary_encode(),
        "date32": pa.array(days, pa.date32()),
        "date64": pa.array(days, pa.date64()),
        "time32": pa.array(clocks, pa.time32("s")),
        "time64": pa.array(clocks, pa.time64("us")),
        "list": pa.array([[i] for i in range(N)]),
        "struct": pa.array([{"a": i} for i in range(N)]),
        "binary": pa.array([b"x%d" % i for i in range(N)]),
        "month interval": pa.array([(1, 2, i) for i in range(N)], pa.month_day_nano_interval()),
    }
    for unit in ("s", "ms", "us", "ns"):
        found[f"timestamp {unit}"] = pa.array(moments, pa.timestamp(unit))
        found[f"duration {unit}"] = pa.array(spans, pa.duration(unit))
    found["zoned"] = pa.array(moments, pa.timestamp("us", "America/New_York"))
    return found


LEFT_OUT = {"null", "id text", "list", "struct", "binary", "month interval"}


def test_every_type_becomes_floats_that_lightgbm_takes_or_is_left_out_with_a_reason():
    encoder, encoded = fit(kinds())
    assert set(encoder.left_out) == LEFT_OUT and all(encoder.left_out.values())
    assert set(encoder.columns) == set(kinds()) - LEFT_OUT
    assert set(encoded.features.schema.types) <= {pa.float32(), pa.float64()}
    assert all(encoded.features.column(i).null_count == 0 for i in range(encoded.features.num_columns))
    assert encoded.features.column_names == [f"f{i}" for i in range(len(encoder.names))]
    assert len(encoder.categorical) == len(encoder.names)
    assert encoded.warnings == ()


def test_any_type_may_come_at_prediction_in_place_of_any_other():
    everything = kinds()
    encoder, _ = fit(everything)
    for kept, came in itertools.product(encoder.columns, everything):
        table = pa.table({kept: everything[came]})
        encoded = encoder.transform(table)
        assert encoded.features.num_rows == N
        assert any("not there" in text for text in encoded.warnings)
    for kept, came in itertools.product(("double", "bool", "text", "date32", "time32"), everything):
        for nothing in (everything[came].slice(0, 0), pa.nulls(N, everything[came].type)):
            encoded = encoder.transform(pa.table({kept: nothing}))
            assert all(np.isnan(column(encoded, i)).all() for i in range(len(encoder.names)))


def test_encoder_survives_json_and_is_deterministic():
    table = pa.table(kinds())
    encoder = Encoder.fit(table, table.column_names)
    again = Encoder.from_json(json.loads(json.dumps(encoder.to_json())))
    assert again == encoder == Encoder.fit(table, table.column_names)
    for i in range(len(encoder.names)):
        assert np.array_equal(
            column(again.transform(table), i), column(encoder.transform(table), i), equal_nan=True
        )
    with pytest.raises(DataError, match="version"):
        Encoder.from_json({"version": 9})


def test_chunks_and_slices_do_not_matter():
    table = pa.table(kinds())
    encoder = Encoder.fit(table, table.column_names)
    whole = encoder.transform(table)
    pieces = pa.concat_tables([table.slice(0, 7), table.slice(7, 30), table.slice(37)])
    assert Encoder.fit(pieces, table.column_names) == encoder
    for i in range(len(encoder.names)):
        assert np.array_equal(column(encoder.transform(pieces), i), column(whole, i), equal_nan=True)
        assert np.array_equal(
            column(encoder.transform(table.slice(5, 9)), i), column(whole, i)[5:14], equal_nan=True
        )


def test_float32_where_it_holds_the_values_exactly():
    encoder, encoded = fit(
        {"a": [1, 2, 16777217], "b": [1, 2, 3], "c": [0.1, 0.2, 0.3], "d": [0.5, 0.25, None]}
    )
    assert encoded.features.schema.types == [pa.float64(), pa.float32(), pa.float64(), pa.float32()]
    assert column(encoded, 0).tolist() == [1, 2, 16777217]
    later = encoder.transform(pa.table({"b": [1e300, 0.1, 1.0]}))
    assert np.isnan(column(later, 1)[0])


def test_categories_by_frequency_then_name_and_unseen_ones_missing():
    encoder, encoded = fit({"c a [1]": ["b", "b", "a", "c", None, "c"]})
    assert encoder.plans[0].categories == ("b", "c", "a")
    assert encoder.categorical == (True,) and encoder.names == ("c a [1]",)
    assert column(encoded).tolist()[:4] == [0.0, 0.0, 2.0, 1.0] and np.isnan(column(encoded)[4])
    later = encoder.transform(pa.table({"c a [1]": ["a", "zz", "zz", None]}))
    assert column(later)[0] == 2.0 and np.isnan(column(later)[1:]).all()
    assert "2 values were not seen in training" in later.warnings[0] and "'zz'" in later.warnings[0]


def test_at_most_a_thousand_categories():
    words = [f"w{i:04}" for i in range(1500) for _ in range(2)] + ["top"] * 3
    encoder, encoded = fit({"c": words})
    assert len(encoder.plans[0].categories) == 1000 and encoder.plans[0].categories[0] == "top"
    assert np.isnan(column(encoded)).sum() == 2 * 501
    assert encoded.warnings == ()


@pytest.mark.parametrize("came", [[1, 2, 10], [1.0, 2.0, 10.0], ["1", "2", "10"], ["1.0", "2.0", "1e1"]])
def test_numbers_as_categories_match_in_any_spelling(came):
    encoder, _ = fit({"c": pa.array(["1", "1", "1", "2", "2", "10"]).dictionary_encode()})
    assert encoder.categorical == (True,)
    assert column(encoder.transform(pa.table({"c": came}))).tolist() == [0.0, 1.0, 2.0]


def test_numbers_in_text_are_numbers_but_codes_with_zeros_are_not():
    encoder, encoded = fit({"n": ["1.5", " 2 ", "1e2", "NA"], "zip": ["01234", "00501", "01234", "90210"]})
    assert encoder.categorical == (False, True)
    assert column(encoded).tolist()[:3] == [1.5, 2.0, 100.0] and np.isnan(column(encoded)[3])
    encoder, encoded = fit({"n": [str(i) for i in range(100)] + ["unknown"] * 3})
    assert encoder.categorical == (False,)
    assert "3 values are not read as finite numbers" in encoded.warnings[0]


def test_values_that_cannot_be_converted_are_missing_and_counted():
    encoder, _ = fit(
        {"n": [1.0, 2.5, 3.0], "b": [True, False, True], "d": [dt.date(2020, i, i) for i in (1, 2, 3)]}
    )
    later = encoder.transform(
        pa.table({"n": ["1", "abc", None], "b": ["yes", "no", "perhaps"], "d": ["2020-02-02", "soon", None]})
    )
    assert column(later, 0)[0] == 1.0 and np.isnan(column(later, 0)[1:]).all()
    assert column(later, 1)[:2].tolist() == [1.0, 0.0] and np.isnan(column(later, 1)[2])
    assert column(later, 2)[0] == 2.0 and np.isnan(column(later, 2)[1])
    assert [text.split(":")[0] for text in later.warnings] == ["'n'", "'b'", "'d'"]
    assert all("1 value is not read as" in text for text in later.warnings)


def test_missing_columns_are_missing_values_and_told_and_none_at_all_is_refused():
    encoder, _ = fit({"a b": [1.0, 2.0, 3.0], "c": ["x", "y", "x"]})
    later = encoder.transform(pa.table({"c": ["y"], "other": [1]}))
    assert np.isnan(column(later, 0)[0]) and column(later, 1)[0] == 1.0
    assert later.warnings == ("columns not there, taken as missing in every row: 'a b'",)
    with pytest.raises(DataError, match="none of the model's columns is there; expected 'a b', 'c', got 'x'"):
        encoder.transform(pa.table({"x": [1]}))


def test_infinite_features_are_missing():
    _, encoded = fit({"a": [1.0, np.inf, -np.inf, 2.0]})
    assert np.isnan(column(encoded)[1:3]).all()
    assert "2 values are not read as finite numbers" in encoded.warnings[0]


def test_calendar_parts_only_where_they_vary():
    moments = pd.to_datetime(["2024-01-31 08:15", "2024-02-29 17:45", "2024-03-01 00:15"])
    encoder, encoded = fit(pa.table({"when": moments}))
    assert encoder.names == tuple(
        f"when: {part}" for part in ("month", "day", "weekday", "day of year", "hour", "minute")
    )
    assert column(encoded, 2).tolist() == [2.0, 3.0, 4.0]  # Wednesday, Thursday, Friday
    assert column(encoded, 3).tolist() == [31.0, 60.0, 61.0]
    assert encoded.features.schema.types == [pa.float32()] * 6


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%SZ",
        "%m/%d/%Y",
        "%d/%m/%Y %H:%M",
        "%d.%m.%Y",
        "%Y/%m/%d",
    ],
)
def test_dates_in_text_are_dates(form):
    days = pd.date_range("2021-01-05 10:20", periods=70, freq="29h")
    encoder, encoded = fit({"d": list(days.strftime(form))})
    month = encoder.names.index("d: month")
    assert column(encoded, month).tolist() == days.month.tolist()
    later = encoder.transform(pa.table({"d": ["2023-04-05"]}))  # ISO is understood beside the learned format
    assert column(later, month).tolist() == [4.0]
    typed = encoder.transform(pa.table({"d": [dt.datetime(2023, 5, 6)]}))
    assert column(typed, month).tolist() == [5.0]


def test_zoned_times_are_told_by_the_clock_on_the_wall():
    moments = pa.array([dt.datetime(2024, 7, 1, 12), dt.datetime(2024, 7, 2, 13)], pa.timestamp("us", "UTC"))
    encoder, encoded = fit({"t": moments.cast(pa.timestamp("us", "America/New_York"))})
    hour = encoder.names.index("t: hour")
    assert column(encoded, hour).tolist() == [8.0, 9.0]
    assert column(encoder.transform(pa.table({"t": moments})), hour).tolist() == [8.0, 9.0]


def test_what_says_nothing_is_left_out_with_its_reason():
    encoder, _ = fit(
        {
            "same": ["x"] * 60,
            "one": [1.0] * 60,
            "day": [dt.date(2024, 1, 1)] * 60,
            "none": pa.nulls(60, pa.float64()),
            "nan": [float("nan")] * 60,
            "id": [f"id{i}" for i in range(60)],
            "flag": [1.0] + [None] * 59,
            "x": list(range(60)),
        }
    )
    assert encoder.columns == ("flag", "x")  # whether a flag is missing tells something
    assert encoder.left_out["id"] == "id-like: 60 different values in 60 rows"
    assert encoder.left_out["same"].startswith("constant") and encoder.left_out["one"].startswith("constant")
    with pytest.raises(DataError, match="no column is left to learn from"):
        fit({"same": ["x"] * 60})


@settings(deadline=None, max_examples=60)
@given(
    words=st.lists(st.one_of(st.none(), st.text(max_size=6)), min_size=3, max_size=40),
    later=st.lists(st.one_of(st.none(), st.text(max_size=6)), min_size=1, max_size=10),
)
def test_any_text_is_encoded_without_an_error(words, later):
    table = pa.table({"t": pa.array(words, pa.string()), "x": list(range(len(words)))})
    encoder = Encoder.fit(table, ["t", "x"])
    assert Encoder.from_json(json.loads(json.dumps(encoder.to_json()))) == encoder
    encoder.transform(pa.table({"t": pa.array(later, pa.string()), "x": pa.nulls(len(later))}))


@settings(deadline=None, max_examples=60)
@given(values=st.lists(st.one_of(st.none(), st.floats(width=64)), min_size=2, max_size=40))
def test_any_float_is_kept_or_missing(values):
    table = pa.table({"a": pa.array(values, pa.float64()), "x": list(range(len(values)))})
    encoder = Encoder.fit(table, ["a", "x"])
    if "a" in encoder.columns:
        wanted = np.array([np.nan if v is None or not np.isfinite(v) else v for v in values])
        assert np.array_equal(column(encoder.transform(table)), wanted, equal_nan=True)
