"""The benchmarks of speed run as their texts say, with tiny arguments, and tell what they promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def table(script, *words, place):
    """Run a benchmark; return its table's cells by the names in its head, a row each."""
    command = [sys.executable, str(BENCHMARKS / script), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
    assert re.fullmatch(r"[-|]+", lines[1][0])
    return [dict(zip(lines[0], cells, strict=False)) for cells in lines[2:]]


def test_scale(tmp_path):
    (told,) = table("scale.py", "trials", "--trials", "40", "--repeats", "1", place=tmp_path)
    assert float(told["trials a second"]) > 1
    assert 0.05 < float(told["driver's memory, GB"]) < 1.0
    assert float(told["opened again, s"]) < 10


def test_overhead(tmp_path):
    words = ("--rows", "1000", "--trials", "4", "--repeats", "1", "--sides", "raysearch,optuna")
    ours, theirs = table("overhead.py", *words, place=tmp_path)
    assert (ours["side"], theirs["side"]) == ("raysearch", "optuna")
    for side in (ours, theirs):
        rate, seconds, first, share, each = list(side.values())[2:7]
        assert all(float(figure.split()[0]) > 0 for figure in (rate, seconds, first, each))
        assert 0 < float(share.split()[0]) <= 100
    assert float(theirs["raysearch's rate / its"].split()[0]) > 0


def test_stopping(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 2))
    table_of = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": x[:, 0] + random.normal(size=300)})
    table_of.to_csv(tmp_path / "t.csv", index=False)
    words = ("--data", "t.csv", "--target", "y", "--cv", "3", "--trials", "12")
    told = table("stopping.py", *words, place=tmp_path)
    assert [row["eta"] for row in told] == ["3", "4", "6", "8", "12"]
    going, seconds, worse = (
        [float(row[name]) for row in told] for name in ("trials that go on", "seconds", "best, % worse")
    )
    assert going == sorted(going, reverse=True) and 0 < going[-1] < 1
    assert seconds == sorted(seconds, reverse=True) and 0 < seconds[-1] <= 1
    assert worse == sorted(worse) and worse[0] >= 0
