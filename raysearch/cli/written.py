"""What predict and forecast share: which model is asked, and what is told of the file that was written."""

from __future__ import annotations

import dataclasses

import typer

from raysearch.cli.words import print_json, tell
from raysearch.errors import ConfigError
from raysearch.flow import open_study
from raysearch.flow.predict import Predicted
from raysearch.forecaster import Forecaster, load_forecaster


def find_model(command: str, study: str | None, model: str | None, home: str) -> Forecaster:
    """Return the model that is named by its study or its directory.

    Raises:
        ConfigError: none is named, or both are.
    """
    if (study is None) == (model is None):
        raise ConfigError(f"{command}: name one of --study NAME and --model-path DIR")
    return open_study(study, home) if study else load_forecaster(str(model))


def tell_written(done: Predicted, *, json: bool) -> None:
    """Print warnings, then what was written where."""
    for warning in done.warnings:
        typer.secho(f"warning: {warning}", err=True, fg="yellow")
    if json:
        print_json(dataclasses.asdict(done))
    else:
        rows = "1 row" if done.rows == 1 else f"{done.rows:,} rows"
        tell(f"{rows} with {', '.join(done.columns)} written to {done.path}")
