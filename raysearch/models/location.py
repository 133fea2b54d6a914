"""Location first: where the target lies is learnt by least squares, and the quantiles learn what is left.

Pinball loss tells a booster only on which side of a quantile a row lies, squares also how far away, so that
far fewer trees find the middle of a target. The training rows are cut into stretches; what a least-squares
model of the others says of a stretch is subtracted from its targets, and is one more feature, with which
quantiles can widen or narrow (stacked generalisation, Wolpert 1992). Rows that are not trained on get the
models' mean. Trees of few leaves find what features add up to, trees of many how they act together: the first
stretch tells which of the two serve this table, and where a column has many categories, whether these are
told apart with care (a large table gets two stretches, and trees of many leaves). Folds of as many rows take
what served the first.
Or the location is linear (see ``linear``), and what it says of a training row leaves out that row alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from raysearch.metrics import Array
from raysearch.models.linear import LINEAR_FILE, fit_linear, load_linear
from raysearch.models.protocol import Fit, FitSettings, Frame, QuantileModel, join
from raysearch.models.tunables import LINEAR, LOCATION, MANY_CATEGORIES

TREES = "trees"
_STRETCHES, _OF_MANY = 4, 2
_ABOUT = 0.1  # by which folds at random, or by group, differ in rows
_FEWEST_ROWS = 100  # below, a stretch holds too few rows to tell when to stop
_MANY_ROWS = 50_000  # beyond, half of them tell enough, and a second size of trees costs the time of a trial
_PREFIX = "location_{:02d}."
_FILE = "file/"


@dataclass(frozen=True)
class MeanKind:
    """How a mean is learnt, see ``QuantileModel.fit_mean``."""

    small: bool = False
    careful: bool = False


@dataclass(frozen=True)
class Location:
    """What least squares say of the rows of one training.

    Attributes:
        files: of the model of each stretch, behind its number.
        learnt: of the training rows, each by a model that has not seen it [rows].
        watched: of the rows to score on [rows].
        kind: how the means were learnt; a line has none.
    """

    files: Mapping[str, bytes]
    learnt: Array
    watched: Array
    kind: MeanKind | None = None


def _kinds(frame: Frame) -> list[MeanKind]:
    """Return the ways to learn a mean that the first stretch chooses from."""
    kinds = [MeanKind(), MeanKind(small=True)]
    return [*kinds, MeanKind(careful=True)] if most_categories(frame) > MANY_CATEGORIES else kinds


def most_categories(frame: Frame) -> int:
    """Return how many categories there are in the column of most, 0 where none is categorical."""
    codes = [frame.features.column(i).to_numpy() for i, known in enumerate(frame.categorical) if known]
    return max((len(np.unique(column[~np.isnan(column)])) for column in codes), default=0)


def location_kind(params: Mapping[str, Any]) -> str:
    """Return the location model that a trial's parameters ask for: TREES, LINEAR, or none of them, ""."""
    wanted = params.get(LOCATION, False)
    return LINEAR if wanted == LINEAR else TREES if wanted else ""


def locate_linear(
    frame: Frame, z: Array, watched: Frame, settings: FitSettings, weights: Array | None = None
) -> Location | None:
    """Fit a linear location of training rows; None where these are too few. See ``locate``."""
    if frame.rows < _FEWEST_ROWS:
        return None
    fitted, left_out = fit_linear(frame, z, weights, settings.monotone)
    files = {_PREFIX.format(0) + name: data for name, data in fitted.dump().items()}
    return Location(files, left_out, fitted(watched))


def locate(
    model: QuantileModel,
    frame: Frame,
    z: Array,
    watched: Frame,
    settings: FitSettings,
    weights: Array | None = None,
    like: Location | None = None,
) -> Location | None:
    """Fit the location models of training rows; None where these are too few.

    Stretches are contiguous: rows that stand together, in time or of one group, tell of each other.

    Args:
        z: the modelled target [rows].
        weights: how much each row counts [rows]; None: all alike.
        like: that of another fold, whose kind of means is taken where it has about as many rows.
    """
    if frame.rows < _FEWEST_ROWS:
        return None
    learnt, said = np.empty(frame.rows), np.zeros(watched.rows)
    files: dict[str, bytes] = {}
    many = frame.rows > _MANY_ROWS
    stretches = _OF_MANY if many else _STRETCHES
    edges = np.linspace(0, frame.rows, stretches + 1).astype(int).tolist()
    kinds = [MeanKind()] if many else _kinds(frame)  # those to choose from
    if like and like.kind and abs(len(like.learnt) - frame.rows) <= _ABOUT * frame.rows:
        kinds = [like.kind]
    predictors = []
    for i, (start, stop) in enumerate(pairwise(edges)):
        others = [part for part in ((0, start), (stop, frame.rows)) if part[0] < part[1]]

        def of_others(values: Array, parts: Sequence[tuple[int, int]] = tuple(others)) -> Array:
            return np.concatenate([values[slice(*part)] for part in parts])

        rows = join([frame.slice(*part) for part in others])
        known = (rows, of_others(z), None if weights is None else of_others(weights))
        ahead = (frame.slice(start, stop), z[start:stop])
        tried = {
            kind: model.fit_mean(known, ahead, settings, small=kind.small, careful=kind.careful)
            for kind in kinds
        }
        kinds = [min(tried, key=lambda kind: tried[kind][1])]
        own, _ = tried[kinds[0]]
        predict = model.load_mean(own)
        learnt[start:stop] = predict(frame.slice(start, stop))
        predictors.append(predict)
        files.update({_PREFIX.format(i) + name: data for name, data in own.items()})
    seen = watched.view()  # behind the last fit: beside one, its matrix would be memory that nobody counts
    said = np.asarray(np.mean([predict(seen) for predict in predictors], axis=0))
    return Location(files, learnt, said, kinds[0])


