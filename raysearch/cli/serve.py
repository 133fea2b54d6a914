"""MLflow's UI on the right store, until Ctrl-C."""

from __future__ import annotations

import subprocess

import typer

from raysearch.addresses import hide_secrets
from raysearch.cli.words import print_json
from raysearch.config import load_config
from raysearch.tracking import check_reachable, resolve_uri, ui_command


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
    process = subprocess.Popen(ui_command(uri, host, port))
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        code = 0
    raise typer.Exit(code)
