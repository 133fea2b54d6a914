"""Everything wrong is told at once, with what would be right."""

from __future__ import annotations

import pytest

from raysearch import errors
from raysearch.errors import ConfigError, Problems, RaysearchError, listing, nearest


def test_every_error_is_a_raysearch_error_with_a_word_on_when_it_is_raised():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) >= 7
    for kind in kinds:
        assert issubclass(kind, RaysearchError)
        assert kind.__doc__


def test_no_problem_raises_nothing():
    Problems("config").raise_as(ConfigError)


def test_one_problem_is_one_line():
    problems = Problems("config")
    problems.add("trials: got 0")
    with pytest.raises(ConfigError) as caught:
        problems.raise_as(ConfigError)
    assert str(caught.value) == "config: trials: got 0"


def test_several_problems_are_listed_each_once():
    problems = Problems("space x.yaml")
    for text in ("a is bad", "b is bad", "a is bad"):
        problems.add(text)
    with pytest.raises(ConfigError) as caught:
        problems.raise_as(ConfigError)
    assert str(caught.value) == "space x.yaml: 2 problems\n  - a is bad\n  - b is bad"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("trails", "; did you mean 'trials'?"), ("zzz", ""), (1, ""), (None, ""), ("", "")],
)
def test_nearest(name, hint):
    assert nearest(name, {"trials": 1, "seed": 2}) == hint


def test_listing_cuts_long_lists():
    assert listing(["a", "b"]) == "'a', 'b'"
    assert listing(map(str, range(14))).endswith("'11' and 2 more")
    assert listing([]) == ""
