"""A linear location: ridge regression, which goes on where the trees of a location stand still.

Trees say of rows beyond all that they have seen what they say of the nearest ones; a line goes on. Where a
target drifts with its features, in time, what is left over by a line stays alike. Numbers are taken in units
of their spread, with a term for their gaps; the commonest categories have a term each. The penalty is the
one with the least squared error of rows that are left out, each alone, which ridge regression knows in closed
form (Golub, Heath and Wahba, 1979; Allen's PRESS).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from raysearch.metrics import Array
from raysearch.models.protocol import Frame

LINEAR_FILE = "linear.json"
_PENALTIES = np.logspace(-8, 2, 21)  # in units of a term's variance
_FAR = 10.0  # spreads from the middle: a number beyond counts as there
_CODES, _FEWEST_OF_CODE = 30, 20  # categories of a feature that have a term, and the rows of the rarest
_MOST_TERMS = 500  # those that go with the target most closely
_MOST_ROWS, _CELLS = (
    65_536,
    2_000_000,
)  # at a time: all at once would take more memory than all else of a trial


@dataclass(frozen=True)
class Term:
    """What one column of the regression holds.

    Attributes:
        column: number of the feature.
        kind: "number", "gap" (1 where it is missing) or "code" (1 where it is ``code``).
        middle: of a number; ``spread``: its unit.
        centre: mean of the term.
        weight: what a unit of the term adds.
    """

    column: int
    kind: str
    code: float = 0.0
    middle: float = 0.0
    spread: float = 1.0
    centre: float = 0.0
    weight: float = 0.0

    def of(self, values: Array) -> Array:
        """Return the term of a feature's values [rows], its mean taken off."""
        if self.kind == "code":
            told: Array = (values == self.code).astype(np.float64)
        elif self.kind == "gap":
            told = (~np.isfinite(values)).astype(np.float64)
        else:
            units = np.clip((values - self.middle) / self.spread, -_FAR, _FAR)
            told = np.where(np.isfinite(values), units, 0.0)
        return told - self.centre


@dataclass(frozen=True)
class LinearModel:
    """A fitted ridge regression."""

    mean: float
    terms: tuple[Term, ...]

    def __call__(self, frame: Frame) -> Array:
        """Return the location [rows]."""
        weights = np.array([term.weight for term in self.terms])
        said = [self.mean + matrix @ weights for _, matrix in _chunks(frame, self.terms)]
        return np.concatenate(said) if said else np.empty(0)

    def dump(self) -> dict[str, bytes]:
        content = {"version": 1, "mean": self.mean, "terms": [asdict(term) for term in self.terms]}
        return {LINEAR_FILE: json.dumps(content).encode()}

    def importance(self, columns: int) -> Array:
        """Return how much variance each feature column adds to what is said, [columns]."""
        found: Array = np.zeros(columns)
        for term in self.terms:
            variance = 1.0 if term.kind == "number" else term.centre * (1.0 - term.centre)
            found[term.column] += term.weight**2 * variance
        return found


def load_linear(files: Mapping[str, bytes]) -> LinearModel:
    """Return the model of ``LinearModel.dump``."""
    content = json.loads(files[LINEAR_FILE])
    return LinearModel(float(content["mean"]), tuple(Term(**term) for term in content["terms"]))


def fit_linear(
    frame: Frame, z: Array, weights: Array | None = None, monotone: Sequence[int] = ()
) -> tuple[LinearModel, Array]:
    """Fit a ridge regression.

    Args:
        z: the modelled target [rows].
        weights: how much each row counts [rows]; None: all alike.
        monotone: for each feature column 1 or -1 where the location must rise or fall with it; empty: none.

    Returns:
        The model, and what a model of all other rows says of each row [rows].
    """
    counts = np.ones(frame.rows) if weights is None else weights
    mean = float(np.average(z, weights=counts))
    terms = _chosen(_terms(frame, counts, gaps=not len(monotone)), frame, counts * (z - mean))
    while True:
        fitted, left_out = _ridge(frame, (z, counts, mean), terms)
        kept = [term for term in fitted if not _wrong(term, monotone)]
        if len(kept) == len(fitted):
            return LinearModel(mean, tuple(fitted)), left_out
        terms = kept


def _wrong(term: Term, monotone: Sequence[int]) -> bool:
    return bool(len(monotone)) and term.kind == "number" and term.weight * monotone[term.column] < 0


