"""The page as a whole: self-contained, safe, bounded, and whole in every odd case."""

from __future__ import annotations

import csv
import dataclasses
import re
import subprocess
import sys
import threading
import time
import warnings
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from report_made_up import LEVELS, make_material, make_trial, with_findings

from raysearch.evaluation import evaluate
from raysearch.records import Comparison
from raysearch.report import ReportMaterial, write_report
from raysearch.report.plots_rows import intervals_against_truth
from raysearch.report.tables_rivals import slice_table

PLOTS = {
    "coverage_by_group", "feature_importance", "history", "interval_width", "intervals", "reliability",
    "parallel_coordinates", "parameter_importance", "slices",
}  # fmt: skip
SECTIONS = [
    "intervals",
    "reliability",
    "groups",
    "search",
    "importance",
    "leaderboard",
    "data",
    "use",
    "record",
]
EVIL = [
    "<script>alert(1)</script>", "Umsatz $x^2$ & $\\frac{y}$", "東京の店舗", "मुंबई", "متجر 5", "🙂 shop",
    "a\"b'c", "x" * 80, "tab\tnew\nline\ud800", "",
]  # fmt: skip


class Reader(HTMLParser):
    """Gathers what a browser would load, the tags, the identifiers and the visible text."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.html = page.read_text(encoding="utf-8")
        self.feed(self.html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [
            value for key, value in attrs if key in ("src", "href", "xlink:href", "srcset", "data")
        ]
        self.ids += [value for key, value in attrs if key == "id"]

    def handle_data(self, data):
        self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.replace("\u00a0", " ").split())


def written(material: ReportMaterial, directory: Path) -> Reader:
    """Write with every warning an error, and check what must hold for all pages."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = write_report(material, directory)
    reader = Reader(page)
    assert page == directory / "report.html"
    assert all(load.startswith(("#", "data:image/png;base64,")) for load in reader.loads)
    assert not {"script", "link", "iframe", "object", "img"} & set(reader.tags)
    assert len(reader.ids) == len(set(reader.ids))
    assert "@import" not in reader.html and not re.search(r"url\((?!#)", reader.html)
    for svg in re.findall(r"<svg.*?</svg>", reader.html, re.DOTALL):
        ElementTree.fromstring(svg)
    assert not [path for path in directory.rglob("*") if path.name.startswith(".")]
    return reader


def names(directory: Path) -> set[str]:
    return {path.stem for path in (directory / "plots").iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Reader, Path]:
    directory = tmp_path_factory.mktemp("whole")
    return written(make_material(), directory), directory


def test_when_imported_then_matplotlib_is_not() -> None:
    code = "import sys, raysearch.report; assert not {'matplotlib', 'ray', 'mlflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_when_written_then_all_sections_and_plots_are_there(whole) -> None:
    reader, directory = whole
    assert [key for key in reader.ids if key in SECTIONS] == SECTIONS
    assert "scales" in reader.ids
    assert names(directory) == PLOTS
    assert reader.tags.count("svg") == reader.tags.count("figcaption") == len(PLOTS)
    for path in (directory / "plots").iterdir():
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG") and 5_000 < len(content) < 1_500_000, path.name
        width, height = (int.from_bytes(content[i : i + 4]) for i in (16, 20))
        assert width > 700 and height > 200


def test_when_written_then_the_summary_tells_gain_and_coverage(whole) -> None:
    reader, _ = whole
    assert (
        "12.3 % lower than that of the untuned default (95 % interval of the gain: 8.1 % to 16.0 %)"
        in reader.words
    )
    assert (
        "The 90 % interval held 89.5 % of the test rows (95 % confidence 88.1 to 90.8), as it should."
        in reader.words
    )
    assert "This study forecasts nav" in reader.words
    assert "raysearch.load_forecaster('studies/keen-otter-41/model')" in reader.words
    assert "python -m raysearch resume keen-otter-41" in reader.words
    assert "Evaluated with the model fitted on training rows only." in reader.words
    assert "nav_log" in reader.words


