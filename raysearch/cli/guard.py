"""What stands between a command and its user: errors become one message and an exit code."""

from __future__ import annotations

import functools
import inspect
import json as json_library
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer

from raysearch.errors import InterruptedStudyError, RaysearchError

INTERRUPTED = 130  # what shells report for Ctrl-C


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Turn errors that users can mend into one message and exit code 1; ``--debug`` adds the traceback.

    With ``--json`` the message is also printed as a JSON object, for programs that read nothing else.
    """

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        try:
            command(**given)
        except RaysearchError as error:
            _tell(error, str(error), given)
            raise typer.Exit(INTERRUPTED if isinstance(error, InterruptedStudyError) else 1) from None
        except KeyboardInterrupt as error:
            typer.secho(f"interrupted; {error}" if str(error) else "interrupted", err=True, fg="yellow")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader of our output has gone; what is still buffered has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except OSError as error:
            name = f"{error.filename}: " if error.filename else ""
            _tell(error, f"{name}{error.strerror or error}", given)
            raise typer.Exit(1) from None

    signature = inspect.signature(command, eval_str=True)
    wrapped.__signature__ = signature  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    del wrapped.__wrapped__  # typer would read the unevaluated annotations behind it
    return wrapped


def _tell(error: Exception, message: str, given: dict[str, Any]) -> None:
    if given.get("debug"):
        traceback.print_exception(error)
    typer.secho(f"error: {message}", err=True, fg="red")
    if given.get("json"):
        typer.echo(json_library.dumps({"error": message, "kind": type(error).__name__}, ensure_ascii=False))
