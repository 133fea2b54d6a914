"""The record of a study's folds: which rows each learns from and is scored on, and their fingerprint."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raysearch.data.digest import LENGTH
from raysearch.errors import StudyError
from raysearch.records import DatasetFacts, FoldFacts, FoldRows

if TYPE_CHECKING:
    from raysearch.data.prepare import Dataset


def with_folds(dataset: Dataset) -> DatasetFacts:
    """Return the facts with a line a fold (one where rows are not validated in folds) and their digest."""
    lines = tuple(_line(dataset, number, fold) for number, fold in enumerate(dataset.fits))
    return replace(dataset.facts, folds=lines, split_digest=split_digest(dataset))


def split_digest(dataset: Dataset) -> str:
    """Return 36 hexadecimal characters of the SHA-256 of which rows serve for what, in every fold.

    Rows are told by their number in the user's table, so that other features change nothing.
    """
    digest = hashlib.sha256()
    for fold in dataset.fits:
        for name, stretches in (("learnt", fold.train), ("scored", (fold.watch,))):
            _add(digest, name, _at(dataset.positions, stretches))
    _add(digest, "test", dataset.positions[slice(*dataset.parts["test"])])
    return digest.hexdigest()[:LENGTH]


def _add(digest: Any, name: str, positions: Any) -> None:
    digest.update(f"{name} {len(positions)}\n".encode())
    digest.update(np.ascontiguousarray(positions, dtype="<i8").tobytes())


def _line(dataset: Dataset, number: int, fold: FoldRows) -> FoldFacts:
    learnt, scored = _span(dataset, fold.train), _span(dataset, (fold.watch,))
    return FoldFacts(number, *learnt, *scored)


def _span(dataset: Dataset, stretches: Any) -> tuple[int, str, str, int | None]:
    """Return rows, first and last time ("" without times) and groups (None without groups) of stretches."""
    rows = sum(stop - start for start, stop in stretches)
    first = last = ""
    if dataset.times is not None and rows:
        times = _at(dataset.times, stretches)
        first, last = _told(times.min()), _told(times.max())
    groups = None if dataset.groups is None else len(np.unique(_at(dataset.groups, stretches)))
    return rows, first, last, groups


def _at(values: Any, stretches: Any) -> Any:
    return np.concatenate([values[start:stop] for start, stop in stretches])


def _told(time: Any) -> str:
    if not isinstance(time, np.datetime64):
        return f"{time:.10g}"
    text = str(time.astype("datetime64[s]"))
    return text.removesuffix("T00:00:00").replace("T", " ")


def folds_csv(facts: DatasetFacts) -> str:
    """Return the record of the folds as CSV: a line a fold, times in UTC where they are instants."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in dataclasses.fields(FoldFacts)])
    writer.writerows(dataclasses.astuple(fold) for fold in facts.folds)
    return out.getvalue()


def write_folds(facts: DatasetFacts, directory: Path) -> None:
    """Write ``folds.csv``, the record of the folds, whole or not at all.

    Raises:
        StudyError: it cannot be written.
    """
    part, whole = directory / "folds.csv.part", directory / "folds.csv"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        part.write_text(folds_csv(facts), encoding="utf-8")
        part.replace(whole)
    except OSError as error:
        raise StudyError(f"{whole}: cannot be written: {error.strerror}") from error
