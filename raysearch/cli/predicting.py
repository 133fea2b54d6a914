"""The commands that use a study's model: predict and forecast."""

from __future__ import annotations

from typing import Annotated

import typer

from raysearch.cli.common import HOME, Debug, Home, Json, app
from raysearch.cli.guard import guarded


@app.command()
@guarded
def predict(
    data: Annotated[str, typer.Option("--data", help="Table with the rows to predict")],
    out: Annotated[str, typer.Option("--out", help="File to write: .parquet or .csv")],
    study: Annotated[
        str | None, typer.Option("--study", help="Name of the study whose model predicts")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model-path", help="Directory of a model, instead of --study")
    ] = None,
    home: Home = HOME,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Predict all levels for the rows of a table: one column a level, one row for each row, in order.

    [bold]Example[/bold]

        python -m raysearch predict --study my-study --data new.csv --out quantiles.parquet
    """
    from raysearch.cli.written import find_model, tell_written
    from raysearch.flow.predict import predict_file

    tell_written(predict_file(find_model("predict", study, model, home), data, out), json=json)


@app.command()
@guarded
def forecast(
    data: Annotated[str, typer.Option("--data", help="Table with the past: time, target, group")],
    out: Annotated[str, typer.Option("--out", help="File to write: .parquet or .csv")],
    study: Annotated[
        str | None, typer.Option("--study", help="Name of the study whose model forecasts")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model-path", help="Directory of a model, instead of --study")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", help="Steps ahead (default: the model's horizon)")
    ] = None,
    future: Annotated[
        str | None, typer.Option("--future", help="Table with the columns that are known in advance")
    ] = None,
    home: Home = HOME,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Forecast the next steps behind the latest row of each group, with a model made with --horizon.

    [bold]Example[/bold]

        python -m raysearch forecast --study my-study --data history.csv --out next.csv
    """
    from raysearch.cli.written import find_model, tell_written
    from raysearch.flow.predict import forecast_file

    done = forecast_file(find_model("forecast", study, model, home), data, out, steps, future)
    tell_written(done, json=json)
