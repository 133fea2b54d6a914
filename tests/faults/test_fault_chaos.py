"""Two hundred trials with twenty faults drawn by chance: two hundred results, and as many runs."""

from __future__ import annotations

import pytest
from chaos import FAULTS, run_with_faults

pytestmark = pytest.mark.slow


def test_two_hundred_trials_with_twenty_faults_are_two_hundred_results(tmp_path):
    told = run_with_faults(tmp_path, trials=200, faults=20, rows=4000)
    assert len(told) == 20
    assert {name for name, _ in told} == set(FAULTS)
