"""CSV text to an Arrow table: the delimiter, the encoding and the decimal sign are found out."""

from __future__ import annotations

import codecs
import csv
import re
import zlib
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from raysearch.data.address import Source, brief
from raysearch.data.content import told_by
from raysearch.data.values import NULL_WORDS, decode, spoken
from raysearch.errors import DataError

_DELIMITERS = ",;\t|"
_HEAD = 1 << 18
_BLOCKS = (8 << 20, 1 << 30)  # bytes; the second for rows longer than the first
_WHOLE_OR_COMMA = r"^\s*[+-]?\d+(,\d+)?([eE][+-]?\d+)?\s*$"
_DECIMAL_COMMA = r"^\s*[+-]?\d+,\d+([eE][+-]?\d+)?\s*$"


@dataclass(frozen=True)
class _Form:
    """How the text of a table is to be taken.

    Attributes:
        lone: there is one column only, so that an empty line is a row whose value is missing.
        skipped: empty lines before the names of a lone column.
        texts: columns that stay as they are written.
    """

    delimiter: str
    decimal: str = "."
    lone: bool = False
    skipped: int = 0
    texts: tuple[str, ...] = ()


def read_csv(source: Source, role: str, *, least_columns: int = 2, as_written: bool = False) -> Any:
    """Read a ``.csv`` or ``.csv.gz`` file.

    Types come from all rows: a column of whole numbers with one text further down is text. Words such as NA
    are null among numbers, dates and truths; in a column of texts only the empty cell is.

    Args:
        as_written: leave every column text, for rows that come to an encoding that is known: what "01" or
            "NA" is was settled by the rows it was learned from, not by those beside it.

    Returns:
        pa.Table as the file has it, names not yet checked.

    Raises:
        DataError: not UTF-8, one column, rows of unequal length, damaged packing.
    """
    where = f"{role}: {source.address}"
    head = _text_head(source, where)
    delimiter = find_delimiter(head)
    if delimiter is None and least_columns > 1:
        first = head.splitlines()[0][:60] if head.strip() else ""
        raise DataError(
            f"{where} has only one column ({first!r}); a table needs a target and at least one more, "
            "separated by comma, semicolon, tab or |"
        )
    form = _Form(delimiter or ",", lone=delimiter is None)
    if form.lone:
        form = replace(form, skipped=len(re.match(r"(\r?\n)*", head)[0].splitlines()))  # type: ignore[index]
    table = _parse(source, where, form)
    if form.delimiter != "," and _has_decimal_comma(table):
        form = replace(form, decimal=",")
        table = _parse(source, where, form)
    _check_encoding(table, source, where)
    _check_quotes(table, source, where)
    if as_written and len(set(table.column_names)) == table.num_columns:
        # A number with a decimal comma would be none any more.
        texts = [f.name for f in table.schema if form.decimal == "." or not pa.types.is_floating(f.type)]
        table = _parse(source, where, replace(form, texts=tuple(texts)))
    return _without_empty_texts(table)


def _without_empty_texts(table: Any) -> Any:
    """Return the table with null for the empty texts."""
    for i, column in enumerate(table.columns):
        if pa.types.is_string(column.type):
            filled = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
            table = table.set_column(i, table.field(i).name, filled)
    return table


def find_delimiter(head: str) -> str | None:
    """Return which of ``, ; tab |`` parts the first lines most evenly, or None when none parts the header."""
    complete = head.rsplit("\n", 1)[0] if len(head) >= _HEAD // 2 and "\n" in head else head
    best: tuple[float, int] = (0.0, 1)
    chosen = None
    for delimiter in _DELIMITERS:
        widths = _widths(complete, delimiter)
        if not widths or widths[0] < 2:
            continue
        # A line that agrees with the header in its number of values speaks for the delimiter.
        score = (round(sum(width == widths[0] for width in widths) / len(widths), 2), widths[0])
        if score > best:
            best, chosen = score, delimiter
    return chosen


def _widths(text: str, delimiter: str, lines: int = 30) -> list[int]:
    widths: list[int] = []
    try:
        for row in csv.reader(text.splitlines(keepends=True), delimiter=delimiter):
            if row:
                widths.append(len(row))
            if len(widths) >= lines:
                break
    except csv.Error:
        pass
    return widths


def _text_head(source: Source, where: str) -> str:
    raw = source.head(_HEAD)
    if source.ending == ".csv.gz":
        try:
            raw = zlib.decompressobj(wbits=31).decompress(raw, _HEAD)
        except zlib.error as error:
            raise DataError(f"{where} is damaged: {brief(error)}; pack it again") from error
        if not raw:
            raise DataError(f"{where} is empty once unpacked")
        if (found := told_by(raw)) not in ("text", "UTF-16 text"):
            raise DataError(f"{where} holds packed {found.removeprefix('a ')}, not packed CSV text")
    if told_by(raw) == "UTF-16 text":
        raise DataError(f"{where} is UTF-16 text; save it as UTF-8")
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(raw)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(_not_utf8(raw[error.start], line, where)) from error
    if not text.strip():
        raise DataError(f"{where} is empty: it holds only blanks")
    return text


