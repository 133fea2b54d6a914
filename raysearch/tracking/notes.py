"""The description of a study in MLflow's UI, in Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from raysearch.records import StudyResult, TrialResult
from raysearch.tracking.tracker import StudyInfo


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
    score = "-" if best.score is None else f"{best.score:.6g}"
    lines = [
        f"**Best: trial {best.number} ({best.model})**, valid pinball loss {score}; trials: {counts}",
        "",
    ]
    for name in ("pinball_loss_avg", "wis"):
        if name in evaluation.metrics:
            lines.append(
                f"- {evaluation.part} {name}: {evaluation.metrics[name]:.6g} ({evaluation.rows:,} rows)"
            )
    lines += [
        f"- {interval.nominal:.0%} interval covers {interval.coverage:.1%} "
        f"({interval.low:.1%} to {interval.high:.1%} with 95 % confidence)"
        for interval in evaluation.intervals
    ]
    if result.comparison is not None:
        gain = result.comparison
        lines.append(
            f"- {gain.gain_percent:+.1f} % against the library's defaults "
            f"(95 % interval {gain.low_percent:+.1f} to {gain.high_percent:+.1f})"
        )
    if model_uri is not None:
        lines += ["", f'Load: `mlflow.pyfunc.load_model("{model_uri}").predict(df)`', ""]
        lines.append(f"Serve: `mlflow models serve -m {model_uri} --env-manager local`")
    lines += ["", f"Continue: `{info.resume_command}`", "", "---", "", note_at_start(info)]
    return "\n".join(lines)


def leaderboard(ranked: Sequence[TrialResult]) -> str:
    """Return the ranked trials as CSV."""
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(
        ["rank", "trial", "model", "state", "valid_pinball_loss_avg", "rounds", "seconds", "params"]
    )
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
            words,
        ]
        writer.writerow(row)
    return page.getvalue()


def _plain(words: object) -> str:
    """Return one line of Markdown that shows the words as they are."""
    line = " ".join(str(words).split())
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>#|!" else letter for letter in line)


def _code(words: object) -> str:
    return "`" + " ".join(str(words).replace("`", "'").split()) + "`"
