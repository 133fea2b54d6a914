"""Points of earlier studies in the ledger: behind the defaults, once, and costing no other trial."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from study_made_up import begin, finish, limits, propose, rung, small_space

from raysearch.records import WarmPoint
from raysearch.space import SearchSpace, parse_space
from raysearch.study.conductor import Conductor
from raysearch.study.kept import KeptModels
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


def opened(place, points=POINTS, space=None, one_in=0) -> Ledger:
    return Ledger.open(
        open_storage(place / "ledger.log", None), "s", space or with_start(), 1, points, one_in
    )


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


def test_where_time_ends_a_search_one_in_ten_trials_tries_one_the_first_at_once(tmp_path):
    def searching():
        ledger = opened(tmp_path, one_in=10)
        conductor = Conductor(ledger, limits(50), KeptModels(tmp_path / "kept"))
        return SimpleNamespace(space=with_start(), ledger=ledger, conductor=conductor)

    study = searching()
    assert waiting(study.ledger) == [8, 3, 8]
    for number in range(35):
        if number == 14:  # a kill
            study = searching()
        finish(study, 1.0)
    warm = [bool(result.warm) for result in study.ledger.results]
    assert warm.index(True) == 1
    assert all(sum(warm[:count]) <= 1 + count // 10 for count in range(1, 36))
    assert sum(warm) == len(POINTS)


def test_one_that_is_tried_again_is_the_same_point_still(tmp_path):
    """It stops no trial of the search's own, and the point behind it is not passed over."""

    def searching():
        ledger = opened(tmp_path, one_in=10)
        ledger.try_cut_again()
        conductor = Conductor(ledger, limits(50), KeptModels(tmp_path / "kept"))
        return SimpleNamespace(space=with_start(), ledger=ledger, conductor=conductor)

    study = searching()
    finish(study, 1.0)
    spec = propose(study)
    study.conductor.finished(spec.key, rung(5, 2.0), cut=True)
    study = searching()
    for _ in range(24):
        finish(study, 1.0)
    warm = [(result.warm, result.state) for result in study.ledger.results if result.warm]
    assert warm == [("s3", "cut"), ("s3", "finished"), ("s5", "finished"), ("s7", "finished")]


def warm_study(place, asked, sources):
    """Return a study of trials whose points come from earlier studies where ``sources`` says so."""
    study = begin(place, asked)
    for source in sources:
        params = {"num_leaves": 4, "learning_rate": 0.1, "num_boost_round": 20}
        study.ledger.study.enqueue_trial(params, user_attrs={"raysearch": {"warm": source} if source else {}})
    finish(study, 9.0)  # the default
    return study


def test_they_stop_no_trial_that_a_cold_start_would_let_go_on(tmp_path):
    for name, sources, goes_on in (("warm", ["s3", ""], True), ("cold", ["", ""], False)):
        (tmp_path / name).mkdir()
        study = warm_study(tmp_path / name, limits(10, scheduler="asha"), sources)
        good, second = propose(study), propose(study)
        assert study.conductor.reached(good.key, rung(good.rungs[0], 0.1))
        assert study.conductor.reached(second.key, rung(second.rungs[0], 0.2)) is goes_on


def test_they_themselves_are_stopped_by_others(tmp_path):
    study = warm_study(tmp_path, limits(10, scheduler="asha"), ["", "s3"])
    good, warm = propose(study), propose(study)
    assert study.conductor.reached(good.key, rung(good.rungs[0], 0.1))
    assert not study.conductor.reached(warm.key, rung(warm.rungs[0], 0.2))


def test_they_wear_out_nobodys_patience(tmp_path):
    study = warm_study(tmp_path, limits(patience=3), ["s3"])
    finish(study, 0.5)
    for score in (8.0, 7.0, 6.0, 5.0):  # worse than the earlier study's point, but gains of a cold start
        finish(study, score)
        assert study.conductor.stopped_by == ""
    for _ in range(3):
        finish(study, 6.0)
    assert study.conductor.stopped_by == "patience"
    assert study.conductor.best.warm == "s3"


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
