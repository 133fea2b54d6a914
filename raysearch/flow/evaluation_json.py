"""Evaluations and comparisons as plain values, for ``--json`` and ``result.json``."""

from __future__ import annotations

import dataclasses
from typing import Any

from raysearch.records import Comparison, Evaluation, Rival, Slice, SliceKind, StudyResult

_MOST_GROUPS = 100  # told by ``--json``; more are in by_group.csv and coverage_by_group.csv beside the report
_KINDS: tuple[SliceKind, ...] = ("time", "forecast", "outcome", "group")


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return an evaluation as plain values; of very many groups the largest, with the number of all."""
    groups = [(name, intervals) for name, intervals in evaluation.groups.items() if intervals]
    largest = dict(sorted(groups, key=lambda item: -item[1][0].rows)[:_MOST_GROUPS])
    return {
        "pinball_loss_avg": evaluation.metrics["pinball_loss_avg"],
        "coverage": {f"{i.nominal:g}": i.coverage for i in evaluation.intervals},
        "coverage_limits": {f"{i.nominal:g}": i.limits for i in evaluation.intervals},
        "crossing_rate": evaluation.metrics["crossing_rate"],
        "rows": evaluation.rows,
        "part": evaluation.part,
        "metrics": dict(evaluation.metrics),
        "groups": {
            name: {f"{i.nominal:g}": i.coverage for i in intervals} for name, intervals in largest.items()
        },
        "groups_in_all": len(evaluation.groups),
        "group_rows": {name: intervals[0].rows for name, intervals in largest.items()},
    }


def comparison_json(comparison: Comparison, rival: str) -> dict[str, Any]:
    """Return a comparison as plain values; the other's loss stands under the rival's name."""
    told = dataclasses.asdict(comparison)
    told[rival] = told.pop("other")
    return told


def findings_json(result: StudyResult) -> dict[str, Any]:
    """Return what the tuned model was compared with, and its scores by parts of the rows."""
    constant = result.rival("constant")
    return {
        "comparison": comparison_json(result.comparison, "default") if result.comparison else None,
        "constant": comparison_json(constant.comparison, "constant") if constant else None,
        "rivals": {rival.name: _rival(rival) for rival in result.rivals},
        "slices": {
            kind: [_slice(part) for part in result.sliced(kind)[:_MOST_GROUPS]]
            for kind in _KINDS
            if result.sliced(kind)
        },
    }


def _rival(rival: Rival) -> dict[str, Any]:
    evaluation = rival.evaluation
    return {
        "metrics": dict(evaluation.metrics),
        "coverage_limits": {f"{i.nominal:g}": i.limits for i in evaluation.intervals},
        "reliability": {f"{level:g}": share for level, share in evaluation.reliability.items()},
        "scores": {metric: comparison_json(found, rival.name) for metric, found in rival.scores.items()},
    }


def _slice(part: Slice) -> dict[str, Any]:
    evaluation = part.evaluation
    return {
        "name": part.name,
        "rows": evaluation.rows,
        "metrics": dict(evaluation.metrics),
        "coverage_limits": {f"{i.nominal:g}": i.limits for i in evaluation.intervals},
        "reliability": {f"{level:g}": share for level, share in evaluation.reliability.items()},
        "against": {name: comparison_json(found, name) for name, found in part.rivals.items()},
    }
