"""What the kept model is held against: constants by hand, and what a study tells of rivals and slices."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from raysearch.calibration import make_folds
from raysearch.data import Transform
from raysearch.errors import DataError, StudyError
from raysearch.flow.evaluating import Told, constant_forecast, refuse_collapsed, same_for_all_note
from raysearch.records import FoldRows

LEVELS = (0.25, 0.5, 0.75)


def job(target, parts, *, fits=None, transform=None, anchor=None, part="test"):
    table = pa.table({"f0": np.zeros(len(target)), "target": np.asarray(target, dtype=float)})
    if anchor is not None:
        table = table.append_column("anchor", pa.array(np.asarray(anchor, dtype=float)))
    train, (low, high) = parts["train"], parts["valid"]
    dataset = SimpleNamespace(
        table=table,
        parts=parts,
        fits=fits or (FoldRows((train,), (low, high)),),
        transform=transform or Transform(),
        folds=make_folds(high - low),
    )
    config = SimpleNamespace(search=SimpleNamespace(levels=LEVELS))
    return SimpleNamespace(dataset=dataset, config=config, scored_part=part)


def told(rows, anchor=None):
    return Told(np.zeros(rows), np.zeros((rows, 3)), np.zeros((rows, 3)), anchor)


def test_the_constant_of_test_rows_is_that_of_training_and_validation_rows():
    parts = {"train": (0, 3), "valid": (3, 5), "test": (5, 7)}
    found = constant_forecast(job([0, 1, 2, 3, 4, 100, 100], parts), told(2))
    assert found.tolist() == [[1.0, 2.0, 3.0]] * 2


def test_where_growth_is_modelled_the_growth_is_constant():
    parts = {"train": (0, 3), "valid": (3, 5), "test": (5, 7)}
    anchor = [1.0, 2, 4, 8, 16, 10, 100]
    growth = np.array([1.0, 2, 4, 8, 16, 7, 7])
    found = constant_forecast(
        job(growth * anchor, parts, transform=Transform("log", "anchor"), anchor=anchor),
        told(2, np.array([10.0, 100.0])),
    )
    np.testing.assert_allclose(found, [[20, 40, 80], [200, 400, 800]])


def test_without_test_rows_the_constant_of_a_fold_knows_its_training_rows_only():
    parts = {"train": (0, 6), "valid": (0, 6), "test": (6, 6)}
    fits = (FoldRows(((3, 6),), (0, 3)), FoldRows(((0, 3),), (3, 6)))
    found = constant_forecast(job([0, 1, 2, 10, 11, 12], parts, fits=fits, part="valid"), told(6))
    assert found[:, 1].tolist() == [11.0] * 3 + [1.0] * 3


def test_a_kept_model_whose_levels_are_alike_is_refused():
    rng = np.random.default_rng(0)
    place = SimpleNamespace(
        dataset=SimpleNamespace(parts={"valid": (10, 60)}),
        about=SimpleNamespace(name="s"),
        modelled=lambda part: rng.normal(size=50),
        slice=lambda start, stop: stop - start,
    )
    flat = SimpleNamespace(raw=lambda rows: np.zeros((rows, 3)), levels=LEVELS)
    with pytest.raises(StudyError, match="'s': the model cannot be kept: all its quantile levels are alike"):
        refuse_collapsed(place, flat)
    good = SimpleNamespace(raw=lambda rows: np.arange(rows * 3).reshape(rows, 3), levels=LEVELS)
    refuse_collapsed(place, good)


def test_a_model_that_forecasts_every_row_alike_is_told():
    assert "its trees found no split" in same_for_all_note(told(9))[0]
    varied = Told(np.zeros(9), np.zeros((9, 3)), np.arange(27.0).reshape(9, 3), None)
    assert same_for_all_note(varied) == ()


def test_a_study_tells_rivals_and_slices_everywhere(study, table):
    done = study(table, data__time="day", data__group="store")
    content = json.loads(Path("studies/s/result.json").read_text())
    assert set(content["rivals"]) == {"default", "constant"}
    for name, told in (("constant", content["constant"]), ("default", content["comparison"])):
        assert told[name] == pytest.approx(content["rivals"][name]["metrics"]["pinball_loss_avg"])
        assert told["tuned"] == pytest.approx(content["test"]["pinball_loss_avg"])
    assert content["constant"]["gain_percent"] == done.result.rival("constant").comparison.gain_percent
    assert set(content["rivals"]["constant"]["scores"]) >= {"pinball/q0.05", "interval_score_90"}
    slices = content["slices"]
    assert {part["name"] for part in slices["group"]} == {"Nord", "Süd/West", "Q 4"}
    assert sum(part["rows"] for part in slices["time"]) == content["test"]["rows"] == 40
    report = Path("studies/s/report")
    with (report / "by_group.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [part["name"] for part in slices["group"]]
    assert (
        float(rows[0]["constant_pinball_loss_avg"]) == slices["group"][0]["against"]["constant"]["constant"]
    )
    assert (report / "by_time.csv").is_file()
    page = (report / "report.html").read_text(encoding="utf-8")
    assert 'id="rivals"' in page and 'id="time"' in page and (report / "plots/over_time.png").is_file()


@pytest.mark.usefixtures("no_report")
def test_training_rows_with_one_target_are_refused_and_many_zeros_are_not(study, table):
    same = table.assign(demand=np.where(np.arange(200) < 140, 7.0, table["demand"]))
    with pytest.raises(
        DataError, match=r"'demand' as modelled is 7 in all 128 training rows, .*--split random"
    ):
        study(same, data__time="day")
    zeros = table.assign(demand=np.where(np.arange(200) % 20 > 0, 0.0, table["demand"]))
    assert study(zeros, data__drop=["day"]).result.trials["failed"] == 0


@pytest.mark.usefixtures("no_report")
def test_without_test_rows_the_constant_knows_none_of_those_it_is_scored_on(study, table):
    done = study(table, split__test_size=0.0, data__drop=["day"], split__cv=3)
    assert done.result.rival("constant").evaluation.rows == done.test.rows
    assert done.result.rival("constant").comparison.gain_percent > 0
