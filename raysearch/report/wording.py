"""Numbers and sentences as a reader who never saw the tool wants them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raysearch.records import Comparison, Ensemble, Interval

DASH = "–"
_PLAIN_BELOW = 1e9  # a figure from here on is told in powers of ten
_PLAIN_COUNT_BELOW = 10**12
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
