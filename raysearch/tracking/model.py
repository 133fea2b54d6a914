"""A saved forecaster as an MLflow model, loadable where raysearch is not installed."""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import raysearch
from raysearch.tracking.mlflow_quiet import load_mlflow
from raysearch.tracking.store import Store
from raysearch.tracking.tracker import StudyInfo

# What a forecaster needs to predict. Everything is pinned: a served model must not change by itself.
_ALWAYS = ("mlflow", "numpy", "pandas", "pyarrow", "pyyaml")


def log_model(store: Store, run_id: str, info: StudyInfo, forecaster: Path) -> str:
    """Log the forecaster saved in a directory as the model named "model" of a run.

    The model has a schema for what it answers but none for what it is asked: MLflow's check of an input
    schema refuses whole numbers where there were fractions before, while the forecaster itself has an answer
    for missing columns, unseen categories and whole numbers. The columns it knows are in the metadata.

    Returns:
        the id of MLflow's logged model.
    """
    load_mlflow()
    from mlflow.entities import LoggedModelOutput

    client = store.client
    model = client.create_logged_model(
        store.experiment_id,
        name="model",
        source_run_id=run_id,
        tags={"raysearch.study": info.name, "raysearch.study_id": info.study_id},
        model_type="quantile forecaster",
    )
    status = "FAILED"
    try:
        with tempfile.TemporaryDirectory(prefix="raysearch-model-") as folder:
            path = save_model(forecaster, Path(folder), model, run_id)
            client.log_model_artifacts(model.model_id, str(path))
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        status = "READY"
    finally:
        client.finalize_logged_model(model.model_id, status)
    return str(model.model_id)


def save_model(forecaster: Path, folder: Path, logged: Any = None, run_id: str | None = None) -> Path:
    """Write an MLflow model directory below ``folder`` and return its path."""
    mlflow = load_mlflow()
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    from raysearch.forecaster import level_name, load_forecaster

    known = load_forecaster(forecaster)
    columns = [ColSpec("double", level_name(level)) for level in known.levels]
    metadata = {
        "levels": [float(level) for level in known.levels],
        "input_columns": dict(known.input_columns),
    }
    about = {} if logged is None else {"model_id": logged.model_id, "artifact_path": logged.artifact_location}
    path = folder / "model"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            path=str(path),
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={"forecaster": str(forecaster.absolute())},
            pip_requirements=_requirements({member.model for member in known.members}),
            code_paths=[str(_copy_package(folder / "package"))],
            signature=ModelSignature(outputs=Schema(columns)),
            mlflow_model=Model(run_id=run_id, metadata=metadata, **about),
        )
    for left in list(path.rglob("__pycache__")):
        shutil.rmtree(left, ignore_errors=True)
    return path


def _copy_package(folder: Path) -> Path:
    """Copy raysearch's modules, without its data, and return the copy's path."""
    package = Path(raysearch.__file__).parent
    copy = folder / package.name
    for module in sorted(package.rglob("*.py")):
        target = copy / module.relative_to(package)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module, target)
    return copy


def _requirements(boosters: Iterable[str]) -> list[str]:
    return [f"{name}=={importlib.metadata.version(name)}" for name in (*_ALWAYS, *sorted(boosters))]
