"""Records of the search as MLflow's entities: params, metrics by step, tags, the dataset."""

from __future__ import annotations

import getpass
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from raysearch.objectives import PINBALL, Objective
from raysearch.records import DatasetFacts, TrialResult
from raysearch.tracking.names import MAX_PARAM, metric_key, text
from raysearch.tracking.store import HEADLINE

STATUS = {"finished": "FINISHED", "stopped": "KILLED", "cut": "KILLED", "failed": "FAILED"}
_MAX_REASON = 5000
_MAX_SCHEMA = 65_535
_TYPES = (
    ("bool", "boolean"),
    ("int64", "long"),
    ("uint", "long"),
    ("int", "integer"),
    ("float", "float"),
    ("halffloat", "float"),
    ("double", "double"),
    ("decimal", "double"),
    ("timestamp", "datetime"),
    ("date", "datetime"),
    ("binary", "binary"),
)


def milliseconds(seconds: float) -> int:
    """Return seconds since the epoch as MLflow counts them."""
    return int(seconds * 1000)


def who_and_what(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that the UI shows as user, source and version."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        user = "unknown"
    tags = {"mlflow.user": user, "mlflow.source.name": "raysearch", "mlflow.source.type": "LOCAL"}
    revision = environment.get("git_revision")
    return {**tags, "mlflow.source.git.commit": revision} if revision else tags


def params(values: Mapping[str, Any]) -> list[Any]:
    """Return values as params, each under a legal key and cut to what MLflow stores."""
    from mlflow.entities import Param

    return [Param(metric_key(name), text(value, MAX_PARAM)) for name, value in values.items()]


def metrics(values: Mapping[str, Any], at_ms: int, step: int) -> list[Any]:
    """Return values as metrics of one step. Infinity becomes NaN: MLflow would plot it as 1.8e308."""
    from mlflow.entities import Metric

    found: dict[str, float] = {}
    for name, value in values.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        found[metric_key(name)] = number if math.isfinite(number) else math.nan
    return [Metric(key, number, at_ms, step) for key, number in found.items()]


def trial_metrics(result: TrialResult) -> list[Any]:
    """Return a trial's metrics: those of the rungs at their steps, the final ones at the last step.

    The same result always gives the same entities, so that writing them twice stores them once.
    """
    last = max([result.rounds, *(rung.step for rung in result.history if not rung.folds)])
    final = dict(result.metrics)
    if result.score is not None:
        final.setdefault(HEADLINE, result.score)
    found: list[Any] = []
    for rung in result.history:
        # Where a rung does not know its time: boosting rounds take about the same each.
        at_s = result.started_s + (rung.seconds or result.seconds * rung.step / max(last, 1))
        values = {HEADLINE: rung.score, **rung.metrics}
        if rung.folds:  # of part of the rows: no point of the same curve
            values = {f"first_fold/{name}": value for name, value in values.items() if "/" not in name}
        elif rung.step == last:  # the final metrics stand for this step
            values = {name: value for name, value in values.items() if name not in final}
        found += metrics(values, milliseconds(at_s), rung.step)
    return found + metrics(final, milliseconds(result.ended_s), last)


def trial_end_tags(result: TrialResult) -> list[Any]:
    """Return the tags that say how a trial ended."""
    from mlflow.entities import RunTag

    tags = {"raysearch.state": result.state, "raysearch.interrupted": "false"}
    if result.state in ("stopped", "cut"):
        tags["raysearch.stopped_at_step"] = str(result.rounds)
    if result.reason:
        tags["raysearch.reason"] = text(result.reason, _MAX_REASON)
    if result.default:
        tags["raysearch.default"] = "true"
    if result.warm:
        tags["raysearch.warm_from"] = result.warm
    return [RunTag(key, value) for key, value in tags.items()]


def best_so_far(results: Iterable[TrialResult], objectives: Sequence[Objective] = (PINBALL,)) -> list[Any]:
    """Return the curve of each objective's best value, one step a trial in the order in which they ended."""
    ended = sorted(results, key=lambda result: (result.ended_s, result.number))
    points: list[Any] = []
    best: dict[str, float] = {}
    for step, result in enumerate(ended, start=1):
        if result.score is not None and result.has_model:
            for objective in objectives:
                name = f"best_valid_{objective.metric}"
                value = result.objectives.get(objective.word, result.score)
                best[name] = min(value, best.get(name, math.inf))
        points += metrics(best, milliseconds(result.ended_s), step)
    return points


def dataset_input(facts: DatasetFacts) -> Any:
    """Return the dataset as an input of a run, in the context "train"."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    kind, source = _source(text(facts.source, 10_000))
    dataset = Dataset(
        name=text(facts.name, 500) or "dataset",
        digest=facts.data_digest[:36],
        source_type=kind,
        source=json.dumps(source),
        schema=_schema(facts.schema),
        profile=json.dumps({"num_rows": facts.rows, "num_columns": len(facts.schema), **dict(facts.split)}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "train")])


def _source(source: str) -> tuple[str, dict[str, Any]]:
    """Return MLflow's kind of source and its description."""
    known = urlsplit(source).scheme if "://" in source else ""
    if known in ("http", "https"):
        return "http", {"url": source}
    if known in ("s3", "s3a"):
        return "s3", {"uri": source}
    if known in ("", "file") and ("/" in source or "." in source):
        return "local", {"uri": source}
    return "code", {"tags": {"source": source}}


def _schema(columns: Iterable[tuple[str, str]]) -> str:
    """Return MLflow's JSON of the columns; those that do not fit into its limit are left out."""
    specs: list[str] = []
    room = _MAX_SCHEMA - 100
    for name, arrow in columns:
        kind = next((mlflow for start, mlflow in _TYPES if arrow.startswith(start)), "string")
        spec = json.dumps({"type": kind, "name": text(name, 1000), "required": True})
        room -= len(spec) + 2
        if room < 0:
            break
        specs.append(spec)
    return '{"mlflow_colspec": [' + ", ".join(specs) + "]}"
