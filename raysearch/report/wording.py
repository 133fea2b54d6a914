"""Numbers and sentences as a reader who never saw the tool wants them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raysearch.objectives import titles
from raysearch.outcome import untuned
from raysearch.records import Comparison, Ensemble, Interval
from raysearch.report.material import ReportMaterial
from raysearch.report.verdict import miss_words, side_words, verdict

DASH = "–"
_PLAIN_BELOW = 1e9  # a figure from here on is told in powers of ten
_PLAIN_COUNT_BELOW = 10**12
_FAR_OFF = 0.03  # a gap that few rows leave possible, but that nobody would call "as it should"
LIBRARIES = {"lightgbm": "LightGBM", "xgboost": "XGBoost"}


@dataclass(frozen=True)
class Sentence:
    """A sentence of the summary; ``tone`` is "good", "warn" or empty."""

    text: str
    tone: str = ""


def number(value: Any, digits: int = 4) -> str:
    """Return a number in ``digits`` significant digits: 1,234,567, 0.01235, 2.48e24; a dash for nothing."""
    if value is None:
        return DASH
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) and abs(value) < _PLAIN_COUNT_BELOW:
        return f"{value:,}"
    if isinstance(value, int) and abs(value) > 10**300:  # more than a float holds
        return "∞" if value > 0 else "-∞"
    value = float(value)
    if not math.isfinite(value):
        return DASH if math.isnan(value) else ("∞" if value > 0 else "-∞")
    size = abs(value)
    if size and not 1e-4 <= size < _PLAIN_BELOW:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        short = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{short}e{int(exponent)}"
    if size >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def points(percent: float) -> str:
    """Return a gain in percent without its sign of percent: "12.3", "-4.0", "-1.2e24"."""
    return f"{percent:.1f}" if abs(percent) < 1e4 else number(percent)


def percent(share: float, decimals: int = 1) -> str:
    """Return a share in [0, 1] as "88.1 %"."""
    return f"{100 * share:.{decimals}f}\u00a0%" if math.isfinite(share) else DASH


def claimed(share: float) -> str:
    """Return a nominal share without idle decimals: "90 %", "99.9 %"."""
    return f"{100 * share:.6g}\u00a0%"


def duration(seconds: float) -> str:
    """Return seconds as "8.2 s", "3 min 20 s" or "2 h 5 min"."""
    if not math.isfinite(seconds):
        return DASH
    if seconds < 60:
        return f"{seconds:.1f}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\u00a0min {rest}\u00a0s"
    return f"{minutes // 60}\u00a0h {minutes % 60}\u00a0min"


def display_width(text: str) -> int:
    """Return how many columns a text takes: wide characters count twice."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def shorten(text: str, most: int) -> str:
    """Return the text cut to ``most`` columns, with an ellipsis in the middle, where names differ least."""
    if display_width(text) <= most:
        return text
    head, tail = text, text
    while head and display_width(head) > (most - 1) * 2 // 3:
        head = head[:-1]
    while tail and display_width(tail) > (most - 1) // 3:
        tail = tail[1:]
    return f"{head}…{tail}"


def several(count: int, noun: str, plural: str = "") -> str:
    """Return "1 trial", "3,000 trials"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or f'{noun}s'}"


def headline_interval(intervals: Sequence[Interval]) -> Interval | None:
    """Return the widest interval, or None where there is none (a single level)."""
    return max(intervals, key=lambda interval: interval.nominal, default=None)


def span(limits: tuple[float, float] | None) -> str:
    """Return limits of a share in percent, "88.1 to 90.8", or that they are not known."""
    return "not known" if limits is None else f"{100 * limits[0]:.1f} to {100 * limits[1]:.1f}"


def confidence(limits: tuple[float, float] | None, blocks: int | None) -> str:
    """Return the confidence limits of a share in words, and what they allow for.

    Args:
        blocks: as in ``Evaluation``.
    """
    if limits is None:
        return "too few independent blocks of rows to tell its confidence limits"
    allowing = "" if blocks is None else ", allowing for rows that resemble each other"
    return f"95 % confidence {span(limits)}{allowing}"


NO_GAIN_INTERVAL = "too few independent blocks of rows for an interval"
RIVALS = {"default": "untuned default", "constant": "constant"}


def gain_words(comparison: Comparison | None) -> str:
    """Return a gain with its interval in percent, "12.3 (8.1 to 16.0)"; a dash where it cannot be told."""
    if comparison is None or not math.isfinite(comparison.gain_percent):
        return DASH
    limits = comparison.limits
    return points(comparison.gain_percent) + (
        f" ({points(limits[0])} to {points(limits[1])})" if limits else ""
    )


def ensemble_words(ensemble: Ensemble, best: int) -> str:
    """Return which trials are the model and what that gains, in a sentence without its full stop."""
    models = f"{ensemble.models} model{'s' * (ensemble.models != 1)}"
    speed = "" if ensemble.predict_ms is None else f", 1,000 rows in {ensemble.predict_ms:,.0f} ms"
    if len(ensemble.weights) == 1:
        alone = next(iter(ensemble.weights))
        which = "the best trial" if alone == best else f"trial {alone}"
        return f"{which} alone ({models}{speed})"
    heaviest = sorted(ensemble.weights.items(), key=lambda item: -item[1])
    told = ", ".join(f"{number} ({100 * weight:.0f} %)" for number, weight in heaviest)
    score = "validation score" if ensemble.calibrated else "validation loss, as it is and calibrated,"
    way = "below" if ensemble.gain_percent >= 0 else "above"
    gain = f"{score} {points(abs(ensemble.gain_percent))} % {way} that of trial {ensemble.best} alone"
    return f"trials {told} together ({models}{speed}): {gain}"


def p_words(comparison: Comparison | None) -> str:
    """Return a p-value as "0.012" or "< 0.001"; a dash where there is none."""
    value = None if comparison is None else comparison.p_value
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


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