def test_when_settings_hold_a_password_then_it_is_hidden(whole) -> None:
    reader, _ = whole
    assert "hunter2" not in reader.html
    assert "postgresql+psycopg://me:***@db/x" in reader.words


def test_when_a_figure_is_inline_then_it_follows_the_colours_of_the_page(whole) -> None:
    reader, _ = whole
    figures = "".join(re.findall(r"<svg.*?</svg>", reader.html, re.DOTALL))
    assert "var(--ink)" in figures and "#1c2530" not in figures
    assert "prefers-color-scheme: dark" in reader.html and "@media print" in reader.html


def test_when_written_again_then_old_plots_are_gone_and_the_page_is_the_same(whole, tmp_path) -> None:
    reader, _ = whole
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "of_before.png").write_bytes(b"old")
    assert written(make_material(), tmp_path).html == reader.html
    assert names(tmp_path) == PLOTS


def test_when_names_are_hostile_then_they_are_shown_as_text(tmp_path) -> None:
    material = make_material(600, 20, 10)
    groups = np.array([EVIL[row % 10] for row in range(600)], dtype=object)
    evaluation = evaluate("test", material.y, material.quantiles, LEVELS, groups.astype(str))
    material = dataclasses.replace(
        material,
        result=dataclasses.replace(material.result, study="<b>é</b> $1$", evaluation=evaluation),
        groups=groups,
        feature_importance=dict.fromkeys(EVIL, 0.1),
        parameter_importance={EVIL[0]: 1.0},
        config={"data": {"target": "prix <i>€</i> $"}, EVIL[0]: {EVIL[1]: EVIL}},
        modelled_name=EVIL[0],
        notes=(EVIL[0],),
    )
    reader = written(material, tmp_path)
    assert "<script>alert(1)</script>" in reader.text
    assert "東京の店舗" in "".join(re.findall(r"<svg.*?</svg>", reader.html, re.DOTALL))
    assert "<b>é</b> $1$" in reader.text and "prix <i>€</i> $" in reader.text
    assert "Umsatz $x^2$ & $" in reader.text


def test_when_nothing_was_held_out_then_the_page_says_so(tmp_path) -> None:
    material = make_material(400, 8, 0, times=None)
    evaluation = evaluate("valid", material.y, material.quantiles, LEVELS)
    material = dataclasses.replace(
        material,
        result=dataclasses.replace(material.result, evaluation=evaluation, comparison=None),
        modelled=None,
    )
    reader = written(material, tmp_path)
    assert "No rows were held out for a test." in reader.words
    assert "of the validation rows" in reader.words and "test rows" not in reader.words
    assert "It was not compared with the untuned default." in reader.words
    assert "rows, sorted by their median forecast" in reader.words
    assert "scales" not in reader.ids and "coverage_by_group" not in names(tmp_path)


def test_when_coverage_or_gain_misses_then_it_is_flagged(tmp_path) -> None:
    material = make_material(2000, 8)
    narrow = material.quantiles[:, 2:3] + 0.6 * (material.quantiles - material.quantiles[:, 2:3])
    evaluation = evaluate("test", material.y, narrow, LEVELS)
    worse = dataclasses.replace(
        material.result.comparison, gain_percent=-1.0, low_percent=-3.0, high_percent=1.0
    )
    result = dataclasses.replace(material.result, evaluation=evaluation, comparison=worse)
    reader = written(dataclasses.replace(material, result=result, quantiles=narrow), tmp_path)
    assert (
        "it is too narrow" in reader.words
        and "1.0 % higher" in reader.words
        and "may be chance" in reader.words
    )
    assert reader.html.count('<span class="warn">') == 2


