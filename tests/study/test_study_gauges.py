"""A search's figures reach Prometheus by way of Ray, and their number stays as it is."""

from __future__ import annotations

import re
import time
import urllib.request
from dataclasses import replace

import pytest
from study_made_up import begin, limits
from study_on_ray import run

from raysearch.records import TrialResult
from raysearch.study.gauges import Gauges

RESULT = TrialResult(0, "k0", "lightgbm", {}, {}, "finished", 0.5, 10, {}, (), 0.0, 1.0)


def scraped(ray, study: str) -> dict[str, float]:
    """Return a study's series as Prometheus reads them at the node, by name and state."""
    port = ray.nodes()[0]["MetricsExportPort"]
    try:
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    except OSError:  # not yet
        return {}
    found = {}
    for name, labels, value in re.findall(r"^ray_(raysearch_\w+)\{(.*)\} (\S+)$", text, re.MULTILINE):
        told = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if told["study"] == study:
            found[f"{name} {told.get('state', '')}".strip()] = float(value)
    return found


@pytest.mark.slow
def test_figures_are_told_by_study_and_state(local_ray):
    now = time.time()
    ended = [
        replace(RESULT, ended_s=now - 100),
        replace(RESULT, key="k1", score=0.25, ended_s=now),
        replace(RESULT, key="k2", state="stopped", score=0.125, ended_s=now),
    ]
    Gauges("sales", 2).tell(ended, 1)
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
    until = time.monotonic() + 300
    while (found := scraped(local_ray, "sales")) != wanted:
        assert time.monotonic() < until, found
        time.sleep(0.5)


@pytest.mark.slow
def test_a_search_tells_its_figures_and_that_nothing_runs_any_more(local_ray, tmp_path):
    study = begin(tmp_path, limits(4))
    run(study)
    until = time.monotonic() + 300
    while (found := scraped(local_ray, "made-up")).get("raysearch_trials finished") != 4:
        assert time.monotonic() < until, found
        time.sleep(0.5)
    assert found["raysearch_trials running"] == found["raysearch_cores_at_work"] == 0
    assert found["raysearch_best_score"] == pytest.approx(study.conductor.best.score)


def test_what_keeps_ray_from_taking_them_costs_nothing(monkeypatch):
    monkeypatch.setattr(Gauges, "_set", lambda *words, **named: 1 / 0)
    Gauges("sales", 1).tell([RESULT], 0)
