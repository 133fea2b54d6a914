"""What the tests of the command line share: a small table, a quick space, and two ways to give a command."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

QUICK = """
model: lightgbm
parameters:
  num_leaves: {type: int, low: 4, high: 16}
  learning_rate: {type: float, low: 0.05, high: 0.3, log: true}
  num_boost_round: {type: int, low: 8, high: 24}
"""


def small_table(rows: int = 200) -> pd.DataFrame:
    """A table with a number, a name with a space, a group, a date and a target."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=rows), rng.normal(size=rows)
    return pd.DataFrame(
        {
            "a": a,
            "b c": b,
            "store": rng.choice(["Nord", "Süd/West", "Q 4"], rows),
            "day": pd.date_range("2020-01-01", periods=rows).strftime("%Y-%m-%d"),
            "demand": 20 + 3 * a + rng.normal(size=rows) * (1 + (b > 0)),
        }
    )


@dataclass(frozen=True)
class Place:
    """An empty directory with a table and a quick space, which the commands of a test run in."""

    root: Path

    @property
    def data(self) -> list[str]:
        return ["--data", "t.csv", "--target", "demand"]

    @property
    def quick(self) -> list[str]:
        """Words that make a study short."""
        return ["--space", "quick.yaml", "--engine", "inline", "--trials", "2", "--cv", "1"]

    def studies(self) -> list[str]:
        home = self.root / "studies"
        return sorted(entry.name for entry in home.iterdir()) if home.exists() else []

    def runs(self) -> list[tuple[str, str]]:
        """(role, status) of all runs in the directory's MLflow store; none where there is no store."""
        if not (self.root / "mlflow.db").exists():
            return []
        words = (
            "select t.value, r.status from runs r join tags t on t.run_uuid = r.run_uuid "
            "and t.key = 'raysearch.role' order by r.start_time"
        )
        with contextlib.closing(sqlite3.connect(self.root / "mlflow.db")) as connection:
            return [(str(role), str(status)) for role, status in connection.execute(words)]

    def check_nothing_left(self) -> None:
        """No study, and no run: what is refused has not begun."""
        assert self.studies() == []
        assert self.runs() == []

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "COLUMNS"))}
        checkout = Path(__file__).parents[2]
        return {**kept, "PYTHONPATH": str(checkout)}

    def start(self, *words: str, **more: object) -> subprocess.Popen[str]:
        """Start a command as its own process."""
        return subprocess.Popen(
            [sys.executable, "-m", "raysearch", *words],
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )

    def command(self, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command as its own process to its end."""
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            process.kill()
        return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    small_table().to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "quick.yaml").write_text(QUICK)
    return Place(tmp_path)


@pytest.fixture(scope="module")
def module_place(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Place:
    """A place for commands as processes of their own, whose study several tests look at."""
    root = tmp_path_factory.mktemp("place")
    small_table().to_csv(root / "t.csv", index=False)
    (root / "quick.yaml").write_text(QUICK)
    shutil.copyfile(empty_store, root / "mlflow.db")
    return Place(root)


@pytest.fixture
def invoke(place: Place):
    """Give a command in this process; the result has exit_code, stdout and stderr."""
    from raysearch.cli import app

    def run(*words: str):
        return CliRunner().invoke(app, list(words))

    return run


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs: making its tables takes seconds, copying it none."""
    from raysearch.tracking.store import open_store

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    open_store(f"sqlite:///{path}", "unused")
    return path


@pytest.fixture
def store(place: Place, empty_store: Path) -> Path:
    """The default MLflow store of the test's directory, already there."""
    return Path(shutil.copyfile(empty_store, place.root / "mlflow.db"))


@pytest.fixture
def refused():
    """Check what every refusal looks like, and return its message."""

    def check(result, expected: list[str]) -> str:
        assert result.exit_code == 1, result.stderr
        assert result.stdout == ""
        assert result.stderr.count("error: ") == 1
        assert "Traceback" not in result.stderr
        for word in expected:
            assert word in result.stderr, f"{word!r} is not in {result.stderr!r}"
        return str(result.stderr)

    return check


@pytest.fixture
def told():
    """Return the one JSON object that a command printed, and nothing beside it."""

    def read(stdout: str) -> dict:
        content = json.loads(stdout)
        assert isinstance(content, dict)
        assert len(stdout.strip().splitlines()) == 1
        return content

    return read
