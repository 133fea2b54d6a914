"""Where the time went, in the page and in the terminal."""

from __future__ import annotations

import dataclasses

import pytest
from report_made_up import make_material

from raysearch.cli.words import tell_profile
from raysearch.records import Profile
from raysearch.report.page import _sections
from raysearch.report.profile import parts, profile_sections

MADE = Profile(
    phases={"start": 0.5, "data": 0.1, "Ray": 6.0, "search": 12.0, "other": 1.4, "report": 0.0},
    workers={"training": 20.0, "prediction": 1.0, "idle": 3.0},
    driver={"engine": 0.6, "tracking": 1.2},
    slots=2,
    trials=50,
)


def test_the_largest_part_comes_first_with_its_share_and_what_a_trial_takes():
    command, workers, driver = parts(MADE).values()
    assert [one.name for one in command] == ["search", "Ray", "other", "start", "data"]
    assert command[0].share == pytest.approx(0.6) and command[0].a_trial is None
    assert [(one.name, one.a_trial) for one in workers] == [
        ("training", pytest.approx(400.0)),
        ("idle", pytest.approx(60.0)),
        ("prediction", pytest.approx(20.0)),
    ]
    assert sum(one.share for one in driver) == pytest.approx(1.0)
    assert list(parts(MADE))[1] == "2 workers during the search"


def test_a_run_without_trials_has_no_seconds_of_them():
    idle = dataclasses.replace(MADE, workers={"idle": 0.0}, driver={}, trials=0)
    assert [len(told) for told in parts(idle).values()] == [5, 0, 0]
    (section,) = profile_sections(idle)
    assert len(section.plots) == 1


@pytest.mark.slow
def test_the_page_has_the_tables_and_the_chart_where_time_was_measured():
    material = make_material()
    assert "profile" not in [section.key for section in _sections(material)]
    measured = dataclasses.replace(material, result=dataclasses.replace(material.result, profile=MADE))
    (section,) = [section for section in _sections(measured) if section.key == "profile"]
    assert [len(table.rows) for table in section.tables] == [5, 3, 2]
    assert "training 83.3" in section.plots[0].alt
    assert section.tables[1].rows[0].cells[-1] == "boosting rounds"


def test_the_terminal_tells_it_and_leaves_the_output_stream_to_json(capsys):
    tell_profile(MADE, err=False)
    told = capsys.readouterr()
    assert "training" in told.out and "83.3 %" in told.out and "400.0" in told.out and not told.err
    tell_profile(MADE, err=True)
    told = capsys.readouterr()
    assert "83.3 %" in told.err and not told.out
