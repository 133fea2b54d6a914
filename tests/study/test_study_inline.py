"""Whole small studies in this process: they train for real, fail, are interrupted, and go on."""

from __future__ import annotations

import contextlib
import math

import pytest
from optuna.trial import TrialState
from study_made_up import begin, by_rate, limits, made_up_reports, same, small_job, small_space

from raysearch.errors import StudyError
from raysearch.models import get_model
from raysearch.reports import Report, unpack
from raysearch.study import inline
from raysearch.study.inline import run_inline


def run(study):
    table, recipe = small_job()
    run_inline(study.conductor, study.ledger, study.space, table, recipe)


@pytest.fixture
def scored(monkeypatch):
    """Return a function that lets trials be scored by a function in place of a training."""
    return lambda score: monkeypatch.setattr(inline, "reports", made_up_reports(score))


def states(study):
    return [trial.state for trial in study.ledger.study.trials]


def test_a_small_study_trains_for_real_and_keeps_the_best_model(tmp_path):
    study = begin(tmp_path, limits(6, scheduler="asha"))
    run(study)
    assert len(study.ledger.results) == 6
    assert study.conductor.stopped_by == "trials"
    best = study.conductor.best
    assert best.score == min(r.score for r in study.ledger.results if r.state == "finished")
    assert best.metrics["valid_pinball_loss_avg"] == best.score
    assert study.ledger.study.best_trial.number == best.number
    table, _ = small_job()
    from raysearch.models import Frame

    predict = get_model("lightgbm").load(unpack(study.kept.get(best.key))[0], (0.1, 0.5, 0.9))
    assert predict(Frame(table.select(["f0", "f1"]), (False, False))).shape == (240, 3)


def test_trials_that_take_too_long_are_given_up(tmp_path):
    study = begin(tmp_path, limits(3))
    table, recipe = small_job()
    run_inline(study.conductor, study.ledger, study.space, table, recipe, 1e-9)
    assert study.conductor.stopped_by == "failures"
    assert {result.state for result in study.ledger.results} == {"failed"}
    assert study.ledger.results[0].reason == "it took longer than the 1e-09 s of --trial-timeout"


def test_the_same_seed_gives_the_same_study_and_another_one_does_not(tmp_path):
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        study = begin(tmp_path / name, limits(12, scheduler="median"), seed=seed)
        run(study)
        found.append(study.ledger.results)
    assert all(same(a, b) for a, b in zip(found[0], found[1], strict=True))
    assert not all(same(a, b) for a, b in zip(found[0], found[2], strict=False))


def test_early_stopping_saves_rounds_and_keeps_the_winner(tmp_path, scored):
    scored(by_rate)
    (tmp_path / "a").mkdir()
    rounds = {}
    for scheduler in ("asha", "none"):
        (tmp_path / scheduler).mkdir()
        study = begin(tmp_path / scheduler, limits(30, scheduler=scheduler))
        run(study)
        rounds[scheduler] = sum(result.rounds for result in study.ledger.results)
        assert not any(result.default for result in study.ledger.results if result.state == "stopped")
    assert rounds["asha"] < rounds["none"]
    assert TrialState.PRUNED not in states(study)


def test_a_trial_that_raises_or_gives_nan_fails_with_its_reason(tmp_path, scored):
    def score(spec, step):
        if spec.number == 1:
            raise ValueError("not with these parameters")
        return math.nan if spec.number == 2 else by_rate(spec, step)

    scored(score)
    study = begin(tmp_path, limits(4))
    run(study)
    failed = [result for result in study.ledger.results if result.state == "failed"]
    assert [result.number for result in failed] == [1, 2]
    assert failed[0].reason == "ValueError: not with these parameters"
    assert "nan" in failed[1].reason
    assert len(study.ledger.results) == 6
    assert states(study).count(TrialState.FAIL) == 2


def test_parameters_that_the_library_refuses_fail(tmp_path):
    study = begin(tmp_path, limits(2), small_space(boosting={"choices": ["gbdt", "rf"]}))
    run(study)
    for result in study.ledger.results:
        # A random forest needs bagging, which this space leaves off.
        assert (result.state == "failed") is (result.fit_params["boosting"] == "rf")


