"""What the closing takes as independent, and what it says where nothing came out."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from raysearch.errors import InterruptedStudyError
from raysearch.flow.ahead import LoadedAhead
from raysearch.flow.closing import _nothing
from raysearch.flow.evaluating import blocks_in_time, blocks_of
from raysearch.flow.study import to_json
from raysearch.records import Comparison, DataQuality, DatasetFacts, Evaluation, Interval, StudyResult
from raysearch.tracking.notes import note_at_end
from raysearch.tracking.tracker import StudyInfo


def test_what_closing_needs_is_loaded_once_with_the_first_trial_and_no_error_is_lost_in_it(monkeypatch):
    loaded, done = [], threading.Event()

    def get_model(name):
        loaded.append(name)
        raise ImportError(name)

    monkeypatch.setattr("raysearch.flow.ahead.get_model", get_model)
    monkeypatch.setattr("raysearch.flow.ahead.load_plots", done.set)
    ahead = LoadedAhead(["lightgbm", "xgboost"])
    ahead.trial_started(0, "a", "lightgbm", {})
    assert not loaded
    ahead.trial_ended(_ended("finished")[0])
    ahead.trial_ended(_ended("finished")[0])
    ahead.wait()
    assert done.is_set()
    assert loaded == ["lightgbm", "xgboost"]
    LoadedAhead([]).wait()  # where nothing was begun there is nothing to wait for


def test_a_process_without_more_threads_searches_all_the_same(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    ahead = LoadedAhead(["lightgbm"])
    ahead.trial_ended(_ended("finished")[0])
    ahead.wait()


def test_blocks_in_time_by_hand():
    # Sixteen rows, so at least four a block; and at least two times.
    times = np.array([1, 1, 1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 6, 7, 8, 9])
    told = blocks_in_time(times, 2)
    assert told.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2]  # 8 and 9 are left: too few rows
    assert blocks_in_time(times, 4).tolist() == [0] * 10 + [1] * 6
    assert blocks_in_time(times, 9).tolist() == [0] * 16


def test_blocks_do_not_hang_on_the_order_of_rows():
    rng = np.random.default_rng(0)
    times = np.datetime64("2020-01-01") + rng.integers(0, 300, size=1500).astype("timedelta64[D]")
    shuffled = rng.permutation(1500)
    blocks = blocks_in_time(times, 22)
    np.testing.assert_array_equal(blocks_in_time(times[shuffled], 22), blocks[shuffled])
    for time in np.unique(times):
        assert len(set(blocks[times == time])) == 1
    sizes = np.bincount(blocks)
    assert sizes.min() >= np.sqrt(1500)
    steps = [len(np.unique(times[blocks == block])) for block in range(len(sizes))]
    assert min(steps) >= 22
    starts = [times[blocks == block].min() for block in range(len(sizes))]
    assert starts == sorted(starts)


def test_one_time_and_no_rows_are_no_trouble():
    assert blocks_in_time(np.zeros(7), 3).tolist() == [0] * 7
    assert blocks_in_time(np.empty(0), 1).tolist() == []


@pytest.mark.parametrize(
    ("by", "timed", "expected"),
    [
        ("time", True, [2, 2, 2, 1, 1, 1, 0, 0, 0]),
        ("auto", True, [2, 2, 2, 1, 1, 1, 0, 0, 0]),
        ("auto", False, None),
        ("random", True, None),
        ("group", True, list("abababaab")),
    ],
)
def test_what_is_independent_follows_the_split(by, timed, expected):
    times = np.array([99, 98, 5, 5, 5, 3, 3, 3, 2, 2, 2])  # of the test rows in falling order
    dataset = SimpleNamespace(
        parts={"valid": (0, 2), "test": (2, 11)},
        times=times if timed else None,
        groups=np.array(list("zzabababaab")),
        purge=0,
    )
    config = SimpleNamespace(split=SimpleNamespace(by=by))
    job = SimpleNamespace(dataset=dataset, config=config, scored_part="test", rows=lambda part: slice(2, 11))
    found = blocks_of(job)
    assert (None if found is None else found.tolist()) == expected


@pytest.mark.usefixtures("no_report")
def test_blocks_reach_the_result(study, table):
    done = study(table, data__time="day", data__group="store")
    told = json.loads(Path("studies/s/result.json").read_text())
    # Forty test days are four blocks of seven and one of twelve: enough for the coverage, not for the gain.
    assert done.test.blocks == 5
    assert done.test.intervals[0].limits is not None
    assert done.result.comparison.limits is told["comparison"]["low_percent"] is None
    by_group = study(table, study__name="g", split__by="group", data__group="store", data__drop=["day"])
    assert by_group.test.blocks == 1
    assert by_group.test.intervals[0].limits is None
    apart = study(table, study__name="r", data__drop=["day"])
    assert apart.test.blocks is None and apart.test.intervals[0].limits is not None


def _ended(*states):
    return [SimpleNamespace(state=state, reason="bad leaf" if state == "failed" else "") for state in states]


@pytest.mark.parametrize(
    ("states", "stopped_by", "told"),
    [
        (("failed", "failed"), "failures", "all 2 trials failed; the first: bad leaf"),
        (
            ("failed", "stopped", "stopped"),
            "trials",
            "no trial finished (1 failed, 2 stopped early); the first failure: bad leaf",
        ),
        (("stopped",), "patience", "no trial finished (1 stopped early)"),
        ((), "time", "the time budget of 10 s ended before any trial finished; `"),
        (
            ("failed", "stopped"),
            "time",
            "ended before any trial finished (1 failed, 1 stopped early; the first failure: bad leaf); `",
        ),
        (("failed",), "interrupt", "stopped before any trial finished"),
    ],
)
def test_a_study_without_a_finished_trial_says_what_became_of_all(states, stopped_by, told):
    job = SimpleNamespace(
        about=SimpleNamespace(name="s"),
        home=SimpleNamespace(address="studies"),
        config=SimpleNamespace(search=SimpleNamespace(time_budget_s=10.0)),
    )
    error = _nothing(job, _ended(*states), stopped_by)
    assert told in str(error)
    assert isinstance(error, InterruptedStudyError) == (stopped_by == "interrupt")
    assert ("--time-budget 20s" in str(error)) == (stopped_by == "time")


@pytest.mark.parametrize(
    ("limits", "blocks", "gain", "told"),
    [
        (
            (0.642, 0.681),
            None,
            (4.0, 9.0),
            ["(64.2% to 68.1% with 95 % confidence)", "(95 % interval +4.0 to +9.0)"],
        ),
        (
            (0.513, 0.79),
            20,
            (4.0, 9.0),
            ["51.3% to 79.0% with 95 % confidence, allowing for rows that resemble"],
        ),
        (
            (None, None),
            3,
            (None, None),
            [
                "(too few independent blocks of rows to tell its",
                "(too few independent blocks of rows for an interval)",
            ],
        ),
    ],
)
def test_the_note_tells_what_is_known(limits, blocks, gain, told):
    facts = DatasetFacts("t", "t.csv", "0" * 36, 100, (), {"train": 60, "valid": 20, "test": 20})
    info = StudyInfo("s", "1", {}, facts, DataQuality(100, (), 0, 0, (), ()), {})
    best = SimpleNamespace(number=1, model="lightgbm", score=1.0, default=False)
    result = SimpleNamespace(
        best=best,
        objectives=("pinball",),
        pareto=(),
        trials={"finished": 1},
        evaluation=Evaluation("test", 20, {}, (Interval(0.9, 0.661, *limits, 1.0, 20),), {}, blocks=blocks),
        comparison=Comparison("test", 1.0, 1.1, 6.0, *gain),
        rival=lambda name: None,
        ensemble=None,
    )
    note = note_at_end(info, result, None)
    assert all(words in note for words in told)
    assert "90% interval covers 66.1%" in note and "+6.0 %" in note and "None" not in note


@pytest.mark.parametrize(
    ("trials", "stopped_by", "told"),
    [
        ({"finished": 1, "stopped": 2}, "time", "- No setting beat the library's defaults: the model is the"),
        ({"finished": 1, "stopped": 0}, "time", "- Only the untuned default had time to finish; nothing was"),
        ({"finished": 1}, "trials", "- Only the untuned default finished; nothing was tuned."),
    ],
)
def test_the_note_says_that_the_default_is_best(trials, stopped_by, told):
    facts = DatasetFacts("t", "t.csv", "0" * 36, 100, (), {"train": 60, "valid": 20, "test": 20})
    info = StudyInfo("s", "1", {}, facts, DataQuality(100, (), 0, 0, (), ()), {})
    result = SimpleNamespace(
        best=SimpleNamespace(number=0, model="lightgbm", score=1.0, default=True),
        objectives=("pinball",),
        pareto=(),
        trials=trials,
        stopped_by=stopped_by,
        evaluation=Evaluation("test", 20, {}, (), {}),
        comparison=Comparison("test", 1.0, 1.0, 0.0, 0.0, 0.0),
        rival=lambda name: None,
        ensemble=None,
    )
    note = note_at_end(info, result, None)
    assert told in note and "0.0 %" not in note


def test_json_tells_limits_and_the_largest_groups():
    def interval(rows, limits):
        return Interval(0.9, 0.8, *limits, 1.0, rows)

    groups = {f"g{n}": (interval(n, (0.7, 0.85)),) for n in range(1, 301)}
    evaluation = Evaluation(
        "test",
        45_150,
        {"pinball_loss_avg": 1.0, "crossing_rate": 0.0},
        (interval(45_150, (0.79, 0.81)), Interval(0.5, 0.4, None, None, 1.0, 45_150)),
        {},
        groups,
    )
    scored = {"score": 1.0, "metrics": {}, "objectives": {}}
    best = SimpleNamespace(number=0, model="lightgbm", params={}, fit_params={}, **scored)
    told = to_json(
        StudyResult("s", None, None, {}, best, None, evaluation, None, "model", "", "trials", 1.0)
    )["test"]
    assert told["coverage"] == {"0.9": 0.8, "0.5": 0.4}
    assert told["coverage_limits"] == {"0.9": [0.79, 0.81], "0.5": None}
    assert told["groups_in_all"] == 300
    assert list(told["groups"]) == list(told["group_rows"]) == [f"g{n}" for n in range(300, 200, -1)]
    assert told["groups"]["g300"] == {"0.9": 0.8} and told["group_rows"]["g300"] == 300
