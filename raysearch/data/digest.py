"""A table's fingerprint: the same for the same cells, another when any one cell changes."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc

from raysearch.data.values import decode

LENGTH = 36  # hexadecimal characters; MLflow allows no longer digest of a dataset


class _Sink:
    """A file that only hashes what is written to it."""

    closed = False

    def __init__(self, digest: Any) -> None:
        self._digest = digest

    def write(self, data: Any) -> int:
        self._digest.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to close."""


def table_digest(*tables: Any) -> str:
    """Return 36 hexadecimal characters of the SHA-256 of names, types and all cells of pa.Tables.

    How the cells are cut into chunks, slices or dictionaries does not matter.
    """
    digest = hashlib.sha256()
    for table in tables:
        digest.update(f"table {table.num_columns} {table.num_rows}\n".encode())
        for name, column in zip(table.column_names, table.columns, strict=True):
            digest.update(f"{len(name.encode())} {name} {column.type}\n".encode())
            _add(digest, decode(column))
    return digest.hexdigest()[:LENGTH]


def _add(digest: Any, array: Any) -> None:
    # What lies under a null is not defined: nulls are told by a mask, and filled.
    if array.null_count:
        digest.update(np.packbits(pc.is_null(array).to_numpy(zero_copy_only=False)).tobytes())
        try:
            array = pc.fill_null(array, _zero(array.type))
        except (pa.ArrowException, TypeError, ValueError):
            digest.update(repr(array.to_pylist()).encode())
            return
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    with ipc.new_stream(pa.PythonFile(_Sink(digest), "w"), pa.schema([("", array.type)])) as writer:
        writer.write_batch(pa.record_batch([array], names=[""]))


def _zero(kind: Any) -> Any:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.scalar("", kind)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.scalar(b"", kind)
    if pa.types.is_boolean(kind):
        return pa.scalar(False)
    if pa.types.is_decimal(kind):
        return pa.scalar(0).cast(kind)
    wide = getattr(kind, "bit_width", 64)
    if pa.types.is_temporal(kind):
        return pa.scalar(0, pa.int32() if wide == 32 else pa.int64()).cast(kind)
    return pa.scalar(0, kind) if not pa.types.is_float16(kind) else pa.scalar(np.float16(0), kind)
