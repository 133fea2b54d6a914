"""Files and objects that are no tables get one message that says what would be right."""

from __future__ import annotations

import gzip
import os
import random
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raysearch.data import read_table

CSV = 'when,"größe, in m",it\'s "odd" [x],n\n2024-01-31,1.5,ja,1\n2024-02-29,2.5,nein,2\n'.replace(
    'it\'s "odd" [x]', '"it\'s ""odd"" [x]"'
)


@pytest.fixture
def table():
    return pa.table({"a": [1, 2], "b": ["x", "y"]})


def test_a_file_that_is_not_there_names_the_nearest(tmp_path, message):
    (tmp_path / "sales.csv").write_text(CSV)
    assert "did you mean 'sales.csv'" in message(tmp_path / "sale.csv")
    assert "the folder holds 'sales.csv'" in message(tmp_path / "quite-other.parquet")
    assert "nor the folder" in message(tmp_path / "no" / "x.csv")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("e.csv", b"", "empty"),
        ("blank.csv", b" \n\n", "empty"),
        ("e.parquet", b"", "empty"),
        ("head.csv", b"a,b\n", "no rows"),
        ("one.csv", b"a\n1\n2\n", "only one column"),
        ("words.csv", "caf\u00e9 noir\n1\n".encode(), "only one column"),
        ("double.csv", b"a,b,a\n1,2,3\n", "stand twice: 'a'"),
        ("unnamed.csv", b",a,b\n0,1,2\n", "column 1 has no name"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n", "3 values in row 3 where the header names 2"),
        ("latin.csv", "a,b\nx,caf\u00e9\n".encode("latin-1"), "not UTF-8 (byte 0xe9 in line 2)"),
        ("latinhead.csv", "a,caf\u00e9\nx,1\n".encode("latin-1"), "not UTF-8 (byte 0xe9 in line 1)"),
        ("utf16.csv", "a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("page.csv", b"<!DOCTYPE html><html><body>Sign in</body></html>", "a web page"),
        ("data.csv", b'{"a": 1, "b": 2}', "JSON"),
        ("zip.csv", b"PK\x03\x04" + b"\0" * 40, "zip or Excel"),
        ("raw.csv", b"a,b\n\x00\x01\x02,3\n", "binary data"),
        ("text.parquet", b"a,b\n1,2\n", "holds text, not a Parquet file"),
        ("cut.parquet", b"PAR1" + b"\1" * 50, "damaged or cut-off Parquet"),
        ("text.arrow", b"a,b\n1,2\n", "holds text, not an Arrow file"),
        ("cut.arrow", b"ARROW1\0\0" + b"\1" * 50, "damaged or cut-off Arrow"),
        ("text.xlsx", b"a,b\n1,2\n", "holds text, not a zip or Excel file"),
        ("cut.xlsx", b"PK\x03\x04" + b"\1" * 50, "damaged Excel"),
        ("text.csv.gz", b"a,b\n1,2\n", "not gzip-packed"),
        (
            "cut.csv.gz",
            gzip.compress(random.Random(0).randbytes(3000).hex().encode(), 9, mtime=0)[:900],
            "only one column",
        ),
        ("none.csv.gz", gzip.compress(b"", mtime=0), "empty"),
        ("inner.csv.gz", gzip.compress(b"PAR1" + b"\0" * 30, mtime=0), "packed Parquet file"),
        ("old.xls", b"\xd0\xcf\x11\xe0", "save it as .xlsx"),
        ("t.json", b"[]", "known are '.csv'"),
        ("noending", b"a,b\n1,2\n", "no ending"),
    ],
)
def test_bad_files_get_one_message(tmp_path, name, content, told, message):
    (tmp_path / name).write_bytes(content)
    text = message(tmp_path / name)
    assert told in text and name in text and text.startswith("data: ")


def test_a_parquet_file_by_another_name_is_told(tmp_path, table, message):
    pq.write_table(table, tmp_path / "t.csv")
    assert "holds a Parquet file, not CSV text" in message(tmp_path / "t.csv")
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as file:
        file.writestr("t.csv", CSV)
    assert "is a zip file, not an Excel workbook" in message(tmp_path / "t.xlsx")


def test_latin1_far_down_names_its_line(tmp_path, message):
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\n" + b"x,y\n" * 300_000 + "é,1\n".encode("latin-1") + b"z,1\n" * 10)
    assert "byte 0xe9 in line 300002" in message(path)


def test_cut_off_gzip_is_damaged(tmp_path, message):
    path = tmp_path / "x.csv.gz"
    rng = np.random.default_rng(0)
    body = "a,b\n" + "".join(f"{x},{x}\n" for x in rng.random(200_000))
    path.write_bytes(gzip.compress(body.encode(), 1)[:-200_000])
    assert "x.csv.gz is damaged" in message(path)


def test_a_quote_that_is_never_closed_is_told(tmp_path, message):
    path = tmp_path / "x.csv"
    path.write_text('a,b\n1,"fine\nhere"\n2,"open\n3,x\n4,y\n')
    assert "opened in row 3 and never closed" in message(path)
    path.write_text('a,b\n1,x\n2,"two\nlines"\n')
    assert read_table(path).num_rows == 2


def test_a_folder_and_an_unreadable_file_are_told(tmp_path, message):
    (tmp_path / "d.csv").mkdir()
    assert "is a folder" in message(tmp_path / "d.csv")
    path = tmp_path / "p.csv"
    path.write_text(CSV)
    path.chmod(0)
    if not os.access(path, os.R_OK):  # root may read everything
        assert "no permission" in message(path)


def test_the_role_begins_the_message(message):
    assert message("nowhere.csv", role="test data").startswith("test data: ")


def test_tables_without_rows_or_with_one_column_are_refused(message):
    assert "no rows" in message(pd.DataFrame({"a": [], "b": []}))
    assert "only one column" in message(pa.table({"a": [1]}))
    assert "no columns" in message(pd.DataFrame())


def test_frames_that_name_columns_twice_or_not_are_refused(message):
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "a", " "])
    text = message(frame)
    assert "stand twice: 'a'" in text and "column 3 has no name" in text


def test_names_that_are_no_text_at_all_are_refused(message):
    frame = pd.DataFrame([[1, 2]], columns=pd.Index(["\ud800", "b"], dtype=object))
    assert "cannot be turned into an Arrow table" in message(frame)
