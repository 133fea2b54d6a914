"""Bounds are part of the way back to the target's units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysearch.data import Transform


def test_quantiles_are_clipped_and_models_without_bounds_still_load():
    bounded = Transform(lower=0.0, upper=3.0)
    np.testing.assert_array_equal(bounded.inverse([-1.0, 0.0, 2.0, 9.0]), [0.0, 0.0, 2.0, 3.0])
    assert Transform.from_json(bounded.to_json()) == bounded
    old = {key: value for key, value in bounded.to_json().items() if key not in ("lower", "upper")}
    assert Transform.from_json(old) == Transform()


@pytest.mark.parametrize("kind", ["none", "log1p", "asinh"])
@given(st.lists(st.floats(-20, 20), min_size=1, max_size=30), st.floats(-5, 5), st.floats(0.1, 10))
def test_whatever_is_forecast_lies_inside_and_keeps_its_order(kind, z, lower, span):
    found = Transform(kind, lower=lower, upper=lower + span).inverse(np.sort(z))
    assert (found >= lower).all() and (found <= lower + span).all()
    assert (np.diff(found) >= 0).all()
