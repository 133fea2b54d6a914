"""The run of a study: what it began with, what came out, and the model."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from raysearch.addresses import hide_secrets
from raysearch.metrics import with_prefix
from raysearch.objectives import PINBALL, Objective, parse_objectives
from raysearch.records import Evaluation, StudyResult, TrialResult
from raysearch.tracking.entries import (
    best_so_far,
    dataset_input,
    metrics,
    milliseconds,
    params,
    who_and_what,
)
from raysearch.tracking.findings import rival_metrics, slice_metrics
from raysearch.tracking.model import log_model
from raysearch.tracking.notes import front_table, leaderboard, note_at_end, note_at_start
from raysearch.tracking.past import HISTORY
from raysearch.tracking.store import Store
from raysearch.tracking.tracker import StudyInfo

_MOST_GROUPS = 50  # told as metrics: thousands would bury the others in the UI
FRONT_TABLE = "pareto.json"


@dataclass(frozen=True)
class StudyRun:
    """Writes the parent run.

    Attributes:
        fresh: False when the store already had the study's run.
    """

    store: Store
    info: StudyInfo
    run_id: str
    fresh: bool

    @property
    def model_uri(self) -> str:
        """The address under which MLflow loads and serves the study's model."""
        return f"runs:/{self.run_id}/model"

    def log_outcome(self, result: StudyResult | None, results: Iterable[TrialResult]) -> None:
        """Write the curve of the best score, and the headline figures once there are any.

        They stand at the step of the last trial, so that after a study was continued the latest ones count.
        """
        ended = list(results)
        found = best_so_far(ended, self._objectives())
        tags: dict[str, Any] = {}
        if result is not None:
            values = {
                **evaluation_metrics(result.evaluation, self._group()),
                **rival_metrics(result),
                **slice_metrics(result, self._group()),
                **_other_metrics(result),
            }
            last = max((trial.ended_s for trial in ended), default=time.time())
            found += metrics(values, milliseconds(last), len(ended))
            tags = {
                "raysearch.best_trial": result.best.number,
                "raysearch.best_trial_key": result.best.key,
                "raysearch.best_model": result.best.model,
                "raysearch.best_params": json.dumps(
                    dict(result.best.params), default=str, ensure_ascii=False
                ),
                "raysearch.stopped_by": result.stopped_by,
                "raysearch.objectives": ",".join(result.objectives),
                **({"raysearch.picked": result.picked} if result.pareto else {}),
                **_warm_tags(result),
            }
        self.store.client.log_batch(self.run_id, metrics=found, synchronous=True)
        for key, value in tags.items():
            self.store.set_tag(self.run_id, key, value)

    def remember(self, text: str) -> None:
        """Keep what later studies may use in the tag that they look for."""
        self.store.client.set_tag(self.run_id, HISTORY, text)

    def log_files(self, artifacts: Path | None, ranked: Sequence[TrialResult]) -> None:
        """Keep all files of a directory, and the leaderboard when it is not among them."""
        if artifacts is not None and any(artifacts.iterdir()):
            self.store.client.log_artifacts(self.run_id, str(artifacts))
        if ranked and not (artifacts and (artifacts / "leaderboard.csv").is_file()):
            self.store.client.log_text(self.run_id, leaderboard(ranked), "leaderboard.csv")

    def log_model(self, model: Path) -> None:
        """Log a saved forecaster as the study's model."""
        model_id = log_model(self.store, self.run_id, self.info, model)
        self.store.set_tag(self.run_id, "raysearch.model_id", model_id)

    def describe(self, result: StudyResult | None, has_model: bool) -> None:
        """Write the description that the UI shows."""
        uri = self.model_uri if has_model else None
        note = note_at_start(self.info) if result is None else note_at_end(self.info, result, uri)
        self.store.set_tag(self.run_id, "mlflow.note.content", note)

    def close(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED."""
        self.store.terminate(self.run_id, status, milliseconds(time.time()))

    def log_front(self, result: StudyResult | None) -> None:
        """Keep the Pareto front as a table that MLflow shows and ``mlflow.load_table`` reads."""
        if result is None or not result.pareto:
            return
        self.store.client.log_text(self.run_id, front_table(result), FRONT_TABLE)
        shown = json.dumps([{"path": FRONT_TABLE, "type": "table"}])
        self.store.set_tag(self.run_id, "mlflow.loggedArtifacts", shown)

    def _objectives(self) -> tuple[Objective, ...]:
        return parse_objectives(str(self.info.config.get("search", {}).get("objective") or PINBALL.word))

    def _group(self) -> str:
        return str(self.info.config.get("data", {}).get("group") or "group")


def open_study_run(store: Store, info: StudyInfo) -> StudyRun:
    """Open the study's run, or open it again, and write what the study begins with.

    Raises:
        Exception: whatever MLflow raises; a run that was made is then closed as FAILED.
    """
    found = store.find_runs({"raysearch.study_id": info.study_id, "raysearch.role": "study"})
    if found:
        known: Mapping[str, str] = found[-1].data.params
        run = StudyRun(store, info, str(found[-1].info.run_id), False)
        store.client.update_run(run.run_id, "RUNNING")
    else:
        known = {}
        tags = {
            **who_and_what(info.environment),
            "raysearch.role": "study",
            "raysearch.study": info.name,
            "raysearch.study_id": info.study_id,
        }
        run = StudyRun(store, info, store.create_run(info.name, tags, milliseconds(time.time())), True)
    try:
        _log_beginning(run, known)
    except BaseException:
        with contextlib.suppress(Exception):
            run.close("FAILED")
        raise
    return run


def _log_beginning(run: StudyRun, known: Mapping[str, str]) -> None:
    from raysearch.data import folds_csv  # loads pandas, which nothing needs where nothing is recorded

    client, info = run.store.client, run.info
    config = {section: _clean(values) for section, values in info.config.items()}
    flat = {f"{s}.{key}": v for s, values in config.items() for key, v in values.items() if v is not None}
    # Params are written once. What a continued study changed is in config.yaml.
    client.log_batch(run.run_id, params=[p for p in params(flat) if p.key not in known], synchronous=True)
    client.log_inputs(run.run_id, [dataset_input(info.facts)])
    client.log_text(run.run_id, yaml.safe_dump(config, sort_keys=False, allow_unicode=True), "config.yaml")
    client.log_text(run.run_id, _json(dict(info.environment)), "environment.json")
    client.log_text(run.run_id, _json(dataclasses.asdict(info.quality)), "quality.json")
    client.log_text(run.run_id, folds_csv(info.facts), "folds.csv")
    run.describe(None, False)


def _clean(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values fit for YAML, without secrets."""
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    return {key: hide_secrets(value) if isinstance(value, str) else value for key, value in plain.items()}


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n"


def _warm_tags(result: StudyResult) -> dict[str, Any]:
    """Return which studies the search began with points of, and the best trial that tried one."""
    if result.warm is None:
        return {}
    sources = dict.fromkeys(point.study for point in result.warm.start.points)
    tags = {"raysearch.warm_from": ", ".join(sources)}
    return tags | ({"raysearch.warm_best_trial": result.warm.best.number} if result.warm.best else {})


def evaluation_metrics(evaluation: Evaluation, group: str) -> dict[str, float]:
    """Return an evaluation's metrics: headlines under its part, ``test_coverage_90``, the rest in sections,
    ``pinball/q0.05``, ``coverage/store=North`` (of the largest groups; all are in the report's files)."""
    found = with_prefix(evaluation.part, evaluation.metrics)
    if not any(name.startswith("coverage/") for name in evaluation.metrics):
        told = [(value, intervals[0]) for value, intervals in evaluation.groups.items() if intervals]
        for value, widest in sorted(told, key=lambda item: -item[1].rows)[:_MOST_GROUPS]:
            found[f"coverage/{group}={value}"] = widest.coverage
    return found


def _other_metrics(result: StudyResult) -> dict[str, float | None]:
    """Return the other headline figures; what is None is not known and is left out when they are written."""
    found: dict[str, float | None] = {
        f"trials_{state}": float(count) for state, count in result.trials.items()
    }
    found["wall_s"] = result.wall_s
    if result.modelled is not None:
        part, scale = result.modelled.part, result.modelled_name
        found[f"{scale}/{part}_pinball_loss_avg"] = result.modelled.metrics["pinball_loss_avg"]
    if result.ensemble is not None:
        found |= {
            "ensemble_trials": float(len(result.ensemble.weights)),
            "ensemble_models": float(result.ensemble.models),
            "ensemble_score": result.ensemble.score,
            "ensemble_gain_percent": result.ensemble.gain_percent,
        }
        if result.ensemble.predict_ms is not None:
            found["predict_ms_per_1000_rows"] = result.ensemble.predict_ms
    if result.warm is not None:
        found |= {
            "warm_trials": float(len(result.warm.trials)),
            "warm_gain_percent": result.warm.gain_percent,
        }
    if result.comparison is not None:
        gain = result.comparison
        found |= {
            "gain_percent": gain.gain_percent,
            "gain_low_percent": gain.low_percent,
            "gain_high_percent": gain.high_percent,
            f"{gain.part}_default_pinball_loss_avg": gain.other,
        }
        for objective in parse_objectives(",".join(result.objectives)):
            if objective.word in gain.objectives:
                found[f"{gain.part}_default_{objective.metric}"] = gain.objectives[objective.word][1]
    return found
