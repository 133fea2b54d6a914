"""What all commands share: the application they belong to, and options that several have."""

from __future__ import annotations

from typing import Annotated

import typer

import raysearch

app = typer.Typer(
    name="raysearch",
    help="Tuned quantile forecasters, how often their intervals hold, and a record of every trial.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=False,
)
HOME = "studies"

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
