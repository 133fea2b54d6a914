"""Made-up material for the report: deterministic, of any size, with every odd case a keyword away."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from raysearch.evaluation import Forecast, Forecasts, evaluate, make_rivals, make_slices
from raysearch.records import (
    ColumnQuality,
    Comparison,
    DataQuality,
    DatasetFacts,
    Rung,
    StudyResult,
    TrialResult,
)
from raysearch.report import ReportMaterial

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def make_trial(number: int, score: float | None, **changes: Any) -> TrialResult:
    params = {
        "num_leaves": 10 + (number * 37) % 90,
        "learning_rate": 0.01 * 30 ** ((number * 0.618) % 1),
        "feature_fraction": 0.5 + ((number * 0.37) % 0.5),
        "bagging_fraction": 0.5 + ((number * 0.71) % 0.5),
        "num_boost_round": 50 + (number * 131) % 450,
    }
    trial = TrialResult(
        number=number,
        key=f"k{number}",
        model="lightgbm",
        params=params,
        fit_params=params,
        state="failed" if score is None else "finished",
        score=score,
        rounds=100 + number,
        metrics={} if score is None else {"valid_pinball_loss_avg": score},
        history=() if score is None else (Rung(50, score, {}),),
        started_s=1000.0 + number,
        ended_s=1002.5 + number,
        reason="LightGBMError: bad leaf count" if score is None else "",
        default=number == 0,
    )
    return dataclasses.replace(trial, **changes)


def make_trials(count: int) -> tuple[TrialResult, ...]:
    rng = np.random.default_rng(1)
    trials = []
    for number in range(count):
        score = 1.2 + 0.6 * np.exp(-number / (count / 4)) * rng.random() + 0.15 * rng.random()
        state = {3: "stopped", 5: "stopped", 7: "failed"}.get(number % 11, "finished")
        trials.append(make_trial(number, None if state == "failed" else float(score), state=state))
    return tuple(trials)


def with_findings(material: ReportMaterial) -> ReportMaterial:
    """The same material with rivals and slices of its rows."""
    flags = np.zeros(len(material.y), dtype=bool)
    constant = np.tile(np.quantile(material.y, material.levels), (len(material.y), 1))
    told = Forecasts(
        "test",
        material.levels,
        material.y,
        Forecast(material.quantiles, flags),
        {"default": Forecast(material.quantiles + 1, flags), "constant": Forecast(constant, flags)},
    )
    found = make_slices(told, material.groups, material.times)
    result = dataclasses.replace(material.result, rivals=make_rivals(told), slices=found)
    return dataclasses.replace(material, result=result)


def make_material(rows: int = 2000, trials: int = 30, groups: int = 5, **changes: Any) -> ReportMaterial:
    rng = np.random.default_rng(0)
    steps = rows // max(groups, 1) + 1
    day = np.arange(rows) // max(groups, 1)
    level = 40 + 12 * np.sin(day / steps * 14) + (np.arange(rows) % max(groups, 1)) % 7
    spread = 2 + np.abs(np.sin(day / steps * 6))
    y = level + spread * rng.standard_normal(rows)
    z = np.array([-1.645, -0.674, 0.0, 0.674, 1.645]) * 0.97
    q = level[:, None] + 0.1 + spread[:, None] * z[None, :]
    names = np.array([f"G{i:04d}" for i in range(groups)] or ["?"])
    by = names[np.arange(rows) % groups] if groups else None
    ended = make_trials(trials)
    best = min((t for t in ended if t.state == "finished"), key=lambda t: t.score)
    default = next((t for t in ended if t.default), None)
    evaluation = changes.pop("evaluation", None) or evaluate("test", y, q, LEVELS, by)
    result = StudyResult(
        study="keen-otter-41",
        parent_run_id="0a1b2c3d",
        tracking_uri="sqlite:///mlflow.db",
        trials={"finished": trials},
        best=best,
        default=default,
        evaluation=evaluation,
        comparison=Comparison("test", 1.21, 1.38, 12.3, 8.1, 16.0),
        model_path="studies/keen-otter-41/model",
        report_path="studies/keen-otter-41/report/report.html",
        stopped_by="trials",
        wall_s=97.4,
    )
    columns = tuple(
        ColumnQuality(
            f"column_{i}", "number", i * 3, 200 + i, i != 4, "looks like an identifier" if i == 4 else ""
        )
        for i in range(12)
    )
    material = ReportMaterial(
        result=result,
        trials=ended,
        facts=DatasetFacts(
            "nav_baseline", "factor_etf_prices.csv.gz", "ab" * 18, rows * 5, (("nav", "double"),),
            {"train": rows * 3, "valid": rows, "test": rows - 105, "purged": 105},
        ),
        quality=DataQuality(rows * 5, columns, 3, 12, ("column_9",), ("column_4",), ("3 rows stand twice.",)),
        config={
            "data": {"path": "sales.csv", "target": "nav", "group": "strategy"},
            "study": {"ledger": "postgresql+psycopg://me:hunter2@db/x", "name": None},
            "search": {"levels": list(LEVELS), "trials": trials},
        },
        parameter_importance={"learning_rate": 0.52, "num_leaves": 0.3, "num_boost_round": 0.18},
        feature_importance={f"volatility over {i} days": 0.3 / (i + 1) for i in range(28)},
        levels=LEVELS,
        y=y,
        quantiles=q,
        groups=by,
        times=np.datetime64("2020-01-01") + day.astype("timedelta64[D]"),
        modelled=evaluate("test", np.log(y + 100), np.log(q + 100), LEVELS, by),
        modelled_name="nav_log",
        notes=("Evaluated with the model fitted on training rows only.",),
    )  # fmt: skip
    changed = {
        k: changes.pop(k)
        for k in list(changes)
        if k in {f.name for f in dataclasses.fields(StudyResult)} - {"trials"}
    }
    if changed:
        material = dataclasses.replace(material, result=dataclasses.replace(material.result, **changed))
    return dataclasses.replace(material, **changes)
