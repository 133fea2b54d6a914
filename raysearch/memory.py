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
_GROUP_WORKER = 200e6  # what a worker of a group has loaded beside: Ray Train and Ray Data
_GROUP_HELPERS = 600e6  # Ray Train's controller and helpers, the line, and what reads the parts, in short
_SAID_COPIES = 4  # of the watched rows' quantiles that a worker of a group predicts, keeps and sends


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
        desk: bytes of the process that scores a trial of several workers; 0: its only worker does.
        told: what the user should know of it; empty where it is as fast as it can be.
    """

    recipe: Recipe
    worker: int
    slots: int
    told: str = ""
    desk: int = 0


def plan_memory(recipe: Recipe, space: SearchSpace, rooms: Sequence[Room], most: int | None = None) -> Plan:
    """Return the quickest way of training that fits: all at once, fewer binned datasets kept, or in turns.

    Args:
        rooms: the nodes; one that cannot run a trial has no slots.
        most: trials that may run beside each other; None: as many as there are slots.

    Raises:
        DataError: not even a single trial fits; tells both figures, and what would help.
    """
    workers = recipe.settings.workers
    wished = sum(room.slots for room in rooms) // workers
    wished = wished if most is None else min(wished, most)
    roomiest = max((room.memory for room in rooms if room.slots), default=0.0)
    plans = []
    for tried in _ways(recipe):
        worker, desk = worker_bytes(tried, space), desk_bytes(tried)
        slots = trials_at_once(rooms, worker, desk, workers, wished)
        plans.append(Plan(tried, worker, slots, desk=desk))
    best = max(plans, key=lambda plan: plan.slots / (_TURNS_COST if plan.recipe.in_turns else 1.0))
    if not best.slots:
        raise DataError(_refusal(plans[-1], roomiest))
    return replace(best, told=_told(best, wished, roomiest))


def trials_at_once(rooms: Sequence[Room], worker: float, desk: float, workers: int, most: int) -> int:
    """Return how many trials fit beside each other, on whichever nodes the processes of each come to lie.

    Args:
        worker: bytes of each of a trial's ``workers``; ``desk``: of the process beside them that scores it.
        most: trials that are wanted at once.
    """
    for trials in range(most, 0, -1):
        # Where the desks lie nobody knows before; memory may be infinite.
        left = [(room.slots, max(0.0, room.memory - trials * desk)) for room in rooms]
        if sum(int(min(slots, memory / max(1.0, worker))) for slots, memory in left) >= trials * workers:
            return trials
    return 0


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
    if recipe.settings.workers == 1:  # those of a group train their levels in turns, but keep all of them
        yield replace(recipe, kept=1, in_turns=True, first=None)  # no stage between the rungs


def worker_bytes(recipe: Recipe, space: SearchSpace) -> int:
    """Return the bytes that a worker takes at most, beside the shared table.

    A worker of a group has its share of the table for itself, and scores nothing.
    """
    own = WORKER + max(_kept_bytes(recipe, space, one) + _training_bytes(recipe, one) for one in space.spaces)
    if recipe.settings.workers > 1:
        own += _GROUP_WORKER + recipe.end / recipe.settings.workers * (len(recipe.categorical) + 3) * _VALUE
    return int(own)


def desk_bytes(recipe: Recipe) -> int:
    """Return the bytes of the process that scores what a group's workers say, and of its helpers."""
    if recipe.settings.workers == 1:
        return 0
    low, high = recipe.watched
    return int(
        WORKER + _GROUP_HELPERS + (high - low) * (len(recipe.settings.levels) * _VALUE * _COPIES + _BENCH_ROW)
    )


def _learnt(recipe: Recipe) -> list[float]:
    """Return the rows that a worker learns from, by training."""
    workers = recipe.settings.workers
    return [sum(stop - start for start, stop in fold.train) / workers for fold in recipe.fits]


def _columns(recipe: Recipe) -> int:
    return len(recipe.categorical) + 1  # the location is one more


def _binned_row(recipe: Recipe, space: Space) -> float:
    takes = TUNABLE[space.model].footprint
    return _columns(recipe) * (takes.wide_cell if max(_bins(space)) > 256 else takes.cell) + takes.row


def _binned_bytes(recipe: Recipe, space: Space) -> list[float]:
    """Return what each binned dataset takes that a library can ask for, as many of them as are kept."""
    size = sum(_learnt(recipe)) * _binned_row(recipe, space)
    return [size] * min(recipe.kept, _keys(recipe, space))


def _kept_bytes(recipe: Recipe, space: SearchSpace, mine: Space) -> float:
    """Return what the binned datasets take while a library's trial runs: its own, and the largest others."""
    own, *others = _binned_bytes(recipe, mine)
    others += [size for one in space.spaces if one is not mine for size in _binned_bytes(recipe, one)]
    return own + sum(sorted(others, reverse=True)[: recipe.kept - 1])


def _training_bytes(recipe: Recipe, space: Space) -> float:
    """Return what a library's trial takes beside the binned datasets."""
    library = TUNABLE[space.model]
    takes = library.footprint
    workers, learnt = recipe.settings.workers, _learnt(recipe)
    watched = sum(stop - start for start, stop in (fold.watch for fold in recipe.fits)) / workers
    columns, levels = _columns(recipe), len(recipe.settings.levels)
    row = _binned_row(recipe, space)
    together, in_turns = sum(learnt) * levels, max(learnt) * (1 if library.levels_apart else levels)
    alive = in_turns if recipe.in_turns else together
    # A location bins the rows once more; those of a group learn none.
    location = max(learnt) * (row + _MEAN_LEVELS * takes.level_row) if workers == 1 else 0.0
    quantiles = watched * levels * _VALUE * (_COPIES if workers == 1 else _SAID_COPIES)
    bench = (sum(learnt) + watched) * _BENCH_ROW
    sample = min(max(learnt), _SAMPLE) * columns * _VALUE
    return sample + max(alive * takes.level_row, location) + quantiles + bench


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
    workers = plan.recipe.settings.workers
    taker = "a trial" if workers == 1 else f"each of the {workers} workers of a trial"
    told_of = f"{taker} takes {_gb(plan.worker)} of memory at most, of {_gb(most)} that are free"
    return f"{told_of}: {', and '.join(told)}"


def _refusal(plan: Plan, most: float) -> str:
    fits = plan.recipe.fits
    rows = max(sum(stop - start for start, stop in fold.train) for fold in fits)
    workers, features = plan.recipe.settings.workers, len(plan.recipe.categorical)
    if workers > 1:
        return (
            f"a trial on {rows:,} rows of {features} features needs {_gb(plan.worker)} of memory for each of "
            f"its {workers} workers, and {_gb(plan.desk)} beside them, and at most {_gb(most)} is free on a "
            "node: spread it over more workers (--workers-per-trial), or give fewer rows, columns or levels"
        )
    return (
        f"a trial on {rows:,} rows of {features} features needs {_gb(plan.worker)} of "
        f"memory, with its boosters trained one after the other, and at most {_gb(most)} is free for it: "
        "give fewer rows or columns, fewer levels (--levels), a single validation part (--cv 1), a "
        "machine with more memory, or several of them for each trial (--workers-per-trial)"
    )


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
