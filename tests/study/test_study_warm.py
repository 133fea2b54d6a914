"""Points of earlier studies in the ledger: behind the defaults, once, and costing no other trial."""

from __future__ import annotations

import pytest
from study_made_up import begin, finish, limits, small_space

from raysearch.records import WarmPoint
from raysearch.space import SearchSpace, parse_space
from raysearch.study.ledger import Ledger, open_storage
from raysearch.study.sampler import make_sampler

POINTS = tuple(
    WarmPoint(
        {"num_leaves": leaves, "learning_rate": 0.05, "num_boost_round": 12}, f"s{leaves}", "r", 0.0, 0.9
    )
    for leaves in (3, 5, 7)
)


def with_start() -> SearchSpace:
    (space,) = small_space().spaces
    first = {"num_leaves": 8, "learning_rate": 0.2, "num_boost_round": 20}
    return SearchSpace((parse_space({**space.content, "start": [first]}),))


def opened(place, points=POINTS, space=None) -> Ledger:
    return Ledger.open(open_storage(place / "ledger.log", None), "s", space or with_start(), 1, points)


def waiting(ledger: Ledger) -> list[int]:
    return [trial.system_attrs["fixed_params"]["num_leaves"] for trial in ledger.study.get_trials()]


def test_they_stand_behind_the_defaults_and_before_the_space_s_own(tmp_path):
    assert waiting(opened(tmp_path)) == [8, 3, 5, 7, 8]


def test_a_study_that_is_opened_again_has_them_once(tmp_path):
    opened(tmp_path)
    assert waiting(opened(tmp_path)) == [8, 3, 5, 7, 8]


@pytest.mark.parametrize("come", range(1, 5))
def test_a_kill_between_two_of_them_loses_none(tmp_path, come, monkeypatch):
    import optuna

    enqueue = optuna.Study.enqueue_trial
    calls = []

    def killed(self, *words, **more):
        calls.append(words)
        if len(calls) > come:
            raise KeyboardInterrupt
        enqueue(self, *words, **more)

    monkeypatch.setattr(optuna.Study, "enqueue_trial", killed)
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path)
    monkeypatch.undo()
    assert waiting(opened(tmp_path)) == [8, 3, 5, 7, 8]


def test_their_trials_say_where_they_come_from(tmp_path):
    study = begin(tmp_path, limits(5))
    study.ledger.study.enqueue_trial(dict(POINTS[0].params), user_attrs={"raysearch": {"warm": "s3"}})
    for _ in range(3):
        finish(study, 1.0)
    assert [result.warm for result in study.ledger.results] == ["", "s3", ""]
    read = Ledger.open(open_storage(tmp_path / "ledger.log", None), "made-up", study.space)
    assert [result.warm for result in read.results] == ["", "s3", ""]


def proposals(place, kind: str, points, count: int) -> list[dict]:
    """Return what a study tries, scored by its parameters."""
    space = with_start()
    ledger = opened(place, points, space)
    ledger.use_sampler(make_sampler(space, 0, ledger.begun, kind, len(points)))
    told = []
    for _ in range(count):
        trial = ledger.ask()
        params = space.suggest(trial)
        told.append((trial.user_attrs.get("raysearch", {}).get("warm", ""), params))
        ledger.study.tell(trial, abs(params["num_leaves"] - 5) + params["learning_rate"])
    return told


@pytest.mark.parametrize(("kind", "trials"), [("random", 40), ("tpe", 10)])
def test_all_that_a_cold_start_tries_comes_as_many_trials_later(tmp_path, kind, trials):
    """So it is never worse by more than the trials it spends: at random, and until TPE models any."""
    (tmp_path / "cold").mkdir()
    (tmp_path / "warm").mkdir()
    cold = proposals(tmp_path / "cold", kind, (), trials)
    warm = proposals(tmp_path / "warm", kind, POINTS, trials + len(POINTS))
    assert [params for source, params in warm if source] == [dict(point.params) for point in POINTS]
    assert [params for source, params in warm if not source] == [params for _, params in cold]
