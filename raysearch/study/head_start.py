"""What the first trials share is learnt while Ray and its workers start, which takes as long.

A process of its own on the driver's machine makes the same things under the same names as a worker would, and
workers there find them (see ``node_share``). It lives as long as the search: what it has made ends with it.
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
from typing import Any

import pyarrow as pa

from raysearch.bench import Bench
from raysearch.node_share import NodeShare, can_share, end_share
from raysearch.recipe import Recipe

Point = tuple[str, Mapping[str, Any]]  # a model, and what its library is given
_PROGRAM = "from raysearch.study.head_start import main; main()"
_MOST_CELLS = 2_000_000  # rows times features: of more, the start of Ray is little beside the trials
_NICENESS = 10  # it has the processors that nobody else wants: not even the workers, unless they wait for it


@contextlib.contextmanager
def head_start(table: pa.Table, recipes: Sequence[Recipe], points: Sequence[Point]) -> Iterator[str]:
    """Learn what trials at ``points`` need, as long as the block runs.

    Args:
        recipes: what these trials do, and then what is done with them; the first is the most urgent.

    Yields:
        What it is shared under, for workers; empty where that is not possible, or not worth it.
    """
    name, process = uuid.uuid4().hex, None
    with contextlib.ExitStack() as held:
        if points and can_share() and table.num_rows * table.num_columns <= _MOST_CELLS:
            with contextlib.suppress(OSError):  # no room, or no process: then workers do all by themselves
                process = _started(held, (name, table, list(recipes), list(points)))
        try:
            yield name if process else ""
        finally:
            if process:
                process.kill()
                process.wait()
                end_share(name)


def _started(held: contextlib.ExitStack, job: tuple[Any, ...]) -> subprocess.Popen[bytes]:
    """Start the process; it ends when ``held`` does, however that comes to pass."""
    read, write = os.pipe()
    held.callback(os.close, write)
    held.callback(os.close, read)
    with tempfile.TemporaryFile() as file:
        pickle.dump(job, file)
        file.seek(0)
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, str(read)],
            stdin=file,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            pass_fds=(read,),
        )


def main() -> None:
    """Be that process: the job comes on standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver to answer
    os.nice(_NICENESS)
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    sys.modules["sklearn"] = None  # type: ignore[assignment]  # most of the time in which LightGBM loads
    benches = _learnt(*pickle.load(sys.stdin.buffer))
    threading.Event().wait()
    del benches  # what they have made had to be held


def _end_with(pipe: int) -> None:
    """End this process when the driver has closed the pipe, or has ended."""
    os.read(pipe, 1)
    os._exit(0)


def _learnt(name: str, table: pa.Table, recipes: Sequence[Recipe], points: Sequence[Point]) -> list[Bench]:
    benches = [Bench(table, recipe, NodeShare(name)) for recipe in recipes]
    for bench in benches:
        for model, fit_params in points:
            for fold in range(bench.trainings):
                bench.prepare(fold, model, fit_params)
    return benches
