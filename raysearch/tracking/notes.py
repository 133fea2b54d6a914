"""The description of a study in MLflow's UI, in Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from raysearch.objectives import titles
from raysearch.outcome import untuned
from raysearch.records import Interval, StudyResult, TrialResult
from raysearch.tracking.tracker import StudyInfo

_NO_INTERVAL = "too few independent blocks of rows for an interval"


def note_at_start(info: StudyInfo) -> str:
    """Return what is known before the first trial."""
    data, search = info.config.get("data", {}), info.config.get("search", {})
    lines = [f"Quantile search on {_code(info.facts.name)}: {info.facts.rows:,} rows", ""]
    if data.get("target"):
        lines.append(f"- target: {_code(data['target'])}")
    if search.get("levels"):
        lines.append(f"- levels: {', '.join(f'{level:g}' for level in search['levels'])}")
    if search.get("model"):
        lines.append(f"- model: {_code(search['model'])}")
    lines += [f"- rows {part}: {rows:,}" for part, rows in info.facts.split.items()]
    if info.quality.warnings:
        lines += ["", "Data quality:", "", *(f"- {_plain(warning)}" for warning in info.quality.warnings)]
    lines += ["", "The trials are the runs nested under this one."]
    return "\n".join(lines)


def note_at_end(info: StudyInfo, result: StudyResult, model_uri: str | None) -> str:
    """Return the outcome, followed by what stood there at the start."""
    best, evaluation = result.best, result.evaluation
    counts = ", ".join(f"{count} {state}" for state, count in result.trials.items())
    named = titles(result.objectives)
    values = dict(best.objectives) if result.pareto else {result.objectives[0]: best.score}
    score = ", ".join(f"valid {named[w]} {'-' if v is None else f'{v:.6g}'}" for w, v in values.items())
    chosen = f"Picked: trial {best.number} ({best.model}), {result.picked}" if result.pareto else ""
    lines = [
        f"**{chosen or f'Best: trial {best.number} ({best.model})'}**, {score}; trials: {counts}",
        "",
    ]
    for name in ("pinball_loss_avg", "wis"):
        if name in evaluation.metrics:
            lines.append(
                f"- {evaluation.part} {name}: {evaluation.metrics[name]:.6g} ({evaluation.rows:,} rows)"
            )
    lines += [
        f"- {interval.nominal * 100:g}% interval covers {interval.coverage:.1%} "
        f"({_confidence(interval, evaluation.blocks)})"
        for interval in evaluation.intervals
    ]
    if same := untuned(result):
        lines.append(f"- {same}")
    elif result.comparison is not None:
        gain, limits = result.comparison.gain_percent, result.comparison.limits
        told = f"95 % interval {limits[0]:+.1f} to {limits[1]:+.1f}" if limits else _NO_INTERVAL
        lines.append(f"- {gain:+.1f} % against the library's defaults ({told})")
    constant = result.rival("constant")
    if constant is not None:
        found, limits = constant.comparison, constant.comparison.limits
        told = f"95 % interval {limits[0]:+.1f} to {limits[1]:+.1f}" if limits else _NO_INTERVAL
        lines.append(f"- {found.gain_percent:+.1f} % against a constant forecast ({told})")
    if model_uri is not None:
        lines += ["", f'Load: `mlflow.pyfunc.load_model("{model_uri}").predict(df)`', ""]
        lines.append(f"Serve: `mlflow models serve -m {model_uri} --env-manager local`")
    lines += ["", f"Continue: `{info.resume_command}`", "", "---", "", note_at_start(info)]
    return "\n".join(lines)


def leaderboard(ranked: Sequence[TrialResult]) -> str:
    """Return the ranked trials as CSV, named as the report's, which stands in for it where it was written."""
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(["rank", "trial", "model", "state", "score", "rounds", "seconds", "default", "params"])
    for place, trial in enumerate(ranked, start=1):
        words = json.dumps(dict(trial.params), default=str, ensure_ascii=False)
        row = [
            place,
            trial.number,
            trial.model,
            trial.state,
            trial.score,
            trial.rounds,
            round(trial.seconds, 3),
            trial.default,
            words,
        ]
        writer.writerow(row)
    return page.getvalue()


def front_table(result: StudyResult) -> str:
    """Return the Pareto front as a table in MLflow's form (a DataFrame as JSON, "split")."""
    params = list(dict.fromkeys(name for trial in result.pareto for name in trial.params))
    columns = ["trial", "model", "picked", *result.objectives, *params]
    rows = [
        [
            trial.number,
            trial.model,
            trial.key == result.best.key,
            *trial.objectives.values(),
            *(trial.params.get(name) for name in params),
        ]
        for trial in result.pareto
    ]
    return json.dumps({"columns": columns, "data": rows}, default=str, ensure_ascii=False)


def _confidence(interval: Interval, blocks: int | None) -> str:
    if interval.limits is None:
        return "too few independent blocks of rows to tell its confidence limits"
    low, high = interval.limits
    allowing = "" if blocks is None else ", allowing for rows that resemble each other"
    return f"{low:.1%} to {high:.1%} with 95 % confidence{allowing}"


def _plain(words: object) -> str:
    """Return one line of Markdown that shows the words as they are."""
    line = " ".join(str(words).split())
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>#|!" else letter for letter in line)


def _code(words: object) -> str:
    return "`" + " ".join(str(words).replace("`", "'").split()) + "`"
