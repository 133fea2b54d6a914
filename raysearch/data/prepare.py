"""From what the user gave to what trials share: one Arrow table of floats, its parts, and its facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysearch.calibration import Folds
from raysearch.config import Config, DataConfig, window_steps
from raysearch.data.calibrating import calibrating_folds, first_fold, parts_of
from raysearch.data.check import Usable, check_learnable
from raysearch.data.digest import table_digest
from raysearch.data.encode import Encoder
from raysearch.data.fold_facts import with_folds
from raysearch.data.given import Given, anchored, given_table, given_test, with_past
from raysearch.data.monotone import monotone_signs
from raysearch.data.quality import DROPPED, KNOWN_LATER, NOT_CHOSEN, WEIGHT, assess
from raysearch.data.series import Series
from raysearch.data.series_fit import fit_series
from raysearch.data.split import Keys, Split, split_rows, without_effect
from raysearch.data.suspects import find_suspects, refuse
from raysearch.data.transform import Transform
from raysearch.data.unseen import unseen_features
from raysearch.errors import listing
from raysearch.records import DataQuality, DatasetFacts, FoldRows


@dataclass(frozen=True)
class Dataset:
    """A table made ready for trials.

    Attributes:
        table: rows in the order train, valid, test: features f0..fN (float32 or float64, missing is NaN),
            "target" (float64, in its own units) and, where there is one, "anchor" (float64) and "weight"
            (float64, 1 in the mean of train and valid).
        parts: "train", "valid", "test" -> (start, stop) in the table; test may be empty. Where rows are
            validated in folds, "train" holds all that are learnt from, "valid" all that a fold is scored on.
        fits: the trainings of a trial: one, or one a fold.
        groups: [rows] str, or None.
        times: [rows] datetime64[us] (UTC) or float64, or None.
        positions: [rows] row number in the user's table; those of a test table count on from its end.
        folds: which validation rows calibrate which.
        first: which of the first fold's rows do, where it ranks trials as all folds do: not in time.
        cv: folds that take turns in validation; 1: a single part.
        monotone: for each feature 1 or -1 where forecasts must rise or fall with it; empty: none must.
        series: how features of the past were made, where they were.
        recent: first of the train and valid rows that a model fitted anew on the latest rows learns from.
        purge: distinct times across which targets reach, that lie between what is learnt and what is scored.
        unseen: positions of features whose values in later rows are none of the earlier ones, in time.
    """

    table: pa.Table
    parts: Mapping[str, tuple[int, int]]
    fits: tuple[FoldRows, ...]
    groups: Any
    times: Any
    positions: npt.NDArray[np.int64]
    encoder: Encoder
    transform: Transform
    facts: DatasetFacts
    quality: DataQuality
    folds: Folds
    cv: int
    monotone: tuple[int, ...] = ()
    series: Series | None = None
    recent: int = 0
    unseen: tuple[int, ...] = ()
    purge: int = 0
    first: Folds | None = None


def prepare(config: Config, table: Any | None = None) -> Dataset:
    """Read, check, split and encode the table of a study.

    Features, encoding and the train and valid parts never depend on what test rows hold, only on how many
    there are and when.

    Args:
        table: an object or path as in ``read_table``, in place of ``config.data.path``.

    Raises:
        DataError: the table cannot be read or tuned on; all problems of a table at once. With
            ``data.strict`` also all signs of leakage, which are warnings otherwise.
    """
    data = config.data
    by_time = config.by_time
    main = given_table(config, table, by_time)
    extra = given_test(data, by_time, main) if data.test_path else None
    series = None if data.horizon is None else fit_series(main.table, data)
    if series is not None:
        main, extra = with_past(series, main, extra)
        config = _in_times(config, series.times_a_step(main.table))
        if data.transform == "change" and data.anchor is None:
            config = config.replace("data", anchor=series.base)
            main = anchored(main, series.base)
            extra = None if extra is None else anchored(extra, series.base)
    keys = Keys(
        len(main.usable.rows),
        main.usable.times,
        main.usable.groups,
        None if extra is None else extra.usable.times,
    )
    split = split_rows(keys, config.split, config.search.seed, test=extra is None)
    config = config.replace(
        "split", cv=max(1, len(split.folds)) if config.split.cv is None else config.split.cv
    )
    dataset = _assemble(config, main, extra, split, series)
    dataset = replace(dataset, facts=with_folds(dataset))
    suspects = find_suspects(dataset, main.table, data, by_group=split.by == "group")
    if data.strict:
        refuse(suspects)
    told = (*dataset.quality.warnings, *without_effect(config.split), *(suspect.text for suspect in suspects))
    return replace(dataset, quality=replace(dataset.quality, warnings=told))


def _in_times(config: Config, times: int) -> Config:
    """Return the settings with what counts steps counting times, of which a step may have several."""
    split, steps = config.split, window_steps(config.split.window)
    window = split.window if steps is None else str(steps * times)
    return config.replace("split", purge=split.purge * times, embargo=split.embargo * times, window=window)


def _assemble(
    config: Config, main: Given, extra: Given | None, split: Split, series: Series | None
) -> Dataset:
    data = config.data
    columns, reasons = _feature_columns(main.table, data, main.usable.times, series)
    seen = np.concatenate([split.train, split.valid])
    fitted = _take(main.table, columns, main.usable.rows[seen])
    encoder = Encoder.fit(fitted, columns, left_out=reasons)
    signs = monotone_signs(encoder, data.monotone)
    known = encoder.transform(fitted)
    tested = main if extra is None else extra
    rows = split.test if extra is None else _in_order(extra.usable, split.by)
    unseen = encoder.transform(_take(tested.table, columns, tested.usable.rows[rows]))
    warnings = [*main.usable.warnings, *known.warnings]
    if extra is not None:
        warnings += [f"test data: {text}" for text in (*extra.usable.warnings, *unseen.warnings)]
        warnings += _overlaps(main.usable, extra.usable, split)
    picked = _Picked(main.usable, seen, tested.usable, rows)
    train, valid = len(split.train), len(seen)
    target, anchor = picked.join("target"), picked.join("anchor") if data.anchor else None
    transform = Transform(data.transform, data.anchor, lower=data.lower, upper=data.upper).fitted(
        target[:train], anchor[:train] if anchor is not None else None
    )
    fits = split.folds or (FoldRows(((0, train),), (train, valid)),)
    modelled = transform.forward(target[:valid], anchor[:valid] if anchor is not None else None)
    check_learnable(modelled, fits, data.target)
    table = pa.concat_tables([known.features, unseen.features]).append_column("target", pa.array(target))
    if anchor is not None:
        table = table.append_column("anchor", pa.array(anchor))
    weights = None
    if data.weight:
        weights = picked.join("weights") / picked.join("weights")[:valid].mean()
        table = table.append_column("weight", pa.array(weights))
    if config.calibration == "group":
        codes = np.unique(picked.join("groups"), return_inverse=True)[1]
        table = table.append_column("group", pa.array(codes, pa.int32()))
    offset = 0 if extra is None else main.table.num_rows
    later = unseen_features(known.features, encoder.categorical, fits) if split.by == "time" else ()
    if later:
        warnings.append(_told_unseen([encoder.names[i] for i in later]))
    return Dataset(
        table=table.combine_chunks(),
        parts=parts_of(split, table.num_rows),
        fits=fits,
        groups=picked.join("groups") if data.group else None,
        times=picked.join("times") if data.time else None,
        positions=np.concatenate([main.usable.rows[seen], tested.usable.rows[rows] + offset]),
        encoder=encoder,
        transform=transform,
        facts=_facts(main, extra, split, len(rows)),
        quality=assess(
            main.table,
            encoder,
            keys={
                getattr(data, role) or "": role for role in ("weight", "anchor", "time", "group", "target")
            },
            without_target=main.usable.without_target,
            warnings=warnings,
        ),
        folds=calibrating_folds(main.usable, split, config, weights),
        cv=config.split.cv or 1,
        monotone=signs,
        series=series,
        recent=split.recent,
        unseen=later,
        purge=config.split.purge,
        first=first_fold(main.usable, split, config, weights),
    )


def _told_unseen(names: list[str]) -> str:
    return (
        f"values of {listing(names)} in later rows are none of the earlier ones: trials try to do without "
        "(`seen_only` in a search space)"
    )


@dataclass(frozen=True)
class _Picked:
    """The rows of training and validation, then those of the test."""

    main: Usable
    seen: Any
    test: Usable
    rows: Any

    def join(self, what: str) -> Any:
        return np.concatenate([getattr(self.main, what)[self.seen], getattr(self.test, what)[self.rows]])


def _feature_columns(
    table: Any, data: DataConfig, times: Any, series: Series | None
) -> tuple[list[str], dict[str, str]]:
    """Return the columns to learn from in the table's order, and why the others are left out."""
    reasons: dict[str, str] = {}
    columns = []
    for name in table.column_names:
        if name == data.target:
            continue
        if name == data.weight:
            reasons[name] = WEIGHT
        elif series is not None and name in series.names:
            columns.append(name)
        elif name in data.past:
            reasons[name] = KNOWN_LATER
        elif name in data.drop:
            reasons[name] = DROPPED
        elif data.features is not None and name not in data.features:
            reasons[name] = NOT_CHOSEN
        elif name == data.time and times.dtype.kind == "f":
            reasons[name] = "a running number for the time: it would only tell rows apart"
        else:
            columns.append(name)
    return columns, reasons


