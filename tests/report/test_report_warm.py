"""What earlier studies brought, in words and on the page."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from report_made_up import make_material, make_trial

from raysearch.records import WarmOutcome, WarmPoint, WarmStart
from raysearch.report import write_report
from raysearch.report.warm import begin_words, warm_sections, warm_words

POINT = WarmPoint({"num_leaves": 8, "learning_rate": 0.05}, "june <1>", "r1", 0.02, 0.9)
OTHER = dataclasses.replace(POINT, study="may", params={"num_leaves": 9, "learning_rate": 0.05})
START = WarmStart(7, 2, (POINT, OTHER))
TRIED = make_trial(1, 0.9, params=dict(POINT.params), warm="june <1>")


def test_what_a_search_begins_with():
    assert (
        begin_words(START) == "warm start: 2 points of june <1> and may (2 earlier studies on data like this)"
    )
    assert begin_words(WarmStart(note="why")) == "no warm start: why"
    assert "no earlier study with these levels" in begin_words(WarmStart())
    assert "none has data like this (7 earlier studies" in begin_words(WarmStart(7))
    assert "1 earlier study on data like this, none with a point" in begin_words(WarmStart(7, 1))


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (
            WarmOutcome(START, (TRIED,), TRIED, make_trial(2, 1.0)),
            "trial 1, scores 0.9, 10.0 % below the best",
        ),
        (
            WarmOutcome(START, (TRIED,), TRIED, make_trial(2, 0.8)),
            "trial 1, scores 0.9, 12.5 % above the best",
        ),
        (WarmOutcome(START, (TRIED,), TRIED, None), "the best, trial 1, scores 0.9"),
        (WarmOutcome(START, (TRIED,), None, make_trial(2, 0.8)), "none of them was trained to its end"),
        (WarmOutcome(START, (TRIED,), TRIED, None, 30), "1 of 30 trials (3.3\u00a0%) with points of june"),
        (WarmOutcome(START), "time was over before"),
        (WarmOutcome(WarmStart(3)), "none has data like this"),
    ],
)
def test_what_it_brought(outcome, told):
    assert told in warm_words(outcome)


def test_the_page_tells_where_points_came_from(tmp_path: Path):
    outcome = WarmOutcome(START, (TRIED,), TRIED, make_trial(2, 1.0))
    page = write_report(make_material(rows=200, warm=outcome), tmp_path).read_text()
    assert "What earlier studies brought" in page
    assert "june &lt;1&gt;" in page and "june <1>" not in page
    (section,) = warm_sections(outcome)
    (table,) = section.tables
    assert [row.cells[:6] for row in table.rows] == [
        ("june <1>", "0.02", "0.9", "1", "finished", "0.9"),
        ("may", "0.02", "0.9", "–", "not tried", "–"),
    ]


def test_without_a_warm_start_the_page_has_no_such_part(tmp_path: Path):
    assert "What earlier studies brought" not in write_report(make_material(rows=200), tmp_path).read_text()
