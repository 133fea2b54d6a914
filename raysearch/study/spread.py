"""Trials over several workers: the place and the training that ``run_trial`` sees, and a group does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from raysearch.metrics import Array
from raysearch.models import Fit, adds_up
from raysearch.recipe import ANCHOR, GROUP, TARGET, WEIGHT, Recipe
from raysearch.scoring import Scored, Scorer
from raysearch.stopwatch import Stopwatch
from raysearch.study.group import Group
from raysearch.study.line import GroupLostError
from raysearch.study.shards import Shards, put_together


def to_be_scored(table: pa.Table, recipe: Recipe) -> pa.Table:
    """Return what a trial over several workers needs here: the truth of the watched rows, and no features."""
    low, high = recipe.watched
    names = [name for name in (TARGET, ANCHOR, WEIGHT, GROUP) if name in table.column_names]
    return table.select(names).slice(low, high - low)


class SpreadBench:
    """Where trials are trained by a group of workers and scored in this process; see ``Bench``.

    The group stays from trial to trial, as long as they are of one library.
    """

    first: Scorer | None = None

    def __init__(self, watched: pa.Table, recipe: Recipe, shards: Shards, needs: Mapping[str, float]) -> None:
        """Take what ``to_be_scored`` has left of the table, and where its parts lie.

        Args:
            needs: of each worker, see ``Group``.
        """
        self.recipe = recipe
        self.watch = Stopwatch()
        self.lost = ""  # why a worker of the last trial's group was lost; empty: none was
        self._shards, self._needs = shards, needs
        self._group: Group | None = None
        self.scorer = Scorer(Scored.of(watched, recipe).slice(0, watched.num_rows), recipe)

    @property
    def trainings(self) -> int:
        return len(self.recipe.fits)

    def stand(self, model_name: str) -> list[int]:
        """Wait until there is a group for a library, and return the processes of its workers."""
        return [int(pid) for pid in self._group_of(model_name).ask("stand")]

    def prepare(self, fold: int, model_name: str, fit_params: Mapping[str, Any]) -> None:
        """Do nothing: a location, which takes long, is not learnt here."""

    def begin_fold(
        self,
        fold: int,
        model_name: str,
        fit_params: Mapping[str, Any],
        saved: Mapping[str, bytes] | None = None,
    ) -> Fit:
        raise NotImplementedError("workers of a group train all folds together")

    def begin(
        self,
        model_name: str,
        fit_params: Mapping[str, Any],
        first: Fit | None = None,
        saved: Mapping[str, bytes] | None = None,
    ) -> Fit:
        with self.watch.part("starting"):
            self._group_of(model_name)
        rounds = self.ask("begin", fit_params, saved)[0]
        return SpreadFit(self, adds_up(fit_params), rounds)

    def ask(self, order: str, *words: Any) -> list[Any]:
        """Let the group carry out an order; see ``Group.ask``."""
        assert self._group is not None
        try:
            return self._group.ask(order, *words)
        except GroupLostError as error:
            self.lost = str(error)
            raise

    def end(self) -> None:
        """End the group."""
        if self._group is not None:
            self._group.end()
            self._group = None

    def _group_of(self, model_name: str) -> Group:
        if self._group is None or self._group.model != model_name or not self._group.stands:
            self.end()
            self._group = Group(model_name, self.recipe, self._shards, self._needs)
        return self._group


class SpreadFit:
    """A training by a group of workers: see ``Fit``."""

    def __init__(self, bench: SpreadBench, additive: bool, rounds: int = 0) -> None:
        self._bench = bench
        self.additive = additive
        self.rounds = rounds

    def advance(self, rounds: int) -> None:
        self._bench.ask("advance", rounds)
        self.rounds = rounds

    def predict_watched(self, rounds: int | None = None) -> Array:
        return put_together(self._bench.recipe, self._bench.ask("predict", rounds))

    def dump(self, rounds: int | None = None) -> dict[str, bytes]:
        return dict(self._bench.ask("dump", rounds)[0])

    def save(self) -> dict[str, bytes]:
        return dict(self._bench.ask("save")[0])
