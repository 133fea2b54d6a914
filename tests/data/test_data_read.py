"""read_table: every kind of file and object becomes one Arrow table."""

from __future__ import annotations

import datetime as dt
import decimal
import gzip
import io

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest

from raysearch.data import read_table

CSV = 'when,"größe, in m",it\'s "odd" [x],n\n2024-01-31,1.5,ja,1\n2024-02-29,2.5,nein,2\n'.replace(
    'it\'s "odd" [x]', '"it\'s ""odd"" [x]"'
)


@pytest.fixture
def table():
    return pa.table({"a b": [1, 2, None], "ünï": ["x", None, "z"], "t": [1.5, 2.5, 3.5]})


def test_csv_keeps_odd_names_types_and_nulls(tmp_path):
    path = tmp_path / "a table.csv"
    path.write_text(CSV, encoding="utf-8")
    table = read_table(path)
    assert table.column_names == ["when", "größe, in m", 'it\'s "odd" [x]', "n"]
    assert table.schema.types == [pa.date32(), pa.float64(), pa.string(), pa.int64()]


def test_csv_with_byte_order_mark_and_packed(tmp_path):
    (tmp_path / "b.csv").write_bytes(b"\xef\xbb\xbf" + CSV.encode())
    (tmp_path / "c.CSV.GZ").write_bytes(gzip.compress(b"\xef\xbb\xbf" + CSV.encode()))
    for name in ("b.csv", "c.CSV.GZ"):
        assert read_table(str(tmp_path / name)).column_names[0] == "when"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found_out(tmp_path, delimiter):
    path = tmp_path / "d.csv"
    rows = [["name", "value", "note"], ["a", "1", '"x, y; z"'], ["b", "2", '"two\nlines, here"']]
    path.write_text("\n".join(delimiter.join(row) for row in rows) + "\n")
    table = read_table(path)
    assert table.column_names == ["name", "value", "note"]
    assert table["note"].to_pylist() == ["x, y; z", "two\nlines, here"]


def test_decimal_commas_of_semicolon_files_are_numbers(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text("a;b;c\n1,5;2;x\n-2,25;3;y,z\n")
    table = read_table(path)
    assert table["a"].to_pylist() == [1.5, -2.25]
    assert table["b"].type == pa.int64() and table["c"].type == pa.string()


def test_words_for_nothing_are_null_among_numbers_and_texts_among_texts(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text('a,b,d\n1,NA,2024-01-01\n?,x,NA\n,None,\nNaN,"",2024-01-02\n')
    table = read_table(path)
    assert table["a"].null_count == 3 and table["d"].null_count == 2
    assert table["b"].to_pylist() == ["NA", "x", "None", None]


def test_a_late_text_or_float_in_a_column_of_integers_does_not_crash(tmp_path):
    path = tmp_path / "g.csv"
    rows = 900_000  # more than one block of the parser
    body = "".join(f"{i},{i % 7},{i % 5}\n" for i in range(rows))
    path.write_text("a,b,c\n" + body + "7,oops,2.5\n")
    table = read_table(path)
    assert path.stat().st_size > 8 << 20
    assert table.schema.types == [pa.int64(), pa.string(), pa.float64()]
    assert table["b"][-1].as_py() == "oops" and table["b"][0].as_py() == "0"


def test_a_row_longer_than_a_block_is_read(tmp_path):
    path = tmp_path / "h.csv"
    path.write_text('a,b\n1,"' + "x" * (9 << 20) + '"\n2,y\n')
    assert read_table(path).num_rows == 2


def test_files_of_arrow_and_parquet(tmp_path, table):
    pq.write_table(table, tmp_path / "t.parquet")
    pq.write_table(table, tmp_path / "t.pq")
    feather.write_feather(table, tmp_path / "t.feather")
    with ipc.new_file(str(tmp_path / "t.arrow"), table.schema) as writer:
        writer.write_table(table)
    with ipc.new_stream(str(tmp_path / "t.ipc"), table.schema) as writer:
        writer.write_table(table)
    for name in ("t.parquet", "t.pq", "t.feather", "t.arrow", "t.ipc"):
        assert read_table(tmp_path / name).equals(table), name


def test_excel_first_sheet(tmp_path, excel):
    excel(tmp_path / "t.xlsx", [["größe", "it's [x]", "y"], [1, "a", 2.5], [2, "b", 3.5], [3, None, 4.0]])
    table = read_table(tmp_path / "t.xlsx")
    assert table.column_names == ["größe", "it's [x]", "y"]
    assert table["größe"].to_pylist() == [1, 2, 3]
    assert table["it's [x]"].null_count == 1


def test_excel_with_doubled_and_empty_names_is_refused_by_its_own_names(tmp_path, message, excel):
    excel(tmp_path / "t.xlsx", [["a", "a", None], [1, 2, 3], [2, 3, 4]])
    text = message(tmp_path / "t.xlsx")
    assert "stand twice: 'a'" in text and "column 3 has no name" in text


def test_excel_cells_of_several_kinds_become_text(tmp_path, excel):
    excel(tmp_path / "t.xlsx", [["a", "b"], [1, 2], ["x", 3]])
    assert read_table(tmp_path / "t.xlsx")["a"].to_pylist() == ["1", "x"]


def test_pandas_frames(table):
    frame = pd.DataFrame(
        {
            1: [1, 2, 3],
            "mixed": [1, "a", None],
            "cat": pd.Categorical(["u", "v", "u"]),
            "dec": [decimal.Decimal("1.5"), None, decimal.Decimal("2")],
            "period": pd.period_range("2024-01", periods=3, freq="M"),
            "interval": pd.cut([1, 2, 3], 2),
            "tz": pd.date_range("2024-01-01", periods=3, tz="Europe/Berlin"),
        },
        index=pd.Index([5, 6, 7]),
    )
    read = read_table(frame)
    assert read.column_names == ["1", "mixed", "cat", "dec", "period", "interval", "tz"]
    assert read["mixed"].to_pylist() == ["1", "a", None]
    assert read["period"].to_pylist()[0] == "2024-01"
    assert pa.types.is_string(read["interval"].type)


def test_pandas_named_index_is_a_column_and_an_unnamed_one_is_not(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]}, index=pd.Index([8, 9], name="day"))
    assert read_table(frame).column_names == ["day", "a", "b"]
    frame.index.name = None
    assert read_table(frame).column_names == ["a", "b"]
    frame.to_parquet(tmp_path / "x.parquet")
    assert read_table(tmp_path / "x.parquet").column_names == ["a", "b"]