@pytest.mark.slow
def test_when_blocks_are_few_then_neither_gain_nor_coverage_is_called_good(tmp_path) -> None:
    material = make_material(1000, 8, 4, config={"data": {"target": "nav"}, "split": {"by": "auto"}})
    blocks = np.arange(1000) // 300
    evaluation = evaluate("test", material.y, material.quantiles, LEVELS, material.groups, blocks)
    comparison = dataclasses.replace(material.result.comparison, low_percent=None, high_percent=None)
    result = dataclasses.replace(material.result, evaluation=evaluation, comparison=comparison)
    reader = written(dataclasses.replace(material, result=result), tmp_path)
    gain = "12.3 % lower than that of the untuned default, but this may be chance (too few independent blocks"
    assert gain in reader.words
    assert "so whether it is too narrow or too wide cannot be told" in reader.words
    assert '<span class="good">' not in reader.html and '<div class="figure good">' not in reader.html
    assert '<tr class="good">' not in reader.html and '<tr class="warn">' not in reader.html
    assert "stretches of time (4 blocks of rows)" in reader.words and "not known" in reader.words
    assert "None" not in reader.words


@pytest.mark.slow
def test_when_rows_are_blocks_of_groups_then_the_page_says_what_cannot_be_told(tmp_path) -> None:
    config = {"data": {"target": "nav", "group": "store"}, "split": {"by": "group"}}
    material = make_material(1000, 8, 10, config=config)
    raw = material.quantiles.copy()
    raw[:250] = raw[:250, ::-1]
    evaluation = evaluate("test", material.y, raw, LEVELS, material.groups, material.groups)
    result = dataclasses.replace(material.result, evaluation=evaluation)
    reader = written(dataclasses.replace(material, result=result), tmp_path)
    assert "only its groups (10 blocks of rows) as independent" in reader.words
    assert "How far a single group's coverage is chance can then not be told." in reader.words
    assert "allowing for rows that resemble each other" in reader.words
    assert "On 25.0 % of the rows some levels came out crossed; all were put in order." in reader.words


def test_when_only_one_trial_has_a_score_then_the_page_is_whole(tmp_path) -> None:
    trials = (make_trial(0, 1.3), *(make_trial(n, None) for n in range(1, 6)))
    material = make_material(300, 30, 3)
    material = dataclasses.replace(
        material,
        result=dataclasses.replace(
            material.result, best=trials[0], comparison=None, trials={"finished": 1, "failed": 5}
        ),
        trials=trials,
        parameter_importance={},
        feature_importance={},
    )
    reader = written(material, tmp_path)
    assert "bad leaf count" in reader.words and "5 failed" in reader.words
    assert "Only the untuned default finished; nothing was tuned." in reader.words
    assert "Too few different settings" in reader.words
    assert not {"slices", "parallel_coordinates", "parameter_importance"} & names(tmp_path)


def test_when_there_is_one_level_then_no_interval_is_claimed(tmp_path) -> None:
    material = make_material(500, 6, 4)
    one = material.quantiles[:, 2:3]
    evaluation = evaluate("test", material.y, one, (0.5,), material.groups)
    result = dataclasses.replace(material.result, evaluation=evaluation)
    material = dataclasses.replace(material, result=result, levels=(0.5,), quantiles=one, modelled=None)
    reader = written(material, tmp_path)
    assert "the quantile of nav at level 0.5" in reader.words and "No two levels bound" in reader.words
    assert {"reliability", "intervals"} <= names(tmp_path) and "interval_width" not in names(tmp_path)


def test_when_both_libraries_were_searched_then_unused_parameters_are_told(tmp_path) -> None:
    material = make_material(
        300, 24, 2, parameter_importance={"model": float("nan"), "lightgbm.num_leaves": 1.0}
    )
    trials = tuple(
        dataclasses.replace(
            t, model="xgboost", params={"model": "xgboost", "xgboost.max_depth": 3 + t.number}
        )
        if t.number % 2
        else dataclasses.replace(
            t, params={"model": "lightgbm", "lightgbm.num_leaves": t.params["num_leaves"]}
        )
        for t in material.trials
    )
    reader = written(dataclasses.replace(material, trials=trials), tmp_path)
    assert "not used" in reader.words and "does not use that parameter" in reader.words
    assert "nan" not in reader.words.lower().split()


