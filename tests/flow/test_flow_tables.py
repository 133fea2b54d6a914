"""Tables of all kinds: odd names, odd types, few rows, many columns; and studies without test rows."""

from __future__ import annotations

import datetime
import decimal
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raysearch.flow.study import to_json

pytestmark = pytest.mark.slow

ODD_NAMES = [
    "größe (m²)",
    "with space",
    "target",
    "f0",
    "anchor",
    "[red]x[/red]",
    "<script>alert(1)</script>",
    'he said "no"',
    "it's",
    "a,b",
    "{json}",
    "per%cent",
    "日本語",
    "x=1",
    "tab\there",
]


def ordered(frame: pd.DataFrame) -> bool:
    values = frame.to_numpy()
    return bool(np.isfinite(values).all() and (np.diff(values, axis=1) >= 0).all())


@pytest.mark.parametrize("model", ["lightgbm", "both"])
def test_odd_names_of_columns_and_groups(study, table, model):
    odd = pd.DataFrame({name: table["a"] * i for i, name in enumerate(ODD_NAMES, start=1)})
    odd["groupe [b]"] = np.resize(["a b", "c/d", "<i>é</i>", "[red]", "x=y", "", "e\\"], len(odd))
    odd["<b>demand</b>"] = table["demand"]
    done = study(odd, data__target="<b>demand</b>", data__group="groupe [b]", search__model=model)
    assert set(done.test.groups) >= {"a b", "c/d", "<i>é</i>", "[red]"}
    assert ordered(done.forecaster.predict(odd.drop(columns="<b>demand</b>")))
    page = Path(done.report_path).read_text()
    assert "<script>alert(1)" not in page
    assert "<b>demand</b>" not in page
    assert "&lt;b&gt;demand&lt;/b&gt;" in page


@pytest.mark.parametrize("target", ["target", "f0", "anchor", "q0.5"])
@pytest.mark.usefixtures("no_report")
def test_a_target_named_like_something_of_ours(study, table, target):
    done = study(table.rename(columns={"demand": target, "a": "a1"}), data__target=target)
    assert done.best.score < 2
    assert ordered(done.forecaster.predict(table.rename(columns={"a": "a1"})))


@pytest.mark.usefixtures("no_report")
def test_columns_of_all_types(study, table):
    rows = len(table)
    odd = table.assign(
        yes=np.arange(rows) % 3 == 0,
        maybe=pd.array([None, True, False, True] * (rows // 4), dtype="boolean"),
        price=[decimal.Decimal(i) / 7 for i in range(rows)],
        at=pd.date_range("2021-01-01", periods=rows, freq="7h", tz="Europe/Berlin"),
        on=[datetime.date(2020, 1, 1) + datetime.timedelta(days=i) for i in range(rows)],
        clock=[datetime.time(i % 24, 30) for i in range(rows)],
        took=pd.to_timedelta(np.arange(rows), unit="min"),
        kind=pd.Categorical(np.resize(["x", "y"], rows)),
        whole=pd.array([None, *range(rows - 1)], dtype="Int64"),
        void=np.nan,
        nothing=None,
        text_number=[str(i) for i in range(rows)],
    )
    odd = pd.concat([odd, odd.head(20)], ignore_index=True)  # doubled rows too
    done = study(odd)
    predicted = done.forecaster.predict(odd.drop(columns="demand"))
    assert len(predicted) == rows + 20
    assert ordered(predicted)
    unlike = odd.drop(columns=["demand", "yes"]).assign(kind="z", void=3.0)
    with pytest.warns(UserWarning, match="'yes'"), pytest.warns(UserWarning, match="'kind'"):
        assert ordered(done.forecaster.predict(unlike))


@pytest.mark.usefixtures("no_report")
def test_seventy_columns(study, table):
    rng = np.random.default_rng(1)
    wide = pd.concat(
        [table, pd.DataFrame(rng.normal(size=(len(table), 70)), columns=[f"column {i}" for i in range(70)])],
        axis=1,
    )
    done = study(wide, search__model="both", data__features=None)
    assert len(done.forecaster.input_columns) >= 70
    assert ordered(done.forecaster.predict(wide))


def test_sixty_rows(study, table):
    done = study(table.head(60), data__group="store")
    assert done.test.rows == 12
    assert Path(done.report_path).is_file()


@pytest.mark.usefixtures("no_report")
def test_a_time_column_of_texts_and_a_numeric_one(study, table):
    texts = study(
        table.assign(day=table["day"].dt.strftime("%d.%m.%Y")), data__time="day", study__name="texts"
    )
    assert texts.test.rows == 40
    numbers = study(
        table.assign(day=np.arange(len(table))), data__time="day", split__purge=5, study__name="numbers"
    )
    assert numbers.test.rows >= 35
    rows = study(table.head(150), data__time="day", split__by="random", study__name="rows")
    assert rows.test.rows == 30


def test_one_level(study, table):
    done = study(table, search__levels=[0.9])
    assert done.test.intervals == ()
    assert list(done.forecaster.predict(table).columns) == ["q0.9"]
    told = to_json(done.result)
    assert told["test"]["coverage"] == {}
    assert all(value is None or math.isfinite(value) for value in told["test"]["metrics"].values())


def test_without_test_rows_the_evaluation_is_the_validations_and_says_so(study, table):
    done = study(table, split__test_size=0)
    assert done.test.part == "valid"
    told = to_json(done.result)
    assert told["test"] is None
    assert told["valid"]["pinball_loss_avg"] == pytest.approx(done.best.score)
    assert any("No test rows were held out" in warning for warning in done.warnings)
    assert "No rows were held out for a test" in Path(done.report_path).read_text()
    assert done.forecaster.about["fitted_on"] == "training rows and validation rows"


@pytest.mark.usefixtures("no_report")
def test_the_model_is_fitted_on_validation_rows_too_unless_told_otherwise(study, table):
    refitted = study(table, study__name="refitted")
    assert refitted.forecaster.about["fitted_on"] == "training rows and validation rows"
    searched = study(table, search__refit=False, study__name="searched")
    assert searched.forecaster.about["fitted_on"] == "training rows"


@pytest.mark.parametrize("transform", ["log", "log1p", "asinh"])
@pytest.mark.usefixtures("no_report")
def test_transforms_are_told_in_the_targets_units(study, table, transform):
    done = study(table, data__transform=transform, study__name=transform)
    assert done.best.score < 2
    assert done.forecaster.predict(table)["q0.5"].mean() == pytest.approx(20, abs=2)


@pytest.mark.parametrize("model", ["lightgbm", "xgboost"])
def test_a_target_far_from_zero_is_learnt_as_well_as_one_around_it(study, model):
    """Boosters keep labels in 32 bits, in which 1,600,000,001 and 1,600,000,050 are the same."""
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=600), rng.normal(size=600)
    losses = []
    for offset, unit in ((0.0, 1.0), (1.6e9, 1.0), (0.0, 1e-300), (0.0, 1e300)):
        frame = pd.DataFrame({"x": x, "demand": offset + (3 * x + noise) * unit})
        done = study(frame, search__model=model, search__trials=1, study__name=f"s{len(losses)}")
        losses.append(done.test.metrics["pinball_loss_avg"] / unit)
    assert losses == pytest.approx([losses[0]] * 4, rel=0.02)
