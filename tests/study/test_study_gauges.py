"""A search's figures reach Prometheus by way of Ray, and their number stays as it is."""

from __future__ import annotations

import re
import time
import urllib.request
from dataclasses import replace

import pytest

from raysearch.records import TrialResult
from raysearch.study.gauges import Gauges

RESULT = TrialResult(0, "k0", "lightgbm", {}, {}, "finished", 0.5, 10, {}, (), 0.0, 1.0)


def scraped(ray, study: str) -> dict[str, float]:
    """Return a study's series as Prometheus reads them at the node, by name and state."""
    port = ray.nodes()[0]["MetricsExportPort"]
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    found = {}
    for name, labels, value in re.findall(r"^ray_(raysearch_\w+)\{(.*)\} (\S+)$", text, re.MULTILINE):
        told = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if told["study"] == study:
            found[f"{name} {told.get('state', '')}".strip()] = float(value)
    return found


@pytest.mark.slow
def test_figures_are_told_by_study_and_state(local_ray):
    gauges = Gauges("sales", [RESULT], 2)
    for number in range(1, 4):
        gauges.trial_started(number, f"k{number}", "lightgbm", {})
    gauges.trial_ended(replace(RESULT, key="k1", score=0.25))
    gauges.trial_ended(replace(RESULT, key="k2", state="stopped", score=0.125))
    wanted = {
        "raysearch_best_score": 0.25,
        "raysearch_trials finished": 2,
        "raysearch_trials stopped": 1,
        "raysearch_trials cut": 0,
        "raysearch_trials failed": 0,
        "raysearch_trials running": 1,
        "raysearch_trials_per_minute": 2,
        "raysearch_cores_at_work": 2,
    }
    until = time.monotonic() + 60
    while (found := scraped(local_ray, "sales")) != wanted:
        assert time.monotonic() < until, found
        time.sleep(0.5)


def test_without_ray_it_says_nothing_and_costs_nothing(monkeypatch):
    monkeypatch.setattr(Gauges, "_set", lambda *words, **named: 1 / 0)
    gauges = Gauges("sales", (), 1)
    gauges.trial_started(0, "k0", "lightgbm", {})
    gauges.trial_ended(RESULT)
