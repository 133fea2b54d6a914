"""What benchmarks/quality.py makes of the quantiles that the sides deliver: one score for all, tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

import numpy as np

SIDES = ("raysearch", "autogluon", "flaml")
KINDS = {  # of tables, by which the geometric means are told
    "all tables": ("iid", "group", "time"),
    "exchangeable rows": ("iid", "group"),
    "rows in time": ("time",),
}


def pinball(truth: np.ndarray, quantiles: np.ndarray, levels: list[float]) -> float:
    """Return the pinball loss, averaged over rows and levels.

    Args:
        truth: the target, shape (rows,).
        quantiles: one column a level, shape (rows, levels), in the target's units.
        levels: between 0 and 1, rising.
    """
    error = truth[:, None] - quantiles
    return float(np.maximum(np.asarray(levels) * error, (np.asarray(levels) - 1) * error).mean())


def score(truth: np.ndarray, quantiles: np.ndarray, levels: list[float]) -> dict[str, float]:
    """Return the losses as delivered and with each row put in order, coverage and share of crossing rows."""
    if quantiles.shape != (len(truth), len(levels)) or not np.isfinite(quantiles).all():
        raise ValueError(f"quantiles of shape {quantiles.shape} for {len(truth)} rows, or not all finite")
    inside = (truth >= quantiles[:, 0]) & (truth <= quantiles[:, -1])
    return {
        "pinball": pinball(truth, quantiles, levels),
        "pinball_sorted": pinball(truth, np.sort(quantiles, axis=1), levels),
        "coverage": float(inside.mean()),
        "width": float((quantiles[:, -1] - quantiles[:, 0]).mean()),
        "crossing": float((np.diff(quantiles, axis=1) < 0).any(axis=1).mean()),
    }


def geometric(ratios: Iterable[float]) -> float | None:
    """Return the geometric mean, None of nothing."""
    logs = [math.log(ratio) for ratio in ratios]
    return math.exp(statistics.mean(logs)) if logs else None


def by_table(results: list[dict]) -> dict[str, dict[str, list[dict]]]:
    """Return the results of each table and side, those that failed left out."""
    tables: dict[str, dict[str, list[dict]]] = {}
    for result in results:
        sides = tables.setdefault(result["table"], {})
        if "pinball" in result:
            sides.setdefault(result["side"], []).append(result)
    return tables


def ratio(sides: dict[str, list[dict]], other: str, key: str = "pinball") -> float | None:
    """Return raysearch's loss over another side's: the geometric mean over the seeds that both have."""
    ours, theirs = ({r["seed"]: r[key] for r in sides.get(s, [])} for s in ("raysearch", other))
    return geometric(ours[seed] / theirs[seed] for seed in sorted(ours.keys() & theirs.keys()))


def _mean(results: list[dict], key: str) -> float:
    return statistics.mean(result[key] for result in results)


def _loss(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _cell(sides: dict[str, list[dict]], side: str) -> str:
    if side not in sides:
        return "-"
    keys = ("pinball", "pinball_sorted", "coverage", "crossing")
    loss, ordered, covered, crossed = (_mean(sides[side], key) for key in keys)
    told = _loss(loss) if crossed == 0 else f"{_loss(loss)} ({_loss(ordered)})"
    return f"{told}, {100 * covered:.1f} %, {100 * crossed:.2g} %"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _means(tables: list[dict[str, list[dict]]], key: str) -> list[str]:
    """Return the geometric means of the ratios over tables, against each competitor."""
    ratios = ([ratio(sides, other, key) for sides in tables] for other in SIDES[1:])
    return [_ratio(geometric(r for r in found if r is not None)) for found in ratios]


def losses(results: list[dict]) -> list[str]:
    """Return the lines of the main table: for each table and side loss, coverage and rows with crossing."""
    lines = [
        "| table | kind | rows | raysearch | AutoGluon | FLAML | raysearch / AutoGluon | raysearch / FLAML |",
        "|---|---|---|---|---|---|---|---|",
    ]
    first = {result["table"]: result for result in results}
    for name, sides in by_table(results).items():
        cells = [_cell(sides, side) for side in SIDES]
        cells += [_ratio(ratio(sides, other)) for other in SIDES[1:]]
        rows = " + ".join(f"{count:,}" for count in first[name]["rows"])
        lines.append(f"| {name} | {first[name]['kind']} | {rows} | " + " | ".join(cells) + " |")
    for words, kinds in KINDS.items():
        tables = [sides for name, sides in by_table(results).items() if first[name]["kind"] in kinds]
        for how, key in (("", "pinball"), (", all put in order", "pinball_sorted")):
            cells = ["", "", "", "", "", *_means(tables, key)]
            lines.append(f"| geometric mean, {words}{how} | " + " | ".join(cells) + " |")
    return lines


def times(results: list[dict]) -> list[str]:
    """Return the lines of the second table: seconds of fit, prediction and processors."""
    lines = [
        "| table | side | seconds of fit | of prediction | of its processors | of all that ran meanwhile |",
        "|" + "---|" * 6,
    ]
    for name, sides in by_table(results).items():
        for side, found in sides.items():
            keys = ("fit_s", "predict_s", "cpu_s", "machine_cpu_s")
            lines.append(
                f"| {name} | {side} | " + " | ".join(f"{_mean(found, key):.3g}" for key in keys) + " |"
            )
    failed = [r for r in results if "pinball" not in r]
    return lines + [f"\n{r['side']} failed on {r['table']}, seed {r['seed']}: {r['error']}" for r in failed]
