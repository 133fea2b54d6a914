"""The record of studies in MLflow. MLflow itself is imported when the first study opens, not before."""

from __future__ import annotations

from pathlib import Path

from raysearch.config import TrackingConfig
from raysearch.tracking.address import resolve_uri, ui_command
from raysearch.tracking.experiment import check_experiment
from raysearch.tracking.names import metric_key
from raysearch.tracking.outbox import Outbox, read_outbox
from raysearch.tracking.past import PastReader
from raysearch.tracking.preflight import check_reachable
from raysearch.tracking.production import production_server
from raysearch.tracking.tracker import NullTracker, StudyInfo, Tracker

__all__ = [
    "NullTracker",
    "Outbox",
    "PastReader",
    "StudyInfo",
    "Tracker",
    "check_experiment",
    "check_reachable",
    "metric_key",
    "open_tracker",
    "production_server",
    "read_outbox",
    "resolve_uri",
    "ui_command",
]


def open_tracker(config: TrackingConfig, outbox: Path | None = None) -> Tracker:
    """Return the tracker that the settings ask for; nothing is imported or connected to yet.

    Args:
        outbox: the file that keeps what the record must hold until it does.
    """
    uri = resolve_uri(config)
    if uri is None:
        return NullTracker()
    from raysearch.tracking.mlflow_tracker import MLflowTracker

    return MLflowTracker(uri, config.experiment, outbox)
