"""On what a study ran: versions, machine, and the revision of the code around it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess

_LIBRARIES = ("raysearch", "ray", "optuna", "mlflow", "lightgbm", "xgboost", "pyarrow", "pandas", "numpy")


def describe_environment() -> dict[str, str]:
    """Return versions, platform, cores and the git revision of the current directory, where it has one."""
    found = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": str(os.cpu_count()),
    }
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    revision = _git_revision()
    if revision:
        found["git_revision"] = revision
    return found


def _git_revision() -> str:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