def test_a_study_in_which_every_trial_fails_ends(tmp_path, scored):
    def score(spec, step):
        raise ValueError(f"number {spec.number}")

    scored(score)
    study = begin(tmp_path, limits(4))
    run(study)
    assert study.conductor.stopped_by == "failures"
    assert study.conductor.best is None
    assert [result.reason for result in study.ledger.results] == [f"ValueError: number {i}" for i in range(5)]


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_what_tears_the_search_apart_leaves_nothing_running(tmp_path, monkeypatch, ending):
    def reports(spec, bench, given_up):
        if spec.number == 3:
            raise ending
        yield from made_up_reports(by_rate)(spec, bench)

    monkeypatch.setattr(inline, "reports", reports)
    study = begin(tmp_path, limits(6))
    with pytest.raises(ending):
        run(study)
    assert states(study) == [*[TrialState.COMPLETE] * 3, TrialState.WAITING]
    assert study.watcher.told[-1][0] == "interrupted"


@pytest.mark.parametrize("database", [False, True])
def test_after_interrupts_a_study_goes_on_to_exactly_the_asked_number(tmp_path, scored, database):
    url = f"sqlite:///{tmp_path}/trials.db" if database else None
    keys, begun = [], {}
    for session in range(4):
        study = begin(tmp_path, limits(9, scheduler="asha"), database=url)

        def score(spec, step, study=study, session=session):
            begun.setdefault(spec.key, spec.number)
            if session < 3 and spec.number == 2 * session + 2 and step == spec.rungs[0]:
                study.conductor.interrupt()
            return by_rate(spec, step)

        scored(score)
        run(study)
        keys += [key for what, key in study.watcher.told if what in ("finished", "stopped", "failed")]
        assert TrialState.RUNNING not in states(study)
        assert study.conductor.stopped_by == ("interrupt" if session < 3 else "trials")
    assert len(keys) == len(set(keys)) == 9
    assert sorted(begun.values()) == list(range(9))
    params = [tuple(trial.params.values()) for trial in study.ledger.study.trials]
    assert len(set(params)) == 9


def test_an_interrupt_in_the_middle_of_a_trial_gives_it_back(tmp_path, scored):
    def score(spec, step):
        if spec.number == 1:
            study.conductor.interrupt()
        return by_rate(spec, step)

    scored(score)
    study = begin(tmp_path, limits(3))
    run(study)
    assert states(study) == [TrialState.COMPLETE, TrialState.WAITING]
    key = study.watcher.told[-1][1]
    resumed = begin(tmp_path, limits(3))
    scored(by_rate)
    run(resumed)
    assert [result.number for result in resumed.ledger.results] == [0, 1, 2]
    assert resumed.ledger.results[1].key == key


def test_a_search_without_time_runs_nothing(tmp_path):
    study = begin(tmp_path, limits(3, deadline_s=0.0))
    run(study)
    assert (study.conductor.stopped_by, study.ledger.results) == ("time", ())


def test_a_model_travels_only_with_trials_that_are_worth_it(tmp_path, monkeypatch):
    sent = []
    real = made_up_reports(lambda spec, step: 1.0 + 0.1 * spec.number)

    def reports(spec, bench, given_up):
        for report in real(spec, bench):
            assert isinstance(report, Report)
            sent.append(report.files is not None) if report.final else None
            yield report

    monkeypatch.setattr(inline, "reports", reports)
    study = begin(tmp_path, limits(3))
    run(study)
    assert sent == [True, False, False]


def test_a_trial_that_could_not_be_written_down_is_told_to_nobody(tmp_path, monkeypatch):
    study = begin(tmp_path, limits(3))
    write, written = type(study.ledger).together, []

    @contextlib.contextmanager
    def full(ledger):
        with write(ledger):
            yield
            written.append(1)
            if len(written) == 3:  # the second trial's proposal: before it the first one's, and its end
                raise StudyError("No space left on device")

    monkeypatch.setattr(type(study.ledger), "together", full)
    with pytest.raises(StudyError, match="No space left"):
        run(study)
    assert [word for word, _ in study.watcher.told if word == "started"] == ["started"]
