"""The parts of the page that keep the record: data, how to use the forecaster, settings, environment."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from raysearch.addresses import hide_secrets
from raysearch.errors import resume_command
from raysearch.records import DatasetFacts
from raysearch.report.canvas import Plot
from raysearch.report.material import ReportMaterial
from raysearch.report.tables import Row, Table, quality_table
from raysearch.report.wording import number, percent

_LIBRARIES = ("raysearch", "ray", "optuna", "mlflow", "lightgbm", "xgboost", "numpy", "pandas", "pyarrow")


@dataclass(frozen=True)
class Section:
    """One part of the page; what it holds stands in this order."""

    key: str
    title: str
    intro: str = ""
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()
    code: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


def record_sections(material: ReportMaterial) -> Iterator[Section]:
    """The data, how to use the forecaster, and what it was made with."""
    quality, facts = material.quality, material.facts
    rows = [
        Row((part, number(rows), percent(rows / max(facts.rows, 1)))) for part, rows in facts.split.items()
    ]
    split = Table("The split", ("part", "rows", "share of the table"), tuple(rows))
    overview = Table("Overview", ("", ""), tuple(_overview(material)), frozenset({0, 1}))
    yield Section(
        "data",
        "Data",
        tables=(overview, split, *_folds(facts), quality_table(quality)),
        warnings=quality.warnings,
    )
    yield Section("use", "Using the forecaster", code=tuple(_snippets(material)))
    settings = [
        Row((f"{section}.{key}", _setting(value)))
        for section, values in material.config.items()
        for key, value in values.items()
    ]
    both = frozenset({0, 1})
    yield Section(
        "record",
        "Settings and environment",
        tables=(
            Table("Settings", ("setting", "value"), tuple(settings), both),
            Table("Environment", ("what", "version"), tuple(_environment()), both),
        ),
    )


def _folds(facts: DatasetFacts) -> Iterator[Table]:
    """Tell of each fold; a single validation part is told by the table of the split."""
    if len(facts.folds) < 2:
        return
    head = ("fold", "learns from rows", "times", "scored rows", "times", "groups learnt from, scored")
    rows = [
        Row(
            (
                str(fold.fold),
                number(fold.learnt_rows),
                _span(fold.learnt_first, fold.learnt_last),
                number(fold.scored_rows),
                _span(fold.scored_first, fold.scored_last),
                "" if fold.scored_groups is None else f"{fold.learnt_groups}, {fold.scored_groups}",
            )
        )
        for fold in facts.folds
    ]
    yield Table("The folds", head, tuple(rows), frozenset({0, 2, 4, 5}))


def _span(first: str, last: str) -> str:
    return f"{first} to {last}" if first else ""


def _setting(value: Any) -> str:
    if isinstance(value, list | tuple | dict):
        return hide_secrets(json.dumps(value, ensure_ascii=False, default=str))
    return "" if value is None else hide_secrets(str(value))


def _overview(material: ReportMaterial) -> Iterator[Row]:
    quality, facts = material.quality, material.facts
    yield Row(("table", facts.name))
    yield Row(("read from", facts.source))
    yield Row(("rows", number(quality.rows)))
    yield Row(("rows without a target, left out", number(quality.rows_without_target)))
    yield Row(("duplicate rows", number(quality.duplicate_rows)))
    yield Row(("constant columns", ", ".join(quality.constant_columns) or "none"))
    yield Row(("columns that look like an identifier", ", ".join(quality.id_like_columns) or "none"))
    yield Row(("fingerprint of all cells", facts.digest))
    yield Row(("fingerprint of cells and split", facts.data_digest))


def _snippets(material: ReportMaterial) -> Iterator[tuple[str, str]]:
    result = material.result
    home = hide_secrets(str(material.config.get("study", {}).get("home", "studies")))
    study, place = shlex.quote(result.study), "" if home == "studies" else f" --home {shlex.quote(home)}"
    load = f"import raysearch\n\nforecaster = raysearch.load_forecaster({hide_secrets(result.model_path)!r})"
    yield (
        "In Python; the answer has one column a level (q0.05, q0.5, ...), in order, on the original scale:",
        f"{load}\nforecasts = forecaster.predict(table)  # a DataFrame with the same columns",
    )
    yield (
        "On the command line:",
        f"python -m raysearch predict --study {study}{place} --data new.csv --out forecasts.csv",
    )
    yield "Go on searching, with all that was learnt so far:", resume_command(result.study, home)
    if result.parent_run_id:
        yield (
            f"The record of every trial is in MLflow (run {result.parent_run_id}); open it with:",
            "python -m raysearch ui",
        )


def _environment() -> Iterator[Row]:
    yield Row(("Python", platform.python_version()))
    yield Row(("system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"))
    for name in _LIBRARIES:
        try:
            yield Row((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
