"""What of the time that a trial is sent has passed when its worker begins."""

from __future__ import annotations

import math
import sys
import time
from types import SimpleNamespace

import pytest

from raysearch.study.worker import TrialWorker, _without


def waited(worker, ago):
    return TrialWorker._waited(worker, SimpleNamespace(sent_s=time.time() - ago))


def test_the_first_trial_waits_for_its_worker_and_later_ones_for_a_free_one():
    worker = SimpleNamespace(_least_s=math.inf)
    assert waited(worker, 3.0) == pytest.approx(3.0, abs=0.1)
    assert waited(worker, 0.0) == pytest.approx(0.0, abs=0.1)
    assert waited(worker, 20.0) == pytest.approx(20.0, abs=0.1)


@pytest.mark.parametrize("off", [-3600.0, 3600.0])
def test_clocks_of_two_hosts_that_differ_cost_the_first_trial_a_minute_at_most(off):
    worker = SimpleNamespace(_least_s=math.inf)
    assert 0.0 <= waited(worker, off) <= 60.0
    assert waited(worker, off) == pytest.approx(0.0, abs=0.1)
    assert waited(worker, off + 5.0) == pytest.approx(5.0, abs=0.1)


def test_a_module_is_left_out_of_an_import_and_there_again_afterwards(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with _without("colorsys"), pytest.raises(ImportError):
        import colorsys
    import colorsys

    with _without("colorsys"):
        import colorsys  # it was there already
    assert colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)