def _take(table: Any, columns: list[str], rows: Any) -> Any:
    chosen = table.select([name for name in columns if name in table.column_names])
    if len(rows) and len(rows) == rows[-1] - rows[0] + 1 and bool((np.diff(rows) == 1).all()):
        return chosen.slice(int(rows[0]), len(rows))
    return chosen.take(pa.array(rows))


def _in_order(extra: Usable, by: str) -> Any:
    """Return the rows of a test table in the order of those that a split cuts off: of time, if by time."""
    return np.argsort(extra.times, kind="stable") if by == "time" else np.arange(len(extra.rows))


def _overlaps(main: Usable, extra: Usable, split: Split) -> list[str]:
    told = []
    seen = np.concatenate([split.train, split.valid])
    if split.by == "time":
        begin = extra.times.min()
        after = int((main.times >= begin).sum())
        if after:
            told.append(
                f"test data: begins at {begin}; {after:,} rows of the data are not before it and are left "
                "out of training and validation, with those of the purge"
            )
    if split.by == "group" and extra.groups is not None:
        shared = np.intersect1d(main.groups[seen], extra.groups)
        if len(shared):
            told.append(
                f"test data: shares {len(shared):,} groups with the training data, e.g. {str(shared[0])!r}"
            )
    return told


def _facts(main: Given, extra: Given | None, split: Split, tested: int) -> DatasetFacts:
    tables = [main.table] if extra is None else [main.table, extra.table]
    return DatasetFacts(
        name=main.name,
        source=main.source if extra is None else f"{main.source} and {extra.source}",
        digest=table_digest(*tables),
        rows=sum(table.num_rows for table in tables),
        schema=tuple((field.name, str(field.type)) for field in main.table.schema),
        split={
            "train": len(split.train),
            "valid": len(split.valid),
            "test": tested,
            "purged": split.purged,
        },
    )
