"""The boosters behind one protocol. Their libraries are imported at first use, by ``get_model``."""

from __future__ import annotations

import importlib
import os
from typing import cast

from raysearch.models.folds import AheadFit, FoldFit, by_fold
from raysearch.models.location import (
    LocatedFit,
    Location,
    load_located,
    load_location,
    locate,
    locate_linear,
    located_importance,
    location_kind,
    save_location,
    with_location,
)
from raysearch.models.protocol import Fit, FitSettings, Frame, Known, QuantileModel, join
from raysearch.models.tunables import (
    CAT_SMOOTH,
    LEAF_ROWS,
    LINEAR,
    LOCATION,
    MANY_CATEGORIES,
    MODEL_NAMES,
    SEEN_ONLY,
    TUNABLE,
    Tunable,
    adds_up,
)
from raysearch.models.turns import FitInTurns

__all__ = [
    "CAT_SMOOTH",
    "LEAF_ROWS",
    "LINEAR",
    "LOCATION",
    "MANY_CATEGORIES",
    "MODEL_NAMES",
    "SEEN_ONLY",
    "TUNABLE",
    "AheadFit",
    "Fit",
    "FitInTurns",
    "FitSettings",
    "FoldFit",
    "Frame",
    "Known",
    "LocatedFit",
    "Location",
    "QuantileModel",
    "Tunable",
    "adds_up",
    "by_fold",
    "get_model",
    "join",
    "load_located",
    "load_location",
    "locate",
    "locate_linear",
    "located_importance",
    "location_kind",
    "save_location",
    "sees_gpu",
    "thread_settings",
    "with_location",
]


def get_model(name: str) -> QuantileModel:
    """Return the adapter of "lightgbm" or "xgboost".

    Raises:
        KeyError: when there is no such model; names from users are checked in ``config``.
    """
    if name not in MODEL_NAMES:
        raise KeyError(f"no model {name!r}, known: {', '.join(MODEL_NAMES)}")
    for variable, value in thread_settings().items():
        os.environ.setdefault(variable, value)
    return cast(QuantileModel, importlib.import_module(f"raysearch.models.{name}").MODEL)


def sees_gpu() -> bool:
    """Tell whether this process could train on a GPU (XGBoost)."""
    get_model("xgboost")  # imported as it should be
    return bool(importlib.import_module("raysearch.models.xgboost").sees_gpu())


def thread_settings() -> dict[str, str]:
    """Return how long threads of OpenMP wait actively, as variables that are read at first import.

    As long as they do by default, they take the cores from those that work: on a busy machine two were
    measured to take 15 times as long as one. Not at all, and on some machines they wake up on the same core,
    and take ten times as long on an idle one.
    """
    if "OMP_WAIT_POLICY" in os.environ:
        return {}
    return {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "1"}  # GNU's, rounds; LLVM's, milliseconds
