"""The search space as it suits a table."""

from __future__ import annotations

from raysearch.config import Config
from raysearch.data import Dataset
from raysearch.errors import SpaceError
from raysearch.models import CAT_SMOOTH, LEAF_ROWS, LINEAR, LOCATION, MANY_CATEGORIES, SEEN_ONLY
from raysearch.space import SearchSpace, Space, with_most, with_start, without_choice, without_value

_LEAVES = 8  # that each of a fold's trees can have, at least
_FEW_ROWS = 20_000  # where what a category tells is soon lost
_LEAST_SMOOTH = 10.0  # the library's default


def suited(config: Config, space: SearchSpace, dataset: Dataset) -> SearchSpace:
    """Return the space without what would change nothing on this table.

    A shipped space is also without what serves nobody there: categories smoothed where no column has many,
    more rows in a leaf than leave some leaves, and start points that tell no category of a small table apart.
    """
    parts = [_suited(config, part, dataset) for part in space.spaces]
    return SearchSpace(tuple(part for suiting in parts for part in suiting.spaces))


def _suited(config: Config, part: Space, dataset: Dataset) -> SearchSpace:
    space = SearchSpace((part,))
    if not dataset.unseen:
        space = without_choice(space, SEEN_ONLY)
    if not config.by_time:
        space = without_value(space, LOCATION, LINEAR)
    if config.compute.workers_per_trial > 1:
        space = without_choice(space, LOCATION)
    most = max((len(plan.categories) for plan in dataset.encoder.plans), default=0)
    if most <= (MANY_CATEGORIES if part.shipped else 0):
        space = without_choice(space, CAT_SMOOTH)
    if not part.shipped:
        return space
    rows = min(sum(stop - start for start, stop in fold.train) for fold in dataset.fits)
    for name in (*LEAF_ROWS, CAT_SMOOTH):
        space = with_most(space, name, rows // _LEAVES)
    if rows < _FEW_ROWS and most:
        space = with_start(space, CAT_SMOOTH, max(_LEAST_SMOOTH, rows / most / 2))
    return space


def refuse_location(config: Config, space: SearchSpace) -> None:
    """Refuse a location where a trial has several workers: it is learnt by one that has all rows.

    Raises:
        SpaceError: the space asks for one, or a study that is gone on with has searched for it.
    """
    if config.compute.workers_per_trial == 1:
        return
    asking = [
        part.model
        for part in space.spaces
        if part.fixed.get(LOCATION) or any(p.name == LOCATION for p in part.parameters)
    ]
    if asking:
        raise SpaceError(
            f"{LOCATION}: the search space of {' and '.join(asking)} asks for one, which trials over "
            "several workers (--workers-per-trial) cannot learn; take it out of the space, or train each "
            "trial by one worker"
        )
