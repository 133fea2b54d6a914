"""What a worker's memory must hold, counted before it starts."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raysearch.errors import DataError
from raysearch.models import LOCATION, SEEN_ONLY, TUNABLE
from raysearch.recipe import Recipe
from raysearch.space import SearchSpace, Space

WORKER = 160e6  # bytes of a worker's own, before it has any rows
_VALUE = 8  # a float64
_COPIES = 10  # of the watched rows' quantiles while they are predicted, ordered, calibrated and scored
_SAMPLE = 200_000  # rows of which a library looks for its bins' edges
_BENCH_ROW = 3 * _VALUE  # what a worker keeps of a row: its target, and that on the boosters' scale, twice
_MEAN_LEVELS = 1  # boosters of a location model
_TURNS_COST = 1.5  # of trials whose boosters are trained in turns, beside the others, where half stop early


_CGROUP = "/sys/fs/cgroup"
_CONTAINER = (  # limit, use, and what of it can be had back, in versions 2 and 1
    (f"{_CGROUP}/memory.max", f"{_CGROUP}/memory.current", f"{_CGROUP}/memory.stat", "inactive_file"),
    (
        f"{_CGROUP}/memory/memory.limit_in_bytes",
        f"{_CGROUP}/memory/memory.usage_in_bytes",
        f"{_CGROUP}/memory/memory.stat",
        "total_inactive_file",
    ),
)


@dataclass(frozen=True)
class Room:
    """What a node has for trials.

    Attributes:
        memory: bytes.
        slots: trials that its processors and GPUs can run beside each other.
    """

    memory: float
    slots: int


@dataclass(frozen=True)
class Plan:
    """How the trials of a study use memory.

    Attributes:
        recipe: what workers do, in as much memory as there is.
        worker: bytes that a worker takes at most, beside the shared table.
        slots: trials that run beside each other.
        told: what the user should know of it; empty where it is as fast as it can be.
    """

    recipe: Recipe
    worker: int
    slots: int
    told: str = ""


def plan_memory(recipe: Recipe, space: SearchSpace, rooms: Sequence[Room], most: int | None = None) -> Plan:
    """Return the quickest way of training that fits: all at once, fewer binned datasets kept, or in turns.

    Args:
        rooms: the nodes; one that cannot run a trial has no slots.
        most: trials that may run beside each other; None: as many as there are slots.

    Raises:
        DataError: not even a single trial fits; tells both figures, and what would help.
    """
    wished = sum(room.slots for room in rooms)
    wished = wished if most is None else min(wished, most)
    roomiest = max((room.memory for room in rooms if room.slots), default=0.0)
    plans = []
    for tried in _ways(recipe):
        worker = worker_bytes(tried, space)
        slots = sum(int(min(room.slots, room.memory / worker)) for room in rooms)  # memory may be infinite
        plans.append(Plan(tried, worker, min(slots, wished)))
    best = max(plans, key=lambda plan: plan.slots / (_TURNS_COST if plan.recipe.in_turns else 1.0))
    if not best.slots:
        raise DataError(_refusal(plans[-1], roomiest))
    return replace(best, told=_told(best, wished, roomiest))


def lean(recipe: Recipe, space: SearchSpace) -> Recipe:
    """Return the quickest way in which this process itself trains in the memory that is free now."""
    free = free_memory() + WORKER  # it has its own already
    *ways, least = _ways(recipe)
    return next((way for way in ways if worker_bytes(way, space) <= free), least)


def free_memory() -> float:
    """Return the bytes that this process can still take, by the machine and its container; inf: unknown."""
    free = [math.inf]
    with contextlib.suppress(OSError, ValueError, StopIteration):
        free.append(1024.0 * _figure("/proc/meminfo", "MemAvailable:"))
    for limit, used, parts, cache in _CONTAINER:
        with contextlib.suppress(OSError, ValueError, StopIteration):  # "max": no limit
            most, held = (float(Path(path).read_text()) for path in (limit, used))
            free.append(max(0.0, most - held + _figure(parts, cache)))
    return min(free)


def _figure(path: str, name: str) -> float:
    lines = (line.split() for line in Path(path).read_text().splitlines())
    return next(float(words[1]) for words in lines if words and words[0] == name)


def _ways(recipe: Recipe) -> Iterator[Recipe]:
    """Yield the ways of training, the quickest and hungriest first."""
    yield recipe
    yield replace(recipe, kept=1)
    yield replace(recipe, kept=1, in_turns=True, first=None)  # no stage between the rungs


def worker_bytes(recipe: Recipe, space: SearchSpace) -> int:
    """Return the bytes that a worker takes at most, beside the shared table."""
    return int(WORKER + max(_training_bytes(recipe, one) for one in space.spaces))


def _training_bytes(recipe: Recipe, space: Space) -> float:
    library = TUNABLE[space.model]
    takes = library.footprint
    learnt = [sum(stop - start for start, stop in fold.train) for fold in recipe.fits]
    watched = sum(stop - start for start, stop in (fold.watch for fold in recipe.fits))
    columns, levels = len(recipe.categorical) + 1, len(recipe.settings.levels)  # the location is one more
    cell = takes.wide_cell if max(_bins(space)) > 256 else takes.cell
    row = columns * cell + takes.row
    binned = min(recipe.kept, _keys(recipe, space)) * sum(learnt) * row
    together, in_turns = sum(learnt) * levels, max(learnt) * (1 if library.levels_apart else levels)
    alive = in_turns if recipe.in_turns else together
    location = max(learnt) * (row + _MEAN_LEVELS * takes.level_row)  # bins the rows once more
    quantiles = watched * levels * _VALUE * _COPIES
    bench = (sum(learnt) + watched) * _BENCH_ROW
    sample = min(max(learnt), _SAMPLE) * columns * _VALUE
    return binned + sample + max(alive * takes.level_row, location) + quantiles + bench


def _bins(space: Space) -> list[float]:
    """Return the numbers of bins that a trial can ask for."""
    for parameter in space.parameters:
        if parameter.name == "max_bin":
            return [float(choice) for choice in parameter.choices] or [float(parameter.high)]
    return [float(space.fixed.get("max_bin", TUNABLE[space.model].defaults["max_bin"]))]


def _keys(recipe: Recipe, space: Space) -> int:
    """Return how many binned datasets a training can ask for, of which a worker keeps the latest ones."""
    deciding = {*TUNABLE[space.model].binning, LOCATION, *([SEEN_ONLY] if recipe.unseen else [])}
    counts = [len(p.choices) or recipe.kept for p in space.parameters if p.name in deciding]
    return math.prod(counts)


def _told(plan: Plan, wished: int, most: float) -> str:
    told = []
    if plan.recipe.in_turns:
        told.append("the boosters of a trial are trained one after the other")
    if plan.slots < wished:
        told.append(f"{plan.slots} trial{'s' * (plan.slots > 1)} at once, not {wished}")
    if not told:
        return ""
    told_of = f"a trial takes {_gb(plan.worker)} of memory at most, of {_gb(most)} that are free"
    return f"{told_of}: {', and '.join(told)}"


def _refusal(plan: Plan, most: float) -> str:
    fits = plan.recipe.fits
    rows = max(sum(stop - start for start, stop in fold.train) for fold in fits)
    return (
        f"a trial on {rows:,} rows of {len(plan.recipe.categorical)} features needs {_gb(plan.worker)} of "
        f"memory, with its boosters trained one after the other, and at most {_gb(most)} is free for it: "
        "give fewer rows or columns, fewer levels (--levels), a single validation part (--cv 1), or a "
        "machine with more memory"
    )


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
