"""MLflow's UI on the right store, until Ctrl-C."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import typer

from raysearch.addresses import hide_secrets
from raysearch.cli.words import print_json
from raysearch.config import load_config
from raysearch.tracking import check_reachable, production_server, resolve_uri, ui_command


def serve_production(
    tracking_uri: str | None,
    listen: tuple[str, int],
    folder: str,
    workers: int,
    hosts: Sequence[str],
    *,
    json: bool,
) -> None:
    """Start a team's tracking server and wait for it; its exit code becomes ours."""
    uri = resolve_uri(load_config(flags={"tracking": {"uri": tracking_uri}}).tracking)
    assert uri is not None  # tracking is on by default
    command = production_server(uri, Path(folder), listen, workers, hosts)
    check_reachable(uri)
    address = f"http://{listen[0]}:{listen[1]}"
    if json:
        print_json({"url": address, "tracking_uri": hide_secrets(uri), "folder": folder})
    else:
        typer.echo(f"MLflow of {hide_secrets(uri)} at {address}, files in {folder} (Ctrl-C ends it)")
        typer.echo(
            "studies: MLFLOW_TRACKING_USERNAME=admin, MLFLOW_TRACKING_PASSWORD, --tracking-uri " + address
        )
    _serve(subprocess.Popen(command.words, env=dict(command.environment)))


def serve_ui(tracking_uri: str | None, host: str, port: int, *, json: bool) -> None:
    """Start the UI and wait for it; its exit code becomes ours."""
    uri = resolve_uri(load_config(flags={"tracking": {"uri": tracking_uri}}).tracking)
    assert uri is not None  # tracking is on by default
    check_reachable(uri)
    remote = uri.startswith("http")
    address = hide_secrets(uri) if remote else f"http://{host}:{port}"
    if json:
        print_json({"url": address, "tracking_uri": hide_secrets(uri)})
    else:
        typer.echo(f"MLflow of {hide_secrets(uri)} at {address} (Ctrl-C ends it)")
    _serve(subprocess.Popen(ui_command(uri, host, port)))


def _serve(process: subprocess.Popen[bytes]) -> None:
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        code = 0
    raise typer.Exit(code)
