"""Search spaces: what is tuned, between which bounds, under which conditions."""

from raysearch.space.dimensions import DefaultPoint, Parameter, SearchSpace, Space
from raysearch.space.read import load_space, parse_space
from raysearch.space.without import with_most, with_start, without_choice, without_value

__all__ = [
    "DefaultPoint",
    "Parameter",
    "SearchSpace",
    "Space",
    "load_space",
    "parse_space",
    "with_most",
    "with_start",
    "without_choice",
    "without_value",
]
