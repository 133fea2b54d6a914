"""Transforms rise strictly and come back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysearch.data import Transform
from raysearch.data.transform import KINDS
from raysearch.errors import DataError

positive = st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=20)


@pytest.mark.parametrize("kind", ["none", "log", "log1p", "asinh"])
@given(values=positive)
def test_there_and_back(kind, values):
    transform = Transform(kind)
    y = np.array(values)
    assert np.allclose(transform.inverse(transform.forward(y)), y, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["none", "log", "log1p", "asinh"])
def test_order_is_kept(kind):
    y = np.sort(np.random.default_rng(0).uniform(0.001, 1e6, 500))
    assert (np.diff(Transform(kind).forward(y)) > 0).all()


def test_anchored_growth_of_rows_and_levels():
    transform = Transform("log", "nav")
    y, anchor = np.array([110.0, 95.0]), np.array([100.0, 100.0])
    z = transform.forward(y, anchor)
    assert z == pytest.approx(np.log([1.1, 0.95]))
    levels = np.stack([z - 0.1, z, z + 0.1], axis=1)
    back = transform.inverse(levels, anchor)
    assert back.shape == (2, 3) and back[:, 1] == pytest.approx(y)


def test_names_for_people():
    assert Transform("log", "nav").name("nav_ahead") == "nav_log"
    assert Transform("log").name("größe [m]") == "log(größe [m])"
    assert Transform().name("y") == "y"


def test_json_round_trip():
    for transform in (Transform(), Transform("log", "a b"), Transform("asinh")):
        assert Transform.from_json(json.loads(json.dumps(transform.to_json()))) == transform


def test_bad_transforms_are_refused():
    with pytest.raises(DataError, match="must be one of"):
        Transform("sqrt")
    with pytest.raises(DataError, match="needs the kind 'log'"):
        Transform("asinh", "x")
    with pytest.raises(DataError, match="'x' is needed"):
        Transform("log", "x").forward([1.0])


def test_inputs_are_not_changed():
    y = np.array([1.0, 2.0])
    Transform().forward(y)[0] = 9.0
    assert y[0] == 1.0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "change"])
def test_boosters_are_given_the_distance_from_the_middle(kind):
    y = 1.6e9 + np.random.default_rng(0).normal(size=500) * 3
    transform = Transform(kind).fitted(y)
    z = transform.forward(y)
    given_to = transform.standardise(z)
    assert abs(np.median(given_to)) < 1e-6
    assert 0.3 < np.ptp(np.quantile(given_to, [0.25, 0.75])) < 3
    assert np.ptp(given_to.astype(np.float32) - given_to) < 1e-5, "boosters keep 32 bits"
    assert np.allclose(transform.inverse(transform.restore(given_to)), y, rtol=1e-12, atol=1e-3)
    assert Transform.from_json(json.loads(json.dumps(transform.to_json()))) == transform


@pytest.mark.parametrize("y", [[3.0] * 5, [0.0] * 9 + [1e300], [1e-300, 2e-300], [-8e307, 8e307], [7.0]])
def test_odd_spreads_have_a_scale_too(y):
    transform = Transform().fitted(np.array(y))
    given_to = transform.standardise(np.array(y))
    assert np.isfinite(given_to).all() and np.abs(given_to).max() < 1e30
    assert np.allclose(transform.restore(given_to), y, rtol=1e-12)


def test_a_change_is_a_difference_from_its_anchor():
    change = Transform("change", "base")
    z = change.forward([5.0, -1.0], [2.0, 3.0])
    assert z.tolist() == [3.0, -4.0]
    assert change.inverse(z[:, None], [2.0, 3.0]).tolist() == [[5.0], [-1.0]]
    assert Transform.from_json(change.to_json()) == change and change.name("y") == "change of y"
    with pytest.raises(DataError, match="needs an anchor"):
        Transform("change")
