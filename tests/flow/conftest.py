"""What the tests of the story share: a small table, and studies that take a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raysearch.config import load_config
from raysearch.flow import tune

QUICK = {
    "lightgbm": "parameters:\n  num_leaves: {low: 4, high: 16}\n  num_boost_round: {low: 8, high: 24}\n",
    "xgboost": "parameters:\n  max_depth: {low: 2, high: 4}\n  n_estimators: {low: 8, high: 24}\n",
}


def small_table(rows: int = 200) -> pd.DataFrame:
    """A table with two numbers, a group, a date and a target."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=rows), rng.normal(size=rows)
    return pd.DataFrame(
        {
            "a": a,
            "b c": b,
            "store": rng.choice(["Nord", "Süd/West", "Q 4"], rows),
            "day": pd.date_range("2020-01-01", periods=rows),
            "demand": 20 + 3 * a + rng.normal(size=rows) * (1 + (b > 0)),
        }
    )


@pytest.fixture
def table() -> pd.DataFrame:
    return small_table()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return the Config of a quick study without Ray and MLflow; settings are given as section__key=value."""
    monkeypatch.chdir(tmp_path)
    for model, text in QUICK.items():
        (tmp_path / f"{model}.yaml").write_text(f"model: {model}\n{text}")

    def make(**words):
        given = {
            "search__model": "lightgbm",
            "search__trials": 2,
            "compute__engine": "inline",
            "tracking__enabled": False,
            "study__name": "s",
            "split__cv": 1,
            "data__target": "demand",
            **words,
        }
        model = given["search__model"]
        models = list(QUICK) if model == "both" else [model]
        given.setdefault("search__space", ",".join(f"{name}.yaml" for name in models))
        flags: dict[str, dict[str, object]] = {}
        for word, value in given.items():
            section, _, key = word.partition("__")
            flags.setdefault(section, {})[key] = value
        return load_config(flags=flags, in_memory="data__path" not in words)

    return make


@pytest.fixture
def study(settings):
    """Run a quick study on a table in memory (or on data__path), told nothing of."""

    def run(frame=None, *, display=None, **words):
        return tune(settings(**words), frame, display)

    return run


@pytest.fixture
def model_files():
    """Return all files of a study's boosters, by name below the model's directory."""

    def read(study) -> dict[str, bytes]:
        root = Path(study.model_path) / "members"
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    return read
