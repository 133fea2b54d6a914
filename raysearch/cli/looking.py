"""The commands that look at studies and their record: studies, status, sync, history, ui."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from raysearch.addresses import hide_secrets
from raysearch.cli.common import HOME, Debug, Home, Json, app
from raysearch.cli.guard import guarded


@app.command()
@guarded
def studies(home: Home = HOME, json: Json = False, debug: Debug = False) -> None:
    """List the studies of a home, the newest first."""
    from raysearch.cli.words import print_json, tell_studies
    from raysearch.flow import list_studies

    rows = list_studies(home)
    if json:
        print_json({"home": hide_secrets(home), "studies": [dataclasses.asdict(row) for row in rows]})
    else:
        tell_studies(rows, home)


@app.command()
@guarded
def status(
    name: Annotated[
        str | None, typer.Argument(help="Name of the study (default: the newest one that runs)")
    ] = None,
    home: Home = HOME,
    once: Annotated[
        bool, typer.Option("--once", help="Tell it once, instead of anew each second until the study ends")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Tell how a study is doing: its trials by state, the best score, and each trial that runs now.

    It reads the study's ledger, so that it works wherever the study's home is seen, while it runs and after.

    [bold]Examples[/bold]

        python -m raysearch status
        python -m raysearch status my-study --once
    """
    from raysearch.cli.status import tell_status

    tell_status(name, home, once=once, json=json)


@app.command()
@guarded
def sync(
    name: Annotated[
        str | None, typer.Argument(help="Name of the study (default: every one whose record lacks something)")
    ] = None,
    home: Home = HOME,
    tracking_uri: Annotated[
        str | None, typer.Option("--tracking-uri", help="MLflow store (default: the study's own)")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Send MLflow what a study's record lacks: the store was away at its end, or the process was killed.

    Trials come from the study's ledger, so that each has one run however often this is called.

    [bold]Examples[/bold]

        python -m raysearch sync
        python -m raysearch sync my-study --tracking-uri http://mlflow.example:5000
    """
    from raysearch.cli.words import print_json, tell_synced
    from raysearch.flow import sync as run

    done = run(name, home, tracking_uri, lambda why: typer.echo(f"{why} ...", err=True))
    if json:
        print_json({"home": hide_secrets(home), "studies": [dataclasses.asdict(one) for one in done]})
    else:
        tell_synced(done, home)
    if any(one.left for one in done):
        raise typer.Exit(1)


@app.command()
@guarded
def history(
    tracking_uri: Annotated[
        str | None,
        typer.Option("--tracking-uri", help="MLflow store (default MLFLOW_TRACKING_URI, else sqlite)"),
    ] = None,
    html: Annotated[str | None, typer.Option("--html", help="Also write a page that opens anywhere")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Tell what works for which kind of data: the best parameters of all studies, and where they agree.

    It reads what each finished study has left in the MLflow store, as tune --warm-start auto does.

    [bold]Examples[/bold]

        python -m raysearch history
        python -m raysearch history --tracking-uri http://mlflow.example:5000 --html history.html
    """
    from raysearch.cli.history import history_json, tell_history
    from raysearch.cli.words import print_json
    from raysearch.config import load_config
    from raysearch.flow.history import history as run

    found = run(load_config(flags={"tracking": {"uri": tracking_uri}}).tracking, html)
    if json:
        print_json(history_json(found))
    else:
        tell_history(found)


@app.command()
@guarded
def ui(
    tracking_uri: Annotated[str | None, typer.Option("--tracking-uri", help="MLflow store to open")] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on", min=1, max=65535)] = 5000,
    production: Annotated[
        bool,
        typer.Option("--production", help="Serve a team: PostgreSQL, passwords, artifacts by the server"),
    ] = False,
    folder: Annotated[
        str, typer.Option("--folder", help="With --production: where artifacts and users are kept")
    ] = "mlflow-server",
    workers: Annotated[int, typer.Option("--workers", help="With --production: processes", min=1)] = 2,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option("--allowed-host", help="With --production: a name by which it is called; repeat"),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Open MLflow's UI on the right store (Ctrl-C ends it), or serve a team's record.

    A team's server wants MLFLOW_AUTH_ADMIN_PASSWORD and MLFLOW_FLASK_SERVER_SECRET_KEY in its environment;
    deploy/compose.yaml starts the same in containers.

    [bold]Examples[/bold]

        python -m raysearch ui
        MLFLOW_TRACKING_URI=postgresql+psycopg://... python -m raysearch ui --production --host 10.0.0.5
    """
    from raysearch.cli.serve import serve_production, serve_ui

    if production:
        serve_production(tracking_uri, (host, port), folder, workers, allowed_host or (), json=json)
    else:
        serve_ui(tracking_uri, host, port, json=json)
