"""What a file holds, told from its first bytes, so that a wrong ending gets a plain answer."""

from __future__ import annotations

from raysearch.data.address import Source
from raysearch.errors import DataError

_MAGIC = (
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"FEA1", "an Arrow file"),
    (b"\xff\xff\xff\xff", "an Arrow file"),
    (b"PK\x03\x04", "a zip or Excel file"),
    (b"PK\x05\x06", "a zip or Excel file"),
    (b"\x1f\x8b", "gzip-packed data"),
    (b"BZh", "bzip2-packed data"),
    (b"\x28\xb5\x2f\xfd", "zstd-packed data"),
    (b"\xfd7zXZ", "xz-packed data"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Office file"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
)
_EXPECTED = {
    ".csv": "CSV text",
    ".csv.gz": "gzip-packed data",
    ".parquet": "a Parquet file",
    ".pq": "a Parquet file",
    ".arrow": "an Arrow file",
    ".feather": "an Arrow file",
    ".ipc": "an Arrow file",
    ".xlsx": "a zip or Excel file",
}
_RIGHT = {
    "a Parquet file": "rename it to end in .parquet",
    "an Arrow file": "rename it to end in .arrow",
    "a zip or Excel file": "rename it to .xlsx if it is an Excel sheet, else unpack it first",
    "gzip-packed data": "rename it to end in .csv.gz if it is a packed CSV file, else unpack it first",
    "an old Excel or Office file": "save it as .xlsx",
    "UTF-16 text": "save it as UTF-8",
    "a web page": "the download may have met a login or error page",
    "JSON": "save it as .csv or .parquet",
    "CSV text": "rename it to end in .csv",
}


def check_content(source: Source, role: str) -> None:
    """Refuse a file whose content is plainly not what its ending says.

    Raises:
        DataError: naming what the file holds and what would be right.
    """
    expected = _EXPECTED[source.ending]
    found = told_by(source.head(4096))
    if found == expected:
        return
    fix = _RIGHT.get(found, f"give {_article(expected)}")
    if found == "text" and expected != "CSV text":
        fix = "rename it to end in .csv if it is CSV text"
    elif found == "text":
        return
    raise DataError(f"{role}: {source.address} holds {found}, not {expected} as its ending says; {fix}")


def told_by(head: bytes) -> str:
    """Name what the first bytes of a file belong to."""
    for magic, what in _MAGIC:
        if head.startswith(magic):
            return what
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!doctype")):
        return "XML" if start.startswith(b"<?xml") and b"<html" not in start else "a web page"
    if start.startswith((b'{"', b"{'", b"[{", b"{\n", b"[\n")):
        return "JSON"
    if head.count(b"\0") > len(head) // 4 and b"\0" in head[1:4]:
        return "UTF-16 text"
    return "binary data" if b"\0" in head else "text"


def _article(expected: str) -> str:
    return "a file of text" if expected == "CSV text" else expected
