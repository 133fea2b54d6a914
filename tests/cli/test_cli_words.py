"""How words become settings, and what the terminal shows while a study runs and when it has ended."""

from __future__ import annotations

import dataclasses
import io
import itertools
import re
import time
from pathlib import Path

import pandas as pd
import pytest
import typer

from raysearch.cli import progress
from raysearch.cli.options import RESUME_FLAGS, TUNE_FLAGS
from raysearch.cli.outcome import tell_study
from raysearch.cli.parse import parse_duration, parse_levels, split_names
from raysearch.cli.progress import TerminalDisplay
from raysearch.cli.words import duration, number, print_json, tell_studies
from raysearch.config import load_config
from raysearch.evaluation import wilson_limits
from raysearch.flow.display import SearchBegins
from raysearch.flow.study import Study, StudyRow
from raysearch.records import (
    Comparison,
    DataQuality,
    DatasetFacts,
    Evaluation,
    Interval,
    Rival,
    StudyResult,
    TrialResult,
)
from raysearch.report.summary import coverage_sentence


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), (" 2 m ", 120), ("1d", 86400)],
)
def test_a_duration(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "10x", "-5m", "m", "1:30", "5m later"])
def test_no_duration(text):
    with pytest.raises(typer.BadParameter, match="10m"):
        parse_duration(text)


def test_levels_and_names():
    assert parse_levels("0.05, .5,0.95") == [0.05, 0.5, 0.95]
    assert split_names(["a,b", " c "]) == ["a", "b", "c"]
    assert split_names([]) is None
    assert split_names(['"price, EUR", b', '" c "', '5" pipe,d']) == [
        "price, EUR",
        "b",
        " c ",
        '5" pipe',
        "d",
    ]


def test_who_goes_on_is_told_that_settings_stay_as_they_were():
    told = {flag.words: flag.text for flag in RESUME_FLAGS}
    assert told["--trials"].endswith("(default: as before)")
    assert told["--scheduler"].endswith("(default: as before)")
    assert told["--engine"].endswith("(default: as before)")


def test_every_flag_sets_something_that_there_is():
    sections = load_config().to_dict()
    for flag in (*TUNE_FLAGS, *RESUME_FLAGS):
        section, key = flag.setting.split(".")
        assert key in sections[section], flag.words


def test_what_json_cannot_hold_becomes_null(capsys):
    print_json(
        {"a": float("nan"), "b": [float("inf"), 1.5], "c": {"größe": None}, "d": Path("x"), "e": "\ud800"}
    )
    assert (
        capsys.readouterr().out == '{"a": null, "b": [null, 1.5], "c": {"größe": null}, "d": "x", "e": "?"}\n'
    )


def test_figures():
    assert [number(value) for value in (0.00012346, 3.14159, 12345.6)] == ["0.0001235", "3.142", "12,346"]
    assert [duration(value) for value in (5, 65, 3723)] == ["0:05", "1:05", "1:02:03"]


def trial(index: int, score: float | None, state: str = "finished") -> TrialResult:
    return TrialResult(
        number=index,
        key=str(index),
        model="lightgbm",
        params={},
        fit_params={},
        state=state,
        score=score,
        rounds=10,
        metrics={},
        history=(),
        started_s=0.0,
        ended_s=1.0,
        reason="" if score is not None else "[red]no[/red]",
        default=index == 0,
    )


@pytest.fixture
def about():
    facts = DatasetFacts("t[1]", "t.csv", "0" * 36, 200, (), {"train": 150, "valid": 50, "test": 0})
    quality = DataQuality(200, (), 0, 0, (), (), ("column '[bold]' is constant",))
    return SearchBegins("s", facts, quality, "http://127.0.0.1:8265", 2, None, (), 10, 60.0, None)