@pytest.mark.slow
def test_when_groups_are_very_many_then_thirty_are_shown_and_all_are_in_a_file(tmp_path) -> None:
    reader = written(make_material(60_000, 6, 2_000), tmp_path)
    assert "Shown are the 15 largest of 2,000 groups and the 15 that miss most" in reader.words
    assert "1,970 groups are not shown. All are in coverage_by_group.csv" in reader.words
    assert reader.html.count("G0") < 200
    with (tmp_path / "coverage_by_group.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2_000 and len({row["group"] for row in rows}) == 2_000
    assert {row["interval"] for row in rows} == {"0.9", "0.5"} and {row["rows"] for row in rows} == {"30"}
    assert all(float(row["low"]) <= float(row["coverage"]) <= float(row["high"]) for row in rows)


@pytest.mark.slow
def test_when_every_row_is_a_group_then_none_is_judged_and_the_page_stays_small(tmp_path) -> None:
    reader = written(make_material(5_000, 6, 5_000), tmp_path)
    assert "Shown are the 30 largest of 5,000 groups." in reader.words
    assert "Grey groups hold fewer than 20 rows" in reader.words
    assert "miss the dashed line" not in reader.words and "chance alone" not in reader.words
    assert (tmp_path / "report.html").stat().st_size < 1_000_000
    written(make_material(300, 6, 0), tmp_path)
    assert not (tmp_path / "coverage_by_group.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("counts", "stopped_by", "told"),
    [
        ({"finished": 30}, "trials", "No setting beat the library's defaults: the model is the defaults."),
        ({"finished": 1, "stopped": 3}, "time", "No setting beat the library's defaults"),
        (
            {"finished": 1},
            "time",
            "Only the untuned default had time to finish; nothing was tuned: give more",
        ),
    ],
)
def test_when_the_default_is_best_then_the_page_says_so_in_plain_words(
    counts, stopped_by, told, tmp_path
) -> None:
    material = make_material(300, 8, 2)
    default = material.trials[0]
    same = Comparison("test", 1.2, 1.2, 0.0, 0.0, 0.0)
    result = dataclasses.replace(
        material.result, best=default, default=default, comparison=same, stopped_by=stopped_by, trials=counts
    )
    reader = written(dataclasses.replace(material, result=result), tmp_path)
    assert told in reader.words
    assert "0.0 % lower" not in reader.words and "may be chance" not in reader.words
    assert '<span class="warn">' not in reader.html and '<div class="figure warn">' not in reader.html


@pytest.mark.slow
def test_when_misses_are_nearly_all_above_then_the_page_says_what_may_help(tmp_path) -> None:
    material = dataclasses.replace(make_material(1000, 8, 4), modelled=None)
    y = material.y + 20
    evaluation = evaluate("test", y, material.quantiles, LEVELS, material.groups)
    result = dataclasses.replace(material.result, evaluation=evaluation)
    material = dataclasses.replace(material, y=y, result=result)
    reader = written(material, tmp_path)
    assert "Nearly all misses lie above the 90 % interval: these rows lie higher than those" in reader.words
    assert "--transform log with --anchor" in reader.words
    reader = written(dataclasses.replace(material, modelled=evaluation), tmp_path)
    assert "Nearly all misses" in reader.words and "--transform" not in reader.words


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1e-9, 1e12])
def test_when_numbers_are_huge_or_tiny_then_the_page_is_whole(scale, tmp_path) -> None:
    material = make_material(300, 8, 2)
    y, q = material.y * scale, material.quantiles * scale
    evaluation = evaluate("test", y, q, LEVELS, material.groups)
    trials = tuple(
        dataclasses.replace(t, score=t.score * scale if t.score is not None else None)
        for t in material.trials
    )
    result = dataclasses.replace(material.result, evaluation=evaluation)
    written(dataclasses.replace(material, y=y, quantiles=q, trials=trials, result=result), tmp_path)
    assert names(tmp_path) == PLOTS


