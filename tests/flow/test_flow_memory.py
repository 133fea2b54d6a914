"""Where memory is short a study says what it does about it, or is refused and leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysearch.errors import DataError
from raysearch.flow import resume
from raysearch.flow.display import Silent
from raysearch.memory import WORKER, worker_bytes


class Listening(Silent):
    def __init__(self):
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)


def short_of(monkeypatch, bytes_):
    for module in ("raysearch.memory", "raysearch.flow.searching"):
        monkeypatch.setattr(f"{module}.free_memory", lambda: bytes_)


@pytest.mark.parametrize("model", ["lightgbm", "xgboost"])
@pytest.mark.slow
def test_boosters_in_turns_find_the_same_model(study, table, monkeypatch, no_report, model_files, model):
    words = {"split__cv": 3, "search__model": model, "search__scheduler": "none"}
    # In turns a trial has all its rounds, not those that served best.
    monkeypatch.setattr("raysearch.models.FoldFit.additive", False)
    needs = []

    def noted(recipe, space):
        needs.append(worker_bytes(recipe, space))
        return needs[-1]

    monkeypatch.setattr("raysearch.memory.worker_bytes", noted)
    roomy = study(table, study__name="roomy", **words)
    display = Listening()
    short_of(monkeypatch, (min(needs) + max(needs)) / 2 - WORKER)
    tight = study(table, study__name="tight", display=display, **words)
    assert [text for text in display.warnings if "trained one after the other" in text]
    scores = [[trial.score for trial in one.trials] for one in (roomy, tight)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-9)
    assert model_files(roomy) == model_files(tight)


def test_a_table_that_fits_nowhere_is_refused_and_leaves_nothing(study, table, monkeypatch):
    short_of(monkeypatch, 1e3)
    with pytest.raises(DataError, match=r"a trial on \d+ rows of 7 features needs 0.2 GB of memory"):
        study(table)
    assert [path for path in Path("studies").rglob("*") if path.is_file()] == []
    short_of(monkeypatch, 1e12)
    assert study(table).trials


def test_a_table_that_fits_has_nothing_told(study, table, no_report):
    display = Listening()
    study(table, display=display)
    assert not [text for text in display.warnings if "memory" in text]


def test_a_model_is_picked_anew_however_little_memory_is_free(study, table, monkeypatch, no_report):
    study(table, search__objective="pinball,coverage_gap", search__trials=3)
    short_of(monkeypatch, 1e6)
    assert resume("s", overrides={"search": {"pick": "pinball"}}).trials


def test_a_small_table_needs_no_more_than_it_takes(study, table, monkeypatch, no_report):
    short_of(monkeypatch, 3e6)  # beside what this process has
    assert study(table).trials