@pytest.fixture
def shown(monkeypatch):
    """A display that writes to a text, and its clock: ten seconds pass whenever it is asked."""
    stream = io.StringIO()
    clock = itertools.count(100.0, 10.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    return TerminalDisplay(stream, lambda path: None), stream


def test_a_dashboard_that_comes_later_or_never_is_told(shown):
    display, stream = shown
    display.dashboard_stands("http://127.0.0.1:8266")
    display.dashboard_stands("")
    text = stream.getvalue()
    assert "Ray dashboard: http://127.0.0.1:8266 (if it asks for a token: `ray get-auth-token`)" in text
    assert "warning: Ray's dashboard does not start; the search goes on without it" in text


def test_lines_tell_trials_done_best_score_and_time_left(shown, about):
    display, stream = shown
    display.study_made("s", Path("studies/s/raysearch.log"))
    display.search_begins(about)
    for index, score in enumerate([2.0, 1.5]):
        display.trial_started(index, str(index), "lightgbm", {})
        display.trial_ended(trial(index, score))
    display.trial_ended(trial(2, None, "failed"))
    display.search_ends("trials")
    text = stream.getvalue()
    assert "study s (log: studies/s/raysearch.log)" in text
    assert "t[1], 200 rows (train 150, valid 50)" in text
    assert "note: column '[bold]' is constant" in text
    assert "Ray dashboard: http://127.0.0.1:8265" in text
    assert re.search(r"trials 1/10, best 2 \(the untuned default\), \d+:\d\d left", text)
    assert re.search(r"trials 2/10, best 1\.5 \(25\.0 % below the default's 2\).*left", text)
    assert "trial 2 failed: [red]no[/red]" in text
    assert text.rstrip().endswith("1 failed; all trials are done")


def test_time_left_is_that_of_the_budget_where_it_ends_first(shown, about):
    display, stream = shown
    display.search_begins(dataclasses.replace(about, trials=None, deadline_s=195.0))
    display.trial_ended(trial(0, 2.0))
    [line] = [line for line in stream.getvalue().splitlines() if line.startswith("trials ")]
    assert line.startswith("trials 1, best 2")
    minutes, seconds = line.rpartition(", ")[2].removesuffix(" left").split(":")
    assert 0 < 60 * int(minutes) + int(seconds) < 95


def test_a_trial_that_was_cut_is_a_score_but_none_of_those_asked_for(shown, about):
    display, stream = shown
    display.search_begins(about)
    display.trial_ended(trial(0, 2.0))
    display.trial_ended(trial(1, 1.5, "cut"))
    assert re.search(r"trials 1/10, best 1\.5 \(25\.0 % below", stream.getvalue())


def test_a_continued_study_begins_where_it_was(shown, about):
    display, stream = shown
    display.search_begins(dataclasses.replace(about, ended=(trial(0, 2.0), trial(1, 1.0, "stopped"))))
    display.search_ends("interrupt")
    assert "trials 2/10, best 2" in stream.getvalue()
    assert "keeping the best so far" in stream.getvalue()


def test_a_terminal_gets_one_moving_line(about):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    display = TerminalDisplay(stream, lambda path: None)
    display.search_begins(about)
    display.trial_ended(trial(0, 2.0))
    time.sleep(0.4)
    display.close()
    assert "trials 1/10, best 2" in stream.getvalue()


def test_results_with_odd_names_are_printed_as_they_are(place, invoke):
    frame = pd.read_csv("t.csv").rename(columns={"store": "[b]"})
    names = ["[red]x", "back\\", "[/]", "日本"]
    frame["[b]"] = [names[i % 4] for i in range(len(frame))]
    frame.to_csv("t.csv", index=False)
    result = invoke("tune", *place.data, *place.quick, "--no-tracking", "--group", "[b]", "--drop", "day")
    assert result.exit_code == 0, result.stderr
    assert all(name in result.stdout for name in names)
    for word in (
        "test pinball loss",
        "coverage of the intervals",
        "best parameters",
        "report: ",
        "continue: python -m",
    ):
        assert word in result.stdout
    assert "nan" not in result.stdout


@pytest.mark.parametrize(
    ("best", "default", "test", "expected"),
    [
        (
            0.0,
            2.0,
            (0.0, 2.0, 100.0),
            ["loss: 0, 100.0 % below the untuned default's 2", "gain 99.0 to 101.0 %"],
        ),
        (1.0, 2.0, (3.0, 2.0, -50.0), ["loss: 3, 50.0 % above the untuned default's 2"]),
        (0.0, 0.0, (0.0, 0.0, float("nan")), ["validation pinball loss: 0\n", "test pinball loss: 0\n"]),
    ],
    ids=["perfect", "worse on the test", "nothing to gain"],
)
def test_the_gain_is_told_as_it_is(capsys, best, default, test, expected):
    tuned, other, gain = test
    result = dataclasses.replace(
        outcome(Evaluation("test", 10, {"pinball_loss_avg": tuned}, (), {})),
        best=trial(1, best),
        default=trial(0, default),
        comparison=Comparison("test", tuned, other, gain, gain - 1, gain + 1),
    )
    tell_study(Study(result, (), None))
    told = capsys.readouterr().out
    assert all(words in told for words in expected)
    assert "report:" not in told
    assert "nan" not in told


def outcome(evaluation: Evaluation) -> StudyResult:
    return StudyResult(
        study="s",
        parent_run_id=None,
        tracking_uri=None,
        trials={"finished": 2, "stopped": 0, "failed": 0},
        best=trial(1, 1.0),
        default=trial(0, 2.0),
        evaluation=evaluation,
        comparison=Comparison("test", 1.0, 2.0, 50.0, None, None),
        model_path="studies/s/model",
        report_path="",
        stopped_by="trials",
        wall_s=1.0,
    )


@pytest.mark.parametrize(
    ("limits", "blocks", "expected", "absent"),
    [
        (
            (0.513, 0.79),
            20,
            ["51.3–79.0", "(95 % confidence 51.3 to 79.0, allowing for rows"],
            "too few ind",
        ),
        (
            (0.642, 0.681),
            None,
            ["too narrow: it held 66.1 % of these rows (95 % confidence 64.2 to 68.1)"],
            "allow",
        ),
        ((0.3, 0.89), 9, ["95 % limits", "30.0–89.0"], "too narrow"),
        ((None, None), 3, ["these rows are too few independent blocks"], "too narrow"),
    ],
    ids=["blocks", "independent", "within its limits", "no limits"],
)
def test_an_interval_is_called_too_narrow_only_where_chance_cannot_explain_it(
    capsys, limits, blocks, expected, absent
):
    found = Interval(0.9, 0.661, *limits, 1.0, 2200)
    evaluation = Evaluation("test", 2200, {"pinball_loss_avg": 1.0}, (found,), {}, blocks=blocks)
    comparison = Comparison("test", 1.0, 2.0, 50.0, 40.0, 60.0)
    tell_study(Study(dataclasses.replace(outcome(evaluation), comparison=comparison), (), None))
    told = capsys.readouterr().out
    assert all(words in told for words in expected)
    assert absent not in told
    assert "66.1 %" in told and "None" not in told


def test_a_gain_without_an_interval_says_why(capsys):
    tell_study(Study(outcome(Evaluation("test", 10, {"pinball_loss_avg": 1.0}, (), {})), (), None))
    told = capsys.readouterr().out
    assert "50.0 % below the untuned default's 2 (too few independent blocks of rows for an interval)" in told
    assert "None" not in told and "95 %" not in told


@pytest.mark.parametrize(
    ("finished", "stopped_by", "expected"),
    [
        (3, "trials", "No setting beat the library's defaults: the model is the defaults."),
        (1, "time", "Only the untuned default had time to finish; nothing was tuned: give more time."),
        (1, "trials", "Only the untuned default finished; nothing was tuned."),
    ],
)
def test_when_the_default_is_best_then_no_gain_of_nothing_is_told(capsys, finished, stopped_by, expected):
    result = dataclasses.replace(
        outcome(Evaluation("test", 10, {"pinball_loss_avg": 1.0}, (), {})),
        best=trial(0, 2.0),
        trials={"finished": finished, "stopped": 0, "failed": 0},
        stopped_by=stopped_by,
        comparison=Comparison("test", 1.0, 1.0, 0.0, 0.0, 0.0),
    )
    tell_study(Study(result, (), None))
    told = capsys.readouterr().out
    assert f"validation pinball loss: 2\ntest pinball loss: 1\n{expected}\n" in told
    assert "0.0 %" not in told and "below" not in told


def test_page_and_terminal_call_the_same_interval_too_narrow(capsys):
    for hits, rows, words in (
        (515, 600, "the 90 % interval is too narrow: it held 85.8 %"),
        (268_500, 300_000, "the 90 % interval is a little too narrow: it held 89.5 %"),
        (590, 600, "the 90 % interval is wider than it needs to be: it held 98.3 %"),
    ):
        found = Interval(0.9, hits / rows, *wilson_limits(hits, rows), 1.0, rows)
        evaluation = Evaluation("test", rows, {"pinball_loss_avg": 1.0}, (found,), {})
        tell_study(Study(outcome(evaluation), (), None))
        assert words in capsys.readouterr().out
        page = coverage_sentence(found, "test")
        assert words.partition(" is ")[2].partition(":")[0] in page.text and page.tone == "warn"


def test_misses_on_one_side_are_told(capsys):
    found = Interval(0.9, 0.047, *wilson_limits(47, 1000), 1.0, 1000)
    evaluation = Evaluation("test", 1000, {"pinball_loss_avg": 1.0}, (found,), {0.05: 0.01, 0.95: 0.057})
    tell_study(Study(outcome(evaluation), (), None))
    assert "Nearly all misses lie above the 90 % interval" in capsys.readouterr().out


def test_of_many_levels_the_widest_intervals_fit_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    found = tuple(
        Interval(n / 10, n / 10, n / 10 - 0.02, n / 10 + 0.02, 1.0, 90_000) for n in range(9, 0, -1)
    )
    groups = {"minimum volatility": found}
    tell_study(
        Study(outcome(Evaluation("test", 90_000, {"pinball_loss_avg": 1.0}, found, {}, groups)), (), None)
    )
    told = capsys.readouterr().out
    assert "…" not in told and "minimum volatility" in told
    assert all(f"{share} %" in told for share in (90, 80, 70, 60)) and "50 %" not in told
    assert "and 5 narrower intervals, in the report and its files" in told
    assert max(len(line) for line in told.splitlines() if "│" in line) <= 80


def test_huge_figures_are_told_in_powers_of_ten(capsys):
    result = dataclasses.replace(
        outcome(Evaluation("test", 10, {"pinball_loss_avg": 1e300}, (), {})),
        best=dataclasses.replace(trial(1, 2481109738037061970034688.0), params={"x": 10**12, "k": 31}),
    )
    tell_study(Study(result, (), None))
    told = capsys.readouterr().out
    assert "validation pinball loss: 2.481e24," in told and "x=1e12, k=31" in told
    assert not re.search(r"\d{9}", told)


def test_the_list_of_studies_fits_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    now = time.time()
    rows = [
        StudyRow("keen-otter-41", "unfinished", "lightgbm", "nav_ahead", 12, 400, 2.5e24, now, "p"),
        StudyRow("x" * 40, "done", "xgboost", "[b]", 3, None, None, now - 3 * 366 * 86_400, "p"),
    ]
    tell_studies(rows, "studies")
    told = capsys.readouterr().out
    assert "…" not in told and max(map(len, told.splitlines())) <= 80
    words = ("keen-otter-41", "unfinished", "nav_ahead", "12/400", "2.5e24", "[b]")
    assert all(word in told for word in words)
    assert time.strftime("%m-%d %H:%M", time.localtime(now)) in told
    assert time.strftime("%Y-%m-%d", time.localtime(now - 3 * 366 * 86_400)) in told


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            Comparison("test", 1.0, 4.0, 75.0, 70.0, 80.0, 1e-9),
            "75.0 % below a constant forecast's 4 (95 % interval of the gain 70.0 to 80.0 %; p < 0.001)",
        ),
        (
            Comparison("test", 1.0, 0.8, -25.0, -30.0, 1.0, 0.0612),
            "25.0 % above a constant forecast's 0.8 (95 %",
        ),
        (
            Comparison("test", 1.0, 4.0, 75.0, None, None),
            "4 (too few independent blocks of rows for an interval)",
        ),
    ],
)
def test_the_constant_forecast_is_told_in_one_line(capsys, found, expected):
    evaluation = Evaluation("test", 10, {"pinball_loss_avg": 1.0}, (), {})
    rivals = (Rival("constant", evaluation, {"pinball_loss_avg": found}),)
    tell_study(Study(dataclasses.replace(outcome(evaluation), rivals=rivals), (), None))
    told = capsys.readouterr().out
    assert expected in told and "None" not in told
    assert ("p = 0.061" in told) == (found.p_value == 0.0612)
