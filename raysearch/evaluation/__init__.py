"""How good is a forecast on rows: scores with confidence limits, against rivals, and by parts of the rows.

Arrays: `y` is [rows], `q` is [rows, levels], in the target's units. `blocks` is [rows], the block of each
row: rows of one may depend on each other in any way, like those near in time, while blocks are taken as
independent. None: all rows are.
"""

from __future__ import annotations

from raysearch.evaluation.degenerate import constant_quantiles, levels_collapse, same_for_all
from raysearch.evaluation.limits import share_limits, student_95, wilson_limits
from raysearch.evaluation.overall import evaluate, intervals
from raysearch.evaluation.paired import compare
from raysearch.evaluation.rivals import Forecast, Forecasts, make_rivals
from raysearch.evaluation.slices import make_slices

__all__ = [
    "Forecast",
    "Forecasts",
    "compare",
    "constant_quantiles",
    "evaluate",
    "intervals",
    "levels_collapse",
    "make_rivals",
    "make_slices",
    "same_for_all",
    "share_limits",
    "student_95",
    "wilson_limits",
]
