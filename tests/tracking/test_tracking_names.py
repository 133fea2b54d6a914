"""Keys that MLflow accepts, texts that databases accept, and no MLflow until a study opens."""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysearch.tracking import metric_key
from raysearch.tracking.names import MAX_KEY, text


def is_legal(key: str) -> bool:
    """MLflow's own rule."""
    normal = posixpath.normpath(key)
    path = normal == key and normal != "." and not normal.startswith(("..", "/"))
    return path and len(key) <= MAX_KEY and re.fullmatch(r"[/\w.\- :]*", key) is not None


@given(st.text())
def test_every_name_becomes_a_legal_key(name):
    assert is_legal(metric_key(name))
    assert metric_key(name) == metric_key(name)


@given(st.lists(st.text(max_size=12) | st.text("a/=:_ .%é", max_size=6), max_size=30, unique=True))
def test_distinct_groups_get_distinct_keys(groups):
    names = [f"coverage/store={group}" for group in groups]
    assert len({metric_key(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("valid_pinball_loss_avg", "valid_pinball_loss_avg"),
        ("pinball/q0.05", "pinball/q0.05"),
        ("coverage/strategy=MTUM", "coverage/strategy:MTUM"),
        ("coverage/straße=Köln Süd", "coverage/straße:Köln Süd"),
    ],
)
def test_legal_names_stay_legible(name, key):
    assert metric_key(name) == key


@pytest.mark.slow
def test_mlflow_agrees_on_what_is_legal():
    validate = pytest.importorskip("mlflow.utils.validation")
    for name in ("coverage/a=b/c", "..", "/x//y/", "a=😀%", "", "x" * 400, "coverage/store=\n", "e\u0301"):
        validate._validate_metric_name(metric_key(name))


def test_passwords_are_not_told():
    assert text("postgresql://me:s%40cret@host/db", 99) == "postgresql://me:***@host/db"
    assert text("x\0\ud800" + "y" * 10, 5) == "x?yy…"


def test_nothing_imports_mlflow_without_a_study():
    code = """
import sys
from raysearch.config import TrackingConfig
from raysearch.tracking import check_reachable, open_tracker, resolve_uri, ui_command
tracker = open_tracker(TrackingConfig(False, None, "raysearch"))
tracker.trial_started(0, "k", "lightgbm", {})
tracker.study_ended("FINISHED", None, [], None, None)
assert (tracker.uri, tracker.parent_run_id, tracker.close()) == (None, None, ())
real = open_tracker(TrackingConfig(True, None, "raysearch"))
assert real.uri == resolve_uri(TrackingConfig(True, None, "raysearch"))
check_reachable("sqlite:////tmp/surely-not-there.db")
ui_command(real.uri, "127.0.0.1", 5000)
loaded = {"mlflow", "ray", "optuna", "pandas", "sqlalchemy"} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)
