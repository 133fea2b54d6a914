"""Which features a forecast must rise or fall with."""

from __future__ import annotations

from collections.abc import Mapping

from raysearch.data.encode import Encoder
from raysearch.errors import DataError, Problems, nearest

_ORDERED = ("number", "boolean", "seconds")


def monotone_signs(encoder: Encoder, monotone: Mapping[str, int]) -> tuple[int, ...]:
    """Return for each feature 1 (forecasts rise with it), -1 (they fall) or 0; empty where none is asked.

    Args:
        monotone: by source column 1 or -1.

    Raises:
        DataError: a column is no feature, or its values have no order; all of them at once.
    """
    problems = Problems("data.monotone")
    kinds = {plan.column: plan.kind for plan in encoder.plans}
    for column in monotone:
        if column not in kinds:
            why = encoder.left_out.get(column)
            told = f" ({why})" if why else nearest(column, kinds)
            problems.add(f"{column!r} is no feature{told}; take it out")
        elif kinds[column] not in _ORDERED:
            what = "categories" if kinds[column] == "category" else "calendar parts of dates"
            problems.add(f"{column!r} is learnt from as {what}, must be a number; take it out or make it one")
    problems.raise_as(DataError)
    if not monotone:
        return ()
    return tuple(monotone.get(plan.column, 0) for plan in encoder.plans for _ in plan.names)
