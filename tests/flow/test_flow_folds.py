"""Folds of a study: kept, compared when it goes on, and what the last model learns from."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from raysearch.config import SplitConfig
from raysearch.errors import DataError
from raysearch.flow import resume

pytestmark = pytest.mark.usefixtures("no_report")
ABOUT = Path("studies/s/study.json")


def change(**values):
    ABOUT.write_text(json.dumps({**json.loads(ABOUT.read_text()), **values}))


def test_the_folds_are_kept_with_the_study(study, table):
    study(table, data__time="day", split__cv=3, split__window="sliding", split__purge=2)
    lines = Path("studies/s/report/folds.csv").read_text().splitlines()
    assert len(lines) == 4 and lines[1].startswith("0,")
    learnt = [int(line.split(",")[1]) for line in lines[1:]]
    assert len(set(learnt)) == 1  # one row a day, and the window keeps its length


@pytest.mark.slow
def test_a_study_goes_on_only_with_the_folds_that_it_began_with(study, table):
    study(table, split__cv=3, data__drop=["day"])
    about = json.loads(ABOUT.read_text())
    assert len(about["split_digest"]) == 36
    assert len(resume("s", overrides={"search": {"trials": 3}}).trials) == 3
    other = {**about["config"], "split": {**about["config"]["split"], "cv": 4}}
    change(config=other)
    with pytest.raises(DataError, match=r"study 's': its rows would be split otherwise .* new study"):
        resume("s", overrides={"search": {"trials": 4}})


def test_a_study_from_before_folds_had_a_digest_can_go_on(study, table):
    study(table, split__cv=3, data__drop=["day"])
    about = json.loads(ABOUT.read_text())
    del about["split_digest"]
    for key in ("window", "embargo"):
        del about["config"]["split"][key]
    ABOUT.write_text(json.dumps(about))
    assert len(resume("s", overrides={"search": {"trials": 3}}).trials) == 3


def test_a_study_from_before_single_parts_in_time_were_calibrated_stays_without(study, table):
    before = study(table, data__time="day", search__calibrate="none")
    about = json.loads(ABOUT.read_text())
    about["config"]["search"]["calibrate"] = "auto"
    del about["split_digest"]
    ABOUT.write_text(json.dumps(about))
    more = resume("s", overrides={"search": {"trials": 3}})
    assert more.forecaster.calibrator.kind == "none"
    assert more.trials[:2] == before.trials


def test_a_study_in_time_from_before_its_shift_was_weighed_stays_marginal(study, table):
    before = study(table, data__time="day", search__calibrate="marginal")
    about = json.loads(ABOUT.read_text())
    about["config"]["search"]["calibrate"] = "auto"
    ABOUT.write_text(json.dumps(about))
    more = resume("s", overrides={"search": {"trials": 3}})
    assert more.forecaster.calibrator.kind == "marginal"
    assert more.trials[:2] == before.trials


@pytest.mark.parametrize(("window", "rows"), [("expanding", 160), ("50", 50)])
def test_the_last_model_learns_from_the_latest_rows_of_the_window(study, table, monkeypatch, window, rows):
    fitting = importlib.import_module("raysearch.flow.fitting")
    learnt = []

    class Spy(fitting.Bench):
        def __init__(self, table, recipe, share):
            learnt.append([fold.train for fold in recipe.fits])
            super().__init__(table, recipe, share)

    monkeypatch.setattr(fitting, "Bench", Spy)
    done = study(table, data__time="day", split__cv=2, split__window=window)
    assert done.forecaster.about["fitted_on"] == "training rows and validation rows"
    assert learnt[0] == [((160 - rows, 160),)]


def test_folds_around_which_is_learnt_are_averaged(study, table):
    done = study(
        table, data__time="day", split__cv=3, split__window="both", split__embargo=2, search__ensemble=1
    )
    assert len(done.forecaster.members) == 3
    assert done.forecaster.about["fitted_on"] == "training rows"
    assert not any("embargo" in text for text in done.warnings)


def test_an_embargo_that_does_nothing_is_told(settings, table):
    from raysearch.data import prepare

    config = settings(data__time="day", split__cv=3, split__embargo=2)
    assert config.split == SplitConfig("auto", 0.2, 0.2, 0, 3, "expanding", 2)
    assert any("leaves nothing out" in text for text in prepare(config, table).quality.warnings)


def test_a_line_is_tried_where_rows_go_on_in_time_and_nowhere_else(study, table, no_report):
    words = {"search__space": None, "search__trials": 3, "search__scheduler": "none"}
    in_time = study(table, study__name="t", data__time="day", **words)
    assert "linear" in [trial.params["location"] for trial in in_time.trials]
    at_random = study(table, study__name="r", data__drop=("day",), **words)
    assert "linear" not in [trial.params["location"] for trial in at_random.trials]
