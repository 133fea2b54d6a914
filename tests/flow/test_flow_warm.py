"""Studies that begin with points of earlier ones, go on without looking again, and leave points behind."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from history_made_up import features, past

from raysearch.errors import ConfigError, TrackingError
from raysearch.flow import Silent, resume
from raysearch.history import PastPoint
from raysearch.tracking import NullTracker

pytestmark = pytest.mark.slow

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
SPACE = """
parameters:
  num_leaves: {low: 4, high: 16}
  learning_rate: {low: 0.05, high: 0.3, log: true}
  num_boost_round: {low: 8, high: 24}
fixed: {min_data_in_leaf: 10}
"""


def larger_table(seed: int) -> pd.DataFrame:
    """A table on which smaller trees are better than the defaults."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=600), rng.normal(size=600)
    noise = rng.normal(size=600) * (1 + (b > 0))
    return pd.DataFrame({"a": a, "b": b, "store": rng.choice(["N", "S"], 600), "demand": 20 + 3 * a + noise})


class Heard(Silent):
    """A display that writes down warnings, and what the search begins with."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.begins = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def search_begins(self, about) -> None:
        self.begins.append(about.warm)


def earlier(name: str = "old", *leaves: int, **changes):
    params = [{"num_leaves": count, "num_boost_round": 8 + count} for count in leaves or (5, 9, 13)]
    told = [PastPoint("lightgbm", one, 0.9) for one in params]
    return past(name, *told, levels=LEVELS, **changes)


@pytest.fixture
def recorded(study, monkeypatch, tmp_path, no_report):
    """Run a quick study that finds some earlier ones in its store, or what kept them from being read."""
    warm = importlib.import_module("raysearch.flow.warm")
    tune = importlib.import_module("raysearch.flow.tune")
    tracker = NullTracker()
    monkeypatch.setattr(tune, "open_tracker", lambda *words: tracker)

    def run(table, found, *, alike: bool = True, **words):
        class Reader:
            def __init__(self, uri: str) -> None:
                assert uri == f"sqlite:///{tmp_path}/mlflow.db"

            def result(self):
                if isinstance(found, Exception):
                    raise found
                return tuple(found)

        monkeypatch.setattr(warm, "PastReader", Reader)
        if alike:
            monkeypatch.setattr(warm, "describe", lambda config, dataset: features())
        words = {"search__warm_start": "auto", "search__trials": 30, "search__scheduler": "none", **words}
        return study(table, tracking__enabled=True, tracking__uri="sqlite:///mlflow.db", **words)

    return run


def test_a_study_begins_with_their_points_and_tells_what_they_brought(recorded, table):
    heard = Heard()
    done = recorded(table, [earlier("one", 5, 9), earlier("two", 13)], display=heard)
    tried = {trial.number: trial.warm for trial in done.trials if trial.warm}
    assert tried == {1: "one", 2: "two", 3: "one"}
    assert [done.trials[i].params["num_leaves"] for i in tried] == [5, 13, 9]
    assert done.trials[0].default
    told = json.loads(Path("studies/s/result.json").read_text())["warm_start"]
    assert told["trials"] == [1, 2, 3]
    assert {one["study"] for one in told["points"]} == {"one", "two"}
    scores = {trial.number: trial.score for trial in done.trials if trial.state == "finished"}
    assert told["best"]["score"] == min(scores[number] for number in tried)
    assert told["other"]["score"] == min(score for number, score in scores.items() if number not in tried)
    assert told["gain_percent"] == pytest.approx(100 * (1 - told["best"]["score"] / told["other"]["score"]))
    assert heard.warnings == []
    assert [len(begun.points) for begun in heard.begins] == [3]


def test_a_study_that_goes_on_looks_no_more_and_keeps_what_it_had(recorded, table, monkeypatch):
    done = recorded(table, [earlier()], search__trials=10)
    warm = importlib.import_module("raysearch.flow.warm")
    monkeypatch.setattr(warm, "PastReader", None)  # to look again would fail
    heard = Heard()
    more = resume("s", overrides={"search": {"trials": 12}}, display=heard)
    assert [t.key for t in more.trials if t.warm] == [t.key for t in done.trials if t.warm]
    assert len([t for t in more.trials if t.warm]) == 1
    assert more.result.warm.start == done.result.warm.start
    assert heard.begins == [None]
    # Without a record there is nothing to look for, and nothing to refuse.
    bare = resume("s", overrides={"search": {"trials": 13}, "tracking": {"enabled": False}})
    assert len(bare.trials) == 13


@pytest.mark.parametrize(
    ("words", "most"),
    [
        ({"search__trials": 29}, 2),
        ({"search__trials": 60, "search__time_budget_s": 600.0}, 3),
        ({"search__trials": 10}, 1),
    ],
)
def test_no_more_than_a_tenth_of_the_trials(recorded, table, words, most):
    done = recorded(table, [earlier("a", 5, 9, 13), earlier("b", 7, 11, 16)], **words)
    assert len([trial for trial in done.trials if trial.warm]) == most


def test_of_a_few_trials_none_is_spent(recorded, table):
    heard = Heard()
    done = recorded(table, [earlier()], search__trials=9, display=heard)
    assert not any(trial.warm for trial in done.trials)
    assert len(heard.warnings) == 1 and "fewer than 10 trials" in heard.warnings[0]
    assert done.result.warm.start.note == heard.warnings[0].removeprefix("no warm start: ")


def test_a_store_that_cannot_be_read_costs_a_warning_and_no_study(recorded, table):
    heard = Heard()
    done = recorded(table, TrackingError("the store is out"), search__trials=10, display=heard)
    assert heard.warnings == ["no warm start: the store is out"]
    assert len(done.trials) == 10 and not any(trial.warm for trial in done.trials)
    assert json.loads(Path("studies/s/result.json").read_text())["warm_start"]["note"] == "the store is out"


def test_data_of_another_kind_is_left_alone(recorded, table):
    other = earlier(features=features(rows=10**7, noise=1.0, numbers=0.0, categories=1.0, tails=9.0))
    done = recorded(table, [other], alike=False, search__trials=10)
    assert (done.result.warm.start.looked_at, done.result.warm.start.alike) == (1, 0)
    assert not any(trial.warm for trial in done.trials)


def test_without_a_record_it_is_refused_early(settings):
    with pytest.raises(ConfigError, match=r"search.warm_start: 'auto' looks .* leave out --no-tracking"):
        settings(search__warm_start="auto")
    with pytest.raises(ConfigError, match=r"search.warm_start: got 'on', must be one of 'off', 'auto'"):
        settings(search__warm_start="on")
    assert settings(search__warm_start=False).search.warm_start == "off"  # YAML's word for off


def test_it_is_off_where_nobody_asks(recorded, table):
    done = recorded(table, AssertionError("nobody is to look"), search__warm_start="off", search__trials=10)
    assert done.result.warm is None
    assert json.loads(Path("studies/s/result.json").read_text())["warm_start"] is None


@pytest.fixture
def real(study, tmp_path, no_report):
    """Run a quick study that is recorded in a store of its test's own."""

    def run(table, name, **words):
        words = {"search__warm_start": "auto", "search__trials": 20, "search__scheduler": "none", **words}
        uri = f"sqlite:///{tmp_path}/mlflow.db"
        (tmp_path / "own.yaml").write_text(SPACE)
        return study(
            table,
            study__name=name,
            search__space="own.yaml",
            tracking__enabled=True,
            tracking__uri=uri,
            **words,
        )

    return run


