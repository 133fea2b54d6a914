"""The search space as it suits a table."""

from __future__ import annotations

from raysearch.config import Config
from raysearch.data import Dataset
from raysearch.models import CAT_SMOOTH, LEAF_ROWS, LINEAR, LOCATION, MANY_CATEGORIES, SEEN_ONLY
from raysearch.space import SearchSpace, is_shipped, with_most, without_choice, without_value

_LEAVES = 8  # that each of a fold's trees can have, at least


def suited(config: Config, space: SearchSpace, dataset: Dataset) -> SearchSpace:
    """Return the space without what would change nothing on this table.

    A shipped space is also without what serves nobody there: categories smoothed where no column has many,
    and more rows in a leaf than leave some leaves.
    """
    if not dataset.unseen:
        space = without_choice(space, SEEN_ONLY)
    if not config.by_time:
        space = without_value(space, LOCATION, LINEAR)
    shipped = is_shipped(config.search.space)
    most = max((len(plan.categories) for plan in dataset.encoder.plans), default=0)
    if most <= (MANY_CATEGORIES if shipped else 0):
        space = without_choice(space, CAT_SMOOTH)
    if shipped:
        rows = min(sum(stop - start for start, stop in fold.train) for fold in dataset.fits)
        for name in LEAF_ROWS:
            space = with_most(space, name, rows // _LEAVES)
    return space
