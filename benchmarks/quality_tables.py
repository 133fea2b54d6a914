"""The tables of benchmarks/quality.py: what packages on PyPI ship, with what is known beforehand as features.

Each table is split once a seed into training and test rows: at random (iid), by whole groups (group) or with
the latest fifth as test (time), and written as Parquet, so that all sides read the same files.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import quality_sources as sources

TEST_SHARE = 0.2


@dataclass(frozen=True)
class Table:
    """One table: how its rows are split, and where its two files are."""

    name: str
    kind: str  # iid, group or time
    about: str
    target: str
    group: str | None = None
    time: str | None = None
    seed: int = 0
    train: str = ""
    test: str = ""
    rows: tuple[int, int] = (0, 0)
    digest: str = ""  # of the rows: results are reused only where it is the same


SETTLED = (  # the methods were worked out with these in sight
    Table("ames", "iid", "sale prices of houses", "Sale_Price"),
    Table("diamonds", "iid", "prices of diamonds", "price"),
    Table("loans", "iid", "interest rates of loans", "interest_rate"),
    Table("flights", "iid", "delays at arrival, a sample", "arr_delay"),
    Table("pupils", "group", "reading scores, new schools", "read", group="sch"),
    Table("wages", "group", "hourly wages, new people", "wage", group="idcode"),
    Table("bikes", "time", "bike rides by the hour", "bikers", time="time"),
    Table("demand", "time", "electricity by the half-hour", "Demand", time="time"),
    Table("ridership", "time", "passengers of a station by day", "ridership", time="date"),
    Table("avocados", "time", "prices by week and region", "price", "region", "time"),
    Table("flights_in_time", "time", "delays at arrival, the last months", "arr_delay", time="time_hour"),
)
LATER = (  # added when the methods stood
    Table("deliveries", "iid", "minutes until food is there", "time_to_delivery"),
    Table("films", "iid", "what viewers will think of films", "rating"),
    Table("checks", "iid", "seconds to check a package", "check_time"),
    Table("food", "iid", "share of income for food", "wfood"),
    Table("schools", "group", "mathematics, new schools", "mAch", group="school"),
    Table("households", "group", "expenses, new communes", "lnhhexp", group="commune"),
    Table("thermometer", "time", "temperature from other instruments", "temp", "origin", "time"),
    Table("weather", "time", "temperature a day ahead", "temp", "origin", "time"),
    Table("rooms", "time", "prices of hotel rooms", "avg_price_per_room", time="arrival_date"),
    Table("homes", "time", "prices of homes, a quarter ahead", "median", "city", "time"),
    Table("births", "time", "births by state, a week ahead", "births", "state", "time"),
    Table("rain", "time", "rain, from eleven forecasts", "rain", time="time"),
)
TABLES = {table.name: table for table in (*SETTLED, *LATER)}


def split(table: Table, frame: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training and test rows. A moment in time or a group is never torn apart."""
    if table.time is not None:
        frame = frame.sort_values(table.time, kind="stable")
        cut = frame[table.time].iloc[int(len(frame) * (1 - TEST_SHARE))]
        later = (frame[table.time] >= cut).to_numpy()
    elif table.kind == "group":
        names = np.random.default_rng(seed).permutation(frame[table.group].unique())
        later = frame[table.group].isin(names[: round(len(names) * TEST_SHARE)]).to_numpy()
    else:
        later = np.random.default_rng(seed).uniform(size=len(frame)) < TEST_SHARE
    return frame[~later].reset_index(drop=True), frame[later].reset_index(drop=True)


def digest(parts: tuple[pd.DataFrame, pd.DataFrame]) -> str:
    """Return what tells training and test rows from any others, the same on every machine."""
    found = hashlib.sha256()
    for part in parts:
        found.update(",".join(part.columns).encode())
        found.update(pd.util.hash_pandas_object(part, index=False).to_numpy().tobytes())
    return found.hexdigest()[:16]


def write(name: str, seed: int, packages: Path, home: Path) -> Table:
    """Write one table's training and test rows below `home`, if they are not there, and return where."""
    table, load = TABLES[name], getattr(sources, name)
    paths = [home / f"{name}-{seed}.{part}.parquet" for part in ("train", "test")]
    told = home / f"{name}-{seed}.json"
    if not told.exists():
        home.mkdir(parents=True, exist_ok=True)
        parts = split(table, load(packages), seed)
        for path, part in zip(paths, parts, strict=True):
            part.to_parquet(path, index=False)
        facts = {"seed": seed, "rows": (len(parts[0]), len(parts[1])), "digest": digest(parts)}
        told.write_text(json.dumps(asdict(replace(table, **facts)), indent=1))
    found = Table(**json.loads(told.read_text()))
    return replace(found, train=str(paths[0]), test=str(paths[1]))  # as of now: `home` may have moved
