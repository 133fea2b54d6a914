"""The benchmarks of speed run as their texts say, with tiny arguments, and tell what they promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

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
