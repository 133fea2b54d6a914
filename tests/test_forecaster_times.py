"""An instant is one instant however it is written: as type, as text, in a file, as JSON to a served model."""

from __future__ import annotations

import io
import json
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forecaster_made_up import table, train

from raysearch.data import Encoder, read_table
from raysearch.forecaster import Forecaster, Member
from raysearch.models import FitSettings, Frame, get_model

ROWS = 240
ZONES = ["Europe/Berlin", "America/New_York", "UTC"]


def sales(zone):
    """Return a table whose target hangs on the hour and the day of instants seven hours apart."""
    times = pd.date_range("2020-01-01", periods=ROWS, freq="7h", tz="Europe/Berlin").tz_convert(zone)
    return pd.DataFrame({"at": times, "a b": np.arange(ROWS) % 7.0})


def as_texts(frame):
    return frame.assign(at=[str(time) for time in frame["at"]])


def learned(source):
    """Return a forecaster of a target that only the calendar tells."""
    arrow = source if isinstance(source, pa.Table) else read_table(source)
    clock = sales("Europe/Berlin")["at"]
    y = clock.dt.hour + 24.0 * clock.dt.dayofweek.to_numpy()
    encoder = Encoder.fit(arrow, ["at", "a b"])
    rows = Frame(encoder.transform(arrow).features, encoder.categorical)
    settings = FitSettings((0.1, 0.5, 0.9))
    model = get_model("lightgbm")
    fit = model.start(model.bin(rows, y.to_numpy(), {}, settings), {}, settings, rows)
    fit.advance(20)
    template = train()
    members = (Member("lightgbm", fit.dump()),)
    return Forecaster("y", (0.1, 0.5, 0.9), members, encoder, template.transform, template.calibrator)


def written(frame, folder):
    """Yield the same instants in every form that rows may come in."""
    frame.to_csv(folder / "t.csv", index=False)
    pq.write_table(pa.Table.from_pandas(frame), folder / "t.parquet")
    yield "frame", frame
    yield "texts", as_texts(frame)
    yield "texts with Z", frame.assign(at=frame["at"].dt.tz_convert("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    yield "other zone", frame.assign(at=frame["at"].dt.tz_convert("Asia/Kolkata"))
    yield "objects", frame.assign(at=frame["at"].astype(object))
    yield "csv", folder / "t.csv"
    yield "parquet", folder / "t.parquet"
    yield "polars", pl.from_pandas(frame)


@pytest.mark.parametrize("source", ["frame", "csv", "texts"])
@pytest.mark.parametrize("zone", ZONES)
def test_one_instant_has_one_forecast(tmp_path, zone, source):
    made = learned(dict(written(sales(zone), tmp_path))[source])
    for rows in (sales("Europe/Berlin"), sales("America/New_York").iloc[100:103]):
        expected = made.predict(rows).to_numpy()
        for name, given in written(rows, tmp_path):
            np.testing.assert_array_equal(made.predict(given).to_numpy(), expected, err_msg=name)
    assert len(np.unique(made.predict(sales(zone))["q0.5"])) > 10


@pytest.mark.slow
@pytest.mark.parametrize("source", ["frame", "csv", "texts", "naive", "own format"])
def test_a_served_model_takes_the_same_instants(tmp_path, source):
    from raysearch.tracking.served_model import ServedForecaster

    frame = sales("Europe/Berlin")
    naive = frame.assign(at=frame["at"].dt.tz_localize(None))
    forms = dict(written(frame, tmp_path))
    forms |= {"naive": naive, "own format": naive.assign(at=naive["at"].dt.strftime("%d.%m.%Y %H:%M:%S"))}
    served = ServedForecaster()
    served.forecaster = learned(forms[source])
    asked = naive if source in ("naive", "own format") else frame
    expected = served.forecaster.predict(asked).to_numpy()
    milliseconds = json.loads(asked.to_json(orient="split", date_format="epoch", date_unit="ms"))
    iso = json.loads(asked.to_json(orient="records", date_format="iso"))
    if asked is naive:  # pandas marks naive dates with no Z
        assert not iso[0]["at"].endswith("Z")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for body in (pd.DataFrame(milliseconds["data"], columns=milliseconds["columns"]), pd.DataFrame(iso)):
            np.testing.assert_array_equal(served.predict(None, body).to_numpy(), expected)


def test_texts_without_an_offset_are_the_clock_on_the_wall():
    made = learned(sales("Europe/Berlin"))
    frame = sales("Europe/Berlin")
    naive = frame.assign(at=frame["at"].dt.tz_localize(None))
    expected = made.predict(frame).to_numpy()
    np.testing.assert_array_equal(made.predict(naive).to_numpy(), expected)
    np.testing.assert_array_equal(made.predict(as_texts(naive)).to_numpy(), expected)
    mixed = as_texts(frame)
    mixed.loc[::2, "at"] = as_texts(naive).loc[::2, "at"]
    np.testing.assert_array_equal(made.predict(mixed).to_numpy(), expected)


def test_instants_for_a_model_of_naive_times_are_taken_in_utc_and_told(tmp_path):
    utc = sales("UTC")
    made = learned(utc.assign(at=utc["at"].dt.tz_localize(None)))
    frame = sales("Europe/Berlin")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        expected = made.predict(utc).to_numpy()
        for given in (utc.assign(at=utc["at"].dt.tz_localize(None)), as_texts(utc)):
            np.testing.assert_array_equal(made.predict(given).to_numpy(), expected)
    frame.to_csv(tmp_path / "t.csv", index=False)
    for given in (frame, as_texts(frame), tmp_path / "t.csv"):
        with pytest.warns(UserWarning, match="'at': times with a time zone are taken in UTC"):
            np.testing.assert_array_equal(made.predict(given).to_numpy(), expected)


def test_a_file_of_one_column_gets_a_row_for_each_line(tmp_path):
    made = train(columns=("a b",))
    rows = table(5)[["a b"]]
    rows.loc[2] = np.nan
    lines = ["a b", *("" if pd.isna(v) else repr(float(v)) for v in rows["a b"])]
    (tmp_path / "one.csv").write_text("\n".join(lines) + "\n")
    np.testing.assert_array_equal(made.predict(tmp_path / "one.csv"), made.predict(rows))
    stream = io.StringIO()
    rows.to_csv(stream, index=False)
    (tmp_path / "one.csv").write_text(stream.getvalue())
    np.testing.assert_array_equal(made.predict(tmp_path / "one.csv"), made.predict(rows))