def test_the_second_study_of_a_store_finds_what_the_first_one_left(real, tmp_path):
    import mlflow

    from raysearch.flow.history import history

    first = real(larger_table(0), "first")
    assert (first.result.warm.start.looked_at, first.result.warm.start.points) == (0, ())
    best = min((t for t in first.trials if not t.default), key=lambda trial: trial.score).params
    again = larger_table(1)
    again["demand"] *= 1000  # in other units
    second = real(again, "second", tracking__experiment="another")
    tried = [trial for trial in second.trials if trial.warm]
    assert [trial.number for trial in tried] == [1, 2] and {trial.warm for trial in tried} == {"first"}
    assert tried[0].params == best
    told = json.loads(Path("studies/second/result.json").read_text())["warm_start"]
    assert told["points"][0]["run_id"] == first.result.parent_run_id
    assert told["best"]["score"] == min(trial.score for trial in tried)
    # Its own record tells it too, and a third one may use both.
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    parent = client.get_run(second.result.parent_run_id)
    assert parent.data.tags["raysearch.warm_from"] == "first"
    assert parent.data.metrics["warm_trials"] == 2
    assert parent.data.metrics["warm_gain_percent"] == pytest.approx(told["gain_percent"])
    runs = client.search_runs([parent.info.experiment_id], "tags.`raysearch.warm_from` = 'first'")
    assert len(runs) == 3  # the study and two trials
    found = history(_tracking(tmp_path))
    assert [one.study for one in found.studies] == ["second", "first"]
    (kind,) = found.kinds
    assert kind.model == "lightgbm" and kind.size == "under 1,000 rows"

    client.delete_run(second.result.parent_run_id)
    client.delete_tag(first.result.parent_run_id, "raysearch.history")  # as recorded before there was one
    third = real(larger_table(2), "third", search__trials=10)
    assert third.result.warm.start.looked_at == 0
    client.set_tag(first.result.parent_run_id, "raysearch.history", '{"version": 1, "points": 7}')
    fourth = real(larger_table(3), "fourth", search__trials=10)
    assert {point.study for point in fourth.result.warm.start.points} <= {"third"}


def _tracking(tmp_path):
    from raysearch.config import TrackingConfig

    return TrackingConfig(True, f"sqlite:///{tmp_path}/mlflow.db", "raysearch")


def test_what_is_left_behind_is_that_of_the_study(recorded, table, monkeypatch):
    left: list[str] = []
    tune = importlib.import_module("raysearch.flow.tune")

    class Keeps(NullTracker):
        uri = "sqlite:///mlflow.db"

        def remember(self, text: str) -> None:
            left.append(text)

    monkeypatch.setattr(tune, "open_tracker", lambda *words: Keeps())
    done = recorded(table, [], alike=False, search__trials=12)
    from raysearch.history import parse_past

    (study,) = [parse_past(text) for text in left]
    finished = [t for t in done.trials if t.state == "finished" and not t.default]
    best = min(finished, key=lambda trial: trial.score)
    assert dict(study.points[0].params) == dict(best.params)
    assert study.points[0].ratio == pytest.approx(best.score / done.result.default.score, abs=1e-6)
    assert (study.levels, study.objectives, study.target) == (LEVELS, ("pinball",), "demand")
    assert study.gain_percent == pytest.approx(done.result.comparison.gain_percent, abs=0.001)
    assert set(study.importance) <= {"num_leaves", "num_boost_round"}


def test_a_failure_to_gather_it_costs_no_study(recorded, table, monkeypatch):
    warm = importlib.import_module("raysearch.flow.warm")
    tune = importlib.import_module("raysearch.flow.tune")
    keeps = NullTracker()
    keeps.uri = "sqlite:///mlflow.db"
    monkeypatch.setattr(tune, "open_tracker", lambda *words: keeps)
    monkeypatch.setattr(warm, "best_points", lambda *words: 1 / 0)
    assert len(recorded(table, [], search__warm_start="off", search__trials=3).trials) == 3