@pytest.mark.parametrize("kind", ["float", "NaT", "text", "one", "far"])
def test_when_times_are_odd_then_the_rows_are_still_drawn(kind) -> None:
    material = make_material(200, 6, 2)
    times = {
        "float": np.arange(200) / 7,
        "NaT": np.where(np.arange(200) % 3 == 0, np.datetime64("NaT"), material.times),
        "text": np.array([f"week {i}" for i in range(200)]),
        "one": np.full(200, np.datetime64("2020-01-01")),
        "far": np.full(200, np.datetime64("19999-01-01")),
    }[kind]
    q = material.quantiles.copy()
    q[3] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot = intervals_against_truth(dataclasses.replace(material, times=times, quantiles=q))
    assert plot is not None
    assert ("sorted by the median forecast" in plot.alt) == (kind in ("text", "far"))


@pytest.mark.slow
def test_when_the_study_is_large_then_page_and_time_are_bounded(tmp_path) -> None:
    material = make_material(300_000, 500, 16)
    started = time.perf_counter()
    written(material, tmp_path)
    assert time.perf_counter() - started < 20  # about 3 s alone on a core; room for a busy machine
    assert (tmp_path / "report.html").stat().st_size < 3_000_000


@pytest.mark.slow
def test_when_threads_write_at_once_then_all_pages_are_the_same(tmp_path) -> None:
    material, failed = make_material(200, 12, 2), []

    def write(name: str) -> None:
        try:
            write_report(material, tmp_path / name)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len({(tmp_path / name / "report.html").read_bytes() for name in "ab"}) == 1


def test_when_rows_do_not_match_then_the_material_is_refused() -> None:
    material = make_material(50, 4, 2)
    with pytest.raises(ValueError, match=r"quantiles: got shape \(50, 2\)"):
        dataclasses.replace(material, quantiles=material.quantiles[:, :2])
    with pytest.raises(ValueError, match="times: got 3 rows, must be 50"):
        dataclasses.replace(material, times=material.times[:3])


@pytest.mark.slow
def test_when_there_are_rivals_and_slices_then_page_and_files_tell_them(tmp_path) -> None:
    reader = written(with_findings(make_material(2000, 8)), tmp_path)
    assert [key for key in reader.ids if key in ("rivals", "groups", "time", "tails")] == [
        "rivals", "groups", "time", "tails",
    ]  # fmt: skip
    assert "Against a constant forecast" in reader.words and "knows no features, loses" in reader.words
    assert "widest tenth of intervals" in reader.words and "truth above constant q0.95" in reader.words
    assert "2020-Q1" in reader.words and "over_time" in names(tmp_path)
    assert reader.words.count("By group") == 1
    for name, first in (("by_group", "G0000"), ("by_time", "2020-Q1"), ("tails", "narrowest tenth")):
        lines = (tmp_path / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        assert first in lines[1] and "gain_on_constant_percent" in lines[0] and "coverage_90_low" in lines[0]
    written(make_material(2000, 8), tmp_path)
    assert not (tmp_path / "tails.csv").exists()  # of an earlier report


def test_when_rows_were_chosen_by_their_outcome_then_their_coverage_is_not_judged(tmp_path) -> None:
    material = with_findings(make_material(2000, 8))
    table = slice_table("x", "rows", material.result.sliced("outcome"))
    assert [row.tone for row in table.rows] == ["", ""]
    assert float(table.rows[0].cells[-3].split("\u00a0")[0]) < 90
    assert {row.tone for row in slice_table("x", "rows", material.result.sliced("time")).rows} == {"good"}


@pytest.mark.slow
def test_when_names_of_groups_are_hostile_then_slices_show_them_as_text(tmp_path) -> None:
    material = make_material(600, 8, 10)
    groups = np.array([EVIL[row % 10] for row in range(600)]).astype(str)
    reader = written(with_findings(dataclasses.replace(material, groups=groups)), tmp_path)
    assert "<script>alert(1)</script>" in reader.text


def test_when_there_is_one_level_then_slices_have_no_interval(tmp_path) -> None:
    material = make_material(600, 8)
    one = dataclasses.replace(material, levels=(0.5,), quantiles=material.quantiles[:, 2:3])
    reader = written(with_findings(one), tmp_path)
    assert "lowest tenth of medians" in reader.words and "over_time" in names(tmp_path)