def _terms(frame: Frame, counts: Array, *, gaps: bool) -> list[Term]:
    """Return the terms of all features, without weights.

    Args:
        gaps: whether missing numbers have a term: rows without one would break what rises with it.
    """
    found: list[Term] = []
    for i, categorical in enumerate(frame.categorical):
        values = _column(frame, i, 0, frame.rows)
        known = values[np.isfinite(values)]
        if not len(known):
            continue
        if categorical:
            found += [Term(i, "code", code) for code in _common(known)]
            continue
        with np.errstate(over="ignore"):
            middle, spread = float(known.mean()), float(known.std())
        if math.isfinite(spread) and spread > 1e-12 * max(1.0, abs(middle)):
            found.append(Term(i, "number", middle=middle, spread=spread))
        if gaps and len(known) < frame.rows:
            found.append(Term(i, "gap"))
    return [
        replace(
            term,
            centre=float(np.average(term.of(_column(frame, term.column, 0, frame.rows)), weights=counts)),
        )
        for term in found
    ]


def _common(codes: Array) -> list[float]:
    """Return the commonest codes, but for those that are nearly all and those of few rows."""
    distinct, rows = np.unique(codes, return_counts=True)
    order = np.argsort(-rows, kind="stable")[:_CODES]
    return [float(distinct[j]) for j in order if rows[j] >= _FEWEST_OF_CODE]


def _chosen(terms: Sequence[Term], frame: Frame, pull: Array) -> list[Term]:
    if len(terms) <= _MOST_TERMS:
        return list(terms)
    along = np.concatenate(
        [
            np.abs(sum(matrix.T @ pull[rows] for rows, matrix in _chunks(frame, part)))
            for part in (terms[i : i + _MOST_TERMS] for i in range(0, len(terms), _MOST_TERMS))
        ]
    )
    return [terms[i] for i in np.sort(np.argsort(-along, kind="stable")[:_MOST_TERMS])]


def _ridge(
    frame: Frame, truth: tuple[Array, Array, float], terms: Sequence[Term]
) -> tuple[list[Term], Array]:
    """Return the terms with their weights, and what is said of each row when it is left out [rows]."""
    z, counts, mean = truth
    total = counts.sum()
    products, pull = np.zeros((len(terms), len(terms))), np.zeros(len(terms))
    for rows, matrix in _chunks(frame, terms):
        weighted = matrix * counts[rows, None]
        products += matrix.T @ weighted
        pull += weighted.T @ (z[rows] - mean)
    sizes, axes = np.linalg.eigh(products / total)
    sizes, along = np.clip(sizes, 0.0, None), axes.T @ (pull / total)
    shrunk = 1.0 / (sizes[:, None] + _PENALTIES)  # [terms, penalties]

    def said_without(columns: Array) -> Iterator[tuple[slice, Array]]:
        """Yield what is said of rows when each is left out, [rows, penalties]."""
        for rows, matrix in _chunks(frame, terms):
            turned = matrix @ axes
            said = mean + turned @ (columns * along[:, None])
            share = counts[rows, None] / total * (1.0 + np.square(turned) @ columns)  # a row has in its own
            yield rows, z[rows, None] - (z[rows, None] - said) / np.clip(1.0 - share, 1e-3, None)

    errors = sum(counts[rows] @ np.square(z[rows, None] - said) for rows, said in said_without(shrunk))
    best = shrunk[:, [int(np.argmin(errors))]]
    left_out = np.concatenate([said[:, 0] for _, said in said_without(best)])
    weights = axes @ (best[:, 0] * along)
    fitted = [replace(term, weight=float(weight)) for term, weight in zip(terms, weights, strict=True)]
    return fitted, left_out


def _chunks(frame: Frame, terms: Sequence[Term]) -> Iterator[tuple[slice, Array]]:
    """Yield the terms' values, [rows, terms], of some rows at a time."""
    columns = sorted({term.column for term in terms})
    step = min(_MOST_ROWS, max(1, _CELLS // max(1, len(terms))))
    for start in range(0, frame.rows, step):
        stop = min(start + step, frame.rows)
        values = {i: _column(frame, i, start, stop) for i in columns}
        matrix = np.empty((stop - start, len(terms)))
        for j, term in enumerate(terms):
            matrix[:, j] = term.of(values[term.column])
        yield slice(start, stop), matrix


def _column(frame: Frame, i: int, start: int, stop: int) -> Array:
    values = frame.features.column(i).slice(start, stop - start).to_numpy()
    return np.asarray(values, dtype=np.float64)
