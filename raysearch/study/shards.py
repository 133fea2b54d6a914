"""The prepared table in parts on disk, one a worker of a trial of several, and whose rows they are."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from raysearch.errors import ClusterError, RaysearchError, StudyError, listing
from raysearch.metrics import Array, Ints
from raysearch.recipe import GROUP, Recipe
from raysearch.records import FoldRows

if TYPE_CHECKING:
    from raysearch.study.home import Home

POSITION = "position"  # where a row stands in the whole table
_STEP = 250_000  # rows of a part that are written at once
_ANSWER_S = 60.0  # in which a node tells whether it sees a file


@dataclass(frozen=True)
class Shards:
    """A table in parts: row i is in part i % N, so that each is a fair sample of every fold and group.

    Attributes:
        addresses: of the parts' Parquet files, as all nodes find them.
        rows: of all parts together.
    """

    addresses: tuple[str, ...]
    rows: int

    def positions(self, rank: int) -> Ints:
        """Return where the rows of a part stand in the whole table."""
        return np.arange(rank, self.rows, len(self.addresses))


def own_recipe(recipe: Recipe, rank: int) -> Recipe:
    """Return what is done with the table as done with one of its parts."""
    workers = recipe.settings.workers

    def own(part: tuple[int, int]) -> tuple[int, int]:
        return _own(part, rank, workers)

    fits = tuple(FoldRows(tuple(map(own, fold.train)), own(fold.watch)) for fold in recipe.fits)
    return replace(recipe, fits=fits)


def put_together(recipe: Recipe, said: Sequence[Array]) -> Array:
    """Return what all workers say of the watched rows, each of its own, [rows, levels]."""
    low, high = recipe.watched
    workers = recipe.settings.workers
    whole: Array = np.empty((high - low, said[0].shape[1]))
    for rank, part in enumerate(said):
        begun = 0
        for fold in recipe.fits:
            start, stop = _own(fold.watch, rank, workers)
            first = rank + workers * start - low
            whole[first : fold.watch[1] - low : workers] = part[begun : begun + stop - start]
            begun += stop - start
    return whole


def _own(part: tuple[int, int], rank: int, workers: int) -> tuple[int, int]:
    """Return where the rows from ``start`` to ``stop`` lie in a worker's part of them."""
    start, stop = (-((rank - edge) // workers) for edge in part)
    return start, stop


@contextlib.contextmanager
def sharded(table: pa.Table, recipe: Recipe, home: Home, name: str) -> Iterator[Shards | None]:
    """Hold the table in parts, where a trial has several workers; None: it has one, which needs none.

    Raises:
        StudyError: they cannot be written.
    """
    clear_parts(home, name)
    if recipe.settings.workers == 1:
        yield None
        return
    directory = home.paths(name).shards
    try:
        yield _written(table, recipe, home, name)
    finally:
        # What goes wrong with the home is told where the study's files are copied there.
        with contextlib.suppress(RaysearchError):
            home.remove(directory)


def clear_parts(home: Home, name: str) -> None:
    """Remove the parts that a run has left which was killed.

    Raises:
        StudyError: they cannot be removed.
    """
    if home.paths(name).shards.exists():  # also where they lie at an address: a study is copied from there
        home.remove(home.paths(name).shards)


def _written(table: pa.Table, recipe: Recipe, home: Home, name: str) -> Shards:
    directory, workers = home.paths(name).shards, recipe.settings.workers
    paths = [directory / f"{rank}.parquet" for rank in range(workers)]
    columns = [column for column in table.column_names if column != GROUP]
    rows = table.select(columns).slice(0, recipe.end)
    rows = rows.append_column(POSITION, pa.array(np.arange(recipe.end)))
    try:
        directory.mkdir()
        for rank, path in enumerate(paths):
            _write(rows, rank, workers, path)
    except OSError as error:
        raise _unwritten(home, error) from None
    if home.remote:
        home.push(name, directory)
        shutil.rmtree(directory)
    return Shards(tuple(map(home.seen_at, paths)), recipe.end)


def _write(rows: pa.Table, rank: int, workers: int, path: Path) -> None:
    """Write one part of a table, whole or not at all."""
    import pyarrow.parquet as pq

    unfinished = path.with_suffix(".part")
    with pq.ParquetWriter(unfinished, rows.schema, compression="zstd") as file:
        for start in range(rank, rows.num_rows, _STEP * workers):
            stop = min(rows.num_rows, start + _STEP * workers)
            file.write_table(rows.take(pa.array(np.arange(start, stop, workers))))
    unfinished.replace(path)


def _unwritten(home: Home, error: OSError) -> StudyError:
    reason = error.strerror or str(error)
    return StudyError(f"--home {home.address}: the table's parts cannot be written: {reason}")


def check_seen(home: Home, name: str) -> None:
    """Refuse a home that some node of the connected cluster does not see.

    Raises:
        ClusterError: names the nodes, and what would be right.
    """
    import ray

    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    if len(nodes) < 2:
        return
    directory = home.paths(name).shards
    marker = directory / "marker"
    try:
        directory.mkdir(exist_ok=True)
        marker.touch()
        home.push(name, directory)
        blind = [nodes[node] for node in _blind(list(nodes), home.seen_at(marker))]
    except OSError as error:
        raise _unwritten(home, error) from None
    finally:
        with contextlib.suppress(RaysearchError):
            home.remove(directory)
    if blind:
        raise ClusterError(
            f"--home {home.address}: the workers of a trial read their shares of the table from there, and "
            f"{len(blind)} of {len(nodes)} nodes do not see it ({listing(blind)}): give one on a disk that "
            "all nodes mount (NFS), or at an address (s3://...)"
        )


def _blind(nodes: Sequence[str], address: str) -> list[str]:
    """Return the nodes that do not find a file, or do not answer."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0, max_retries=0)(is_there)
    asked = {
        node: look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
            address
        )
        for node in nodes
    }
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=_ANSWER_S)
    return [node for node, answer in asked.items() if not _said(answer)]


def _said(answer: Any) -> bool:
    import ray

    try:
        return bool(ray.get(answer, timeout=0))
    except Exception:  # not in time, or the node has died
        return False


def is_there(address: str) -> bool:
    """Tell whether this machine finds a file, at a path or an address."""
    if "://" not in address:
        return Path(address).is_file()
    from raysearch.data import open_filesystem

    files, path = open_filesystem(address)
    return bool(files.get_file_info(path).is_file)
