"""What the tuned model was compared with, and its scores by parts of the rows, as metrics.

Their number is bounded: levels and intervals are the user's few, periods at most twelve, groups the largest.
"""

from __future__ import annotations

from raysearch.metrics import nominal_name
from raysearch.records import Comparison, Slice, StudyResult

_MOST_GROUPS = 50  # told as metrics: thousands would bury the others in the UI
_SECTIONS = {"time": "by_time", "forecast": "by_forecast", "outcome": "by_outcome"}


def rival_metrics(result: StudyResult) -> dict[str, float | None]:
    """Return the rivals' headline scores, and the gain on each: ``against_constant/gain_percent``."""
    found: dict[str, float | None] = {}
    part = result.evaluation.part
    for rival in result.rivals:
        scores = rival.evaluation.metrics
        headlines = [name for name in scores if "/" not in name and name.startswith(("pinball", "coverage_"))]
        found |= {f"{part}_{rival.name}_{name}": scores[name] for name in headlines}
        found |= _gain(f"against_{rival.name}/", rival.comparison)
        for metric, comparison in rival.scores.items():
            if metric != "pinball_loss_avg":
                name = metric.replace("pinball/", "")
                found[f"against_{rival.name}/gain_percent {name}"] = comparison.gain_percent
    return found


def _gain(prefix: str, comparison: Comparison) -> dict[str, float | None]:
    return {
        f"{prefix}gain_percent": comparison.gain_percent,
        f"{prefix}gain_low_percent": comparison.low_percent,
        f"{prefix}gain_high_percent": comparison.high_percent,
        f"{prefix}p_value": comparison.p_value,
    }


def slice_metrics(result: StudyResult, group: str) -> dict[str, float | None]:
    """Return loss, gains and coverage of each slice: ``by_time/pinball_loss_avg=2021-03``.

    Groups stand under their column's name, ``pinball_loss_avg/store=North``; their coverage is told as
    ``coverage/store=North`` with the evaluation.
    """
    found: dict[str, float | None] = {}
    for kind, section in _SECTIONS.items():
        for part in result.slices:
            if part.kind == kind:
                found |= {f"{section}/{name}={part.name}": value for name, value in _figures(part).items()}
    for part in result.sliced("group")[:_MOST_GROUPS]:
        figures = {name: value for name, value in _figures(part).items() if not name.startswith("coverage")}
        found |= {f"{name}/{group}={part.name}": value for name, value in figures.items()}
    return found


def _figures(part: Slice) -> dict[str, float | None]:
    evaluation = part.evaluation
    found: dict[str, float | None] = {"pinball_loss_avg": evaluation.metrics["pinball_loss_avg"]}
    if evaluation.intervals:
        widest = evaluation.intervals[0]
        found[f"coverage_{nominal_name(widest.nominal)}"] = widest.coverage
    for name, comparison in part.rivals.items():
        found[f"gain_percent_{name}"] = comparison.gain_percent
    return found
