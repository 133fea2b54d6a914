"""What the first trials share is learnt while Ray and its workers start, which takes as long.

A process of its own on the driver's machine makes the same things under the same names as a worker would, and
workers there find them (see ``node_share``). It lives as long as the study: what it has made ends with it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from raysearch.bench import Bench
from raysearch.node_share import NodeShare, can_share, end_share
from raysearch.recipe import Recipe

Point = tuple[str, Mapping[str, Any]]  # a model, and what its library is given
_PROGRAM = "from raysearch.study.head_start import main; main()"
_MOST_CELLS = 2_000_000  # rows times features: of more, the start of Ray is little beside the trials
_NICENESS = 12  # Ray's start goes first, and so do workers: when they wait for it, their cores are free


@contextlib.contextmanager
def head_start(table: pa.Table, recipes: Sequence[Recipe], points: Sequence[Point]) -> Iterator[str]:
    """Learn what trials at ``points`` need, as long as the block runs.

    Args:
        recipes: what these trials do, and then what is done with them; the first is the most urgent.

    Yields:
        What it is shared under; empty where that is not possible, or not worth it.
    """
    name = ""
    with contextlib.ExitStack() as held:
        if points and can_share() and table.num_rows * table.num_columns <= _MOST_CELLS:
            # Whatever keeps it from starting, workers do all by themselves.
            with contextlib.suppress(Exception):
                name = _started(held, table, recipes, points)
        yield name


def _started(
    held: contextlib.ExitStack, table: pa.Table, recipes: Sequence[Recipe], points: Sequence[Point]
) -> str:
    """Start the process, and return what it shares under; both end with ``held``, or with the driver."""
    name = uuid.uuid4().hex
    read, write = os.pipe()
    held.callback(os.close, read)
    held.callback(os.close, write)
    with tempfile.TemporaryFile() as job:
        pickle.dump((name, table, list(recipes), list(points)), job)
        job.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, str(read)],
            stdin=job,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(p or str(Path.cwd()) for p in sys.path if isinstance(p, str)),
                "OMP_NUM_THREADS": str(recipes[0].settings.threads),  # as Ray gives its workers
            },
            pass_fds=(read,),
        )
    held.callback(end_share, name)
    held.callback(process.wait)
    held.callback(process.kill)
    return name


def main() -> None:
    """Be that process: the job comes on standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver to answer
    os.nice(_NICENESS)
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    sys.modules["sklearn"] = None  # type: ignore[assignment]  # most of the time in which LightGBM loads
    with sys.stdin.buffer as job:
        name, table, recipes, points = pickle.load(job)
    share = NodeShare(name)
    _learn(share, table, recipes, points)
    del table
    threading.Event().wait()
    del share  # what was made had to be held


def _end_with(pipe: int) -> None:
    """End this process when the driver has closed the pipe, or has ended."""
    os.read(pipe, 1)
    os._exit(0)


def _learn(share: NodeShare, table: pa.Table, recipes: Sequence[Recipe], points: Sequence[Point]) -> None:
    for recipe in recipes:
        bench = Bench(table, recipe, share)
        for model, fit_params in points:
            with contextlib.suppress(Exception):  # a worker will fail alike, and say so
                for fold in range(bench.trainings):
                    bench.prepare(fold, model, fit_params)
