"""The options that say where a study runs, and where it and its record are kept."""

from __future__ import annotations

from raysearch.cli.flags import Flag
from raysearch.cli.parse import parse_duration

_WHERE, _RECORD = "Where it runs", "Study and record"

PLACE_FLAGS = (
    Flag(
        "--address",
        "compute.address",
        str,
        "Running Ray cluster, HOST:PORT or auto (default: own Ray)",
        _WHERE,
    ),
    Flag(
        "--cpus-per-trial",
        "compute.cpus_per_trial",
        int,
        "Cores and threads of one trial (default 1)",
        _WHERE,
    ),
    Flag(
        "--gpus-per-trial",
        "compute.gpus_per_trial",
        float,
        "GPUs of one trial, xgboost only (default 0)",
        _WHERE,
    ),
    Flag(
        "--workers-per-trial",
        "compute.workers_per_trial",
        int,
        "Workers that train one trial together, each on a share of the rows; cores and GPUs count for each "
        "(default 1)",
        _WHERE,
    ),
    Flag(
        "--max-concurrent", "compute.max_concurrent", int, "Trials at once (default: as many as fit)", _WHERE
    ),
    Flag(
        "--trial-timeout",
        "compute.trial_timeout_s",
        str,
        "Give a trial up as failed that takes longer, e.g. 10m (default: no limit)",
        _WHERE,
        parse_duration,
    ),
    Flag(
        "--checkpoint-after",
        "compute.checkpoint_after_s",
        str,
        "Keep how far a trial has come at the next rung after so long (default 1m)",
        _WHERE,
        parse_duration,
    ),
    Flag(
        "--wait-for-nodes",
        "compute.wait_for_nodes_s",
        str,
        "Wait so long for a first node that the cluster's autoscaler can start; 0: do not (default 10m)",
        _WHERE,
        parse_duration,
    ),
    Flag("--engine", "compute.engine", str, "ray, or inline: one by one without Ray (default ray)", _WHERE),
)
RECORD_FLAGS = (
    Flag(
        "--tracking-uri",
        "tracking.uri",
        str,
        "MLflow store (default MLFLOW_TRACKING_URI, else sqlite)",
        _RECORD,
    ),
    Flag(
        "--tracking-experiment", "tracking.experiment", str, "MLflow experiment (default raysearch)", _RECORD
    ),
    Flag(
        "--no-tracking",
        "tracking.enabled",
        bool,
        "Same search and report without MLflow",
        _RECORD,
        lambda v: not v,
    ),
)
STUDY_FLAGS = (
    Flag("--study", "study.name", str, "Name of the study (default: a readable one is made up)", _RECORD),
    Flag("--home", "study.home", str, "Where studies live: directory or address (default studies)", _RECORD),
    Flag(
        "--ledger",
        "study.ledger",
        str,
        "Database for the trials (default RAYSEARCH_LEDGER, else a file in the study)",
        _RECORD,
    ),
)
