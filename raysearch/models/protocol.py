"""What a quantile model can do. One adapter a library; ``tests/contracts.py`` checks each of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from raysearch.metrics import Array

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Frame:
    """Encoded features of some rows.

    Attributes:
        features: an Arrow table of float columns f0, f1, ...; missing is null or NaN.
        categorical: for each column whether its numbers are codes of categories.
    """

    features: pa.Table
    categorical: tuple[bool, ...]

    def slice(self, start: int, stop: int) -> Frame:
        """Return the rows from ``start`` to ``stop`` without copying them."""
        return Frame(self.features.slice(start, stop - start), self.categorical)

    def without(self, columns: Sequence[int]) -> Frame:
        """Return the frame with these columns missing in every row, so that trees cannot split by them."""
        import pyarrow as pa

        features = self.features
        for i in columns:
            kind = features.field(i)
            features = features.set_column(i, kind, pa.nulls(self.rows, kind.type))
        blank = set(columns)
        return Frame(features, tuple(c and i not in blank for i, c in enumerate(self.categorical)))

    @cached_property
    def matrix(self) -> Array:
        """A copy of the features [rows, columns], missing is NaN: it is predicted more quickly.

        It stays as long as the frame does.
        """
        return np.stack([column.to_numpy() for column in self.features.columns]).T  # columns lie together

    def view(self) -> Frame:
        """Return a frame of the same rows, whose matrix goes with it."""
        return replace(self)

    @property
    def rows(self) -> int:
        return int(self.features.num_rows)


def join(frames: Sequence[Frame]) -> Frame:
    """Return the rows of all frames, without copying them."""
    import pyarrow as pa

    if len(frames) == 1:
        return frames[0]
    return Frame(pa.concat_tables([frame.features for frame in frames]), frames[0].categorical)


@dataclass(frozen=True)
class FitSettings:
    """What a fit is told beside its parameters.

    Attributes:
        threads: of a fit; levels that are trained beside each other need not wait for each other.
        within: of these, those that share the work on one tree, and wait for each other at each split; None:
            all.
        gpu: a training fails where there is none.
        workers: processes that train together, each on rows of its own; see ``QuantileModel.joined``.
        monotone: for each feature column 1 or -1 where every quantile must rise or fall with it, all else
            being equal, and 0 where it is free; empty: all are. Rows in which the column is missing stand
            apart.
        interleaved: other trainings advance between this one's rounds, as those of several folds do.
    """

    levels: tuple[float, ...]
    seed: int = 0
    threads: int = 1
    gpu: bool = False
    monotone: tuple[int, ...] = ()
    interleaved: bool = False
    within: int | None = None
    workers: int = 1

    @property
    def of_a_tree(self) -> int:
        """Threads that share the work on one tree."""
        return self.threads if self.within is None else self.within


class Fit(Protocol):
    """A training that is under way: all levels advance together."""

    @property
    def rounds(self) -> int:
        """Boosting rounds done."""

    @property
    def additive(self) -> bool:
        """Whether its first rounds alone are a model: later trees are added to them and change none."""

    def advance(self, rounds: int) -> None:
        """Train until ``rounds`` boosting rounds are done."""

    def predict_watched(self, rounds: int | None = None) -> Array:
        """Return quantiles of the watched frame after ``rounds``, [rows, levels], not put in order."""

    def dump(self, rounds: int | None = None) -> dict[str, bytes]:
        """Return the boosters in the library's own format, by file name; of their first ``rounds`` rounds."""

    def save(self) -> dict[str, bytes]:
        """Return what ``restore`` needs to go on from here elsewhere, by file name."""


# Of a mean, by whether its trees are small: rounds at most, and rounds without gain after which it ends.
MEAN_ROUNDS = {False: (400, 20), True: (1500, 40)}
SMALL_LEAVES = 8

Known = tuple[Frame, Array, Array | None]  # rows, their modelled target [rows], how much each counts [rows]


class QuantileModel(Protocol):
    """A library that learns quantiles by gradient boosting."""

    name: str

    def bin_key(self, params: Mapping[str, Any]) -> Hashable:
        """Return what of ``params`` the binned data depends on: equal keys can share it."""

    def bin(
        self,
        frame: Frame,
        z: Array,
        params: Mapping[str, Any],
        settings: FitSettings,
        weights: Array | None = None,
    ) -> Any:
        """Return the training rows in the library's binned form.

        Args:
            z: the modelled target [rows].
            weights: how much each row counts [rows], above 0 and 1 in the mean; None: all alike.
        """

    def save_binned(self, binned: Any, path: Path) -> None:
        """Write binned data for ``load_binned``.

        Raises:
            NotImplementedError: the library cannot.
        """

    def load_binned(self, path: Path, frame: Frame, params: Mapping[str, Any], settings: FitSettings) -> Any:
        """Return the binned data of ``frame``'s rows as ``bin`` would, from a file.

        Raises:
            Exception: the file is not what ``save_binned`` wrote of these rows.
        """

    def joined(self, network: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Let the calling thread bin and train inside as one of ``settings.workers`` processes.

        All of them do the same steps in the same order, each with its own rows; what is dumped is then the
        same everywhere.

        Args:
            network: where they find each other, in the library's own words.
        """

    def start(self, binned: Any, params: Mapping[str, Any], settings: FitSettings, watched: Frame) -> Fit:
        """Begin a training on binned data; ``watched`` are the rows that it will be scored on."""

    def restore(
        self,
        saved: Mapping[str, bytes],
        rows: tuple[Any, Frame],
        params: Mapping[str, Any],
        settings: FitSettings,
        watched: Frame,
    ) -> Fit:
        """Return a training that goes on where another one, of the same rows and parameters, was saved.

        Args:
            rows: the training rows, binned and as they were before.
        """

    def together(self, parts: Sequence[Mapping[str, bytes]]) -> dict[str, bytes]:
        """Return the files of one model from those that fits of its levels, in their order, have dumped."""

    def load(self, files: Mapping[str, bytes], levels: Sequence[float]) -> Callable[[Frame], Array]:
        """Return a function from a frame to quantiles [rows, levels], not put in order, for dumped boosters.

        Raises:
            ValueError: when the boosters are of another number of levels.
        """

    def importance(self, files: Mapping[str, bytes], columns: int) -> Array:
        """Return the total gain of each feature column over all levels, [columns]."""

    def fit_mean(
        self,
        rows: Known,
        ahead: tuple[Frame, Array],
        settings: FitSettings,
        *,
        small: bool,
        careful: bool = False,
    ) -> tuple[dict[str, bytes], float]:
        """Learn the mean by least squares, as many rounds as serve rows ``ahead`` with their target best.

        Args:
            small: with trees of few leaves, which serve where features add up.
            careful: few rows are not told apart by what is a category of theirs alone, which serves where a
                column has many.

        Returns:
            The boosters by file name, and their root mean squared error on the rows ahead.
        """

    def load_mean(self, files: Mapping[str, bytes]) -> Callable[[Frame], Array]:
        """Return a function from a frame to the mean [rows]."""
