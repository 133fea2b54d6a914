"""A study that was sent to a cluster, in the terminal: its lines as they come, and how it ended."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from raysearch.addresses import hide_secrets
from raysearch.cli.flags import Flag
from raysearch.cli.guard import INTERRUPTED
from raysearch.cli.parse import parse_duration
from raysearch.cli.words import print_json
from raysearch.errors import ClusterError, ConfigError, resume_command
from raysearch.flow.submit import follow
from raysearch.study.jobs import HOME, Sent


def words_of(
    flags: Sequence[Flag], given: Mapping[str, Mapping[str, Any]]
) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the options that were given as words again: those with a value, and those without."""
    options: list[tuple[str, str]] = []
    words: list[str] = []
    for flag in flags:
        section, key = flag.setting.split(".")
        if key not in given.get(section, {}):
            continue
        value = given[section][key]
        if flag.kind is bool:
            words.append(flag.words)
        else:
            options.append((flag.words, f"{value:f}s" if flag.convert is parse_duration else str(value)))
    return options, words


def more_words(*, json: bool, profile: bool) -> list[str]:
    """Return the words of a command that its study's own command gets too."""
    return ["--json"] * json + ["--profile"] * profile


def refuse_detached(detach: bool) -> None:
    """Refuse ``--detach`` where a study runs in this very process.

    Raises:
        ConfigError: always, where it was given.
    """
    if detach:
        raise ConfigError("--detach: a study that runs here cannot be left alone; it goes with --submit")


def resume_there(sent: Sent) -> str:
    """Return the command that goes on with a study on a cluster, ready to be pasted into a shell."""
    home = "studies" if sent.home == HOME else sent.home
    return f"{resume_command(sent.study, home)} --submit {shlex.quote(hide_secrets(sent.address))}"


def tell_sent(sent: Sent, *, detach: bool, json: bool) -> None:
    """Tell where a study runs, and follow it to its end unless it is left alone.

    Raises:
        typer.Exit: with the exit code of the study's own command.
    """
    address = hide_secrets(sent.address)
    place = f"--submit {shlex.quote(address)}"
    if json and detach:
        print_json({"study": sent.study, "job": sent.job, "address": address, "home": sent.home})
        return
    typer.echo(f"study {sent.study} runs at {address} as job {sent.job}", err=json)
    typer.echo(f"stop it: python -m raysearch stop {shlex.quote(sent.study)} {place}", err=json)
    if detach:
        typer.echo(f"its lines: ray job logs --address {address} --follow {sent.job}")
        return
    try:
        _follow(sent, json=json)
    except KeyboardInterrupt:
        typer.secho("no longer followed; the study goes on", err=True, fg="yellow")
        raise typer.Exit(INTERRUPTED) from None


def _follow(sent: Sent, *, json: bool) -> None:
    last = ""

    def tell(line: str) -> None:
        nonlocal last
        if json and line.startswith("{"):
            last = line
        else:
            typer.echo(line, err=json)

    state = follow(sent, tell)
    if last:
        typer.echo(last)
    if state.word == "SUCCEEDED":
        return
    if state.exit_code is None and state.word != "STOPPED":
        raise ClusterError(f"job {sent.job}: {state.message or state.word}")
    raise typer.Exit(state.exit_code or (INTERRUPTED if state.word == "STOPPED" else 1))