def _not_utf8(byte: int, line: int, where: str) -> str:
    return (
        f"{where} is not UTF-8 (byte 0x{byte:02x} in line {line}); it looks like Latin-1 or Windows-1252: "
        "save it as UTF-8, e.g. iconv -f WINDOWS-1252 -t UTF-8"
    )


def _parse(source: Source, where: str, form: _Form) -> Any:
    error: Exception | None = None
    for block in _BLOCKS:
        try:
            return _read(source, form, block, threads=True)
        except (pa.ArrowInvalid, UnicodeDecodeError, OSError) as raised:
            error = raised
            if "straddl" not in str(raised):
                break
    assert error is not None
    raise DataError(f"{where} {_reason(error, source, form)}") from error


def _read(source: Source, form: _Form, block: int, threads: bool) -> Any:
    with source.open() as file:
        stream = pa.CompressedInputStream(file, "gzip") if source.ending == ".csv.gz" else file
        return pacsv.read_csv(
            stream,
            read_options=pacsv.ReadOptions(block_size=block, use_threads=threads, skip_rows=form.skipped),
            parse_options=pacsv.ParseOptions(
                delimiter=form.delimiter,
                newlines_in_values=True,  # without this a block may end inside a quoted text
                ignore_empty_lines=not form.lone,
                invalid_row_handler=lambda row: "error" if row.text.strip(" ") else "skip",
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(form.texts, pa.string()),
                null_values=list(NULL_WORDS),
                true_values=["true", "True", "TRUE"],
                false_values=["false", "False", "FALSE"],
                decimal_point=form.decimal,
            ),
        )


def _reason(error: Exception, source: Source, form: _Form) -> str:
    text = brief(error)
    if isinstance(error, UnicodeDecodeError):
        return "has column names that are not UTF-8; save it as UTF-8"
    if source.ending == ".csv.gz" and ("zlib" in text.lower() or "compressed" in text.lower()):
        return f"is damaged: {text}; pack it again"
    if "Expected" in text and "columns" in text:
        # Only one thread knows row numbers; the file is read again for the message alone.
        try:
            _read(source, form, _BLOCKS[0], threads=False)
        except (pa.ArrowInvalid, OSError) as again:
            text = brief(again)
        told = re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)(?:: (.*))?", text)
        if told:
            row = f"row {told[1]}" if told[1] else "a row"
            begin = f" ({told[4][:60]!r})" if told[4] else ""
            return (
                f"has {told[3]} values in {row} where the header names {told[2]}{begin}; "
                "put quotes around texts that hold the delimiter"
            )
    return f"cannot be read as CSV: {text}"


def _has_decimal_comma(table: Any) -> bool:
    """Tell whether numbers are written 1,5: some column has only such texts, and none has points."""
    if any(pa.types.is_floating(kind) for kind in table.schema.types):
        return False
    for column in table.columns:
        if not pa.types.is_string(column.type):
            continue
        sample = spoken(decode(column.slice(0, 2000)))
        if not len(sample) or not pc.all(pc.match_substring_regex(sample, _WHOLE_OR_COMMA)).as_py():
            continue
        if pc.any(pc.match_substring_regex(sample, _DECIMAL_COMMA)).as_py():
            return True
    return False


def _check_quotes(table: Any, source: Source, where: str) -> None:
    """A quote that is never closed swallows all that follows, up to the end of the file."""
    if not table.num_rows or not pa.types.is_string(table.schema.types[-1]):
        return
    last = table.column(table.num_columns - 1)[-1].as_py() or ""
    if "\n" not in last:
        return
    if source.ending == ".csv.gz":
        closed = not last.endswith("\n")
    else:
        with source.open() as file:
            file.seek(max(file.size() - 64, 0))
            closed = bytes(file.read(64)).rstrip().endswith(b'"')
    if not closed:
        raise DataError(
            f"{where}: a quote is opened in row {table.num_rows + 1} and never closed ({last[:40]!r}); "
            "close it, or write a quote inside a text twice"
        )


def _check_encoding(table: Any, source: Source, where: str) -> None:
    """Text that is not UTF-8 comes back as binary columns: find the place and tell it."""
    if not any(pa.types.is_binary(kind) for kind in table.schema.types):
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    with source.open() as file:
        stream = pa.CompressedInputStream(file, "gzip") if source.ending == ".csv.gz" else file
        while chunk := stream.read(1 << 20):
            try:
                line += decoder.decode(chunk).count("\n")
            except UnicodeDecodeError as error:
                # The decoder may hold the begin of a character from the chunk before.
                seen = error.object[: error.start]
                raise DataError(
                    _not_utf8(error.object[error.start], line + seen.count(b"\n"), where)
                ) from error
    raise DataError(f"{where} is not UTF-8; save it as UTF-8")
