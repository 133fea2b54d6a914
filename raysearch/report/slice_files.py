"""The scores of parts of the rows as CSV, beside the page."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raysearch.metrics import nominal_name
from raysearch.records import Slice, SliceKind, StudyResult
from raysearch.report.tables import replacing

FILES: dict[str, tuple[SliceKind, ...]] = {
    "by_group.csv": ("group",),
    "by_time.csv": ("time",),
    "tails.csv": ("forecast", "outcome"),
}


def write_slices(result: StudyResult, directory: Path) -> None:
    """Write a file for groups, times and tails, one row a slice; where there are none there is no file."""
    for name, kinds in FILES.items():
        _write(result.sliced(*kinds), directory / name)


def _write(slices: Sequence[Slice], path: Path) -> None:
    if not slices:
        path.unlink(missing_ok=True)
        return
    rows = [_row(part) for part in slices]
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="", errors="replace") as file,
    ):
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _row(part: Slice) -> dict[str, Any]:
    """Return a slice's figures by column; what is not known is empty."""
    row: dict[str, Any] = {"chosen_by": part.kind, "name": part.name, "rows": part.evaluation.rows}
    row |= part.evaluation.metrics
    for interval in part.evaluation.intervals:
        low, high = interval.limits or ("", "")
        name = f"coverage_{nominal_name(interval.nominal)}"
        row |= {f"{name}_low": low, f"{name}_high": high}
    for rival, found in part.rivals.items():
        low, high = found.limits or ("", "")
        row[f"{rival}_pinball_loss_avg"] = found.other
        row[f"gain_on_{rival}_percent"] = found.gain_percent
        row |= {f"gain_on_{rival}_low_percent": low, f"gain_on_{rival}_high_percent": high}
        row[f"p_value_{rival}"] = "" if found.p_value is None else found.p_value
    return row
