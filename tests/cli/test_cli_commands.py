"""The commands around a study: check, predict, resume, studies, version and help."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from raysearch import __version__

COMMANDS = ("tune", "resume", "check", "predict", "studies", "ui")


def test_version_and_help(invoke):
    assert invoke("--version").stdout.strip() == f"raysearch {__version__}"
    overview = invoke("--help")
    assert overview.exit_code == 0
    for command in COMMANDS:
        assert command in overview.stdout
        told = invoke(command, "--help")
        assert told.exit_code == 0
        assert "--json" in told.stdout
        assert "[bold]" not in told.stdout


@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["check", "--data", "missing.csv"], 1)])
def test_the_process_ends_without_a_look_for_garbage_and_with_its_exit_code(place, words, code):
    script = (
        "import atexit, gc; from raysearch.__main__ import main\n"
        "atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 0))\n"
        "main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=place.root, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == code, ended.stderr
    assert ended.stdout.splitlines()[-1] == "False True"


def test_check_tells_what_would_run_and_makes_nothing(place, invoke, told):
    words = [*place.data, "--group", "store", "--time", "day", "--space", "quick.yaml", "--trials", "7"]
    result = invoke("check", *words, "--json")
    assert result.exit_code == 0, result.stderr
    plan = told(result.stdout)
    assert plan["rows"] == 200
    assert sum(plan["split"].values()) == 200
    assert plan["trials"] == 7
    assert plan["space"] == {"lightgbm": ["num_leaves", "learning_rate", "num_boost_round"]}
    assert plan["likely_seconds"] > 0
    assert plan["likely_memory_gb"] > 0
    assert plan["config"]["data"]["target"] == "demand"
    shipped = invoke("check", *place.data, "--drop", "day", "--json")
    assert not {"cat_smooth", "seen_only"} & set(told(shipped.stdout)["space"]["lightgbm"])
    spoken = invoke("check", *words).stdout
    for word in ("200 rows", "demand", "num_leaves", "7 trials", "likely time", "likely memory"):
        assert word in spoken
    assert sorted(path.name for path in place.root.iterdir()) == ["quick.yaml", "t.csv"]


def test_check_without_a_table_is_about_the_one_that_ships(invoke, told):
    plan = told(invoke("check", "--json", "--no-tracking").stdout)
    assert plan["config"]["data"]["builtin"] == "factor_nav"
    assert plan["split"]["purged"] > 0
    assert plan["tracking_uri"] is None


def test_check_hides_passwords(place, invoke, monkeypatch, told):
    for knock in ("check_reachable", "check_experiment", "check_database"):
        monkeypatch.setattr(f"raysearch.flow.places.{knock}", lambda *address: None)
    uri = "http://me:secret@tracking.example:5000"
    words = [*place.data, "--tracking-uri", uri, "--ledger", "postgresql://me:secret@db/l"]
    as_json = invoke("check", *words, "--json")
    assert told(as_json.stdout)["tracking_uri"] == "http://me:***@tracking.example:5000"
    spoken = invoke("check", *words)
    assert spoken.exit_code == 0
    assert "secret" not in as_json.stdout + as_json.stderr + spoken.stdout + spoken.stderr


@pytest.fixture
def study(place, invoke, told, no_report):
    """A finished study named s, with its result as told by --json."""
    words = [*place.data, "--group", "store", "--drop", "day", "--study", "s"]
    result = invoke("tune", *words, *place.quick, "--no-tracking", "--json")
    assert result.exit_code == 0, result.stderr
    return told(result.stdout)


def test_predict_writes_one_ordered_row_for_each_row(place, invoke, study, told):
    new = pd.read_csv("t.csv").head(23).drop(columns="demand")
    new.loc[3, "store"] = "never seen"
    new.loc[4, "a"] = None
    new.to_parquet("new.parquet")
    columns = ["q0.05", "q0.25", "q0.5", "q0.75", "q0.95"]
    result = invoke("predict", "--study", "s", "--data", "new.parquet", "--out", "p.parquet", "--json")
    assert result.exit_code == 0, result.stderr
    assert told(result.stdout)["rows"] == 23
    assert "never seen" in result.stderr or "store" in result.stderr
    spoken = invoke("predict", "--study", "s", "--data", "new.parquet", "--out", "p.csv")
    assert "23 rows" in spoken.stdout
    for table in (pd.read_parquet("p.parquet"), pd.read_csv("p.csv")):
        assert list(table.columns) == columns
        assert len(table) == 23
        assert (np.diff(table.to_numpy(), axis=1) >= 0).all()
    assert np.allclose(pd.read_parquet("p.parquet"), pd.read_csv("p.csv"))
    by_path = ["--model-path", study["model_path"], "--data", "new.parquet", "--out", "q.parquet"]
    assert invoke("predict", *by_path).exit_code == 0
    assert pd.read_parquet("q.parquet").equals(pd.read_parquet("p.parquet"))
    assert sorted(path.name for path in place.root.glob(".*")) == []


def test_predict_takes_a_table_with_one_column(place, invoke, study):
    pd.read_csv("t.csv")[["a"]].head(5).to_csv("one.csv", index=False)
    result = invoke("predict", "--study", "s", "--data", "one.csv", "--out", "p.csv")
    assert result.exit_code == 0, result.stderr
    assert len(pd.read_csv("p.csv")) == 5
    assert "'store'" in result.stderr  # the missing columns are told


@pytest.mark.parametrize(
    ("out", "expected"),
    [
        ("p.xlsx", [".parquet or .csv"]),
        ("nowhere/p.csv", ["no directory nowhere"]),
        ("t.csv/p.csv", ["t.csv"]),
    ],
)
def test_predict_refuses_a_file_it_cannot_write(place, invoke, study, out, expected):
    result = invoke("predict", "--study", "s", "--data", "t.csv", "--out", out)
    assert result.exit_code == 1
    assert all(word in result.stderr for word in expected)
    assert result.stdout == ""


def test_studies_lists_them_and_resume_goes_on(place, invoke, study, told):
    [row] = told(invoke("studies", "--json").stdout)["studies"]
    assert row["name"] == "s"
    assert row["state"] == "done"
    assert (row["trials"], row["asked"]) == (2, 2)
    assert row["score"] == pytest.approx(study["best"]["valid_pinball_loss_avg"])
    assert "s" in invoke("studies").stdout

    again = invoke("resume", "s", "--json")  # all is done: the same result, and nothing runs
    assert again.exit_code == 0, again.stderr
    repeated = told(again.stdout)
    for result in (repeated, study):
        result.pop("wall_s"), result.pop("profile"), result["ensemble"].pop("predict_ms")
    assert repeated == study

    more = told(invoke("resume", "s", "--trials", "4", "--json").stdout)
    assert more["trials"]["finished"] + more["trials"]["stopped"] == 4
    [row] = told(invoke("studies", "--json").stdout)["studies"]
    assert (row["state"], row["trials"], row["asked"]) == ("done", 4, 4)


def test_resume_without_words_goes_on_to_what_was_last_asked(place, invoke, study, told, monkeypatch):
    """A second resume after a kill of the first one must not fall back to the first number."""
    from raysearch.study import inline

    def killed(*args):
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(inline, "run_inline", killed)
        assert invoke("resume", "s", "--trials", "4").exit_code != 0
    [row] = told(invoke("studies", "--json").stdout)["studies"]
    assert (row["state"], row["trials"], row["asked"]) == ("unfinished", 2, 4)
    more = told(invoke("resume", "s", "--json").stdout)
    assert more["trials"]["finished"] + more["trials"]["stopped"] == 4


def test_the_command_to_continue_names_the_home(place, invoke, tmp_path):
    home = str(tmp_path / "my studies")
    result = invoke("tune", *place.data, *place.quick, "--no-tracking", "--study", "s", "--home", home)
    assert f"continue: python -m raysearch resume s --home '{home}' --trials 4" in result.stdout


def test_resume_works_from_another_directory(place, invoke, study, told, monkeypatch):
    elsewhere = place.root / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    result = invoke("resume", "s", "--home", str(place.root / "studies"), "--trials", "3", "--json")
    assert result.exit_code == 0, result.stderr
    assert told(result.stdout)["trials"]["finished"] >= 1


@pytest.mark.slow
def test_a_home_at_an_address_gets_everything(place, invoke, told):
    """file:// stands for s3://: the study is worked on here, and copied there."""
    home = f"file://{place.root}/far"
    words = ["--home", home, "--ledger", f"sqlite:///{place.root}/ledger.db", "--study", "s", "--no-tracking"]
    result = invoke("tune", *place.data, *place.quick, *words, "--json")
    assert result.exit_code == 0, result.stderr
    content = told(result.stdout)
    assert content["model_path"] == f"{home}/s/model"
    far = place.root / "far" / "s"
    assert (far / "report" / "report.html").stat().st_size > 10_000
    assert (far / "model" / "forecaster.json").is_file()
    assert json.loads((far / "result.json").read_text())["study"] == "s"
    [row] = told(invoke("studies", "--home", home, "--json").stdout)["studies"]
    assert (row["state"], row["trials"]) == ("done", 2)
    predicted = invoke("predict", "--study", "s", "--home", home, "--data", "t.csv", "--out", "p.csv")
    assert predicted.exit_code == 0, predicted.stderr
    more = invoke("resume", "s", "--home", home, "--trials", "3", "--json")
    assert more.exit_code == 0, more.stderr
    assert sum(told(more.stdout)["trials"].values()) == 3


def test_ui_tells_the_store_without_its_password(place, invoke, told, monkeypatch):
    class Ended:
        def __init__(self, command):
            self.command = command

        def wait(self):
            return 0

    monkeypatch.setattr("raysearch.cli.serve.check_reachable", lambda uri: None)
    monkeypatch.setattr("subprocess.Popen", Ended)
    result = invoke("ui", "--tracking-uri", "http://me:secret@tracking.example:5000", "--json")
    assert result.exit_code == 0
    assert "secret" not in result.stdout + result.stderr
    assert told(invoke("ui", "--port", "5001", "--json").stdout)["url"] == "http://127.0.0.1:5001"


@pytest.mark.usefixtures("study")
def test_predict_does_not_overwrite_the_table_that_it_reads(place, invoke):
    before = (place.root / "t.csv").read_bytes()
    result = invoke("predict", "--study", "s", "--data", "t.csv", "--out", "./t.csv")
    assert result.exit_code == 1
    assert "is the table to predict" in result.stderr
    assert (place.root / "t.csv").read_bytes() == before