def test_polars_frames_and_streams(table, message):
    frame = pl.DataFrame(
        {
            "a": [1, None],
            "s": ["x", "y"],
            "c": pl.Series(["u", "v"], dtype=pl.Categorical),
            "d": [dt.date(2024, 1, 1)] * 2,
        }
    )
    read = read_table(frame)
    assert read.column_names == ["a", "s", "c", "d"]
    assert pa.types.is_large_string(read["s"].type) or pa.types.is_string(read["s"].type)
    assert read_table(pa.RecordBatchReader.from_batches(table.schema, table.to_batches())).equals(table)
    assert "collect()" in message(frame.lazy())


def test_objects_that_are_no_tables_are_refused(message):
    for thing in ({"a": [1]}, [1, 2], np.zeros((3, 2)), 7, None):
        assert "expected a path, a pandas or polars DataFrame" in message(thing)


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_addresses(tmp_path, scheme, message):
    if scheme == "file":
        path = tmp_path / "a b.csv"
        path.write_text(CSV)
        address = path.as_uri()
    else:
        import fsspec

        address = "memory://folder/t.csv"
        with fsspec.open(address, "w") as file:
            file.write(CSV)
    assert read_table(address).num_rows == 2
    assert "no file" in message(address.replace(".csv", "x.csv"))


def test_address_of_an_unknown_kind_is_refused_without_its_password(message):
    text = message("nosuch://user:secret@host/t.csv?token=abc")
    assert "nosuch://user:***@host/t.csv?token=***" in text and "secret" not in text and "abc" not in text


@pytest.mark.slow
def test_s3_at_a_server_of_ones_own(monkeypatch, table, message):
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="tables")
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        client.put_object(Bucket="tables", Key="deep/t.parquet", Body=buffer.getvalue())
        client.put_object(Bucket="tables", Key="empty.csv", Body=b"")
        assert read_table("s3://tables/deep/t.parquet").equals(table)
        assert "no file" in message("s3://tables/deep/u.parquet")
        assert "empty" in message("s3://tables/empty.csv")
        assert "s3://nobucket/t.csv" in message("s3://nobucket/t.csv")
    finally:
        server.stop()
