"""What the record must hold beside the trials is kept on disk, and read again as it was."""

from __future__ import annotations

import dataclasses

import pytest

from raysearch.config import TrackingConfig
from raysearch.errors import TrackingError
from raysearch.records import Ensemble, Profile, Rival, Slice, WarmOutcome, WarmPoint, WarmStart
from raysearch.records.plain import from_plain, to_plain
from raysearch.tracking import Outbox, open_tracker, read_outbox


@pytest.fixture
def whole(outcome, trial):
    """A study's result with all that it can have."""
    best = trial(1, objectives={"pinball": 1.1, "width_90": 4.0})
    result = outcome(best)
    start = WarmStart(3, 1, (WarmPoint({"num_leaves": 7, "kind": "gbdt"}, "old", "run", 0.1, 0.9),))
    return dataclasses.replace(
        result,
        default=trial(0),
        pareto=(best, trial(2)),
        ensemble=Ensemble({1: 0.25, 7: 0.75}, 1.0, 1.1, 1, 2, 0.5),
        rivals=(Rival("constant", result.evaluation, {"pinball_loss_avg": result.comparison}),),
        slices=(Slice("group", "Süd=West", result.evaluation, {"default": result.comparison}),),
        profile=Profile({"search": 2.5}, {"idle": 0.25}, {}, 2, 5),
        warm=WarmOutcome(start, (best,), best, None),
        evaluation=dataclasses.replace(
            result.evaluation, reliability_limits={0.05: (0.01, 0.1), 0.5: None}, blocks=12
        ),
    )


def test_a_result_is_read_again_as_it_was_written(tmp_path, info, whole):
    outbox = Outbox(info, "http://me:pw@mlflow:5000", "sales", "FINISHED", whole, '{"a": 1}')
    outbox.write(tmp_path / "outbox.json")
    read = read_outbox(tmp_path / "outbox.json")
    assert read.result == whole
    assert (read.status, read.history, read.sent) == ("FINISHED", '{"a": 1}', False)
    assert (read.uri, read.experiment) == ("http://me:***@mlflow:5000", "sales")
    assert read.info.facts == info.facts
    assert read.info.quality == info.quality
    assert [path.name for path in tmp_path.iterdir()] == ["outbox.json"]


def test_no_secret_is_written(tmp_path, info):
    Outbox(info, "http://me:hidden@mlflow:5000", "sales").write(tmp_path / "outbox.json")
    text = (tmp_path / "outbox.json").read_text()
    assert "secret" not in text and "hidden" not in text
    assert "me:***@db" in text and "http://me:***@mlflow:5000" in text


def test_what_is_unknown_is_left_out_and_what_is_missing_has_its_default(whole):
    plain = to_plain(whole.profile) | {"later": 1}
    assert from_plain(Profile, plain) == whole.profile


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"info": 3}'])
def test_a_damaged_one_is_told(tmp_path, text):
    (tmp_path / "outbox.json").write_text(text)
    with pytest.raises(TrackingError, match="is damaged"):
        read_outbox(tmp_path / "outbox.json")


def test_none_is_none(tmp_path):
    assert read_outbox(tmp_path / "outbox.json") is None


def ended(config, path, info, result, status="FINISHED", model=None):
    """Run a study of no trials in a store; return what its outbox says then."""
    tracker = open_tracker(config, path)
    tracker.study_started(info)
    tracker.study_ended(status, result, (), None, model)
    assert tracker.close() == ()
    return read_outbox(path)


@pytest.mark.slow
def test_an_earlier_result_that_was_not_sent_stays_owed_until_a_new_one_comes(tmp_path, info, outcome, trial):
    result = outcome(trial(1))
    config, path = TrackingConfig(True, f"sqlite:///{tmp_path}/mlflow.db", "sales"), tmp_path / "outbox.json"
    Outbox(info, config.uri, "sales", "FINISHED", result, "what it knows").write(path)  # MLflow was away
    failed = ended(config, path, info, None, "FAILED")
    assert (failed.result, failed.history, failed.status, failed.sent) == (
        result,
        "what it knows",
        "FAILED",
        False,
    )
    assert ended(config, path, info, result).sent
    again = ended(config, path, info, None, "KILLED")
    assert (again.result, again.sent) == (result, True)


@pytest.mark.slow
def test_a_damaged_one_keeps_no_study_from_going_on(tmp_path, info, outcome, trial):
    result = outcome(trial(1))
    config, path = TrackingConfig(True, f"sqlite:///{tmp_path}/mlflow.db", "sales"), tmp_path / "outbox.json"
    path.write_text("")
    assert ended(config, path, info, result).result == result
