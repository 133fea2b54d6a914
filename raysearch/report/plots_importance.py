"""Bars of what mattered: which parameters to the search, which features to the forecaster."""

from __future__ import annotations

from collections.abc import Mapping

from raysearch.report.canvas import BLUE, Plot, Sheet, bars, margin, number_ticks
from raysearch.report.scales import finite_shares
from raysearch.report.wording import claimed, percent, several


def parameter_importance(shares: Mapping[str, float]) -> Plot | None:
    """How much of the score's variation each parameter explains."""
    told = finite_shares(shares, 15)
    return _bars(
        told,
        "parameter_importance",
        "Which parameters mattered",
        "The longer the bar, the more of the difference between good and bad trials this parameter explains; "
        "those near nothing need no tuning on this table.",
    )


def feature_importance(shares: Mapping[str, float]) -> Plot | None:
    """The twenty features that the forecaster leans on most."""
    told = finite_shares(shares, 20)
    of = f" (the {len(told)} largest of {len(shares):,})" if len(shares) > len(told) else ""
    return _bars(
        told,
        "feature_importance",
        "What the forecaster looks at",
        f"The longer the bar, the more the forecaster's splits on this column improved the fit{of}; "
        "a large share tells use, not cause.",
    )


def _bars(told: list[tuple[str, float]], name: str, title: str, caption: str) -> Plot | None:
    if not told:
        return None
    sheet = Sheet(max(0.75 + 0.235 * len(told), 1.7))
    labels = [sheet.label(key, 30) for key, _ in told]
    left = margin(labels)
    axes = sheet.axes(left, 0.4, 5.4 - left - 0.55, sheet.size[1] - 0.5, grid="x")
    values = [share for _, share in told]
    bars(axes, labels, values, [percent(share) for share in values], BLUE)
    axes.set_xlim(0, max(max(values), 1e-12) * 1.02)
    number_ticks(axes.xaxis, 4, claimed)
    first = ", ".join(f"{key} {percent(share)}" for key, share in told[:3])
    return sheet.finish(name, title, caption, f"Bars of {several(len(told), 'share')}; largest: {first}.")
