"""The sentences that a report begins with."""

from __future__ import annotations

import math

from raysearch.objectives import titles
from raysearch.outcome import untuned
from raysearch.records import Comparison, Interval
from raysearch.report.material import ReportMaterial
from raysearch.report.verdict import miss_words, side_words, verdict
from raysearch.report.wording import (
    LIBRARIES,
    NO_GAIN_INTERVAL,
    Sentence,
    claimed,
    confidence,
    duration,
    headline_interval,
    number,
    percent,
    points,
    several,
)

_FAR_OFF = 0.03  # a gap that few rows leave possible, but that nobody would call "as it should"


def summary(material: ReportMaterial) -> list[Sentence]:
    """Return the paragraph at the head of the page."""
    evaluation = material.result.evaluation
    told = [_forecast(material), _search(material)]
    loss = evaluation.metrics.get("pinball_loss_avg")
    if loss is not None:
        told.append(
            Sentence(
                f"On {evaluation.rows:,} {material.part} rows its average pinball loss "
                f"(the error of the quantiles in the target's own units; lower is better) is {number(loss)}."
            )
        )
    told += [_against_default(material), _against_constant(material)]
    interval = headline_interval(evaluation.intervals)
    if interval is None:
        told.append(_no_interval(material))
    else:
        told.append(coverage_sentence(interval, material.part, evaluation.blocks))
        told.append(Sentence(side_words(evaluation, interval, material.modelled is not None), "warn"))
    # A percent sign must not begin a line.
    return [Sentence(sentence.text.replace(" %", "\u00a0%"), sentence.tone) for sentence in told]


def _forecast(material: ReportMaterial) -> Sentence:
    levels, facts = material.levels, material.facts
    if len(levels) == 1:
        what = f"the quantile of {material.target} at level {levels[0]:g}"
    else:
        what = f"{material.target}: not one value but its likely range, as quantiles at {len(levels)} levels"
        what += f" from {levels[0]:g} to {levels[-1]:g}"
    library = LIBRARIES.get(material.result.best.model, material.result.best.model)
    learnt = (
        f"The forecaster is {library}, learnt from the table {facts.name} ({several(facts.rows, 'row')})."
    )
    return Sentence(f"This study forecasts {what}. {learnt}")


def _search(material: ReportMaterial) -> Sentence:
    counts = {state: sum(trial.state == state for trial in material.trials) for state in _STATES}
    parts = [f"{count:,} {_STATES[state]}" for state, count in counts.items() if count]
    why = _ENDINGS.get(material.result.stopped_by, "")
    return Sentence(
        f"The search tried {several(len(material.trials), 'setting')} in {duration(material.result.wall_s)} "
        f"({', '.join(parts) or 'none ended'}){why}; {_chosen(material)}."
    )


def _chosen(material: ReportMaterial) -> str:
    """Say why the model is that of its trial."""
    result = material.result
    if result.pareto:
        named = " and ".join(titles(result.objectives).values())
        return f"trial {result.best.number} was picked from the Pareto front of {named} ({result.picked})"
    by = "" if result.objectives == ("pinball",) else f" by its {material.measure}"
    return f"trial {result.best.number} did best on the validation rows{by}"


_STATES = {
    "finished": "trained to the end",
    "stopped": "stopped early",
    "cut": "cut when time was over",
    "failed": "failed",
}
_ENDINGS = {
    "time": " until its time was used up",
    "patience": " until no more gain came",
    "interrupt": " until it was interrupted",
}


def _against_default(material: ReportMaterial) -> Sentence:
    if same := untuned(material.result):
        return Sentence(same)
    comparison = material.result.comparison
    return _gain(comparison) if comparison else Sentence("It was not compared with the untuned default.")


def _against_constant(material: ReportMaterial) -> Sentence:
    constant = material.result.rival("constant")
    if constant is None or not math.isfinite(constant.comparison.gain_percent):
        return Sentence("")
    found = constant.comparison
    limits = found.limits
    way = "lower" if found.gain_percent >= 0 else "higher"
    told = f"95 % interval: {points(limits[0])} % to {points(limits[1])} %" if limits else NO_GAIN_INTERVAL
    text = f"A constant forecast, which knows no features, loses {number(found.other)}: "
    text += f"the forecaster's loss is {points(abs(found.gain_percent))} % {way} ({told})."
    return Sentence(text, "warn" if limits and limits[1] <= 0 else "")


def _gain(comparison: Comparison) -> Sentence:
    if not math.isfinite(comparison.gain_percent):
        return Sentence("Its gain over the untuned default cannot be told as a percentage.")
    rows = "test" if comparison.part == "test" else "validation"
    found = comparison.limits
    limits = (
        f"95 % interval of the gain: {points(found[0])} % to {points(found[1])} %"
        if found
        else NO_GAIN_INTERVAL
    )
    if not found or found[0] <= 0 <= found[1]:
        way = "lower" if comparison.gain_percent >= 0 else "higher"
        return Sentence(
            f"Its loss on the {rows} rows is {points(abs(comparison.gain_percent))} % {way} than that of the "
            f"untuned default, but this may be chance ({limits}).",
            "warn",
        )
    if comparison.gain_percent < 0:
        text = (
            f"Tuning did not help: on the {rows} rows its loss is {points(-comparison.gain_percent)} % higher"
        )
        return Sentence(f"{text} than that of the untuned default ({limits}).", "warn")
    text = (
        f"On the {rows} rows its loss is {points(comparison.gain_percent)} % lower than that of the untuned"
    )
    return Sentence(f"{text} default ({limits}).", "good")


def _no_interval(material: ReportMaterial) -> Sentence:
    shares = material.result.evaluation.reliability
    told = [f"{percent(shares[level])} of the rows lie at or below level {level:g}" for level in shares]
    return Sentence(f"No two levels bound a central interval; {', '.join(told)}." if told else "")


def coverage_sentence(interval: Interval, part: str, blocks: int | None = None) -> Sentence:
    """Return whether an interval covers what it claims, with the confidence limits.

    Args:
        blocks: as in ``Evaluation``.
    """
    text = (
        f"The {claimed(interval.nominal)} interval held {percent(interval.coverage)} of the {part} rows "
        f"({confidence(interval.limits, blocks)})"
    )
    tone = verdict(interval)
    if not tone:
        return Sentence(f"{text}, so whether it is too narrow or too wide cannot be told.")
    if tone == "good":
        if abs(interval.coverage - interval.nominal) > _FAR_OFF:
            return Sentence(f"{text}, a gap that chance alone could explain.")
        return Sentence(f"{text}, as it should.", "good")
    return Sentence(
        f"{text}: it is {miss_words(interval)}"
        f"{', so more rows fall outside than it claims' * (interval.coverage < interval.nominal)}.",
        "warn",
    )
