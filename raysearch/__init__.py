"""raysearch: hyperparameter search for quantile forecasters on Ray, with every trial in MLflow.

Example:
    from raysearch import tune

    study = tune("sales.csv", target="demand", group="store", model="lightgbm", trials=50)
    study.best.params
    study.forecaster.predict(new_rows)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raysearch.api import resume, tune
    from raysearch.errors import RaysearchError
    from raysearch.flow.study import Study
    from raysearch.forecaster import Forecaster, load_forecaster

__version__ = "0.1.0"

__all__ = ["Forecaster", "RaysearchError", "Study", "__version__", "load_forecaster", "resume", "tune"]

# Loaded at first use: `import raysearch` must not load Ray, MLflow or the boosters.
_HOMES = {
    "Forecaster": "raysearch.forecaster",
    "RaysearchError": "raysearch.errors",
    "Study": "raysearch.flow.study",
    "load_forecaster": "raysearch.forecaster",
    "resume": "raysearch.api",
    "tune": "raysearch.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'raysearch' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
