"""The data quality report and the digest see every cell."""

from __future__ import annotations

import datetime as dt
import decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raysearch.data import Encoder, read_table
from raysearch.data.digest import table_digest
from raysearch.data.quality import assess


def report(table, columns=None):
    encoder = Encoder.fit(table, columns or [name for name in table.column_names if name != "y"])
    return assess(table, encoder, keys={"y": "target"}, without_target=0, warnings=["told before"])


def test_columns_are_described():
    n = 80
    table = pa.table(
        {
            "row no": list(range(n)),
            "id": [f"k{i}" for i in range(n)],
            "c": ["a", "b", None, "a"] * (n // 4),
            "one": [1] * n,
            "sparse": pa.array([None] * 60 + [1.0, float("nan"), 3.0, 2.0] * 5, pa.float64()),
            "nest": [[1], [2]] * (n // 2),
            "y": np.arange(n) / 7,
        }
    )
    quality = report(table)
    by_name = {column.name: column for column in quality.columns}
    assert [column.name for column in quality.columns] == table.column_names
    assert by_name["c"].missing == 20 and by_name["c"].distinct == 2 and by_name["c"].kind == "category"
    assert by_name["sparse"].missing == 65 and by_name["sparse"].distinct == 3
    assert by_name["y"].note == "target" and not by_name["y"].used
    assert by_name["nest"].kind == "nested" and not by_name["nest"].used and "list" in by_name["nest"].note
    assert quality.constant_columns == ("one",) and quality.id_like_columns == ("row no", "id")
    assert by_name["row no"].used and "row number" in by_name["row no"].note
    assert quality.warnings[0] == "told before"
    assert any("more than half" in text and "'sparse'" in text for text in quality.warnings)
    assert any("columns left out" in text and "'id'" in text for text in quality.warnings)


def test_a_target_of_whole_numbers_is_no_row_number_and_binary_columns_are_told():
    table = pa.table({"x": [0.5 * i for i in range(80)], "b": [b"u", b"v"] * 40, "y": list(range(80))})
    quality = report(table)
    assert quality.id_like_columns == () and quality.columns[2].note == "target"
    assert quality.warnings[1:] == ("columns left out: 'b' (cells of type binary are not used)",)


def test_duplicate_rows_are_counted_whatever_the_types():
    rows = {
        "f": [0.0, -0.0, float("nan"), float("nan"), 1.0],
        "s": ["a", "a", None, None, "a"],
        "n": [[1], [1], [2], [2], [1]],
        "y": [1, 1, 2, 2, 3],
    }
    assert report(pa.table(rows), ["f", "s"]).duplicate_rows == 2
    swapped = pa.table({"a": [1, 2, 3], "b": [2, 1, 3], "y": [0.0, 0.0, 0.0]})
    assert report(swapped).duplicate_rows == 0


CELLS = {
    "int": (pa.array([1, None, 3]), 9),
    "float": (pa.array([1.5, None, 3.0]), 9.0),
    "text": (pa.array(["a", None, ""]), "zz"),
    "large": (pa.array(["a", None, ""], pa.large_string()), "zz"),
    "bool": (pa.array([True, None, False]), True),
    "date": (pa.array([dt.date(2024, 1, 1), None, dt.date(2024, 1, 3)]), dt.date(2025, 1, 1)),
    "time": (pa.array([dt.time(1), None, dt.time(3)]), dt.time(4)),
    "when": (pa.array([dt.datetime(2024, 1, 1), None, dt.datetime(2024, 1, 3)]), dt.datetime(2025, 1, 1)),
    "span": (pa.array([dt.timedelta(1), None, dt.timedelta(3)]), dt.timedelta(9)),
    "decimal": (pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("3.00")]), decimal.Decimal("9.00")),
    "dictionary": (pa.array(["a", None, "c"]).dictionary_encode(), "zz"),
    "binary": (pa.array([b"a", None, b""]), b"zz"),
    "list": (pa.array([[1], None, []]), [9]),
    "half": (pa.array([1.0, None, 3.0], pa.float16()), 9.0),
}


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_digest_changes_with_any_cell(kind, at):
    array, other = CELLS[kind]
    cells = array.to_pylist()
    before = table_digest(pa.table({"k": array}))
    assert len(before) == 36 and before == table_digest(pa.table({"k": array}))
    for new in (other, None):
        if cells[at] is None and new is None:
            continue
        changed = [*cells[:at], new, *cells[at + 1 :]]
        rebuilt = (
            pa.array(changed, array.type.value_type).dictionary_encode() if kind == "dictionary" else None
        )
        rebuilt = pa.array(changed, array.type) if rebuilt is None else rebuilt
        same = rebuilt.to_pylist() == cells
        assert (table_digest(pa.table({"k": rebuilt})) == before) is same


def test_digest_tells_null_from_empty_and_looks_at_names_types_and_order():
    base = pa.table({"a": [1, 2, 3], "b": ["", None, "x"]})
    others = [
        pa.table({"a": [1, 2, 3], "b": [None, "", "x"]}),
        pa.table({"a": [1, 2, 3], "c": ["", None, "x"]}),
        base.select(["b", "a"]),
        base.take([0, 2, 1]),
        base.set_column(0, "a", pa.array([1, 2, 3], pa.int32())),
        base.slice(0, 2),
    ]
    digests = [table_digest(table) for table in (base, *others)]
    assert len(set(digests)) == len(digests)


def test_digest_does_not_look_at_chunks_or_slices(tmp_path):
    table = pa.table({name: array for name, (array, _) in CELLS.items() if name != "half"})
    triple = pa.concat_tables([table, table, table])
    assert table_digest(triple) == table_digest(triple.combine_chunks())
    assert table_digest(triple.slice(3, 3)) == table_digest(table)
    assert table_digest(triple.slice(1, 5)) == table_digest(triple.slice(4, 5))
    pq.write_table(triple, tmp_path / "a.parquet", row_group_size=2)
    assert table_digest(read_table(tmp_path / "a.parquet")) == table_digest(
        read_table(tmp_path / "a.parquet")
    )


def test_words_for_nothing_are_missing_among_numbers_and_values_among_texts():
    table = pa.table(
        {
            "n": ["1", "2", "NA", "-"] * 10,
            "d": ["2024-01-01", "2024-02-02", "NA", None] * 10,
            "c": ["NA", "x", "", None] * 10,
            "y": ["1.5", "2", "3", "NA"] * 10,
        }
    )
    made = assess(
        table, Encoder.fit(table, ["n", "d", "c"]), keys={"y": "target"}, without_target=10, warnings=[]
    )
    n, d, c, y = made.columns
    assert (n.kind, n.missing, n.distinct) == ("number", 20, 2)
    assert (d.kind, d.missing) == ("datetime", 20)
    assert (c.kind, c.missing, c.note) == ("category", 20, "'NA' counted as a value, not as missing")
    assert y.missing == 10
