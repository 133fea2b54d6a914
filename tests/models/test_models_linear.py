"""A linear location: what it says is ridge regression's own, with each row left out in turn."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from contracts import LEVELS, SETTINGS, make_frame
from sklearn.linear_model import Ridge

from raysearch.models import (
    LINEAR,
    MODEL_NAMES,
    Frame,
    LocatedFit,
    get_model,
    load_located,
    locate_linear,
    located_importance,
    location_kind,
    with_location,
)
from raysearch.models import linear as room
from raysearch.models.linear import fit_linear, load_linear


def frame_of(**columns):
    table = pa.table({f"f{i}": np.asarray(values, float) for i, values in enumerate(columns.values())})
    return Frame(table, tuple(name.startswith("code") for name in columns))


def design(fitted, frame):
    values = [np.asarray(column, float) for column in frame.features.columns]
    return np.column_stack([term.of(values[term.column]) for term in fitted.terms])


def penalty(fitted, frame, z, counts):
    """Return which of the penalties the model was fitted with, by what ridge regression says for each."""
    x = design(fitted, frame)
    weights = [term.weight for term in fitted.terms]
    for one in room._PENALTIES:
        ridge = Ridge(alpha=one * counts.sum(), fit_intercept=False).fit(x, z - fitted.mean, counts)
        if np.allclose(ridge.coef_, weights, rtol=1e-6, atol=1e-9):
            return one
    raise AssertionError("no penalty gives these weights")


@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_ridge_regression_with_the_penalty_that_serves_left_out_rows_best(weighted):
    frame, z = make_frame(150)
    counts = np.linspace(0.2, 1.8, 150) if weighted else np.ones(150)
    fitted, left_out = fit_linear(frame, z, counts if weighted else None)
    x, chosen = design(fitted, frame), penalty(fitted, frame, z, counts)
    assert np.average(x, axis=0, weights=counts) == pytest.approx(np.zeros(x.shape[1]), abs=1e-12)
    np.testing.assert_allclose(fitted(frame), fitted.mean + x @ [term.weight for term in fitted.terms])

    def without(i, one):
        kept = np.arange(150) != i
        ridge = Ridge(alpha=one * counts.sum()).fit(x[kept], z[kept], counts[kept])
        return ridge.predict(x[[i]])[0]

    told = np.array([without(i, chosen) for i in range(150)])
    np.testing.assert_allclose(left_out, told, atol=0.02)  # the penalty of a row less is a little other

    def error(one):
        return np.average([(z[i] - without(i, one)) ** 2 for i in range(150)], weights=counts)

    errors = [error(one) for one in room._PENALTIES[::4]]
    assert np.average((z - left_out) ** 2, weights=counts) <= min(errors) * 1.001


def test_a_line_goes_on_where_trees_stand_still():
    x = np.arange(400.0)
    early, late = frame_of(x=x[:300]), frame_of(x=x[300:])
    fitted, _ = fit_linear(early, 3 * x[:300] + 7)
    np.testing.assert_allclose(fitted(late), 3 * x[300:] + 7, rtol=1e-4)


def test_gaps_categories_and_what_was_never_seen():
    rng = np.random.default_rng(0)
    x, code = rng.normal(size=600), rng.integers(0, 4, 600).astype(float)
    x[:100] = np.nan
    z = np.where(np.isnan(x), 5.0, 2 * x) + np.array([0.0, 10.0, 20.0, -3.0])[code.astype(int)]
    fitted, left_out = fit_linear(frame_of(x=x, code=code), z)
    assert np.abs(left_out - z).max() < 0.1
    odd = frame_of(x=[np.nan, 1e300, np.inf, 0.0], code=[0, 99, np.nan, 1])
    assert np.isfinite(fitted(odd)).all()
    far = frame_of(x=[1e300, 1e6], code=[1, 1])
    assert fitted(far)[0] == fitted(far)[1]  # beyond all that is likely a number says no more


def test_a_column_that_says_nothing_has_no_term():
    fitted, left_out = fit_linear(frame_of(a=[3.0] * 200, b=[np.nan] * 200), np.arange(200.0))
    assert fitted.terms == ()
    assert fitted(frame_of(a=[1.0], b=[2.0])) == pytest.approx([99.5])
    assert left_out == pytest.approx((np.arange(200.0).sum() - np.arange(200.0)) / 199)


def test_rows_by_parts_say_the_same(monkeypatch):
    frame, z = make_frame(700)
    whole, left_out = fit_linear(frame, z)
    monkeypatch.setattr(room, "_CELLS", 300)
    parts, by_parts = fit_linear(frame, z)
    np.testing.assert_allclose(by_parts, left_out, atol=1e-9)
    np.testing.assert_allclose(parts(frame), whole(frame), atol=1e-9)
    assert parts(frame.slice(5, 5)).shape == (0,)


def test_of_many_columns_those_that_go_with_the_target_have_terms(monkeypatch):
    monkeypatch.setattr(room, "_MOST_TERMS", 3)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 9))
    frame = frame_of(**{f"x{i}": x[:, i] for i in range(9)})
    fitted, _ = fit_linear(frame, 3 * x[:, 8] - 2 * x[:, 1] + x[:, 4] + 0.1 * rng.normal(size=500))
    assert {term.column for term in fitted.terms} == {1, 4, 8}


def test_monotone_columns_hold():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 500))
    a[::7] = np.nan
    fitted, _ = fit_linear(frame_of(a=a, b=b), np.nan_to_num(2 * a) - b, monotone=(-1, -1))
    weights = {(term.column, term.kind): term.weight for term in fitted.terms}
    assert set(weights) == {(1, "number")}
    assert weights[1, "number"] < 0


def test_the_file_says_the_same():
    frame, z = make_frame(300)
    fitted, _ = fit_linear(frame, z)
    files = fitted.dump()
    assert json.loads(files["linear.json"])["version"] == 1
    np.testing.assert_array_equal(load_linear(files)(frame), fitted(frame))


def test_the_parameter_says_which():
    asked = ({}, {"location": False}, {"location": True}, {"location": LINEAR})
    assert [location_kind(params) for params in asked] == ["", "", "trees", "linear"]


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_quantiles_around_a_line_are_those_of_the_loaded_model(model):
    frame, z = make_frame(400)
    adapter, watched = get_model(model), frame.slice(0, 90)
    location = locate_linear(frame, z, watched, SETTINGS)
    binned = adapter.bin(with_location(frame, location.learnt), z - location.learnt, {}, SETTINGS)
    inner = adapter.start(binned, {}, SETTINGS, with_location(watched, location.watched))
    fit = LocatedFit(inner, location)
    fit.advance(8)
    told = load_located(adapter, fit.dump(), LEVELS)(watched)
    np.testing.assert_allclose(told, fit.predict_watched(), atol=1e-6)
    shares = located_importance(adapter, fit.dump(), 4)
    assert shares.shape == (4,)
    assert shares.sum() == pytest.approx(1.0)
    assert locate_linear(frame.slice(0, 99), z[:99], watched, SETTINGS) is None