def save_location(location: Location | None, path: Path) -> None:
    """Write what was learnt of some rows, or that they are too few, for ``load_location``."""
    arrays: dict[str, Array] = {}
    if location is not None:
        arrays = {"learnt": location.learnt, "watched": location.watched}
        if location.kind:
            arrays["kind"] = np.array([location.kind.small, location.kind.careful])
        arrays |= {f"{_FILE}{name}": np.frombuffer(data, np.uint8) for name, data in location.files.items()}
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_location(path: Path) -> Location | None:
    """Read what ``save_location`` has written."""
    with np.load(path, allow_pickle=False) as found:
        if "learnt" not in found:
            return None
        files = {name.removeprefix(_FILE): found[name].tobytes() for name in found if name.startswith(_FILE)}
        kind = MeanKind(*found["kind"].tolist()) if "kind" in found else None
        return Location(files, found["learnt"], found["watched"], kind)


def with_location(frame: Frame, said: Array) -> Frame:
    """Return the frame with what the location models say [rows] as its last column."""
    import pyarrow as pa

    name = f"f{frame.features.num_columns}"
    return Frame(frame.features.append_column(name, pa.array(said)), (*frame.categorical, False))


class LocatedFit:
    """A training of quantiles around a location."""

    def __init__(self, fit: Fit, location: Location) -> None:
        self._fit, self._location = fit, location

    @property
    def rounds(self) -> int:
        return self._fit.rounds

    @property
    def additive(self) -> bool:
        return self._fit.additive

    def advance(self, rounds: int) -> None:
        self._fit.advance(rounds)

    def predict_watched(self, rounds: int | None = None) -> Array:
        return self._fit.predict_watched(rounds) + self._location.watched[:, None]

    def dump(self, rounds: int | None = None) -> dict[str, bytes]:
        return {**self._fit.dump(rounds), **self._location.files}

    def save(self) -> dict[str, bytes]:
        """Return what the boosters need; the location is learnt again, and the same."""
        return self._fit.save()


def load_located(
    model: QuantileModel, files: Mapping[str, bytes], levels: Sequence[float]
) -> Callable[[Frame], Array]:
    """Return a function from a frame to quantiles [rows, levels], not put in order.

    Raises:
        ValueError: when the boosters are of another number of levels.
    """
    own, means = _parted(files)
    quantiles = model.load(own, levels)
    if not means:
        return quantiles
    files_of_means = tuple(tuple(sorted(part.items())) for part in means)
    mean = _loaded(model, files_of_means)  # type: ignore[arg-type]  # adapters are hashed as what they are

    def predict(frame: Frame) -> Array:
        said, located = mean(frame)
        return np.asarray(quantiles(located) + said[:, None])

    return predict


@lru_cache(maxsize=32)
def _loaded(model: QuantileModel, means: tuple[tuple[tuple[str, bytes], ...], ...]) -> _Mean:
    """Return the location of a fold's rows: all trials of the fold have the same."""
    parts = [dict(part) for part in means]
    return _Mean([load_linear(part) if LINEAR_FILE in part else model.load_mean(part) for part in parts])


class _Mean:
    """The mean of location models; remembers the last rows, which the trials of a fold are asked in turn."""

    def __init__(self, predictors: Sequence[Callable[[Frame], Array]]) -> None:
        self._predictors = predictors
        self._last: tuple[Frame, Array, Frame] | None = None

    def __call__(self, frame: Frame) -> tuple[Array, Frame]:
        """Return what the models say of the rows [rows], and the frame with it as its last column."""
        last = self._last
        if last is None or last[0] is not frame:
            view = frame.view()  # XGBoost makes one matrix of it for all models
            said = np.asarray(np.mean([predict(view) for predict in self._predictors], axis=0))
            last = self._last = (frame, said, with_location(frame, said))
        return last[1], last[2]


def located_importance(model: QuantileModel, files: Mapping[str, bytes], columns: int) -> Array:
    """Return each feature's share of the gain [columns]: what location gains is its own features' doing."""
    own, means = _parted(files)
    if not means:
        return _shares(model.importance(own, columns))
    gains = _shares(model.importance(own, columns + 1))
    of_means = [
        load_linear(part).importance(columns) if LINEAR_FILE in part else model.importance(part, columns)
        for part in means
    ]
    behind = np.mean([_shares(gain) for gain in of_means], axis=0)
    # The quantiles' trees see what location left over: it counts as much as all of them.
    return _shares(gains[:columns] + (1.0 + gains[columns]) * behind)


def _shares(gains: Array) -> Array:
    return gains / gains.sum() if gains.sum() > 0 else gains


def _parted(files: Mapping[str, bytes]) -> tuple[dict[str, bytes], list[dict[str, bytes]]]:
    """Return the files of the quantiles, and those of each location model."""
    means = []
    for i in range(_STRETCHES):
        start = _PREFIX.format(i)
        part = {name.removeprefix(start): data for name, data in files.items() if name.startswith(start)}
        means += [part] * bool(part)
    own = {name: data for name, data in files.items() if not name.startswith(_PREFIX.split("{")[0])}
    return own, means
