"""The commands."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

import raysearch
from raysearch.addresses import hide_secrets
from raysearch.cli.flags import with_flags
from raysearch.cli.guard import guarded
from raysearch.cli.options import RESUME_FLAGS, TUNE_FLAGS

app = typer.Typer(
    name="raysearch",
    help="Tuned quantile forecasters, how often their intervals hold, and a record of every trial.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=False,
)
_HOME = "studies"

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, all else on error")
]
ShowProfile = Annotated[
    bool, typer.Option("--profile", help="Tell where the seconds went; result.json and the report always do")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks")]
Home = Annotated[str, typer.Option("--home", help="Where studies live")]
Submit = Annotated[
    str | None,
    typer.Option(
        "--submit",
        help="Run it on a cluster's head instead, as a Ray job: the dashboard's address, http://HEAD:8265",
        rich_help_panel="Where it runs",
    ),
]
Detach = Annotated[
    bool,
    typer.Option(
        "--detach", help="With --submit: do not wait for the study's end", rich_help_panel="Where it runs"
    ),
]
ConfigFile = Annotated[
    str | None, typer.Option("--config", help="YAML with settings, or a shipped one such as nav_baseline")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Any setting, as section.key=value; see config/default.yaml")
]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"raysearch {raysearch.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version")
    ] = False,
) -> None:
    """Search hyperparameters of quantile forecasters on a Ray cluster, with every trial in MLflow."""


@app.command()
@with_flags(TUNE_FLAGS)
@guarded
def tune(
    flags: dict[str, dict[str, Any]],
    config: ConfigFile = None,
    set_: Settings = None,
    submit: Submit = None,
    detach: Detach = False,
    json: Json = False,
    profile: ShowProfile = False,
    debug: Debug = False,
) -> None:
    """Find the best model for a table, keep it, and tell how good its intervals are.

    Without --data it runs the experiment nav_baseline: the net asset values of five funds, 21 days ahead.

    [bold]Examples[/bold]

        python -m raysearch tune --model lightgbm
        python -m raysearch tune --data sales.csv --target demand --group store --time date --trials 100
        python -m raysearch tune --data big.parquet --target y --model both --time-budget 30m --address auto
        python -m raysearch tune --data sales_june.csv --target demand --warm-start auto
        python -m raysearch tune --data sales.csv --target demand --submit http://10.0.0.11:8265
    """
    from raysearch.cli.run import run_study
    from raysearch.cli.submit import more_words, refuse_detached, tell_sent
    from raysearch.config import load_config
    from raysearch.flow import tune as run

    settings = load_config(config, settings=set_ or (), flags=flags)
    if submit is not None:
        from raysearch.flow.submit import submit as send

        sent = send(settings, submit, more_words(json=json, profile=profile))
        tell_sent(sent, detach=detach, json=json)
        return
    refuse_detached(detach)
    run_study(lambda display, spent_s: run(settings, None, display, spent_s), json=json, profile=profile)


@app.command()
@with_flags(RESUME_FLAGS)
@guarded
def resume(
    flags: dict[str, dict[str, Any]],
    name: Annotated[str, typer.Argument(help="Name of the study")],
    home: Home = _HOME,
    submit: Submit = None,
    detach: Detach = False,
    json: Json = False,
    profile: ShowProfile = False,
    debug: Debug = False,
) -> None:
    """Go on with a study after Ctrl-C, a killed process, or for more trials: no finished trial runs again.

    [bold]Examples[/bold]

        python -m raysearch resume my-study
        python -m raysearch resume my-study --trials 200
    """
    from raysearch.cli.run import run_study
    from raysearch.cli.submit import more_words, refuse_detached, tell_sent, words_of
    from raysearch.flow import resume as run

    if submit is not None:
        from raysearch.flow.submit import submit_resume

        options, words = words_of(RESUME_FLAGS, flags)
        words += more_words(json=json, profile=profile)
        tell_sent(submit_resume(name, submit, home, options, words), detach=detach, json=json)
        return
    refuse_detached(detach)
    run_study(lambda display, spent_s: run(name, home, flags, display, spent_s), json=json, profile=profile)


@app.command()
@with_flags(TUNE_FLAGS)
@guarded
def check(
    flags: dict[str, dict[str, Any]],
    config: ConfigFile = None,
    set_: Settings = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Check settings, space, table and addresses, and tell what tune would run; compute nothing."""
    from raysearch.cli.words import plan_json, print_json, tell_plan
    from raysearch.config import load_config
    from raysearch.flow import check as run

    settings = load_config(config, settings=set_ or (), flags=flags)
    plan = run(settings)
    if json:
        print_json(plan_json(plan, settings))
    else:
        tell_plan(plan, settings)


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
    home: Home = _HOME,
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
    home: Home = _HOME,
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


@app.command()
@guarded
def studies(home: Home = _HOME, json: Json = False, debug: Debug = False) -> None:
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
def stop(
    name: Annotated[str, typer.Argument(help="Name of the study")],
    submit: Annotated[
        str, typer.Option("--submit", help="The dashboard's address that it was sent to, http://HEAD:8265")
    ],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Stop a study that was sent to a cluster, as Ctrl-C does: its best model so far is kept.

    [bold]Example[/bold]

        python -m raysearch stop my-study --submit http://10.0.0.11:8265
    """
    from raysearch.cli.submit import resume_there
    from raysearch.cli.words import print_json, tell
    from raysearch.flow.submit import stop as run

    state = run(name, submit)
    if json:
        print_json({"study": name, "job": state.word})
    else:
        tell(f"study {name} has stopped; `{resume_there(name, submit)}` goes on with it")


@app.command()
@guarded
def status(
    name: Annotated[
        str | None, typer.Argument(help="Name of the study (default: the newest one that runs)")
    ] = None,
    home: Home = _HOME,
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
    home: Home = _HOME,
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

    done = run(name, home, tracking_uri)
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
