"""Studies whose quantiles are calibrated: what is kept, what is told, and on which rows."""

from __future__ import annotations

import importlib

import numpy as np
import pandas as pd
import pytest

from raysearch.data import prepare
from raysearch.errors import ConfigError
from raysearch.flow import open_study, resume

pytestmark = pytest.mark.usefixtures("no_report")


def noisy(rows, seed=0):
    """A table of exchangeable rows on which boosters of few rows are too sure of themselves."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 6))
    frame = pd.DataFrame(x, columns=list("abcdef"))
    return frame.assign(store=rng.choice(["n", "s"], rows), demand=x[:, 0] + rng.normal(size=rows))


@pytest.mark.slow
def test_exchangeable_rows_are_covered_as_claimed_where_they_were_not(study):
    found = {"auto": [], "none": []}
    for seed in range(4):
        for kind, coverage in found.items():
            name = f"{kind}{seed}"
            done = (
                study(
                    noisy(1200, seed),
                    study__name=name,
                    search__calibrate=kind,
                    search__space="own.yaml",
                    search__seed=seed,
                    data__drop=["store"],
                )
                if _write_space()
                else None
            )
            coverage.append(done.test.metrics["coverage_90"])
            assert done.test.metrics["crossing_rate"] == 0
    assert np.mean(found["none"]) < 0.87
    assert abs(np.mean(found["auto"]) - 0.9) < 0.025


def _write_space():
    from pathlib import Path

    text = "parameters:\n  num_leaves: {low: 15, high: 31}\nfixed: {num_boost_round: 60}\n"
    return Path("own.yaml").write_text(text)


def test_the_calibrator_is_kept_with_the_model(study):
    table = noisy(400)
    done = study(table)
    assert done.forecaster.calibrator.kind == "marginal"
    assert done.forecaster.calibrator.rows == 64  # of 320 rows a fifth
    assert open_study("s").calibrator == done.forecaster.calibrator
    pd.testing.assert_frame_equal(open_study("s").predict(table), done.forecaster.predict(table))


def test_each_group_has_offsets_of_its_own(study):
    done = study(noisy(400), search__calibrate="group", data__group="store")
    assert set(done.forecaster.calibrator.by_group) == {"n", "s"}
    assert open_study("s").group == "store"


@pytest.mark.slow
def test_a_single_split_in_time_is_calibrated_unless_told_otherwise(study, table):
    assert study(table, data__time="day").forecaster.calibrator.kind == "width"
    assert resume("s", overrides={"search": {"trials": 5}}).forecaster.calibrator.kind == "width"
    folded = study(table, data__time="day", split__cv=2, study__name="f")
    assert folded.forecaster.calibrator.kind == "width"
    assert study(table, study__name="r").forecaster.calibrator.kind == "marginal"
    asked = study(table, data__time="day", search__calibrate="none", study__name="n")
    assert asked.forecaster.calibrator.kind == "none"


def test_without_calibration_all_validation_rows_are_scored(study, table):
    words = {"split__test_size": 0, "search__calibrate": "none", "search__ensemble": 1}
    done = study(table, data__time="day", **words)
    assert done.test.rows == 40
    assert done.test.metrics["pinball_loss_avg"] == pytest.approx(done.best.score, rel=1e-6)
    folded = study(table, data__time="day", split__cv=3, search__calibrate="none", study__name="f")
    assert folded.forecaster.about["fitted_on"] == "training rows and validation rows"


def test_without_test_rows_each_is_told_as_calibrated_by_others(study, table):
    done = study(noisy(300), split__test_size=0)
    assert done.test.part == "valid" and done.test.rows == 60
    in_time = study(
        table, data__time="day", search__calibrate="marginal", split__test_size=0, study__name="t"
    )
    assert in_time.test.rows == 32  # of 40 rows the first 8 calibrate only


@pytest.mark.parametrize(
    ("kind", "told"), [("group", "--group"), ("time", "--time"), ("x", "must be one of")]
)
def test_what_a_calibration_needs_is_asked_for(study, table, kind, told):
    with pytest.raises(ConfigError, match=told):
        study(table, search__calibrate=kind)


@pytest.mark.slow
def test_models_of_folds_are_averaged_and_calibrated_on_rows_that_each_has_not_seen(study):
    table = noisy(500)
    done = study(table, split__cv=4, data__drop=["store"])
    assert len(done.forecaster.members) == 4
    assert done.forecaster.calibrator.rows == 400
    assert done.forecaster.about["fitted_on"] == "training rows"
    assert abs(done.test.metrics["coverage_90"] - 0.9) < 0.08
    pd.testing.assert_frame_equal(open_study("s").predict(table), done.forecaster.predict(table))
    more = resume("s", overrides={"search": {"trials": 4}})
    assert [t.score for t in more.trials[:2]] == [t.score for t in done.trials]


@pytest.mark.parametrize("split", [{"split__cv": 4}, {"split__cv": 2}, {}])
@pytest.mark.slow
def test_the_mean_of_folds_has_offsets_of_its_own(study, monkeypatch, split):
    fitting = importlib.import_module("raysearch.flow.fitting")
    table = noisy(500)
    own = study(table, data__drop=["store"], **split).forecaster.calibrator.offsets
    monkeypatch.setattr(fitting, "said_by_mean", lambda job, forecaster, q: q)
    each = study(table, data__drop=["store"], study__name="each", **split).forecaster.calibrator.offsets
    if split == {"split__cv": 4}:
        assert own[-1] - own[0] < each[-1] - each[0]
    else:  # nothing is averaged, or by two models only
        assert own == pytest.approx(each)


@pytest.mark.slow
def test_folds_without_test_rows_are_told_out_of_fold(study):
    done = study(noisy(300), split__cv=3, split__test_size=0, data__drop=["store"])
    assert done.test.part == "valid" and done.test.rows == 300
    assert done.test.metrics["pinball_loss_avg"] == pytest.approx(done.result.ensemble.score, rel=1e-6)
    assert done.result.ensemble.score <= done.result.ensemble.best_score


def test_folds_of_groups_and_of_time(study, table):
    by_group = study(noisy(300), split__by="group", data__group="store", split__cv=3, split__test_size=0)
    assert len(by_group.forecaster.members) == 2  # there are two stores
    words = {"split__cv": 3, "split__purge": 2, "search__ensemble": 1}
    in_time = study(table, data__time="day", study__name="t", **words)
    assert in_time.forecaster.calibrator.kind == "width"
    assert by_group.result.ensemble.calibrated and not in_time.result.ensemble.calibrated
    assert len(in_time.forecaster.members) == 1
    assert in_time.forecaster.about["fitted_on"] == "training rows and validation rows"


def test_too_few_rows_for_what_the_levels_claim_are_told(study):
    few = study(noisy(80), data__drop=["store"])
    assert any("calibrated by 13 rows, 19 are needed" in warning for warning in few.warnings)
    enough = study(noisy(80), data__drop=["store"], split__cv=5, study__name="e")
    assert not any("are needed" in warning for warning in enough.warnings)


@pytest.mark.parametrize(
    "words", [{}, {"split__cv": 3}, {"split__cv": 3, "split__purge": 4}, {"split__purge": 4}]
)
def test_in_time_rows_are_scored_by_models_and_calibrated_by_rows_from_before(settings, table, words):
    config = settings(data__time="day", search__calibrate="marginal", **words)
    dataset = prepare(config, table.sample(frac=1, random_state=0))
    day = np.asarray(dataset.times)
    for fold in dataset.fits:
        learnt = np.concatenate([day[slice(*part)] for part in fold.train])
        assert learnt.max() < day[slice(*fold.watch)].min()
    watched = day[dataset.fits[0].watch[0] : dataset.fits[-1].watch[1]]
    pairs = list(dataset.folds.pairs())
    told = np.concatenate([own for own, _ in pairs])
    assert sorted(told) == list(dataset.folds.told) and len(told) >= 0.5 * len(watched)
    gap = pd.Timedelta(days=words.get("split__purge", 0))
    for own, others in pairs:
        assert watched[others].max() + gap < watched[own].min()


@pytest.mark.parametrize("words", [{}, {"split__cv": 4}, {"split__by": "group", "data__group": "store"}])
def test_rows_that_are_exchangeable_swap_calibration_and_scoring(settings, table, words):
    dataset = prepare(settings(**words), table.drop(columns=["day"]))
    watched = dataset.fits[-1].watch[1] - dataset.fits[0].watch[0]
    pairs = list(dataset.folds.pairs())
    assert sorted(np.concatenate([own for own, _ in pairs])) == list(range(watched)), "each is scored once"
    for own, others in pairs:
        assert not set(own) & set(others) and len(own) + len(others) == watched
    for fold in dataset.fits:
        assert all(stop <= fold.watch[0] or start >= fold.watch[1] for start, stop in fold.train)
