"""What MLflow runs to load and serve a forecaster: one column a level for each row given.

MLflow executes this file itself, with a copy of raysearch beside the model for places that lack it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd


class ServedForecaster(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """The forecaster behind MLflow's one method."""

    def load_context(self, context: Any) -> None:
        """Load the forecaster from the model's artifacts."""
        _prefer_installed()
        from raysearch.forecaster import load_forecaster

        self.forecaster = load_forecaster(Path(context.artifacts["forecaster"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return columns ``q0.05``, ``q0.5``, ... in the target's units, one row for each row given."""
        table = pd.DataFrame(model_input).copy(deep=False)
        for name, kind in self.forecaster.input_columns.items():
            # pandas writes dates to JSON as milliseconds, which are instants whatever zone they were in;
            # every other conversion is the forecaster's.
            if kind == "datetime" and name in table and pd.api.types.is_numeric_dtype(table[name].dtype):
                table[name] = pd.to_datetime(table[name], unit="ms", utc=True)
        return self.forecaster.predict(table)


def _prefer_installed() -> None:
    """Put the model's copy of raysearch last on the path.

    MLflow puts it first, where it would take an installed raysearch's place for whatever this process imports
    later.
    """
    copies = [
        entry
        for entry in sys.path
        if Path(entry).name == "code" and (Path(entry) / "raysearch" / "__init__.py").is_file()
    ]
    sys.path[:] = [entry for entry in sys.path if entry not in copies] + copies


mlflow.models.set_model(ServedForecaster())
