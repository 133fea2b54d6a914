"""What is known of a table: its columns, its rows' parts, its folds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ColumnQuality:
    """What one column of the user's table looks like.

    Attributes:
        kind: number, boolean, category, datetime, time, duration, nested or empty.
        missing: rows without a value (null or NaN).
        distinct: distinct values, missing not counted.
        note: why the column is left out of the features or deserves a look; empty when nothing is odd.
    """

    name: str
    kind: str
    missing: int
    distinct: int
    used: bool
    note: str = ""


@dataclass(frozen=True)
class DataQuality:
    """The data quality report: rows are those of the user's table, before any were left out."""

    rows: int
    columns: tuple[ColumnQuality, ...]
    duplicate_rows: int
    rows_without_target: int
    constant_columns: tuple[str, ...]
    id_like_columns: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoldFacts:
    """What one fold learns from and is scored on: rows, first and last time, groups.

    Attributes:
        learnt_first, learnt_last, scored_first, scored_last: times as text; empty without a time column.
        learnt_groups, scored_groups: distinct groups; None without a group column.
    """

    fold: int
    learnt_rows: int
    learnt_first: str
    learnt_last: str
    learnt_groups: int | None
    scored_rows: int
    scored_first: str
    scored_last: str
    scored_groups: int | None


@dataclass(frozen=True)
class DatasetFacts:
    """What identifies a dataset in the record.

    Attributes:
        digest: 36 hexadecimal characters of the SHA-256 of all cells, names and types.
        schema: (column, Arrow type) in the table's order.
        split: rows by part, e.g. {"train": 6000, "valid": 1500, "test": 1900, "purged": 210}.
        folds: what each fold learns from and is scored on; one line without folds.
        split_digest: 36 hexadecimal characters of the SHA-256 of which rows serve for what, fold by fold.
    """

    name: str
    source: str
    digest: str
    rows: int
    schema: tuple[tuple[str, str], ...]
    split: Mapping[str, int]
    folds: tuple[FoldFacts, ...] = ()
    split_digest: str = ""

    @property
    def data_digest(self) -> str:
        """Return what tells data apart as trials see it: other cells or other folds give another."""
        both = hashlib.sha256(f"{self.digest} {self.split_digest}".encode()).hexdigest()
        return both[: len(self.digest)] if self.split_digest else self.digest


@dataclass(frozen=True)
class FoldRows:
    """One training of a trial: the rows to learn from and those to score on, in the shared table.

    Attributes:
        train: (start, stop) of the stretches of rows to learn from.
        watch: (start, stop) of the rows to score on, which are in none of them.
    """

    train: tuple[tuple[int, int], ...]
    watch: tuple[int, int]
