"""One worker of a group: it has a share of the table's rows, and trains on them together with the others."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask
from ray.train import DataConfig, get_context, get_dataset_shard

from raysearch.bench import Bench
from raysearch.metrics import Array, Ints
from raysearch.models import Fit, get_model
from raysearch.recipe import Recipe
from raysearch.study.shards import POSITION, Shards, own_recipe

ROWS = "rows"  # the name of a worker's share among Ray Train's datasets
END = "end"


class ShareConfig(DataConfig):  # type: ignore[misc]
    """Gives each worker the part of the table that is its own: always the same rows to the same rank.

    Ray's own way deals blocks out as they come, and drops rows so that all have as many.
    """

    def __init__(self, shards: Shards) -> None:
        super().__init__()
        self._shards = shards

    def configure(self, datasets: Mapping[str, Any], world_size: int, *_: Any, **__: Any) -> list[Any]:
        (name,) = datasets
        return [{name: read_part(self._shards, rank).iterator()} for rank in range(world_size)]


class PartFile(Datasource):  # type: ignore[misc]
    """One part of the table, for Ray Data to read in steps.

    Its own reader of Parquet looks at files in tasks that want a core each, and the workers that wait for it
    have them all.
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
        told = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(functools.partial(_steps, self._address), told)]


def _steps(address: str) -> Iterator[pa.Table]:
    import pyarrow.parquet as pq
    from pyarrow.fs import LocalFileSystem

    from raysearch.data import open_filesystem

    files, path = open_filesystem(address) if "://" in address else (LocalFileSystem(), address)
    with files.open_input_file(path) as source:
        part = pq.ParquetFile(source)
        for i in range(part.num_row_groups):
            yield part.read_row_group(i)


def read_part(shards: Shards, rank: int) -> Any:
    """Return one part of the table as a Ray dataset that is not read yet."""
    from ray.data import read_datasource

    return read_datasource(PartFile(shards.addresses[rank]), num_cpus=0, override_num_blocks=1)


def settle_data() -> None:
    """Let Ray Data show no progress in what this process starts."""
    import logging

    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def serve(config: Mapping[str, Any]) -> None:
    """Be a worker: read the rows, and do what the line orders until it orders the end.

    Args:
        config: ``line``, ``model``, ``recipe`` and ``shards``.
    """
    line, rank = config["line"], int(get_context().get_world_rank())
    try:
        rows = _own_rows(get_dataset_shard(ROWS), config["shards"].positions(rank))
        model, recipe = config["model"], config["recipe"]
        with get_model(model).joined(_network(model)):
            _obey(line, rank, _Share(rows, own_recipe(recipe, rank), model, rank))
    except Exception as error:
        with contextlib.suppress(Exception):  # the line has ended with the trial
            ray.get(line.fail.remote(f"{type(error).__name__}: {error}"))
        raise


def _obey(line: Any, rank: int, share: _Share) -> None:
    number, said = 0, None
    while True:
        order, words = ray.get(line.answer.remote(rank, number, said))
        if order == END:
            return
        number, said = number + 1, getattr(share, order)(*words)


class _Share:
    """What a worker does of a trial; the methods are the orders."""

    def __init__(self, rows: pa.Table, recipe: Recipe, model: str, rank: int) -> None:
        self._bench = Bench(rows, recipe)
        self._model, self._rank = model, rank
        self._fit: Fit | None = None

    def stand(self) -> int:
        return os.getpid()

    def begin(self, fit_params: Mapping[str, Any], saved: Mapping[str, bytes] | None) -> int:
        self._fit = None  # before the next one is
        self._fit = self._bench.begin(self._model, fit_params, None, saved)
        return self._fit.rounds

    def advance(self, rounds: int) -> None:
        assert self._fit is not None
        self._fit.advance(rounds)

    def predict(self, rounds: int | None) -> Array:
        assert self._fit is not None
        return self._fit.predict_watched(rounds)

    def dump(self, rounds: int | None) -> dict[str, bytes] | None:
        assert self._fit is not None
        files = self._fit.dump(rounds)  # a step of all, which come to the same
        return files if self._rank == 0 else None

    def save(self) -> dict[str, bytes] | None:
        assert self._fit is not None
        files = self._fit.save()
        return files if self._rank == 0 else None


def _own_rows(shard: Any, positions: Ints) -> pa.Table:
    """Return a worker's rows in the table's order, in memory of its own, without their positions."""
    parts = [_copied(part) for part in shard.iter_batches(batch_size=None, batch_format="pyarrow")]
    rows = pa.concat_tables(parts)
    found = rows[POSITION].to_numpy()
    order = np.argsort(found, kind="stable")
    if not np.array_equal(found[order], positions):
        raise RuntimeError(f"the part of the table has {len(found)} rows, not its {len(positions)} own")
    rows = rows.drop_columns([POSITION])
    return rows.combine_chunks() if (order == np.arange(len(order))).all() else rows.take(pa.array(order))


def _copied(part: pa.Table) -> pa.Table:
    """Return a copy: what Ray has read lies in its object store, which others need."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, part.schema) as file:
        file.write_table(part)
    return pa.ipc.open_stream(sink.getvalue()).read_all()


def _network(model: str) -> dict[str, Any]:
    """Return where the library of each worker finds the others, as Ray Train has arranged it."""
    if model != "lightgbm":
        return {}  # Ray Train has opened XGBoost's communicator around the whole loop
    from ray.train.lightgbm import get_network_params

    return dict(get_network_params())
